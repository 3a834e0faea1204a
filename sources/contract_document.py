"""Reading contracts: Open Data Contract Standard documents become `sources.contract` values.

Belongs here: turning `contracts/<system>/<dataset>.yaml` into a `Contract` and a folder of them
into a `Catalogue`, with an error that names file and field when the document is wrong. Does not
belong here: the values themselves (`contract.py`), whether our own keys contradict each other
(`contract_checks.py`), rules on whole tables (`table_rules.py`), or opening a connection.

The standard's own keys are used wherever it has one (owner and people in `team`, frequency and
retention in `slaProperties`, column rules in `logicalTypeOptions` and `quality`). What it has no
key for stands in `customProperties`, listed in `docs/contratos.md`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
    Server,
    Team,
)
from pydantic import ValidationError

from sources.city import CityError, with_city_values
from sources.contract import (
    CLASSIFICATIONS,
    DATABASE_TYPES,
    FILE_FORMATS,
    NUMERIC,
    PG_TYPES,
    PRIORITIES,
    PROTOCOL_FIELDS,
    RETENTION_UNITS,
    SEVERITIES,
    STATUSES,
    Catalogue,
    Column,
    Contract,
    RetentionUnit,
    Rule,
)
from sources.contract_checks import (
    check_columns,
    check_header_row,
    check_lookback,
    check_mode,
    check_options,
    check_partition,
    check_pattern,
    dimension_of,
    iso_period,
    known,
    one_of,
    severity_of,
    shared_table_conflicts,
)
from sources.documents import parse_yaml
from sources.errors import ContractError, Problem
from sources.layouts import COLUMN_LAYOUT, check_layout
from sources.references import with_default_references
from sources.table_rules import TableRule, is_row_rule, reference_rule, table_rule, unique_rule

CONTRACTS_DIR = Path(__file__).parent / "contracts"

# PostgreSQL names end at 63 bytes; two are kept for the double underscore of raw names.
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
# What nobody has classified is not published.
_UNCLASSIFIED = "acceso_restringido"
# Options of a column that something here acts upon; any other would be ignored in silence.
_COLUMN_OPTIONS = frozenset(
    {"format", "defaultTimezone", "minimum", "maximum", "pattern", "minLength", "maxLength"}
)


def load_catalogue(directories: Iterable[Path] = (CONTRACTS_DIR,)) -> Catalogue:
    """Read every `*.yaml` below `directories`; a later folder's dataset replaces an earlier one's.

    Never raises for a bad document: it is reported in `Catalogue.errors`. Two documents with one
    `id` in the same folder are an error of the second (a copy whose `id` was left as it was).
    """
    contracts: dict[str, Contract] = {}
    errors: list[ContractError] = []
    for directory in directories:
        if not directory.exists():
            errors.append(
                ContractError(
                    f"no existe la carpeta de contratos {directory}.",
                    next_step="revise la ruta indicada.",
                )
            )
            continue
        paths = [directory] if directory.is_file() else sorted(directory.rglob("*.yaml"))
        here: dict[str, Path] = {}
        for path in paths:
            try:
                contract = load_contract(path)
                if contract.id in here:
                    raise ContractError.of_document(
                        path, f"`id` ya está usado en {here[contract.id].name}", contract.id
                    )
            except ContractError as error:
                errors.append(error)
            else:
                here[contract.id] = path
                contracts[contract.id] = contract
    for conflict in shared_table_conflicts(contracts):
        del contracts[conflict.dataset]
        errors.append(conflict)
    complete = with_default_references(dict(sorted(contracts.items())))
    return Catalogue(MappingProxyType(complete), tuple(errors))


def load_contract(path: Path) -> Contract:
    """Read and check one document.

    Raises ContractError naming the file and, where there is one, the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ContractError(
            f"el contrato {path} no existe.",
            dataset=path.stem,
            next_step="revise el nombre del archivo y de su carpeta.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError.of_document(path, f"no se puede leer: {error}") from error
    return parse_contract(path, text)


@functools.lru_cache(maxsize=512)
def parse_contract(path: Path, text: str) -> Contract:
    """A document as text, checked as `load_contract` does; `path` is only named in errors."""
    try:
        loaded = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ContractError.of_document(path, f"no es YAML válido: {error}") from error
    if not isinstance(loaded, dict):
        raise ContractError.of_document(path, "el documento está vacío o no es un contrato")
    used: dict[str, Any] = {}
    try:
        loaded = with_city_values(loaded, used)
    except CityError as error:
        raise ContractError.of_document(path, f"{error.what} {error.next_step}") from error
    try:
        document = OpenDataContractStandard(**loaded)
    except (ValidationError, TypeError) as error:
        raise ContractError.of_document(
            path, f"no cumple el estándar ODCS: {_first_problem(error)}"
        ) from error
    # Other limits are another contract: what they had turned away is looked at again.
    content = text + (repr(sorted(used.items())) if used else "")
    return _build(path, document, hashlib.sha256(content.encode()).hexdigest())


def _build(path: Path, document: OpenDataContractStandard, sha256: str) -> Contract:
    identifier = _identifier(path, document)
    system, _, dataset = identifier.partition(".")
    problem = functools.partial(ContractError.of_document, path, identifier=identifier)
    if not document.version:
        raise problem("falta `version`")
    server, table = _server_and_table(document, system, problem)
    one_of("status", {"status": document.status or "active"}, STATUSES, "active", problem)
    options = _custom(document.customProperties)
    all_options = options | _custom(server.customProperties)
    check_options(all_options, problem)
    kind = _kind(server, problem)
    check_header_row(kind, all_options, problem)
    columns = _columns(table, problem)
    mode = options.get("loadMode", "files" if kind in FILE_FORMATS else "full")
    cursor = options.get("cursor")
    check_mode(kind, mode, cursor=cursor, columns=columns, problem=problem)
    partition_by = options.get("partitionBy")
    landing_table = options.get("landingTable", f"{system}__{dataset}")
    if not _NAME.match(landing_table):
        raise problem(f"`landingTable` no es un nombre válido: {landing_table!r}")
    check_partition(mode, partition_by, columns, landing_table, problem)
    classification = one_of("classification", options, CLASSIFICATIONS, _UNCLASSIFIED, problem)
    people = _people(document)
    contract = Contract(
        id=identifier,
        system=system,
        dataset=dataset,
        title=document.name or table.businessName or dataset,
        version=document.version,
        description=_text(document.description.purpose if document.description else None),
        domain=document.domain or system,
        kind=kind,
        server=_filled(server),
        options=MappingProxyType(all_options),
        source_table=table.physicalName or table.name or dataset,
        columns=columns,
        load_mode=mode,
        cursor=cursor,
        lookback=check_lookback(
            options.get("lookback"), {c.name: c for c in columns}.get(cursor or ""), problem
        ),
        landing_table=landing_table,
        partition_by=partition_by,
        owner=document.team.name if isinstance(document.team, Team) else None,
        responsible=people.get("responsable"),
        champion=people.get("referente"),
        people=MappingProxyType(people),
        frequency=_frequency(document, problem),
        classification=classification,
        priority=one_of("priority", options, PRIORITIES, "normal", problem),
        has_people=options.get("containsPersons", False),
        max_quarantine_share=float(options.get("maxQuarantineShare", 0.2)),
        path=path,
        sha256=sha256,
        document=document,
        table_rules=_table_rules(table, columns, system, problem),
        retention=_retention(document, problem),
    )
    check_layout(contract)
    return contract


def _identifier(path: Path, document: OpenDataContractStandard) -> str:
    """`<system>.<dataset>`; until it is known, errors name the file alone."""
    identifier = document.id or ""
    if document.kind != "DataContract" or not document.apiVersion:
        raise ContractError.of_document(path, "faltan `kind: DataContract` y `apiVersion`")
    system, _, dataset = identifier.partition(".")
    if not _NAME.match(system) or not _NAME.match(dataset):
        raise ContractError.of_document(
            path, f"`id` debe ser '<sistema>.<conjunto>', no {identifier!r}"
        )
    return identifier


def _server_and_table(
    document: OpenDataContractStandard, system: str, problem: Problem
) -> tuple[Server, SchemaObject]:
    if not document.servers or len(document.servers) != 1:
        raise problem("debe haber exactamente un elemento en `servers`")
    if not document.schema_ or len(document.schema_) != 1:
        raise problem("debe haber exactamente una tabla en `schema`")
    server, table = document.servers[0], document.schema_[0]
    if server.server != system:
        raise problem(f"`servers[0].server` debe ser {system!r}")
    return server, table


def _table_rules(
    table: SchemaObject, columns: Sequence[Column], system: str, problem: Problem
) -> tuple[TableRule, ...]:
    """Rules on the whole table, as the document says them and as its keys imply."""
    names = [column.name for column in columns]
    found: list[TableRule] = []

    def add(quality: DataQuality, column: str | None) -> None:
        where = column or "la tabla"
        rule = table_rule(
            quality, column, names,
            severity=severity_of(where, quality.severity, problem),
            dimension=dimension_of(where, quality.dimension, problem),
            problem=problem,
        )  # fmt: skip
        if rule is not None:
            found.append(rule)

    for prop in table.properties or []:
        for quality in prop.quality or []:
            if not is_row_rule(quality):
                add(quality, prop.name)
        for relationship in prop.relationships or []:
            name = prop.name or ""
            said = _custom(relationship.customProperties).get("severity")
            severity = severity_of(name, said, problem)
            found.append(
                reference_rule(relationship, name, system, severity=severity, problem=problem)
            )
    for quality in table.quality or []:
        add(quality, None)
    written = {rule.columns for rule in found if rule.kind == "duplicates"}
    found += [
        unique_rule(column.name)
        for column in columns
        if column.unique and not column.primary_key and (column.name,) not in written
    ]
    codes = [rule.name for rule in found]
    if repeated := sorted({code for code in codes if codes.count(code) > 1}):
        raise problem(
            f"reglas con el mismo nombre: {', '.join(repeated)}; déles un `name` distinto"
        )
    return tuple(found)


def _columns(table: SchemaObject, problem: Problem) -> tuple[Column, ...]:
    properties = table.properties or []
    sole_key = sum(bool(prop.primaryKey) for prop in properties) == 1
    columns = tuple(_column(prop, sole_key=sole_key, problem=problem) for prop in properties)
    check_columns(columns, problem)
    return columns


def _column(prop: SchemaProperty, *, sole_key: bool, problem: Problem) -> Column:
    name = prop.name or ""
    if not _NAME.match(name):
        raise problem(f"nombre de columna no válido: {name!r}")
    pg_type = (prop.physicalType or "").lower()
    logical = prop.logicalType or ""
    if numeric := NUMERIC.match(pg_type):
        precision, scale = int(numeric[1]), int(numeric[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise problem(f"{name}: {pg_type} está fuera de rango")
        allowed: tuple[str, ...] = ("number",)
    elif pg_type in PG_TYPES:
        allowed = PG_TYPES[pg_type][1]
    else:
        raise problem(f"{name}: `physicalType` {prop.physicalType!r} no es un tipo admitido")
    if logical not in allowed:
        raise problem(f"{name}: `logicalType` {logical!r} no corresponde a {pg_type}")
    if not (prop.description or "").strip():
        raise problem(f"{name}: falta `description`")
    classification = prop.classification or _UNCLASSIFIED
    if classification not in CLASSIFICATIONS:
        raise problem(f"{name}: `classification` {classification!r} no es una de {CLASSIFICATIONS}")
    custom = _custom(prop.customProperties)
    options = prop.logicalTypeOptions or {}
    if unknown := sorted(options.keys() - _COLUMN_OPTIONS):
        raise problem(f"{name}: `logicalTypeOptions` no admite {', '.join(unknown)}")
    constant = custom.get("constant")
    where = f"{name}: `protocolField`"
    protocol_field = known(where, custom.get("protocolField"), PROTOCOL_FIELDS, problem)
    where = f"{name}: `protocolSeverity`"
    severity = known(where, custom.get("protocolSeverity"), SEVERITIES, problem)
    return Column(
        name=name,
        source_name=prop.physicalName or name,
        logical_type=logical,
        pg_type=pg_type,
        description=_text(prop.description),
        required=bool(prop.required) or bool(prop.primaryKey),
        # A part of a key of several columns repeats by right.
        unique=bool(prop.unique) or (bool(prop.primaryKey) and sole_key),
        primary_key=bool(prop.primaryKey),
        classification=classification,
        format=options.get("format"),
        timezone=_timezone(name, options.get("defaultTimezone"), problem),
        constant=None if constant is None else str(constant),
        unit=custom.get("unit"),
        protocol_field=protocol_field,
        rules=tuple(_rules(name, prop, options, problem)),
        protocol_severity=severity,
        implied_decimals=_implied_decimals(name, pg_type, custom, problem),
        layout=MappingProxyType({key: custom[key] for key in COLUMN_LAYOUT if key in custom}),
        other_names=_other_names(name, custom.get("otherNames", []), problem),
    )


def _other_names(name: str, value: Any, problem: Problem) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(x, str) and x.strip() for x in value):
        raise problem(f"{name}: `otherNames` debe ser una lista de nombres, no {value!r}")
    return tuple(value)


def _implied_decimals(name: str, pg_type: str, custom: Mapping[str, Any], problem: Problem) -> int:
    """Digits behind a point that is not written; a numeric must be able to hold them."""
    value = custom.get("impliedDecimals", 0)
    match = NUMERIC.match(pg_type)
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or match is None:
        raise problem(f"{name}: `impliedDecimals` es un entero y vale solo para numeric(p,s)")
    if not 0 < value <= int(match[2]):
        raise problem(f"{name}: `impliedDecimals` {value} no cabe en {pg_type}")
    return int(value)


def _rules(
    name: str, prop: SchemaProperty, options: Mapping[str, Any], problem: Problem
) -> Iterable[Rule]:
    if prop.required or prop.primaryKey:
        yield Rule("required", name, None, "bloqueante", f"{name} no puede faltar", "completitud")
    for option, kind, words in (
        ("minimum", "minimum", "no puede ser menor que"),
        ("maximum", "maximum", "no puede ser mayor que"),
        ("pattern", "pattern", "debe tener la forma"),
        ("minLength", "min_length", "debe tener un largo mínimo de"),
        ("maxLength", "max_length", "debe tener un largo máximo de"),
    ):
        if option in options:
            argument = options[option]
            if option == "pattern":
                check_pattern(name, argument, problem)
            yield Rule(kind, name, argument, "bloqueante", f"{name} {words} {argument}")
    for quality in prop.quality or []:
        if is_row_rule(quality):
            yield from _quality_rules(name, quality, problem)


def _quality_rules(name: str, quality: DataQuality, problem: Problem) -> Iterable[Rule]:
    """The rules of one `quality` element; a range is two, so that a report tells the end broken."""
    arguments = quality.arguments or {}
    severity = severity_of(name, quality.severity, problem)
    dimension = dimension_of(name, quality.dimension, problem)
    if quality.metric in ("nullValues", "missingValues"):
        words = quality.description or f"{name} no debería faltar"
        yield Rule("required", name, None, severity, words, dimension or "completitud")
        return
    if quality.metric != "invalidValues" or not arguments:
        raise _unknown_rule(name, quality, problem)
    for argument, value in arguments.items():
        if argument == "validValues":
            values = _valid_values(name, value, problem)
            words = quality.description or f"{name} debe ser uno de: {', '.join(values)}"
            yield Rule("allowed", name, values, severity, words, dimension or "validez")
        elif argument == "pattern":
            check_pattern(name, value, problem)
            words = quality.description or f"{name} debe tener la forma {value}"
            yield Rule("pattern", name, value, severity, words, dimension or "validez")
        elif argument in ("minimum", "maximum"):
            end = {"minimum": "mínimo", "maximum": "máximo"}[argument]
            words = quality.description or f"{name}: fuera de rango ({end} {value})"
            yield Rule(argument, name, value, severity, words, dimension or "validez")
        else:
            raise _unknown_rule(name, quality, problem)


def _unknown_rule(name: str, quality: DataQuality, problem: Problem) -> ContractError:
    return problem(
        f"{name}: regla de calidad no admitida: metric={quality.metric!r}, "
        f"arguments={sorted(quality.arguments or {})}"
    )


def _valid_values(name: str, values: Any, problem: Problem) -> tuple[str, ...]:
    if not isinstance(values, list) or not values:
        raise problem(f"{name}: `validValues` debe ser una lista")
    if any(isinstance(value, bool) for value in values):
        # YAML reads an unquoted `no` or `yes` as a truth value.
        raise problem(f"{name}: escriba entre comillas los valores como 'no'")
    return tuple(str(value) for value in values)


def _timezone(name: str, value: Any, problem: Problem) -> str | None:
    if value is None:
        return None
    try:
        return ZoneInfo(value).key
    except (TypeError, ValueError, OSError, KeyError) as error:
        raise problem(f"{name}: `defaultTimezone` {value!r} no es una zona horaria") from error


def _kind(server: Server, problem: Problem) -> str:
    kind = (server.type or "").lower()
    kind = {"postgres": "postgresql"}.get(kind, kind)
    if kind in DATABASE_TYPES or kind == "api":
        return kind
    if kind == "custom" and _custom(server.customProperties).get("transport") == "mqtt":
        if (server.format or "").lower() in ("json", "jsonl"):
            return "jsonl"
        raise problem("los mensajes de `transport: mqtt` son `format: jsonl`")
    if kind in ("local", "s3", "sftp"):
        file_format = (server.format or "").lower()
        file_format = {"json": "jsonl", "excel": "xlsx"}.get(file_format, file_format)
        if file_format in FILE_FORMATS:
            return file_format
        raise problem(f"`servers[0].format` no admitido: {server.format!r}")
    raise problem(f"`servers[0].type` no admitido: {server.type!r}")


def _people(document: OpenDataContractStandard) -> dict[str, str]:
    """Names by role; several people of one role in one text."""
    people: dict[str, str] = {}
    if not isinstance(document.team, Team):
        return people
    for member in document.team.members or []:
        name = member.name or member.username
        if member.role and name:
            known = people.get(member.role)
            people[member.role] = f"{known}; {name}" if known else name
    return people


def _frequency(document: OpenDataContractStandard, problem: Problem) -> str | None:
    for item in document.slaProperties or []:
        if item.property == "frequency":
            unit = {"y": "Y", "m": "M", "w": "W", "d": "D"}.get(str(item.unit or ""))
            text = f"PT{item.value}H" if item.unit == "h" else f"P{item.value}{unit}"
            if unit is None and item.unit != "h":
                raise problem(f"`frequency`: unidad {item.unit!r} no admitida")
            return iso_period("frequency", text, problem)
    return None


def _retention(
    document: OpenDataContractStandard, problem: Problem
) -> tuple[int, RetentionUnit] | None:
    """How long rows are kept: so many years, months, weeks or days; None when it is not said."""
    for item in document.slaProperties or []:
        if item.property == "retention":
            unit = known("`retention`: unidad", item.unit or "d", RETENTION_UNITS, problem)
            count = str(item.value)
            if unit is None or not count.isdecimal() or int(count) < 1:
                raise problem(f"`retention` debe ser un número entero desde 1, no {item.value!r}")
            return int(count), unit
    return None


def _filled(server: Server) -> Server:
    """The server with the keys the standard has, but not for this type of server.

    Its schema refuses `delimiter` for a local folder and `path` for an API; a contract states
    them in the server's `customProperties`, and readers find them on the server all the same.
    """
    custom = _custom(server.customProperties)
    return server.model_copy(
        update={key: custom[key] for key in ("delimiter", "path") if key in custom}
    )


def _custom(properties: Sequence[CustomProperty] | None) -> dict[str, Any]:
    return {item.property: item.value for item in properties or [] if item.property}


def _text(value: str | None) -> str:
    return " ".join((value or "").split())


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)

"""Contracts: Open Data Contract Standard documents, read once and checked hard.

Belongs here: turning `contracts/<system>/<dataset>.yaml` into typed, immutable values, with an
error that names file and field when the document is wrong. Does not belong here: anything that
opens a connection, or that derives checks (`expectations/`) or models (`dbt_project/`).

The standard's own keys are used wherever it has one (owner and people in `team`, frequency and
retention in `slaProperties`, column rules in `logicalTypeOptions` and `quality`). What it has no
key for stands in `customProperties`, listed in `docs/contratos.md`.
"""

from __future__ import annotations

import calendar
import datetime as dt
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

import pyarrow as pa
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

from sources.errors import ContractError
from sources.layouts import COLUMN_LAYOUT, check_layout
from sources.references import with_default_references
from sources.table_rules import TableRule, is_row_rule, reference_rule, table_rule, unique_rule

_Value = TypeVar("_Value")

CONTRACTS_DIR = Path(__file__).parent / "contracts"

LoadMode = Literal["full", "incremental", "append", "files"]
Severity = Literal["bloqueante", "advertencia"]
CLASSIFICATIONS = ("sensible", "acceso_restringido", "libre_acceso")
PRIORITIES = ("critica", "normal")
SEVERITIES: tuple[Severity, ...] = ("bloqueante", "advertencia")
# The standard's words for them; a rule that says nothing warns.
_SEVERITIES: Mapping[str | None, Severity] = MappingProxyType(
    {"error": "bloqueante", "warning": "advertencia", None: "advertencia"}
)
PROTOCOL_FIELDS = (
    "fecha_nacimiento",
    "genero",
    "etnia",
    "ingreso",
    "educacion",
    "ubicacion",
    "acceso_tecnologia",
    "alfabetizacion_digital",
    "discapacidad",
)
# The standard names the dimensions in English; the warehouse and its reports in Spanish.
DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "exactitud",
        "completeness": "completitud",
        "conformity": "validez",
        "consistency": "consistencia",
        "coverage": "completitud",
        "timeliness": "actualidad",
        "uniqueness": "unicidad",
    }
)
DATABASE_TYPES = ("postgresql", "mysql", "sqlserver")
FILE_FORMATS = ("csv", "jsonl", "parquet", "xlsx", "fixed")
# PostgreSQL names end at 63 bytes; two are kept for the double underscore of raw names.
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
_NUMERIC = re.compile(r"^numeric\((\d+),(\d+)\)$")
_ISO_PERIOD = re.compile(
    r"^P(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?$"
)
REVISIONS = ("replace", "append")
NEW_COLUMNS = ("add", "ignore", "refuse")
NEVER = "never"
# Modes that go on from the highest cursor value of the load before.
_CURSOR_MODES = ("incremental", "append")
# Options of a column that something here acts upon; any other would be ignored in silence.
_COLUMN_OPTIONS = frozenset(
    {"format", "defaultTimezone", "minimum", "maximum", "pattern", "minLength", "maxLength"}
)
_TYPES: Mapping[str, tuple[pa.DataType, tuple[str, ...]]] = MappingProxyType(
    {
        "smallint": (pa.int16(), ("integer",)),
        "integer": (pa.int32(), ("integer",)),
        "bigint": (pa.int64(), ("integer",)),
        "double precision": (pa.float64(), ("number",)),
        "boolean": (pa.bool_(), ("boolean",)),
        # A date or a number may be kept as text when the source writes it in a way that only
        # staging can read; the logical type still says what it means.
        "text": (pa.string(), ("string", "date", "number", "integer", "timestamp", "boolean")),
        "date": (pa.date32(), ("date",)),
        "timestamp": (pa.timestamp("us"), ("timestamp",)),
        "timestamptz": (pa.timestamp("us", tz="UTC"), ("timestamp",)),
        "jsonb": (pa.string(), ("object", "array")),
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on one column, or on the whole row when `column` is empty.

    `kind` is one of: required, allowed, minimum, maximum, pattern, min_length, max_length.
    """

    kind: str
    column: str
    argument: Any
    severity: Severity
    description: str
    dimension: str = "validez"

    @property
    def name(self) -> str:
        return f"{self.column}.{self.kind}" if self.column else self.kind


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset: where it comes from, what it holds, who may see it."""

    name: str
    source_name: str
    logical_type: str
    pg_type: str
    description: str
    required: bool
    unique: bool
    primary_key: bool
    classification: str
    format: str | None
    timezone: str | None
    constant: str | None
    unit: str | None
    protocol_field: str | None
    rules: tuple[Rule, ...]
    # What a value against the protocol costs its row; None = what the protocol says for the field.
    protocol_severity: Severity | None = None
    # Digits behind a decimal point that the source does not write: 000123456 is 123.456 with three.
    implied_decimals: int = 0
    # Where the value stands in a record, for readers (`sources/layouts.py` gives them their types).
    layout: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), hash=False, repr=False
    )
    # Found at the source and not in the document (`landing/new_columns.py`).
    undeclared: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type every batch is cast to before it is written."""
        if match := _NUMERIC.match(self.pg_type):
            return pa.decimal128(int(match[1]), int(match[2]))
        return _TYPES[self.pg_type][0]


@dataclass(frozen=True, slots=True)
class Contract:
    """A dataset of the city as its contract describes it."""

    id: str
    system: str
    dataset: str
    title: str
    version: str
    description: str
    domain: str
    kind: str
    server: Server
    options: Mapping[str, Any]
    source_table: str
    columns: tuple[Column, ...]
    load_mode: LoadMode
    cursor: str | None
    lookback: str | None
    landing_table: str
    partition_by: str | None
    owner: str | None
    responsible: str | None
    champion: str | None
    people: Mapping[str, str]
    frequency: str | None
    classification: str
    priority: str
    has_people: bool
    max_quarantine_share: float
    path: Path
    sha256: str
    document: OpenDataContractStandard = field(repr=False, compare=False)
    table_rules: tuple[TableRule, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the primary-key columns, in order; empty when the dataset has none."""
        return tuple(column.name for column in self.columns if column.primary_key)

    def retention_from(self, today: dt.date) -> dt.date | None:
        """First day to be kept by `retention` of `slaProperties`; None when it names none.

        Raises ContractError for a unit that is neither years, months, weeks nor days.
        """
        for item in self.document.slaProperties or []:
            if item.property == "retention":
                return _before(self, today, int(str(item.value)), str(item.unit or "d"))
        return None

    @property
    def declared(self) -> tuple[Column, ...]:
        """The columns of the document, without those that a load added from the source."""
        return tuple(column for column in self.columns if not column.undeclared)

    @property
    def new_columns(self) -> str:
        """What becomes of a column that the document does not name: add, ignore or refuse."""
        return str(self.options.get("newColumns", NEW_COLUMNS[0]))

    @property
    def from_files(self) -> bool:
        return self.kind in FILE_FORMATS

    @property
    def is_live(self) -> bool:
        """Whether its rows come as messages (`lujan live`) and not from a folder."""
        return self.options.get("transport") == "mqtt"

    @property
    def has_watermark(self) -> bool:
        """Whether a load goes on from the highest cursor value of the one before."""
        return self.load_mode in _CURSOR_MODES

    @property
    def deletions_every(self) -> str | None:
        """Longest time between two comparisons of all keys with the source; None: never."""
        value = str(self.options.get("deletionsEvery", "P7D"))
        return None if value == NEVER else value

    @property
    def max_deletion_share(self) -> float:
        """Largest part (0 to 1) of a table of 50 rows or more that one load may remove."""
        return float(self.options.get("maxDeletionShare", self.max_quarantine_share))

    @property
    def freshness_severity(self) -> Severity:
        """What being overdue costs: `bloqueante` withholds what is made from the dataset."""
        return _SEVERITIES[self.options.get("freshnessSeverity")]

    @property
    def monitor_severity(self) -> Severity:
        """What a surprising volume, share or distribution costs."""
        return _SEVERITIES[self.options.get("monitorSeverity")]

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns of the source that the city knows of and chose not to load."""
        return tuple(self.options.get("ignoredColumns", ()))

    @property
    def max_connections(self) -> int:
        """Most connections to the system at once, over all processes."""
        return int(self.options.get("maxConnections", 2))

    @property
    def accountable(self) -> str | None:
        """Who answers for the data: the person named for it, else the owner."""
        return self.responsible or self.owner

    @property
    def raw_name(self) -> str:
        """`raw.<table>` as people and `meta` write it."""
        return f"raw.{self.landing_table}"

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, column.arrow_type) for column in self.columns])

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every contract that can be used, and the errors of those that cannot.

    One broken document must not stop the datasets of the other systems.
    """

    contracts: Mapping[str, Contract]
    errors: tuple[ContractError, ...]

    def systems(self) -> dict[str, list[Contract]]:
        """Contracts by system, both in alphabetical order."""
        found: dict[str, list[Contract]] = {}
        for contract in self.contracts.values():
            found.setdefault(contract.system, []).append(contract)
        return found

    def by_landing_table(self) -> dict[str, list[Contract]]:
        """Contracts by raw table: several feeds may share one normalised table."""
        found: dict[str, list[Contract]] = {}
        for contract in self.contracts.values():
            found.setdefault(contract.landing_table, []).append(contract)
        return found


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
                    f"no existe la carpeta de contratos {directory}",
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
                    raise _problem(
                        path, f"`id` ya está usado en {here[contract.id].name}", contract.id
                    )
            except ContractError as error:
                errors.append(error)
            else:
                here[contract.id] = path
                contracts[contract.id] = contract
    for conflict in _shared_table_conflicts(contracts):
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
    except (OSError, UnicodeDecodeError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise _problem(path, "no existe" if missing else f"no se puede leer: {error}") from error
    return parse_contract(path, text)


@functools.lru_cache(maxsize=512)
def parse_contract(path: Path, text: str) -> Contract:
    """A document as text, checked as `load_contract` does; `path` is only named in errors."""
    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _problem(path, f"no es YAML válido: {error}") from error
    if not isinstance(loaded, dict):
        raise _problem(path, "el documento está vacío o no es un contrato")
    try:
        document = OpenDataContractStandard(**loaded)
    except (ValidationError, TypeError) as error:
        raise _problem(path, f"no cumple el estándar ODCS: {_first_problem(error)}") from error
    return _build(path, document, hashlib.sha256(text.encode()).hexdigest())


def _build(path: Path, document: OpenDataContractStandard, sha256: str) -> Contract:
    identifier = document.id or ""
    if document.kind != "DataContract" or not document.apiVersion:
        raise _problem(path, "faltan `kind: DataContract` y `apiVersion`")
    system, _, dataset = identifier.partition(".")
    if not _NAME.match(system) or not _NAME.match(dataset):
        raise _problem(path, f"`id` debe ser '<sistema>.<conjunto>', no {identifier!r}")
    if not document.version:
        raise _problem(path, "falta `version`", identifier)
    if not document.servers or len(document.servers) != 1:
        raise _problem(path, "debe haber exactamente un elemento en `servers`", identifier)
    if not document.schema_ or len(document.schema_) != 1:
        raise _problem(path, "debe haber exactamente una tabla en `schema`", identifier)
    server, table = document.servers[0], document.schema_[0]
    if server.server != system:
        raise _problem(path, f"`servers[0].server` debe ser {system!r}", identifier)
    options = _custom(document.customProperties)
    _check_options(path, identifier, options | _custom(server.customProperties))
    kind = _kind(path, identifier, server)
    _check_header_row(path, identifier, kind, options | _custom(server.customProperties))
    server = _filled(server)
    key_columns = sum(bool(prop.primaryKey) for prop in table.properties or [])
    columns = tuple(
        _column(path, identifier, prop, sole_key=key_columns == 1)
        for prop in table.properties or []
    )
    _check_columns(path, identifier, columns)
    mode = options.get("loadMode", "files" if kind in FILE_FORMATS else "full")
    cursor = options.get("cursor")
    _check_mode(path, identifier, kind, mode, cursor=cursor, columns=columns)
    partition_by = options.get("partitionBy")
    _check_partition(path, identifier, mode, partition_by, columns)
    landing_table = options.get("landingTable", f"{system}__{dataset}")
    if not _NAME.match(landing_table):
        raise _problem(
            path, f"`landingTable` no es un nombre válido: {landing_table!r}", identifier
        )
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
        server=server,
        options=MappingProxyType(options | _custom(server.customProperties)),
        source_table=table.physicalName or table.name or dataset,
        columns=columns,
        load_mode=mode,
        cursor=cursor,
        lookback=_period(path, identifier, "lookback", options.get("lookback")),
        landing_table=landing_table,
        partition_by=partition_by,
        owner=document.team.name if isinstance(document.team, Team) else None,
        responsible=people.get("responsable"),
        champion=people.get("referente"),
        people=MappingProxyType(people),
        frequency=_frequency(path, identifier, document),
        classification=_one_of(
            path,
            identifier,
            "classification",
            options,
            allowed=CLASSIFICATIONS,
            default="acceso_restringido",
        ),
        priority=_one_of(
            path, identifier, "priority", options, allowed=PRIORITIES, default="normal"
        ),
        has_people=options.get("containsPersons", False),
        max_quarantine_share=float(options.get("maxQuarantineShare", 0.2)),
        path=path,
        sha256=sha256,
        document=document,
        table_rules=_table_rules(path, identifier, table, columns),
    )
    check_layout(contract)
    return contract


def _table_rules(
    path: Path, identifier: str, table: SchemaObject, columns: Sequence[Column]
) -> tuple[TableRule, ...]:
    """Rules on the whole table, as the document says them and as its keys imply."""
    names = [column.name for column in columns]
    by_name = {column.name: column for column in columns}
    found: list[TableRule] = []

    def problem(what: str) -> ContractError:
        return _problem(path, what, identifier)

    def add(quality: DataQuality, column: str | None) -> None:
        where = column or "la tabla"
        rule = table_rule(
            quality, column, names,
            severity=_severity(path, identifier, where, quality.severity),
            dimension=_dimension(path, identifier, where, quality.dimension),
            problem=problem,
        )  # fmt: skip
        if rule is not None:
            found.append(rule)

    for prop in table.properties or []:
        for quality in prop.quality or []:
            if not is_row_rule(quality):
                add(quality, prop.name)
        for relationship in prop.relationships or []:
            severity = _custom(relationship.customProperties).get("severity")
            found.append(
                reference_rule(
                    relationship,
                    prop.name or "",
                    identifier.partition(".")[0],
                    severity=_severity(path, identifier, prop.name or "", severity),
                    problem=problem,
                )
            )
    for quality in table.quality or []:
        add(quality, None)
    said = {rule.columns for rule in found if rule.kind == "duplicates"}
    found += [
        unique_rule(name)
        for name, column in by_name.items()
        if column.unique and not column.primary_key and (name,) not in said
    ]
    codes = [rule.name for rule in found]
    if repeated := sorted({code for code in codes if codes.count(code) > 1}):
        raise problem(
            f"reglas con el mismo nombre: {', '.join(repeated)}; déles un `name` distinto"
        )
    return tuple(found)


def _column(path: Path, identifier: str, prop: SchemaProperty, *, sole_key: bool) -> Column:
    name = prop.name or ""
    if not _NAME.match(name):
        raise _problem(path, f"nombre de columna no válido: {name!r}", identifier)
    pg_type = (prop.physicalType or "").lower()
    logical = prop.logicalType or ""
    if numeric := _NUMERIC.match(pg_type):
        precision, scale = int(numeric[1]), int(numeric[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise _problem(path, f"{name}: {pg_type} está fuera de rango", identifier)
        allowed: tuple[str, ...] = ("number",)
    elif pg_type in _TYPES:
        allowed = _TYPES[pg_type][1]
    else:
        raise _problem(
            path, f"{name}: `physicalType` {prop.physicalType!r} no es un tipo admitido", identifier
        )
    if logical not in allowed:
        raise _problem(
            path, f"{name}: `logicalType` {logical!r} no corresponde a {pg_type}", identifier
        )
    if not (prop.description or "").strip():
        raise _problem(path, f"{name}: falta `description`", identifier)
    classification = prop.classification or "acceso_restringido"
    if classification not in CLASSIFICATIONS:
        raise _problem(
            path, f"{name}: `classification` {classification!r} no es una de {CLASSIFICATIONS}",
            identifier,
        )  # fmt: skip
    custom = _custom(prop.customProperties)
    options = prop.logicalTypeOptions or {}
    if unknown := sorted(options.keys() - _COLUMN_OPTIONS):
        raise _problem(
            path, f"{name}: `logicalTypeOptions` no admite {', '.join(unknown)}", identifier
        )
    constant = custom.get("constant")
    where = f"{name}: `protocolField`"
    protocol_field = _known(path, identifier, where, custom.get("protocolField"), PROTOCOL_FIELDS)
    where = f"{name}: `protocolSeverity`"
    severity = _known(path, identifier, where, custom.get("protocolSeverity"), SEVERITIES)
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
        timezone=_timezone(path, identifier, name, options.get("defaultTimezone")),
        constant=None if constant is None else str(constant),
        unit=custom.get("unit"),
        protocol_field=protocol_field,
        rules=tuple(_rules(path, identifier, name, prop, options)),
        protocol_severity=severity,
        implied_decimals=_implied_decimals(path, identifier, name, pg_type, custom),
        layout=MappingProxyType({key: custom[key] for key in COLUMN_LAYOUT if key in custom}),
    )


def _implied_decimals(
    path: Path, identifier: str, name: str, pg_type: str, custom: Mapping[str, Any]
) -> int:
    """Digits behind a point that is not written; a numeric must be able to hold them."""
    value = custom.get("impliedDecimals", 0)
    match = _NUMERIC.match(pg_type)
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or match is None:
        raise _problem(
            path,
            f"{name}: `impliedDecimals` es un entero y vale solo para numeric(p,s)",
            identifier,
        )
    if not 0 < value <= int(match[2]):
        raise _problem(path, f"{name}: `impliedDecimals` {value} no cabe en {pg_type}", identifier)
    return int(value)


def _rules(
    path: Path, identifier: str, name: str, prop: SchemaProperty, options: Mapping[str, Any]
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
                _check_pattern(path, identifier, name, argument)
            yield Rule(kind, name, argument, "bloqueante", f"{name} {words} {argument}")
    for quality in prop.quality or []:
        if is_row_rule(quality):
            yield from _quality_rules(path, identifier, name, quality)


def _quality_rules(path: Path, identifier: str, name: str, quality: DataQuality) -> Iterable[Rule]:
    """The rules of one `quality` element; a range is two, so that a report tells the end broken."""
    arguments = quality.arguments or {}
    severity = _severity(path, identifier, name, quality.severity)
    dimension = _dimension(path, identifier, name, quality.dimension)
    if quality.metric in ("nullValues", "missingValues"):
        words = quality.description or f"{name} no debería faltar"
        yield Rule("required", name, None, severity, words, dimension or "completitud")
        return
    if quality.metric != "invalidValues" or not arguments:
        raise _unknown_rule(path, identifier, name, quality)
    for argument, value in arguments.items():
        if argument == "validValues":
            values = _valid_values(path, identifier, name, value)
            words = quality.description or f"{name} debe ser uno de: {', '.join(values)}"
            yield Rule("allowed", name, values, severity, words, dimension or "validez")
        elif argument == "pattern":
            _check_pattern(path, identifier, name, value)
            words = quality.description or f"{name} debe tener la forma {value}"
            yield Rule("pattern", name, value, severity, words, dimension or "validez")
        elif argument in ("minimum", "maximum"):
            words = quality.description or f"{name}: fuera de rango ({argument} {value})"
            yield Rule(argument, name, value, severity, words, dimension or "validez")
        else:
            raise _unknown_rule(path, identifier, name, quality)


def _unknown_rule(path: Path, identifier: str, name: str, quality: DataQuality) -> ContractError:
    return _problem(
        path,
        f"{name}: regla de calidad no admitida: metric={quality.metric!r}, "
        f"arguments={sorted(quality.arguments or {})}",
        identifier,
    )


def _severity(path: Path, identifier: str, name: str, value: str | None) -> Severity:
    if value not in _SEVERITIES:
        raise _problem(
            path, f"{name}: `severity` debe ser error o warning, no {value!r}", identifier
        )
    return _SEVERITIES[value]


def _dimension(path: Path, identifier: str, name: str, value: str | None) -> str | None:
    if value is None or value in DIMENSIONS.values():
        return value
    if value not in DIMENSIONS:
        raise _problem(
            path, f"{name}: `dimension` {value!r} no es una de {', '.join(DIMENSIONS)}", identifier
        )
    return DIMENSIONS[value]


def _valid_values(path: Path, identifier: str, name: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not values:
        raise _problem(path, f"{name}: `validValues` debe ser una lista", identifier)
    if any(isinstance(value, bool) for value in values):
        # YAML reads an unquoted `no` or `yes` as a truth value.
        raise _problem(path, f"{name}: escriba entre comillas los valores como 'no'", identifier)
    return tuple(str(value) for value in values)


def _timezone(path: Path, identifier: str, name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        return ZoneInfo(value).key
    except (TypeError, ValueError, OSError, KeyError) as error:
        raise _problem(
            path, f"{name}: `defaultTimezone` {value!r} no es una zona horaria", identifier
        ) from error


def _check_pattern(path: Path, identifier: str, name: str, pattern: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise _problem(path, f"{name}: expresión regular no válida: {error}", identifier) from error


def _check_columns(path: Path, identifier: str, columns: Sequence[Column]) -> None:
    if not columns:
        raise _problem(path, "la tabla no tiene columnas", identifier)
    names = [column.name for column in columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise _problem(path, f"columnas repetidas: {', '.join(repeated)}", identifier)


def _check_options(path: Path, identifier: str, options: Mapping[str, Any]) -> None:
    """The values of our own keys have the type that the code expects."""
    expected: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
        ("loadMode", str, "un texto"),
        ("cursor", str, "un nombre de columna"),
        ("landingTable", str, "un nombre de tabla"),
        ("partitionBy", str, "un nombre de columna"),
        ("containsPersons", bool, "true o false"),
        ("archive", bool, "true o false"),
        ("detectEncoding", bool, "true o false"),
        ("fileIdentity", str, "una expresión regular"),
        ("freshnessSeverity", str, "error o warning"),
        ("monitorSeverity", str, "error o warning"),
    )
    for key, kind, words in expected:
        if key in options and not isinstance(options[key], kind):
            raise _problem(path, f"`{key}` debe ser {words}, no {options[key]!r}", identifier)
    ignored = options.get("ignoredColumns", [])
    if not isinstance(ignored, list) or not all(isinstance(name, str) for name in ignored):
        raise _problem(
            path, f"`ignoredColumns` debe ser una lista de nombres, no {ignored!r}", identifier
        )
    _check_numbers(path, identifier, options)
    for key in ("freshnessSeverity", "monitorSeverity"):
        _severity(path, identifier, f"`{key}`", options.get(key))
    _one_of(path, identifier, "revisions", options, allowed=REVISIONS, default="replace")
    _one_of(path, identifier, "newColumns", options, allowed=NEW_COLUMNS, default="add")
    _period(path, identifier, "statementTimeout", options.get("statementTimeout"))
    if options.get("deletionsEvery") != NEVER:
        _period(path, identifier, "deletionsEvery", options.get("deletionsEvery"))
    if "fileIdentity" in options:
        _check_identity(path, identifier, options["fileIdentity"])


def _check_numbers(path: Path, identifier: str, options: Mapping[str, Any]) -> None:
    """Shares lie between 0 and 1, counts are whole and at least 1; true is no number."""
    for key in ("maxQuarantineShare", "maxDeletionShare"):
        value = options.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise _problem(
                path, f"`{key}` debe ser un número entre 0 y 1, no {value!r}", identifier
            )
    for key in ("fetchRows", "maxConnections", "parallelRanges", "longestRowMb"):
        value = options.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _problem(
                path, f"`{key}` debe ser un número entero desde 1, no {value!r}", identifier
            )
    settle = options.get("settleSeconds", 0)
    if isinstance(settle, bool) or not isinstance(settle, int | float) or settle < 0:
        raise _problem(
            path, f"`settleSeconds` debe ser un número de segundos, no {settle!r}", identifier
        )


def _check_header_row(path: Path, identifier: str, kind: str, options: Mapping[str, Any]) -> None:
    row = options.get("headerRow", 1)
    if row == "auto" and kind == "xlsx":
        return
    if isinstance(row, bool) or not isinstance(row, int) or row < 1:
        words = "un número desde 1 o `auto`" if kind == "xlsx" else "un número desde 1"
        raise _problem(path, f"`headerRow` debe ser {words}, no {row!r}", identifier)


def _check_identity(path: Path, identifier: str, pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise _problem(
            path, f"`fileIdentity`: expresión regular no válida: {error}", identifier
        ) from error
    if groups < 1:
        raise _problem(
            path, f"`fileIdentity` debe tener un grupo entre paréntesis: {pattern!r}", identifier
        )


def _check_partition(
    path: Path, identifier: str, mode: str, partition_by: str | None, columns: Sequence[Column]
) -> None:
    """Months need a date, and a key over all months needs that date in it (PostgreSQL's rule)."""
    if not partition_by:
        return
    found = {column.name: column for column in columns}.get(partition_by)
    if found is None:
        raise _problem(
            path, f"`partitionBy` nombra una columna ausente: {partition_by}", identifier
        )
    if found.pg_type not in ("date", "timestamp", "timestamptz"):
        raise _problem(path, f"`partitionBy`: {partition_by} no es una fecha", identifier)
    keyed = mode != "files" and any(column.primary_key for column in columns)
    if keyed and not found.primary_key:
        raise _problem(
            path, f"`partitionBy`: {partition_by} debe ser parte de la clave primaria", identifier
        )


def _check_mode(
    path: Path,
    identifier: str,
    kind: str,
    mode: str,
    *,
    cursor: str | None,
    columns: Sequence[Column],
) -> None:
    if mode not in get_args(LoadMode):
        raise _problem(path, f"`loadMode` desconocido: {mode!r}", identifier)
    if mode == "files" and kind not in FILE_FORMATS:
        raise _problem(path, "`loadMode: files` es solo para archivos", identifier)
    if mode not in _CURSOR_MODES:
        return
    if kind in FILE_FORMATS:
        raise _problem(path, "los archivos se cargan con `files` o `full`", identifier)
    by_name = {column.name: column for column in columns}
    if cursor not in by_name:
        raise _problem(path, f"`cursor` nombra una columna ausente: {cursor!r}", identifier)
    if by_name[cursor].pg_type in ("boolean", "jsonb"):
        raise _problem(
            path, f"`cursor`: {cursor} es {by_name[cursor].pg_type}, que no ordena", identifier
        )
    if mode == "incremental" and not any(column.primary_key for column in columns):
        raise _problem(path, "una carga incremental necesita clave primaria", identifier)


def _shared_table_conflicts(contracts: Mapping[str, Contract]) -> list[ContractError]:
    """Feeds that share a table must agree on its columns, its partitions and how it is filled.

    The first contract of a table counts; one error per contract that contradicts it.
    """
    errors: list[ContractError] = []
    tables: dict[str, Contract] = {}
    types: dict[tuple[str, str], tuple[str, str]] = {}
    for contract in contracts.values():
        first = tables.setdefault(contract.landing_table, contract)
        problem = _table_conflict(contract, first) or _type_conflict(contract, types)
        if problem:
            errors.append(_problem(contract.path, problem, contract.id))
            continue
        for column in contract.columns:
            types.setdefault((contract.landing_table, column.name), (column.pg_type, contract.id))
    return errors


def _table_conflict(contract: Contract, first: Contract) -> str:
    if contract is first:
        return ""
    if "files" not in {contract.load_mode} & {first.load_mode}:
        return (
            f"comparte la tabla {contract.raw_name} con {first.id}: solo es posible entre "
            "archivos con `loadMode: files`"
        )
    if contract.partition_by != first.partition_by:
        return (
            f"`partitionBy` es {contract.partition_by}, pero {first.id}, que llega a la misma "
            f"tabla {contract.raw_name}, declara {first.partition_by}"
        )
    return ""


def _type_conflict(contract: Contract, types: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    for column in contract.columns:
        pg_type, owner = types.get((contract.landing_table, column.name), (column.pg_type, ""))
        if pg_type != column.pg_type:
            return (
                f"{column.name} es {column.pg_type}, pero {owner}, que llega a la misma "
                f"tabla {contract.raw_name}, la declara {pg_type}"
            )
    return ""


def _filled(server: Server) -> Server:
    """The server with the keys the standard has, but not for this type of server.

    Its schema refuses `delimiter` for a local folder and `path` for an API; a contract states
    them in the server's `customProperties`, and readers find them on the server all the same.
    """
    custom = _custom(server.customProperties)
    return server.model_copy(
        update={key: custom[key] for key in ("delimiter", "path") if key in custom}
    )


def _kind(path: Path, identifier: str, server: Server) -> str:
    kind = (server.type or "").lower()
    kind = {"postgres": "postgresql"}.get(kind, kind)
    if kind in DATABASE_TYPES or kind == "api":
        return kind
    if kind == "custom" and _custom(server.customProperties).get("transport") == "mqtt":
        if (server.format or "").lower() in ("json", "jsonl"):
            return "jsonl"
        raise _problem(path, "los mensajes de `transport: mqtt` son `format: jsonl`", identifier)
    if kind in ("local", "s3", "sftp"):
        file_format = (server.format or "").lower()
        file_format = {"json": "jsonl", "excel": "xlsx"}.get(file_format, file_format)
        if file_format in FILE_FORMATS:
            return file_format
        raise _problem(path, f"`servers[0].format` no admitido: {server.format!r}", identifier)
    raise _problem(path, f"`servers[0].type` no admitido: {server.type!r}", identifier)


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


def _frequency(path: Path, identifier: str, document: OpenDataContractStandard) -> str | None:
    for item in document.slaProperties or []:
        if item.property == "frequency":
            unit = {"y": "Y", "m": "M", "w": "W", "d": "D"}.get(str(item.unit or ""))
            text = f"PT{item.value}H" if item.unit == "h" else f"P{item.value}{unit}"
            if unit is None and item.unit != "h":
                raise _problem(path, f"`frequency`: unidad {item.unit!r} no admitida", identifier)
            return _period(path, identifier, "frequency", text)
    return None


def _before(contract: Contract, day: dt.date, count: int, unit: str) -> dt.date:
    """The day `count` years, months, weeks or days before; the last of a shorter month."""
    match unit:
        case "y" | "m":
            months = day.year * 12 + day.month - 1 - count * (12 if unit == "y" else 1)
            year, month = divmod(months, 12)
            return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
        case "w" | "d":
            return day - dt.timedelta(days=count * (7 if unit == "w" else 1))
    raise _problem(contract.path, f"`retention`: unidad {unit!r} no admitida", contract.id)


def _period(path: Path, identifier: str, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) < 3 or not _ISO_PERIOD.match(value):
        raise _problem(path, f"`{name}` debe ser una duración ISO 8601, no {value!r}", identifier)
    return value


def _known(
    path: Path, identifier: str, where: str, value: Any, allowed: Sequence[_Value]
) -> _Value | None:
    if value is None:
        return None
    for item in allowed:
        if item == value:
            return item
    words = ", ".join(str(item) for item in allowed)
    raise _problem(path, f"{where} {value!r} no es uno de {words}", identifier)


def _one_of(
    path: Path,
    identifier: str,
    name: str,
    options: Mapping[str, Any],
    *,
    allowed: Sequence[str],
    default: str,
) -> str:
    value = str(options.get(name, default))
    if value not in allowed:
        raise _problem(path, f"`{name}`: {value!r} no es uno de {', '.join(allowed)}", identifier)
    return value


def _custom(properties: Sequence[CustomProperty] | None) -> dict[str, Any]:
    return {item.property: item.value for item in properties or [] if item.property}


def _text(value: str | None) -> str:
    return " ".join((value or "").split())


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)


def _problem(path: Path, what: str, identifier: str = "") -> ContractError:
    return ContractError(
        f"contrato {path.name}: {what}.",
        dataset=identifier or path.stem,
        next_step=f"corrija {path} (guía: docs/agregar-una-fuente.md); "
        "los demás conjuntos siguen cargándose.",
    )

"""The document of a draft.

Belongs here: columns and settings written as an Open Data Contract Standard document, and the list
of what a person still has to say. Does not belong here: finding out the columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from sources.casting import DEFAULT_TIMEZONE
from sources.contract import Contract
from sources.contract_checks import RESERVED_NAMES
from sources.contract_document import parse_contract
from sources.errors import PipelineError
from sources.names import slug
from sources.urls import variable

TO_CONFIRM = "(a confirmar)"
TO_DESCRIBE = "(a describir)"
_LONGEST_NAME = 60
# The table's name has one sign more, and that of a month of it eight more: 63 are all there are.
LONGEST_IDENTIFIER = 54
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,29}\.[a-z][a-z0-9_]{0,29}")
# Names that usually hold what identifies or describes a person: proposed as sensitive, never less.
_PERSONAL = re.compile(
    r"(^|_)(dni|cuil|cuit|nif|nie|rut|curp|cpf|cedula|documento|nro_doc|pasaporte|apellidos?"
    r"|nombres?_y_apellidos?|e?_?mail|correo|telefono|celular|domicilio|nacimiento|fecha_nac|genero|sexo|etnia"
    r"|discapacidad|cbu|iban)(_|$)"
)
_PERSON_COLUMNS = 2
_CHANGED = re.compile(r"(actualiz|modific|updat|modif|ultima?_mod|last_mod)")
_LOGICAL: Mapping[str, str] = {
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "double precision": "number",
    "boolean": "boolean",
    "text": "string",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
    "jsonb": "object",
}


class DraftError(PipelineError):
    """A draft cannot be made: why, and what a person can do."""


@dataclass(frozen=True, slots=True)
class DraftColumn:
    """A column as it is proposed. `note` tells a person why, where it is not plain.

    `description` is the source's own, if it has one.
    """

    source_name: str
    physical_type: str
    required: bool = False
    key: bool = False
    format: str | None = None
    local_time: bool = False
    note: str = ""
    name: str = ""
    description: str = ""

    @property
    def logical_type(self) -> str:
        return _LOGICAL.get(self.physical_type, "number")


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposed contract: `text` is the document, `contract` the same, checked."""

    text: str
    contract: Contract
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from: the `servers` entry, the table or file, and how it is loaded."""

    server: Mapping[str, Any]
    table: str
    load_mode: str
    options: Mapping[str, Any] = field(default_factory=dict)


def identify(identifier: str) -> tuple[str, str]:
    """System and data set of `sistema.conjunto`; raises DraftError when it is no such name."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise DraftError(
            f"{identifier!r} no puede ser el nombre de un conjunto.",
            next_step="escriba sistema.conjunto, en minúsculas, sin acentos y con guiones bajos: "
            "obras.presupuesto_2026.",
        )
    system, _, dataset = identifier.partition(".")
    if len(identifier) >= LONGEST_IDENTIFIER:
        raise DraftError(
            f"{identifier} es demasiado largo para el nombre de un conjunto.",
            next_step=f"use menos de {LONGEST_IDENTIFIER} letras entre el sistema y el conjunto: "
            "de él salen los nombres de las tablas.",
        )
    return system, dataset


def address(identifier: str) -> str:
    """What stands in a contract for the address: the name of its variable."""
    return f"${{{variable(identify(identifier)[0])}}}"


def plain_name(name: str) -> str:
    """A name of a source in our spelling: `fechaAlta` is `fecha_alta`, and `DNI` is `dni`."""
    return slug(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))


def compose(
    identifier: str,
    source: Source,
    columns: Sequence[DraftColumn],
    notes: Iterable[str] = (),
    *,
    ignored: Sequence[str] = (),
) -> Draft:
    """Write the document and check it, as any contract is. `ignored` are columns not to be loaded.

    Raises DraftError when there is no column, ContractError when the document would be refused.
    """
    if not columns:
        raise DraftError(
            f"{source.table}: no tiene ninguna columna con nombre.",
            next_step="revise que sea la tabla, la hoja o el archivo que busca.",
        )
    named = _named(columns)
    personal = [column.name for column in named if _PERSONAL.search(column.name)]
    told = [*_to_do(named, personal, source), *notes]
    body = yaml.safe_dump(
        _document(identifier, source, named, personal, ignored),
        sort_keys=False, allow_unicode=True, width=100,
    )  # fmt: skip
    head = "".join(f"#  - {line}\n" for line in told)
    text = (
        "# Borrador de contrato (ODCS 3.1.0), hecho a partir de lo que el origen muestra.\n"
        "# Qué significa cada clave: docs/contratos.md. Antes de darlo por bueno:\n"
        f"{head}{body}"
    )
    return Draft(text, parse_contract(Path(f"{identifier}.yaml"), text), tuple(told))


def _document(
    identifier: str,
    source: Source,
    columns: Sequence[DraftColumn],
    personal: Sequence[str],
    ignored: Sequence[str],
) -> dict[str, Any]:
    system, dataset = identify(identifier)
    options = [{"property": name, "value": value} for name, value in source.options.items()]
    server = {"server": system, **source.server}
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": identifier,
        "name": dataset.replace("_", " ").capitalize(),
        "version": "0.1.0",
        "status": "draft",
        "description": {"purpose": TO_DESCRIBE},
        "team": {"name": TO_CONFIRM},
        "customProperties": [
            {"property": "classification", "value": "acceso_restringido"},
            {"property": "containsPersons", "value": False},
            {"property": "loadMode", "value": source.load_mode},
            *([{"property": "ignoredColumns", "value": list(ignored)}] if ignored else []),
        ],
        "servers": [{**server, "customProperties": options} if options else server],
        "schema": [
            {
                "name": dataset,
                "physicalName": source.table,
                "logicalType": "object",
                "physicalType": "table",
                "properties": [_property(column, column.name in personal) for column in columns],
            }
        ],
    }


def _property(column: DraftColumn, personal: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name}
    if column.source_name != column.name:
        found["physicalName"] = column.source_name
    found |= {"logicalType": column.logical_type, "physicalType": column.physical_type}
    if column.key:
        found["primaryKey"] = True
    if column.required or column.key:
        found["required"] = True
    found["classification"] = "sensible" if personal else "acceso_restringido"
    found["description"] = " ".join(column.description.split()) or TO_DESCRIBE
    options = {"format": column.format} if column.format else {}
    if column.local_time:
        options["defaultTimezone"] = DEFAULT_TIMEZONE
    if options:
        found["logicalTypeOptions"] = options
    return found


def _to_do(
    columns: Sequence[DraftColumn], personal: Sequence[str], source: Source
) -> Iterable[str]:
    yield f"team.name y las descripciones: dicen {TO_CONFIRM} y {TO_DESCRIBE}."
    yield (
        "classification: todo quedó restringido, que es lo que vale mientras nadie diga otra cosa. "
        "Lo que pueda publicarse es libre_acceso."
    )
    if personal:
        yield f"parecen datos personales, por su nombre, y quedaron sensibles: {_list(personal)}."
    if len(personal) >= _PERSON_COLUMNS:
        yield (
            "si cada fila es una persona alcanzada por el protocolo de datos desagregados, "
            "containsPersons es true y cada campo lleva su protocolField."
        )
    if source.load_mode == "full" and any(column.key for column in columns):
        moments = [
            column.name
            for column in columns
            if column.logical_type == "timestamp" and _CHANGED.search(column.name)
        ]
        if moments:
            yield (
                f"si {moments[0]} cambia con cada modificación, puede leerse solo lo nuevo: "
                f"loadMode: incremental, cursor: {moments[0]} y lookback: P3D."
            )
    if not any(column.key for column in columns):
        yield (
            "no se conoce la clave: si una o más columnas identifican la fila, llevan "
            "primaryKey: true."
        )
    local = [column.name for column in columns if column.local_time]
    if local:
        yield f"horas sin zona, leídas como hora de {DEFAULT_TIMEZONE}: {_list(local)}."
    yield "version: 1.0.0 y status: active, cuando esté completo."
    yield from (f"{column.name}: {column.note}." for column in columns if column.note)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _named(columns: Sequence[DraftColumn]) -> list[DraftColumn]:
    """With our names: lower case, no accents, no two alike."""
    taken: set[str] = set()
    found = []
    for column in columns:
        base = plain_name(column.source_name)[: _LONGEST_NAME - 4] or "columna"
        base = (
            base
            if base[0].isalpha() and base not in RESERVED_NAMES
            else f"c_{base}"[: _LONGEST_NAME - 4]
        )
        name, turn = base, 1
        while name in taken:
            turn += 1
            name = f"{base}_{turn}"
        taken.add(name)
        found.append(replace(column, name=name))
    return found

"""What the marts hold, read from the dbt manifest: types, descriptions, classification.

Belongs here: looking up a mart and its columns, and refusing what may not be published. Does not
belong here: a second copy of any description or type, or a look at the data (`disclosure.py`).

A column is publishable when its `meta.clasificacion` is `libre_acceso`, or when it has none and
its model's is. Unclassified means restricted.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from exports.definition import DatasetDefinition, Resource
from exports.errors import DefinitionError, DisclosureError, ExportError

OPEN = "libre_acceso"

Kind = Literal[
    "string", "integer", "number", "boolean", "date", "datetime", "timestamp", "time", "object"
]
# `datetime` is an instant (timestamptz), `timestamp` a wall-clock time without a zone.
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"text|varchar|character varying(\(\d+\))?|varchar\(\d+\)|char(acter)?(\(\d+\))?|uuid",
     "string"),
    (r"smallint|integer|int|int2|int4|int8|bigint", "integer"),
    (r"numeric(\(\d+(, ?\d+)?\))?|decimal(\(\d+(, ?\d+)?\))?|double precision|float8?|real|float4",
     "number"),
    (r"bool|boolean", "boolean"),
    (r"date", "date"),
    (r"timestamptz|timestamp(\(\d\))? with time zone", "datetime"),
    (r"timestamp(\(\d\))?( without time zone)?", "timestamp"),
    (r"time(\(\d\))?( without time zone)?", "time"),
    (r"jsonb?", "object"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MartColumn:
    """One column of a mart, as dbt describes it."""

    name: str
    pg_type: str
    kind: Kind
    description: str
    classification: str | None
    unit: str | None
    protocol_field: str | None


@dataclass(frozen=True, slots=True)
class Mart:
    """One mart: `raw_columns` keeps every column, also those without type or description.

    `read_from` is the schema and table its rows are read from, where it is not the mart itself.
    """

    name: str
    unique_id: str
    description: str
    meta: Mapping[str, Any]
    raw_columns: Mapping[str, Mapping[str, Any]]
    read_from: tuple[str, str] | None = None

    @property
    def schema(self) -> str:
        return self.name.partition(".")[0]

    @property
    def table(self) -> str:
        return self.name.partition(".")[2]

    @property
    def source(self) -> tuple[str, str]:
        """Schema and table that hold the rows to read."""
        return self.read_from or (self.schema, self.table)


class Manifest:
    """The models of a dbt manifest by `schema.table`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        marts: dict[str, Mart] = {}
        for unique_id, node in document.get("nodes", {}).items():
            if node.get("resource_type") != "model":
                continue
            name = f"{node['schema']}.{node.get('alias') or node['name']}"
            marts[name] = Mart(
                name=name,
                unique_id=unique_id,
                description=_text(node.get("description")),
                meta=_meta(node),
                raw_columns=MappingProxyType(dict(node.get("columns", {}))),
            )
        self._marts: Mapping[str, Mart] = MappingProxyType(marts)

    def reading(self, places: Mapping[str, tuple[str, str]]) -> Manifest:
        """The same models, with the rows of some read from elsewhere (schema and table)."""
        other = copy.copy(self)
        other._marts = MappingProxyType(
            {
                name: replace(mart, read_from=places.get(name, mart.read_from))
                for name, mart in self._marts.items()
            }
        )
        return other

    def mart(self, name: str) -> Mart:
        """The mart `schema.table`; DefinitionError when dbt has none of that name."""
        try:
            return self._marts[name]
        except KeyError:
            schema = name.partition(".")[0]
            near = sorted(known for known in self._marts if known.startswith(f"{schema}."))
            words = f"; en ese esquema están: {', '.join(near)}" if near else ""
            raise DefinitionError(
                f"el mart {name} no existe en dbt{words}.",
                next_step="corrija `mart` en la definición o cree el modelo en dbt_project.",
            ) from None

    def column(self, mart: Mart, name: str) -> MartColumn:
        """A column that may be published.

        Raises DefinitionError when it is missing, untyped or undescribed, DisclosureError when it
        is not classified as `libre_acceso`.
        """
        raw = mart.raw_columns.get(name)
        if raw is None:
            raise DefinitionError(
                f"la columna {name} no existe en {mart.name}.",
                next_step="quítela de la definición o agréguela al modelo y a su .yml en dbt.",
            )
        meta = _meta(raw)
        classification = meta.get("clasificacion", mart.meta.get("clasificacion"))
        if classification != OPEN:
            words = f"es de '{classification}'" if classification else "no tiene clasificación"
            error = DisclosureError(
                f"la columna {name} de {mart.name} {words}: solo se publica lo clasificado "
                f"como '{OPEN}'.",
                next_step="quítela de la definición, o que la secretaría dueña la clasifique en "
                "`meta.clasificacion` del modelo de dbt.",
            )
            error.columns = (name,)
            raise error
        description, pg_type = _text(raw.get("description")), str(raw.get("data_type") or "")
        if not description:
            raise DefinitionError(
                f"la columna {name} de {mart.name} no tiene descripción.",
                next_step="descríbala en el .yml del modelo de dbt: de ahí sale el diccionario.",
            )
        return MartColumn(
            name=name,
            pg_type=pg_type.lower(),
            kind=_kind(mart, name, pg_type),
            description=description,
            classification=classification,
            unit=meta.get("unidad"),
            protocol_field=meta.get("campo_protocolo"),
        )

    def columns(self, resource: Resource) -> tuple[MartColumn, ...]:
        """The columns of a resource, in the order in which they are published."""
        mart = self.mart(resource.mart)
        return tuple(self.column(mart, name) for name in resource.columnas)


def load_manifest(path: Path) -> Manifest:
    """Read `target/manifest.json`; ExportError when it is absent or not a manifest."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"no se puede leer el manifiesto de dbt {path}: {error}.",
            next_step="ejecute `dbt parse` (o el arranque de la orquestación) y vuelva a probar.",
        ) from error
    return Manifest(document)


def check_definition(definition: DatasetDefinition, manifest: Manifest) -> list[ExportError]:
    """Every way in which the definition asks for what the marts cannot or may not give."""
    errors: list[ExportError] = []
    for resource in definition.recursos:
        try:
            mart = manifest.mart(resource.mart)
        except ExportError as error:
            errors.append(owned(error, definition, resource))
            continue
        filtered = [item.columna for item in resource.filtros]
        for name in dict.fromkeys((*resource.columnas, *filtered)):
            try:
                manifest.column(mart, name)
            except ExportError as error:
                errors.append(owned(error, definition, resource))
    return errors


def owned(error: ExportError, definition: DatasetDefinition, resource: Resource) -> ExportError:
    """The same error with the dataset, the resource and the owner in it."""
    found = type(error)(
        f"recurso {resource.nombre}: {error.what}",
        dataset=definition.nombre,
        owner=definition.secretaria,
        next_step=error.next_step,
    )
    if isinstance(error, DisclosureError) and isinstance(found, DisclosureError):
        found.columns = error.columns
    return found


def _kind(mart: Mart, name: str, pg_type: str) -> Kind:
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, pg_type.strip().lower()):
            return kind
    words = f"de tipo {pg_type!r}, que no se puede publicar" if pg_type else "sin `data_type`"
    raise DefinitionError(
        f"la columna {name} de {mart.name} está {words}.",
        next_step="declare en dbt un tipo simple (texto, número, fecha, sí o no).",
    )


def _meta(node: Mapping[str, Any]) -> dict[str, Any]:
    """`meta` stands beside the node or, since dbt 1.10, in its `config`."""
    config = node.get("config") or {}
    return {**(node.get("meta") or {}), **(config.get("meta") or {})}


def _text(value: str | None) -> str:
    return " ".join((value or "").split())

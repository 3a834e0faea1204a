"""Drafts of database tables.

Belongs here: what a server's catalogue says of a table, as columns of a contract. Does not belong
here: engines (`readers/engines/`), or rows: none is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from sources.contract import Contract
from sources.drafting.document import Draft, DraftColumn, Source, address, compose
from sources.errors import SourceUnavailable
from sources.readers.base import DEFAULT_OPTIONS
from sources.readers.database import explain, rows_kept_back
from sources.readers.engines import Engine, SourceColumn, engine_for
from sources.urls import SourceUrl

_KINDS: Mapping[str, str] = {
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mssql": "sqlserver",
    "sqlite": "postgresql",  # stands in for any database; a contract has no kind of its own for it
}
_PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "sqlserver": 1433}
_DEFAULT_SCHEMAS: Mapping[str, str] = {"postgresql": "public", "sqlserver": "dbo"}
_OWN_SCHEMAS = ("information_schema", "pg_catalog", "mysql", "performance_schema", "sys")
# PostgreSQL 10.
_KNOWS_PARTITIONS = 100_000
_MOST_DIGITS = 38
# A number without declared precision (PostgreSQL): the widest with a usual number of decimals.
# What has more is set aside row by row, never rounded.
_OPEN_NUMBER = "numeric(38,10)"
# From a type as a server writes it to the one of raw; the first that matches. What is not here is
# carried as the server's own text.
_TYPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"^bool(ean)?$", "boolean"),
        (r"^bigint(\(\d+\))? unsigned", "numeric(20,0)"),
        (r"^(int|integer)(\(\d+\))? unsigned", "bigint"),
        (r"^(smallint|mediumint)(\(\d+\))? unsigned", "integer"),
        (r"^(tinyint|year|smallint|int2)\b", "smallint"),
        (r"^(mediumint|int|integer|int4)\b", "integer"),
        (r"^(bigint|int8)\b", "bigint"),
        (r"^(real|float\d*|double( precision)?)\b", "double precision"),
        (r"^date$", "date"),
        (r"^jsonb?$", "jsonb"),
        (r"^(timestamp|datetime|smalldatetime)", "timestamptz"),
    )
)
_PADDED = re.compile(r"^(?:n?char|character|bpchar)(?!\(1\))(?:\(\d+\))?$")
_DECIMAL = re.compile(r"^(?:numeric|decimal)(?:\((\d+)(?:, ?(\d+))?\))?")


def draft(identifier: str, url: SourceUrl, table: str) -> Draft:
    """The draft of `table`, written `esquema.tabla` or `tabla`; either may have points."""
    with _asked(identifier, url, table) as (engine, connection):
        schema, name = _parted(engine, connection, url, table)
        asked = sa.table(
            sa.quoted_name(name, quote=True),
            schema=sa.quoted_name(schema, quote=True) if schema and engine.has_schemas else None,
        )
        described = engine.describe(connection, asked)
        # What `*` leaves out is read by who names it; nobody has yet.
        found = {name: column for name, column in described.items() if not column.hidden}
        key = engine.primary_key(connection, asked)
        words = engine.comments(connection, asked)
        proposed = [
            replace(_column(engine, url, column, key), description=words.get(column.name, ""))
            for column in found.values()
        ]
        text = f"{schema}.{name}" if schema and engine.has_schemas else name
        origin = _source(identifier, url, schema, text)
        first = compose(identifier, origin, proposed)
        carried = [
            _carried(engine, first.contract, source, column)
            for source, column in zip(found.values(), proposed, strict=True)
        ]
        notes = [f"{rows_kept_back(url)}."] if engine.filters_rows(connection, asked) else []
    return compose(identifier, origin, carried, notes)


def names(identifier: str, url: SourceUrl) -> list[str]:
    """`esquema.tabla` of every table and view the user may see."""
    with _asked(identifier, url, "information_schema.tables") as (engine, connection):
        return _names(engine, connection, url)


def _parted(engine: Engine, connection: Any, url: SourceUrl, table: str) -> tuple[str, str]:
    """Schema and name: by the catalogue where points leave it open, else by the last of them."""
    schema, _, name = table.rpartition(".")
    if engine.has_schemas and "." in schema:
        there = _pairs(engine, connection, url)
        schema, name = next((pair for pair in there if ".".join(pair) == table), (schema, name))
    return schema or usual_schema(url), name


def usual_schema(url: SourceUrl) -> str:
    """The schema that a table without one is in; empty where there are none."""
    return _DEFAULT_SCHEMAS.get(_KINDS[url.scheme], "")


def _names(engine: Engine, connection: Any, url: SourceUrl) -> list[str]:
    # MySQL calls a database a schema; the address names it already.
    plain = not engine.has_schemas or url.scheme == "mysql"
    pairs = _pairs(engine, connection, url)
    return sorted(name if plain else f"{schema}.{name}" for schema, name in pairs)


def _pairs(engine: Engine, connection: Any, url: SourceUrl) -> list[tuple[str, str]]:
    """Schema and name of every table and view the user may see, each once.

    Partitions are no tables of their own: their rows are those of the table they make up.
    """
    if url.scheme == "sqlite":
        catalogue = sa.table("sqlite_master", sa.column("name"), sa.column("type"))
        statement = sa.select(catalogue.c.name).where(
            sa.or_(catalogue.c.type == "table", catalogue.c.type == "view")
        )
        return [("", str(name)) for (name,) in engine.rows(connection, statement)]
    catalogue = sa.table(
        "tables", *map(sa.column, ("table_schema", "table_name", "table_type")),
        schema="information_schema",
    )  # fmt: skip
    statement = sa.select(catalogue.c.table_schema, catalogue.c.table_name).where(
        catalogue.c.table_type != "SEQUENCE"  # MariaDB has them among its tables
    )
    rows = [
        (_decoded(schema), _decoded(name)) for schema, name in engine.rows(connection, statement)
    ]
    if url.scheme == "postgresql":  # the standard's catalogue does not know of these
        stored = sa.table(
            "pg_matviews", sa.column("schemaname"), sa.column("matviewname"), schema="pg_catalog"
        )
        name = sa.func.format("%I.%I", stored.c.schemaname, stored.c.matviewname)
        readable = sa.func.has_table_privilege(name, "select")
        statement = sa.select(stored.c.schemaname, stored.c.matviewname).where(readable)
        rows += [(str(schema), str(view)) for schema, view in engine.rows(connection, statement)]
        if connection.server_version >= _KNOWS_PARTITIONS:
            parts = set(engine.rows(connection, _partitions()))
            rows = [row for row in rows if row not in parts]
    return [row for row in rows if row[0] not in _OWN_SCHEMAS]


def _decoded(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _partitions() -> sa.Select[Any]:
    """Schema and name of a PostgreSQL server's partitions of tables that may be read themselves."""
    relation = sa.table(
        "pg_class", *map(sa.column, ("oid", "relname", "relnamespace", "relispartition")),
        schema="pg_catalog",
    )  # fmt: skip
    space = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    part = sa.table("pg_inherits", *map(sa.column, ("inhrelid", "inhparent")), schema="pg_catalog")
    return sa.select(space.c.nspname, relation.c.relname).where(
        space.c.oid == relation.c.relnamespace,
        relation.c.relispartition,
        part.c.inhrelid == relation.c.oid,
        sa.func.has_table_privilege(part.c.inhparent, "select"),
    )


@contextmanager
def _asked(identifier: str, url: SourceUrl, table: str) -> Iterator[tuple[Engine, Any]]:
    """A connection that reads only; its errors in the words of a load."""
    engine = engine_for(url)
    stub = compose(
        identifier, _source(identifier, url, "", table), [DraftColumn("columna", "text")]
    ).contract
    connection = None
    try:
        connection = engine.connect(url, replace(DEFAULT_OPTIONS, statement_timeout_s=60))
        engine.begin(connection)
        yield engine, connection
    except engine.errors as error:
        told = explain(stub, url, engine, table, error)
        if connection is None or engine.trouble(error) != "tabla":
            raise told from error
        raise SourceUnavailable(
            told.what,
            dataset=identifier,
            next_step=f"elija una de las que hay: {_there_are(identifier, url)}.",
        ) from error
    finally:
        if connection is not None:
            connection.close()


def _there_are(identifier: str, url: SourceUrl) -> str:
    """On a connection of its own: the last one is of no use after an error."""
    return ", ".join(names(identifier, url)) or "el usuario no ve ninguna"


def _source(identifier: str, url: SourceUrl, schema: str, table: str) -> Source:
    kind = _KINDS[url.scheme]
    server: dict[str, Any] = {
        "type": kind,
        "host": address(identifier),
        "port": url.port or _PORTS[kind],
        "database": url.database or "base",
    }
    if kind != "mysql":
        server["schema"] = schema or _DEFAULT_SCHEMAS[kind]
    return Source(server, table, "full")


def _column(
    engine: Engine, url: SourceUrl, source: SourceColumn, key: tuple[str, ...]
) -> DraftColumn:
    physical = _physical(source.type or "")
    if url.scheme == "postgresql" and source.type == "money":
        physical = "text"  # written with the sign and the points of the server's own language
    note = "" if source.type else "el origen no dice de qué tipo es; se lee como texto"
    if engine.pads_texts and _PADDED.match(source.type or ""):
        note = f"es {source.type}: sus valores traen los blancos que los completan"
    is_moment = physical == "timestamptz"
    return DraftColumn(
        source.name,
        physical,
        required=source.nullable is False,
        key=source.name in key,
        local_time=is_moment and not source.zoned,
        note=note,
    )


def _physical(kind: str) -> str:
    if kind.endswith("[]"):
        return "text"
    if kind == "money":
        return "numeric(19,4)"
    if kind == "smallmoney":
        return "numeric(10,4)"
    if found := _DECIMAL.match(kind):
        if found[1] is None:
            return _OPEN_NUMBER
        digits, scale = int(found[1]), int(found[2] or 0)
        return f"numeric({digits},{scale})" if digits <= _MOST_DIGITS else "text"
    return next((target for pattern, target in _TYPES if pattern.search(kind)), "text")


def _carried(
    engine: Engine, contract: Contract, source: SourceColumn, column: DraftColumn
) -> DraftColumn:
    """The column in a form its engine can carry: as proposed, as text, or as hexadecimal digits."""
    target = next(found for found in contract.columns if found.source_name == column.source_name)
    if engine.refusal(source, target) is None:
        return column
    text = replace(
        column, physical_type="text", local_time=False, note=f"es {source.type}; se lee como texto"
    )
    if engine.refusal(source, replace(target, pg_type="text", logical_type="string")) is None:
        return text
    return replace(text, format="hex", note=f"es {source.type}; se lee como dígitos hexadecimales")

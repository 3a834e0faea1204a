"""The raw table of a contract: made, widened, and refused when its types moved.

Belongs here: DDL of `raw` (partitions and keys included), and of the quarantine view of each
dataset. Does not belong here: the rows (`landing/`), or anything about another schema.

Statements are built with `psycopg.sql`; types come from the closed list in `contract.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sources.contract import Contract
from sources.errors import ContractError

RAW = "raw"
QUARANTINE = "quarantine"
# Columns every raw table has beside those of its contract.
LOAD_ID = "_load_id"
SOURCE_ROW = "_source_row"

# Of a page of a table whose rows change; a page holds some hundred rows.
_FILL_PERCENT = 95

Connection = psycopg.Connection[tuple[Any, ...]]


def audit_columns(contract: Contract) -> tuple[str, ...]:
    """Names of our own columns in this contract's raw table, in order."""
    return (LOAD_ID, SOURCE_ROW) if contract.from_files else (LOAD_ID,)


def table_name(contract: Contract) -> sql.Identifier:
    return sql.Identifier(RAW, contract.landing_table)


def stamp_rows(connection: Connection, contract: Contract, load_id: int | None) -> None:
    """Have the raw table give rows that come without one this load number; None: none any more.

    For the time of one load that holds the table exclusively: a row needs not bring it.
    """
    change = (
        sql.SQL("drop default")
        if load_id is None
        else sql.SQL("set default {}").format(sql.Literal(load_id))
    )
    connection.execute(
        sql.SQL("alter table {} alter column {} {}").format(
            table_name(contract), sql.Identifier(LOAD_ID), change
        )
    )


def ensure_raw_table(connection: Connection, contract: Contract) -> None:
    """Make the raw table and the dataset's quarantine view, or add columns of a newer contract.

    A column that left the contract stays, with its history, and is filled with NULL from then on.
    Commits nothing. Raises ContractError when a column's type differs from the table's.
    """
    _ensure_quarantine_view(connection, contract)
    found = existing_columns(connection, contract.landing_table)
    if not found:
        _create(connection, contract)
        return
    _index_what_grows(connection, contract)
    for column in contract.columns:
        known = found.get(column.name)
        if known is None:
            connection.execute(
                sql.SQL("alter table {} add column if not exists {} {}").format(
                    table_name(contract), sql.Identifier(column.name), sql.SQL(column.pg_type)
                )
            )
            if column.undeclared:
                place = sql.Identifier(RAW, contract.landing_table, column.name)
                connection.execute(_comment("column", place, column.description))
        elif known != _catalog_type(column.pg_type):
            raise ContractError(
                f"{column.name} es {known} en raw.{contract.landing_table} y el contrato dice "
                f"{column.pg_type}.",
                dataset=contract.id,
                owner=contract.owner,
                next_step=f"para pasar lo que ya está, `lujan warehouse psql` con: alter table "
                f"{RAW}.{contract.landing_table} alter column {column.name} type {column.pg_type} "
                f"using {column.name}::{column.pg_type}; (la vista que lo impida se borra con "
                "`drop view … cascade` y la rehace la próxima corrida); o use otro nombre.",
            )


def ensure_month_partitions(
    connection: Connection, contract: Contract, months: Sequence[dt.date]
) -> None:
    """Make the monthly partitions that the rows about to be written need.

    Months are those of UTC. A new partition is built apart and attached: attaching locks the
    parent less than `create … partition of`, so readers are not stopped.
    """
    for month in months:
        following = (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
        name = month_table(contract, month)
        if connection.execute("select to_regclass(%s)", [f"{RAW}.{name}"]).fetchone() != (None,):
            continue
        partition = sql.Identifier(RAW, name)
        connection.execute(
            sql.SQL("create table {} (like {} including defaults)").format(
                partition, table_name(contract)
            )
        )
        connection.execute(
            sql.SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
                table_name(contract),
                partition,
                sql.Literal(f"{month:%Y-%m-%d}T00:00:00Z"),
                sql.Literal(f"{following:%Y-%m-%d}T00:00:00Z"),
            )
        )


def month_table(contract: Contract, month: dt.date) -> str:
    """Name of a month's partition, without its schema."""
    return f"{contract.landing_table}_{month:%Y_%m}"


def key_name(connection: Connection, contract: Contract) -> str | None:
    """Name of the raw table's primary key; None when it has none."""
    row = connection.execute(
        "select conname from pg_constraint where conrelid = to_regclass(%s) and contype = 'p'",
        [f"{RAW}.{contract.landing_table}"],
    ).fetchone()
    return None if row is None else str(row[0])


def drop_key(connection: Connection, contract: Contract, name: str) -> None:
    """Take the primary key off, to load without it. The caller puts it back before committing."""
    connection.execute(
        sql.SQL("alter table {} drop constraint {}").format(
            table_name(contract), sql.Identifier(name)
        )
    )


def add_key(connection: Connection, contract: Contract, name: str) -> None:
    """Put the primary key on. Raises psycopg's UniqueViolation when a key stands there twice."""
    connection.execute(
        sql.SQL("alter table {} add constraint {} primary key ({})").format(
            table_name(contract),
            sql.Identifier(name),
            sql.SQL(", ").join(sql.Identifier(column) for column in contract.key),
        )
    )


def _create(connection: Connection, contract: Contract) -> None:
    definitions = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.pg_type))
        for column in contract.columns
    ]
    definitions.append(sql.SQL("{} bigint not null").format(sql.Identifier(LOAD_ID)))
    if contract.from_files:
        definitions.append(sql.SQL("{} bigint").format(sql.Identifier(SOURCE_ROW)))
    if contract.key and contract.load_mode != "files":
        definitions.append(
            sql.SQL("primary key ({})").format(
                sql.SQL(", ").join(sql.Identifier(name) for name in contract.key)
            )
        )
    statement = sql.SQL("create table {} ({})").format(
        table_name(contract), sql.SQL(", ").join(definitions)
    )
    if contract.partition_by:
        statement += sql.SQL(" partition by range ({})").format(
            sql.Identifier(contract.partition_by)
        )
    elif contract.load_mode == "incremental":
        # Room for the new version of a row beside the old one: its key's index stays as it is.
        statement += sql.SQL(" with (fillfactor = {})").format(sql.Literal(_FILL_PERCENT))
    described = f"{contract.title}. {contract.description}"
    comments = [_comment("table", table_name(contract), described)]
    for column in contract.columns:
        place = sql.Identifier(RAW, contract.landing_table, column.name)
        comments.append(_comment("column", place, column.description))
    connection.execute(sql.SQL("; ").join([statement, *comments]))


def _index_what_grows(connection: Connection, contract: Contract) -> None:
    """Where the rows of a load are, in a table that is not replaced whole; and of a look-back.

    A few pages of ranges of blocks: nearly nothing to write, and what looks at one load (profiles,
    incremental models) or back a while (`append`) reads the blocks it needs. Made once the table
    has rows: of a single load there is nothing to find, and a COPY into an indexed table takes a
    tenth longer per index.
    """
    if contract.load_mode == "full":
        return
    wanted = {LOAD_ID: sql.SQL("pages_per_range = 32, autosummarize = on")}
    if contract.load_mode == "append" and contract.cursor:
        wanted[contract.cursor] = sql.SQL("pages_per_range = 32")
    # A table that somebody else made is theirs to index; it is only slower without.
    found = connection.execute(
        "select array(select a.attname from pg_index i "
        "join pg_class c on c.oid = i.indexrelid "
        "join pg_am m on m.oid = c.relam and m.amname = 'brin' "
        "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] "
        "where i.indrelid = t.oid and i.indnatts = 1) from pg_class t "
        "where t.oid = to_regclass(%s) and pg_has_role(t.relowner, 'member')",
        [f"{RAW}.{contract.landing_table}"],
    ).fetchone()
    missing = [] if found is None else [column for column in wanted if column not in found[0]]
    if not missing or _is_empty(connection, contract):
        return
    for column in missing:
        connection.execute(
            sql.SQL("create index on {} using brin ({}) with ({})").format(
                table_name(contract), sql.Identifier(column), wanted[column]
            )
        )


def _is_empty(connection: Connection, contract: Contract) -> bool:
    row = connection.execute(
        sql.SQL("select exists (select from {})").format(table_name(contract))
    ).fetchone()
    return row == (False,)


def _ensure_quarantine_view(connection: Connection, contract: Contract) -> None:
    name = f"{contract.system}__{contract.dataset}"
    if connection.execute("select to_regclass(%s)", [f"{QUARANTINE}.{name}"]).fetchone() != (None,):
        return
    connection.execute("select quarantine.crear_vista(%s, %s)", [name, contract.id])


def _comment(kind: str, target: sql.Identifier, text: str) -> sql.Composed:
    return sql.SQL("comment on {} {} is {}").format(sql.SQL(kind), target, sql.Literal(text))


def existing_columns(connection: Connection, table: str) -> dict[str, str]:
    """Columns of a raw table and their types as the catalogue spells them; none: no such table."""
    rows = connection.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
        "where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped",
        [f"{RAW}.{table}"],
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def _catalog_type(pg_type: str) -> str:
    """A type as PostgreSQL's catalogue spells it."""
    return {
        "timestamp": "timestamp without time zone",
        "timestamptz": "timestamp with time zone",
    }.get(pg_type, pg_type)

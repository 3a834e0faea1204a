"""Tables into the PostgreSQL database that plays the projects system, and its version marker.

Tables are replaced in one transaction: readers see the old sample or the new one. Connections
must be in autocommit mode, so that a transaction block is a transaction and not a savepoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from seeds.sample.tables import Table

MARKER = sql.Identifier("public", "_muestra")
# Any fixed number: two builds against the same database wait for one another.
LOCK = 7_246_001


def lock(connection: psycopg.Connection) -> None:
    """Wait for any other build of the sample; released when the connection closes."""
    connection.execute("select pg_advisory_lock(%s)", (LOCK,))


def marked_version(connection: psycopg.Connection) -> str | None:
    """The version of the sample in the database, None when there is none."""
    found = connection.execute("select to_regclass('public._muestra')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute(sql.SQL("select version from {}").format(MARKER)).fetchone()
    return None if row is None else str(row[0])


def replace_tables(connection: psycopg.Connection, tables: Sequence[Table], version: str) -> None:
    """Drop and create every table and the marker, in one transaction."""
    with connection.transaction():
        for table in tables:
            _create(connection, table)
            _copy(connection, table)
        connection.execute(sql.SQL("drop table if exists {}").format(MARKER))
        connection.execute(sql.SQL("create table {} (version text primary key)").format(MARKER))
        connection.execute(sql.SQL("insert into {} values (%s)").format(MARKER), (version,))
    connection.execute("analyze")


def _create(connection: psycopg.Connection, table: Table) -> None:
    name = sql.Identifier("public", table.name)
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.kind))
        for column in table.columns
    ]
    key = sql.SQL("primary key ({})").format(sql.SQL(", ").join(map(sql.Identifier, table.key)))
    body = sql.SQL(", ").join([*columns, key])
    connection.execute(sql.SQL("drop table if exists {}").format(name))
    connection.execute(sql.SQL("create table {} ({})").format(name, body))
    connection.execute(
        sql.SQL("comment on table {} is {}").format(
            name, sql.Literal("Datos sintéticos de muestra")
        )
    )


def _copy(connection: psycopg.Connection, table: Table) -> None:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    command = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier("public", table.name), names)
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        for row in table.rows():
            copy.write_row(row)

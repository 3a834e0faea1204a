"""Tables into a SQLite file that declares the column types of MySQL or SQL Server.

SQLite stands in for the two engines the sample cannot install. It has no decimals: they go in as
the nearest double, which reads back as the same decimal while 15 digits are enough, and every value
here is shorter. (As text they would meet SQLite's own conversion, which can be off by one bit.)
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seeds.sample.tables import Column, Table

Dialect = Literal["mysql", "sqlserver"]

DECLARED: dict[Dialect, dict[str, str]] = {
    "mysql": {
        "int": "INT",
        "bigint": "BIGINT",
        "smallint": "SMALLINT",
        "text": "VARCHAR(255)",
        "bool": "TINYINT(1)",
        "date": "DATE",
        "timestamp": "DATETIME",
    },
    "sqlserver": {
        "int": "INT",
        "bigint": "BIGINT",
        "text": "NVARCHAR(255)",
        "bool": "BIT",
        "date": "DATE",
        "timestamptz": "DATETIMEOFFSET",
    },
}


def write_sqlite(path: Path, tables: Sequence[Table], dialect: Dialect) -> None:
    """Create the file with all tables, in one transaction."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            for table in tables:
                connection.execute(_create_statement(table, dialect))
                marks = ", ".join("?" * len(table.columns))
                connection.executemany(
                    f'INSERT INTO "{table.name}" VALUES ({marks})',  # noqa: S608 - own names
                    zip(*(_stored(table, column) for column in table.columns), strict=True),
                )
    finally:
        connection.close()


def _create_statement(table: Table, dialect: Dialect) -> str:
    parts = [f'"{column.name}" {_declared(column, dialect)}' for column in table.columns]
    key = ", ".join(f'"{name}"' for name in table.key)
    return f'CREATE TABLE "{table.name}" ({", ".join(parts)}, PRIMARY KEY ({key}))'


def _declared(column: Column, dialect: Dialect) -> str:
    if column.kind.startswith("numeric"):
        return column.kind.replace("numeric", "DECIMAL")
    return DECLARED[dialect][column.kind]


def _stored(table: Table, column: Column) -> list[Any]:
    return [_as_stored(value) for value in table[column.name]]


def _datetime_text(value: dt.datetime) -> str:
    return value.isoformat(sep="T" if value.tzinfo else " ")


_STORED: dict[type, Callable[[Any], Any]] = {
    bool: int,
    Decimal: float,
    dt.date: dt.date.isoformat,
    dt.datetime: _datetime_text,
}


def _as_stored(value: Any) -> Any:
    convert = _STORED.get(type(value))
    return value if convert is None else convert(value)

"""PostgreSQL: COPY out of one snapshot.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`) and which columns and rows are read (`readers/database.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg as postgresql

from sources.readers.arrow import Array, pacsv
from sources.readers.base import ReaderOptions
from sources.readers.engines.base import APPLICATION, Engine, Trouble, by_text
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

# A batch is handed over when it has this many bytes, however few rows they are.
_BATCH_BYTES = 16 << 20


class Postgresql(Engine):
    """Reads through COPY as text: exact whatever the value, infinity and NaN included, and fast."""

    name = "PostgreSQL"
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    _TIMESTAMPTZ_OID = 1184
    _CODES: ClassVar[dict[str, Trouble]] = {
        "28": "credenciales", "3D": "base", "42P01": "tabla", "3F": "tabla", "42501": "permiso",
        "57014": "tiempo", "55P03": "tiempo", "08": "red", "57P": "red",
    }  # fmt: skip
    # A server refuses a connection in its own language and without a code.
    _TEXTS: ClassVar[tuple[tuple[str, Trouble], ...]] = (
        (r"password|contraseña|autentifica|authentication|role .* does not|rol .* no|pg_hba",
         "credenciales"),
        (r"database .* does not exist|base de datos .* no existe", "base"),
        (r"timeout|timed out|expir", "tiempo"),
        (r"could not translate|resolve|refused|no route|unreachable|connection failed|could not "
         r"connect|closed the connection|starting up|shutting down", "red"),
    )  # fmt: skip

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        import psycopg

        encryption: dict[str, Any] = {
            key: value for key, value in url.query.items() if key.startswith("ssl")
        }
        connection = psycopg.connect(
            host=url.host or url.query.get("host"),
            port=url.port,
            user=url.user,
            password=url.password,
            dbname=url.database,
            connect_timeout=options.connect_timeout_s,
            application_name=APPLICATION,
            client_encoding="utf8",
            keepalives_idle=30,
            **encryption,
        )
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return connection

    def begin(self, connection: Any) -> bool:
        # Times are then written in UTC, in ISO form, whatever the server's own settings.
        connection.execute("set local timezone = 'UTC'")
        connection.execute("set local datestyle = 'ISO'")
        connection.execute("set local lock_timeout = '30s'")
        return True

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        import psycopg

        return (psycopg.Error,)

    def trouble(self, error: Exception) -> Trouble:
        code = getattr(error, "sqlstate", None) or ""
        for length in (5, 3, 2):
            if found := self._CODES.get(code[:length]):
                return found
        return by_text(self._TEXTS, str(error))

    def stream(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]]:
        from psycopg import sql

        text, parameters = self.compiled(statement)
        if not parameters:
            # Without parameters psycopg takes a text as it is: a doubled % would stay doubled.
            text = text.replace("%%", "%")
        copy_out = sql.SQL("copy ({}) to stdout (format csv)").format(sql.SQL(text))
        names = [column.name for column in statement.selected_columns]
        with connection.cursor() as cursor, cursor.copy(copy_out, parameters) as copy:
            lines = iter(copy)
            while (taken := _take(lines, batch_rows))[1]:
                yield _parse_copy(*taken, names)

    def since(
        self, column: sa.ColumnClause[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        kind: sa.types.TypeEngine[Any] | None = None
        if isinstance(value, datetime):
            kind = sa.DateTime(timezone=value.tzinfo is not None)
        return column >= sa.bindparam("desde", value, type_=kind)

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return bool(entry[1] == self._TIMESTAMPTZ_OID)


def _take(lines: Iterator[Any], batch_rows: int) -> tuple[bytearray, int]:
    """The next rows of a COPY and how many they are: `batch_rows`, or some megabytes.

    Copied at once into one buffer: kept apart, a million small objects cost more than the read.
    """
    block, count = bytearray(), 0
    for line in lines:
        block += line
        count += 1
        if count == batch_rows or len(block) >= _BATCH_BYTES:
            break
    return block, count


def _parse_copy(block: bytearray, count: int, names: Sequence[str]) -> list[Array]:
    """Rows in PostgreSQL's CSV form as binary columns: null is unquoted, an empty text quoted."""
    table = pacsv.read_csv(
        pa.BufferReader(pa.py_buffer(block)),
        read_options=pacsv.ReadOptions(column_names=list(names), block_size=len(block) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()
    if table.num_rows != count:
        raise pa.ArrowInvalid(f"COPY sent {count} rows and {table.num_rows} were parsed")
    return [column.chunk(0) for column in table.columns]

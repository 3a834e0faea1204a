"""What differs between database engines when a table is read exactly and in one snapshot.

Belongs here: connecting, the consistent read, the types of a cursor's columns, streaming, and
what an engine's errors mean. Does not belong here: which columns and rows are read
(`database.py`). Statements come as SQLAlchemy Core; values never enter a text.

Every engine hands over values exactly, most of them as the text the server writes, and leaves it
to `sources/casting.py` to read them. So a date without a day (MySQL), an infinite time or a NaN
(PostgreSQL) is one rejected row and not a failed load. SQL Server's driver gives `datetime2(7)`
rounded to microseconds: declare such a column as text if the last digit matters.
"""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2, DATETIMEOFFSET
from sqlalchemy.dialects.mssql import pymssql as mssql
from sqlalchemy.dialects.mysql import pymysql as mysql
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.dialects.sqlite import pysqlite as sqlite
from sqlalchemy.engine.interfaces import Dialect

from sources.readers.arrow import Array, pacsv, pc
from sources.readers.base import ReaderOptions, column_from_values
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

Trouble = Literal["red", "credenciales", "base", "tabla", "permiso", "tiempo", "otro"]
APPLICATION = "lujan-datos"
# A batch is handed over when it has this many bytes, however few rows they are.
_BATCH_BYTES = 16 << 20


class Engine(ABC):
    """One kind of database. Connections are DB-API connections."""

    name: ClassVar[str]
    dialect: Dialect
    has_schemas: ClassVar[bool] = True

    @abstractmethod
    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        """A connection that reads only."""

    @abstractmethod
    def begin(self, connection: Any) -> bool:
        """Start the snapshot; False when the server does not offer one."""

    @property
    @abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """The driver's exceptions."""

    @abstractmethod
    def trouble(self, error: Exception) -> Trouble:
        """What an exception of the driver means."""

    def describe(self, connection: Any, table: sa.TableClause) -> dict[str, bool | None]:
        """Columns of the table, each with whether its values carry a time zone (None: unknown)."""
        statement = sa.select(sa.text("*")).select_from(table).where(sa.false())
        cursor = self.execute(connection, statement)
        try:
            return {entry[0]: self._zoned(entry) for entry in cursor.description}
        finally:
            cursor.close()

    def scalar(self, connection: Any, statement: sa.Select[Any]) -> Any:
        """The only value of a statement's only row; None without a row."""
        cursor = self.execute(connection, statement)
        try:
            row = cursor.fetchone()
            return row[0] if row else None
        finally:
            cursor.close()

    def stream(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]]:
        """The rows of a statement, by column, at most `batch_rows` at a time."""
        cursor = self.execute(connection, statement, streaming=True)
        try:
            while rows := cursor.fetchmany(batch_rows):
                yield self._columns(cursor.description, rows)
        finally:
            cursor.close()

    def since(
        self, column: sa.ColumnClause[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        """The condition `column >= value`. A time comes naive when `zoned` is False."""
        return column >= sa.bindparam("desde", value)

    def execute(
        self, connection: Any, statement: sa.Select[Any], *, streaming: bool = False
    ) -> Any:
        text, parameters = self.compiled(statement)
        cursor = self._cursor(connection, streaming=streaming)
        cursor.execute(text, parameters)
        return cursor

    def compiled(self, statement: sa.Select[Any]) -> tuple[str, Any]:
        """Text and parameters in the driver's style."""
        compiled = statement.compile(dialect=self.dialect)
        if compiled.positiontup is None:
            return str(compiled), dict(compiled.params)
        return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup)

    def _cursor(self, connection: Any, *, streaming: bool) -> Any:
        return connection.cursor()

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return None

    def _columns(
        self, description: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]
    ) -> list[Array]:
        return [column_from_values(values) for values in zip(*rows, strict=True)]


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
        return _by_text(self._TEXTS, str(error))

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


class Mysql(Engine):
    """Reads with an unbuffered cursor; every value is the text the server sends."""

    name = "MySQL"
    dialect = mysql.dialect()
    _BIT, _TIMESTAMP = 16, 7
    _CODES: ClassVar[dict[int, Trouble]] = {
        1045: "credenciales", 1698: "credenciales", 1044: "permiso", 1142: "permiso",
        1143: "permiso", 1049: "base", 1046: "base", 1146: "tabla", 1205: "tiempo",
        1969: "tiempo", 3024: "tiempo", 2003: "red", 2005: "red", 2006: "red", 2013: "red",
    }  # fmt: skip

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        import pymysql

        # Without decoders values arrive as the server wrote them: a date such as 2026-00-00 too.
        encoders: dict[Any, Any] = {
            kind: encode
            for kind, encode in pymysql.converters.conversions.items()
            if not isinstance(kind, int)
        }
        encryption: dict[str, Any] = {
            key: value for key, value in url.query.items() if key.startswith("ssl_")
        }
        return pymysql.connect(
            host=url.host or "localhost",
            port=url.port or 3306,
            user=url.user,
            password=url.password or "",
            database=url.database,
            unix_socket=url.query.get("unix_socket"),
            charset="utf8mb4",
            use_unicode=False,
            conv=encoders,
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            program_name=APPLICATION,
            **encryption,
        )

    def begin(self, connection: Any) -> bool:
        with connection.cursor() as cursor:
            # The server drops a client that pauses longer than this, as a reader does that waits
            # for its batch to be written.
            cursor.execute("set session net_write_timeout = 600")
            # TIMESTAMP columns are written in the session's zone, DATETIME columns as stored.
            cursor.execute("set session time_zone = '+00:00'")
            cursor.execute("set session transaction isolation level repeatable read")
            cursor.execute("start transaction with consistent snapshot, read only")
        return True

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        import pymysql

        return (pymysql.Error,)

    def trouble(self, error: Exception) -> Trouble:
        code = error.args[0] if error.args else None
        if code in (2003, 2013) and "timed out" in str(error):
            return "tiempo"
        return self._CODES.get(code, "otro") if isinstance(code, int) else "otro"

    def since(
        self, column: sa.ColumnClause[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        if isinstance(value, datetime) and value.tzinfo:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return column >= sa.bindparam("desde", value)

    def _cursor(self, connection: Any, *, streaming: bool) -> Any:
        import pymysql

        return connection.cursor(pymysql.cursors.SSCursor if streaming else None)

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return bool(entry[1] == self._TIMESTAMP)

    def _columns(
        self, description: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]
    ) -> list[Array]:
        arrays = []
        for entry, values in zip(description, zip(*rows, strict=True), strict=True):
            if entry[1] == self._BIT:
                bits = [None if v is None else int.from_bytes(v, "big") for v in values]
                arrays.append(column_from_values(bits))
            elif entry[1] == self._TIMESTAMP:
                texts = pc.cast(pa.array(values, pa.binary()), pa.string())
                arrays.append(pc.binary_join_element_wise(texts, "+00:00", ""))
            else:
                arrays.append(pa.array(values, pa.binary()))
        return arrays


class SqlServer(Engine):
    """Reads with pymssql, in a snapshot where the database allows one."""

    name = "SQL Server"
    dialect = mssql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
    _CODES: ClassVar[dict[int, Trouble]] = {
        18456: "credenciales", 18452: "credenciales", 18488: "credenciales", 4060: "base",
        208: "tabla", 229: "permiso", 230: "permiso", 916: "permiso", 1222: "tiempo",
        20003: "tiempo", 20009: "red", 20002: "red", 20004: "red", 20006: "red",
    }  # fmt: skip

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        import pymssql

        return pymssql.connect(
            server=url.host or "",
            port=str(url.port or 1433),
            user=url.user,
            password=url.password,
            database=url.database or "",
            login_timeout=options.connect_timeout_s,
            timeout=options.read_timeout_s,
            charset="UTF-8",
            tds_version="7.4",
            appname=APPLICATION,
            autocommit=True,
        )

    def begin(self, connection: Any) -> bool:
        databases = sa.table(
            "databases", sa.column("database_id"), sa.column("snapshot_isolation_state"),
            schema="sys",
        )  # fmt: skip
        allowed = self.scalar(
            connection,
            sa.select(databases.c.snapshot_isolation_state).where(
                databases.c.database_id == sa.func.db_id()
            ),
        )
        if allowed != 1:
            return False
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level snapshot")
            cursor.execute("begin transaction")
        return True

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        import pymssql

        return (pymssql.Error,)

    def trouble(self, error: Exception) -> Trouble:
        """The server's own number says more than the library's 20xxx that may come with it."""
        numbers = [int(found) for found in re.findall(r"\b\d{3,5}\b", str(error.args))]
        known = [number for number in numbers if number in self._CODES]
        return self._CODES[min(known)] if known else "otro"

    def describe(self, connection: Any, table: sa.TableClause) -> dict[str, bool | None]:
        found = super().describe(connection, table)
        columns = sa.table(
            "COLUMNS", sa.column("COLUMN_NAME"), sa.column("DATA_TYPE"),
            sa.column("TABLE_NAME"), sa.column("TABLE_SCHEMA"), schema="INFORMATION_SCHEMA",
        )  # fmt: skip
        statement = sa.select(columns.c.COLUMN_NAME, columns.c.DATA_TYPE).where(
            sa.literal(str(table.name)) == columns.c.TABLE_NAME
        )
        if table.schema:
            statement = statement.where(sa.literal(str(table.schema)) == columns.c.TABLE_SCHEMA)
        cursor = self.execute(connection, statement)
        types = dict(cursor.fetchall())
        cursor.close()
        return {
            name: types[name].lower() == "datetimeoffset" if name in types else None
            for name in found
        }

    def since(
        self, column: sa.ColumnClause[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        # The driver drops zone and microseconds of a datetime: it travels as text instead.
        if not isinstance(value, datetime):
            return column >= sa.bindparam("desde", value)
        kind: Any = DATETIMEOFFSET if value.tzinfo else DATETIME2
        return column >= sa.cast(
            sa.bindparam("desde", value.isoformat(" "), type_=sa.Unicode()), kind(7)
        )


class Sqlite(Engine):
    """A file that stands in for another engine. Values keep the type SQLite stored them in."""

    name = "SQLite"
    dialect = sqlite.dialect()
    has_schemas = False
    _TEXTS: ClassVar[tuple[tuple[str, Trouble], ...]] = (
        (r"no such table", "tabla"),
        (r"unable to open|no such file", "base"),
        (r"locked|busy", "tiempo"),
    )

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        path = (url.path or Path()).absolute()
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=options.connect_timeout_s,
            check_same_thread=False,
        )
        connection.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
        return connection

    def begin(self, connection: Any) -> bool:
        connection.execute("begin")
        return True

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error,)

    def trouble(self, error: Exception) -> Trouble:
        return _by_text(self._TEXTS, str(error))

    def since(
        self, column: sa.ColumnClause[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        """Times are texts of any spelling here: compared as instants, the local clock as if UTC.

        Of the two readings of a value the earlier counts, so that rows come once too often
        rather than never; what cannot be read as a time always comes.
        """
        if not isinstance(value, date):
            return column >= sa.bindparam("desde", value)
        if isinstance(value, datetime) and value.tzinfo:
            utc = value.astimezone(UTC).replace(tzinfo=None)
            value = min(utc, value.replace(tzinfo=None))
        moment = sa.func.julianday(column)
        since = sa.func.julianday(sa.bindparam("desde", value.isoformat()))
        return sa.or_(moment >= since, moment.is_(None))


def engine_for(url: SourceUrl) -> Engine:
    """The engine behind an address."""
    kinds: dict[str, type[Engine]] = {
        "postgresql": Postgresql,
        "mysql": Mysql,
        "mssql": SqlServer,
        "sqlite": Sqlite,
    }
    return kinds[url.scheme]()


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


def _by_text(patterns: Sequence[tuple[str, Trouble]], text: str) -> Trouble:
    for pattern, trouble in patterns:
        if re.search(pattern, text, re.IGNORECASE):
            return trouble
    return "otro"

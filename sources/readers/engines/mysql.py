"""MySQL and MariaDB.

Belongs here: what only this engine does its own way, the exact form in which each of its types is
asked for above all. Does not belong here: what engines share (`base.py`), the fast way to decode
rows (`mysql_wire.py`) and which columns and rows are read (`readers/database.py`).

Every column is asked for in a form that both ways of reading carry exactly, and alike: the driver
(pymysql), which hands over the server's text, and the server's binary rows, decoded in columns ten
times as fast, which know no date without a day, month or year. Decimals that fit a whole number of
64 bits are asked for as one, all digits before the point: a quarter of the time of reading a table
with one such column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.mysql import DATETIME, INTEGER, TIMESTAMP
from sqlalchemy.dialects.mysql import pymysql as mysql

from sources.arrow_values import decimals_from
from sources.contract import Column
from sources.readers.arrow import Array, pc
from sources.readers.base import ReaderOptions
from sources.readers.engines.base import APPLICATION, Declared, Engine, SourceColumn, Trouble
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

# Values that are no text: asked for in hexadecimal digits where the contract says so.
_OCTETS = re.compile(
    r"^(?:(?:tiny|medium|long)?blob|(?:var)?binary|vector|geom(?:etry)?(?:collection)?"
    r"|(?:multi)?(?:point|linestring|polygon))\b"
)
HEX = "hex"
_TEXT = re.compile(r"^(?:(?:var)?char|(?:tiny|medium|long)?text|enum)\b")
# What the server turns into text better than any library: sets, times, documents, addresses.
_WRITTEN = re.compile(r"^(?:set|time|year|json|uuid|inet[46])\b")
# MariaDB notes behind them that they are kept as before 10.1.
_TIME = re.compile(r"^(date|datetime|timestamp)(?:\((\d)\))?(?: /\*|$)")
# Numbers with a fixed number of digits behind the point; what a double keeps has more of them.
_POINT = re.compile(r"^(decimal|double)\((\d+),(\d+)\)")
_UTC = "+00:00"
_FIRST_DAY, _NO_YEAR = "0001-01-01", "0000"
# All whole numbers of so many digits fit in 64 bits.
_INTEGER_DIGITS = 18
# Digits of the widest decimal; a double may be declared to show more.
_MOST_DIGITS = 65
# Digits behind the point of times in each unit.
_DIGITS: Mapping[str, int] = MappingProxyType({"s": 0, "ms": 3, "us": 6})
_NO_SUCH_FUNCTION = 1305
_BATCH_BYTES = 8 << 20


class _Shifted(sa.BigInteger):
    """A decimal of up to 18 digits that the server sends without its point, as a whole number."""

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__()
        self.precision, self.scale = precision, scale


class Mysql(Engine):
    """One session reads: it counts, adds up and streams in one snapshot, its times in UTC."""

    name = "MySQL"
    dialect = mysql.dialect()
    exact_numbers = re.compile(r"^(tiny|small|medium|big)?int\b|^decimal\b")
    tells_rows_sent = "whole tables"
    _TIMESTAMP = 7
    _CODES: ClassVar[dict[int, Trouble]] = {
        1045: "credenciales", 1698: "credenciales", 1044: "permiso", 1142: "permiso",
        1143: "permiso", 1049: "base", 1046: "base", 1146: "tabla", 1205: "tiempo",
        1969: "tiempo", 3024: "tiempo", 1317: "tiempo", 2003: "red", 2005: "red", 2006: "red",
        2013: "red", 1053: "red", 1927: "red",
    }  # fmt: skip

    def __init__(self) -> None:
        self._silence_s = 600

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
        self._silence_s = options.read_timeout_s
        connection = pymysql.connect(
            host=url.host or "localhost",
            port=url.port or 3306,
            user=url.user,
            # The driver would take the characters of a text for Latin-1.
            password=(url.password or "").encode(),
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
        if options.statement_timeout_s is not None:
            self._limit(connection, options.statement_timeout_s)
        return connection

    def _limit(self, connection: Any, seconds: int) -> None:
        """The longest a statement may run: MariaDB counts seconds, MySQL milliseconds."""
        with connection.cursor() as cursor:
            if "mariadb" in connection.get_server_info().lower():
                cursor.execute("set session max_statement_time = %s", [seconds])
            else:
                cursor.execute("set session max_execution_time = %s", [seconds * 1000])

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

    def _declared(self, connection: Any, table: sa.TableClause) -> Declared:
        found = self._of_columns(connection, table, "column_type", "is_nullable")
        return {name: (kind, nullable == "YES") for name, kind, nullable in found}

    def comments(self, connection: Any, table: sa.TableClause) -> dict[str, str]:
        found = self._of_columns(connection, table, "column_comment")
        return {name: words for name, words in found if words}

    def primary_key(self, connection: Any, table: sa.TableClause) -> tuple[str, ...]:
        """From the catalogue of columns: that of keys is not for who may only read."""
        found = self._of_columns(connection, table, "column_key")
        return tuple(name for name, key in found if key == "PRI")

    def _of_columns(
        self, connection: Any, table: sa.TableClause, *fields: str
    ) -> list[tuple[str, ...]]:
        """The name of each column of a table, in their order, and what the catalogue has of it."""
        columns = sa.table(
            "columns",
            *map(sa.column, ("table_schema", "table_name", "column_name", "ordinal_position")),
            *map(sa.column, fields),
            schema="information_schema",
        ).c
        schema = sa.literal(str(table.schema)) if table.schema else sa.func.database()
        statement = (
            sa.select(columns.table_name, columns.column_name, *(columns[name] for name in fields))
            .where(columns.table_name == str(table.name), columns.table_schema == schema)
            .order_by(columns.ordinal_position)
        )
        rows = self.rows(connection, statement)
        found = [tuple(bytes(value).decode() for value in row) for row in rows]
        # The catalogue compares names without regard to case, the server's disk may not.
        here = [row for row in found if row[0] == str(table.name)] or found
        return [row[1:] for row in here]

    def refusal(self, source: SourceColumn, target: Column) -> str | None:
        kind = source.type or ""
        if target.format == HEX or not _OCTETS.search(kind):
            return None
        return f"es de tipo {kind}, que no es texto"

    def select(
        self, column: sa.ColumnElement[Any], source: SourceColumn, target: Column
    ) -> sa.ColumnElement[Any]:
        """The column in an exact form, with the SQLAlchemy type by which the streams know it.

        A column without such a type (NullType) is one that only the driver can be asked for.
        """
        kind = source.type or ""
        if (special := _special(column, kind)) is not None:
            return special
        form = _form(kind)
        if form is None:
            return sa.type_coerce(column, TIMESTAMP()) if source.zoned else column
        if target.pg_type == "text" or isinstance(form, sa.Text):
            return self.written(column, source)
        if kind.startswith("double") and isinstance(form, _Shifted | sa.Numeric):
            column = sa.cast(column, sa.Numeric(form.precision, form.scale))
        if isinstance(form, _Shifted):
            shifted = column * sa.literal_column(str(10**form.scale))
            return sa.type_coerce(sa.cast(shifted, INTEGER()), form)
        return sa.type_coerce(column, form)

    def written(self, column: sa.ColumnElement[Any], source: SourceColumn) -> sa.ColumnElement[Any]:
        text = sa.cast(column, sa.CHAR())
        return sa.type_coerce(sa.func.concat(text, _UTC) if source.zoned else text, sa.Text())

    def doubt(
        self, column: sa.ColumnElement[Any], source: SourceColumn
    ) -> sa.ColumnElement[bool] | None:
        """Dates that no calendar has: without a day or a month, or of the year zero."""
        if not _TIME.search(source.type or ""):
            return None
        parts = (sa.func.month(column), sa.func.dayofmonth(column))
        return sa.or_(column < _FIRST_DAY, *(part == 0 for part in parts))

    def since(
        self, column: sa.ColumnElement[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        if isinstance(value, datetime) and value.tzinfo:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return column >= sa.bindparam("desde", value, unique=True)

    def estimated_rows(self, connection: Any, table: sa.TableClause) -> int:
        return self._statistics(connection, table)[0]

    def stream(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]]:
        kinds = [column.type for column in statement.selected_columns]
        for columns in super().stream(connection, statement, batch_rows):
            yield [_from_driver(column, kind) for column, kind in zip(columns, kinds, strict=True)]

    def stream_quickly(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]] | None:
        from sources.readers.engines import mysql_wire

        kinds = [column.type for column in statement.selected_columns]
        if any(isinstance(kind, sa.types.NullType) for kind in kinds):
            return None
        row_bytes = sum(_arrow_bytes(kind) for kind in kinds)
        _, average = self._statistics(connection, statement.get_final_froms()[0])
        rows = min(batch_rows, max(1, _BATCH_BYTES // max(row_bytes, average)))
        text, parameters = self.compiled(statement)
        with connection.cursor() as cursor:
            plain = cursor.mogrify(text, parameters)
        return (
            [_from_quick(array, kind) for array, kind in zip(arrays, kinds, strict=True)]
            for arrays in mysql_wire.read_quickly(connection, plain, rows, self._silence_s)
        )

    def rows_sent(self, connection: Any) -> int | None:
        """The server's own count of the rows of the session's last query.

        None where there is no such function any more: MySQL means to do without it some day.
        """
        try:
            return int(self.scalar(connection, sa.select(sa.func.found_rows())))
        except self.errors as error:
            if error.args[0] != _NO_SUCH_FUNCTION:
                raise
            return None

    def _statistics(self, connection: Any, table: Any) -> tuple[int, int]:
        """About how many rows a table has, and how long one is in bytes; 0 where unknown."""
        tables = sa.table(
            "tables", sa.column("table_name"), sa.column("table_schema"), sa.column("table_rows"),
            sa.column("avg_row_length"), schema="information_schema",
        )  # fmt: skip
        schema = sa.literal(str(table.schema)) if table.schema else sa.func.database()
        found = self.rows(
            connection,
            sa.select(tables.c.table_rows, tables.c.avg_row_length).where(
                tables.c.table_name == str(table.name), tables.c.table_schema == schema
            ),
        )
        rows, length = found[0] if found else (None, None)
        return int(rows or 0), int(length or 0)

    def _leave(self, cursor: Any, *, finished: bool) -> None:
        if finished:
            cursor.close()
            return
        # Closing it would read all the rest, and fail anew where the connection was lost.
        if cursor._result is not None:
            cursor._result.unbuffered_active = False
        cursor.connection = None

    def _cursor(self, connection: Any, *, streaming: bool) -> Any:
        import pymysql

        return connection.cursor(pymysql.cursors.SSCursor if streaming else None)

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return bool(entry[1] == self._TIMESTAMP)

    def _columns(
        self, description: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]
    ) -> list[Array]:
        return [pa.array(values, pa.binary()) for values in zip(*rows, strict=True)]


def _special(column: sa.ColumnElement[Any], kind: str) -> sa.ColumnElement[Any] | None:
    """Types that are asked for alike whatever the contract makes of them; None for the others."""
    if _OCTETS.search(kind):
        return sa.type_coerce(sa.func.hex(column), sa.Text())
    if kind.startswith("float"):
        # As text the server gives a float six digits; as a double, all it has.
        return sa.type_coerce(column + sa.literal_column("0e0"), sa.REAL())
    if kind.startswith("bit"):
        return sa.type_coerce(sa.cast(column, INTEGER(unsigned=True)), sa.BigInteger())
    return sa.type_coerce(column, sa.Text()) if _TEXT.search(kind) else None


def _form(kind: str) -> sa.types.TypeEngine[Any] | None:
    """The type by which a declared one is read; Text where the server is to write it."""
    if re.match(r"(?:tiny|small|medium|big)?int\b", kind):
        return sa.BigInteger()
    if (match := _POINT.search(kind)) and int(match[2]) <= _MOST_DIGITS:
        return _decimal_form(int(match[2]), int(match[3]))
    if kind.startswith("double"):
        return sa.Double()
    if match := _TIME.search(kind):
        fraction = int(match[2] or 0)
        if match[1] == "date":
            return sa.Date()
        return (DATETIME if match[1] == "datetime" else TIMESTAMP)(fsp=fraction)
    return sa.Text() if _WRITTEN.search(kind) else None


def _decimal_form(precision: int, scale: int) -> sa.types.TypeEngine[Any]:
    if precision <= _INTEGER_DIGITS:
        return _Shifted(precision, scale)
    return sa.Numeric(precision, scale)


def _from_driver(column: Array, kind: sa.types.TypeEngine[Any]) -> Array:
    """A column of the driver's texts in the type that `_from_quick` gives.

    What is set aside is then written alike, and known again, whichever way it came.
    """
    match kind:
        case _Shifted():
            return decimals_from(_cast(column, pa.int64()), kind.precision, kind.scale)
        case sa.BigInteger():
            try:
                return _cast(column, pa.int64())
            except pa.ArrowInvalid:
                return _cast(column, pa.uint64())
        case sa.Double() | sa.REAL():
            numbers = _cast(column, pa.float64())
            return pc.cast(numbers, pa.float32()) if isinstance(kind, sa.REAL) else numbers
        case DATETIME() | TIMESTAMP():
            return _from_written_times(column, kind)
    return column


def _cast(column: Array, kind: pa.DataType) -> Array:
    return pc.cast(pc.cast(column, pa.string()), kind)


def _from_written_times(column: Array, kind: DATETIME | TIMESTAMP) -> Array:
    """Times, or their texts where no calendar has one: as many digits behind the point in both."""
    unit, texts = _unit(kind.fsp), pc.cast(column, pa.string())
    with suppress(pa.ArrowInvalid):
        if not pc.any(pc.starts_with(texts, _NO_YEAR)).as_py():
            return _in_zone(pc.cast(texts, pa.timestamp(unit)), kind)
    more = 0 if kind.fsp is None else _DIGITS[unit] - kind.fsp
    end = "0" * more + ("Z" if isinstance(kind, TIMESTAMP) else "")
    return pc.binary_join_element_wise(texts, end, "")


def _from_quick(column: Array, kind: sa.types.TypeEngine[Any]) -> Array:
    """A column of the server's binary rows in the type that its declaration says."""
    if isinstance(kind, _Shifted):
        return decimals_from(column, kind.precision, kind.scale)
    if isinstance(kind, sa.REAL):
        return pc.cast(column, pa.float32())
    if isinstance(kind, DATETIME | TIMESTAMP):
        return _in_zone(pc.cast(column, pa.timestamp(_unit(kind.fsp))), kind)
    return column


def _in_zone(times: Array, kind: DATETIME | TIMESTAMP) -> Array:
    """Times as instants where they are such: the session's zone is UTC."""
    zone = "UTC" if isinstance(kind, TIMESTAMP) else None
    return times.view(pa.timestamp(times.type.unit, tz=zone))


def _unit(fraction: int | None) -> Literal["s", "ms", "us"]:
    """The unit in which a time is written with as many digits as the source writes, or more.

    The finest where how many it writes is not known.
    """
    if fraction == 0:
        return "s"
    return "us" if fraction is None or fraction > _DIGITS["ms"] else "ms"


def _arrow_bytes(kind: sa.types.TypeEngine[Any]) -> int:
    """What a value takes in Arrow at least."""
    return 16 if isinstance(kind, sa.Numeric | _Shifted) else 8

"""SQL Server, read with pymssql.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`) and which columns and rows are read (`readers/database.py`).

The driver's own text conversion writes `?` for what it cannot convert, and its times end at the
microsecond. So whatever is not a plain number, bit or time is asked of the server as text, and the
text as bytes:
  * text of every type and collation as nvarchar, in UTF-16; half a surrogate pair, which nvarchar
    can hold and UTF-8 cannot, rejects its row;
  * decimals and money as their digits, money with its four places;
  * binary as `0x…` (its digits alone with `format: hex`), uniqueidentifier in lower case; xml,
    sql_variant and CLR types (geography, hierarchyid) as the server writes them;
  * times for a text column with every digit they have (`2026-06-01 10:00:00.1234567 -03:00`); for
    a time column they come as times, what is finer than a microsecond cut off, never rounded.
Only a text column can take binary, sql_variant or a CLR type: any other is drift, told at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2, DATETIMEOFFSET, NVARCHAR, VARBINARY, VARCHAR
from sqlalchemy.dialects.mssql import pymssql as mssql

from sources.contract import Column
from sources.errors import SourceDataError
from sources.readers.arrow import Array, pc
from sources.readers.base import ReaderOptions, column_from_values
from sources.readers.engines.base import (
    APPLICATION,
    Declared,
    Engine,
    SourceColumn,
    Trouble,
)
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

# What clients of SQL Server set by custom (xml and indexed views need it), and what reading needs:
# whole long values, dates that no language setting can turn round, and no endless wait for a lock.
_SETTINGS = (
    "set ansi_nulls, ansi_padding, ansi_warnings, arithabort, concat_null_yields_null, "
    "quoted_identifier on",
    "set textsize 2147483647",
    "set dateformat ymd",
    "set lock_timeout 30000",
)
_NUMBERS = frozenset({"bit", "tinyint", "smallint", "int", "bigint", "float", "real"})
_TIMES = frozenset({"date", "datetime", "smalldatetime", "datetime2", "datetimeoffset"})
_BINARY = frozenset({"binary", "varbinary", "image", "timestamp", "rowversion"})
_TEXTS = frozenset({"char", "varchar", "text", "nchar", "nvarchar", "ntext"})
# Longest bounded types, in characters and in bytes; beyond them there is only `max`.
_MOST_UNICODE, _MOST_BYTES = 4000, 8000
# Styles of CONVERT: ODBC canonical for times, four places for money, 17 digits for floats, binary
# with 0x and without. (learn.microsoft.com, CAST and CONVERT)
_TIME, _FOUR_PLACES, _ALL_DIGITS, _HEX, _HEX_DIGITS = 121, 2, 3, 1, 2
# The format of a text column that asks for the digits of binary only, as from any other engine.
_BARE_HEX = "hex"
# Types whose text is short and plain ASCII: its longest form, and the style it is asked in.
_PLAIN: Mapping[str, tuple[int, int | None]] = {
    **dict.fromkeys(("decimal", "numeric"), (41, None)),
    **dict.fromkeys(("money", "smallmoney"), (22, _FOUR_PLACES)),
    **dict.fromkeys((*_TIMES, "time"), (34, _TIME)),
    "uniqueidentifier": (36, None),
}
_LONG_UNICODE, _LONG_TEXT = NVARCHAR(None), VARCHAR(None)
_LONG_BINARY: Any = VARBINARY("max")  # type: ignore[no-untyped-call]
# A batch is handed over when its texts have this many bytes, however few rows they are: looked at
# every so many rows, and every few where a value has no limit.
_BATCH_BYTES = 16 << 20
_STEP, _LONG_STEP = 1024, 8
# How texts begin that are not the server's own.
_OF_THE_DRIVER = ("DB-Lib error", "Unknown error", "Not connected", "Connection to the database")
_TIMED_OUT, _REFUSED = 20003, 20018


# A `datetime` holds three-hundredths of a second and is written in thousandths: .007 is .0066667,
# and that is what it is compared as since SQL Server 2016.
_TEN_MS, _SEVEN_MS, _A_THIRD_BELOW = 10_000, 7_000, timedelta(microseconds=334)


class _AsBytes(sa.types.TypeEngine[Any]):
    """Text that arrives as bytes, at most so many (None: without limit)."""

    encoding: ClassVar[str]

    def __init__(self, most: int | None) -> None:
        self.most = most


class _Utf16(_AsBytes):
    encoding = "utf-16-le"


class _Ascii(_AsBytes):
    encoding = "ascii"


class _Real(sa.types.TypeEngine[Any]):
    """Single precision, which the driver widens: 0.1 would arrive as 0.10000000149011612."""


@dataclass(slots=True)
class Session:
    """A connection, and how many seconds a statement may take from its start to its last row.

    SQL Server has no such limit of its own; the driver's, which is one for the whole process, is
    that of a single wait.
    """

    connection: Any
    statement_timeout_s: int | None = None

    def cursor(self) -> Any:
        return self.connection.cursor()

    def close(self) -> None:
        self.connection.close()


class SqlServer(Engine):
    """Reads with pymssql, in a snapshot where the database allows one.

    Where it does not (`ALLOW_SNAPSHOT_ISOLATION` is off) rows are read as committed: no row that
    was never committed is read, but one that moves in the key's order meanwhile may come twice or
    not at all, and nothing is counted.
    """

    name = "SQL Server"
    pads_texts = True
    dialect = mssql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
    exact_numbers = re.compile(r"^(tiny|small|big)?int$|^(decimal|numeric)\(|^(small)?money$")
    _CODES: ClassVar[dict[int, Trouble]] = {
        18456: "credenciales", 18452: "credenciales", 18470: "credenciales",
        18486: "credenciales", 18487: "credenciales", 18488: "credenciales",
        4060: "base", 4064: "base", 911: "base",
        208: "tabla", 229: "permiso", 230: "permiso", 916: "permiso",
        1222: "tiempo", 1205: "tiempo",
        20002: "red", 20004: "red", 20006: "red", 20009: "red", 20017: "red", 20047: "red",
        596: "red", 6005: "red", 17142: "red", 18451: "red", 40613: "red",
    }  # fmt: skip
    # By severity: a login that is refused, a database that cannot be opened.
    _REFUSALS: ClassVar[dict[int, Trouble]] = {14: "credenciales", 11: "base"}

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Session:
        """`?encryption=require` in the address demands TLS (off, request, require); with
        `?ApplicationIntent=ReadWrite` an availability group is not asked for a replica to read.
        """
        import pymssql

        limit = options.statement_timeout_s
        connection = pymssql.connect(
            server=url.host or "",
            port=str(url.port or 1433),
            user=url.user,
            password=url.password,
            database=url.database or "",
            login_timeout=options.connect_timeout_s,
            timeout=min(limit or options.read_timeout_s, options.read_timeout_s),
            charset="UTF-8",
            tds_version="7.4",
            appname=APPLICATION,
            autocommit=True,
            encryption=url.query.get("encryption"),
            read_only=url.query.get("ApplicationIntent", "").lower() != "readwrite",
            conn_properties="; ".join(_SETTINGS),
        )
        return Session(connection, limit)

    def begin(self, connection: Session) -> bool:
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

        return (pymssql.Error, pymssql._mssql.MSSQLException)

    def trouble(self, error: Exception) -> Trouble:
        """By the server's own number; without a text of the server's, by those of the library.

        pymssql 2.4.6 goes on giving the number of the worst failed login of the process for every
        later failure to connect, so a number counts only with its text before it.
        """
        number, text = _number_and_text(error)
        library = {
            int(code): int(severity or 0)
            for code, severity in re.findall(
                r"DB-Lib error message (\d+)(?:, severity (\d+))?", text
            )
        }
        if _TIMED_OUT in library:
            return "tiempo"
        if not text.startswith(_OF_THE_DRIVER):
            return self._CODES.get(number, "otro")
        if _REFUSED in library:
            return self._REFUSALS.get(library[_REFUSED], "otro")
        # Not even a message of the library's: a host of no address, a connection gone before.
        return next((self._CODES[code] for code in library if code in self._CODES), "red")

    # --- what the table holds ---------------------------------------------------------------------

    def describe(self, connection: Session, table: sa.TableClause) -> dict[str, SourceColumn]:
        return {
            name: replace(column, zoned=_kind_of(column) == "datetimeoffset")
            if column.type
            else column
            for name, column in super().describe(connection, table).items()
        }

    def _declared(self, connection: Session, table: sa.TableClause) -> Declared:
        """From the catalogue, as the server resolves the name: default schema, views, synonyms."""
        columns = sa.table(
            "columns", *map(sa.column, ("object_id", "name", "is_nullable", "system_type_id",
                                        "user_type_id", "max_length", "precision", "scale")),
            schema="sys",
        )  # fmt: skip
        # CLR types share one system type; an alias is told as the type it stands for.
        kind = sa.case(
            (columns.c.system_type_id == _number(240), columns.c.user_type_id),
            else_=columns.c.system_type_id,
        )
        statement = sa.select(
            columns.c.name, columns.c.is_nullable, sa.func.type_name(kind).label("kind"),
            columns.c.max_length, columns.c.precision, columns.c.scale,
        ).where(
            columns.c.object_id == self._object(table)
        )  # fmt: skip
        return {
            row[0]: (_written_type(*row[2:]), bool(row[1]))
            for row in self.rows(connection, statement)
        }

    def primary_key(self, connection: Session, table: sa.TableClause) -> tuple[str, ...]:
        keys, parts, columns = (
            sa.table(name, *map(sa.column, fields), schema="sys")
            for name, fields in (
                ("indexes", ("object_id", "index_id", "is_primary_key")),
                ("index_columns", ("object_id", "index_id", "column_id")),
                ("columns", ("object_id", "column_id", "name")),
            )
        )
        statement = sa.select(columns.c.name).where(
            keys.c.object_id == self._object(table),
            keys.c.is_primary_key == _number(1),
            parts.c.object_id == keys.c.object_id,
            parts.c.index_id == keys.c.index_id,
            columns.c.object_id == parts.c.object_id,
            columns.c.column_id == parts.c.column_id,
        )
        rows = self.rows(connection, statement.order_by(columns.c.column_id))
        return tuple(str(row[0]) for row in rows)

    def _object(self, table: sa.TableClause) -> sa.ColumnElement[Any]:
        """The number of a table, or of what a synonym stands for."""
        name = self.dialect.identifier_preparer.format_table(table)
        synonyms = sa.table(
            "synonyms", sa.column("object_id"), sa.column("base_object_name"), schema="sys"
        )
        named = sa.func.object_id(sa.literal(name, sa.Unicode()))
        stands_for = (
            sa.select(synonyms.c.base_object_name)
            .where(synonyms.c.object_id == named)
            .scalar_subquery()
        )
        return sa.func.coalesce(sa.func.object_id(stands_for), named)

    # --- what is asked for ------------------------------------------------------------------------

    def select(
        self, column: sa.ColumnElement[Any], source: SourceColumn, target: Column
    ) -> sa.ColumnElement[Any]:
        """See the module's docstring."""
        kind, as_text = _kind_of(source), _is_text(target)
        if kind is None or kind in _NUMBERS - {"real"}:
            return column
        if kind == "real":
            return sa.type_coerce(column, _Real())
        if kind in _TIMES and (not as_text or target.format):
            return column
        if kind in _BINARY:
            return _hex_of(column, kind, _length_of(source), marked=target.format != _BARE_HEX)
        return _text_of(column, kind, _length_of(source))

    def refusal(self, source: SourceColumn, target: Column) -> str | None:
        kind = _kind_of(source)
        if kind is None or _is_text(target) or kind in _NUMBERS or _reads_as_more(kind):
            return None
        return f"es de tipo {source.type} y no puede leerse como {target.pg_type}"

    def total(self, column: sa.ColumnElement[Any], source: SourceColumn) -> sa.ColumnElement[Any]:
        # A sum of int is an int here, and fails beyond 2^31.
        scale = re.search(r",(\d+)\)", source.type or "")
        digits = int(scale[1]) if scale else 4 if "money" in (source.type or "") else 0
        return sa.func.sum(sa.cast(column, sa.Numeric(38, digits)))

    def since(
        self, column: sa.ColumnElement[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        # The driver drops zone and microseconds of a datetime: it travels as text instead. And
        # next to a `datetime`, the text of a date is read by the language of the login.
        if not isinstance(value, date):
            return column >= sa.bindparam("desde", value)
        kind: Any = sa.DATE()
        if isinstance(value, datetime):
            if value.microsecond % _TEN_MS == _SEVEN_MS:
                value -= _A_THIRD_BELOW
            exact: Any = DATETIMEOFFSET if value.tzinfo else DATETIME2
            kind = exact(7)
        text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        return column >= sa.cast(sa.bindparam("desde", text, type_=sa.Unicode()), kind)

    def holds_octets(self, source: SourceColumn) -> bool:
        return _kind_of(source) in _BINARY

    def since_octets(self, column: sa.ColumnElement[Any], digits: str) -> sa.ColumnElement[bool]:
        kind: Any = VARBINARY(max(1, len(digits) // 2))  # type: ignore[no-untyped-call]
        return column >= _convert(kind, sa.bindparam("desde", digits), _HEX_DIGITS)

    def since_number(self, column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
        # There are no regular expressions here, and a cast that fails ends the statement.
        number = sa.try_cast(column, sa.Numeric(38, 10))
        return sa.or_(number.is_(None), number >= sa.bindparam("desde", value))

    # --- reading ----------------------------------------------------------------------------------

    def stream(
        self, connection: Session, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]]:
        """Fewer rows at a time where they are long, so that a batch stays near 16 MiB."""
        columns = list(statement.selected_columns)
        started = time.monotonic()
        cursor = self.execute(connection, statement, streaming=True)
        try:
            # A cursor makes an iterator for every row; the connection below it gives one for all.
            rows = connection.connection._conn.get_iterator(_tuples())
            while taken := _take(rows, batch_rows, columns):
                yield [
                    _array(column, values)
                    for column, values in zip(columns, zip(*taken, strict=True), strict=True)
                ]
                _check_clock(started, connection.statement_timeout_s)
        finally:
            cursor.close()


def _number_and_text(error: Exception) -> tuple[int, str]:
    """The driver raises (number, text), or the two in a tuple of their own."""
    found = error.args[0] if len(error.args) == 1 else error.args
    number, text = found if isinstance(found, tuple) and len(found) == 2 else (0, str(found))
    return int(number), text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


# --- types ----------------------------------------------------------------------------------------


def _kind_of(source: SourceColumn) -> str | None:
    return source.type.partition("(")[0] if source.type else None


def _length_of(source: SourceColumn) -> int | None:
    """The declared length; None for `max` and for types that have none."""
    found = re.search(r"\((\d+)\)", source.type or "")
    return int(found[1]) if found else None


def _written_type(name: str, size: int, precision: int, scale: int) -> str:
    """A type as a person would declare it: `decimal(12,3)`, `nvarchar(max)`, `datetime2(7)`.

    `size` is in bytes, -1 for `max`, as the catalogue has it.
    """
    kind = name.lower()
    if kind in ("decimal", "numeric"):
        return f"{kind}({precision},{scale})"
    if kind in ("datetime2", "datetimeoffset", "time"):
        return f"{kind}({scale})"
    if kind in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        length = size // 2 if kind.startswith("n") else size
        return f"{kind}({'max' if size == -1 else length})"
    return kind


def _is_text(target: Column) -> bool:
    return target.pg_type in ("text", "jsonb")


def _reads_as_more(kind: str) -> bool:
    """Whether a type's values can be something else than text: times, numbers, and text itself."""
    return kind in _TIMES | _TEXTS or kind in ("decimal", "numeric", "money", "smallmoney", "time")


def _text_of(column: sa.ColumnElement[Any], kind: str, length: int | None) -> sa.ColumnElement[Any]:
    """A column as text, sent as bytes."""
    if kind in ("nchar", "nvarchar"):
        return _sent(column, _Utf16, length)
    if kind in ("char", "varchar") and length and length <= _MOST_UNICODE:
        return _sent(_convert(NVARCHAR(length), column), _Utf16, length)
    if kind in _PLAIN:
        width, style = _PLAIN[kind]
        text = _convert(VARCHAR(width), column, style)
        return _sent(sa.func.lower(text) if kind == "uniqueidentifier" else text, _Ascii, width)
    text = _variant_text(column) if kind == "sql_variant" else _convert(_LONG_UNICODE, column)
    return _sent(text, _Utf16, None)


def _hex_of(
    column: sa.ColumnElement[Any], kind: str, length: int | None, *, marked: bool
) -> sa.ColumnElement[Any]:
    """Binary of at most `length` bytes (None: no limit) as two digits a byte, marked by 0x."""
    style = _HEX if marked else _HEX_DIGITS
    most = 8 if kind in ("timestamp", "rowversion") else length
    digits = 2 * most + 2 if most else None
    if digits is None or digits > _MOST_BYTES:
        # Only this one may become a long text; `image` may not.
        whole = _convert(_LONG_BINARY, column)
        return _sent(_convert(_LONG_TEXT, whole, style), _Ascii, None)
    return _sent(_convert(VARCHAR(digits), column, style), _Ascii, digits)


def _sent(
    text: sa.ColumnElement[Any], carried: type[_AsBytes], characters: int | None
) -> sa.ColumnElement[Any]:
    """Text as the bytes it is made of."""
    size = characters and characters * (2 if carried is _Utf16 else 1)
    binary: Any = VARBINARY(size or "max")  # type: ignore[no-untyped-call]
    return sa.type_coerce(_convert(binary, text), carried(size))


def _convert(
    kind: sa.types.TypeEngine[Any], value: sa.ColumnElement[Any], style: int | None = None
) -> sa.ColumnElement[Any]:
    name: sa.ColumnElement[Any] = sa.literal_column(kind.compile(dialect=SqlServer.dialect))
    return sa.func.convert(name, value, *([] if style is None else [_number(style)]))


def _number(value: int) -> sa.ColumnElement[int]:
    """A number in the statement's own text: it is ours, and no parameter."""
    return sa.literal_column(str(value), sa.Integer())


def _variant_text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A sql_variant holds a type per value: each is written as a column of its type would be."""
    base = sa.func.sql_variant_property(column, sa.literal_column("'BaseType'"))
    by_style: list[tuple[Sequence[str], int]] = [
        (sorted({*_TIMES, "time"}), _TIME), (("money", "smallmoney"), _FOUR_PLACES),
        (("float", "real"), _ALL_DIGITS), (("binary", "varbinary"), _HEX),
    ]  # fmt: skip
    whole = {"binary": f"varbinary({_MOST_BYTES})", "varbinary": f"varbinary({_MOST_BYTES})"}
    cases = []
    for kinds, style in by_style:
        for kind in kinds:
            typed = sa.func.convert(sa.literal_column(whole.get(kind, kind)), column)
            written = _convert(_LONG_UNICODE, typed, style)
            cases.append((base == sa.literal_column(f"'{kind}'"), written))
    return sa.case(*cases, else_=_convert(_LONG_UNICODE, column))


# --- rows -----------------------------------------------------------------------------------------


def _tuples() -> int:
    import pymssql

    return int(pymssql._mssql.ROW_FORMAT_TUPLE)


def _take(
    rows: Iterator[tuple[Any, ...]], most: int, columns: Sequence[sa.ColumnElement[Any]]
) -> list[tuple[Any, ...]]:
    """The next rows: at most so many, and no more than make about 16 MiB of text."""
    sized = {at: c.type.most for at, c in enumerate(columns) if isinstance(c.type, _AsBytes)}
    bounded = [size for size in sized.values() if size is not None]
    longest = None if len(bounded) < len(sized) else sum(bounded)
    if longest is not None and most * longest <= _BATCH_BYTES:
        return list(islice(rows, most))
    step = _LONG_STEP if longest is None else max(1, min(_STEP, _BATCH_BYTES // longest))
    taken: list[tuple[Any, ...]] = []
    held = 0
    while len(taken) < most and held < _BATCH_BYTES:
        more = list(islice(rows, min(step, most - len(taken))))
        if not more:
            break
        taken += more
        held += sum(len(row[at] or b"") for row in more for at in sized)
    return taken


def _array(column: sa.ColumnElement[Any], values: Sequence[Any]) -> Array:
    match column.type:
        case _Ascii():
            return pc.cast(pa.array(values, pa.binary()), pa.string())
        case _Utf16():
            return _decoded(values)
        case _Real():
            return pc.cast(pa.array(values, pa.float32()), pa.string())
    if bytes in set(map(type, values)):
        # Only where the catalogue did not tell the column's type: bytes are no text to guess.
        raise SourceDataError(
            f"la columna {getattr(column, 'name', '')} trae datos binarios de un tipo que SQL "
            "Server no declara.",
            next_step="pida permiso para ver la definición de la tabla (VIEW DEFINITION).",
        )
    return column_from_values(values)


def _decoded(values: Sequence[bytes | None]) -> Array:
    """UTF-16 as text; with half a surrogate pair somewhere, bytes that are not UTF-8 there."""
    try:
        return pa.array([None if v is None else v.decode("utf-16-le") for v in values], pa.string())
    except UnicodeDecodeError:
        halves = [
            None
            if v is None
            else v.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
            for v in values
        ]
        return pa.array(halves, pa.binary())


def _check_clock(started: float, limit: int | None) -> None:
    if limit is not None and time.monotonic() - started > limit:
        import pymssql

        # As the driver words the end of a single wait.
        text = f"DB-Lib error message {_TIMED_OUT}: the statement took longer than {limit} s"
        raise pymssql.OperationalError(_TIMED_OUT, text)

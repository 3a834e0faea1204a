"""What differs between database engines when a table is read exactly and in one snapshot.

Belongs here: what every engine offers (connecting, the consistent read, streaming, what its errors
mean) and the steps engines share. Does not belong here: any one engine, or which columns and rows
are read (`readers/database.py`). Statements come as SQLAlchemy Core; values never enter a text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from sources.contract import Column
from sources.readers.arrow import Array
from sources.readers.base import ReaderOptions, Sent, column_from_values
from sources.readers.text_cursor import is_text
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

Trouble = Literal["red", "credenciales", "base", "tabla", "permiso", "tiempo", "replica", "otro"]
APPLICATION = "lujan-datos"
# A batch is handed over when it has about this many bytes, however few rows they are.
_BATCH_BYTES = 8 << 20
# Rows fetched at once, and every how many of them one is measured.
_PIECE_ROWS, _MEASURED = 64, 16
_OCTETS = re.compile(r"^(?:bytea|(?:tiny|medium|long)?blob|(?:var)?binary)\b")
# A number as text, written without backslashes: engines take them differently.
_A_NUMBER = "^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+) *$"
# The digits, and those behind the point, of the widest number that every engine has.
_WIDEST_NUMBER = (65, 20)
# Bytes of a value that is no text: what Python needs for a number or a time.
_VALUE_BYTES = 32


# Declared type (None: unknown) and whether the column takes nulls, by the source's column name.
Declared = Mapping[str, tuple[str | None, bool | None]]


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as the source declares it.

    `type` is written as the source writes it, in lower case, with length and precision; `zoned`
    tells whether its times carry a zone. None stands for unknown, as with the columns of a view
    that the server's catalogue does not describe. `hidden` is one that `select *` leaves out:
    INVISIBLE in MySQL, HIDDEN in SQL Server.
    """

    name: str
    type: str | None = None
    zoned: bool | None = None
    nullable: bool | None = None
    hidden: bool = False


class NotDecoded(Exception):
    """A value that the fast way of reading cannot take."""


class Engine(ABC):
    """One kind of database. Connections are DB-API connections."""

    name: ClassVar[str]
    dialect: Dialect
    has_schemas: ClassVar[bool] = True
    # Whether values of char(n) come with the blanks that fill them up.
    pads_texts: ClassVar[bool] = False
    # Declared types whose sums the server works out exactly; none, unless an engine says so.
    exact_numbers: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    # Of which reads the server says at their end how many rows it sent: `stream_as_sent` gives it,
    # or `rows_sent`. What is read from a watermark on may have to be counted beforehand all the
    # same, as the way of reading depends on it.
    tells_rows_sent: ClassVar[Literal["none", "whole tables", "all"]] = "none"

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

    def share_snapshot(self, connection: Any) -> str | None:
        """A name by which other connections can see the same snapshot; None: they cannot."""
        return None

    def join_snapshot(self, connection: Any, name: str) -> None:
        """See another connection's snapshot; to be called before `begin`."""
        raise NotImplementedError(f"{self.name} shares no snapshot")

    def describe(self, connection: Any, table: sa.TableClause) -> dict[str, SourceColumn]:
        """Columns of the table that the user may read, by name, in its order; hidden ones last."""
        asked: list[str] = []
        if withheld := self.withheld(connection, table):
            asked = [n for n in self._declared(connection, table) if n not in withheld]
        zones = self._zones(connection, table, asked)
        declared = self._declared(connection, table)
        hidden = [n for n in declared if n not in zones and n not in withheld]
        if hidden:
            zones |= self._zones(connection, table, hidden)
        return {
            name: SourceColumn(name, kind, zoned, nullable, name in hidden)
            for name, zoned in zones.items()
            for kind, nullable in [declared.get(name, (None, None))]
        }

    def _zones(
        self, connection: Any, table: sa.TableClause, names: Sequence[str]
    ) -> dict[str, bool | None]:
        """Whether the times of these columns carry a zone; without names, of those of `*`."""
        asked: list[Any] = [sa.column(sa.quoted_name(name, quote=True)) for name in names]
        statement = sa.select(*(asked or [sa.text("*")])).select_from(table).where(sa.false())
        cursor = self.execute(connection, statement)
        try:
            return {entry[0]: self._zoned(entry) for entry in cursor.description}
        finally:
            cursor.close()

    def _declared(self, connection: Any, table: sa.TableClause) -> Declared:
        """What the server's catalogue says of the table's columns."""
        return {}

    def withheld(self, connection: Any, table: sa.TableClause) -> frozenset[str]:
        """Columns that the user may not read, of a table of which others may be read."""
        return frozenset()

    def comments(self, connection: Any, table: sa.TableClause) -> dict[str, str]:
        """What the server's catalogue says in words of columns, by name; those that say nothing
        are left out."""
        return {}

    def filters_rows(self, connection: Any, table: sa.TableClause) -> bool:
        """Whether the server shows this user only some rows of the table, without saying so."""
        return False

    def primary_key(self, connection: Any, table: sa.TableClause) -> tuple[str, ...]:
        """Columns of the table's primary key by the server's catalogue; none for a view."""
        return ()

    def select(
        self, column: sa.ColumnElement[Any], source: SourceColumn, target: Column
    ) -> sa.ColumnElement[Any]:
        """What the server is asked for in place of a column, where its own form is not exact."""
        return column

    def written(self, column: sa.ColumnElement[Any], source: SourceColumn) -> sa.ColumnElement[Any]:
        """The column as the text the server writes."""
        return sa.cast(column, sa.Text())

    def refusal(self, source: SourceColumn, target: Column) -> str | None:
        """Why a column cannot be carried as the contract says, in words; None where it can."""
        return None

    def doubt(
        self, column: sa.ColumnElement[Any], source: SourceColumn
    ) -> sa.ColumnElement[bool] | None:
        """The condition of values that `stream_quickly` could only take as `written`, if any."""
        return None

    def total(self, column: sa.ColumnElement[Any], source: SourceColumn) -> sa.ColumnElement[Any]:
        """The exact sum of a column whose declared type matches `exact_numbers`."""
        return sa.func.sum(column)

    def row(self, connection: Any, statement: sa.Select[Any]) -> tuple[Any, ...]:
        """The only row of a statement."""
        cursor = self.execute(connection, statement)
        try:
            return tuple(cursor.fetchone())
        finally:
            cursor.close()

    def rows(self, connection: Any, statement: sa.Select[Any]) -> list[Sequence[Any]]:
        """All rows of a statement that gives a few."""
        cursor = self.execute(connection, statement)
        try:
            return list(cursor.fetchall())
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
        finished = False
        try:
            while rows := _fetch(cursor, batch_rows):
                yield self._columns(cursor.description, rows)
            finished = True
        finally:
            self._leave(cursor, finished=finished)

    def stream_quickly(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]] | None:
        """As `stream`, faster, where the engine has such a way for these columns; else None.

        Raises NotDecoded, at any batch, for a value it cannot take.
        """
        return None

    def stream_as_sent(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Generator[tuple[list[Array], Sent], None, int] | None:
        """As `stream`, each batch also as the binary COPY it came by; None where it does not.

        Gives at its end how many rows the server says it sent.
        """
        return None

    def rows_sent(self, connection: Any) -> int | None:
        """How many rows the server sent for the last statement, all of them taken; None: unknown.

        For engines that tell it and have no `stream_as_sent`.
        """
        return None

    def is_as_in_raw(self, source: SourceColumn, target: Column) -> bool:
        """Whether a column is declared at the source as in raw: its bytes could go there."""
        return False

    def estimated_rows(self, connection: Any, table: sa.TableClause) -> int:
        """About how many rows a table has, by the server's statistics; 0 where unknown."""
        return 0

    def since(
        self, column: sa.ColumnElement[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        """The condition `column >= value`. A time comes naive when `zoned` is False.

        Where snapshots are shared a statement holds several such conditions, so that the name of
        the parameter must be its own.
        """
        return column >= sa.bindparam("desde", value, unique=True)

    def holds_octets(self, source: SourceColumn) -> bool:
        """Whether values of a column are octets: contracts have them as hexadecimal digits."""
        return _OCTETS.match(source.type or "") is not None

    def since_octets(self, column: sa.ColumnElement[Any], digits: str) -> sa.ColumnElement[bool]:
        """The condition `column >= value` of octets; the value in hexadecimal digits."""
        return column >= sa.func.unhex(sa.bindparam("desde", digits, unique=True))

    def holds_text(self, source: SourceColumn) -> bool:
        """Whether values of a column are compared as text, whatever they mean."""
        return is_text(source.type)

    def since_number(self, column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
        """The condition `column >= value` of a text column by the number it writes.

        Texts that are no number, and nulls, are in it: whoever reads them decides about them.
        """
        shaped = column.regexp_match(_A_NUMBER)
        number = sa.case((shaped, sa.cast(column, sa.Numeric(*_WIDEST_NUMBER))))
        return sa.or_(number.is_(None), number >= sa.bindparam("desde", value, unique=True))

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

    def _leave(self, cursor: Any, *, finished: bool) -> None:
        """Close a cursor; the connection is closed next where not all was read."""
        cursor.close()

    def _cursor(self, connection: Any, *, streaming: bool) -> Any:
        return connection.cursor()

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return None

    def _columns(
        self, description: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]]
    ) -> list[Array]:
        return [column_from_values(values) for values in zip(*rows, strict=True)]


def _fetch(cursor: Any, batch_rows: int) -> list[Sequence[Any]]:
    """The next rows: `batch_rows` of them, or as many as a batch may have bytes."""
    rows: list[Sequence[Any]] = []
    size = 0
    while len(rows) < batch_rows and size < _BATCH_BYTES:
        piece = cursor.fetchmany(min(_PIECE_ROWS, batch_rows - len(rows)))
        if not piece:
            break
        rows.extend(piece)
        measured = piece[::_MEASURED]
        size += len(piece) * sum(map(_bytes_of, measured)) // len(measured)
    return rows


def _bytes_of(row: Sequence[Any]) -> int:
    return sum(len(v) if isinstance(v, bytes | str) else _VALUE_BYTES for v in row)


def by_text(patterns: Sequence[tuple[str, Trouble]], text: str) -> Trouble:
    for pattern, trouble in patterns:
        if re.search(pattern, text, re.IGNORECASE):
            return trouble
    return "otro"

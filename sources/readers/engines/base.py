"""What differs between database engines when a table is read exactly and in one snapshot.

Belongs here: what every engine offers (connecting, the consistent read, streaming, what its errors
mean) and the steps engines share. Does not belong here: any one engine, or which columns and rows
are read (`readers/database.py`). Statements come as SQLAlchemy Core; values never enter a text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from sources.readers.arrow import Array
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


def by_text(patterns: Sequence[tuple[str, Trouble]], text: str) -> Trouble:
    for pattern, trouble in patterns:
        if re.search(pattern, text, re.IGNORECASE):
            return trouble
    return "otro"

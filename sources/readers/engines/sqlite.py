"""SQLite: a file that stands in for another engine.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`) and which columns and rows are read (`readers/database.py`).
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import pysqlite as sqlite

from sources.readers.base import ReaderOptions
from sources.readers.engines.base import Declared, Engine, SourceColumn, Trouble, by_text
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl


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
        return by_text(self._TEXTS, str(error))

    def _declared(self, connection: Any, table: sa.TableClause) -> Declared:
        columns = sa.func.pragma_table_xinfo(str(table.name)).table_valued(
            "name", "type", "notnull"
        )
        return {
            name: (kind.lower() or None, not required)
            for name, kind, required in self.rows(
                connection, sa.select(columns.c.name, columns.c.type, columns.c.notnull)
            )
        }

    def primary_key(self, connection: Any, table: sa.TableClause) -> tuple[str, ...]:
        columns = sa.func.pragma_table_xinfo(str(table.name)).table_valued("cid", "name", "pk")
        statement = sa.select(columns.c.name).where(columns.c.pk > 0).order_by(columns.c.cid)
        return tuple(name for (name,) in self.rows(connection, statement))

    def holds_text(self, source: SourceColumn) -> bool:
        """Declared types say nothing of the values here; `since` compares what they mean."""
        return False

    def since(
        self, column: sa.ColumnElement[Any], value: CursorValue, zoned: bool | None
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

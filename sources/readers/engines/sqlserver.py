"""SQL Server, read with pymssql.

Its driver gives `datetime2(7)` rounded to microseconds: declare such a column as text if the last
digit matters.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`) and which columns and rows are read (`readers/database.py`).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2, DATETIMEOFFSET
from sqlalchemy.dialects.mssql import pymssql as mssql

from sources.readers.base import ReaderOptions
from sources.readers.engines.base import APPLICATION, Engine, Trouble
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl


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

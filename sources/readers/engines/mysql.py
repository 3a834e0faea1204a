"""MySQL and MariaDB.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`) and which columns and rows are read (`readers/database.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.mysql import pymysql as mysql

from sources.readers.arrow import Array, pc
from sources.readers.base import ReaderOptions, column_from_values
from sources.readers.engines.base import APPLICATION, Engine, Trouble
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl


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

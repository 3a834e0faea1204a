"""Database engines: one module each, chosen by the scheme of an address.

Every engine hands over values exactly, most of them as the text the server writes, and leaves it
to `sources/casting.py` to read them. So a date without a day (MySQL), an infinite time or a NaN
(PostgreSQL) is one rejected row and not a failed load.
"""

from __future__ import annotations

from sources.readers.engines.base import Engine, NotDecoded, SourceColumn, Trouble
from sources.urls import SourceUrl

__all__ = ["Engine", "NotDecoded", "SourceColumn", "Trouble", "engine_for"]


def engine_for(url: SourceUrl) -> Engine:
    """The engine behind an address; its module, and with it the driver, is imported only now."""
    match url.scheme:
        case "postgresql":
            from sources.readers.engines.postgresql import Postgresql

            return Postgresql()
        case "mysql":
            from sources.readers.engines.mysql import Mysql

            return Mysql()
        case "mssql":
            from sources.readers.engines.sqlserver import SqlServer

            return SqlServer()
        case "sqlite":
            from sources.readers.engines.sqlite import Sqlite

            return Sqlite()
        case _:
            raise ValueError(f"{url.safe}: no engine for {url.scheme!r}")

"""Which warehouse this process uses, and how each tool is told about it.

Belongs here: choosing between the city's server (`WAREHOUSE_URL`) and the embedded one, opening
it with a clear error, and handing its address to dbt, Dagster and Great Expectations through the
environment. Does not belong here: schemas and roles (`migrate.py`), the server process
(`embedded.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from sources.errors import PipelineError

if TYPE_CHECKING:
    from orchestration.settings import Settings

MINIMUM_SERVER_VERSION = 150000
_CONNECT_TIMEOUT_S = 10
# Up to so many rows a table is counted in every run: well under a second.
COUNTED_ROWS = 5_000_000


class WarehouseError(PipelineError):
    """The warehouse cannot be reached or used."""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows there are: counted, or estimated by the server."""

    rows: int
    counted: bool


@dataclass(frozen=True)
class Warehouse:
    """Address of one warehouse. `repr` never shows the password."""

    url: str
    embedded: bool

    def __repr__(self) -> str:
        return f"Warehouse({self.label}, embedded={self.embedded})"

    @property
    def label(self) -> str:
        """Host, port and database: safe to show."""
        parts = urlsplit(self.url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}/{self.database}"

    @property
    def database(self) -> str:
        return unquote(urlsplit(self.url).path.lstrip("/")) or "postgres"

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection.

        Raises WarehouseError saying whether the host, the credentials or the database is wrong.
        """
        options.setdefault("connect_timeout", _CONNECT_TIMEOUT_S)
        options.setdefault("application_name", "lujan")
        try:
            connection = psycopg.connect(self.url, **options)
        except psycopg.OperationalError as error:
            raise self._explain(error) from None
        if connection.info.server_version < MINIMUM_SERVER_VERSION:
            version = connection.info.server_version // 10000
            connection.close()
            raise WarehouseError(
                f"el almacén {self.label} es PostgreSQL {version}; se necesita 15 o posterior.",
                next_step="actualice el servidor o quite WAREHOUSE_URL para usar el embebido.",
            )
        return connection

    def count(self, schema: str, table: str) -> int:
        """Rows of one table."""
        with self.connect() as connection:
            return count_rows(connection, schema, table)

    def rows_held(self, schema: str, table: str) -> RowCount:
        """Rows of one table: see `rows_held`."""
        with self.connect() as connection:
            return rows_held(connection, schema, table)

    def sqlalchemy_url(self, driver: str = "psycopg") -> str:
        """URL for SQLAlchemy: `psycopg` (ours) or `psycopg2` (Great Expectations)."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(scheme=f"postgresql+{driver}"))

    def url_with_schema(self, schema: str) -> str:
        """SQLAlchemy URL with `schema` as search path, for tools that cannot name one.

        The driver is named: SQLAlchemy 2.1 would choose psycopg 3, which Dagster's storage, written
        for psycopg2, does not work with.
        """
        parts = urlsplit(self.sqlalchemy_url("psycopg2"))
        query = dict(parse_qsl(parts.query)) | {"options": f"-c search_path={schema}"}
        return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))

    def environment(self) -> dict[str, str]:
        """Variables by which dbt, Dagster's storage and Great Expectations find the warehouse."""
        parts = urlsplit(self.url)
        query = dict(parse_qsl(parts.query))
        return {
            "DBT_WAREHOUSE_HOST": parts.hostname or "127.0.0.1",
            "DBT_WAREHOUSE_PORT": str(parts.port or 5432),
            "DBT_WAREHOUSE_USER": unquote(parts.username or ""),
            "DBT_WAREHOUSE_PASSWORD": unquote(parts.password or ""),
            "DBT_WAREHOUSE_DBNAME": self.database,
            "DBT_WAREHOUSE_SSLMODE": query.get("sslmode", "prefer"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DAGSTER_POSTGRES_URL": self.url_with_schema("dagster"),
            "GX_WAREHOUSE_URL": self.sqlalchemy_url("psycopg2"),
            "GX_ANALYTICS_ENABLED": "false",
        }

    def _explain(self, error: psycopg.OperationalError) -> WarehouseError:
        text = str(error).lower()
        name = "el almacén embebido" if self.embedded else f"el almacén {self.label}"
        if "password authentication failed" in text or "no password supplied" in text:
            return WarehouseError(
                f"{name} rechazó el usuario o la contraseña.",
                next_step="revise usuario y contraseña de WAREHOUSE_URL.",
            )
        if "does not exist" in text:
            return WarehouseError(
                f"{name} no tiene esa base de datos o ese usuario.",
                next_step="créela (`create database …`) o corrija WAREHOUSE_URL.",
            )
        return WarehouseError(
            f"{name} no responde.",
            next_step="compruebe que el servidor esté encendido y la red permita llegar; "
            "sin WAREHOUSE_URL se usa el almacén embebido.",
        )


class KeptConnection:
    """One connection that is handed out again and again, for work that needs many in turn.

    Opening one takes 5 to 10 ms, and the server then has to look up every table anew. To be closed
    in the end (`contextlib.closing`). Not for several threads.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._idle: psycopg.Connection[tuple[Any, ...]] | None = None

    def close(self) -> None:
        if self._idle is not None:
            self._idle.close()

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A transaction on it, or on another one while it is in use: committed at the end.

        Raises WarehouseError as `Warehouse.connect` does. After an error the connection is not
        used again, nor is one that the server ended meanwhile.
        """
        connection = self._take()
        try:
            yield connection
            connection.commit()
        except BaseException:
            with suppress(psycopg.Error):
                connection.rollback()
            connection.close()
            raise
        self._keep(connection)

    def _take(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection, self._idle = self._idle, None
        if connection is not None and _lives(connection):
            return connection
        # A plan prepared once would be in the way of the next table's own columns.
        return self._warehouse.connect(prepare_threshold=None)

    def _keep(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        if self._idle is not None:
            self._idle.close()
        self._idle = connection


def _lives(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    try:
        connection.execute("select")
        connection.rollback()
    except psycopg.OperationalError:
        connection.close()
        return False
    return True


def count_rows(connection: psycopg.Connection[tuple[Any, ...]], schema: str, table: str) -> int:
    """Rows of one table, on a connection that is open already."""
    row = connection.execute(
        sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
    ).fetchone()
    return int(row[0]) if row else 0


def rows_held(connection: psycopg.Connection[tuple[Any, ...]], schema: str, table: str) -> RowCount:
    """Rows of one table: counted, or the server's own estimate where counting would take long.

    Counting reads the whole table, which a day's run over years of readings must not.
    """
    row = connection.execute(
        "select bool_and(c.reltuples >= 0), coalesce(sum(greatest(c.reltuples, 0)), 0) "
        "from pg_class c where c.relkind in ('r', 'm') and (c.oid = to_regclass(%(name)s) "
        "or c.oid in (select relid from pg_partition_tree(to_regclass(%(name)s)) where isleaf))",
        {"name": sql.Identifier(schema, table).as_string(connection)},
    ).fetchone()
    if row is not None and row[0] and row[1] > COUNTED_ROWS:
        return RowCount(int(row[1]), counted=False)
    return RowCount(count_rows(connection, schema, table), counted=True)


def locate(config: Settings | None = None, *, start: bool = True) -> Warehouse:
    """The warehouse of this configuration; the embedded server is started unless `start` is off.

    Raises WarehouseError or EmbeddedServerError.
    """
    # Not needed by whoever has an address already, and a tenth of what a small load takes to start.
    from orchestration.settings import settings
    from orchestration.warehouse.embedded import EmbeddedServer

    config = config or settings()
    if config.warehouse_url is not None:
        url = config.warehouse_url.get_secret_value()
        scheme = urlsplit(url).scheme
        if scheme not in ("postgresql", "postgres"):
            raise WarehouseError(
                f"WAREHOUSE_URL debe empezar con postgresql://, no con {scheme or 'nada'}://.",
                next_step="escriba postgresql://usuario:contraseña@servidor:5432/base.",
            )
        return Warehouse(url, embedded=False)
    server = EmbeddedServer(config.embedded_dir)
    if start:
        return Warehouse(server.start(), embedded=True)
    if not server.exists():
        raise WarehouseError("todavía no hay ningún almacén.", next_step="ejecute `lujan run`.")
    if not server.is_running():
        raise WarehouseError(
            "el almacén embebido está detenido.", next_step="ejecute `lujan warehouse start`."
        )
    return Warehouse(server.url(), embedded=True)


def export_environment(warehouse: Warehouse) -> None:
    """Put the warehouse's variables into this process's environment, for the tools it starts."""
    os.environ.update(warehouse.environment())

"""Fixtures of the attacks: warehouses in number, real sources, a scenario for each load mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from tests.sources.attacks.support import (
    MariaSource,
    PostgresSource,
    Scenario,
    TableSource,
    feed_scenario,
    table_scenario,
)
from tests.support.mariadb import MariaDb

MakeScenario = Callable[..., Scenario]
_SOURCE = "attack_source"


class Pool:
    """Migrated warehouses, emptied and used again: making and dropping one takes seconds."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._free: list[Warehouse] = []
        self._made = 0
        self._empty: tuple[str, ...] = ()
        self._views: tuple[str, ...] = ()

    def take(self) -> Warehouse:
        if self._free:
            return self._free.pop()
        self._made += 1
        url = self._server.ensure_database(f"attacked_{self._made}")
        warehouse = Warehouse(url, embedded=True)
        migrate(warehouse)
        with warehouse.connect() as connection:
            self._empty = tuple(
                name for name in _names(connection, "r") if _is_empty(connection, name)
            )
            self._views = _names(connection, "v")
        return warehouse

    def give_back(self, warehouse: Warehouse) -> None:
        """Drop what loads have made, and empty what migrations left empty."""
        with warehouse.connect() as connection:
            loaded = [n for n in _names(connection, "rp") if n.startswith("raw.")]
            views = [n for n in _names(connection, "v") if n not in self._views]
            statements = [f"drop view {name}" for name in views]
            statements += [f"drop table {n}" for n in loaded if n not in self._empty]
            statements.append(f"truncate {', '.join(self._empty)}")
            for statement in statements:
                connection.execute(statement.encode())
        self._free.append(warehouse)


def _names(connection: psycopg.Connection[tuple[Any, ...]], kinds: str) -> tuple[str, ...]:
    """Tables (r), partitioned ones (p) or views (v) that loads write to; partitions left out."""
    rows = connection.execute(
        "select format('%%I.%%I', relnamespace::regnamespace, relname) from pg_class "
        "where relnamespace::regnamespace::text in ('raw', 'quarantine', 'meta') "
        "and position(relkind::text in %s) > 0 and not relispartition order by 1",
        [kinds],
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def _is_empty(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> bool:
    return connection.execute(f"select from {name} limit 1".encode()).fetchone() is None


@pytest.fixture(scope="session")
def pool(postgres: EmbeddedServer) -> Pool:
    return Pool(postgres)


@pytest.fixture
def new_warehouse(pool: Pool) -> Iterator[Callable[[], Warehouse]]:
    """Gives empty, migrated warehouses."""
    taken: list[Warehouse] = []

    def take() -> Warehouse:
        taken.append(pool.take())
        return taken[-1]

    yield take
    for warehouse in taken:
        pool.give_back(warehouse)


@pytest.fixture
def attacked(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    """The warehouse that the attack is made on."""
    return new_warehouse()


@pytest.fixture
def clean(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    """The warehouse that nothing happens to."""
    return new_warehouse()


@pytest.fixture
def postgres_source(postgres: EmbeddedServer) -> PostgresSource:
    """A system of the city on a real PostgreSQL."""
    return PostgresSource(postgres.ensure_database(_SOURCE))


@pytest.fixture
def mariadb_source(mariadb: MariaDb) -> MariaSource:
    """A system of the city on a real MariaDB."""
    return MariaSource(mariadb)


@pytest.fixture(params=["postgresql", "mysql"])
def source(request: pytest.FixtureRequest) -> TableSource:
    """A system of the city, once on PostgreSQL and once on MariaDB."""
    name = "postgres_source" if request.param == "postgresql" else "mariadb_source"
    found = request.getfixturevalue(name)
    assert isinstance(found, PostgresSource | MariaSource)
    return found


@pytest.fixture
def scenario(tmp_path: Path, postgres_source: PostgresSource) -> MakeScenario:
    """Makes the scenario of a load mode, with a PostgreSQL or CSV files as its source."""

    def make(mode: str, rows: int, **options: object) -> Scenario:
        if mode == "files":
            return feed_scenario(tmp_path, rows, **options)
        return table_scenario(tmp_path, postgres_source, mode, rows, **options)

    return make

"""Fixtures of the attacks: warehouses in number, real sources, a scenario for each load mode."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

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
_TEMPLATE = "attack_template"


@pytest.fixture(scope="session")
def template(postgres: EmbeddedServer) -> str:
    """A migrated, empty warehouse that others are copied from."""
    migrate(Warehouse(postgres.ensure_database(_TEMPLATE), embedded=True))
    return _TEMPLATE


@pytest.fixture
def new_warehouse(postgres: EmbeddedServer, template: str) -> Iterator[Callable[[], Warehouse]]:
    """Makes empty, migrated warehouses, and drops them afterwards."""
    names: list[str] = []

    def create() -> Warehouse:
        names.append(f"attack_{uuid.uuid4().hex[:12]}")
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(names[-1]), sql.Identifier(template)
                )
            )
        return Warehouse(postgres.url(names[-1]), embedded=True)

    yield create
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


@pytest.fixture
def attacked(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    """The warehouse that the attack is made on."""
    return new_warehouse()


@pytest.fixture
def clean(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    """The warehouse that nothing happens to."""
    return new_warehouse()


@pytest.fixture
def postgres_source(new_database: Callable[[], str]) -> PostgresSource:
    """A system of the city on a real PostgreSQL."""
    return PostgresSource(new_database())


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

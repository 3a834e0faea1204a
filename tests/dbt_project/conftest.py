"""One address for the warehouses of these tests, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from tests.support.water import COMMANDS

_NAME = "almacen_dbt"
Build = Callable[[Warehouse], None]


@pytest.fixture(scope="session", autouse=True)
def _dbt_ends_with_the_session() -> Iterator[None]:
    yield
    COMMANDS.close()


@pytest.fixture
def warehouse(postgres: EmbeddedServer, migrated: str) -> Iterator[Warehouse]:
    """An empty warehouse, migrated to the newest version, under a name that does not change: dbt
    parses the whole project anew for a database that it has not seen."""
    _copy(postgres, migrated, _NAME)
    yield Warehouse(postgres.url(_NAME), embedded=True)
    _drop(postgres, _NAME)


@pytest.fixture
def built_once(postgres: EmbeddedServer, warehouse: Warehouse) -> Callable[[str, Build], None]:
    """Fills the warehouse with what `build` makes of it; the second time the same name is asked
    for, in a session, with a copy of what it made the first time."""

    def fill(name: str, build: Build) -> None:
        with psycopg.connect(postgres.url("postgres")) as connection:
            made = connection.execute(
                "select from pg_database where datname = %s", [name]
            ).fetchone()
        if made is None:
            build(warehouse)
            _copy(postgres, _NAME, name)
        else:
            _copy(postgres, name, _NAME)

    return fill


def _copy(postgres: EmbeddedServer, template: str, name: str) -> None:
    _drop(postgres, name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            f'create database "{name}" template "{template}" strategy file_copy'.encode()
        )


def _drop(postgres: EmbeddedServer, name: str) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)'.encode())

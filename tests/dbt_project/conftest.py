"""One address for the warehouses of these tests, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from tests.support.water import COMMANDS

_NAME = "almacen_dbt"


@pytest.fixture(scope="session", autouse=True)
def _dbt_ends_with_the_session() -> Iterator[None]:
    yield
    COMMANDS.close()


@pytest.fixture
def warehouse(postgres: EmbeddedServer, migrated: str) -> Iterator[Warehouse]:
    """An empty warehouse, migrated to the newest version, under a name that does not change: dbt
    parses the whole project anew for a database that it has not seen."""
    drop = f'drop database if exists "{_NAME}" with (force)'.encode()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(
            f'create database "{_NAME}" template "{migrated}" strategy file_copy'.encode()
        )
    yield Warehouse(postgres.url(_NAME), embedded=True)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(drop)

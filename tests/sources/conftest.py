"""What the tests of readers share: an empty PostgreSQL database, and a MariaDB server.

Belongs here: starting and stopping them. Does not belong here: tables, data, contracts
(`reader_support.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.support.folders import open_folder
from tests.support.mariadb import MariaDb, mariadb_server


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The address of an empty PostgreSQL database."""
    return new_database()


@pytest.fixture
def pg(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database, with every right."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A real MariaDB on loopback."""
    with open_folder("mariadb") as folder, mariadb_server(folder / "server") as server:
        yield server

"""Fixtures every test may use: a real PostgreSQL and clean databases in it.

One embedded server for the whole session, in a folder of its own; a database per test that asks
for one, so that tests see nothing of each other. Nothing here reads the developer's settings.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration import settings as settings_module
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from tests.support.ckan import CkanPortal, running_portal
from tests.support.folders import open_folder

# Files that one worker is busy with for minutes, the longest first: begun last, one of them would
# run alone while the other workers have nothing left to do.
_LONGEST_FILES = (
    "orchestration/test_pipeline.py",
    "exports/test_ckan_hostile.py",
    "benchmarks/test_defects.py",
    "dbt_project/test_agua_incremental.py",
    "dbt_project/test_agua_avisos.py",
    "dbt_project/test_project.py",
    "sources/attacks/test_cut_connections.py",
    "sources/attacks/test_all_bad.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; all others, and the tests within a file, keep their order."""
    tests = Path(__file__).parent
    turns = {tests / name: turn for turn, name in enumerate(_LONGEST_FILES)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


@pytest.fixture(scope="session", autouse=True)
def _no_developer_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests must not reach a city's systems through somebody's environment or `.env`."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(("SOURCE_", "LUJAN_SMTP_", "LUJAN_DIGEST_")) or name in (
            "WAREHOUSE_URL", "CKAN_URL", "CKAN_TOKEN", "CKAN_DATASTORE_URL"
        ):  # fmt: skip
            patch.delenv(name)
    empty = tmp_path_factory.mktemp("env") / "none.env"
    patch.setitem(settings_module.Settings.model_config, "env_file", empty)
    patch.setattr(settings_module, "ENV_FILE", empty)
    settings_module.settings.cache_clear()
    yield
    patch.undo()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """A real PostgreSQL server on loopback; tests kill its clients, never the server itself."""
    with open_folder("postgres") as folder:
        server = EmbeddedServer(folder / "server")
        server.start()
        _do_not_wait_for_the_disk(server)
        yield server
        server.destroy()


def _do_not_wait_for_the_disk(server: EmbeddedServer) -> None:
    """Nobody will miss its data, and a database per test is a third of a second of waiting."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"alter system set {setting} = off".encode())
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="session")
def portal(
    postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CkanPortal]:
    """One CKAN for the session: it takes some ten seconds to start."""
    with running_portal(tmp_path_factory.mktemp("ckan"), postgres) as running:
        yield running


@pytest.fixture
def new_database(postgres: EmbeddedServer) -> Iterator[Callable[[], str]]:
    """Makes empty databases; gives their URLs, and drops them afterwards."""
    names: list[str] = []

    def create(template: str | None = None) -> str:
        names.append(f"t_{uuid.uuid4().hex[:12]}")
        if template is not None:
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
                # File by file: the default writes every page into the log as well.
                connection.execute(
                    f'create database "{names[-1]}" template "{template}" '
                    "strategy file_copy".encode()
                )
        return postgres.ensure_database(names[-1])

    yield create
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(f'drop database if exists "{name}" with (force)'.encode())


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedServer) -> str:
    """The name of an empty warehouse, migrated to the newest version: others are copies of it."""
    migrate(Warehouse(postgres.ensure_database("almacen_migrado"), embedded=True))
    return "almacen_migrado"


@pytest.fixture
def warehouse(migrated: str, new_database: Callable[..., str]) -> Warehouse:
    """An empty warehouse, migrated to the newest version."""
    return Warehouse(new_database(template=migrated), embedded=True)


@pytest.fixture
def warehouse_url(warehouse: Warehouse) -> str:
    """libpq URL of an empty, migrated warehouse."""
    return warehouse.url


@pytest.fixture
def mlc_url(new_database: Callable[[], str]) -> str:
    """libpq URL of an empty database, for the sample's PostgreSQL system."""
    return new_database()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for code that reads the settings."""
    monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path / "data"))
    settings_module.settings.cache_clear()
    yield tmp_path / "data"  # type: ignore[misc]
    settings_module.settings.cache_clear()

"""The warehouse's disk fills up during a load: nothing is left of it, and the message says so.

Twice: by a limit on the size of files, which every user can set, and on a small real disk, which
needs the right to mount.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from sources.errors import WarehouseUnavailable
from tests.sources.attacks.conftest import MakeScenario
from tests.sources.attacks.support import (
    PostgresSource,
    Scenario,
    assert_same_tables,
    insertion,
    left_behind,
    rows_without_record,
    tables_of,
)
from tests.support.limited_postgres import database_on, small_disk, start_limited

# A raw table of these takes more than 18 MiB: accounts and meters with names of this many letters.
_ROWS = 30_000
_READINGS = 40_000
_LETTERS = 600
_FILE_LIMIT = 17 << 20
_DISK_MIB = 30
# `append` writes straight into an empty raw table, `beyond` into one that holds rows already.
MODES = ("full", "full_without_key", "append", "beyond", "files")


@pytest.fixture(scope="module")
def private_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of its own: it is restarted with and without room."""
    server = EmbeddedServer(tmp_path_factory.mktemp("short_of_space"))
    server.start()
    yield server
    server.destroy()


def assert_disk_full(scenario: Scenario, warehouse: Warehouse) -> None:
    """The load fails in words, and leaves neither rows nor a record."""
    with pytest.raises(WarehouseUnavailable, match="se quedó sin espacio en disco") as caught:
        scenario.load(warehouse, batch_rows=20_000)
    assert isinstance(caught.value.__cause__, psycopg.Error)
    message = str(caught.value)
    assert "prueba.tabla" in message and "Secretaría de Prueba" in message
    assert "Qué hacer: libere espacio en el disco del servidor del almacén" in message
    assert rows_without_record(warehouse, scenario.contract) == 0
    assert left_behind(warehouse) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_load_that_meets_the_limit_of_a_file_is_undone_and_run_again(
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    private_server: EmbeddedServer,
    clean: Warehouse,
    mode: str,
) -> None:
    name = f"limited_{mode}"
    warehouse = Warehouse(private_server.ensure_database(name), embedded=True)
    migrate(warehouse)
    attack = _scenario_of(scenario, mode)
    if mode == "beyond":
        assert attack.load(warehouse).loaded == attack.load(clean).loaded == 1
        postgres_source.run(insertion(postgres_source, 2, _ROWS))
    if mode == "files":
        attack.change()
        for file in Path(attack.url).iterdir():
            file.write_text(file.read_text().replace("\nm", f"\nm{'.' * _LETTERS}"))
    else:
        postgres_source.run(
            "alter table cuentas alter nombre type text",
            f"update cuentas set nombre = rpad(nombre, {_LETTERS}, '.')",
        )
    private_server.stop()
    start_limited(private_server, _FILE_LIMIT)

    try:
        assert_disk_full(attack, Warehouse(private_server.url(name), embedded=True))
    finally:
        private_server.stop()
        private_server.start()
    assert any(intake.beyond for intake in attack.ways.intakes) is (mode == "beyond")
    again = Warehouse(private_server.url(name), embedded=True)
    assert attack.load(again, batch_rows=20_000).errors == []
    assert attack.load(clean, batch_rows=20_000).errors == []

    assert_same_tables(again, clean)


def _scenario_of(scenario: MakeScenario, mode: str) -> Scenario:
    if mode == "beyond":
        return scenario("append", 1)
    return scenario(mode, _READINGS if mode == "files" else _ROWS)


@pytest.mark.slow
def test_a_load_that_fills_a_real_disk_keeps_the_last_good_data(
    scenario: MakeScenario,
    private_server: EmbeddedServer,
    clean: Warehouse,
) -> None:
    attack = scenario("full", 40_000)
    with (
        small_disk(_DISK_MIB) as disk,
        database_on(private_server, disk, "small_disk") as url,
    ):
        warehouse = Warehouse(url, embedded=True)
        migrate(warehouse)
        assert attack.load(warehouse).errors == attack.load(clean).errors == []
        before = tables_of(warehouse)
        attack.change()
        ballast = disk / "ballast"
        _fill(ballast, leaving_mib=1)

        assert_disk_full(attack, warehouse)
        assert tables_of(warehouse) == before
        ballast.unlink()
        assert attack.load(warehouse).errors == attack.load(clean).errors == []

        assert_same_tables(warehouse, clean)


def _fill(ballast: Path, leaving_mib: int) -> None:
    """Take the room on a disk but for the last `leaving_mib` MiB."""
    free = shutil.disk_usage(ballast.parent).free - (leaving_mib << 20)
    assert free > 0, "the disk is full already"
    ballast.write_bytes(bytes(free))

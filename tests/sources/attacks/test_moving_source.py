"""The source changes while it is read: a load is one moment of it, the next brings the rest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from tests.sources.attacks.support import (
    TABLE_MODES,
    PostgresSource,
    Scenario,
    TableSource,
    assert_same_tables,
    feed_contract,
    query,
    table_contract,
    table_scenario,
    tables_of,
    write_feed,
)
from tests.support.proxy import in_front_of, through

# Enough rows for the fast way of reading MariaDB.
_ROWS = 22_000
_TRANSFER_LOADS = 4


def at_batch(number: int, action: Callable[[], None]) -> Callable[[int], None]:
    """A progress callback that acts once, between two batches."""
    seen = 0

    def progress(rows: int) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            action()

    return progress


# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", TABLE_MODES)
def test_a_load_gives_the_table_as_it_stood_when_the_reading_began(
    tmp_path: Path, source: TableSource, attacked: Warehouse, clean: Warehouse, mode: str
) -> None:
    scenario = table_scenario(tmp_path, source, mode, _ROWS)
    assert scenario.load(clean).errors == []
    changed: list[bool] = []

    def change() -> None:
        scenario.change()
        changed.append(True)

    report = scenario.load(attacked, progress=at_batch(2, change))

    assert changed == [True]
    assert report.errors == []
    assert report.read == report.loaded + report.quarantined + report.known == _ROWS
    assert_same_tables(attacked, clean)

    assert scenario.load(attacked).errors == scenario.load(clean).errors == []
    assert_same_tables(attacked, clean)


def test_an_increment_read_while_rows_arrive_loses_and_repeats_none(
    tmp_path: Path, source: TableSource, attacked: Warehouse, clean: Warehouse
) -> None:
    """Rows of the very cursor value at which the reading stands, committed after it passed."""
    scenario = replace(table_scenario(tmp_path, source, "append", 4000), batch_rows=200)
    same_moment = (
        "insert into cuentas select cuenta_id + {by}, nombre, '7.00', "
        "(select x from (select max(actualizado_en) as x from cuentas) t) from cuentas "
        "where cuenta_id between 1 and 500"
    )
    for turn in range(1, 4):
        arriving = same_moment.format(by=turn * 10_000)
        report = scenario.load(
            attacked, progress=at_batch(1, lambda rows=arriving: source.run(rows))
        )
        assert report.errors == []
        assert (scenario.ways.intakes[-1].beyond > 0) is (turn > 1), "the first finds raw empty"
    assert scenario.load(attacked).errors == []

    assert scenario.load(clean).errors == []
    held = "select cuenta_id, nombre, saldo, actualizado_en from raw.prueba__tabla order by 1"
    assert query(attacked, held) == query(clean, held)
    assert len(query(attacked, held)) == 4000 + 3 * 500 - 4


def test_a_load_in_parallel_ranges_is_of_one_moment(
    tmp_path: Path,
    postgres_source: PostgresSource,
    attacked: Warehouse,
) -> None:
    with (
        _transfers(tmp_path, postgres_source, parallelRanges=3, maxConnections=3) as scenario,
        in_front_of(postgres_source.url) as proxy,
    ):
        _assert_balanced(replace(scenario, url=through(scenario.url, proxy)), attacked)
        assert proxy.connections == 3 * _TRANSFER_LOADS


def test_a_load_under_constant_writing_is_of_one_moment(
    tmp_path: Path, source: TableSource, attacked: Warehouse
) -> None:
    with _transfers(tmp_path, source) as scenario:
        _assert_balanced(scenario, attacked)


def _assert_balanced(scenario: Scenario, warehouse: Warehouse) -> None:
    moved = set()
    for _ in range(_TRANSFER_LOADS):
        report = scenario.load(warehouse)

        assert report.errors == [], report.errors
        assert query(
            warehouse, "select count(*), sum(saldo) from raw.prueba__tabla where cuenta_id > 0"
        ) == [(_ROWS, _ROWS * 100)]
        moved.add(query(warehouse, "select saldo from raw.prueba__tabla where cuenta_id = 1")[0])
    assert len(moved) > 1, "nothing was written meanwhile: nothing was attacked"


@contextmanager
def _transfers(folder: Path, source: TableSource, **options: Any) -> Iterator[Scenario]:
    """A table in which money moves from the first account to the last all the time.

    At any one moment the balances add up to the same, and so do the rows: each transaction also
    removes one account and opens another.
    """
    source.run(
        "drop table if exists cuentas",
        "create table cuentas (cuenta_id integer not null primary key, nombre varchar(80), "
        "saldo numeric(10,2), actualizado_en timestamp not null)",
        source_rows(source),
    )
    contract = table_contract(folder / "contrato", "full", source.kind, **options)
    over = threading.Event()

    def transfer() -> None:
        turn = 0
        while not over.is_set():
            first, last = _ROWS + turn, _ROWS + turn + 1
            source.run(
                "update cuentas set saldo = saldo - 1 where cuenta_id = 1",
                f"update cuentas set saldo = saldo + 1 where cuenta_id = {_ROWS - 1}",
                f"update cuentas set cuenta_id = {last} where cuenta_id = {first}",
            )
            turn += 1

    writer = threading.Thread(target=transfer)
    writer.start()
    try:
        yield Scenario(contract, source.url, lambda: None)
    finally:
        over.set()
        writer.join()


def source_rows(source: TableSource) -> str:
    numbers = (
        f"generate_series(1, {_ROWS}) n" if source.kind == "postgresql" else f"seq_1_to_{_ROWS}"
    )
    number = "n" if source.kind == "postgresql" else "seq"
    return (
        f"insert into cuentas select {number}, 'Cuenta', 100, "
        f"timestamp '2026-06-01 00:00:00' from {numbers}"
    )


# --- files --------------------------------------------------------------------------------------


def _feed_of_one(tmp_path: Path) -> tuple[Scenario, Path]:
    feed = tmp_path / "lecturas"
    write_feed(feed, [1], 40_000)
    # What it changes into may be much shorter.
    contract = feed_contract(tmp_path / "contrato", maxDeletionShare=1)
    return Scenario(contract, str(feed), lambda: None), feed / "dia_01.csv"


def _append(file: Path) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write("".join(f"tarde,2026-06-01 00:00:{n:02d},{n}.5\n" for n in range(60)))


def _replace(file: Path) -> None:
    other = file.with_name(".nuevo")
    other.write_text("medidor_id,fecha_hora,lectura\nm1,2026-06-01 00:00:00,7.5\n")
    other.replace(file)


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 3)


CHANGES = [
    pytest.param(_append, id="appended"),
    pytest.param(_replace, id="replaced"),
    pytest.param(_truncate, id="truncated"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_waits_for_the_next_run(
    tmp_path: Path, attacked: Warehouse, clean: Warehouse, change: Callable[[Path], None]
) -> None:
    scenario, file = _feed_of_one(tmp_path)
    before = tables_of(attacked)

    report = scenario.load(attacked, progress=at_batch(2, lambda: change(file)))

    assert report.errors == []
    assert (report.files_waiting, report.loaded) == (1, 0)
    assert "Se carga en la próxima corrida" in report.notes[0]
    after = tables_of(attacked)
    assert all(after[name] == rows for name, rows in before.items())
    assert sum(after.get("raw.prueba__tabla", {}).values()) == 0

    assert scenario.load(attacked).errors == scenario.load(clean).errors == []
    assert_same_tables(attacked, clean)


@pytest.mark.parametrize("change", CHANGES)
def test_with_an_archive_what_was_copied_is_loaded_and_then_the_change(
    tmp_path: Path, attacked: Warehouse, clean: Warehouse, change: Callable[[Path], None]
) -> None:
    scenario, file = _feed_of_one(tmp_path)
    archive = tmp_path / "archivo"
    held = "select medidor_id, fecha_hora, lectura, _source_row from raw.prueba__tabla order by 4"
    assert scenario.load(clean).errors == []

    report = scenario.load(attacked, archive=archive, progress=at_batch(2, lambda: change(file)))

    assert report.errors == []
    if report.files_waiting == 0:
        assert query(attacked, held) == query(clean, held)

    assert scenario.load(attacked, archive=archive).errors == scenario.load(clean).errors == []
    assert query(attacked, held) == query(clean, held)

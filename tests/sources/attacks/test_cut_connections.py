"""Connections cut, stalled and refused amid a load: nothing changes, the next run heals.

A source that breaks is a failed load record; a warehouse that breaks is an error that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse, WarehouseError
from sources.errors import WarehouseUnavailable
from sources.readers import open_reader
from sources.urls import SourceUrl
from tests.sources.attacks.conftest import MakeScenario
from tests.sources.attacks.support import (
    BEYOND_MODES,
    IN_PARTS,
    MODES,
    PostgresSource,
    Scenario,
    TableSource,
    assert_same_tables,
    left_behind,
    query,
    reading_sessions,
    states_of,
    table_scenario,
    tables_of,
)
from tests.support.processes import APPLICATION, run_load
from tests.support.proxy import Action, Direction, Proxy, in_front_of, through

# Enough rows for the fast way of reading MariaDB.
_ROWS = 22_000


@pytest.fixture
def source_proxy(source: TableSource) -> Iterator[Proxy]:
    with in_front_of(source.url) as proxy:
        yield proxy


@pytest.fixture
def warehouse_proxy(attacked: Warehouse) -> Iterator[Proxy]:
    with in_front_of(attacked.url) as proxy:
        yield proxy


# --- the source ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "incremental"])
@pytest.mark.parametrize("action", ["reset", "close"])
def test_a_source_cut_mid_batch_is_a_failed_load_and_the_next_run_heals(
    tmp_path: Path,
    source: TableSource,
    source_proxy: Proxy,
    attacked: Warehouse,
    clean: Warehouse,
    action: Action,
    mode: str,
) -> None:
    scenario = table_scenario(tmp_path, source, mode, _ROWS)
    by_proxy = replace(scenario, url=through(source.url, source_proxy))
    assert by_proxy.load(attacked).errors == scenario.load(clean).errors == []
    scenario.change()
    before = tables_of(attacked)
    assert scenario.load(clean).errors == []
    # A read of the same table to learn how many bytes one takes.
    usual = _bytes_of_one_load(by_proxy, source_proxy, attacked, "to_client")

    for share in (0.001, 0.3, 0.9):
        source_proxy.fail_after(int(usual * share), action)
        report = by_proxy.load(attacked)

        assert source_proxy.struck, f"the cut at {share} was not reached"
        assert report.state == "fallida"
        message = str(report.errors[0])
        assert "prueba" in message and "Secretaría de Prueba" in message
        assert "Qué hacer: verifique que el servidor esté encendido" in message
        assert tables_of(attacked) == before
        assert left_behind(attacked) == []
        source_proxy.restore()
    if action == "close":  # a reset takes with it what the client had not read yet
        assert (scenario.ways.intakes[-1].beyond > 0) is (mode in BEYOND_MODES)
    assert by_proxy.load(attacked).errors == []

    assert_same_tables(attacked, clean)
    assert states_of(attacked) == ["cargada", "fallida", "fallida", "fallida", "cargada"]


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_one_of_several_connections_cut_ends_them_all(
    tmp_path: Path,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    clean: Warehouse,
    share: float,
) -> None:
    scenario = table_scenario(tmp_path, postgres_source, IN_PARTS, _ROWS)
    with in_front_of(postgres_source.url) as proxy:
        by_proxy = replace(scenario, url=through(scenario.url, proxy))
        assert by_proxy.load(attacked).errors == scenario.load(clean).errors == []
        usual = proxy.forwarded("to_client")
        assert (scenario.ways.parts, proxy.connections) == ([3, 3], 3)
        scenario.change()
        before = tables_of(attacked)
        proxy.fail_after(int(usual * share), "reset", once=True)

        report = by_proxy.load(attacked)

        assert proxy.struck
        assert report.state == "fallida"
        assert "Qué hacer: verifique que el servidor esté encendido" in str(report.errors[0])
        assert tables_of(attacked) == before
        assert left_behind(attacked) == []
        assert reading_sessions(postgres_source) == 0
        proxy.restore()
        assert by_proxy.load(attacked).errors == scenario.load(clean).errors == []

    assert_same_tables(attacked, clean)


def _bytes_of_one_load(
    scenario: Scenario, proxy: Proxy, warehouse: Warehouse, direction: Direction
) -> int:
    """Bytes that pass when the rows of the next load are read, without loading them."""
    began = proxy.forwarded(direction)
    [(watermark,)] = query(warehouse, "select max(valor) from meta.marca")
    url = SourceUrl.parse(scenario.url)
    with open_reader(scenario.contract, url, watermark=watermark) as reader:
        reader.source_count()
        assert sum(batch.read for batch in reader.batches()) > 0
    return proxy.forwarded(direction) - began


def test_a_source_that_is_down_is_a_failed_load(
    tmp_path: Path, source: TableSource, source_proxy: Proxy, attacked: Warehouse
) -> None:
    scenario = table_scenario(tmp_path, source, "full", 100)
    source_proxy.refuse()

    report = replace(scenario, url=through(source.url, source_proxy)).load(attacked)

    assert report.state == "fallida"
    assert "no se pudo llegar al sistema prueba" in str(report.errors[0])
    assert source.url.split(":")[2].split("@")[0] not in str(report.errors[0])


@pytest.mark.parametrize("share", [0.001, 0.5], ids=["before the rows", "mid-batch"])
def test_a_source_that_falls_silent_is_given_up_after_the_time_it_has(
    tmp_path: Path,
    source: TableSource,
    source_proxy: Proxy,
    attacked: Warehouse,
    clean: Warehouse,
    share: float,
) -> None:
    scenario = table_scenario(tmp_path, source, "full", _ROWS)
    by_proxy = replace(scenario, url=through(source.url, source_proxy))
    assert by_proxy.load(attacked).errors == scenario.load(clean).errors == []
    scenario.change()
    before = tables_of(attacked)
    usual = _bytes_of_one_load(by_proxy, source_proxy, attacked, "to_client")

    source_proxy.fail_after(int(usual * share), "stall")
    # In a process of its own: one that waits for ever could not be stopped otherwise.
    outcome = run_load(by_proxy.job(attacked, read_timeout_s=1), patience_s=10)

    assert source_proxy.struck
    assert outcome.state == "fallida"
    assert re.search("no respondió a tiempo|no se pudo llegar", outcome.errors[0])
    assert tables_of(attacked) == before
    source_proxy.restore()
    assert by_proxy.load(attacked).errors == scenario.load(clean).errors == []

    assert_same_tables(attacked, clean)


def test_a_slow_source_is_read_to_its_end(
    tmp_path: Path, source: TableSource, source_proxy: Proxy, attacked: Warehouse, clean: Warehouse
) -> None:
    scenario = table_scenario(tmp_path, source, "full", 5000)
    source_proxy.slow_down(400_000)

    assert replace(scenario, url=through(source.url, source_proxy)).load(attacked).errors == []

    scenario.load(clean)
    assert_same_tables(attacked, clean)


# --- the warehouse ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_warehouse_cut_mid_batch_keeps_its_tables_and_the_next_run_heals(
    scenario: MakeScenario,
    attacked: Warehouse,
    clean: Warehouse,
    warehouse_proxy: Proxy,
    mode: str,
) -> None:
    attack = scenario(mode, _ROWS)
    by_proxy = replace(attacked, url=through(attacked.url, warehouse_proxy))
    attack.load(attacked)
    attack.load(clean)
    attack.change()
    by_proxy_clean = replace(clean, url=through(clean.url, warehouse_proxy))
    assert attack.load(by_proxy_clean).errors == []
    sent, answered = (warehouse_proxy.forwarded(way) for way in ("to_server", "to_client"))
    before = tables_of(attacked)

    # A feed keeps the files that were committed before a cut: less is left for the next.
    shares = (0.3, 0.9, 0.8) if mode != "files" else (0.2, 0.2, 0.2)
    faults: list[tuple[Direction, float, Action]] = [
        ("to_server", sent * shares[0], "reset"),
        ("to_server", sent * shares[1], "close"),
        ("to_client", answered * shares[2], "reset"),
    ]
    for direction, bytes_, action in faults:
        warehouse_proxy.fail_after(int(bytes_), action, direction)
        # Between two files a connection is opened anew: cut there, it is one that is not answered.
        with pytest.raises(
            (WarehouseUnavailable, WarehouseError),
            match=r"se cortó la conexión con el alm|no responde",
        ) as caught:
            attack.load(by_proxy)
        assert "Qué hacer: " in str(caught.value)
        assert left_behind(attacked) == []
        if mode != "files":
            assert tables_of(attacked) == before
        warehouse_proxy.restore()
    if mode in BEYOND_MODES:
        assert any(intake.beyond for intake in attack.ways.intakes[-len(faults) :])
    assert attack.load(attacked).errors == []

    assert_same_tables(attacked, clean)


@pytest.mark.parametrize("mode", MODES)
def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_missed(
    scenario: MakeScenario,
    attacked: Warehouse,
    clean: Warehouse,
    warehouse_proxy: Proxy,
    mode: str,
) -> None:
    attack = scenario(mode, 2000)
    by_proxy = replace(attacked, url=through(attacked.url, warehouse_proxy))
    attack.load(attacked)
    attack.load(clean)
    attack.change()
    assert attack.load(clean).errors == []

    # A feed first commits having asked which files it knows.
    commits = iter(range(1 if mode == "files" else 0, -1, -1))

    class Deaf(psycopg.Connection[tuple[Any, ...]]):
        """Hears nothing any more once it has asked to commit the rows."""

        def commit(self) -> None:
            if next(commits) == 0:
                warehouse_proxy.fail_after(1, "reset", "to_client")
            super().commit()

    def deaf_warehouse(**_: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return Deaf.connect(by_proxy.url, application_name=APPLICATION)

    class DeafWarehouse(Warehouse):
        connect = staticmethod(deaf_warehouse)  # type: ignore[assignment]

    with pytest.raises(WarehouseUnavailable, match="se cortó la conexión con el almacén"):
        attack.load(DeafWarehouse(by_proxy.url, embedded=True))
    if mode in BEYOND_MODES:
        assert attack.ways.intakes[-1].beyond > 0
    assert left_behind(attacked) == []
    assert attack.load(attacked).errors == []

    assert_same_tables(attacked, clean)


@pytest.mark.parametrize("mode", [*MODES, IN_PARTS])
def test_a_session_ended_by_the_administrator_leaves_nothing(
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    clean: Warehouse,
    mode: str,
) -> None:
    attack = replace(scenario(mode, 2000), batch_rows=100)
    attack.load(attacked)
    attack.load(clean)
    attack.change()
    before = tables_of(attacked)
    batches = 0

    def end_session_at_the_third_batch(rows: int) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            with attacked.connect(application_name="administrator", autocommit=True) as other:
                other.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                    "where datname = current_database() and application_name = %s",
                    [APPLICATION],
                )

    with pytest.raises(WarehouseUnavailable, match="se cortó la conexión con el almacén"):
        attack.load(attacked, progress=end_session_at_the_third_batch)
    if mode == "append":  # the third batch of an increment still has rows that changed
        assert attack.ways.intakes[-1].beyond > 0
    assert len(attack.ways.parts) == (3 if mode == IN_PARTS else 0)
    assert left_behind(attacked) == []
    assert reading_sessions(postgres_source) == 0
    if mode != "files":
        assert tables_of(attacked) == before
    assert attack.load(attacked).errors == attack.load(clean).errors == []

    assert_same_tables(attacked, clean)


def test_a_warehouse_that_is_down_says_what_to_do(
    scenario: MakeScenario, attacked: Warehouse, warehouse_proxy: Proxy
) -> None:
    warehouse_proxy.refuse()
    away = replace(attacked, url=through(attacked.url, warehouse_proxy))

    with pytest.raises(WarehouseError, match="no responde") as caught:
        scenario("full", 10).load(away)

    assert "compruebe que el servidor esté encendido" in str(caught.value)
    password = urlsplit(attacked.url).password
    assert password and password not in str(caught.value)

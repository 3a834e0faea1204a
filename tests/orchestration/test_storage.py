"""Dagster's storage keeps its connections, and finds the server again when they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from dagster import AssetCheckEvaluation, AssetKey, AssetMaterialization, DagsterInstance
from sqlalchemy.event import listen

from orchestration import instance as instance_module
from orchestration.storage import _until_yes
from orchestration.warehouse.connection import Warehouse

EVENTS = 40


@pytest.fixture
def instance(
    warehouse: Warehouse, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    """Dagster's instance as every command prepares it, in a warehouse of its own."""
    for name in (*warehouse.environment(), "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that what is exported below is undone
    instance_module.prepare_instance(warehouse)
    with DagsterInstance.get() as made:
        yield made


def store(instance: DagsterInstance, number: int) -> None:
    key = AssetKey(["agua", f"mart_{number}"])
    instance.report_runless_asset_event(AssetMaterialization(key))
    instance.report_runless_asset_event(
        AssetCheckEvaluation(asset_key=key, check_name="clave_unica", passed=True)
    )


def connections_so_far(warehouse: Warehouse) -> int:
    """Sessions that the database of the warehouse has seen."""
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(
            "select sessions from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert row
    return int(row[0])


def test_events_are_stored_over_connections_that_are_kept(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    store(instance, 0)
    before = connections_so_far(warehouse)
    for number in range(EVENTS):
        store(instance, number)
    assert connections_so_far(warehouse) - before < EVENTS / 4
    assert len(instance.all_asset_keys()) == EVENTS


def test_no_event_waits_for_the_disk(instance: DagsterInstance) -> None:
    """Also over a connection that was used and given back before."""
    for storage in (instance.event_log_storage, instance.run_storage):
        store(instance, 0)
        with storage._engine.connect() as connection:  # type: ignore[attr-defined]
            assert connection.exec_driver_sql("show synchronous_commit").scalar() == "off"


def test_the_catalogue_is_asked_once_for_tables_and_columns_that_stay(
    instance: DagsterInstance,
) -> None:
    store(instance, 0)
    asked: list[str] = []
    engine = instance.event_log_storage._engine  # type: ignore[attr-defined]
    listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    store(instance, 1)
    assert any("INSERT INTO event_logs" in statement for statement in asked)
    assert [statement for statement in asked if "pg_catalog" in statement] == []


def test_what_is_not_there_yet_is_asked_for_again() -> None:
    tables: set[str] = set()
    has_table = _until_yes(lambda name: name in tables)
    assert not has_table("nueva")
    tables.add("nueva")
    assert has_table("nueva")
    tables.clear()
    assert has_table("nueva")
    assert not has_table("otra")


def test_a_connection_that_was_cut_costs_no_event(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    store(instance, 0)
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        cut = connection.execute(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert cut
    assert cut[0] > 0
    store(instance, 1)
    assert set(instance.all_asset_keys()) == {
        AssetKey(["agua", "mart_0"]), AssetKey(["agua", "mart_1"])
    }  # fmt: skip

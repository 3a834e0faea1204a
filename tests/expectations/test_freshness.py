"""A dataset is overdue when its last update is older than its contract promises."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import yaml

from expectations.freshness import TOLERANCE, check
from orchestration.settings import DBT_PROJECT_DIR

COLUMNS = [{"name": "id", "physicalType": "integer", "primaryKey": True}]


@pytest.mark.parametrize(("days", "passed"), [(0, True), (8.3, True), (8.5, False)])
def test_late_beyond_the_tolerance(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any], days: float, passed: bool
) -> None:
    contract = make_contract(COLUMNS, frequency=(1, "w"), freshnessSeverity="error")
    land(contract, [(1,)], days_ago=days)

    found = check(connection, contract)

    assert found.paso is passed
    assert (found.severidad, found.dimension) == ("bloqueante", "actualidad")
    told = str(days).replace(".", ",")
    assert f"hace {told} días; se actualiza cada 7 días (se toleran 8,4)." in found.explicacion


def test_nothing_is_known_without_a_promise_or_a_load(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    promised = make_contract(COLUMNS, frequency=(1, "d"))
    assert check(connection, promised).paso is None
    land(promised, [(1,)])
    assert check(connection, promised).paso is True
    assert check(connection, make_contract(COLUMNS)).paso is None


def test_a_read_without_news_updates_a_table(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    table = make_contract(COLUMNS, frequency=(1, "d"))
    land(table, [(1,)], days_ago=9)
    land(table, [])
    assert check(connection, table).paso is True


@pytest.mark.parametrize("mode", ["reproceso", "relectura", "recalculo", "mes_unido"])
def test_what_brings_nothing_new_from_the_source_is_no_update(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any], mode: str
) -> None:
    table = make_contract(COLUMNS, frequency=(1, "d"))
    land(table, [(1,)], days_ago=9)
    again = land(table, [(2,)])
    connection.execute("update meta.carga set modo = %s where carga_id = %s", [mode, again])
    assert check(connection, table).paso is False


def test_a_table_that_never_had_a_row_is_not_up_to_date(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    table = make_contract(COLUMNS, frequency=(1, "d"))
    land(table, [])
    assert check(connection, table).paso is None
    assert check(connection, table).explicacion == "Todavía no trajo ninguna fila."


def test_a_load_whose_time_is_yet_to_come_does_not_make_a_table_up_to_date(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    """A clock that ran ahead for a day would leave a stale table green for a year."""
    table = make_contract(COLUMNS, frequency=(1, "d"))
    land(table, [(1,)], days_ago=-365)
    unknown = check(connection, table)
    assert unknown.paso is None
    assert "una hora que todavía no llegó" in unknown.explicacion
    land(table, [(2,)], days_ago=9)
    assert check(connection, table).paso is False
    land(table, [(3,)], days_ago=-0.01)  # another machine's clock is some minutes ahead
    assert check(connection, table).paso is True


def test_the_tolerance_is_the_one_of_the_kpi() -> None:
    project = yaml.safe_load((DBT_PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))
    assert project["vars"]["tolerancia_frecuencia"] == TOLERANCE

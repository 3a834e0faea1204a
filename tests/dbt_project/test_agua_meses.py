"""A month taken out of raw stays in the marts; put back, it is looked at again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from orchestration.settings import CITY_TIMEZONE
from orchestration.warehouse.connection import Warehouse
from sources.landing.again import RangeError, ask_again
from sources.landing.months import attach, detach
from tests.support.water import FEED, City, build_models

MART = "agua.fct_consumo_diario"
MAY = dt.date(2026, 5, 1)


def test_a_month_that_was_apart_during_a_rebuild_comes_back_into_the_marts(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    start = dt.datetime(2026, 4, 25, 3, tzinfo=dt.UTC)
    with warehouse.connect() as connection:
        city = City(connection)
        city.register()
        city.load([
            (f"M-{meter:02d}", start + dt.timedelta(hours=hour), 1000 * meter + 7 * hour, False)
            for meter in range(3) for hour in range(45 * 24)
        ])  # fmt: skip
    contract = City(connection).contracts[FEED]
    build_models(warehouse, tmp_path, [MART])
    before = rows(warehouse)

    with warehouse.connect() as connection:
        detach(connection, contract, MAY, by="Ana", reason="prueba", run_id="t")
    build_models(warehouse, tmp_path, [MART])
    assert rows(warehouse) == before, "taking a month out of raw takes nothing out of the marts"

    # The first hours of June are neighbours of May's last day, part of which raw still has.
    with warehouse.connect() as connection:
        first = dt.datetime(2026, 6, 1, 5, 30, tzinfo=dt.UTC)
        number = City(connection).load([("M-00", first, 7 * 890, False)])
        contracts = [contract]
        ask_again(connection, contracts, MAY, dt.date(2026, 6, 2), CITY_TIMEZONE, "t")
        with pytest.raises(RangeError, match="separados"):
            ask_again(connection, contracts, MAY, dt.date(2026, 5, 30), CITY_TIMEZONE, "t")
    build_models(warehouse, tmp_path, [MART])
    changed = set(rows(warehouse)) ^ set(before)
    assert {row[1] for row in changed} <= {dt.date(2026, 6, 1), dt.date(2026, 6, 2)}
    assert number in {row[5] for row in changed}
    with warehouse.connect() as connection:
        connection.execute("delete from raw.telemetria__lecturas where _load_id = %s", [number])
        ask_again(connection, contracts, first.date(), first.date(), CITY_TIMEZONE, "t")

    build_models(warehouse, tmp_path, [MART], "--full-refresh")
    assert sum(hours_read(warehouse)) < sum(row[4] for row in before) / 2

    with warehouse.connect() as connection:
        attach(connection, contract, MAY, by="Ana", run_id="t")
    build_models(warehouse, tmp_path, [MART])
    assert rows(warehouse) == before


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select medidor_id, dia, litros, litros_en_huecos, horas_con_lectura, carga_id "
            "from agua.fct_consumo_diario order by 1, 2"
        ).fetchall()


def hours_read(warehouse: Warehouse) -> list[int]:
    return [row[4] for row in rows(warehouse)]

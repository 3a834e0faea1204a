"""A month taken out of raw stays in the marts; put back, it is looked at again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from orchestration.warehouse.connection import Warehouse
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

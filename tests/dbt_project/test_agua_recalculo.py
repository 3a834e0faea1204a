"""A range of days is worked through again in one build: those days, whole, and no others.

A first build of everything must say the same. What the models hold is damaged on purpose inside and
outside the range; the build is cut after its first model, as by a kill, and carried on by the next.
"""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.build_plan import newest_changes
from orchestration.settings import CITY_TIMEZONE
from orchestration.warehouse.connection import Warehouse
from sources.landing.again import RangeError, ask_again
from tests.dbt_project.test_agua_incremental import history
from tests.support.water import FEED, City, build_models, data_test_passes

TABLES = (
    "agua.fct_consumo_horario",
    "agua.fct_consumo_diario",
    "agua.fct_consumo_mensual_medidor",
    "intermediate.int_agua__episodios_caudal",
)
FIRST, LAST = dt.date(2026, 5, 10), dt.date(2026, 5, 14)
REMOVED = dt.date(2026, 5, 11)  # all readings of one meter, by hand: no load and no history says so
DAMAGED = (dt.date(2026, 5, 12), dt.date(2026, 5, 28))  # inside the range and outside of it


def days(warehouse: Warehouse) -> dict[tuple[str, dt.date], Any]:
    with warehouse.connect() as connection:
        return {
            (meter, day): litres
            for meter, day, litres in connection.execute(
                "select medidor_id, dia, litros from agua.fct_consumo_diario"
            )
        }


def test_a_range_is_worked_through_again_though_the_build_was_cut(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    dice = random.Random(3)
    with warehouse.connect() as connection:
        city = City(connection)
        contracts = [city.contracts[FEED]]
        city.register()
        with pytest.raises(RangeError, match="todavía no se cargó"):
            ask_again(connection, contracts, FIRST, LAST, CITY_TIMEZONE, "c")
        city.load([reading for meter in range(3) for reading in history(dice, f"M-{meter:02d}")])
    build_models(warehouse, tmp_path, TABLES)
    whole = days(warehouse)

    with warehouse.connect() as connection:
        connection.execute(
            "delete from agua.fct_consumo_diario where dia = any(%s)", [list(DAMAGED)]
        )
        by_hand = connection.execute(
            "delete from raw.telemetria__lecturas where medidor_id = 'M-01' "
            "and (fecha_hora at time zone 'America/Argentina/Mendoza')::date = %s",
            [REMOVED],
        )
        assert by_hand.rowcount > 0
        with pytest.raises(RangeError, match="posterior"):
            ask_again(connection, contracts, LAST, FIRST, CITY_TIMEZONE, "c")
        with pytest.raises(RangeError, match=r"no hay ninguna lectura cargada del 01/01/2020"):
            ask_again(
                connection, contracts, dt.date(2020, 1, 1), dt.date(2020, 1, 2), CITY_TIMEZONE, "c"
            )
        before = newest_changes(connection)
        number = ask_again(connection, contracts, FIRST, LAST, CITY_TIMEZONE, "c")
        assert newest_changes(connection) == {**before, "raw.telemetria__lecturas": number}
    build_models(warehouse, tmp_path, TABLES[:1])
    assert days(warehouse).keys() == {key for key in whole if key[1] not in DAMAGED}
    build_models(warehouse, tmp_path, TABLES)

    again = days(warehouse)
    assert again.keys() == {key for key in whole if key[1] != DAMAGED[1]}
    assert {key[0] for key in whole if key in again and again[key] != whole[key]} == {"M-01"}
    with warehouse.connect() as connection:
        touched = connection.execute(
            "select min(dia), max(dia) from intermediate.int_agua__cambios_lecturas "
            "where tipo = 'dia'"
        ).fetchone()
    assert touched == (FIRST, LAST)
    a_key_is_the_servers_own_while_it_keeps_it(warehouse, tmp_path)

    build_models(warehouse, tmp_path, TABLES, "--full-refresh")
    assert again == {key: n for key, n in days(warehouse).items() if key[1] != DAMAGED[1]}


def a_key_is_the_servers_own_while_it_keeps_it(warehouse: Warehouse, folder: Path) -> None:
    """The key test reads no row of a table whose key PostgreSQL keeps, and all elsewhere."""
    table = "agua.fct_consumo_diario"
    again = f"insert into {table} select * from {table} limit 1".encode()
    with (
        warehouse.connect() as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
        connection.transaction(),
    ):
        connection.execute(again)
    assert data_test_passes(warehouse, folder, table, "clave_unica")
    with warehouse.connect() as connection:
        (index,) = connection.execute(
            "select indexrelid::regclass::text from pg_index where indisunique "
            "and indrelid = 'agua.fct_consumo_diario'::regclass"
        ).fetchone() or ("",)
        connection.execute(f"drop index {index}".encode())
        connection.execute(again)
    assert not data_test_passes(warehouse, folder, table, "clave_unica")

"""A day's water belongs to the account and the zone that had the meter on that day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from tests.support.water import City, Reading, build_models

MODELS = ("intermediate.int_agua__vigencias", "agua.fct_consumo_mensual_medidor")
JUNE = dt.datetime(2026, 6, 1, 3, tzinfo=dt.UTC)  # midnight in Mendoza
END = "9999-12-31"


@pytest.fixture
def town(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """Three accounts in two zones; four meters that count ten litres every hour of ten days."""
    with warehouse.connect() as connection:
        city = City(connection)
        city.register()
        connection.execute("truncate raw.aguas__medidores")
        for zone in (1, 2):
            city.add("aguas.zonas", zona_id=zone, nombre=f"Zona {zone}")
        for account, zone in ((1, 1), (2, 1), (3, 2)):
            city.add(
                "aguas.cuentas", cuenta_id=account, numero_cuenta=str(account),
                categoria="residencial", zona_id=zone, activa=True,
            )  # fmt: skip
        for meter, account in (("M-01", 1), ("M-03", 2), ("M-04", 2)):
            city.add(
                "aguas.medidores", medidor_id=meter, cuenta_id=account, digitos=4,
                multiplicador=1, estado="activo", fecha_instalacion="2025-01-01",
            )  # fmt: skip
        city.load([*hours("M-01", 0, 108), *hours("M-03", 0, 241), *hours("M-04", 0, 241)])
    build_models(warehouse, tmp_path, MODELS)
    return warehouse


def test_a_register_without_history_holds_for_every_day(town: Warehouse) -> None:
    assert periods(town) == [
        ("M-01", 1, 1, "1900-01-01", END),
        ("M-03", 2, 1, "1900-01-01", END),
        ("M-04", 2, 1, "1900-01-01", END),
    ]
    assert litres(town) == {("M-01", 1, 1): 1070, ("M-03", 2, 1): 2400, ("M-04", 2, 1): 2400}


def test_each_change_counts_from_its_own_day(town: Warehouse, tmp_path: Path) -> None:
    with town.connect() as connection:
        city = City(connection)
        # Exchange at noon of 5 June: the register dates both ends. It is seen on the 9th.
        city.change("aguas.medidores", "2026-06-09", {"medidor_id": "M-01"},
                    estado="retirado", fecha_retiro="2026-06-05")  # fmt: skip
        city.add(
            "aguas.medidores", "2026-06-09", medidor_id="M-02", cuenta_id=1, digitos=4,
            multiplicador=1, estado="activo", fecha_instalacion="2026-06-05",
        )  # fmt: skip
        city.load(hours("M-02", 108, 241))
        # The same meter put up in another home on 4 June, seen on the 8th.
        city.change("aguas.medidores", "2026-06-08", {"medidor_id": "M-03"},
                    cuenta_id=3, fecha_instalacion="2026-06-04")  # fmt: skip
        # A change of account that the register does not date: it counts from the day it is seen.
        city.change("aguas.medidores", "2026-06-06", {"medidor_id": "M-04"}, cuenta_id=3)
        # Account 1 goes over to another zone; another column of it changes later on.
        city.change("aguas.cuentas", "2026-06-07", {"cuenta_id": 1}, zona_id=2)
        city.change("aguas.cuentas", "2026-06-08", {"cuenta_id": 1}, domicilio="otro")

    build_models(town, tmp_path, MODELS)

    assert periods(town) == [
        ("M-01", 1, 1, "1900-01-01", "2026-06-06"),  # up to the day it was taken out
        ("M-01", None, 1, "2026-06-06", "2026-06-07"),
        ("M-01", None, 2, "2026-06-07", END),
        ("M-02", 1, 1, "1900-01-01", "2026-06-07"),
        ("M-02", 1, 2, "2026-06-07", END),
        ("M-03", 2, 1, "1900-01-01", "2026-06-04"),
        ("M-03", 3, 2, "2026-06-04", END),
        ("M-04", 2, 1, "1900-01-01", "2026-06-06"),
        ("M-04", 3, 2, "2026-06-06", END),
    ]
    # A reading at midnight belongs to the day that begins, so the first day has 23 hours.
    expected = {
        ("M-01", 1, 1): 1070,
        ("M-02", 1, 1): 350,  # 5 June from noon, and the 6th
        ("M-02", 1, 2): 970,
        ("M-03", 2, 1): 710,
        ("M-03", 3, 2): 1690,
        ("M-04", 2, 1): 1190,
        ("M-04", 3, 2): 1210,
    }
    assert litres(town) == expected

    build_models(town, tmp_path, MODELS)
    assert litres(town) == expected, "nothing was new"
    build_models(town, tmp_path, MODELS, "--full-refresh")
    assert litres(town) == expected, "the same from scratch"


def hours(meter: str, first: int, last: int) -> list[Reading]:
    return [
        (meter, JUNE + dt.timedelta(hours=hour), 1000 + hour * 10, False)
        for hour in range(first, last)
    ]


def periods(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select medidor_id, cuenta_id, zona_id, desde::text, hasta::text "
            "from intermediate.int_agua__vigencias order by medidor_id, desde"
        ).fetchall()


def litres(warehouse: Warehouse) -> dict[tuple[Any, ...], int]:
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select medidor_id, cuenta_id, zona_id, litros from agua.fct_consumo_mensual_medidor"
        ).fetchall()
        return {row[:3]: row[3] for row in rows}

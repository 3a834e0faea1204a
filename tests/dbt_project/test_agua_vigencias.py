"""A day's water belongs to the account and the zone that had the meter on that day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from tests.support.water import City, Reading, build_models

MODELS = (
    "intermediate.int_agua__vigencias",
    "agua.fct_consumo_mensual_medidor",
    "agua.fct_consumo_horario_cuenta",
    "agua.fct_consumo_diario_cuenta",
    "agua.fct_consumo_horario_zona",
    "agua.fct_consumo_diario_zona",
)
JUNE = dt.datetime(2026, 6, 1, 3, tzinfo=dt.UTC)  # midnight in Mendoza
END = "9999-12-31"


@pytest.fixture
def town(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """Three accounts in two zones; meters that count ten litres every hour of ten days."""
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
        for meter, account in (("M-01", 1), ("M-03", 2), ("M-04", 2), ("M-05", 2)):
            city.add(
                "aguas.medidores", medidor_id=meter, cuenta_id=account, digitos=4,
                multiplicador=1, estado="activo", fecha_instalacion="2025-01-01",
            )  # fmt: skip
        whole = [reading for meter in ("M-03", "M-04", "M-05") for reading in hours(meter, 0, 241)]
        city.load([*hours("M-01", 0, 108), *whole])
    build_models(warehouse, tmp_path, MODELS)
    return warehouse


def test_each_change_counts_from_its_own_day(town: Warehouse, tmp_path: Path) -> None:
    # A register without history holds for every day.
    assert periods(town) == [
        ("M-01", 1, 1, "1900-01-01", END),
        ("M-03", 2, 1, "1900-01-01", END),
        ("M-04", 2, 1, "1900-01-01", END),
        ("M-05", 2, 1, "1900-01-01", END),
    ]
    assert litres(town) == {
        ("M-01", 1, 1): 1070,
        ("M-03", 2, 1): 2400,
        ("M-04", 2, 1): 2400,
        ("M-05", 2, 1): 2400,
    }
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
        # A meter that leaves the register belongs to nobody from that day.
        city.change("aguas.medidores", "2026-06-06", {"medidor_id": "M-05"})
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
        ("M-05", 2, 1, "1900-01-01", "2026-06-06"),
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
        ("M-05", 2, 1): 1190,
        ("M-05", None, None): 1210,
    }
    assert litres(town) == expected

    for mart in ("fct_consumo_diario_cuenta", "fct_consumo_horario_cuenta"):
        # Of the retired meter nothing is left after its day: it had stopped counting.
        found = totals(town, mart, "cuenta_id")
        assert {key: found[key] for key in (1, 2, 3)} == {1: 2390, 2: 3090, 3: 2900}, mart
    for mart in ("fct_consumo_diario_zona", "fct_consumo_horario_zona"):
        assert totals(town, mart, "zona_id") == {1: 4510, 2: 3870, None: 1210}, mart
    assert ask(
        town,
        "select dia::text, litros from agua.fct_consumo_diario_cuenta "
        "where cuenta_id = 1 and dia between '2026-06-04' and '2026-06-06' order by dia",
    ) == [("2026-06-04", 240), ("2026-06-05", 230), ("2026-06-06", 240)], "both meters of the day"

    build_models(town, tmp_path, MODELS)
    assert litres(town) == expected, "nothing was new"
    build_models(town, tmp_path, MODELS, "--full-refresh")
    assert litres(town) == expected, "the same from scratch"


def hours(meter: str, first: int, last: int) -> list[Reading]:
    return [
        (meter, JUNE + dt.timedelta(hours=hour), 1000 + hour * 10, False)
        for hour in range(first, last)
    ]


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def periods(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return ask(
        warehouse, "select medidor_id, cuenta_id, zona_id, desde::text, hasta::text "
        "from intermediate.int_agua__vigencias order by medidor_id, desde",
    )  # fmt: skip


def litres(warehouse: Warehouse) -> dict[tuple[Any, ...], int]:
    rows = ask(
        warehouse,
        "select medidor_id, cuenta_id, zona_id, litros from agua.fct_consumo_mensual_medidor",
    )
    return {row[:3]: row[3] for row in rows}


def totals(warehouse: Warehouse, mart: str, key: str) -> dict[int | None, int]:
    rows = ask(warehouse, f"select {key}, sum(litros)::integer from agua.{mart} group by 1")
    return {row[0]: row[1] for row in rows}

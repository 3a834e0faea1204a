"""A build that follows changes ends in the same tables as one that reads everything again.

Forty meters with gaps, rollovers, falls, spikes, bursts and repeated readings; then, round by
round, readings that come late, come again, are revised or are taken away, and meters whose register
entry or category changes. After the rounds every incremental table must equal its own full refresh,
row by row.
"""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

from orchestration.warehouse.connection import Warehouse
from tests.support.water import City, Reading, build_models

INCREMENTAL = (
    "agua.fct_consumo_horario",
    "agua.fct_consumo_estimado",
    "agua.fct_consumo_diario",
    "agua.fct_decision_lectura",
    "agua.fct_decision_dia",
    "agua.fct_consumo_mensual_medidor",
    "agua.fct_consumo_diario_zona",
    "agua.fct_consumo_horario_zona",
    "intermediate.int_agua__episodios_caudal",
    "intermediate.int_calidad__filas_lecturas",
)
START = dt.datetime(2026, 4, 25, 3, tzinfo=dt.UTC)
DAYS = 50


def test_rounds_of_changes_end_where_a_full_refresh_ends(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    dice = random.Random(7)
    with warehouse.connect() as connection:
        city = City(connection)
        city.register()
        for account in range(12):
            city.add(
                "aguas.cuentas", cuenta_id=account, numero_cuenta=str(account), activa=True,
                categoria="residencial",
            )  # fmt: skip
        connection.execute(
            "update raw.aguas__medidores set cuenta_id = right(medidor_id, 2)::integer "
            "where medidor_id < 'M-12'"
        )
        readings = [reading for meter in range(40) for reading in history(dice, f"M-{meter:02d}")]
        held_back = [r for r in readings if dice.random() < 0.03 or in_days_that_came_late(r)]
        late = set(held_back)
        city.load([r for r in readings if r not in late])
    build_models(warehouse, tmp_path, INCREMENTAL)
    before = {name: rows(warehouse, name) for name in INCREMENTAL}
    assert all(before.values()), {name: len(found) for name, found in before.items()}

    for part in range(2):
        with warehouse.connect() as connection:
            city = City(connection)
            city.load(held_back[part::2])  # late
            city.load(dice.sample(readings, 20))  # come again, equal
            city.load([revised(dice, r) for r in dice.sample(readings, 10)])  # and differing
            city.take_away(dice, 40)
            city.load([(f"M-{part:02d}", START + dt.timedelta(days=700), 1, False)])  # the future
            if part == 1:
                connection.execute(
                    "update raw.aguas__medidores set multiplicador = 10 where medidor_id = 'M-05'"
                )
                # Another category has no threshold for bursts: those of the meter go.
                for account in (0, 1):
                    city.change(
                        "aguas.cuentas",
                        "2026-06-20",
                        {"cuenta_id": account},
                        categoria="industrial",
                    )
        build_models(warehouse, tmp_path, INCREMENTAL)
    followed = {name: rows(warehouse, name) for name in INCREMENTAL}

    build_models(warehouse, tmp_path, INCREMENTAL)
    assert followed == {name: rows(warehouse, name) for name in INCREMENTAL}, "nothing was new"

    build_models(warehouse, tmp_path, INCREMENTAL, "--full-refresh")

    for name in INCREMENTAL:
        again = rows(warehouse, name)
        assert followed[name] != before[name], name
        assert sorted({*followed[name]} - {*again})[:3] == [], name
        assert followed[name] == again, name


def in_days_that_came_late(reading: Reading) -> bool:
    """Whole days of two meters, one after the other; those of one with days in between."""
    meter, moment, _, _ = reading
    days = (moment - START).days
    return (meter == "M-03" and 10 <= days < 16) or (
        meter == "M-04" and 20 <= days < 30 and days % 3 != 1
    )


def history(dice: random.Random, meter: str) -> list[Reading]:
    """Fifty days of hourly readings with everything that can be wrong with them."""
    register = dice.randrange(9_900_000, 9_999_000) if dice.random() < 0.3 else 500_000
    leak = dice.random() < 0.5
    bursts = [dice.randrange(0, DAYS * 24) for _ in range(6)]
    found: list[Reading] = []
    silent = 0
    for hour in range(DAYS * 24):
        quiet = hour % 24 in (2, 3) and not (leak and 300 < hour < 420)
        flow = 0 if quiet else dice.randrange(5, 60)
        if any(0 <= hour - burst < 14 for burst in bursts):
            flow = dice.randrange(115, 180)
        register = (register + flow) % 10_000_000
        silent = silent - 1 if silent else (dice.randrange(1, 90) if dice.random() < 0.004 else 0)
        if silent:
            continue
        shown = register
        luck = dice.random()
        if luck < 0.003:
            shown = max(0, register - dice.randrange(1, 30_000))
        elif luck < 0.006:
            shown = register + dice.randrange(50_000, 4_000_000)
        elif luck < 0.008:
            register = max(0, register - 20_000)
        moment = START + dt.timedelta(hours=hour, minutes=dice.choice((0, 0, 0, 7, 55)))
        found.append((meter, moment, shown, dice.random() < 0.01))
        if luck > 0.99:
            found.append((meter, moment, shown + dice.choice((0, 3)), True))
    return found


def revised(dice: random.Random, reading: Reading) -> Reading:
    meter, moment, litres, estimated = reading
    return meter, moment, litres + dice.randrange(-40, 40), estimated


def rows(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        found = connection.execute(f"select to_jsonb(t)::text from {table} t order by 1".encode())
        return [tuple(row) for row in found]

"""A build that follows changes ends in the same tables as one that reads everything again.

Forty meters with gaps, rollovers, falls, spikes and repeated readings; then, round by round,
readings that come late, come again, are revised or are taken away, and a meter whose register entry
changes. After the rounds every incremental table must equal its own full refresh, row by row.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.dbt_project import dbt_executable
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse.connection import Warehouse
from sources.contract import load_catalogue
from sources.raw_table import ensure_month_partitions, ensure_raw_table

INCREMENTAL = (
    "agua.fct_consumo_horario",
    "agua.fct_consumo_estimado",
    "agua.fct_consumo_diario",
    "agua.fct_decision_lectura",
    "agua.fct_decision_dia",
    "agua.fct_consumo_mensual_medidor",
    # episodes
)
FEED = "telemetria.lecturas_csv"
START = dt.datetime(2026, 4, 25, 3, tzinfo=dt.UTC)
DAYS = 50
Reading = tuple[str, dt.datetime, int, bool]  # meter, moment, litres of the register, estimated


def test_rounds_of_changes_end_where_a_full_refresh_ends(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    dice = random.Random(7)
    with warehouse.connect() as connection:
        city = City(connection)
        city.register()
        readings = [reading for meter in range(40) for reading in history(dice, f"M-{meter:02d}")]
        held_back = [r for r in readings if dice.random() < 0.03]
        late = set(held_back)
        city.load([r for r in readings if r not in late])
    build(warehouse, tmp_path)
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
        build(warehouse, tmp_path)
    followed = {name: rows(warehouse, name) for name in INCREMENTAL}

    build(warehouse, tmp_path)
    assert followed == {name: rows(warehouse, name) for name in INCREMENTAL}, "nothing was new"

    build(warehouse, tmp_path, "--full-refresh")

    for name in INCREMENTAL:
        again = rows(warehouse, name)
        assert followed[name] != before[name], name
        assert [r for r in followed[name] if r not in again][:3] == [], name
        assert followed[name] == again, name


class City:
    """Raw tables written as loads would write them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.contracts = load_catalogue().contracts

    def register(self) -> None:
        for contract in self.contracts.values():
            ensure_raw_table(self.connection, contract)
        months = [dt.date(2026, month, 1) for month in range(4, 8)] + [dt.date(2028, 3, 1)]
        ensure_month_partitions(self.connection, self.contracts[FEED], months)
        self.connection.execute(
            "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
            "contrato_sha256, modo_carga) values (%s, 'telemetria', 'x', "
            "'raw.telemetria__lecturas', '1', 'x', 'files')",
            [FEED],
        )
        self.connection.execute(
            "insert into raw.aguas__medidores (medidor_id, digitos, multiplicador, unidad, "
            "tipo_telemetria, estado, _load_id) select format('M-%s', lpad(i::text, 2, '0')), 4, "
            "1, 'm3', 'csv', 'activo', 1 from generate_series(0, 35) as i"
        )

    def load(self, readings: list[Reading]) -> int:
        number = self.new_load()
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into raw.telemetria__lecturas (medidor_id, fecha_hora, lectura, unidad, "
                "estimada, _load_id) values (%s, %s, %s, 'L', %s, %s)",
                [(*reading, number) for reading in readings],
            )
        return number

    def take_away(self, dice: random.Random, count: int) -> None:
        """What a revised file lacks: gone from raw, kept in the history of changes."""
        number = self.new_load()
        found = self.connection.execute(
            "select ctid::text, tableoid from raw.telemetria__lecturas order by fecha_hora, "
            "medidor_id, lectura, _load_id"
        ).fetchall()
        for place, table in dice.sample(found, count):
            self.connection.execute(
                "with gone as (delete from raw.telemetria__lecturas t "
                "where ctid = %s::tid and tableoid = %s returning to_jsonb(t) as fila) "
                "insert into raw._historial (dataset, operacion, fila, carga_id) "
                "select %s, 'baja', fila, %s from gone",
                [place, table, FEED, number],
            )

    def new_load(self) -> int:
        row = self.connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin) values ('t', %s, 'cargada', 'files', '1', 'x', "
            "'2026-07-01', '2026-07-01') returning carga_id",
            [FEED],
        ).fetchone()
        assert row is not None
        return int(row[0])


def history(dice: random.Random, meter: str) -> list[Reading]:
    """Fifty days of hourly readings with everything that can be wrong with them."""
    register = dice.randrange(9_900_000, 9_999_000) if dice.random() < 0.3 else 500_000
    leak = dice.random() < 0.5
    found: list[Reading] = []
    silent = 0
    for hour in range(DAYS * 24):
        quiet = hour % 24 in (2, 3) and not (leak and 300 < hour < 420)
        register = (register + (0 if quiet else dice.randrange(5, 60))) % 10_000_000
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


def build(warehouse: Warehouse, folder: Path, *options: str) -> None:
    """Build the tables under test and what they are made from; the data tests are not run."""
    wanted = " ".join(f"+{name.split('.')[1]}" for name in INCREMENTAL)
    done = subprocess.run(
        [dbt_executable(), "build", *options, "--select", wanted,
         "--exclude", "resource_type:unit_test resource_type:test",
         "--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR),
         "--target-path", str(folder / "target"), "--log-path", str(folder), "--no-use-colors"],
        env=os.environ | warehouse.environment() | {"DBT_FECHA_REFERENCIA": "2026-07-01"},
        cwd=DBT_PROJECT_DIR, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(done.stdout[-4000:])

"""The water models of a city where clocks are changed in summer: another zone is one line.

Madrid puts its clocks forward at 02:00 and back at 03:00, Santiago at midnight of a Saturday; both
changes fall within the night window or on the border of a day.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from jinja2 import Environment

from orchestration.settings import DBT_PROJECT_DIR, REFERENCE_DIR
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from sources.city import city_timezone
from sources.raw_table import ensure_month_partitions
from tests.support.water import FEED, City, build_models, data_test_passes

LITRES_PER_HOUR = 10
HOUR = dt.timedelta(hours=1)
TABLES = (
    "agua.fct_caudal_minimo_nocturno",
    "agua.fct_decision_lectura",
    "agua.fct_consumo_mensual_cuenta",
    "agua.fct_consumo_mensual_zona",
)
# Those whose clocks are changed at midnight (Havana's and the Azores' then comes twice), by half an
# hour, or not at all.
ZONES = (
    "Africa/Cairo",
    "America/Argentina/Mendoza",
    "America/Asuncion",
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Europe/Madrid",
)
MONTHS = [dt.date(2025, month, 1) for month in range(3, 12)]

# Day → hours it has, hours of its night window (2 to 4 on the clock).
CHANGES = {
    "Europe/Madrid": {
        dt.date(2025, 3, 29): (24, 2),
        dt.date(2025, 3, 30): (23, 1),
        dt.date(2025, 3, 31): (24, 2),
        dt.date(2025, 10, 26): (25, 2),
        dt.date(2025, 10, 27): (24, 2),
    },
    "America/Santiago": {
        dt.date(2025, 4, 5): (25, 2),
        dt.date(2025, 4, 6): (24, 2),
        dt.date(2025, 9, 6): (24, 2),
        dt.date(2025, 9, 7): (23, 2),
    },
}


def another_city(folder: Path, zone: str) -> Path:
    """The dbt project with the one line changed."""
    project = folder / "ciudad" / "dbt_project"
    shutil.copytree(
        DBT_PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs"), symlinks=True
    )
    shutil.copytree(REFERENCE_DIR, folder / "ciudad" / "seeds" / "reference")
    settings = project / "dbt_project.yml"
    text = settings.read_text(encoding="utf-8")
    here = f"zona_horaria: {city_timezone().key}"
    assert text.count(here) == 1
    settings.write_text(text.replace(here, f"zona_horaria: {zone}"), encoding="utf-8")
    return project


def hourly(meter: str, zone: ZoneInfo, days: list[dt.date]) -> list[Any]:
    """Readings of a meter with an even flow, each hour from the eve of each day to its end."""
    moments = set()
    for day in days:
        moment = dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC) - 3 * HOUR
        end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
        while moment < end:
            moments.add(moment)
            moment += HOUR
    first = min(moments)
    return [
        (meter, moment, 1000 + int((moment - first) / HOUR) * LITRES_PER_HOUR, False)
        for moment in sorted(moments)
    ]


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("zone", CHANGES)
def test_days_of_23_and_25_hours_are_whole_days(
    warehouse: Warehouse, tmp_path: Path, zone: str
) -> None:
    project, local, days = another_city(tmp_path, zone), ZoneInfo(zone), CHANGES[zone]
    readings = hourly("M-00", local, list(days))
    last_days = [row for row in readings if row[1].month >= 9]
    with warehouse.connect() as connection:
        city = City(connection)
        city.register()
        ensure_month_partitions(connection, city.contracts[FEED], MONTHS)
        city.add("aguas.zonas", zona_id=1, nombre="Norte")
        city.add("aguas.cuentas", day="2025-01-01", cuenta_id=1, zona_id=1, activa=True)
        connection.execute(
            "update raw.aguas__medidores set cuenta_id = 1 where medidor_id = 'M-00'"
        )
        city.load([row for row in readings if row not in last_days])
    work = tmp_path / "trabajo"
    work.mkdir()

    build_models(warehouse, work, TABLES, project=project)
    with warehouse.connect() as connection:
        City(connection).load(last_days)
    build_models(warehouse, work, TABLES, project=project)

    wanted_days = f"array[{', '.join(repr(str(day)) for day in days)}]::date[]"
    wanted = [
        (day, hours * LITRES_PER_HOUR, hours, night * 3600, 10, 1)
        for day, (hours, night) in days.items()
    ]
    built = rows(
        warehouse,
        "select d.dia, d.litros, d.horas_con_lectura, d.segundos_nocturnos, "
        "d.caudal_nocturno_lh::integer, z.medidores_de_noche "
        "from agua.fct_consumo_diario d join agua.fct_consumo_diario_zona z using (dia) "
        f"where d.dia = any({wanted_days}) and z.zona_id = 1 order by d.dia",
    )
    assert built == wanted
    # Flow at night is the flow of the day: 100 %, whatever the hours of the day.
    assert rows(
        warehouse,
        "select distinct parte_del_caudal_medio_pct::integer "
        "from agua.fct_caudal_minimo_nocturno where medidores_de_noche = 1 "
        f"and dia = any({wanted_days})",
    ) == [(100,)]
    assert data_test_passes(warehouse, work, None, "nada_se_pierde_en_lecturas", project=project)


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_starts_with_its_first_moment(postgres: EmbeddedServer, zone: str) -> None:
    macros = (DBT_PROJECT_DIR / "macros" / "agua_incremental.sql").read_text(encoding="utf-8")
    template = Environment(extensions=["jinja2.ext.do"], autoescape=False).from_string(
        macros, globals={"var": {"zona_horaria": zone}.__getitem__}
    )
    start = template.module.inicio_dia("dia::date")  # type: ignore[attr-defined]
    with psycopg.connect(postgres.url("postgres")) as connection:
        wrong = connection.execute(
            f"select dia::date, {start} "
            "from generate_series(date '2020-01-01', date '2030-12-31', '1 day') as dias (dia) "
            f"where ({start} at time zone %(zone)s)::date <> dia::date "
            f"or (({start} - interval '1 s') at time zone %(zone)s)::date >= dia::date".encode(),
            {"zone": zone},
        ).fetchall()

    assert wrong == []

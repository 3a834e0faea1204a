"""Projections of consumption per zone, kept with the error they were made with.

Belongs here: the months that are read, what is kept, and when nothing has to be done. Does not
belong here: the arithmetic (`forecasting.py`), the series (dbt, `int_agua__serie_consumo_zona`), or
Dagster (`assets/projections.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter

from orchestration.forecasting import LEVEL, Projection, project
from orchestration.warehouse.connection import Warehouse
from sources.raw_table import Connection

# Counts with the library: a change of either makes every zone's projection anew.
METHOD_VERSION = 1
SERIES = "intermediate.int_agua__serie_consumo_zona"
# Views on what is kept.
SHOWN_IN = ("agua.fct_proyeccion_consumo", "agua.kpi_proyeccion_consumo")
_SERIES = """
    select zona_id, mes, litros_medidor_dia, medidores
    from intermediate.int_agua__serie_consumo_zona
    where es_completo
    order by zona_id, mes
"""
_KNOWN = """
    select distinct on (zona_id) zona_id, serie_sha256
    from meta.proyeccion
    order by zona_id, proyeccion_id desc
"""
_ZONES = "select distinct zona_id from intermediate.int_agua__serie_consumo_zona order by zona_id"


@dataclass(frozen=True, slots=True)
class ZoneSeries:
    """Complete months of a zone without a gap, up to the last one: litres per meter and day."""

    zone: int
    months: tuple[dt.date, ...]
    values: tuple[float, ...]
    meters: int | None  # of the last month

    def fingerprint(self) -> str:
        """Changes when a month, a value, the meters or the method do."""
        shown = [
            [str(month) for month in self.months],
            [repr(value) for value in self.values],
            self.meters,
            library(),
        ]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ZoneOutcome:
    """What was kept for a zone; `projection` is None when its series had not changed."""

    zone: int
    months: int
    projection: Projection | None


def library() -> str:
    """The forecasting library and the version of what is done with it."""
    return f"statsmodels {version('statsmodels')}, método {METHOD_VERSION}"


def update_projections(warehouse: Warehouse) -> list[ZoneOutcome]:
    """Project every zone whose series changed; all of them are kept together or none.

    Raises what psycopg raises.
    """
    with warehouse.connect() as connection:
        # Two runs at once would keep one projection twice.
        connection.execute("select pg_advisory_xact_lock(hashtext('meta.proyeccion'))")
        known = dict(connection.execute(_KNOWN).fetchall())
        outcomes = []
        for series in read_series(connection):
            fingerprint = series.fingerprint()
            if known.get(series.zone) == fingerprint:
                outcomes.append(ZoneOutcome(series.zone, len(series.months), None))
                continue
            found = project(series.values)
            _keep(connection, series, fingerprint, found)
            outcomes.append(ZoneOutcome(series.zone, len(series.months), found))
    return outcomes


def are_behind(connection: Connection) -> bool:
    """Whether the series of some zone has changed since it was projected, or never was."""
    if connection.execute("select to_regclass(%s)", [SERIES]).fetchone() == (None,):
        return False
    known: dict[int, str] = dict(connection.execute(_KNOWN).fetchall())
    return any(known.get(one.zone) != one.fingerprint() for one in read_series(connection))


def read_series(connection: Connection) -> list[ZoneSeries]:
    """The series of every zone; a zone without a complete month has an empty one."""
    found = {
        int(zone): _without_gaps(int(zone), list(rows))
        for zone, rows in groupby(connection.execute(_SERIES).fetchall(), key=itemgetter(0))
    }
    zones = [int(row[0]) for row in connection.execute(_ZONES).fetchall()]
    return [found.get(zone) or ZoneSeries(zone, (), (), None) for zone in zones]


def following(month: dt.date, steps: int) -> dt.date:
    """First day of the month `steps` later."""
    count = month.year * 12 + month.month - 1 + steps
    return dt.date(count // 12, count % 12 + 1, 1)


def _without_gaps(zone: int, rows: Sequence[tuple[int, dt.date, float, int]]) -> ZoneSeries:
    """The months that follow each other up to the last: what lies before a gap is left out."""
    start = len(rows) - 1
    while start > 0 and following(rows[start - 1][1], 1) == rows[start][1]:
        start -= 1
    kept = rows[start:]
    return ZoneSeries(
        zone,
        tuple(row[1] for row in kept),
        tuple(float(row[2]) for row in kept),
        int(kept[-1][3]),
    )


def _keep(connection: Connection, series: ZoneSeries, fingerprint: str, found: Projection) -> None:
    row = connection.execute(
        "insert into meta.proyeccion (zona_id, serie_sha256, metodo, forma, motivo, "
        "meses_historia, primer_mes, ultimo_mes, medidores, meses_apartados, error_modelo_pct, "
        "error_base_pct, cobertura_pct, ensanche, nivel_pct, biblioteca) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "returning proyeccion_id",
        [
            series.zone,
            fingerprint,
            found.method,
            found.form,
            found.reason,
            len(series.months),
            series.months[0] if series.months else None,
            series.months[-1] if series.months else None,
            series.meters,
            found.held_out,
            found.model_error_pct,
            found.baseline_error_pct,
            found.coverage_pct,
            found.widened,
            round(100 * LEVEL),
            library(),
        ],
    ).fetchone()
    assert row is not None
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into meta.proyeccion_mes (proyeccion_id, mes, litros_medidor_dia, minimo, "
            "maximo) values (%s, %s, %s, %s, %s)",
            [
                (row[0], following(series.months[-1], step), point.value, point.low, point.high)
                for step, point in enumerate(found.points, start=1)
            ],
        )

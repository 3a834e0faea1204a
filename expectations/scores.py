"""Scores of quality as history: what each day's last build of the models measured.

Belongs here: keeping the scores that dbt computed, and asking for them. Does not belong here: the
arithmetic (`dbt_project/models/marts/calidad/`), or weights and minimums
(`seeds/reference/dimensiones_calidad.csv`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from psycopg.rows import class_row

from sources.raw_table import Connection


@dataclass(frozen=True, slots=True)
class Score:
    """A data set against the standard. Points are of 100; None is unknown, never 0."""

    dataset: str
    secretaria: str | None
    puntaje: Decimal | None
    cobertura_pct: Decimal
    cumple_estandar: bool | None
    motivo_estandar: str


@dataclass(frozen=True, slots=True)
class LostPoints:
    """Why points are missing; what was not measured is one of the reasons (`sin_medir`)."""

    dimension: str
    regla: str
    regla_nombre: str
    columna: str | None
    filas_fallidas: int | None
    puntos_perdidos: Decimal
    siguiente_paso: str


@dataclass(frozen=True, slots=True)
class AreaScore:
    """A secretariat's data sets; those of which it is not known are never among the good."""

    secretaria: str
    conjuntos: int
    cumplen: int
    no_cumplen: int
    sin_saber: int
    puntaje_medio: Decimal | None


@dataclass(frozen=True, slots=True)
class DayScore:
    """One day of a data set's history."""

    dia: dt.date
    puntaje: Decimal | None
    cobertura_pct: Decimal
    cumple_estandar: bool | None


def record_scores(connection: Connection, timezone: str) -> int:
    """Keep the scores under the day of `timezone` on which the models were last built.

    Doing it again changes nothing. Returns the data sets kept: 0 when the models never were built
    or their last build failed. The caller owns the transaction; raises what psycopg raises.
    """
    built = connection.execute(
        "select estado, corrida_id, (fin at time zone %s)::date from meta.construccion "
        "where objeto = 'calidad.kpi_calidad_dataset' order by construccion_id desc limit 1",
        [timezone],
    ).fetchone()
    if built is None or built[0] != "ok":
        return 0
    facts = {"run_id": built[1], "day": built[2]}
    connection.execute(_KEEP_POINTS, facts)
    return connection.execute(_KEEP_SCORES, facts).rowcount


def scores(connection: Connection, area: str | None = None) -> list[Score]:
    """Every data set's score, the worst first; `area` is part of a secretariat's name."""
    with connection.cursor(row_factory=class_row(Score)) as cursor:
        return cursor.execute(
            "select dataset, secretaria, puntaje, cobertura_pct, cumple_estandar, motivo_estandar "
            "from calidad.kpi_calidad_dataset "
            "where %(area)s::text is null or strpos(lower(secretaria), lower(%(area)s)) > 0 "
            "order by cumple_estandar nulls first, puntaje nulls first, dataset",
            {"area": area},
        ).fetchall()


def area_scores(connection: Connection) -> list[AreaScore]:
    """Every secretariat's data sets against the standard."""
    with connection.cursor(row_factory=class_row(AreaScore)) as cursor:
        return cursor.execute(
            "select secretaria, conjuntos, cumplen, no_cumplen, sin_saber, puntaje_medio "
            "from calidad.kpi_calidad_secretaria order by secretaria"
        ).fetchall()


def lost_points(connection: Connection, dataset: str) -> list[LostPoints]:
    """Why a data set has not 100 points, the dearest reason first."""
    with connection.cursor(row_factory=class_row(LostPoints)) as cursor:
        return cursor.execute(
            "select dimension, regla, regla_nombre, columna, filas_fallidas, puntos_perdidos, "
            "siguiente_paso from calidad.fct_punto_perdido where dataset = %s "
            "order by puntos_perdidos desc, dimension, regla, columna",
            [dataset],
        ).fetchall()


def score_history(connection: Connection, dataset: str, days: int = 30) -> list[DayScore]:
    """The last `days` days on which a data set was measured, newest first."""
    with connection.cursor(row_factory=class_row(DayScore)) as cursor:
        return cursor.execute(
            "select dia, puntaje, cobertura_pct, cumple_estandar from meta.puntaje_estandar "
            "where dataset = %s order by dia desc limit %s",
            [dataset, days],
        ).fetchall()


def models_ready(connection: Connection) -> bool:
    """Whether there are scores to show: the models were built at least once."""
    row = connection.execute(
        "select to_regclass('calidad.kpi_calidad_secretaria') is not null "
        "and to_regclass('calidad.fct_punto_perdido') is not null"
    ).fetchone()
    return bool(row and row[0])


_KEEP_POINTS = """
insert into meta.puntaje (dia, dataset, dimension, secretaria, peso, puntos, corrida_id)
select %(day)s, dataset, dimension, secretaria, peso, puntos, %(run_id)s
from calidad.kpi_calidad_dimension
on conflict (dataset, dia, dimension) do update set
    secretaria = excluded.secretaria, peso = excluded.peso, puntos = excluded.puntos,
    corrida_id = excluded.corrida_id, medido_en = now()
where (puntaje.secretaria, puntaje.peso, puntaje.puntos, puntaje.corrida_id)
    is distinct from (excluded.secretaria, excluded.peso, excluded.puntos, excluded.corrida_id)
"""

_KEEP_SCORES = """
insert into meta.puntaje_estandar (
    dia, dataset, secretaria, puntaje, cobertura_pct, cumple_estandar, motivo, corrida_id
)
select
    %(day)s, dataset, secretaria, puntaje, cobertura_pct, cumple_estandar, motivo_estandar,
    %(run_id)s
from calidad.kpi_calidad_dataset
on conflict (dataset, dia) do update set
    secretaria = excluded.secretaria, puntaje = excluded.puntaje,
    cobertura_pct = excluded.cobertura_pct, cumple_estandar = excluded.cumple_estandar,
    motivo = excluded.motivo, corrida_id = excluded.corrida_id, medido_en = now()
"""

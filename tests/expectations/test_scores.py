"""Scores are kept by day, once, and only when they were measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from expectations.scores import record_scores, score_history
from orchestration.warehouse.connection import Warehouse

MENDOZA = "America/Argentina/Mendoza"
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def measured(warehouse: Warehouse) -> Iterator[Connection]:
    """One data set: validity measured, accuracy not."""
    with warehouse.connect() as connection:
        connection.execute(
            b"create table calidad.kpi_calidad_dimension as select 'a.uno' as dataset, "
            b"'Obras'::text as secretaria, 'validez' as dimension, 20.0 as peso, 17.5 as puntos "
            b"union all select 'a.uno', 'Obras', 'exactitud', 10, null"
        )
        connection.execute(
            b"create table calidad.kpi_calidad_dataset as select 'a.uno' as dataset, "
            b"'Obras'::text as secretaria, 17.5 as puntaje, 20.0 as cobertura_pct, "
            b"null::boolean as cumple_estandar, 'No se sabe.' as motivo_estandar"
        )
        yield connection


def built(connection: Connection, run: str, when: str, state: str = "ok") -> None:
    connection.execute(
        "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
        "ultima_carga_id, fin) values (%s, 'calidad.kpi_calidad_dataset', 'n', %s, '', 0, %s)",
        [run, state, when],
    )


def points(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select dia, dimension, puntos, corrida_id from meta.puntaje order by dia, dimension"
    ).fetchall()


def test_a_day_of_mendoza_is_kept_once_with_the_unknown_as_unknown(measured: Connection) -> None:
    built(measured, "c1", "2026-06-02 01:30:00+00")  # 22:30 of the day before, there

    assert record_scores(measured, MENDOZA) == record_scores(measured, MENDOZA) == 1

    day = dt.date(2026, 6, 1)
    assert points(measured) == [
        (day, "exactitud", None, "c1"), (day, "validez", Decimal("17.5000"), "c1")
    ]  # fmt: skip
    [kept] = score_history(measured, "a.uno")
    assert (kept.dia, kept.puntaje, kept.cumple_estandar) == (day, Decimal("17.50"), None)


def test_the_last_run_of_a_day_stands_and_earlier_days_stay(measured: Connection) -> None:
    built(measured, "c1", "2026-06-01 12:00:00+00")
    record_scores(measured, MENDOZA)
    built(measured, "c2", "2026-06-02 12:00:00+00")
    measured.execute("update calidad.kpi_calidad_dataset set puntaje = 10, cumple_estandar = false")
    record_scores(measured, MENDOZA)
    built(measured, "c3", "2026-06-02 18:00:00+00")
    measured.execute("update calidad.kpi_calidad_dataset set puntaje = 20, cumple_estandar = true")

    record_scores(measured, MENDOZA)

    days = score_history(measured, "a.uno")
    assert [(d.dia.day, d.puntaje, d.cumple_estandar) for d in days] == [
        (2, Decimal("20.00"), True), (1, Decimal("17.50"), None)
    ]  # fmt: skip


def test_what_failed_to_build_is_not_kept(measured: Connection) -> None:
    assert record_scores(measured, MENDOZA) == 0
    built(measured, "c1", "2026-06-01 12:00:00+00", "error")
    assert record_scores(measured, MENDOZA) == 0
    assert points(measured) == []

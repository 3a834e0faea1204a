"""Monitors: quiet on what is usual, with its weekdays and seasons; loud on what is not."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from expectations.monitors import (
    ColumnProfile,
    Profile,
    check,
    js_distance,
    judge_distribution,
    judge_interval,
    judge_nulls,
    judge_volume,
)

START = dt.date(2024, 1, 1)  # a Monday


def day(number: int, rows: float, scope: str = "llegadas") -> Profile:
    date = START + dt.timedelta(days=number)
    at = dt.datetime.combine(date, dt.time(3), dt.UTC)
    return Profile(date, at, scope, round(rows), (("id", "integer"),))


def weekly(number: int) -> float:
    """Five working days of about 1000 rows, a weekend of about 100."""
    noise = random.Random(number).uniform(0.95, 1.05)
    return noise * (100 if number % 7 >= 5 else 1000)


def test_weekends_are_no_surprise_and_a_working_day_like_a_weekend_is() -> None:
    history = [day(n, weekly(n)) for n in range(70)]
    for number in range(70, 77):
        assert judge_volume(history, day(number, weekly(number))).passed is True, number
    monday = judge_volume(history, day(70, 100))
    assert monday.passed is False
    assert monday.basis == "el mismo día de la semana"


def test_summer_is_compared_with_summers_when_there_are_two_of_them() -> None:
    def rows(number: int) -> float:
        return 1000 * (1 + 0.9 * math.sin(2 * math.pi * number / 365.25))

    history = [day(n, rows(n)) for n in range(800)]
    peak, trough = 800 + 22, 800
    assert judge_volume(history[:peak], day(peak, rows(peak))).basis.endswith("misma época")
    assert judge_volume(history, day(trough, rows(trough))).passed is True
    assert judge_volume(history, day(trough, rows(trough) / 5)).passed is False


def test_one_broken_day_in_the_history_moves_nothing() -> None:
    history = [day(n, 1000 + n % 5) for n in range(70)]
    history[63] = day(63, 900_000)  # a Monday, as the day that is judged
    assert judge_volume(history, day(70, 1002)).passed is True
    assert judge_volume(history, day(70, 10)).passed is False


def test_a_short_history_says_nothing() -> None:
    assert judge_volume([], day(0, 5)).passed is None
    daily = [day(n, 1000) for n in range(40)]
    assert judge_volume(daily, day(40, 1)).passed is None, "five Saturdays are no rhythm yet"
    assert judge_nulls([ColumnProfile(10, 0)] * 3, ColumnProfile(10, 10)).passed is None


def test_a_whole_table_that_collapses_is_seen_from_the_second_time_on() -> None:
    def now(before: int, rows: int) -> bool | None:
        return judge_volume([day(0, before, "tabla")], day(1, rows, "tabla")).passed

    assert now(16, 4) is False
    assert now(16, 8) is True
    assert now(16, 900) is True, "growth is no collapse"
    assert now(7, 1) is None, "of seven rows nothing is known yet"
    assert judge_volume([day(0, 16)], day(1, 4)).passed is None, "what arrives has quiet days"
    fixed = [day(0, 16, "tabla"), day(1, 4, "tabla")]
    assert judge_volume(fixed, day(2, 16, "tabla")).passed is True, "and back again closes it"
    smaller = judge_volume(fixed, day(2, 4, "tabla")).passed
    assert smaller is True, "so does staying as small as it is"


def test_few_rows_may_come_and_go() -> None:
    history = [day(n, 13, "tabla") for n in range(30)]
    assert judge_volume(history, day(30, 14, "tabla")).passed is True
    assert judge_volume(history, day(30, 0, "tabla")).passed is False


def test_a_feed_that_falls_silent_longer_than_a_weekend() -> None:
    working = [day(n, 1000) for n in range(100) if n % 7 < 5]
    after = working[-1].at
    assert judge_interval(working, after + dt.timedelta(days=3)).passed is True
    assert judge_interval(working, after + dt.timedelta(days=7)).passed is False
    assert judge_interval(working[:5], after).passed is None


def test_a_column_that_empties() -> None:
    history = [ColumnProfile(1000, 20 + n % 7) for n in range(30)]
    assert judge_nulls(history, ColumnProfile(1000, 25)).passed is True
    assert judge_nulls(history, ColumnProfile(1000, 300)).passed is False
    assert judge_nulls(history, ColumnProfile(0, 0)).passed is None


def spread(middle: float, rows: int = 5000) -> ColumnProfile:
    marks = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    return ColumnProfile(rows, 0, {mark: middle * (0.5 + mark) for mark in marks})


def test_numbers_in_another_unit_and_words_that_change_places() -> None:
    numbers = [spread(100 + n % 3) for n in range(30)]
    assert judge_distribution(numbers, spread(101)).passed is True
    assert judge_distribution(numbers, spread(100_000)).passed is False

    words = [ColumnProfile(1000, 0, values={"si": 700 + n % 9, "no": 300}) for n in range(30)]
    assert judge_distribution(words, ColumnProfile(1000, 0, values={"si": 690, "no": 310})).passed
    swapped = ColumnProfile(1000, 0, values={"si": 300, "no": 700})
    assert judge_distribution(words, swapped).passed is False
    new = ColumnProfile(1000, 0, values={"sí": 700, "no": 300})
    assert judge_distribution(words, new).passed is False


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [([1, 0], [1, 0], 0), ([1, 0], [0, 1], 1), ([0.5, 0.5], [1, 0], 0.5579)],
)
def test_jensen_shannon(one: list[float], other: list[float], distance: float) -> None:
    assert js_distance(one, other) == pytest.approx(distance, abs=1e-4)


@pytest.fixture
def history(
    make_contract: Any, connection: psycopg.Connection[Any]
) -> Callable[..., dict[str, Any]]:
    """Store profiles of a dataset, one a day up to today, and judge the last one."""
    contract = make_contract(
        [{"name": "id", "physicalType": "integer", "primaryKey": True},
         {"name": "estado", "physicalType": "text", "classification": "libre_acceso"}],
        monitorSeverity="error",
    )  # fmt: skip
    now = dt.datetime.now(dt.UTC)

    def run(profiles: list[Profile], days_since: float = 0) -> dict[str, Any]:
        for back, item in zip(range(len(profiles), 0, -1), profiles, strict=True):
            at = now - dt.timedelta(days=back - 1 + days_since)
            row = connection.execute(
                "insert into meta.perfil (corrida_id, dataset, objeto, alcance, hasta_carga_id, "
                "filas, filas_medidas, columnas, calculado_en, dia) values "
                "('r', %s, %s, %s, 1, %s, %s, %s, %s, %s) returning perfil_id",
                [contract.id, contract.raw_name, item.scope, item.rows, item.rows,
                 psycopg.types.json.Jsonb([list(pair) for pair in item.schema]), at, at.date()],
            ).fetchone()  # fmt: skip
            assert row is not None
            for name, column in item.columns.items():
                connection.execute(
                    "insert into meta.perfil_columna (perfil_id, columna, tipo, publicable, nulos, "
                    "valores) values (%s, %s, 'text', true, %s, %s)",
                    [row[0], name, column.nulls,
                     psycopg.types.json.Jsonb([list(i) for i in column.values.items()])],
                )  # fmt: skip
        return {result.regla: result for result in check(connection, contract, now)}

    return run


def full(rows: int = 1000, nulls: int = 0, **values: int) -> Profile:
    half = (rows - nulls) // 2
    shape = ColumnProfile(rows, nulls, values=values or {"a": half, "b": half})
    return replace(day(0, rows, "tabla"), columns={"estado": shape})


def test_every_monitor_writes_one_verdict_and_nothing_is_known_at_first(
    history: Callable[..., dict[str, Any]],
) -> None:
    found = history([])
    assert set(found) == {"volumen", "intervalo", "nulos", "distribucion", "esquema"}
    assert {result.paso for result in found.values()} == {None}
    found = history([full()] * 20)
    assert {result.paso for result in found.values()} == {True}


@pytest.mark.parametrize(
    ("last", "red", "words"),
    [
        (full(300), "volumen", "300 filas; lo habitual"),
        (full(1000, nulls=400), "nulos", "estado (40 % sin valor)"),
        (full(1000, a=990, b=10), "distribucion", "Cambiaron mucho: estado."),
        (
            replace(full(), schema=(("id", "bigint"), ("nueva", "text"))), "esquema",
            "apareció nueva; id era integer y es bigint",
        ),
    ],
)  # fmt: skip
def test_each_kind_of_surprise_reddens_its_monitor_and_no_other(
    history: Callable[..., dict[str, Any]], last: Profile, red: str, words: str
) -> None:
    found = history([full()] * 20 + [last])

    assert {name for name, result in found.items() if result.paso is False} == {red}
    assert found[red].severidad == "bloqueante" and found[red].responsable == "mesa@ejemplo"
    assert words in found[red].explicacion


def test_a_collapse_is_told_in_words(history: Callable[..., dict[str, Any]]) -> None:
    found = history([full(1000), full(300)])["volumen"]
    assert found.paso is False
    assert "300 filas; la vez anterior, 1.000." in found.explicacion


def test_silence_reddens_the_interval_alone(history: Callable[..., dict[str, Any]]) -> None:
    found = history([full()] * 20, days_since=5)
    assert {name for name, result in found.items() if result.paso is False} == {"intervalo"}

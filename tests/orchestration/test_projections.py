"""Projections: the model where it is better, else the baseline, else nothing and why."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from orchestration import forecasting
from orchestration.forecasting import LEVEL, Point, project, seasonal_naive
from orchestration.projections import ZoneOutcome, following, update_projections
from orchestration.warehouse.connection import Warehouse

START = dt.date(2021, 1, 1)


def season(month: int) -> float:
    """Litres per meter and day in a dry place: twice as much in January as in July."""
    return 600 * (1 + 0.35 * math.cos(2 * math.pi * month / 12))


def growing(months: int, noise: float = 0.02, seed: int = 3) -> list[float]:
    dice = random.Random(seed)
    return [season(m) * 1.006**m * math.exp(dice.gauss(0, noise)) for m in range(months)]


def test_a_growing_season_is_projected_by_the_model_and_closer_than_last_year() -> None:
    history = growing(60)
    truth = [season(m) * 1.006**m for m in range(60, 72)]

    found = project(history)

    assert found.method == "suavizado_exponencial", found.reason
    assert found.model_error_pct is not None and found.baseline_error_pct is not None
    assert found.model_error_pct < found.baseline_error_pct
    assert found.held_out == 12
    ours = sum(abs(p.value - real) for p, real in zip(found.points, truth, strict=True))
    naive = sum(abs(a - real) for a, real in zip(history[-12:], truth, strict=True))
    assert ours < naive / 2
    inside = sum(
        p.low <= real <= p.high
        for p, real in zip(found.points, truth, strict=True)
        if p.low is not None and p.high is not None
    )
    assert inside >= 8


def test_where_the_model_does_not_win_last_year_is_repeated_and_it_says_so() -> None:
    dice = random.Random(5)
    year = [dice.uniform(200, 1200) for _ in range(12)]

    found = project(year * 4)

    assert found.method == "estacional_ingenuo"
    assert [p.value for p in found.points] == year
    assert found.baseline_error_pct == 0.0
    assert found.model_error_pct is not None  # it was tried
    assert "no acertó más" in found.reason


@pytest.mark.parametrize(
    ("months", "method", "held_out", "has_interval"),
    [
        (0, None, 0, False),
        (11, None, 0, False),
        (12, "estacional_ingenuo", 0, False),
        (17, "estacional_ingenuo", 0, False),
        (18, "estacional_ingenuo", 6, False),
        (29, "estacional_ingenuo", 12, True),
    ],
)
def test_a_short_history_promises_less(
    months: int, method: str | None, held_out: int, has_interval: bool
) -> None:
    found = project(growing(months))

    assert (found.method, found.held_out) == (method, held_out)
    assert len(found.points) == (0 if method is None else 12)
    assert any(p.low is not None for p in found.points) is has_interval
    assert (found.baseline_error_pct is not None) is (held_out > 0)
    assert found.model_error_pct is None
    assert found.reason


def test_the_test_has_not_seen_what_it_is_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held-out month is projected from the months before it, and from nothing else."""
    seen: list[tuple[int, int]] = []
    values = growing(40)

    def watching(form: forecasting.Form) -> Callable[[list[float], int], list[Point]]:
        def forecast(history: list[float], horizon: int) -> list[Point]:
            assert history == values[: len(history)]
            seen.append((len(history), horizon))
            return seasonal_naive(history, horizon)

        return forecast

    monkeypatch.setattr(forecasting, "smoothing", watching)
    chosen_on: list[int] = []
    choose = forecasting._choose
    monkeypatch.setattr(
        forecasting, "_choose", lambda part: (chosen_on.append(len(part)), choose(part))[1]
    )

    project(values)

    assert seen == [(origin, 40 - origin) for origin in range(28, 40)] + [(40, 12)]
    assert chosen_on == [28]


def test_an_interval_that_held_too_few_months_is_widened() -> None:
    dice = random.Random(2)
    # Quiet for two years, then restless: what was learnt of the width does not hold.
    values = [500 + dice.gauss(0, 1) for _ in range(24)] + [
        500 + dice.gauss(0, 40) for _ in range(8)
    ]

    found = project(values)

    assert found.coverage_pct is not None and found.coverage_pct < 100 * LEVEL
    assert found.widened is not None and found.widened > 1
    assert all(
        p.low is not None and p.high is not None and p.low < p.value < p.high for p in found.points
    )


@pytest.mark.parametrize("months", [30, 48])
def test_months_without_consumption_are_no_reason_to_fail(months: int) -> None:
    values = growing(months)
    values[-3] = 0.0

    found = project(values)

    assert found.method == "estacional_ingenuo"
    assert "sin consumo" in found.reason
    assert all(p.low is None or p.low >= 0 for p in found.points)


def test_a_series_that_cannot_be_is_refused() -> None:
    for wrong in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="negative or not a number"):
            project([*growing(30), wrong])


def test_projections_are_kept_shown_and_made_again_only_when_a_month_changed(
    warehouse: Warehouse,
) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "create table intermediate.int_agua__serie_consumo_zona (zona_id integer, mes date, "
            "medidores integer, litros_medidor_dia double precision, es_completo boolean)"
        )
    _store(warehouse, 1, growing(48))
    _store(warehouse, 2, growing(5))
    _store(warehouse, 3, [*growing(40)[:20], None, *growing(40)[21:]])  # a month without readings

    first = update_projections(warehouse)

    assert [(o.zone, o.months) for o in first] == [(1, 48), (2, 5), (3, 19)]
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select p.zona_id, p.metodo, p.ultimo_mes, min(m.mes), max(m.mes), count(m.mes) "
            "from meta.proyeccion p left join meta.proyeccion_mes m using (proyeccion_id) "
            "group by p.proyeccion_id order by 1"
        ).fetchall()
    day = dt.date
    assert rows == [
        (1, "suavizado_exponencial", day(2024, 12, 1), day(2025, 1, 1), day(2025, 12, 1), 12),
        (2, None, day(2021, 5, 1), None, None, 0),
        (3, "estacional_ingenuo", day(2024, 4, 1), day(2024, 5, 1), day(2025, 4, 1), 12),
    ]

    assert [o.projection for o in update_projections(warehouse)] == [None, None, None]

    with warehouse.connect() as connection:
        connection.execute(
            "update intermediate.int_agua__serie_consumo_zona set litros_medidor_dia = 1 "
            "where zona_id = 2 and mes = '2021-05-01'"
        )
    assert _made(update_projections(warehouse)) == [2]
    with warehouse.connect() as connection:
        kept = connection.execute("select count(*) from meta.proyeccion").fetchone()
    assert kept == (4,)  # what was said before stays


def _store(warehouse: Warehouse, zone: int, values: list[float | None]) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into intermediate.int_agua__serie_consumo_zona values (%s, %s, 100, %s, %s)",
            [
                (zone, following(START, step), value, value is not None)
                for step, value in enumerate(values)
            ],
        )


def _made(outcomes: list[ZoneOutcome]) -> list[int]:
    return [outcome.zone for outcome in outcomes if outcome.projection is not None]


def test_months_follow_each_other_over_the_turn_of_the_year() -> None:
    months = [following(dt.date(2025, 11, 1), step) for step in range(4)]
    assert [str(m)[:7] for m in months] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert all(a < b for a, b in pairwise(months))

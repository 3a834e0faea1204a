"""Monitors: is what came this time surprising, given what came before?

Belongs here: the arithmetic of surprise and the reading of profiles. Does not belong here:
measuring (`profiles.py`) or promises of a contract (`freshness.py`). Without enough history a
monitor says nothing (`paso` None): unknown is not good.

A value is held against the median of comparable days, in units of the median absolute deviation
(Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993): one broken day in the history
moves neither. Comparable are, in this order and as far as there are enough of them: the same
weekday in the same season of several years; the same weekday; the latest. How often a clean history
raises an alarm is measured by `python -m benchmarks.monitors`.

Distributions are compared by the Jensen-Shannon distance (Lin, "Divergence Measures Based on the
Shannon Entropy", 1991; base 2, so between 0 and 1), which, unlike the population stability index,
needs no rule for empty classes.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from expectations.results import CheckResult
from sources.contract import Contract
from sources.wording import counted, number, percent

SHORTEST = 12  # fewer comparable values say nothing
PER_WEEKDAY = 8  # of one weekday: eight weeks
SEASON_DAYS = 30
YEARS_FOR_SEASON = 2
_DAYS_OF_A_WEEKLY_RHYTHM = 4
LATEST = 60  # of a level (a table loaded whole, shares, distributions): what it was lately
_LONGEST = 800
_PROFILES_OF_COLUMNS = 60
# Deviations from the median that are no surprise: the wider the less is known (see `limit`).
_CUT = 3.5
_SMALL_SAMPLE = 8.0
_NORMAL = 1.4826  # makes the median absolute deviation comparable with a standard deviation
# No deviation counts as smaller than this, however steady the history: 5 % of volume, 0.02 of the
# arcsine of a share, 0.025 of Jensen-Shannon distance (of which less than 0.1 is never an alarm).
_FLOOR_VOLUME, _FLOOR_SHARE, _FLOOR_DISTANCE = 0.05, 0.02, 0.025
_LEAST_DISTANCE = 0.1
_WORST_SHOWN = 5
# A table loaded whole needs no history to be seen collapsing: it may not lose more than half of
# the rows it held the time before. Of so few rows that is no surprise.
_MOST_LOST = 0.5
_FEWEST_ROWS = 8
_PREVIOUS = "la vez anterior"

MONITORS: Mapping[str, tuple[str, str]] = {
    "volumen": ("completitud", "La cantidad de filas es la habitual."),
    "intervalo": ("actualidad", "Llegan datos con la regularidad habitual."),
    "nulos": ("completitud", "La parte de valores que faltan es la habitual en cada columna."),
    "distribucion": ("exactitud", "Los valores se reparten como es habitual en cada columna."),
    "esquema": ("consistencia", "La tabla tiene las mismas columnas y tipos."),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A measurement of one business day."""

    day: dt.date
    value: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """`passed` None: too little history. `low` and `high` in the unit of the values."""

    passed: bool | None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    compared: int = 0
    basis: str = ""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a profile says of one column: rows measured, nulls, and its shape if it may be seen."""

    rows: int
    nulls: int
    quantiles: Mapping[float, float] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of a dataset; `columns` only for recent ones."""

    day: dt.date
    at: dt.datetime
    scope: str
    rows: int
    schema: tuple[tuple[str, str], ...]
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)


def limit(compared: int) -> float:
    """How many robust deviations are tolerated when `compared` values are known.

    Wider for few values, whose median absolute deviation may be far too small by chance; tuned so
    that the measured rate of false alarms stays under the stated one (`docs/calidad.md`).
    """
    return _CUT * (1 + _SMALL_SAMPLE / compared)


def comparable(history: Sequence[Point], day: dt.date) -> tuple[list[float], str]:
    """The values that `day` may be held against, and what they are, in Spanish."""
    weekday = [point for point in history if point.day.weekday() == day.weekday()]
    season = [point for point in weekday if _season_distance(point.day, day) <= SEASON_DAYS]
    years = {point.day.year for point in season}
    if len(season) >= PER_WEEKDAY and len(years) >= YEARS_FOR_SEASON:
        return [p.value for p in season], "el mismo día de la semana en la misma época"
    if len(weekday) >= PER_WEEKDAY or _comes_daily(history):
        # Fewer than enough of a feed that comes daily: all days would take a Sunday for a fault.
        latest = weekday[-2 * PER_WEEKDAY :]
        return [p.value for p in latest], "el mismo día de la semana"
    return [p.value for p in history[-LATEST:]], "las últimas veces"


def _comes_daily(history: Sequence[Point]) -> bool:
    """Whether something usually comes several times a week."""
    gaps = [(b.day - a.day).days for a, b in itertools.pairwise(history)]
    return bool(gaps) and statistics.median(gaps) < _DAYS_OF_A_WEEKLY_RHYTHM


def judge(
    values: Sequence[float], now: float, *, floor: float, basis: str = "", one_sided: bool = False
) -> Judgement:
    """Whether `now` lies within the tolerated distance of the median of `values`."""
    if len(values) < (PER_WEEKDAY if "semana" in basis else SHORTEST):
        return Judgement(None, compared=len(values), basis=basis)
    middle = statistics.median(values)
    spread = _NORMAL * statistics.median(abs(value - middle) for value in values)
    reach = limit(len(values)) * max(spread, floor)
    low, high = middle - reach, middle + reach
    passed = now <= high and (one_sided or now >= low)
    return Judgement(passed, middle, low, high, len(values), basis)


def judge_volume(profiles: Sequence[Profile], now: Profile) -> Judgement:
    """Rows of `now` against those before, in logarithms: growth is a factor.

    A table loaded whole is a level and is held against the latest; what arrives has weekdays and
    seasons. A deviation is at least 5 %, and the noise of counting (1/√n; half of it for a level).
    While a level's history is too short for that, it is only asked whether the table collapsed.
    """
    history = [Point(profile.day, math.log1p(profile.rows)) for profile in profiles]
    if now.scope == "tabla":
        values, basis = [p.value for p in history[-LATEST:]], "las últimas veces"
    else:
        values, basis = comparable(history, now.day)
    middle = statistics.median(values) if values else 0.0
    noise = (0.5 if now.scope == "tabla" else 1.0) / math.sqrt(math.exp(middle))
    floor = max(_FLOOR_VOLUME, noise)
    found = judge(values, math.log1p(now.rows), floor=floor, basis=basis)
    if found.passed is None and now.scope == "tabla" and profiles:
        return _collapse(profiles, now) or found
    return found


def _collapse(profiles: Sequence[Profile], now: Profile) -> Judgement | None:
    """Whether most rows went since the time before; None for a table that never held many."""
    if max(profile.rows for profile in (*profiles, now)) < _FEWEST_ROWS:
        return None
    before = profiles[-1].rows
    least = before * (1 - _MOST_LOST)
    usual, low = math.log1p(before), math.log1p(least)
    return Judgement(now.rows >= least, usual, low, math.inf, 1, _PREVIOUS)


def judge_interval(profiles: Sequence[Profile], moment: dt.datetime) -> Judgement:
    """Days since the last arrival against the longest usual wait.

    Waits are not spread around a middle (a weekend is three times a working day), so the limit is
    twice the 95th percentile of those seen.
    """
    arrivals = [profile.at for profile in profiles]
    waits = [(b - a).total_seconds() / 86400 for a, b in itertools.pairwise(arrivals)][
        -4 * LATEST :
    ]
    if len(waits) < SHORTEST:
        return Judgement(None, compared=len(waits))
    longest = 2 * sorted(waits)[math.ceil(0.95 * len(waits)) - 1]
    now = (moment - arrivals[-1]).total_seconds() / 86400
    # A run more or less in a day is no news.
    high = max(longest, 1.0)
    return Judgement(now <= high, statistics.median(waits), 0.0, high, len(waits), "esperas")


def judge_nulls(history: Sequence[ColumnProfile], now: ColumnProfile) -> Judgement:
    """The share of nulls, as arcsine of its root, which makes small and large shares comparable."""
    if not now.rows:
        return Judgement(None)
    values = [_arcsine(one.nulls, one.rows) for one in history if one.rows][-LATEST:]
    floor = max(_FLOOR_SHARE, 0.5 / math.sqrt(now.rows))
    return judge(values, _arcsine(now.nulls, now.rows), floor=floor, basis="las últimas veces")


def judge_distribution(history: Sequence[ColumnProfile], now: ColumnProfile) -> Judgement:
    """Distance of `now` from the mean of what came before, against their own distances from it.

    Each earlier one is compared with the mean of the others, so that it does not vouch for itself.
    """
    shapes = _shapes([*history[-LATEST:], now])
    if shapes is None or len(shapes) - 1 < SHORTEST:
        return Judgement(None, compared=0 if shapes is None else len(shapes) - 1)
    *before, last = shapes
    count = len(before)
    total = [math.fsum(parts) for parts in zip(*before, strict=True)]
    usual = [
        js_distance(one, [(t - p) / (count - 1) for t, p in zip(total, one, strict=True)])
        for one in before
    ]
    distance = js_distance(last, [t / count for t in total])
    noise = 0.5 / math.sqrt(max(now.rows - now.nulls, 1))
    found = judge(usual, distance, floor=max(_FLOOR_DISTANCE, noise), one_sided=True,
                  basis="las últimas veces")  # fmt: skip
    if found.passed is False and distance < _LEAST_DISTANCE:
        return Judgement(True, found.expected, 0.0, _LEAST_DISTANCE, found.compared, found.basis)
    return found


def js_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Jensen-Shannon distance of two distributions over the same classes; 0 to 1."""
    divergence = 0.0
    for p, q in zip(one, other, strict=True):
        mean = (p + q) / 2
        if p > 0:
            divergence += p * math.log2(p / mean) / 2
        if q > 0:
            divergence += q * math.log2(q / mean) / 2
    return math.sqrt(max(divergence, 0.0))


def _shapes(profiles: Sequence[ColumnProfile]) -> list[list[float]] | None:
    """Every profile as shares of the same classes, the last one's included.

    Values where the last profile has them; otherwise the classes between the mean deciles of the
    earlier ones. None for a column without either.
    """
    *before, now = profiles
    if now.values or any(one.values for one in before[-1:]):
        names = sorted({name for one in profiles for name in one.values})
        found = []
        for one in profiles:
            present = max(one.rows - one.nulls, 0)
            if not present:
                continue
            shares = [one.values.get(name, 0) / present for name in names]
            found.append([*shares, max(1 - math.fsum(shares), 0.0)])
        return found if now.rows > now.nulls else None
    usable = [one for one in before if len(one.quantiles) > 1]
    if not usable or len(now.quantiles) < 2:
        return None
    marks = sorted(now.quantiles)
    edges = sorted({
        statistics.fmean(one.quantiles[mark] for one in usable if mark in one.quantiles)
        for mark in marks
        if any(mark in one.quantiles for one in usable)
    })  # fmt: skip
    return [_between(one.quantiles, edges) for one in [*usable, now]]


def _between(quantiles: Mapping[float, float], edges: Sequence[float]) -> list[float]:
    """Shares below, between and above `edges`, read off the quantiles by straight lines."""
    marks = sorted(quantiles)
    at = [quantiles[mark] for mark in marks]
    below = [_share_below(edge, at, marks) for edge in edges]
    steps = [0.0, *below, 1.0]
    return [max(b - a, 0.0) for a, b in itertools.pairwise(steps)]


def _share_below(edge: float, at: Sequence[float], marks: Sequence[float]) -> float:
    position = bisect_right(at, edge)
    if position == 0:
        return 0.0
    if position == len(at):
        return 1.0 if edge > at[-1] else marks[-1]
    left, right = at[position - 1], at[position]
    part = 0.0 if right == left else (edge - left) / (right - left)
    return marks[position - 1] + part * (marks[position] - marks[position - 1])


def _arcsine(nulls: int, rows: int) -> float:
    return math.asin(math.sqrt(min(nulls / rows, 1.0)))


def _season_distance(one: dt.date, other: dt.date) -> int:
    """Days between two days of the year, the shorter way round."""
    apart = abs(one.timetuple().tm_yday - other.timetuple().tm_yday)
    return min(apart, 365 - apart)


def check(
    connection: psycopg.Connection[Any], contract: Contract, now: dt.datetime | None = None
) -> list[CheckResult]:
    """One result per monitor: the last profile against those before it.

    Run again without new data it says the same again: a surprise stays until something newer came.
    """
    profiles = _read(connection, contract)
    if not profiles:
        words = "Todavía no hay ningún perfil."
        return [_result(contract, name, Judgement(None), words) for name in MONITORS]
    moment = now or dt.datetime.now(dt.UTC)
    *before, last = profiles
    before = [profile for profile in before if profile.scope == last.scope]
    return [
        _volume(contract, before, last),
        _interval(contract, profiles, moment),
        _worst(contract, "nulos", before, last),
        _worst(contract, "distribucion", before, last),
        _schema(contract, before, last),
    ]


def _volume(contract: Contract, before: Sequence[Profile], last: Profile) -> CheckResult:
    found = judge_volume(before, last)
    if found.passed is None:
        return _result(contract, "volumen", found, _short(found))
    assert found.low is not None and found.high is not None and found.expected is not None
    rows = counted(last.rows, "fila", "filas")
    if found.basis == _PREVIOUS:
        words = (
            f"{rows}; {_PREVIOUS}, {number(math.expm1(found.expected))}. Hasta que haya "
            f"{SHORTEST} veces para comparar solo se mira que no pierda más de la mitad."
        )
        return _result(contract, "volumen", found, words, rows=last.rows)
    low, high, usual = (max(math.expm1(v), 0.0) for v in (found.low, found.high, found.expected))
    words = (
        f"{rows}; lo habitual ({found.basis}, {found.compared} veces) es {number(usual)}, "
        f"de {number(low)} a {number(high)}."
    )
    return _result(contract, "volumen", found, words, rows=last.rows)


def _interval(contract: Contract, profiles: Sequence[Profile], moment: dt.datetime) -> CheckResult:
    found = judge_interval(profiles, moment)
    if found.passed is None:
        return _result(contract, "intervalo", found, _short(found))
    assert found.high is not None
    days = (moment - profiles[-1].at).total_seconds() / 86400
    words = (
        f"Hace {counted(days, 'día', 'días', 1)} que no llega nada nuevo; lo más que se espera es "
        f"{number(found.high, 1)}."
    )
    return _result(contract, "intervalo", found, words)


def _worst(contract: Contract, name: str, before: Sequence[Profile], last: Profile) -> CheckResult:
    """One verdict over the columns of the last profile, naming those that surprise."""
    skipped = {column.name for column in contract.columns if _has_no_shape(contract, column.name)}
    surprising: list[str] = []
    judged = 0
    shortest = 0
    for column, now in sorted(last.columns.items()):
        history = [p.columns[column] for p in before if column in p.columns]
        if name == "distribucion":
            if column in skipped:
                continue
            found = judge_distribution(history, now)
        else:
            found = judge_nulls(history, now)
        shortest = max(shortest, found.compared)
        if found.passed is None:
            continue
        judged += 1
        if not found.passed:
            surprising.append(
                column if name == "distribucion"
                else f"{column} ({percent(now.nulls / now.rows)} sin valor)"
            )  # fmt: skip
    if not judged:
        return _result(contract, name, Judgement(None), _short(Judgement(None, compared=shortest)))
    verdict = Judgement(not surprising)
    shown = ", ".join(surprising[:_WORST_SHOWN])
    words = f"Cambiaron mucho: {shown}." if surprising else f"{judged} columnas como siempre."
    columns = ", ".join(item.split(" ", 1)[0] for item in surprising) or None
    return _result(contract, name, verdict, words, column=columns, rows=last.rows)


def _has_no_shape(contract: Contract, name: str) -> bool:
    """Numbers of rows and moments go on for ever: that they move is no news."""
    column = contract.column(name)
    return column.primary_key or name.endswith("_id") or column.pg_type in (
        "date", "timestamp", "timestamptz",
    )  # fmt: skip


def _schema(contract: Contract, before: Sequence[Profile], last: Profile) -> CheckResult:
    if not before:
        return _result(contract, "esquema", Judgement(None), _short(Judgement(None)))
    earlier, now = dict(before[-1].schema), dict(last.schema)
    parts = [f"apareció {name}" for name in sorted(now.keys() - earlier.keys())]
    parts += [f"desapareció {name}" for name in sorted(earlier.keys() - now.keys())]
    parts += [
        f"{name} era {earlier[name]} y es {now[name]}"
        for name in sorted(now.keys() & earlier.keys())
        if now[name] != earlier[name]
    ]
    words = f"Cambió la tabla: {'; '.join(parts)}." if parts else ""
    return _result(contract, "esquema", Judgement(not parts), words)


def _short(found: Judgement) -> str:
    return f"Todavía hay poca historia para decirlo: {found.compared} perfiles comparables."


def _result(
    contract: Contract,
    name: str,
    found: Judgement,
    words: str,
    *,
    column: str | None = None,
    rows: int | None = None,
) -> CheckResult:
    dimension, rule = MONITORS[name]
    return CheckResult(
        control=f"monitor.{contract.id}.{name}",
        motor="monitor",
        objeto=contract.raw_name,
        columna=column,
        dimension=dimension,
        regla=name,
        severidad=contract.monitor_severity,
        paso=found.passed,
        filas_evaluadas=rows,
        explicacion=f"{rule} {words}".strip(),
        responsable=contract.accountable,
        dataset=contract.id,
    )


def _read(connection: psycopg.Connection[Any], contract: Contract) -> list[Profile]:
    """Profiles of the dataset, oldest first; columns of the last ones only."""
    rows = connection.execute(
        "select perfil_id, dia, calculado_en, alcance, filas, columnas from meta.perfil "
        "where dataset = %s order by perfil_id desc limit %s",
        [contract.id, _LONGEST],
    ).fetchall()
    recent = [row[0] for row in rows[: _PROFILES_OF_COLUMNS + 1]]
    columns: dict[int, dict[str, ColumnProfile]] = {}
    for profile, name, measured, nulls, quantiles, values in connection.execute(
        "select c.perfil_id, c.columna, p.filas_medidas, c.nulos, c.cuantiles, c.valores "
        "from meta.perfil_columna c join meta.perfil p using (perfil_id) "
        "where c.perfil_id = any(%s)",
        [recent],
    ).fetchall():
        columns.setdefault(profile, {})[name] = ColumnProfile(
            measured,
            nulls,
            {float(mark): v for mark, v in (quantiles or {}).items() if v is not None},
            {str(value): int(count) for value, count in values or ()},
        )
    return [
        Profile(
            row[1],
            row[2],
            row[3],
            row[4],
            tuple((str(n), str(t)) for n, t in row[5]),
            columns.get(row[0], {}),
        )
        for row in reversed(rows)
    ]

"""How often monitors cry wolf on clean histories, and how much of what is broken they see.

`python -m benchmarks.monitors [--datasets N] [--seed S] [--json]` simulates datasets as the city's
are: feeds with weekdays and seasons, files of working days, monthly tables that grow, short lists.
Every day of every clean history is judged as the pipeline would judge it; each alarm there is
false. Then single days are broken in stated ways and judged against the same histories. Nothing is
read from disk or network; the same seed gives the same figures.

Belongs here: the simulation and its counts. Does not belong here: the monitors
(`expectations/monitors.py`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from expectations.monitors import (
    ColumnProfile,
    Judgement,
    Profile,
    judge_distribution,
    judge_interval,
    judge_nulls,
    judge_volume,
)
from expectations.profiles import QUANTILES

DAYS = 900
# Every so many days the dearer monitors are judged; their histories move slowly.
EVERY = 7
START = dt.date(2023, 1, 2)
_COLUMN = "valor"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of dataset: usual rows, noise (as a share), weekend share, season, growth a day."""

    name: str
    scope: str
    rows: int
    noise: float
    weekend: float | None  # None: nothing comes at weekends
    season: float
    growth: float
    every: int = 1


KINDS = (
    Kind("lecturas de medidores", "llegadas", 65_000, 0.03, 1.0, 0.0, 0.0),
    Kind("solicitudes", "llegadas", 120, 0.15, 0.15, 0.3, 0.0002),
    Kind("trámites en días hábiles", "llegadas", 400, 0.1, None, 0.4, 0.0),
    Kind("cuentas", "tabla", 12_000, 0.0005, 1.0, 0.0, 0.0003),
    Kind("lista corta", "tabla", 13, 0.0, 1.0, 0.0, 0.0),
    Kind("planilla mensual", "tabla", 60, 0.02, 1.0, 0.0, 0.001, every=30),
)


def history(kind: Kind, rng: np.random.Generator) -> list[Profile]:
    """A clean history: one profile per day on which something came."""
    made = []
    nulls = rng.uniform(0, 0.08)
    for number in range(0, DAYS, kind.every):
        day = START + dt.timedelta(days=number)
        weekend = day.weekday() >= 5
        if weekend and kind.weekend is None:
            continue
        mean = kind.rows * (1 + kind.growth * number)
        mean *= 1 + kind.season * np.sin(2 * np.pi * number / 365.25)
        mean *= kind.weekend if weekend and kind.weekend is not None else 1
        rows = _rows(kind, mean, rng)
        made.append(_profile(kind, day, rows, nulls, rng, number))
    return made


def _rows(kind: Kind, mean: float, rng: np.random.Generator) -> int:
    if kind.noise == 0:
        return round(mean)
    spread = mean * float(np.exp(rng.normal(0, kind.noise)))
    # What arrives is counted events on top of the spread; a table loaded whole is not.
    return int(rng.poisson(spread)) if kind.scope == "llegadas" else round(spread)


def _profile(
    kind: Kind, day: dt.date, rows: int, nulls: float, rng: np.random.Generator, number: int
) -> Profile:
    at = dt.datetime.combine(day, dt.time(6), dt.UTC) + dt.timedelta(minutes=rng.uniform(0, 90))
    present = max(rows, 1)
    column = ColumnProfile(present, int(rng.binomial(present, nulls)))
    if number % EVERY == 0 or kind.every > 1:
        values = np.exp(rng.normal(2, 0.8, size=min(max(present - column.nulls, 2), 2_000)))
        column = replace(column, quantiles=_quantiles(values))
    return Profile(day, at, kind.scope, rows, (), {_COLUMN: column})


def _quantiles(values: Any) -> dict[float, float]:
    found = np.quantile(values, QUANTILES, method="inverted_cdf")
    return {mark: float(value) for mark, value in zip(QUANTILES, found, strict=True)}


Tally = Counter[tuple[str, str]]


def count_clean(profiles: list[Profile], tally: Tally) -> None:
    """Judge every day of a clean history by what came before it."""
    for position in range(1, len(profiles)):
        before, now = profiles[:position], profiles[position]
        _add(tally, "volumen", judge_volume(before, now))
        _add(tally, "intervalo", judge_interval(before, now.at))
        column = now.columns[_COLUMN]
        shares = [p.columns[_COLUMN] for p in before[-61:]]
        _add(tally, "nulos", judge_nulls(shares, column))
        if column.quantiles:
            shapes = [p.columns[_COLUMN] for p in before if p.columns[_COLUMN].quantiles]
            _add(tally, "distribucion", judge_distribution(shapes, column))


def _add(tally: Tally, monitor: str, found: Judgement) -> None:
    state = {None: "sin historia", True: "pasa", False: "alarma"}[found.passed]
    tally[monitor, state] += 1


def count_broken(
    profiles: list[Profile], rng: np.random.Generator, tally: Tally, size: int = 20
) -> None:
    """Break single days of the last year in stated ways; count those seen."""
    days = rng.integers(len(profiles) // 2, len(profiles), size=size)
    for position in (int(day) for day in days):
        before, now = profiles[:position], profiles[position]
        for name, act in _DEFECTS.items():
            found = act(before, now)
            if found is not None and found.passed is not None:
                tally[name, "visto" if not found.passed else "no visto"] += 1


def _volume(factor: float) -> Callable[[list[Profile], Profile], Judgement | None]:
    return lambda before, now: judge_volume(before, replace(now, rows=round(now.rows * factor)))


def _nulls(more: float) -> Callable[[list[Profile], Profile], Judgement | None]:
    def act(before: list[Profile], now: Profile) -> Judgement:
        column = now.columns[_COLUMN]
        extra = min(column.rows, column.nulls + round(more * column.rows))
        shares = [p.columns[_COLUMN] for p in before[-61:]]
        return judge_nulls(shares, ColumnProfile(column.rows, extra))

    return act


def _unit(factor: float) -> Callable[[list[Profile], Profile], Judgement | None]:
    def act(before: list[Profile], now: Profile) -> Judgement | None:
        shapes = [p.columns[_COLUMN] for p in before if p.columns[_COLUMN].quantiles]
        if not shapes:
            return None
        last = shapes[-1]
        moved = {mark: value * factor for mark, value in last.quantiles.items()}
        return judge_distribution(shapes[:-1], replace(last, quantiles=moved))

    return act


def _silence(days: float) -> Callable[[list[Profile], Profile], Judgement | None]:
    def act(before: list[Profile], now: Profile) -> Judgement:
        usual = (before[-1].at - before[-2].at).total_seconds() / 86400
        return judge_interval(before, before[-1].at + dt.timedelta(days=days * max(usual, 1)))

    return act


_DEFECTS: dict[str, Callable[[list[Profile], Profile], Judgement | None]] = {
    "volumen: no llega nada": _volume(0.0),
    "volumen: un tercio": _volume(1 / 3),
    "volumen: el triple": _volume(3.0),
    "intervalo: 10 veces el habitual": _silence(10),
    "nulos: 20 puntos más": _nulls(0.2),
    "distribucion: litros en lugar de m³ (×1000)": _unit(1000),
    "distribucion: ×1,5": _unit(1.5),
}


def measure(datasets: int, seed: int) -> tuple[Tally, Tally]:
    """Clean judgements and broken days, over `datasets` histories of each kind."""
    clean: Tally = Counter()
    broken: Tally = Counter()
    for kind in KINDS:
        for number in range(datasets):
            rng = np.random.default_rng([seed, KINDS.index(kind), number])
            profiles = history(kind, rng)
            count_clean(profiles, clean)
            count_broken(profiles, rng, broken)
    return clean, broken


def report(clean: Tally, broken: Tally) -> Iterator[dict[str, Any]]:
    """One plain value per monitor and per defect."""
    for monitor in sorted({name for name, _ in clean}):
        alarms, quiet = clean[monitor, "alarma"], clean[monitor, "pasa"]
        yield {
            "monitor": monitor,
            "judged": alarms + quiet,
            "false_alarms": alarms,
            "per_thousand": round(1000 * alarms / max(alarms + quiet, 1), 3),
            "unknown": clean[monitor, "sin historia"],
        }
    for defect in _DEFECTS:
        seen, missed = broken[defect, "visto"], broken[defect, "no visto"]
        yield {
            "defect": defect,
            "broken": seen + missed,
            "seen_pct": round(100 * seen / max(seen + missed, 1), 1),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.monitors")
    parser.add_argument("--datasets", type=int, default=4, help="histories of each kind")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="one JSON line per result")
    options = parser.parse_args()
    for line in report(*measure(options.datasets, options.seed)):
        if options.json:
            print(json.dumps(line, ensure_ascii=False))
        elif "monitor" in line:
            print(
                f"{line['monitor']:<14} {line['false_alarms']:>5} falsas alarmas en "
                f"{line['judged']:>6} juicios ({line['per_thousand']} por mil), "
                f"{line['unknown']} sin historia"
            )
        else:
            print(f"{line['defect']:<46} {line['seen_pct']:>5} % vistos de {line['broken']}")


if __name__ == "__main__":
    main()

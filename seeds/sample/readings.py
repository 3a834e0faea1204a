"""Hourly water use of every smart meter and what its register showed, events included.

Arrays only: the meters as rows of a table belong in ``water.py``, the files they send in
``telemetry_files.py``. Volumes are whole litres.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seeds.sample.config import PERIOD_DAYS, PERIOD_HOURS, PERIOD_START
from seeds.sample.defects import DefectLog
from seeds.sample.tables import Floats, Ints, RowPicker

CATEGORIES = ("residencial", "comercial", "industrial", "publica")
# Mean litres per day of one connection, and its spread (sigma of the logarithm). Synthetic.
DAILY_LITRES = {
    "residencial": (620, 0.45),
    "comercial": (1400, 0.6),
    "industrial": (9000, 0.5),
    "publica": (2800, 0.5),
}
# Share of the week-day use kept on week-ends.
WEEKEND_SHARE = {"residencial": 1.12, "comercial": 0.55, "industrial": 0.35, "publica": 0.15}
# Probability that an hour has any use, by hour of the day (0-23), on a week-day.
ACTIVITY = {
    "residencial": [
        *(0.06, 0.03, 0.02, 0.02, 0.03, 0.12, 0.45, 0.75, 0.70, 0.50, 0.45, 0.55),
        *(0.70, 0.75, 0.55, 0.40, 0.40, 0.45, 0.55, 0.65, 0.80, 0.85, 0.60, 0.25),
    ],
    "comercial": [
        *(0.02, 0.01, 0.01, 0.01, 0.01, 0.03, 0.10, 0.35, 0.70, 0.85, 0.90, 0.90),
        *(0.85, 0.55, 0.35, 0.35, 0.60, 0.85, 0.90, 0.85, 0.70, 0.45, 0.20, 0.06),
    ],
    "industrial": [
        *(0.10, 0.08, 0.05, 0.05, 0.08, 0.40, 0.95, 0.98, 0.98, 0.98, 0.98, 0.98),
        *(0.95, 0.95, 0.98, 0.98, 0.98, 0.95, 0.80, 0.60, 0.50, 0.40, 0.25, 0.15),
    ],
    "publica": [
        *(0.02, 0.01, 0.01, 0.01, 0.01, 0.03, 0.35, 0.90, 0.95, 0.95, 0.95, 0.95),
        *(0.90, 0.80, 0.50, 0.35, 0.30, 0.25, 0.15, 0.10, 0.06, 0.04, 0.03, 0.02),
    ],
}
QUIET_HOURS = (2, 3, 4)
PREFIX = "telemetria.lecturas"


@dataclass
class Meters:
    """What the readings need to know of each smart meter (arrays of equal length)."""

    ids: list[str]
    category: NDArray[np.int64]  # position in CATEGORIES
    dials: Ints
    multiplier: Ints
    idle: NDArray[np.bool_]  # disconnected account: no use at all
    keep_clean: NDArray[np.bool_]  # carries a defect of another table: no event here


@dataclass
class Readings:
    """``use[m, h]``: litres really used in hour h. ``register[m, h]``: litres shown at its start.

    ``registered`` is the use the meter noticed (less than ``use`` where it got stuck);
    ``missing`` marks readings never sent; ``healthy`` the meters without any planted event.
    """

    use: Ints
    registered: Ints
    register: Ints
    missing: NDArray[np.bool_]
    healthy: NDArray[np.bool_]
    battery: Floats


def hour_text(hour: int) -> str:
    """Local ISO time of an hour of the period."""
    moment = dt.datetime.combine(PERIOD_START, dt.time()) + dt.timedelta(hours=int(hour))
    return f"{moment.isoformat()}-03:00"


@dataclass
class _Planting:
    """What every event needs: chance, the meters, which of them are still free, the log."""

    rng: np.random.Generator
    meters: Meters
    rows: RowPicker
    log: DefectLog

    def take(self, kind: str, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        """Free meters for the cases of one kind of event."""
        return self.rows.take(self.log.wanted(f"{PREFIX}.{kind}"), allowed)

    def add(self, kind: str, row: int, **facts: object) -> None:
        """Record one event of a meter."""
        self.log.add(f"{PREFIX}.{kind}", {"medidor_id": self.meters.ids[row], **facts})


def simulate(rng: np.random.Generator, meters: Meters, log: DefectLog) -> Readings:
    """Healthy use, then events, then registers, then what breaks on the way to the file."""
    use = _healthy_use(rng, meters)
    free = np.flatnonzero(~meters.keep_clean & ~meters.idle).tolist()
    plan = _Planting(rng, meters, RowPicker(rng, free), log)
    _plant_excess(plan, use)
    _rest_after_long_use(use, meters)
    _plant_leaks(plan, use)
    _plant_bursts(plan, use)
    start = rng.integers(50_000, 5_000_000, len(meters.ids))
    rolled = plan.take("vuelta_de_contador", meters.category < 2)
    _prepare_rollover(plan, use, start, rolled)
    shown = _registers(use, start, meters)
    _record_rollovers(plan, shown, rolled)
    registered = _plant_stuck(plan, shown, use)
    _plant_backwards(plan, shown)
    _plant_spikes(plan, shown)
    missing = _plant_gaps(plan)
    battery = _plant_batteries(plan)
    healthy = np.zeros(len(meters.ids), dtype=bool)
    healthy[plan.rows.take(plan.rows.remaining)] = True
    return Readings(use, registered, shown, missing, healthy, battery)


def _healthy_use(rng: np.random.Generator, meters: Meters) -> Ints:
    """Litres per meter and hour; every meter rests at the same small hour of every day.

    A fixed quiet hour leaves a zero in any 24 consecutive hours, which is what tells a healthy
    meter from a leaking one.
    """
    count = len(meters.ids)
    weekend = np.array(
        [(PERIOD_START + dt.timedelta(days=d)).weekday() > 4 for d in range(PERIOD_DAYS)]
    )
    use = np.zeros((count, PERIOD_DAYS, 24), dtype=np.int64)
    for position, category in enumerate(CATEGORIES):
        members = np.flatnonzero(meters.category == position)
        mean, spread = DAILY_LITRES[category]
        daily = mean * rng.lognormal(-(spread**2) / 2, spread, len(members))
        activity = np.array(ACTIVITY[category])
        per_active_hour = daily / activity.sum()
        shape = (len(members), PERIOD_DAYS, 24)
        active = rng.random(shape, dtype=np.float32) < activity
        volume = rng.standard_gamma(1.6, shape, dtype=np.float32) / 1.6
        level = np.where(weekend, WEEKEND_SHARE[category], 1.0)
        volume *= (per_active_hour[:, None] * level).astype(np.float32)[:, :, None]
        use[members] = np.where(active, np.rint(volume), 0)
    visits = rng.random(count) < 0.03  # week-end houses
    use[np.ix_(visits & (meters.category == 0), ~weekend)] = 0
    use[meters.idle] = 0
    quiet = rng.choice(QUIET_HOURS, count)
    use[np.arange(count), :, quiet] = 0
    litres_per_count = meters.multiplier[:, None, None]
    return (use // litres_per_count * litres_per_count).reshape(count, PERIOD_HOURS)


def _rest_after_long_use(use: Ints, meters: Meters) -> None:
    """No home uses more than 100 L/h for six hours on end, or it would look like a burst."""
    run = np.zeros(len(use), dtype=np.int64)
    homes = meters.category == 0
    for hour in range(PERIOD_HOURS):
        run = np.where(use[:, hour] > 100, run + 1, 0)
        tired = homes & (run >= 6)
        use[tired, hour] = 0
        run[tired] = 0


def _registers(use: Ints, start: Ints, meters: Meters) -> Ints:
    before = np.cumsum(use, axis=1) - use
    shown = start[:, None] + before // meters.multiplier[:, None]
    return shown % (10**meters.dials * 1000)[:, None]


def _prepare_rollover(plan: _Planting, use: Ints, start: Ints, rows: list[int]) -> None:
    """Start these registers so close to the last number that they pass it within the month."""
    for row in rows:
        use[row, 12::24] += 40
        plan.meters.dials[row] = 4
        total = int(use[row].sum())
        start[row] = 10_000_000 - round(total * plan.rng.uniform(0.3, 0.7))


def _record_rollovers(plan: _Planting, shown: Ints, rows: list[int]) -> None:
    for row in rows:
        hour = int(np.argmax(np.diff(shown[row]) < 0)) + 1
        plan.add("vuelta_de_contador", row, fecha_hora=hour_text(hour), digitos=4)


def _plant_leaks(plan: _Planting, use: Ints) -> None:
    """A constant flow, every hour from a known one to a known end (or the end of the period)."""
    eligible = (plan.meters.category != 2) & (plan.meters.multiplier == 1)
    for number, row in enumerate(plan.take("fuga_continua", eligible)):
        rate = int(plan.rng.integers(5, 61))
        begin = int(plan.rng.integers(72, 600))
        lasts = int(plan.rng.integers(48, 121)) if number % 3 == 0 else PERIOD_HOURS
        end = min(begin + lasts, PERIOD_HOURS)
        use[row, begin:end] += rate
        plan.add(
            "fuga_continua",
            row,
            inicio=hour_text(begin),
            fin=hour_text(end) if end < PERIOD_HOURS else None,
            horas=end - begin,
            litros_hora=rate,
        )


def _plant_bursts(plan: _Planting, use: Ints) -> None:
    """Hundreds of litres per hour in a home, for 9 to 14 hours."""
    for row in plan.take("rotura", plan.meters.category == 0):
        rate, hours = int(plan.rng.integers(300, 901)), int(plan.rng.integers(9, 15))
        begin = int(plan.rng.integers(48, PERIOD_HOURS - 48))
        use[row, begin : begin + hours] += rate
        span = {"inicio": hour_text(begin), "fin": hour_text(begin + hours)}
        plan.add("rotura", row, **span, litros_hora=rate)


def _plant_excess(plan: _Planting, use: Ints) -> None:
    """Three times the usual use over the last ten days, at the usual hours."""
    begin = 20 * 24
    for row in plan.take("consumo_excesivo", (plan.meters.category == 0) & _in_use(use, 5)):
        use[row, begin:] *= 3
        plan.add("consumo_excesivo", row, inicio=hour_text(begin), factor=3)


def _in_use(use: Ints, days: int) -> NDArray[np.bool_]:
    """Meters with more than 200 litres on each of the first days."""
    daily = use[:, : days * 24].reshape(len(use), days, 24).sum(axis=2)
    busy: NDArray[np.bool_] = (daily > 200).all(axis=1)
    return busy


def _plant_stuck(plan: _Planting, shown: Ints, use: Ints) -> Ints:
    """Freeze some registers to the end; returns the use the meters still noticed."""
    registered = use.copy()
    for row in plan.take("medidor_detenido", _in_use(use, 5)):
        begin = int(plan.rng.integers(240, 480))
        shown[row, begin:] = shown[row, begin]
        registered[row, begin:] = 0
        plan.add("medidor_detenido", row, inicio=hour_text(begin))
    return registered


def _plant_backwards(plan: _Planting, shown: Ints) -> None:
    """The register falls once by 2-20 m3 and goes on counting from there."""
    for row in plan.take("retroceso", shown.min(axis=1) > 25_000):
        hour, fall = int(plan.rng.integers(100, 620)), int(plan.rng.integers(2_000, 20_001))
        shown[row, hour:] -= fall
        plan.add("retroceso", row, fecha_hora=hour_text(hour), litros=fall)


def _plant_spikes(plan: _Planting, shown: Ints) -> None:
    """One reading with 4,000 m3 too many; the next one is right again."""
    for row in plan.take("pico"):
        hour = int(plan.rng.integers(100, 620))
        shown[row, hour] += 4_000_000
        plan.add("pico", row, fecha_hora=hour_text(hour), litros=4_000_000)


def _plant_gaps(plan: _Planting) -> NDArray[np.bool_]:
    """Runs of 5 to 60 hours that were never sent."""
    missing = np.zeros((len(plan.meters.ids), PERIOD_HOURS), dtype=bool)
    for row in plan.take("hueco"):
        hours, begin = int(plan.rng.integers(5, 61)), int(plan.rng.integers(24, 600))
        missing[row, begin : begin + hours] = True
        last = begin + hours - 1
        plan.add("hueco", row, desde=hour_text(begin), hasta=hour_text(last), horas=hours)
    return missing


def _plant_batteries(plan: _Planting) -> Floats:
    """Volts per meter and day; a few meters are about to fall silent."""
    fresh = plan.rng.uniform(3.2, 3.66, len(plan.meters.ids))
    for row in plan.take("bateria_baja"):
        fresh[row] = plan.rng.uniform(2.6, 2.8)
        plan.add("bateria_baja", row)
    volts: Floats = fresh[:, None] - 0.001 * np.arange(PERIOD_DAYS)
    return volts

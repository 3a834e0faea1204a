"""Projections of a monthly series: one model, one baseline, and the error of both.

Belongs here: the arithmetic, on plain numbers. Does not belong here: where a series comes from or
where a projection is kept (`orchestration/projections.py`), a database, or Dagster. statsmodels is
imported when a series is long enough to need it: its import alone costs seconds.

The model is exponential smoothing in state-space form (Hyndman, Koehler, Ord and Snyder, 2008; ETS
in statsmodels) of the logarithm: seasons and errors grow with the level and no projection is
negative. The baseline repeats the same month of a year ago ("seasonal naive"; its interval is that
of Hyndman and Athanasopoulos, Forecasting: principles and practice, section 5.5).

Both are tested on the same held-out months: from every month of the last year that leaves enough
before it, all months after it are projected with what was known then. The form of the model (with a
trend or not, with seasons or not) is chosen by AICc before the first held-out month and kept, so
that no choice has seen what it is tested on. The model is used only where its error is below the
baseline's.

Intervals of a short history are known to be too narrow: they leave out that the model itself is
uncertain. Where fewer held-out months than promised fell inside, the interval is widened by the one
factor that would have held them (split conformal prediction, on errors in units of the interval).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

SEASON = 12
HORIZON = 12
# Share of the future months that the interval is to contain.
LEVEL = 0.80
# Less than one year: there is no same month of a year ago.
MIN_MONTHS = SEASON
# An error measured on fewer held-out months would be chance.
MIN_HELD_OUT = 6
MAX_HELD_OUT = 12
# Two whole years, from which the seasons of the model are first estimated.
MODEL_MONTHS = 2 * SEASON
# Differences with the year before, from which the width of the baseline's interval is taken.
MIN_DIFFERENCES = SEASON

MODEL: Literal["suavizado_exponencial"] = "suavizado_exponencial"
BASELINE: Literal["estacional_ingenuo"] = "estacional_ingenuo"
Method = Literal["suavizado_exponencial", "estacional_ingenuo"]

_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


@dataclass(frozen=True, slots=True)
class Point:
    """One projected month, in the unit of the series; without an interval where none is known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Form:
    """What a model holds beside its level."""

    trend: bool
    seasonal: bool

    def __str__(self) -> str:
        parts = ["nivel"]
        parts += ["tendencia amortiguada"] if self.trend else []
        parts += ["estacionalidad"] if self.seasonal else []
        return " + ".join(parts)


@dataclass(frozen=True, slots=True)
class Projection:
    """The next `HORIZON` months of one series, and how far the past ones were off.

    `points` is empty and `method` None where nothing can be said. Errors are the sum of the
    absolute errors over the sum of what was measured, in per cent (WAPE), on the `held_out` months;
    `coverage_pct` is the share of those that fell into the interval of the method used, before it
    was widened by `widened` (1: it was wide enough). None: unknown. `reason` says in Spanish why
    this method, or why none.
    """

    method: Method | None
    points: tuple[Point, ...]
    reason: str
    form: str | None = None
    held_out: int = 0
    model_error_pct: float | None = None
    baseline_error_pct: float | None = None
    coverage_pct: float | None = None
    widened: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """How a method did on the held-out months: see `Projection`."""

    error_pct: float | None
    coverage_pct: float | None
    widening: float | None


Forecaster = Callable[[Sequence[float], int], "list[Point]"]


def project(values: Sequence[float]) -> Projection:
    """Project the months after `values`, which are consecutive, complete and not negative.

    Raises ValueError when a value is negative or not a number.
    """
    if any(not math.isfinite(value) or value < 0 for value in values):
        raise ValueError("a monthly series holds a value that is negative or not a number")
    months = len(values)
    if months < MIN_MONTHS:
        return Projection(
            None,
            (),
            f"Meses completos seguidos: {months}; hacen falta {MIN_MONTHS}. No se proyecta.",
        )
    held_out = min(MAX_HELD_OUT, months - SEASON)
    if held_out < MIN_HELD_OUT:
        return Projection(
            BASELINE,
            tuple(seasonal_naive(values, HORIZON)),
            f"Se repite el mismo mes del año anterior: con {months} meses de historia no se puede "
            "medir el error.",
        )
    if months - MODEL_MONTHS < MIN_HELD_OUT or min(values) <= 0:
        return _baseline(
            values,
            held_out,
            f"hacen falta {MODEL_MONTHS + MIN_HELD_OUT} meses para probar el modelo y hay {months}"
            if min(values) > 0
            else "hay meses sin consumo y el modelo no los admite",
        )
    held_out = min(MAX_HELD_OUT, months - MODEL_MONTHS)
    return _contest(values, held_out)


def seasonal_naive(values: Sequence[float], horizon: int) -> list[Point]:
    """The same month of the last year known; an interval from two years of history on."""
    differences = [b - a for a, b in zip(values, values[SEASON:], strict=False)]
    deviation = (
        math.sqrt(sum(d * d for d in differences) / len(differences))
        if len(differences) >= MIN_DIFFERENCES
        else None
    )
    points = []
    for step in range(horizon):
        value = values[len(values) - SEASON + step % SEASON]
        reach = None if deviation is None else _Z * deviation * math.sqrt(step // SEASON + 1)
        points.append(
            Point(value, None, None)
            if reach is None
            else Point(value, max(0.0, value - reach), value + reach)
        )
    return points


def smoothing(form: Form) -> Forecaster:
    """Exponential smoothing of one form, as a function of a history and a number of months."""

    def forecast(values: Sequence[float], horizon: int) -> list[Point]:
        fitted = _fit(values, form)
        table = fitted.get_prediction(
            start=len(values), end=len(values) + horizon - 1
        ).summary_frame(alpha=1 - LEVEL)
        return [
            Point(math.exp(row.mean), math.exp(row.pi_lower), math.exp(row.pi_upper))
            for row in table.itertuples()
        ]

    return forecast


def _baseline(values: Sequence[float], held_out: int, why: str) -> Projection:
    trial = _test(values, held_out, seasonal_naive)
    return Projection(
        BASELINE,
        _widen(seasonal_naive(values, HORIZON), trial),
        f"Se repite el mismo mes del año anterior: {why}.",
        held_out=held_out,
        baseline_error_pct=trial.error_pct,
        coverage_pct=trial.coverage_pct,
        widened=trial.widening,
    )


def _contest(values: Sequence[float], held_out: int) -> Projection:
    """Model against baseline on the same held-out months."""
    try:
        form = _choose(values[: len(values) - held_out])
        model = smoothing(form)
        trial = _test(values, held_out, model)
        points = _widen(model(values, HORIZON), trial)
    except (ValueError, ArithmeticError, IndexError) as failure:
        # What statsmodels raises on a series it cannot fit (numpy's LinAlgError is a ValueError).
        return _baseline(values, held_out, f"el modelo no se pudo ajustar ({failure})")
    baseline = _test(values, held_out, seasonal_naive)
    if _is_better(trial, baseline) and all(math.isfinite(point.value) for point in points):
        return Projection(
            MODEL,
            points,
            f"El modelo ({form}) acertó más que repetir el año anterior en los {held_out} meses "
            "apartados.",
            form=str(form),
            held_out=held_out,
            model_error_pct=trial.error_pct,
            baseline_error_pct=baseline.error_pct,
            coverage_pct=trial.coverage_pct,
            widened=trial.widening,
        )
    why = f"el modelo ({form}) no acertó más en los {held_out} meses apartados"
    return replace(_baseline(values, held_out, why), model_error_pct=trial.error_pct)


def _is_better(trial: Trial, baseline: Trial) -> bool:
    if trial.error_pct is None or not math.isfinite(trial.error_pct):
        return False
    return baseline.error_pct is None or trial.error_pct < baseline.error_pct


def _test(values: Sequence[float], held_out: int, forecast: Forecaster) -> Trial:
    """Every held-out month projected from every month before it."""
    off = total = 0.0
    scores = []
    for origin in range(len(values) - held_out, len(values)):
        truth = values[origin:]
        for real, point in zip(truth, forecast(values[:origin], len(truth)), strict=True):
            off += abs(real - point.value)
            total += real
            if point.low is not None and point.high is not None:
                reach = point.high - point.value if real > point.value else point.value - point.low
                missed = abs(real - point.value)
                scores.append(0.0 if missed == 0 else missed / reach if reach else math.inf)
    return Trial(
        round(100 * off / total, 2) if total else None,
        round(100 * sum(score <= 1 for score in scores) / len(scores), 1) if scores else None,
        max(1.0, sorted(scores)[math.ceil(LEVEL * len(scores)) - 1]) if scores else None,
    )


def _widen(points: Sequence[Point], trial: Trial) -> tuple[Point, ...]:
    """Intervals wide enough for the held-out months; none where no width would have been."""
    factor = trial.widening
    if factor is None or not math.isfinite(factor):
        return tuple(Point(point.value, None, None) for point in points)
    return tuple(
        point
        if point.low is None or point.high is None
        else Point(
            point.value,
            max(0.0, point.value - factor * (point.value - point.low)),
            point.value + factor * (point.high - point.value),
        )
        for point in points
    )


def _choose(values: Sequence[float]) -> Form:
    """The form with the smallest AICc; without seasons where too few months are left for them."""
    forms = [Form(trend, seasonal) for seasonal in (True, False) for trend in (False, True)]
    scores = {form: float(_fit(values, form).aicc) for form in forms}
    usable = {form: score for form, score in scores.items() if math.isfinite(score)}
    if not usable:
        raise ValueError("ninguna forma del modelo se ajusta a la serie")
    return min(usable, key=lambda form: usable[form])


def _fit(values: Sequence[float], form: Form) -> Any:
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    with warnings.catch_warnings():
        # A fit that stopped early still has an error, and that is what decides about its use.
        warnings.simplefilter("ignore")
        return ETSModel(
            pd.Series([math.log(value) for value in values]),
            error="add",
            trend="add" if form.trend else None,
            damped_trend=form.trend,
            seasonal="add" if form.seasonal else None,
            seasonal_periods=SEASON if form.seasonal else None,
            initialization_method="heuristic",
        ).fit(disp=False)

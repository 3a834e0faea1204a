"""Readings at scale: does the work grow with what arrived, or with history?

    python -m benchmarks.readings [--json] [--scale 0.1] [--only day,daiad] [--daiad ARCHIVO]

One line per figure, progress on stderr with the time of day. Everything happens in data folders of
its own, removed afterwards; the full scale needs about 20 GB of disk and half an hour.

  day       a whole `lujan run` (load, models, tests, suites, exports) of one more day of 3,000
            meters, at 30 and at 365 days of history: seconds, and the ratio of both
  backfill  the 365 days before it (26 M readings) from files to all marts, as one first run
  limit     consumption by zone and month: the marts' models beside plain SQL in the same server,
            and beside DuckDB and polars on Parquet; litres must be equal
  daiad     one year of DAIAD's layout (674,019 readings), or the real file, from file to all marts:
            arriving at a warehouse that is built and empty (`daiad`), and in the first run of all
            (`daiad_first`), which also makes every table and view of the city

`--scale` is the share of the meters (1 = 3,000). Exit code 1 when a run failed, litres differ or a
goal is missed (`meets_goal`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import sigterm_interrupts
from benchmarks.water.aggregation import compare
from benchmarks.water.meters import Meters, days, write_daiad_like, write_feed, write_parquet
from benchmarks.water.place import ROOT, Place, Run, RunFailed, machine, place

METERS = 3_000
FIRST = dt.date(2025, 6, 1)
SHORT, LONG = 30, 365
# What the city asks for; the seconds are of the full scale.
_GOAL_RATIO, _GOAL_BACKFILL_S, _GOAL_DAIAD_S = 1.3, 480.0, 20.0
# The first day after a first build pays for caches and hint bits that later ones find.
_DAYS_MEASURED = 2
_PARTS = ("day", "limit", "daiad")
Figure = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per figure."""
    options = _parser().parse_args(arguments)
    wanted = tuple(options.only.split(",")) if options.only else _PARTS
    if unknown := set(wanted) - set(_PARTS):
        print(f"no hay {', '.join(sorted(unknown))}; hay {', '.join(_PARTS)}", file=sys.stderr)
        return 2
    failed = False
    try:
        with sigterm_interrupts():
            for figure in _figures(options, wanted):
                failed |= figure.get("agrees") is False or figure.get("meets_goal") is False
                print(json.dumps(figure) if options.json else _line(figure), flush=True)
    except RunFailed as error:
        print(f"la corrida falló:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("interrumpido: todo quedó detenido y borrado")
        return 130
    return int(failed)


def _figures(options: argparse.Namespace, wanted: Sequence[str]) -> Iterator[Figure]:
    meters = Meters(max(20, round(METERS * options.scale)), FIRST)
    yield {"figure": "machine", "value": machine(), "meters": meters.count}
    if {"day", "limit"} & set(wanted):
        short, long = options.days
        at: dict[int, float] = {}
        for history in (short, long):
            for figure in _with_history(meters, history, limit="limit" in wanted):
                if figure["figure"] == "day_run":
                    at[history] = figure["value"]
                yield figure
        ratio = at[long] / at[short]
        yield _figure(
            "day_run_ratio", ratio, "veces", histories=[short, long], goal=_GOAL_RATIO,
            meets_goal=ratio < _GOAL_RATIO,
        )  # fmt: skip
    if "daiad" in wanted:
        yield from _daiad(options.daiad)


def _with_history(meters: Meters, history: int, *, limit: bool) -> Iterator[Figure]:
    """A warehouse with so many days, and then one more day a few times."""
    with place(f"lecturas-{history}") as made:
        made.register(meters)
        rows = _write_history(made, meters, history)
        _say(f"{history} días de historia: {rows} lecturas; primera corrida")
        first = made.run()
        _say(f"  {first.seconds:.0f} s; del archivo al último mart, {first.to_marts:.0f} s")
        if first.loaded != rows:
            raise RunFailed(f"se escribieron {rows} lecturas y se cargaron {first.loaded}")
        yield from _described("backfill", first, history=history, rows=rows)
        if meters.count == METERS and history == LONG:
            met = first.to_marts < _GOAL_BACKFILL_S
            yield _figure(
                "backfill_goal", first.to_marts, "s", goal=_GOAL_BACKFILL_S, meets_goal=met
            )
        if limit:
            yield from _limit(made, meters, history, first)
        runs = []
        for number in range(_DAYS_MEASURED):
            made.settle()
            day = FIRST + dt.timedelta(days=history + number)
            rows = write_feed(meters, iter([day]), made.feed / f"lecturas_{day}.csv")
            time.sleep(3.1)  # a file this young is taken for one still being written
            _say(f"{history} días de historia: el día {day}, {rows} lecturas")
            run = made.run()
            _say(f"  {run.seconds:.0f} s; del archivo al último mart, {run.to_marts:.0f} s")
            if run.loaded != rows:
                raise RunFailed(f"se escribieron {rows} lecturas y se cargaron {run.loaded}")
            runs.append(run)
        best = min(runs, key=lambda run: run.seconds)
        yield from _described("day", best, history=history, rows=rows)
        yield from _slowest(best, history)


def _slowest(run: Run, history: int) -> Iterator[Figure]:
    """Where a day's time goes: a table that grows with history shows here first."""
    for name, parts in (("models", run.models), ("tests", run.tests)):
        longest = sorted(parts.items(), key=lambda item: -item[1])[:8]
        yield _figure(
            f"day_{name}", sum(parts.values()), "s", count=len(parts), history=history,
            slowest={part: round(seconds, 2) for part, seconds in longest},
        )  # fmt: skip


def _write_history(made: Place, meters: Meters, history: int) -> int:
    """Files of thirty days each, as a vendor hands over what it kept."""
    rows = 0
    for start in range(0, history, 30):
        first = FIRST + dt.timedelta(days=start)
        _say(f"escribiendo lecturas desde {first}")
        rows += write_feed(
            meters, days(first, min(30, history - start)), made.feed / f"lecturas_{first}.csv"
        )
    time.sleep(3.1)
    return rows


def _described(name: str, run: Run, **facts: Any) -> Iterator[Figure]:
    yield _figure(f"{name}_run", run.seconds, "s", **facts)
    yield _figure(f"{name}_file_to_marts", run.to_marts, "s", **facts)
    yield _figure(f"{name}_load", run.load_seconds, "s", **facts)
    yield _figure(f"{name}_peak_memory", run.peak_mib, "MiB", **facts)


def _limit(made: Place, meters: Meters, history: int, first: Run) -> Iterator[Figure]:
    _say(f"{history} días de historia: los límites")
    parquet = made.folder / "lecturas.parquet"
    write_parquet(meters, days(FIRST, history), parquet)
    made.settle()
    found = compare(made, first.models, parquet)
    ours = found[0].seconds
    for timed in found:
        yield _figure(
            f"limit_{timed.way}", timed.seconds, "s", history=history, agrees=timed.agrees,
            ratio=round(ours / timed.seconds, 2) if timed.seconds else None,
        )  # fmt: skip
    parquet.unlink()


def _daiad(real: Path | None) -> Iterator[Figure]:
    contracts = ("--contracts", str(ROOT / "docs" / "ejemplos" / "daiad"))
    for name in ("daiad_first", "daiad"):
        with place("daiad") as made:
            if name == "daiad":
                _say("DAIAD: un almacén vacío")
                made.run(*contracts)
            if real is None:
                rows = write_daiad_like(made.feed / "swm_trialA.csv")
            else:
                rows = copy_daiad(real, made.feed)
            _say(f"DAIAD: {rows} lecturas")
            time.sleep(3.1)
            run = made.run(*contracts)
            if run.loaded != rows:
                raise RunFailed(f"el archivo tiene {rows} lecturas y se cargaron {run.loaded}")
            yield from _described(name, run, rows=rows, real=real is not None)
            if name == "daiad":
                met = run.to_marts < _GOAL_DAIAD_S
                yield _figure("daiad_goal", run.to_marts, "s", goal=_GOAL_DAIAD_S, meets_goal=met)


def copy_daiad(source: Path, feed: Path) -> int:
    """The trial's CSV, packed or not; gives its rows."""
    target = feed / "swm_trialA.csv"
    if source.suffix == ".zip":
        with (
            zipfile.ZipFile(source) as packed,
            packed.open(target.name) as inside,
            target.open("wb") as sink,
        ):
            shutil.copyfileobj(inside, sink)
    else:
        shutil.copyfile(source, target)
    with target.open("rb") as lines:
        return sum(1 for _ in lines) - 1


def _figure(name: str, value: float, unit: str, **facts: Any) -> Figure:
    return {"figure": name, "value": round(value, 2), "unit": unit, **facts}


def _line(figure: Figure) -> str:
    rest = {k: v for k, v in figure.items() if k not in ("figure", "value", "unit")}
    words = "  ".join(f"{name}={value}" for name, value in rest.items())
    return f"{figure['figure']:24} {figure['value']!s:>10} {figure.get('unit', ''):5} {words}"


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 3,000 meters")
    parser.add_argument("--only", help=f"some of {','.join(_PARTS)}")
    parser.add_argument(
        "--days", type=int, nargs=2, default=(SHORT, LONG), metavar=("FEW", "MANY"),
        help="days of history to compare",
    )  # fmt: skip
    parser.add_argument("--daiad", type=Path, help="the trial's real CSV, or its zip")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Results: one line per contender and scenario, and the table of the page.

Belongs here: turning runs into figures, refusing figures of loads that differ, and writing them.
Does not belong here: running anything.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.loading.measure import Run
from benchmarks.loading.model import Scenario


@dataclass(slots=True)
class Series:
    """The runs of one contender on one scenario, in the order of the rounds."""

    contender: str
    versions: Mapping[str, str]
    runs: list[Run] = field(default_factory=list)
    warehouse_seconds: list[float] = field(default_factory=list)
    problem: str | None = None


def line(scenario: Scenario, series: Series, limit: Series) -> dict[str, Any]:
    """The figures of one contender. A ratio is printed only when both it and the limit loaded
    what the source holds; otherwise `error` says why not.

    `ratio_to_limit` is the median of the ratios round by round; seconds are medians; `peak_mib` is
    the largest of all rounds.
    """
    found: dict[str, Any] = {
        "path": scenario.path,
        "dataset": scenario.dataset.name,
        "rows": scenario.rows,
        "contender": series.contender,
        "seconds": _median([run.seconds for run in series.runs]),
        "ratio_to_limit": None,
        "peak_mib": None,
        "inner_seconds": _median(
            [float(r.told["inner_seconds"]) for r in series.runs if "inner_seconds" in r.told]
        ),
        "warehouse_seconds": _median(series.warehouse_seconds),
        "runs": len(series.runs),
        "versions": dict(series.versions),
    }
    if series.runs:
        found["peak_mib"] = round(max(run.peak_mib for run in series.runs), 1)
    problem = series.problem or (limit.problem and f"el límite no sirve: {limit.problem}")
    if problem:
        found["error"] = problem
    elif series.runs:
        pairs = zip(series.runs, limit.runs, strict=False)
        found["ratio_to_limit"] = _median([run.seconds / other.seconds for run, other in pairs])
    return found


def unprepared(path: str, contender: str, problem: str) -> dict[str, Any]:
    """The line of a path whose source could not be made."""
    return {
        "path": path, "dataset": "", "rows": 0, "contender": contender, "seconds": None,
        "ratio_to_limit": None, "peak_mib": None, "inner_seconds": None, "warehouse_seconds": None,
        "runs": 0, "versions": {}, "error": problem,
    }  # fmt: skip


def as_json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False)


def as_text(found: Mapping[str, Any]) -> str:
    """A line for a person."""
    where = f"{found['path']:10} {found['dataset']:19} {found['rows']:>9,}"
    if found["seconds"] is None:
        return f"{where}  {found['contender']:18} {found.get('error', '')}"
    ratio = found["ratio_to_limit"]
    inner = found["inner_seconds"]
    return (
        f"{where}  {found['contender']:18} {found['seconds']:8.2f} s  "
        f"{'   –  ' if ratio is None else f'{ratio:5.2f}×'}  {found['peak_mib']:7.0f} MiB  "
        f"{'' if inner is None else f'dentro {inner:.2f} s'}  {found.get('error', '')}"
    ).rstrip()


def markdown(lines: Iterable[Mapping[str, Any]]) -> str:
    """The tables of the page, one per scenario, contenders from fast to slow."""
    groups: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for found in lines:
        groups.setdefault((found["path"], found["dataset"], found["rows"]), []).append(found)
    return "\n\n".join(_table(*where, found) for where, found in groups.items()) + "\n"


def _table(path: str, dataset: str, rows: int, lines: Sequence[Mapping[str, Any]]) -> str:
    text = [
        f"### {path}: {dataset}, {_thousands(rows)} filas",
        "",
        "| quién | segundos | veces el límite | sin importaciones | trabajo del almacén | MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for found in sorted(lines, key=lambda one: (one["seconds"] is None, one["seconds"] or 0)):
        if found.get("error"):
            text.append(f"| {found['contender']} | no medido: {found['error']} | | | | |")
            continue
        cells = (
            _figure(found["seconds"]),
            _figure(found["ratio_to_limit"]),
            _figure(found["inner_seconds"]),
            _figure(found["warehouse_seconds"]),
            f"{found['peak_mib']:.0f}",
        )
        text.append(f"| {found['contender']} | {' | '.join(cells)} |")
    return "\n".join(text)


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace(".", ",")


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None

"""What two successive releases of a table about people tell together.

Belongs here: reading the counts of two releases from their files and saying which changed by too
little. Does not belong here: what one release tells alone (`disclosure.py`, `audit.py`), or what is
done about it (`export.py`).

When two persons joined a programme since the last release, every one-way table of it grew by two,
and the cells that grew are those two persons: their district, their age, their gender. The
releases differ by a group too small to be shown, although no cell of either is. So a release
waits until its groups have changed by nothing or by at least `diferencia_minima`: changes add up
until then, and leave together.

A group is what has a total of its own (a programme); its change is the largest, over its tables, of
what the cells shown in both releases moved. A cell that is hidden in one of them says nothing here:
it was shown with at least the threshold, and what is hidden now is protected by its own release.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exports.definition import Disclosure, Resource

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SmallChange:
    """A group, and by how many it changed: more than none and fewer than may be told."""

    group: Values
    change: int


def small_changes(
    before: Path, after: Path, resource: Resource, rule: Disclosure, key: Sequence[str]
) -> list[SmallChange]:
    """Groups that changed by too little between two CSV files of the resource.

    `key` are the columns that tell cells apart. Nothing without a `diferencia_minima`. A group that
    one of the files does not have is not compared. Raises OSError, and KeyError when a file has
    other columns: another table, of which nothing can be said.
    """
    least = rule.diferencia_minima
    if least is None:
        return []
    earlier = dict(_cells(before, rule, key))
    moved: dict[tuple[Values, Values], int] = {}
    for cell, count in _cells(after, rule, key):
        was = earlier.get(cell)
        if was is None or count is None:
            continue
        named = dict(zip(key, cell, strict=True))
        for margin in rule.margenes or ((),):
            table = tuple(named.get(name, "") for name in margin)
            where = (_group(named, margin, rule), table)
            moved[where] = moved.get(where, 0) + abs(count - was)
    changes: dict[Values, int] = {}
    for (group, _), change in moved.items():
        changes[group] = max(changes.get(group, 0), change)
    return [
        SmallChange(group, change) for group, change in sorted(changes.items())
        if 0 < change < least
    ]  # fmt: skip


def _group(named: Mapping[str, str], margin: Sequence[str], rule: Disclosure) -> Values:
    """What the margin's total is of: its columns without those that mark totals."""
    marks = {total.columna for total in rule.totals}
    return tuple(named.get(name, "") for name in margin if name not in marks)


def _cells(path: Path, rule: Disclosure, key: Sequence[str]) -> Iterator[tuple[Values, int | None]]:
    """Counts by cell; None where it is hidden."""
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            count = row[rule.columna_conteo]
            yield tuple(row[name] for name in key), int(count) if count else None

"""A large table in several parts, read at once: where the parts end, and how they come together.

Belongs here: boundaries, the statement of each part, the order of their batches. Does not belong
here: connections, snapshots, and whether a table is worth it (`database.py`).

Parts are half-open, [boundary, next boundary); the first has no beginning and holds the nulls, the
last has no end. So every row is in one part, whatever the boundaries are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

Item = TypeVar("Item")


def boundaries(lowest: Any, highest: Any, parts: int) -> list[Any]:
    """Up to `parts - 1` values, ascending and each once, that part `lowest`..`highest` evenly.

    Empty where there is nothing to part: no value at all, or too few of them.
    """
    if lowest is None or highest is None:
        return []
    width = highest - lowest
    found = {lowest + width * number // parts for number in range(1, parts)}
    return sorted(value for value in found if value > lowest)


def parted(
    query: sa.Select[Any],
    column: sa.ColumnElement[Any],
    bounds: Sequence[Any],
    since: Callable[[Any], sa.ColumnElement[bool]],
) -> list[sa.Select[Any]]:
    """The query in `len(bounds) + 1` parts; `since` gives the condition `column >= value`."""
    if not bounds:
        return [query]
    before = [sa.not_(since(bound)) for bound in bounds]
    first = query.where(sa.or_(before[0], column.is_(None)))
    middle = [
        query.where(since(bound), end) for bound, end in zip(bounds, before[1:], strict=False)
    ]
    return [first, *middle, query.where(since(bounds[-1]))]


def in_turn(streams: Sequence[Generator[Item, None, None]]) -> Iterator[Item]:
    """One item of each stream after the other, until all have ended: the same order every time.

    None gets far ahead of the others, so none has to be held back in memory. All are closed, too,
    when whoever reads stops early.
    """
    going = list(streams)
    try:
        while going:
            for stream in list(going):
                try:
                    item = next(stream)
                except StopIteration:
                    going.remove(stream)
                else:
                    yield item
    finally:
        for stream in going:
            stream.close()

"""What arithmetic gives back of hidden cells: the range each can have, given what is published.

Belongs here: sums and ranges, on plain data. Does not belong here: reading rows or refusing a
dataset (`disclosure.py`), or hiding cells (the marts).

Hidden counts are unknown numbers of at least zero; every published total is an equation over them.
The range of a cell is the smallest and largest value it takes in any solution (the "feasibility
interval" of the literature on cell suppression). A cell is exposed when its range is narrower than
the threshold of its table: the total would tell it, exactly or nearly.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# Room for the arithmetic of the solver; counts are whole numbers.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class HiddenSum(Generic[Key]):
    """What a total leaves for the cells hidden under it: they add up to `value`.

    `total` is the total itself when it is hidden too, as those of a crossed table may be: then the
    cells add up to it and `value`, which is what the cells shown take away from it (negative).
    """

    cells: tuple[Key, ...]
    value: float
    total: Key | None = None

    @property
    def unknown(self) -> tuple[Key, ...]:
        """Everything hidden that it speaks of."""
        return self.cells if self.total is None else (*self.cells, self.total)


def ranges(sums: Iterable[HiddenSum[Key]]) -> dict[Key, tuple[float, float]]:
    """Smallest and largest possible value of every cell that some sum mentions.

    Cells that share no sum, even through others, are looked at apart. ValueError when the sums
    contradict each other: a table that does not add up protects nothing that can be reasoned about.
    """
    found: dict[Key, tuple[float, float]] = {}
    for component in _components(list(sums)):
        if len(component) == 1 and component[0].total is None:
            (only,) = component
            if only.value < -_ROUNDING:
                raise ValueError("a total is smaller than its cells")
            low = only.value if len(only.cells) == 1 else 0.0
            found.update(dict.fromkeys(only.cells, (low, only.value)))
        else:
            found.update(_solve(component))
    return found


def exposed(
    sums: Iterable[HiddenSum[Key]], thresholds: Mapping[Key, int]
) -> dict[Key, tuple[float, float]]:
    """The cells whose range is narrower than their threshold, and that range."""
    return {
        cell: (low, high)
        for cell, (low, high) in ranges(sums).items()
        if high - low < thresholds[cell] - _ROUNDING
    }


def _components(sums: Sequence[HiddenSum[Key]]) -> list[list[HiddenSum[Key]]]:
    """Sums that have cells in common, together."""
    parent = list(range(len(sums)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Key, int] = {}
    for index, item in enumerate(sums):
        for cell in item.unknown:
            parent[root(index)] = root(first.setdefault(cell, index))
    together: dict[int, list[HiddenSum[Key]]] = {}
    for index, item in enumerate(sums):
        if item.unknown:
            together.setdefault(root(index), []).append(item)
    return list(together.values())


def _solve(component: Sequence[HiddenSum[Key]]) -> dict[Key, tuple[float, float]]:
    import numpy as np
    from scipy.optimize import linprog

    cells = list(dict.fromkeys(cell for item in component for cell in item.unknown))
    place = {cell: index for index, cell in enumerate(cells)}
    matrix = np.zeros((len(component), len(cells)))
    for row, item in enumerate(component):
        for cell in item.cells:
            matrix[row, place[cell]] = 1
        if item.total is not None:
            matrix[row, place[item.total]] = -1
    totals = [item.value for item in component]
    found = {}
    for cell, index in place.items():
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(cells))
            goal[index] = sign
            solved = linprog(goal, A_eq=matrix, b_eq=totals, bounds=(0, None), method="highs")
            if solved.status == 2:
                raise ValueError("the totals contradict each other")
            ends.append(sign * solved.fun if solved.status == 0 else math.inf)
        found[cell] = (max(ends[0], 0.0), ends[1])
    return found

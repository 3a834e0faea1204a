"""A table held in columns, and the drawing helpers every subject uses.

Storage (SQLite, PostgreSQL, spreadsheets) belongs in the modules that write; what the columns
mean belongs in the module of each subject.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeds.sample.config import MENDOZA

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Key = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column and its logical type (``int``, ``bigint``, ``numeric(p,s)``, ``text``, …)."""

    name: str
    kind: str


@dataclass
class Table:
    """Column-oriented rows of one dataset; every list in ``data`` has the same length."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    data: dict[str, list[Any]]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        lengths = {name: len(self.data[name]) for name in names}
        if set(names) != set(self.data) or len(set(lengths.values())) > 1:
            raise ValueError(f"{self.name}: columns do not fit the data {lengths}")

    def __len__(self) -> int:
        return len(self.data[self.columns[0].name])

    def __getitem__(self, column: str) -> list[Any]:
        return self.data[column]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows in column order."""
        return zip(*(self.data[column.name] for column in self.columns), strict=True)

    def key_of(self, index: int) -> Key:
        """The primary key of a row, as ground truth states it."""
        return {name: self.data[name][index] for name in self.key}

    def append_copy(self, index: int, **changes: Any) -> int:
        """Add a copy of a row with some values changed; returns the new index."""
        for name, values in self.data.items():
            values.append(changes.get(name, values[index]))
        return len(self) - 1

    def drop(self, indexes: Sequence[int]) -> None:
        """Remove rows."""
        unwanted = set(indexes)
        for name, values in self.data.items():
            self.data[name] = [v for i, v in enumerate(values) if i not in unwanted]


def columns(*declarations: str) -> tuple[Column, ...]:
    """``columns("id int", "nombre text")`` → typed columns."""
    return tuple(Column(*text.split(" ", 1)) for text in declarations)


class RowPicker:
    """Hands out row numbers at random, never the same one twice: defects do not overlap."""

    def __init__(self, rng: np.random.Generator, candidates: int | Sequence[int]) -> None:
        pool = np.arange(candidates) if isinstance(candidates, int) else np.asarray(candidates)
        self._free: list[int] = rng.permutation(pool).tolist()

    @property
    def remaining(self) -> int:
        """How many rows nobody took."""
        return len(self._free)

    def take(self, count: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        """``count`` fresh row numbers, only among those ``allowed`` when given."""
        chosen: list[int] = []
        kept: list[int] = []
        for row in self._free:
            fits = len(chosen) < count and (allowed is None or bool(allowed[row]))
            (chosen if fits else kept).append(row)
        if len(chosen) < count:
            raise ValueError(f"only {len(chosen)} of {count} rows available to plant a defect")
        self._free = kept
        return sorted(chosen)


def stream(seed: int, name: str) -> np.random.Generator:
    """An independent random stream per subject: changing one subject leaves the others as is."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def pick(
    rng: np.random.Generator,
    options: Sequence[Any],
    size: int,
    weights: Sequence[float] | None = None,
) -> list[Any]:
    """Draw ``size`` of the options (weights need not add up to one)."""
    p = None if weights is None else np.asarray(weights, dtype=float) / float(np.sum(weights))
    return [options[i] for i in rng.choice(len(options), size=size, p=p).tolist()]


def decimals(values: Floats | Ints, places: int) -> list[Decimal]:
    """Exact decimals with a fixed number of places."""
    scaled = np.rint(np.asarray(values, dtype=float) * 10**places).astype(np.int64)
    return [Decimal(v).scaleb(-places) for v in scaled.tolist()]


def dates(first: dt.date, days: Ints) -> list[dt.date]:
    """``first`` plus each number of days."""
    result: list[dt.date] = (np.datetime64(first, "D") + days.astype("timedelta64[D]")).tolist()
    return result


def moments(first: dt.date, seconds: Ints) -> list[dt.datetime]:
    """Local wall-clock times: midnight of ``first`` plus each number of seconds."""
    start = np.datetime64(first, "s")
    result: list[dt.datetime] = (start + seconds.astype("timedelta64[s]")).tolist()
    return result


def zoned(values: Sequence[dt.datetime | None]) -> list[dt.datetime | None]:
    """The same wall-clock times, told to be Mendoza's."""
    return [None if v is None else v.replace(tzinfo=MENDOZA) for v in values]


def blank_where(values: Sequence[Any], mask: NDArray[np.bool_] | Sequence[bool]) -> list[Any]:
    """None where the mask holds."""
    return [None if hide else value for value, hide in zip(values, mask, strict=True)]

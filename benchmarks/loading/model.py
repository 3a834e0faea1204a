"""What is loaded: columns, datasets and scenarios as plain values.

Belongs here: values shared by every module of this package. Does not belong here: making data,
starting servers, running anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]


class BenchmarkError(Exception):
    """A part of the benchmark cannot be prepared or run; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as each side declares it; `minimum` is a rule ours checks on every row."""

    name: str
    pg_type: str
    mysql_type: str
    required: bool = True
    minimum: int | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table to load. `number`, `time` and `text` are the columns its fingerprint is taken of;
    `make(rows)` gives its rows as Arrow batches, always the same ones."""

    name: str
    columns: tuple[Column, ...]
    key: str
    number: str
    time: str
    text: str
    make: Callable[[int], Iterator[pa.RecordBatch]]
    cursor: str | None = None

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What must be equal on both sides: rows, sum of the number, first and last time (seconds
    since 1970), and the sum of the CRC-32 of the text."""

    rows: int
    total: Decimal
    first: Decimal
    last: Decimal
    texts: int

    def difference(self, other: Fingerprint) -> str | None:
        """What differs, in words; None when nothing does."""
        names = {
            "rows": "filas", "total": "suma", "first": "primer momento",
            "last": "último momento", "texts": "suma de los textos",
        }  # fmt: skip
        found = [
            f"{words} {_plain(getattr(other, name))} en lugar de {_plain(getattr(self, name))}"
            for name, words in names.items()
            if getattr(self, name) != getattr(other, name)
        ]
        return "; ".join(found) or None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to load: a path, its source, and what the target must hold afterwards.

    `rows` are those the load reads. `before`: a scenario loaded first, outside the measurement
    (the state an incremental load starts from). `tables`: names at the source.
    """

    path: str
    dataset: Dataset
    rows: int
    expected: Fingerprint
    source_url: str | None = None
    file: Path | None = None
    binary_file: Path | None = None
    tables: tuple[str, ...] = ()
    before: Scenario | None = None

    @property
    def table(self) -> str:
        return self.tables[0]

    def job(self, target_url: str) -> dict[str, Any]:
        """What a contender's program is told, ready for JSON."""
        return {
            "path": self.path,
            "source_url": self.source_url,
            "file": str(self.file) if self.file else None,
            "tables": list(self.tables),
            "target_url": target_url,
            "incremental": self.path in ("merge", "no_change"),
            "dataset": self.dataset.name,
            "key": self.dataset.key,
            "cursor": self.dataset.cursor,
            "columns": {c.name: c.pg_type for c in self.dataset.columns},
        }


def _plain(number: Decimal | int) -> str:
    return f"{number:f}" if isinstance(number, Decimal) else str(number)


def epoch(moment: dt.datetime) -> Decimal:
    """Seconds since 1970 of an instant; a moment without zone is in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    span = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return Decimal(span // dt.timedelta(microseconds=1)) / 1_000_000

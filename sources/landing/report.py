"""What goes into a load and what comes out of it: context, checkers, report.

Belongs here: values and protocols only. Does not belong here: any statement or any reading.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from sources.errors import PipelineError
from sources.landing.totals import Totals
from sources.raw_table import Connection

LoadState = Literal["cargada", "sin_cambios", "fallida", "sin_configurar"]
# Below this many rows a share says nothing: one bad row of two must not stop a load.


class RowFailure(Protocol):
    """A row a checker keeps out: where it stood, which rule, and why (no personal values)."""

    @property
    def index(self) -> int: ...
    @property
    def rule(self) -> str: ...
    @property
    def column(self) -> str | None: ...
    @property
    def reason(self) -> str: ...


class CheckedBatch(Protocol):
    """A batch after a checker: the rows that may pass and the failures of those that may not."""

    @property
    def good(self) -> pa.RecordBatch: ...
    @property
    def good_rows(self) -> pa.Int64Array: ...
    @property
    def failures(self) -> Sequence[RowFailure]: ...


class Checker(Protocol):
    """What is asked of every batch before it is written; made by `expectations`."""

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch: ...


_SUMMED = (
    "read",
    "loaded",
    "quarantined",
    "known",
    "deleted",
    "files",
    "files_known",
    "files_waiting",
)


@dataclass(slots=True)
class LoadReport:
    """What became of one load; the sum over files for feeds of files.

    `files_waiting` counts files that were still being written; `notes` says which, and whatever
    else a person should hear of that is no error.
    """

    dataset: str
    state: LoadState
    read: int = 0
    loaded: int = 0
    quarantined: int = 0
    known: int = 0
    deleted: int = 0
    source_count: int | None = None
    files: int = 0
    files_known: int = 0
    files_waiting: int = 0
    seconds: float = 0.0
    watermark: str | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    bad_columns: Counter[str] = field(default_factory=Counter)
    errors: list[PipelineError] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Sums of number columns: what is being added up, and what agreed (`origen`, `leido`) by column.
    totals: Totals | None = None
    checksums: dict[str, dict[str, str]] = field(default_factory=dict)
    # Keys of the source that raw lacked when all were compared; None where they were not.
    missing: int | None = None
    # Where in the table's partitions the rows are, where no file's entry says it.
    extent: dict[str, object] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether raw holds something else than before."""
        return self.loaded > 0 or self.deleted > 0

    def add(self, other: LoadReport) -> None:
        """Add one file's figures to the feed's."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)
        self.bad_columns.update(other.bad_columns)
        self.errors.extend(other.errors)
        self.drift.extend(item for item in other.drift if item not in self.drift)
        self.notes.extend(other.notes)


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What every load of a run shares.

    `connect` gives a connection to the warehouse for one transaction, which ends with the block it
    is used in; `run_id` names the run in the load records;
    `progress` hears of rows as they are read; `archive` is the folder in which a copy of every
    loaded file is kept (None: nowhere).
    """

    connect: Callable[[], AbstractContextManager[Connection]]
    run_id: str
    batch_rows: int = 65_536
    progress: Progress = lambda rows: None
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    archive: Path | None = None

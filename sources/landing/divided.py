"""A batch divided into rows that may pass and rows that may not.

Belongs here: the division, for the checkers of `landing`. Does not belong here: which rows may not
pass, or what checkers of rules say of them (`expectations/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.arrow_values import from_flags


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that may not pass, by its place in the batch."""

    index: int
    rule: str
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Divided:
    """A `CheckedBatch` (`report.py`)."""

    good: pa.RecordBatch
    good_rows: pa.Int64Array
    failures: list[Failure]


def divided(
    batch: pa.RecordBatch,
    row_numbers: pa.Int64Array,
    bad: npt.NDArray[np.bool_],
    rule: str,
    column: str,
    reason: Callable[[int], str],
) -> Divided:
    """Take the rows of `bad` out of the batch; `reason` tells why, by the row's place."""
    if not bad.any():
        return Divided(batch, row_numbers, [])
    kept = from_flags(~bad)
    failures = [Failure(at, rule, column, reason(at)) for at in np.flatnonzero(bad).tolist()]
    return Divided(batch.filter(kept), row_numbers.filter(kept), failures)

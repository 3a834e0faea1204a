"""What a raw table cannot hold whatever the contract says: such rows are set aside, each alone.

Belongs here: limits of the warehouse that a value of a source can reach, as checkers like those of
the rules. Does not belong here: rules of the contract, types (`sources/casting.py`).

Without them one such row stops its whole load: PostgreSQL refuses the transaction it is in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.arrow_values import from_numbers, from_texts, to_flags, to_numbers
from sources.contract import Contract
from sources.landing.divided import Divided, divided
from sources.landing.months import detached_months
from sources.landing.report import Checker
from sources.raw_table import Connection

RULE_LONG_KEY = "clave_demasiado_larga"
RULE_MONTH = "mes_imposible"
# An entry of a B-tree has at most 2,704 bytes (a third of a page); the rest is for other columns
# of the key and for the entry's own head.
LONGEST_KEY_BYTES = 2_400
# A month is a partition. `9999-12-31` for "no end" or `0001-01-01` for "unknown" is none of them.
FIRST_YEAR, LAST_YEAR = 1800, 2199
_NO_BYTES = from_numbers(np.array([0], np.int32))[0]


def limits(connection: Connection, contract: Contract) -> list[Checker]:
    """The checkers of the contract's table; none for most."""
    found: list[Checker] = []
    texts = tuple(name for name in contract.key if contract.column(name).pg_type == "text")
    if texts and contract.load_mode != "files":  # rows of files stand without an index of the key
        found.append(KeyLength(texts))
    if contract.partition_by:
        found.append(MonthRange(contract.partition_by))
    return [*found, *detached_months(connection, contract)]


class KeyLength:
    """Keeps out rows whose key is longer than an index can hold."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> Divided:
        """Divide the batch."""
        total = np.zeros(batch.num_rows, dtype=np.int64)
        for name in self._columns:
            values: Any = batch.column(name)
            lengths: Any = pc.cast(pc.fill_null(pc.binary_length(values), _NO_BYTES), pa.int64())
            total += to_numbers(lengths)
        reason = (
            f"la clave tiene más de {LONGEST_KEY_BYTES} bytes, lo más que admite un índice: "
            f"{', '.join(self._columns)}"
        )
        return divided(
            batch, row_numbers, total > LONGEST_KEY_BYTES,
            RULE_LONG_KEY, self._columns[0], lambda _: reason,
        )  # fmt: skip


class MonthRange:
    """Keeps out rows of months for which no partition is made; no date is of no month."""

    def __init__(self, column: str) -> None:
        self._column = column

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> Divided:
        """Divide the batch."""
        values: Any = batch.column(self._column)
        low, high = (_first_moment(year, values.type) for year in (FIRST_YEAR, LAST_YEAR + 1))
        outside: Any = pc.or_(pc.less(values, low), pc.greater_equal(values, high))
        reason = (
            f"{self._column}: la tabla se divide en meses y admite de {FIRST_YEAR} a {LAST_YEAR}"
        )
        bad = to_flags(outside)
        return divided(batch, row_numbers, bad, RULE_MONTH, self._column, lambda _: reason)


def _first_moment(year: int, kind: Any) -> Any:
    """The beginning of a year as a value of the column: months are those of UTC.

    Out of text: making Arrow's values of Python's imports pandas.
    """
    clock = "" if pa.types.is_date(kind) else " 00:00:00Z" if kind.tz else " 00:00:00"
    return from_texts([f"{year}-01-01{clock}"])[0].cast(kind)

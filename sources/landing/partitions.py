"""Months of a divided raw table, made as the rows of a load ask for them.

Belongs here: which months a batch needs, and where the rows of a load are. Does not belong here:
how a partition is made (`sources/raw_table.py`), taking months out (`months.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.arrow_values import to_python
from sources.contract import Contract
from sources.raw_table import Connection, ensure_month_partitions


class Partitions:
    """The monthly partitions that the batches of one load need, each made once."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection = connection
        self._contract = contract
        self._made: set[dt.date] = set()

    def prepare(self, batch: pa.RecordBatch, pause: Callable[[], None]) -> None:
        """Make what `batch` needs; `pause` is called before the connection is used."""
        column = self._contract.partition_by
        if not column or batch.num_rows == 0:
            return
        months = pc.unique(
            pc.cast(pc.floor_temporal(batch.column(column), unit="month"), pa.date32())
        )
        wanted = {month for month in months.to_pylist() if month} - self._made
        if wanted:
            pause()
            self.make(sorted(wanted))
            self._made |= wanted

    def make(self, months: Sequence[dt.date]) -> None:
        """Make the partitions of these months that are not there yet."""
        ensure_month_partitions(self._connection, self._contract, months)


class Extent:
    """Lowest and highest value of the partition column over the batches of one load."""

    def __init__(self, contract: Contract) -> None:
        self.column = contract.partition_by
        self.low: Any = None
        self.high: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the good rows of a batch into account."""
        if self.column is None:
            return
        ends: Any = pc.min_max(batch.column(self.column))
        low, high = to_python(ends["min"]), to_python(ends["max"])
        if low is None:
            return
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

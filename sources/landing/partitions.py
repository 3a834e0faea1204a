"""Months of a divided raw table, made as the rows of a load ask for them.

Belongs here: which months a batch needs. Does not belong here: how a partition is made
(`sources/raw_table.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

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

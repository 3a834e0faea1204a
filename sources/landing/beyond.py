"""Rows of an increment that can be nowhere in raw yet: their key is higher than all before them.

Belongs here: telling where in a batch they begin. Does not belong here: writing them
(`intake.py`).

Most tables number their rows as they come. Such rows need no comparison and no temporary table:
they are written into raw at once, inside the load's transaction. Only keys of one whole number are
told so: of texts source, warehouse and Python each have an order of their own. A load that breaks
off leaves what it wrote to the next vacuum.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from psycopg import sql

from sources.arrow_values import to_numbers
from sources.contract import Contract
from sources.raw_table import Connection, table_name

# Fewer rows than these at the end of a batch are not worth another COPY.
_WORTH_ROWS = 1_000


class Beyond:
    """Follows the keys of one load, batch by batch.

    `ascends` tells that each was higher than the one before it, so that none came twice.
    """

    def __init__(self, connection: Connection, contract: Contract) -> None:
        """For contracts that `can_be_told` admits; `connection` must hold the table's lock."""
        self._key = contract.key[0]
        row = connection.execute(
            sql.SQL("select max({}) from {}").format(
                sql.Identifier(self._key), table_name(contract)
            )
        ).fetchone()
        assert row is not None
        self._highest: int | None = row[0]
        self._last: int | None = None
        self.ascends = True

    def starts_at(self, batch: pa.RecordBatch) -> int:
        """From which row on every key is higher than all of raw, of earlier batches and rows.

        The number of rows where there are too few of them to be written apart.
        """
        keys = to_numbers(batch.column(self._key).cast(pa.int64()))
        self.ascends &= (self._last is None or keys[0] > self._last) and bool(
            (keys[1:] > keys[:-1]).all()
        )
        self._last = int(keys[-1])
        before = np.maximum.accumulate(keys)
        rises = np.empty(len(keys), np.bool_)
        rises[0] = self._highest is None or keys[0] > self._highest
        rises[1:] = keys[1:] > before[:-1]
        if self._highest is not None:
            rises &= keys > self._highest
        falls = np.flatnonzero(~rises)
        start = int(falls[-1]) + 1 if len(falls) else 0
        top = int(before[-1])
        self._highest = top if self._highest is None else max(self._highest, top)
        return start if len(keys) - start >= _WORTH_ROWS else len(keys)


def can_be_told(contract: Contract) -> bool:
    """Whether rows of this table have such a key, and a table whose partitions all exist."""
    if len(contract.key) != 1 or contract.partition_by:
        return False
    return pa.types.is_integer(contract.column(contract.key[0]).arrow_type)

"""Keys alone: those the source still has, in a temporary table of their own types.

Belongs here: reading and storing them, and when they are due. Does not belong here: what becomes
of rows whose key is gone (`merge.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from psycopg import sql

from sources.arrow_values import from_numbers
from sources.casting import cast_batch
from sources.contract import Contract
from sources.landing.intake import create_temporary
from sources.landing.records import Books
from sources.landing.writer import Writer
from sources.raw_table import LOAD_ID, SOURCE_ROW, Connection, audit_columns
from sources.readers import RawBatch
from sources.readers.watermark import period

SOURCE_KEYS = sql.Identifier("_claves")


@runtime_checkable
class KeyReader(Protocol):
    """A reader that can give the key of every row, in the snapshot it reads."""

    def keys(self) -> Iterator[pa.RecordBatch]: ...


def comparison_is_due(contract: Contract, books: Books, now: dt.datetime) -> bool:
    """Whether an incremental load that reads from a watermark shall compare all keys, too."""
    every = contract.deletions_every
    if contract.load_mode != "incremental" or every is None or books.watermark is None:
        return False
    return books.compared_at is None or now - books.compared_at >= period(every)


def store_source_keys(
    connection: Connection, contract: Contract, reader: KeyReader, load_id: int
) -> int:
    """Write every key the source has into `SOURCE_KEYS`; gives how many the source has.

    A key that cannot be represented is counted and left out: its row cannot be in raw.
    """
    keys = replace(
        contract, columns=tuple(column for column in contract.columns if column.primary_key)
    )
    extra = tuple(name for name in (LOAD_ID, SOURCE_ROW) if name in audit_columns(keys))
    create_temporary(connection, keys, SOURCE_KEYS, extra)
    count = 0
    with Writer(connection, SOURCE_KEYS, keys, load_id) as writer:
        for batch in reader.keys():  # noqa: SIM118 (a reader is no mapping)
            numbers = from_numbers(np.arange(count + 1, count + 1 + batch.num_rows))
            cast = cast_batch(keys, RawBatch(data=batch, rows=numbers))
            writer.write(cast.good, cast.rows)
            count += batch.num_rows
    return count

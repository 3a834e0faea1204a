"""Keys with their cursor: those the source still has, in a temporary table of their own types.

Belongs here: reading and storing them, when they are due, and which of them raw has in another
version. Does not belong here: what becomes of rows whose key is gone (`merge.py`).

The cursor tells versions apart. One that came behind the look-back (committed late, put back from a
backup) is seen by no increment: its key is in raw, with another cursor value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from psycopg import sql

from sources.arrow_values import from_numbers
from sources.casting import CastBatch, NumberStyle, cast_batch, cast_column
from sources.contract import Contract
from sources.landing.intake import create_temporary
from sources.landing.quarantine import held_condition
from sources.landing.records import Books
from sources.landing.report import LoadReport
from sources.landing.writer import Writer
from sources.raw_table import LOAD_ID, SOURCE_ROW, Connection, audit_columns, table_name
from sources.readers import RawBatch
from sources.readers.watermark import period, since_value

SOURCE_KEYS = sql.Identifier("_claves")


@runtime_checkable
class KeyReader(Protocol):
    """A reader that can give key and cursor of every row, in the snapshot it reads."""

    def keys(self) -> Iterator[pa.RecordBatch]: ...


def comparison_is_due(contract: Contract, books: Books, now: dt.datetime) -> bool:
    """Whether an incremental load that reads from a watermark shall compare all keys, too.

    Also where the last comparison lies in the future: a clock that was wrong would put off the next
    until then.
    """
    every = contract.deletions_every
    if contract.load_mode != "incremental" or every is None or books.watermark is None:
        return False
    if books.compared_at is None or books.compared_at > now:
        return True
    return now - books.compared_at >= period(every)


def source_went_back(contract: Contract, books: Books, report: LoadReport, highest: Any) -> bool:
    """Whether the row that the watermark is of is gone, so that the source ends before it.

    Each increment begins with that row. Its end may have been removed, or the source been put back
    to an earlier day: what it brings from then on may lie before the watermark. Rows that were set
    aside say nothing of their cursor.
    """
    if contract.load_mode != "incremental" or contract.deletions_every is None:
        return False
    if books.watermark is None or report.quarantined:
        return False
    known: Any = since_value(replace(contract, lookback=None), books.watermark)
    # A float is not the decimal it is written as.
    return highest is None or bool(highest < (float(known) if type(highest) is float else known))


def store_source_keys(
    connection: Connection, contract: Contract, reader: KeyReader, load_id: int
) -> int:
    """Write every key the source has into `SOURCE_KEYS`; gives how many the source has.

    A key that cannot be represented is counted and left out: its row cannot be in raw. A cursor
    that cannot is null.
    """
    keys = replace(
        contract, columns=tuple(column for column in contract.columns if column.primary_key)
    )
    stored = replace(
        contract,
        columns=tuple(c for c in contract.columns if c.primary_key or c.name == contract.cursor),
    )
    extra = tuple(name for name in (LOAD_ID, SOURCE_ROW) if name in audit_columns(stored))
    create_temporary(connection, stored, SOURCE_KEYS, extra)
    count = 0
    with Writer(connection, SOURCE_KEYS, stored, load_id) as writer:
        for batch in reader.keys():  # noqa: SIM118 (a reader is no mapping)
            numbers = from_numbers(np.arange(batch.num_rows))
            cast = cast_batch(keys, RawBatch(data=batch, rows=numbers))
            writer.write(_with_cursor(stored, batch, cast), cast.rows)
            count += batch.num_rows
    return count


def _with_cursor(stored: Contract, batch: pa.RecordBatch, cast: CastBatch) -> pa.RecordBatch:
    """The keys that could be cast, their cursor beside them where it is no part of them."""
    arrays = []
    for column in stored.columns:
        if column.primary_key:
            arrays.append(cast.good.column(column.name))
            continue
        value = cast_column(stored, column, batch.column(column.name), NumberStyle()).array
        arrays.append(value if len(value) == len(cast.rows) else value.take(cast.rows))
    return pa.RecordBatch.from_arrays(arrays, schema=stored.arrow_schema)


def count_outdated(connection: Connection, contract: Contract) -> int:
    """Keys that raw and `SOURCE_KEYS` have, none of the source's rows with the cursor of raw.

    Rows without a cursor come at each load, and one whose newest version is in quarantine keeps
    its last good one: neither is outdated. To be called when those gone are removed.
    """
    cursor = contract.cursor or ""
    if cursor in contract.key:
        return 0

    def same(one: str, other: str) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name))
            for name in contract.key
        )

    row = connection.execute(
        sql.SQL(
            "with _otras as materialized (select {keys_of_raw}, _r.{cursor} from {keys} c "
            "join {raw} _r on {c_r} where c.{cursor} is not null "
            "and _r.{cursor} is distinct from c.{cursor}) "
            "select count(*) from _otras o where not exists (select from {keys} c "
            "where {c_o} and (c.{cursor} = o.{cursor} or c.{cursor} is null)) and not {held}"
        ).format(
            keys_of_raw=sql.SQL(", ").join(sql.Identifier("_r", name) for name in contract.key),
            cursor=sql.Identifier(cursor),
            keys=SOURCE_KEYS,
            raw=table_name(contract),
            c_r=same("c", "_r"),
            c_o=same("c", "o"),
            held=held_condition(contract, "o"),
        )
    ).fetchone()
    assert row is not None
    return int(row[0])

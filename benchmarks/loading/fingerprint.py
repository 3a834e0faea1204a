"""Fingerprints: whether two places hold the same rows.

Belongs here: taking the fingerprint of what was made, of a source and of a target. Does not belong
here: deciding what follows from a difference (`results.py`).

A target's column may have another type than the source's (a peer that lands decimals as doubles is
still compared): values are cast before they are summed, and text is hashed as UTF-8.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from benchmarks.loading.mariadb import MariaDb
from benchmarks.loading.model import Dataset, Fingerprint, epoch

_MARIADB_TOTALS = (
    "select count(*), sum({number}), unix_timestamp(min({time})), unix_timestamp(max({time})), "
    "sum(crc32({text})) from {table}"
)


def of_batches(batches: Iterable[pa.RecordBatch], dataset: Dataset) -> Fingerprint:
    """Fingerprint of rows in memory, a batch at a time. Times are instants or in UTC."""
    rows, texts, total = 0, 0, Decimal(0)
    moments = []
    for batch in batches:
        rows += batch.num_rows
        total += pc.sum(batch.column(dataset.number)).as_py() or 0
        ends: Any = pc.min_max(batch.column(dataset.time)).as_py()
        moments += [ends["min"], ends["max"]]
        counted: Any = pc.value_counts(batch.column(dataset.text))
        for pair in counted.to_pylist():
            texts += zlib.crc32(str(pair["values"]).encode()) * int(pair["counts"])
    if not moments:
        return Fingerprint(0, Decimal(0), Decimal(0), Decimal(0), 0)
    return Fingerprint(rows, total.normalize(), epoch(min(moments)), epoch(max(moments)), texts)


def of_postgres(url: str, tables: Sequence[tuple[str, str]], dataset: Dataset) -> Fingerprint:
    """Fingerprint of tables (schema, name) together."""
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        rows = [
            connection.execute(
                sql.SQL(
                    "select count(*), coalesce(sum({number}::numeric), 0), "
                    "extract(epoch from min({time}::timestamptz)), "
                    "extract(epoch from max({time}::timestamptz)), "
                    "coalesce(sum(crc32(convert_to({text}::text, 'UTF8'))), 0) from {table}"
                ).format(
                    number=sql.Identifier(dataset.number),
                    time=sql.Identifier(dataset.time),
                    text=sql.Identifier(dataset.text),
                    table=sql.Identifier(*table),
                )
            ).fetchone()
            for table in tables
        ]
    return _together(rows)


def of_mariadb(server: MariaDb, table: str, dataset: Dataset) -> Fingerprint:
    """Fingerprint of one table of the source server."""
    statement = _MARIADB_TOTALS.format(
        number=dataset.number, time=dataset.time, text=dataset.text, table=table
    )
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute(statement)
        return _together([cursor.fetchone()])


def _together(rows: Sequence[Sequence[object] | None]) -> Fingerprint:
    found = [row for row in rows if row is not None and row[2] is not None]
    if not found:
        return Fingerprint(0, Decimal(0), Decimal(0), Decimal(0), 0)
    numbers = [[Decimal(str(value)) for value in row] for row in found]
    return Fingerprint(
        int(sum(row[0] for row in numbers)),
        Decimal(sum(row[1] for row in numbers)).normalize(),
        min(row[2] for row in numbers).normalize(),
        max(row[3] for row in numbers).normalize(),
        int(sum(row[4] for row in numbers)),
    )

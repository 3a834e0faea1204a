"""The form of each kind of file: from records or rows to bytes on the disk.

Belongs here: CSV, JSON, JSON lines, GeoJSON and Parquet, one file at a time, in bounded memory, the
same bytes for the same rows; running into parts; compression. Does not belong here: where rows come
from (`files.py`), or workbooks (`spreadsheet.py`).

No file holds a moment of writing, a random number or a machine's name.
"""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from exports.manifest import MartColumn
from sources.city import city_timezone

if TYPE_CHECKING:
    import pyarrow as pa

TIMEZONE = city_timezone().key

_WRITE_BYTES = 1 << 20
_BATCH_ROWS = 10_000
# Rows of a Parquet row group: large enough to compress well, small enough to keep in memory.
_GROUP_ROWS = 100_000
_GZIP_LEVEL = 6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextForm:
    """How records that are already text become a file.

    `head` opens the file, `first` and `following` stand before a record, `end` after it, `tail`
    (or `empty_tail`, without records) closes the file.
    """

    head: bytes
    first: bytes
    following: bytes
    end: bytes
    tail: bytes
    empty_tail: bytes


JSON_ARRAY = TextForm(b"[", b"\n", b",\n", b"", b"\n]\n", b"]\n")
JSON_LINES = TextForm(b"", b"", b"", b"\n", b"", b"")
GEOJSON = TextForm(
    b'{"type": "FeatureCollection", "features": [', b"\n", b",\n", b"", b"\n]}\n", b"]}\n"
)


def csv_form(columns: Sequence[MartColumn]) -> TextForm:
    """RFC 4180 with a header row. Column names never need quotes."""
    header = ",".join(column.name for column in columns).encode() + b"\r\n"
    return TextForm(header, b"", b"", b"\r\n", b"", b"")


def in_parts(records: Iterator[T], size: int) -> Iterator[Iterator[T]]:
    """`records` in runs of at most `size`, each read to its end before the next is asked for.

    Without records there is one empty run: an empty table is still a file.
    """
    yield itertools.islice(records, size)
    for following in records:
        yield itertools.chain([following], itertools.islice(records, size - 1))


def write_text(records: Iterable[bytes], form: TextForm, path: Path) -> int:
    """Write one file of records; how many there were."""
    rows = 0
    with path.open("wb", buffering=_WRITE_BYTES) as stream:
        stream.write(form.head)
        before = form.first
        for record in records:
            stream.write(before + record + form.end)
            before = form.following
            rows += 1
        stream.write(form.tail if rows else form.empty_tail)
        sync(stream)
    return rows


def write_parquet(
    rows: Iterator[tuple[Any, ...]], columns: Sequence[MartColumn], path: Path
) -> int:
    """Write one Parquet file (zstd) with the types and descriptions of the columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field(column.name, _arrow_type(column), metadata={"description": column.description})
            for column in columns
        ]
    )
    count, pending = 0, []
    with path.open("wb") as stream:
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            while batch := list(itertools.islice(rows, _BATCH_ROWS)):
                count += len(batch)
                pending.append(_record_batch(batch, schema))
                if count % _GROUP_ROWS == 0:
                    writer.write_table(pa.Table.from_batches(pending), row_group_size=_GROUP_ROWS)
                    pending.clear()
            if pending:
                writer.write_table(pa.Table.from_batches(pending), row_group_size=_GROUP_ROWS)
        sync(stream)
    return count


def compress(path: Path) -> Path:
    """Replace the file by `<file>.gz`, without name or date inside."""
    target = path.with_name(f"{path.name}.gz")
    with path.open("rb") as reader, target.open("wb") as stream:
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, stream, mtime=0) as writer:
            shutil.copyfileobj(reader, writer, _WRITE_BYTES)
        sync(stream)
    path.unlink()
    return target


def sync(stream: BinaryIO) -> None:
    """Bring what was written to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def _record_batch(batch: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [
        pa.array([_in_utc(value) for value in values], field.type)
        for values, field in zip(zip(*batch, strict=True), schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _in_utc(value: Any) -> Any:
    """The same instant in UTC: with Pandera's engines imported, Arrow mistakes other zones."""
    aware = isinstance(value, dt.datetime) and value.tzinfo is not None
    return value.astimezone(dt.UTC) if aware else value


def _arrow_type(column: MartColumn) -> pa.DataType:
    import pyarrow as pa

    if match := re.fullmatch(r"(?:numeric|decimal)\((\d+)(?:, ?(\d+))?\)", column.pg_type):
        return pa.decimal128(int(match[1]), int(match[2] or 0))
    by_kind: Mapping[str, pa.DataType] = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", tz=TIMEZONE),
        "timestamp": pa.timestamp("us"),
        "time": pa.time64("us"),
        "object": pa.string(),
    }
    return by_kind[column.kind]

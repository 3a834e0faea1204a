"""Parquet files.

Belongs here: reading the contract's columns in batches. Does not belong here: types; the file's
own are kept until casting. Only columns at the top level can be named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sources.contract import Column, Contract
from sources.readers.arrow import Array, pc
from sources.readers.base import FeedFile, RawBatch, build_batch, match_columns, unreadable

# Read ahead of a column chunk: held whole, those of one group of a million rows are 50 MB.
_READ_BYTES = 1 << 20


def _plain(array: Array, column: Column) -> Array:
    """The same values in a type that every kernel of Arrow takes: views are for some only.

    Bytes of a column of `format: hex` are its digits: a geometry, a picture are no text.
    """
    kind = array.type
    if kind == pa.string_view():
        return pc.cast(array, pa.string())
    if not is_bytes(kind):
        return array
    if column.format == "hex":
        return pa.array([None if v is None else v.hex() for v in array.to_pylist()], pa.string())
    return pc.cast(array, pa.binary())


def is_bytes(kind: Any) -> bool:
    """Whether a type of a file is one of bytes that need not be text."""
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or kind == pa.binary_view()
    )


class ParquetReader:
    """One Parquet file."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        self.description = str(file.path)
        self._contract = contract
        self._file = file
        self._batch_rows = batch_rows
        self._parquet: pq.ParquetFile | None = None
        self._names: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        """Raises SourceDataError when it is no Parquet file, DriftError for a missing column."""
        try:
            self._parquet = pq.ParquetFile(
                self._file.path,
                pre_buffer=False,
                buffer_size=_READ_BYTES,
                # In nanoseconds, as Arrow would have it, 9999-12-31 comes out as a day of 1816.
                coerce_int96_timestamp_unit="us",
            )
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._contract, self._file.name, error) from error
        try:
            found = self.columns()
            positions = match_columns(self._contract, found, f"el archivo {self._file.name}")
        except BaseException:
            self._parquet.close()
            raise
        self._names = {name: found[position] for name, position in positions.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None

    def columns(self) -> tuple[str, ...]:
        return tuple(self._open.schema_arrow.names)

    def source_count(self) -> int | None:
        """Rows according to the file's own footer."""
        return int(self._open.metadata.num_rows)

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceDataError when the content is damaged."""
        first = 1
        wanted = list(dict.fromkeys(self._names.values()))
        try:
            for batch in self._open.iter_batches(self._batch_rows, columns=wanted):
                rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
                first += batch.num_rows
                columns = {
                    name: _plain(batch.column(at), self._contract.column(name))
                    for name, at in self._names.items()
                }
                yield build_batch(self._contract, columns, rows, file=self._file.name)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._contract, self._file.name, error) from error

    @property
    def _open(self) -> pq.ParquetFile:
        assert self._parquet is not None, "the reader is not open"
        return self._parquet

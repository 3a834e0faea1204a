"""From Python and NumPy to Arrow and back, without pandas.

The first value that pyarrow itself converts (`pa.array`, `pa.scalar`, an argument of a compute
function, `to_numpy`) has it import pandas where that is installed, just to know whether the value
is one of pandas's: 0.2 s and 40 MB. A load in which nothing is wrong goes by these alone.

Belongs here: conversions of a few plain types over their buffers. Does not belong here: nulls,
other types, or anything that is only needed once something is wrong: pyarrow does that well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

# The published stubs tie every function to the exact type of its columns.
_pc: Any = pyarrow.compute


def from_numbers(values: npt.NDArray[Any]) -> Any:
    """Numbers as an Arrow array, over the same memory where they stand side by side."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(data.dtype), len(data), [None, pa.py_buffer(data.data)]
    )


def from_flags(values: npt.NDArray[np.bool_]) -> Any:
    """Truth values as an Arrow array."""
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits.data)])


def from_texts(values: Sequence[str]) -> Any:
    """A few texts as an Arrow array. Raises UnicodeEncodeError for what is not valid Unicode."""
    data = [value.encode() for value in values]
    offsets = np.zeros(len(data) + 1, np.int32)
    np.cumsum([len(value) for value in data], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets.data), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(data), buffers)


def to_numbers(array: Any) -> npt.NDArray[np.int64]:
    """A column of int64 without a null, over the same memory."""
    if len(array) == 0:
        return np.zeros(0, np.int64)
    numbers = np.frombuffer(array.buffers()[1], np.int64)
    return numbers[array.offset : array.offset + len(array)]


def to_flags(array: Any) -> npt.NDArray[np.bool_]:
    """A column of truth values, with false in place of a null."""
    known = _pc.fill_null(array, NO)
    if len(known) == 0:
        return np.zeros(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(known.buffers()[1], np.uint8), bitorder="little")
    return bits[known.offset : known.offset + len(known)].astype(np.bool_)


YES: Any = from_flags(np.array([True]))[0]
NO: Any = from_flags(np.array([False]))[0]
EMPTY: Any = from_texts([""])[0]
NO_TEXT: Any = pa.nulls(1, pa.string())[0]

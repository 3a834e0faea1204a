"""From Python and NumPy to Arrow and back, without pandas.

The first value that pyarrow itself converts (`pa.array`, `pa.scalar`, an argument of a compute
function, `to_numpy`) has it import pandas where that is installed, just to know whether the value
is one of pandas's: 0.2 s and 40 MB. A load goes by these alone, also one with rows whose values do
not fit; only a broken rule imports it, as Pandera explains which.

Belongs here: conversions of plain types over their buffers. Does not belong here: nested types, or
what few loads meet: pyarrow does that well.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

# The published stubs tie every function to the exact type of its columns.
_pc: Any = pyarrow.compute

# Digits behind the point from which on Arrow may write a decimal with an exponent.
_FIRST_WITH_EXPONENT = 7

Valid = npt.NDArray[np.bool_] | None


def from_memory(kind: pa.DataType, values: npt.NDArray[Any], valid: Valid = None) -> Any:
    """Values of a fixed width as an Arrow array of `kind`, over the same memory where they stand
    side by side; `valid` marks those that are no null, None when all are."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(data), [bitmap(valid), pa.py_buffer(data.data)])


def from_numbers(values: npt.NDArray[Any], valid: Valid = None) -> Any:
    """Numbers as an Arrow array, over the same memory where they stand side by side."""
    return from_memory(pa.from_numpy_dtype(values.dtype), values, valid)


def decimals_from(whole: Any, precision: int, scale: int) -> Any:
    """Whole numbers (int64) as decimals of so many digits, the last `scale` behind the point.

    The numbers are taken to have no more than `precision` digits.
    """
    numbers = to_numbers(whole)
    # 128 bits, the low half first; the high half repeats the sign.
    halves = np.empty((len(numbers), 2), np.int64)
    halves[:, 0] = numbers
    np.right_shift(numbers, 63, out=halves[:, 1])
    valid = to_flags(_pc.is_valid(whole)) if whole.null_count else None
    kind = pa.decimal128(precision, scale)
    return pa.Array.from_buffers(kind, len(numbers), [bitmap(valid), pa.py_buffer(halves.data)])


def from_flags(values: npt.NDArray[np.bool_], valid: Valid = None) -> Any:
    """Truth values as an Arrow array."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [bitmap(valid), bitmap(values)])


def from_texts(values: Sequence[str], *, empty_is_null: bool = False) -> Any:
    """Texts as an Arrow array.

    Raises UnicodeEncodeError for what is not valid Unicode, OverflowError beyond 2 GB of text.
    """
    text = "".join(values)
    data = text.encode()
    # All ASCII, the usual case: as many bytes as characters, in every value.
    encoded: Sequence[str | bytes] = values
    if len(data) != len(text):
        encoded = [value.encode() for value in values]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise OverflowError("more text than an Arrow array holds")
    some = lengths > 0
    valid = None if not empty_is_null or some.all() else some
    buffers = [bitmap(valid), pa.py_buffer(offsets.astype(np.int32).data), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def from_some_texts(values: Sequence[str | None]) -> Any:
    """Texts as an Arrow array, None as null. Raises as `from_texts` does."""
    array = from_texts(["" if value is None else value for value in values])
    valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
    if valid.all():
        return array
    return pa.Array.from_buffers(array.type, len(array), [bitmap(valid), *array.buffers()[1:]])


def to_texts(array: Any) -> Any:
    """Values as Arrow writes them, decimals with all their digits: Arrow's 0E-8 is 0.00000000.

    Raises ArrowNotImplementedError for nested types, ArrowInvalid for bytes that are no text.
    """
    texts = _pc.cast(array, pa.string())
    if not pa.types.is_decimal(array.type) or array.type.scale < _FIRST_WITH_EXPONENT:
        return texts
    if not to_flags(_pc.match_substring(texts, "E")).any():
        return texts
    return from_some_texts([t if t is None else f"{Decimal(t):f}" for t in texts.to_pylist()])


def bitmap(flags: Valid) -> pa.Buffer | None:
    """Flags packed as Arrow packs them; None for None."""
    return None if flags is None else pa.py_buffer(np.packbits(flags, bitorder="little").data)


def to_numbers(array: Any) -> npt.NDArray[np.int64]:
    """A column of int64 over the same memory; whatever stands there in place of a null."""
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


def to_python(value: Any) -> Any:
    """A scalar in its Python type. Times of microseconds, as contracts have them, go their own way:
    pyarrow asks pandas for their zone. With a zone they are in UTC; there the last hours of 9999
    may be those of a year that Python does not know, and are its last moment."""
    kind = value.type
    if not pa.types.is_timestamp(kind) or kind.unit != "us" or not value.is_valid:
        return value.as_py()
    moment = _EPOCH + min(dt.timedelta(microseconds=value.value), _LAST)
    return moment if kind.tz else moment.replace(tzinfo=None)


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH
YES: Any = from_flags(np.array([True]))[0]
NO: Any = from_flags(np.array([False]))[0]
EMPTY: Any = from_texts([""])[0]
NO_TEXT: Any = pa.nulls(1, pa.string())[0]

"""PostgreSQL's binary COPY format, decoded column by column.

Belongs here: rows as the server sends them turned into Arrow arrays, exactly. Does not belong
here: connections and statements (`postgresql.py`), or the contract's types (`sources/casting.py`).

A row is the number of its fields (int16) and, per field, a length (int32, -1 for null) and as many
bytes, all big-endian (PostgreSQL's documentation, "COPY", binary format). Every row comes as a
message of its own, so where rows begin is known; a column is then found in all rows at once, by
walking one field further in each. No row is looked at in Python.

Values that Arrow has no exact counterpart for (infinite or BC times, NaN, numbers of more than 18
digits) turn the column of that batch into the text PostgreSQL would write, and casting decides.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.readers.arrow import Array, pc
from sources.readers.base import Sent

# pg_type.oid of the types whose binary form is read as such; any other must be asked for as text.
BOOL, INT8, INT2, INT4, TEXT, FLOAT8 = 16, 20, 21, 23, 25, 701
BPCHAR, VARCHAR, NAME, JSON = 1042, 1043, 19, 114
DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC = 1082, 1114, 1184, 1700

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
_TRAILER_BYTES = 2
_PADDING = bytes(64)
# Days and microseconds from 1970, where Arrow counts from, to 2000, where PostgreSQL does.
_EPOCH_DAYS, _EPOCH_US = 10_957, 946_684_800_000_000
# The years Python and casting know: 0001-01-01 to 9999-12-31.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_US = 86_400_000_000
_NEGATIVE, _POSITIVE = 0x4000, 0x0000
_SPECIAL_NUMBERS: Mapping[int, str] = MappingProxyType(
    {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
)
_INT64_DIGITS = 18

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


class CopyStream:
    """Collects the messages of one COPY and gives batches; `write` is called for every message.

    `kinds` are the type oids of the columns. A batch is handed to `deliver`, as arrays and as it
    came, when it has `batch_rows` rows or `batch_bytes` bytes; `finish` hands over the rest.
    """

    # Rows decoded at once: few enough for their bytes to stay in the processor's cache.
    _AT_ONCE = 16_384

    def __init__(
        self,
        kinds: Sequence[int],
        batch_rows: int,
        batch_bytes: int,
        deliver: Callable[[list[Array], Sent], None],
    ) -> None:
        self._kinds = kinds
        self._rows = batch_rows
        self._bytes = batch_bytes
        self._deliver = deliver
        self._messages: list[bytes] = []
        self._decoded: list[list[Array]] = []
        self._sent: list[memoryview] = []
        self._decoded_rows = self._decoded_bytes = 0
        self._collector = self._collect()
        next(self._collector)
        # A generator's `send` is the cheapest call Python offers; this one is made for every row.
        self.write = self._collector.send

    def finish(self) -> None:
        """Hand over the last batch; raises ValueError when the stream broke off."""
        self._collector.close()
        messages = self._messages
        if not messages or messages[-1][-_TRAILER_BYTES:] != b"\xff\xff":
            raise ValueError("the COPY stream has no end")
        messages[-1] = messages[-1][:-_TRAILER_BYTES]
        self._decode(messages)
        self._hand_over()

    def _collect(self) -> Generator[None, bytes, None]:
        first = yield
        self._messages.append(_without_header(first))
        rows = min(self._rows, self._AT_ONCE)
        while True:
            messages = self._messages
            append, size, count = messages.append, 0, 0
            while count < rows and size < self._bytes:
                # Few at first: long rows are to be noticed before they are many.
                step = min(rows - count, 1 + count)
                for _ in range(step):
                    append((yield))
                size += sum(map(len, messages[-step:]))
                count += step
            # The last message is kept back: it may be the end mark, which is no row.
            self._messages = [messages.pop()]
            self._decode(messages)
            if self._decoded_rows >= self._rows or self._decoded_bytes >= self._bytes:
                self._hand_over()

    def _decode(self, messages: list[bytes]) -> None:
        rows = [message for message in messages if message] if b"" in messages else messages
        if rows:
            block = b"".join((*rows, _PADDING))
            arrays = _decode_block(block, np.fromiter(map(len, rows), np.int64), self._kinds)
            self._decoded.append(arrays)
            self._sent.append(memoryview(block)[: -len(_PADDING)])
            self._decoded_rows += len(rows)
            self._decoded_bytes += sum(array.nbytes for array in arrays)

    def _hand_over(self) -> None:
        pieces, self._decoded = self._decoded, []
        sent, self._sent = self._sent, []
        self._decoded_rows = self._decoded_bytes = 0
        if pieces:
            self._deliver([_joined(column) for column in zip(*pieces, strict=True)], tuple(sent))


def decode(rows: Sequence[bytes], kinds: Sequence[int]) -> list[Array]:
    """Rows of a binary COPY (without header and end mark) as one array per column.

    Raises ValueError when a row is not as long as its fields, or has another number of them.
    """
    return _decode_block(b"".join((*rows, _PADDING)), np.fromiter(map(len, rows), np.int64), kinds)


def _decode_block(padded: bytes, lengths: Places, kinds: Sequence[int]) -> list[Array]:
    """The same of rows already joined; padded, for behind a null in the last there is nothing."""
    block = np.frombuffer(padded, np.uint8)
    ends = np.cumsum(lengths)
    places = ends - lengths
    if not (_gather(block, places, "i2") == len(kinds)).all():
        raise ValueError("a row of the COPY stream has another number of fields")
    places = places + 2
    arrays = []
    for kind in kinds:
        sizes = _gather(block, places, "i4").astype(np.int64)
        valid = sizes >= 0
        starts = places + 4
        places = starts + np.where(valid, sizes, 0)
        arrays.append(_DECODERS[kind](block, starts, sizes, valid))
    if not np.array_equal(places, ends):
        raise ValueError("a row of the COPY stream is longer than its fields")
    return arrays


def _joined(pieces: Sequence[Array]) -> Array:
    """One column of several pieces; as text where one of them had to be."""
    kinds = {piece.type for piece in pieces}
    if len(kinds) == 1:
        return pa.concat_arrays(pieces)
    if all(pa.types.is_decimal(kind) for kind in kinds):
        widest = pa.decimal128(38, max(kind.scale for kind in kinds))
        return pa.concat_arrays([pc.cast(piece, widest) for piece in pieces])
    return pa.concat_arrays([pc.cast(piece, pa.string()) for piece in pieces])


def _without_header(message: bytes) -> bytes:
    if not message.startswith(_SIGNATURE):
        raise ValueError("not a binary COPY stream")
    extension = int.from_bytes(message[15:19], "big")
    return message[19 + extension :]


def _gather(block: Bytes, places: Places, kind: str) -> Any:
    """The big-endian values that begin at `places`, in the machine's own order."""
    native = np.dtype(kind)
    # A value may begin at any byte: a view with one element per byte, read out at the places.
    every = np.ndarray(len(block) - native.itemsize + 1, native, block.data, strides=(1,))
    return every[places].byteswap(inplace=True)


def _array(kind: pa.DataType, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> Array:
    """An Arrow array over the memory of `values`."""
    bitmap = None
    if not valid.all():
        bitmap = _buffer(np.packbits(valid, bitorder="little"))
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(valid), [bitmap, _buffer(data)])


def _buffer(values: npt.NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(values.data)


def _integers(width: str, kind: pa.DataType) -> Callable[..., Array]:
    def decoder(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
        return _array(kind, _gather(block, starts, width), valid)

    return decoder


def _booleans(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
    return pa.array(_gather(block, starts, "u1") != 0, pa.bool_(), mask=~valid)


def _texts(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
    """Bytes as they came; that they are text is settled later, for all columns alike."""
    sizes = np.where(valid, sizes, 0)
    ends = np.cumsum(sizes)
    offsets = np.zeros(len(sizes) + 1, np.int32)
    offsets[1:] = ends
    total = int(ends[-1])
    width = int(sizes.max())
    if total == width * len(sizes) and 0 < width <= len(block):
        # All of one length, as codes are: one gather of fixed-size pieces.
        every = np.ndarray(len(block) - width + 1, f"V{width}", block.data, strides=(1,))
        data: Any = every[starts]
    else:
        # The n-th byte of the column stands as far behind its value's start there as here.
        shift = np.repeat(starts - (ends - sizes), sizes)
        shift += np.arange(total)
        data = block[shift]
    bitmap = None if valid.all() else _buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(sizes), [bitmap, _buffer(offsets), _buffer(data)])


def _dates(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
    days = _gather(block, starts, "i4").astype(np.int64) + _EPOCH_DAYS
    if ((days >= _FIRST_DAY) & (days <= _LAST_DAY) | ~valid).all():
        return _array(pa.date32(), days.astype(np.int32), valid)
    return _spelled(days - _EPOCH_DAYS, valid, _date_text)


def _times(zone: str | None) -> Callable[..., Array]:
    def decoder(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
        raw = _gather(block, starts, "i8")
        lowest, highest = _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1
        known = (raw >= lowest - _EPOCH_US) & (raw <= highest - _EPOCH_US)
        if (known | ~valid).all():
            return _array(pa.timestamp("us", tz=zone), raw + _EPOCH_US, valid)
        suffix = "+00" if zone else ""
        return _spelled(raw, valid, lambda value: _time_text(value, suffix))

    return decoder


def _numerics(block: Bytes, starts: Places, sizes: Places, valid: Any) -> Array:
    """numeric: digits in base 10,000, of which the first counts 10,000 to the power of `weight`."""
    counts = np.where(valid, _gather(block, starts, "i2"), 0).astype(np.int64)
    weights = _gather(block, starts + 2, "i2").astype(np.int64)
    signs = _gather(block, starts + 4, "u2")
    scales = np.where(valid, _gather(block, starts + 6, "u2"), 0).astype(np.int64)
    scale = int(scales.max(initial=0))
    whole = int(np.where(counts > 0, weights + 1, 0).max(initial=0)) * 4
    special = valid & (signs != _POSITIVE) & (signs != _NEGATIVE)
    # One value's digits beyond another's scale make the sum too long for 64 bits as well.
    if special.any() or whole + scale > _INT64_DIGITS:
        return _numeric_texts(block, starts, counts, weights, signs, scales, valid)
    total = np.zeros(len(starts), np.int64)
    for place in range(int(counts.max(initial=0))):
        digits = _gather(block, starts + 8 + 2 * place, "i2").astype(np.int64)
        digits[counts <= place] = 0
        exponents = 4 * (weights - place) + scale
        exponents[counts <= place] = 0
        shifted = digits * _POWERS[np.maximum(exponents, 0)]
        if (exponents < 0).any():
            # The digits below the scale are zeros: that is what the display scale means.
            shifted //= _POWERS[np.maximum(-exponents, 0)]
        total += shifted
    total[signs == _NEGATIVE] *= -1
    words = np.empty((len(total), 2), np.int64)
    words[:, 0] = total
    words[:, 1] = total >> 63
    return _array(pa.decimal128(_INT64_DIGITS, scale), words, valid)


_POWERS = 10 ** np.arange(_INT64_DIGITS + 1, dtype=np.int64)


def _numeric_texts(
    block: Bytes,
    starts: Places,
    counts: Places,
    weights: Places,
    signs: Any,
    scales: Places,
    valid: Any,
) -> Array:
    """numeric as PostgreSQL writes it, value by value: for what 64 bits cannot hold."""
    texts: list[str | None] = []
    for row, known in enumerate(valid.tolist()):
        if not known:
            texts.append(None)
            continue
        if special := _SPECIAL_NUMBERS.get(int(signs[row])):
            texts.append(special)
            continue
        first = int(starts[row]) + 8
        count, scale = int(counts[row]), int(scales[row])
        digits = np.frombuffer(block.data, ">i2", count, first).tolist() if count else []
        value = 0
        for digit in digits:
            value = value * 10_000 + digit
        exponent = 4 * (int(weights[row]) - count + 1) + scale
        value = value * 10**exponent if exponent >= 0 else value // 10**-exponent
        sign = 1 if signs[row] == _NEGATIVE else 0
        written = Decimal((sign, tuple(map(int, str(value))), -scale))
        texts.append(f"{written:f}")
    return pa.array(texts, pa.string())


def _spelled(values: Any, valid: Any, spell: Callable[[int], str]) -> Array:
    texts = [
        spell(value) if known else None
        for value, known in zip(values.tolist(), valid.tolist(), strict=True)
    ]
    return pa.array(texts, pa.string())


def _date_text(days: int) -> str:
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    absolute = days + _EPOCH_DAYS
    if absolute < _FIRST_DAY or absolute > _LAST_DAY:
        return _far_date(absolute)
    return (date(1970, 1, 1) + timedelta(days=absolute)).isoformat()


def _time_text(microseconds: int, suffix: str) -> str:
    if microseconds in (2**63 - 1, -(2**63)):
        return "infinity" if microseconds > 0 else "-infinity"
    days, rest = divmod(microseconds + _EPOCH_US, _DAY_US)
    seconds, fraction = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if fraction:
        clock += f".{fraction:06d}".rstrip("0")
    day = _date_text(days - _EPOCH_DAYS)
    before, bc = (day[:-3], " BC") if day.endswith(" BC") else (day, "")
    return f"{before} {clock}{suffix}{bc}"


def _far_date(days: int) -> str:
    """A day outside the years 1 to 9999, as PostgreSQL writes it.

    The calendar repeats every 400 years, which are 146,097 days.
    """
    cycles = days // 146_097
    near = date(2000, 1, 1) + timedelta(days=days - cycles * 146_097 - _EPOCH_DAYS)
    year = near.year + 400 * cycles
    if year > 0:
        return f"{year:04d}-{near:%m-%d}"
    return f"{1 - year:04d}-{near:%m-%d} BC"


_DECODERS: Mapping[int, Callable[..., Array]] = MappingProxyType(
    {
        BOOL: _booleans,
        INT2: _integers("i2", pa.int16()),
        INT4: _integers("i4", pa.int32()),
        INT8: _integers("i8", pa.int64()),
        FLOAT8: _integers("f8", pa.float64()),
        DATE: _dates,
        TIMESTAMP: _times(None),
        TIMESTAMPTZ: _times("UTC"),
        NUMERIC: _numerics,
        **dict.fromkeys((TEXT, VARCHAR, BPCHAR, NAME, JSON), _texts),
    }
)
NATIVE: frozenset[int] = frozenset(_DECODERS)

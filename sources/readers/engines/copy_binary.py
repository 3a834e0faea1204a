"""PostgreSQL's binary COPY format, decoded column by column.

Belongs here: rows as the server sends them turned into Arrow arrays, exactly. Does not belong
here: connections and statements (`postgresql.py`), or the contract's types (`sources/casting.py`).

A row is the number of its fields (int16) and, per field, a length (int32, -1 for null) and as many
bytes, all big-endian (PostgreSQL's documentation, "COPY", binary format). Every row comes as a
message of its own, so where rows begin is known. In most columns every value has one length: the
columns from one of changing length to the next stand at the same places in every row, and are taken
out of all rows at once, as one block of equal pieces. No row is looked at in Python.

Values that Arrow has no exact counterpart for (infinite or BC times, NaN, numbers of more than 18
digits) turn the column of that batch into text, and casting decides. The other values are written
as Arrow would: what a text column gets does not depend on which rows came in one batch with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.arrow_values import bitmap, from_flags, from_memory, from_numbers, to_texts
from sources.readers.arrow import Array, pc
from sources.readers.base import Sent
from sources.readers.engines.blocks import (
    PADDING,
    Bytes,
    Places,
    joined,
    pieces,
    texts,
)

# pg_type.oid of the types whose binary form is read as such; any other must be asked for as text.
BOOL, INT8, INT2, INT4, TEXT, FLOAT8 = 16, 20, 21, 23, 25, 701
BPCHAR, VARCHAR, NAME, JSON = 1042, 1043, 19, 114
DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC = 1082, 1114, 1184, 1700

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
_TRAILER_BYTES = 2
_LENGTH_BYTES = 4
# The first batch is small and each twice the one before, so that the warehouse soon has work.
_FIRST_ROWS = 8_192
_WIDEST_NUMBER = 8
_PADDING = bytes(PADDING)
_UNKNOWN = -1
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


class Batches:
    """Decodes rows block by block and hands batches to `deliver`, as arrays and as they came.

    `kinds` are the type oids of the columns. A batch is handed over when it has `batch_rows` rows,
    the first ones fewer, or `batch_bytes` bytes; `hand_over` gives the rest.
    """

    def __init__(
        self,
        kinds: Sequence[int],
        batch_rows: int,
        batch_bytes: int,
        deliver: Callable[[list[Array], Sent], None],
    ) -> None:
        self._kinds = kinds
        self._most_rows = batch_rows
        self._batch_rows = min(batch_rows, _FIRST_ROWS)
        self._batch_bytes = batch_bytes
        self._deliver = deliver
        self._changing: set[int] = set()
        self._decoded: list[list[Array]] = []
        self._sent: list[memoryview] = []
        self._rows = self._bytes = 0

    @property
    def room(self) -> int:
        """How many rows the batch under way still takes; at least one."""
        return self._batch_rows - self._rows

    def add(self, block: Bytes, places: Places, ends: Places, sent: memoryview) -> None:
        """Decode the rows that stand from `places` to `ends` in `block`; `sent` has them alone.

        Behind the last there are `PADDING` bytes in the block. Raises ValueError as `decode` does.
        """
        arrays = _decode_block(block, places, ends, self._kinds, self._changing)
        self._decoded.append(arrays)
        self._sent.append(sent)
        self._rows += len(places)
        self._bytes += sum(array.nbytes for array in arrays)
        if self._rows >= self._batch_rows or self._bytes >= self._batch_bytes:
            self.hand_over()

    def hand_over(self) -> None:
        pieces, self._decoded = self._decoded, []
        sent, self._sent = self._sent, []
        self._rows = self._bytes = 0
        self._batch_rows = min(self._most_rows, 2 * self._batch_rows)
        if pieces:
            self._deliver([joined(column) for column in zip(*pieces, strict=True)], tuple(sent))


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
        self._rows = batch_rows
        self._bytes = batch_bytes
        self._batches = Batches(kinds, batch_rows, batch_bytes, deliver)
        self._messages: list[bytes] = []
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
        self._decode(messages, _lengths(messages))
        self._batches.hand_over()

    def _collect(self) -> Generator[None, bytes, None]:
        first = yield
        self._messages.append(without_header(first))
        rows = min(self._rows, self._AT_ONCE)
        while True:
            messages = self._messages
            lengths = [_lengths(messages)]
            append, size, count = messages.append, 0, 0
            while count < rows and size < self._bytes:
                # Few at first: long rows are to be noticed before they are many.
                step = min(rows - count, 1 + count)
                for _ in range(step):
                    append((yield))
                lengths.append(_lengths(messages[-step:]))
                size += int(lengths[-1].sum())
                count += step
            # The last message is kept back: it may be the end mark, which is no row.
            self._messages = [messages.pop()]
            self._decode(messages, np.concatenate(lengths)[:-1])

    def _decode(self, messages: list[bytes], lengths: Places) -> None:
        """Decode whole messages; one without a byte, as header and end mark leave it, is no row."""
        lengths = lengths[lengths > 0]
        if len(lengths):
            block = b"".join((*messages, _PADDING))
            ends = np.cumsum(lengths)
            sent = memoryview(block)[:-PADDING]
            self._batches.add(np.frombuffer(block, np.uint8), ends - lengths, ends, sent)


def decode(rows: Sequence[bytes], kinds: Sequence[int]) -> list[Array]:
    """Rows of a binary COPY (without header and end mark) as one array per column.

    Raises ValueError when a row is not as long as its fields, or has another number of them.
    """
    block, lengths = np.frombuffer(b"".join((*rows, _PADDING)), np.uint8), _lengths(rows)
    ends = np.cumsum(lengths)
    return _decode_block(block, ends - lengths, ends, kinds, set())


def _decode_block(
    block: Bytes, places: Places, ends: Places, kinds: Sequence[int], changing: set[int]
) -> list[Array]:
    """The same of rows in one block, which is padded, for behind the last field there is nothing.

    `changing` are the columns whose values were seen to have different lengths, and learns more.
    """
    if not (pieces(block, places, 2).view(">i2") == len(kinds)).all():
        raise ValueError("a row of the COPY stream has another number of fields")
    places = places + 2
    arrays: list[Array] = []
    while len(arrays) < len(kinds):
        found, places = _decode_run(block, places, kinds[len(arrays) :], changing, len(arrays))
        arrays += found
    if not np.array_equal(places, ends):
        raise ValueError("a row of the COPY stream is longer than its fields")
    return arrays


def _decode_run(
    block: Bytes, places: Places, kinds: Sequence[int], changing: set[int], number: int
) -> tuple[list[Array], Places]:
    """The columns from `places` on, up to and including the first whose values change in length.

    `number` is that of the first of these columns. Gives them, and where the next field begins in
    every row.
    """
    layout = _first_row(block, int(places[0]), len(kinds), changing, number)
    if int(places[-1]) + layout[-1][0] + _LENGTH_BYTES + max(layout[-1][1], 0) > len(block):
        # The last row is shorter than the first: only one field is sure to be there.
        layout = [(0, _UNKNOWN)]
    # Of a column that is expected to change, only the length is taken.
    width = sum(layout[-1]) + _LENGTH_BYTES if layout[-1][1] >= 0 else layout[-1][0] + _LENGTH_BYTES
    rows = pieces(block, places, width)
    arrays: list[Array] = []
    for kind, (offset, size) in zip(kinds, layout, strict=False):
        begin = offset + _LENGTH_BYTES
        lengths = rows[:, offset:begin].view(">i4")[:, 0]
        if size < 0 or not (lengths == size).all():
            if size >= 0:
                changing.add(number + len(arrays))
            sizes = lengths.astype(np.int64)
            valid = sizes >= 0
            starts = places + begin
            field = _scattered(block, starts, sizes, valid, windowed=_DECODERS[kind] is not _texts)
            arrays.append(_DECODERS[kind](field))
            return arrays, starts + np.maximum(sizes, 0)
        field = _Field(block, places + begin, size, None, rows[:, begin : begin + size])
        arrays.append(_DECODERS[kind](field))
    return arrays, places + width


def _first_row(
    block: Bytes, place: int, columns: int, changing: set[int], number: int
) -> list[tuple[int, int]]:
    """Offset and size of each field of the first row, up to the first that may differ in others.

    The size of that one is `_UNKNOWN`: known to change, or null here.
    """
    layout, offset = [], 0
    for column in range(columns):
        begin = place + offset
        size = int.from_bytes(block[begin : begin + _LENGTH_BYTES].tobytes(), "big", signed=True)
        if size < 0 or number + column in changing:
            layout.append((offset, _UNKNOWN))
            break
        layout.append((offset, size))
        offset += _LENGTH_BYTES + size
    return layout


@dataclass(frozen=True, slots=True)
class _Field:
    """One column of all rows of a block.

    `starts` and `sizes` (one number where all are the same) tell where its values are in `block`;
    `valid` marks those that are no null, None when all are. `window` has the first bytes of every
    value, as many as the longest has or as the padding allows.
    """

    block: Bytes
    starts: Places
    sizes: Places | int
    valid: npt.NDArray[np.bool_] | None
    window: Bytes

    def at(self, offset: int, kind: str) -> Any:
        """The big-endian numbers that stand `offset` bytes into each value, in native order."""
        width = np.dtype(kind).itemsize
        return self.window[:, offset : offset + width].view(f">{kind}")[:, 0].astype(kind)

    def known(self, values: Any, instead: int) -> Any:
        """Those values, with `instead` in place of what stands where a null is."""
        return values if self.valid is None else np.where(self.valid, values, instead)

    def __len__(self) -> int:
        return len(self.starts)


def _scattered(
    block: Bytes, starts: Places, sizes: Places, valid: Any, *, windowed: bool = True
) -> _Field:
    """A column whose values have different lengths, or are null in some rows.

    Without `windowed` there is no window, for whoever needs none.
    """
    width = min(max(int(sizes.max()), _WIDEST_NUMBER), PADDING)
    window = pieces(block, starts, width) if windowed else block[:0]
    return _Field(block, starts, sizes, None if valid.all() else valid, window)


def _lengths(messages: Sequence[bytes]) -> Places:
    return np.fromiter(map(len, messages), np.int64, len(messages))


def without_header(message: bytes) -> bytes:
    if not message.startswith(_SIGNATURE):
        raise ValueError("not a binary COPY stream")
    extension = int.from_bytes(message[15:19], "big")
    return message[19 + extension :]


def _integers(width: str, kind: pa.DataType) -> Callable[[_Field], Array]:
    def decoder(field: _Field) -> Array:
        return from_memory(kind, field.at(0, width), field.valid)

    return decoder


def _booleans(field: _Field) -> Array:
    return from_flags(field.at(0, "u1") != 0, field.valid)


def _texts(field: _Field) -> Array:
    if not isinstance(field.sizes, int):
        return texts(field.block, field.starts, field.sizes, field.valid)
    offsets = np.arange(len(field) + 1, dtype=np.int32) * np.int32(field.sizes)
    data = np.ascontiguousarray(field.window)
    buffers = [bitmap(field.valid), pa.py_buffer(offsets.data), pa.py_buffer(data.data)]
    return pa.Array.from_buffers(pa.binary(), len(field), buffers)


def _dates(field: _Field) -> Array:
    days = field.at(0, "i4")
    within = field.known(days, 0)
    if within.min() >= _FIRST_DAY - _EPOCH_DAYS and within.max() <= _LAST_DAY - _EPOCH_DAYS:
        return from_memory(pa.date32(), within + np.int32(_EPOCH_DAYS), field.valid)
    return _spelled(days, field.valid, _date_text)


def _times(zone: str | None) -> Callable[[_Field], Array]:
    lowest, highest = _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1

    def decoder(field: _Field) -> Array:
        raw = field.at(0, "i8")
        within = field.known(raw, 0)
        if within.min() >= lowest - _EPOCH_US and within.max() <= highest - _EPOCH_US:
            return from_memory(pa.timestamp("us", tz=zone), within + _EPOCH_US, field.valid)
        suffix = "Z" if zone else ""
        return _spelled(raw, field.valid, lambda value: _time_text(value, suffix))

    return decoder


def _numerics(field: _Field) -> Array:
    """numeric: digits in base 10,000, of which the first counts 10,000 to the power of `weight`."""
    counts = field.known(field.at(0, "i2"), 0)
    weights = np.where(counts > 0, field.at(2, "i2"), 0)
    signs = field.known(field.at(4, "u2"), _POSITIVE)
    scale = int(field.known(field.at(6, "u2"), 0).max())
    negative = signs == _NEGATIVE
    lowest, highest, most = int(weights.min()), int(weights.max()), int(counts.max())
    whole = 4 * max(int(np.where(counts > 0, weights + 1, 0).max()), 0)
    # One value's digits beyond another's scale make the sum too long for 64 bits as well.
    if whole + scale > _INT64_DIGITS or not (negative | (signs == _POSITIVE)).all():
        return _numeric_texts(field)
    total = np.zeros(len(field), np.int64)
    fewest, powers = int(counts.min()), weights - lowest
    for place in range(most):
        digits = field.at(8 + 2 * place, "i2").astype(np.int64)
        if place >= fewest:
            digits *= counts > place
        exponents = 4 * (np.arange(lowest, highest + 1) - place) + scale
        digits *= _POWERS[np.maximum(exponents, 0)][powers]
        if exponents[0] < 0:
            # The digits below the scale are zeros: that is what the display scale means.
            digits //= _POWERS[np.minimum(np.maximum(-exponents, 0), _INT64_DIGITS)][powers]
        total += digits
    np.negative(total, out=total, where=negative)
    words = np.empty((len(total), 2), np.int64)
    words[:, 0] = total
    np.right_shift(total, 63, out=words[:, 1])
    numbers = from_memory(pa.decimal128(_INT64_DIGITS, scale), words, field.valid)
    scales = field.known(field.at(6, "u2"), scale)
    return numbers if (scales == scale).all() else _as_sent(numbers, scales)


def _as_sent(numbers: Array, scales: Any) -> Array:
    """As texts, each with as many digits behind the point as it has where no column declares it.

    What a row is known by in quarantine, or in a text column, is not that of rows beside it.
    """
    places = [np.flatnonzero(scales == scale) for scale in np.unique(scales)]
    written = [
        to_texts(
            pc.cast(
                numbers.take(from_numbers(those)),
                pa.decimal128(_INT64_DIGITS, int(scales[those[0]])),
            )
        )
        for those in places
    ]
    order = np.argsort(np.concatenate(places))
    return pa.concat_arrays(written).take(from_numbers(order))


_POWERS = 10 ** np.arange(_INT64_DIGITS + 1, dtype=np.int64)


def _numeric_texts(field: _Field) -> Array:
    """numeric as PostgreSQL writes it, value by value: for what 64 bits cannot hold."""
    texts: list[str | None] = []
    valid = np.ones(len(field), bool) if field.valid is None else field.valid
    for row, known in enumerate(valid.tolist()):
        if not known:
            texts.append(None)
            continue
        first = int(field.starts[row])
        header = np.frombuffer(field.block.data, ">i2", 4, first)
        count, weight, scale = int(header[0]), int(header[1]), int(header[3]) & 0xFFFF
        sign = int(header[2]) & 0xFFFF
        if special := _SPECIAL_NUMBERS.get(sign):
            texts.append(special)
            continue
        digits = np.frombuffer(field.block.data, ">i2", count, first + 8).tolist() if count else []
        value = 0
        for digit in digits:
            value = value * 10_000 + digit
        exponent = 4 * (weight - count + 1) + scale
        value = value * 10**exponent if exponent >= 0 else value // 10**-exponent
        written = Decimal((int(sign == _NEGATIVE), tuple(map(int, str(value))), -scale))
        texts.append(f"{written:f}")
    return pa.array(texts, pa.string())


def _spelled(values: Any, valid: Any, spell: Callable[[int], str]) -> Array:
    known = np.ones(len(values), bool) if valid is None else valid
    texts = [
        spell(value) if here else None
        for value, here in zip(values.tolist(), known.tolist(), strict=True)
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
    """As Arrow writes times of microseconds: those that others of the column were sent beside."""
    if microseconds in (2**63 - 1, -(2**63)):
        return "infinity" if microseconds > 0 else "-infinity"
    days, rest = divmod(microseconds + _EPOCH_US, _DAY_US)
    seconds, fraction = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}"
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


_DECODERS: Mapping[int, Callable[[_Field], Array]] = MappingProxyType(
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

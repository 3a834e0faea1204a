"""The fast way to read MySQL: a prepared statement's rows taken off the driver's own connection.

Belongs here: the few messages of the protocol that such a statement is answered by (MySQL's
documentation, "Client/Server Protocol", binary result sets), finding the rows among them and
decoding their columns. Does not belong here: connecting and everything else that the driver does,
and in which form a column is asked for (`mysql.py`).

The driver makes objects of every value, ten times as slow. Between two statements of a connection
nothing is under way, so a statement can as well be sent and its rows read here, up to the server's
word that there are no more; the driver does not notice. It hands over the bytes, whether or not
they come encrypted.

A row is a packet: three bytes of length, a number that goes on from packet to packet in 256, a
zero, a bit per column that is null, and the values of the others. Numbers have the width of their
type, times say how many of their parts follow, all else says how many bytes. All places that look
like the head of a row are found at once; which of them are the lengths say, each leading to the
next.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from sources.arrow_values import from_memory
from sources.readers.arrow import Array
from sources.readers.engines.base import NotDecoded
from sources.readers.engines.blocks import (
    PADDING,
    Bytes,
    Places,
    chained,
    joined,
    pieces,
    texts,
)

# Worked on at once: few enough bytes to stay in the processor's cache.
_BLOCK_BYTES = 1 << 20
# A server that pauses for longer has what it sent worked on meanwhile.
_PAUSE_MS = 2
_PREPARE, _EXECUTE, _CLOSE = 0x16, 0x17, 0x19
_NO_CURSOR_ONCE = struct.pack("<BI", 0, 1)
_HEAD_BYTES = 4
# The first three of a packet's four bytes of head are its length; one this long has a sequel.
_LONGEST = 0xFFFFFF
# Rows up to here are found many at once; longer ones, of which a block has few, one by one.
_LONG_ROW = 1 << 16
_ROW, _ERROR, _END, _END_BYTES = 0x00, 0xFF, 0xFE, 9
_LOST_CONNECTION = 2013
# Lengths that do not fit the first byte of a value: how many bytes they take.
_LONG_LENGTHS: Mapping[int, int] = MappingProxyType({0xFC: 2, 0xFD: 3, 0xFE: 8})
_NO_LONG_LENGTH = 0xFA
# The parts of a time that come: none, the day, the clock's, the microseconds.
_DAY, _CLOCK, _MICROSECONDS = 4, 7, 11
_MONTHS = np.arange("0000-01", "10000-02", dtype="datetime64[M]")
# Days from 1970 to the first of each month from January of the year 0 on.
_FIRST_DAYS = _MONTHS.astype("datetime64[D]").astype(np.int64)
_SHORTEST_MONTH = 28

# Types as the protocol numbers them ("enum_field_types"): numbers, signed and not, and as what they
# are kept; times; what comes as its length and bytes.
_NUMBERS: Mapping[int, tuple[str, str | None, Any]] = MappingProxyType(
    {
        1: ("i1", "u1", np.int64),
        2: ("<i2", "<u2", np.int64),
        13: ("<i2", "<u2", np.int64),
        3: ("<i4", "<u4", np.int64),
        9: ("<i4", "<u4", np.int64),
        8: ("<i8", "<u8", np.int64),
        4: ("<f4", None, np.float32),
        5: ("<f8", None, np.float64),
    }
)
_UNSIGNED = 32
_DATE, _TIMES = 10, frozenset({7, 12})
_WRITTEN = frozenset({15, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254})

# From its bytes, the places of its values and which are null: a column, and where the next begins.
_Decoder = Callable[[Bytes, Places, Any], tuple[Array, Places]]


def read_quickly(
    connection: Any, text: str, batch_rows: int, silence_s: int
) -> Iterator[list[Array]]:
    """The rows of a statement by column, at most `batch_rows` at a time, in the session's snapshot.

    The server may be silent for `silence_s`. The connection (pymysql's) is busy until the end; when
    that is not reached, it can only be closed. Raises the driver's OperationalError for what the
    server says, NotDecoded for a date that no calendar has or a type that is not known here.
    """
    connection._execute_command(_PREPARE, text)
    answer = connection._read_packet().get_all_data()
    statement, columns, parameters = struct.unpack_from("<IHH", answer, 1)
    _skip_definitions(connection, columns)
    assert parameters == 0, "statements come with their values in them"
    connection._execute_command(_EXECUTE, struct.pack("<I", statement) + _NO_CURSOR_ONCE)
    count = connection._read_packet().read_length_encoded_integer()
    decoders = [_decoder(definition) for definition in _definitions(connection, count)]
    yield from _Rows(connection, decoders, silence_s).batches(batch_rows)
    connection._execute_command(_CLOSE, struct.pack("<I", statement))


def _definitions(connection: Any, columns: int) -> list[Any]:
    from pymysql.protocol import FieldDescriptorPacket

    found = [connection._read_packet(FieldDescriptorPacket) for _ in range(columns)]
    connection._read_packet()
    return found


def _skip_definitions(connection: Any, columns: int) -> None:
    for _ in range(columns + 1 if columns else 0):
        connection._read_packet()


class _Rows:
    """Reads what follows the definitions of the columns, up to the end of the rows."""

    def __init__(self, connection: Any, decoders: Sequence[_Decoder], silence_s: int) -> None:
        self._stream = connection._rfile
        self._read_ahead = True
        self._number = connection._next_seq_id
        self._decoders = decoders
        # One bit per column, the first two of them unused.
        self._bits = (len(decoders) + 9) // 8
        self._poll = select.poll()
        self._poll.register(connection._sock, select.POLLIN)
        # As the driver does it: it sets its own again before it reads or writes.
        connection._sock.settimeout(silence_s)
        connection._current_timeout = silence_s
        self._buffer = bytearray(2 * _BLOCK_BYTES + PADDING)
        self._filled = 0
        self._shortest, self._widest = _LONG_ROW, 0
        self._ended = False

    def batches(self, batch_rows: int) -> Iterator[list[Array]]:
        held: list[list[Array]] = []
        room = batch_rows
        while not self._ended:
            self._fill()
            for block, begins, ends in self._rows():
                first = 0
                while first < len(begins):
                    some = slice(first, first + room)
                    held.append(self._decode(block, begins[some], ends[some]))
                    first, room = first + len(held[-1][0]), room - len(held[-1][0])
                    if room == 0:
                        yield [joined(column) for column in zip(*held, strict=True)]
                        held, room = [], batch_rows
        if held:
            yield [joined(column) for column in zip(*held, strict=True)]

    def _decode(self, block: Bytes, begins: Places, ends: Places) -> list[Array]:
        """The rows that stand from `begins` to `ends`, packets without their heads, in `block`."""
        bits = pieces(block, begins + 1, self._bits)
        some = np.bitwise_or.reduce(bits, axis=0).tolist()
        places = begins + 1 + self._bits
        arrays: list[Array] = []
        for number, decoder in enumerate(self._decoders, start=2):
            at, bit = number >> 3, 1 << (number & 7)
            nulls = (bits[:, at] & bit) != 0 if some[at] & bit else None
            try:
                array, places = decoder(block, places, nulls)
            except (IndexError, ValueError) as error:
                raise NotDecoded("a value reaches beyond what came") from error
            arrays.append(array)
        if not np.array_equal(places, ends):
            raise NotDecoded("a row is longer than its values")
        return arrays

    # --- bytes and packets ------------------------------------------------------------------------

    def _fill(self) -> None:
        """Wait for bytes; then take what comes without a pause, up to a block."""
        room = len(self._buffer) - PADDING
        if self._filled == room:  # a row longer than the buffer
            self._buffer = self._buffer[:room] + bytes(room + PADDING)
            room *= 2
        view = memoryview(self._buffer)
        before, enough = self._filled, min(self._filled + _BLOCK_BYTES, room)
        while True:
            try:
                count = self._receive(view[self._filled : room])
            except OSError as error:
                raise _lost(error) from error
            if not count:
                if self._filled > before:
                    return  # what came first may say why
                raise _lost()
            self._filled += count
            if self._filled >= enough or not self._poll.poll(_PAUSE_MS):
                return

    def _receive(self, free: memoryview) -> int:
        """Bytes into `free`: those the driver has read ahead first, then what is on the wire."""
        if self._read_ahead:
            self._read_ahead = False
            first = self._stream.read1(len(free))
            free[: len(first)] = first
            return len(first)
        return int(self._stream.raw.readinto(free))

    def _rows(self) -> Iterator[tuple[Bytes, Places, Places]]:
        """The whole rows in the buffer, without their heads; the rest moves to its beginning."""
        block = np.frombuffer(self._buffer, np.uint8)
        at = 0
        while not self._ended:
            places, ends = self._many(block[at : self._filled])
            if len(places):
                yield block, places + (at + _HEAD_BYTES), ends + at
                at += int(ends[-1])
                continue
            parts = self._parts(at)
            if parts is None:
                break
            at = parts[-1][1]
            if (row := self._single(block, parts)) is not None:
                yield row
        rest = self._filled - at
        self._buffer[:rest] = self._buffer[at : self._filled]
        self._filled = rest

    def _parts(self, at: int) -> list[tuple[int, int]] | None:
        """Where the parts of the packet at this place begin and end; None until all have come."""
        found: list[tuple[int, int]] = []
        while not found or found[-1][1] - found[-1][0] == _LONGEST:
            begin = at + _HEAD_BYTES
            if begin > self._filled:
                return None
            at = begin + int.from_bytes(self._buffer[begin - _HEAD_BYTES : begin - 1], "little")
            if at > self._filled:
                return None
            found.append((begin, at))
        return found

    def _single(
        self, block: Bytes, parts: Sequence[tuple[int, int]]
    ) -> tuple[Bytes, Places, Places] | None:
        """The row of a packet, or None for the end of the rows; raises what the server says."""
        begin, end = parts[0][0], parts[-1][1]
        kind = self._buffer[begin]
        if kind == _ERROR:
            raise _server_error(bytes(self._buffer[begin:end]))
        numbers = [self._buffer[first - 1] for first, _ in parts]
        self._count(np.array(numbers, np.uint8))
        if kind == _END and end - begin < _END_BYTES:
            self._ended = True
            return None
        if kind != _ROW:
            raise _lost("a message that is no row")
        if len(parts) > 1:
            whole = b"".join(self._buffer[first:last] for first, last in parts)
            block = np.frombuffer(whole + bytes(PADDING), np.uint8)
            begin, end = 0, len(whole)
        elif end - begin < _LONG_ROW:
            # Others will be about as long, or what is looked for is too narrow.
            self._shortest = min(self._shortest, (end - begin) * 3 // 4)
            self._widest = max(self._widest, (end - begin) * 5 // 4)
        return block, np.array([begin], np.int64), np.array([end], np.int64)

    def _many(self, view: Bytes) -> tuple[Places, Places]:
        """Where the packets of rows begin and end that follow one another from the start of `view`.

        As many as are whole; none where the first is not a row about as long as those before.
        """
        nothing = np.zeros(0, np.int64)
        count = len(view) - _HEAD_BYTES
        if count <= 0 or self._widest == 0:
            return nothing, nothing
        low, high, top, first = (view[at : at + count] for at in (0, 1, 2, _HEAD_BYTES))
        likely = (top == 0) & (first == _ROW)
        if self._widest <= 0xFF:
            likely &= high == 0
            likely &= (low >= self._shortest) & (low <= self._widest)
        else:
            likely &= (high >= self._shortest >> 8) & (high <= min(self._widest >> 8, 0xFF))
        found = np.flatnonzero(likely)
        if len(found) == 0 or found[0] != 0:
            return nothing, nothing
        heads = pieces(view, found, _HEAD_BYTES).view("<u4")[:, 0]
        ends = found + _HEAD_BYTES + (heads & _LONGEST)
        # The packet behind is numbered on, or has not come yet.
        behind = ends + (_HEAD_BYTES - 1)
        unknown = behind >= len(view)
        follows = view[np.where(unknown, 0, behind)] == ((heads >> 24) + 1 & 0xFF)
        follows |= unknown
        if not follows[0]:
            return nothing, nothing
        found, ends = chained(found[follows], ends[follows])
        whole = len(ends) if ends[-1] <= len(view) else len(ends) - 1
        found, ends = found[:whole], ends[:whole]
        self._count(view[found + (_HEAD_BYTES - 1)])
        return found, ends

    def _count(self, numbers: Bytes) -> None:
        """Packets that came, by their numbers: they go on by one."""
        expected = np.arange(self._number, self._number + len(numbers)) & 0xFF
        if not np.array_equal(numbers, expected):
            raise _lost("packets out of order")
        self._number = (self._number + len(numbers)) & 0xFF


# --- columns --------------------------------------------------------------------------------------


def _decoder(definition: Any) -> _Decoder:
    """How the values of a column come; NotDecoded for a type that nothing is asked for in."""
    kind = definition.type_code
    if kind in _NUMBERS:
        signed, unsigned, kept = _NUMBERS[kind]
        if definition.flags & _UNSIGNED and unsigned is not None:
            return _numbers(unsigned, np.uint64 if unsigned == "<u8" else kept)
        return _numbers(signed, kept)
    if kind in _TIMES:
        return _fine_times if definition.scale else _times
    if kind == _DATE:
        return _dates
    if kind in _WRITTEN:
        return _texts
    raise NotDecoded(f"a column of type {kind}")


def _numbers(sent: str, kept: Any) -> _Decoder:
    width = np.dtype(sent).itemsize
    kind = pa.from_numpy_dtype(kept)

    def decode(block: Bytes, places: Places, nulls: Any) -> tuple[Array, Places]:
        values = pieces(block, places, width).view(sent)[:, 0].astype(kept, copy=False)
        if nulls is None:
            return from_memory(kind, values), places + width
        return from_memory(kind, values, ~nulls), places + np.where(nulls, 0, width)

    return decode


def _texts(block: Bytes, places: Places, nulls: Any) -> tuple[Array, Places]:
    """All that comes as its length and bytes: texts, and decimals as they are written."""
    first, starts = block[places], places + 1
    if nulls is not None:
        first[nulls] = 0
        starts[nulls] -= 1
    sizes = first.astype(np.int64)
    if first.max() > _NO_LONG_LENGTH:
        for mark, width in _LONG_LENGTHS.items():
            long = np.flatnonzero(first == mark)
            read = pieces(block, starts[long], 8)
            read[:, width:] = 0
            sizes[long] = read.view("<i8")[:, 0]
            starts[long] += width
    valid = None if nulls is None else ~nulls
    return texts(block, starts, sizes, valid), starts + sizes


def _days(window: Bytes, nulls: Any) -> Any:
    """Days from 1970 of the dates at the beginning of each value; NotDecoded for what is none."""
    month, day = window[:, 3].astype(np.int64), window[:, 4].astype(np.int64)
    months = window[:, 1:3].view("<u2")[:, 0] * np.int64(12) + month - 1
    sizes = window[:, 0]
    if nulls is not None:
        sizes, month, day = (np.where(nulls, 1, part) for part in (sizes, month, day))
        sizes, months = np.where(nulls, _DAY, sizes), np.where(nulls, 12, months)
    if sizes.min() < _DAY or months.min() < 12 or day.min() < 1:
        raise NotDecoded("a date without a year, month or day")
    if month.min() < 1 or month.max() > 12 or months.max() >= len(_FIRST_DAYS) - 1:
        raise NotDecoded("a date that no calendar has")
    first = _FIRST_DAYS[months]
    if day.max() > _SHORTEST_MONTH and (first + day > _FIRST_DAYS[months + 1]).any():
        raise NotDecoded("a date that no calendar has")
    return first + (day - 1)


def _dates(block: Bytes, places: Places, nulls: Any) -> tuple[Array, Places]:
    window = pieces(block, places, 1 + _MICROSECONDS)
    days = _days(window, nulls).astype(np.int32)
    return from_memory(pa.date32(), days, *_valid(nulls)), _behind(window, places, nulls)


def _times(block: Bytes, places: Places, nulls: Any) -> tuple[Array, Places]:
    """Times in seconds."""
    window = pieces(block, places, 1 + _MICROSECONDS)
    seconds = _seconds(window, nulls)
    kind = pa.timestamp("s")
    return from_memory(kind, seconds, *_valid(nulls)), _behind(window, places, nulls)


def _fine_times(block: Bytes, places: Places, nulls: Any) -> tuple[Array, Places]:
    """Times in microseconds."""
    window = pieces(block, places, 1 + _MICROSECONDS)
    micros = _seconds(window, nulls) * 1_000_000
    fraction = window[:, 8:12].view("<u4")[:, 0].astype(np.int64)
    micros += np.where(window[:, 0] >= _MICROSECONDS, fraction, 0)
    kind = pa.timestamp("us")
    return from_memory(kind, micros, *_valid(nulls)), _behind(window, places, nulls)


def _seconds(window: Bytes, nulls: Any) -> Any:
    seconds = _days(window, nulls) * 86_400
    clock = window[:, 5] * np.int64(3600) + window[:, 6] * np.int64(60) + window[:, 7]
    if window[:, 0].min() < _CLOCK:
        clock = np.where(window[:, 0] >= _CLOCK, clock, 0)
    return seconds + clock


def _behind(window: Bytes, places: Places, nulls: Any) -> Places:
    """Where the values after these begin: their lengths stand before them."""
    steps = window[:, 0].astype(np.int64) + 1
    return places + (steps if nulls is None else np.where(nulls, 0, steps))


def _valid(nulls: Any) -> tuple[Any, ...]:
    return () if nulls is None else (~nulls,)


# --- errors ---------------------------------------------------------------------------------------


def _lost(why: object = "") -> Exception:
    import pymysql

    message = f"Lost connection during query ({why})" if why else "Lost connection during query"
    return pymysql.err.OperationalError(_LOST_CONNECTION, message)


def _server_error(packet: bytes) -> Exception:
    """What the server says, as the driver would raise it."""
    import pymysql

    try:
        pymysql.err.raise_mysql_exception(packet)
    except pymysql.Error as error:
        return error

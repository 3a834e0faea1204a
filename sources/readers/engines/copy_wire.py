"""A COPY out of PostgreSQL, read off the connection's own socket: many rows at a time.

Belongs here: the few messages of the protocol that such a statement is answered by (PostgreSQL's
documentation, "Frontend/Backend Protocol"), and finding the rows among them. Does not belong here:
connecting, logging in and everything else that libpq does (`postgresql.py`), what is in a row
(`copy_binary.py`).

libpq hands over each row by itself: 0.27 s of every million are spent on nothing else. Between two
statements of a connection nothing is under way, so the statement can as well be sent and its
answers read here, up to the server's word that it is ready; libpq does not notice. Where the
connection is encrypted the bytes on the socket are not the protocol's: `is_plain` says no, and
libpq reads.

A row's message begins with `d`, its length and the number of its fields. All places that look so
are found at once; which of them are messages the lengths say, each leading to the next.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from sources.readers.engines.blocks import PADDING, Bytes, Places, chained, pieces
from sources.readers.engines.copy_binary import Batches, without_header

# Worked on at once: few enough bytes to stay in the processor's cache.
_BLOCK_BYTES = 1 << 20
_HEAD = struct.Struct(">ci")
# `d`, the message's length without that letter, the number of the row's fields.
_HEAD_BYTES, _ROW_HEAD_BYTES = 5, 7
_DATA = ord("d")
_READY = b"Z\x00\x00\x00\x05"
_END_MARK = b"\xff\xff"
_FIRST_WITH_GSS_ENCRYPTION = 120_000
_SKIPPED = (b"H", b"c", b"N", b"S", b"A")


def is_plain(connection: Any) -> bool:
    """Whether what the socket of a psycopg2 connection carries is the protocol itself."""
    if connection.info.ssl_in_use:
        return False
    if connection.server_version < _FIRST_WITH_GSS_ENCRYPTION:
        return True
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass('pg_catalog.pg_stat_gssapi') is not null")
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(
            "select coalesce(bool_or(encrypted), false) from pg_catalog.pg_stat_gssapi "
            "where pid = pg_catalog.pg_backend_pid()"
        )
        (encrypted,) = cursor.fetchone()
    return not encrypted


def receive(connection: Any, statement: str, fields: int, batches: Batches) -> int:
    """Run a COPY … TO STDOUT (FORMAT binary) of so many columns; gives the rows the server counted.

    Blocks until all is read; shutting the socket down ends the wait. Raises psycopg2's errors:
    OperationalError when the connection is lost, DatabaseError with its `pgcode` for what the
    server says; ValueError for what is no such stream.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        return _Stream(wire, fields, batches).run(statement)


class _Stream:
    def __init__(self, wire: socket.socket, fields: int, batches: Batches) -> None:
        self._wire = wire
        self._poll = select.poll()
        self._poll.register(wire, select.POLLIN)
        self._fields = fields
        self._batches = batches
        self._buffer = bytearray(2 * _BLOCK_BYTES + PADDING)
        self._filled = 0
        self._begun = self._ended = self._ready = False
        self._count: int | None = None
        self._error: Exception | None = None

    def run(self, statement: str) -> int:
        query = statement.encode() + b"\x00"
        self._wire.sendall(_HEAD.pack(b"Q", len(query) + 4) + query)
        while not self._ready:
            more = self._fill()
            self._use()
            if not more and not self._ready:
                raise self._error or _lost()
        if self._error is not None:
            raise self._error
        if not self._ended or self._count is None:
            raise ValueError("the COPY stream has no end")
        self._batches.hand_over()
        return self._count

    def _fill(self) -> bool:
        """Wait for a block of bytes, or the end of the answers; False when there is no more."""
        room = len(self._buffer) - PADDING
        if self._filled == room:  # a single message longer than the buffer
            self._buffer = self._buffer[:room] + bytes(room + PADDING)
            room *= 2
        view = memoryview(self._buffer)
        enough = min(self._filled + _BLOCK_BYTES, room)
        while self._filled < enough:
            self._poll.poll()
            try:
                # Never a second read where one might have to wait: libpq's socket does not block.
                count = self._wire.recv_into(view[self._filled : room])
            except BlockingIOError:
                continue
            except OSError as error:
                raise _lost() from error
            if count == 0:
                return False
            self._filled += count
            if view[max(self._filled - 6, 0) : self._filled - 1] == _READY:
                break
        return True

    def _use(self) -> None:
        """Take the whole messages in the buffer; what is left of another moves to its beginning."""
        block = np.frombuffer(self._buffer, np.uint8)
        at = 0
        while not self._ready and self._filled - at >= _HEAD_BYTES:
            if self._begun and block[at] == _DATA:
                places, ends = _rows(block[at : self._filled], self._fields)
                if len(places):
                    self._add(block, places + at, ends + at)
                    at += int(ends[-1])
                    continue
            kind, length = _HEAD.unpack_from(self._buffer, at)
            if length < 4:
                raise ValueError(f"a message of length {length}")
            end = at + 1 + length
            if end > self._filled:
                break
            self._message(kind, block, at + _HEAD_BYTES, end)
            at = end
        rest = self._filled - at
        self._buffer[:rest] = self._buffer[at : self._filled]
        self._filled = rest

    def _add(self, block: Bytes, places: Places, ends: Places) -> None:
        """Hand rows on: `places` are those of their messages, which follow one another."""
        first = 0
        while first < len(places):
            some = slice(first, first + self._batches.room)
            begin = places[some] + _HEAD_BYTES
            sent = _without_heads(block, places[some], int(ends[some][-1]))
            self._batches.add(block, begin, ends[some], sent)
            first = some.stop

    def _message(self, kind: bytes, block: Bytes, begin: int, end: int) -> None:
        content = block[begin:end].tobytes()
        if kind == b"d":
            self._odd_data(block, content, begin, end)
        elif kind == b"C":
            self._count = int(content.rstrip(b"\x00").rpartition(b" ")[2])
        elif kind == b"E":
            self._error = _server_error(content)
        elif kind == b"Z":
            self._ready = True
        elif kind not in _SKIPPED:
            raise ValueError(f"a message {kind!r} in answer to COPY")

    def _odd_data(self, block: Bytes, content: bytes, begin: int, end: int) -> None:
        """The first message, which begins with the stream's header; the end mark; a strange row."""
        if not self._begun:
            begin = end - len(without_header(content))
            self._begun = True
        if block[begin:end].tobytes() == _END_MARK:
            self._ended = True
        elif begin < end:
            sent = memoryview(block[begin:end].tobytes())
            self._batches.add(block, np.array([begin]), np.array([end]), sent)


def _rows(view: Bytes, fields: int) -> tuple[Places, Places]:
    """Where the messages of rows begin and end that follow one another from the start of `view`.

    As many as are whole; none where the first message is not a row of so many fields.
    """
    nothing = np.zeros(0, np.int64)
    if len(view) < _ROW_HEAD_BYTES:
        return nothing, nothing
    found = np.flatnonzero(view[: len(view) - _ROW_HEAD_BYTES + 1] == _DATA)
    heads = pieces(view, found, _ROW_HEAD_BYTES)
    likely = heads[:, _HEAD_BYTES:].view(">i2")[:, 0] == fields
    found, heads = found[likely], heads[likely]
    ends = found + 1 + heads[:, 1:_HEAD_BYTES].view(">i4")[:, 0]
    if len(found) == 0 or found[0] != 0:
        return nothing, nothing
    found, ends = chained(found, ends)
    whole = len(ends) if ends[-1] <= len(view) else len(ends) - 1
    return found[:whole], ends[:whole]


def _without_heads(block: Bytes, places: Places, end: int) -> memoryview:
    """The rows alone, side by side."""
    bounds = np.empty(2 * len(places) + 1, np.int32)
    bounds[:-1:2] = places
    bounds[1::2] = places + _HEAD_BYTES
    bounds[-1] = end
    parts: Any = pa.Array.from_buffers(
        pa.binary(), 2 * len(places), [None, pa.py_buffer(bounds.data), pa.py_buffer(block.data)]
    )
    # Every second part: Arrow packs eight flags a byte, the first in the lowest bit.
    bits = pa.py_buffer(b"\xaa" * (len(places) // 4 + 1))
    rows = parts.filter(pa.Array.from_buffers(pa.bool_(), 2 * len(places), [None, bits]))
    return memoryview(rows.buffers()[2])[: end - int(places[0]) - _HEAD_BYTES * len(places)]


def _lost() -> Exception:
    import psycopg2

    return psycopg2.OperationalError("server closed the connection unexpectedly")


def _server_error(content: bytes) -> Exception:
    """What the server says, as psycopg2 would raise it."""
    import psycopg2

    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in content.split(b"\x00")}
    own = type("ServerError", (psycopg2.DatabaseError,), {"pgcode": fields.get(b"C")})
    with suppress(KeyError):
        own = type("ServerError", (psycopg2.errors.lookup(fields[b"C"]), own), {})
    error: Exception = own(fields.get(b"M", ""))
    return error

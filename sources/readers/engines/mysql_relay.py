"""Lends an open MySQL session to another client of this machine; run as a program of its own.

Belongs here: just that, with the standard library alone. Does not belong here: what is asked of
the session (`mysql_quick.py`). It is a process because the client's library holds Python's lock
while it logs in, so that no thread beside it could answer.

The reader's connection is logged in, in its snapshot, and has counted. The library that decodes
fast (connectorx) wants to log in by itself: here it meets a greeting, gives a one-time password,
and from then on its commands go to the session, and the server's answers back. So what it reads
is of the same snapshot, and the real password, the socket and the way of logging in are not its
business.

What the client has read it holds in memory until somebody takes it, without limit. So the rows
that pass are counted, packet by packet, and the reader says how many it took: once the client has
what the next batch needs, no more than `window` bytes lie between the server and the reader.

The client's library also stops all of Python while it waits for rows. So the reader asks here
first, and is answered once rows are on their way: it is while a server sorts, or has gone silent,
that waiting takes long.

Arguments: file descriptors of the session, of a listening socket and of the control socket; the
packets that the client needs for a batch; the window in bytes; the seconds a server may be silent.
Over the control socket come 64 characters of password, and then numbers of 8 bytes: n >= 0 for "n
rows were taken, may I wait for more?", and -1 for "I have some". Back goes `y` for yes, and `x`
when the server was lost. The end of the control socket ends the program.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import sys
import time

TOKEN_CHARACTERS = 64
LOST, YES = b"x", b"y"
NUMBER = struct.Struct("<q")
HAVE_ROWS = -1
# Commands of the protocol that may pass: query, ping, and those of a prepared statement.
_PASSING = frozenset({0x03, 0x0E, 0x16, 0x17, 0x19, 0x1A})
_EXECUTE = 0x17
# What the reader's own driver has agreed upon with the server: protocol 4.1, transactions,
# passwords of that protocol, several results, plugin names. Nothing that alters the answers.
_CAPABILITIES = 0x0001 | 0x0004 | 0x0008 | 0x0200 | 0x2000 | 0x8000 | 0x20000 | 0x40000 | 0x80000
_UTF8MB4, _AUTOCOMMIT = 45, 2
_PLUGIN = b"mysql_native_password"
_OK = b"\x00\x00\x00\x02\x00\x00\x00"
_CHUNK = 1 << 20
# The first three of a packet's four bytes of head are its length; one this long has a sequel.
_HEAD = struct.Struct("<I")
_LONGEST = 0xFFFFFF
# Packets that are passed over at once (a number goes round in 256), how short they must be, and how
# many heads in a row must be numbered on for the first to be taken for one.
_STRIDE, _SHORT, _WITNESSES = 240, 256, 6
# A server that has sent something this recently is sending.
_RECENTLY_SECONDS = 0.2
# A client that should have enough for a batch, and gives none for this long, has not.
_STUCK_SECONDS = 2.0


def main(
    session_fd: int, listener_fd: int, control_fd: int, needed: int, window: int, silence: int
) -> None:
    """Serve one client, then end."""
    with (
        socket.socket(fileno=session_fd) as session,
        socket.socket(fileno=listener_fd) as listener,
        socket.socket(fileno=control_fd) as control,
    ):
        session.setblocking(True)
        token = _exactly(control, TOKEN_CHARACTERS)
        ready, _, _ = select.select([listener, control], [], [])
        if listener not in ready:
            return
        client, _ = listener.accept()
        listener.close()
        with client:
            _log_in(client, token)
            _Relay(session, client, control, needed, window, silence).run()


def _log_in(client: socket.socket, token: bytes) -> None:
    """Greet a client and check its password; PermissionError when it is another's."""
    # The protocol ends the salt at the first zero.
    salt = bytes(1 + byte % 255 for byte in os.urandom(20))
    greeting = b"".join(
        (
            b"\x0a8.0.0-relay\x00",
            struct.pack("<I", 1),
            salt[:8],
            b"\x00",
            struct.pack("<H", _CAPABILITIES & 0xFFFF),
            bytes([_UTF8MB4]),
            struct.pack("<H", _AUTOCOMMIT),
            struct.pack("<H", _CAPABILITIES >> 16),
            bytes([len(salt) + 1]),
            bytes(10),
            salt[8:],
            b"\x00",
            _PLUGIN,
            b"\x00",
        )
    )
    client.sendall(_packet(0, greeting))
    sequence, answer = _receive(client)
    if scramble(token, salt) not in answer:
        raise PermissionError("another client than the one expected")
    client.sendall(_packet(sequence + 1, _OK))


def scramble(password: bytes, salt: bytes) -> bytes:
    """The proof of a password that `mysql_native_password` sends (MySQL's documentation)."""
    once = hashlib.sha1(password, usedforsecurity=False).digest()
    twice = hashlib.sha1(once, usedforsecurity=False).digest()
    mask = hashlib.sha1(salt + twice, usedforsecurity=False).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


class _Relay:
    """Bytes both ways. `_state` follows the statement: before it, sent, rows coming, ended.

    `_rows` and `_bytes` are what has gone to the client and was not taken yet.
    """

    def __init__(
        self,
        session: socket.socket,
        client: socket.socket,
        control: socket.socket,
        needed: int,
        window: int,
        silence: int,
    ) -> None:
        self._session, self._client, self._control = session, client, control
        self._needed, self._window, self._silence = needed, window, silence
        self._state = "before"
        self._last_rows = 0.0
        self._asked = self._waiting = False
        self._heard = b""
        self._packets = _Packets()
        self._rows = self._bytes = 0

    def run(self) -> None:
        while True:
            watched = [self._client, self._control]
            if not self._full:
                watched.append(self._session)
            ready, _, _ = select.select(watched, [], [], self._patience)
            if self._control in ready and not self._hear():
                return
            if self._client in ready and not self._command():
                return
            lost = self._session in ready and not self._answer()
            if not ready and self._full:
                # It needs more than was thought: as much more as this is from now on.
                self._needed = self._rows + 1
            elif lost or not ready:
                self._control.sendall(LOST)
                return
            if self._asked and self._rows_are_near():
                self._asked, self._waiting = False, True
                self._control.sendall(YES)

    @property
    def _full(self) -> bool:
        """Whether the client has all it needs, and as much as it may hold."""
        return self._rows >= self._needed and self._bytes >= self._window

    @property
    def _patience(self) -> float | None:
        """Seconds to wait for anything: for the server, or for a client that has enough."""
        if not self._full:
            return self._silence
        return _STUCK_SECONDS if self._waiting else None

    def _hear(self) -> bool:
        word = self._control.recv(_CHUNK)
        self._heard += word
        whole = len(self._heard) // NUMBER.size * NUMBER.size
        for (number,) in NUMBER.iter_unpack(self._heard[:whole]):
            self._asked = number != HAVE_ROWS
            self._waiting = False
            if number > 0:
                taken = min(number, self._rows)
                self._bytes -= self._bytes * taken // max(1, self._rows)
                self._rows -= taken
        self._heard = self._heard[whole:]
        return bool(word)

    def _command(self) -> bool:
        try:
            sequence, command = _receive(self._client)
        except EOFError:
            return False
        if command[0] not in _PASSING:
            return False
        if command[0] == _EXECUTE:
            self._state = "sent"
            self._rows = self._bytes = 0
        elif self._state in ("sent", "rows"):
            self._state = "ended"
        self._session.sendall(_packet(sequence, command))
        return True

    def _answer(self) -> bool:
        try:
            data = self._packets.receive(self._session)
        except ConnectionError:
            return False
        self._client.sendall(data)
        packets = self._packets.begun()
        if self._state in ("sent", "rows"):
            self._state, self._last_rows = "rows", time.monotonic()
            self._rows += packets
            self._bytes += len(data)
        return len(data) > 0

    def _rows_are_near(self) -> bool:
        """Whether a wait for rows can only be short: they come, have come, or no more will."""
        if self._state == "rows":
            return self._full or time.monotonic() - self._last_rows < _RECENTLY_SECONDS
        return self._state == "ended"


class _Packets:
    """Receives bytes of the server and counts the packets that begin in them.

    Packets are numbered, modulo 256. So of short ones not every head is read: the head of the
    packet `_STRIDE` further on is looked for where it should be, by its number, and is taken for
    one if the heads that follow from it are numbered on. A tenth of the time of reading them all.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(_CHUNK + _HEAD.size)
        self._buffer = memoryview(self._bytes)
        self._start = self._end = 0
        self._skip = 0

    def receive(self, session: socket.socket) -> memoryview:
        """The next bytes; none at the end of the connection. Valid until the next call."""
        self._end = self._start + session.recv_into(self._buffer[self._start :], _CHUNK)
        return self._buffer[self._start : self._end]

    def begun(self) -> int:
        """How many packets begin in the bytes received last; a long row's sequels do not count."""
        buffer, size = self._buffer, _HEAD.size
        at, last, count = self._skip, self._end - size, 0
        while at <= last:
            counted, reached = self._walked(at, last)
            short = counted == _STRIDE and 2 * (reached - at) < _STRIDE * _SHORT
            count += counted
            span, at = reached - at, reached
            while short and at <= last:
                found = self._numbered_on(at, span, last)
                if found is None:
                    break
                count += _STRIDE
                span, at = found - at, found
        # A head that was cut in two is put before the bytes to come.
        cut = bytes(buffer[at : self._end])
        buffer[: len(cut)] = cut
        self._start = len(cut)
        self._skip = max(0, at - self._end)
        return count

    def _walked(self, at: int, last: int) -> tuple[int, int]:
        """Count up to `_STRIDE` packets head by head, and where the next head is."""
        head, buffer, size = _HEAD.unpack_from, self._buffer, _HEAD.size
        count = 0
        for _ in range(_STRIDE):
            if at > last:
                break
            length = head(buffer, at)[0] & _LONGEST
            count += length != _LONGEST
            at += size + length
        return count, at

    def _numbered_on(self, at: int, span: int, last: int) -> int | None:
        """Where the head `_STRIDE` packets after the one at `at` is, if they are about as long.

        `span` is how many bytes the packets before took. None where it is not found.
        """
        number = (self._bytes[at + 3] + _STRIDE) & 0xFF
        head = bytes((0, 0, number))
        place, end = at + span * 3 // 4, min(last, at + span * 5 // 4)
        # The length of a short packet is one byte; the two after it are zero.
        while (place := self._bytes.find(head, place + 1, end)) > 0:
            if self._is_head(place - 1, number, last):
                return place - 1
        return None

    def _is_head(self, at: int, number: int, last: int) -> bool:
        for further in range(_WITNESSES):
            if at > last or self._bytes[at + 3] != (number + further) & 0xFF:
                return False
            length = _HEAD.unpack_from(self._buffer, at)[0] & _LONGEST
            if length >= _SHORT:
                return False
            at += _HEAD.size + length
        return True


def _packet(sequence: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([sequence & 0xFF]) + payload


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    head = _exactly(connection, 4)
    return head[3], _exactly(connection, int.from_bytes(head[:3], "little"))


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except (OSError, EOFError):
        # Either side has gone: the reader hears of it from its own end.
        sys.exit(1)

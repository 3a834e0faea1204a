"""A COPY read off the socket: every row once and exactly, however the bytes fall into reads."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from sources.readers.engines.copy_binary import INT4, INT8, TEXT, Batches
from sources.readers.engines.copy_wire import is_plain, receive

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_SAYS_H = b"H" + struct.pack(">i", 7) + b"\x01\x00\x00"
_READY = b"Z" + struct.pack(">i", 5) + b"T"


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">i", len(content) + 4) + content


def _row(*values: bytes | None) -> bytes:
    fields = [
        struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
        for value in values
    ]
    return struct.pack(">h", len(values)) + b"".join(fields)


def _answer(rows: list[bytes]) -> list[bytes]:
    """What a server sends for these rows: the header comes with the first of them."""
    data = [*rows, b"\xff\xff"]
    messages = [_message(b"d", (_HEADER if at == 0 else b"") + row) for at, row in enumerate(data)]
    done = [_message(b"c", b""), _message(b"C", b"COPY %d\x00" % len(rows)), _READY]
    return [_SAYS_H, *messages, *done]


class _Connection:
    """As much of a connection as is asked for: its socket."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()


Play = Callable[..., tuple[list[list[Any]], bytes, int]]


@pytest.fixture
def play() -> Iterator[Play]:
    """Have a server at the other end send pieces; gives rows, their bytes and the count."""
    here, there = socket.socketpair()
    threads: list[threading.Thread] = []

    def served(pieces: list[bytes], kinds: list[int], batch_rows: int = 1_000) -> Any:
        def serve() -> None:
            there.recv(1 << 16)
            for piece in pieces:
                there.sendall(piece)
            if pieces[-1][-6:] != _READY:
                there.close()

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        got: list[tuple[list[Any], Any]] = []
        batches = Batches(kinds, batch_rows, 1 << 30, lambda *batch: got.append(batch))
        count = receive(_Connection(here), "copy x to stdout (format binary)", len(kinds), batches)
        rows = [list(row) for arrays, _ in got for row in zip(*arrays, strict=True)]
        assert all(len(arrays[0]) <= batch_rows for arrays, _ in got)
        values = [[value.as_py() for value in row] for row in rows]
        return values, b"".join(bytes(piece) for _, sent in got for piece in sent), count

    yield served
    for thread in threads:
        thread.join(10)
    here.close()
    there.close()


# 100 is the letter d: an id that ends so, before a length, looks like a message of a row.
_IDS = [100, 0x64_0000, 356, 1, -1]
_LOOKS_LIKE_A_ROW = struct.pack(">h", 2) + b"\x00\x00\x00\x00d\x00"


def _many(count: int) -> tuple[list[bytes], list[list[Any]]]:
    rows, values = [], []
    for at in range(count):
        number = _IDS[at % len(_IDS)]
        other = int.from_bytes(_LOOKS_LIKE_A_ROW, "big") if at % 3 == 0 else at
        rows.append(_row(struct.pack(">i", number), struct.pack(">q", other)))
        values.append([number, other])
    return rows, values


@pytest.mark.parametrize("size", [1, 7, 1_000, 1 << 20])
def test_rows_are_found_wherever_the_bytes_are_cut(play: Play, size: int) -> None:
    rows, values = _many(300 if size == 1 else 5_000)
    stream = b"".join(_answer(rows))
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    found, sent, count = play(pieces, [INT4, INT8])

    assert found == values
    assert sent == b"".join(rows)
    assert count == len(rows)


def test_rows_of_any_length_and_nulls(play: Play) -> None:
    texts = [b"", None, b"d" * 5_000_000, "ñandú".encode(), b"d\x00\x00"[:1] * 70_000]
    rows = [_row(text, struct.pack(">i", at)) for at, text in enumerate(texts)] * 3

    found, sent, _ = play([b"".join(_answer(rows))], [TEXT, INT4])

    assert [text for text, _ in found] == texts * 3
    assert sent == b"".join(rows)


def test_no_row_at_all(play: Play) -> None:
    assert play([b"".join(_answer([]))], [INT4]) == ([], b"", 0)


def test_what_the_server_says_in_between_is_no_row(play: Play) -> None:
    rows, values = _many(10)
    notice = _message(b"N", b"SNOTICE\x00Mhola\x00\x00")
    pieces = [part for message in _answer(rows) for part in (message, notice)][:-1]

    assert play(pieces, [INT4, INT8])[0] == values


def test_an_error_after_some_rows_is_the_server_s(play: Play) -> None:
    rows, _ = _many(50)
    said = _message(b"E", b"SERROR\x00C57014\x00Mcanceling statement\x00\x00")

    with pytest.raises(psycopg2.errors.QueryCanceled, match="canceling") as caught:
        play([*_answer(rows)[:30], said, _READY], [INT4, INT8])

    assert caught.value.pgcode == "57014"


@pytest.mark.parametrize("last", [3, 40])
def test_a_connection_that_breaks_is_an_error(play: Play, last: int) -> None:
    rows, _ = _many(50)

    with pytest.raises(psycopg2.OperationalError, match="closed the connection"):
        play([*_answer(rows)[:last], b"d\x00\x00"], [INT4, INT8])


@pytest.mark.parametrize("missing", [b"d", b"c"])
def test_an_end_without_end_mark_or_with_another_row_is_refused(play: Play, missing: bytes) -> None:
    rows, _ = _many(20)
    answer = _answer(rows)
    if missing == b"d":
        answer.pop(-4)
    else:
        answer.insert(10, _message(b"d", _row(b"one field")))

    with pytest.raises(ValueError, match="COPY stream"):
        play(answer, [INT4, INT8])


def test_only_what_nobody_encrypts_is_read_so(warehouse: Any) -> None:
    with psycopg2.connect(warehouse.url) as connection:
        assert is_plain(connection)
    connection.close()

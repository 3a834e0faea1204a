"""MySQL's binary rows off the wire: every value exactly, however the bytes arrive."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import numpy as np
import pymysql
import pytest

from sources.readers import ReaderOptions
from sources.readers.engines import NotDecoded, mysql_wire
from sources.readers.engines.mysql import Mysql
from sources.readers.engines.mysql_wire import read_quickly
from sources.urls import SourceUrl
from tests.support.mariadb import MariaDb

Value = Any
# As a column is sent, and as it is read.
KINDS = ("int64", "uint64", "int8", "float64", "text", "date", "time", "fine")


class Connection:
    """What `_Rows` asks of the driver's connection, at one end of a pair of sockets."""

    def __init__(self, wire: socket.socket) -> None:
        self._sock = wire
        self._rfile = wire.makefile("rb")
        self._next_seq_id = 7
        self._current_timeout: float | None = None


def decoder(kind: str) -> Any:
    return {
        "int64": mysql_wire._numbers("<i8", np.int64),
        "uint64": mysql_wire._numbers("<u8", np.uint64),
        "int8": mysql_wire._numbers("i1", np.int64),
        "float64": mysql_wire._numbers("<f8", np.float64),
        "text": mysql_wire._texts,
        "date": mysql_wire._dates,
        "time": mysql_wire._times,
        "fine": mysql_wire._fine_times,
    }[kind]


def written(kind: str, value: Value) -> bytes:
    """A value that is no null, as the server sends it."""
    match kind:
        case "int64" | "uint64" | "int8" | "float64":
            form = {"int64": "<q", "uint64": "<Q", "int8": "<b", "float64": "<d"}[kind]
            return struct.pack(form, value)
        case "text":
            size = len(value)
            for most, head in ((0xFB, b""), (1 << 16, b"\xfc"), (1 << 24, b"\xfd")):
                if size < most:
                    width = max(1, int.from_bytes(head) - 0xFA) if head else 1
                    return head + size.to_bytes(width, "little") + bytes(value)
            return b"\xfe" + size.to_bytes(8, "little") + bytes(value)
        case "date":
            return struct.pack("<BHBB", 4, value.year, value.month, value.day)
    day = struct.pack("<HBB", value.year, value.month, value.day)
    clock = bytes([value.hour, value.minute, value.second])
    if value.microsecond:
        return b"\x0b" + day + clock + struct.pack("<I", value.microsecond)
    return b"\x07" + day + clock if any(clock) else b"\x04" + day


def row(kinds: Sequence[str], values: Sequence[Value]) -> bytes:
    bits = sum(1 << (at + 2) for at, value in enumerate(values) if value is None)
    head = b"\0" + bits.to_bytes((len(kinds) + 9) // 8, "little")
    pairs = zip(kinds, values, strict=True)
    return head + b"".join(written(kind, value) for kind, value in pairs if value is not None)


def packets(payloads: Sequence[bytes], first: int = 7) -> bytes:
    out, number = [], first
    for payload in payloads:
        rest = payload
        while True:
            part, rest = rest[:0xFFFFFF], rest[0xFFFFFF:]
            out += [len(part).to_bytes(3, "little"), bytes([number & 0xFF]), part]
            number += 1
            if len(part) < 0xFFFFFF:
                break
    return b"".join(out)


END = b"\xfe\0\0\x22\0"


@contextmanager
def sent(stream: bytes, pieces: Sequence[int] = ()) -> Iterator[Connection]:
    """A connection whose server sends these bytes, in pieces of these sizes, and hangs up."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        at = 0
        with theirs:
            for size in [*pieces, len(stream)]:
                theirs.sendall(stream[at : at + size])
                at += size

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with ours:
            yield Connection(ours)
            thread.join()
    finally:
        thread.join()


def read(connection: Connection, kinds: Sequence[str], batch_rows: int = 1000) -> list[list[Value]]:
    rows = mysql_wire._Rows(connection, [decoder(kind) for kind in kinds], 5)
    batches = [[array.to_pylist() for array in batch] for batch in rows.batches(batch_rows)]
    assert all(len(batch[0]) == batch_rows for batch in batches[:-1])
    return [list(values) for batch in batches for values in zip(*batch, strict=True)]


def invented(kind: str, chance: random.Random, lengths: Sequence[int]) -> Value:
    if kind == "text":
        return bytes(chance.choices(b"\0\x07\x28\xfe\xffab", k=chance.choice(lengths)))
    if kind in ("date", "time", "fine"):
        moment = datetime.fromordinal(chance.randint(1, date.max.toordinal()))
        if kind == "date":
            return moment.date()
        if chance.random() < 0.7:
            moment = moment.replace(hour=chance.randint(0, 23), second=chance.randint(0, 59))
        fine = kind == "fine" and chance.random() < 0.5
        return moment.replace(microsecond=chance.randint(1, 999_999)) if fine else moment
    numbers: dict[str, list[int | float]] = {
        "int64": [0, 58, -1, 2**63 - 1, -(2**63), chance.getrandbits(40)],
        "uint64": [0, 2**64 - 1, chance.getrandbits(30)],
        "int8": [0, -128, 127],
        "float64": [0.0, -0.5, 1e300, chance.random()],
    }
    return chance.choice(numbers[kind])


@pytest.mark.parametrize("block", [300, 5_000, 1 << 20])
@pytest.mark.parametrize(
    "lengths",
    [(9,), (0, 5, 30), (8, 250, 251, 252, 253, 254), (3, 3_000), (2, 70_000)],
    ids=str,
)
@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_every_value_comes_exactly_however_the_bytes_arrive(
    monkeypatch: pytest.MonkeyPatch, block: int, lengths: tuple[int, ...], nulls: float
) -> None:
    monkeypatch.setattr(mysql_wire, "_BLOCK_BYTES", block)
    chance = random.Random(f"{block} {lengths} {nulls}")
    kinds = [*KINDS, *chance.choices(KINDS, k=chance.randint(0, 12))]
    count = 30 if 70_000 in lengths else 700
    rows = [
        [None if chance.random() < nulls else invented(kind, chance, lengths) for kind in kinds]
        for _ in range(count)
    ]
    stream = packets([*(row(kinds, values) for values in rows), END])
    pieces = [chance.randint(1, 2 * len(stream) // 30) for _ in range(30)]

    with sent(stream, pieces) as connection:
        found = read(connection, kinds, batch_rows=chance.choice([1, 64, 300]))

    assert found == rows


@pytest.mark.parametrize("fill", [b"\0", b"\0\0\x07", b"\x28\0\0\x01\0"], ids=bytes.hex)
@pytest.mark.parametrize("sizes", [(40, 40), (40, 70), (5, 300), (10, 254)], ids=str)
def test_rows_that_look_like_heads_are_told_apart(sizes: tuple[int, int], fill: bytes) -> None:
    chance = random.Random(7)
    rows = [(fill * 100)[: chance.randint(*sizes)] for _ in range(5_000)]
    stream = packets([*(row(["text"], [value]) for value in rows), END])

    with sent(stream, [60_001] * 4) as connection:
        assert read(connection, ["text"]) == [[value] for value in rows]


def test_a_row_of_more_than_a_packet_is_one() -> None:
    long = bytes(range(256)) * (17 << 12)
    exact = b"x" * (0xFFFFFF - 2 - 9)  # one packet to its last byte, and an empty one
    rows: list[list[Value]] = [[1, b"corta"], [2, long], [3, exact[:-8]], [4, b""], [None, None]]
    kinds = ["int64", "text"]
    with sent(packets([*(row(kinds, values) for values in rows), END])) as connection:
        assert read(connection, kinds) == rows


def test_no_rows_are_no_batch() -> None:
    with sent(packets([END])) as connection:
        assert read(connection, ["int64"]) == []


# --- what goes wrong ------------------------------------------------------------------------------

GOOD = [row(["int64"], [number]) for number in range(900)]


def test_what_the_server_says_in_the_midst_is_the_driver_s_error() -> None:
    said = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    with (
        sent(packets([*GOOD, said])) as connection,
        pytest.raises(pymysql.err.OperationalError) as caught,
    ):
        read(connection, ["int64"])
    assert caught.value.args == (1317, "Query execution was interrupted")


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (packets(GOOD), "Lost connection during query"),
        (packets([*GOOD, END])[:-3], "Lost connection during query"),
        (packets(GOOD) + packets([*GOOD, END]), "out of order"),
        (packets([*GOOD, b"\x07 extra", END]), "no row"),
    ],
    ids=["no end", "cut", "lost packets", "something else"],
)
def test_a_stream_that_is_not_whole_is_a_lost_connection(stream: bytes, why: str) -> None:
    with sent(stream) as connection, pytest.raises(pymysql.err.OperationalError, match=why) as held:
        read(connection, ["int64"])
    assert Mysql().trouble(held.value) == "red"


def test_a_server_that_falls_silent_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(packets(GOOD))
        rows = mysql_wire._Rows(Connection(ours), [decoder("int64")], 1)
        with pytest.raises(pymysql.err.OperationalError, match="timed out") as held:
            list(rows.batches(10_000))
    assert Mysql().trouble(held.value) == "tiempo"


@pytest.mark.parametrize("broken", [GOOD[0] + b"\0", GOOD[0][:-1]], ids=["longer", "shorter"])
def test_a_row_that_is_not_as_long_as_its_values_is_not_decoded(broken: bytes) -> None:
    with (
        sent(packets([*GOOD, broken, *GOOD, END])) as connection,
        pytest.raises(NotDecoded, match="longer than its values"),
    ):
        read(connection, ["int64"])


@pytest.mark.parametrize(
    "length", [b"\x28", b"\xfd\xff\xff\xff", b"\xfe" + b"\x7f" * 8], ids=bytes.hex
)
def test_a_text_that_says_it_is_longer_than_its_row_is_not_decoded(length: bytes) -> None:
    """Whether what it says ends in another row, beyond all that came, or nowhere."""
    good = row(["text", "int64"], [b"corta", 1])
    broken = b"\0\0" + length + b"corta"
    with (
        sent(packets([*[good] * 50, broken, good, END])) as connection,
        pytest.raises(NotDecoded, match=r"longer than its values|beyond what came"),
    ):
        read(connection, ["text", "int64"])


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [(0, 0, 0), (2026, 0, 5), (2026, 5, 0), (0, 5, 5), (2026, 2, 30), (2025, 2, 29), (2026, 13, 1)],
)
@pytest.mark.parametrize("kind", ["date", "time", "fine"])
def test_a_date_that_no_calendar_has_is_not_decoded(
    kind: str, year: int, month: int, day: int
) -> None:
    whole = row([kind], [datetime(2024, 2, 29, 5)])
    sized = struct.pack("<HBB", year, month, day)
    broken = whole[:2] + (bytes([4]) + sized if any(sized) else b"\0")
    rows = [whole] * 100
    with (
        sent(packets([*rows, broken, *rows, END])) as connection,
        pytest.raises(NotDecoded, match="a date"),
    ):
        read(connection, [kind])


def test_a_type_that_nothing_is_asked_for_in_is_not_decoded(mariadb: MariaDb) -> None:
    with (
        mariadb.connect() as connection,
        pytest.raises(NotDecoded, match="a column of type 11"),
    ):
        list(read_quickly(connection, "select cast('10:00:00' as time)", 10, 5))


# --- the server itself ----------------------------------------------------------------------------

STATEMENT = (
    "select seq, repeat('ñ', mod(seq, 400)), if(mod(seq, 7), seq / 8.0, null), "
    "timestamp'2026-01-01 00:00:00' + interval seq minute from seq_1_to_20000"
)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_statement_of_the_server_is_read_as_the_driver_reads_it(
    mariadb: MariaDb, encrypted: bool
) -> None:
    """And the connection serves the driver again, as does a prepared statement's place."""
    options = f"?ssl_ca={mariadb.certificate}" if encrypted else "?ssl_disabled=1"
    engine = Mysql()
    connection = engine.connect(SourceUrl.parse(mariadb.url + options), ReaderOptions())
    with connection, connection.cursor() as cursor:
        cursor.execute("show session status like 'Ssl_cipher'")
        assert bool(cursor.fetchone()[1]) is encrypted
        batches = list(read_quickly(connection, STATEMENT, 6_000, 5))
        cursor.execute(STATEMENT)
        expected = [
            [None if value is None else value.decode() for value in values]
            for values in cursor.fetchall()
        ]
        cursor.execute("show session status like 'Com_stmt_close'")
        assert cursor.fetchone()[1] == b"1"

    assert [len(batch[0]) for batch in batches] == [6_000, 6_000, 6_000, 2_000]
    found = [
        [str(number), text.decode(), None if part is None else part.decode(), str(moment)]
        for batch in batches
        for number, text, part, moment in zip(*(a.to_pylist() for a in batch), strict=True)
    ]
    assert found == expected


def test_a_statement_that_the_server_refuses_is_the_driver_s_error(mariadb: MariaDb) -> None:
    with mariadb.connect() as connection:
        with pytest.raises(pymysql.err.ProgrammingError):
            list(read_quickly(connection, "select * from no_existe", 10, 5))
        with connection.cursor() as cursor:
            assert cursor.execute("select 1") == 1

"""A server of TDS 7.4, the protocol of SQL Server, on loopback: real clients can log in and query.

Belongs here: the protocol (packets, login, tokens, the wire form of every type), a list of answers
by the text of a statement, and the ways a connection can break. Does not belong here: T-SQL, which
is not understood (an answer is found by a regular expression), or what a reader should ask for.

Sources: [MS-TDS], sections 2.2.1 to 2.2.7; numbers of types and tokens are those of the document.
"""

from __future__ import annotations

import datetime as dt
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Self

USER, PASSWORD, DATABASE = "lector", "clave-de-prueba", "prueba"

_SQL_BATCH, _RPC, _REPLY, _ATTENTION, _LOGIN7, _PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x10, 0x12
_LAST_PACKET = 0x01
_COLMETADATA, _ERROR, _LOGINACK, _ENVCHANGE = 0x81, 0xAA, 0xAD, 0xE3
_ROW, _NBCROW, _DONE = 0xD1, 0xD2, 0xFD
_DONE_FINAL, _DONE_ERROR, _DONE_COUNT, _DONE_ATTENTION = 0x00, 0x02, 0x10, 0x20
_ENCRYPT_NOT_SUPPORTED = 0x02
_TDS_74 = 0x74000004
_PACKET_BYTES = 4096
_PLP_UNKNOWN = 0xFFFFFFFFFFFFFFFE
# What a session has that does not say `set textsize`.
_TEXT_SIZE = 4096
# Longest chunk of a long value; small enough that a value of 1 MB has many.
_PLP_CHUNK = 60_000
_MODERN_SPANISH = 0x0C0A
_COLLATION_FLAGS_CI_AS = 0xD0
_COLLATION_FLAG_UTF8 = 0x400
_READ_ONLY_INTENT = 0x20
_TICKS_PER_DAY_PART = 300


# --- types ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WireType:
    """How a column is announced, and its values are sent; `encode` gets no nulls.

    `cut` shortens a value of a type without a limit to so many bytes.
    """

    info: bytes
    encode: Callable[[Any], bytes]
    cut: Callable[[Any, int], Any] = lambda value, size: value


def collation(lcid: int = _MODERN_SPANISH, *, utf8: bool = False) -> bytes:
    """The five bytes that name a collation: language, flags, and no sort order of its own."""
    bits = lcid | _COLLATION_FLAGS_CI_AS << 16 | (_COLLATION_FLAG_UTF8 << 16 if utf8 else 0)
    return struct.pack("<IB", bits, 0)


def _short(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A value behind one byte with its length."""

    def encode(value: Any) -> bytes:
        body = pack(value)
        return bytes([len(body)]) + body

    return encode


def _long(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A value behind two bytes with its length."""

    def encode(value: Any) -> bytes:
        body = pack(value)
        return struct.pack("<H", len(body)) + body

    return encode


def _as_utf16(value: str) -> bytes:
    # Half a surrogate pair is possible in nvarchar, and is sent as it is stored.
    return value.encode("utf-16-le", "surrogatepass")


def _integer(code: int, size: int) -> WireType:
    signed = size > 1
    return WireType(
        bytes([code, size]), _short(lambda v: int(v).to_bytes(size, "little", signed=signed))
    )


def _packed(code: int, form: str) -> WireType:
    return WireType(bytes([code, struct.calcsize(form)]), _short(lambda v: struct.pack(form, v)))


TINYINT, SMALLINT, INT, BIGINT = (_integer(0x26, size) for size in (1, 2, 4, 8))
BIT = _integer(0x68, 1)
REAL, FLOAT = _packed(0x6D, "<f"), _packed(0x6D, "<d")
MONEY = WireType(b"\x6e\x08", _short(lambda v: _high_low(_ten_thousandths(v))))
SMALLDATETIME = WireType(b"\x6f\x04", _short(lambda v: struct.pack("<HH", *_day_and_minute(v))))
DATETIME = WireType(b"\x6f\x08", _short(lambda v: struct.pack("<iI", *_day_and_tick(v))))
DATE = WireType(b"\x28", _short(lambda v: _days(v).to_bytes(3, "little")))


def numeric(precision: int, scale: int) -> WireType:
    """`decimal` and `numeric`; values are Decimals of at most that scale."""
    size = 4 * next(n for n, most in enumerate((9, 19, 28, 38), start=1) if precision <= most)

    def pack(value: Decimal) -> bytes:
        sign, digits, exponent = value.as_tuple()
        number: int = int("".join(map(str, digits))) * 10 ** (scale + int(exponent))
        return bytes([not sign]) + number.to_bytes(size, "little")

    return WireType(bytes([0x6C, size + 1, precision, scale]), _short(pack))


def datetime2(scale: int = 7) -> WireType:
    """Values are (date, hundreds of nanoseconds since midnight)."""

    def pack(value: tuple[dt.date, int]) -> bytes:
        return _clock(value[1], scale) + _days(value[0]).to_bytes(3, "little")

    return WireType(bytes([0x2A, scale]), _short(pack))


def datetimeoffset(scale: int = 7) -> WireType:
    """Values are (date, hundreds of nanoseconds since midnight, minutes from UTC), by UTC."""

    def pack(value: tuple[dt.date, int, int]) -> bytes:
        day, clock, offset = value
        return _clock(clock, scale) + _days(day).to_bytes(3, "little") + struct.pack("<h", offset)

    return WireType(bytes([0x2B, scale]), _short(pack))


def nvarchar(characters: int | Literal["max"] = 4000) -> WireType:
    if characters == "max":
        return _plp(struct.pack("<BH", 0xE7, 0xFFFF) + collation(), _as_utf16)
    head = struct.pack("<BH", 0xE7, characters * 2) + collation()
    return WireType(head, _long(_as_utf16))


def varchar(
    size: int | Literal["max"] = 8000, *, encoding: str = "cp1252", lcid: int = _MODERN_SPANISH
) -> WireType:
    """Values are bytes, or text for the encoding, which should be the one of the collation."""
    tail = collation(lcid, utf8=encoding == "utf-8")

    def pack(value: str | bytes) -> bytes:
        return value if isinstance(value, bytes) else value.encode(encoding)

    if size == "max":
        return _plp(struct.pack("<BH", 0xA7, 0xFFFF) + tail, pack)
    return WireType(struct.pack("<BH", 0xA7, size) + tail, _long(pack))


def varbinary(size: int | Literal["max"] = 8000) -> WireType:
    if size == "max":
        return _plp(struct.pack("<BH", 0xA5, 0xFFFF), bytes)
    return WireType(struct.pack("<BH", 0xA5, size), _long(bytes))


def binary(size: int) -> WireType:
    return WireType(struct.pack("<BH", 0xAD, size), _long(bytes))


def _plp(info: bytes, pack: Callable[[Any], bytes], *, known_length: bool = True) -> WireType:
    """A long value, sent in chunks."""

    def encode(value: Any) -> bytes:
        body = pack(value)
        pieces = [struct.pack("<Q", len(body) if known_length else _PLP_UNKNOWN)]
        for start in range(0, len(body), _PLP_CHUNK):
            chunk = body[start : start + _PLP_CHUNK]
            pieces.append(struct.pack("<I", len(chunk)) + chunk)
        return b"".join((*pieces, bytes(4)))

    def cut(value: Any, size: int) -> Any:
        return value[: size if isinstance(value, bytes) else size // 2]

    return WireType(info, encode, cut)


XML = _plp(b"\xf1\x00", lambda v: b"\xff\xfe" + _as_utf16(v), known_length=False)


def _ten_thousandths(value: Decimal) -> int:
    scaled = value.scaleb(4)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{value} has more than four places")
    return int(scaled)


def _high_low(value: int) -> bytes:
    return struct.pack("<iI", value >> 32, value & 0xFFFFFFFF)


def _days(day: dt.date) -> int:
    return day.toordinal() - 1


def _since_1900(moment: dt.datetime) -> int:
    return moment.toordinal() - dt.date(1900, 1, 1).toordinal()


def _day_and_minute(moment: dt.datetime) -> tuple[int, int]:
    return _since_1900(moment), moment.hour * 60 + moment.minute


def _day_and_tick(moment: dt.datetime) -> tuple[int, int]:
    """`datetime` counts three-hundredths of a second: it is given as .000, .003 or .007."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    ticks = round(moment.microsecond * _TICKS_PER_DAY_PART / 1_000_000)
    return _since_1900(moment), seconds * _TICKS_PER_DAY_PART + ticks


def _clock(hundreds_of_ns: int, scale: int) -> bytes:
    size = 3 if scale <= 2 else 4 if scale <= 4 else 5
    ticks: int = hundreds_of_ns // 10 ** (7 - scale)
    return ticks.to_bytes(size, "little")


# --- answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error of the server: its number decides what it means."""

    number: int
    message: str
    severity: int = 16


@dataclass(slots=True)
class Result:
    """Rows, and what happens on the way.

    `break_after`: rows after which the connection ends, in the way of `breaking`: "reset" (RST),
    "close" (FIN), "silence" (nothing more is sent). `row_delay_s`: a pause before each row.
    `error` comes after the rows.
    """

    columns: Sequence[tuple[str, WireType]] = ()
    rows: Iterable[Sequence[Any]] = ()
    break_after: int | None = None
    breaking: Literal["reset", "close", "silence"] = "reset"
    row_delay_s: float = 0.0
    error: ServerError | None = None

    def metadata(self) -> bytes:
        pieces = [struct.pack("<BH", _COLMETADATA, len(self.columns))]
        for name, kind in self.columns:
            # No user type; the column may hold nulls.
            pieces += [struct.pack("<IH", 0, 0x0001), kind.info, _b_varchar(name)]
        return b"".join(pieces)

    def encoded_rows(self, text_size: int) -> Iterator[bytes]:
        """Rows, values without a limit of their own cut off at so many bytes."""
        kinds = [kind for _, kind in self.columns]
        for row in self.rows:
            cut = [v if v is None else k.cut(v, text_size) for k, v in zip(kinds, row, strict=True)]
            yield encode_row(kinds, cut)


Answer = Result | ServerError | Literal["silence", "reset", "close"]
# A statement's answer may depend on its text.
Answers = Answer | Callable[[str], Answer]


def encode_row(kinds: Sequence[WireType], row: Sequence[Any]) -> bytes:
    """A row; one that has nulls as SQL Server compresses it, with a bitmap of them."""
    nulls = [value is None for value in row]
    if not any(nulls):
        values = (kind.encode(value) for kind, value in zip(kinds, row, strict=True))
        return bytes([_ROW]) + b"".join(values)
    bitmap = bytearray((len(row) + 7) // 8)
    for index, null in enumerate(nulls):
        bitmap[index // 8] |= null << index % 8
    values = (k.encode(v) for k, v in zip(kinds, row, strict=True) if v is not None)
    return bytes([_NBCROW]) + bytes(bitmap) + b"".join(values)


@dataclass(frozen=True, slots=True)
class Login:
    """What a client said when it came."""

    user: str
    password: str
    database: str
    application: str
    read_only_intent: bool


# --- the server -----------------------------------------------------------------------------------


@dataclass
class TdsServer:
    """A context manager. `statements` and `logins` keep what clients sent, in order.

    Errors of the server's own thread end the connection and stand in `failures`. A statement
    without an answer that begins with `set`, `use` or a word of transactions succeeds;
    any other is error 102, so that a test cannot pass over something it did not expect.
    """

    user: str = USER
    password: str = PASSWORD
    database: str = DATABASE
    statements: list[str] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    _answers: list[tuple[re.Pattern[str], Answers]] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, pattern: str, answer: Answers) -> None:
        """Answer statements in which the pattern is found; of several, the last one told wins.

        Patterns see a statement with every run of white space as one blank.
        """
        self._answers.append((re.compile(pattern, re.IGNORECASE | re.DOTALL), answer))

    @property
    def url(self) -> str:
        return f"mssql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    @property
    def open_connections(self) -> int:
        """Clients that are connected now; the listener is none of them."""
        return sum(thread.is_alive() for thread in self._threads[1:])

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        self._spawn(self._accept, listener)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        for open_socket in self._sockets:
            # Wakes the thread that waits in it.
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _spawn(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        # A client that goes away in the middle is what many tests are about.
        with suppress(OSError, EOFError):
            try:
                _Session(self, client, self._closing).run()
            except (OSError, EOFError):
                raise
            except Exception as error:
                self.failures.append(error)
        with suppress(OSError):
            client.close()

    def _answer_for(self, statement: str) -> Answer:
        statement = " ".join(statement.split())
        for pattern, answer in reversed(self._answers):
            if pattern.search(statement):
                return answer(statement) if callable(answer) else answer
        if re.match(r"\s*(set|use|begin|commit|rollback|if @@trancount)\b", statement, re.I):
            return Result()
        return ServerError(102, f"Incorrect syntax near '{statement[:80]}'.", 15)


class _Session:
    """One client's connection."""

    def __init__(self, server: TdsServer, client: socket.socket, closing: threading.Event) -> None:
        self._server, self._client, self._closing = server, client, closing
        self._buffer = bytearray()
        self._packet = 0
        self._text_size = _TEXT_SIZE

    def run(self) -> None:
        while True:
            kind, message = self._receive()
            if kind == _PRELOGIN:
                self._write(_prelogin_reply())
                self._flush()
            elif kind == _LOGIN7:
                if not self._log_in(_parse_login(message)):
                    return
            elif kind in (_SQL_BATCH, _RPC):
                if not self._batch(message, is_rpc=kind == _RPC):
                    return
            elif kind == _ATTENTION:
                self._done(_DONE_ATTENTION)

    def _log_in(self, login: Login) -> bool:
        server = self._server
        server.logins.append(login)
        refused = None
        if (login.user, login.password) != (server.user, server.password):
            refused = ServerError(18456, f"Login failed for user '{login.user}'.", 14)
        elif login.database.lower() not in ("", server.database.lower()):
            refused = ServerError(
                4060, f'Cannot open database "{login.database}" requested by the login.', 11
            )
        if refused:
            self._write(_error(refused))
            self._done(_DONE_ERROR)
            return False
        self._write(_env_change(1, _b_varchar(server.database) + _b_varchar("master")))
        self._write(_env_change(7, bytes([5]) + collation() + b"\x00"))
        size = str(_PACKET_BYTES)
        self._write(_env_change(4, _b_varchar(size) + _b_varchar(size)))
        self._write(_login_ack())
        self._done(_DONE_FINAL)
        return True

    def _batch(self, message: bytes, *, is_rpc: bool) -> bool:
        """Answer one statement; False when the connection has ended."""
        headers = struct.unpack_from("<I", message)[0]
        statement = message[headers:].decode("utf-16-le", "replace")
        self._server.statements.append(f"(rpc) {statement}" if is_rpc else statement)
        if found := re.search(r"\bset textsize (\d+)", statement, re.IGNORECASE):
            self._text_size = int(found[1])
        answer = self._server._answer_for(statement)
        if isinstance(answer, str):
            return self._break(answer)
        if isinstance(answer, ServerError):
            answer = Result(error=answer)
        return self._send_result(answer)

    def _send_result(self, result: Result) -> bool:
        sent = 0
        if result.columns:
            self._write(result.metadata())
        for row in result.encoded_rows(self._text_size):
            if sent == result.break_after:
                self._flush(last=False)
                return self._break(result.breaking)
            if result.row_delay_s:
                self._flush(last=False)
                if self._wait(result.row_delay_s):
                    return True
            if not self._write(row):
                return True
            sent += 1
        if result.break_after is not None and sent == result.break_after:
            self._flush(last=False)
            return self._break(result.breaking)
        if result.error:
            self._write(_error(result.error))
            self._done(_DONE_ERROR)
        else:
            self._done(_DONE_COUNT, sent if result.columns else 0)
        return True

    def _wait(self, seconds: float) -> bool:
        """Pause; True when the client gave up meanwhile, which is then acknowledged."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._closing.is_set():
            if self._cancelled(min(left, 0.05)):
                return True
        return False

    def _break(self, how: str) -> bool:
        if how == "silence":
            # Not even a request to stop is answered.
            self._closing.wait()
        elif how == "reset":
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()
        return False

    # --- packets ----------------------------------------------------------------------------------

    def _receive(self) -> tuple[int, bytes]:
        """The next message, of however many packets."""
        body = bytearray()
        while True:
            kind, status, length = struct.unpack(">BBH", self._exactly(8)[:4])
            body += self._exactly(length - 8)
            if status & _LAST_PACKET:
                return kind, bytes(body)

    def _exactly(self, size: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            piece = self._client.recv(size - len(pieces))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)

    def _write(self, data: bytes) -> bool:
        """Add to the reply, sending what fills packets; False when the client asked to stop."""
        self._buffer += data
        room = _PACKET_BYTES - 8
        # One packet stays behind: the last must say that it is.
        while len(self._buffer) > room:
            self._packet += 1
            self._send_packet(bytes(self._buffer[:room]), last=False)
            del self._buffer[:room]
            if self._cancelled(0):
                return False
        return True

    def _flush(self, *, last: bool = True) -> None:
        if self._buffer or last:
            self._send_packet(bytes(self._buffer), last=last)
            self._buffer.clear()

    def _send_packet(self, body: bytes, *, last: bool) -> None:
        head = struct.pack(">BBHHBB", _REPLY, last, len(body) + 8, 51, self._packet % 256, 0)
        self._client.sendall(head + body)

    def _cancelled(self, timeout: float) -> bool:
        """Whether a request to stop has come; it is acknowledged."""
        readable, _, _ = select.select([self._client], [], [], timeout)
        if not readable:
            return False
        kind, _ = self._receive()
        if kind != _ATTENTION:
            raise EOFError
        self._buffer.clear()
        self._done(_DONE_ATTENTION)
        return True

    def _done(self, status: int, rows: int = 0) -> None:
        self._buffer += struct.pack("<BHHQ", _DONE, status, 0xC1, rows)
        self._flush()


# --- tokens ---------------------------------------------------------------------------------------


def _b_varchar(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _us_varchar(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def _prelogin_reply() -> bytes:
    options = [(0, b"\x0f\x00\x07\xd0\x00\x00"), (1, bytes([_ENCRYPT_NOT_SUPPORTED])),
               (2, b"\x00"), (3, b""), (4, b"\x00")]  # fmt: skip
    at = 5 * len(options) + 1
    heads, bodies = b"", b""
    for code, body in options:
        heads += struct.pack(">BHH", code, at + len(bodies), len(body))
        bodies += body
    return heads + b"\xff" + bodies


def _parse_login(message: bytes) -> Login:
    def text(at: int, *, hidden: bool = False) -> str:
        offset, characters = struct.unpack_from("<HH", message, at)
        raw = message[offset : offset + 2 * characters]
        if hidden:
            raw = bytes((b ^ 0xA5) >> 4 | ((b ^ 0xA5) & 0x0F) << 4 for b in raw)
        return raw.decode("utf-16-le")

    return Login(
        user=text(40),
        password=text(44, hidden=True),
        application=text(48),
        database=text(68),
        read_only_intent=bool(message[26] & _READ_ONLY_INTENT),
    )


def _login_ack() -> bytes:
    body = struct.pack(">BI", 1, _TDS_74) + _b_varchar("Microsoft SQL Server") + b"\x0f\x00\x07\xd0"
    return struct.pack("<BH", _LOGINACK, len(body)) + body


def _env_change(kind: int, values: bytes) -> bytes:
    return struct.pack("<BHB", _ENVCHANGE, len(values) + 1, kind) + values


def _error(error: ServerError) -> bytes:
    body = (
        struct.pack("<IBB", error.number, 1, error.severity)
        + _us_varchar(error.message)
        + _b_varchar("prueba")
        + _b_varchar("")
        + struct.pack("<I", 1)
    )
    return struct.pack("<BH", _ERROR, len(body)) + body

"""The fast way to read MySQL: the server's binary rows decoded by connectorx, many a second.

Belongs here: having connectorx read one statement in the reader's own session, a few batches
ahead, in bounded memory; and what its errors mean. Does not belong here: which types it reads
exactly (`mysql.py`), and how the session is lent to it (`mysql_relay.py`).
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from sources.readers.engines import mysql_relay
from sources.readers.engines.base import NotDecoded

# Bytes of the server's that may lie between it and us, besides the batch that is being filled.
_AHEAD_BYTES = 8 << 20
# What connectorx takes from the wire before it gives a batch, besides its rows and a packet for
# each column: it reads 32 rows at a time, the last of a batch with the first of the next.
_PACKETS_BESIDES = 2 * 32 + 8
_END_SECONDS = 5.0
_SERVER_ERROR = re.compile(r"ERROR (\d{4}) ?(?:\([0-9A-Z]{5}\))?:? ?(.*)", re.DOTALL)
_LOST_CONNECTION = 2013


def can_lend(connection: Any) -> bool:
    """Whether a session can be lent: its socket must carry plain bytes."""
    return not isinstance(connection._sock, ssl.SSLSocket)


def read_quickly(
    connection: Any, text: str, batch_rows: int, columns: int, silence_s: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a statement of so many columns, in the connection's own session and snapshot.

    The server may be silent for `silence_s`. The connection is busy until the end; when that is
    not reached, it can only be closed. Raises the driver's OperationalError for what the server
    says, NotDecoded for what connectorx cannot take.
    """
    needed = batch_rows + columns + _PACKETS_BESIDES
    loan = _Loan(connection, [needed, _AHEAD_BYTES, silence_s])
    try:
        yield from loan.batches(text, batch_rows)
    finally:
        loan.end()


class _Loan:
    """A session lent to connectorx through the relay."""

    def __init__(self, connection: Any, limits: Sequence[int]) -> None:
        self._lost = False
        self._token = secrets.token_hex(mysql_relay.TOKEN_CHARACTERS // 2)
        with ExitStack() as closing:
            listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
            self._port = int(listener.getsockname()[1])
            self._control, theirs = socket.socketpair()
            closing.enter_context(theirs)
            descriptors = [connection._sock.fileno(), listener.fileno(), theirs.fileno()]
            self._relay = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(mysql_relay.__file__)),
                 *map(str, [*descriptors, *limits])],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                # Ctrl+C is the reader's to answer.
                start_new_session=True,
            )  # fmt: skip
        self._control.sendall(self._token.encode())

    def batches(self, text: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        connectorx = _connectorx()
        # Over TCP only: the library would otherwise change to the server's own socket.
        url = f"mysql://lector:{self._token}@127.0.0.1:{self._port}/origen?prefer_socket=false"
        try:
            stream = connectorx.read_sql(
                url, text, return_type="arrow_stream", batch_size=batch_rows
            )
            taken = 0
            while True:
                self._wait_for_rows(taken)
                batch = stream.read_next_batch()
                self._say(mysql_relay.HAVE_ROWS)
                taken = batch.num_rows
                if batch.num_rows:
                    yield batch
        except StopIteration:
            return
        except BaseException as error:
            # What goes wrong in the midst of a stream comes as a panic of Rust, outside Exception.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise self._explained(error) from None
            raise

    def end(self) -> None:
        """Take the session back; safe to call twice."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._relay.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._relay.kill()
            self._relay.wait()
        self._control.close()

    def _wait_for_rows(self, taken: int) -> None:
        """Wait until rows are near, without holding up the rest of Python as connectorx does."""
        self._say(taken)
        with suppress(OSError):
            # Nothing comes where the relay has ended: connectorx has all, or an error.
            if self._control.recv(1) == mysql_relay.LOST:
                self._lost = True

    def _say(self, number: int) -> None:
        # The relay leaves with the client's last word, before the reader knows.
        with suppress(OSError):
            self._control.sendall(mysql_relay.NUMBER.pack(number))

    def _explained(self, error: BaseException) -> Exception:
        """An error of connectorx without its text where that may repeat the address."""
        import pymysql

        if found := _SERVER_ERROR.search(str(error)):
            return pymysql.err.OperationalError(int(found[1]), found[2].strip(" }`\n"))
        if self._lost or self._heard_of_loss():
            return pymysql.err.OperationalError(_LOST_CONNECTION, "Lost connection during query")
        return NotDecoded(type(error).__name__)

    def _heard_of_loss(self) -> bool:
        """Whether the relay's last words were of a loss; they may still wait to be heard."""
        with suppress(OSError):
            self._control.settimeout(_END_SECONDS)
            while word := self._control.recv(1):
                if word == mysql_relay.LOST:
                    return True
        return False


def _connectorx() -> Any:
    # Its pool complains on standard error of every connection that we end.
    os.environ.setdefault("RUST_LOG", "off")
    import connectorx

    return connectorx

"""A TCP proxy that breaks connections on purpose: cut, stalled, slow or refused.

Belongs here: bytes between two sockets. Does not belong here: any protocol spoken over them.

It runs in a process of its own: a client library may hold Python's lock while it waits for an
answer, and a proxy in the same process could then never bring it.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.support.forks import CONTEXT

Direction = Literal["to_client", "to_server"]
Action = Literal["reset", "close", "stall"]
_CHUNK_BYTES = 16 << 10
# Small buffers keep the two ends from running far ahead of what the proxy lets through.
_BUFFER_BYTES = 64 << 10


@dataclass(slots=True)
class _Fault:
    action: Action
    direction: Direction
    bytes_left: int
    once: bool


class Proxy:
    """Forwards everything to `host:port` until told otherwise; `port` is where it listens.

    A fault strikes once; after a cut, new connections are refused until `restore`, unless the
    fault says `once`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._channel, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(host, port, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.port = int(self._channel.recv())

    def fail_after(
        self,
        bytes_: int,
        action: Action,
        direction: Direction = "to_client",
        *,
        once: bool = False,
    ) -> None:
        """Strike once this many more bytes have passed in one direction, mid-message if so."""
        self._ask("fail_after", bytes_, action, direction, once)

    def slow_down(self, bytes_per_second: float) -> None:
        """Let the bytes pass at this pace, in each direction of each connection."""
        self._ask("slow_down", bytes_per_second)

    def refuse(self) -> None:
        """Reset every new connection, as a server does that is down."""
        self._ask("refuse")

    def restore(self) -> None:
        """Forward everything again; what was stalled flows on."""
        self._ask("restore")

    @property
    def struck(self) -> bool:
        """Whether the last fault asked for has happened."""
        return bool(self._ask("has_struck"))

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        return int(self._ask("accepted"))

    def forwarded(self, direction: Direction) -> int:
        """Bytes that have passed so far, over all connections."""
        return int(self._ask("count", direction))

    def close(self) -> None:
        self._channel.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()

    def _ask(self, name: str, *arguments: object) -> Any:
        self._channel.send((name, arguments))
        return self._channel.recv()


def _serve(host: str, port: int, channel: Connection) -> None:
    forwarder = _Forwarder(host, port)
    channel.send(forwarder.port)
    with suppress(EOFError):
        while True:
            name, arguments = channel.recv()
            channel.send(getattr(forwarder, name)(*arguments))


class _Forwarder:
    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._forwarded: dict[Direction, int] = {"to_client": 0, "to_server": 0}
        self._struck = False
        self._accepted = 0
        self._fault: _Fault | None = None
        self._refusing = False
        self._seconds_per_byte = 0.0
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[socket.socket] = set()
        self._start(self._accept)

    def fail_after(self, bytes_: int, action: Action, direction: Direction, once: bool) -> None:
        with self._lock:
            self._struck = False
            self._fault = _Fault(action, direction, bytes_, once)

    def slow_down(self, bytes_per_second: float) -> None:
        self._seconds_per_byte = 1 / bytes_per_second

    def refuse(self) -> None:
        self._refusing = True

    def restore(self) -> None:
        with self._lock:
            self._fault = None
        self._refusing = False
        self._seconds_per_byte = 0.0
        self._flowing.set()

    def accepted(self) -> int:
        return self._accepted

    def has_struck(self) -> bool:
        return self._struck

    def count(self, direction: Direction) -> int:
        return self._forwarded[direction]

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._refusing:
                _let_go(client, "reset")
                continue
            self._accepted += 1
            server = socket.create_connection(self._target)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            with self._lock:
                self._open |= {client, server}
            self._start(self._pump, client, server, "to_server")
            self._start(self._pump, server, client, "to_client")

    def _pump(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                allowed, fault = self._allowed(direction, len(data))
                target.sendall(data[:allowed])
                self._forwarded[direction] += allowed
                if self._seconds_per_byte:
                    time.sleep(len(data) * self._seconds_per_byte)
                if fault is not None:
                    self._struck = True
                    if fault.action != "stall":
                        self._refusing = not fault.once
                        self._drop_all(fault.action)
                        return
                    self._flowing.clear()
                self._flowing.wait()
                target.sendall(data[allowed:])
        # Whoever took the sockets off the list first decides how they end.
        with self._lock:
            ours = {source, target} & self._open
            self._open -= ours
        for one in ours:
            _let_go(one, "close")

    def _allowed(self, direction: Direction, size: int) -> tuple[int, _Fault | None]:
        """Bytes that may pass now, and the fault that strikes after them."""
        with self._lock:
            fault = self._fault
            if fault is None or fault.direction != direction:
                return size, None
            if size < fault.bytes_left:
                fault.bytes_left -= size
                return size, None
            self._fault = None
            return fault.bytes_left, fault

    def _drop_all(self, action: Action) -> None:
        with self._lock:
            victims, self._open = self._open, set()
        for one in victims:
            _let_go(one, action)


def _let_go(connection: socket.socket, action: Action) -> None:
    with suppress(OSError):
        if action == "reset":
            # Lingering for no time makes the kernel send RST instead of FIN, once the thread that
            # waits for bytes has been woken.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)
        else:
            connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """A proxy in front of a server, closed on leaving."""
    proxy = Proxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def in_front_of(url: str) -> Iterator[Proxy]:
    """A proxy to the server of an address."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    with proxy_to(parts.hostname, parts.port) as proxy:
        yield proxy


def through(url: str, proxy: Proxy) -> str:
    """The same address by way of the proxy."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()

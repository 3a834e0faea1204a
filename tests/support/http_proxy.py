"""An HTTP proxy before a server, that answers badly on purpose.

Belongs here: passing requests on, and faults a test asks for. Does not belong here: what the server
behind is. Cuts in the middle of a TCP stream, whatever is spoken: `proxy.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import requests

Kind = Literal[
    "status",  # answered by the proxy, never passed on
    "hang",  # passed on; the answer comes too late
    "lose_request",  # connection closed, never passed on
    "lose_answer",  # passed on, then the connection is closed
    "cut_answer",  # passed on; half of the answer comes
    "slow",  # passed on; the answer drips
    "twice",  # passed on twice; the second answer comes
    "stale",  # answered as the last time the same was asked
    "spoil",  # passed on; the answer's last bytes are others
    "killed_before",  # never passed on, and the client killed while it waits (`strike`)
    "killed_after",  # passed on, then the client killed while it waits for the answer (`strike`)
]

# How the names of CKAN's actions end that change nothing, though they too are asked by POST.
_ONLY_ASK = ("_show", "_search", "_list")


@dataclass
class Fault:
    """Strikes the next `times` requests whose path holds `where` and whose body holds `body`."""

    kind: Kind
    where: str = ""
    times: int = 1
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: str = ""
    outside: bool = False  # only requests without a credential
    after: Fault | None = None  # only once that one has struck
    strike: Callable[[], None] | None = None
    struck: int = 0


class HttpProxy:
    """Listens on `url`; `calls` are the paths passed on or answered, in order.

    `changed` is set whenever a request that may change something was passed on and answered.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.calls: list[str] = []
        self.faults: list[Fault] = []
        self.url = ""
        self.changed = threading.Event()
        self._memory: dict[tuple[str, str, bytes], requests.Response] = {}
        self._lock = threading.Lock()

    def inject(self, *faults: Fault) -> None:
        self.faults = list(faults)

    def clear(self) -> None:
        self.faults = []

    def fault_for(self, path: str, body: bytes, *, outside: bool) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.where not in path or fault.body.encode() not in body:
                    continue
                if fault.outside and not outside:
                    continue
                if fault.after and not fault.after.struck:
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.struck < fault.times:
                    fault.struck += 1
                    return fault
        return None

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        answer = requests.request(
            method, self.target + path, headers=headers, data=body, allow_redirects=False,
            timeout=120,
        )  # fmt: skip
        self._memory[(method, path, body)] = answer
        if method == "POST" and not path.partition("?")[0].endswith(_ONLY_ASK):
            self.changed.set()
        return answer

    def remembered(self, method: str, path: str, body: bytes) -> Any:
        """The last answer to the same question; asked now when there is none."""
        return self._memory.get((method, path, body))


@contextmanager
def http_proxy(target: str) -> Iterator[HttpProxy]:
    """A proxy before `target`, stopped on leaving."""
    proxy = HttpProxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.calls.append(self.path)
            fault = proxy.fault_for(self.path, body, outside="Authorization" not in self.headers)
            headers = {
                name: value for name, value in self.headers.items()
                if name.lower() not in ("host", "connection", "accept-encoding")
            }  # fmt: skip
            if fault is None:
                answer = proxy.forward(self.command, self.path, headers, body)
                self._send(answer.status_code, answer.headers, answer.content)
                return
            self.remembered = proxy.remembered(self.command, self.path, body)
            getattr(self, f"_{fault.kind}")(
                fault, lambda: proxy.forward(self.command, self.path, headers, body)
            )

        do_GET = do_POST = do_HEAD = _handle  # noqa: N815 - the names http.server looks for

        def _status(self, fault: Fault, _: Callable[[], Any]) -> None:
            self._send(fault.status, fault.headers, b"<html>no</html>")

        def _hang(self, fault: Fault, forward: Callable[[], Any]) -> None:
            answer = forward()
            time.sleep(fault.seconds)
            self._send(answer.status_code, answer.headers, answer.content)

        def _lose_request(self, *_: Any) -> None:
            self.close_connection = True

        def _lose_answer(self, _: Fault, forward: Callable[[], Any]) -> None:
            forward()
            self.close_connection = True

        def _cut_answer(self, _: Fault, forward: Callable[[], Any]) -> None:
            answer = forward()
            self._send(
                answer.status_code, answer.headers, answer.content[: len(answer.content) // 2],
                announced=len(answer.content),
            )  # fmt: skip
            self.close_connection = True

        def _slow(self, fault: Fault, forward: Callable[[], Any]) -> None:
            answer = forward()
            self._head(answer.status_code, answer.headers, len(answer.content))
            size = max(1, len(answer.content) // 8)
            for start in range(0, len(answer.content), size):
                self.wfile.write(answer.content[start : start + size])
                self.wfile.flush()
                time.sleep(fault.seconds / 8)

        def _twice(self, _: Fault, forward: Callable[[], Any]) -> None:
            forward()
            answer = forward()
            self._send(answer.status_code, answer.headers, answer.content)

        def _stale(self, _: Fault, forward: Callable[[], Any]) -> None:
            answer = self.remembered or forward()
            self._send(answer.status_code, answer.headers, answer.content)

        def _spoil(self, _: Fault, forward: Callable[[], Any]) -> None:
            answer = forward()
            self._send(answer.status_code, answer.headers, answer.content[:-3] + b"???")

        def _killed_before(self, fault: Fault, _: Callable[[], Any]) -> None:
            assert fault.strike
            fault.strike()
            self.close_connection = True

        def _killed_after(self, fault: Fault, forward: Callable[[], Any]) -> None:
            forward()
            self._killed_before(fault, forward)

        def _send(
            self, status: int, headers: Any, content: bytes, announced: int | None = None
        ) -> None:
            self._head(status, headers, len(content) if announced is None else announced)
            if self.command != "HEAD":
                self.wfile.write(content)

        def _head(self, status: int, headers: Any, length: int) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length", "transfer-encoding", "connection", "content-encoding",
                    "server", "date",
                ):  # fmt: skip
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True  # the client gave up, as some tests want it to

        def log_message(self, *_: object) -> None:
            """Silent: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()

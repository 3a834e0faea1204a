"""A real HTTP server on loopback that answers as a test says.

Belongs here: serving, over plain HTTP or TLS, and remembering what was asked. Does not belong
here: what a particular API answers (the tests).
"""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Reply:
    """What to answer. `announced` is the length told; `hang_up` closes without any answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None
    hang_up: bool = False
    before_body: Callable[[], object] = lambda: None


@dataclass
class HttpServer:
    """A running server. `answer` hears the number of each request, from 1 on."""

    answer: Callable[[int, Request], Reply]
    url: str = ""
    requests: list[Request] = field(default_factory=list)


@contextmanager
def http_server(
    answer: Callable[[int, Request], Reply], tls: ssl.SSLContext | None = None
) -> Iterator[HttpServer]:
    """Serve until the block ends."""
    state = HttpServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            request = Request(
                self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers),
                self.rfile.read(length).decode(),
            )  # fmt: skip
            state.requests.append(request)
            self._reply(state.answer(len(state.requests), request))

        do_POST = do_GET  # noqa: N815

        def _reply(self, reply: Reply) -> None:
            self.close_connection = True
            if reply.hang_up:
                return
            announced = len(reply.body) if reply.announced is None else reply.announced
            headers = {"Content-Type": "application/json", "Content-Length": str(announced)}
            self.send_response(reply.status)
            for name, value in (headers | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.flush()
            reply.before_body()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Quiet: the test tells what went wrong."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up, or refuses the certificate, is part of many tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    state.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, *, name: str = "127.0.0.1", expired: bool = False) -> Path:
    """A certificate signed by itself, with its key, in one PEM file."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=-1 if expired else 1)
    host: x509.GeneralName = x509.DNSName(name)
    if name[0].isdigit():
        host = x509.IPAddress(ipaddress.ip_address(name))
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificado.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path

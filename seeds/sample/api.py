"""A small HTTP server that plays the Mi Luján API: pages, change date, bearer token.

Only what the real API would answer belongs here; the rows come from the sample's folder.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ENDPOINT = "/api/v1/tramites"
DATA_FILE = Path("milujan") / "tramites_digitales.json"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 500, 1000


class BadParameterError(ValueError):
    """A parameter that the API cannot honour; the text goes to the caller."""


class ApiServer:
    """The running server; ``url`` is its base address. Use it as a context manager."""

    def __init__(self, rows: list[dict[str, Any]], token: str, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(rows, token))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="sample-api", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Base address, without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> ApiServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def serve_api(directory: Path, *, token: str, port: int = 0) -> ApiServer:
    """Serve the sample in ``directory`` on 127.0.0.1 (``port`` 0: any free one)."""
    if not token:
        raise ValueError("the sample API needs a token")
    rows = json.loads((directory / DATA_FILE).read_text(encoding="utf-8"))
    return ApiServer(rows, token, port)


def page_of(rows: list[dict[str, Any]], query: str) -> dict[str, Any]:
    """The answer to a query string: rows changed since ``desde``, one page of them."""
    parameters = {name: values[-1] for name, values in parse_qs(query).items()}
    since = parameters.get("desde")
    if since is not None:
        limit = _moment(since)
        rows = [row for row in rows if dt.datetime.fromisoformat(row["actualizado_en"]) >= limit]
    size = _number(parameters, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    page = _number(parameters, "page", 1, None)
    start = (page - 1) * size
    return {
        "data": rows[start : start + size],
        "page": page,
        "total_pages": max(1, -(-len(rows) // size)),
        "total": len(rows),
    }


def _number(parameters: dict[str, str], name: str, default: int, top: int | None) -> int:
    text = parameters.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise BadParameterError(f"{name}: se espera un entero mayor que cero")
    return int(text) if top is None else min(int(text), top)


def _moment(text: str) -> dt.datetime:
    # An unescaped '+' of an offset arrives as a blank.
    try:
        moment = dt.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadParameterError("desde: se espera una fecha ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3)))


def _handler(rows: list[dict[str, Any]], token: str) -> type[BaseHTTPRequestHandler]:
    expected = f"Bearer {token}".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            given = self.headers.get("Authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(given, expected):
                self._answer(HTTPStatus.UNAUTHORIZED, {"error": "token ausente o inválido"})
            elif address.path != ENDPOINT:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "no existe"})
            else:
                try:
                    self._answer(HTTPStatus.OK, page_of(rows, address.query))
                except BadParameterError as error:
                    self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})

        def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
            content = json.dumps(body, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the terminal quiet: the caller reports what it reads."""

    return Handler

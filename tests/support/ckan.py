"""A real CKAN portal of the tests' own: PostgreSQL, Redis, a stand-in for Solr, and CKAN itself.

Belongs here: starting and stopping. Does not belong here: datasets. CKAN's pins clash with ours,
so it lives in a virtual environment of its own, made once (Debian: libpq-dev, gcc, redis-server):

    python3.11 -m venv .venv-ckan
    .venv-ckan/bin/pip install 'ckan[requirements]==2.12.0'

`LUJAN_CKAN_VENV` names another place. Where CKAN or Redis is missing the tests are skipped with
the reason; with `CI=true` that is a failure, unless `LUJAN_SKIP_CKAN` says why it is accepted.

Solr is not needed for what the publisher does: CKAN reads datasets from its database when the
index has none. The stand-in therefore accepts every document and finds nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
_START_SECONDS = 120.0
_USER = "publicador"


@dataclass(frozen=True, slots=True)
class CkanPortal:
    """A running portal, the token of a system administrator, and its database."""

    url: str
    token: str
    log: Path


def require_ckan() -> Path:
    """Folder of CKAN's programs; skips, or in CI fails, where something is missing."""
    venv = Path(os.environ.get("LUJAN_CKAN_VENV", ROOT / ".venv-ckan"))
    missing = []
    if not (venv / "bin" / "ckan").is_file():
        missing.append(f"CKAN in {venv}")
    if shutil.which("redis-server") is None:
        missing.append("redis-server")
    if not missing:
        return venv / "bin"
    reason = f"not installed here: {', '.join(missing)} (see tests/support/ckan.py)"
    if os.environ.get("CI") == "true" and not os.environ.get("LUJAN_SKIP_CKAN"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def ckan_portal(folder: Path, database_url: str) -> Iterator[CkanPortal]:
    """Start a portal on an empty database; all of it is stopped on leaving, whatever happens.

    Raises RuntimeError with the log when it does not come up.
    """
    programs = require_ckan()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        solr_port = stack.enter_context(_solr())
        redis_port = stack.enter_context(_redis(folder))
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        config = folder / "ckan.ini"
        _run(programs, folder, "generate", "config", str(config))
        _configure(
            config,
            {
                "sqlalchemy.url": database_url.replace("%", "%%"),
                "ckan.site_url": url,
                "ckan.redis.url": f"redis://127.0.0.1:{redis_port}/0",
                "solr_url": f"http://127.0.0.1:{solr_port}/solr/ckan",
                "ckan.storage_path": str(folder / "storage"),
                "ckan.plugins": "",
                "ckan.max_resource_size": "100",
            },
        )
        (folder / "storage").mkdir()
        _run(programs, folder, "-c", str(config), "db", "init")
        _run(
            programs, folder, "-c", str(config), "user", "add", _USER,
            "email=publicador@example.org", "password=clave-de-prueba",
        )  # fmt: skip
        _run(programs, folder, "-c", str(config), "sysadmin", "add", _USER)
        answer = _run(programs, folder, "-c", str(config), "user", "token", "add", _USER, "pruebas")
        token = answer.split()[-1]
        log = folder / "ckan.log"
        stack.enter_context(
            _process(
                [
                    str(programs / "ckan"), "-c", str(config), "run",
                    "--host", "127.0.0.1", "--port", str(port), "--disable-reloader",
                ],
                log,
            )
        )  # fmt: skip
        _wait_until_up(f"{url}/api/3/action/status_show", log)
        yield CkanPortal(url, token, log)


def _configure(config: Path, options: Mapping[str, str]) -> None:
    """Set options in the generated file, each in place."""
    text = config.read_text(encoding="utf-8")
    for name, value in options.items():
        line = f"{name} = {value}"
        pattern = rf"^#? ?{re.escape(name)} =.*$"
        text, replaced = re.subn(pattern, line.replace("\\", r"\\"), text, count=1, flags=re.M)
        if not replaced:
            text = text.replace("[app:main]", f"[app:main]\n{line}", 1)
    config.write_text(text, encoding="utf-8")


def _run(programs: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(programs / "ckan"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ckan {arguments[:4]} failed: {(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


class _Solr(BaseHTTPRequestHandler):
    """Answers `/schema`, `/select` and `/update` as an index that is always empty."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/schema" in self.path:
            self._send('<schema name="ckan-2.12" version="1.6"/>', "application/xml")
        elif "/select" in self.path:
            empty = {"numFound": 0, "start": 0, "docs": []}
            self._send(json.dumps({"responseHeader": {"status": 0}, "response": empty}))
        else:
            self._send(json.dumps({"responseHeader": {"status": 0}}))

    do_GET = do_POST = _answer  # noqa: N815 - the names http.server looks for

    def _send(self, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silent: a test's output is its own."""


@contextmanager
def _solr() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Solr)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    port = _free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
               "--dir", str(folder)]  # fmt: skip
    with _process(command, folder / "redis.log"):
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise RuntimeError(f"CKAN did not come up:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

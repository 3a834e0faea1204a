"""A real CKAN on this machine: for a developer who wants to look, and for the tests.

Belongs here: starting CKAN with its database, DataStore, Redis and search, and stopping all of it.
Does not belong here: datasets. CKAN's pins clash with ours, so it lives in a virtual environment
of its own, made once (Debian: libpq-dev, gcc, redis-server):

    python3.11 -m venv .venv-ckan
    .venv-ckan/bin/pip install 'ckan[requirements]==2.12.0'

`LUJAN_CKAN_VENV` names another place. CKAN's search engine, Solr, is stood in for by a small server
that keeps the documents in memory, filters by type, organisation, theme, format, name and words,
and counts facets: enough to publish and to walk through the pages, not to judge the ranking of a
search.
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
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import psycopg
import requests
from psycopg import sql

from exports.ckan.description import MACHINE_EXTRAS
from exports.ckan.notices import NOTICE
from exports.metadata import load_catalog_facts
from orchestration.processes import end
from orchestration.settings import CITY_TIMEZONE, PROJECT_ROOT
from sources.errors import PipelineError

_START_SECONDS = 120.0
_USER = "publicador"
_READER = "ckan_lectura"


@dataclass(frozen=True, slots=True)
class CkanPortal:
    """A running portal, the token of a system administrator, its files, log and DataStore."""

    url: str
    token: str = field(repr=False)
    log: Path
    storage: Path
    datastore_url: str = field(repr=False)
    process_id: int


def ckan_programs() -> tuple[Path, list[str]]:
    """Folder of CKAN's programs, and what is missing on this machine to start it."""
    venv = Path(os.environ.get("LUJAN_CKAN_VENV", PROJECT_ROOT / ".venv-ckan"))
    missing = []
    if not (venv / "bin" / "ckan").is_file():
        missing.append(f"CKAN en {venv}")
    if shutil.which("redis-server") is None:
        missing.append("redis-server")
    return venv / "bin", missing


def _appearance() -> dict[str, str]:
    """What CKAN has a placeholder for, so that its pages can be judged as a citizen sees them."""
    facts = load_catalog_facts()
    return {
        "ckan.site_title": f"{facts.titulo} (desarrollo)",
        "ckan.site_description": f"Datos abiertos · {facts.editor}",
        "ckan.site_intro_text": f"# Datos abiertos de {facts.lugar} (portal de desarrollo)",
        "ckan.site_about": "Portal de desarrollo: vive en esta máquina y no es el de la ciudad.",
        "package_hide_extras": " ".join((*MACHINE_EXTRAS, NOTICE)),
        "ckan.site_custom_css": ".module-promotion .media-overlay {display: none}",
    }


@contextmanager
def ckan_portal(
    folder: Path, new_database: Callable[[str], str], *, port: int | None = None
) -> Iterator[CkanPortal]:
    """Start a portal; all of it is stopped on leaving, whatever happens.

    `new_database` makes a database of that name if need be and gives its URL. What an earlier start
    left in `folder` and in the databases is gone on with.
    Raises PipelineError when something is not installed, or with the log when it does not come up.
    """
    programs, missing = ckan_programs()
    if missing:
        raise PipelineError(
            f"para el portal de desarrollo falta {' y '.join(missing)}.",
            next_step="instálelo como dice orchestration/portal_dev.py.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        solr_port = stack.enter_context(solr_stand_in())
        redis_port = stack.enter_context(_redis(folder))
        port = port or _free_port()
        url = f"http://127.0.0.1:{port}"
        write_url = new_database("ckan_datastore")
        config = folder / "ckan.ini"
        fresh = not config.is_file()
        if fresh:
            _run(programs, folder, None, ("generate", "config", str(config)))
        _configure(
            config,
            {
                "sqlalchemy.url": new_database("ckan").replace("%", "%%"),
                "ckan.datastore.write_url": write_url.replace("%", "%%"),
                "ckan.datastore.read_url": _reader(write_url).replace("%", "%%"),
                "ckan.site_url": url,
                **_appearance(),
                "ckan.locale_default": "es",
                "ckan.display_timezone": CITY_TIMEZONE.key,
                "ckan.redis.url": f"redis://127.0.0.1:{redis_port}/0",
                "solr_url": f"http://127.0.0.1:{solr_port}/solr/ckan",
                "ckan.storage_path": str(folder / "storage"),
                "ckan.plugins": "datastore activity datatables_view",
                "ckan.views.default_views": "datatables_view",
                "ckan.max_resource_size": "1000",
            },
        )
        (folder / "storage").mkdir(exist_ok=True)
        ckan = [str(programs / "ckan"), "-c", str(config)]
        token_command = ("user", "token", "add", _USER, "pruebas")
        if fresh:
            answers = _run(
                programs, folder, config,
                ("db", "init"),
                ("datastore", "set-permissions"),
                ("user", "add", _USER, "email=publicador@example.org", "password=clave-de-prueba"),
                ("sysadmin", "add", _USER),
                token_command,
            )  # fmt: skip
            _apply_permissions(write_url, answers[1])
        else:
            answers = _run(programs, folder, config, ("search-index", "rebuild"), token_command)
        token = answers[-1].split()[-1]
        log = folder / "ckan.log"
        process_id = stack.enter_context(
            _process(
                [*ckan, "run", "--host", "127.0.0.1", "--port", str(port), "--disable-reloader"],
                log,
            )
        )
        _wait_until_up(f"{url}/api/3/action/status_show", log)
        yield CkanPortal(url, token, log, folder / "storage", write_url, process_id)


def _reader(write_url: str) -> str:
    """Address of the DataStore for the role that may only read; the role is made."""
    parts = urlsplit(write_url)
    with psycopg.connect(write_url, autocommit=True) as connection:
        found = connection.execute(
            "select 1 from pg_roles where rolname = %s", (_READER,)
        ).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("create role {} login password {}").format(
                    sql.Identifier(_READER), sql.Literal(_READER)
                )
            )
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{_READER}:{_READER}@{where}").geturl()


def _apply_permissions(write_url: str, grants: str) -> None:
    """Run what `ckan datastore set-permissions` prints, without psql's own commands."""
    statements = "\n".join(line for line in grants.splitlines() if not line.startswith("\\"))
    with psycopg.connect(write_url, autocommit=True) as connection:
        connection.execute(statements.encode())


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


# CKAN takes some three seconds to load for every command: all of them in one process.
_COMMANDS = """
import contextlib, io, json, sys
from ckan.cli.cli import ckan
answers = []
for arguments in json.load(sys.stdin):
    sys.argv = ["ckan", *arguments]  # it looks there whether a configuration is needed
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())) as said:
        ckan.main(arguments, prog_name="ckan", standalone_mode=False)
        said.flush()
    answers.append(said.buffer.getvalue().decode())
print(json.dumps(answers))
"""


def _run(
    programs: Path, folder: Path, config: Path | None, *commands: tuple[str, ...]
) -> list[str]:
    """What each of CKAN's own commands says, one after the other. PipelineError when one fails."""
    options = ["-c", str(config)] if config else []
    done = subprocess.run(
        [str(programs / "python"), "-c", _COMMANDS],
        input=json.dumps([[*options, *command] for command in commands]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_SECONDS,
    )
    if done.returncode != 0:
        raise PipelineError(
            f"ckan no pudo {', '.join(' '.join(command[:2]) for command in commands)}: "
            f"{(done.stdout + done.stderr)[-3000:]}"
        )
    answers: list[str] = json.loads(done.stdout.splitlines()[-1])
    return answers


class _Solr(BaseHTTPRequestHandler):
    """Answers `/schema`, `/select` and `/update`, with the documents in memory."""

    documents: ClassVar[dict[str, dict[str, Any]]] = {}

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        if "/schema" in path:
            self._send('<schema name="ckan-2.12" version="1.6"/>', "application/xml")
        elif "/select" in path:
            self._send(json.dumps(self._select(parse_qs(query) | parse_qs(body.decode()))))
        else:
            self._update(body)
            self._send(json.dumps({"responseHeader": {"status": 0}}))

    do_GET = do_POST = _answer  # noqa: N815 - the names http.server looks for

    def _update(self, body: bytes) -> None:
        if body.startswith(b"["):
            for document in json.loads(body):
                self.documents[document["index_id"]] = document
        elif b"<delete>" in body:
            for query in ElementTree.fromstring(body).iter("query"):
                matches = _matcher(query.text or "")
                for key in [key for key, value in self.documents.items() if matches(value)]:
                    del self.documents[key]

    def _select(self, asked: Mapping[str, list[str]]) -> dict[str, Any]:
        conditions = [_matcher(text) for text in (*asked.get("q", ()), *asked.get("fq", ()))]
        found = [
            item for item in self.documents.values() if all(holds(item) for holds in conditions)
        ]
        _sort(found, asked.get("sort", [""])[0])
        start, rows = (int(asked.get(name, ["0"])[0]) for name in ("start", "rows"))
        facets = {name: _counted(found, name) for name in asked.get("facet.field", ())}
        return {
            "responseHeader": {"status": 0},
            "response": {
                "numFound": len(found),
                "start": start,
                "docs": found[start : start + rows],
            },
            "facet_counts": {"facet_fields": facets},
        }

    def _send(self, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silent: the output is the caller's."""


def _matcher(query: str) -> Callable[[Mapping[str, Any]], bool]:
    """What CKAN asks with: conditions `field:value`, where those on other fields are taken to hold,
    or words that a person looks for, all of them."""
    if query and ":" not in query:
        words = _plain(query).split()
        return lambda document: all(word in _text_of(document) for word in words)
    wanted = [
        (field, quoted or plain)
        for field, quoted, plain in re.findall(
            r"(dataset_type|owner_org|organization|groups|tags|res_format|license_id|name|id|state|"
            r"capacity|site_id|index_id):(?:\"([^\"]*)\"|([\w.-]+))",
            query,
        )
    ]

    def holds(document: Mapping[str, Any]) -> bool:
        either = " OR " in query
        found = []
        for name, value in wanted:
            has = document.get(name)
            found.append(value in has if isinstance(has, list) else has == value)
        return (any(found) if either else all(found)) if found else True

    return holds


def _text_of(document: Mapping[str, Any]) -> str:
    fields = ("name", "title", "notes", "tags", "res_name", "res_description")
    return _plain(json.dumps([document.get(field) for field in fields], ensure_ascii=False))


def _plain(text: str) -> str:
    """Small letters without accents."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).lower()


def _sort(documents: list[dict[str, Any]], wanted: str) -> None:
    """By the field that CKAN asks for; by title where it asks for the rank of a match."""
    field, _, direction = wanted.partition(",")[0].strip().partition(" ")
    known = field in ("title_string", "metadata_modified", "metadata_created")
    documents.sort(
        key=lambda item: str(item.get(field if known else "title_string", "")),
        reverse=known and direction == "desc",
    )


def _counted(documents: list[dict[str, Any]], field: str) -> list[str | int]:
    """A facet as Solr gives it: values and how many documents have each, in turn."""
    counts: Counter[str] = Counter()
    for document in documents:
        value = document.get(field, [])
        counts.update(set(value) if isinstance(value, list) else [value])
    return [part for pair in counts.most_common() for part in pair]


@contextmanager
def solr_stand_in() -> Iterator[int]:
    """A search engine in memory while inside; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Solr", (_Solr,), {"documents": {}}))
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
def _process(command: list[str], log: Path) -> Iterator[int]:
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent,
            # A Ctrl+C of ours must not reach it first: what runs against it ends in order.
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process.pid
        finally:
            end(process, patience_s=3)


def _wait_until_up(address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise PipelineError(f"CKAN no arrancó:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A portal that fails in every way: readers see whole versions, the next run heals, and is told.

A reader looks after every change of the portal, and keeps every contradiction it meets. Each
scenario begins from what the one before left, changes the data, publishes through a proxy that does
harm, and publishes again without it.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import hashlib
import io
import json
import logging
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import yaml
from ckanapi import RemoteCKAN
from ckanapi.errors import NotFound

from exports import datastore
from exports.approvals import approve
from exports.ckan.addresses import ARCHIVE
from exports.ckan.publisher import CkanPublisher
from exports.definition import DatasetDefinition, load_definition
from exports.errors import PortalError
from exports.export import ExportResult, export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts, load_catalog_facts
from exports.publication import roll_back, withdraw
from exports.versions import Journal
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from tests.exports.conftest import DOCUMENT, MANIFEST, MARTS_SQL, Connection
from tests.support.ckan import CkanPortal
from tests.support.http_proxy import Fault, HttpProxy, http_proxy
from tests.support.publishing import Death, Publication, ended, publishing

NAME = "obras-publicas"
ROWS = 150
# Small chunks, so that a few rows travel in several.
CHUNK_BYTES = 32 << 10
# What somebody changes past the proxy is seen no later.
_LONGEST_UNSEEN_S = 1.0

pytestmark = [pytest.mark.ckan, pytest.mark.slow]


class Reader:
    """Anybody who looks at the dataset, past the proxy, whenever something passed through it.

    Looks all the time would mostly see the same, and be a third of what CKAN has to do.
    """

    def __init__(self, portal: str, proxy: HttpProxy) -> None:
        self._portal, self._proxy = portal, proxy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.contradictions: list[str] = []
        self.looks = 0
        self.alias_absent = 0
        self._session = requests.Session()
        # Rows of the files read lately, by address and hash: CKAN has better things to do in these
        # tests than to send the same bytes again and again.
        self._read: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._proxy.changed.set()
        self._thread.join(30)

    def _run(self) -> None:
        while True:
            self._proxy.changed.wait(_LONGEST_UNSEEN_S)
            self._proxy.changed.clear()
            if self._stop.is_set():
                return
            self.look()

    def look(self) -> None:
        """One whole look: what the dataset says, its files, its table by both of its names."""
        answer = self._action("package_show", id=NAME)
        if not answer["success"]:
            self.contradictions.append(f"the dataset is gone: {answer['error']}")
            return
        package = answer["result"]
        ours = [item for item in package["resources"] if item.get("version_archivo")]
        if not ours:
            self.contradictions.append("the dataset has no files")
            return
        counted = {}
        for item in ours:
            rows = self._rows(item)
            if item["fileName"] == "obras.csv":
                counted["csv"] = rows
                counted["said"] = item["filas"]
                table = self._action("datastore_search", resource_id=item["tabla_version"], limit=0)
                counted["table"] = table["result"]["total"]
                alias = self._action("datastore_search", resource_id=item["id"], limit=0)
                if not alias["success"]:
                    self.alias_absent += 1
            elif item["fileName"] == "obras.json":
                counted["json"] = rows
        if len(set(counted.values())) != 1 or len(counted) != 4:
            self.contradictions.append(f"two versions at once: {counted}")
        self.looks += 1

    def _rows(self, item: dict[str, Any]) -> int:
        """Rows of a file, read and compared with its hash; again every tenth look."""
        rows, look = self._read.get((item["url"], item["hash"]), (0, -10))
        if self.looks - look < 10:
            return rows
        url = item["url"].replace(self._proxy.url, self._portal)
        content = self._session.get(url, timeout=30).content
        if item["hash"] != f"sha256:{hashlib.sha256(content).hexdigest()}":
            self.contradictions.append(f"{item['fileName']} is not what its hash says")
            return 0
        if item["fileName"].endswith(".csv"):
            rows = len(list(csv.reader(io.StringIO(content.decode())))) - 1
        elif item["fileName"].endswith(".json"):
            rows = len(json.loads(content))
        self._read[(item["url"], item["hash"])] = (rows, self.looks)
        return rows

    def _action(self, name: str, /, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._session.get(
            f"{self._portal}/api/3/action/{name}", params=asked, timeout=30
        ).json()
        return found


class City:
    """The warehouse, the definition and the publisher of these scenarios."""

    def __init__(
        self, warehouse: str, connection: Connection, folder: Path, portal: CkanPortal,
        proxy: HttpProxy,
    ) -> None:  # fmt: skip
        self.warehouse, self.connection = warehouse, connection
        self.folder, self.portal, self.proxy = folder, portal, proxy
        self.facts: CatalogFacts = load_catalog_facts(sintetico=True)
        self.manifest = Manifest(copy.deepcopy(MANIFEST))
        self.text = 1
        approve(connection, self.definition(), "Comité", "Acta 1")

    def definition(self) -> DatasetDefinition:
        resource = {**DOCUMENT["recursos"][0], "nombre": "obras"}
        document = {**DOCUMENT, "recursos": [resource], "titulo": f"Obras públicas {self.text}"}
        path = self.folder / f"{NAME}.yaml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        return load_definition(path)

    def publisher(self, token: str | None = None, patience: float = 20.0) -> CkanPublisher:
        return CkanPublisher(
            self.proxy.url, token or self.portal.token, self.facts, attempts=4, max_wait=0.1,
            timeout=(2.0, patience),
        )  # fmt: skip

    def publish(self, publisher: CkanPublisher | None = None) -> ExportResult:
        return export_dataset(
            self.connection, self.definition(), self.manifest, self.folder / "salida", "corrida",
            publisher or self.publisher(), facts=self.facts,
        )  # fmt: skip

    def job(self, death: Death | None) -> Publication:
        """The same publication, for a process of its own."""
        self.definition()
        return Publication(
            self.warehouse, self.folder / f"{NAME}.yaml", copy.deepcopy(MANIFEST),
            self.folder / "salida", self.proxy.url, self.portal.token, CHUNK_BYTES, death,
        )  # fmt: skip

    def journal(self) -> Journal:
        return Journal(self.connection, NAME, self.proxy.url, "corrida")

    def change(self) -> int:
        """Other rows in every chunk, one fewer of them, and another title; how many rows."""
        self.text += 1
        self.connection.execute(
            "delete from proyectos.fct_proyecto where proyecto_id = "
            "(select max(proyecto_id) from proyectos.fct_proyecto)"
        )
        self.connection.execute("update proyectos.fct_proyecto set avance_pct = %s", (self.text,))
        row = self.connection.execute("select count(*) from proyectos.fct_proyecto").fetchone()
        assert row
        return int(row[0])

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = self.action("package_show", id=NAME)
        return found

    def action(self, name: str, /, **asked: Any) -> Any:
        return RemoteCKAN(self.portal.url, apikey=self.portal.token).call_action(name, asked)

    def on_disk(self, version_id: str) -> Path:
        """Where CKAN keeps the bytes of an uploaded file."""
        folder = self.portal.storage / "resources" / version_id[:3] / version_id[3:6]
        return folder / version_id[6:]

    def rows_shown(self) -> int:
        stable = self.publisher().resource_id(NAME, "obras.csv")
        return int(RemoteCKAN(self.portal.url).call_action(
            "datastore_search", {"resource_id": stable, "limit": 0})["total"])  # fmt: skip


@pytest.fixture(scope="module")
def city(
    postgres: EmbeddedServer, portal: CkanPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    warehouse = Warehouse(postgres.ensure_database("hostil"), embedded=True)
    migrate(warehouse)
    patch = pytest.MonkeyPatch()
    patch.setattr(datastore, "CHUNK_BYTES", CHUNK_BYTES)
    with (
        http_proxy(portal.url) as proxy,
        psycopg.connect(warehouse.url, autocommit=True) as connection,
    ):
        connection.execute(MARTS_SQL.encode())
        connection.execute("truncate proyectos.fct_proyecto")
        connection.execute(
            "insert into proyectos.fct_proyecto (proyecto_id, proyecto_nombre) "
            "select n, repeat('obra ' || n, 80) from generate_series(1, %s) as n",
            (ROWS,),
        )
        made = City(warehouse.url, connection, tmp_path_factory.mktemp("hostil"), portal, proxy)
        made.publish()
        yield made
    patch.undo()


@pytest.fixture
def reader(city: City) -> Iterator[Reader]:
    """Reads from before to after; its findings are part of every scenario."""
    with Reader(city.portal.url, city.proxy) as reading:
        yield reading
    reading.look()
    assert reading.contradictions == []
    assert reading.looks > 0


ANY_ATTEMPT = 99
# The two uses of `package_revise`: adding to the archive, and pointing readers to it.
UPLOAD, SWITCH = "update__resources__extend", "-resources__*"
SWITCHED = Fault("lose_answer", "revise", body=SWITCH)
SCENARIOS = {
    "busy, with Retry-After": (
        [Fault("status", "revise", status=429, headers={"Retry-After": "0"}, times=2)],
        None,
    ),
    "asks to wait an hour": (
        [Fault("status", "datastore_upsert", status=429, headers={"Retry-After": "3600"})],
        r"pide esperar 3600 s",
    ),
    "errors now and then": (
        [Fault("status", "", status=500, skip=3), Fault("status", "", status=502, skip=7)],
        None,
    ),
    "fails for good while files are sent": (
        [Fault("status", "revise", status=500, times=ANY_ATTEMPT, body=UPLOAD)],
        r"respondió 500 a package_revise.*solo se envía lo que falta",
    ),
    "fails for good while rows are sent": (
        [Fault("status", "datastore_upsert", status=502, times=ANY_ATTEMPT, skip=1)],
        r"respondió 502 a datastore_upsert",
    ),
    "fails for good at the switch": (
        [Fault("status", "revise", status=503, times=ANY_ATTEMPT, body=SWITCH)],
        r"respondió 503 a package_revise",
    ),
    "the switch happens, its answer is lost, then nothing answers": (
        [
            SWITCHED,
            Fault("lose_request", "package_show", times=ANY_ATTEMPT, after=SWITCHED),
        ],
        None,
    ),
    "fails between the two calls that move the table's name": (
        [Fault("status", "datastore_create", status=500, times=ANY_ATTEMPT, body='"aliases": ["')],
        r"respondió 500 a datastore_create",
    ),
    "answers too late": (
        [Fault("hang", name, seconds=1.5) for name in ("datastore_upsert", "revise")],
        None,
    ),
    "never answers": (
        [Fault("lose_request", "", times=ANY_ATTEMPT, skip=5)],
        r"no se pudo hablar con el portal .*revise la red",
    ),
    "answers get lost": (
        [
            Fault("lose_answer", "revise", body=UPLOAD),
            Fault("lose_answer", "datastore_create"),
            Fault("lose_answer", "datastore_upsert"),
            Fault("lose_answer", "revise", body=SWITCH),
        ],
        None,
    ),
    "answers are cut": (
        [
            Fault("cut_answer", "revise", body=UPLOAD),
            Fault("cut_answer", "datastore_upsert"),
            Fault("cut_answer", "revise", body=SWITCH),
            Fault("cut_answer", "download"),
        ],
        None,
    ),
    "downloads are slow": ([Fault("slow", "download", seconds=1.0, times=2)], None),
    "requests are delivered twice": (
        [Fault("twice", "revise", body=UPLOAD), Fault("twice", "revise", body=SWITCH)],
        None,
    ),
    "a chunk of rows is delivered twice": (
        [Fault("twice", "datastore_upsert", skip=1)],
        r"no es lo que se envió: tiene \d+ filas y no \d+.*Nadie llegó a verlo",
    ),
    "reads are stale for a while": ([Fault("stale", "package_show", times=2, outside=True)], None),
    "the public sees an old version for long": (
        [Fault("stale", "package_show", times=ANY_ATTEMPT, outside=True)],
        r"muestra todavía una versión anterior.*caché",
    ),
    "a download is spoiled once": ([Fault("spoil", "download")], None),
    "a file arrives spoiled": (
        [Fault("spoil", "download", times=ANY_ATTEMPT)],
        r"no es lo que se envió.*se envía de nuevo",
    ),
    "the token has expired": (
        [Fault("status", "", status=403, times=0)],
        r"el portal no permite esta operación con el token configurado \(venció",
    ),
    "the disk is full": (
        [Fault("status", "revise", status=507, times=ANY_ATTEMPT, body=UPLOAD)],
        r"no tiene lugar para el archivo.*libere espacio",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_readers_see_whole_versions_and_the_next_run_heals(
    name: str, city: City, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    faults, message = SCENARIOS[name]
    caplog.set_level(logging.DEBUG)
    rows = city.change()
    token = "eyJ-un-token-vencido" if "token" in name else None
    city.proxy.inject(*copy.deepcopy(faults))
    said = ""
    try:
        patience = 1.0 if "too late" in name else 20.0
        city.publish(city.publisher(token, patience))
    except PortalError as error:
        said = str(error)
        assert error.next_step
    struck = [fault.struck for fault in city.proxy.faults if fault.times]
    city.proxy.clear()
    assert all(struck) or not struck, "the scenario did not happen"
    if message is not None:
        assert_matches(message, said)

    healed = city.publish()
    assert healed.estado in ("publicada", "sin_cambios")
    assert city.shown()["title"] == f"Obras públicas {city.text}"
    assert city.rows_shown() == rows
    for secret in (city.portal.token, "eyJ-un-token-vencido"):
        assert secret not in said + caplog.text + json.dumps(city.shown())


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text or "nothing was said"


def test_what_others_did_by_hand_is_told_and_set_right_and_theirs_stays(
    city: City, reader: Reader
) -> None:
    city.action("package_patch", id=NAME, title="Título cambiado a mano")
    tags = [{"name": tag["name"]} for tag in city.shown()["tags"]]
    city.action("package_patch", id=NAME, tags=[*tags, {"name": "etiqueta-ajena"}])
    foreign = city.action(
        "resource_create", package_id=NAME, url="https://example.org/x.pdf", name="Nota ajena"
    )
    archived = city.action(
        "resource_create", package_id=ARCHIVE, url="https://example.org/y.pdf",
        name="Otra nota ajena",
    )  # fmt: skip

    result = city.publish()

    assert "se corrigió lo editado en el portal: título" in result.reason
    assert "recursos ajenos que se conservan: Nota ajena" in result.reason
    shown = city.shown()
    assert shown["title"] == f"Obras públicas {city.text}"
    assert foreign["id"] in [item["id"] for item in shown["resources"]]
    assert "etiqueta-ajena" in [tag["name"] for tag in shown["tags"]]
    for _ in range(4):  # more versions than are kept: pruning must not take what is not ours
        city.change()
        city.publish()
    assert foreign["id"] in [item["id"] for item in city.shown()["resources"]]
    kept = city.action("package_show", id=ARCHIVE)["resources"]
    assert archived["id"] in [item["id"] for item in kept]
    tables = [item for item in kept if item.get("conjunto") == NAME and "tabla" in item["name"]]
    assert [item["format"] for item in tables] == ["CSV"] * 3  # no empty entry among the formats
    city.action("resource_delete", id=foreign["id"])
    city.publish()


def test_what_somebody_deleted_from_the_archive_is_sent_again(city: City) -> None:
    resource = next(i for i in city.shown()["resources"] if i["fileName"] == "obras.json")
    city.action("resource_delete", id=resource["version_archivo"])
    assert city.publish().estado == "publicada"
    stable = city.publisher().download(NAME, "obras.json")
    assert len(requests.get(stable, timeout=30).json()) == city.rows_shown()


def test_a_dataset_of_others_is_not_touched(city: City) -> None:
    name = "conjunto-de-otros"
    city.action("package_create", name=name, title="De otra oficina",
                owner_org=city.facts.organizacion)  # fmt: skip
    document = city.folder / f"{name}.yaml"
    document.write_text(yaml.safe_dump(DOCUMENT, allow_unicode=True), encoding="utf-8")
    definition = load_definition(document)
    approve(city.connection, definition, "Comité", "Acta 1")
    with pytest.raises(PortalError, match="no publicó este sistema; no se lo toca"):
        export_dataset(
            city.connection, definition, city.manifest, city.folder / "salida", "corrida",
            city.publisher(), facts=city.facts,
        )  # fmt: skip
    assert city.action("package_show", id=name)["title"] == "De otra oficina"


STEPS = ("compare", "upload", "read_back", "switch", "verify", "prune")
DEATHS: dict[str, tuple[Death | Fault, bool]] = {
    # The moment of the SIGKILL; whether the version it leaves is the one that gets finished.
    **{f"after {step}": (Death("after", step), step in STEPS[3:]) for step in STEPS},
    "before switch": (Death("before", "switch"), True),
    "while a file is sent": (Fault("killed_before", "revise", body=UPLOAD), False),
    "while a file arrives": (Fault("killed_after", "revise", body=UPLOAD), False),
    "between chunks of rows": (Fault("killed_after", "datastore_upsert"), False),
    "while a download is compared": (Fault("killed_after", "download", outside=True), False),
    "while the switch arrives": (Fault("killed_after", "revise", body=SWITCH), True),
    "between the calls that move the table's name": (
        Fault("killed_before", "datastore_create", body='"aliases": ["'), True,
    ),
    "while older versions are taken away": (Fault("killed_after", "datastore_delete"), True),
}  # fmt: skip


@pytest.mark.parametrize("moment", DEATHS)
def test_a_process_killed_at_any_moment_is_taken_up_by_the_next(
    moment: str, city: City, reader: Reader
) -> None:
    death, rolled_forward = copy.copy(DEATHS[moment])
    rows = city.change()
    with publishing(city.job(death if isinstance(death, Death) else None)) as process:
        if isinstance(death, Fault):
            city.proxy.inject(dataclasses.replace(death, strike=process.kill))
        assert ended(process) == -signal.SIGKILL
    city.proxy.clear()
    left = city.journal().unfinished()
    assert left is not None

    city.publish()

    assert city.rows_shown() == rows
    assert city.shown()["title"] == f"Obras públicas {city.text}"
    live = city.journal().live()
    assert live is not None and city.journal().unfinished() is None
    assert (live.id == left.id) is rolled_forward


def test_processes_killed_at_chance_moments_leave_nothing_broken(
    city: City, reader: Reader
) -> None:
    """Three in a row, later each time, also while files are written and nothing was sent yet."""
    rows = city.change()
    for seconds in (0.1, 0.5, 1.0):
        with publishing(city.job(None)) as process:
            process.join(seconds)
            process.kill()
            ended(process)
    city.publish()
    assert city.rows_shown() == rows
    assert city.journal().unfinished() is None


def small_change(city: City) -> int:
    """One row changes, one goes, two equal ones come; as many as before and one more."""
    run = city.connection.execute
    run("update proyectos.fct_proyecto set avance_pct = 1 + coalesce(avance_pct, 0) "
        "where proyecto_id = (select min(proyecto_id) from proyectos.fct_proyecto)")  # fmt: skip
    run("delete from proyectos.fct_proyecto where proyecto_id = "
        "(select max(proyecto_id) from proyectos.fct_proyecto)")  # fmt: skip
    city.text += 1
    run("insert into proyectos.fct_proyecto (proyecto_id, proyecto_nombre, actualizado_en) "
        "select 40, %s, now() from generate_series(1, 2)",
        (f'Dos "iguales"\nde {city.text}',))  # fmt: skip
    row = run("select count(*) from proyectos.fct_proyecto").fetchone()
    assert row
    return int(row[0])


def rows_sent(city: City, publisher: CkanPublisher) -> int:
    """Publish; how many rows travelled."""
    sent: list[int] = []

    def note(answer: requests.Response, *_: Any, **__: Any) -> None:
        if answer.url.endswith("/datastore_upsert"):
            sent.append(len(json.loads(answer.request.body or b"")["records"]))

    publisher.client.session.hooks["response"].append(note)
    city.publish(publisher)
    return sum(sent)


def table_shown(city: City) -> set[tuple[Any, ...]]:
    found = RemoteCKAN(city.portal.url).call_action(
        "datastore_search",
        {"resource_id": city.publisher().resource_id(NAME, "obras.csv"), "limit": 1000,
         "records_format": "lists"},
    )  # fmt: skip
    return {tuple(row[1:]) for row in found["records"]}


def test_only_the_difference_is_sent_once_a_version_gives_its_table_up(
    city: City, reader: Reader
) -> None:
    for _ in range(2):  # with what others left, as many versions as are kept
        small_change(city)
        city.publish()
    before = table_shown(city)
    for _ in range(2):  # the table changed into this one is changed into a later one
        rows = small_change(city)
        # What changed in three versions: the table was left by the third before this one.
        assert 0 < rows_sent(city, city.publisher()) <= 3 * 4
        assert city.rows_shown() == rows
    assert len(table_shown(city) - before) == 1 + 2  # the changed row; equal ones count once

    # Going back finds both kinds of tables, and the content it goes back from is sent to none.
    newest = table_shown(city)
    roll_back(city.publisher(), city.journal(), by="Ana", reason="prueba")
    assert table_shown(city) != newest
    city.publish(city.publisher())
    small_change(city)
    assert rows_sent(city, city.publisher()) > 0


def test_a_process_killed_while_it_sends_a_difference_is_taken_up(
    city: City, reader: Reader
) -> None:
    for _ in range(2):
        small_change(city)
        city.publish()
    for fault in (
        Fault("killed_before", "datastore_upsert"),  # rows are gone, none came
        Fault("killed_after", "datastore_upsert"),  # all is there, and nobody says so
        Fault("killed_after", "datastore_delete"),
    ):
        rows = small_change(city)
        with publishing(city.job(None)) as process:
            city.proxy.inject(dataclasses.replace(fault, strike=process.kill))
            assert ended(process) == -signal.SIGKILL
        city.proxy.clear()
        assert rows_sent(city, city.publisher()) <= 3 * 4
        assert city.rows_shown() == rows


def test_rows_go_on_from_where_a_cut_left_them(city: City, reader: Reader) -> None:
    city.change()
    city.proxy.inject(Fault("lose_request", "datastore_upsert", times=ANY_ATTEMPT, skip=1))
    with pytest.raises(PortalError, match="no se pudo hablar"):
        city.publish()
    city.proxy.clear()
    city.proxy.calls.clear()
    city.publish()
    chunks = sum("datastore_upsert" in call for call in city.proxy.calls)
    city.change()
    city.proxy.calls.clear()
    city.publish()
    whole = sum("datastore_upsert" in call for call in city.proxy.calls)
    assert whole > 1
    assert chunks == whole - 1


def test_going_back_sends_nothing_and_stays_until_the_content_changes(
    city: City, reader: Reader
) -> None:
    before = city.publish() and city.rows_shown()
    city.change()
    city.publish()
    city.proxy.calls.clear()
    journal = city.journal()
    roll_back(city.publisher(), journal, by="Ana", reason="la última vino incompleta")
    sent = [call for call in city.proxy.calls if "upsert" in call]
    assert sent == []
    assert city.rows_shown() == before

    withheld = city.publish()
    assert withheld.estado == "retenida" and "la última vino incompleta" in withheld.reason
    assert city.rows_shown() == before

    rows = city.change()
    assert city.publish().estado == "publicada"
    assert city.rows_shown() == rows


def test_a_withdrawn_dataset_leaves_its_reason_and_nothing_else(city: City) -> None:
    """The last one: what it takes away takes a new approval to come back."""
    resources = city.shown()["resources"]
    files = [item["url"] for item in resources]
    on_disk = [city.on_disk(item["version_archivo"]) for item in resources]
    assert all(path.is_file() for path in on_disk)
    withdraw(city.publisher(), city.journal(), city.connection, by="Comité",
             reason="Contenía un dato personal")  # fmt: skip

    shown = city.shown()
    assert shown["title"].endswith("(retirado)")
    assert "Motivo: Contenía un dato personal" in shown["notes"]
    assert shown["resources"] == []
    assert {requests.get(url, timeout=30).status_code for url in files} == {404}
    assert not any(path.exists() for path in on_disk)
    with pytest.raises(NotFound):
        city.rows_shown()
    with pytest.raises(PortalError, match="ya está retirado"):
        withdraw(city.publisher(), city.journal(), city.connection, by="C", reason="x")
    with pytest.raises(PortalError, match="no hay una versión anterior"):
        roll_back(city.publisher(), city.journal(), by="Ana", reason="x")
    assert city.publish().estado == "pendiente_aprobacion"

    time.sleep(0.01)  # the approval is recorded after the withdrawal, as in life
    approve(city.connection, city.definition(), "Comité", "Acta 2")
    assert city.publish().estado == "publicada"
    assert city.shown()["title"] == f"Obras públicas {city.text}"
    assert {requests.get(url, timeout=30).status_code for url in files} == {200}

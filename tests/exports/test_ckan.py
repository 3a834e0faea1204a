"""Publishing to a real CKAN: once, again with nothing to send, and with one change."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from ckanapi import RemoteCKAN

from exports.approvals import approve
from exports.ckan.archive import loads
from exports.ckan.publisher import CkanPublisher
from exports.datastore import DirectDataStore
from exports.errors import PortalError
from exports.export import ExportResult, export_dataset
from exports.files import write_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from tests.exports.conftest import Connection, Define
from tests.exports.test_contributions import City, water_manifest
from tests.support.ckan import CkanPortal, forget

NAME = "proyectos-municipales"


@pytest.fixture
def export(
    connection: Connection, define: Define, manifest: Manifest, facts: CatalogFacts, tmp_path: Path
) -> Any:
    def run(publisher: CkanPublisher, facts: CatalogFacts = facts, **changes: Any) -> ExportResult:
        definition = define(**changes)
        approve(connection, definition, "Comité", "Acta 1")
        connection.commit()
        return export_dataset(
            connection, definition, manifest, tmp_path / "salida", "corrida", publisher, facts=facts
        )

    return run


class Spy(CkanPublisher):
    """Notes the actions that change something at the portal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.writes: list[str] = []
        self.client.session.hooks["response"].insert(0, self._note)

    def _note(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        action = answer.url.rpartition("/")[2]
        if not action.endswith(("_show", "_search")):
            self.writes.append(action)


def shown(portal: CkanPortal) -> dict[str, Any]:
    answer = requests.get(
        f"{portal.url}/api/3/action/package_show", params={"id": NAME}, timeout=30
    ).json()
    assert answer["success"], answer
    package: dict[str, Any] = answer["result"]
    return package


def table(portal: CkanPortal, resource_id: str) -> list[dict[str, Any]]:
    answer = requests.get(
        f"{portal.url}/api/3/action/datastore_search",
        params={"resource_id": resource_id, "sort": "_id"},
        timeout=30,
    ).json()
    assert answer["success"], answer
    records: list[dict[str, Any]] = answer["result"]["records"]
    return records


@pytest.mark.ckan
@pytest.mark.slow
def test_a_dataset_is_published_once_and_then_only_what_changes(
    portal: CkanPortal, export: Any, connection: Connection, facts: CatalogFacts
) -> None:
    forget(portal, NAME)
    publisher = Spy(portal.url, portal.token, facts)
    first = export(publisher)
    assert first.estado == "publicada"

    package = shown(portal)  # seen without a token: the dataset is public
    assert package["title"] == "Proyectos municipales"
    assert package["organization"]["name"] == facts.organizacion
    assert [group["name"] for group in package["groups"]] == ["gove"]
    assert sorted(tag["name"] for tag in package["tags"]) == ["gobierno", "proyectos"]
    extras = {item["key"]: item["value"] for item in package["extras"]}
    assert extras["accrualPeriodicity"] == "R/P1M"
    page = requests.get(f"{portal.url}/dataset/{NAME}", timeout=30).text
    labels = re.findall(r'class="dataset-label"[^>]*>([^<]+)<', page)
    # Words only, in Spanish: what programs read is in the API and not on the page.
    assert labels == [
        "Autor", "Mantenedor", "Última actualización", "Creado", "Cambio más reciente",
        "Fuentes de los datos", "Lugar", "Período que cubre", "Publicado por primera vez",
        "Se actualiza", "Tema",
    ]  # fmt: skip
    assert "cada mes" in page and "R/P1M" not in page and facts.lugar in page
    ids = [item["id"] for item in package["resources"]]
    files = {item.path: item for item in first.files}
    for resource in package["resources"]:
        stable = publisher.download(NAME, resource["fileName"])
        content = requests.get(stable, timeout=30).content
        assert len(content) == files[resource["fileName"]].bytes
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert requests.get(resource["url"], timeout=30).content == content
        assert json.loads(resource["attributesDescription"])[0]["description"]

    views = RemoteCKAN(portal.url).call_action(
        "resource_view_list", {"id": publisher.resource_id(NAME, "proyectos.csv")}
    )
    assert [view["view_type"] for view in views] == ["datatables_view"]

    for page in ("organization/", f"organization/{facts.organizacion}", "group/", "group/gove"):
        answer = requests.get(f"{portal.url}/{page}", timeout=30)
        assert answer.ok, page
        # Other tests' datasets may have none.
        undescribed = set(re.findall(r"no description for this (\w+)", answer.text))
        assert undescribed <= {"dataset"}, page

    publisher.writes.clear()
    assert export(publisher).estado == "sin_cambios"
    assert publisher.writes == []

    connection.execute("delete from proyectos.fct_proyecto where proyecto_id = 3")
    connection.commit()
    assert export(publisher).estado == "publicada"
    # Two changed files together and the new table go to the archive, one call switches.
    assert publisher.writes.count("package_revise") == 3
    assert publisher.writes.count("datastore_upsert") == 1
    assert [item["id"] for item in shown(portal)["resources"]] == ids
    assert len(table(portal, publisher.resource_id(NAME, "proyectos.csv"))) == 2


def test_small_files_travel_together_and_a_large_one_alone() -> None:
    """No request is larger than the 1 MB of nginx but for a file that is."""
    sizes = [100_000, 400_000, 200_000, 3_000_000, 1, 2]
    package = [{"path": str(place), "bytes": size} for place, size in enumerate(sizes)]

    assert [[item["bytes"] for item in together] for together in loads(package)] == [
        [100_000, 400_000], [200_000], [3_000_000], [1, 2],
    ]  # fmt: skip
    assert list(loads([])) == []


@pytest.mark.ckan
@pytest.mark.slow
def test_the_table_holds_the_rows_in_their_types_untouched(
    portal: CkanPortal, export: Any, facts: CatalogFacts
) -> None:
    publisher = CkanPublisher(portal.url, portal.token, facts)
    export(publisher)
    records = table(portal, publisher.resource_id(NAME, "proyectos.csv"))
    assert [record["proyecto_nombre"] for record in records] == [
        "Cañería Perdriel", 'Plaza "Norte", etapa 2', '=HYPERLINK("http://x")\nsegunda línea',
    ]  # fmt: skip
    assert records[0]["avance_pct"] == 100
    assert records[0]["actualizado_en"] == "2026-06-01T09:30:00.500"  # Mendoza
    assert records[1]["es_climatico"] is False
    assert records[2]["avance_pct"] is None


@pytest.mark.ckan
@pytest.mark.slow
@pytest.mark.parametrize("way", ["api", "database"])
def test_the_table_keeps_a_cell_that_waits_as_it_was(
    portal: CkanPortal,
    connection: Connection,
    define: Define,
    facts: CatalogFacts,
    tmp_path: Path,
    way: str,
) -> None:
    """Programs read the table, not the file: one late reading must not show there either."""
    forget(portal, "consumo-de-agua")
    direct = DirectDataStore(portal.datastore_url) if way == "database" else None
    publisher = CkanPublisher(portal.url, portal.token, facts, direct=direct)
    city = City(connection, define, water_manifest(), tmp_path)
    city.portal, city.facts = publisher, facts

    def rows() -> list[tuple[str, int, int]]:
        stable = publisher.resource_id("consumo-de-agua", "consumo.csv")
        return [(row["mes"][:7], row["cuentas"], row["litros"]) for row in table(portal, stable)]

    for account in range(1, 11):
        city.reads(account, 1000 * account)
    assert city.publish().estado == "publicada"
    assert rows() == [("2026-05", 10, 55_000)]

    city.reads(11, 777)
    for account in range(5):
        city.reads(account, 100, month="2026-06-01")
    result = city.publish()
    assert result.estado == "publicada"
    assert "1 celda sale" in result.reason
    assert rows() == [("2026-05", 10, 55_000), ("2026-06", 5, 500)]

    city.reads(12, 10)
    city.reads(13, 20)
    assert city.publish().estado == "publicada"
    assert rows() == [("2026-05", 13, 55_807), ("2026-06", 5, 500)]


@pytest.mark.ckan
@pytest.mark.slow
def test_a_city_that_runs_its_portal_copies_into_its_database(
    portal: CkanPortal, export: Any, connection: Connection, facts: CatalogFacts
) -> None:
    through_api = CkanPublisher(portal.url, portal.token, facts)
    export(through_api)
    stable = through_api.resource_id(NAME, "proyectos.csv")
    before = table(portal, stable)

    publisher = Spy(portal.url, portal.token, facts, direct=DirectDataStore(portal.datastore_url))
    connection.execute("update proyectos.fct_proyecto set avance_pct = avance_pct / 2")
    connection.commit()
    assert export(publisher).estado == "publicada"
    assert "datastore_upsert" not in publisher.writes
    halved = [row["avance_pct"] and row["avance_pct"] / 2 for row in before]
    assert [row["avance_pct"] for row in table(portal, stable)] == halved

    # What the database made is CKAN's: the next one goes through the API again.
    connection.execute("delete from proyectos.fct_proyecto where proyecto_id = 3")
    connection.commit()
    assert export(through_api).estado == "publicada"
    assert len(table(portal, stable)) == 2

    broken = DirectDataStore("postgresql://nadie:secreta@127.0.0.1:9/nada")
    connection.execute("delete from proyectos.fct_proyecto where proyecto_id = 2")
    connection.commit()
    with pytest.raises(PortalError, match="revise CKAN_DATASTORE_URL") as caught:
        export(CkanPublisher(portal.url, portal.token, facts, direct=broken))
    assert "secreta" not in str(caught.value)
    assert len(table(portal, stable)) == 2


@pytest.mark.ckan
@pytest.mark.slow
def test_a_corrected_text_sends_no_data(
    portal: CkanPortal, export: Any, facts: CatalogFacts
) -> None:
    publisher = Spy(portal.url, portal.token, facts)
    export(publisher)
    publisher.writes.clear()
    result = export(publisher, descripcion="Una descripción corregida.")
    assert result.estado == "publicada"
    # The page of the dictionary quotes the description; then the table's dictionary, the texts.
    assert result.reason.startswith(f"archivos: {NAME}-diccionario.md; metadatos: ")
    assert publisher.writes == ["package_revise", "datastore_create", "package_revise"]
    assert "Una descripción corregida." in shown(portal)["notes"]


@pytest.mark.ckan
@pytest.mark.slow
def test_a_compressed_file_is_read_back_as_it_was_sent(
    portal: CkanPortal, export: Any, facts: CatalogFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The portal serves it with Content-Encoding: gzip, which an HTTP client decodes by itself.
    monkeypatch.setattr("exports.preparation.write_dataset", partial(write_dataset, max_bytes=100))
    publisher = Spy(portal.url, portal.token, facts)
    assert export(publisher).estado == "publicada"
    packed = requests.get(publisher.download(NAME, "proyectos.csv.gz"), timeout=30, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    text = gzip.decompress(packed.raw.read(decode_content=False)).decode("utf-8")
    assert text.startswith("proyecto_id,")
    assert len(table(portal, publisher.resource_id(NAME, "proyectos.csv.gz"))) == 3
    publisher.writes.clear()
    assert export(publisher).estado == "sin_cambios"
    assert publisher.writes == []


@pytest.mark.ckan
@pytest.mark.slow
def test_a_resource_taken_away_leaves_the_portal(
    portal: CkanPortal, export: Any, document: dict[str, Any], facts: CatalogFacts
) -> None:
    publisher = Spy(portal.url, portal.token, facts)
    extra = dict(document["recursos"][0], nombre="otro", formatos=["csv"])
    export(publisher, recursos=[document["recursos"][0], extra])
    assert "otro.csv" in [item["fileName"] for item in shown(portal)["resources"]]
    export(publisher)
    assert "otro.csv" not in [item["fileName"] for item in shown(portal)["resources"]]
    assert requests.get(publisher.download(NAME, "otro.csv"), timeout=30).status_code == 404


@pytest.mark.ckan
@pytest.mark.slow
def test_a_wrong_token_is_explained_and_not_shown(
    portal: CkanPortal, export: Any, facts: CatalogFacts
) -> None:
    export(CkanPublisher(portal.url, portal.token, facts))
    before = shown(portal)
    wrong = "eyJ-token-equivocado"
    with pytest.raises(PortalError) as caught:
        export(CkanPublisher(portal.url, wrong, facts), titulo="Otro título")
    assert "no permite esta operación" in str(caught.value)
    assert wrong not in str(caught.value)
    assert shown(portal) == before


@pytest.mark.ckan
@pytest.mark.slow
def test_the_token_of_an_editor_is_enough(
    portal: CkanPortal, export: Any, facts: CatalogFacts
) -> None:
    administrator = RemoteCKAN(portal.url, apikey=portal.token)
    export(CkanPublisher(portal.url, portal.token, facts))  # makes the organisation and the group
    administrator.action.user_create(
        name="editora", email="editora@example.org", password="clave-de-prueba"
    )
    administrator.action.organization_member_create(
        id=facts.organizacion, username="editora", role="editor"
    )
    administrator.action.group_member_create(id="gove", username="editora", role="editor")
    token = administrator.action.api_token_create(user="editora", name="pruebas")["token"]
    result = export(CkanPublisher(portal.url, token, facts), titulo="Título de la editora")
    assert result.estado == "publicada"
    assert shown(portal)["title"] == "Título de la editora"


class Busy(BaseHTTPRequestHandler):
    """A portal that always says to come back later."""

    hits = 0

    def do_POST(self) -> None:
        type(self).hits += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(429)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_a_busy_portal_is_tried_a_few_times_and_then_explained(
    export: Any, facts: CatalogFacts
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        publisher = CkanPublisher(url, "secreto-del-portal", facts, attempts=3, max_wait=0.05)
        with pytest.raises(PortalError) as caught:
            export(publisher)
    finally:
        server.shutdown()
        server.server_close()
    assert Busy.hits == 3
    assert "respondió 429" in str(caught.value)
    assert "secreto" not in str(caught.value)


def test_a_portal_that_is_not_there_is_explained(export: Any, facts: CatalogFacts) -> None:
    publisher = CkanPublisher("http://127.0.0.1:9", "t0k3n", facts, attempts=2, max_wait=0.05)
    with pytest.raises(PortalError, match="no se pudo hablar con el portal"):
        export(publisher)


@pytest.mark.ckan
@pytest.mark.slow
def test_a_portal_without_the_datastore_is_told_at_once(
    portal: CkanPortal, export: Any, facts: CatalogFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CKAN answers to what none of its extensions knows; trying again would not help."""
    publisher = Spy(portal.url, portal.token, facts, max_wait=60.0)
    called = publisher.client.call
    names = {"datastore_search": "datastore_search_ausente"}
    monkeypatch.setattr(
        publisher.client, "call", lambda action, *rest: called(names.get(action, action), *rest)
    )
    with pytest.raises(PortalError, match="no tiene la acción datastore_search") as caught:
        export(publisher)
    assert "active la extensión `datastore`" in str(caught.value)
    assert publisher.writes.count("datastore_search_ausente") == 1


@pytest.mark.parametrize("url", ["ftp://portal", "portal", "https://ana:clave@portal.example.org"])
def test_an_address_that_cannot_be_used_is_refused(url: str, facts: CatalogFacts) -> None:
    with pytest.raises(PortalError) as caught:
        CkanPublisher(url, "t0k3n", facts)
    assert "clave@" not in str(caught.value)


def test_real_data_never_carry_the_example_address(export: Any, facts: CatalogFacts) -> None:
    real = facts.model_copy(update={"sintetico": False, "correo": "datos@example.org"})
    with pytest.raises(PortalError, match="que es un ejemplo"):
        export(CkanPublisher("http://127.0.0.1:9", "t0k3n", real), facts=real)

"""The folder portal: the same tree, Spanish pages, nothing sent twice, nothing half sent."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exports.approvals import approve
from exports.catalog import build_catalog
from exports.errors import PortalError
from exports.export import export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.pages import _cell
from exports.portal import LocalPublisher
from tests.exports.conftest import Connection, Define


class Links(HTMLParser):
    """Collects the addresses a page links to, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if tag == "a" and name == "href"]


def links(page: Path) -> list[str]:
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found


@pytest.fixture
def publisher(tmp_path: Path) -> LocalPublisher:
    return LocalPublisher(tmp_path / "portal", "https://datos.example.org/")


@pytest.fixture
def export(
    connection: Connection, define: Define, manifest: Manifest, facts: CatalogFacts, tmp_path: Path
) -> Any:
    """Approve, export and publish; gives back the result."""

    def run(publisher: LocalPublisher, **changes: Any) -> Any:
        definition = define(**changes)
        approve(connection, definition, "Comité", "Acta 1")
        connection.commit()
        return export_dataset(
            connection, definition, manifest, tmp_path / "salida", "corrida", publisher, facts=facts
        )

    return run


def test_the_tree_is_complete_and_sent_once(
    export: Any,
    connection: Connection,
    publisher: LocalPublisher,
    facts: CatalogFacts,
    tmp_path: Path,
) -> None:
    result = export(publisher)
    assert result.estado == "publicada" and result.address.endswith("proyectos-municipales")
    catalog = build_catalog(
        connection, ["proyectos-municipales"], tmp_path / "salida", publisher, facts=facts
    )
    assert publisher.publish_catalog(catalog.path).sent == (
        "data.json", "catalogo.jsonld", "catalogo.ttl", "index.html",
    )  # fmt: skip
    assert publisher.publish_catalog(catalog.path).sent == ()
    assert export(publisher).estado == "sin_cambios"
    tree = sorted(str(path.relative_to(publisher.root)) for path in publisher.root.rglob("*.*"))
    assert tree == [
        "catalogo.jsonld",
        "catalogo.ttl",
        "data.json",
        "index.html",
        "proyectos-municipales/datapackage.json",
        "proyectos-municipales/index.html",
        "proyectos-municipales/proyectos-municipales-diccionario.csv",
        "proyectos-municipales/proyectos-municipales-diccionario.md",
        "proyectos-municipales/proyectos.csv",
        "proyectos-municipales/proyectos.json",
    ]
    for item in catalog.document["dataset"][0]["distribution"]:
        path = publisher.root / item["downloadURL"].removeprefix("https://datos.example.org/")
        assert path.stat().st_size == item["byteSize"]


def test_every_link_of_the_pages_leads_somewhere(
    export: Any,
    connection: Connection,
    publisher: LocalPublisher,
    facts: CatalogFacts,
    tmp_path: Path,
) -> None:
    export(publisher)
    catalog = build_catalog(
        connection, ["proyectos-municipales"], tmp_path / "salida", publisher, facts=facts
    )
    publisher.publish_catalog(catalog.path)
    for page in publisher.root.rglob("index.html"):
        for link in links(page):
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in page.read_text("utf-8"), (page, link)
            elif not link.startswith(("https://creativecommons.org/", "mailto:")):
                assert (page.parent / link).is_file(), (page, link)


def test_the_first_rows_of_a_page_are_written_as_people_read(
    export: Any, publisher: LocalPublisher
) -> None:
    export(publisher)
    folder = publisher.root / "proyectos-municipales"
    page = (folder / "index.html").read_text("utf-8")
    assert '<td class="n">0,50</td><td>no</td>' in page
    assert '<td class="n">100,00</td><td>sí</td>' in page
    assert ",0.50,false," in (folder / "proyectos.csv").read_text("utf-8")  # for programs
    assert "3 filas, 6 columnas." in page


@pytest.mark.parametrize(
    ("text", "kind", "column", "said"),
    [
        ("4398655", "integer", "litros", "4.398.655"),
        ("-4156010.40", "number", "presupuesto", "-4.156.010,40"),
        ("2026", "integer", "anio", "2026"),
        ("1234567", "integer", "cuenta_id", "1234567"),
        ("", "number", "valor", ""),
    ],
)
def test_large_numbers_have_points_and_identifiers_none(
    text: str, kind: str, column: str, said: str
) -> None:
    assert _cell(text, kind, column) == f'<td class="n">{said}</td>'


def test_texts_of_the_pages_cannot_become_markup(export: Any, publisher: LocalPublisher) -> None:
    export(publisher, titulo="<script>alert(1)</script> & compañía")
    page = (publisher.root / "proyectos-municipales" / "index.html").read_text("utf-8")
    assert "<script>" not in page and "</script> &" not in page and "&lt;script&gt;" in page


def test_a_torn_set_of_files_is_never_published(
    export: Any, publisher: LocalPublisher, tmp_path: Path
) -> None:
    import json

    export(publisher)
    published = (publisher.root / "proyectos-municipales" / "proyectos.csv").read_bytes()
    folder = tmp_path / "salida" / "proyectos-municipales"
    package = json.loads((folder / "datapackage.json").read_text("utf-8"))
    (folder / "proyectos.csv").write_bytes(b"otra cosa")
    with pytest.raises(PortalError, match="no es el que describe"):
        publisher.publish(folder, package)
    assert (publisher.root / "proyectos-municipales" / "proyectos.csv").read_bytes() == published


def test_a_folder_that_cannot_be_written_is_explained(export: Any, tmp_path: Path) -> None:
    (tmp_path / "archivo").write_text("no es una carpeta")
    with pytest.raises(PortalError) as caught:
        export(LocalPublisher(tmp_path / "archivo", "https://datos.example.org"))
    assert "no se puede escribir" in str(caught.value)
    assert "permisos" in caught.value.next_step

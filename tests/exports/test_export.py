"""An export from its marts to its place: states, approvals, dates, and what stays when it fails."""

from __future__ import annotations

import copy
import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exports.approvals import approve, load_approvals
from exports.catalog import build_catalog
from exports.data_json import validate_catalog
from exports.errors import ExportError, PortalError
from exports.export import ExportResult, export_dataset, record_withheld
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.portal import FolderAddresses, LocalPublisher, Publisher, PublishResult
from tests.exports.conftest import MANIFEST, Connection, Define

NAME = "proyectos-municipales"
FIRST = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 7, 8, 12, tzinfo=dt.UTC)


class Exporter:
    """Exports the same definition again and again, as the daily run does."""

    def __init__(
        self, connection: Connection, define: Define, manifest: Manifest, facts: CatalogFacts,
        folder: Path,
    ) -> None:  # fmt: skip
        self.connection, self.define, self.manifest = connection, define, manifest
        self.facts, self.folder = facts, folder

    def __call__(
        self, now: dt.datetime = FIRST, publisher: Publisher | None = None, **changes: Any
    ) -> ExportResult:
        return export_dataset(
            self.connection, self.define(**changes), self.manifest, self.folder, "corrida-1",
            publisher, facts=self.facts, now=now,
        )  # fmt: skip

    def approve(self, **changes: Any) -> None:
        approve(self.connection, self.define(**changes), "Comité de datos", "Acta 1")
        self.connection.commit()

    def package(self) -> dict[str, Any]:
        text = (self.folder / NAME / "datapackage.json").read_text(encoding="utf-8")
        package: dict[str, Any] = json.loads(text)
        return package

    def states(self) -> list[str]:
        rows = self.connection.execute(
            "select estado from meta.publicacion order by publicacion_id"
        ).fetchall()
        self.connection.commit()
        return [row[0] for row in rows]

    def change_data(self, statement: str = "") -> None:
        self.connection.execute(
            (statement or "delete from proyectos.fct_proyecto where proyecto_id = 3").encode()
        )
        self.connection.commit()


@pytest.fixture
def exporter(
    connection: Connection, define: Define, manifest: Manifest, facts: CatalogFacts, tmp_path: Path
) -> Exporter:
    return Exporter(connection, define, manifest, facts, tmp_path / "publicacion")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_first_publication_waits_for_an_approval(exporter: Exporter) -> None:
    result = exporter()
    assert result.estado == "pendiente_aprobacion"
    assert "falta la aprobación" in result.reason
    assert not (exporter.folder / NAME).exists()
    waiting = exporter.folder / "pendientes" / NAME
    assert (waiting / "proyectos.csv").is_file()

    exporter.approve()
    result = exporter()
    assert result.estado == "exportada"
    assert result.rows == 3
    assert sorted(path.name for path in (exporter.folder / NAME).iterdir()) == [
        "datapackage.json",
        "proyectos-municipales-diccionario.csv",
        "proyectos-municipales-diccionario.md",
        "proyectos.csv",
        "proyectos.json",
    ]
    assert not waiting.exists()
    assert exporter.states() == ["pendiente_aprobacion", "exportada"]


def test_a_new_column_waits_and_the_approved_version_stays(
    exporter: Exporter, document: dict[str, Any]
) -> None:
    document["recursos"][0]["columnas"].remove("es_climatico")
    exporter.approve()
    exporter()
    before = contents(exporter.folder / NAME)
    document["recursos"][0]["columnas"].append("es_climatico")
    assert exporter().estado == "pendiente_aprobacion"
    assert contents(exporter.folder / NAME) == before
    exporter.approve()
    assert exporter().estado == "exportada"
    assert b"es_climatico" in (exporter.folder / NAME / "proyectos.csv").read_bytes()


def test_nothing_new_writes_nothing_and_keeps_the_dates(exporter: Exporter) -> None:
    exporter.approve()
    exporter(now=FIRST)
    before = contents(exporter.folder)
    times = {path: path.stat().st_mtime_ns for path in (exporter.folder / NAME).iterdir()}
    assert exporter(now=LATER).estado == "sin_cambios"
    assert contents(exporter.folder) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_issued_is_the_first_export_and_modified_the_last_change_of_content(
    exporter: Exporter,
) -> None:
    exporter.approve()
    exporter(now=FIRST)
    exporter.change_data()
    assert exporter(now=LATER).estado == "exportada"
    package = exporter.package()
    assert package["issued"] == "2026-07-01T09:00:00-03:00"
    assert package["modified"] == "2026-07-08T09:00:00-03:00"
    dictionary = next(item for item in package["resources"] if "diccionario" in item["path"])
    assert dictionary["modified"] == package["issued"]

    much_later = LATER + dt.timedelta(days=30)
    assert exporter(now=much_later, titulo="Otro título").estado == "exportada"
    assert exporter.package()["title"] == "Otro título"
    assert exporter.package()["modified"] == "2026-07-08T09:00:00-03:00"


def test_a_withheld_dataset_keeps_its_last_good_files(exporter: Exporter, define: Define) -> None:
    exporter.approve()
    exporter()
    before = contents(exporter.folder)
    exporter.change_data()
    result = record_withheld(
        exporter.connection, define(), "corrida-2", "falló el control proyecto_unico"
    )
    assert result.estado == "retenida"
    assert contents(exporter.folder) == before
    assert exporter.states() == ["exportada", "retenida"]


def test_a_disclosure_breach_withholds_and_says_so(
    exporter: Exporter, people_resource: dict[str, Any]
) -> None:
    exporter.approve(recursos=[people_resource])
    exporter(recursos=[people_resource])
    before = contents(exporter.folder)
    exporter.change_data("update poblacion.fct_beneficiarios set n_personas = 1")
    result = exporter(recursos=[people_resource])
    assert result.estado == "retenida" and result.error is not None
    assert "umbral mínimo" in result.reason
    assert contents(exporter.folder) == before
    row = exporter.connection.execute(
        "select motivo, archivos from meta.publicacion order by publicacion_id desc limit 1"
    ).fetchone()
    assert row == (result.reason, [])


def test_a_failure_half_way_leaves_the_last_good_version_whole(
    exporter: Exporter, document: dict[str, Any]
) -> None:
    second = dict(document["recursos"][0], nombre="otro", columnas=["avance_pct"])
    second |= {"orden": [], "mart": "poblacion.fct_beneficiarios"}
    second |= {"columnas": ["distrito"], "columna_fecha": None}
    recursos = [document["recursos"][0], second]
    exporter.approve(recursos=recursos)
    assert exporter(recursos=recursos).estado == "exportada"
    before = contents(exporter.folder)
    exporter.change_data()
    exporter.change_data("drop table poblacion.fct_beneficiarios")
    result = exporter(recursos=recursos)
    assert result.estado == "retenida"
    assert contents(exporter.folder) == before


def test_what_a_killed_run_left_behind_is_repaired(exporter: Exporter) -> None:
    exporter.approve()
    exporter()
    before = contents(exporter.folder)
    half = exporter.folder / ".preparacion" / NAME
    half.mkdir(parents=True)
    (half / "proyectos.csv").write_bytes(b"proyecto_id,proy")
    (exporter.folder / NAME / "proyectos.csv").write_bytes(b"proyecto_id,proy")
    (exporter.folder / NAME / ".proyectos.json.tmp").write_bytes(b"[")
    assert exporter(now=LATER).estado == "sin_cambios"
    assert contents(exporter.folder) == before


KILLED = """
import json, os, signal, sys
from pathlib import Path
import psycopg
from exports import export
from exports.definition import load_definition
from exports.manifest import Manifest
url, path, manifest, folder, after = sys.argv[1:]
whole, left = export.install, int(after)

def install(source, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return whole(source, target)

export.install = install
with psycopg.connect(url) as connection:
    export.export_dataset(connection, load_definition(Path(path)), Manifest(json.loads(manifest)),
                          Path(folder), "corrida-2")
"""


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_process_killed_while_files_are_put_in_place_tears_none_of_them(
    exporter: Exporter, warehouse_url: str, after: int
) -> None:
    exporter.approve()
    exporter()
    old = contents(exporter.folder / NAME)
    exporter.change_data()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, warehouse_url, str(exporter.define().ruta),
         json.dumps(MANIFEST), str(exporter.folder), str(after)],
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    torn = contents(exporter.folder / NAME)
    assert exporter(now=LATER).estado == "exportada"
    new = contents(exporter.folder / NAME)
    assert new["proyectos.csv"] != old["proyectos.csv"]
    for name, content in torn.items():
        if name != "datapackage.json":
            assert content in (old[name], new[name])
    assert torn["datapackage.json"] == old["datapackage.json"]


def test_a_resource_taken_away_disappears_from_folder_and_portal(
    exporter: Exporter, document: dict[str, Any], tmp_path: Path
) -> None:
    publisher = LocalPublisher(tmp_path / "portal", "https://datos.example.org")
    extra = dict(document["recursos"][0], nombre="otro", formatos=["csv"])
    both = [document["recursos"][0], extra]
    exporter.approve(recursos=both)
    exporter(publisher=publisher, recursos=both)
    assert (tmp_path / "portal" / NAME / "otro.csv").is_file()
    exporter.approve()
    assert exporter(publisher=publisher).estado == "publicada"
    assert not (exporter.folder / NAME / "otro.csv").exists()
    assert not (tmp_path / "portal" / NAME / "otro.csv").exists()


def test_the_record_names_files_hashes_and_the_build_they_come_from(exporter: Exporter) -> None:
    exporter.change_data(
        "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
        "ultima_carga_id) values ('c', 'proyectos.fct_proyecto', 'n', 'ok', 'x', 1), "
        "('c', 'proyectos.fct_proyecto', 'n', 'error', 'x', 2)"
    )
    exporter.approve()
    result = exporter()
    row = exporter.connection.execute(
        "select construccion_id, filas, archivos, definicion_sha256, fin from meta.publicacion"
    ).fetchone()
    assert row is not None
    assert row[:2] == (1, 3)
    assert [item["path"] for item in row[2]] == [f"{NAME}/{item.path}" for item in result.files]
    assert row[2][0]["sha256"] == result.files[0].sha256 and row[2][0]["rows"] == 3
    assert row[3] == exporter.define().sha256 and row[4] == FIRST


def test_an_approval_needs_a_name_and_a_reason_and_is_kept_once(
    connection: Connection, define: Define
) -> None:
    with pytest.raises(ExportError, match="necesita el nombre"):
        approve(connection, define(), " ", "porque sí")
    first = approve(connection, define(), "Ana", "Acta 1")
    assert approve(connection, define(), "Ana", "Acta 1") == first
    assert load_approvals(connection) == {NAME: frozenset({first})}
    assert connection.execute("select count(*) from meta.aprobacion").fetchone() == (1,)


def test_given_approvals_replace_those_of_the_warehouse(
    connection: Connection, define: Define, manifest: Manifest, tmp_path: Path
) -> None:
    approve(connection, define(), "Ana", "Acta 1")
    connection.commit()
    result = export_dataset(connection, define(), manifest, tmp_path, "c", approvals={})
    assert result.estado == "pendiente_aprobacion"


class BrokenPortal(LocalPublisher):
    """A portal that is down."""

    def publish(self, folder: Path, package: Mapping[str, Any]) -> PublishResult:
        raise PortalError("el portal no respondió", dataset=str(package["name"]))


def test_a_portal_that_is_down_is_told_and_gets_the_rest_next_time(
    exporter: Exporter, tmp_path: Path
) -> None:
    exporter.approve()
    broken = BrokenPortal(tmp_path / "portal", "https://datos.example.org")
    with pytest.raises(PortalError):
        exporter(publisher=broken)
    assert (exporter.folder / NAME / "proyectos.csv").is_file()
    working = LocalPublisher(tmp_path / "portal", "https://datos.example.org")
    result = exporter(publisher=working, now=LATER)
    assert result.estado == "publicada"
    assert exporter(publisher=working, now=LATER).estado == "sin_cambios"
    assert exporter.states() == ["exportada", "publicada", "sin_cambios"]
    assert exporter.package()["modified"] == exporter.package()["issued"]


def test_two_exports_of_a_dataset_take_turns(
    exporter: Exporter, warehouse_url: str, define: Define
) -> None:
    exporter.approve()
    with psycopg.connect(warehouse_url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"exports:{NAME}",))
        exporter.connection.execute("set lock_timeout = '200ms'")
        exporter.connection.commit()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            exporter()
    assert exporter().estado == "exportada"


def test_the_catalogue_holds_what_is_approved_and_exported(
    exporter: Exporter, tmp_path: Path
) -> None:
    addresses = FolderAddresses("https://datos.example.org")

    def build(*names: str) -> Any:
        return build_catalog(
            exporter.connection, names, exporter.folder, addresses, facts=exporter.facts
        )

    exporter()
    assert build(NAME).document["dataset"] == []
    exporter.approve()
    exporter()
    result = build(NAME, "todavia-no-exportado")
    assert result.changed and validate_catalog(result.document) == []
    assert json.loads(result.path.read_bytes()) == result.document
    (dataset,) = result.document["dataset"]
    assert dataset["identifier"] == NAME
    assert dataset["issued"] == "2026-07-01T09:00:00-03:00"
    assert dataset["temporal"] == "2026-01-31/2026-02-01"
    assert [item["fileName"] for item in dataset["distribution"]] == [
        "proyectos.csv", "proyectos.json", "proyectos-municipales-diccionario.csv",
        "proyectos-municipales-diccionario.md",
    ]  # fmt: skip
    assert not build(NAME).changed
    assert build().document["dataset"] == []


def test_the_catalogue_describes_what_is_published_not_what_is_being_written(
    exporter: Exporter,
) -> None:
    exporter.approve()
    exporter()
    exporter.define(titulo="Título que nadie exportó todavía")
    result = build_catalog(
        exporter.connection, [NAME], exporter.folder, FolderAddresses("https://datos.example.org"),
        facts=exporter.facts,
    )  # fmt: skip
    assert result.document["dataset"][0]["title"] == "Proyectos municipales"


def test_a_file_changed_by_hand_never_enters_the_catalogue(exporter: Exporter) -> None:
    exporter.approve()
    exporter()
    with (exporter.folder / NAME / "proyectos.csv").open("ab") as stream:
        stream.write(b"9,agregada a mano\r\n")
    with pytest.raises(ExportError, match="no es el que se exportó"):
        build_catalog(
            exporter.connection, [NAME], exporter.folder,
            FolderAddresses("https://datos.example.org"), facts=exporter.facts,
        )  # fmt: skip


def test_a_column_that_stopped_being_open_takes_a_new_approval_to_come_back(
    exporter: Exporter,
) -> None:
    exporter.approve()
    assert exporter().estado == "exportada"
    columns = MANIFEST["nodes"]["model.lujan.fct_proyecto"]["columns"]
    closed = copy.deepcopy(MANIFEST)
    closed["nodes"]["model.lujan.fct_proyecto"]["columns"]["avance_pct"] = {
        **columns["avance_pct"], "meta": {"clasificacion": "acceso_restringido"},
    }  # fmt: skip
    again, exporter.manifest = exporter.manifest, Manifest(closed)
    assert exporter().estado == "retenida"
    exporter.manifest = again
    assert exporter().estado == "pendiente_aprobacion"
    exporter.approve()
    assert exporter().estado == "sin_cambios"

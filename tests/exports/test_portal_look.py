"""What the portal shows to anybody is what the indicators are measured on."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ckanapi import RemoteCKAN

from exports.approvals import approve
from exports.ckan.addresses import ARCHIVE
from exports.ckan.publisher import CkanPublisher
from exports.definition import LoadedDefinitions
from exports.export import export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.publication import withdraw
from exports.versions import Journal
from orchestration import publishing
from orchestration.publishing import STRATEGIC_MART, look
from tests.exports.conftest import Connection, Define
from tests.support.ckan import CkanPortal

NAME = "proyectos-municipales"
OTHERS = "ordenanzas-de-otra-oficina"


@pytest.mark.ckan
@pytest.mark.slow
def test_a_look_notes_what_is_published_withdrawn_foreign_and_gone(
    portal: CkanPortal,
    connection: Connection,
    define: Define,
    manifest: Manifest,
    facts: CatalogFacts,
    tmp_path: Path,
) -> None:
    publisher = CkanPublisher(portal.url, portal.token, facts)
    admin = RemoteCKAN(portal.url, apikey=portal.token)

    def publish() -> None:
        approve(connection, define(), "Comité", "Acta 1")
        connection.commit()
        export_dataset(connection, define(), manifest, tmp_path, "c", publisher, facts=facts)

    def seen() -> dict[str, Any]:
        with psycopg.connect(connection.info.dsn, password=connection.info.password,
                             autocommit=True) as own:  # fmt: skip
            look(own, publisher, dt.datetime.now(dt.UTC))
            rows = own.execute(
                "select conjunto, situacion, es_propio, frecuencia, recursos from meta.portal_visto"
            ).fetchall()
        return {row[0]: row[1:] for row in rows}

    publish()
    admin.action.package_create(name=OTHERS, title="Ordenanzas", owner_org=facts.organizacion)
    first = seen()
    assert ARCHIVE not in first
    assert first[NAME][:3] == ("publicado", True, "R/P1M")
    csv = next(item for item in first[NAME][3] if item["archivo"] == "proyectos.csv")
    assert (csv["formato"], csv["mart"], csv["filas"]) == ("CSV", "proyectos.fct_proyecto", 3)
    assert first[OTHERS][:2] == ("publicado", False)

    admin.action.package_delete(id=OTHERS)
    journal = Journal(connection, NAME, publisher.portal, "c")
    withdraw(publisher, journal, connection, by="Comité", reason="Prueba")
    connection.commit()
    second = seen()
    assert second[NAME][0] == "retirado"
    assert second[OTHERS][0] == "ausente"
    publish()
    assert seen()[NAME][0] == "publicado"
    admin.action.dataset_purge(id=OTHERS)


@pytest.mark.ckan
@pytest.mark.slow
def test_strategic_indicators_are_counted_as_the_portal_shows_them(
    portal: CkanPortal, connection: Connection, define: Define, facts: CatalogFacts, tmp_path: Path
) -> None:
    """R40: of the rows anybody gets, also when the files are parts and compressed; not of ours."""
    name = "indicadores-de-prueba"
    columns = {"indicador_id": "integer", "es_estrategico": "boolean"}
    manifest = Manifest({"nodes": {"m": {
        "resource_type": "model", "schema": "proyectos", "name": "dim_indicador",
        "meta": {"clasificacion": "libre_acceso"},
        "columns": {
            column: {"data_type": kind, "description": column} for column, kind in columns.items()
        },
    }}})  # fmt: skip
    connection.execute(
        "create table proyectos.dim_indicador (indicador_id int, es_estrategico bool)"
    )
    connection.execute(
        "insert into proyectos.dim_indicador values (1, true), (2, true), (3, false), (4, null)"
    )
    resource = {"nombre": "indicadores", "titulo": "Indicadores", "orden": ["indicador_id"],
                "mart": STRATEGIC_MART, "columnas": list(columns), "formatos": ["csv"]}  # fmt: skip
    definition = define(name, recursos=[resource])
    approve(connection, definition, "Comité", "Acta 1")
    connection.commit()
    publisher = CkanPublisher(portal.url, portal.token, facts)
    export_dataset(
        connection, definition, manifest, tmp_path, "c", publisher, facts=facts, max_rows=3
    )
    connection.execute("update proyectos.dim_indicador set es_estrategico = true")
    connection.commit()

    with (
        pytest.MonkeyPatch.context() as patch,
        psycopg.connect(
            connection.info.dsn, password=connection.info.password, autocommit=True
        ) as own,
    ):
        patch.setattr(
            publishing, "load_definitions", lambda: LoadedDefinitions({name: definition}, ())
        )
        look(own, publisher)
        found = own.execute(
            "select r->>'archivo', r->>'mart', (r->>'estrategicos')::int from meta.portal_visto, "
            "jsonb_array_elements(recursos) as r where conjunto = %s order by 1", [name]
        ).fetchall()  # fmt: skip
    assert found == [
        ("indicadores-de-prueba-diccionario.csv", None, None),
        ("indicadores-de-prueba-diccionario.md", None, None),
        ("indicadores-parte-01.csv", STRATEGIC_MART, 2),
        ("indicadores-parte-02.csv", STRATEGIC_MART, None),
    ]

"""What the portal shows to anybody is what the indicators are measured on."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ckanapi import RemoteCKAN

from exports.ckan import ARCHIVE, CkanPublisher
from exports.export import approve, export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.publication import withdraw
from exports.versions import Journal
from orchestration.publishing import look
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

"""Metadata: the data package, the dictionary, and the strict check of the national profile."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exports.approvals import approve
from exports.catalog import build_catalog
from exports.data_json import validate_catalog
from exports.errors import ExportError
from exports.export import export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts, dictionary_csv, load_catalog_facts
from exports.portal import FolderAddresses
from tests.exports.conftest import Connection, Define

Published = tuple[dict[str, Any], dict[str, Any]]


_made: list[Published] = []


@pytest.fixture
def published(
    request: pytest.FixtureRequest, define: Define, manifest: Manifest, facts: CatalogFacts,
    tmp_path: Path,
) -> Published:  # fmt: skip
    """The data package and the catalogue of one published dataset; exported once, then copied."""
    if not _made:
        connection: Connection = request.getfixturevalue("connection")
        definition = define(advertencias=["El avance lo informa cada secretaría."])
        approve(connection, definition, "Comité", "Acta 1")
        connection.commit()
        export_dataset(connection, definition, manifest, tmp_path / "p", "corrida", facts=facts)
        result = build_catalog(
            connection, [definition.nombre], tmp_path / "p",
            FolderAddresses("https://x.example.org"), facts=facts,
        )  # fmt: skip
        package = tmp_path / "p" / definition.nombre / "datapackage.json"
        _made.append(
            (json.loads(package.read_text("utf-8")), json.loads(result.path.read_text("utf-8")))
        )
    return copy.deepcopy(_made[0])


def test_the_package_takes_types_and_texts_from_dbt(published: Published) -> None:
    package, _ = published
    table = package["resources"][0]
    assert table["path"] == "proyectos.csv" and table["rowCount"] == 3
    assert table["dialect"]["lineTerminator"] == "\r\n"
    assert table["hash"].startswith("sha256:") and len(table["hash"]) == 7 + 64
    fields = {field["name"]: field for field in table["schema"]["fields"]}
    assert fields["avance_pct"] == {
        "name": "avance_pct", "type": "number", "description": "Avance.", "unit": "%",
    }  # fmt: skip
    assert fields["es_climatico"]["type"] == "boolean"
    assert fields["fecha_inicio"]["type"] == "date"
    assert fields["actualizado_en"]["type"] == "datetime"
    assert package["licenses"][0]["name"] == "CC-BY-4.0"
    assert package["sources"] == [{"title": "Sistema de gestión de proyectos (MLC)"}]
    assert package["contributors"][1]["title"] == "Obras Públicas"


def test_synthetic_data_say_so_everywhere(published: Published) -> None:
    package, catalog = published
    assert package["synthetic"] is True
    assert package["warnings"][0].startswith("Datos sintéticos")
    assert "sintéticos" in catalog["title"]
    assert "Datos sintéticos" in catalog["dataset"][0]["description"]
    assert "El avance lo informa" in catalog["dataset"][0]["description"]


def test_the_dictionary_has_one_row_a_column(define: Define, manifest: Manifest) -> None:
    content, rows = dictionary_csv(define(), manifest)
    read = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert rows == len(read) == 6
    assert read[2] == {
        "recurso": "proyectos", "archivo": "proyectos.csv", "orden": "3", "campo": "avance_pct",
        "tipo": "number", "unidad": "%", "descripcion": "Avance.",
        "origen": "proyectos.fct_proyecto",
    }  # fmt: skip


def test_a_real_catalogue_keeps_the_national_profile(published: Published) -> None:
    _, catalog = published
    assert validate_catalog(catalog) == []
    dataset = catalog["dataset"][0]
    assert dataset["publisher"]["name"] == "Obras Públicas"
    assert dataset["superTheme"] == ["GOVE"] and dataset["theme"] == ["gove"]
    distribution = dataset["distribution"][0]
    assert distribution["downloadURL"] == (
        "https://x.example.org/proyectos-municipales/proyectos.csv"
    )
    assert distribution["field"][0] == {
        "title": "proyecto_id", "type": "integer", "description": "Identificador.",
    }  # fmt: skip


def _dataset(catalog: dict[str, Any]) -> dict[str, Any]:
    dataset: dict[str, Any] = catalog["dataset"][0]
    return dataset


BREACHES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no publisher mail": (lambda c: c["publisher"].pop("mbox"), "falta `publisher.mbox`"),
    "bad publisher mail": (lambda c: c["publisher"].update(mbox="datos"), "publisher.mbox"),
    "no taxonomy": (lambda c: c.pop("superThemeTaxonomy"), "falta `superThemeTaxonomy`"),
    "no datasets": (lambda c: c.pop("dataset"), "falta `dataset`"),
    "blank title": (lambda c: _dataset(c).update(title=" "), "falta `title`"),
    "day first": (lambda c: _dataset(c).update(issued="01/02/2025"), "no es una fecha ISO 8601"),
    "no such day": (lambda c: _dataset(c).update(issued="2025-02-30"), "no es una fecha ISO"),
    "no issued": (lambda c: _dataset(c).pop("issued"), "falta `issued`"),
    "modified before issued": (
        lambda c: _dataset(c).update(modified="2001-01-01"),
        "`modified` es anterior a `issued`",
    ),
    "frequency with a typo": (
        lambda c: _dataset(c).update(accrualPeriodicity="R/P1|"),
        "no es una frecuencia del perfil",
    ),
    "no theme": (lambda c: _dataset(c).update(superTheme=[]), "falta `superTheme`"),
    "unknown theme": (lambda c: _dataset(c).update(superTheme=["AGUA"]), "`superTheme` desc"),
    "local theme": (lambda c: _dataset(c).update(theme=["agua"]), "no está en themeTaxonomy"),
    "comma": (lambda c: _dataset(c).update(keyword=["agua, gas"]), "con coma o barra"),
    "slash": (lambda c: _dataset(c).update(keyword=["agua/gas"]), "con coma o barra"),
    "no distribution": (lambda c: _dataset(c).update(distribution=[]), "falta `distribution`"),
    "temporal upside down": (
        lambda c: _dataset(c).update(temporal="2026-02-01/2026-01-01"),
        "`temporal`",
    ),
    "language": (lambda c: _dataset(c).update(language=["es-AR"]), "ISO 639-3"),
    "two with one id": (
        lambda c: c["dataset"].append(copy.deepcopy(_dataset(c))),
        "`identifier` repetido",
    ),
    "no download": (
        lambda c: _dataset(c)["distribution"][0].pop("downloadURL"),
        "falta `downloadURL`",
    ),
    "not an address": (
        lambda c: _dataset(c)["distribution"][0].update(accessURL="archivo.csv"),
        "no es una dirección",
    ),
    "file name": (
        lambda c: _dataset(c)["distribution"][0].update(fileName="Mis Datos.csv"),
        "`fileName` no es ASCII",
    ),
    "long field": (
        lambda c: _dataset(c)["distribution"][0]["field"][0].update(title="a" * 61),
        "hasta 60 caracteres",
    ),
    "undescribed field": (
        lambda c: _dataset(c)["distribution"][0]["field"][0].pop("description"),
        "falta `description`",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_every_breach_of_the_profile_is_named(published: Published, name: str) -> None:
    _, catalog = published
    breach, words = BREACHES[name]
    breach(catalog)
    problems = validate_catalog(catalog)
    assert any(words in problem for problem in problems), problems


def test_a_catalogue_that_breaks_the_profile_is_not_written(
    connection: Connection, define: Define, manifest: Manifest, facts: CatalogFacts, tmp_path: Path
) -> None:
    approve(connection, define(), "Comité", "Acta 1")
    connection.commit()
    export_dataset(connection, define(), manifest, tmp_path, "corrida", facts=facts)
    name = define().nombre
    build_catalog(connection, [name], tmp_path, FolderAddresses("https://x.example.org"),
                  facts=facts)  # fmt: skip
    before = (tmp_path / "data.json").read_bytes()
    with pytest.raises(ExportError, match="no cumple el perfil nacional"):
        build_catalog(connection, [name], tmp_path, FolderAddresses("sin-esquema"), facts=facts)
    assert (tmp_path / "data.json").read_bytes() == before


def test_settings_replace_the_example_address() -> None:
    facts = load_catalog_facts()
    assert facts.placeholder_contact and not facts.sintetico
    given = load_catalog_facts(correo="datos@ejemplo.gob.ar", portal="https://datos.gob.ar/")
    assert not given.placeholder_contact and given.portal == "https://datos.gob.ar"
    with pytest.raises(ExportError, match="correo"):
        load_catalog_facts(correo="sin arroba")

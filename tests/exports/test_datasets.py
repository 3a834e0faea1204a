"""The city's own definitions, against the marts as dbt describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.definition import DATASETS_DIR, load_definitions
from exports.disclosure import INDIVIDUAL_COLUMNS, check_request
from exports.manifest import Manifest, load_manifest
from exports.metadata import load_catalog_facts
from exports.review import draft, review
from orchestration.dbt_project import ensure_manifest

NAMES = sorted(path.stem for path in DATASETS_DIR.glob("*.yaml"))


@pytest.fixture(scope="module")
def dbt_manifest() -> Manifest:
    """The manifest of the project as it stands; needs neither database nor network."""
    return load_manifest(ensure_manifest())


def test_every_document_can_be_used() -> None:
    definitions, errors = load_definitions()
    assert [str(error) for error in errors] == []
    assert sorted(definitions) == NAMES
    assert len(NAMES) >= 15


@pytest.mark.parametrize(
    "mart",
    [
        "inventario.dim_dataset", "proyectos.fct_proyecto", "proyectos.dim_indicador",
        "gobernanza.kpi_comite", "agua.fct_consumo_mensual_zona", "agua.fct_calidad_agua",
        "agua.dim_elemento_red", "poblacion.fct_solicitudes_vecinales",
        "proyectos.kpi_cumplimiento_secretaria", "poblacion.fct_encuesta_habilidades",
        "calidad.kpi_calidad_dataset",
    ],
)  # fmt: skip
def test_every_kind_of_the_citys_data_has_a_dataset(mart: str) -> None:
    """Inventory, projects, indicators, KPIs, water by zone, water quality, infrastructure,
    requests, budget, survey and quality scores."""
    published = {mart for item in load_definitions().definitions.values() for mart in item.marts}
    assert mart in published


@pytest.mark.parametrize("name", NAMES)
def test_every_column_exists_is_described_and_may_leave(name: str, dbt_manifest: Manifest) -> None:
    check_request(load_definitions().definitions[name], dbt_manifest)


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_for_a_page(name: str) -> None:
    definition = load_definitions().definitions[name]
    assert len(definition.descripcion) >= 80 and definition.descripcion.strip().endswith(".")
    assert len(definition.titulo) <= 90
    assert len(definition.etiquetas) >= 3
    for resource in definition.recursos:
        assert resource.descripcion and resource.orden


def test_no_definition_reaches_accounts_meters_or_persons() -> None:
    for definition in load_definitions().definitions.values():
        for resource in definition.recursos:
            assert not INDIVIDUAL_COLUMNS & set(resource.columnas)


def test_titles_tell_datasets_apart() -> None:
    titles = [definition.titulo for definition in load_definitions().definitions.values()]
    assert len(set(titles)) == len(titles)


def test_the_catalogue_facts_can_be_used() -> None:
    facts = load_catalog_facts()
    assert facts.editor and facts.organizacion


@pytest.mark.parametrize(
    "mart",
    [
        "agua.dim_zona", "agua.fct_consumo_mensual_zona", "agua.kpi_cobertura_micromedicion",
        "poblacion.fct_solicitudes_vecinales",
    ],
)  # fmt: skip
def test_a_draft_of_figures_about_people_takes_care_of_them(
    mart: str, dbt_manifest: Manifest, tmp_path: Path
) -> None:
    facts = {
        "titulo": "Otro conjunto", "recurso": "otro", "tema": "ENVI", "frecuencia": "R/P1M",
        "secretaria": "Obras Públicas", "fuentes": ["Aguas"],
    }  # fmt: skip
    text, _ = draft(dbt_manifest.mart(mart), dbt_manifest, facts)
    path = tmp_path / "otro-conjunto.yaml"
    path.write_text(text, encoding="utf-8")

    assert [item for item in review(path, dbt_manifest) if item.blocking] == []
    assert "diferencia_minima: 10" in text

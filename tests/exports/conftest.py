"""A real PostgreSQL with two small marts, and the definition, manifest and facts to export them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from exports.definition import DatasetDefinition, load_definition
from exports.manifest import Manifest
from exports.metadata import CatalogFacts, load_catalog_facts

Connection = psycopg.Connection[Any]

MARTS_SQL = """
create table proyectos.fct_proyecto (
    proyecto_id integer, proyecto_nombre text, avance_pct numeric(5,2), es_climatico boolean,
    fecha_inicio date, actualizado_en timestamptz, responsable text, sin_describir text
);
insert into proyectos.fct_proyecto values
    (2, 'Plaza "Norte", etapa 2', 0.5, false, null, '2026-06-02 03:00+00', 'Ana', 'x'),
    (1, 'Cañería Perdriel', 100, true, '2026-01-31', '2026-06-01 12:30:00.5+00', 'Luis', 'y'),
    (3, E'=HYPERLINK("http://x")\\nsegunda línea', null, null, '2026-02-01', null, null, 'z');
create table poblacion.fct_beneficiarios (
    distrito text, genero text, n_personas integer, edad_promedio numeric(5,2)
);
insert into poblacion.fct_beneficiarios values
    ('Agrelo', 'Femenino', 12, 40.25), ('Agrelo', 'Masculino', 30, 38), ('Ciudad', null, 11, 50);
create table agua.fct_cuenta (cuenta_id integer, consumo_m3 numeric(12,3));
"""

MANIFEST: dict[str, Any] = {
    "nodes": {
        "model.lujan.fct_proyecto": {
            "resource_type": "model",
            "schema": "proyectos",
            "name": "fct_proyecto",
            "alias": "fct_proyecto",
            "description": "Proyectos.",
            "meta": {},
            "config": {"meta": {"clasificacion": "libre_acceso"}},
            "columns": {
                "proyecto_id": {"data_type": "integer", "description": "Identificador."},
                "proyecto_nombre": {"data_type": "text", "description": "Nombre."},
                "avance_pct": {
                    "data_type": "numeric(5,2)",
                    "description": "Avance.",
                    "config": {"meta": {"unidad": "%"}},
                },
                "es_climatico": {"data_type": "boolean", "description": "Plan climático."},
                "fecha_inicio": {"data_type": "date", "description": "Comienzo."},
                "actualizado_en": {"data_type": "timestamptz", "description": "Último cambio."},
                "responsable": {
                    "data_type": "text",
                    "description": "Persona a cargo.",
                    "meta": {"clasificacion": "acceso_restringido"},
                },
                "sin_describir": {"data_type": "text", "description": ""},
            },
        },
        "model.lujan.fct_beneficiarios": {
            "resource_type": "model",
            "schema": "poblacion",
            "name": "fct_beneficiarios",
            "description": "Beneficiarios por distrito y género.",
            "columns": {
                name: {
                    "data_type": pg_type,
                    "description": f"Columna {name}.",
                    "meta": {"clasificacion": "libre_acceso"},
                }
                for name, pg_type in (
                    ("distrito", "text"),
                    ("genero", "text"),
                    ("n_personas", "integer"),
                    ("edad_promedio", "numeric(5,2)"),
                )
            },
        },
        "model.lujan.fct_cuenta": {
            "resource_type": "model",
            "schema": "agua",
            "name": "fct_cuenta",
            "meta": {"clasificacion": "libre_acceso"},
            "columns": {
                "cuenta_id": {"data_type": "integer", "description": "Cuenta."},
                "consumo_m3": {"data_type": "numeric(12,3)", "description": "Consumo."},
            },
        },
        "test.lujan.unique": {"resource_type": "test", "schema": "x", "name": "unique"},
    }
}

DOCUMENT: dict[str, Any] = {
    "titulo": "Proyectos municipales",
    "descripcion": "Proyectos del plan de gobierno. Uno por fila.",
    "tema": "GOVE",
    "etiquetas": ["proyectos", "gobierno"],
    "frecuencia": "R/P1M",
    "secretaria": "Obras Públicas",
    "contacto": {"nombre": "Equipo de datos"},
    "fuentes": ["Sistema de gestión de proyectos (MLC)"],
    "recursos": [
        {
            "nombre": "proyectos",
            "titulo": "Proyectos",
            "mart": "proyectos.fct_proyecto",
            "columnas": [
                "proyecto_id",
                "proyecto_nombre",
                "avance_pct",
                "es_climatico",
                "fecha_inicio",
                "actualizado_en",
            ],
            "orden": ["proyecto_id"],
            "formatos": ["csv", "json"],
            "columna_fecha": "fecha_inicio",
        }
    ],
}

PEOPLE_RESOURCE: dict[str, Any] = {
    "nombre": "beneficiarios",
    "titulo": "Beneficiarios",
    "mart": "poblacion.fct_beneficiarios",
    "columnas": ["distrito", "genero", "n_personas", "edad_promedio"],
    "divulgacion": {
        "columna_conteo": "n_personas",
        "umbral_minimo": 10,
        "medidas": ["edad_promedio"],
    },
}

Define = Callable[..., DatasetDefinition]


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[Connection]:
    """A connection to a migrated warehouse with the small marts."""
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(MARTS_SQL.encode())
        connection.commit()
        yield connection


@pytest.fixture
def document() -> dict[str, Any]:
    """A correct document, to be changed by the test."""
    return copy.deepcopy(DOCUMENT)


@pytest.fixture
def define(tmp_path: Path, document: dict[str, Any]) -> Define:
    """Write a document (default: the correct one) and read it back as a definition."""

    def write(name: str = "proyectos-municipales", **changes: Any) -> DatasetDefinition:
        folder = tmp_path / "definiciones"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump({**document, **changes}, allow_unicode=True), encoding="utf-8"
        )
        return load_definition(path)

    return write


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(copy.deepcopy(MANIFEST))


@pytest.fixture
def people_resource() -> dict[str, Any]:
    return copy.deepcopy(PEOPLE_RESOURCE)


@pytest.fixture
def facts() -> CatalogFacts:
    return load_catalog_facts(sintetico=True)

"""Definitions: what city staff may write, and what they are told when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from exports.definition import columns_fingerprint, load_definition, load_definitions
from exports.errors import DefinitionError
from tests.exports.conftest import Define


def refuse(tmp_path: Path, document: dict[str, Any], name: str = "proyectos") -> str:
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        load_definition(path)
    return str(caught.value)


def test_a_correct_document_gives_its_marts_and_files(define: Define) -> None:
    definition = define()
    assert definition.nombre == "proyectos-municipales"
    assert definition.marts == ("proyectos.fct_proyecto",)
    assert definition.recursos[0].file_names == ("proyectos.csv", "proyectos.json")
    assert definition.licencia == "CC-BY-4.0"


@pytest.mark.parametrize(
    ("file", "owned"),
    [
        ("proyectos.csv", True), ("proyectos.json.gz", True), ("proyectos-parte-01.csv", True),
        ("proyectos-parte-12.csv.gz", True), ("proyectos.xlsx", False), ("proyectos-x.csv", False),
        ("proyectos-municipales-diccionario.csv", False), ("otros-proyectos.csv", False),
    ],
)  # fmt: skip
def test_a_resource_knows_its_files_by_any_of_their_names(
    define: Define, file: str, owned: bool
) -> None:
    assert define().recursos[0].owns(file) is owned


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("frecuencia", "R/P1|", "'R/P1|' no es uno de"),
        ("frecuencia", "mensual", "`frecuencia`"),
        ("tema", "AGUA", "`tema`"),
        ("licencia", "todos los derechos", "`licencia`"),
        ("titulo", "", "`titulo`: está vacío"),
        ("etiquetas", ["agua, consumo"], "`etiquetas.0`: una etiqueta no lleva comas"),
        ("contacto", {"nombre": "X", "correo": "sin arroba"}, "`contacto.correo`"),
        ("recursos", [], "`recursos`: la lista está vacía"),
        ("color", "rojo", "`color`: no es una clave conocida"),
        ("nombre", "otro", "`nombre` no se escribe"),
    ],
)
def test_a_wrong_field_is_named(
    tmp_path: Path, document: dict[str, Any], field: str, value: Any, words: str
) -> None:
    message = refuse(tmp_path, {**document, field: value})
    assert words in message
    assert "definición proyectos.yaml" in message
    assert "Qué hacer" in message
    assert "Obras Públicas" in message or field == "nombre"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mart": "fct_proyecto"}, "escríbalo como 'esquema.tabla'"),
        ({"mart": "raw.mlc__proyectos"}, "'raw' es un esquema interno"),
        ({"mart": "staging.stg_mlc__proyectos"}, "'staging' es un esquema interno"),
        ({"columnas": ["Proyecto"]}, "no es un nombre de columna publicable"),
        ({"columnas": ["a", "a"]}, "`columnas` repite: a"),
        ({"orden": ["responsable"]}, "`orden` nombra columnas que no están en `columnas`"),
        ({"formatos": ["xls"]}, "'xls' no es uno de 'csv', 'json', "),
        ({"nombre": "Mis Proyectos"}, "use minúsculas sin acentos"),
        ({"filtros": [{"columna": "avance_pct", "operador": "mayor"}]}, "necesita `valor`"),
        ({"filtros": [{"columna": "avance_pct", "operador": "en", "valor": 1}]}, "una lista"),
        ({"divulgacion": {"columna_conteo": "n"}}, "nombra columnas que no están"),
        (
            {"divulgacion": {"columna_conteo": "proyecto_id", "umbral_minimo": 4}},
            "necesita `justificacion`",
        ),
        (
            {"divulgacion": {"columna_conteo": "proyecto_id", "umbral_minimo": 2}},
            "debe ser al menos 3",
        ),
    ],
)
def test_a_wrong_resource_is_named(
    tmp_path: Path, document: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    document["recursos"][0].update(change)
    message = refuse(tmp_path, document)
    assert words in message
    assert "recursos.0" in message


@pytest.mark.parametrize("name", ["Proyectos", "proyectos_2024", "cañerías", "a--b", "-a"])
def test_file_names_are_hyphenated_ascii(
    tmp_path: Path, document: dict[str, Any], name: str
) -> None:
    assert "use minúsculas sin acentos" in refuse(tmp_path, document, name)


def test_one_broken_document_leaves_the_others(define: Define, tmp_path: Path) -> None:
    define()
    (tmp_path / "definiciones" / "rota.yaml").write_text("titulo: [sin cerrar", encoding="utf-8")
    (tmp_path / "definiciones" / "vacia.yaml").write_text("", encoding="utf-8")
    loaded = load_definitions(tmp_path / "definiciones")
    assert list(loaded.definitions) == ["proyectos-municipales"]
    assert [error.dataset for error in loaded.errors] == ["rota", "vacia"]
    assert loaded.names == ("proyectos-municipales", "rota", "vacia")


def test_a_missing_folder_is_an_error_not_an_empty_catalogue(tmp_path: Path) -> None:
    definitions, errors = load_definitions(tmp_path / "nada")
    assert definitions == {} and "no existe la carpeta" in str(errors[0])


def test_the_fingerprint_covers_what_leaves_and_nothing_else(
    define: Define, document: dict[str, Any]
) -> None:
    resource = document["recursos"][0]
    before = columns_fingerprint(define())
    resource["columnas"].reverse()
    resource["formatos"] = ["csv"]
    assert columns_fingerprint(define(titulo="Otro título")) == before
    for change in (
        {"columnas": [*resource["columnas"], "responsable"]},
        {"filtros": [{"columna": "avance_pct", "operador": "mayor", "valor": 0}]},
        {"divulgacion": {"columna_conteo": "proyecto_id", "umbral_minimo": 5}},
        {"mart": "proyectos.dim_proyecto"},
    ):
        assert columns_fingerprint(define(recursos=[{**resource, **change}])) != before

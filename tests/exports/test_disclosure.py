"""The last guard: what is refused, whoever asks, and what the person on duty is told."""

from __future__ import annotations

from typing import Any

import pytest

from exports import files
from exports.disclosure import check_request, check_rows
from exports.errors import DefinitionError, DisclosureError
from exports.manifest import Manifest, check_definition
from tests.exports.conftest import Connection, Define


def test_a_correct_definition_passes(define: Define, manifest: Manifest) -> None:
    check_request(define(), manifest)


@pytest.mark.parametrize(
    ("column", "error", "words"),
    [
        ("responsable", DisclosureError, "es de 'acceso_restringido'"),
        ("sin_describir", DefinitionError, "no tiene descripción"),
        ("inexistente", DefinitionError, "no existe en proyectos.fct_proyecto"),
    ],
)
def test_only_described_open_columns_leave(
    define: Define,
    document: dict[str, Any],
    manifest: Manifest,
    column: str,
    error: type[Exception],
    words: str,
) -> None:
    document["recursos"][0]["columnas"].append(column)
    with pytest.raises(error) as caught:
        check_request(define(), manifest)
    message = str(caught.value)
    assert words in message and column in message
    assert "proyectos-municipales" in message and "Obras Públicas" in message


def test_unclassified_means_restricted(define: Define, manifest: Manifest) -> None:
    nodes = {
        "m": {
            "resource_type": "model",
            "schema": "proyectos",
            "name": "fct_proyecto",
            "columns": {
                name: {"data_type": "text", "description": "x"}
                for name in define().recursos[0].columnas
            },
        }
    }
    errors = check_definition(define(), Manifest({"nodes": nodes}))
    assert len(errors) == len(define().recursos[0].columnas)
    assert all("no tiene clasificación" in str(error) for error in errors)


def test_a_restricted_column_cannot_choose_the_rows(
    define: Define, document: dict[str, Any], manifest: Manifest
) -> None:
    document["recursos"][0]["filtros"] = [{"columna": "responsable", "valor": "Ana"}]
    with pytest.raises(DisclosureError, match="responsable"):
        check_request(define(), manifest)


def test_an_unknown_mart_names_its_neighbours(
    define: Define, document: dict[str, Any], manifest: Manifest
) -> None:
    document["recursos"][0]["mart"] = "proyectos.fct_proyectos"
    with pytest.raises(DefinitionError, match=r"proyectos\.fct_proyecto"):
        check_request(define(), manifest)


def test_a_mart_of_accounts_never_leaves_even_if_classified_open(
    define: Define, manifest: Manifest
) -> None:
    resource = {
        "nombre": "consumo",
        "titulo": "Consumo",
        "mart": "agua.fct_cuenta",
        "columnas": ["consumo_m3"],
    }
    with pytest.raises(DisclosureError) as caught:
        check_request(define(recursos=[resource]), manifest)
    assert "una fila por persona, cuenta o medidor (tiene cuenta_id)" in str(caught.value)
    assert "publique un mart agregado" in caught.value.next_step


def test_data_on_people_need_a_threshold(
    define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    del people_resource["divulgacion"]
    with pytest.raises(DisclosureError, match="no declara `divulgacion`"):
        check_request(define(recursos=[people_resource]), manifest)


def test_gender_crossed_with_anything_needs_ten_or_a_written_reason(
    define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    people_resource["divulgacion"]["umbral_minimo"] = 5
    with pytest.raises(DisclosureError, match=r"cruza genero.*al menos 10"):
        check_request(define(recursos=[people_resource]), manifest)
    people_resource["divulgacion"]["justificacion"] = "Acta 12 del comité."
    check_request(define(recursos=[people_resource]), manifest)
    people_resource["columnas"].remove("distrito")
    del people_resource["divulgacion"]["justificacion"]
    check_request(define(recursos=[people_resource]), manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update poblacion.fct_beneficiarios set n_personas = 9 where distrito = 'Ciudad'",
         "1 filas publican n_personas menor que 10"),
        ("update poblacion.fct_beneficiarios set n_personas = null where distrito = 'Ciudad'",
         "1 filas suprimidas todavía muestran edad_promedio"),
        ("update poblacion.fct_beneficiarios set n_personas = null, edad_promedio = null "
         "where distrito = 'Ciudad'", ""),
    ],
)  # fmt: skip
def test_small_cells_are_refused_unless_suppressed_with_their_measures(
    connection: Connection,
    define: Define,
    people_resource: dict[str, Any],
    manifest: Manifest,
    change: str,
    words: str,
) -> None:
    definition = define(recursos=[people_resource])
    with files.snapshot(connection):
        check_rows(connection, definition, manifest)
    connection.execute(change.encode())
    connection.commit()
    if not words:
        with files.snapshot(connection):
            check_rows(connection, definition, manifest)
        return
    with pytest.raises(DisclosureError) as caught, files.snapshot(connection):
        check_rows(connection, definition, manifest)
    assert words in str(caught.value)
    assert caught.value.next_step and caught.value.owner == "Obras Públicas"


@pytest.mark.parametrize(("margin", "refused"), [(["distrito"], True), ([], True), (None, False)])
def test_one_hidden_cell_under_a_published_total_is_refused(
    connection: Connection,
    define: Define,
    people_resource: dict[str, Any],
    manifest: Manifest,
    margin: list[str] | None,
    refused: bool,
) -> None:
    people_resource["divulgacion"]["margenes"] = [] if margin is None else [margin]
    connection.execute(
        "update poblacion.fct_beneficiarios set n_personas = null, edad_promedio = null "
        "where genero = 'Femenino'"
    )
    connection.commit()
    definition = define(recursos=[people_resource])
    if refused:
        with (
            pytest.raises(DisclosureError, match="supresión complementaria"),
            files.snapshot(connection),
        ):
            check_rows(connection, definition, manifest)
    else:
        with files.snapshot(connection):
            check_rows(connection, definition, manifest)

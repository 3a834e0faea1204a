"""The last guard: what is refused, whoever asks, and what the person on duty is told."""

from __future__ import annotations

from pathlib import Path
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


def test_a_hidden_total_gives_nothing_back(
    connection: Connection, define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    people_resource["divulgacion"] |= {
        "margenes": [["distrito"]],
        "fila_total": {"columna": "genero", "valor": "Total"},
    }
    connection.execute(
        "insert into poblacion.fct_beneficiarios values ('Agrelo', 'Total', 42, 39), "
        "('Vistalba', 'Femenino', null, null), ('Vistalba', 'Total', null, null)"
    )
    connection.commit()
    definition = define(recursos=[people_resource])
    with files.snapshot(connection):
        check_rows(connection, definition, manifest)
    connection.execute(
        "update poblacion.fct_beneficiarios set n_personas = 11 "
        "where distrito = 'Vistalba' and genero = 'Total'"
    )
    connection.commit()
    with (
        pytest.raises(DisclosureError, match="1 grupos de"),
        files.snapshot(connection),
    ):
        check_rows(connection, definition, manifest)


@pytest.fixture
def zones_resource() -> dict[str, Any]:
    return {
        "nombre": "consumo",
        "titulo": "Consumo",
        "mart": "agua.fct_zona",
        "columnas": ["zona_id", "cuentas", "litros"],
        "formatos": ["csv"],
        "divulgacion": {
            "columna_conteo": "cuentas",
            "umbral_minimo": 10,
            "medidas": ["litros"],
            "dominancia": {"columna": "participacion_mayor_pct", "maximo_pct": 50},
        },
    }


@pytest.fixture
def zones(connection: Connection) -> Manifest:
    """Consumption by zone: one zone is safe, one small, one dominated by a single account."""
    connection.execute(
        "create table agua.fct_zona (zona_id int, cuentas int, litros bigint, "
        "participacion_mayor_pct numeric(5,1)); "
        "insert into agua.fct_zona values (1, 40, 900, 8.5), (2, 3, 70, 40), (3, 25, 800, 91.2)"
    )
    connection.commit()
    described = {"description": "x", "meta": {"clasificacion": "libre_acceso"}}
    columns = {
        name: {"data_type": "bigint", **described} for name in ("zona_id", "cuentas", "litros")
    }
    columns["participacion_mayor_pct"] = {"data_type": "numeric(5,1)", "description": "x"}
    node = {"resource_type": "model", "schema": "agua", "name": "fct_zona", "columns": columns}
    return Manifest({"nodes": {"m": node}})


def test_a_cell_dominated_by_one_account_is_refused(
    connection: Connection, define: Define, zones_resource: dict[str, Any], zones: Manifest
) -> None:
    zones_resource["filtros"] = [{"columna": "zona_id", "operador": "distinto", "valor": 2}]
    definition = define(recursos=[zones_resource])
    check_request(definition, zones)
    with (
        pytest.raises(DisclosureError, match=r"en 1 filas .* supera el 50 %"),
        files.snapshot(connection),
    ):
        check_rows(connection, definition, zones)


def test_unsafe_rows_can_be_left_out_and_are_counted(
    connection: Connection,
    define: Define,
    zones_resource: dict[str, Any],
    zones: Manifest,
    tmp_path: Path,
) -> None:
    zones_resource["divulgacion"]["celdas_inseguras"] = "omitir"
    definition = define(recursos=[zones_resource])
    with files.snapshot(connection):
        check_rows(connection, definition, zones)
        files.write_dataset(connection, definition, zones, tmp_path)
        omitted = files.omitted_rows(
            connection, definition.recursos[0], zones.mart("agua.fct_zona")
        )
    assert (tmp_path / "consumo.csv").read_bytes() == b"zona_id,cuentas,litros\r\n1,40,900\r\n"
    assert omitted == 2


def test_a_guard_column_that_does_not_exist_is_an_error(
    define: Define, zones_resource: dict[str, Any], zones: Manifest
) -> None:
    zones_resource["divulgacion"]["dominancia"]["columna"] = "otra"
    with pytest.raises(DisclosureError, match="usa otra, que no existe"):
        check_request(define(recursos=[zones_resource]), zones)


A, B, C = "Agrelo", "Barrancas", "Chacras"
F, M, X = "Femenino", "Masculino", "No binario"
# Persons by district and gender; the two small cells are hidden in every case.
CROSSED = {(A, F): 50, (A, M): 44, (A, X): 2, (B, F): 30, (B, M): 33, (B, X): 14,
           (C, F): 29, (C, M): 21, (C, X): 5}  # fmt: skip


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        ({(A, X), (C, X)}, "una sola celda suprimida"),
        # Two a row and two a column; but the two of the last column add up to seven.
        ({(A, X), (A, M), (C, X), (C, M)}, "se deducen"),
        ({(A, X), (A, M), (C, X), (C, M), (B, X), (B, M)}, None),
        ({(A, X), (A, F), (C, X), (C, F), ("Total", X), ("Total", F)}, None),
    ],
    ids=["alone in their rows", "small square", "wide enough", "totals hidden too"],
)
def test_a_crossed_table_is_solved_with_its_totals_of_both_kinds(
    connection: Connection,
    define: Define,
    people_resource: dict[str, Any],
    manifest: Manifest,
    hidden: set[tuple[str, str]],
    words: str | None,
) -> None:
    table = dict(CROSSED)
    for district in (A, B, C):
        table[district, "Total"] = sum(n for (d, _), n in CROSSED.items() if d == district)
    for gender in (F, M, X):
        table["Total", gender] = sum(n for (_, g), n in CROSSED.items() if g == gender)
    table["Total", "Total"] = sum(CROSSED.values())
    connection.execute("truncate poblacion.fct_beneficiarios")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into poblacion.fct_beneficiarios values (%s, %s, %s, null)",
            [(*cell, None if cell in hidden else n) for cell, n in table.items()],
        )
    connection.commit()
    people_resource["divulgacion"] |= {
        "margenes": [["distrito"], ["genero"]],
        "fila_total": [
            {"columna": "distrito", "valor": "Total"}, {"columna": "genero", "valor": "Total"},
        ],
    }  # fmt: skip
    definition = define(recursos=[people_resource])
    with files.snapshot(connection):
        if words is None:
            check_rows(connection, definition, manifest)
        else:
            with pytest.raises(DisclosureError, match=words):
                check_rows(connection, definition, manifest)


def test_a_margin_of_a_crossed_table_leaves_out_exactly_one_column(
    define: Define, people_resource: dict[str, Any]
) -> None:
    people_resource["divulgacion"] |= {
        "margenes": [["distrito", "genero"]],
        "fila_total": [
            {"columna": "distrito", "valor": "Total"}, {"columna": "genero", "valor": "Total"},
        ],
    }  # fmt: skip
    with pytest.raises(DefinitionError, match="deja afuera exactamente una"):
        define(recursos=[people_resource])

"""Texts that leave name nobody: what is found, by which keys, and that no value is repeated."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from expectations.marts import run_suite
from expectations.personal_texts import RULE, guarded
from expectations.suite_files import Expectation, Suite

PERSONAL = [
    "A pedido de la vecina, DNI 30.123.456",
    "documento nº 30123456",
    "CUIL 27-30123456-3",
    "consultar al Tel. 261 555 0123",
    "escribir a juana@example.com",
]
HARMLESS = [
    "Obra de 30.123.456 pesos",
    "Plaza Departamental, expediente 2026-12345",
    "consultas@lujandecuyo.gob.ar",
    "Ordenanza 13.456",
    None,
]


def suite(*more: Expectation) -> Suite:
    columns = Expectation(
        "expect_table_columns_to_match_set", {"column_set": ["proyecto_id", "descripcion"]},
        None, "bloqueante", "consistencia", "Están las columnas.",
    )  # fmt: skip
    return Suite("prueba.fct_proyecto", "Proyectos.", (columns, *more), None, Path("suite.yaml"))


@pytest.fixture
def projects(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("create schema prueba")
    connection.execute("create table prueba.fct_proyecto (proyecto_id int, descripcion text)")
    return connection


def test_rows_with_a_persons_data_fail_by_their_key_and_the_value_is_said_nowhere(
    projects, warehouse_url, tmp_path
) -> None:
    for number, text in enumerate([*HARMLESS, *PERSONAL], 1):
        projects.execute("insert into prueba.fct_proyecto values (%s, %s)", [number, text])
    docs = tmp_path / "calidad"

    *_, found = run_suite(guarded(suite(), ["descripcion"], ["proyecto_id"]), warehouse_url, docs)

    assert (found.paso, found.severidad, found.regla) == (False, "bloqueante", RULE)
    assert found.control == f"prueba.fct_proyecto.descripcion.{RULE}"
    assert found.filas_fallidas == len(PERSONAL)
    assert sorted(key["proyecto_id"] for key in found.muestra) == [6, 7, 8, 9, 10]
    said = str(found) + "".join(p.read_text() for p in docs.rglob("*.html"))
    assert not any(text and text in said for text in PERSONAL)


def test_texts_that_name_nobody_pass(projects, warehouse_url, tmp_path) -> None:
    for number, text in enumerate(HARMLESS, 1):
        projects.execute("insert into prueba.fct_proyecto values (%s, %s)", [number, text])

    *_, found = run_suite(
        guarded(suite(), ["descripcion"], ["proyecto_id"]), warehouse_url, tmp_path / "calidad"
    )

    assert found.paso is True and found.muestra == ()


def test_a_column_of_listed_values_is_not_asked_but_one_that_only_warns_is() -> None:
    def listed(severity: str) -> Expectation:
        return Expectation(
            "expect_column_values_to_be_in_set", {"column": "descripcion", "value_set": ["a"]},
            None, severity, "validez", "Uno de la lista.",  # type: ignore[arg-type]
        )  # fmt: skip

    assert len(guarded(suite(listed("bloqueante")), ["descripcion"], []).expectativas) == 2
    assert len(guarded(suite(listed("advertencia")), ["descripcion"], []).expectativas) == 3

"""The city's suites: one per mart, agreeing with dbt, and quiet on a warehouse without data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from expectations.marts import MartValidator, _build
from expectations.suite_files import Suite, load_suites

MARTS_DIR = Path(__file__).parents[2] / "dbt_project" / "models" / "marts"
MARTS: dict[str, dict[str, Any]] = {
    f"{path.parent.name}.{model['name']}": model
    for path in sorted(MARTS_DIR.rglob("*.yml"))
    for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
}
SUITES = load_suites()
UNIQUE = {
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
}


def declared_columns(suite: Suite) -> list[str]:
    (declared,) = [e for e in suite.expectativas if e.tipo.endswith("_columns_to_match_set")]
    return list(declared.argumentos["column_set"])


def test_every_mart_has_its_suite_and_no_suite_is_left_over() -> None:
    assert set(SUITES) == set(MARTS)


def test_every_file_can_be_used() -> None:
    assert [suite.problema for suite in SUITES.values() if suite.problema] == []


def test_files_are_named_after_their_mart() -> None:
    assert {suite.path.stem for suite in SUITES.values()} == {
        mart.replace(".", "__") for mart in SUITES
    }


@pytest.mark.parametrize("mart", sorted(SUITES))
def test_a_suite_agrees_with_dbt_on_columns(mart: str) -> None:
    suite, model = SUITES[mart], MARTS[mart]
    columns = [column["name"] for column in model["columns"]]
    assert set(declared_columns(suite)) == set(columns)
    named = {name for e in suite.expectativas for name in (e.columna or "").split(", ") if name}
    named |= {e.donde.columna for e in suite.expectativas if e.donde}
    assert named <= set(columns)


@pytest.mark.parametrize("mart", sorted(SUITES))
def test_the_key_is_asked_about_once_by_dbt_as_a_blocking_test(mart: str) -> None:
    """Both would read the whole table for the same verdict."""
    key = set(MARTS[mart]["config"]["meta"]["clave"])
    (test,) = [t["clave_unica"] for t in MARTS[mart]["data_tests"] if "clave_unica" in t]
    assert set(test["arguments"]["columnas"]) == key
    assert (test.get("config") or {}).get("severity", "error") == "error"
    again = [
        e.tipo
        for e in SUITES[mart].expectativas
        if not e.donde
        and (
            (e.tipo in UNIQUE and set((e.columna or "").split(", ")) == key)
            or (
                e.tipo == "expect_column_values_to_not_be_null"
                and e.columna in key
                and not test["arguments"].get("admite_nulos")
            )
        )
    ]
    assert again == []


@pytest.mark.parametrize("mart", sorted(SUITES))
def test_great_expectations_understands_every_expectation(mart: str) -> None:
    suite = SUITES[mart]
    assert suite.descripcion
    for number in range(len(suite.expectativas)):
        assert _build(suite, number).description == suite.expectativas[number].explicacion


def test_a_warehouse_without_data_blocks_nothing(
    connection: psycopg.Connection[Any], warehouse_url: str, tmp_path: Path
) -> None:
    for suite in SUITES.values():
        create(connection, suite)
    # Its fifteen rows come from a list of the repository: they are there without any data.
    connection.execute(
        "insert into gobernanza.kpi_comite (codigo, tipo, estado)"
        " select 'R' || n, 'medido', 'sin dato' from generate_series(25, 39) as n"
    )

    with MartValidator(warehouse_url, tmp_path / "calidad") as validator:
        results = [result for suite in SUITES.values() for result in validator.run(suite)]
        validator.build_docs()

    assert [result.control for result in results if result.paso is None] == []
    failed = [result for result in results if not result.paso]
    assert [result.control for result in failed if result.severidad == "bloqueante"] == []
    assert {result.regla for result in failed} == {"expect_table_row_count_to_be_between"}
    assert len({(result.objeto, result.control) for result in results}) == len(results)


def create(connection: psycopg.Connection[Any], suite: Suite) -> None:
    """The mart's table without rows, in the types dbt declares."""
    fields = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column["name"]), sql.SQL(column["data_type"]))
        for column in MARTS[suite.mart]["columns"]
    )
    connection.execute(
        sql.SQL("create schema if not exists {}").format(sql.Identifier(suite.schema))
    )
    connection.execute(
        sql.SQL("create table {} ({})").format(sql.Identifier(suite.schema, suite.table), fields)
    )

"""The city's suites: one per mart, usable as written, and quiet on a warehouse without data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from expectations.marts import MartValidator, Suite, _build, load_suites

ROOT = Path(__file__).parents[2]
DBT = ROOT / "dbt_project"
MARTS = {
    f"{path.parent.name}.{path.stem}": path for path in (DBT / "models" / "marts").rglob("*.sql")
}
SUITES = load_suites()


def columns_of(suite: Suite) -> list[str]:
    (declared,) = [e for e in suite.expectativas if e.tipo.endswith("_columns_to_match_set")]
    return list(declared.argumentos["column_set"])


def column_type(suite: Suite, column: str) -> str:
    """A type on which every expectation about the column makes sense."""
    about = [e for e in suite.expectativas if column in (e.columna or "").split(", ")]
    filters = [
        e.donde for e in suite.expectativas if e.donde is not None and e.donde.columna == column
    ]
    values: list[Any] = [v for e in about for v in e.argumentos.get("value_set", ())]
    values += [value for found in filters for value in found.valores]
    if suite.ventana and suite.ventana.columna == column:
        return "timestamptz"
    if any(isinstance(value, bool) for value in values):
        return "boolean"
    if any("between" in e.tipo or "greater_than" in e.tipo for e in about):
        return "numeric"
    return "text"


def test_every_mart_has_its_suite_and_no_suite_is_left_over() -> None:
    assert set(SUITES) == set(MARTS)


def test_files_are_named_after_their_mart() -> None:
    assert {suite.path.stem for suite in SUITES.values()} == {
        mart.replace(".", "__") for mart in SUITES
    }


@pytest.mark.parametrize("mart", sorted(SUITES))
def test_a_suite_guards_key_and_columns_and_is_understood(mart: str) -> None:
    suite = SUITES[mart]
    for number in range(len(suite.expectativas)):
        _build(suite, number)
    types = {e.tipo for e in suite.expectativas}
    key = {"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"}
    one_row = any(e.argumentos.get("max_value") == 1 for e in suite.expectativas)
    assert types & key or one_row
    assert suite.descripcion
    text = MARTS[mart].read_text(encoding="utf-8")
    text += "".join(path.read_text(encoding="utf-8") for path in (DBT / "macros").glob("*.sql"))
    named = {name for e in suite.expectativas for name in (e.columna or "").split(", ") if name}
    named |= {e.donde.columna for e in suite.expectativas if e.donde}
    for column in [*columns_of(suite), *named]:
        assert re.search(rf"\b{re.escape(column)}\b", text), column
    assert named <= set(columns_of(suite))


def test_a_warehouse_without_data_blocks_nothing(
    connection: psycopg.Connection[Any], warehouse_url: str, tmp_path: Path
) -> None:
    for suite in SUITES.values():
        fields = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(column_type(suite, name)))  # type: ignore[arg-type]
            for name in columns_of(suite)
        )
        connection.execute(
            sql.SQL("create schema if not exists {}").format(sql.Identifier(suite.schema))
        )
        connection.execute(
            sql.SQL("create table {} ({})").format(
                sql.Identifier(suite.schema, suite.table), fields
            )
        )
    # Its fifteen rows come from a list of the repository: they are there without any data.
    connection.execute(
        "insert into gobernanza.kpi_comite (codigo, tipo, estado)"
        " select 'R' || n, 'medido', 'sin dato' from generate_series(25, 39) as n"
    )

    with MartValidator(warehouse_url, tmp_path / "calidad") as validator:
        results = [result for suite in SUITES.values() for result in validator.run(suite)]
        validator.build_docs()

    assert [r.control for r in results if r.paso is None] == []
    failed = [result for result in results if not result.paso]
    assert [r.control for r in failed if r.severidad == "bloqueante"] == []
    assert {r.regla for r in failed} == {"expect_table_row_count_to_be_between"}
    assert len({(r.objeto, r.control) for r in results}) == len(results)

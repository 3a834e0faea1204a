"""Rules on the whole table: what the contract says is what PostgreSQL counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from expectations.results import CheckResult, record
from expectations.table_rules import evaluate
from sources.contract import Contract

KEY = {
    "name": "id",
    "physicalType": "integer",
    "primaryKey": True,
    "classification": "libre_acceso",
}
CODE = {"name": "codigo", "physicalType": "text", "classification": "libre_acceso"}
ROWS = [(1, "A1"), (2, "A1"), (3, None), (4, "x9"), (5, "")]


def only(results: Sequence[CheckResult]) -> CheckResult:
    [result] = results
    return result


@pytest.mark.parametrize(
    ("quality", "passed", "failed", "keys"),
    [
        ({"metric": "duplicateValues", "mustBe": 0}, False, 1, [2]),
        ({"metric": "duplicateValues", "mustBeLessOrEqualTo": 1}, True, 1, []),
        ({"metric": "nullValues", "mustBeLessThan": 2}, True, 1, []),
        ({"metric": "nullValues", "mustBeLessThan": 20, "unit": "percent"}, False, 1, [3]),
        (
            {"metric": "missingValues", "arguments": {"missingValues": [None, ""]}, "mustBe": 0},
            False, 2, [3, 5],
        ),
        (
            {"metric": "invalidValues", "arguments": {"pattern": "^[A-Z][0-9]$"},
             "mustBeLessThan": 40, "unit": "percent"},
            False, 2, [4, 5],
        ),
        (
            {"metric": "invalidValues", "arguments": {"validValues": ["A1", "x9", ""]},
             "mustBeLessThan": 1},
            True, 0, [],
        ),
    ],
)  # fmt: skip
def test_metrics_of_the_standard_on_a_column(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any],
    quality: dict[str, Any], passed: bool, failed: int, keys: list[int],
) -> None:  # fmt: skip
    contract = make_contract([KEY, {**CODE, "quality": [{**quality, "severity": "error"}]}])
    land(contract, ROWS)

    found = only(evaluate(connection, contract))

    assert (found.paso, found.filas_fallidas, found.severidad) == (passed, failed, "bloqueante")
    assert [key["id"] for key in found.muestra] == keys
    assert found.objeto == "raw.citymis__prueba" and found.responsable == "mesa@ejemplo"


def test_bounds_on_numbers_and_rows(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    volume = {
        "name": "volumen_m3", "physicalType": "numeric(8,2)",
        "quality": [{"metric": "invalidValues", "arguments": {"minimum": 0, "maximum": 10},
                     "mustBeLessThan": 2}],
    }  # fmt: skip
    rows = {"metric": "rowCount", "mustBeBetween": [2, 3], "description": "Dos o tres tomas."}
    contract = make_contract([KEY, volume], quality=[rows])
    land(contract, [(1, -1), (2, 4), (3, 11), (4, None)])

    outside, count = evaluate(connection, contract)

    assert (outside.paso, outside.filas_fallidas, outside.filas_evaluadas) == (False, 2, 4)
    assert (count.paso, count.filas_evaluadas) == (False, 4)
    assert count.explicacion == "Dos o tres tomas. Medido: 4; debe estar entre 2 y 3."


def test_unique_is_checked_without_writing_a_rule_and_once(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract([KEY, {**CODE, "unique": True}])
    land(contract, ROWS)
    found = only(evaluate(connection, contract))
    assert (found.paso, found.severidad, found.dimension) == (False, "advertencia", "unicidad")

    said = make_contract(
        [KEY, {**CODE, "unique": True, "quality": [{"metric": "duplicateValues", "mustBe": 0}]}]
    )
    assert [rule.name for rule in said.table_rules] == ["codigo_repetidos"]


def test_several_columns_together_may_not_repeat(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    pair = {"metric": "duplicateValues", "arguments": {"properties": ["codigo", "anio"]}}
    contract = make_contract(
        [KEY, CODE, {"name": "anio", "physicalType": "integer"}], quality=[pair]
    )
    land(contract, [(1, "A", 2024), (2, "A", 2025), (3, "A", 2025), (4, None, 2025)])
    assert only(evaluate(connection, contract)).filas_fallidas == 1


def test_a_reference_finds_orphans_and_waits_for_the_other_table(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    program = {"name": "programa", "physicalType": "text",
               "relationships": [{"to": "programas.codigo"}]}  # fmt: skip
    contract = make_contract([KEY, program])
    land(contract, [(1, "7"), (2, "8"), (3, None)])
    unknown = only(evaluate(connection, contract))
    assert unknown.paso is None and "no existe el conjunto citymis.programas" in unknown.explicacion

    parent = make_contract(
        [{"name": "codigo", "physicalType": "integer"}], identifier="citymis.programas"
    )
    land(parent, [])
    assert only(evaluate(connection, contract)).paso is None
    land(parent, [(7,)])
    found = only(evaluate(connection, contract))
    assert (found.paso, found.filas_fallidas) == (False, 1)
    assert found.muestra == ({"id": 2},)


def test_a_reference_between_large_tables_is_one_join(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    parent = make_contract(
        [{"name": "codigo", "physicalType": "integer"}], identifier="citymis.programas"
    )
    land(parent, [])
    program = {"name": "programa", "physicalType": "integer",
               "relationships": [{"to": "programas.codigo"}]}  # fmt: skip
    contract = make_contract([KEY, program])
    land(contract, [])
    connection.execute(
        "insert into raw.citymis__programas (codigo, _load_id) "
        "select n, 1 from generate_series(1, 30000) as n"
    )
    connection.execute(
        "insert into raw.citymis__prueba (id, programa, _load_id) "
        "select n, n, 1 from generate_series(1, 30001) as n"
    )
    began = time.monotonic()
    found = only(evaluate(connection, contract))
    assert (found.paso, found.filas_evaluadas, found.filas_fallidas) == (False, 30_001, 1)
    # Row by row it would be half a billion comparisons, minutes of them.
    assert time.monotonic() - began < 5


def sql_rule(query: str, **more: Any) -> dict[str, Any]:
    return {"type": "sql", "name": "regla", "query": query, "mustBe": 0} | more


def test_a_query_of_the_contract_is_held_against_its_threshold(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    query = "select count(*) from ${object} where ${property} like 'x%';"
    contract = make_contract([KEY, {**CODE, "quality": [sql_rule(query)]}])
    land(contract, ROWS)
    found = only(evaluate(connection, contract))
    assert (found.paso, found.columna) == (False, "codigo")
    assert "Medido: 1; debe ser 0." in found.explicacion


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select nada from ${object}", "42703"),
        ("select codigo from ${object} where id = 4", "no dio un número"),
        ("select id from ${object}", "una fila con un número"),
        ("with d as (delete from ${object} returning 1) select count(*) from d", "25006"),
        ("select codigo::integer from ${object} where id = 4", "22P02"),
    ],
)
def test_a_query_that_fails_or_would_write_is_unknown_and_harms_nothing(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any], query: str, words: str
) -> None:
    contract = make_contract([KEY, CODE], quality=[sql_rule(query)])
    land(contract, ROWS)

    found = only(evaluate(connection, contract))

    assert found.paso is None and words in found.explicacion
    assert "x9" not in found.explicacion, "no value of a row in a message"
    left = connection.execute("select count(*) from raw.citymis__prueba").fetchone()
    assert left == (5,)


def test_a_key_that_tells_who_somebody_is_is_never_kept(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    person = {**KEY, "name": "documento", "classification": "sensible"}
    contract = make_contract([person, {**CODE, "unique": True}], containsPersons=True)
    land(contract, [(30111222, "A"), (30111223, "A")])

    found = only(evaluate(connection, contract))
    record(connection, "r", [found])

    assert found.filas_fallidas == 1 and found.muestra == ()
    stored = connection.execute("select to_jsonb(r)::text from meta.resultado_control r").fetchone()
    assert stored is not None and "30111" not in stored[0]


def test_names_in_a_rule_that_holds_quotes_are_only_names(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    values = ["A1'; drop table raw.citymis__prueba; --", "x9"]
    rule = {"metric": "invalidValues", "arguments": {"validValues": values}, "mustBeLessThan": 2}
    contract: Contract = make_contract([KEY, {**CODE, "quality": [rule]}])
    land(contract, ROWS)
    assert only(evaluate(connection, contract)).filas_fallidas == 3

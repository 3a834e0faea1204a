"""The verdict in force of a rule on rows: an increment says nothing of the rows it did not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from expectations.contract_schema import BatchChecker
from expectations.results import CheckResult, record
from expectations.standing import in_force
from sources.contract import Contract

COLUMNS = [
    {"name": "id", "physicalType": "integer", "primaryKey": True},
    {
        "name": "avance",
        "physicalType": "numeric(5,2)",
        "logicalTypeOptions": {"maximum": 900},
        "quality": [
            {"metric": "invalidValues", "arguments": {"maximum": 100}, "severity": "warning"}
        ],
    },
    {"name": "cambio", "physicalType": "timestamp"},
]
WARNING = "contrato.citymis.prueba.avance.maximo_2"
BLOCKING = "contrato.citymis.prueba.avance.maximo"
Judge = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def contract(make_contract: Any) -> Contract:
    made: Contract = make_contract(COLUMNS, loadMode="incremental", cursor="cambio")
    return made


@pytest.fixture
def load(
    connection: psycopg.Connection[Any], batch_of: Any, land: Any
) -> Callable[..., dict[str, CheckResult]]:
    """Check rows, put the good ones in raw over those of the same key; the verdicts in force."""

    def run(contract: Contract, rows: list[tuple[Any, ...]]) -> dict[str, CheckResult]:
        checker = BatchChecker(contract)
        batch, numbers = batch_of(contract, rows)
        checked = checker.check(batch, numbers)
        good = [tuple(row.values()) for row in checked.good.to_pylist()]
        land(contract, [])
        connection.execute("delete from raw.citymis__prueba where id = any(%s)", [
            [row[0] for row in good]
        ])  # fmt: skip
        load_id = land(contract, good)
        for failure in checked.failures:
            connection.execute(
                "insert into quarantine.fila (dataset, carga_id, regla, columna, motivo, fila, "
                "huella, clave, numero_fila) values (%s, %s, %s, %s, 'x', '{}', %s, %s, %s)",
                [contract.id, load_id, failure.rule, failure.column, str(rows[failure.index]),
                 [str(rows[failure.index][0])], failure.row_number],
            )  # fmt: skip
        held = connection.execute("select count(*) from raw.citymis__prueba").fetchone()
        assert held is not None
        results = in_force(
            connection, contract, checker.results(), lambda: [BatchChecker(contract)],
            rows_held=lambda: held[0], removed=False,
        )  # fmt: skip
        record(connection, "r", results)
        return {result.control: result for result in results}

    return run


def in_view(connection: psycopg.Connection[Any], control: str) -> tuple[Any, ...]:
    row = connection.execute(
        "select paso, filas_fallidas, lote_fallidas from meta.control_vigente where control = %s",
        [control],
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_a_small_clean_increment_does_not_hide_an_old_warning(
    contract: Contract, load: Judge, connection: psycopg.Connection[Any]
) -> None:
    load(contract, [(1, 120, None), (2, 50, None)])
    found = load(contract, [(3, 10, None)])[WARNING]

    assert (found.paso, found.filas_fallidas, found.filas_evaluadas) == (False, 1, 3)
    assert (found.lote_evaluadas, found.lote_fallidas) == (1, 0)
    assert found.muestra == ({"id": 1},)
    assert in_view(connection, WARNING) == (False, 1, 0)


def test_it_goes_when_the_row_was_corrected_and_stays_for_those_that_were_not(
    contract: Contract, load: Judge, connection: psycopg.Connection[Any]
) -> None:
    load(contract, [(1, 120, None), (2, 130, None)])
    assert load(contract, [(1, 90, None)])[WARNING].filas_fallidas == 1
    load(contract, [(2, 80, None)])
    assert in_view(connection, WARNING) == (True, 0, 0)


def test_a_row_that_fails_again_is_counted_once(contract: Contract, load: Judge) -> None:
    load(contract, [(1, 120, None)])
    assert load(contract, [(1, 120, None), (2, 110, None)])[WARNING].filas_fallidas == 2


def test_a_blocking_rule_stays_red_while_its_rows_wait_in_quarantine(
    contract: Contract, load: Judge, connection: psycopg.Connection[Any]
) -> None:
    load(contract, [(1, 950, None), (2, 5, None)])
    found = load(contract, [(3, 5, None)])[BLOCKING]
    assert (found.paso, found.filas_fallidas, found.lote_fallidas) == (False, 1, 0)
    assert found.muestra == ({"id": 1},), "the key of the row that waits, not of this load"
    both = load(contract, [(8, 999, None)])[BLOCKING]
    assert both.muestra == ({"id": 1}, {"id": 8})

    connection.execute("update quarantine.fila set estado = 'reprocesada'")
    assert load(contract, [(4, 5, None)])[BLOCKING].paso is True


def test_a_row_that_waits_and_whose_key_is_personal_is_named_by_its_number(
    make_contract: Any, load: Judge
) -> None:
    restricted = [{**COLUMNS[0], "classification": "sensible"}, *COLUMNS[1:]]
    contract = make_contract(restricted, loadMode="incremental", cursor="cambio")
    load(contract, [(1, 950, None)])
    assert load(contract, [(3, 5, None)])[BLOCKING].muestra == ({"numero_fila": 1},)


def test_a_row_that_waits_with_the_key_of_an_earlier_contract_is_still_named(
    contract: Contract, load: Judge, connection: psycopg.Connection[Any]
) -> None:
    load(contract, [(1, 950, None), (2, 950, None)])
    connection.execute("update quarantine.fila set clave = '{A-7}' where numero_fila = 1")
    connection.execute("update quarantine.fila set clave = '{2,norte}' where numero_fila = 2")
    found = load(contract, [(3, 5, None)])[BLOCKING]
    assert found.muestra == ({"id": "A-7"}, {"numero_fila": 2})


def test_rows_that_are_only_added_add_up_without_reading_the_table(
    make_contract: Any, load: Judge
) -> None:
    contract = make_contract(COLUMNS, loadMode="append", cursor="cambio")
    load(contract, [(1, 120, None)])
    found = load(contract, [(2, 140, None), (3, 1, None)])[WARNING]
    assert (found.filas_fallidas, found.filas_evaluadas) == (2, 3)


def test_a_load_of_everything_judges_everything(make_contract: Any, load: Judge) -> None:
    contract = make_contract(COLUMNS)
    load(contract, [(1, 120, None)])
    assert load(contract, [(1, 90, None)])[WARNING].paso is True


def test_a_table_too_large_to_read_again_gives_a_bound_and_says_so(
    contract: Contract, load: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expectations.standing.MOST_REREAD", 1)
    load(contract, [(1, 120, None), (2, 3, None)])
    found = load(contract, [(1, 90, None)])[WARNING]
    assert found.filas_fallidas == 1 and "Como máximo" in found.explicacion

"""The gate reads what is stored: a red check of any kind, of this run or an earlier one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations.personal_texts import RULE
from expectations.results import CheckResult, Engine, record
from orchestration.dbt_project import data_test_names, project_sha256
from orchestration.gate import obstacles
from orchestration.warehouse.connection import Warehouse
from tests.support.marts import verdict as verdict_on

MART, OTHER = "agua.dim_zona", "proyectos.dim_eje"
UPSTREAM = "staging.stg_aguas__zonas"


def built(warehouse: Warehouse, relation: str, state: str = "ok") -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
            "ultima_carga_id) values ('r', %s, 'n', %s, %s, 0)",
            [relation, state, project_sha256()],
        )


def verdict(engine: Engine, relation: str = MART, *, passed: bool | None = False) -> CheckResult:
    return verdict_on(engine, relation, passed=passed)


def store(warehouse: Warehouse, run: str, *results: CheckResult) -> None:
    with warehouse.connect() as connection:
        record(connection, run, results)


def found(warehouse: Warehouse, mart: str = MART) -> list[str]:
    with warehouse.connect() as connection:
        return [str(item) for item in obstacles(connection, [mart])]


@pytest.fixture
def marts(warehouse: Warehouse) -> Warehouse:
    for mart in (MART, OTHER):
        built(warehouse, mart)
        store(warehouse, "r0", verdict("great_expectations", mart, passed=True))
    return warehouse


def test_a_built_mart_without_red_checks_may_leave(marts: Warehouse) -> None:
    store(marts, "r1", verdict("great_expectations", passed=True), verdict("dbt", passed=True))
    assert found(marts) == []


@pytest.mark.parametrize("engine", ["dbt", "great_expectations"])
@pytest.mark.parametrize("passed", [False, None], ids=["failed", "could not run"])
def test_a_red_or_unknown_blocking_check_stops_its_mart_only(
    marts: Warehouse, engine: Engine, passed: bool | None
) -> None:
    store(marts, "r1", verdict(engine, passed=passed))

    [message] = found(marts)
    assert "agua.dim_zona" in message and "cuatro" in message and "Obras Públicas" in message
    assert found(marts, OTHER) == []


def test_a_warning_stops_nothing(marts: Warehouse) -> None:
    store(marts, "r1", replace(verdict("dbt"), severidad="advertencia"))
    assert found(marts) == []


def test_a_red_check_on_what_the_mart_is_built_from_stops_it(marts: Warehouse) -> None:
    store(marts, "r1", replace(verdict("great_expectations", UPSTREAM)))
    assert len(found(marts)) == 1


def test_the_newest_verdict_counts_whichever_run_gave_it(marts: Warehouse) -> None:
    store(marts, "r1", verdict("dbt"))
    assert len(found(marts)) == 1
    store(marts, "r2", verdict("dbt", passed=True))
    assert found(marts) == []


@pytest.mark.parametrize("state", ["error", "omitido"])
def test_a_mart_whose_last_build_did_not_succeed_does_not_leave(
    marts: Warehouse, state: str
) -> None:
    built(marts, MART, state)
    [message] = found(marts)
    assert f"construcción ({state})" in message


def test_a_mart_that_was_never_built_does_not_leave(warehouse: Warehouse) -> None:
    assert "sin construir" in found(warehouse)[0]


def test_a_check_that_is_gone_from_project_or_suite_blocks_nothing(marts: Warehouse) -> None:
    gone = replace(verdict("great_expectations"), control="quitada")
    store(marts, "r1", gone, replace(verdict("dbt"), control="prueba_quitada"))
    store(marts, "r2", verdict("great_expectations", passed=True))

    assert "prueba_quitada" not in data_test_names()
    assert found(marts) == []


@pytest.mark.parametrize("engine", ["contrato", "frescura", "monitor", "protocolo", "pandera",
                                    "conciliacion"])  # fmt: skip
def test_a_red_blocking_check_of_any_kind_on_raw_stops_what_is_made_from_it(
    marts: Warehouse, engine: Engine
) -> None:
    known(marts, "aguas.zonas")
    red = replace(verdict(engine, "raw.aguas__zonas"), dataset="aguas.zonas")
    store(marts, "r1", red)
    assert len(found(marts)) == 1
    assert found(marts, OTHER) == []

    store(marts, "r2", replace(red, severidad="advertencia"))
    assert found(marts) == []
    store(marts, "r3", red)
    store(marts, "r4", replace(red, paso=True))
    assert found(marts) == []


def test_a_rule_that_left_its_contract_and_a_contract_that_is_gone_block_nothing(
    marts: Warehouse,
) -> None:
    known(marts, "aguas.zonas")
    red = replace(verdict("contrato", "raw.aguas__zonas"), dataset="aguas.zonas")
    store(marts, "r1", red)
    store(marts, "r2", replace(red, control="otra", paso=True))
    assert found(marts) == []

    store(marts, "r3", red)
    assert len(found(marts)) == 1
    with marts.connect() as connection:
        connection.execute("update meta.contrato set vigente = false")
    assert found(marts) == []


def test_a_mart_built_again_without_its_suite_does_not_leave_until_it_was_checked(
    marts: Warehouse,
) -> None:
    built(marts, MART)

    [message] = found(marts)
    assert "no se controló desde su última construcción" in message

    store(marts, "r1", verdict("great_expectations", passed=True))
    assert found(marts) == []


def known(warehouse: Warehouse, dataset: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
            "contrato_sha256, modo_carga) values (%s, 'aguas', 'Zonas', %s, '1', 'x', 'full')",
            [dataset, "raw." + dataset.replace(".", "__")],
        )


def test_a_persons_data_in_a_text_stops_what_shows_that_column_and_only_that(
    warehouse: Warehouse,
) -> None:
    projects = "proyectos.fct_proyecto"
    by_state = "proyectos.kpi_proyectos_por_estado"  # made from it, without its texts
    for mart in (projects, by_state):
        built(warehouse, mart)
        store(warehouse, "r0", verdict("great_expectations", mart, passed=True))
    store(
        warehouse, "r0",
        replace(
            verdict("great_expectations", projects), control=f"{projects}.descripcion.{RULE}",
            regla=RULE, columna="descripcion", muestra=({"proyecto_id": 12},),
        ),
    )  # fmt: skip

    with warehouse.connect() as connection:
        [held] = obstacles(connection, {projects: ["proyecto_id", "descripcion"]})
        assert obstacles(connection, [projects]) == [held], "a board shows every column"
        assert obstacles(connection, {projects: ["proyecto_id", "proyecto_nombre"]}) == []
        assert obstacles(connection, [by_state]) == []
    assert "proyecto_id 12" in str(held) and "Obras Públicas" in str(held)
    assert held.fingerprint, "a person may let it leave"

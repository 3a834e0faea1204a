"""A mart without rows is nobody's finding where the city has none of the systems it comes from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from expectations.results import CheckResult
from expectations.suite_files import load_suites
from orchestration.assets.controls import fed_by_nothing, suite_verdicts
from orchestration.catalogue_sync import synchronise
from orchestration.connections import Connections
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_catalogue
from sources.urls import SourceUrl
from tests.support.marts import verdict

MART = "agua.dim_cuenta"


def judged(*found: CheckResult, unfed: bool) -> list[bool | None]:
    suite = load_suites()[MART]
    validator: Any = SimpleNamespace(run=lambda _: list(found))
    return [result.paso for result in suite_verdicts(cast(Any, validator), suite, unfed=unfed)]


def test_that_there_are_no_rows_is_asked_where_a_system_feeds_the_mart() -> None:
    empty = replace(
        verdict("great_expectations", MART), paso=False, severidad="advertencia",
        regla="expect_table_row_count_to_be_between",
    )  # fmt: skip
    blocking = replace(empty, severidad="bloqueante")
    other = replace(empty, regla="expect_column_values_to_be_unique")
    full = replace(empty, paso=True)

    assert judged(empty, blocking, other, full, unfed=False) == [False, False, False, True]
    assert judged(empty, blocking, other, full, unfed=True) == [None, False, False, True]


def test_a_mart_is_fed_by_the_systems_it_is_built_from(warehouse: Warehouse) -> None:
    def unfed(*systems: str) -> list[bool]:
        linked = Connections({name: SourceUrl.parse("/srv") for name in systems}, sample=False)
        with warehouse.connect() as connection:
            synchronise(connection, load_catalogue(), linked)
            return [
                fed_by_nothing(connection, mart)
                for mart in (MART, "proyectos.dim_eje", "inventario.dim_fecha")
            ]

    # The calendar is built from nothing that comes in.
    assert unfed("mlc") == [True, False, False]
    assert unfed("aguas", "mlc") == [False, False, False]

"""Great Expectations suites of the marts as blocking asset checks.

Belongs here: running a mart's suite in Dagster and storing its verdicts. Does not belong here: an
expectation (`expectations/suites/`), or importing Great Expectations before a check runs: its
import alone costs seconds.

One check per mart: a blocking check that fails keeps Dagster from starting the exports of that
mart in this run, and those only; `meta.resultado_control` keeps them withheld in later ones.
"""

import atexit
import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    asset_check,
)

from expectations.marts import unusable
from expectations.personal_texts import guarded
from expectations.results import CheckResult, record
from expectations.suite_files import Suite, SuiteError
from orchestration.assets.exports import all_dependents_held, withhold
from orchestration.assets.naming import relation_key
from orchestration.assets.verdicts import cause
from orchestration.dbt_project import relations, row_key, with_ancestors
from orchestration.gate import suite_marts
from orchestration.leaving import leaving_texts
from orchestration.progress import observer
from orchestration.settings import CITY_TIMEZONE, settings
from orchestration.warehouse.connection import Warehouse, export_environment, locate
from sources.raw_table import Connection

if TYPE_CHECKING:
    from expectations.marts import MartValidator

CHECK_NAME = "great_expectations"


def mart_checks(suites: Iterable[Suite]) -> list[AssetChecksDefinition]:
    """One blocking asset check per suite."""
    return [_mart_check(suite) for suite in suites]


@functools.lru_cache(maxsize=1)
def _validator(url: str, run_id: str) -> "MartValidator":
    """One validator per run: opening Great Expectations costs seconds."""
    from expectations.marts import MartValidator

    # A run started in Dagster's UI has nobody who finishes it: its process does, at its end.
    atexit.register(finish_validation, run_id)
    return MartValidator(url, settings().quality_docs_dir, run_id)


def finish_validation(run_id: str) -> Path | None:
    """Write the Data Docs of what this process validated in the run, and close; their index page.

    None when nothing was validated.
    """
    if not _validator.cache_info().currsize:
        return None
    validator = _validator(locate().sqlalchemy_url("psycopg2"), run_id)
    try:
        return validator.build_docs(standing=suite_marts())
    finally:
        validator.close()
        _validator.cache_clear()


def write_quality_index(warehouse: Warehouse) -> Path:
    """Write the index of the quality pages, with the verdicts of every kind; its path."""
    from expectations.site import write_index

    with warehouse.connect() as connection:
        now = dt.datetime.now(dt.UTC)
        return write_index(connection, settings().quality_docs_dir, now, CITY_TIMEZONE)


def fed_by_nothing(connection: Connection, mart: str) -> bool:
    """Whether no system that a mart is built from is connected: the city may not have them."""
    connected = connection.execute(
        "select tabla_raw from meta.contrato where configurado"
    ).fetchall()
    raw = {name for name in with_ancestors(mart, sources=True) if name.startswith("raw.")}
    return bool(raw) and not raw & {str(row[0]) for row in connected}


def suite_verdicts(
    validator: "MartValidator", suite: Suite, *, unfed: bool = False
) -> list[CheckResult]:
    """Run a suite; each verdict with the owner of its mart, as the dbt project names it.

    Of the texts that leave the warehouse it also asks that they name no person. One that cannot be
    used is a verdict, too: unknown, and it keeps back what depends on its mart alone. That a mart
    has no rows is nobody's finding where no system feeds it (`unfed`): whether it should have is
    not known.
    """
    node = relations().get(suite.mart) or {}
    meta = node.get("config", {}).get("meta") or {}
    asked = guarded(suite, leaving_texts(suite.mart), row_key(suite.mart))
    try:
        results = validator.run(asked)
    except SuiteError as problem:
        results = [unusable(suite, problem)]
    if unfed:
        results = [_unasked(result) if _is_empty(result) else result for result in results]
    return [replace(result, responsable=meta.get("owner")) for result in results]


def _is_empty(result: CheckResult) -> bool:
    return (
        result.regla == "expect_table_row_count_to_be_between"
        and result.severidad == "advertencia"
        and result.paso is False
    )


def _unasked(result: CheckResult) -> CheckResult:
    return replace(
        result, paso=None, explicacion="No se evaluó: ningún sistema del que sale está conectado."
    )


def _mart_check(suite: Suite) -> AssetChecksDefinition:
    @asset_check(
        asset=relation_key(*suite.mart.split(".", 1)),
        name=CHECK_NAME,
        blocking=True,
        description=f"Suite de Great Expectations de {suite.mart}.",
    )
    def check(context: AssetCheckExecutionContext) -> AssetCheckResult:
        watch = observer()
        watch.started("controles", suite.mart)
        warehouse = locate()
        export_environment(warehouse)
        validator = _validator(warehouse.sqlalchemy_url("psycopg2"), context.run.run_id)
        with warehouse.connect() as connection:
            unfed = fed_by_nothing(connection, suite.mart)
        results = suite_verdicts(validator, suite, unfed=unfed)
        red = any(r.severidad == "bloqueante" and r.paso is not True for r in results)
        with warehouse.connect() as connection:
            record(connection, context.run.run_id, results)
            connection.commit()
            held = withhold(connection, context.run.run_id, [suite.mart]) if red else []
            # What a person released must be able to leave: its own step asks the gate again.
            shut = red and all_dependents_held(connection, suite.mart)
        for result in results:
            watch.finished("controles", result.control, "ok" if result.paso else "falla")
        return _verdict(results, shut, held)

    return check


def _verdict(results: list[CheckResult], shut: bool, withheld: list[str]) -> AssetCheckResult:
    failed = [r for r in results if r.paso is not True]
    metadata: dict[str, Any] = {
        "expectativas": len(results),
        "fallidas": len(failed),
        **cause(failed),
    }
    if withheld:
        metadata["retenidos"] = withheld
    words = f"{len(failed)} de {len(results)} expectativas no se cumplen."
    if withheld:
        words += f" Retenidos: {', '.join(withheld)}."
    return AssetCheckResult(
        passed=not failed,
        severity=AssetCheckSeverity.ERROR if shut else AssetCheckSeverity.WARN,
        description=words,
        metadata=metadata,
    )

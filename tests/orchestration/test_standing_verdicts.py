"""What Dagster's page shows of a check that a run planned and had no need to evaluate.

A mart, dbt's test and build check on it and its suite, as the project names them, under a real
instance; the page is asked as the user interface asks it, in GraphQL.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetSelection,
    AssetSpec,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    asset_check,
    define_asset_job,
    in_process_executor,
    job,
    multi_asset,
    op,
)
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.schema import create_schema

from orchestration.standing_verdicts import repeat_standing_verdicts
from orchestration.warehouse.connection import Warehouse
from tests.support.marts import judge, say_built, verdict

MART = "agua.dim_zona"
KEY = AssetKey(MART.split("."))
TEST = verdict("dbt", MART).control
SUITE, BUILD = "great_expectations", "construccion"
PAGE = """
query Page($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetChecksOrError { ... on AssetChecks {
    checks { name executionForLatestMaterialization {
      status evaluation { success severity description metadataEntries {
        label ... on TimestampMetadataEntry { timestamp } ... on MarkdownMetadataEntry { mdStr }
      } }
    } }
  } } } }
}
"""


@dataclass
class Day:
    """What a run finds: whether the mart is built, what its checks say, whether a step breaks."""

    warehouse: Warehouse | None = None
    built: bool = True
    suite: bool | None = True
    tested: bool = True
    breaks: bool = False
    seen: list[str] = field(default_factory=list)


DAY = Day()


@multi_asset(
    specs=[AssetSpec(KEY, skippable=True)],
    check_specs=[AssetCheckSpec(name, asset=KEY) for name in (TEST, BUILD)],
    name="dbt",
    can_subset=True,
)
def models(context: AssetExecutionContext) -> Iterator[Any]:
    """As the dbt step does: nothing is yielded of what was not built again."""
    if DAY.breaks:
        raise RuntimeError("dbt broke off")
    if not DAY.built:
        return
    assert DAY.warehouse is not None
    with DAY.warehouse.connect() as connection:
        say_built(connection, MART, run=context.run.run_id)
        judge(connection, "construccion", MART, True, run=context.run.run_id)
        if DAY.tested:
            judge(connection, "dbt", MART, True, run=context.run.run_id)
    yield MaterializeResult(asset_key=KEY)
    yield AssetCheckResult(asset_key=KEY, check_name=BUILD, passed=True)
    if DAY.tested:
        yield AssetCheckResult(asset_key=KEY, check_name=TEST, passed=True)


@asset_check(asset=KEY, name=SUITE, blocking=True)
def suite(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """As the step of a suite does."""
    assert DAY.warehouse is not None
    with DAY.warehouse.connect() as connection:
        judge(connection, "great_expectations", MART, DAY.suite, run=context.run.run_id)
    return AssetCheckResult(passed=DAY.suite is True)


@op
def broken() -> None:
    """Something else of the same run that fails, such as a withheld export."""
    raise RuntimeError("another step broke off")


def definitions() -> Definitions:
    return Definitions(
        assets=[models], asset_checks=[suite], executor=in_process_executor,
        jobs=[define_asset_job("todo", AssetSelection.all())],
    )  # fmt: skip


@pytest.fixture
def instance(warehouse: Warehouse) -> Iterator[DagsterInstance]:
    """Dagster's own storage in PostgreSQL, as in the warehouse: there moments are exact."""
    DAY.__init__(warehouse=warehouse)  # type: ignore[misc]
    storage = {"postgres": {"postgres_url": warehouse.sqlalchemy_url("psycopg2")}}
    with instance_for_test(overrides={"storage": storage}) as made:
        yield made


def run(instance: DagsterInstance, **day: Any) -> str:
    for name, value in day.items():
        setattr(DAY, name, value)
    done = (
        definitions()
        .resolve_job_def("todo")
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    return str(done.run_id)


def page(instance: DagsterInstance) -> dict[str, dict[str, Any]]:
    """What the checks tab of the mart shows, by check; empty where it shows nothing."""
    place = InProcessWorkspaceLoadTarget(
        InProcessCodeLocationOrigin(
            LoadableTargetOrigin(python_file=__file__, attribute="definitions")
        )
    )
    with create_test_daemon_workspace_context(place, instance) as workspace:
        answer = asyncio.run(
            create_schema().execute_async(
                PAGE,
                context_value=workspace.create_request_context(),
                variable_values={"key": {"path": list(KEY.path)}},
            )
        )
    assert not answer.errors, answer.errors
    assert answer.data
    checks = answer.data["assetNodeOrError"]["assetChecksOrError"]["checks"]
    return {item["name"]: item["executionForLatestMaterialization"] or {} for item in checks}


def statuses(instance: DagsterInstance) -> dict[str, str | None]:
    return {name: found.get("status") for name, found in page(instance).items()}


def test_what_was_not_evaluated_again_shows_the_verdict_that_stands(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    first = run(instance)
    assert repeat_standing_verdicts(warehouse, instance, first) == 0, "all was evaluated"
    assert set(statuses(instance).values()) == {"SUCCEEDED"}

    second = run(instance, built=False)
    assert set(statuses(instance).values()) == {"SKIPPED"}, "what Dagster makes of it by itself"

    assert repeat_standing_verdicts(warehouse, instance, second) == 3
    shown = page(instance)
    assert {name: found["status"] for name, found in shown.items()} == dict.fromkeys(
        (TEST, BUILD, SUITE), "SUCCEEDED"
    )
    with warehouse.connect() as connection:
        measured = dict(connection.execute(
            "select motor, extract(epoch from evaluado_en) from meta.control_vigente"
        ).fetchall())  # fmt: skip
    for name, engine in ((TEST, "dbt"), (BUILD, "construccion"), (SUITE, SUITE)):
        evaluation = shown[name]["evaluation"]
        said = {item["label"]: item.get("timestamp") for item in evaluation["metadataEntries"]}
        assert said["evaluado_el"] == pytest.approx(float(measured[engine]), abs=0.001)
        assert "Vale lo evaluado el" in evaluation["description"]


def test_a_red_verdict_stays_red_with_its_cause_and_owner(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    run(instance, suite=None)
    repeat_standing_verdicts(warehouse, instance, run(instance, built=False))

    found = page(instance)[SUITE]

    assert found["status"] == "FAILED" and found["evaluation"]["severity"] == "ERROR"
    texts = [item.get("mdStr") or "" for item in found["evaluation"]["metadataEntries"]]
    assert any("La cuenca es una de las cuatro" in text and "Obras Públicas" in text
               for text in texts)  # fmt: skip


def test_a_verdict_on_rows_that_are_gone_does_not_stand(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    run(instance)
    second = run(instance, tested=False)  # built again; its test was left out

    assert repeat_standing_verdicts(warehouse, instance, second) == 0
    assert statuses(instance)[TEST] == "SKIPPED"
    third = run(instance, built=False)
    assert repeat_standing_verdicts(warehouse, instance, third) == 2
    assert statuses(instance) == {BUILD: "SUCCEEDED", SUITE: "SUCCEEDED", TEST: "SKIPPED"}


def test_a_step_that_broke_off_is_not_painted_over(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    run(instance)
    second = run(instance, breaks=True)

    assert repeat_standing_verdicts(warehouse, instance, second) == 0
    assert statuses(instance)[BUILD] == "EXECUTION_FAILED"


def test_a_run_without_checks_and_a_check_nobody_ever_evaluated_say_nothing(
    instance: DagsterInstance, warehouse: Warehouse
) -> None:
    @job
    def other() -> None:
        broken()

    done = other.execute_in_process(instance=instance, raise_on_error=False)
    assert repeat_standing_verdicts(warehouse, instance, done.run_id) == 0
    assert repeat_standing_verdicts(warehouse, instance, run(instance, built=False)) == 0
    assert statuses(instance)[SUITE] == "SKIPPED"

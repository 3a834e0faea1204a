"""The gate holds for every kind of check, in one run and across runs, under retry and backfill.

The export is the real one, started by Dagster in every way a step can be started again; before it
stands an asset that records, attempt by attempt, what the checks of a run would have said.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    Definitions,
    Failure,
    JobDefinition,
    ReexecutionOptions,
    RetryPolicy,
    asset,
    define_asset_job,
    execute_job,
    in_process_executor,
    reconstructable,
)
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    create_test_daemon_workspace_context,
    instance_for_test,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration

from expectations.results import Engine
from exports.approvals import approve
from exports.definition import DatasetDefinition, load_definitions
from orchestration.assets import exports
from orchestration.assets.naming import export_key
from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from tests.support.marts import judge, make_accounts_of_zones, make_mart, say_built, say_known

MART, RAW, STAGING = "agua.dim_zona", "raw.aguas__zonas", "staging.stg_aguas__zonas"
DATASET, EXPORT = "aguas.zonas", "zonas-de-agua"
Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Kind:
    """One kind of check: what speaks, and of what."""

    engine: Engine | None  # None: the build itself
    relation: str
    dataset: str | None = None

    def say(self, connection: Connection, run: str, good: bool | None) -> None:
        if self.engine is None:
            say_built(connection, self.relation, "ok" if good else "error", run)
            judge(connection, "great_expectations", MART, True, run=run)
        else:
            judge(connection, self.engine, self.relation, good, dataset=self.dataset, run=run)


KINDS = {
    "rule on rows (Pandera)": Kind("pandera", RAW, DATASET),
    "protocol": Kind("protocolo", RAW, DATASET),
    "reconciliation": Kind("conciliacion", RAW, DATASET),
    "rule on the table": Kind("contrato", RAW, DATASET),
    "freshness": Kind("frescura", RAW, DATASET),
    "monitor": Kind("monitor", RAW, DATASET),
    "dbt test of the mart": Kind("dbt", MART),
    "Great Expectations suite": Kind("great_expectations", MART),
    "suite of what it is made from": Kind("great_expectations", STAGING),
    "build": Kind(None, MART),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@dataclass
class Script:
    """What the checks say, attempt by attempt; the step breaks off after each but the last."""

    warehouse: Warehouse | None = None
    attempts: list[Callable[[Connection, str], None]] = field(default_factory=list)


SCRIPT = Script()


@asset(key=AssetKey(["agua", "dim_zona"]), retry_policy=RetryPolicy(max_retries=2))
def checked(context: AssetExecutionContext) -> None:
    """The models and their checks, as far as the gate hears of them."""
    assert SCRIPT.warehouse is not None
    if SCRIPT.attempts:
        with SCRIPT.warehouse.connect() as connection:
            SCRIPT.attempts.pop(0)(connection, context.run.run_id)
    if SCRIPT.attempts:
        raise Failure("the step breaks off after it had recorded what its checks said")


def definition() -> DatasetDefinition:
    return load_definitions().definitions[EXPORT]


def definitions() -> Definitions:
    return Definitions(
        assets=[checked, *exports.export_assets({EXPORT: definition()})],
        jobs=[define_asset_job("todo", selection=AssetSelection.all())],
        executor=in_process_executor,
    )


def the_job() -> JobDefinition:
    return definitions().resolve_job_def("todo")


@pytest.fixture(scope="module")
def zones(postgres: EmbeddedServer) -> Iterator[Warehouse]:
    """A built mart whose portal dataset is approved."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    made = Warehouse(postgres.ensure_database(name), embedded=True)
    migrate(made)
    with made.connect() as connection:
        make_mart(connection, MART)
        connection.execute(
            "insert into agua.dim_zona (zona_id, zona_nombre) values (1, 'Norte'), (2, 'Sur')"
        )
        make_accounts_of_zones(connection)
        say_known(connection, DATASET)
        approve(connection, definition(), "Comité", "acta 1")
    yield made
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)'.encode())


@pytest.fixture(autouse=True)
def good(zones: Warehouse, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything was built and passes before each test; the export works in this warehouse."""
    data_dir.mkdir()
    (data_dir / "portal").mkdir()
    monkeypatch.setattr(exports, "locate", lambda: zones)
    SCRIPT.warehouse, SCRIPT.attempts = zones, []
    with zones.connect() as connection:
        connection.execute("truncate meta.resultado_control, meta.construccion")
        say_built(connection, MART)
        for kind in KINDS.values():
            kind.say(connection, "before", True)
    yield
    assert SCRIPT.attempts == [], "every attempt was made"
    assert settings().data_dir == data_dir


def says(kind: Kind, good: bool | None) -> Callable[[Connection, str], None]:
    return lambda connection, run: kind.say(connection, run, good)


def record_elsewhere(warehouse: Warehouse, kind: Kind, good: bool | None) -> None:
    with warehouse.connect() as connection:
        kind.say(connection, "another run", good)


def run(*attempts: Callable[[Connection, str], None], alone: bool = False) -> bool:
    """Run everything, or the export alone; whether the run ended well."""
    SCRIPT.attempts = list(attempts)
    with DagsterInstance.ephemeral() as instance:
        done = the_job().execute_in_process(
            instance=instance,
            raise_on_error=False,
            asset_selection=[export_key(EXPORT)] if alone else None,
        )
    return bool(done.success)


def left(warehouse: Warehouse) -> bool:
    """Whether the last attempt to publish let the dataset leave; it must have been recorded."""
    with warehouse.connect() as connection:
        row = connection.execute(
            "delete from meta.publicacion where publicacion_id = ("
            "select max(publicacion_id) from meta.publicacion) returning estado"
        ).fetchone()
    assert row is not None
    assert row[0] in ("publicada", "sin_cambios", "exportada", "retenida"), row[0]
    return str(row[0]) != "retenida"


@every_kind
def test_red_or_unknown_in_the_same_run_withholds_and_a_pass_lets_leave(
    zones: Warehouse, kind: Kind
) -> None:
    assert not run(says(kind, False)) and not left(zones)
    assert run(says(kind, True)) and left(zones)
    assert not run(says(kind, None)) and not left(zones)


@every_kind
def test_red_in_another_run_withholds_the_export_alone_until_it_passes(
    zones: Warehouse, kind: Kind
) -> None:
    record_elsewhere(zones, kind, False)
    assert not run(alone=True) and not left(zones)
    assert not run(alone=True) and not left(zones), "asking again changes nothing"
    record_elsewhere(zones, kind, True)
    assert run(alone=True) and left(zones)


@every_kind
def test_a_step_that_is_retried_counts_by_what_it_said_last(zones: Warehouse, kind: Kind) -> None:
    assert not run(says(kind, True), says(kind, False)) and not left(zones)
    assert run(says(kind, False), says(kind, True)) and left(zones)


def test_a_reexecution_from_failure_is_no_way_past_the_gate(zones: Warehouse) -> None:
    kind = KINDS["Great Expectations suite"]
    SCRIPT.attempts = [says(kind, False)]
    with instance_for_test() as instance:
        with execute_job(reconstructable(the_job), instance) as first:
            assert not first.success and not left(zones)
        assert not reexecute(instance, first.run_id) and not left(zones)
        record_elsewhere(zones, kind, True)
        assert reexecute(instance, first.run_id) and left(zones)


def reexecute(instance: DagsterInstance, run_id: str) -> bool:
    with execute_job(
        reconstructable(the_job), instance,
        reexecution_options=ReexecutionOptions.from_failure(run_id, instance),
    ) as again:  # fmt: skip
        assert [event.step_key for event in again.all_node_events if event.is_step_start] == [
            "__".join(export_key(EXPORT).path)
        ], "only what had failed"
        return bool(again.success)


def test_a_backfill_is_no_way_past_the_gate(zones: Warehouse) -> None:
    """A real one, as Dagster's page asks for it and its daemon carries it out."""
    kind = KINDS["dbt test of the mart"]
    record_elsewhere(zones, kind, False)
    here = {
        "run_launcher": {
            "module": "dagster._core.launcher.sync_in_memory_run_launcher",
            "class": "SyncInMemoryRunLauncher",
        },
        "run_coordinator": {
            "module": "dagster._core.run_coordinator.default_run_coordinator",
            "class": "DefaultRunCoordinator",
        },
    }
    with instance_for_test(overrides=here) as instance:
        assert backfill(instance) == BulkActionStatus.COMPLETED_FAILED and not left(zones)
        record_elsewhere(zones, kind, True)
        assert backfill(instance) == BulkActionStatus.COMPLETED_SUCCESS and left(zones)


def backfill(instance: DagsterInstance) -> BulkActionStatus:
    wanted = AssetGraphSubset.from_asset_keys(
        [export_key(EXPORT)], definitions().resolve_asset_graph()
    )
    asked = PartitionBackfill.from_asset_graph_subset(
        uuid.uuid4().hex[:8], time.time(), {}, instance, wanted, None, None, None
    )
    instance.add_backfill(asked)
    place = InProcessWorkspaceLoadTarget(
        InProcessCodeLocationOrigin(
            LoadableTargetOrigin(python_file=__file__, attribute="definitions")
        )
    )
    with create_test_daemon_workspace_context(place, instance) as workspace:
        for _ in range(5):
            errors = [e for e in execute_backfill_iteration(workspace, logging.getLogger()) if e]
            assert not errors, errors
            found = instance.get_backfill(asked.backfill_id)
            assert found is not None
            if found.status in (
                BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.COMPLETED_SUCCESS
            ):  # fmt: skip
                break
    return found.status

"""dbt as Dagster assets: one definition for the whole project, with a translator.

Belongs here: how dbt nodes look in Dagster, and running `dbt build` so that everything it found
is stored for the gate. Does not belong here: deciding what to build (`build_plan.py`), or a model.

dbt's own failure does not fail the step: it would skip every export, also of the marts that are
well. A model that failed yields no asset, so what hangs on it is skipped, and a red check of its
own with the cause; a test that failed is a red check. The gate withholds the exports that depend
on either, in this run and in later ones.
"""

import datetime as dt
import os
import shutil
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Output,
    multi_asset,
)
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtCliResource, dbt_assets

from expectations.results import CheckResult, record
from orchestration.assets.exports import marts_not_exported, withhold
from orchestration.assets.failures import told_to_people
from orchestration.assets.naming import (
    BOOKS_GROUP,
    INTERMEDIATE_GROUP,
    MARTS_GROUP,
    RAW_GROUP,
    REFERENCE_GROUP,
    STAGING_GROUP,
    owners,
    raw_key,
    relation_key,
)
from orchestration.assets.verdicts import cause
from orchestration.build_plan import BUILD_LOCK, BuildPlan, plan_build, record_builds
from orchestration.connections import SAMPLE_REFERENCE_DATE, connections
from orchestration.dbt_project import (
    MANIFEST,
    manifest,
    relation_of,
    relations,
    with_ancestors,
)
from orchestration.dbt_rows import with_rows
from orchestration.dbt_verdicts import (
    build_verdict,
    built_relations,
    dbt_test_results,
    node_owner,
    test_words,
)
from orchestration.findings import update_findings
from orchestration.gate import suite_marts, unchecked
from orchestration.progress import observer
from orchestration.projections import SERIES, SHOWN_IN, are_behind
from orchestration.settings import CITY_TIMEZONE, DBT_PROJECT_DIR
from orchestration.warehouse.connection import (
    RowCount,
    Warehouse,
    export_environment,
    locate,
)
from sources.city import city_values
from sources.raw_table import Connection

BUILD_CHECK = "construccion"
# Where dagster-dbt keeps a node's name in the metadata of its asset.
DBT_UNIQUE_ID = "dagster_dbt/unique_id"
# How dagster-dbt names what dbt says of a build that a person may want to see.
_DBT_SECONDS = "Execution Duration"
# The data team, which keeps the books of the warehouse.
_BOOKKEEPER = str(city_values()["area_datos"])
_GROUPS = {"staging": STAGING_GROUP, "intermediate": INTERMEDIATE_GROUP, "marts": MARTS_GROUP}


class Translator(DagsterDbtTranslator):
    """dbt nodes under the names of the warehouse: `<schema>/<table>`, sources as raw assets."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        schema = dbt_resource_props["schema"]
        if dbt_resource_props["resource_type"] == "source":
            table = dbt_resource_props["identifier"]
            return raw_key(table) if schema == "raw" else relation_key(schema, table)
        return relation_key(schema, dbt_resource_props.get("alias") or dbt_resource_props["name"])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        nodes = {**manifest["nodes"], **manifest["sources"]}
        node = nodes[unique_id]
        return spec.replace_attributes(
            group_name=_group(node),
            owners=owners(node_owner(unique_id, nodes)),
            description=str(node.get("description") or ""),
        )

    def get_asset_check_spec(
        self, asset_spec: AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> AssetCheckSpec | None:
        """Not blocking for Dagster: one red test would fail the step of every model.

        The gate reads the verdicts and withholds what depends on the tested mart, and only that.
        """
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        test = manifest["nodes"][unique_id]
        return spec._replace(blocking=False, description=_check_words(test))


def _check_words(test: Mapping[str, Any]) -> str:
    """What a test asks and what happens when the answer is no: Dagster shows every one of them as
    not blocking."""
    blocking = str(test["config"].get("severity", "error")).lower() == "error"
    then = "retiene lo que depende de esta tabla" if blocking else "avisa, y no retiene nada"
    return f"{test_words(test).rstrip('.')}. Si no pasa, {then}."


def _group(node: Mapping[str, Any]) -> str:
    if node["resource_type"] == "seed":
        return REFERENCE_GROUP
    if node["resource_type"] == "source":
        return RAW_GROUP
    if node["resource_type"] == "snapshot":
        return INTERMEDIATE_GROUP
    return _GROUPS.get(node["fqn"][1], MARTS_GROUP)


def book_assets() -> list[AssetSpec]:
    """Tables that models read and no load or model fills: the warehouse's own books, and what was
    delivered to the chatbot. Dagster would show them without a word."""
    return [
        AssetSpec(
            relation_key(source["schema"], source["identifier"]),
            group_name=BOOKS_GROUP,
            description=f"{source['description']}\n\n{source['source_description']}",
            owners=owners(_BOOKKEEPER),
            kinds={"postgres"},
            metadata={"dagster/table_name": relation_of(source)},
        )
        for source in manifest()["sources"].values()
        if "contratos" not in (source["config"].get("meta") or {})
    ]


def dbt_models() -> AssetsDefinition:
    """Every model, seed and snapshot of the project, with its tests as asset checks."""

    @dbt_assets(
        manifest=MANIFEST,
        dagster_dbt_translator=Translator(),
        name="dbt",
        exclude="resource_type:unit_test",
    )
    def nodes() -> Iterator[Any]:
        """Never run: only what dbt has is taken from here, its assets and its tests."""
        yield from ()

    everything = {spec.key for spec in nodes.specs}
    checks = [*nodes.check_specs, *map(_build_check, nodes.specs)]
    known = {spec.key for spec in checks}

    @multi_asset(
        name="dbt",
        specs=list(nodes.specs),
        check_specs=checks,
        can_subset=True,
        op_tags=nodes.op.tags,
        allow_arbitrary_check_specs=True,
    )
    @told_to_people
    def build(context: AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        warehouse = locate()
        export_environment(warehouse)
        with warehouse.connect(autocommit=True) as lock:
            _wait_for_others(context, lock)
            with warehouse.connect() as connection:
                today = None if connections().sample else dt.datetime.now(CITY_TIMEZONE).date()
                plan, waiting = plan_build(connection, today), _waiting(connection)
            if context.selected_asset_keys != everything:
                yield from _run(context, dbt, None, plan, known)
                return
            if plan.nothing:
                context.log.info(f"Nada que construir: {plan.reason}.")
                observer().finished("dbt", "dbt", "sin_cambios")
                building = _nothing()
            else:
                building = _run(context, dbt, plan.selectors, plan, known)
            yield from _with_waiting(context, building, waiting)

    return build


def _wait_for_others(context: AssetExecutionContext, connection: Connection) -> None:
    """Take the lock of builds, and say so where another run has it."""
    row = connection.execute("select pg_try_advisory_lock(%s)", [BUILD_LOCK]).fetchone()
    if row != (True,):
        context.log.info("Otra corrida está construyendo los modelos: se espera a que termine.")
        observer().started("dbt", "espera a otra corrida")
        connection.execute("select pg_advisory_lock(%s)", [BUILD_LOCK])


def _nothing() -> Generator[Any, None, set[str]]:
    yield from ()
    return set()


def _waiting(connection: Connection) -> set[str]:
    """Relations that something made of them still waits for: their suite, portal datasets or
    projections. Runs that were killed leave such, and systems that were connected later."""
    found = marts_not_exported(connection) | set(unchecked(connection, suite_marts()))
    return found | {SERIES, *SHOWN_IN} if are_behind(connection) else found


def _with_waiting(
    context: AssetExecutionContext,
    building: Generator[Any, None, set[str]],
    waiting_for: set[str],
) -> Iterator[Any]:
    """What is built, and also relations that nothing changed and that something waits for.

    These are not built again: being handed on is what makes Dagster start what comes after them.
    It wants nothing after what is made from it. What is made from a mart tells that the mart will
    not be built any more: dbt would have done so first.
    """
    outputs = {".".join(k.path): name for name, k in context.assets_def.keys_by_output_name.items()}
    relations_by_output = {name: relation for relation, name in outputs.items()}
    # Whatever a mart is made from has fewer ancestors than the mart.
    waiting = sorted(
        outputs.keys() & waiting_for, key=lambda mart: (len(with_ancestors(mart)), mart)
    )

    def handed_on(marts: Collection[str]) -> Iterator[Output[Any]]:
        for mart in marts:
            words = "No se volvió a construir: lo que sale de acá había quedado pendiente."
            yield Output(None, output_name=outputs[mart], metadata={"motivo": words})

    while True:
        try:
            made = next(building)
        except StopIteration as end:
            yield from handed_on([mart for mart in waiting if mart not in end.value])
            return
        if isinstance(made, Output):
            relation = relations_by_output[made.output_name]
            before = with_ancestors(relation) - {relation}
            yield from handed_on([mart for mart in waiting if mart in before])
            waiting = [mart for mart in waiting if mart not in before and mart != relation]
        yield made


def _build_check(spec: AssetSpec) -> AssetCheckSpec:
    """Whether the model was built: a model that failed gives no asset, and its page must say why.

    It carries the model's own dbt name, so that running this check alone builds the model.
    """
    return AssetCheckSpec(
        BUILD_CHECK,
        asset=spec.key,
        description="dbt construyó el modelo; si no, por qué.",
        metadata={DBT_UNIQUE_ID: spec.metadata[DBT_UNIQUE_ID]},
    )


def _run(
    context: AssetExecutionContext,
    dbt: DbtCliResource,
    selectors: Sequence[str] | None,
    plan: BuildPlan,
    known: Collection[AssetCheckKey],
) -> Generator[Any, None, set[str]]:
    """Build, store what was built and tested, and say every verdict that is one of the `known`.

    Returns the relations that dbt built, failed or left out.
    """
    watch = observer()
    warehouse = locate()
    if connections().sample:
        os.environ["DBT_FECHA_REFERENCIA"] = SAMPLE_REFERENCE_DATE
    else:
        os.environ.pop("DBT_FECHA_REFERENCIA", None)
    invocation = _invocation(context, dbt, selectors, plan.from_scratch)
    watch.started("dbt", "dbt")
    try:
        rows: dict[str, RowCount] = {}
        for event in _built(context, invocation):
            watch.finished("dbt", str(event.output_name), "ok")
            yield _with_row_count(context, warehouse, event, rows)
        results = _run_results(invocation.target_path)
        if results is None:
            error = invocation.get_error()
            raise error or RuntimeError("dbt terminó sin resultados")
        with warehouse.connect() as connection:
            failed = record_builds(connection, context.run.run_id, results, plan.newest_load)
            tested = with_rows(connection, results, dbt_test_results(results), rows)
            record(connection, context.run.run_id, tested)
            withhold(connection, context.run.run_id, failed)
        for verdict in tested:
            watch.finished("controles", verdict.control, "ok" if verdict.paso else "falla")
        for found in (*build_results(results), *map(test_result, tested)):
            if found.asset_check_key in context.selected_asset_check_keys:
                yield _planned(found)
            elif found.asset_check_key in known:
                yield found
        # Before the exports, which publish the scores made of them.
        update_findings(warehouse, context.run.run_id)
        return set(built_relations(results))
    finally:
        _keep_artifacts(invocation.target_path)


def _invocation(
    context: AssetExecutionContext,
    dbt: DbtCliResource,
    selectors: Sequence[str] | None,
    from_scratch: bool,
) -> DbtCliInvocation:
    """`dbt build` of the selectors, of everything when there are none, or of the step's own
    selection (None).

    Given the context, `cli` adds the selection of the whole definition (`fqn:*`) to ours, and dbt
    builds what either names: everything; and leaves out tests that the run did not plan. So the
    context is handed over afterwards, for the events.
    """
    arguments = ["build", *(["--full-refresh"] if from_scratch else [])]
    if selectors is None:
        return dbt.cli(arguments, context=context, raise_on_error=False)
    chosen = ["--select", " ".join(selectors)] if selectors else []
    invocation = dbt.cli(
        [*arguments, *chosen, "--exclude", "resource_type:unit_test"],
        manifest=MANIFEST,
        dagster_dbt_translator=Translator(),
        raise_on_error=False,
    )
    invocation.context = context
    return invocation


def _built(context: AssetExecutionContext, invocation: DbtCliInvocation) -> Iterator[Output[Any]]:
    """One event per relation as dbt builds it; what tests said is read at the end, with causes."""
    for event in invocation.stream_raw_events():
        if event.raw_event["data"].get("node_info", {}).get("resource_type") == "test":
            continue
        for made in event.to_default_asset_events(
            invocation.manifest, invocation.dagster_dbt_translator, context, invocation.target_path
        ):
            if isinstance(made, Output):
                yield made


def build_results(run_results: Mapping[str, Any]) -> Iterator[AssetCheckEvaluation]:
    """One result per model, seed and snapshot: built, failed, or left out, with the cause.

    One that was left out is no error of its own: what it depends on says what happened.
    """
    for result in built_relations(run_results).values():
        verdict = build_verdict(result)
        seconds = float(result.get("execution_time") or 0.0)
        yield _as_check(verdict, BUILD_CHECK, {"segundos": seconds})


def test_result(verdict: CheckResult) -> AssetCheckEvaluation:
    """What a dbt test said of a relation, with the cause."""
    found = {} if verdict.filas_fallidas is None else {"filas_fallidas": verdict.filas_fallidas}
    return _as_check(verdict, verdict.control, found)


def _as_check(verdict: CheckResult, name: str, facts: Mapping[str, Any]) -> AssetCheckEvaluation:
    red = verdict.paso is False and verdict.severidad == "bloqueante"
    return AssetCheckEvaluation(
        asset_key=relation_key(*verdict.objeto.split(".", 1)),
        check_name=name,
        passed=verdict.paso is True,
        severity=AssetCheckSeverity.ERROR if red else AssetCheckSeverity.WARN,
        description=verdict.explicacion.splitlines()[0],
        metadata={**facts, "responsable": verdict.responsable or "sin dato", **cause([verdict])},
    )


def _planned(found: AssetCheckEvaluation) -> AssetCheckResult:
    """The same, as the answer that a run waits for which planned the check (`automation.py`)."""
    return AssetCheckResult(
        asset_key=found.asset_key,
        check_name=found.check_name,
        passed=found.passed,
        severity=found.severity,
        description=found.description,
        metadata=found.metadata,
    )


def _with_row_count(
    context: AssetExecutionContext,
    warehouse: Warehouse,
    event: Output[Any],
    counted: dict[str, RowCount],
) -> Output[Any]:
    """The event with what a person asks of it: how long it took and, of a table, how many rows it
    holds now; views are left alone, counting them runs them.

    How many is put in `counted`, by '<schema>.<table>'.
    """
    took = event.metadata.get(_DBT_SECONDS)
    event = event.with_metadata({} if took is None else {"segundos": took})
    schema, table = context.assets_def.keys_by_output_name[event.output_name].path
    node = relations()[f"{schema}.{table}"]
    if node["config"].get("materialized") == "view":
        return event
    count = warehouse.rows_held(schema, table)
    counted[f"{schema}.{table}"] = count
    return event.with_metadata({**event.metadata, "dagster/row_count": count.rows})


def _run_results(target: Path) -> Mapping[str, Any] | None:
    import orjson

    path = target / "run_results.json"
    if not path.exists():
        return None
    loaded: Mapping[str, Any] = orjson.loads(path.read_bytes())
    return loaded


def _keep_artifacts(target: Path) -> None:
    """Keep the last run's artifacts in one known place, and not one folder per run for ever."""
    last = DBT_PROJECT_DIR / "target"
    for name in ("run_results.json", "partial_parse.msgpack", "dbt.log"):
        if (target / name).exists():
            shutil.copy(target / name, last / name)
    if target != last:
        shutil.rmtree(target, ignore_errors=True)

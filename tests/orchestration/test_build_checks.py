"""A model that was not built is a red check on its own page, with the cause as metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetExecutionContext,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    Output,
)
from dagster_dbt import DbtCliResource

from orchestration.assets import dbt
from orchestration.automation import daily_jobs
from orchestration.build_plan import BuildPlan
from orchestration.dbt_project import dbt_executable, manifest, relations
from orchestration.projections import SERIES, SHOWN_IN, update_projections
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse.connection import Warehouse
from tests.support.marts import judge, make_mart, say_built

BROKEN, LEFT_OUT = "agua.dim_zona", "agua.dim_cuenta"


def result(relation: str, status: str, message: str = "") -> dict[str, Any]:
    unique_id = relations()[relation]["unique_id"]
    return {"unique_id": unique_id, "status": status, "execution_time": 1.5, "message": message}


# A test with nothing attached: Dagster learns from its configuration whose check it is.
TESTED = next(
    node for node in manifest()["nodes"].values() if node["name"] == "nada_se_pierde_en_proyectos"
)
RESULTS = {
    "results": [
        result("referencia.ods", "success"),
        result(BROKEN, "error", "division by zero\nLINE 3: select 1 / 0"),
        result(LEFT_OUT, "skipped"),
        {"unique_id": TESTED["unique_id"], "status": "fail", "failures": 2, "message": "Got 2"},
    ]
}


class BrokenDbt(DbtCliResource):
    """A dbt whose build ended as RESULTS say."""

    folder: str

    def cli(self, args: Sequence[str], **_: Any) -> Any:
        target = Path(self.folder) / "target"
        target.mkdir(exist_ok=True)
        (target / "run_results.json").write_text(json.dumps(RESULTS), encoding="utf-8")

        def stream() -> Iterator[Any]:
            return iter(())

        return SimpleNamespace(stream_raw_events=stream, target_path=target, get_error=lambda: None)


@pytest.fixture
def resource(
    warehouse: Warehouse, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BrokenDbt:
    data_dir.mkdir(exist_ok=True)
    monkeypatch.setattr(dbt, "locate", lambda: warehouse)
    monkeypatch.setattr(dbt, "update_findings", lambda *_: None)
    monkeypatch.setattr(dbt, "_keep_artifacts", lambda *_: None)
    return BrokenDbt(
        project_dir=str(DBT_PROJECT_DIR), profiles_dir=str(DBT_PROJECT_DIR),
        dbt_executable=dbt_executable(), folder=str(tmp_path),
    )  # fmt: skip


@pytest.fixture
def evaluations(resource: BrokenDbt) -> dict[str, Any]:
    """What Dagster keeps of each build check of a run in which a model broke."""
    keys = [dbt.relation_key(*name.split(".")) for name in ("referencia.ods", BROKEN, LEFT_OUT)]
    definitions = Definitions(assets=[dbt.dbt_models()], resources={"dbt": resource})
    with DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
        assert done.success, "one broken model fails no step"
        return {
            evaluation.asset_key.to_user_string(): evaluation
            for evaluation in done.get_asset_check_evaluations()
            if evaluation.check_name == dbt.BUILD_CHECK
        }


def test_the_daily_run_plans_no_check_of_a_model_and_says_all_that_dbt_found(
    resource: BrokenDbt,
) -> None:
    models = dbt.dbt_models()
    definitions = Definitions(assets=[models], jobs=daily_jobs(models), resources={"dbt": resource})
    with DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("recorrido").execute_in_process(
            instance=instance, raise_on_error=False
        )
        planned = instance.get_records_for_run(
            done.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        ).records
    said = {
        (item.asset_key.to_user_string(), item.check_name): item
        for item in done.get_asset_check_evaluations()
    }
    assert planned == [], "what is planned and not evaluated hides the verdict that stands"
    assert {key for key in said if key[1] == dbt.BUILD_CHECK} == {
        (name, dbt.BUILD_CHECK) for name in ("referencia/ods", "agua/dim_zona", "agua/dim_cuenta")
    }
    tested = said["proyectos/kpi_cumplimiento_ciudad", "nada_se_pierde_en_proyectos"]
    assert (tested.passed, tested.severity) == (False, AssetCheckSeverity.ERROR)
    assert tested.metadata["filas_fallidas"].value == 2
    assert "no pasa" in tested.metadata["detalle"].value
    assert tested.metadata["responsable"].value in tested.metadata["detalle"].value


def test_a_mart_whose_datasets_have_still_to_leave_is_handed_on_and_not_built_again(
    resource: BrokenDbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt, "plan_build", lambda *_: BuildPlan(False, (), "nada nuevo", 0))
    monkeypatch.setattr(dbt, "marts_not_exported", lambda _: {BROKEN})
    monkeypatch.setattr(dbt, "_invocation", lambda *_: pytest.fail("dbt was started"))
    definitions = Definitions(assets=[dbt.dbt_models()], resources={"dbt": resource})
    with DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance
        )
    handed = [event.asset_key.to_user_string() for event in done.get_asset_materialization_events()]
    assert handed == ["agua/dim_zona"]


def test_what_a_killed_run_left_unchecked_and_unprojected_is_handed_on_until_it_is_done(
    resource: BrokenDbt, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built any more, and no dataset is made of them: nothing else would bring them up.

    Boards were kept back for ever, with the advice to run again.
    """
    monkeypatch.setattr(dbt, "plan_build", lambda *_: BuildPlan(False, (), "nada nuevo", 0))
    monkeypatch.setattr(dbt, "marts_not_exported", lambda _: set())
    definitions = Definitions(assets=[dbt.dbt_models()], resources={"dbt": resource})

    def handed_on() -> set[str]:
        with DagsterInstance.ephemeral() as instance:
            done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance
            )
        return {".".join(e.asset_key.path) for e in done.get_asset_materialization_events()}

    assert handed_on() == set()
    with warehouse.connect() as connection:
        say_built(connection, "inventario.dim_fecha")
        connection.execute(
            f"create table {SERIES} as select 1 as zona_id, date '2026-05-01' as mes, "
            "10 as medidores, 300.0::float8 as litros_medidor_dia, true as es_completo".encode()
        )
    assert handed_on() == {"inventario.dim_fecha", SERIES, *SHOWN_IN}

    with warehouse.connect() as connection:
        judge(connection, "great_expectations", "inventario.dim_fecha", passed=False)
    update_projections(warehouse)
    assert handed_on() == set()
    with warehouse.connect() as connection:
        say_built(connection, "inventario.dim_fecha", run="otra")
    assert handed_on() == {"inventario.dim_fecha"}


# Each is made from the one before.
LINE = ("inventario.dim_dataset", "calidad.kpi_calidad_dataset", "gobernanza.kpi_comite")


@pytest.mark.parametrize("built", [(), LINE[2:], LINE[1:], LINE[:1], (LINE[0], LINE[2])])
def test_what_is_handed_on_comes_before_what_is_made_from_it_and_nothing_comes_twice(
    resource: BrokenDbt, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, built: tuple[str]
) -> None:
    done: Any = {"results": [result(relation, "success") for relation in built]}
    monkeypatch.setattr(dbt, "_run_results", lambda _: done)
    monkeypatch.setattr(dbt, "marts_not_exported", lambda _: set(LINE))
    if not built:
        monkeypatch.setattr(dbt, "plan_build", lambda *_: BuildPlan(False, (), "nada nuevo", 0))

    def events(context: AssetExecutionContext, _: Any) -> Iterator[Output[None]]:
        names = {key: name for name, key in context.assets_def.keys_by_output_name.items()}
        for relation in built:
            yield Output(None, output_name=names[dbt.relation_key(*relation.split("."))])

    monkeypatch.setattr(dbt, "_built", events)
    with warehouse.connect() as connection:
        for relation in built:
            make_mart(connection, relation)
    definitions = Definitions(assets=[dbt.dbt_models()], resources={"dbt": resource})
    with DagsterInstance.ephemeral() as instance:
        done_run = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance
        )
    made = done_run.get_asset_materialization_events()
    assert [".".join(event.asset_key.path) for event in made] == list(LINE)
    handed = {".".join(e.asset_key.path) for e in made if "motivo" in e.materialization.metadata}
    assert handed == set(LINE) - set(built)


def test_a_mart_that_broke_is_not_handed_on(
    resource: BrokenDbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt, "marts_not_exported", lambda _: {BROKEN, LEFT_OUT, "agua.dim_medidor"})
    definitions = Definitions(assets=[dbt.dbt_models()], resources={"dbt": resource})
    with DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance
        )
    handed = [event.asset_key.to_user_string() for event in done.get_asset_materialization_events()]
    assert handed == ["agua/dim_medidor"]


def test_a_broken_model_is_a_red_check_with_its_cause(evaluations: dict[str, Any]) -> None:
    broken = evaluations["agua/dim_zona"]
    assert (broken.passed, broken.severity) == (False, AssetCheckSeverity.ERROR)
    assert broken.description == "division by zero"
    assert "select 1 / 0" in broken.metadata["detalle"].value
    assert broken.metadata["responsable"].value == relations()[BROKEN]["config"]["meta"]["owner"]


def test_what_was_left_out_warns_and_what_was_built_passes(evaluations: dict[str, Any]) -> None:
    left_out, built = evaluations["agua/dim_cuenta"], evaluations["referencia/ods"]
    assert (left_out.passed, left_out.severity) == (False, AssetCheckSeverity.WARN)
    assert "falló algo de lo que depende" in left_out.description
    assert built.passed and "detalle" not in built.metadata


def test_running_the_check_alone_builds_its_model() -> None:
    models = dbt.dbt_models()
    key = AssetCheckKey(dbt.relation_key(*BROKEN.split(".")), dbt.BUILD_CHECK)
    spec = models.get_spec_for_check_key(key)
    assert spec.metadata[dbt.DBT_UNIQUE_ID] == relations()[BROKEN]["unique_id"]
    assert not spec.blocking, "one red model must not stop the others"

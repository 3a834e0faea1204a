"""What is built again though no row arrived: a new day, a verdict that changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInvalidConfigError, validate_run_config

from expectations.results import CheckResult, record
from orchestration import dbt_project
from orchestration.assets.raw import days_again
from orchestration.build_plan import plan_build
from orchestration.dbt_project import data_test_names, project_sha256, relations
from orchestration.warehouse.connection import Warehouse
from sources.landing.again import RangeError

TODAY = dt.date(2026, 6, 2)
MEASUREMENTS = "lujan.intermediate.calidad.int_calidad__mediciones+"


@pytest.fixture
def all_built(warehouse: Warehouse) -> Warehouse:
    """Everything built on the evening of TODAY in Mendoza, the next day in Greenwich."""
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
            "ultima_carga_id, fin) select 'c', objeto, 'n', 'ok', %s, 0, '2026-06-03 01:00:00+00' "
            "from unnest(%s::text[]) as objeto",
            [project_sha256(), sorted(relations())],
        )
        for name in relations():
            schema, table = name.split(".")
            connection.execute(f'create schema if not exists "{schema}"'.encode())
            connection.execute(f'create table "{schema}"."{table}" ()'.encode())
    return warehouse


def chosen(warehouse: Warehouse, today: dt.date | None = TODAY) -> tuple[str, ...]:
    with warehouse.connect() as connection:
        plan = plan_build(connection, today)
    assert not plan.everything
    return plan.selectors


def verdict(
    warehouse: Warehouse, passed: bool | None, when: str, relation: str = "raw.mlc__ejes"
) -> None:
    result = CheckResult(
        control="contrato.mlc.ejes.nombre.obligatorio", motor="pandera", objeto=relation,
        regla="obligatorio", severidad="advertencia", paso=passed, explicacion="x",
    )  # fmt: skip
    with warehouse.connect() as connection:
        record(connection, "c", [result])
        connection.execute(
            "update meta.resultado_control set evaluado_en = %s where resultado_id = "
            "(select max(resultado_id) from meta.resultado_control)", [when],
        )  # fmt: skip


def test_the_same_day_with_nothing_new_builds_nothing(all_built: Warehouse) -> None:
    assert chosen(all_built) == ()


def test_what_somebody_dropped_is_built_again_with_what_hangs_on_it(all_built: Warehouse) -> None:
    with all_built.connect() as connection:
        connection.execute("drop table proyectos.dim_eje")
    assert chosen(all_built) == ("lujan.marts.proyectos.dim_eje+",)
    with all_built.connect() as connection:
        assert not plan_build(connection, TODAY).from_scratch
        connection.execute("drop table agua.fct_consumo_diario")
        assert plan_build(connection, TODAY).from_scratch, "it is built by what changed since"


def test_the_next_day_builds_what_speaks_of_the_day(all_built: Warehouse) -> None:
    found = chosen(all_built, TODAY + dt.timedelta(days=1))

    assert "lujan.marts.inventario.dim_dataset+" in found, "what is overdue"
    assert "lujan.marts.gobernanza.kpi_comite+" in found
    assert "lujan.marts.calidad.fct_hallazgo+" in found, "through an ephemeral model"
    assert not any("fct_consumo_horario" in selector for selector in found)


def test_models_that_speak_of_a_fixed_day_wait_for_data(all_built: Warehouse) -> None:
    assert chosen(all_built, None) == ()


def test_a_verdict_that_changed_measures_again_and_one_that_stands_does_not(
    all_built: Warehouse,
) -> None:
    verdict(all_built, True, "2026-06-02 12:00:00+00")
    verdict(all_built, True, "2026-06-03 12:00:00+00")
    assert chosen(all_built) == ()

    verdict(all_built, None, "2026-06-03 13:00:00+00")

    assert chosen(all_built) == (MEASUREMENTS,)


def test_a_verdict_on_a_mart_does_not_change_the_score_of_data_sets(all_built: Warehouse) -> None:
    verdict(all_built, False, "2026-06-03 12:00:00+00", "proyectos.dim_eje")
    assert chosen(all_built) == ()


def test_what_keeps_a_mart_back_is_asked_again_until_it_passes_or_is_no_longer_asked(
    all_built: Warehouse,
) -> None:
    axes = "lujan.marts.proyectos.dim_eje"

    def said(control: str, passed: bool | None, run: str, engine: Any) -> tuple[str, ...]:
        result = CheckResult(
            control=control, motor=engine, objeto="proyectos.dim_eje", regla="r",
            severidad="bloqueante", paso=passed, explicacion="x",
        )  # fmt: skip
        with all_built.connect() as connection:
            record(connection, run, [result])
        return chosen(all_built)

    assert said("una", False, "r1", "great_expectations") == (axes,)
    assert said("suite", None, "r2", "great_expectations") == (axes,), "unknown is no pass"
    assert said("otra", True, "r3", "great_expectations") == ()
    assert said("prueba_que_se_quito", False, "r3", "dbt") == ()
    key = next(n for n in data_test_names() if n.startswith("clave_unica_dim_eje"))
    assert said(key, None, "r4", "dbt") == (axes,)


def test_rows_leaving_quarantine_and_drift_measure_again(all_built: Warehouse) -> None:
    with all_built.connect() as connection:
        connection.execute(
            "insert into meta.deriva (dataset, tipo, columna, detalle, accion, detectado_en) "
            "values ('mlc.ejes', 'columna_faltante', 'nombre', 'x', 'x', '2026-06-03 02:00:00+00')"
        )
    assert chosen(all_built) == (MEASUREMENTS,)


def test_days_asked_for_again_are_two_dates_or_none() -> None:
    assert days_again(None) is None
    assert days_again({"desde": None, "hasta": None}) is None
    assert days_again({"desde": "2026-05-01", "hasta": "2026-05-31"}) == (
        dt.date(2026, 5, 1),
        dt.date(2026, 5, 31),
    )
    for wrong in ({"desde": "2026-05-01"}, {"desde": "1/5/2026", "hasta": "2026-05-31"}):
        with pytest.raises(RangeError, match="aaaa-mm-dd"):
            days_again(wrong)


def test_the_job_that_works_days_through_again_takes_them_in_its_loading_step() -> None:
    from orchestration.automation import FEED_STEP
    from orchestration.definitions import defs

    job = defs.resolve_job_def("recalcular_lecturas")
    asked = {"ops": {FEED_STEP: {"config": {"desde": "2026-05-01", "hasta": "2026-05-31"}}}}
    assert validate_run_config(job, asked)["ops"][FEED_STEP]["config"]["hasta"] == "2026-05-31"
    with pytest.raises(DagsterInvalidConfigError):
        validate_run_config(job, {"ops": {FEED_STEP: {"config": {"dsde": "2026-05-01"}}}})

    # The form asks for them, and launched as it is shown it is refused, not taken for a load.
    assert job.run_config is not None
    shown = job.run_config["ops"][FEED_STEP]["config"]
    assert set(shown) == {"desde", "hasta"}
    with pytest.raises(RangeError, match="aaaa-mm-dd"):
        days_again(shown)


def test_the_form_of_a_job_shows_no_insides_of_the_program() -> None:
    from orchestration.definitions import defs

    for name in ("diaria", "recorrido", "recalcular_lecturas", "lecturas_nuevas", "publicar"):
        job = defs.resolve_job_def(name)
        assert "dbt" not in (job.run_config or {}).get("resources", {}), name
        field = job.resource_defs.get("dbt") if "dbt" in job.resource_defs else None
        assert field is None or not field.config_schema.as_field().default_provided, name


def test_only_files_that_decide_what_is_built_change_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, lists = tmp_path / "dbt_project", tmp_path / "reference"
    (project / "models").mkdir(parents=True)
    lists.mkdir()
    (project / "models" / "uno.sql").write_text("select 1")
    monkeypatch.setattr(dbt_project, "DBT_PROJECT_DIR", project)
    monkeypatch.setattr(dbt_project, "REFERENCE_DIR", lists)
    before = project_sha256()

    # dbt's own, an editor's, and what a build leaves behind.
    (project / ".user.yml").write_text("id: 1")
    (project / "models" / ".uno.sql.swp").write_text("")
    (project / "target").mkdir()
    (project / "target" / "manifest.json").write_text("{}")
    assert project_sha256() == before

    (lists / "temas.csv").write_text("tema")
    with_a_list = project_sha256()
    (project / "models" / "uno.sql").write_text("select 2")
    assert len({before, with_a_list, project_sha256()}) == 3

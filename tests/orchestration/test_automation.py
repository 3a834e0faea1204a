"""The schedules, the sensor on the feed folder, publications, and what follows every run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    RunRequest,
    SkipReason,
    build_run_status_sensor_context,
    build_schedule_context,
    build_sensor_context,
    job,
    op,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from expectations.findings import find, synchronise
from expectations.results import CheckResult, record
from exports.approvals import approve
from exports.definition import FREQUENCIES, load_definitions
from orchestration import automation
from orchestration import settings as settings_module
from orchestration.assets.exports import marts_not_exported
from orchestration.automation import _CRON, daily_schedule, feed_sensor, publication_schedules
from orchestration.findings import project_facts
from orchestration.living_runs import COMMAND_LINE, ORIGIN_TAG, hold
from orchestration.publishing import Waiting, waiting
from orchestration.run import show_on_time_line
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse.connection import Warehouse
from sources.city import city_timezone
from tests.support.http import Reply, http_server


@pytest.fixture
def feed(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lecturas"
    folder.mkdir()
    monkeypatch.setenv("SOURCE_TELEMETRIA_URL", str(folder))
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()
    return folder


def asked(folder: Path) -> RunRequest | SkipReason:
    result = feed_sensor(build_sensor_context())
    assert isinstance(result, RunRequest | SkipReason)
    return result


def test_the_schedule_runs_every_night_in_the_citys_time() -> None:
    assert daily_schedule.cron_schedule == "0 3 * * *"
    assert daily_schedule.execution_timezone == city_timezone().key


def test_runs_of_the_command_line_name_the_place_that_the_pages_look_under() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    [place] = workspace["load_from"]

    assert f"__repository__@{place['python_module']['location_name']}" == automation.PLACE
    assert automation.PLACE_TAG == REPOSITORY_LABEL_TAG


def test_a_run_of_the_command_line_is_on_the_time_line() -> None:
    @job
    def recorrido() -> None: ...

    with DagsterInstance.ephemeral() as instance:
        tags = {ORIGIN_TAG: COMMAND_LINE, automation.PLACE_TAG: automation.PLACE}
        run_id = recorrido.execute_in_process(instance=instance, tags=tags).run_id

        show_on_time_line(instance, run_id)

        run = instance.get_run_by_id(run_id)
    assert run is not None and run.is_success and run.tags == tags
    # The page passes over runs without it.
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.repository_origin.get_label() == automation.PLACE


def test_an_empty_folder_asks_for_nothing(feed: Path) -> None:
    assert isinstance(asked(feed), SkipReason)


def test_a_new_file_asks_for_one_run_until_it_is_loaded(feed: Path, warehouse: Warehouse) -> None:
    (feed / "lecturas_2026-06-01.csv").write_text(
        "medidor;fecha;lectura_m3;estimada;bateria\nM;01/06/2026 00:00:00;1;0;3.6\n"
    )

    first, again = asked(feed), asked(feed)

    assert isinstance(first, RunRequest) and isinstance(again, RunRequest)
    assert first.run_key == again.run_key
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin) values ('r', 'telemetria.lecturas_csv', 'cargada', "
            "'files', '1', 'x', now(), now())"
        )
        connection.execute(
            "insert into meta.archivo (dataset, sha256, nombre, nombre_actual, identidad, bytes, "
            "filas_leidas, carga_id) select 'telemetria.lecturas_csv', "
            "encode(sha256(%s::bytea), 'hex'), 'f', 'f', 'f', 1, 1, max(carga_id) from meta.carga",
            [(feed / "lecturas_2026-06-01.csv").read_bytes()],
        )
    assert isinstance(asked(feed), SkipReason)


def test_a_folder_that_is_gone_is_a_reason_to_skip(feed: Path) -> None:
    feed.rmdir()
    assert isinstance(asked(feed), SkipReason)


def test_a_system_that_is_not_configured_is_a_reason_to_skip(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    assert isinstance(asked(data_dir), SkipReason)


def test_every_dataset_with_a_period_has_a_schedule_of_its_own() -> None:
    definitions, _ = load_definitions()
    schedules = {item.name: item for item in publication_schedules(definitions)}
    assert len(schedules) == sum(d.frecuencia != "eventual" for d in definitions.values())
    monthly = schedules["publicar_consumo_de_agua_por_zona"]
    assert monthly.cron_schedule == "0 6 1 * *"
    request = monthly.evaluate_tick(build_schedule_context()).run_requests[0]
    assert [key.path[-1] for key in request.asset_selection or ()] == ["consumo_de_agua_por_zona"]


def test_every_frequency_of_the_profile_but_eventual_names_a_time() -> None:
    assert set(FREQUENCIES) - set(_CRON) == {"eventual"}


NOW = dt.datetime(2026, 7, 20, 12, tzinfo=dt.UTC)
MONTHLY = "consumo-de-agua-por-zona"


def recorded(connection: psycopg.Connection, state: str, when: dt.datetime) -> None:
    definition = load_definitions().definitions[MONTHLY]
    for mart in definition.marts:
        connection.execute(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
            "ultima_carga_id) values ('c', %s, 'n', 'ok', 's', 0)",
            [mart],
        )
        passed = CheckResult(
            control="grano", motor="great_expectations", objeto=mart, regla="grano",
            severidad="bloqueante", paso=True, explicacion="",
        )  # fmt: skip
        record(connection, "c", [passed])
    connection.execute(
        "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256, fin) "
        "values ('c', %s, %s, 's', %s)",
        [MONTHLY, state, when],
    )


@pytest.mark.parametrize(
    ("days", "overdue"), [(30, False), (37, False), (38, True)], ids=["in time", "slack", "late"]
)
def test_a_publication_is_overdue_after_a_period_and_a_fifth(
    warehouse: Warehouse, days: int, overdue: bool
) -> None:
    with warehouse.connect() as connection:
        recorded(connection, "publicada", NOW - dt.timedelta(days=days))
        approve(connection, load_definitions().definitions[MONTHLY], "Comité", "Acta 1")
        found = {item.dataset: item for item in waiting(connection, NOW)}
    assert (MONTHLY in found) is overdue
    if overdue:
        assert found[MONTHLY].overdue and not found[MONTHLY].blocked


def test_what_was_withheld_waits_for_its_gate_and_its_approval(warehouse: Warehouse) -> None:
    definition = load_definitions().definitions[MONTHLY]
    with warehouse.connect() as connection:
        recorded(connection, "retenida", NOW)

        def found() -> Waiting:
            return next(item for item in waiting(connection, NOW) if item.dataset == MONTHLY)

        assert found().blocked == "falta la aprobación"
        approve(connection, definition, "Comité", "Acta 1")
        assert found().blocked == ""
        connection.execute(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, mensaje, "
            "proyecto_sha256, ultima_carga_id) values ('c', %s, 'n', 'error', 'falló', 's', 0)",
            [definition.marts[0]],
        )
        assert "falló" in found().blocked


def test_a_run_that_ended_brings_findings_and_the_quality_page_up_to_date(
    warehouse: Warehouse, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()

    @op
    def nothing() -> None: ...

    @job
    def daily() -> None:
        nothing()

    red = CheckResult(
        control="clave", motor="great_expectations", objeto="agua.dim_zona", regla="clave",
        severidad="bloqueante", paso=False, explicacion="x", filas_fallidas=1,
    )  # fmt: skip
    with warehouse.connect() as connection:
        record(connection, "c", [red])
    with DagsterInstance.ephemeral() as instance:
        done = daily.execute_in_process(instance=instance)
        event = done.get_run_success_event()
        for sensor in automation.findings_sensors:
            context = build_run_status_sensor_context(
                sensor.name, event, instance, done.dagster_run
            )
            assert sensor(context) is None
    settings_module.settings.cache_clear()

    with warehouse.connect() as connection:
        [found] = find(connection)
    assert (found.objeto, found.area) == ("agua.dim_zona", "Obras Públicas")
    assert "agua.dim_zona" in (data_dir / "quality" / "index.html").read_text(encoding="utf-8")
    assert [s.name for s in automation.findings_sensors] == [
        f"hallazgos_de_corrida_{how}" for how in ("exitosa", "fallida", "cancelada")
    ]


def test_a_killed_run_of_the_command_line_does_not_keep_the_others_waiting(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()

    @job
    def recorrido() -> None: ...

    def looked(instance: DagsterInstance) -> str | None:
        found = automation.living_sensor(build_sensor_context(instance=instance))
        assert isinstance(found, SkipReason)
        return found.skip_message

    with (
        DagsterInstance.ephemeral() as instance,
        warehouse.connect(autocommit=True) as process,
    ):
        ids = {}
        for name, tags in {"alive": {ORIGIN_TAG: COMMAND_LINE}, "dead": {ORIGIN_TAG: COMMAND_LINE},
                           "launched": {}}.items():  # fmt: skip
            run = instance.create_run_for_job(recorrido, tags=tags)
            instance.report_run_canceling(run)  # not ended, which is what counts
            ids[name] = run.run_id
        again = instance.create_run_for_job(  # "Re-execute" copies the tags
            recorrido, tags={ORIGIN_TAG: COMMAND_LINE},
            parent_run_id=ids["dead"], root_run_id=ids["dead"],
        )  # fmt: skip
        instance.report_run_canceling(again)
        ids["again"] = again.run_id
        assert hold(process, ids["alive"])

        assert looked(instance) == f"Se cerraron: {ids['dead']}."
        assert looked(instance) == "Ninguna."

        ended = {name: instance.get_run_by_id(run_id) for name, run_id in ids.items()}
    settings_module.settings.cache_clear()
    assert {name: run.is_finished for name, run in ended.items() if run} == {
        "alive": False, "dead": True, "launched": False, "again": False,
    }  # fmt: skip


def at_half_past_seven() -> RunRequest | SkipReason:
    context = build_schedule_context(scheduled_execution_time=dt.datetime(2026, 6, 1, 10, 30))
    result = automation.digest_schedule(context)
    assert isinstance(result, RunRequest | SkipReason)
    return result


def test_the_digest_is_off_until_there_is_a_way_to_send_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert automation.digest_schedule.default_status is DefaultScheduleStatus.STOPPED
    assert automation.digest_schedule.cron_schedule == "30 7 * * 1"
    assert isinstance(at_half_past_seven(), SkipReason)

    monkeypatch.setenv("LUJAN_DIGEST_WEBHOOK_URL", "http://127.0.0.1:1/ruta-secreta")
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()
    asked = at_half_past_seven()
    done = automation.digest_job.execute_in_process(raise_on_error=False)
    settings_module.settings.cache_clear()

    assert isinstance(asked, RunRequest) and asked.run_key == "resumen-2026-23"
    assert done.success, "nothing is open: nothing is sent"


def test_a_digest_that_does_not_leave_fails_its_run_in_words(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.connect() as connection:
        red = CheckResult(
            control="clave", motor="great_expectations", objeto="agua.dim_zona", regla="clave",
            severidad="bloqueante", paso=False, explicacion="x", filas_fallidas=1,
        )  # fmt: skip
        record(connection, "c", [red])
        synchronise(connection, "c", project_facts())
    with http_server(lambda number, _: Reply(status=403)) as server:
        monkeypatch.setenv("LUJAN_DIGEST_WEBHOOK_URL", f"{server.url}/ruta-secreta")
        monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
        settings_module.settings.cache_clear()
        done = automation.digest_job.execute_in_process(raise_on_error=False)
        settings_module.settings.cache_clear()

    assert not done.success
    [failure] = [e for e in done.all_events if e.is_step_failure]
    words = str(failure.step_failure_data.error) + str(failure.step_failure_data.user_failure_data)
    assert "Obras Públicas" in words and "código 403" in words and "ruta-secreta" not in words


def test_a_run_by_hand_publishes_everything_and_the_daily_one_leaves_it_to_the_schedules() -> None:
    from orchestration.definitions import defs

    steps = {
        name: {
            key.to_user_string()
            for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys
        }
        for name in ("recorrido", "diaria", "publicar")
    }
    assert steps["publicar"] and not steps["publicar"] & steps["diaria"]
    assert steps["recorrido"] == steps["diaria"] | steps["publicar"]


def test_a_dataset_waits_until_it_is_where_datasets_go_now(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = load_definitions().definitions[MONTHLY]
    monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CKAN_URL", raising=False)
    settings_module.settings.cache_clear()
    (settings_module.settings().exports_dir / MONTHLY).mkdir(parents=True)

    def waits(connection: psycopg.Connection[Any]) -> bool:
        settings_module.settings.cache_clear()
        return set(definition.marts) <= marts_not_exported(connection)

    def left(connection: psycopg.Connection[Any], place: str) -> None:
        connection.execute(
            "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256, "
            "construccion_id, destino) select 'c', %s, 'publicada', %s, "
            "(select max(construccion_id) from meta.construccion), %s",
            [MONTHLY, definition.sha256, place],
        )

    with warehouse.connect() as connection:
        recorded(connection, "retenida", NOW)
        assert waits(connection)
        left(connection, str(settings_module.settings().portal_dir / MONTHLY))
        assert not waits(connection)
        monkeypatch.setenv("CKAN_URL", "https://datos.ejemplo/")
        assert waits(connection)
        left(connection, f"https://datos.ejemplo/dataset/{MONTHLY}")
        assert not waits(connection)
    settings_module.settings.cache_clear()


def test_the_next_run_publishes_what_a_person_approved(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = load_definitions().definitions[MONTHLY]
    monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CKAN_URL", raising=False)
    settings_module.settings.cache_clear()
    (settings_module.settings().exports_dir / "pendientes" / MONTHLY).mkdir(parents=True)

    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256, "
            "construccion_id, destino) select 'c', %s, 'pendiente_aprobacion', %s, "
            "(select max(construccion_id) from meta.construccion), %s",
            [MONTHLY, definition.sha256, str(settings_module.settings().portal_dir / MONTHLY)],
        )
        assert not set(definition.marts) & marts_not_exported(connection)
        approve(connection, definition, "Comité", "Acta 1")
        assert set(definition.marts) <= marts_not_exported(connection)
    settings_module.settings.cache_clear()

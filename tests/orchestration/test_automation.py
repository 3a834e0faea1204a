"""The schedules, the sensor on the feed folder, and what follows every run."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SkipReason,
    build_run_status_sensor_context,
    build_sensor_context,
    job,
    op,
)

from expectations.findings import find
from expectations.results import CheckResult, record
from orchestration import automation
from orchestration import settings as settings_module
from orchestration.automation import daily_schedule, feed_sensor
from orchestration.warehouse.connection import Warehouse


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
    assert daily_schedule.execution_timezone == "America/Argentina/Mendoza"


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


def test_a_run_that_ended_brings_findings_up_to_date(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
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
    assert [s.name for s in automation.findings_sensors] == [
        f"hallazgos_{s.value.lower()}"
        for s in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
    ]

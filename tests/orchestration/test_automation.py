"""The daily schedule and the sensor on the feed folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import RunRequest, SkipReason, build_sensor_context

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

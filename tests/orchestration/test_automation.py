"""The daily schedule, the sensor on the feed folder, and publications by frequency."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import psycopg
import pytest
from dagster import RunRequest, SkipReason, build_schedule_context, build_sensor_context

from exports.definition import FREQUENCIES, load_definitions
from exports.export import approve
from orchestration import settings as settings_module
from orchestration.automation import _CRON, daily_schedule, feed_sensor, publication_schedules
from orchestration.publishing import Waiting, waiting
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

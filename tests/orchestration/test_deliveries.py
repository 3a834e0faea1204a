"""Who reads the warehouse directly sees the last good version whole, with its date."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, build_run_status_sensor_context, job
from rich.console import Console

from orchestration import automation
from orchestration import deliveries as module
from orchestration import settings as settings_module
from orchestration.build_plan import BUILD_LOCK
from orchestration.cli import gate as gate_commands
from orchestration.deliveries import Delivery, deliver, deliveries
from orchestration.gate import obstacles
from orchestration.living_runs import COMMAND_LINE, ORIGIN_TAG
from orchestration.releases import release
from orchestration.warehouse.connection import Warehouse
from tests.support.marts import judge, make_mart, say_built

BOARD = "tableros.dim_zona"
OTHER = "tableros.dim_eje"
LUJI = "agua.luji_facturas"
MADE_FROM = {BOARD: ["agua.dim_zona"], OTHER: ["proyectos.dim_eje"],
             LUJI: ["intermediate.int_agua__facturas_cuenta", LUJI]}  # fmt: skip


@pytest.fixture
def city(warehouse: Warehouse) -> Warehouse:
    """A zone, an axis and a bill, built and checked; never delivered yet."""
    with warehouse.connect() as connection:
        for name in ("proyectos.dim_eje", "agua.dim_zona"):
            make_mart(connection, name)
        connection.execute("comment on table agua.dim_zona is 'Zonas de agua.'")
        connection.execute("comment on column agua.dim_zona.zona_id is 'Número de la zona.'")
        connection.execute("insert into agua.dim_zona (zona_id, zona_nombre) values (1, 'Norte')")
        connection.execute("insert into proyectos.dim_eje (eje_id, eje_nombre) values (1, 'Uno')")
        connection.execute("create schema if not exists intermediate")
        connection.execute(
            "create table intermediate.int_agua__facturas_cuenta as "
            "select * from entrega.luji_facturas"
        )
        connection.execute(
            "insert into intermediate.int_agua__facturas_cuenta (cuenta_id, factura_id, "
            "importe) values (7, 1, 100)"
        )
    for name in MADE_FROM:
        built(warehouse, name)
    return warehouse


def built(warehouse: Warehouse, name: str, passed: bool | None = True, state: str = "ok") -> None:
    """What it is made from was built again, and its suite says `passed` of it."""
    with warehouse.connect() as connection:
        for relation in MADE_FROM[name]:
            say_built(connection, relation, state)
    judged(warehouse, name, passed)


def judged(warehouse: Warehouse, name: str, passed: bool | None) -> None:
    with warehouse.connect() as connection:
        for relation in MADE_FROM[name]:
            judge(connection, "great_expectations", relation, passed)


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(statement.encode())


def states(warehouse: Warehouse, run: str = "r1") -> dict[str, str]:
    wanted = {name: item for name, item in deliveries().items() if name in MADE_FROM}
    return {outcome.name: outcome.state for outcome in deliver(warehouse, run, wanted)}


def seen(warehouse: Warehouse, table: str = BOARD, columns: str = "zona_nombre") -> list[Any]:
    with warehouse.connect() as connection:
        statement = f"select {columns} from {table} order by 1"
        return [row[0] for row in connection.execute(statement.encode())]


def kept(warehouse: Warehouse, name: str = BOARD) -> dict[str, Any]:
    with warehouse.connect() as connection:
        row = connection.execute(
            "select to_jsonb(e) from meta.entrega e where nombre = %s", [name]
        ).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return found


def test_what_is_read_directly_is_what_the_exposures_name_and_has_a_key() -> None:
    found = deliveries()
    assert {"agua.luji_consumo", "agua.luji_alertas", LUJI, BOARD} <= set(found)
    assert found[LUJI].candidate == "intermediate.int_agua__facturas_cuenta"
    assert found[BOARD].destination == BOARD and found[BOARD].candidate == "agua.dim_zona"
    assert all(item.key for item in found.values())
    personal = {"dim_cuenta", "dim_medidor", "fct_consumo_horario", "fct_consumo_diario"}
    assert not personal & {name.partition(".")[2] for name in found}


def test_a_good_version_is_delivered_once_with_its_descriptions_and_its_date(
    city: Warehouse,
) -> None:
    assert states(city) == dict.fromkeys(MADE_FROM, "entregada")
    assert seen(city) == ["Norte"]
    assert kept(city)["datos_al"] is not None and kept(city)["retenida_desde"] is None
    with city.connect() as connection:
        assert connection.execute(
            "select obj_description('tableros.dim_zona'::regclass), "
            "col_description('tableros.dim_zona'::regclass, 1)"
        ).fetchone() == ("Zonas de agua.", "Número de la zona.")
    assert states(city, "r2") == {}, "nothing newer: nothing is looked at"


def test_a_red_check_keeps_the_last_good_version_of_what_depends_on_it_and_only_that(
    city: Warehouse,
) -> None:
    states(city)
    good = kept(city)["datos_al"]
    change(city, "update agua.dim_zona set zona_nombre = 'Rota'")
    change(city, "update proyectos.dim_eje set eje_nombre = 'Dos'")
    built(city, BOARD, passed=False)
    built(city, OTHER)

    assert states(city) == {BOARD: "retenida", OTHER: "entregada"}
    assert seen(city) == ["Norte"] and seen(city, OTHER, "eje_nombre") == ["Dos"]
    withheld = kept(city)
    assert withheld["datos_al"] == good and withheld["retenida_desde"]
    assert "una de las cuatro" in withheld["motivo"]
    assert "Obras Públicas" in withheld["motivo"]

    states(city, "r3")
    assert kept(city)["retenida_desde"] == withheld["retenida_desde"], "since when it is withheld"
    assert seen(city, "meta.entrega_historia where nombre = 'tableros.dim_zona'",
                "estado") == ["entregada", "retenida"]  # fmt: skip

    judged(city, BOARD, passed=True)
    assert states(city, "r4") == {BOARD: "entregada"}
    assert seen(city) == ["Rota"] and kept(city)["retenida_desde"] is None


@job
def started_by_a_sensor() -> None:
    """Stands for a run that Dagster started; what it built is said by the test."""


def ends(run_of: Warehouse, monkeypatch: pytest.MonkeyPatch, **tags: str) -> None:
    """Such a run ends, and Dagster's daemon tells the sensor that waits for it."""
    monkeypatch.setenv("WAREHOUSE_URL", run_of.url)
    settings_module.settings.cache_clear()
    sensor = automation.findings_sensors[0]
    with DagsterInstance.ephemeral() as instance:
        done = started_by_a_sensor.execute_in_process(instance=instance, tags=tags)
        sensor(
            build_run_status_sensor_context(
                sensor.name, done.get_run_success_event(), instance, done.dagster_run
            )
        )


def test_a_run_that_dagster_started_delivers_at_its_end_and_withholds_what_is_red(
    city: Warehouse, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(city, monkeypatch)
    assert seen(city) == ["Norte"] and seen(city, OTHER, "eje_nombre") == ["Uno"]

    change(city, "update agua.dim_zona set zona_nombre = 'Rota'")
    change(city, "update proyectos.dim_eje set eje_nombre = 'Dos'")
    built(city, BOARD, passed=False)
    built(city, OTHER)
    ends(city, monkeypatch)
    assert seen(city) == ["Norte"] and kept(city)["retenida_desde"]
    assert seen(city, OTHER, "eje_nombre") == ["Dos"]

    judged(city, BOARD, passed=True)
    ends(city, monkeypatch, **{ORIGIN_TAG: COMMAND_LINE})
    assert seen(city) == ["Norte"], "the command line delivers by itself"
    ends(city, monkeypatch)
    assert seen(city) == ["Rota"] and kept(city)["retenida_desde"] is None


@pytest.mark.parametrize("state", ["error", "omitido"])
def test_a_model_that_was_not_built_keeps_what_stands(city: Warehouse, state: str) -> None:
    states(city)
    change(city, "truncate agua.dim_zona")
    with city.connect() as connection:
        say_built(connection, "staging.stg_aguas__zonas")  # what it is made from, and not itself
    built(city, BOARD, state=state)

    assert states(city) == {BOARD: "retenida"}
    assert seen(city) == ["Norte"]


def test_a_mart_that_somebody_dropped_keeps_what_stands_and_says_so(city: Warehouse) -> None:
    states(city)
    change(city, "drop table agua.dim_zona")
    built(city, BOARD)

    assert states(city) == {BOARD: "retenida"}
    assert seen(city) == ["Norte"]
    assert "no se pudo copiar agua.dim_zona" in kept(city)["motivo"]


def test_a_copy_that_somebody_dropped_comes_back(city: Warehouse) -> None:
    states(city)
    change(city, "drop table tableros.dim_zona")
    assert states(city) == {BOARD: "entregada"}
    assert seen(city) == ["Norte"]


def test_what_the_exposures_no_longer_name_is_taken_away(
    city: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(city)
    known = {name: item for name, item in deliveries().items() if name in MADE_FROM}
    del known[BOARD]
    monkeypatch.setattr(module, "deliveries", lambda: known)

    assert deliver(city, "r2") == []
    with city.connect() as connection:
        assert connection.execute(
            "select to_regclass('tableros.dim_zona'), to_regclass('entrega.luji_facturas') "
            "is not null, count(*) filter (where tabla = 'tableros.dim_zona') "
            "from tableros.vigencia"
        ).fetchone() == (None, True, 0)
    assert seen(city, OTHER, "eje_nombre") == ["Uno"]


def test_columns_follow_the_mart(city: Warehouse) -> None:
    states(city)
    change(city, "alter table agua.dim_zona add column barrio text default 'Centro'")
    built(city, BOARD)
    assert states(city) == {BOARD: "entregada"}
    assert seen(city, columns="barrio") == ["Centro"]


def test_a_delivery_that_breaks_off_leaves_rows_and_date_as_they_were(
    city: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    states(city)
    before = kept(city)
    change(city, "update agua.dim_zona set zona_nombre = 'Nueva'")
    built(city, BOARD)

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_record_delivery", killed)
        states(city)
    assert seen(city) == ["Norte"] and kept(city) == before

    assert states(city) == {BOARD: "entregada"}
    assert seen(city) == ["Nueva"]


def test_a_reader_waits_for_nobody_and_sees_one_version_whole(city: Warehouse) -> None:
    change(city, "insert into agua.dim_zona (zona_id, zona_nombre) "
                 "select n, 'A' from generate_series(2, 500) n")  # fmt: skip
    change(city, "update agua.dim_zona set zona_nombre = 'A'")
    states(city)
    change(city, "update agua.dim_zona set zona_nombre = 'B'")
    built(city, BOARD)

    with city.connect() as connection:
        module.replace_rows(connection, deliveries()[BOARD])
        assert set(seen(city)) == {"A"}, "not committed yet"
    assert set(seen(city)) == {"B"} and len(seen(city)) == 500


def test_keys_with_an_unknown_part_are_compared_as_they_are(city: Warehouse) -> None:
    item = Delivery("tableros.dim_zona", "x", "agua.dim_zona", "tableros.dim_zona",
                    ("zona_id", "zona_nombre"), ("agua.dim_zona",))  # fmt: skip
    change(city, "insert into agua.dim_zona (zona_id, zona_nombre) values (2, null), (3, '')")
    with city.connect() as connection:
        assert module.replace_rows(connection, item) == (3, 0)
        assert module.replace_rows(connection, item) == (0, 0)


def test_nothing_is_delivered_while_dbt_builds(city: Warehouse) -> None:
    with city.connect() as building:
        building.execute("select pg_advisory_lock(%s)", [BUILD_LOCK])
        assert states(city) == {}
    assert states(city) == dict.fromkeys(MADE_FROM, "entregada")


def test_a_person_releases_it_by_name_and_reason(
    city: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.StringIO()
    monkeypatch.setattr(gate_commands, "console", Console(file=told, width=200))
    states(city)
    change(city, "update intermediate.int_agua__facturas_cuenta set importe = 200")
    built(city, LUJI, passed=False)
    assert states(city) == {LUJI: "retenida"}
    monkeypatch.setattr("orchestration.warehouse.connection.locate", lambda: city)

    gate_commands.gate_list()
    assert "agua.luji_facturas (lo lee chatbot_luji): retenido" in told.getvalue()
    assert "a la vista: la versión del" in told.getvalue()

    gate_commands.gate_release(LUJI, by="Ana Díaz", reason="acta 12")
    assert "Ya está a la vista" in told.getvalue()
    assert seen(city, "entrega.luji_facturas", "importe") == [200]
    assert kept(city, LUJI)["liberacion_id"] is not None

    built(city, LUJI, passed=None)
    assert states(city) == {LUJI: "retenida"}, "another verdict was not released"


def test_what_was_never_built_cannot_be_released(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        found = obstacles(connection, ["agua.luji_facturas"])
        with pytest.raises(Exception, match="no hay un veredicto"):
            release(connection, LUJI, found, by="Ana", reason="acta")


def test_boards_read_the_copies_and_their_dates_and_no_mart(city: Warehouse) -> None:
    states(city)
    with city.connect(autocommit=True) as connection:
        connection.execute("set role datos_powerbi")
        assert connection.execute("select zona_nombre from tableros.dim_zona").fetchall()
        assert connection.execute(
            "select datos_al is not null, motivo from tableros.vigencia where tabla = %s", [BOARD]
        ).fetchone() == (True, None)
        for closed in ("agua.dim_zona", "entrega.luji_facturas", "meta.entrega"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select 1 from {closed}".encode())

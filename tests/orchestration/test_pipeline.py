"""The whole way, as a person runs it: sample, second run, broken mart, healed mart, bad sources.

One small synthetic municipality is carried through the tests of this file in order; each test
says what it changes at the source.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from ckanapi import RemoteCKAN

from exports.definition import load_definitions
from orchestration.automation import FEED_STEP
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from tests.support.ckan import CkanPortal

LUJAN = str(Path(sys.executable).with_name("lujan"))
WATER_EXPORT = "red-de-agua"
BOARD_ROWS = "select * from tableros.dim_elemento_red order by elemento_id"
PROJECTS_EXPORT = "proyectos-por-estado"


@dataclass
class City:
    """A data folder and the command line working in it."""

    folder: Path

    @property
    def sample(self) -> Path:
        return self.folder / "sample"

    @property
    def portal(self) -> Path:
        return self.folder / "portal"

    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SOURCE_", "CKAN_"))}
        for name in ("WAREHOUSE_URL", "DAGSTER_HOME"):
            clean.pop(name, None)
        return clean | {
            "LUJAN_DATA_DIR": str(self.folder), "LUJAN_SAMPLE_SCALE": "0.05", "COLUMNS": "200"
        }  # fmt: skip

    def lujan(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LUJAN, *arguments], env=self.environment() | env,
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip

    def start(self, output: IO[str], *arguments: str) -> subprocess.Popen[str]:
        """A command of its own process group, so that its children can be ended with it."""
        return subprocess.Popen(
            [LUJAN, *arguments], env=self.environment() | {"PYTHONUNBUFFERED": "1"},
            cwd=PROJECT_ROOT, stdout=output, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def materialize(self, selection: str) -> subprocess.CompletedProcess[str]:
        """A run of some assets alone, as Dagster's own page would start it."""
        server = EmbeddedServer(self.folder / "warehouse")
        home = self.folder / "dagster_aside"  # without one, Dagster makes it where it is started
        home.mkdir(exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SOURCE_", "CKAN_"))}
        return subprocess.run(
            [str(Path(sys.executable).with_name("dagster")), "asset", "materialize",
             "--select", selection, "-m", "orchestration.definitions"],
            env=clean | {"LUJAN_DATA_DIR": str(self.folder), "WAREHOUSE_URL": server.url(),
                         "DAGSTER_HOME": str(home)},
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def execute(self, job: str, config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """A run of a job in the instance of this city, with the configuration of its page."""
        warehouse = Warehouse(EmbeddedServer(self.folder / "warehouse").url(), embedded=True)
        asked = self.folder / f"{job}.yaml"
        asked.write_text(json.dumps(config), encoding="utf-8")
        return subprocess.run(
            [str(Path(sys.executable).with_name("dagster")), "job", "execute", "-j", job,
             "-m", "orchestration.definitions", "-c", str(asked)],
            env=self.environment() | warehouse.environment() | {
                "WAREHOUSE_URL": warehouse.url, "DAGSTER_HOME": str(self.folder / "dagster")},
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def damage(self, *days: dt.date) -> None:
        """Consumption of those days that no reading says."""
        with self.connect() as connection:
            connection.execute(
                "update agua.fct_consumo_diario set litros = -1 where dia = any(%s)", [[*days]]
            )

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(EmbeddedServer(self.folder / "warehouse").url())

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def change_water(self, statement: str) -> None:
        """Change the synthetic water system, as its own people would."""
        connection = sqlite3.connect(self.sample / "aguas.sqlite")
        with connection:
            connection.execute(statement)
        connection.close()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    made = City(tmp_path_factory.mktemp("city") / "data")
    yield made
    made.lujan("clean", "--yes")


@pytest.fixture(scope="module")
def first(city: City) -> subprocess.CompletedProcess[str]:
    return city.lujan("run")


def portal_files(city: City) -> dict[str, tuple[float, bytes]]:
    return {
        str(path.relative_to(city.portal)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(city.portal.rglob("*"))
        if path.is_file()
    }


def test_a_first_run_ends_green_with_its_exports_made(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-2000:]
    for words in ("sintético", "Cuarentena:", "Controles:", "0 bloqueantes", "Hallazgos:",
                  "Exportaciones:", "make ui", "make docs", "Terminó bien"):  # fmt: skip
        assert words in first.stdout, words
    catalog = json.loads((city.portal / "data.json").read_text(encoding="utf-8"))
    assert len(catalog["dataset"]) >= 15
    for folder in (city.portal / WATER_EXPORT, city.portal / PROJECTS_EXPORT):
        assert (folder / "datapackage.json").exists()
        assert list(folder.glob("*.csv")) and list(folder.glob("*.json"))
    assert (city.folder / "quality" / "index.html").exists()


def test_what_was_planted_for_quarantine_is_there_and_nothing_else(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    truth = json.loads((city.sample / "ground_truth.json").read_text(encoding="utf-8"))
    expected = {name: count for name, count in truth["cuarentena_esperada"].items() if count}
    found = dict(city.query("select dataset, count(*) from quarantine.fila group by dataset"))
    assert found == expected


def test_every_row_is_accounted_for(city: City, first: subprocess.CompletedProcess[str]) -> None:
    assert (
        city.query(
            "select dataset from meta.carga where filas_leidas <> filas_cargadas "
            "+ filas_cuarentena + filas_conocidas or filas_origen <> filas_leidas"
        )
        == []
    )
    [(raw, loaded)] = city.query(
        "select (select count(*) from raw.telemetria__lecturas), (select sum(filas_cargadas) "
        "from meta.carga where dataset like 'telemetria.%%')"
    )
    assert raw == loaded > 0


def test_no_password_or_address_with_one_is_written_anywhere_but_its_file(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    server = EmbeddedServer(city.folder / "warehouse")
    secret = (server.place / "password").read_bytes().strip()
    assert secret not in (first.stdout + first.stderr).encode()
    written = [
        path
        for path in city.folder.rglob("*")
        if path.is_file() and "pgdata" not in path.parts and path != server.place / "password"
    ]
    assert written
    assert [str(path) for path in written if secret in path.read_bytes()] == []
    assert city.query(
        "select count(*) from dagster.event_logs where event like %s", f"%{secret.decode()}%"
    ) == [(0,)]


def test_later_runs_find_nothing_to_do_and_say_so_two_at_once_as_well(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    before = portal_files(city)

    with (city.folder / "beside.log").open("w+") as output:
        beside = city.start(output, "run")
        second = city.lujan("run")
        assert beside.wait(timeout=120) == 0
        output.seek(0)
        assert "Sin novedades" in output.read()

    assert second.returncode == 0, second.stdout[-2000:]
    assert "Sin novedades" in second.stdout
    assert portal_files(city) == before
    # On Dagster's pages every check shows the verdict that stands; none is skipped or missing.
    assert city.query(
        "select execution_status = 'PLANNED', count(*) > 400 from ("
        "select distinct on (asset_key, check_name) execution_status "
        "from dagster.asset_check_executions order by asset_key, check_name, id desc) as latest "
        "group by 1"
    ) == [(False, True)]


def test_findings_scores_and_corrections_follow_the_run_and_stand_still_with_it(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    listed = json.loads(city.lujan("findings", "list", "--json").stdout)

    assert {item["fuente"] for item in listed} >= {"dato", "cuarentena", "control"}
    assert all(item["siguiente_paso"] and item["severidad"] for item in listed)
    assert {item["area"] for item in listed} >= {"Obras Públicas", "Desarrollo Humano"}
    # The second run of the test before found nothing new: everything happened once.
    assert city.query("select distinct tipo from meta.hallazgo_evento") == [("abierto",)]
    assert city.query("select count(*) from meta.hallazgo_evento") == [(len(listed),)]
    [(measured, days)] = city.query(
        "select count(*), count(distinct dia) from meta.puntaje_estandar"
    )
    assert measured == 28 and days == 1
    missing = city.query(
        "select d.dataset from calidad.kpi_calidad_dataset d where abs(100 - coalesce(puntaje, 0) "
        "- coalesce((select sum(puntos_perdidos) from calidad.fct_punto_perdido p "
        "where p.dataset = d.dataset), 0)) > 0.01"
    )
    assert missing == [], "every lost point has its reason"
    [(kept, standing)] = city.query(
        "select (select sum(valores) from meta.correccion), "
        "(select count(*) from calidad.fct_correccion)"
    )
    assert kept == standing > 0


def describe_project(city: City, words: str, hour: str) -> None:
    """Change the text of a project where its people would; later than it was read last."""
    url = EmbeddedServer(city.folder / "warehouse").url("muestra_mlc")
    with psycopg.connect(url) as connection:
        connection.execute(
            "update proyectos set descripcion = %s, actualizado_en = %s where proyecto_id = 12",
            [words, f"2026-06-30 {hour}-03"],
        )


DAYS = "select * from agua.fct_consumo_diario order by medidor_id, dia"


@pytest.mark.timeout(900)
def test_days_are_worked_through_again_by_a_killed_run_by_the_next_and_by_the_job_of_dagster(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    refused = city.lujan("run", *_range("2001-01-01", "2001-12-31"))
    assert refused.returncode != 0
    # Messages are wrapped to the width of a terminal.
    said = " ".join((refused.stdout + refused.stderr).replace("│", " ").split())
    assert "no hay ninguna lectura cargada del 01/01/2001" in said
    assert city.query("select 1 from meta.carga where modo = 'recalculo'") == []

    before = city.query(DAYS)
    [(since, until, damaged, other)] = city.query(
        "select max(dia) - 20, max(dia) - 5, max(dia) - 10, max(dia) - 15 "
        "from agua.fct_consumo_diario"
    )
    city.damage(damaged, other)
    with (city.folder / "killed.log").open("w+") as output:
        process = city.start(output, "run", *_range(str(since), str(until)))
        _wait_until(lambda: bool(city.query(
            "select 1 from meta.avance_modelo a join intermediate.int_agua__cambios_lecturas c "
            "on c.lote = a.ultimo_lote and c.tipo = 'dia' "
            "where a.modelo = 'agua.fct_consumo_horario'"
        )), process)  # fmt: skip
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        assert "Días por recalcular: 1" in output.read()
    assert city.query("select distinct dia from agua.fct_consumo_diario where litros = -1") != []

    # It takes the killed run for what it is: Dagster alone would have it running for ever. And
    # it carries on with all days of that one, though it was asked for one of them.
    done = city.lujan("run", *_range(str(damaged), str(damaged)))
    assert done.returncode == 0
    assert city.query(DAYS) == before
    assert city.query("select count(*) from dagster.runs where status = 'FAILURE'") == [(1,)]
    day = f"{damaged:%d/%m/%Y}"
    assert f"Se volvieron a calcular las lecturas del {day} al {day}." in done.stdout

    # The same from Dagster's page: one run, and what a build from nothing had given.
    city.damage(damaged, other)
    run = city.execute("recalcular_lecturas", _days_of_the_feed(other, damaged))
    assert run.returncode == 0, run.stderr[-3000:]
    assert city.query(DAYS) == before
    assert city.query(
        "select pipeline_name, status from dagster.runs order by id desc limit 1"
    ) == [("recalcular_lecturas", "SUCCESS")]
    assert city.query(
        "select distinct estado, detalle -> 'rango' is not null from meta.carga "
        "where modo = 'recalculo'"
    ) == [("cargada", True)]
    assert city.query("select count(*) from meta.carga where modo = 'recalculo'") == [(3,)]


def _days_of_the_feed(first: dt.date, last: dt.date) -> dict[str, Any]:
    days = {"desde": first.isoformat(), "hasta": last.isoformat()}
    return {"ops": {FEED_STEP: {"config": days}}}


def _range(first: str, last: str) -> list[str]:
    return ["--from", first, "--to", last]


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not ready():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_red_check_withholds_what_depends_on_it_and_only_that(
    city: City, first: subprocess.CompletedProcess[str]
) -> None:
    before = portal_files(city)
    board = city.query(BOARD_ROWS)
    assert board and board == city.query(BOARD_ROWS.replace("tableros", "agua"))
    with city.connect() as connection:
        # An element twice, where the table's key does not see it and no load mends it.
        connection.execute(
            "create table raw.a_mano () inherits (raw.aguas__red_infraestructura); "
            "insert into raw.a_mano "
            "select * from only raw.aguas__red_infraestructura where elemento_id = 1"
        )
    city.change_water("update red_infraestructura set material = 'otro' where elemento_id = 2")
    city.change_water("update zonas set nombre = 'Zona nueva' where zona_id = 1")
    describe_project(city, "A pedido de Juana Sintética, DNI 30.123.456", "20:00")

    broken = city.lujan("run")

    assert broken.returncode == 1
    assert f"retenida {WATER_EXPORT}" in broken.stdout
    assert "control bloqueante" in broken.stdout
    built = {row[0] for row in city.query(
        "select objeto from meta.construccion where corrida_id = (select corrida_id "
        "from meta.construccion order by construccion_id desc limit 1)"
    )}  # fmt: skip
    assert {"agua.dim_elemento_red", "agua.dim_zona"} <= built
    assert not built & {"proyectos.dim_programa", "poblacion.fct_encuesta_habilidades"}
    states = dict(
        city.query(
            "select distinct on (conjunto) conjunto, estado from meta.publicacion "
            "order by conjunto, publicacion_id desc"
        )
    )
    assert states[WATER_EXPORT] == "retenida"
    assert {name for name, state in states.items() if state == "retenida"} == {
        WATER_EXPORT, "proyectos-municipales"
    }, "what is made of projects and does not show their texts leaves"  # fmt: skip
    [(words, keys)] = city.query(
        "select explicacion, muestra::text from meta.control_vigente "
        "where paso is false and regla = 'sin_datos_personales'"
    )
    assert "«descripcion»" in words and "proyecto_id" in keys
    assert "proyectos.fct_proyecto.descripcion.sin_datos_personales" in broken.stdout
    assert "30.123.456" not in broken.stdout
    after = portal_files(city)
    assert after["zonas-de-agua/zonas.csv"] != before["zonas-de-agua/zonas.csv"]
    page = f"{WATER_EXPORT}/index.html"
    assert "está retenida desde el" in after[page][1].decode()
    assert "está retenida desde el" in after["index.html"][1].decode()
    kept = {name for name in before if name.startswith(f"{WATER_EXPORT}/")} - {page}
    assert kept and all(after[name] == before[name] for name in kept)
    # Boards and the chatbot, too, go on with the last good version of what depends on it alone.
    assert "retenida tableros.dim_elemento_red" in broken.stdout
    assert city.query(
        "select nombre, datos_al is not null from meta.entrega where retenida_desde is not null "
        "order by nombre"
    ) == [
        ("agua.luji_alertas", True),  # one kind of alert is the balance of a zone
        ("tableros.dim_elemento_red", True),
        ("tableros.fct_balance_hidrico", True),
        ("tableros.fct_proyecto", True),  # it shows the text with somebody's document
        ("tableros.kpi_tasa_fugas", True),
    ]
    assert city.query(BOARD_ROWS) == board
    assert city.query("select zona_nombre from tableros.dim_zona where zona_id = 1") == [
        ("Zona nueva",)
    ]


def test_a_run_of_the_export_alone_does_not_get_past_a_red_check_of_another_run(
    city: City,
) -> None:
    """A retry of the failed step and a backfill of the export are such runs."""
    before = portal_files(city)

    done = city.materialize(f"exports/{WATER_EXPORT.replace('-', '_')}")

    assert done.returncode != 0
    assert "Sigue disponible la última" in done.stdout + done.stderr
    after = portal_files(city)
    assert all(after[name] == before[name] for name in before)


def test_a_person_releases_it_by_hand_and_the_rest_stays_withheld_in_a_run_that_changes_nothing(
    city: City,
) -> None:
    before = portal_files(city)
    listed = city.lujan("gate", "list")
    assert WATER_EXPORT in listed.stdout and "a la vista: la versión del" in listed.stdout
    assert PROJECTS_EXPORT not in listed.stdout
    nameless = city.lujan("gate", "release", WATER_EXPORT, "--by", "", "--reason", "acta")
    assert nameless.returncode == 1

    released = city.lujan(
        "gate", "release", WATER_EXPORT, "--by", "Ana Díaz", "--reason", "acta 12"
    )
    run = city.lujan("run")

    assert released.returncode == 0, released.stderr
    assert run.returncode == 1 and "retenida proyectos-municipales" in run.stdout
    assert f"retenida {WATER_EXPORT}" not in run.stdout
    assert "control bloqueante" in run.stdout, "the check is still red, and said to be"
    after = portal_files(city)
    assert after[f"{WATER_EXPORT}/elementos.csv"] != before[f"{WATER_EXPORT}/elementos.csv"]
    page = after[f"{WATER_EXPORT}/index.html"][1].decode()
    assert "por decisión expresa" in page and "Ana" not in page
    assert city.query(
        "select l.por, l.motivo, jsonb_array_length(l.alcance) > 0 from meta.publicacion p "
        "join meta.liberacion l using (liberacion_id) where p.conjunto = %s", WATER_EXPORT
    ) == [("Ana Díaz", "acta 12", True)]  # fmt: skip

    revoked = city.lujan("gate", "revoke", WATER_EXPORT, "--by", "Luis Paz", "--reason", "acta 13")
    assert revoked.returncode == 0, revoked.stderr
    assert "revocada el" in city.lujan("gate", "list", "--all").stdout


def test_it_leaves_by_itself_when_the_check_passes_again(city: City) -> None:
    with city.connect() as connection:
        connection.execute("drop table raw.a_mano")
    describe_project(city, "A pedido de los vecinos", "21:00")

    healed = city.lujan("run")

    assert healed.returncode == 0, healed.stdout[-2000:]
    assert "retenida" not in healed.stdout
    assert city.query(BOARD_ROWS) == city.query(BOARD_ROWS.replace("tableros", "agua"))
    page = (city.portal / WATER_EXPORT / "index.html").read_text(encoding="utf-8")
    assert "está retenida" not in page


def test_the_finding_of_that_check_opened_and_closed_with_it(city: City) -> None:
    events = city.query(
        "select distinct on (h.hallazgo_id) h.severidad, h.area, h.estado, h.cierre_corrida is "
        "not null, (select array_agg(tipo order by evento_id) from meta.hallazgo_evento e "
        "where e.hallazgo_id = h.hallazgo_id and tipo <> 'cambio') from meta.hallazgo h "
        "where objeto = 'agua.dim_elemento_red' and severidad = 'alta'"
    )
    assert events
    assert {tuple(row[:4]) for row in events} == {("alta", "Obras Públicas", "cerrado", True)}
    assert all(row[4] == ["abierto", "cerrado"] for row in events)


@pytest.fixture(scope="module")
def bad_day(
    city: City, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], list[tuple[Any, ...]]]:
    """One run with a system that is gone, one that refuses the password, a contract that is broken
    and, for the first time, the files of another vendor of meters; and the rows that the system
    that is gone had brought before."""
    before = city.query("select count(*) from raw.aguas__zonas")
    folder = tmp_path_factory.mktemp("otro")
    broken = folder / "roto.yaml"
    broken.write_text("kind: DataContract\nid: mlc.roto\n", encoding="utf-8")
    lines = ["user key;datetime;meter reading;diff"]
    register = 1000
    for hour in range(60):
        register += 20
        lines.append(f"m-1;{1 + hour // 24:02d}/03/2026 {hour % 24:02d}:19:43;{register};20")
    (folder / "swm_trial_x.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    vendor = PROJECT_ROOT / "docs/ejemplos/daiad/lecturas_daiad.yaml"
    server = EmbeddedServer(city.folder / "warehouse")

    run = city.lujan(
        "run", "--contracts", str(broken), "--contracts", str(vendor),
        "--source", f"telemetria={folder}",
        SOURCE_AGUAS_URL="mysql://lector:clave-secreta@127.0.0.1:1/aguas",
        SOURCE_CITYMIS_URL=f"sqlite:///{city.sample / 'citymis.sqlite'}",
        SOURCE_MLC_URL=server.url("muestra_mlc").replace("lujan:", "lujan:mal", 1),
    )  # fmt: skip
    return run, before


def test_a_source_that_is_gone_and_a_contract_that_is_broken_leave_the_rest_standing(
    city: City, bad_day: tuple[subprocess.CompletedProcess[str], list[tuple[Any, ...]]]
) -> None:
    run, before = bad_day
    assert run.returncode == 2, run.stdout[-2000:]
    words = " ".join(run.stdout.split())
    assert "roto.yaml" in words and "citymis.solicitudes sin cambios" in words
    assert "aguas.zonas: no se pudo llegar al sistema aguas" in words
    assert "mlc.secretarias: el sistema mlc" in words and "contraseña" in words
    assert "Responsable: Obras Públicas" in words and "Qué hacer:" in words
    assert "clave-secreta" not in run.stdout + run.stderr
    assert "Sistemas sin configurar (omitidos): milujan, planillas." in words
    assert city.query("select count(*) from raw.aguas__zonas") == before


def test_another_vendors_file_reaches_the_marts_by_a_contract_alone(
    city: City, bad_day: tuple[subprocess.CompletedProcess[str], list[tuple[Any, ...]]]
) -> None:
    """In the same run: what fails beside it does not keep it."""
    assert city.query(
        "select cuenta_id, caudal_minimo_lh from agua.alerta_flujo_continuo "
        "where medidor_id = 'm-1'"
    ) == [(None, 20)]
    # The sample is still in the warehouse: what leaves it goes on saying so.
    assert "municipio sintético de muestra" in " ".join(bad_day[0].stdout.split())
    page = (city.portal / WATER_EXPORT / "index.html").read_text(encoding="utf-8")
    assert "Datos sintéticos de muestra" in page


def test_status_and_a_dry_run_change_nothing(city: City) -> None:
    before = city.query("select count(*) from meta.carga")

    status, plan = city.lujan("status"), city.lujan("run", "--dry-run")

    assert status.returncode == 0 and "telemetria.lecturas_csv" in status.stdout
    assert plan.returncode == 0
    assert city.query("select count(*) from meta.carga") == before


@pytest.mark.ckan
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_portal_connected_later_receives_every_dataset_and_a_second_time_nothing_is_sent(
    city: City, portal: CkanPortal
) -> None:
    there = {"CKAN_URL": portal.url, "CKAN_TOKEN": portal.token}
    names = set(load_definitions().definitions)
    done = city.lujan("run", **there)
    assert done.returncode == 0, done.stdout[-3000:]
    once = shown(portal)
    assert names <= set(once)
    for name in names:
        package = once[name]
        assert package["state"] == "active" and "sintétic" in package["notes"].lower(), name
        files = {item["fileName"] for item in package["resources"]}
        assert any(file.endswith(".csv") for file in files), name
    # What was exported is gone from the disk, so it is made and compared again; but for what has
    # to be held against the files of the last release.
    made_again = {
        name
        for name, definition in load_definitions().definitions.items()
        if not any(r.divulgacion and r.divulgacion.diferencia_minima for r in definition.recursos)
    }
    for name in made_again:
        shutil.rmtree(city.folder / "exports" / name)
    built = city.query("select max(construccion_id) from meta.construccion")

    done = city.lujan("run", **there)

    assert done.returncode == 0, done.stdout[-3000:]
    assert shown(portal) == once
    assert city.query("select max(construccion_id) from meta.construccion") == built
    assert {name for name in names if (city.folder / "exports" / name).exists()} == names


def shown(portal: CkanPortal) -> dict[str, dict[str, Any]]:
    """What anybody sees of every dataset, by name."""
    found = RemoteCKAN(portal.url).call_action("package_search", {"rows": 1000})
    return {package["name"]: package for package in found["results"]}

"""A small clean city and its warehouse, carried through the pipeline's own steps.

Belongs here: one clean state that every defect starts from, and running loads, dbt and suites in
this process. Does not belong here: how a step works (`orchestration`), or what a defect is.

The warehouse and the projects' database are cloned from templates, so every defect meets the
very same city; only what it touches is loaded and built, as `plan_build` decides.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg import sql

from benchmarks.defects.catalogue import Defect
from benchmarks.defects.inject import InjectionError, Sources, inject
from benchmarks.defects.signals import Signal, raised, read_signals
from benchmarks.defects.stopping import interrupting, obey
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, settings
from orchestration.warehouse.connection import KeptConnection, Warehouse, export_environment, locate
from orchestration.warehouse.embedded import EmbeddedServer
from sources.contract import Catalogue
from sources.raw_table import Connection

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

SCALE = 0.02
_CLEAN, _EMPTY, _PROJECTS = "defectos_limpio", "defectos_vacio", "defectos_mlc"


class PipelineBroke(RuntimeError):
    """dbt left no results: the program failed, not the data."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a defect raised, and how long the pipeline took to say so."""

    raised: list[Signal]
    seconds: float


class City:
    """The clean city; `observe` shows what one defect does to it."""

    def __init__(self, folder: Path, catalogue: Catalogue, warehouse: Warehouse) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._warehouse = warehouse
        self._server = EmbeddedServer(settings().embedded_dir)
        self._parsed: Manifest | None = None
        self._clean: list[Signal] = []
        self._content: dict[str, str] = {}
        self._projects_touched = False

    @property
    def clean_alarms(self) -> list[Signal]:
        """What the pipeline says of the clean city: every alarm is a false one."""
        return [signal for signal in self._clean if signal.is_alarm]

    def prepare(self, scale: float) -> None:
        """Build the clean sample, load it all, build and check it all, and keep that state."""
        from expectations.suite_files import load_suites
        from orchestration.catalogue_sync import synchronise
        from orchestration.connections import SAMPLE_DATABASE, connections
        from orchestration.warehouse.migrate import migrate
        from seeds.sample import SampleSize, build

        with _quietly():
            migrate(self._warehouse)
        self._forget_safety()
        build(
            settings().sample_dir,
            mlc_url=self._server.ensure_database(SAMPLE_DATABASE),
            size=SampleSize().reduced(scale).clean(),
        )
        shutil.copytree(settings().sample_dir, self._folder / "limpia")
        with self._warehouse.connect() as connection:
            synchronise(connection, self._catalogue, connections())
            self._approve(connection)
        self._keep(SAMPLE_DATABASE, _PROJECTS)
        self._keep(self._warehouse.database, _EMPTY)
        self._run(list(self._catalogue.contracts))
        # A second run finds nothing new: what it says then is what it says of a clean city.
        self._run(list(self._catalogue.contracts))
        with self._warehouse.connect() as connection:
            self._clean = read_signals(connection)
            self._content = {mart: _content(connection, mart) for mart in load_suites()}
        self._keep(self._warehouse.database, _CLEAN)

    def observe(self, defect: Defect) -> Observation:
        """Inject the defect into the clean city, run what it touches, and read what is said.

        Raises InjectionError when the defect could not be put in.
        """
        began = time.monotonic()
        self._restore(from_scratch=defect.from_scratch)
        if defect.in_sources:
            self._projects_touched = defect.system == "mlc"
            inject(self._sources(), defect.dataset, defect.injection)
            wanted = list(self._catalogue.contracts) if defect.from_scratch else [defect.dataset]
            self._run(wanted)
            found = self._read()
        else:
            found = self._spoil_warehouse(defect)
        return Observation(raised(self._clean, found), time.monotonic() - began)

    # --- state ---------------------------------------------------------------------------------

    def _sources(self) -> Sources:
        from orchestration.connections import SAMPLE_DATABASE

        return Sources(settings().sample_dir, self._server.url(SAMPLE_DATABASE))

    def _restore(self, *, from_scratch: bool) -> None:
        obey()
        from orchestration.connections import SAMPLE_DATABASE

        shutil.rmtree(settings().sample_dir, ignore_errors=True)
        shutil.copytree(self._folder / "limpia", settings().sample_dir)
        if self._projects_touched:
            self._keep(_PROJECTS, SAMPLE_DATABASE)
            self._projects_touched = False
        self._keep(_EMPTY if from_scratch else _CLEAN, self._warehouse.database)

    def _keep(self, source: str, copy: str) -> None:
        """Make database `copy` what `source` is now."""
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [source],
            )
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(copy))
            )
            connection.execute(
                sql.SQL("create database {} template {} strategy file_copy").format(
                    sql.Identifier(copy), sql.Identifier(source)
                )
            )

    def _forget_safety(self) -> None:
        """A server whose data nobody will miss need not wait for the disk."""
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(
                    sql.SQL("alter system set {} = off").format(sql.Identifier(setting))
                )
            connection.execute("select pg_reload_conf()")

    def _approve(self, connection: Connection) -> None:
        from exports.approvals import approve
        from exports.definition import load_definitions

        for definition in load_definitions().definitions.values():
            approve(connection, definition, "Banco de defectos", "Datos sintéticos.")

    def _read(self) -> list[Signal]:
        with self._warehouse.connect() as connection:
            return read_signals(connection)

    # --- the pipeline's steps ------------------------------------------------------------------

    def _run(self, datasets: Sequence[str]) -> None:
        """Load the datasets and do everything that follows from it."""
        run_id = str(uuid.uuid4())
        self._load(datasets, run_id)
        self._judge(run_id)
        self._build(run_id)

    def _load(self, datasets: Sequence[str], run_id: str) -> None:
        from orchestration.connections import connections
        from orchestration.loading import load_raw_table

        linked = connections()
        with contextlib.closing(KeptConnection(self._warehouse)) as kept:
            for contracts in self._catalogue.by_landing_table().values():
                obey()
                if any(contract.id in datasets for contract in contracts):
                    load_raw_table(contracts, kept, linked, run_id)

    def _judge(self, run_id: str) -> None:
        """Table rules, freshness, profiles and monitors, of every dataset as the step does."""
        from orchestration.assets.raw_controls import judge_alone

        with self._warehouse.connect() as connection:
            for contract in self._catalogue.contracts.values():
                obey()
                judge_alone(connection, contract, run_id)

    def _build(self, run_id: str) -> None:
        from orchestration.build_plan import plan_build

        with self._warehouse.connect() as connection:
            plan = plan_build(connection)
        if plan.nothing:
            return
        results = self._invoke_dbt("build", plan.selectors)
        self._record(run_id, results, plan.newest_load)

    def _record(self, run_id: str, results: Mapping[str, Any], newest_load: int) -> None:
        """Store what dbt found and what the suites of the marts it built say."""
        from expectations.marts import MartValidator
        from expectations.results import record
        from expectations.suite_files import load_suites
        from orchestration.assets.controls import suite_verdicts
        from orchestration.build_plan import record_builds
        from orchestration.dbt_project import manifest, relation_of
        from orchestration.dbt_rows import with_rows
        from orchestration.dbt_verdicts import dbt_test_results

        nodes = manifest()["nodes"]
        touched = {
            relation_of(nodes[result["unique_id"]])
            for result in results["results"]
            if nodes.get(result["unique_id"], {}).get("resource_type") == "model"
        }
        suites = {mart: suite for mart, suite in load_suites().items() if mart in touched}
        with self._warehouse.connect() as connection:
            record_builds(connection, run_id, results, newest_load)
            tested = with_rows(connection, results, dbt_test_results(results))
            record(connection, run_id, tested)
            now = {mart: _content(connection, mart) for mart in suites}
            # A suite sees rows alone: of a mart rebuilt as it was, its verdicts are what they were.
            # A city that starts from nothing has none yet.
            judged = {str(row[0]) for row in connection.execute(_MARTS_JUDGED)}
            same = [
                mart
                for mart in suites
                if mart in judged and now[mart] and now[mart] == self._content.get(mart)
            ]
            connection.execute(_SAME_VERDICTS, {"run": run_id, "marts": same})
        url = self._warehouse.sqlalchemy_url("psycopg2")
        with MartValidator(url, self._folder / "docs", run_id) as validator:
            for mart, suite in suites.items():
                obey()
                if mart not in same:
                    verdicts = suite_verdicts(validator, suite)
                    with self._warehouse.connect() as connection:
                        record(connection, run_id, verdicts)

    def _invoke_dbt(self, command: str, selectors: Iterable[str]) -> Mapping[str, Any]:
        """One dbt command in this process; the parsed project is kept from one to the next."""
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest

        target = self._folder / "dbt"
        options = [
            "--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR),
            "--target-path", str(target), "--log-path", str(target), "--quiet",
        ]  # fmt: skip
        with _quietly(), interrupting():
            if self._parsed is None:
                parsed = dbtRunner().invoke(["parse", *options])
                if not isinstance(parsed.result, Manifest):
                    raise PipelineBroke(f"dbt parse: {parsed.exception}")
                self._parsed = parsed.result
            chosen = ["--select", " ".join(selectors)] if selectors else []
            (target / "run_results.json").unlink(missing_ok=True)
            # Compiling leaves marks in the nodes that would mislead the next command: a copy each.
            done = dbtRunner(manifest=self._parsed.deepcopy()).invoke(
                [command, *chosen, "--exclude", "resource_type:unit_test", *options]
            )
        if not (target / "run_results.json").exists():
            raise PipelineBroke(f"dbt {command}: {done.exception}")
        loaded: Mapping[str, Any] = orjson.loads((target / "run_results.json").read_bytes())
        return loaded

    # --- defects of the warehouse itself -------------------------------------------------------

    def _spoil_warehouse(self, defect: Defect) -> list[Signal]:
        """Spoil a mart or a portal definition; check the mart again; try to export."""
        folder: Path | None = None
        for step in defect.injection:
            ((action, argument),) = step.items()
            if action == "almacen":
                self._spoil(defect, str(argument))
            elif action == "definicion":
                folder = _edited_definitions(self._folder / "definiciones", argument)
            else:
                raise InjectionError(f"{defect.id}: paso desconocido: {action}")
        if folder is None:
            self._check_again(defect.dataset)
        return [*self._read(), *self._export(defect.dataset, folder)]

    def _spoil(self, defect: Defect, statement: str) -> None:
        try:
            with self._warehouse.connect() as connection:
                changed = connection.execute(statement.encode()).rowcount
        except psycopg.Error as error:
            raise InjectionError(f"{defect.id}: {error}") from error
        if not changed:
            raise InjectionError(f"{defect.id}: la sentencia no cambió nada")

    def _check_again(self, mart: str) -> None:
        results = self._invoke_dbt("test", [mart.partition(".")[2]])
        from orchestration.dbt_project import relations

        touched = {"unique_id": relations()[mart]["unique_id"], "status": "success"}
        results = {**results, "results": [*results["results"], touched]}
        self._record(str(uuid.uuid4()), results, 0)

    def _export(self, mart: str, folder: Path | None) -> Iterator[Signal]:
        """Try to export every portal dataset of the mart that the gate lets through."""
        from exports.definition import DATASETS_DIR, load_definitions
        from exports.export import export_dataset
        from exports.manifest import Manifest
        from orchestration.dbt_project import manifest
        from orchestration.gate import obstacles

        loaded = load_definitions(folder or DATASETS_DIR)
        for error in loaded.errors:
            yield Signal(
                "retenido", error.dataset or "?", error.dataset or "?", "bloqueante",
                error.owner or "", 1, str(error),
            )  # fmt: skip
        for name, definition in loaded.definitions.items():
            if mart not in definition.marts:
                continue
            with self._warehouse.connect(autocommit=True) as connection:
                if obstacles(connection, definition.columns_by_mart):
                    continue  # the gate holds it: said already
                result = export_dataset(
                    connection, definition, Manifest(manifest()), self._folder / "exports",
                    str(uuid.uuid4()),
                )  # fmt: skip
            if result.estado in ("retenida", "pendiente_aprobacion"):
                owner = definition.secretaria or ""
                words = str(result.error or result.reason)
                yield Signal("retenido", name, name, "bloqueante", owner, 1, words)


_MARTS_JUDGED = """
select distinct objeto from meta.resultado_control where motor = 'great_expectations'
"""

_SAME_VERDICTS = """
insert into meta.resultado_control (
    corrida_id, control, motor, objeto, columna, dimension, regla, severidad, paso,
    filas_evaluadas, filas_fallidas, muestra, explicacion, responsable, dataset,
    lote_evaluadas, lote_fallidas
)
select
    %(run)s, control, motor, objeto, columna, dimension, regla, severidad, paso,
    filas_evaluadas, filas_fallidas, muestra, explicacion, responsable, dataset,
    lote_evaluadas, lote_fallidas
from meta.control_vigente
where motor = 'great_expectations' and objeto = any(%(marts)s)
"""


def _content(connection: Connection, mart: str) -> str:
    """What a mart holds, whatever the order of its rows; '' when it does not exist."""
    found = connection.execute("select to_regclass(%s)", [mart]).fetchone()
    if found is None or found[0] is None:
        return ""
    row = connection.execute(
        sql.SQL(
            "select count(*) || '/' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) "
            "from {} as t"
        ).format(sql.Identifier(*mart.split(".")))
    ).fetchone()
    return str(row[0]) if row else ""


def _edited_definitions(folder: Path, argument: Mapping[str, Any]) -> Path:
    """The portal datasets with one file changed: `sustituir` → `por` in `conjunto`."""
    from exports.definition import DATASETS_DIR

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DATASETS_DIR, folder)
    path = folder / f"{argument['conjunto']}.yaml"
    before = path.read_text(encoding="utf-8")
    after = before.replace(argument["sustituir"], argument["por"], 1)
    if after == before:
        raise InjectionError(f"{path.name}: no dice {argument['sustituir']!r}")
    path.write_text(after, encoding="utf-8")
    return folder


@contextlib.contextmanager
def open_city(scale: float = SCALE, *, keep: bool = False) -> Iterator[City]:
    """A prepared city in a folder of its own, removed at the end unless `keep`.

    Changes this process's environment: it must not serve anything else. `keep` leaves the folder
    and the stopped server for a person to look at.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-defectos-", dir=PROJECT_ROOT))
    folder.chmod(0o755)
    with _own_settings(folder):
        from orchestration.catalogue_sync import configured_catalogue
        from orchestration.connections import SAMPLE_REFERENCE_DATE
        from orchestration.dbt_project import ensure_manifest

        server = EmbeddedServer(settings().embedded_dir)
        try:
            ensure_manifest()
            warehouse = locate()
            export_environment(warehouse)
            os.environ["DBT_FECHA_REFERENCIA"] = SAMPLE_REFERENCE_DATE
            city = City(folder, configured_catalogue(), warehouse)
            city.prepare(scale)
            yield city
        finally:
            if keep:
                server.stop()
                print(f"La ciudad queda en {folder}", file=sys.stderr)
            else:
                server.destroy()
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _own_settings(folder: Path) -> Iterator[None]:
    """The environment of a machine with no system connected, and the old one afterwards."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("SOURCE_", "CKAN_")) or name in ("WAREHOUSE_URL", "DAGSTER_HOME"):
            del os.environ[name]
    os.environ["LUJAN_DATA_DIR"] = str(folder / "data")
    settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What libraries print would spoil the lines of the report."""
    import logging
    import warnings

    logging.getLogger("alembic").setLevel(logging.WARNING)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield

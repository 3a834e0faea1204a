"""One whole run: warehouse, sample if nothing is connected, load, models, controls, exports.

Belongs here: the order of things for the command line. Does not belong here: drawing
(`cli/live.py`), words of the summary (`summary.py`), or any step's own work.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import time
import traceback
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.catalogue_sync import configured_catalogue, synchronise
from orchestration.connections import SAMPLE_DATABASE, Connections, connections, without_contracts
from orchestration.dbt_project import ensure_manifest
from orchestration.dbt_sources import read_without_contract, refuse_missing
from orchestration.instance import prepare_instance
from orchestration.living_runs import COMMAND_LINE, ORIGIN_TAG, close_dead_runs, hold
from orchestration.outages import outage
from orchestration.progress import Observer, observe
from orchestration.settings import CITY_TIMEZONE, settings
from orchestration.summary import EXIT_CRASHED, RunSummary, summarise
from orchestration.synthetic import admit_sample, left_over
from orchestration.warehouse.connection import Warehouse, export_environment, locate
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from sources.contract import Catalogue
from sources.errors import PipelineError
from sources.landing.again import RangeError
from sources.raw_table import Connection
from sources.urls import redact

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance

SAMPLE_APPROVER = "Comité de Datos (muestra sintética)"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a run needs before its first step."""

    warehouse: Warehouse
    catalogue: Catalogue
    linked: Connections
    contract_errors: tuple[str, ...]
    notes: tuple[str, ...]  # worth saying; nothing was left out because of them


class RunStopped(PipelineError):
    """A run that could not go on. `exit_code` is what the command ends with."""

    exit_code = EXIT_CRASHED


@contextlib.contextmanager
def broken_off_in_words() -> Iterator[None]:
    """Give what ends a run as a whole as RunStopped, and its trace to the log of the run.

    RangeError passes: what was asked for could not be done, and nothing was begun.
    """
    try:
        yield
    except RangeError:
        raise
    except Exception as error:
        log = settings().data_dir / "logs" / "run.log"
        known = outage(error)
        if known is None:
            line = next(iter(str(error).strip().splitlines()), "")
            known = PipelineError(
                f"la corrida se interrumpió por un error del programa: "
                f"{type(error).__name__}: {redact(line)}.",
                next_step=f"vuelva a ejecutar; si se repite, el detalle técnico está en {log}.",
            )
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as stream:
            # A disk that is full, or no folder yet: the words are what counts.
            stream.write(redact(traceback.format_exc()))
        raise RunStopped(
            known.what, dataset=known.dataset, owner=known.owner, next_step=known.next_step
        ) from error


def prepare(watch: Observer, *, sample: bool = True) -> Prepared:
    """Start or find the warehouse, bring it up to date, connect systems or build the sample.

    `sample`: whether the sample may be built, which happens when no system is connected.
    Raises PipelineError when the warehouse cannot be used, or a model has nothing to read from.
    """
    config = settings()
    watch.started("warehouse", "almacén")
    warehouse = locate(config)
    migration = migrate(warehouse)
    prepare_instance(warehouse)
    watch.finished("warehouse", "almacén", "ok")
    linked = connections(config)
    if sample and (linked.sample or not linked.urls):
        with warehouse.connect() as connection:
            admit_sample(connection, label=warehouse.label)
        build_sample(watch)
        linked = connections(config)
    catalogue = configured_catalogue()
    with warehouse.connect() as connection:
        problems = synchronise(connection, catalogue, linked)
        refuse_missing(_without_table(connection, catalogue))
        if linked.sample:
            _approve_sample(connection)
        of_sample = left_over(connection, sample=linked.sample)
    errors = tuple(str(error) for error in (*catalogue.errors, *problems))
    notes = (
        *migration.warnings,
        *without_contracts(linked, catalogue),
        *_look_at_portal(warehouse),
        *of_sample,
    )
    watch.started("models", "manifiesto")
    # Parsed as it will be built: dbt parses all again for another host, port or database.
    export_environment(warehouse)
    ensure_manifest()
    watch.finished("models", "manifiesto", "ok")
    return Prepared(warehouse, catalogue, linked, errors, notes)


def build_sample(watch: Observer) -> None:
    """Build the synthetic municipality; returns at once when the one on disk is current."""
    from seeds.sample import SampleSize, build

    config = settings()
    server = EmbeddedServer(config.embedded_dir)
    server.start()
    watch.started("sample", "municipio sintético")
    config.sample_dir.parent.mkdir(parents=True, exist_ok=True)
    build(
        config.sample_dir,
        mlc_url=server.ensure_database(SAMPLE_DATABASE),
        size=SampleSize()
        if config.sample_scale == 1
        else SampleSize().reduced(config.sample_scale),
        on_progress=lambda item, rows: watch.advanced("sample", item, rows),
    )
    watch.finished("sample", "municipio sintético", "ok")


class KeptNotes:
    """An observer beside another, which keeps what was noticed.

    Where there was no load, as of a folder without any file of its feed, no record has it.
    """

    def __init__(self, watch: Observer) -> None:
        self.found: list[tuple[str, str]] = []
        self.expected = watch.expected
        self.started = watch.started
        self.advanced = watch.advanced
        self.finished = watch.finished

    def noticed(self, item: str, note: str) -> None:
        self.found.append((item, note))


def execute(
    prepared: Prepared, watch: Observer, again: tuple[dt.date, dt.date] | None = None
) -> RunSummary:
    """Run the daily job in this process and sum it up.

    `again`: first and last day of readings that are to be worked through again. The pipeline's own
    failures are in the summary; only what no step can handle is raised, and RangeError, before
    anything is done, when those days cannot be worked through.
    """
    import warnings

    if again is not None:
        _check_days(prepared, watch, again)

    started = time.monotonic()
    with _quiet(settings().data_dir / "logs"):
        warnings.simplefilter("ignore")
        from dagster import DagsterInstance

        from exports.definition import load_definitions
        from orchestration.assets.controls import finish_validation
        from orchestration.assets.naming import raw_key
        from orchestration.automation import PLACE, PLACE_TAG
        from orchestration.definitions import defs
        from orchestration.end_of_run import end_run

        job = defs.resolve_job_def("recorrido")
        run_id = str(uuid.uuid4())
        watch.expected("raw", len(prepared.catalogue.contracts))
        watch.expected("exports", len(load_definitions().definitions))
        noted = KeptNotes(watch)
        observe(noted)
        try:
            with (
                DagsterInstance.get() as instance,
                prepared.warehouse.connect(autocommit=True) as alive,
            ):
                hold(alive, run_id)
                close_dead_runs(instance, alive)
                result = job.execute_in_process(
                    instance=instance,
                    run_id=run_id,
                    raise_on_error=False,
                    run_config=_run_config(again),
                    tags={ORIGIN_TAG: COMMAND_LINE, PLACE_TAG: PLACE},
                )
                show_on_time_line(instance, run_id)
                crashed = _crashed_steps(instance, run_id)
                ended = {event.step_key for event in result.all_events if event.is_step_success}
                finish_validation(run_id)
                for outcome in end_run(prepared.warehouse, instance, run_id):
                    watch.finished("deliveries", outcome.name, outcome.state)
        finally:
            observe(None)
    return summarise(
        prepared.warehouse,
        run_id=run_id,
        catalogue=prepared.catalogue,
        linked=prepared.linked,
        contract_errors=prepared.contract_errors,
        notes=prepared.notes,
        crashed=crashed if not result.success else (),
        load_notes=noted.found,
        looked_at={
            table
            for table in prepared.catalogue.by_landing_table()
            if "__".join(raw_key(table).path) in ended
        },
        seconds=time.monotonic() - started,
    )


def show_on_time_line(instance: DagsterInstance, run_id: str) -> None:
    """Give a run of this process the origin of those that Dagster launches.

    The time line, the first thing its pages show, passes over a run without one, whatever its tags.
    """
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    from orchestration.automation import PLACE

    repository, _, location = PLACE.partition("@")
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), repository)
    if run := instance.get_run_by_id(run_id):
        instance.run_storage.replace_job_origin(run, origin.get_job_origin(run.job_name))


def _check_days(prepared: Prepared, watch: Observer, again: tuple[dt.date, dt.date]) -> None:
    from orchestration.automation import FEED_TABLE
    from sources.landing.again import check_range

    days = f"{again[0]:%d/%m/%Y} – {again[1]:%d/%m/%Y}"
    watch.started("again", days)
    with prepared.warehouse.connect() as connection:
        contracts = prepared.catalogue.by_landing_table()[FEED_TABLE]
        check_range(connection, contracts, *again, CITY_TIMEZONE)
    watch.finished("again", days, "ok")


def _run_config(again: tuple[dt.date, dt.date] | None) -> dict[str, Any]:
    from orchestration.automation import FEED_STEP

    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if again is not None:
        days = {"desde": again[0].isoformat(), "hasta": again[1].isoformat()}
        config["ops"] = {FEED_STEP: {"config": days}}
    return config


def _crashed_steps(instance: DagsterInstance, run_id: str) -> tuple[str, ...]:
    """Steps, or the run itself, that ended in an error of the program.

    A withheld export or a red check is none.
    """
    from dagster import DagsterEventType

    def events(kind: DagsterEventType) -> Iterator[DagsterEvent]:
        for record in instance.get_records_for_run(run_id, of_type=kind).records:
            if (event := record.event_log_entry.dagster_event) is not None:
                yield event

    failed = [
        (event.step_key, event.step_failure_data.error)
        for event in events(DagsterEventType.STEP_FAILURE)
    ]
    failed += [
        ("la corrida", event.job_failure_data.error)
        for event in events(DagsterEventType.RUN_FAILURE)
        if event.job_failure_data.first_step_failure_event is None
    ]
    found = []
    interrupted = False
    for where, error in failed:
        if error is None:
            continue
        names = {error.cls_name, error.cause.cls_name if error.cause else None}
        if "DagsterExecutionInterruptedError" in names:
            interrupted = True
            continue
        if not names & {"Withheld", "Refused", "DagsterAssetCheckFailedError"}:
            message = (error.cause or error).message.strip().splitlines()[0]
            # The name of an error without where it is written.
            words = re.sub(r"^(\w+\.)+(?=\w+: )", "", message)
            found.append(f"{where}: {words}")
    if interrupted:  # the step at work and the run say the same
        found.append("a pedido; lo que no terminó no se guardó.")
    return tuple(found)


def _approve_sample(connection: Connection) -> None:
    """The sample approves its own synthetic datasets, so that the whole way can be seen.

    Not those that somebody withdrew, or of which a column stopped being open: a person decides.
    """
    from exports.approvals import approve
    from exports.definition import load_definitions

    definitions, _ = load_definitions()
    annulled = {
        row[0] for row in connection.execute("select conjunto from meta.aprobacion_anulada")
    }
    for definition in definitions.values():
        if definition.nombre in annulled:
            continue
        approve(connection, definition, SAMPLE_APPROVER, "Datos sintéticos de muestra.")


def _without_table(connection: Connection, catalogue: Catalogue) -> dict[str, str]:
    """Of what models read and no contract describes, the tables that are not there: what is built
    from them would break off. Those of a data set given up are there."""
    return {
        table: model
        for table, model in read_without_contract(catalogue).items()
        if connection.execute("select to_regclass(%s)", [f"raw.{table}"]).fetchone() == (None,)
    }


def _look_at_portal(warehouse: Warehouse) -> list[str]:
    """Note what the portal shows, for the indicators; a portal that is down stops nothing."""
    from exports.errors import PortalError
    from orchestration.publishing import catalog_facts, ckan, look

    if not settings().ckan_url:
        return []
    try:
        with warehouse.connect(autocommit=True) as connection:
            look(connection, ckan(catalog_facts(connection)))
    except PortalError as error:
        return [f"No se pudo mirar el portal; los indicadores usan la última mirada. {error}"]
    return []


@contextlib.contextmanager
def _quiet(folder: Path) -> Iterator[None]:
    """Send what libraries print to a log file; the terminal belongs to the live view."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.log"
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with (
        path.open("w", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        yield


def set_sources(assignments: Sequence[str]) -> None:
    """Apply `system=address` pairs of the command line to this process.

    Raises ValueError naming the pair that is not one.
    """
    for assignment in assignments:
        system, separator, address = assignment.partition("=")
        if not separator or not system.isidentifier() or not address:
            raise ValueError(f"se esperaba sistema=dirección, no {assignment!r}")
        os.environ[f"SOURCE_{system.upper()}_URL"] = address

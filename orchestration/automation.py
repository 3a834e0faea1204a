"""When the pipeline runs by itself: the daily schedule and the sensor on the feed folder.

Belongs here: jobs, schedules and sensors. Does not belong here: what a run does (`assets/`).
"""

from __future__ import annotations

import hashlib

from dagster import (
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    RunStatusSensorContext,
    RunStatusSensorDefinition,
    ScheduleDefinition,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    run_status_sensor,
    sensor,
)

from orchestration.assets.naming import raw_key
from orchestration.catalogue_sync import configured_catalogue
from orchestration.connections import connections
from orchestration.settings import CITY_TIMEZONE
from sources.errors import PipelineError

# Runs of the command line, which do by themselves what the sensors below do for the others.
ORIGIN_TAG, COMMAND_LINE = "lujan/origen", "lujan run"
FEED_SYSTEM = "telemetria"
FEED_TABLE = "telemetria__lecturas"
_FEED_INTERVAL_S = 300

daily_job = define_asset_job(
    "diaria",
    selection=AssetSelection.all(),
    description="Todo el recorrido: fuentes, modelos, controles y exportaciones.",
)

# 03:00: after the systems' nightly batches and before people arrive.
daily_schedule = ScheduleDefinition(
    name="diaria_03_00",
    job=daily_job,
    cron_schedule="0 3 * * *",
    execution_timezone=CITY_TIMEZONE.key,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Todos los días a las 03:00 de Mendoza.",
)

feed_job = define_asset_job(
    "lecturas_nuevas",
    selection=AssetSelection.assets(raw_key(FEED_TABLE)).downstream(),
    description="Carga las lecturas que llegaron y actualiza lo que depende de ellas.",
)


@sensor(
    name="carpeta_de_telemetria",
    job=feed_job,
    minimum_interval_seconds=_FEED_INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Mira la carpeta de lecturas y pide una corrida cuando hay archivos sin cargar.",
)
def feed_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Ask for a run when the folder holds files that were never loaded.

    Compared by content with `meta.archivo`, so that a copied or touched file asks for nothing; far
    away, by name, size and date.
    """
    from orchestration.warehouse.connection import locate
    from sources.landing.files import waiting_files

    url = connections().urls.get(FEED_SYSTEM)
    if url is None:
        return SkipReason("El sistema telemetria no está configurado.")
    catalogue = configured_catalogue()
    feeds = [c for c in catalogue.contracts.values() if c.system == FEED_SYSTEM]
    try:
        with locate(start=False).connect() as connection:
            waiting = sorted(w for feed in feeds for w in waiting_files(connection, feed, url))
    except PipelineError as error:
        return SkipReason(str(error))
    if not waiting:
        return SkipReason("No hay archivos nuevos.")
    # The same set of files asks once: a file that cannot be loaded must not start runs for ever.
    return RunRequest(run_key=hashlib.sha256("".join(waiting).encode()).hexdigest())


def _findings_sensor(status: DagsterRunStatus) -> RunStatusSensorDefinition:
    @run_status_sensor(
        run_status=status,
        name=f"hallazgos_{status.value.lower()}",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Abre y cierra hallazgos con lo que la corrida encontró en sus últimos pasos.",
    )
    def update(context: RunStatusSensorContext) -> SkipReason | None:
        """The checks of the marts come after the models: what they say is known at the end only."""
        from orchestration.findings import update_findings
        from orchestration.warehouse.connection import locate

        if context.dagster_run.tags.get(ORIGIN_TAG) == COMMAND_LINE:
            return SkipReason("La corrida ya los actualizó.")
        update_findings(locate(start=False), context.dagster_run.run_id)
        return None

    return update


# A failed run found things, too: a withheld export fails it.
findings_sensors = [
    _findings_sensor(status)
    for status in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
]

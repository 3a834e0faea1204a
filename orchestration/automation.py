"""When the pipeline runs by itself: the daily run, feeds that arrive, publications.

Belongs here: jobs, schedules and sensors. Does not belong here: what a run does (`assets/`).
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from dagster import (
    AssetsDefinition,
    AssetSelection,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Failure,
    OpExecutionContext,
    RunRequest,
    RunStatusSensorContext,
    RunStatusSensorDefinition,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    job,
    op,
    run_status_sensor,
    schedule,
    sensor,
)

from exports.definition import DatasetDefinition
from orchestration.assets.naming import EXPORTS_GROUP, export_key, raw_key
from orchestration.catalogue_sync import configured_catalogue
from orchestration.connections import connections
from orchestration.digest import is_configured
from orchestration.living_runs import close_dead_runs, of_command_line
from orchestration.settings import CITY_TIMEZONE, settings
from orchestration.wording import frequency
from sources.city import city_time
from sources.errors import PipelineError

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

# Dagster's pages list under a job the runs that name its place by this tag, which it sets only on
# those it launches itself. The name of the place is that of `workspace.yaml`.
PLACE_TAG, PLACE = ".dagster/repository", "__repository__@lujan"
FEED_SYSTEM = "telemetria"
FEED_TABLE = "telemetria__lecturas"
# Dagster names the step of an asset after its key.
FEED_STEP = "__".join(raw_key(FEED_TABLE).path)
_FEED_INTERVAL_S = 300
_PUBLICATION_INTERVAL_S = 900
_LIVING_INTERVAL_S = 120

_publications = AssetSelection.groups(EXPORTS_GROUP)


def daily_jobs(models: AssetsDefinition) -> "list[UnresolvedAssetJobDefinition]":
    """The whole way, and the same without publications.

    Neither plans the checks of the `models`: which of them are built, and so tested, is known only
    in their step, which says what they found. A check that is planned and has nothing to look at
    would be shown as skipped in the place of the verdict that stands.
    """
    everything = AssetSelection.all() - AssetSelection.checks(*models.check_keys)
    return [
        define_asset_job(
            "recorrido",
            selection=everything,
            description="Todo el recorrido: fuentes, modelos, controles y publicaciones "
            "(lujan run).",
        ),
        define_asset_job(
            "diaria",
            selection=everything - _publications,
            description="Fuentes, modelos y controles; cada conjunto se publica según su "
            "frecuencia.",
        ),
    ]


# 03:00: after the systems' nightly batches and before people arrive.
daily_schedule = ScheduleDefinition(
    name="diaria_03_00",
    job_name="diaria",
    cron_schedule="0 3 * * *",
    execution_timezone=CITY_TIMEZONE.key,
    default_status=DefaultScheduleStatus.RUNNING,
    description=f"Todos los días a las 03:00 de {city_time()}.",
)

feed_job = define_asset_job(
    "lecturas_nuevas",
    selection=AssetSelection.assets(raw_key(FEED_TABLE)).downstream() - _publications,
    description="Carga las lecturas que llegaron y actualiza lo que depende de ellas.",
)

# The same steps, told the days: one run for the whole range, however long.
again_job = define_asset_job(
    "recalcular_lecturas",
    selection=AssetSelection.assets(raw_key(FEED_TABLE)).downstream() - _publications,
    description="Vuelve a calcular los días `desde`–`hasta` de las lecturas y lo que depende de "
    "ellos, en una sola corrida. Escriba los días en el formulario (Launchpad) en lugar de "
    "aaaa-mm-dd.",
    # What the form shows. As it is, it is refused: without days this would be an ordinary load.
    config={"ops": {FEED_STEP: {"config": dict.fromkeys(("desde", "hasta"), "aaaa-mm-dd")}}},
)

publication_job = define_asset_job(
    "publicar",
    selection=_publications,
    description="Publica conjuntos en el portal, si sus controles pasan y están aprobados.",
)

# After the daily run. What a frequency promises is a time by which readers find the new data.
_CRON: Mapping[str, str] = {
    "R/PT1S": "5 * * * *",
    "R/PT1H": "5 * * * *",
    "R/P1D": "0 6 * * *",
    "R/P0.33W": "0 6 * * 1,3,5",
    "R/P0.5W": "0 6 * * 1,4",
    "R/P1W": "0 6 * * 1",
    "R/P0.33M": "0 6 1,11,21 * *",
    "R/P0.5M": "0 6 1,16 * *",
    "R/P1M": "0 6 1 * *",
    "R/P2M": "0 6 1 */2 *",
    "R/P3M": "0 6 1 */3 *",
    "R/P4M": "0 6 1 */4 *",
    "R/P6M": "0 6 1 */6 *",
    **dict.fromkeys(("R/P1Y", "R/P2Y", "R/P3Y", "R/P4Y", "R/P10Y"), "0 6 1 1 *"),
}


@op(name="anotar_lo_que_muestra_el_portal")
def _look_at_portal() -> None:
    from orchestration.publishing import catalog_facts, ckan, look, show_notices
    from orchestration.warehouse.connection import locate

    with locate().connect(autocommit=True) as connection:
        look(connection, ckan(catalog_facts(connection)))
        show_notices(connection)  # what became overdue since yesterday


@job(name="mirar_el_portal", description="Anota qué muestra el portal a cualquiera.")
def look_job() -> None:
    """What R31 and the targets of the strategy are measured on."""
    _look_at_portal()


@schedule(
    job=look_job,
    name="mirar_el_portal_02_30",
    cron_schedule="30 2 * * *",
    execution_timezone=CITY_TIMEZONE.key,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Antes de la corrida diaria, que mide sobre lo visto.",
)
def look_schedule() -> RunRequest | SkipReason:
    """Once a day, where there is a portal."""
    if not settings().ckan_url:
        return SkipReason("No hay un portal CKAN configurado (CKAN_URL).")
    return RunRequest()


def publication_schedules(
    definitions: Mapping[str, DatasetDefinition],
) -> list[ScheduleDefinition]:
    """One schedule per dataset, by its frequency; none for those published now and then.

    Longer than a year is looked at every year: what did not change is not sent.
    """
    return [
        ScheduleDefinition(
            name=f"publicar_{name.replace('-', '_')}",
            job=publication_job,
            cron_schedule=_CRON[definition.frecuencia],
            execution_timezone=CITY_TIMEZONE.key,
            default_status=DefaultScheduleStatus.RUNNING,
            description=f"{definition.titulo}: {frequency(definition.frecuencia)}, a las 06:00.",
            execution_fn=partial(_publication_request, name),
        )
        for name, definition in definitions.items()
        if definition.frecuencia in _CRON
    ]


def _publication_request(name: str, _: ScheduleEvaluationContext) -> RunRequest:
    return RunRequest(asset_selection=[export_key(name)], tags={"conjunto": name})


@sensor(
    name="publicaciones_atrasadas",
    job=publication_job,
    minimum_interval_seconds=_PUBLICATION_INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Publica lo vencido, lo retenido cuyo control ya pasa y lo recién aprobado.",
)
def publication_sensor(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
    """Ask for the publication of what waits and is no longer kept from leaving.

    At most once a day for the same build and approval: a portal that refuses must not start runs
    for ever.
    """
    from orchestration.publishing import waiting
    from orchestration.warehouse.connection import locate

    try:
        with locate(start=False).connect() as connection:
            found = waiting(connection, dt.datetime.now(dt.UTC))
    except PipelineError as error:
        yield SkipReason(str(error))
        return
    free = [item for item in found if not item.blocked]
    for item in free:
        yield RunRequest(
            run_key=item.run_key,
            asset_selection=[export_key(item.dataset)],
            tags={"conjunto": item.dataset},
        )
    if not free:
        blocked = "; ".join(f"{item.dataset}: {item.blocked}" for item in found)
        yield SkipReason(f"Nada que publicar. {blocked}".strip())


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


@sensor(
    name="corridas_cortadas",
    minimum_interval_seconds=_LIVING_INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Cierra como fallidas las corridas de `lujan run` que murieron sin avisar: "
    "mientras figuran en marcha, ninguna otra empieza.",
)
def living_sensor(context: SensorEvaluationContext) -> SkipReason:
    """One run at a time: what was killed at night must not keep the schedules waiting for ever."""
    from orchestration.warehouse.connection import locate

    try:
        with locate(start=False).connect(autocommit=True) as connection:
            closed = close_dead_runs(context.instance, connection)
    except PipelineError as error:
        return SkipReason(str(error))
    return SkipReason(f"Se cerraron: {', '.join(closed)}." if closed else "Ninguna.")


def _findings_sensor(status: DagsterRunStatus, how: str) -> RunStatusSensorDefinition:
    @run_status_sensor(
        run_status=status,
        name=f"hallazgos_de_corrida_{how}",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description="Abre y cierra hallazgos con lo que la corrida encontró, entrega a Luji y a "
        "los tableros lo que pasó los controles, y muestra de cada control el veredicto que vale.",
    )
    def update(context: RunStatusSensorContext) -> SkipReason | None:
        """A run that ends also ends here, as the command line does by itself."""
        from orchestration.end_of_run import end_run
        from orchestration.warehouse.connection import locate

        if of_command_line(context.dagster_run):
            return SkipReason("La corrida ya los actualizó.")
        end_run(locate(start=False), context.instance, context.dagster_run.run_id)
        return None

    return update


# A failed run found things, too: a withheld export fails it.
findings_sensors = [
    _findings_sensor(DagsterRunStatus.SUCCESS, "exitosa"),
    _findings_sensor(DagsterRunStatus.FAILURE, "fallida"),
    _findings_sensor(DagsterRunStatus.CANCELED, "cancelada"),
]


@op(description="Escribe y envía el resumen semanal de cada área.")
def send_weekly_digest(context: OpExecutionContext) -> None:
    """One that fails stays written and goes with the next attempt."""
    from orchestration.digest import send_digests, senders
    from orchestration.warehouse.connection import locate

    outcomes = send_digests(locate(), senders())
    for outcome in outcomes:
        context.log.info(f"{outcome.area}: {outcome.canal}: {outcome.estado}")
    failed = [o for o in outcomes if o.estado == "fallido"]
    if failed:
        words = "\n".join(f"- {o.area}: {o.error}" for o in failed)
        raise Failure(description=f"Resúmenes que no salieron:\n{words}", allow_retries=True)


@job(name="resumen_semanal", description="Resumen de hallazgos, un mensaje por área.")
def digest_job() -> None:
    send_weekly_digest()


# Monday, when the week's work is shared out. Without a channel it is off.
@schedule(
    name="resumen_lunes_07_30",
    job=digest_job,
    cron_schedule="30 7 * * 1",
    execution_timezone=CITY_TIMEZONE.key,
    default_status=(
        DefaultScheduleStatus.RUNNING if is_configured() else DefaultScheduleStatus.STOPPED
    ),
    description=f"Los lunes a las 07:30 de {city_time()}, cuando hay correo o webhook configurado.",
)
def digest_schedule(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """One run a week."""
    if not is_configured():
        return SkipReason(
            "Falta LUJAN_SMTP_URL o LUJAN_DIGEST_WEBHOOK_URL: no hay por dónde enviar."
        )
    return RunRequest(run_key=f"resumen-{context.scheduled_execution_time:%G-%V}")

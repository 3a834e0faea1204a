"""Table of contents of the pipeline as Dagster sees it.

Only lists what there is; nothing here opens a connection, needs a secret or imports a heavy
library, so it loads anywhere in a few seconds.
"""

from dagster import Definitions, in_process_executor, multiprocess_executor

from expectations.suite_files import load_suites
from exports.definition import load_definitions
from orchestration.assets.controls import mart_checks
from orchestration.assets.dbt import book_assets, dbt_models
from orchestration.assets.exports import export_assets
from orchestration.assets.projections import projection_asset
from orchestration.assets.raw import raw_assets
from orchestration.assets.raw_controls import raw_checks
from orchestration.automation import (
    again_job,
    daily_jobs,
    daily_schedule,
    digest_job,
    digest_schedule,
    feed_job,
    feed_sensor,
    findings_sensors,
    living_sensor,
    look_job,
    look_schedule,
    publication_job,
    publication_schedules,
    publication_sensor,
)
from orchestration.catalogue_sync import configured_catalogue
from orchestration.dbt_cli import dbt_definition
from orchestration.dbt_project import ensure_manifest
from orchestration.settings import settings

# Parses dbt only when its files changed since the last time; needs no database.
ensure_manifest()
_definitions, _ = load_definitions()
_catalogue = configured_catalogue()
_models = dbt_models()

defs = Definitions(
    assets=[
        *book_assets(),
        *raw_assets(_catalogue),
        _models,
        projection_asset(),
        *export_assets(_definitions),
    ],
    asset_checks=[raw_checks(_catalogue), *mart_checks(load_suites().values())],
    jobs=[
        *daily_jobs(_models),
        feed_job,
        again_job,
        publication_job,
        look_job,
        digest_job,
    ],
    schedules=[
        daily_schedule,
        look_schedule,
        digest_schedule,
        *publication_schedules(_definitions),
    ],
    sensors=[feed_sensor, publication_sensor, living_sensor, *findings_sensors],
    resources={"dbt": dbt_definition()},
    # A step in a process of its own costs about two seconds: one process unless asked otherwise.
    executor=in_process_executor if settings().executor == "in_process" else multiprocess_executor,
)

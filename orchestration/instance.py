"""Dagster's instance: its home folder and its storage in the warehouse.

Belongs here: writing `dagster.yaml` and pointing `DAGSTER_HOME` at it. Does not belong here:
definitions. Runs, events and schedules live in schema `dagster` of the warehouse, so that they
are backed up with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse, export_environment

_CONFIG = """\
# Written by `lujan`; the address comes from the environment so that no secret stands here.
storage:
  custom:
    module: orchestration.storage
    class: PooledPostgresStorage
    config:
      postgres_url:
        env: DAGSTER_POSTGRES_URL
telemetry:
  enabled: false
nux:
  enabled: false
# A run worker killed for memory leaves no failure event: look for it.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  max_runtime_seconds: 21600
concurrency:
  runs:
    max_concurrent_runs: 1
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir:
      env: DAGSTER_HOME
"""


def prepare_instance(warehouse: Warehouse) -> Path:
    """Make Dagster's home ready and set the environment that Dagster reads; its path."""
    home = settings().dagster_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists() or config.read_text() != _CONFIG:
        config.write_text(_CONFIG)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    export_environment(warehouse)
    return home

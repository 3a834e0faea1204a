"""dbt as Dagster starts it: one process, and nothing before it.

Belongs here: how a dbt command is started for a Dagster step. Does not belong here: what is asked
of dbt (`assets/dbt.py`), or dbt outside of Dagster (`dbt_project.py`).

Before every command dagster-dbt asks `dbt --version` in a process of its own, which imports dbt and
looks for newer versions in the network, and makes a dbt adapter in this process, for counting rows
and columns, which we do not ask of it. Both together took longer than dbt's own start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster import ResourceDefinition
from dagster_dbt import DbtCliResource
from packaging.version import Version

from orchestration.settings import DBT_PROJECT_DIR

# Without the folder of the script in the path: its neighbours are no modules of dbt's.
_COMMAND = ("-P", str(Path(__file__).with_name("dbt_command.py")))


class DbtCommand(DbtCliResource):
    """dagster-dbt's resource, running `dbt_command.py` with this Python."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


def dbt_resource() -> DbtCliResource:
    """The dbt command line of this environment; runs nothing."""
    return DbtCommand(
        project_dir=str(DBT_PROJECT_DIR),
        profiles_dir=str(DBT_PROJECT_DIR),
        dbt_executable=sys.executable,
        global_config_flags=list(_COMMAND),
    )


def dbt_definition() -> ResourceDefinition:
    """The same for Dagster, with nothing to fill in.

    As a resource with fields its paths would stand in the launch form of every job, above what a
    person has to write there.
    """
    return ResourceDefinition.hardcoded_resource(
        dbt_resource(), description="La línea de órdenes de dbt, con los modelos de esta carpeta."
    )

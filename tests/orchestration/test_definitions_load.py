"""Definitions load anywhere: no network, no database, no secret, no heavy import."""

from __future__ import annotations

import os
import subprocess
import sys

from orchestration.dbt_project import ensure_manifest
from orchestration.settings import PROJECT_ROOT

_PROGRAM = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError("definitions opened a connection")

socket.socket.connect = refuse
import orchestration.definitions
heavy = sorted({"great_expectations", "pandera", "pandas", "polars", "ckanapi"} & set(sys.modules))
print("heavy:", heavy)
print("repository:", orchestration.definitions.defs.get_repository_def().name)
# As the web server does: every job, schedule and sensor, not only when somebody asks for it.
from dagster import Definitions
Definitions.validate_loadable(orchestration.definitions.defs)
print("all of it loads")
"""


def test_definitions_load_without_network_database_secrets_or_heavy_imports() -> None:
    ensure_manifest()
    bare = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DAGSTER_DISABLE_TELEMETRY": "yes"}

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=bare, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
    assert "heavy: []" in done.stdout
    assert "all of it loads" in done.stdout

"""dlt in its fastest configuration: Arrow in, Parquet between, ADBC into PostgreSQL.

Belongs here: where it runs. Does not belong here: what it does (`programs/dlt_load.py`).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.peer import Peer
from benchmarks.loading.model import Scenario


class Dlt(Peer):
    """`dlt`. Its state lives in the run's folder, and goes on where the load before left it."""

    name = "dlt"
    paths = frozenset({"mariadb", "postgresql", "csv", "parquet", "xlsx", "merge", "no_change"})

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
        return self._program(scenario, target_url, folder, quiet)

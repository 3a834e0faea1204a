"""ingestr: one command per table.

Belongs here: its command lines. Does not belong here: installing it (`peer.py`).
"""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.peer import TARGET_SCHEMA, Peer
from benchmarks.loading.model import Scenario


class Ingestr(Peer):
    """`ingestr`. It keeps no state: an incremental load is told where to begin."""

    name = "ingestr"
    paths = frozenset({"mariadb", "postgresql", "csv", "parquet", "xlsx", "merge", "no_change"})

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        commands = [self._one(scenario, table, target_url) for table in scenario.tables]
        quiet = {"INGESTR_DISABLE_TELEMETRY": "true", "DISABLE_TELEMETRY": "true"}
        if len(commands) == 1:
            return Command(commands[0], quiet)
        script = " && ".join(shlex.join(command) for command in commands)
        return Command(["bash", "-c", script], quiet)

    def _one(self, scenario: Scenario, table: str, target_url: str) -> list[str]:
        source, name = self._source(scenario, table)
        found = [
            str(self._venv / "bin" / "ingestr"), "ingest", "--yes", "--progress", "log",
            "--source-uri", source, "--source-table", name,
            "--dest-uri", f"{target_url}?sslmode=disable",
            "--dest-table", f"{TARGET_SCHEMA}.{table}",
        ]  # fmt: skip
        if scenario.before is None:
            return [*found, "--incremental-strategy", "append"]
        since = dt.datetime.fromtimestamp(float(scenario.before.expected.last), dt.UTC)
        return [
            *found, "--incremental-strategy", "merge", "--primary-key", scenario.dataset.key,
            "--incremental-key", scenario.dataset.cursor or "",
            "--interval-start", since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ]  # fmt: skip

    @staticmethod
    def _source(scenario: Scenario, table: str) -> tuple[str, str]:
        if scenario.file is not None:
            return f"{scenario.path}://{scenario.file}", table
        url = scenario.source_url or ""
        if url.startswith("mysql"):
            return url, f"{url.rsplit('/', 1)[1]}.{table}"
        return f"{url}?sslmode=disable", f"public.{table}"

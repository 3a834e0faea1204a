"""sling: one command per table, or one replication file for many.

Belongs here: its command lines. Does not belong here: installing it (`peer.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.peer import TARGET_SCHEMA, Peer
from benchmarks.loading.model import Scenario

_TIMES = {"timestamptz": "timestampz", "date": "date"}
_PROGRAM = "sling_linux_amd64/bin/sling-linux-amd64"


class Sling(Peer):
    """`sling`. An incremental load begins at the newest change of the target table."""

    name = "sling"
    paths = frozenset({"mariadb", "postgresql", "csv", "parquet", "xlsx", "merge", "no_change"})

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        """A replication file, for one table as for fifty. JSON is YAML."""
        incremental = {
            "mode": "incremental",
            "primary_key": [scenario.dataset.key],
            "update_key": scenario.dataset.cursor,
        }
        defaults: dict[str, Any] = (
            incremental if scenario.job("")["incremental"] else {"mode": "full-refresh"}
        )
        file = folder / "replication.json"
        streams: dict[str, Any] = {
            self._stream(scenario, table): {"object": f"{TARGET_SCHEMA}.{table}"}
            for table in scenario.tables
        }
        if scenario.path == "csv":
            # It guesses a file's types from its first rows; a time that is midnight there becomes
            # a date, and the hours of all others are lost.
            defaults["columns"] = {
                column.name: _TIMES[column.pg_type]
                for column in scenario.dataset.columns
                if column.pg_type in _TIMES
            }
        source = "LOCAL" if scenario.file else "ORIGEN"
        file.write_text(
            json.dumps(
                {"source": source, "target": "DESTINO", "defaults": defaults, "streams": streams}
            )
        )
        program = next(self._venv.glob(f"lib/python*/site-packages/{_PROGRAM}"), Path("sling"))
        program.chmod(0o755)
        env = {
            "DESTINO": f"{target_url}?sslmode=disable",
            "SLING_DISABLE_TELEMETRY": "true",
            "SLING_HOME_DIR": str(folder),
        }
        if scenario.source_url:
            plain = scenario.source_url.startswith("mysql")
            env["ORIGEN"] = scenario.source_url + ("" if plain else "?sslmode=disable")
        return Command([str(program), "run", "-r", str(file)], env)

    @staticmethod
    def _stream(scenario: Scenario, table: str) -> str:
        if scenario.file is not None:
            return f"file://{scenario.file}"
        url = scenario.source_url or ""
        schema = url.rsplit("/", 1)[1] if url.startswith("mysql") else "public"
        return f"{schema}.{table}"

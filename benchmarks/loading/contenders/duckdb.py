"""DuckDB with its PostgreSQL and MySQL extensions: an engine, not a loader, and a fast one.

Belongs here: where it runs. Does not belong here: what it does (`programs/duckdb_load.py`).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.peer import Peer
from benchmarks.loading.model import Scenario


class DuckDb(Peer):
    """`duckdb`. Sheets need an extension that the package index does not carry."""

    name = "duckdb"
    paths = frozenset({"mariadb", "postgresql", "csv", "parquet"})

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        return self._program(scenario, target_url, folder, {})

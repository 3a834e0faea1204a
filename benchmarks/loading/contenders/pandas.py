"""pandas: what many a script in an office does.

Belongs here: where it runs. Does not belong here: what it does (`programs/pandas_load.py`).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.peer import Peer
from benchmarks.loading.model import Scenario


class Pandas(Peer):
    """`pandas`. It knows no merge and no state."""

    name = "pandas"
    paths = frozenset({"mariadb", "postgresql", "csv", "parquet", "xlsx"})

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        return self._program(scenario, target_url, folder, {})

"""Ours: contracts, the checks of every batch, audit columns, quarantine and load record, all on.

Belongs here: the three ways our own loader is measured. Does not belong here: how it works.

`lujan` promises what the peers promise (rows appended, no key); `lujan_clave` also finds repeated
keys and keeps the primary key's index; `lujan_particiones` fills monthly partitions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

from benchmarks.loading.contenders.base import Command, write_job
from benchmarks.loading.contracts import SYSTEM, write_contract
from benchmarks.loading.model import Scenario
from benchmarks.loading.servers import Postgres
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.migrate import migrate

BASE = "almacen_vacio"
_PROGRAM = "benchmarks.loading.programs.lujan_load"
_PATHS = {
    "simple": frozenset({"mariadb", "postgresql", "csv", "parquet", "xlsx", "merge", "no_change"}),
    "clave": frozenset({"mariadb", "postgresql"}),
    "particiones": frozenset({"csv", "parquet"}),
}


class Lujan:
    """Our loader in one of its variants (see `contracts.write_contract`)."""

    template = BASE
    remembers = True

    def __init__(self, postgres: Postgres, variant: str = "simple") -> None:
        self.name = "lujan" if variant == "simple" else f"lujan_{variant}"
        self._postgres = postgres
        self._variant = variant

    def install(self) -> None:
        """An empty warehouse, migrated once: making it is no part of a load."""
        with self._postgres.connect("postgres") as connection:
            known = connection.execute(
                "select 1 from pg_database where datname = %s", [BASE]
            ).fetchone()
        if known is None:
            migrate(Warehouse(self._postgres.create(BASE), embedded=True))

    def versions(self) -> dict[str, str]:
        return {"psycopg": psycopg.__version__}

    def takes(self, scenario: Scenario) -> bool:
        return scenario.path in _PATHS[self._variant]

    def set_up(self, scenario: Scenario, postgres: Postgres, database: str) -> None:
        """The loader makes its own tables."""

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        contracts = [
            str(
                write_contract(
                    folder / "contratos", scenario.path, scenario.dataset, table, self._variant
                )
            )
            for table in scenario.tables
        ]
        job = write_job(scenario, target_url, folder, contracts=contracts)
        return Command([sys.executable, "-m", _PROGRAM, job])

    def landed(self, scenario: Scenario) -> list[tuple[str, str]]:
        return [("raw", f"{SYSTEM}__{table}") for table in scenario.tables]

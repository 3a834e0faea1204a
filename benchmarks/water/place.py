"""A warehouse of its own for a measurement, and whole runs of the pipeline in it.

Belongs here: starting, filling the register of meters, running `lujan run`, reading the books of a
run. Does not belong here: making readings (`meters.py`), what is measured.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.processes import measure
from benchmarks.water.meters import ZONES, Meters
from orchestration.dbt_project import MANIFEST
from orchestration.settings import DBT_PROJECT_DIR, settings
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate
from sources.contract_document import load_catalogue
from sources.raw_table import ensure_raw_table

ROOT = Path(__file__).resolve().parents[2]
# Withheld exports are no failure here: a city of meters alone lacks what other suites ask for.
_RAN = (0, 1)


class RunFailed(Exception):
    """A run of the pipeline that could not do its work; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole `lujan run`. Seconds of its parts are from the warehouse's own books.

    `to_marts` goes from the beginning of the first load to the last water table that was built.
    `models` is by relation, `tests` by name: those of dbt; suites are part of `seconds`.
    """

    seconds: float
    peak_mib: float
    load_seconds: float
    loaded: int
    to_marts: float
    models: Mapping[str, float]
    tests: Mapping[str, float]


class Place:
    """A folder with a server and a feed. Use `place()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.feed = folder / "telemetria"
        self.feed.mkdir(parents=True)
        # As in a new clone: the project is parsed for this warehouse, before the first load.
        (MANIFEST.parent / "project.sha256").unlink(missing_ok=True)
        self._server = EmbeddedServer(folder / "data" / "warehouse")
        self.warehouse = Warehouse(self._server.start(), embedded=True)
        migrate(self.warehouse)

    def register(self, meters: Meters) -> None:
        """Meters, accounts and zones, as the register of the city would have brought them."""
        with self.warehouse.connect() as connection:
            for contract in load_catalogue().contracts.values():
                ensure_raw_table(connection, contract)
            connection.execute(
                "insert into raw.aguas__zonas (zona_id, nombre, cuenca, distrito, _load_id) "
                "select n, 'Zona ' || n, 'Ciudad', 'Ciudad', 0 from generate_series(1, %s) n",
                [ZONES],
            )
            connection.execute(
                "insert into raw.aguas__cuentas (cuenta_id, numero_cuenta, categoria, zona_id, "
                "activa, _load_id) select n, n::text, 'residencial', (n - 1) %% %s + 1, true, 0 "
                "from generate_series(1, %s) n",
                [ZONES, meters.count],
            )
            connection.execute(
                "insert into raw.aguas__medidores (medidor_id, cuenta_id, zona_id, digitos, "
                "multiplicador, unidad, tipo_telemetria, estado, _load_id) select "
                "format('B-%%s', lpad(n::text, 6, '0')), n, (n - 1) %% %s + 1, 6, 1, 'm3', 'csv', "
                "'activo', 0 from generate_series(1, %s) n",
                [ZONES, meters.count],
            )

    def run(self, *options: str) -> Run:
        """Run the whole pipeline on the feed. Raises RunFailed."""
        since = time.time()
        done = measure(
            [str(Path(sys.executable).with_name("lujan")), "run",
             "--source", f"telemetria={self.feed}", *options],
            env=_environment(self.folder), cwd=ROOT, server_folder=self._server.folder,
        )  # fmt: skip
        if done.exit_code not in _RAN:
            raise RunFailed(done.output[-3000:])
        return self._books(since, done.seconds, done.peak_mib)

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def settle(self) -> None:
        """What a server does by itself in the hours between two runs, now."""
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")

    def close(self) -> None:
        self._server.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _books(self, since: float, seconds: float, peak: float) -> Run:
        loads = self.query(
            "select coalesce(sum(extract(epoch from fin - inicio)), 0)::float8, "
            "coalesce(sum(filas_cargadas), 0)::bigint, min(extract(epoch from inicio))::float8 "
            "from meta.carga where inicio >= to_timestamp(%s) and filas_cargadas > 0",
            [since],
        )
        built = self.query(
            "select objeto, sum(segundos)::float8 from meta.construccion "
            "where fin >= to_timestamp(%s) and estado = 'ok' group by objeto",
            [since],
        )
        failed = self.query(
            "select objeto, mensaje from meta.construccion "
            "where fin >= to_timestamp(%s) and estado <> 'ok'",
            [since],
        )
        if failed:
            raise RunFailed(f"no se construyó: {failed}")
        load_seconds, loaded, began = loads[0]
        results = _results()
        ended = _last_mart(results, since)
        return Run(
            seconds,
            peak,
            float(load_seconds),
            int(loaded),
            ended - float(began) if began and ended else 0.0,
            {str(row[0]): float(row[1] or 0) for row in built},
            _tests(results) if ended else {},
        )


@contextmanager
def place(name: str) -> Iterator[Place]:
    """A place below the data folder, removed afterwards."""
    home = settings().data_dir / "benchmarks"
    home.mkdir(parents=True, exist_ok=True)
    made = Place(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home)).resolve())
    try:
        yield made
    finally:
        made.close()


def _results() -> list[dict[str, Any]]:
    """What dbt's last run says of each of its nodes."""
    found = orjson.loads((DBT_PROJECT_DIR / "target" / "run_results.json").read_bytes())
    return list(found["results"])


def _last_mart(results: Sequence[Mapping[str, Any]], since: float) -> float:
    """When dbt completed its last water table (epoch); 0 when it built none since then."""
    ends = [
        dt.datetime.fromisoformat(timing["completed_at"].replace("Z", "+00:00")).timestamp()
        for result in results
        if result["unique_id"].startswith("model.") and '"agua".' in (result["relation_name"] or "")
        for timing in result["timing"]
        if timing["completed_at"]
    ]
    return max((end for end in ends if end >= since), default=0.0)


def _tests(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        result["unique_id"].split(".")[2]: float(result["execution_time"] or 0)
        for result in results
        if result["unique_id"].startswith("test.")
    }


def machine() -> str:
    """What the figures were measured on."""
    processor = subprocess.run(
        ["uname", "-m"], capture_output=True, text=True, check=False
    ).stdout.strip()
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{os.cpu_count()} núcleos, {processor}, {when}"


def _environment(folder: Path) -> dict[str, str]:
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("SOURCE_", "WAREHOUSE_", "CKAN"))
    }
    return env | {
        "LUJAN_DATA_DIR": str(folder / "data"),
        "DAGSTER_HOME": str(folder / "data" / "dagster"),
    }

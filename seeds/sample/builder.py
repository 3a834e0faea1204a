"""Puts the sample municipality together: folder, databases, ground truth, manifest.

Order, atomicity and what counts as up to date belong here; the content belongs in the module of
each subject.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psycopg

from seeds.sample import postgres_store
from seeds.sample.api import DATA_FILE
from seeds.sample.config import PERIOD_DAYS, PERIOD_START, SEED, TODAY, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.digital import build_digital
from seeds.sample.operation import build_operation
from seeds.sample.projects import build_projects
from seeds.sample.services import build_services
from seeds.sample.spreadsheets import build_spreadsheets, write_workbook
from seeds.sample.sqlite_store import write_sqlite
from seeds.sample.tables import Table
from seeds.sample.telemetry_files import write_telemetry
from seeds.sample.water import build_water

MANIFEST = "sample.json"
Progress = Callable[[str, int], None]
README = """\
MUNICIPALIDAD DE MUESTRA: TODO ES SINTÉTICO

Ningún dato de esta carpeta es real. Personas, domicilios, documentos, cuentas, medidores,
proyectos, montos y mediciones fueron generados por un programa con una semilla fija, al tamaño
de la ciudad. Las cifras no describen a Luján de Cuyo y no deben citarse.

Los datos traen defectos puestos a propósito (salvo en la muestra limpia). ground_truth.json los
enumera: qué filas afecta cada uno y qué debe hacer el almacén: cuarentena, correccion, hallazgo o
ninguno (se lee sin más).

aguas.sqlite       sistema de agua (en la ciudad: MySQL)
citymis.sqlite     atención ciudadana (en la ciudad: SQL Server)
planillas/         planillas de las áreas
telemetria/        lecturas horarias de medidores, un archivo por día
milujan/           trámites digitales (en la ciudad: una API)
sample.json        versión del generador, semilla y tamaños
El sistema de proyectos (MLC) está en la base PostgreSQL indicada al construir la muestra.
"""


class NotASampleFolderError(ValueError):
    """The target holds files that this generator did not write; it is left alone."""

    def __init__(self, target: Path) -> None:
        self.target = target
        super().__init__(
            f"La carpeta {target} tiene archivos que no son de la muestra: no se reemplaza. "
            "Indique una carpeta nueva o vacía."
        )


@dataclass(frozen=True)
class SampleManifest:
    """What was built. ``rows`` counts rows (or lines) per ``<system>.<dataset>``."""

    version: str
    seed: int
    size: SampleSize
    rows: dict[str, int]
    directory: Path
    rebuilt: bool


@dataclass(frozen=True)
class _Order:
    """What to make."""

    version: str
    seed: int
    size: SampleSize


def generator_version(size: SampleSize, seed: int = SEED) -> str:
    """SHA-256 of the generator's source files, the seed and the sizes."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(json.dumps([seed, asdict(size)], sort_keys=True).encode())
    return digest.hexdigest()


def build(
    target: Path,
    *,
    mlc_url: str,
    on_progress: Progress | None = None,
    size: SampleSize | None = None,
    seed: int = SEED,
) -> SampleManifest:
    """Make the sample in ``target`` and in the database at ``mlc_url``, unless both have it.

    The folder appears complete or not at all, and so do the tables. ``target`` is renamed into
    place, so it cannot be a mount point itself (a folder inside one is fine). Raises
    ``NotASampleFolderError`` rather than replace a folder with other content, and
    ``psycopg.Error`` when the database cannot be used.
    """
    size = size or SampleSize()
    version = generator_version(size, seed)
    order = _Order(version, seed, size)
    with psycopg.connect(mlc_url, autocommit=True) as connection:
        postgres_store.lock(connection)
        rows = _rows_built(target, version)
        if rows is not None and postgres_store.marked_version(connection) == version:
            return SampleManifest(version, seed, size, rows, target, rebuilt=False)
        _refuse_foreign(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = target.with_name(f".{target.name}.en-construccion")
        shutil.rmtree(workshop, ignore_errors=True)
        try:
            rows = _make(workshop, connection, order, on_progress or _silence)
            _swap(workshop, target)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return SampleManifest(version, seed, size, rows, target, rebuilt=True)


def _rows_built(target: Path, version: str) -> dict[str, int] | None:
    """Row counts of the sample in the folder; None when it is not of this version."""
    path = target / MANIFEST
    if not path.is_file():
        return None
    manifest = json.loads(path.read_text(encoding="utf-8"))
    rows: dict[str, int] = manifest["filas"]
    return rows if manifest["version"] == version else None


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise NotASampleFolderError(target)


def _swap(workshop: Path, target: Path) -> None:
    """Put the new folder in place; the manifest makes it valid, so no moment shows half of it."""
    old = target.with_name(f".{target.name}.anterior")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    workshop.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _silence(stage: str, rows: int) -> None:
    """Progress that nobody asked for."""


def _make(
    folder: Path, connection: psycopg.Connection, order: _Order, report: Progress
) -> dict[str, int]:
    """Write every part into ``folder`` and the database; returns the row counts."""
    seed, size = order.seed, order.size
    log = DefectLog(size)
    rows: dict[str, int] = {}

    def count(system: str, tables: list[Table]) -> None:
        for table in tables:
            rows[f"{system}.{table.name}"] = len(table)
        report(system, sum(len(table) for table in tables))

    for part in ("planillas", "telemetria", "milujan"):
        (folder / part).mkdir(parents=True)
    water = build_water(seed, size, log)
    services = build_services(seed, size, log)
    operation = build_operation(seed, size, water, services[0], log)
    write_sqlite(folder / "aguas.sqlite", [*water.tables, *operation.tables], "mysql")
    count("aguas", [*water.tables, *operation.tables])
    lines = write_telemetry(folder / "telemetria", water, seed=seed, size=size, log=log)
    rows |= {f"telemetria.{dataset}": number for dataset, number in lines.items()}
    report("telemetria", sum(lines.values()))
    write_sqlite(folder / "citymis.sqlite", services, "sqlserver")
    count("citymis", services)
    sheets = build_spreadsheets(seed, size, log)
    for sheet in sheets:
        write_workbook(folder / "planillas", sheet)
    count("planillas", [sheet.table for sheet in sheets])
    digital = build_digital(seed, size, log)
    (folder / DATA_FILE).write_bytes(_json(_records(digital)))
    count("milujan", [digital])
    projects = build_projects(seed, size, log)
    log.check()
    postgres_store.replace_tables(connection, projects, order.version)
    count("mlc", projects)
    _write_documents(folder, order, rows, log, water.truth | operation.truth)
    return rows


def _records(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows()]


def _json(document: Any, indent: bool = False) -> bytes:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return str(value)
        raise TypeError(f"not JSON: {value!r}")

    return orjson.dumps(document, default=plain, option=orjson.OPT_INDENT_2 if indent else None)


def _write_documents(
    folder: Path,
    order: _Order,
    rows: dict[str, int],
    log: DefectLog,
    water: dict[str, Any],
) -> None:
    """README, ground truth and, last, the manifest that makes the folder valid."""
    (folder / "LEEME.txt").write_text(README, encoding="utf-8")
    end = PERIOD_START + dt.timedelta(days=PERIOD_DAYS - 1)
    truth = {
        "sintetico": True,
        "version": order.version,
        "semilla": order.seed,
        "fecha_de_referencia": TODAY,
        "periodo_lecturas": [PERIOD_START, end],
        "filas": rows,
        "cuarentena_esperada": log.quarantined(),
        "agua": water,
        "defectos": log.as_document(),
    }
    (folder / "ground_truth.json").write_bytes(_json(truth, indent=True))
    manifest = {
        "sintetico": True,
        "version": order.version,
        "semilla": order.seed,
        "tamano": asdict(order.size),
        "filas": rows,
    }
    (folder / MANIFEST).write_bytes(_json(manifest, indent=True))

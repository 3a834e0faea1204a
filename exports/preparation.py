"""The files, tables and description of one dataset, made and checked in one view of the warehouse.

Belongs here: everything that is true before anybody has decided what becomes of it. Does not belong
here: that decision, approvals and places (`export.py`), how a file is written (`files.py`), or what
may leave (`disclosure.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import tuple_row

from exports.contributions import Succession, Waiting
from exports.datastore import describe_table, write_rows
from exports.definition import DatasetDefinition
from exports.disclosure import check_cells, check_rows
from exports.files import (
    Connection,
    ExportedFile,
    date_range,
    describe,
    omitted_rows,
    rows_of,
    snapshot,
    write_bytes,
    write_dataset,
)
from exports.manifest import Manifest
from exports.metadata import (
    CatalogFacts,
    data_package,
    dictionary_csv,
    dictionary_markdown,
    synthetic_notes,
)
from exports.record import history, last_changes
from exports.versions import Table

# In the folder of all exports: what is being prepared, and in it the rows of tables.
STAGING_FOLDER = ".preparacion"
ROWS_FOLDER = "filas"


@dataclass(frozen=True, slots=True)
class Job:
    """What every step of one export needs to know."""

    connection: Connection
    definition: DatasetDefinition
    manifest: Manifest
    output_dir: Path
    run_id: str
    facts: CatalogFacts
    now: dt.datetime | None

    @property
    def folder(self) -> Path:
        """Where the last good files of the dataset are."""
        return self.output_dir / self.definition.nombre


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files in the staging folder, all from one view of the warehouse."""

    folder: Path
    files: tuple[ExportedFile, ...]
    tables: tuple[Table, ...]
    temporal: tuple[dt.date, dt.date] | None
    build_id: int | None
    omitted: Mapping[str, int]
    waiting: tuple[Waiting, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the dataset: each resource once, whatever its formats."""
        return rows_of(self.files)


def prepare(
    job: Job, staging: Path, max_rows: int, succession: Succession, *, tables: bool
) -> Prepared:
    """Write and check everything in one view of the warehouse: what was checked is what leaves."""
    connection, definition, manifest = job.connection, job.definition, job.manifest
    succession.open(manifest)
    with snapshot(connection):
        check_rows(connection, definition, manifest)
        manifest, waiting = succession.settle(manifest)
        if waiting:
            # What leaves as it was may be of a time when the rules were others.
            check_cells(connection, definition, manifest)
        files = write_dataset(
            connection, definition, manifest, staging, max_rows, notes=synthetic_notes(job.facts)
        )
        loaded = _write_tables(job, manifest, staging / ROWS_FOLDER, files) if tables else ()
        ranges = [
            found
            for resource in definition.recursos
            if (found := date_range(connection, resource, manifest.mart(resource.mart)))
        ]
        omitted = {
            resource.nombre: omitted_rows(connection, resource, manifest.mart(resource.mart))
            for resource in definition.recursos
        }
        build_id = _newest_build(connection, definition.marts)
    content, rows = dictionary_csv(definition, manifest, files)
    write_bytes(staging / definition.dictionary_name, content)
    files.append(describe(staging / definition.dictionary_name, rows=rows))
    write_bytes(
        staging / definition.dictionary_page_name, dictionary_markdown(definition, manifest)
    )
    files.append(describe(staging / definition.dictionary_page_name, rows=None))
    temporal = None
    if ranges:
        temporal = (min(first for first, _ in ranges), max(last for _, last in ranges))
    return Prepared(staging, tuple(files), loaded, temporal, build_id, omitted, waiting)


def dated_package(job: Job, prepared: Prepared, moment: dt.datetime) -> dict[str, Any]:
    """Description of what leaves, with its dates from the record of earlier exports."""
    name = job.definition.nombre
    past = history(job.connection, name)
    return data_package(
        job.definition, job.manifest, job.facts, prepared.files,
        issued=past[0][0] if past else moment,
        modified=last_changes(past, name, prepared.files, moment),
        temporal=prepared.temporal, omitted=prepared.omitted,
    )  # fmt: skip


def rules_in_words(definition: DatasetDefinition) -> tuple[str, ...]:
    """The disclosure rules that were checked, in words."""
    words = ["columnas de libre acceso"]
    for resource in definition.recursos:
        if rule := resource.divulgacion:
            words.append(f"{resource.nombre}: {rule.columna_conteo} ≥ {rule.umbral_minimo}")
            if rule.dominancia:
                words.append(f"{resource.nombre}: dominancia ≤ {rule.dominancia.maximo_pct} %")
            if rule.diferencia_minima:
                words.append(f"{resource.nombre}: diferencia ≥ {rule.diferencia_minima}")
            if rule.margenes:
                words.append(f"{resource.nombre}: supresión complementaria")
    return tuple(words)


def _write_tables(
    job: Job, manifest: Manifest, folder: Path, files: Sequence[ExportedFile]
) -> tuple[Table, ...]:
    """The rows of every resource in loading form; the first of its files carries the table."""
    found = []
    for resource in job.definition.recursos:
        carrier = next(item.path for item in files if item.resource == resource.nombre)
        path = folder / f"{resource.nombre}.filas"
        written = write_rows(job.connection, resource, manifest, path)
        found.append(describe_table(resource, carrier, manifest, written))
    return tuple(found)


def _newest_build(connection: Connection, marts: Sequence[str]) -> int | None:
    """The newest successful build of these marts that the snapshot sees; None when unknown."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select max(construccion_id) from meta.construccion "
            "where objeto = any(%s) and estado = 'ok'",
            (list(marts),),
        ).fetchone()
    return row[0] if row else None

"""Rows of a mart as files, streamed from one view of the warehouse and put in place in one step.

Belongs here: running the query of a resource, which files it becomes, and installing them. Does not
belong here: the query (`queries.py`), how a kind of file is laid out (`formats.py`,
`spreadsheet.py`), which columns may leave (`manifest.py`, `disclosure.py`) or when (`export.py`).

Choices, all of them visible in `datapackage.json` or in docs/publicar-un-conjunto.md:

* CSV follows RFC 4180: UTF-8 without a byte-order mark, comma, CRLF at the end of every record,
  quotes only where needed, a header row, empty for null, '.' decimals, `true`/`false`.
* Dates are ISO 8601; instants carry the city's offset (`2026-06-01T03:00:00-03:00`).
* Spreadsheets run a cell that starts with `=`, `+`, `-` or `@` as a formula. In CSV, text that
  starts so (or with a tab or a line break) gets an apostrophe in front; numbers do not. Workbooks
  mark it as text, and the other kinds of files hold it untouched.
* JSON is one array with one object a line; JSON lines is the same without the array. NaN is null.
* GeoJSON (RFC 7946) puts a point per row, WGS 84, rounded to the decimals the definition allows; a
  row without coordinates has a null geometry. The two columns are not repeated as properties.
* Rows are ordered by `orden` and then by every other column, text by code point, so that the
  order does not depend on the server's plan or language.
* Above a million rows a resource becomes several files (`…-parte-01.csv`), above 50 MB its text
  files are compressed (`.csv.gz`), as the national guide asks. A name changes only when the data
  cross one of those lines.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from exports.definition import (
    LICENCES,
    DatasetDefinition,
    Format,
    Resource,
)
from exports.errors import ExportError
from exports.formats import (
    GEOJSON,
    JSON_ARRAY,
    JSON_LINES,
    TIMEZONE,
    compress,
    csv_form,
    in_parts,
    sync,
    write_parquet,
    write_text,
)
from exports.manifest import Manifest, Mart, MartColumn
from exports.queries import (
    column_of,
    copy_csv,
    copy_geojson,
    copy_json,
    row_condition,
    select_typed,
    source_table,
    unsafe_cell,
)
from exports.spreadsheet import CELL_CHARACTERS, CellTooLongError, Readme, write_workbook

Connection = psycopg.Connection[Any]

# The national guide: files of up to a million rows, and compressed above 50 MB.
MAX_ROWS = 1_000_000
MAX_BYTES = 50 * 1_000_000
_BATCH_ROWS = 10_000
_READ_BYTES = 1 << 20
_TEXT_FORMATS = ("csv", "json", "jsonl", "geojson")


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A finished file. `path` is relative to the dataset's folder; `rows` is null for metadata.

    `part` is its number and how many there are, of a resource that is more than one file.
    """

    path: str
    bytes: int
    sha256: str
    rows: int | None
    resource: str | None
    format: str
    part: tuple[int, int] | None = None

    @property
    def compressed(self) -> bool:
        """Whether the file is a gzip of its format."""
        return self.path.endswith(".gz")

    def record(self, folder: str) -> dict[str, Any]:
        """The form kept in `meta.publicacion.archivos`, with the path from the export folder."""
        return {
            "path": f"{folder}/{self.path}",
            "bytes": self.bytes,
            "sha256": self.sha256,
            "rows": self.rows,
        }


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One read-only view of the warehouse: everything read inside belongs together.

    Sets the session forms (zone, dates, floats) on which byte-identical files depend. The
    connection must not be inside a transaction: its isolation could no longer be chosen.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("the connection must not be inside a transaction")
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        for name, value in (
            ("timezone", TIMEZONE),
            ("datestyle", "ISO, YMD"),
            ("extra_float_digits", "1"),
            ("client_encoding", "UTF8"),
        ):
            connection.execute("select set_config(%s, %s, true)", (name, value))
        yield


def write_dataset(
    connection: Connection,
    definition: DatasetDefinition,
    manifest: Manifest,
    folder: Path,
    max_rows: int = MAX_ROWS,
    *,
    max_bytes: int = MAX_BYTES,
    notes: Sequence[str] = (),
) -> list[ExportedFile]:
    """Write every resource in every format into `folder`; call inside `snapshot`.

    A resource of more than `max_rows` rows becomes several files, and text files of more than
    `max_bytes` are compressed. `notes` are shown before the dataset's own warnings in workbooks.
    Raises ExportError when the mart is absent or a value does not fit a format.
    """
    written: list[ExportedFile] = []
    for resource in definition.recursos:
        mart, columns = manifest.mart(resource.mart), manifest.columns(resource)
        readme = _readme(definition, resource, notes)
        for extension in resource.formatos:
            try:
                if extension == "geojson":
                    _check_coordinates(connection, definition, resource, mart)
                with _writer(connection, resource, mart, columns, extension, readme) as parts:
                    written += _write_parts(parts, resource, extension, folder, max_rows, max_bytes)
            except psycopg.errors.Error as error:
                raise database_problem(definition, resource, error) from error
            except CellTooLongError as error:
                raise ExportError(
                    f"recurso {resource.nombre}: un texto de {error.column} tiene {error.length} "
                    f"caracteres y una celda de Excel admite {CELL_CHARACTERS}.",
                    dataset=definition.nombre,
                    owner=definition.secretaria,
                    next_step="quite `xlsx` de `formatos` o esa columna del recurso.",
                ) from error
    return written


def rows_of(files: Iterable[ExportedFile]) -> int:
    """Rows of the dataset: each resource once, all its parts, whatever its formats."""
    by_format: dict[tuple[str, str], int] = {}
    for item in files:
        if item.resource:
            key = (item.resource, item.format)
            by_format[key] = by_format.get(key, 0) + (item.rows or 0)
    return sum({resource: rows for (resource, _), rows in by_format.items()}.values())


def omitted_rows(connection: Connection, resource: Resource, mart: Mart) -> int:
    """Rows left out because they are unsafe; 0 where the definition does not omit."""
    rule = resource.divulgacion
    if rule is None or rule.celdas_inseguras != "omitir":
        return 0
    everything = resource.model_copy(update={"divulgacion": None})
    query = sql.SQL("select count(*) filter (where {}) from {}{}").format(
        unsafe_cell(rule), source_table(mart), row_condition(everything)
    )
    with connection.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute(query).fetchone()
    return int(row[0])


def date_range(
    connection: Connection, resource: Resource, mart: Mart
) -> tuple[dt.date, dt.date] | None:
    """First and last day that the rows are about, by `columna_fecha`; None without that column or
    without rows. A column `mes` holds the first day of months: the last one is covered whole."""
    if resource.columna_fecha is None:
        return None
    column = column_of(resource.columna_fecha)
    to_its_end = " + interval '1 month - 1 day'" if resource.columna_fecha == "mes" else ""
    query = sql.SQL("select min({0})::date, (max({0}){1})::date from {2}{3}").format(
        column, sql.SQL(to_its_end), source_table(mart), row_condition(resource)
    )
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def describe(
    path: Path,
    *,
    rows: int | None,
    resource: str | None = None,
    kind: str | None = None,
    part: tuple[int, int] | None = None,
) -> ExportedFile:
    """Size and hash of a finished file, read back from the disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return ExportedFile(
        path.name, size, digest.hexdigest(), rows, resource, kind or path.suffix.lstrip("."), part
    )


def install(source: Path, target: Path) -> bool:
    """Put a finished file in its place in one step; False when the same bytes were there.

    A reader sees the old file or the new one, never half of one, also after a power cut.
    """
    if target.is_file():
        same_size = target.stat().st_size == source.stat().st_size
        if same_size and describe(target, rows=None).sha256 == describe(source, rows=None).sha256:
            return False
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.tmp"
    with source.open("rb") as reader, beside.open("wb") as writer:
        shutil.copyfileobj(reader, writer, _READ_BYTES)
        sync(writer)
    beside.replace(target)
    sync_folder(target.parent)
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole small file and bring it to the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        sync(stream)


def remove_others(folder: Path, keep: Iterable[str]) -> list[str]:
    """Delete the files of `folder` that are not in `keep`; names of those deleted."""
    names = set(keep)
    gone = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in names)
    for path in gone:
        path.unlink()
    return [path.name for path in gone]


def sync_folder(folder: Path) -> None:
    """Bring a rename to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writer(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    columns: Sequence[MartColumn],
    extension: Format,
    readme: Readme,
) -> Iterator[_Parts]:
    """The rows of the resource, and how to write one file of them."""
    if extension in _TEXT_FORMATS:
        if extension == "csv":
            form, statement = csv_form(columns), copy_csv(resource, mart, columns)
        elif extension == "geojson":
            form, statement = GEOJSON, copy_geojson(resource, mart, columns)
        else:
            form = JSON_ARRAY if extension == "json" else JSON_LINES
            statement = copy_json(resource, mart, columns)
        yield _Parts(_copied(connection, statement), lambda part, to: write_text(part, form, to))
        return
    query = select_typed(resource, mart, columns)
    with connection.cursor(name="export", row_factory=tuple_row) as cursor:
        cursor.itersize = _BATCH_ROWS
        cursor.execute(query)
        if extension == "parquet":
            yield _Parts(iter(cursor), lambda part, to: write_parquet(part, columns, to))
        else:
            yield _Parts(iter(cursor), lambda part, to: write_workbook(part, columns, readme, to))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Records of a resource, and the function that writes a run of them into one file."""

    records: Iterator[Any]
    write: Callable[[Iterator[Any], Path], int]


def _write_parts(
    parts: _Parts,
    resource: Resource,
    extension: Format,
    folder: Path,
    max_rows: int,
    max_bytes: int,
) -> list[ExportedFile]:
    """All files of a resource in one format: one, or numbered ones above `max_rows`."""
    paths: list[Path] = []
    counts: list[int] = []
    for number, part in enumerate(in_parts(parts.records, max_rows), 1):
        path = folder / f"{resource.nombre}-parte-{number:02}.{extension}"
        counts.append(parts.write(part, path))
        paths.append(path)
    if len(paths) == 1:
        paths = [paths[0].rename(folder / f"{resource.nombre}.{extension}")]
    if extension in _TEXT_FORMATS and any(path.stat().st_size > max_bytes for path in paths):
        paths = [compress(path) for path in paths]
    return [
        describe(
            path,
            rows=rows,
            resource=resource.nombre,
            kind=extension,
            part=(number, len(paths)) if len(paths) > 1 else None,
        )
        for number, (path, rows) in enumerate(zip(paths, counts, strict=True), 1)
    ]


def _readme(definition: DatasetDefinition, resource: Resource, notes: Sequence[str]) -> Readme:
    contact = definition.contacto
    facts = (
        ("Conjunto", definition.titulo),
        ("Descripción", " ".join(definition.descripcion.split())),
        ("Recurso", " ".join((resource.descripcion or resource.titulo).split())),
        ("Responsable", definition.secretaria),
        ("Contacto", f"{contact.nombre} {contact.correo or ''}".strip()),
        ("Fuentes", "; ".join(definition.fuentes)),
        ("Licencia", " ".join(LICENCES[definition.licencia])),
        ("Celdas vacías", "Significan que no hay dato o que no se muestra; no son ceros."),
    )
    warnings = (*notes, *(" ".join(item.split()) for item in definition.advertencias))
    return Readme(f"{definition.titulo}: {resource.titulo}", facts, warnings)


def _check_coordinates(
    connection: Connection, definition: DatasetDefinition, resource: Resource, mart: Mart
) -> None:
    """ExportError when a coordinate is none: a map would show it in the sea, or fail."""
    point = resource.coordenadas
    if point is None:
        return
    query = sql.SQL(
        "select count(*) filter (where ({lat} is null) <> ({lon} is null) "
        "or {lat}::float8 not between -90 and 90 "
        "or {lon}::float8 not between -180 and 180) from {}{}"
    ).format(
        source_table(mart), row_condition(resource), lat=column_of(point.latitud),
        lon=column_of(point.longitud),
    )  # fmt: skip
    with connection.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute(query).fetchone()
    if row[0]:
        raise ExportError(
            f"recurso {resource.nombre}: {row[0]} filas tienen coordenadas incompletas o fuera de "
            "rango.",
            dataset=definition.nombre,
            owner=definition.secretaria,
            next_step="corríjalas en el mart, o deje vacías las dos columnas donde no se conocen.",
        )


def _copied(connection: Connection, statement: sql.Composed) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # One message a record, its line end last: line breaks inside a value stay as they are.
        for record in copy:
            yield bytes(record)[:-1]


def database_problem(
    definition: DatasetDefinition, resource: Resource, error: psycopg.Error
) -> ExportError:
    """The database's refusal as an error of the dataset."""
    detail = error.diag.message_primary or type(error).__name__
    missing = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn)
    step = (
        "ejecute la construcción de los marts: la base no tiene lo que dbt describe."
        if missing
        else "revise el filtro y los tipos de la definición; si persiste, avise al equipo de datos."
    )
    return ExportError(
        f"recurso {resource.nombre}: no se pudo leer {resource.mart}: {detail}.",
        dataset=definition.nombre,
        owner=definition.secretaria,
        next_step=step,
    )

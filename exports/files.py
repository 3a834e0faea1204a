"""Rows of a mart as files: CSV, JSON and Parquet, streamed and byte-identical for equal data.

Belongs here: the query, the text form of every type, and writing and installing files. Does not
belong here: which columns may leave (`manifest.py`, `disclosure.py`) or when (`export.py`).

Choices, all of them visible in `datapackage.json`:

* CSV follows RFC 4180: UTF-8 without a byte-order mark, comma, CRLF at the end of every record,
  quotes only where needed, a header row, empty for null, '.' decimals, `true`/`false`.
* Dates are ISO 8601; instants carry Mendoza's offset (`2026-06-01T03:00:00-03:00`).
* Spreadsheets run a cell that starts with `=`, `+`, `-` or `@` as a formula. In CSV, text that
  starts so (or with a tab or a line break) gets an apostrophe in front; numbers do not. JSON and
  Parquet hold the text untouched.
* JSON is one array with one object a line, so it can be read whole or line by line. NaN is null.
* Rows are ordered by `orden` and then by every other column, text by code point, so that the
  order does not depend on the server's plan or language.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from exports.definition import DatasetDefinition, Disclosure, Filter, Resource
from exports.errors import ExportError
from exports.manifest import Manifest, Mart, MartColumn

if TYPE_CHECKING:
    import pyarrow as pa

Connection = psycopg.Connection[Any]

TIMEZONE = "America/Argentina/Mendoza"
# The national guide asks to split above a million rows and to compress above 50 MB. Splitting by
# row count would move rows between files and break their addresses: the definition splits by a
# filter (a year, a zone) instead, and the error says so.
MAX_ROWS = 1_000_000
_BATCH_ROWS = 10_000
_WRITE_BYTES = 1 << 20
_READ_BYTES = 1 << 20
# Control characters that JSON always escapes, so COPY never finds them in a value and passes the
# JSON text through as it is.
_COPY_JSON = sql.SQL("format csv, delimiter {delimiter}, quote {quote}").format(
    delimiter=sql.Literal("\x02"), quote=sql.Literal("\x01")
)
# The last four are the full-width forms, which spreadsheets read the same way.
_FORMULA = r"^[[:space:]]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]"
_SIGNED_NUMBER = r"^[[:space:]]*[+-][0-9]+([.,][0-9]+)*[[:space:]]*$"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A finished file. `path` is relative to the dataset's folder; `rows` is null for metadata."""

    path: str
    bytes: int
    sha256: str
    rows: int | None
    resource: str | None
    format: str

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
) -> list[ExportedFile]:
    """Write every resource in every format into `folder`; call inside `snapshot`.

    Raises ExportError when the mart is absent or has more than `max_rows` rows.
    """
    written: list[ExportedFile] = []
    for resource in definition.recursos:
        mart, columns = manifest.mart(resource.mart), manifest.columns(resource)
        for extension, name in zip(resource.formatos, resource.file_names, strict=True):
            path = folder / name
            try:
                rows = _WRITERS[extension](connection, resource, mart, columns, path, max_rows)
            except psycopg.errors.Error as error:
                raise _database_problem(definition, resource, error) from error
            except _TooManyRowsError as error:
                raise ExportError(
                    f"recurso {resource.nombre}: tiene más de {max_rows} filas.",
                    dataset=definition.nombre,
                    owner=definition.secretaria,
                    next_step="divídalo en dos o más recursos con `filtros` (por año, por zona).",
                ) from error
            written.append(describe(path, rows=rows, resource=resource.nombre, kind=extension))
    return written


def row_condition(resource: Resource) -> sql.Composable:
    """The `where` of a resource, or nothing; the table's alias is `t`."""
    conditions = [_condition(item) for item in resource.filtros]
    if resource.divulgacion and resource.divulgacion.celdas_inseguras == "omitir":
        conditions.append(sql.SQL("not ({})").format(unsafe_cell(resource.divulgacion)))
    if not conditions:
        return sql.SQL("")
    return sql.SQL(" where {}").format(sql.SQL(" and ").join(conditions))


def unsafe_cell(rule: Disclosure) -> sql.Composable:
    """True for a row with too small a count, or in which one contributor makes up too much."""
    unsafe: sql.Composable = sql.SQL("coalesce({} < {}, false)").format(
        _field(rule.columna_conteo), sql.Literal(rule.umbral_minimo)
    )
    if rule.dominancia:
        unsafe = sql.SQL("({} or coalesce({} > {}, false))").format(
            unsafe, _field(rule.dominancia.columna), sql.Literal(rule.dominancia.maximo_pct)
        )
    return unsafe


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


def source_table(mart: Mart) -> sql.Composable:
    """The mart as it stands in `from`, under the alias `t`."""
    return sql.SQL("{} as t").format(sql.Identifier(mart.schema, mart.table))


def date_range(
    connection: Connection, resource: Resource, mart: Mart
) -> tuple[dt.date, dt.date] | None:
    """First and last day of `columna_fecha`; None without that column or without rows."""
    if resource.columna_fecha is None:
        return None
    query = sql.SQL("select min({0})::date, max({0})::date from {1}{2}").format(
        _field(resource.columna_fecha), source_table(mart), row_condition(resource)
    )
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def describe(
    path: Path, *, rows: int | None, resource: str | None = None, kind: str | None = None
) -> ExportedFile:
    """Size and hash of a finished file, read back from the disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return ExportedFile(
        path.name, size, digest.hexdigest(), rows, resource, kind or path.suffix.lstrip(".")
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


def sync(stream: BinaryIO) -> None:
    """Bring what was written to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a rename to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _TooManyRowsError(Exception):
    """The resource exceeds the limit of rows; turned into an ExportError by the caller."""


def _write_csv(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    columns: Sequence[MartColumn],
    path: Path,
    max_rows: int,
) -> int:
    query = _select(resource, mart, columns, [_csv_value(column) for column in columns])
    statement = sql.SQL("copy ({}) to stdout (format csv, header true)").format(query)
    rows = -1  # the header comes as a record of its own
    with path.open("wb", buffering=_WRITE_BYTES) as stream:
        # The server sends one message a record, so the last byte of each is its line end and
        # line breaks inside a quoted value stay as they are.
        for record in _copied(connection, statement):
            rows = _counted(rows, max_rows)
            stream.write(record[:-1])
            stream.write(b"\r\n")
        sync(stream)
    return rows


def _write_json(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    columns: Sequence[MartColumn],
    path: Path,
    max_rows: int,
) -> int:
    query = _select(resource, mart, columns, [_json_value(column) for column in columns])
    statement = sql.SQL("copy (select row_to_json(r) from ({}) as r) to stdout ({})").format(
        query, _COPY_JSON
    )
    rows = 0
    with path.open("wb", buffering=_WRITE_BYTES) as stream:
        stream.write(b"[")
        for record in _copied(connection, statement):
            stream.write(b",\n" if rows else b"\n")
            rows = _counted(rows, max_rows)
            stream.write(record[:-1])
        stream.write(b"\n]\n" if rows else b"]\n")
        sync(stream)
    return rows


def _write_parquet(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    columns: Sequence[MartColumn],
    path: Path,
    max_rows: int,
) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    query = _select(resource, mart, columns, [_parquet_value(column) for column in columns])
    schema = pa.schema([pa.field(column.name, _arrow_type(column)) for column in columns])
    rows = 0
    with (
        connection.cursor(name="export", row_factory=tuple_row) as cursor,
        path.open("wb") as stream,
    ):
        cursor.execute(query)
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            while batch := cursor.fetchmany(_BATCH_ROWS):
                rows = _counted(rows, max_rows, len(batch))
                arrays = [
                    pa.array([_in_utc(value) for value in values], field.type)
                    for values, field in zip(zip(*batch, strict=True), schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        sync(stream)
    return rows


_WRITERS = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}


def _counted(rows: int, max_rows: int, more: int = 1) -> int:
    if rows + more > max_rows:
        raise _TooManyRowsError
    return rows + more


def _copied(connection: Connection, statement: sql.Composed) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for record in copy:
            yield bytes(record)


def _select(
    resource: Resource, mart: Mart, columns: Sequence[MartColumn], values: Sequence[sql.Composable]
) -> sql.Composed:
    named = [
        sql.SQL("{} as {}").format(value, sql.Identifier(column.name))
        for value, column in zip(values, columns, strict=True)
    ]
    by_name = {column.name: column for column in columns}
    ordered = [by_name[name] for name in dict.fromkeys((*resource.orden, *by_name))]
    return sql.SQL("select {} from {}{} order by {}").format(
        sql.SQL(", ").join(named),
        source_table(mart),
        row_condition(resource),
        sql.SQL(", ").join(_order(column) for column in ordered),
    )


def _field(name: str) -> sql.Identifier:
    return sql.Identifier("t", name)


def _order(column: MartColumn) -> sql.Composable:
    if column.kind in ("string", "object"):
        return sql.SQL('{}::text collate "C"').format(_field(column.name))
    return _field(column.name)


def _csv_value(column: MartColumn) -> sql.Composable:
    field = _field(column.name)
    if column.kind == "string":
        return sql.SQL(
            "case when {0} ~ {1} and {0} !~ {2} then '''' || {0} else {0}::text end"
        ).format(field, sql.Literal(_FORMULA), sql.Literal(_SIGNED_NUMBER))
    if column.kind == "boolean":
        return sql.SQL("{}::text").format(field)
    if column.kind in ("datetime", "timestamp"):
        # The JSON form is ISO 8601 with 'T' and, for an instant, the session's offset.
        return sql.SQL("to_jsonb({}) #>> {}").format(field, sql.Literal("{}"))
    return _json_value(column)


def _json_value(column: MartColumn) -> sql.Composable:
    field = _field(column.name)
    if column.kind == "number":
        return sql.SQL("nullif({}, 'NaN')").format(field)
    if column.kind == "object":
        return sql.SQL("{}::jsonb").format(field)
    return field


def _parquet_value(column: MartColumn) -> sql.Composable:
    if column.kind == "object":
        return sql.SQL("{}::text").format(_field(column.name))
    if column.pg_type == "uuid":
        return sql.SQL("{}::text").format(_field(column.name))
    return _json_value(column)


def _in_utc(value: Any) -> Any:
    """The same instant in UTC: with Pandera's engines imported, Arrow mistakes other zones."""
    aware = isinstance(value, dt.datetime) and value.tzinfo is not None
    return value.astimezone(dt.UTC) if aware else value


def _arrow_type(column: MartColumn) -> pa.DataType:
    import pyarrow as pa

    if match := re.fullmatch(r"(?:numeric|decimal)\((\d+)(?:, ?(\d+))?\)", column.pg_type):
        return pa.decimal128(int(match[1]), int(match[2] or 0))
    by_kind: dict[str, pa.DataType] = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", tz=TIMEZONE),
        "timestamp": pa.timestamp("us"),
        "time": pa.time64("us"),
        "object": pa.string(),
    }
    return by_kind[column.kind]


def _condition(item: Filter) -> sql.Composable:
    field = _field(item.columna)
    if item.operador == "vacio":
        return sql.SQL("{} is null").format(field)
    if item.operador == "no_vacio":
        return sql.SQL("{} is not null").format(field)
    if isinstance(item.valor, list):
        values = sql.SQL(", ").join(_literal(value) for value in item.valor)
        return sql.SQL("{} in ({})").format(field, values)
    return sql.SQL("{} {} {}").format(
        field, sql.SQL(_OPERATORS[item.operador]), _literal(item.valor)
    )


_OPERATORS = {
    "igual": "=",
    "distinto": "is distinct from",
    "mayor": ">",
    "mayor_o_igual": ">=",
    "menor": "<",
    "menor_o_igual": "<=",
}


def _literal(value: Any) -> sql.Literal:
    return sql.Literal(value)


def _database_problem(
    definition: DatasetDefinition, resource: Resource, error: psycopg.Error
) -> ExportError:
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

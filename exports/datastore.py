"""Rows in a portal's DataStore: explicit types, bounded chunks, taken up again after a cut.

Belongs here: the rows file (what is loaded), the loader, and reading a table back. Does not
belong here: which table readers are pointed to (`ckan/`) or the portal's transport.

Rows travel from a file in COPY's CSV form, written from the same view of the warehouse as the
published files. It holds values untouched: no apostrophe in front of what a spreadsheet would run,
and null told apart from the empty text. The DataStore gives a page of rows in the same form, so
that what was loaded is compared byte for byte.

Instants are wall-clock times of the city there (DataStore's tools know no other kind), and the
dictionary says so. A page shows them to the millisecond, or to the second in CKAN before 2.11, so
fractions of a second are left out of the comparison.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from exports.definition import Resource
from exports.differences import Differences, RowSum, differences, records
from exports.files import Connection
from exports.formats import TIMEZONE, sync
from exports.manifest import Kind, Manifest, MartColumn
from exports.queries import column_of, select_rows
from exports.versions import Table, TableColumn
from sources.city import city_time, fixed_offset

# One request holds half a megabyte of rows: thousands of them, done in a second or two, far from
# the 60 s after which portals cut (ckan#2525), and small in the portal's memory and in ours, where
# a row takes tens of times its bytes until it is sent.
CHUNK_BYTES = 1 << 19
# The DataStore gives at most 32,000 rows a page unless its settings say less.
PAGE_ROWS = 32_000
_WRITE_BYTES = 1 << 20
_FRACTION = re.compile(rb"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?")

T = TypeVar("T")

_TYPES: Mapping[Kind, str] = {
    "string": "text",
    "integer": "int8",
    "number": "numeric",
    "boolean": "bool",
    "date": "date",
    "datetime": "timestamp",
    "timestamp": "timestamp",
    "time": "time",
    "object": "json",
}


class TablePort(Protocol):
    """What the loader needs of a portal. All but `insert` repeat themselves when that helps."""

    def create(self, table_id: str, table: Table) -> None:
        """Make the empty table if it is not there, and (re)write its dictionary."""
        ...

    def drop(self, table_id: str) -> None:
        """Remove the table; nothing happens when there is none."""
        ...

    def count(self, table_id: str) -> int | None:
        """Rows in the table; None when there is none."""
        ...

    def insert(self, table_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one transaction of the portal."""
        ...

    def page(
        self, table_id: str, table: Table, after: int, rows: int, *, numbered: bool = False
    ) -> str:
        """Up to `rows` rows as COPY's CSV, in the order loaded, after the first `after`.

        `numbered`: with the portal's own number of the row (`_id`) before its columns.
        """
        ...

    def remove(self, table_id: str, numbers: Sequence[int]) -> None:
        """Remove the rows with these numbers; those that are not there do no harm."""
        ...

    def fields(self, table_id: str) -> list[tuple[str, str]]:
        """Names and types of the columns."""
        ...

    def retried(self, step: Callable[[], T]) -> T:
        """Run a step again while its failure looks temporary."""
        ...


class TableMismatchError(Exception):
    """The table read back is not the one that was sent; `what` says in which way."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did: rows sent by this call, chunks, and rows found from an earlier one."""

    rows: int
    chunks: int
    resumed_at: int


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """A rows file. `sha256` is of its bytes, `shown_sha256` of what a portal shows of them.

    `shown_sum` is the same whatever the order of the rows.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    shown_sha256: str
    shown_sum: str


def write_rows(
    connection: Connection, resource: Resource, manifest: Manifest, path: Path
) -> WrittenRows:
    """Write the resource's rows in loading form. Call inside `snapshot`.

    The order is the published one, so that equal data give equal bytes.
    """
    mart, columns = manifest.mart(resource.mart), manifest.columns(resource)
    query = select_rows(resource, mart, columns, [_value(column) for column in columns])
    statement = sql.SQL("copy ({}) to stdout (format csv)").format(query)
    timed = any(_TYPES[column.kind] == "timestamp" for column in columns)
    digest, shown, total, size, rows = hashlib.sha256(), hashlib.sha256(), RowSum(), 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb", buffering=_WRITE_BYTES) as stream,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for record in copy:
            stream.write(record)
            digest.update(record)
            as_shown = _shown(bytes(record)) if timed else bytes(record)
            if timed:
                shown.update(as_shown)
            total.add(as_shown)
            size += len(record)
            rows += 1
        sync(stream)
    found = digest.hexdigest()
    as_shown_hash = shown.hexdigest() if timed else found
    return WrittenRows(path.name, rows, size, found, as_shown_hash, total.hexdigest())


def describe_table(
    resource: Resource, file: str, manifest: Manifest, written: WrittenRows
) -> Table:
    """The table of one resource, types and dictionary from the manifest."""
    mart = manifest.mart(resource.mart)
    key = tuple(str(name) for name in mart.meta.get("clave") or ())
    return Table(
        resource=resource.nombre,
        file=file,
        rows_file=written.name,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        shown_sha256=written.shown_sha256,
        shown_sum=written.shown_sum,
        # Rows are told apart by the key only where all of it is published.
        key=key if set(key) <= set(resource.columnas) else (),
        columns=tuple(_column(column) for column in manifest.columns(resource)),
    )


def load(port: TablePort, table_id: str, table: Table, path: Path) -> LoadReport:
    """Bring the rows of `path` into the table, going on from the rows it already has.

    Chunks are sent one after another and each is one transaction of the portal, so the number of
    rows in the table says how far an earlier load came, whatever cut it.
    Raises what the port raises, and TableMismatchError when the table has more rows than the file.
    """
    present = port.count(table_id)
    if present is not None and present > table.rows:
        port.drop(table_id)
        present = None
    port.create(table_id, table)
    start = present or 0
    sent = chunks = 0
    with path.open("rb") as stream:
        for chunk in _chunks(islice(records(stream), start, None), table):
            _insert(port, table_id, chunk, expected=start + sent)
            sent += len(chunk)
            chunks += 1
    return LoadReport(sent, chunks, start)


# Above this share of its rows, another table is filled sooner than one is changed into it.
_CHANGED_SHARE = 0.5
_REMOVED_AT_ONCE = 1_000


def turn_into(port: TablePort, table_id: str, table: Table, path: Path) -> LoadReport | None:
    """Make a table that holds other rows hold those of `path`, by sending the difference.

    For a table nobody is pointed to: what is not wanted goes first, then comes what is missing, at
    the end. A changed row goes and comes: CKAN's own upsert leaves what a search finds of a row as
    it was. Begun again after a cut it goes on from wherever that left the table, whatever it holds.
    None, with the table as it was, when its columns are others or too much of it would change.
    Raises what the port raises.
    """
    if port.fields(table_id) != [(column.id, column.type) for column in table.columns]:
        return None
    timed = _is_timed(table)
    present = port.count(table_id) or 0
    with path.open("rb") as stream:
        wanted = (_shown(record) if timed else record for record in records(stream))
        with differences(_present(port, table_id, table, present), wanted, path.parent) as found:
            if found.gone_rows + found.missing_rows > _CHANGED_SHARE * table.rows:
                return None
            return _send_difference(port, table_id, table, path, found, present)


def _send_difference(
    port: TablePort, table_id: str, table: Table, path: Path, found: Differences, present: int
) -> LoadReport:
    gone = found.gone()
    while numbers := list(islice(gone, _REMOVED_AT_ONCE)):
        port.remove(table_id, numbers)
    kept, sent, chunks = present - found.gone_rows, 0, 0
    with path.open("rb") as stream:
        for chunk in _chunks(_only(records(stream), found.missing()), table):
            _insert(port, table_id, chunk, expected=kept + sent)
            sent += len(chunk)
            chunks += 1
    return LoadReport(sent, chunks, kept)


def _present(
    port: TablePort, table_id: str, table: Table, rows: int
) -> Iterator[tuple[int, bytes]]:
    """Rows a table has, each with its number."""
    timed = _is_timed(table)
    for start in range(0, rows, PAGE_ROWS):
        page = port.page(table_id, table, start, PAGE_ROWS, numbered=True)
        for record in records(page.encode().splitlines(keepends=True)):
            number, _, row = record.partition(b",")
            yield int(number), _shown(row) if timed else row


def _only(rows: Iterable[bytes], numbers: Iterator[int]) -> Iterator[bytes]:
    """The rows with these numbers (ascending, from 0)."""
    wanted = next(numbers, None)
    for number, row in enumerate(rows):
        if wanted is None:
            return
        if number == wanted:
            yield row
            wanted = next(numbers, None)


class DirectDataStore:
    """The DataStore's own database, for a city that runs its portal: COPY instead of requests.

    `url` is that of the role CKAN writes with, so that everything made here is CKAN's to change.
    Tables are made through the API, with what CKAN puts on them; here they are only filled and
    named. Raises psycopg.Error.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def copy(self, table_id: str, table: Table, path: Path) -> None:
        """Fill the table in one transaction, whatever it held before."""
        name = sql.Identifier(table_id)
        columns = sql.SQL(", ").join(sql.Identifier(column.id) for column in table.columns)
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(name, columns)
        with psycopg.connect(self._url) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("truncate {} restart identity").format(name))
            with cursor.copy(statement) as copy, path.open("rb") as stream:
                while block := stream.read(_WRITE_BYTES):
                    copy.write(block)

    def name(self, alias: str, target: str | None) -> None:
        """Let the alias name the target's rows, in one transaction: it never names nothing."""
        with psycopg.connect(self._url) as connection:
            connection.execute(sql.SQL("drop view if exists {}").format(sql.Identifier(alias)))
            if target is not None:
                connection.execute(
                    sql.SQL("create view {} as select * from {}").format(
                        sql.Identifier(alias), sql.Identifier(target)
                    )
                )


def check(port: TablePort, table_id: str, table: Table) -> int:
    """Read the table back and compare columns, types, number of rows and every row; its rows.

    Raises TableMismatchError.
    """
    expected = [(column.id, column.type) for column in table.columns]
    found = port.fields(table_id)
    if found != expected:
        raise TableMismatchError(f"tiene las columnas {found} y no {expected}")
    rows = port.count(table_id)
    if rows != table.rows:
        raise TableMismatchError(f"tiene {rows} filas y no {table.rows}")
    timed = _is_timed(table)
    digest, total, read = hashlib.sha256(), RowSum(), 0
    while read < table.rows:
        page = port.page(table_id, table, read, PAGE_ROWS)
        if not page:
            raise TableMismatchError(f"deja de dar filas después de la {read}")
        text = _shown(page.encode()) if timed else page.encode()
        digest.update(text)
        for record in records(text.splitlines(keepends=True)):
            total.add(record)
        read += min(PAGE_ROWS, table.rows - read)
    # A table that was changed into this one has the same rows in another order.
    if digest.hexdigest() != table.shown_sha256 and total.hexdigest() != table.shown_sum:
        raise TableMismatchError("tiene otros valores que los enviados")
    return read


def _insert(
    port: TablePort, table_id: str, records: Sequence[Mapping[str, Any]], expected: int
) -> None:
    """One chunk, exactly once, also when the answer to it was lost or it was delivered twice.

    Before it is sent again, the rows in the table say whether it arrived. A request that the portal
    finishes only after that is found when the table is read back.
    """
    again = False

    def arrived() -> bool:
        present = port.count(table_id)
        if present not in (expected, expected + len(records)):
            raise TableMismatchError(
                f"tiene {present} filas donde se esperaban {expected} o {expected + len(records)}"
            )
        return present != expected

    def step() -> None:
        nonlocal again
        if again and arrived():
            return
        again = True
        port.insert(table_id, records)

    port.retried(step)


def _chunks(rows: Iterable[bytes], table: Table) -> Iterator[list[dict[str, Any]]]:
    """Rows of CSV as records of texts, in chunks of about `CHUNK_BYTES`, however large one is."""
    gathered: list[bytes] = []
    size = 0
    for row in rows:
        gathered.append(row)
        size += len(row)
        if size >= CHUNK_BYTES:
            yield _parsed(b"".join(gathered), table)
            gathered, size = [], 0
    if gathered:
        yield _parsed(b"".join(gathered), table)


def _parsed(rows: bytes, table: Table) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    names = [column.id for column in table.columns]
    read: pa.Table = pa_csv.read_csv(
        io.BytesIO(rows),
        read_options=pa_csv.ReadOptions(
            column_names=names, block_size=len(rows) + 1, use_threads=False
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        # Everything stays text: the portal casts to the declared type, and no digit is lost in
        # between. Unquoted nothing is null, quoted nothing is the empty text.
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return read.to_pylist()


def _is_timed(table: Table) -> bool:
    return any(column.type == "timestamp" for column in table.columns)


def _shown(rows: bytes) -> bytes:
    """Rows with every moment in one form, to the second."""
    return _FRACTION.sub(rb"\1T\2", rows)


def _column(column: MartColumn) -> TableColumn:
    notes = column.description
    if column.unit:
        notes += f" Unidad: {column.unit}."
    if column.kind == "datetime":
        offset = fixed_offset()
        notes += f" Hora de {city_time()}{f' ({offset})' if offset else ''}."
    return TableColumn(
        id=column.name,
        type=_TYPES[column.kind],
        label=column.name.replace("_", " ").capitalize(),
        notes=notes,
    )


def _value(column: MartColumn) -> sql.Composable:
    field = column_of(column.name)
    if column.kind == "datetime":
        return sql.SQL("{} at time zone {}").format(field, sql.Literal(TIMEZONE))
    if column.kind == "number":
        return sql.SQL("{}::numeric").format(field)
    if column.kind in ("string", "object"):
        return sql.SQL("{}::text").format(field)
    return field

"""Sources: the rows of a dataset written to files and put into servers.

Belongs here: CSV, Parquet and xlsx files, and filled source tables. Does not belong here: making
the rows (`datasets.py`), or loading them into a target (`contenders/`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from psycopg import sql

from benchmarks.loading import fingerprint
from benchmarks.loading.mariadb import MariaDb
from benchmarks.loading.model import BenchmarkError, Dataset, Fingerprint

_COPY_BYTES = 1 << 20
# What most writers choose; a source's row groups are not ours to choose.
_ROW_GROUP = 1 << 20


class DataFolder:
    """Generated files by dataset and size; made once, found again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def csv(self, dataset: Dataset, rows: int) -> Path:
        return self._file(dataset, rows, "csv", _write_csv)

    def parquet(self, dataset: Dataset, rows: int) -> Path:
        return self._file(dataset, rows, "parquet", _write_parquet)

    def xlsx(self, dataset: Dataset, rows: int) -> Path:
        return self._file(dataset, rows, "xlsx", _write_xlsx)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(
        self,
        dataset: Dataset,
        rows: int,
        kind: str,
        write: Callable[[Iterator[pa.RecordBatch], Path], None],
    ) -> Path:
        # A folder per file: a feed is a folder, and must hold nothing else.
        file = self._folder / f"{dataset.name}-{rows}-{kind}" / f"{dataset.name}.{kind}"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / f".{dataset.name}-{rows}.{kind}"
            write(dataset.make(rows), unfinished)
            unfinished.rename(file)
        return file


def fill_postgres(url: str, dataset: Dataset, csv: Path, table: str, expected: Fingerprint) -> None:
    """A table with primary key, and an index on the cursor, as a source would have.

    Raises BenchmarkError when it does not hold what was made.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        make_table(connection, dataset, sql.Identifier(table), key=False)
        with (
            connection.cursor() as cursor,
            cursor.copy(
                sql.SQL("copy {} from stdin (format csv, header)").format(sql.Identifier(table))
            ) as copy,
            csv.open("rb") as file,
        ):
            while data := file.read(_COPY_BYTES):
                copy.write(data)
        connection.execute(
            sql.SQL("alter table {} add primary key ({})").format(
                sql.Identifier(table), sql.Identifier(dataset.key)
            )
        )
        if dataset.cursor:
            connection.execute(
                sql.SQL("create index on {} ({})").format(
                    sql.Identifier(table), sql.Identifier(dataset.cursor)
                )
            )
        connection.execute(sql.SQL("vacuum (freeze, analyze) {}").format(sql.Identifier(table)))
    _same(expected, fingerprint.of_postgres(url, [("public", table)], dataset), table)


def make_table(
    connection: psycopg.Connection[tuple[object, ...]],
    dataset: Dataset,
    name: sql.Identifier,
    *,
    key: bool,
) -> None:
    """An empty table with the dataset's columns in PostgreSQL's types."""
    parts: list[sql.Composable] = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.pg_type))
        for column in dataset.columns
    ]
    if key:
        parts.append(sql.SQL("primary key ({})").format(sql.Identifier(dataset.key)))
    connection.execute(sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join(parts)))


def fill_mariadb(server: MariaDb, dataset: Dataset, csv: Path, expected: Fingerprint) -> None:
    """The table of the dataset's name, with primary key.

    Raises BenchmarkError when it does not hold what was made.
    """
    columns = ", ".join(f"{column.name} {column.mysql_type}" for column in dataset.columns)
    names = ", ".join(f"@{name}" for name in dataset.names)
    values = ", ".join(
        f"{column.name} = {_from_csv(column.name, column.pg_type)}" for column in dataset.columns
    )
    with server.connect(local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"create table {dataset.name} ({columns}, primary key ({dataset.key}))")
        cursor.execute("set unique_checks = 0, foreign_key_checks = 0, autocommit = 0")
        cursor.execute(
            f"load data local infile %s into table {dataset.name} character set utf8mb4 "
            f"fields terminated by ',' optionally enclosed by '\"' ignore 1 lines ({names}) "
            f"set {values}",
            [str(csv)],
        )
        connection.commit()
        cursor.execute(f"analyze table {dataset.name}")
    _same(expected, fingerprint.of_mariadb(server, dataset.name, dataset), dataset.name)


def _from_csv(name: str, pg_type: str) -> str:
    """A field of the CSV as MariaDB must be told to read it."""
    match pg_type:
        case "timestamptz":
            return f"left(@{name}, 19)"
        case "boolean":
            return f"@{name} = 'true'"
        case _:
            return f"nullif(@{name}, '')"


def _same(expected: Fingerprint, found: Fingerprint, table: str) -> None:
    if difference := expected.difference(found):
        raise BenchmarkError(f"la tabla de origen {table} no tiene lo generado: {difference}")


def _write_csv(batches: Iterator[pa.RecordBatch], path: Path) -> None:
    """Times to the second in UTC, as meter providers write them."""
    first = next(batches)
    kinds = pa.schema(
        [
            pa.field(
                f.name, pa.timestamp("s", tz="UTC") if pa.types.is_timestamp(f.type) else f.type
            )
            for f in first.schema
        ]
    )
    with pa.csv.CSVWriter(
        path, kinds, write_options=pa.csv.WriteOptions(quoting_style="needed")
    ) as writer:
        writer.write_batch(first.cast(kinds))
        for batch in batches:
            writer.write_batch(batch.cast(kinds))


def _write_parquet(batches: Iterator[pa.RecordBatch], path: Path) -> None:
    first = next(batches)
    with pa.parquet.ParquetWriter(path, first.schema) as writer:
        waiting, count = [first], first.num_rows
        for batch in batches:
            waiting.append(batch)
            count += batch.num_rows
            if count >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=_ROW_GROUP)
                waiting, count = [], 0
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting), row_group_size=_ROW_GROUP)


def _write_xlsx(batches: Iterator[pa.RecordBatch], path: Path) -> None:
    """One sheet, header in the first row, dates and times as a spreadsheet holds them."""
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"constant_memory": True, "remove_timezone": True}) as book:
        sheet = book.add_worksheet("Datos")
        styles = {
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "datetime": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        line = 0
        for batch in batches:
            if line == 0:
                sheet.write_row(0, 0, batch.schema.names)
                line = 1
            for row in batch.to_pylist():
                for place, value in enumerate(row.values()):
                    if value is not None:
                        sheet.write(line, place, value, styles.get(type(value).__name__))
                line += 1

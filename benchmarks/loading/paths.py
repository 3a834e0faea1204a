"""Paths: what is loaded on each, from where, and the state it starts from.

Belongs here: sources filled for a path, as scenarios. Does not belong here: who loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import psycopg
from psycopg import sql

from benchmarks.loading import fingerprint
from benchmarks.loading.datasets import CHANGING_READINGS, PROJECTS, READINGS
from benchmarks.loading.mariadb import MariaDb
from benchmarks.loading.model import Dataset, Fingerprint, Scenario
from benchmarks.loading.servers import Postgres
from benchmarks.loading.sources import DataFolder, fill_mariadb, fill_postgres

PATHS = ("mariadb", "postgresql", "csv", "parquet", "xlsx", "merge", "no_change")
DEFAULT_ROWS = (1_000_000, 5_000_000)
_PROJECTS = 200_000
_SHEET = 20_000
_MERGED_SHARE = 100  # a hundredth of the table is merged: 50,000 rows into 5 M
_UPDATED_SHARE = 10  # a tenth of those are rows already known
_TABLES = 50
_TABLE_ROWS = 1_000


class Sources:
    """Everything that scenarios are made of; servers and files are filled when first asked for."""

    def __init__(
        self, data: DataFolder, postgres: Postgres, mariadb: Callable[[], MariaDb]
    ) -> None:
        self._data = data
        self._postgres = postgres
        self._mariadb = mariadb
        self._expected: dict[tuple[str, int], Fingerprint] = {}
        self._databases: set[str] = set()

    def scenarios(self, path: str, sizes: tuple[int, ...]) -> Iterator[Scenario]:
        """The scenarios of a path, small ones first; each is prepared when it is asked for."""
        match path:
            case "xlsx":
                yield self._sheet(min(_SHEET, max(sizes)))
            case "merge":
                yield self._merge(max(sizes))
            case "no_change":
                yield self._no_change()
            case "mariadb" | "postgresql":
                for dataset, rows in _table_sizes(sizes):
                    yield self._table(path, dataset, rows)
            case _:
                for rows in sizes:
                    yield self._file(path, READINGS, rows)

    def _table(self, path: str, dataset: Dataset, rows: int) -> Scenario:
        expected = self._expect(dataset, rows)
        csv = self._data.csv(dataset, rows)
        if path == "mariadb":
            server = self._mariadb()
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute(f"drop table if exists {dataset.name}")
            fill_mariadb(server, dataset, csv, expected)
            url = server.url
        else:
            url = self._filled(dataset, rows)
        return Scenario(path, dataset, rows, expected, source_url=url, tables=(dataset.name,))

    def _file(self, path: str, dataset: Dataset, rows: int) -> Scenario:
        expected = self._expect(dataset, rows)
        if path == "csv":
            return Scenario(
                path, dataset, rows, expected,
                file=self._data.csv(dataset, rows), tables=(dataset.name,),
            )  # fmt: skip
        url = self._filled(dataset, rows)
        binary = self._postgres.writable(f"{dataset.name}-{rows}.bin")
        with psycopg.connect(url) as connection:
            connection.execute(
                sql.SQL("copy {} to {} (format binary)").format(
                    sql.Identifier(dataset.name), sql.Literal(str(binary))
                )
            )
        return Scenario(
            path, dataset, rows, expected, file=self._data.parquet(dataset, rows),
            binary_file=binary, tables=(dataset.name,),
        )  # fmt: skip

    def _sheet(self, rows: int) -> Scenario:
        return Scenario(
            "xlsx", PROJECTS, rows, self._expect(PROJECTS, rows),
            file=self._data.xlsx(PROJECTS, rows), tables=(PROJECTS.name,),
        )  # fmt: skip

    def _merge(self, rows: int) -> Scenario:
        """The table as it was, and a copy of its database in which a hundredth has changed."""
        dataset, merged = CHANGING_READINGS, max(rows // _MERGED_SHARE, _UPDATED_SHARE)
        before_url = self._filled(dataset, rows)
        before = Scenario(
            "merge", dataset, rows, self._expect(dataset, rows),
            source_url=before_url, tables=(dataset.name,),
        )  # fmt: skip
        changed = f"{_database(dataset, rows)}_cambiada"
        url = self._postgres.create(changed, template=_database(dataset, rows))
        updated = merged // _UPDATED_SHARE
        with self._postgres.connect(changed) as connection:
            # Spread over the table: updates of neighbouring rows would flatter every contender.
            connection.execute(
                sql.SQL(
                    "update {t} set consumo = consumo + 1, actualizado_en = "
                    "to_timestamp(%(last)s) + lectura_id / %(step)s * interval '1 second' "
                    "where lectura_id %% %(step)s = 0"
                ).format(t=sql.Identifier(dataset.name)),
                {"last": before.expected.last, "step": rows // updated},
            )
            connection.execute(
                sql.SQL(
                    "insert into {t} select lectura_id + %(rows)s, medidor_id, "
                    "momento + interval '10 years', lectura_l, consumo, to_timestamp(%(last)s) + "
                    "lectura_id * interval '1 second' from {t} where lectura_id <= %(new)s"
                ).format(t=sql.Identifier(dataset.name)),
                {"last": before.expected.last + 1, "rows": rows, "new": merged - updated},
            )
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(dataset.name)))
        expected = fingerprint.of_postgres(url, [("public", dataset.name)], dataset)
        return Scenario(
            "merge", dataset, merged, expected,
            source_url=url, tables=(dataset.name,), before=before,
        )  # fmt: skip

    def _no_change(self) -> Scenario:
        """Fifty tables; what is measured is a second load of them, with nothing to bring."""
        dataset = CHANGING_READINGS
        tables = tuple(f"tabla_{number:02d}" for number in range(1, _TABLES + 1))
        one = self._expect(dataset, _TABLE_ROWS)
        expected = Fingerprint(
            one.rows * _TABLES,
            Decimal(one.total * _TABLES).normalize(),
            one.first,
            one.last,
            one.texts * _TABLES,
        )
        url = self._postgres.create("fuente_tablas")
        csv = self._data.csv(dataset, _TABLE_ROWS)
        for table in tables:
            fill_postgres(url, dataset, csv, table, one)
        before = Scenario(
            "no_change", dataset, expected.rows, expected, source_url=url, tables=tables
        )
        return Scenario(
            "no_change", dataset, expected.rows, expected,
            source_url=url, tables=tables, before=before,
        )  # fmt: skip

    def _filled(self, dataset: Dataset, rows: int) -> str:
        """URL of a source database that holds the dataset in a table of its name."""
        name = _database(dataset, rows)
        if name not in self._databases:
            url = self._postgres.create(name)
            csv = self._data.csv(dataset, rows)
            fill_postgres(url, dataset, csv, dataset.name, self._expect(dataset, rows))
            self._databases.add(name)
        return self._postgres.url(name)

    def _expect(self, dataset: Dataset, rows: int) -> Fingerprint:
        wanted = (dataset.name, rows)
        if wanted not in self._expected:
            self._expected[wanted] = fingerprint.of_batches(dataset.make(rows), dataset)
        return self._expected[wanted]


def _table_sizes(sizes: tuple[int, ...]) -> Iterator[tuple[Dataset, int]]:
    yield PROJECTS, min(_PROJECTS, max(sizes))
    for rows in sizes:
        yield READINGS, rows


def _database(dataset: Dataset, rows: int) -> str:
    return f"fuente_{dataset.name}_{rows}"

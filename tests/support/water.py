"""A small water company in raw, written as loads would write it, and the models built on it."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_catalogue
from sources.raw_table import ensure_month_partitions, ensure_raw_table
from tests.support.dbt import Answer, DbtCommands

COMMANDS = DbtCommands()
FEED = "telemetria.lecturas_csv"
_SAID = "said.log"
Reading = tuple[str, dt.datetime, int, bool]  # meter, moment, litres of the register, estimated


class City:
    """Raw tables written as loads would write them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.contracts = load_catalogue().contracts

    def register(self) -> None:
        for contract in self.contracts.values():
            ensure_raw_table(self.connection, contract)
        months = [dt.date(2026, month, 1) for month in range(4, 8)] + [dt.date(2028, 3, 1)]
        ensure_month_partitions(self.connection, self.contracts[FEED], months)
        self.connection.execute(
            "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
            "contrato_sha256, modo_carga) values (%s, 'telemetria', 'x', "
            "'raw.telemetria__lecturas', '1', 'x', 'files')",
            [FEED],
        )
        self.connection.execute(
            "insert into raw.aguas__medidores (medidor_id, digitos, multiplicador, unidad, "
            "tipo_telemetria, estado, _load_id) select format('M-%s', lpad(i::text, 2, '0')), 4, "
            "1, 'm3', 'csv', 'activo', 1 from generate_series(0, 35) as i"
        )

    def load(self, readings: list[Reading]) -> int:
        number = self.new_load()
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into raw.telemetria__lecturas (medidor_id, fecha_hora, lectura, unidad, "
                "estimada, _load_id) values (%s, %s, %s, 'L', %s, %s)",
                [(*reading, number) for reading in readings],
            )
        return number

    def take_away(self, dice: random.Random, count: int) -> None:
        """What a revised file lacks: gone from raw, kept in the history of changes."""
        number = self.new_load()
        found = self.connection.execute(
            "select ctid::text, tableoid from raw.telemetria__lecturas order by fecha_hora, "
            "medidor_id, lectura, _load_id"
        ).fetchall()
        for place, table in dice.sample(found, count):
            self.connection.execute(
                "with gone as (delete from raw.telemetria__lecturas t "
                "where ctid = %s::tid and tableoid = %s returning to_jsonb(t) as fila) "
                "insert into raw._historial (dataset, operacion, fila, carga_id) "
                "select %s, 'baja', fila, %s from gone",
                [place, table, FEED, number],
            )

    def add(self, dataset: str, day: str = "2026-05-01", **values: object) -> None:
        """A row of the register, brought by a load of that day."""
        columns = {**values, "_load_id": self.new_load(dataset, day)}
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                _raw(dataset),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            list(columns.values()),
        )

    def change(self, dataset: str, day: str, key: dict[str, object], **values: object) -> None:
        """A load of that day brings the row with other values; without any, it lacks the row."""
        number = self.new_load(dataset, day)
        ((name, value),) = key.items()
        parts = {"raw": _raw(dataset), "key": sql.Identifier(name)}
        self.connection.execute(
            sql.SQL(
                "insert into raw._historial (dataset, operacion, fila, carga_id) "
                "select %s, %s, to_jsonb(t), %s from {raw} t where {key} = %s"
            ).format(**parts),
            [dataset, "modificacion" if values else "baja", number, value],
        )
        if not values:
            self.connection.execute(
                sql.SQL("delete from {raw} where {key} = %s").format(**parts), [value]
            )
            return
        columns = {**values, "_load_id": number}
        self.connection.execute(
            sql.SQL("update {raw} set {set} where {key} = %s").format(
                **parts,
                set=sql.SQL(", ").join(
                    sql.SQL("{} = %s").format(sql.Identifier(column)) for column in columns
                ),
            ),
            [*columns.values(), value],
        )

    def new_load(self, dataset: str = FEED, day: str = "2026-07-01") -> int:
        row = self.connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin) values ('t', %s, 'cargada', 'files', '1', 'x', "
            "%s, %s) returning carga_id",
            [dataset, f"{day} 12:00-03", f"{day} 12:00-03"],
        ).fetchone()
        assert row is not None
        return int(row[0])


def _raw(dataset: str) -> sql.Identifier:
    return sql.Identifier("raw", dataset.replace(".", "__"))


def build_models(
    warehouse: Warehouse,
    folder: Path,
    tables: Iterable[str],
    *options: str,
    project: Path = DBT_PROJECT_DIR,
) -> None:
    """Build the tables under test and what they are made from; the data tests are not run.

    From the second time on, without the lists and the views on raw: neither depends on what a load
    brings.
    """
    wanted = " ".join(f"+{name.split('.')[1]}" for name in tables)
    left_out = ["resource_type:unit_test", "resource_type:test"]
    if (folder / _SAID).exists():
        left_out += ["resource_type:seed", "path:models/staging"]
    done = dbt(
        warehouse, folder,
        ["build", *options, "--select", wanted, "--exclude", " ".join(left_out)], project,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(done.stdout[-4000:])


def data_test_passes(
    warehouse: Warehouse,
    folder: Path,
    table: str | None,
    name: str,
    project: Path = DBT_PROJECT_DIR,
) -> bool:
    """Run one kind of data test of a table that was built, or a test of several by its name."""
    selected = f"{table.split('.')[1]},test_name:{name}" if table else name
    done = dbt(warehouse, folder, ["test", "--select", selected], project)
    if "PASS=1" not in done.stdout and "ERROR=1" not in done.stdout:
        pytest.fail(done.stdout[-4000:])
    return done.returncode == 0


def dbt(
    warehouse: Warehouse, folder: Path, arguments: list[str], project: Path = DBT_PROJECT_DIR
) -> Answer:
    """One dbt command, as a run gives it."""
    target = folder / "target"
    target.mkdir(exist_ok=True)
    return COMMANDS.run(
        arguments,
        os.environ | warehouse.environment() | {
            "DBT_FECHA_REFERENCIA": "2026-07-01", "DBT_USE_COLORS": "false",
            "DBT_WRITE_JSON": "false",  # nobody reads it here, and it takes as long as a model
            "DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(folder),
        },
        folder / _SAID,
    )  # fmt: skip

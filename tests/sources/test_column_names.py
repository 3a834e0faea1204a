"""Columns may have any name a contract can give: also those our own statements might use."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.landing import LoadContext, LoadReport, load
from sources.landing.replay import replay
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract


def run(warehouse: Warehouse, contract: Contract, address: str) -> LoadReport:
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    report = load(contract, SourceUrl.parse(address), context, [])
    assert not report.errors
    return report


def query(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("name", ["t", "registro", "turno", "candidata"])
def test_the_history_of_a_replaced_file_has_whole_rows(
    warehouse: Warehouse, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "archivos"
    folder.mkdir()
    contract = make_contract(tmp_path, "csv", [column("id", "integer"), column(name)])
    for rows in ("1,x\n2,y\n", "1,x\n"):
        (folder / "a.csv").write_text(f"id,{name}\n{rows}")
        run(warehouse, contract, str(folder))

    [(row,)] = query(warehouse, "select fila from raw._historial")
    assert (row["id"], row[name]) == (2, "y")


@pytest.mark.parametrize("name", ["t", "e", "gone", "c"])
@pytest.mark.parametrize("key", [True, False])
def test_the_history_of_a_changed_table_has_whole_rows(
    warehouse: Warehouse, tmp_path: Path, name: str, key: bool
) -> None:
    path = tmp_path / "origen.db"
    columns = [column("id", "integer", key=key), column(name)]
    contract = make_contract(tmp_path, "postgresql", columns, table="datos", maxDeletionShare=1)
    for rows in ([(1, "x"), (2, "y"), (3, "z")], [(1, "x"), (2, "cambiada")]):
        with sqlite3.connect(path) as source:
            source.execute("drop table if exists datos")
            source.execute(f'create table datos (id, "{name}")')
            source.executemany("insert into datos values (?, ?)", rows)
        run(warehouse, contract, f"sqlite:///{path}")

    history = query(warehouse, "select fila from raw._historial order by fila ->> 'id'")
    assert [(row["id"], row[name]) for (row,) in history] == [(2, "y"), (3, "z")]


@pytest.mark.parametrize("name", ["place", "ordinal", "turn", "ranked"])
def test_a_key_that_came_twice_is_found_whatever_its_name(
    warehouse: Warehouse, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "origen.db"
    with sqlite3.connect(path) as source:
        source.execute(f'create table datos ("{name}", valor)')
        source.executemany("insert into datos values (?, ?)", [("a", 1), ("a", 2), ("b", 3)])
    columns = [column(name, key=True), column("valor", "integer")]
    contract = make_contract(tmp_path, "postgresql", columns, table="datos", loadMode="full")

    report = run(warehouse, contract, f"sqlite:///{path}")

    assert (report.loaded, dict(report.reasons)) == (2, {"clave_repetida": 1})


def test_a_replayed_row_leaves_its_earlier_version_in_history(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "origen.db"
    with sqlite3.connect(path) as source:
        source.execute("create table datos (id, t, valor, desde)")
        source.executemany(
            "insert into datos values (?, ?, ?, ?)",
            [(1, "x", "5", "2026-01-01"), (1, "x", "5000", "2026-01-02")],
        )

    def contract(limit: str) -> Contract:
        columns = [
            column("id", "integer", key=True), column("t"), column("valor", limit),
            column("desde", "date"),
        ]  # fmt: skip
        return make_contract(
            tmp_path, "postgresql", columns, table="datos", loadMode="incremental", cursor="desde"
        )

    narrow = contract("numeric(3,0)")
    run(warehouse, narrow, f"sqlite:///{path}")
    with warehouse.connect() as connection:
        connection.execute("alter table raw.prueba__tabla alter column valor type numeric(9,0)")
    context = LoadContext(connect=warehouse.connect, run_id="prueba")

    assert replay(contract("numeric(9,0)"), context, []).loaded == 1

    [(row,)] = query(warehouse, "select fila from raw._historial")
    assert (row["id"], row["t"], row["valor"]) == (1, "x", 5)

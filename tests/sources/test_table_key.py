"""A contract that comes to name a key, or another: raw follows, no row is lost or doubled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.checkers import checkers_for
from orchestration.warehouse.connection import Warehouse
from sources.landing import LoadContext, LoadReport, load
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

ROWS = [(1, "a", "2026-01-01"), (2, "b", "2026-01-02"), (2, "c", "2026-01-03"), (None, "d", None)]


@pytest.fixture
def run(warehouse: Warehouse, tmp_path: Path) -> Callable[..., LoadReport]:
    """Loads the table `datos` by a contract with these columns as its key."""
    path = tmp_path / "origen.db"
    with sqlite3.connect(path) as source:
        source.execute("create table datos (id, v, desde)")
        source.executemany("insert into datos values (?, ?, ?)", ROWS)

    def loaded(*key: str, **options: Any) -> LoadReport:
        columns = [
            column(name, kind, key=name in key)
            for name, kind in (("id", "integer"), ("v", "text"), ("desde", "date"))
        ]
        contract = make_contract(tmp_path, "postgresql", columns, table="datos", **options)
        context = LoadContext(connect=warehouse.connect, run_id="prueba")
        report = load(
            contract, SourceUrl.parse(f"sqlite:///{path}"), context, checkers_for(contract)
        )
        assert not report.errors
        return report

    return loaded


def query(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def raw(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return query(warehouse, "select id, v from raw.prueba__tabla order by id, v")


def key(warehouse: Warehouse) -> list[str]:
    found = query(
        warehouse,
        "select a.attname from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid "
        "and a.attnum = any(c.conkey) where c.conrelid = 'raw.prueba__tabla'::regclass "
        "and c.contype = 'p' order by 1",
    )
    return [name for (name,) in found]


MODES = [{"loadMode": "full"}, {"loadMode": "incremental", "cursor": "desde"},
         {"loadMode": "append", "cursor": "desde"}]  # fmt: skip


@pytest.mark.parametrize("options", MODES)
def test_a_key_that_is_named_later_is_that_of_the_table(
    warehouse: Warehouse, run: Callable[..., LoadReport], options: dict[str, str]
) -> None:
    run(loadMode="full")
    assert len(raw(warehouse)) == 4

    report = run("id", **options)

    # As a first load by that key: one of each, the repeated and the nameless set aside.
    assert raw(warehouse) == [(1, "a"), (2, "b")] and key(warehouse) == ["id"]
    assert (report.read, report.known, report.quarantined) == (4, 2, 2)
    assert "la clave de raw.prueba__tabla es ahora id: 2 filas" in report.notes[0]
    gone = query(warehouse, "select fila ->> 'v' from raw._historial order by 1")
    assert gone == [("c",), ("d",)]

    again = run("id", loadMode="full")
    assert (again.state, again.loaded, raw(warehouse)) == ("sin_cambios", 0, [(1, "a"), (2, "b")])


def test_another_key_and_none(warehouse: Warehouse, run: Callable[..., LoadReport]) -> None:
    run("id", loadMode="full")

    run("v", loadMode="full")
    assert raw(warehouse) == [(1, "a"), (2, "b"), (2, "c"), (None, "d")]
    assert key(warehouse) == ["v"]

    run(loadMode="full")
    assert len(raw(warehouse)) == 4 and key(warehouse) == []


def test_rows_of_files_stand_side_by_side_in_a_table_that_had_a_key(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = tmp_path / "archivos"
    folder.mkdir()
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    for name, mode in (("a.csv", "full"), ("b.csv", "files")):
        (folder / name).write_text(f"id,v\n1,{name}\n")
        columns = [column("id", "integer", key=True), column("v")]
        contract = make_contract(tmp_path, "csv", columns, pattern=name, loadMode=mode)
        assert not load(contract, SourceUrl.parse(str(folder)), context, []).errors

    assert raw(warehouse) == [(1, "a.csv"), (1, "b.csv")]

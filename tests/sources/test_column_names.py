"""Columns may have any name a contract can give: also those our own statements might use."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import ContractError
from sources.landing import LoadContext, LoadReport, load
from sources.landing.replay import replay
from sources.readers.base import in_its_words
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


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_people_call_a_column_from_month_to_month(
    warehouse: Warehouse, tmp_path: Path, kind: str
) -> None:
    """Accents make no other name, `otherNames` are the column's; the rest is a new column."""
    folder = tmp_path / "archivos"
    folder.mkdir()
    columns = [
        column("expediente", "integer", source="Nº", custom={"otherNames": ["Expte."]}),
        column("razon_social", source="Razón social"),
    ]
    contract = make_contract(tmp_path, kind, columns, loadMode="files", headerRow=1)
    headers = {
        "a": ["Nº", "Razón social"],
        "b": ["RAZON  SOCIAL", "N°"],
        "c": ["Expte.", "Razón social", "Razon social"],
    }
    for number, (name, header) in enumerate(headers.items(), start=1):
        cells = [str(number) if "ocial" not in text.lower() else text for text in header]
        _write(folder / f"{name}.{kind}", [header, cells])
    report = run(warehouse, contract, str(folder))

    assert (report.files, report.loaded) == (3, 3)
    found = query(
        warehouse,
        "select expediente, razon_social, _nueva_razon_social from raw.prueba__tabla order by 1",
    )
    assert found == [
        (1, "Razón social", None), (2, "RAZON  SOCIAL", None), (3, "Razón social", "Razon social")
    ]  # fmt: skip


def test_two_names_that_may_be_meant_are_not_chosen_from(tmp_path: Path) -> None:
    columns = [column("fecha", source="Fecha", custom={"otherNames": ["Alta", "Día"]})]
    contract = make_contract(tmp_path, "csv", columns)

    assert in_its_words(contract, ["Alta"]) == ["Fecha"]
    assert in_its_words(contract, ["dia", "Otra"]) == ["Fecha", "Otra"]
    assert in_its_words(contract, ["Alta", "Dia"]) == ["Alta", "Dia"]
    assert in_its_words(contract, ["FECHA", "Alta"]) == ["FECHA", "Alta"]
    ignoring = make_contract(tmp_path, "csv", columns, ignoredColumns=["Alta"])
    assert in_its_words(ignoring, ["Alta"]) == ["Alta"]
    with pytest.raises(ContractError, match="otherNames"):
        make_contract(tmp_path, "csv", [column("a", custom={"otherNames": "b"})])


def _write(path: Path, rows: list[list[str]]) -> None:
    if path.suffix == ".csv":
        path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
        return
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)

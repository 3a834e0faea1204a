"""`lujan load` as a person or a program at the terminal meets it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestration import settings as settings_module
from orchestration.cli import main
from orchestration.warehouse.connection import Warehouse
from sources.errors import PipelineError
from tests.sources.reader_support import column, make_contract


@pytest.fixture
def place(tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a base of two tables and a contract for each, beside the city's."""
    with closing(sqlite3.connect(tmp_path / "base.sqlite")) as base, base:
        for table in ("cuentas", "pagos"):
            base.execute(f"create table {table} (n integer primary key, monto integer, dia text)")
            base.executemany(
                f"insert into {table} values (?, ?, ?)",
                [(n, 10 * n, f"2026-01-0{n}") for n in (1, 2, 3)],
            )
    folder = tmp_path / "contratos"
    for table in ("cuentas", "pagos"):
        (folder / table).mkdir(parents=True)
        contract = make_contract(
            folder / table, "sqlserver",
            [column("n", "bigint", key=True, required=True), column("monto", "integer"),
             column("dia", "date")],
            table=table, loadMode="incremental", cursor="dia",
        )  # fmt: skip
        text = contract.path.read_text(encoding="utf-8")
        contract.path.write_text(
            text.replace("prueba.tabla", f"prueba.{table}").replace("name: tabla", f"name: {table}")
        )
    monkeypatch.setattr(main, "console", Console())
    for name, value in (
        ("WAREHOUSE_URL", warehouse.url),
        ("LUJAN_CONTRACTS", str(folder)),
        ("LUJAN_DATA_DIR", str(tmp_path / "data")),
        ("SOURCE_PRUEBA_URL", f"sqlite:///{tmp_path / 'base.sqlite'}"),
        ("COLUMNS", "300"),
    ):
        monkeypatch.setenv(name, value)
    settings_module.settings.cache_clear()
    yield tmp_path
    settings_module.settings.cache_clear()


def lujan(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, ["load", *arguments])
    if isinstance(result.exception, PipelineError):
        raise result.exception
    return result.exit_code, result.output


def figures(*arguments: str) -> dict[str, dict[str, Any]]:
    _, output = lujan("--json", *arguments)
    return {one["conjunto"]: one for one in json.loads(output[output.index("[") :])}


def rows(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(f"select n, monto from raw.prueba__{table} order by n").fetchall()


def test_only_what_was_named_is_loaded(place: Path, warehouse: Warehouse) -> None:
    code, output = lujan("prueba.pagos")

    assert code == 0
    assert "prueba.pagos" in output and "prueba.cuentas" not in output
    assert "próxima corrida" in output
    assert rows(warehouse, "pagos") == [(1, 10), (2, 20), (3, 30)]
    assert rows(warehouse, "cuentas") == []


def test_without_names_all_of_the_connected_systems(place: Path, warehouse: Warehouse) -> None:
    found = figures()

    assert {name: one["cargadas"] for name, one in found.items()} == {
        "prueba.cuentas": 3,
        "prueba.pagos": 3,
    }
    assert {one["estado"] for one in figures("--system", "prueba").values()} == {"sin_cambios"}
    with warehouse.connect() as connection:
        runs = connection.execute("select count(distinct corrida_id) from meta.carga").fetchone()
        judged = connection.execute(
            "select count(*) from meta.resultado_control where control like 'conciliacion:prueba%'"
        ).fetchone()
    assert runs == (2,)
    assert judged is not None and judged[0] > 0


def test_a_change_without_a_mark_comes_with_the_whole(place: Path, warehouse: Warehouse) -> None:
    lujan("prueba.pagos")
    with closing(sqlite3.connect(place / "base.sqlite")) as base, base:
        base.execute("update pagos set monto = 11 where n = 1")

    lujan("prueba.pagos")
    assert rows(warehouse, "pagos")[0] == (1, 10)
    found = figures("prueba.pagos", "--whole")

    assert (found["prueba.pagos"]["cargadas"], found["prueba.pagos"]["conocidas"]) == (1, 2)
    assert rows(warehouse, "pagos")[0] == (1, 11)


def test_a_source_that_fails_ends_it_with_2_and_the_others_load(
    place: Path, warehouse: Warehouse
) -> None:
    lujan("prueba.pagos")
    with closing(sqlite3.connect(place / "base.sqlite")) as base, base:
        base.execute("drop table pagos")

    code, output = lujan()

    assert code == 2
    assert "Falló prueba.pagos" in output and "Qué hacer" in output
    assert len(rows(warehouse, "pagos")) == len(rows(warehouse, "cuentas")) == 3


def test_what_is_not_there_is_said_before_anything_is_read(
    place: Path, warehouse: Warehouse
) -> None:
    for arguments, words in (
        (["prueba.pago"], "¿quiso decir prueba.pagos"),
        (["mlc.proyectos"], "SOURCE_MLC_URL"),
        (["--system", "otro"], "no hay ningún contrato del sistema 'otro'"),
    ):
        with pytest.raises(PipelineError, match=words.replace("?", r"\?")):
            lujan("prueba.cuentas", *arguments)
    with warehouse.connect() as connection:
        assert connection.execute("select count(*) from meta.carga").fetchone() == (0,)

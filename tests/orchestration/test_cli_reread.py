"""`lujan reread` as a person at the terminal meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestration import settings as settings_module
from orchestration.cli import main
from orchestration.warehouse.connection import Warehouse
from sources.errors import PipelineError
from sources.landing import LoadContext, load
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract


@pytest.fixture
def contracts(
    tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder of contracts beside the city's, for a command line on an empty warehouse."""
    folder = tmp_path / "contratos"
    folder.mkdir()
    monkeypatch.setattr(main, "console", Console())
    for name, value in (
        ("WAREHOUSE_URL", warehouse.url),
        ("LUJAN_CONTRACTS", str(folder)),
        ("LUJAN_DATA_DIR", str(tmp_path / "data")),
        ("SOURCE_PRUEBA_URL", ""),
        ("COLUMNS", "300"),
    ):
        monkeypatch.setenv(name, value)
    settings_module.settings.cache_clear()
    yield folder
    settings_module.settings.cache_clear()


def lujan(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, ["reread", *arguments])
    if isinstance(result.exception, PipelineError):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def test_files_are_read_again_with_the_contract_of_today(
    contracts: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = tmp_path / "entrada"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(f"dni,monto\n{name},5\n")
    context = LoadContext(
        connect=warehouse.connect, run_id="prueba", archive=tmp_path / "data" / "archivo"
    )
    before = make_contract(contracts, "csv", [column("dni")], ignoredColumns=["monto"])
    load(before, SourceUrl.parse(str(folder)), context, [])
    assert "no hay nada que leer otra vez" in lujan("prueba.tabla")[1]
    make_contract(contracts, "csv", [column("dni"), column("monto", "integer")])
    next((tmp_path / "data" / "archivo").rglob("*-b.csv")).unlink()

    shown = lujan("prueba.tabla", "--dry-run")
    part = lujan("prueba.tabla")
    rest = lujan("prueba.tabla", "--source", f"prueba={folder}")

    assert shown[0] == 0 and "a.csv (1 fila) b.csv (1 fila) Se leerían otra vez 2" in shown[1]
    assert part[0] == 1 and "1 archivo leído otra vez. Filas nuevas o cambiadas: 1;" in part[1]
    assert "b.csv no se puede leer otra vez: falta la copia" in part[1]
    assert rest[0] == 0 and "1 archivo leído otra vez" in rest[1]
    with warehouse.connect() as connection:
        found = connection.execute("select dni, monto from raw.prueba__tabla order by 1").fetchall()
    assert found == [("a", 5), ("b", 5)]


def test_a_dataset_that_nobody_knows_is_told(contracts: Path) -> None:
    with pytest.raises(PipelineError, match="no existe el conjunto"):
        lujan("prueba.nada")

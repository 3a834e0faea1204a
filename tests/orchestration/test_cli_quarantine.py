"""`lujan quarantine` and `lujan drift` as a person at the terminal meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration import settings as settings_module
from orchestration.checkers import checkers_for
from orchestration.cli import main
from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import PipelineError
from sources.landing import LoadContext, load
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

Lujan = Callable[..., Result]


@pytest.fixture
def lujan(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lujan:  # type: ignore[misc]
    """The command line on an empty warehouse; contracts of `contratos` stand beside the city's."""
    monkeypatch.setattr(main, "console", Console())
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("LUJAN_CONTRACTS", str(tmp_path / "contratos"))
    monkeypatch.setenv("COLUMNS", "200")
    settings_module.settings.cache_clear()

    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main.app, list(arguments), **options)

    yield run  # type: ignore[misc]
    settings_module.settings.cache_clear()


@pytest.fixture
def contract(tmp_path: Path) -> Callable[[int], Contract]:
    folder = tmp_path / "contratos"
    folder.mkdir()

    def make(maximum: int) -> Contract:
        amount = column("monto", "integer") | {"logicalTypeOptions": {"maximum": maximum}}
        return make_contract(folder, "csv", [column("dni", classification="sensible"), amount])

    return make


@pytest.fixture
def bad_rows(warehouse: Warehouse, tmp_path: Path, contract: Callable[[int], Contract]) -> None:
    """Two rows in quarantine: an amount over 100, and one that is no number. One good row."""
    folder = tmp_path / "entrada"
    folder.mkdir()
    (folder / "a.csv").write_text("dni,monto,nuevo\n30111222,150,x\n30333444,diez,x\n3,1,x\n")
    made = contract(100)
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    load(made, SourceUrl.parse(str(folder)), context, checkers_for(made))


def ids(warehouse: Warehouse) -> list[str]:
    with warehouse.connect() as connection:
        return [str(row[0]) for row in connection.execute(
            "select fila_id from quarantine.fila order by fila_id")]  # fmt: skip


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def test_nothing_in_quarantine_is_said_plainly(lujan: Lujan) -> None:
    result = lujan("quarantine", "list")

    assert (result.exit_code, flat(result)) == (0, "No hay filas pendientes.")


def test_list_counts_by_rule_with_the_reason_in_words_and_the_owner(
    lujan: Lujan, bad_rows: None
) -> None:
    everything = lujan("quarantine", "list")
    one_rule = lujan("quarantine", "list", "--dataset", "prueba.tabla", "--rule", "maximo")
    discarded = lujan("quarantine", "list", "--state", "descartada")

    assert everything.exit_code == 0 and "2 filas." in everything.output
    assert "mayor que el máximo" in flat(everything)
    assert "1 fila." in one_rule.output and "tipo_invalido" not in one_rule.output
    assert flat(discarded) == "No hay filas descartadas."


def test_show_hides_restricted_columns_unless_asked(lujan: Lujan, bad_rows: None) -> None:
    masked = lujan("quarantine", "show", "prueba.tabla")
    full = lujan("quarantine", "show", "prueba.tabla", "--full", "--limit", "1")

    assert "dni=•••, monto=150" in masked.output and "30111222" not in masked.output
    assert "a.csv:1" in masked.output and "maximo" in masked.output
    assert "qué hacer:" in masked.output and "--full" in masked.output
    assert "dni=30111222" in full.output and "30333444" not in full.output


def test_an_unknown_dataset_is_refused_with_the_names_that_are_close(
    lujan: Lujan, bad_rows: None
) -> None:
    result = lujan("quarantine", "show", "prueba.tablas")

    assert result.exit_code == 1 and isinstance(result.exception, PipelineError)
    assert "prueba.tablas" in str(result.exception) and "prueba.tabla?" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("list", "--state", "rara"), id="a state there is not"),
        pytest.param(("discard", "prueba.tabla", "--by", "Ana", "--reason", "x"), id="no rows"),
        pytest.param(("discard", "prueba.tabla", "--rule", "maximo", "--by", "Ana"), id="no why"),
        pytest.param(
            ("discard", "prueba.tabla", "--rule", "maximo", "--by", " ", "--reason", "x"),
            id="nobody",
        ),
        pytest.param(
            ("undo", "prueba.tabla", "--id", "1", "--rule", "x", "--by", "A", "--reason", "x"),
            id="rows chosen twice",
        ),
        pytest.param(("show",), id="no dataset"),
    ],
)
def test_an_incomplete_order_is_exit_code_2(
    lujan: Lujan, bad_rows: None, arguments: tuple[str, ...]
) -> None:
    assert lujan("quarantine", *arguments).exit_code == 2


def test_replay_tells_first_what_it_would_do_and_then_does_it(
    lujan: Lujan, warehouse: Warehouse, bad_rows: None, contract: Callable[[int], Contract]
) -> None:
    contract(200)

    rehearsed = lujan("quarantine", "replay", "prueba.tabla", "--dry-run")
    before = lujan("quarantine", "list")
    done = lujan("quarantine", "replay", "prueba.tabla")
    empty = lujan("quarantine", "replay", "prueba.tabla", "--rule", "maximo")

    assert "1 entran" in rehearsed.output and "No se cambió nada" in rehearsed.output
    assert "2 filas." in before.output
    assert "2 filas de prueba.tabla: 1 entran, 0 ya estaban en raw, 1 siguen" in flat(done)
    assert "monto: 'diez' no es un número" in done.output
    assert "No hay filas pendientes de prueba.tabla por la regla maximo." in flat(empty)
    assert warehouse.count("raw", "prueba__tabla") == 2


def test_discard_asks_keeps_the_row_and_can_be_undone(
    lujan: Lujan, warehouse: Warehouse, bad_rows: None
) -> None:
    first = ids(warehouse)[0]
    why = ("--by", "Ana", "--reason", "fila de prueba")

    refused = lujan("quarantine", "discard", "prueba.tabla", "--id", first, *why, input="n\n")
    assert refused.exit_code == 1
    assert "2 filas." in lujan("quarantine", "list").output

    done = lujan("quarantine", "discard", "prueba.tabla", "--id", first, *why, input="sí\n")
    assert done.exit_code == 0 and "1 fila" in done.output
    shown = lujan("quarantine", "show", "prueba.tabla", "--state", "descartada")
    assert "Ana (fila de prueba)" in flat(shown)

    again = lujan("quarantine", "discard", "prueba.tabla", "--id", first, *why, "--yes")
    assert again.exit_code == 1 and first in str(again.exception)

    undone = lujan("quarantine", "undo", "prueba.tabla", "--rule", "maximo", *why, "--yes")
    assert undone.exit_code == 0
    assert "2 filas." in lujan("quarantine", "list").output


def test_drift_lists_what_is_open_and_what_was_done(lujan: Lujan, bad_rows: None) -> None:
    found = lujan("drift", "--dataset", "prueba.tabla")
    other = lujan("drift", "--dataset", "mlc.proyectos")

    assert found.exit_code == 0
    for words in (
        "nuevo",
        "se agregó a raw.prueba__tabla como texto",
        "sigue",
        "Secretaría de Prueba",
    ):
        assert words in flat(found)
    assert flat(other) == "No hay diferencias abiertas de mlc.proyectos."


@pytest.mark.parametrize(
    "command", ["", "list", "show", "replay", "discard", "undo"], ids=lambda name: name or "group"
)
def test_every_command_explains_itself(command: str) -> None:
    arguments = ["quarantine", *([command] if command else []), "--help"]
    result = CliRunner().invoke(main.app, arguments)

    assert result.exit_code == 0 and "Usage" in result.output

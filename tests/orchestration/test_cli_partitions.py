"""`lujan partitions` as a person at the terminal meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration import settings as settings_module
from orchestration.cli import main
from orchestration.cli import partitions as commands
from orchestration.warehouse.connection import Warehouse
from sources.errors import PipelineError
from tests.support.water import City

Lujan = Callable[..., Result]
TABLE = "telemetria__lecturas"


@pytest.fixture
def lujan(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lujan]:
    """The command line on a warehouse with the months of April to July 2026 and March 2028."""
    with warehouse.connect() as connection:
        City(connection).register()
    monkeypatch.setattr(commands, "console", Console(width=200))
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(main.app, ["partitions", *arguments])
    settings_module.settings.cache_clear()


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def test_a_month_leaves_only_when_asked_twice_and_comes_back(lujan: Lujan) -> None:
    asked = ("detach", TABLE, "2026-05", "--by", "Ana", "--reason", "prueba")

    proposed = lujan(*asked)
    assert proposed.exit_code == 0
    assert "No se hizo nada" in flat(proposed)
    assert "separado" not in flat(lujan("list", TABLE))

    done = lujan(*asked, "--apply")
    assert done.exit_code == 0, done.output
    assert "Sigue en raw.telemetria__lecturas_2026_05" in flat(done)
    listed = lujan("list")
    assert "2026-05 separado 0 filas" in flat(listed) and "por Ana" in flat(listed)

    again = lujan(*asked)
    assert isinstance(again.exception, PipelineError)
    assert "ya está separado" in str(again.exception)

    assert "está unido otra vez" in flat(
        lujan("attach", "telemetria.lecturas_csv", "2026-05", "--by", "Ana")
    )
    assert "separado" not in flat(lujan("list", TABLE))


def test_retention_takes_what_its_term_says_and_nothing_unasked(lujan: Lujan) -> None:
    assert "ningún mes termina antes" in flat(lujan("retain", TABLE))  # ten years

    proposed = lujan("retain", TABLE, "--keep-months", "1")
    assert "2026-04" in flat(proposed)
    assert "No se hizo nada" in flat(proposed)

    lujan("retain", TABLE, "--keep-months", "1", "--apply")
    listed = lujan("list", TABLE)
    assert flat(listed).count(" separado ") >= 4


def test_what_is_not_a_month_or_not_a_divided_table_is_said(lujan: Lujan) -> None:
    assert lujan("attach", TABLE, "mayo", "--by", "Ana").exit_code == 2
    wrong = lujan("list", "mlc__proyectos")
    assert isinstance(wrong.exception, PipelineError)
    assert TABLE in str(wrong.exception)

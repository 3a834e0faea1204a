"""What a person reads who asks before anything was ever run: one message, never a trace."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from orchestration import settings as settings_module
from orchestration.cli import main

COMMANDS = [
    "status", "gate list", "gate release zonas-de-agua --by Ana --reason acta",
    "findings list", "findings show 1", "score", "corrections", "quarantine list",
    "quality propose mlc.proyectos", "alerts list",
]  # fmt: skip


@pytest.fixture(scope="module")
def nothing(postgres) -> str:
    """A database that no run has prepared."""
    return postgres.ensure_database("sin_preparar")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_before_the_first_run_says_what_to_do(
    nothing: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(main, "errors", Console(file=said, width=200))
    monkeypatch.setenv("WAREHOUSE_URL", nothing)
    monkeypatch.setattr(sys, "argv", ["lujan", *command.split()])
    settings_module.settings.cache_clear()

    with pytest.raises(SystemExit) as ended:
        main.run()

    settings_module.settings.cache_clear()
    assert ended.value.code == 1
    assert said.getvalue().startswith("Error: ") and "lujan run" in said.getvalue()


def test_without_any_warehouse_the_first_run_is_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(main, "errors", Console(file=said, width=200))
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["lujan", "status"])
    settings_module.settings.cache_clear()

    with pytest.raises(SystemExit) as ended:
        main.run()

    settings_module.settings.cache_clear()
    assert ended.value.code == 1
    assert "todavía no hay ningún almacén" in said.getvalue()
    assert "lujan run" in said.getvalue()


def test_another_error_of_the_program_is_not_taken_for_a_new_warehouse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "invoke", broken)
    with pytest.raises(ZeroDivisionError):
        main.run()

"""What an operator reads when an address is taken, is none, or belongs to nobody."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from orchestration import settings as settings_module
from orchestration.cli import main


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """Types a command with an empty data folder; gives its exit code and what it said."""

    def run(command: str, **environment: object) -> tuple[int, str]:
        screen = io.StringIO()
        monkeypatch.setattr(main, "errors", Console(file=screen, width=300))
        monkeypatch.setattr(main, "console", Console(file=screen, width=300))
        monkeypatch.setattr(sys, "argv", ["lujan", *command.split()])
        monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path / "data"))
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        settings_module.settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main.run()
        code = ended.value.code
        assert isinstance(code, int)
        return code, screen.getvalue()

    yield run
    monkeypatch.undo()
    settings_module.settings.cache_clear()


@pytest.mark.parametrize(
    ("command", "variable", "other"),
    [("ui", "LUJAN_UI_PORT", "LUJAN_UI_PORT"), ("docs", "LUJAN_DOCS_PORT", "LUJAN_DOCS_PORT"),
     ("portal dev --port {port}", "LUJAN_UI_PORT", "--port")],
)  # fmt: skip
def test_a_taken_port_is_said_before_anything_is_started(
    typed, taken: int, tmp_path: Path, command: str, variable: str, other: str
) -> None:
    code, said = typed(command.format(port=taken), **{variable: taken})

    assert code == 1
    assert f"el puerto {taken} de esta máquina está ocupado" in said and other in said
    assert not (tmp_path / "data").exists()


def test_an_address_of_a_system_that_no_contract_names_is_told(typed) -> None:
    code, said = typed("run --dry-run", SOURCE_TELEMETRA_URL="/srv/lecturas")

    assert code == 0
    assert "ningún contrato es del sistema 'telemetra'" in said and "telemetria" in said


def test_an_address_of_the_portal_that_is_none_names_its_variable(typed) -> None:
    code, said = typed("portal look", CKAN_URL="portal.ciudad")

    assert code == 1 and "CKAN_URL" in said

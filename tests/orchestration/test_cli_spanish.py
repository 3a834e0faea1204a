"""What an operator reads who asks for help or types something wrong."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from orchestration.cli import main
from orchestration.cli.spanish import localise

ENGLISH = ("Usage", "Options", "Arguments", "Commands", "Show this", "required", "default", "<str>",
           "<bool>", "<int>", "<path>")  # fmt: skip


def every_command() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        found.append(path)
        for name, below in getattr(command, "commands", {}).items():
            walk(below, [*path, name])

    walk(typer.main.get_command(main.app), [])
    return found


def test_no_help_page_has_english_words_of_the_library() -> None:
    command = typer.main.get_command(main.app)
    localise(command)
    pages = {}
    for path in every_command():
        with CliRunner().isolation(env={"COLUMNS": "100"}) as streams:
            command([*path, "--help"], standalone_mode=False)
            pages[" ".join(path)] = streams[0].getvalue().decode()

    assert len(pages) > 50
    for path, page in pages.items():
        assert "Uso: " in page and "Muestra esta ayuda." in page, path
        assert [word for word in ENGLISH if word in page] == [], path


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stat", "No existe la orden «stat». ¿Quiso decir 'status'?"),
        ("status --todo", "No existe la opción --todo"),
        ("findings show", "Falta el argumento NÚMERO."),
        ("findings show diez", "El valor de 'NÚMERO' no sirve: tiene que ser un número entero."),
        ("gate revoke x --by Ana", "Falta la opción '--reason'."),
        ("quality propose --margin poco", "'--margin' no sirve: tiene que ser un número."),
        ("quality propose --margin 9", "'--margin' no sirve: tiene que ser 5 o menos."),
        ("quarantine show x --limit 0", "'--limit' no sirve: tiene que ser 1 o más."),
        ("gate list de más", "Sobra: de más."),
        ("gate revoke x --by", "La opción --by necesita un valor."),
        ("run --from 2026-01-01", "--from y --to van juntos"),
        ("run --from 2026-06-02 --to 2026-06-01", "--from es posterior a --to"),
        ("gate release z --by [Ana] --reason acta --days x", "El valor de '--days' no sirve"),
    ],
)
def test_what_cannot_be_understood_is_said_in_spanish(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(main, "errors", Console(file=screen, width=200))
    monkeypatch.setattr(sys, "argv", ["lujan", *typed.split()])

    with pytest.raises(SystemExit) as ended:
        main.run()

    assert ended.value.code == 2
    assert screen.getvalue().startswith("Error: ") and said in screen.getvalue()


@pytest.mark.parametrize(
    ("typed", "close"),
    [
        ("approve zona-de-agua --by Ana --reason acta", "zonas-de-agua"),
        ("portal publish zonas", "zonas-de-agua"),
        ("gate revoke zonas-de-aguas --by Ana --reason acta", "zonas-de-agua"),
        ("quality propose mlc.proyectoss", "mlc.proyectos"),
    ],
)
def test_a_name_with_a_slip_is_answered_in_one_line_with_those_that_are_close(
    typed: str, close: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(main, "errors", Console(file=log, width=20))
    monkeypatch.setattr(sys, "argv", ["lujan", *typed.split()])

    with pytest.raises(SystemExit) as ended:
        main.run()

    line = log.getvalue().removesuffix("\n")
    assert ended.value.code == 1
    assert "¿quiso decir" in line and close in line and "encuesta" not in line
    assert "\n" not in line


def test_a_terminal_without_some_letters_shows_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "argv", ["lujan", "--help"])

    with pytest.raises(SystemExit) as ended:
        main.run()

    screen.flush()
    said = screen.buffer.getvalue().decode("latin-1")  # type: ignore[attr-defined]
    assert not ended.value.code and "fuentes ? raw ? modelos" in said and "órden" in said.lower()


def test_a_ctrl_c_is_told_apart_from_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    screen = io.StringIO()
    monkeypatch.setattr(main, "errors", Console(file=screen, width=200))
    monkeypatch.setattr("orchestration.cli.status.show_status", interrupted)
    monkeypatch.setattr(sys, "argv", ["lujan", "status"])

    with pytest.raises(SystemExit) as ended:
        main.run()

    assert ended.value.code == 130
    assert "Interrumpido" in screen.getvalue()

"""`lujan contracts draft|try`: what a person types, reads and gets as an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from orchestration.cli import contracts
from orchestration.cli.main import app
from sources.errors import PipelineError


@pytest.fixture(autouse=True)
def _captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "console", Console(width=200))


def lujan(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contracts", *arguments])


def test_from_a_file_to_a_contract_that_loads(tmp_path: Path) -> None:
    folder = tmp_path / "datos"
    folder.mkdir()
    file = folder / "arboles.csv"
    file.write_text("especie,alto_m\nfresno,8.5\n", encoding="utf-8")
    contract = tmp_path / "c" / "arboles.yaml"

    shown = lujan("draft", "ambiente.arboles", "--from", str(file))
    assert shown.exit_code == 0 and "id: ambiente.arboles" in shown.output
    assert lujan("draft", "ambiente.arboles", "--from", file.as_uri()).output == shown.output
    made = lujan("draft", "ambiente.arboles", "--from", str(file), "--output", str(contract))
    assert made.exit_code == 0 and "2 columnas" in made.output
    assert contract.read_text(encoding="utf-8") == shown.output
    assert lujan("check", str(contract)).exit_code == 0

    again = lujan("draft", "ambiente.arboles", "--from", str(file), "--output", str(contract))
    assert isinstance(again.exception, PipelineError) and "ya existe" in str(again.exception)

    good = lujan("try", str(contract), "--source", f"ambiente={folder}")
    assert good.exit_code == 0 and "Entrarían 1" in good.output
    file.write_text("especie,alto_m,edad\nfresno,8.5,3\nálamo,alto,4\n", encoding="utf-8")
    bad = lujan("try", str(contract), "--source", f"ambiente={folder}")
    assert bad.exit_code == 1
    for words in (
        "a cuarentena irían 1",
        "tipo_invalido",
        "alto_m",
        "fila 2",
        "edad",
        "No se cargó",
    ):
        assert words in bad.output

    other = lujan("try", str(contract), "--source", f"otro={folder}")
    assert other.exit_code == 2 and "--source ambiente=" in other.output


def test_what_cannot_be_drafted_is_said(tmp_path: Path) -> None:
    for source, words in (
        (str(tmp_path / "no_hay.csv"), "no existe"),
        ("s3://balde/datos", "traiga un archivo"),
        (str(tmp_path), "es una carpeta"),
    ):
        found = lujan("draft", "s.t", "--from", source)
        assert isinstance(found.exception, PipelineError) and words in str(found.exception)


def test_a_key_that_comes_twice_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "datos"
    folder.mkdir()
    (folder / "a.csv").write_text("id,v\n1,x\n2,y\n1,z\n", encoding="utf-8")
    contract = tmp_path / "a.yaml"
    lujan("draft", "s.t", "--from", str(folder / "a.csv"), "--output", str(contract))
    text = contract.read_text(encoding="utf-8").replace("value: files", "value: full")
    contract.write_text(
        text.replace("- name: id\n", "- name: id\n    primaryKey: true\n"), encoding="utf-8"
    )

    shown = lujan("try", str(contract), "--source", f"s={folder}")

    assert shown.exit_code == 1
    assert "Entrarían 2; a cuarentena irían 1" in shown.output
    assert "clave_repetida: 1 filas cuya clave (id)" in shown.output


def test_a_slip_in_the_name_of_a_system_is_no_run_without_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_TELEMETRIAS_URL", "")  # the command sets it for its process

    shown = CliRunner().invoke(app, ["run", "--dry-run", "--source", "telemetrias=/tmp"])

    assert shown.exit_code == 2
    assert "no hay ningún contrato del sistema" in " ".join(shown.output.split())

"""`lujan contracts draft|try`: what a person types, reads and gets as an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from orchestration import catalogue_sync
from orchestration.cli import contracts
from orchestration.cli.main import app
from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse
from sources import contract_document
from sources.contract_document import load_catalogue
from sources.errors import PipelineError
from sources.landing import LoadContext, load
from sources.urls import SourceUrl


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
    assert "clave_repetida: 1 fila cuya clave (id)" in shown.output


def test_a_whole_system_is_drafted_at_once_and_loads_as_it_is(
    new_database: Callable[[], str], warehouse: Warehouse, tmp_path: Path
) -> None:
    address = new_database()
    with psycopg.connect(address) as connection:
        connection.execute(
            'create table "OrdenesDeTrabajo" (id integer primary key, "fechaAlta" timestamp);'
            'insert into "OrdenesDeTrabajo" values (1, now()), (2, now());'
            "create view abiertas as select 7 as id; create schema catastro;"
            "create table catastro.parcelas (nomenclatura text primary key, superficie numeric);"
            "insert into catastro.parcelas values ('06-01', 300.5);"
            'create table "2026" (a integer); create table catastro.abiertas (id integer)'
        )
    folder = tmp_path / "obras"

    made = lujan("draft", "obras", "--from", address, "--output", str(folder))

    assert made.exit_code == 0, made.output
    assert "5 borradores nuevos" in made.output
    assert "public.OrdenesDeTrabajo → obras.ordenes_de_trabajo: 2 columnas, clave id" in made.output
    assert sorted(path.stem for path in folder.iterdir()) == [
        "abiertas", "catastro_abiertas", "catastro_parcelas", "ordenes_de_trabajo", "t_2026",
    ]  # fmt: skip
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    loaded = {
        contract.dataset: load(contract, SourceUrl.parse(address), context, []).loaded
        for contract in load_catalogue([folder]).contracts.values()
    }
    assert loaded == {
        "abiertas": 1, "catastro_abiertas": 0, "catastro_parcelas": 1, "ordenes_de_trabajo": 2,
        "t_2026": 0,
    }  # fmt: skip


def test_drafts_of_a_system_keep_what_is_there_and_one_that_fails_does_not_stop_the_others(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    address = new_database()
    with psycopg.connect(address) as connection:
        connection.execute(
            "create table arboles (id integer); create table arbustos (id integer);"
            "create table arenas (); create table bancos (id integer)"
        )
    (tmp_path / "arboles.yaml").write_text("completado por una persona")

    made = lujan(
        "draft", "plazas", "--from", address, "--output", str(tmp_path), "--table", "ar*"
    )  # fmt: skip

    assert made.exit_code == 1
    assert "✗ public.arenas: public.arenas: no tiene ninguna columna" in made.output
    for words in ("1 borrador nuevo", "1 ya estaba, sin tocar", "1 no se pudo hacer"):
        assert words in made.output
    assert (tmp_path / "arboles.yaml").read_text() == "completado por una persona"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arboles.yaml", "arbustos.yaml"]


def test_what_a_whole_system_needs_is_said(new_database: Callable[[], str], tmp_path: Path) -> None:
    address = new_database()
    where = ("--output", str(tmp_path / "c"))
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    for arguments, words in (
        (("obras", "--from", address), "--output"),
        (("obras", "--from", address, *where), "no ve ninguna tabla"),
        (("Obras", "--from", address, *where), "no puede ser el nombre"),
        (("obras", "--from", str(file), *where), "no es una base de datos"),
        (("obras", "--from", "https://x/y", *where), "no es una base de datos"),
        (("obras.uno", "--from", address, "-t", "a", "-t", "b"), "de una sola tabla"),
    ):
        found = lujan("draft", *arguments)
        assert isinstance(found.exception, PipelineError), arguments
        assert words in str(found.exception)
    with psycopg.connect(address) as connection:
        connection.execute("create table calles (id integer)")
    found = lujan("draft", "obras", "--from", address, *where, "--table", "ruta*")
    assert isinstance(found.exception, PipelineError)
    assert "ninguna" in str(found.exception) and "public.calles" in str(found.exception)


def test_a_slip_in_the_name_of_a_system_is_no_run_without_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_TELEMETRIAS_URL", "")  # the command sets it for its process

    shown = CliRunner().invoke(app, ["run", "--dry-run", "--source", "telemetrias=/tmp"])

    assert shown.exit_code == 2
    assert "no hay ningún contrato del sistema" in " ".join(shown.output.split())


def test_a_contract_that_a_model_needs_is_missed_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = load_catalogue([contract_document.CONTRACTS_DIR / "mlc"])
    monkeypatch.setattr(catalogue_sync, "configured_catalogue", lambda: some)

    for command in ("check", "sync"):
        done = lujan(command)
        assert isinstance(done.exception, PipelineError)
        assert "ningún contrato describe: aguas.calidad_agua, " in str(done.exception)
    assert "8 contratos correctos, 0 con error" in lujan("check").output


def test_contracts_of_another_folder_are_checked_and_listed_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (contract_document.CONTRACTS_DIR / "mlc" / "ejes.yaml").read_text(encoding="utf-8")
    own = text.replace("id: mlc.ejes", "id: obras.ejes").replace("server: mlc", "server: obras")
    (tmp_path / "ejes.yaml").write_text(own, encoding="utf-8")
    monkeypatch.setenv("LUJAN_CONTRACTS", str(tmp_path))
    settings.cache_clear()

    assert "obras.ejes" in lujan("list").output
    (tmp_path / "ejes.yaml").write_text("kind: [", encoding="utf-8")
    assert "1 con error" in lujan("check").output
    settings.cache_clear()

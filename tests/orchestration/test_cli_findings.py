"""`lujan findings` as a person at the terminal meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from expectations.findings import Project, synchronise
from expectations.results import CheckResult, record
from orchestration import settings as settings_module
from orchestration.cli import findings, main
from orchestration.warehouse.connection import Warehouse
from sources.errors import PipelineError
from tests.support.http import Reply, http_server

Lujan = Callable[..., Result]
LONG = "raw.un_sistema_de_nombre_largo__una_tabla_cuyo_nombre_no_entra_en_una_linea_de_ochenta"


@pytest.fixture
def lujan(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Lujan:  # type: ignore[misc]
    """The command line on an empty warehouse, at the width of the terminal asked for."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()

    def run(*arguments: str, width: int = 200, **options: Any) -> Result:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(findings, "console", Console())
        return CliRunner().invoke(main.app, list(arguments), **options)

    yield run  # type: ignore[misc]
    settings_module.settings.cache_clear()


@pytest.fixture
def failures(warehouse: Warehouse) -> None:
    """Two red checks: one grave and of an area, one of a table nobody owns."""
    with warehouse.connect() as connection:
        for name, relation, severity in (
            ("clave", "agua.dim_zona", "bloqueante"), ("rango", LONG, "advertencia")
        ):  # fmt: skip
            result = CheckResult(
                control=name, motor="great_expectations", objeto=relation, regla=name,
                severidad=severity, paso=False, explicacion="Cada zona aparece una vez.",
                columna="zona_id", filas_evaluadas=20, filas_fallidas=12,
                muestra=tuple({"zona_id": n} for n in range(10)),
            )  # fmt: skip
            record(connection, "corrida-1", [result])
        synchronise(connection, "corrida-1", Project((), {"agua.dim_zona": "Obras Públicas"}))


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def test_nothing_open_is_said_plainly(lujan: Lujan) -> None:
    assert flat(lujan("findings", "list")) == "No hay hallazgos abiertos."
    assert flat(lujan("findings", "list", "--area", "x")).endswith("con esas condiciones.")


def test_the_list_has_area_number_rows_keys_and_next_step(lujan: Lujan, failures: None) -> None:
    result = lujan("findings", "list")

    assert result.exit_code == 0
    words = flat(result)
    for expected in ("Obras Públicas · 1 hallazgo · 1 alto", "agua.dim_zona · zona_id", "12 filas",
                     "claves: zona_id 0; zona_id 1; zona_id 2; zona_id 3; y 8 más", "qué hacer: ",
                     "(sin área asignada) · 1 hallazgo", "2 hallazgos."):  # fmt: skip
        assert expected in words, expected


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal_and_cuts_no_name(lujan: Lujan, failures: None, width: int) -> None:
    lines = lujan("findings", "list", width=width).output.splitlines()

    assert max(map(len, lines)) <= width
    assert LONG in "".join(line.strip() for line in lines)


def test_json_is_whole_and_filtered(lujan: Lujan, failures: None) -> None:
    document = json.loads(
        lujan("findings", "list", "--json", "--severity", "alta", width=40).output
    )

    assert [item["objeto"] for item in document] == ["agua.dim_zona"]
    assert document[0]["muestra"][0] == {"zona_id": 0} and document[0]["filas_afectadas"] == 12
    assert json.loads(lujan("findings", "list", "--json", "--state", "cerrado").output) == []


def test_a_person_says_that_they_know_of_it(lujan: Lujan, failures: None) -> None:
    done = lujan("findings", "ack", "1", "--by", "Ana Pérez", "--note", "se corrige el lunes")

    assert done.exit_code == 0
    words = flat(lujan("findings", "show", "1"))
    assert "lo conoce Ana Pérez: se corrige el lunes" in words
    assert "se abrió en la corrida corrida-1, 12 filas" in words
    assert "visto por Ana Pérez" in words
    assert "zona_id 9" in words, "all sample keys"


def test_wrong_arguments_are_explained(lujan: Lujan, failures: None) -> None:
    assert "alta, media, baja" in flat(lujan("findings", "list", "--severity", "grave"))
    blank = lujan("findings", "ack", "1", "--by", " ", "--note", "x")
    assert blank.exit_code == 2 and "no puede estar vacío" in flat(blank)
    for arguments in (["show", "99"], ["ack", "99", "--by", "a", "--note", "b"]):
        missing = lujan("findings", *arguments)
        assert isinstance(missing.exception, PipelineError)
        assert "lujan findings list" in str(missing.exception)
    closing = lujan("findings", "close", "1", "--by", "Ana", "--note", "x")
    assert "se cierra solo" in str(closing.exception)


def test_a_digest_is_shown_without_sending(lujan: Lujan, failures: None) -> None:
    shown = lujan("findings", "digest", "--dry-run", "--area", "obras")

    words = flat(shown)
    assert shown.exit_code == 0
    assert "Hallazgos de calidad · Obras Públicas" in words and "1 nuevo" in words
    assert "1 resumen; no se envió nada." in words and "sin área" not in words


def test_without_a_channel_it_says_what_to_set(lujan: Lujan, failures: None) -> None:
    done = lujan("findings", "digest")
    assert isinstance(done.exception, PipelineError)
    assert "LUJAN_SMTP_URL" in str(done.exception)


def test_digests_leave_once_and_a_failure_is_an_exit_code(
    lujan: Lujan, failures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(lambda number, _: Reply(status=403 if number == 1 else 200)) as server:
        monkeypatch.setenv("LUJAN_DIGEST_WEBHOOK_URL", f"{server.url}/ruta-secreta")
        settings_module.settings.cache_clear()
        first, second, third = (lujan("findings", "digest") for _ in range(3))

    assert (first.exit_code, second.exit_code, third.exit_code) == (1, 0, 0)
    assert "código 403" in flat(first) and "enviado" in flat(first)
    assert "ruta-secreta" not in first.output + second.output
    assert flat(second) == "(sin área asignada) (webhook): enviado"
    assert "ya salieron" in flat(third)
    assert len(server.requests) == 3

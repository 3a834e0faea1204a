"""The index of the quality pages shows every kind of check, and needs nothing from elsewhere."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import psycopg
import pytest

from expectations.results import CheckResult, Engine, record
from expectations.site import _ENGINES, write_index

MENDOZA = ZoneInfo("America/Argentina/Mendoza")
NOW = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)


def written(connection: psycopg.Connection, folder: Path) -> str:
    return write_index(connection, folder, NOW, MENDOZA).read_text(encoding="utf-8")


def result(engine: Engine, *, passed: bool | None, words: str = "Explicación.") -> CheckResult:
    return CheckResult(
        control=f"control-{engine}", motor=engine, objeto="agua.dim_zona", regla="r",
        severidad="bloqueante", paso=passed, explicacion=words, responsable="Obras Públicas",
        filas_evaluadas=20, filas_fallidas=3, muestra=({"zona_id": 17},), dimension="validez",
    )  # fmt: skip


@pytest.mark.parametrize("engine", get_args(Engine))
def test_every_kind_of_check_is_there_with_cause_keys_and_owner(
    connection: psycopg.Connection, tmp_path: Path, engine: Engine
) -> None:
    record(connection, "r", [result(engine, passed=False, words="La cuenca no existe.")])

    page = written(connection, tmp_path / "calidad")

    for words in (f"control-{engine}", "La cuenca no existe.", "zona_id 17", "Obras Públicas",
                  "no pasa", _ENGINES[engine], "30/06/2026 09:00"):  # fmt: skip
        assert words in page, words


def test_only_the_last_verdict_of_a_check_is_shown_and_unknown_is_no_pass(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    record(connection, "r1", [result("dbt", passed=False, words="Estaba mal.")])
    record(connection, "r2", [result("dbt", passed=None, words="No se pudo evaluar.")])

    page = written(connection, tmp_path)

    assert "Estaba mal." not in page
    assert "No se pudo evaluar." in page and "sin evaluar</span>" in page


def test_what_does_not_pass_comes_first_and_what_withholds_before_it(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    verdicts = [("agua.a", True, "bloqueante"), ("agua.b", False, "advertencia"),
                ("agua.c", False, "bloqueante")]  # fmt: skip
    record(connection, "r", [
        replace(result("dbt", passed=passed), objeto=name, control=name, severidad=severity)
        for name, passed, severity in verdicts
    ])  # fmt: skip

    page = written(connection, tmp_path)

    assert re.findall(r"<summary><b>([^<]+)</b>", page) == ["agua.c", "agua.b", "agua.a"]


def test_what_a_check_says_cannot_write_into_the_page(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    record(connection, "r", [result("monitor", passed=False, words="<script>alert(1)</script>")])
    assert "<script" not in written(connection, tmp_path)


def test_it_takes_the_place_of_the_index_of_the_suites_and_leads_to_their_pages(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    record(connection, "r", [result("great_expectations", passed=True)])
    suite = tmp_path / "validations" / "agua" / "dim_zona" / "r" / "20260630" / "pagina.html"
    suite.parent.mkdir(parents=True)
    suite.write_text("suite")
    (tmp_path / "index.html").write_text("the index of Great Expectations", encoding="utf-8")

    first, second = written(connection, tmp_path), written(connection, tmp_path)

    assert first == second
    links = re.findall(r'(?:href|src)="([^"]+)"', second)
    assert links == [suite.relative_to(tmp_path).as_posix()]
    assert all((tmp_path / link).exists() for link in links)


def test_a_telephone_and_a_screen_reader_find_their_way(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    record(connection, "r", [result("dbt", passed=True)])

    page = written(connection, tmp_path)

    assert "<html lang='es'>" in page and "width=device-width" in page
    assert page.count("<main>") == page.count("</main>") == 1
    # On paper nothing can be scrolled to.
    assert "overflow-x:auto" not in page.replace(
        "@media screen and (max-width:50rem){details{overflow-x:auto}", ""
    )
    assert "<th>" not in page and page.count("<thead>") == page.count("<table>") == 2


def test_an_empty_warehouse_has_a_page_that_says_so(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    page = written(connection, tmp_path)
    assert "Calidad de los datos" in page and "<details" not in page

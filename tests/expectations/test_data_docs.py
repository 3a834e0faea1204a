"""The pages of Great Expectations need nothing from another site, and still do what they did."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from expectations.data_docs import alone
from expectations.marts import MartValidator
from expectations.suite_files import Suite, load_suites

RULES = """
mart: prueba_gx.{table}
expectativas:
  - tipo: expect_column_values_to_not_be_null
    argumentos: {{column: zona_id}}
    severidad: bloqueante
    dimension: completitud
    explicacion: Toda zona tiene número.
  - tipo: expect_column_values_to_be_between
    argumentos: {{column: cuentas, min_value: 0}}
    severidad: bloqueante
    dimension: validez
    explicacion: Ninguna zona tiene menos que cero.
"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def suite_of(folder: Path, table: str) -> Suite:
    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_text(RULES.format(table=table), encoding="utf-8")
    (suite,) = load_suites(folder).values()
    return suite


@pytest.fixture
def site(
    connection: psycopg.Connection[tuple[object, ...]], warehouse_url: str, tmp_path: Path
) -> Path:
    """Pages of a first run on two marts, and of a second one on the first of them."""
    connection.execute(
        "create schema prueba_gx; create table prueba_gx.a as select 1 as zona_id, -1 as cuentas; "
        "create table prueba_gx.b as table prueba_gx.a"
    )
    site = tmp_path / "calidad"
    for run, tables in (("primera", "ab"), ("segunda", "a")):
        with MartValidator(warehouse_url, site, run) as validator:
            for table in tables:
                validator.run(suite_of(tmp_path / "suites", table))
            validator.build_docs(standing=["prueba_gx.a", "prueba_gx.b", "prueba_gx.nunca"])
    return site


def test_no_page_asks_another_site_for_anything_and_every_link_leads_somewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"https?:|//cdn", text) == [], page
        for link in re.findall(r'(?:href|src)="([^"#]+)"', text):
            assert (page.parent / link).resolve().is_file(), (page, link)


def test_a_mart_keeps_the_page_of_the_run_that_looked_at_it_last(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    assert re.findall(r">(prueba_gx\.\w)<", index) == ["prueba_gx.a", "prueba_gx.b"]
    assert re.findall(r"prueba_gx/(\w)/(\w+)/", index) == [("a", "segunda"), ("b", "primera")]
    for page in (site / "validations").rglob("*.html"):
        assert page.read_text(encoding="utf-8").count("pagina.css") == 1


def test_what_the_pages_say_is_left_as_it_was() -> None:
    page = (
        '<head><link rel="stylesheet" href="https://otro.sitio/a.css"/></head><body>'
        '<img src="https://otro.sitio/logo.png" alt="x"><p>Vea https://lujan.gob.ar.</p>'
        '<a href="../../expectations/a.html" >agua.dim_zona</a><script>$("x")</script></body>'
    )
    assert alone(page, "../..") == (
        '<head><link rel="stylesheet" href="../../static/pagina.css">'
        '<script src="../../static/pagina.js" defer></script></head><body>'
        "<p>Vea https://lujan.gob.ar.</p>agua.dim_zona</body>"
    )


def test_the_words_of_the_library_are_spanish(site: Path) -> None:
    [page] = (site / "validations" / "prueba_gx" / "a").rglob("*.html")
    text = re.sub(r"<style.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    said = [" ".join(words.split()) for words in re.findall(r">([^<>]*\w[^<>]*)<", text)]

    for words in (
        "Solo lo que no pasa", "Tabla: prueba_gx.a", "Expectativas evaluadas", "50 %",
        "No cumplen: 1 de 1 filas.", "100 % con dato", "Toda zona tiene número.",
    ):  # fmt: skip
        assert words in said, words
    english = re.compile(
        r"\b(expectation|unexpected|of|show|failed|status|table|observed|success\w*|null|run)\b",
        re.I,
    )
    assert [words for words in said if english.search(words)] == []


def test_a_page_says_in_its_language_and_its_title_what_it_is_and_has_no_empty_link(
    site: Path,
) -> None:
    [page] = (site / "validations" / "prueba_gx" / "a").rglob("*.html")
    text = page.read_text(encoding="utf-8")
    assert '<html lang="es">' in text and "Validations /" not in text
    assert re.findall(r"<title>(.*?)</title>", text) == [
        "prueba_gx.a · Controles de Great Expectations"
    ]
    assert re.search(r"<a\b[^>]*>\s*</a>", text) is None


def test_a_text_that_only_holds_words_of_the_library_stays() -> None:
    cells = ("100% null", "Status quo", "≈1.2422% unexpected", "1,234 of 5.6")
    said = (
        "100 % sin dato",
        "Status quo",
        "≈1,2422 % de lo que tiene dato no cumple",
        "1,234 of 5.6",
    )

    page = alone("".join(f"<td>{cell}</td>" for cell in cells), "..")

    assert tuple(re.findall(r"<td>(.*?)</td>", page)) == said


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on this machine")
def test_in_a_browser_without_network_the_page_is_styled_and_its_filter_works(site: Path) -> None:
    [page] = (site / "validations" / "prueba_gx" / "a").rglob("*.html")
    clicked = page.with_name("clicked.html")
    clicked.write_text(
        page.read_text(encoding="utf-8").replace(
            "</body>",
            "<script>addEventListener('load', () => { hideSucceededValidations(); "
            "document.title = getComputedStyle(document.querySelector('.card')).borderTopStyle;"
            "})</script></body>",
        ),
        encoding="utf-8",
    )
    shown = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         "--host-resolver-rules=MAP * ~NOTFOUND", clicked.as_uri()],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip

    assert "<title>solid</title>" in shown
    section = re.compile(r'class="ge-section([^>]*)>.*?<h5[^>]*>\s*(\w+)', re.DOTALL)
    hidden = {column: "hidden" in attributes for attributes, column in section.findall(shown)}
    assert hidden == {"Resumen": False, "zona_id": True, "cuentas": False}

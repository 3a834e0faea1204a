"""The pages of Great Expectations, made to be read in Spanish on a machine without internet.

Belongs here: what is changed in them once they are written. Does not belong here: running a suite
(`marts.py`), or the page of every verdict (`site.py`), which is the entrance to these.

Great Expectations takes the looks of its pages from style sheets and scripts of other sites, and
draws its index by them. Offline they are plain, their filter does nothing and the index is empty.
Here every address of another site goes; a style sheet and a script of our own, in files beside the
pages, stand in for what is used; and the index becomes a plain list. The library has its words in
English alone: those that are whole texts of a page are put into Spanish, nothing within a text is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

_STYLE_FILE, _SCRIPT_FILE = "static/pagina.css", "static/pagina.js"
# Whatever a browser would fetch by itself from another site: style sheets, scripts and images.
_FETCHED = re.compile(
    r"""<script\b[^>]*\bsrc=["']https?:[^>]*>\s*</script>"""
    r"""|<(?:link|img)\b[^>]*\b(?:href|src)=["']https?:[^>]*>"""
    r"""|\burl\(\s*["']?https?:[^)]*\)""",
    re.IGNORECASE,
)
# A page of the suite alone, which is not written: the verdict's own lists every expectation.
_SUITE_LINK = re.compile(r"""<a href="[^"]*/expectations/[^"]*"\s*>(.*?)</a>""", re.DOTALL)
# It counts one folder too few.
_ICON = re.compile(r'href="[./]+/(static/images/favicon\.ico)"')
# A link around the logo, which is gone, and a second title.
_EMPTY = re.compile(r"<a\b[^>]*>\s*</a>|<title>\s*</title>")
# Suite, table, run and moment one after the other; the first says it.
_PLACE = re.compile(r"Validations / (\S+) / .*")
_FOOTER = re.compile(r"<footer>.*?</footer>", re.DOTALL)
_TEXT = re.compile(r"(?<=>)[^<>]*\w[^<>]*(?=<)")
_WORDS = {
    "Data documentation compiled by Great Expectations": "Controles de Great Expectations",
    "Home": "Inicio",
    "Expectation Validation Result": "Resultado de una suite",
    "Evaluates whether a batch of data matches expectations.": "Si los datos cumplen lo esperado.",
    "Actions": "Acciones",
    "Validation Filter:": "Mostrar:",
    "Show All": "Todo",
    "Failed Only": "Solo lo que no pasa",
    "Table of Contents": "Contenido",
    "Overview": "Resumen",
    "Table-Level Expectations": "Sobre la tabla entera",
    "Expectation Suite:": "Suite:",
    "Status:": "Resultado:",
    "Failed": "no pasa",
    "Succeeded": "pasa",
    "Statistics": "Cuentas",
    "Evaluated Expectations": "Expectativas evaluadas",
    "Successful Expectations": "Pasan",
    "Unsuccessful Expectations": "No pasan",
    "Success Percent": "Pasan, en porcentaje",
    "Show more info...": "Más datos…",
    "Info": "Datos de la corrida",
    "Great Expectations Version": "Versión de Great Expectations",
    "Run Name": "Corrida",
    "Run Time": "Momento",
    "Batch Markers": "Carga",
    "Batch Spec": "Consulta",
    "Status": "Resultado",
    "Expectation": "Expectativa",
    "Observed Value": "Lo que se vio",
}
_AMOUNTS = (
    # The library's share is one of the rows with a value, whatever its sentence says.
    (r"(\S+) unexpected values found\. (\S+)% of (\S+) total rows\.",
     r"No cumplen: \1 de \3 filas."),
    (r"(\S+)% unexpected", r"\1 % de lo que tiene dato no cumple"),
    (r"(\S+)% not null", r"\1 % con dato"),
    (r"(\S+)% null", r"\1 % sin dato"),
    (r"(≈?[\d.]+)%", r"\1 %"),
)  # fmt: skip
_NUMBER = re.compile(r"\d[\d.,]*\d")
_POINTS = str.maketrans(".,", ",.")

# The names are those that the pages use; the looks are those of the page of every verdict.
_STYLE = """\
body{font:14px/1.45 system-ui,sans-serif;margin:0;color:#222;background:#fff}
a{color:#0b5394}h4,h5,h6{margin:.3rem 0}h5{font-size:1.1rem}h6{font-size:1rem}
nav.navbar{position:sticky;top:0;background:#fff;border-bottom:1px solid #ccc;padding:.4rem 1rem;
height:auto!important;z-index:5}
.ge-breadcrumbs{list-style:none;display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:0}
.ge-breadcrumbs-item+.ge-breadcrumbs-item::before{content:"› "}
body>.container-fluid{padding:1rem}
body>.container-fluid>.row{display:grid;grid-template-columns:17rem minmax(0,1fr);gap:1.5rem}
.sticky{position:sticky;top:3.5rem}
.card{border:1px solid #ccc;border-radius:4px;margin-bottom:1rem}
.card-header{background:#f2f2f2;padding:.3rem .6rem}.card-body{padding:.5rem .6rem}
.nav{list-style:none;margin:0;padding:0}.nav-link{display:block;padding:.15rem 0}
.btn{display:inline-block;border:1px solid #0b5394;border-radius:4px;padding:.15rem .5rem;
cursor:pointer}.btn.active{background:#0b5394;color:#fff}
.btn input{position:absolute;opacity:0}.btn:focus-within{outline:3px solid #d98200}
.alert{background:#f2f2f2;border-radius:4px;padding:.4rem .7rem;margin-top:.8rem}
.table-responsive{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top}
th{background:#f2f2f2}
.h6{font-weight:600}.text-danger{color:#a40000}.text-success{color:#1b6e20}
.fas{font-style:normal;font-weight:700}.fa-check-circle::before{content:"✓"}
.fa-times::before{content:"✗"}.fa-exclamation-triangle::before,
.fa-exclamation-circle::before{content:"!"}
.badge{border-radius:4px;padding:0 .3rem;background:#e2e2e2}
.cooltip .top{display:none}.collapse{display:none}.collapse.abierto{display:block}
[hidden]{display:none!important}
@media(max-width:60rem){body>.container-fluid>.row{display:block}.sticky{position:static}}
@media print{nav.navbar,.sticky{display:none}body>.container-fluid>.row{display:block}}
"""
_SCRIPT = """\
function showAllValidations() { mark(false); }
function hideSucceededValidations() { mark(true); }
function mark(hidden) {
  for (const one of document.querySelectorAll(".hide-succeeded-validation-target-child"))
    one.closest("tr").hidden = hidden;
  const whole = ".hide-succeeded-validations-column-section-target-child";
  for (const one of document.querySelectorAll(whole)) one.closest(".ge-section").hidden = hidden;
}
document.addEventListener("click", (event) => {
  const opener = event.target.closest('[data-toggle="collapse"]');
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.getAttribute("href").slice(1)).classList.toggle("abierto");
  }
  const button = event.target.closest(".btn-group .btn");
  if (button)
    for (const one of button.parentElement.children) one.classList.toggle("active", one === button);
});
"""


def stand_alone(site: Path) -> Path:
    """Change the pages under `site` so that they need no network; the path of their index."""
    (site / "static").mkdir(parents=True, exist_ok=True)
    (site / _STYLE_FILE).write_text(_STYLE, encoding="utf-8")
    (site / _SCRIPT_FILE).write_text(_SCRIPT, encoding="utf-8")
    pages = sorted((site / "validations").rglob("*.html"))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        if _STYLE_FILE not in text:  # else it is of an earlier run
            page.write_text(alone(text, os.path.relpath(site, page.parent)), encoding="utf-8")
    index = site / "index.html"
    index.write_text(_index(path.relative_to(site) for path in pages), encoding="utf-8")
    return index


def alone(page: str, root: str) -> str:
    """One page without anything of another site; `root` is the way from it to the site's folder."""
    kept = _FOOTER.sub("", _SUITE_LINK.sub(r"\1", _FETCHED.sub("", page)))
    kept = _EMPTY.sub("", kept).replace("<html>", '<html lang="es">', 1)
    # Before the body's own scripts, which are none of ours and ask for what is not there.
    kept = re.sub(r"<script\b[^>]*>.*?</script>", "", kept, flags=re.DOTALL)
    kept = _ICON.sub(rf'href="{root}/\1"', kept)
    kept = _TEXT.sub(lambda text: _in_spanish(text[0]), kept)
    if place := _PLACE.search(page):
        kept = kept.replace("<title>", f"<title>{place[1]} · ", 1)
    ours = (
        f'<link rel="stylesheet" href="{root}/{_STYLE_FILE}">'
        f'<script src="{root}/{_SCRIPT_FILE}" defer></script>'
    )
    return kept.replace("</head>", f"{ours}</head>", 1)


def _in_spanish(text: str) -> str:
    """A text of the library's own; any other as it is."""
    words = " ".join(text.split())
    if words in _WORDS:
        return _WORDS[words]
    if words.startswith("Data asset: "):
        return words.replace("Data asset", "Tabla", 1)
    if place := _PLACE.fullmatch(words):
        return place[1]
    for pattern, said in _AMOUNTS:
        if found := re.fullmatch(pattern, words):
            return _NUMBER.sub(lambda number: number[0].translate(_POINTS), found.expand(said))
    return text


def _index(pages: Iterable[Path]) -> str:
    """Links to the pages, by mart: 'validations/<schema>/<mart>/<run>/<moment>/<file>'."""
    lines = "".join(
        f'<li><a href="{escape(path.as_posix())}">{escape(".".join(path.parts[1:3]))}</a></li>'
        for path in pages
    )
    return (
        "<!doctype html><html lang='es'><head><meta charset='utf-8'><title>Suites de Great "
        f'Expectations</title><link rel="stylesheet" href="{_STYLE_FILE}"></head><body>'
        "<div class='container-fluid'><h1>Suites de Great Expectations</h1>"
        f"<ul>{lines}</ul></div></body></html>\n"
    )

"""The pages of the folder portal: a catalogue by theme and a page per dataset, in plain HTML.

Belongs here: words and markup. Does not belong here: files or addresses (`portal.py`), or any fact
that is not in `data.json` or in a dataset's `datapackage.json`.

No script runs and nothing is fetched from elsewhere: a page opens from a disk as from a server.
Every text is escaped. Accessibility follows WCAG 2.1 AA: one `h1`, headings in order, labelled
tables, a link to the content, visible focus, contrast above 4.5, readable at 320 px.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exports.dcat import JSONLD_NAME, TURTLE_NAME, schema_org
from exports.definition import FREQUENCIES, SUPER_THEMES
from exports.metadata import PACKAGE_NAME, Addresses
from exports.wording import spoken_day, spoken_period
from sources.wording import counted, number

PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 80
_TYPES = {
    "string": "texto", "integer": "número entero", "number": "número", "boolean": "sí o no",
    "date": "fecha", "datetime": "fecha y hora", "time": "hora", "object": "objeto",
}  # fmt: skip
# Types of columns (Table Schema) that are read by their last digit.
_NUMBERS = ("integer", "number")
_STYLE = """
:root { color-scheme: light; --tinta: #1c2430; --suave: #4c5868; --linea: #d5dbe3;
  --fondo: #f5f7fa; --azul: #0a4f8f; --aviso: #8a4b00; }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.55 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--tinta);
  background: #fff; overflow-wrap: break-word; }
a { color: var(--azul); }
a:focus-visible, summary:focus-visible { outline: 3px solid #f0a500; outline-offset: 2px; }
.saltar { position: absolute; left: -100vw; background: #fff; padding: .5rem 1rem; }
.saltar:focus { left: 0; }
header { background: var(--azul); color: #fff; }
header a { color: #fff; font-weight: 600; text-decoration: none; }
header a:hover { text-decoration: underline; }
header > div, main, footer > div { max-width: 68rem; margin: 0 auto; padding: 1rem; }
main { padding-bottom: 3rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: .8rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0 0 .3rem; }
footer { background: var(--fondo); border-top: 1px solid var(--linea); color: var(--suave); }
.aviso { border-left: .3rem solid var(--aviso); padding: .6rem 1rem; background: #fff5e6;
  margin: .6rem 0; }
.nota { border-left: .3rem solid var(--linea); padding: .3rem 1rem; margin: .6rem 0; }
.suave { color: var(--suave); font-size: .92rem; }
.tarjetas { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr));
  list-style: none; padding: 0; margin: 0; }
.tarjetas li { border: 1px solid var(--linea); border-radius: .5rem; padding: 1rem; }
.tarjetas p { margin: .2rem 0; }
.temas, .formatos { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; }
.temas a, .formatos a { display: inline-block; border: 1px solid var(--azul); border-radius: 2rem;
  padding: .35rem .9rem; text-decoration: none; }
.formatos a { border-radius: .4rem; }
.temas a:hover, .formatos a:hover { background: var(--azul); color: #fff; }
.recurso { border-top: 1px solid var(--linea); margin-top: 1.5rem; }
.ancho { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
caption { text-align: left; color: var(--suave); padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
  border-bottom: 1px solid var(--linea); }
.muestra td, .muestra th { white-space: nowrap; }
.muestra .n { text-align: right; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .3rem 1.2rem; }
dt { color: var(--suave); }
dd { margin: 0; min-width: 0; }
summary { cursor: pointer; padding: .4rem 0; color: var(--azul); }
code { font-size: .92em; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } }
@media print { header, .saltar { display: none; } .ancho { overflow: visible; }
  .muestra td, .muestra th { white-space: normal; padding: .2rem; }
  details:has(.muestra th:nth-child(9)) { display: none; } }
"""
_PAGE = """<!doctype html>
<html lang="es">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="description" content="{summary}">
<style>{style}</style>
{head}</head>
<body>
<a class="saltar" href="#contenido">Ir al contenido</a>
<header><div><a href="{home}">{brand}</a></div></header>
<main id="contenido">
{body}
</main>
<footer><div>{foot}</div></footer>
</body>
</html>
"""

Preview = Sequence[Sequence[str]]


def catalog_page(document: Mapping[str, Any], notices: Mapping[str, str] | None = None) -> str:
    """The list of datasets, the themes with most of them first, from the national `data.json`.

    `notices` are what must be said of a dataset today, by its identifier.
    """
    noticed = notices or {}
    by_theme: dict[str, list[Mapping[str, Any]]] = {}
    for dataset in sorted(document["dataset"], key=lambda item: str(item["title"]).casefold()):
        by_theme.setdefault(dataset["superTheme"][0], []).append(dataset)
    themes = sorted(
        by_theme, key=lambda code: (-len(by_theme[code]), SUPER_THEMES[code].casefold())
    )
    links = "".join(
        f'<li><a href="#{code}">{_text(SUPER_THEMES[code])} ({len(by_theme[code])})</a></li>'
        for code in themes
    )
    cards = {
        code: "".join(_card(item, noticed) for item in items) for code, items in by_theme.items()
    }
    sections = "\n".join(
        f'<section aria-labelledby="{code}"><h2 id="{code}">{_text(SUPER_THEMES[code])}</h2>\n'
        f'<ul class="tarjetas">\n{cards[code]}</ul></section>'
        for code in themes
    )
    count = len(document["dataset"])
    body = (
        f"<h1>{_text(document['title'])}</h1>\n<p>{_text(document['description'])}</p>\n"
        + (
            f"<p>{counted(count, 'conjunto', 'conjuntos')} de datos.</p>\n"
            if count
            else "<p>Todavía no se publicó ningún conjunto de datos.</p>\n"
        )
        + (f'<nav aria-label="Temas"><ul class="temas">{links}</ul></nav>\n' if links else "")
        + sections
    )
    publisher = document["publisher"]
    foot = (
        f'<p>{_text(publisher["name"])} · <a href="mailto:{_text(publisher["mbox"])}">'
        f"{_text(publisher['mbox'])}</a></p>\n<p>Catálogo para programas: "
        '<a href="data.json">data.json</a> (perfil nacional), '
        f'<a href="{TURTLE_NAME}">{TURTLE_NAME}</a> y '
        f'<a href="{JSONLD_NAME}">{JSONLD_NAME}</a> (DCAT-AP).</p>'
    )
    title = document["title"]
    return _page(title, document["description"], body, foot, home="index.html", site=title)


def dataset_page(
    package: Mapping[str, Any],
    folder: Path,
    addresses: Addresses | None = None,
    notice: str | None = None,
) -> str:
    """The page of a dataset; the first rows shown are those of the CSV files in `folder`.

    `notice` is what must be said of it today: that it is withheld, or left by a person's decision.
    """
    licence = package["licenses"][0]
    publisher, author, maintainer = package["contributors"]
    contact = _text(maintainer["title"])
    if email := maintainer.get("email"):
        contact += f' · <a href="mailto:{_text(email)}">{_text(email)}</a>'
    facts = [
        ("Responsable", _text(author["title"])),
        ("Se actualiza", _text(FREQUENCIES[package["accrualPeriodicity"]])),
        ("Último cambio en los datos", _text(spoken_day(package["modified"]))),
        ("Publicado por primera vez", _text(spoken_day(package["issued"]))),
        ("Período que cubre", _text(spoken_period(package))),
        ("Fuentes", _text("; ".join(source["title"] for source in package["sources"]))),
        ("Licencia", f'<a href="{_text(licence["path"])}">{_text(licence["title"])}</a>'),
        ("Contacto", contact),
        ("Palabras clave", _text(", ".join(package["keywords"]))),
    ]
    described = "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    notes = list(package["warnings"])
    synthetic = notes.pop(0) if package["synthetic"] and notes else ""
    tables = [item for item in package["resources"] if "sourceTable" in item]
    grouped = itertools.groupby(tables, key=lambda item: str(item["resourceName"]))
    sections = "\n".join(_resource(name, list(items), folder) for name, items in grouped)
    others = "".join(_download(item) for item in package["resources"] if "sourceTable" not in item)
    body = (
        f'<nav aria-label="Ubicación"><a href="../index.html">Todos los conjuntos</a> › '
        f"{_text(SUPER_THEMES[package['superTheme'][0]])}</nav>\n"
        f"<h1>{_text(package['title'])}</h1>\n"
        + (f'<p class="aviso">{_text(notice)}</p>\n' if notice else "")
        + (f'<p class="aviso"><strong>{_text(synthetic)}</strong></p>\n' if synthetic else "")
        + f"<p>{_prose(package['description'])}</p>\n"
        + "".join(f'<p class="nota">{_prose(item)}</p>\n' for item in notes)
        + f"<h2>Datos</h2>\n{sections}\n"
        + f"<h2>Sobre este conjunto</h2>\n<dl>\n{described}\n</dl>\n"
        + f'<h2>Diccionario y descripción</h2>\n<ul class="formatos">{others}'
        + f'<li><a href="{PACKAGE_NAME}">{PACKAGE_NAME}</a></li></ul>'
    )
    linked = json.dumps(schema_org(package, addresses), ensure_ascii=False)
    head = f'<script type="application/ld+json">{linked.replace("<", chr(92) + "u003c")}</script>\n'
    foot = f"<p>{_text(publisher['title'])}</p>"
    return _page(
        package["title"],
        package["description"],
        body,
        foot,
        home="../index.html",
        site=package.get("catalogTitle"),
        head=head,
    )


def _page(
    title: str,
    summary: str,
    body: str,
    foot: str,
    *,
    home: str,
    site: str | None,
    head: str = "",
) -> str:
    return _PAGE.format(
        brand=_text(" · ".join(filter(None, (site, "Datos abiertos")))),
        title=_text(title),
        summary=_text(_first_sentence(summary)),
        style=_STYLE,
        head=head,
        home=home,
        body=body,
        foot=foot,
    )


def _card(dataset: Mapping[str, Any], notices: Mapping[str, str]) -> str:
    # A catalogue's description begins with the warning that data are the sample's, told once above.
    kinds = dict.fromkeys(
        str(item["format"])
        for item in dataset["distribution"]
        if item.get("type") != "documentation"
    )
    notice = notices.get(dataset["identifier"])
    return (
        f'<li><h3><a href="{_text(dataset["identifier"])}/index.html">{_text(dataset["title"])}'
        f"</a></h3>\n<p>{_text(_first_sentence(dataset['description']))}</p>\n"
        f'<p class="suave">{_text(dataset["publisher"]["name"])} · '
        f"{_text(', '.join(kinds))} · {_text(spoken_day(dataset['modified']))}</p>"
        + (f'<p class="aviso">{_text(notice)}</p>' if notice else "")
        + "</li>\n"
    )


def _resource(name: str, items: Sequence[Mapping[str, Any]], folder: Path) -> str:
    first = items[0]
    rows = sum(item["rowCount"] for item in items if item["format"] == first["format"])
    columns = first["schema"]["fields"]
    omitted = first.get("omittedRows") or 0
    shown = [counted(rows, "fila", "filas"), counted(len(columns), "columna", "columnas")]
    if omitted:
        hidden = counted(omitted, "fila no se muestra", "filas no se muestran")
        shown.append(f"{hidden} para no identificar a nadie")
    files = "".join(_download(item) for item in items)
    fields = "\n".join(
        f'<tr><th scope="row"><code>{_text(field["name"])}</code></th>'
        f"<td>{_TYPES.get(field['type'], field['type'])}"
        f"{' (' + _text(field['unit']) + ')' if field.get('unit') else ''}</td>"
        f"<td>{_prose(field['description'])}</td></tr>"
        for field in columns
    )
    return (
        f'<section class="recurso" aria-labelledby="r-{_text(name)}">\n'
        f'<h3 id="r-{_text(name)}">{_text(first["resourceTitle"])}</h3>\n'
        f'<p>{_prose(first["description"])}</p>\n<p class="suave">{", ".join(shown)}.</p>\n'
        f'<ul class="formatos">{files}</ul>\n{_preview(items, folder)}'
        f'<details><summary>Qué significa cada columna</summary><div class="ancho"><table>\n'
        f'<tr><th scope="col">Columna</th><th scope="col">Tipo</th>'
        f'<th scope="col">Descripción</th></tr>\n{fields}\n</table></div></details>\n</section>'
    )


def _download(item: Mapping[str, Any]) -> str:
    words = str(item["title"]).rpartition("(")[2].rstrip(")")
    kind = "Diccionario en " if "sourceTable" not in item else ""
    return (
        f'<li id="{_text(item["name"])}"><a href="{_text(item["path"])}" download>{kind}'
        f'{_text(words)} <span class="tamano">({_size(item["bytes"])})</span></a></li>'
    )


def _preview(items: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """The first rows, when there is a CSV of them."""
    source = next((item for item in items if item["format"] == "csv"), None)
    if source is None or not source["rowCount"]:
        return ""
    header, *rows = _first_rows(folder / source["path"])
    kinds = [field["type"] for field in source["schema"]["fields"]]
    head = "".join(
        f'<th scope="col"{_to_the_right(kind)}>{_text(name)}</th>'
        for name, kind in zip(header, kinds, strict=True)
    )
    lines = "\n".join("<tr>" + "".join(map(_cell, row, kinds, header)) + "</tr>" for row in rows)
    return (
        '<details open><summary>Primeras filas</summary><div class="ancho" tabindex="0" '
        'role="region" aria-label="Primeras filas"><table class="muestra">\n'
        f"<tr>{head}</tr>\n{lines}\n</table></div></details>\n"
    )


def _cell(text: str, kind: str, column: str) -> str:
    """A value of the file for people to read: numbers as they are written here, yes and no as
    words."""
    said = text
    if kind in _NUMBERS:
        whole, _, decimals = text.partition(".")
        # Four digits are read without a point, and may be a year.
        digits = whole.removeprefix("-")
        if len(digits) > 4 and digits.isdigit() and not column.endswith("_id"):
            whole = number(int(whole))
        said = f"{whole},{decimals}" if decimals else whole
    elif kind == "boolean":
        said = {"true": "sí", "false": "no"}.get(text, text)
    return f"<td{_to_the_right(kind)}>{_text(_short(said))}</td>"


def _to_the_right(kind: str) -> str:
    return ' class="n"' if kind in _NUMBERS else ""


def _first_rows(path: Path) -> Preview:
    with path.open("rb") as stream:
        content: Any = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
        with io.TextIOWrapper(content, "utf-8", newline="") as text:
            return list(itertools.islice(csv.reader(text), PREVIEW_ROWS + 1))


def _short(cell: str) -> str:
    return cell if len(cell) <= _PREVIEW_CHARACTERS else cell[: _PREVIEW_CHARACTERS - 1] + "…"


def _size(size: int) -> str:
    if size < 1_000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1_000:.0f} kB"
    return f"{number(size / 1_000_000, 1)} MB"


def _first_sentence(text: str) -> str:
    return text.split("\n", 1)[0].split(". ", 1)[0].rstrip(".") + "."


def _prose(text: str) -> str:
    """Escaped text in which `names` between backticks are shown as such."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", _text(text))


def _text(value: str) -> str:
    return html.escape(str(value), quote=True)

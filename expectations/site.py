"""The index of the quality pages: every verdict in force, whatever engine gave it.

Belongs here: one page on disk, written from `meta.control_vigente`, that needs no network. Does not
belong here: the pages of the suites, which Great Expectations writes (`marts.py`), or any verdict.

Great Expectations knows only its own suites: its pages are reached from here, each from its mart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from sources.wording import number

INDEX = "index.html"
_ENGINES = {
    "pandera": "Reglas por fila (Pandera)",
    "protocolo": "Protocolo de datos desagregados",
    "contrato": "Reglas sobre la tabla",
    "frescura": "Frescura",
    "monitor": "Monitores",
    "dbt": "Pruebas de dbt",
    "great_expectations": "Great Expectations",
    "conciliacion": "Conciliación",
    "construccion": "Construcción",
}
_WORDS = {True: "pasa", False: "no pasa", None: "sin evaluar"}
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}th,td{border:1px solid #ccc;padding:
.25rem .5rem;text-align:left;vertical-align:top}th{background:#f2f2f2}
td{overflow-wrap:anywhere}td.n{text-align:right;white-space:nowrap}td:first-child{white-space:nowrap}
td:nth-child(3):not(.n){min-width:8rem}
small{color:#555;display:block}summary{cursor:pointer;padding:.3rem 0}
.falla{color:#a40000;font-weight:600}.aviso{color:#8a5a00}.duda{color:#555}
@media screen and (max-width:50rem){details{overflow-x:auto}details td{overflow-wrap:normal}
main>table{font-size:12px}main>table :is(th,td){padding:.2rem}
main>table td{overflow-wrap:normal}main>table td:first-child{white-space:normal}}
@media print{body{font-size:9px;margin:0;padding:0}a{color:inherit}tr{break-inside:avoid}
td:nth-child(3):not(.n){min-width:0}}
"""
_QUERY = """
select v.objeto, v.motor, v.control, v.columna, v.dimension, v.severidad, v.paso, v.filas_evaluadas,
    v.filas_fallidas, v.muestra, v.explicacion, v.responsable, v.evaluado_en
from meta.control_vigente as v
where (v.dataset is null or exists (
    select from meta.contrato as c where c.dataset = v.dataset and c.vigente
))
order by v.objeto, v.paso nulls first, v.severidad desc, v.motor, v.control
"""


def write_index(
    connection: psycopg.Connection[Any], folder: Path, now: dt.datetime, timezone: ZoneInfo
) -> Path:
    """Write the index of `folder`, the place of the Data Docs; its path.

    It takes the place of the index of the suites alone. Raises what psycopg raises.
    """
    rows = connection.execute(_QUERY.encode()).fetchall()
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    unfinished = index.with_suffix(".tmp")
    unfinished.write_text(page(rows, folder, now.astimezone(timezone)), encoding="utf-8")
    return unfinished.replace(index)


def page(rows: Sequence[Sequence[Any]], folder: Path, now: dt.datetime) -> str:
    """The whole page; `rows` as the query gives them, by object, `now` where the city is."""
    objects = [(name, list(found)) for name, found in groupby(rows, lambda row: row[0])]
    parts = [
        f"<!doctype html><html lang='es'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Calidad de los datos</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>Calidad de los datos</h1><p>El último veredicto de cada control, al "
        f"{now:%d/%m/%Y %H:%M}. Las filas se nombran por su clave, nunca por su valor. "
        "Primero, las tablas en las que algo no pasa.</p>",
        _summary(rows),
        *(_object(name, found, folder, now) for name, found in sorted(objects, key=_urgency)),
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _urgency(item: tuple[str, Sequence[Sequence[Any]]]) -> tuple[bool, bool, str]:
    """Tables with a blocking check that does not pass, then with any, then the others by name."""
    name, rows = item
    failed = {row[5] for row in rows if row[6] is False}
    return "bloqueante" not in failed, not failed, name


def _summary(rows: Sequence[Sequence[Any]]) -> str:
    def counted(engine: str) -> list[str]:
        mine = [(row[5], row[6]) for row in rows if row[1] == engine]
        counts = (
            sum(passed is True for _, passed in mine),
            mine.count(("advertencia", False)),
            mine.count(("bloqueante", False)),
            sum(passed is None for _, passed in mine),
        )
        return [
            f"<td>{escape(_ENGINES[engine])}</td>",
            *(f'<td class="n">{number(count)}</td>' for count in counts),
        ]

    head = ("control", "pasan", "con advertencia", "bloqueantes que no pasan", "sin evaluar")
    return _table(head, [counted(engine) for engine in _ENGINES])


def _object(name: str, rows: Sequence[Sequence[Any]], folder: Path, now: dt.datetime) -> str:
    failed = sum(row[6] is False for row in rows)
    unknown = sum(row[6] is None for row in rows)
    words = f"{len(rows)} {'control' if len(rows) == 1 else 'controles'}"
    words += f", {failed} no {'pasa' if failed == 1 else 'pasan'}" if failed else ""
    words += f", {unknown} sin evaluar" if unknown else ""
    opened = " open" if failed else ""
    head = (
        "veredicto", "qué se controla", "columna", "fallan", "de", "claves de muestra",
        "responsable", "evaluado el",
    )  # fmt: skip
    body = [_line(row, now) for row in rows]
    return (
        f"<details{opened}><summary><b>{escape(name)}</b>: {words}</summary>"
        f"{_suite_link(name, folder)}{_table(head, body)}</details>"
    )


def _line(row: Sequence[Any], now: dt.datetime) -> list[str]:
    (_, engine, control, column, dimension, severity, passed, evaluated, failed, sample, words,
     owner, when) = row  # fmt: skip
    shown = {True: "", None: "duda"}.get(passed, "falla" if severity == "bloqueante" else "aviso")
    keys = "; ".join(", ".join(f"{k} {v}" for k, v in key.items()) for key in sample or ())
    about = (_ENGINES.get(engine, engine), *filter(None, (dimension, control)))
    return [
        f'<td><span class="{shown}">{_WORDS[passed]}</span><small>{escape(severity)}</small></td>',
        f"<td>{escape(words or '')}<small>{escape(' · '.join(map(str, about)))}</small></td>",
        f"<td>{escape(column or '')}</td>",
        f'<td class="n">{_count(failed)}</td>',
        f'<td class="n">{_count(evaluated)}</td>',
        f"<td>{escape(keys)}</td>",
        f"<td>{escape(owner or 'sin dato')}</td>",
        f"<td>{when.astimezone(now.tzinfo):%d/%m/%Y %H:%M}</td>",
    ]


def _count(rows: int | None) -> str:
    """A number of rows as it is written here, 2.160.000; nothing where it is not known."""
    return "" if rows is None else number(rows)


def _suite_link(name: str, folder: Path) -> str:
    """The page that Great Expectations wrote of a mart in the last run that looked at it."""
    pages = sorted(folder.glob(f"validations/{name.replace('.', '/')}/*/*/*.html"))
    if not pages:
        return ""
    address = escape(pages[-1].relative_to(folder).as_posix())
    return f'<p><a href="{address}">Su suite en Great Expectations</a></p>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells of `rows` are HTML already, each with its own tag."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"

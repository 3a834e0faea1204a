"""Verdicts of `meta.resultado_control` in the words of a Dagster asset check.

Belongs here: what the page of a check shows, the same for every kind. Does not belong here: running
a check, storing its verdict (`expectations/results.py`), or what it withholds (`gate.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dagster import MetadataValue

from expectations.results import CheckResult, RowKey

_SHOWN = 50
_HEADER = (
    "control", "columna", "severidad", "veredicto", "filas que fallan", "filas evaluadas",
    "en esta carga", "claves de muestra", "explicación", "responsable",
)  # fmt: skip


def cause(results: Iterable[CheckResult]) -> dict[str, Any]:
    """Metadata that says of every verdict that is no pass what is wrong and whose it is.

    Empty when all pass. Keys of failing rows, never their values, as the verdicts hold them.
    """
    found = [result for result in results if result.paso is not True]
    if not found:
        return {}
    owners = sorted({result.responsable or "sin dato" for result in found})
    return {"detalle": MetadataValue.md(_table(found[:_SHOWN])), "responsable": ", ".join(owners)}


def _table(results: Sequence[CheckResult]) -> str:
    rows = [
        (
            r.control, r.columna or "", r.severidad,
            "sin evaluar" if r.paso is None else "no pasa",
            _count(r.filas_fallidas), _count(r.filas_evaluadas), _count(r.lote_fallidas),
            "; ".join(_key(key) for key in r.muestra), r.explicacion, r.responsable or "sin dato",
        )
        for r in results
    ]  # fmt: skip
    return "\n".join([_line(_HEADER), _line(["---"] * len(_HEADER)), *map(_line, rows)])


def _line(cells: Iterable[str]) -> str:
    """One row of a table in Markdown, whatever the cells hold."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '¦') for cell in cells)} |"


def _count(rows: int | None) -> str:
    return "" if rows is None else str(rows)


def _key(key: RowKey) -> str:
    return ", ".join(f"{name} {value}" for name, value in dict(key).items())

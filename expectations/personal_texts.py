"""Texts that leave the warehouse must carry nobody's personal data.

Belongs here: what a personal datum in a free text looks like, and asking it of the columns that
leave. Does not belong here: which columns those are, or what a failure withholds
(`orchestration/`), and columns that are personal as a whole: those are never published
(`exports/disclosure.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from expectations.suite_files import Expectation, Suite

RULE = "sin_datos_personales"
# The list stands where dbt reads it, too, for the finding R-PERSONA-03 on the source.
DBT_PROJECT = Path(__file__).parents[1] / "dbt_project" / "dbt_project.yml"


@functools.lru_cache(maxsize=1)
def pattern() -> str:
    """What a personal datum looks like: one regular expression of PostgreSQL, whatever the case."""
    document = yaml.safe_load(DBT_PROJECT.read_text(encoding="utf-8"))
    return f"(?i){'|'.join(document['vars']['patrones_dato_personal'])}"


def guarded(suite: Suite, columns: Iterable[str], key: Sequence[str]) -> Suite:
    """The suite, which also asks of `columns` (texts that leave) that no value names a person.

    `key` of the mart says which rows to correct; the values are not repeated. A column that may
    only hold values of a list holds no free text and is not asked.
    """
    listed = {
        item.columna
        for item in suite.expectativas
        if item.tipo == "expect_column_values_to_be_in_set" and item.donde is None
        and item.severidad == "bloqueante"
    }  # fmt: skip
    asked = [_expectation(column) for column in sorted(set(columns) - listed)]
    return replace(suite, expectativas=(*suite.expectativas, *asked), clave=tuple(key))


def _expectation(column: str) -> Expectation:
    return Expectation(
        tipo="expect_column_values_to_not_match_regex",
        argumentos={"column": column, "regex": pattern()},
        donde=None,
        severidad="bloqueante",
        dimension="validez",
        explicacion=(
            f"«{column}» se publica o se muestra, y ningún texto puede llevar el documento, el "
            "teléfono o el correo de una persona: quítelo en el sistema de origen."
        ),
        regla=RULE,
    )

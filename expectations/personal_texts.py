"""Texts that leave the warehouse must carry nobody's personal data.

Belongs here: what a personal datum in a free text looks like, and asking it of the columns that
leave. Does not belong here: which columns those are, or what a failure withholds
(`orchestration/`), and columns that are personal as a whole: those are never published
(`exports/disclosure.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from expectations.marts import Expectation, Suite

RULE = "sin_datos_personales"
# The same as `parece_dato_personal` of the dbt project, where it makes the finding R-PERSONA-03 on
# the source: documents, CUIL, telephones, and addresses that are not an office's. A regular
# expression of PostgreSQL.
PATTERNS = (
    r"\m(dni|documento|l\.?e\.?|l\.?c\.?)\W{0,3}(n[°ºro.]*\W{0,2})?\d{1,2}\.?\d{3}\.?\d{3}\M",
    r"\m(20|23|24|27)-?\d{8}-?\d\M",
    r"\m(tel|cel|tel[ée]fono|celular|whatsapp)[.:]*\s*\+?\d[\d -]{6,}",
    r"[a-z0-9._%+-]+@(?![a-z0-9.-]*\.gob\.ar\M)[a-z0-9.-]+\.[a-z]{2,}",
)
PATTERN = f"(?i){'|'.join(PATTERNS)}"


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
        argumentos={"column": column, "regex": PATTERN},
        donde=None,
        severidad="bloqueante",
        dimension="validez",
        explicacion=(
            f"«{column}» se publica o se muestra, y ningún texto puede llevar el documento, el "
            "CUIL, el teléfono o el correo de una persona: quítelo en el sistema de origen."
        ),
        regla=RULE,
    )

"""Cursors that the source holds as text: where its order is that of their values, and where not.

Belongs here: which declared types are text, which texts sort as they grow, and what is asked for
instead of a time. Does not belong here: the statement (`database.py`, `engines/`), or the watermark
(`watermark.py`).

A source compares text as text: 10 stands before 9, and 02/01 before 31/12. From a watermark on such
rows would be missed without a word, so:
  * a cursor that the contract declares a number is compared as a number;
  * one that it declares a time is compared by its day as written, if that begins with the year;
  * one that it declares text may not bring numbers of any length, or days before years.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from sources.contract import Column, Contract
from sources.errors import ContractError
from sources.readers.arrow import Array, pc
from sources.readers.base import problem

_TEXT = re.compile(
    r"^(?:n?(?:var)?char|character|bpchar|citext|n?text|(?:tiny|medium|long)text|enum)\b"
)
_TIMES = ("date", "timestamp", "timestamptz")
# Whole numbers and decimals of as many digits as they have; with zeros before them they are even.
_NUMBER = r"^[+-]?(?:0|[1-9][0-9]*)(?:[.,][0-9]+)?$"
# A year, a month, a day or a moment in digits alone: as many in one as in the other.
_CALENDAR = (
    r"^(?:19|20)[0-9]{2}(?:(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){0,2})?)?)?$"
)
_DAY_FIRST = r"^[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}(?:[^0-9]|$)"
# A format in Java's letters that begins with year, month and day, each as long as it ever is.
_YEAR_FIRST = re.compile(r"^(?:yyyy|uuuu)('?[^A-Za-z']*'?)MM('?[^A-Za-z']*'?)dd(?![a-z])")


def is_text(declared: str | None) -> bool:
    """Whether a type, as the source declares it, is compared as text."""
    return declared is not None and _TEXT.match(declared) is not None


def is_compared_as_text(column: Column) -> bool:
    """Whether a cursor that is text at the source stays so: neither a number nor a time."""
    return column.pg_type == "text"


def first_text(column: Column, since: dt.date) -> str | None:
    """The text from which rows of a time are asked for: its day, and for moments the day before,
    as a zone may lie between. None for a column that is no time.
    """
    if column.pg_type not in _TIMES:
        return None
    day = since - dt.timedelta(days=1) if isinstance(since, dt.datetime) else since
    found = _YEAR_FIRST.match(column.format or "yyyy-MM-dd")
    first, second = (part.replace("'", "") for part in (found.groups() if found else "--"))
    return f"{day.year:04}{first}{day.month:02}{second}{day.day:02}"


def refuse_format(contract: Contract, column: Column, where: str) -> None:
    """Raise ContractError for times whose text does not begin with the year."""
    if column.pg_type not in _TIMES or _YEAR_FIRST.match(column.format or "yyyy-MM-dd"):
        return
    raise problem(
        ContractError,
        contract,
        f"`cursor`: {column.name} es texto en {where}, escrito {column.format}: como texto, 02/01 "
        "va antes que 31/12 y las filas nuevas no se leerían. No se cargó nada y la tabla conserva "
        "sus últimos datos buenos.",
        f"elija en {contract.path.name} otro `cursor` (una columna de fecha, o un número que "
        "crezca), o `loadMode: full`.",
    )


def refuse_numbers(contract: Contract, column: Column, where: str) -> None:
    """Raise the ContractError for text that is a number, or a day before its year."""
    raise problem(
        ContractError,
        contract,
        f"`cursor`: {column.name} es texto en {where} y trae números o fechas que empiezan por el "
        "día: como texto, 10 va antes que 9 y las filas nuevas no se leerían. No se cargó nada y "
        "la tabla conserva sus últimos datos buenos.",
        f"si son números, declare {column.name} como número en {contract.path.name} "
        "(`logicalType: integer`, `physicalType: bigint`): se compara entonces como número; si no, "
        "elija otro `cursor` o `loadMode: full`.",
    )


def is_misordered(values: Array) -> bool:
    """Whether some of these texts (or bytes) do not sort as they grow."""
    trimmed: Any = pc.utf8_trim_whitespace(values) if str(values.type) == "string" else values
    numbers = pc.and_not(
        pc.match_substring_regex(trimmed, _NUMBER), pc.match_substring_regex(trimmed, _CALENDAR)
    )
    return bool(
        pc.any(pc.or_(numbers, pc.match_substring_regex(trimmed, _DAY_FIRST))).as_py() or False
    )

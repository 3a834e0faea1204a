"""Date formats in the letters of the JDK, which is how the contract standard writes them.

Belongs here: turning `dd/MM/yyyy HH:mm:ss` into something that works on a whole column. Does not
belong here: which columns have a format, and what becomes of values that do not match it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sources.contract import Contract
from sources.errors import ContractError
from sources.readers.arrow import Array, pc
from sources.readers.base import problem


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A date format in JDK letters (as ODCS writes them), ready to be applied to a column."""

    pattern: str
    template: str
    padded: bool
    zoned: bool
    named: bool
    strftime: str

    def to_iso(self, texts: Array) -> Array:
        """ISO 8601 text of values that match `pattern`."""
        iso = pc.replace_substring_regex(texts, self.pattern, self.template)
        for number, name in enumerate(_MONTHS if self.named else (), start=1):
            iso = pc.replace_substring_regex(iso, rf"-(?i:{name})\.?-", f"-{number:02}-")
        if self.padded:
            return iso
        # Parts written without a leading zero were given one after a mark: keep two digits.
        iso = pc.replace_substring_regex(iso, r"~0(\d\d)", r"\1")
        return pc.replace_substring(iso, "~", "")


# Names of months as people and programs of here write them, and the short ones of English.
_MONTHS = (
    "ene(?:ro)?|jan", "feb(?:rero)?", "mar(?:zo)?", "abr(?:il)?|apr", "may(?:o)?", "jun(?:io)?",
    "jul(?:io)?", "ago(?:sto)?|aug", "sept?(?:iembre)?|set(?:iembre)?", "oct(?:ubre)?",
    "nov(?:iembre)?", "dic(?:iembre)?|dec",
)  # fmt: skip
_MONTH_NAME = rf"((?i:{'|'.join(_MONTHS)})\.?)"
# Letter -> (part, expression, strftime); a part written with one letter may have one digit.
_TOKENS: dict[str, tuple[str, str, str]] = {
    "yyyy": ("year", r"(\d{4})", "%Y"),
    "uuuu": ("year", r"(\d{4})", "%Y"),
    "yy": ("short_year", r"(\d{2})", "%y"),
    "MM": ("month", r"(\d{2})", "%m"),
    "M": ("~month", r"(\d{1,2})", "%m"),
    "MMM": ("month", _MONTH_NAME, ""),
    "MMMM": ("month", _MONTH_NAME, ""),
    "dd": ("day", r"(\d{2})", "%d"),
    "d": ("~day", r"(\d{1,2})", "%d"),
    "HH": ("hour", r"(\d{2})", "%H"),
    "H": ("~hour", r"(\d{1,2})", "%H"),
    "mm": ("minute", r"(\d{2})", "%M"),
    "ss": ("second", r"(\d{2})", "%S"),
    "X": ("zone", r"(Z|[+-]\d{2}(?::?\d{2})?)", "%z"),
    "XX": ("zone", r"(Z|[+-]\d{4})", "%z"),
    "XXX": ("zone", r"(Z|[+-]\d{2}:\d{2})", "%z"),
    "Z": ("zone", r"([+-]\d{4})", "%z"),
}
_TOKEN = re.compile(r"'(?P<literal>[^']*)'|(?P<letters>([A-Za-z])\3*)|(?P<sign>[^A-Za-z'])")


def jdk_format(contract: Contract, text: str) -> TimeFormat:
    """The format `text`; raises ContractError when a letter in it is not supported."""
    try:
        return _jdk_format(text)
    except ValueError as error:
        raise problem(
            ContractError,
            contract,
            f"formato de fecha no admitido {text!r}: {error}.",
            f"use {', '.join(_TOKENS)}, S y textos entre comillas simples.",
        ) from error


def written_as(contract: Contract, text: str) -> str:
    """How a time is written in the format `text`, for `strftime`.

    Raises ContractError like `jdk_format`, and for names of months: a program writes them in the
    language of its machine.
    """
    form = jdk_format(contract, text)
    if form.named:
        raise problem(
            ContractError,
            contract,
            f"el formato {text!r} tiene el nombre del mes y solo sirve para leer.",
            "declare la columna como fecha (`physicalType: date`), o el mes en números.",
        )
    return form.strftime


@lru_cache(maxsize=256)
def _jdk_format(text: str) -> TimeFormat:
    pattern = written = ""
    groups: dict[str, tuple[int, bool]] = {}
    for token in _TOKEN.finditer(text):
        letters = token["letters"]
        if letters is None:
            sign = token["sign"] or token["literal"] or "'"
            pattern += re.escape(sign)
            written += sign.replace("%", "%%")
            continue
        part, expression, directive = _token(letters)
        name = part.removeprefix("~")
        if name in groups:
            raise ValueError(f"{letters!r} está repetido")
        groups[name] = (len(groups) + 1, part.startswith("~"))
        pattern += expression
        written += directive
    return TimeFormat(
        pattern=f"^{pattern}$",
        template=_iso_template(groups),
        padded=not any(loose for _, loose in groups.values()),
        zoned="zone" in groups,
        named=_MONTH_NAME in pattern,
        strftime=written,
    )


def _token(letters: str) -> tuple[str, str, str]:
    if set(letters) == {"S"} and len(letters) <= 6:
        return "fraction", rf"(\d{{{len(letters)}}})", "%f"
    if letters not in _TOKENS:
        raise ValueError(f"{letters!r} no se entiende")
    return _TOKENS[letters]


def _iso_template(groups: dict[str, tuple[int, bool]]) -> str:
    def part(name: str) -> str:
        number, loose = groups[name]
        return f"~0\\{number}" if loose else f"\\{number}"

    if not {"month", "day"} <= groups.keys() or not {"year", "short_year"} & groups.keys():
        raise ValueError("faltan el año, el mes o el día")
    year = part("year") if "year" in groups else f"20{part('short_year')}"
    iso = f"{year}-{part('month')}-{part('day')}"
    if "hour" in groups:
        minute = part("minute") if "minute" in groups else "00"
        second = part("second") if "second" in groups else "00"
        iso += f" {part('hour')}:{minute}:{second}"
        iso += f".{part('fraction')}" if "fraction" in groups else ""
        iso += part("zone") if "zone" in groups else ""
    elif groups.keys() & {"minute", "second", "fraction", "zone"}:
        raise ValueError("falta la hora (HH)")
    return iso

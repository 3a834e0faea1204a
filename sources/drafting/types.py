"""Types that a column's values have, as far as they were seen.

Belongs here: choosing, of the types a contract may declare, the narrowest that takes the values of
a sample; a few mistakes among many do not hide what a column is. Does not belong here: what a type
accepts: the casts of every load decide (`sources/casting.py`), so that a draft never promises what
a load refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from sources.arrow_values import from_texts
from sources.casting import NumberStyle, cast_column, without_missing, without_signs
from sources.contract import Column, Contract
from sources.drafting.document import DraftColumn
from sources.readers.arrow import pc

# How dates are written; the first that takes every value. Day first, as in Spanish: a column whose
# days never pass the 12th is read so.
_DATES = ("dd/MM/yyyy", "dd-MM-yyyy", "dd.MM.yyyy", "yyyy/MM/dd", "MM/dd/yyyy", "dd/MM/yy",
          "d/M/yyyy", "d-M-yyyy", "M/d/yyyy", "d/M/yy")  # fmt: skip
# With the month's name, as spreadsheets of here show what is typed as 1-1.
_NAMED_DATES = ("d-MMM-yy", "d-MMM-yyyy", "d/MMM/yyyy", "d 'de' MMMM 'de' yyyy")
_CLOCKS = ("HH:mm:ss", "HH:mm", "H:mm:ss", "H:mm")
_ZERO_FIRST = r"^[+-]?0\d"
_HAS_DIGITS_ONLY = r"^[0-9.]+$"
_COMMA = re.compile(NumberStyle(",", ".").pattern)
_ANY_COMMA = r",\d+$"
_PLAIN = re.compile(NumberStyle().pattern)
# What people write beside amounts and shares; longer ones first.
_SIGNS = ("U$S", "u$s", "US$", "$", "€", "%")
_GROUPED = r"\d\.\d{3}(\.|,|$)"
# 1,234.50: only both signs together tell a comma between thousands from a decimal one.
_ENGLISH = re.compile(NumberStyle(".", ",").pattern)
_BOTH_SIGNS = r"\d,\d{3}\.\d"
# How people write that there is no value, in lower case.
_MISSING = frozenset(
    {"s/d", "sd", "s/i", "n/d", "nd", "n/a", "#n/a", "na", "nan", "null", "none", "nulo", "nil",
     "-", "--", "—", "sin dato", "sin datos", "no informa", "no corresponde"}
)  # fmt: skip
_MISSING_WORDS = from_texts(sorted(_MISSING))
_LEAST_DIGITS, _MOST_DIGITS = 18, 38
# Before the point, however many there are behind it: the next file's numbers may be larger.
_LEAST_WHOLE = 10
_LEAST_SCALE, _MOST_SCALE = 2, 20
# Binary numbers with more decimals than this were worked out, not written by somebody.
_MOST_FLOAT_SCALE = 6
_ISO_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
_HAS_ZONE = r"(Z|[+-]\d\d:?(\d\d)?)$"
# So many of a column's values may be mistakes: one in a hundred, and none of fewer.
_MISTAKEN_SHARE = 0.01


def style_of(columns: Iterable[pa.ChunkedArray[Any]]) -> NumberStyle:
    """How a file writes numbers: as one of its columns that shows it by its signs."""
    style, signs = NumberStyle(), set[str]()
    for column in columns:
        texts = _texts(column)
        if texts is None:
            continue
        texts = texts.filter(pc.invert(pc.is_in(pc.utf8_lower(texts), value_set=_MISSING_WORDS)))
        if not len(texts):
            continue
        used = [sign for sign in _SIGNS if _any(texts, _beside(sign))]
        if used:
            bare = without_signs(texts, used)
            if any(_nearly_all(bare, form.pattern) for form in (_COMMA, _ENGLISH, _PLAIN)):
                signs.update(used)
                texts = bare
        if style.plain:
            style = _written(texts, money=any(sign != "%" for sign in used))
    return replace(style, signs=tuple(sign for sign in _SIGNS if sign in signs))


def _beside(sign: str) -> str:
    """The pattern of texts that begin or end with a sign."""
    return rf"^[+-]?\s*{re.escape(sign)}|{re.escape(sign)}$"


def _written(texts: Any, *, money: bool) -> NumberStyle:
    """How numbers are written; amounts of money have two decimals, so 1.500 is a large one."""
    if _nearly_all(texts, _COMMA.pattern):
        grouped = _any(texts, _GROUPED)
        if _any(texts, _ANY_COMMA) or (money and grouped):
            return NumberStyle(",", "." if grouped else "")
    if _nearly_all(texts, _ENGLISH.pattern) and _any(texts, _BOTH_SIGNS):
        return NumberStyle(".", ",")
    return NumberStyle()


def words_for_missing(
    contract: Contract, column: Column, values: pa.ChunkedArray[Any], style: NumberStyle
) -> frozenset[str]:
    """Usual words for "no value" that alone keep a column from being of a type; none otherwise."""
    texts = _texts(values)
    if texts is None or not len(texts):
        return frozenset()
    words = _MISSING.intersection(pc.unique(pc.utf8_lower(texts)).to_pylist())
    if not words or propose(contract, column, values, style).physical_type != "text":
        return frozenset()
    rest = pa.chunked_array([without_missing(texts.combine_chunks(), from_texts(sorted(words)))])
    typed = propose(contract, column, rest, style).physical_type
    return words if rest.null_count < len(rest) and typed != "text" else frozenset()


def propose(
    contract: Contract, column: Column, values: pa.ChunkedArray[Any], style: NumberStyle
) -> DraftColumn:
    """The column with the narrowest type that takes every value; text where none does.

    Where none does, one whose misfits are few and look like mistakes, with a note of them: a word
    among numbers, a day that does not exist. A code with a letter among numbers is no mistake.
    """
    array = pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)
    known = array.drop_null()
    text = DraftColumn(column.source_name, "text")
    if not len(known):
        return _by_type(text, array.type)
    nearest, fewest = text, int(len(known) * _MISTAKEN_SHARE) + 1
    for physical, form, local in _candidates(known, style, contract.kind):
        asked: Any = replace(column, pg_type=physical, format=form, logical_type="")
        failures = cast_column(contract, asked, known, style).failures
        found = replace(text, physical_type=physical, format=form, local_time=local)
        if not failures:
            return replace(found, note=_note_of(known, found))
        misfits = np.logical_or.reduce([failure.mask for failure in failures])
        count = int(misfits.sum())
        if count < fewest and _are_mistakes(known, misfits, found):
            nearest, fewest = replace(found, note=_misfit_note(count, len(known), physical)), count
    return nearest


def _note_of(values: Any, found: DraftColumn) -> str:
    """What a person should check of a type that takes every value."""
    texts = _texts(values)
    if found.physical_type != "boolean" or texts is None or _any(texts, r"\w\w"):
        return ""
    letters = ", ".join(sorted(set(texts.to_pylist())))
    return f"dice solo {letters}, leídos como sí y no; si son otra cosa, el tipo es text"


def _by_type(column: DraftColumn, kind: Any) -> DraftColumn:
    """A column without a value, by the type its file declares; text where it declares none."""
    if pa.types.is_integer(kind):
        return replace(column, physical_type="bigint")
    if pa.types.is_floating(kind):
        return replace(column, physical_type="double precision")
    nothing = pa.array([], kind)
    for physical, form, local in _candidates(nothing, NumberStyle(), ""):
        if not (pa.types.is_timestamp(kind) and physical == "date"):
            return replace(column, physical_type=physical, format=form, local_time=local)
    return column


def _misfit_note(count: int, values: int, physical: str) -> str:
    return (
        f"{count} de {values} valores no son {physical} e irían a cuarentena; si están bien, el "
        "tipo es text"
    )


def _are_mistakes(values: Any, misfits: Any, found: DraftColumn) -> bool:
    texts = _texts(values.filter(pa.array(misfits)))
    if texts is None or found.physical_type == "boolean":
        return False
    return found.logical_type not in ("integer", "number") or not _any(texts, r"\d")


def _candidates(
    array: Any, style: NumberStyle, source: str
) -> Iterator[tuple[str, str | None, bool]]:
    """Types worth trying: physical type, format of dates, whether times are on the local clock."""
    kind = array.type
    if pa.types.is_boolean(kind):
        yield "boolean", None, False
    elif pa.types.is_integer(kind):
        yield "bigint", None, False
        yield "numeric(38,0)", None, False
    elif pa.types.is_decimal(kind):
        scale = max(kind.scale, _LEAST_SCALE)
        digits = max(kind.precision - kind.scale + scale, _LEAST_DIGITS)
        yield f"numeric({min(digits, _MOST_DIGITS)},{scale})", None, False
    elif pa.types.is_floating(kind):
        yield "bigint", None, False
        scale = _float_scale(array)
        if scale is not None:
            yield f"numeric(18,{max(scale, _LEAST_SCALE)})", None, False
        yield "double precision", None, False
    elif pa.types.is_date(kind):
        yield "date", None, False
    elif pa.types.is_timestamp(kind):
        yield "date", None, False
        yield "timestamptz", None, kind.tz is None
    elif pa.types.is_nested(kind):
        yield "jsonb", None, False
    elif (texts := _texts(array)) is not None and len(texts):
        yield from _of_texts(texts, style, source)


def _of_texts(
    texts: Any, style: NumberStyle, source: str
) -> Iterator[tuple[str, str | None, bool]]:
    if style.signs:
        texts = without_signs(texts, style.signs)
    # Codes such as 007 are no numbers, and 0 and 1 may be anything but yes and no.
    if _any(texts, _ZERO_FIRST) and not _any(texts, r"[/:-]"):
        return
    if not pc.all(pc.match_substring_regex(texts, _HAS_DIGITS_ONLY)).as_py():
        yield "boolean", None, False
    yield "bigint", None, False
    numbers = texts.filter(pc.match_substring_regex(texts, style.pattern))
    if len(numbers):
        physical, scale = _numeric(numbers, style)
        # A sheet's quotients have as many decimals as fit; a text was written so by somebody.
        if source == "xlsx" and scale > _MOST_FLOAT_SCALE:
            physical = "double precision"
        yield physical, None, False
    yield "date", None, False
    yield from (("date", form, False) for form in (*_DATES, *_NAMED_DATES))
    zoned = _any(texts, _HAS_ZONE)
    if _nearly_all(texts, _ISO_MOMENT):
        yield "timestamptz", None, not zoned
    for day in _DATES:
        for clock in _CLOCKS:
            yield "timestamptz", f"{day} {clock}", True


def _numeric(texts: Any, style: NumberStyle) -> tuple[str, int]:
    """The type that takes these numbers, and its decimals."""
    plain = pc.replace_substring(texts, style.thousands, "") if style.thousands else texts
    plain = pc.replace_substring(plain, style.decimal, ".")
    parts = [text.lstrip("+-").partition(".") for text in plain.to_pylist()]
    whole = max(len(part[0]) for part in parts)
    scale = min(max(_LEAST_SCALE, *(len(part[2]) for part in parts)), _MOST_SCALE)
    digits = max(_LEAST_DIGITS, max(_LEAST_WHOLE, whole + 1) + scale)
    return f"numeric({min(digits, _MOST_DIGITS)},{scale})", scale


def _float_scale(array: Any) -> int | None:
    """Decimals the numbers were written with, where they were written and not worked out."""
    scale = 0
    for value in pc.unique(array).to_pylist():
        written = repr(value)
        if "e" in written or "n" in written:
            return None
        scale = max(scale, len(written.partition(".")[2]))
        if scale > _MOST_FLOAT_SCALE:
            return None
    return scale


def _texts(column: Any) -> Any:
    """The values that say something, without blanks around; None for a column of another type."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    trimmed = pc.utf8_trim_whitespace(column.drop_null())
    return trimmed.filter(pc.not_equal(trimmed, ""))


def _nearly_all(texts: Any, pattern: str) -> bool:
    matching = pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0
    return bool(matching >= len(texts) * (1 - _MISTAKEN_SHARE))


def _any(texts: Any, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())

"""From what a source gave to the types of the contract; rows that do not fit are set aside.

Belongs here: the change of representation, exact or not at all. Nothing is corrected, guessed or
rounded: a value that the declared type cannot hold exactly sends its whole row to `rejected`,
verbatim. Does not belong here: rules about what a value may be (`expectations/`) or corrections
(staging).

What counts as exact:
  * text is trimmed and an empty text is null in every column that is not text; text columns keep
    their value as it is, the empty text too;
  * a word of the contract's `missingValues` (s/d, -) is null there, too, in any case;
  * numbers may be written with zeros beyond the declared scale, never with other digits there;
  * a whole number may be written 5.0; a date may carry a time of day that is midnight;
  * a time without zone is local to the column's `defaultTimezone` (the city's zone
    where it has none); a local time that a clock change skipped or repeated takes the earlier of
    its two readings;
  * times are kept to the microsecond, the resolution of PostgreSQL; finer digits are cut off.

Whole columns are converted by Arrow's kernels: first as they stand, which is right for most, then
with blanks trimmed. Only a column in which something fails is looked at more closely, by halves,
until the bad values stand alone.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from sources.arrow_values import (
    EMPTY,
    NO,
    NO_TEXT,
    YES,
    from_flags,
    from_numbers,
    from_some_texts,
    from_texts,
    to_flags,
    to_numbers,
    to_texts,
)
from sources.city import city_timezone
from sources.contract import Column, Contract
from sources.errors import DriftError
from sources.readers.arrow import Array, pc
from sources.readers.base import (
    Mask,
    RawBatch,
    RejectedRow,
    as_text,
    problem,
    row_values,
    source_columns,
    verbatim,
)
from sources.readers.time_format import jdk_format, written_as

RULE_TYPE = "tipo_invalido"
RULE_RANGE = "fuera_de_rango"
RULE_NUL = "texto_con_nulo"
DEFAULT_TIMEZONE = city_timezone().key

_UTC = pa.timestamp("us", tz="UTC")
_NAIVE = pa.timestamp("us")
# 0001-01-01 and 9999-12-31, from 1970.
_FIRST_DAY, _LAST_DAY, _DAY_US = -719_162, 2_932_896, 86_400_000_000
# What `format` says of a count, microseconds in one, and the digits it has in the year 9999.
_COUNTED_FROM_1970 = {"epoch_s": (1_000_000, 12), "epoch_ms": (1_000, 15)}
_NO_DAY = "está fuera del rango de fechas admitido"
# Every integer type of PostgreSQL fits in it, and Arrow reads '5.00' into it as 5.
_WHOLE = pa.decimal128(38, 0)
_TRUE = from_texts(["true", "t", "1", "1.0", "si", "sí", "s", "yes", "y", "verdadero", "v"])
_FALSE = from_texts(["false", "f", "0", "0.0", "no", "n", "falso"])
_UNKNOWN = pa.nulls(1, pa.bool_())[0]
_LONGEST_SHOWN = 60
_HALF_DAY = dt.timedelta(hours=12)
_MOST_YEARS = 60
# Digits of the widest numeric a contract may declare.
_MOST_DIGITS = 38
# Blanks between a number and its sign, those that hold them together included.
_GAP = r"[\s\x{a0}\x{202f}]*"
# Exponents, and numbers so long that they might have more digits than that.
_ODD_NUMBER = r"[eE]|.{37}"


@dataclass(frozen=True, slots=True)
class CastBatch:
    """A batch in the contract's types.

    `good` has exactly `contract.arrow_schema`; `rows` numbers its rows as the source does.
    `rejected` are the rows that are not in it, those the reader had set aside included, by row
    number: `good.num_rows + len(rejected)` is what was read.
    """

    good: pa.RecordBatch
    rows: pa.Int64Array
    rejected: tuple[RejectedRow, ...]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Where values of a column do not fit, under which rule, and why in words."""

    mask: Mask
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class _Casted:
    """A column in its type (null where it failed) and its failures; none is the usual case."""

    array: Array
    failures: tuple[_Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How a file writes numbers: the contract's options `decimal`, `thousands`, `numberSigns`.

    Without a declared thousands sign, none is accepted: 1.234 could be either number. `signs` are
    what may stand before or after one: `$ 1.234,56`, `12,5 %`.
    """

    decimal: str = "."
    thousands: str = ""
    signs: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        return self.decimal == "." and not self.thousands

    @property
    def pattern(self) -> str:
        point, group = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"(?:\d+|\d{{1,3}}(?:{group}\d{{3}})+)" if group else r"\d+"
        if self.plain:
            return r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$"
        return rf"^[+-]?{whole}(?:{point}\d+)?$"


_NUMBER = re.compile(NumberStyle().pattern, re.ASCII)


def cast_batch(contract: Contract, raw: RawBatch) -> CastBatch:
    """Give every column of `raw` the contract's type; rows with a value that does not fit leave.

    Raises DriftError when `raw` lacks a column of the contract, ContractError when a format in
    the contract cannot be understood. Never raises for a value.
    """
    columns = dict(zip(raw.data.schema.names, raw.data.columns, strict=True))
    if missing := [c.source_name for c in source_columns(contract) if c.name not in columns]:
        raise problem(
            DriftError,
            contract,
            f"faltan columnas en lo leído: {', '.join(missing)}.",
            "avise al equipo de datos.",
        )
    # A database or an API writes numbers in one way only, whatever a file would do.
    style = number_style(contract.options) if contract.from_files else NumberStyle()
    words = missing_words(contract.options)
    if words is not None:
        for column in contract.columns:
            if column.pg_type != "text":
                columns[column.name] = without_missing(columns[column.name], words)
    casted = {
        column.name: cast_column(contract, column, columns[column.name], style)
        for column in contract.columns
    }
    arrays = [casted[column.name].array for column in contract.columns]
    good = pa.RecordBatch.from_arrays(arrays, schema=contract.arrow_schema)
    bad = _any_failure(casted, raw.data.num_rows)
    if bad is None:
        return CastBatch(good, raw.rows, raw.rejected)
    keep = from_flags(~bad)
    rejected = [*raw.rejected, *_rejected_rows(contract, columns, casted, raw.rows, bad)]
    return CastBatch(
        good=good.filter(keep),
        rows=raw.rows.filter(keep),
        rejected=tuple(sorted(rejected, key=lambda row: row.row_number)),
    )


def number_style(options: Mapping[str, Any]) -> NumberStyle:
    """The style of numbers a contract's options declare."""
    return NumberStyle(
        str(options.get("decimal") or "."),
        str(options.get("thousands") or ""),
        tuple(options.get("numberSigns") or ()),
    )


def without_signs(texts: Array, signs: Sequence[str]) -> Array:
    """Texts without one of the signs before and one after, and without the blanks beside it."""
    any_of = "|".join(re.escape(sign) for sign in sorted(signs, key=len, reverse=True))
    before = rf"^([+-]?){_GAP}(?:{any_of}){_GAP}([+-]?)"
    texts = pc.replace_substring_regex(texts, before, r"\1\2")
    return pc.replace_substring_regex(texts, rf"{_GAP}(?:{any_of})$", "")


def missing_words(options: Mapping[str, Any]) -> Array | None:
    """The words by which a contract's source says that there is no value; None where it has none.

    `missingValues` is what Frictionless Table Schema calls them.
    """
    words = options.get("missingValues")
    return from_texts([str(word).strip().lower() for word in words]) if words else None


def without_missing(array: Array, words: Array) -> Array:
    """Texts with null where they are one of the words; a column of another type as it is."""
    array = _plain(array)
    if not pa.types.is_string(array.type):
        return array
    found = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(array)), value_set=words)
    return pc.if_else(found, NO_TEXT, array)


def cast_column(contract: Contract, column: Column, array: Array, style: NumberStyle) -> _Casted:
    """One column in its type; see the module's docstring for what is accepted."""
    array = _plain(array)
    if column.implied_decimals:
        return _with_point(contract, column, array, style)
    kind, target = column.pg_type, column.arrow_type
    if pa.types.is_null(array.type):
        return _Casted(pc.cast(array, target))
    converters: dict[str, Callable[[], _Casted]] = {
        "text": lambda: _to_text(contract, column, array),
        "jsonb": lambda: _to_json(array),
        "boolean": lambda: _to_boolean(array),
        "date": lambda: _to_date(contract, column, array),
        "timestamp": lambda: _to_time(contract, column, array),
        "timestamptz": lambda: _to_time(contract, column, array),
        "double precision": lambda: _to_float(array, style),
    }
    if array.type == target and not pa.types.is_string(target):
        casted = _Casted(array)
    else:
        casted = converters.get(kind, lambda: _to_exact_number(column, array, style))()
    return _in_the_calendar(casted) if pa.types.is_temporal(target) else casted


# --- text -----------------------------------------------------------------------------------------


def _to_text(contract: Contract, column: Column, array: Array) -> _Casted:
    if not pa.types.is_string(array.type):
        array = _typed_to_text(contract, column, array)
    return _without_nul(array)


def _typed_to_text(contract: Contract, column: Column, array: Array) -> Array:
    """A typed value as the text the contract describes: dates in the declared format."""
    kind = array.type
    if column.format and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        if pa.types.is_timestamp(kind) and kind.tz:
            array = _local(array, column)
        written = written_as(contract, column.format)
        return pc.strftime(pc.cast(array, pa.timestamp("s"), safe=False), format=written)
    return from_some_texts(verbatim(array)) if _is_nested(kind) else _as_strings(array)


def _to_json(array: Array) -> _Casted:
    texts = array if pa.types.is_string(array.type) else from_some_texts(verbatim(array))
    texts = _empty_to_null(texts)
    bad = np.array([value is not None and not _is_json(value) for value in texts.to_pylist()], bool)
    return _with_failure(_Casted(texts), bad, RULE_TYPE, "no es JSON válido")


def _is_json(text: str) -> bool:
    # PostgreSQL's jsonb cannot hold the character zero, escaped or not.
    if "\\u0000" in text:
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _without_nul(array: Array) -> _Casted:
    """PostgreSQL cannot store the character zero in a text."""
    if not _holds(array, "\x00"):
        return _Casted(array)
    held = pc.match_substring(array, "\x00")
    return _with_failure(_Casted(array), _mask(held), RULE_NUL, "contiene el carácter nulo")


# --- numbers and booleans -------------------------------------------------------------------------


def _as_it_stands(array: Array, target: Any, style: NumberStyle) -> Array | None:
    """A column of texts in which every value is plainly a number of the target type; else None."""
    if not pa.types.is_string(array.type) or style.thousands:
        return None
    if style.decimal != "." and _holds(array, style.decimal):
        if _holds(array, "."):
            return None
        array = pc.replace_substring(array, style.decimal, ".")
    # Arrow reads 0x1F as a whole number, and loses digits of exponents and of very long numbers.
    if _holds(array, "eExX"):
        return None
    if pa.types.is_decimal(target):
        longest = pc.max(pc.binary_length(array)).as_py() or 0
        if longest + target.scale >= _MOST_DIGITS:
            return None
    try:
        return pc.cast(array, target)
    except pa.ArrowInvalid:
        return None


def _holds(array: Array, characters: str) -> bool:
    """Whether one of these ASCII characters occurs anywhere in a column of texts."""
    _, offsets, data = array.buffers()
    if data is None or len(array) == 0:
        return False
    bounds = np.frombuffer(offsets, np.int32)
    first, last = bounds[array.offset], bounds[array.offset + len(array)]
    text = np.frombuffer(data, np.uint8)[first:last]
    return any(bool((text == ord(character)).any()) for character in characters)


def _to_exact_number(column: Column, array: Array, style: NumberStyle) -> _Casted:
    """Integers and numerics: exact, or the row is rejected."""
    target, kind = column.arrow_type, array.type
    plain = _as_it_stands(array, target, style)
    if plain is not None:
        return _Casted(plain)
    whole = pa.types.is_integer(target)
    why = f"no cabe sin redondear en {column.pg_type}"

    def convert(values: Array) -> Array:
        if not whole:
            return _to_decimal(values, target)
        if not pa.types.is_integer(values.type):
            values = pc.cast(values, _WHOLE)
        return pc.cast(values, target)

    if pa.types.is_decimal128(kind) or (whole and pa.types.is_integer(kind)):
        return _convert(array, convert, RULE_RANGE, why)
    not_a_number = "no es un número entero" if whole else "no es un número"
    texts, failures = _plain_numbers(array, style, not_a_number)
    texts, too_long = _spelled_out(texts)
    try:
        result = _Casted(convert(texts), failures)
    except pa.ArrowInvalid:
        result = _convert_shaped(
            texts, convert, not_a_number, why, failures, promising=_fitting(target)
        )
    return _with_failure(result, too_long, RULE_RANGE, why)


def _with_point(contract: Contract, column: Column, array: Array, style: NumberStyle) -> _Casted:
    """Whole numbers whose last digits stand behind a decimal point that is not written.

    A number that does write a point is not guessed at: its row is rejected.
    """
    digits = column.implied_decimals
    texts = _empty_to_null(_as_strings(array))
    whole = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?\d+$"), YES)
    kept = pc.if_else(whole, texts, NO_TEXT)
    sign = pc.if_else(pc.starts_with(kept, "-"), "-", "")
    padded = pc.utf8_lpad(pc.utf8_ltrim(kept, "+-"), digits + 1, "0")
    pointed = pc.binary_join_element_wise(
        sign,
        pc.replace_substring_regex(padded, rf"(\d{{{digits}}})$", r".\1"),
        "",
    )
    casted = cast_column(contract, replace(column, implied_decimals=0), pointed, NumberStyle())
    why = f"no es un número entero, y sus últimas {digits} cifras son decimales sin punto"
    return _with_failure(casted, _mask(pc.invert(whole)), RULE_TYPE, why)


def _fitting(target: Any) -> str:
    """The pattern of numbers, written out, that have no more digits than the type."""
    if pa.types.is_integer(target):
        return rf"^[+-]?0*\d{{1,{len(str(2**target.bit_width))}}}(?:\.0*)?$"
    return rf"^[+-]?0*\d{{0,{target.precision - target.scale}}}(?:\.\d{{0,{target.scale}}}0*)?$"


def _to_float(array: Array, style: NumberStyle) -> _Casted:
    def convert(values: Array) -> Array:
        if pa.types.is_decimal(values.type):
            # By its text: Arrow divides, and 476807.47 comes out as 476807.47000000003.
            values = pc.cast(values, pa.string())
        return pc.cast(values, pa.float64())

    kind, why = array.type, "no cabe en double precision"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return _convert(array, convert, RULE_RANGE, why)
    not_a_number = "no es un número"
    texts, failures = _plain_numbers(array, style, not_a_number)
    casted = _convert_shaped(texts, convert, not_a_number, why, failures)
    # Digits are a finite number: beyond the largest one they would silently be infinity.
    return _with_failure(casted, _mask(pc.is_inf(casted.array)), RULE_RANGE, why)


def _plain_numbers(
    array: Array, style: NumberStyle, not_a_number: str
) -> tuple[Array, tuple[_Failure, ...]]:
    """Numbers as text with a decimal point and without thousands signs.

    Null, and a failure, where one is written in another way than the contract declares.
    """
    if not pa.types.is_string(array.type):
        # A float is read as its shortest decimal text: 0.1 is 0.1, not 0.1000000000000000055.
        return _as_strings(array), ()
    texts = _empty_to_null(array)
    if style.signs:
        texts = without_signs(texts, style.signs)
    if style.plain:
        return texts, ()
    shaped = pc.fill_null(pc.match_substring_regex(texts, style.pattern), YES)
    texts = pc.if_else(shaped, texts, NO_TEXT)
    if style.thousands:
        texts = pc.replace_substring(texts, style.thousands, "")
    texts = pc.replace_substring(texts, style.decimal, ".")
    return texts, _failures(_mask(pc.invert(shaped)), RULE_TYPE, not_a_number)


def _convert_shaped(
    texts: Array,
    convert: Callable[[Array], Array],
    not_a_number: str,
    does_not_fit: str,
    failures: tuple[_Failure, ...],
    *,
    promising: str | None = None,
) -> _Casted:
    """Tell values that are no number from numbers that do not fit."""
    shaped = pc.fill_null(pc.match_substring_regex(texts, NumberStyle().pattern), YES)
    numbers = pc.if_else(shaped, texts, NO_TEXT)
    result = _convert(numbers, convert, RULE_RANGE, does_not_fit, promising=promising)
    shapeless = _failures(_mask(pc.invert(shaped)), RULE_TYPE, not_a_number)
    return _Casted(result.array, (*failures, *shapeless, *result.failures))


def _to_decimal(values: Array, target: Any) -> Array:
    """Text or decimals in a decimal type; raises ArrowInvalid rather than lose a digit.

    Arrow multiplies by the target's scale without noticing an overflow of 128 bits: where the
    digits might be too many on the way, the way goes through 256.
    """
    if pa.types.is_string(values.type):
        digits = pc.max(pc.binary_length(values)).as_py() or 0
    else:
        digits = values.type.precision - values.type.scale
    if digits + target.scale < _MOST_DIGITS:
        return pc.cast(values, target)
    return pc.cast(pc.cast(values, pa.decimal256(76, target.scale)), target)


def _spelled_out(texts: Array) -> tuple[Array, Mask]:
    """Numbers without exponents, null where no numeric can hold them, and the mask of those.

    Arrow reads exponents, and more digits than a decimal has, without noticing what it loses.
    Both are rare: one search settles most columns.
    """
    odd = pc.fill_null(pc.match_substring_regex(texts, _ODD_NUMBER), NO)
    too_long = np.zeros(len(texts), bool)
    if not pc.any(odd).as_py():
        return texts, too_long
    values = texts.to_pylist()
    for index in np.flatnonzero(_mask(odd)):
        values[index] = _without_exponent(values[index])
        too_long[index] = values[index] is None
    return from_some_texts(values), too_long


def _without_exponent(text: str) -> str | None:
    """A number written out; None when it needs more than 38 digits. Other text as it is."""
    if not _NUMBER.fullmatch(text):
        return text
    sign, all_digits, exponent = Decimal(text).as_tuple()
    written = "".join(map(str, all_digits)).lstrip("0")
    digits = written.rstrip("0")
    scale = -int(exponent) - (len(written) - len(digits))
    if not digits:
        return "0"
    if max(len(digits), scale, len(digits) - scale) > _MOST_DIGITS:
        return None
    if scale > 0:
        digits = digits.rjust(scale + 1, "0")
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    return f"{'-' if sign else ''}{digits}{'0' * max(0, -scale)}"


def _to_boolean(array: Array) -> _Casted:
    texts = pc.utf8_lower(_empty_to_null(_as_strings(array)))
    true, false = pc.is_in(texts, value_set=_TRUE), pc.is_in(texts, value_set=_FALSE)
    known = pc.or_(true, false)
    values = pc.if_else(known, true, _UNKNOWN)
    bad = _mask(pc.and_not(pc.is_valid(texts), known))
    return _with_failure(_Casted(values), bad, RULE_TYPE, "no es un valor sí/no")


# --- dates and times ------------------------------------------------------------------------------


def _to_date(contract: Contract, column: Column, array: Array) -> _Casted:
    kind = array.type
    if pa.types.is_date(kind):
        return _Casted(pc.cast(array, pa.date32()))
    if pa.types.is_timestamp(kind):
        times = _to_microseconds(array)
    else:
        texts = _as_strings(array)
        if column.format is None and (dates := _plain_dates(texts)) is not None:
            return _Casted(dates)
        times = _parse_times(contract, column, texts, "no es una fecha válida")
    if times.array.type.tz:
        times = _Casted(_local(times.array, column), times.failures)
    dates = pc.cast(times.array, pa.date32(), safe=False)
    later = pc.fill_null(pc.not_equal(pc.cast(dates, _NAIVE), times.array), NO)
    why = "trae una hora y la columna es una fecha"
    return _with_failure(_Casted(dates, times.failures), _mask(later), RULE_TYPE, why)


def _to_time(contract: Contract, column: Column, array: Array) -> _Casted:
    """`timestamp` keeps the local clock; `timestamptz` the instant, in UTC."""
    kind = array.type
    if pa.types.is_date(kind):
        times = _Casted(pc.cast(array, _NAIVE))
    elif pa.types.is_timestamp(kind):
        times = _to_microseconds(array)
    else:
        times = _parse_times(contract, column, _as_strings(array), "no es una fecha y hora válida")
    if column.pg_type == "timestamptz":
        return _Casted(_instant(times.array, column), times.failures)
    naive = _local(times.array, column) if times.array.type.tz else times.array
    return _Casted(naive, times.failures)


def _to_microseconds(times: Array) -> _Casted:
    def convert(values: Array) -> Array:
        # Cutting off nanoseconds is wanted; an overflow of coarser units is an error.
        cut = values.type.unit == "ns"
        return pc.cast(values, pa.timestamp("us", tz=values.type.tz), safe=not cut)

    return _convert(times, convert, RULE_RANGE, _NO_DAY)


def _in_the_calendar(casted: _Casted) -> _Casted:
    """Days and moments of a source's own: no year is below 1, none beyond 9999."""
    kind = casted.array.type
    a_day, numbers = (1, pa.int32()) if pa.types.is_date(kind) else (_DAY_US, pa.int64())
    # In UTC the first day has begun, and the last one ends, up to a day off.
    more = 0 if pa.types.is_date(kind) or kind.tz is None else a_day
    first, end = _FIRST_DAY * a_day - more, (_LAST_DAY + 1) * a_day + more
    ends = pc.min_max(casted.array)
    lowest, highest = ends["min"].value, ends["max"].value
    if lowest is None or (lowest >= first and highest < end):
        return casted
    counts = pc.cast(casted.array.view(numbers), pa.int64())
    outside = pc.or_(pc.less(counts, first), pc.greater_equal(counts, end))
    within = pc.if_else(outside, pa.nulls(1, kind)[0], casted.array)
    return _with_failure(_Casted(within, casted.failures), _mask(outside), RULE_RANGE, _NO_DAY)


def _parse_times(contract: Contract, column: Column, texts: Array, what: str) -> _Casted:
    """Times written as text, in the column's format or else in ISO 8601.

    The result is naive when no value carries a zone, and in UTC otherwise.
    """
    iso = "AAAA-MM-DD" if column.pg_type == "date" else "AAAA-MM-DD hh:mm:ss"
    why = f"{what} (se espera {column.format or iso})"
    if column.format is None:
        if (times := _plain_times(texts)) is not None:
            return _Casted(times)
        texts = _empty_to_null(texts)
        if (times := _plain_times(texts)) is not None:
            return _Casted(times)
        return _iso_times(column, texts, why)
    if column.format in _COUNTED_FROM_1970:
        return _counted_times(texts, column.format, why)
    texts = _empty_to_null(texts)
    form = jdk_format(contract, column.format)
    shaped = pc.fill_null(pc.match_substring_regex(texts, form.pattern), YES)
    iso = form.to_iso(pc.if_else(shaped, texts, NO_TEXT))
    target = _UTC if form.zoned else _NAIVE
    result = _times_of(iso, target, why)
    if pc.all(shaped).as_py():
        return result
    # ISO 8601 has one reading only, and is how a spreadsheet's own dates arrive.
    rest = _iso_times(column, pc.if_else(shaped, NO_TEXT, texts), why)
    if form.zoned:
        other = _instant(rest.array, column)
    else:
        other = _local(rest.array, column) if rest.array.type.tz else rest.array
    return _Casted(pc.coalesce(result.array, other), (*result.failures, *rest.failures))


def _counted_times(texts: Array, unit: str, why: str) -> _Casted:
    """Seconds or milliseconds since 1970-01-01 in UTC; what is finer than a microsecond is cut."""
    micros, digits = _COUNTED_FROM_1970[unit]
    texts = _empty_to_null(texts)
    shaped = pc.match_substring_regex(texts, rf"^-?\d{{1,{digits}}}(?:\.\d{{1,6}})?$")
    shaped = pc.fill_null(shaped, YES)
    counts = pc.cast(pc.if_else(shaped, texts, NO_TEXT), pa.decimal128(24, 6))
    whole = pc.cast(pc.multiply(counts, pa.scalar(Decimal(micros))), pa.int64(), safe=False)
    times = _in_the_calendar(_Casted(pc.cast(whole, _UTC)))
    return _with_failure(times, _mask(pc.invert(shaped)), RULE_TYPE, why)


def _plain_dates(texts: Array) -> Array | None:
    """Days that are all written AAAA-MM-DD, or not at all."""
    try:
        dates = pc.cast(_empty_to_null(texts), pa.date32())
    except pa.ArrowInvalid:
        return None
    earliest = pc.min(dates).value
    return None if earliest is not None and earliest < _FIRST_DAY else dates


def _plain_times(texts: Array) -> Array | None:
    """Times that are all written as Arrow reads them: all with a zone, or all without."""
    for target in (_UTC, _NAIVE):
        try:
            return _read_times(texts, target)
        except pa.ArrowInvalid:
            continue
    return None


def _read_times(texts: Array, target: Any) -> Array:
    """Raises ArrowInvalid for what is no time, and for the year zero, which no calendar has."""
    times = pc.cast(texts, target)
    earliest = pc.min(times).value
    if earliest is not None and earliest < _FIRST_DAY * _DAY_US:
        raise pa.ArrowInvalid("the year zero")
    return times


_ISO_DATE = r"(\d{4}-\d{2}-\d{2})"
_ISO_CLOCK = r"(\d{2}:\d{2}(?::\d{2})?)"
_ISO_ZONE = r"(Z|[+-]\d{2}(?::?\d{2})?)"
_ISO_NAIVE = rf"^{_ISO_DATE}(?:[T ]{_ISO_CLOCK}(?:[.,](\d{{1,6}})\d*)?)?$"
# Days that a month never has, and hours that no day has; leap years are left to the conversion.
_POSSIBLE_TIME = (
    r"^\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|[12]\d))(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?|$)"
)
_ISO_ZONED = rf"^{_ISO_DATE}[T ]{_ISO_CLOCK}(?:[.,](\d{{1,6}})\d*)? ?{_ISO_ZONE}$"


def _iso_times(column: Column, texts: Array, why: str) -> _Casted:
    """ISO times of every spelling in one column: with zone and without, any number of decimals."""
    zoned = pc.fill_null(pc.match_substring_regex(texts, _ISO_ZONED), NO)
    naive = pc.fill_null(pc.match_substring_regex(texts, _ISO_NAIVE), NO)
    zoned_texts = _respell(pc.if_else(zoned, texts, NO_TEXT), _ISO_ZONED, r"\1T\2.\3Z\4")
    naive_texts = _respell(pc.if_else(naive, texts, NO_TEXT), _ISO_NAIVE, r"\1T\2.\3Z")
    instants = _times_of(zoned_texts, _UTC, why)
    local = _times_of(naive_texts, _NAIVE, why)
    failures = (*instants.failures, *local.failures)
    if pc.any(zoned).as_py():
        merged = pc.coalesce(instants.array, _instant(local.array, column))
    else:
        merged = local.array
    shapeless = _mask(pc.and_not(pc.is_valid(texts), pc.or_(zoned, naive)))
    return _with_failure(_Casted(merged, failures), shapeless, RULE_TYPE, why)


def _times_of(iso: Array, target: Any, why: str) -> _Casted:
    """ISO text as times; a day that its month does not have is a failure."""
    return _convert(
        iso, lambda values: _read_times(values, target), RULE_TYPE, why, promising=_POSSIBLE_TIME
    )


def _respell(texts: Array, pattern: str, template: str) -> Array:
    """ISO text as Arrow reads it. Parts that were absent leave marks, which are taken away."""
    texts = pc.replace_substring_regex(texts, pattern, template)
    for mark, instead in ((r"T\.Z", ""), (r"\.Z", ""), (r"(\.\d+)Z", r"\1")):
        texts = pc.replace_substring_regex(texts, mark, instead)
    return texts


def _zone(column: Column) -> str:
    return column.timezone or DEFAULT_TIMEZONE


def _instant(times: Array, column: Column) -> Array:
    if times.type.tz:
        return pc.cast(times, _UTC)
    offset = _offset_of(times, _zone(column))
    if offset is not None:
        micros = from_numbers(np.array([offset // dt.timedelta(microseconds=1)], np.int64))
        return pc.cast(pc.subtract(times, pc.cast(micros, pa.duration("us"))[0]), _UTC)
    zoned = pc.assume_timezone(times, _zone(column), ambiguous="earliest", nonexistent="earliest")
    return pc.cast(zoned, _UTC)


def _offset_of(times: Array, zone: str) -> dt.timedelta | None:
    """What to take off these local times; None where the zone's clock changed among them.

    Arrow looks up each time by itself, at some microseconds a value.
    """
    years = pc.min_max(pc.year(times))
    first, last = years["min"].as_py(), years["max"].as_py()
    return None if first is None else _steady_offset(zone, first, last)


@functools.lru_cache(maxsize=256)
def _steady_offset(zone: str, first: int, last: int) -> dt.timedelta | None:
    """The zone's offset when it is one and the same on every day of these years.

    The days around them count too, as a clock may change at New Year. Long spans are not tried.
    """
    if first <= dt.MINYEAR or last >= dt.MAXYEAR or last - first > _MOST_YEARS:
        return None
    clock = ZoneInfo(zone)
    day, end = dt.datetime(first, 1, 1) - _HALF_DAY * 2, dt.datetime(last + 1, 1, 2)
    offset = day.replace(tzinfo=clock).utcoffset()
    while day <= end:
        if day.replace(tzinfo=clock).utcoffset() != offset:
            return None
        day += _HALF_DAY
    return offset


def _local(times: Array, column: Column) -> Array:
    zoned = pc.cast(times, pa.timestamp("us", tz=_zone(column)), safe=False)
    return pc.local_timestamp(zoned)


# --- shared steps ---------------------------------------------------------------------------------


def _plain(array: Array) -> Array:
    """The array without encodings that only save space."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        return pc.cast(array, pa.string())
    return array


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind))


def _as_strings(array: Array) -> Array:
    if pa.types.is_string(array.type):
        return array
    try:
        return to_texts(array)
    except pa.ArrowNotImplementedError:
        return from_some_texts([as_text(value) for value in array.to_pylist()])


def _empty_to_null(texts: Array) -> Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, EMPTY), NO_TEXT, trimmed)


def _mask(array: Array) -> Mask:
    return to_flags(array)


def _failures(bad: Mask, rule: str, why: str) -> tuple[_Failure, ...]:
    return (_Failure(bad, rule, why),) if bad.any() else ()


def _with_failure(casted: _Casted, bad: Mask, rule: str, why: str) -> _Casted:
    return _Casted(casted.array, (*casted.failures, *_failures(bad, rule, why)))


def _convert(
    array: Array,
    convert: Callable[[Array], Array],
    rule: str,
    why: str,
    *,
    promising: str | None = None,
) -> _Casted:
    """`convert(array)`, with null and a failure for the values it cannot take.

    `promising` is a pattern that every text which can be converted has: where much is wrong, it
    settles most values at once.
    """
    try:
        return _Casted(convert(array))
    except pa.ArrowInvalid:
        bad = np.zeros(len(array), bool)
        if promising is not None:
            matched = pc.fill_null(pc.match_substring_regex(array, promising), YES)
            array, bad = pc.if_else(matched, array, NO_TEXT), _mask(pc.invert(matched))
        pieces = list(_by_halves(array, convert, bad))
        return _with_failure(_Casted(pa.concat_arrays(pieces)), bad, rule, why)


def _by_halves(array: Array, convert: Callable[[Array], Array], bad: Mask) -> Iterator[Array]:
    """Convert what can be; a value that cannot even alone becomes null and is marked in `bad`."""
    try:
        yield convert(array)
    except pa.ArrowInvalid:
        if len(array) == 1:
            bad[0] = True
            yield pa.nulls(1, convert(array.slice(0, 0)).type)
            return
        middle = len(array) // 2
        yield from _by_halves(array.slice(0, middle), convert, bad[:middle])
        yield from _by_halves(array.slice(middle), convert, bad[middle:])


def _any_failure(casted: Mapping[str, _Casted], rows: int) -> Mask | None:
    masks = [failure.mask for column in casted.values() for failure in column.failures]
    if not masks:
        return None
    bad = np.zeros(rows, bool)
    for mask in masks:
        bad |= mask
    return bad


def _rejected_rows(
    contract: Contract,
    columns: Mapping[str, Array],
    casted: Mapping[str, _Casted],
    rows: pa.Int64Array,
    bad: Mask,
) -> list[RejectedRow]:
    """One entry per bad row: the rule and column of its first failure, the reasons of all."""
    indices: npt.NDArray[np.int64] = np.flatnonzero(bad)
    numbers = to_numbers(rows)
    rejected = []
    for index, values in zip(indices, row_values(contract, columns, indices), strict=True):
        found = [
            (column, failure)
            for column in contract.columns
            for failure in casted[column.name].failures
            if failure.mask[index]
        ]
        first_column, first = found[0]
        reasons = [_reason(column, failure, values) for column, failure in found]
        rejected.append(
            RejectedRow(
                row_number=int(numbers[index]),
                rule=first.rule,
                column=first_column.name,
                reason="; ".join(reasons),
                values=values,
            )
        )
    return rejected


def _reason(column: Column, failure: _Failure, values: Mapping[str, str | None]) -> str:
    """Why a value was refused. The value itself is only shown where anyone may see the column."""
    value = values.get(column.name)
    shown = "el valor"
    if column.classification == "libre_acceso" and value is not None:
        shown = repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    return f"{column.name}: {shown} {failure.why}"

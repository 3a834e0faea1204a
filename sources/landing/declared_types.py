"""Whether a type that a database declares holds every value of another one.

Belongs here: comparing the spellings of MySQL, PostgreSQL and SQL Server. Does not belong here:
what follows from it (`drift.py`). What is not known to be wider counts as changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPELLING = re.compile(r"^([a-z ]+?)\s*(?:\((.*)\))?\s*(unsigned)?\s*(?:zerofill)?$", re.DOTALL)
# Digits of the largest value of each integer type, signed.
_INTEGER_DIGITS = {
    "tinyint": 3, "smallint": 5, "int2": 5, "mediumint": 7, "integer": 10, "int": 10, "int4": 10,
    "bigint": 19, "int8": 19,
}  # fmt: skip
_TEXT_LENGTH = {
    "tinytext": 255, "text": 65_535, "mediumtext": 16_777_215, "longtext": 4_294_967_295,
    "ntext": 4_294_967_295,
}  # fmt: skip
_BOUNDED_TEXT = ("char", "character", "varchar", "character varying", "nchar", "nvarchar", "bpchar")
_NUMERIC = ("decimal", "numeric")
_FLOATS = (("real", "float4", "float"), ("double", "double precision", "float8"))
_ZONED = {
    "timestamp with time zone": True, "timestamptz": True, "timestamp": True,
    "datetimeoffset": True, "timestamp without time zone": False, "datetime": False,
    "datetime2": False, "smalldatetime": False,
}  # fmt: skip
_UNLIMITED = 4_294_967_295


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    arguments: str
    unsigned: bool

    @property
    def numbers(self) -> tuple[int, ...]:
        parts = [part.strip() for part in self.arguments.split(",")]
        return tuple(int(part) for part in parts if part.isdecimal())


def is_widening(before: str, now: str) -> bool:
    """Whether every value of declared type `before` is one of `now` as well, unchanged."""
    old, new = _parsed(before), _parsed(now)
    if old is None or new is None:
        return False
    if old == new:
        return True
    return (
        _wider_number(old, new)
        or _wider_text(old, new)
        or _wider_list(old, new)
        or _wider_float(old, new)
    )


def changes_zone(before: str, now: str) -> bool:
    """Whether times with a zone (instants) became ones of a local clock, or the other way round.

    The same moment is then written otherwise, and the same writing stands for another moment.
    """
    return {_zoned(before), _zoned(now)} == {True, False}


def _zoned(text: str) -> bool | None:
    """None for what is no date and time. In MySQL `timestamp` is the one with a zone."""
    name = re.sub(r"\(\d+\)", "", text.lower())
    return _ZONED.get(" ".join(name.split()))


def _parsed(text: str) -> _Type | None:
    found = _SPELLING.match(" ".join(text.strip().lower().split()))
    if found is None:
        return None
    return _Type(found[1].strip(), found[2] or "", bool(found[3]))


def _wider_number(old: _Type, new: _Type) -> bool:
    if old.unsigned and not new.unsigned and _digits(new) is not None:
        # The upper half of an unsigned type needs the next signed one.
        whole_old, whole_new = _digits(old), _digits(new)
        return whole_old is not None and whole_new is not None and whole_new[0] > whole_old[0]
    if new.unsigned and not old.unsigned:
        return False
    before, after = _digits(old), _digits(new)
    if before is None or after is None:
        return False
    return after[0] >= before[0] and after[1] >= before[1]


def _digits(kind: _Type) -> tuple[int, int] | None:
    """Digits before and after the point."""
    if kind.name in _INTEGER_DIGITS:
        return _INTEGER_DIGITS[kind.name], 0
    if kind.name not in _NUMERIC:
        return None
    if not kind.numbers:
        return (_UNLIMITED, _UNLIMITED)
    precision, scale = (*kind.numbers, 0)[:2]
    return precision - scale, scale


def _wider_text(old: _Type, new: _Type) -> bool:
    before, after = _length(old), _length(new)
    # A shorter text in a column of fixed length comes back with blanks: not the same value.
    fixed = {"char", "character", "nchar", "bpchar"}
    if before is None or after is None or (new.name in fixed and old.name not in fixed):
        return False
    return after >= before


def _length(kind: _Type) -> int | None:
    if kind.name in _TEXT_LENGTH:
        return _UNLIMITED if kind.name == "text" and not kind.arguments else _TEXT_LENGTH[kind.name]
    if kind.name in _BOUNDED_TEXT:
        return kind.numbers[0] if kind.numbers else _UNLIMITED
    return None


def _wider_list(old: _Type, new: _Type) -> bool:
    """A list of values that got more of them."""
    if old.name != new.name or old.name not in ("enum", "set"):
        return False
    return set(_items(old)) <= set(_items(new))


def _items(kind: _Type) -> list[str]:
    return re.findall(r"'((?:[^']|'')*)'", kind.arguments)


def _wider_float(old: _Type, new: _Type) -> bool:
    narrow, wide = _FLOATS
    return old.name in narrow and new.name in wide

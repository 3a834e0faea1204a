"""Numbers as people of the city write them, 2.160.000 and 36,5, and what a disk refuses, in words.

Belongs here: pure functions that give a text, for the messages of every room. Does not belong
here: whole messages, days and moments (`orchestration/wording.py`), or numbers that programs read.
"""

from __future__ import annotations

import errno
from decimal import Decimal

_REFUSALS = {
    errno.ENOSPC: "no hay espacio en el disco",
    errno.EDQUOT: "no hay espacio en el disco",
    errno.EFBIG: "no hay espacio en el disco",
    errno.EACCES: "no hay permiso",
    errno.EPERM: "no hay permiso",
    errno.EROFS: "el disco es de solo lectura",
    errno.ENOENT: "no existe",
    errno.ENOTDIR: "una parte del camino no es una carpeta",
    errno.EISDIR: "es una carpeta",
    errno.EEXIST: "ya existe",
}
_SWAPPED = str.maketrans(",.", ".,")


def number(value: int | float | Decimal, decimals: int = 0) -> str:
    """A number with at most so many decimals: 2.160.000; 36,5; 0."""
    text = f"{value:,.{decimals}f}"
    if decimals:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.translate(_SWAPPED)


def counted(value: float, one: str, many: str, decimals: int = 0) -> str:
    """How many of what: 1 fila; 2.160.000 filas; 1,2 días."""
    text = number(value, decimals)
    return f"{text} {one if text == '1' else many}"


def percent(share: float) -> str:
    """A share of one: 12,5 %."""
    return f"{number(100 * share, 2)} %"


def refusal(error: OSError) -> str:
    """Why the system would not read or write: no hay espacio en el disco."""
    return _REFUSALS.get(error.errno or 0) or error.strerror or str(error)

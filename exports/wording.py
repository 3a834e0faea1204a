"""How dates and periods of a published dataset are said to people.

Belongs here: words that the local pages and the portal share. Does not belong here: what machines
read (`metadata.py`), or a page (`pages.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MONTHS = ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto",
           "septiembre", "octubre", "noviembre", "diciembre")  # fmt: skip


def spoken_day(moment: Any) -> str:
    """A date as it is said: 2 de junio de 2026."""
    year, month, day = str(moment)[:10].split("-")
    return f"{int(day)} de {_MONTHS[int(month) - 1]} de {int(year)}"


def spoken_period(package: Mapping[str, Any]) -> str:
    """From when to when the data of a package are."""
    if "temporal" not in package:
        return "no se indica"
    first, _, last = str(package["temporal"]).partition("/")
    if not last or last == first:
        return spoken_day(first)
    return f"del {spoken_day(first)} al {spoken_day(last)}"

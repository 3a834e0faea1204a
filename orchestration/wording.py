"""Days, moments and areas as people of the city write them.

Belongs here: pure functions that give a text. Does not belong here: sentences, or numbers
(`sources/wording.py`).
"""

from __future__ import annotations

import datetime as dt

from exports.definition import FREQUENCIES
from orchestration.settings import CITY_TIMEZONE

# Owners of tables that the city has still to confirm carry this mark; the area is the same.
_UNCONFIRMED = " (a confirmar)"


def area_of(owner: str) -> str:
    """The area of an owner, confirmed or not."""
    return owner.removesuffix(_UNCONFIRMED)


def day(moment: dt.datetime) -> str:
    """A moment as a day of the city: 03/02/2026."""
    return f"{moment.astimezone(CITY_TIMEZONE):%d/%m/%Y}"


def minute(moment: dt.datetime) -> str:
    """A moment on the city's clock: 03/02/2026 10:15."""
    return f"{moment.astimezone(CITY_TIMEZONE):%d/%m/%Y %H:%M}"


def frequency(code: str | None) -> str:
    """How often, of the code of a contract (`P1M`) or of the portal (`R/P1M`): cada mes.

    One that the national profile does not have stays as it is.
    """
    if code is None:
        return "sin dato"
    return FREQUENCIES.get(code) or FREQUENCIES.get(f"R/{code}") or code

"""Days, moments and numbers as people of the city write them.

Belongs here: pure functions that give a text. Does not belong here: sentences.
"""

from __future__ import annotations

import datetime as dt

from orchestration.settings import CITY_TIMEZONE


def day(moment: dt.datetime) -> str:
    """A moment as a day of the city: 03/02/2026."""
    return f"{moment.astimezone(CITY_TIMEZONE):%d/%m/%Y}"


def minute(moment: dt.datetime) -> str:
    """A moment on the city's clock: 03/02/2026 10:15."""
    return f"{moment.astimezone(CITY_TIMEZONE):%d/%m/%Y %H:%M}"


def number(value: int) -> str:
    """A whole number: 2.160.000."""
    return f"{value:,}".replace(",", ".")

"""Where an incremental read begins.

Belongs here: the watermark in the cursor's type, less the contract's lookback. Does not belong
here: storing it (`landing.py`) or how a source is asked for it (the readers).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sources.casting import DEFAULT_TIMEZONE
from sources.contract import Column, Contract

_TIMES = ("date", "timestamp", "timestamptz")
CursorValue = datetime | date | int | str | Decimal
_PERIOD = re.compile(
    r"^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$"
)


def since_value(contract: Contract, watermark: str) -> CursorValue:
    """The first cursor value to read; instants are in UTC, and a text has no lookback."""
    column = contract.column(contract.cursor or "")
    if column.pg_type == "text":
        return watermark
    if column.pg_type not in _TIMES:
        whole = column.pg_type in ("smallint", "integer", "bigint")
        return (int if whole else Decimal)(watermark) - int(contract.lookback or 0)
    back = period(contract.lookback) if contract.lookback else timedelta(0)
    match column.pg_type:
        case "date":
            return date.fromisoformat(watermark[:10]) - back
        case "timestamp":
            return datetime.fromisoformat(watermark).replace(tzinfo=None) - back
        case _:
            moment = datetime.fromisoformat(watermark)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone_of(column))
            return moment.astimezone(UTC) - back


def period(text: str) -> timedelta:
    """An ISO 8601 period as a time span, a year and a month taken at their longest."""
    match = _PERIOD.match(text)
    if match is None:
        raise ValueError(f"not an ISO 8601 period: {text!r}")
    parts = (int(part or 0) for part in match.groups())
    years, months, weeks, days, hours, minutes, seconds = parts
    return timedelta(
        days=366 * years + 31 * months + days,
        weeks=weeks,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
    )


def zone_of(column: Column) -> ZoneInfo:
    """The zone of a column's times that carry none."""
    return ZoneInfo(column.timezone or DEFAULT_TIMEZONE)

"""The one fact of the city that code and SQL share: where its days begin and end.

Belongs here: reading it. Does not belong here: the city's words and addresses
(`exports/catalogo.yaml`), its lists (`seeds/reference/`), or what differs between two machines of
one city (`orchestration/settings.py`). It stands among dbt's variables because dbt reads no other
file.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sources.documents import parse_yaml
from sources.errors import PipelineError

DBT_PROJECT_FILE = Path(__file__).resolve().parents[1] / "dbt_project" / "dbt_project.yml"
_VARIABLE = "zona_horaria"


class CityError(PipelineError):
    """The city's description cannot be used."""


@functools.lru_cache(maxsize=1)
def city_timezone() -> ZoneInfo:
    """The zone in which business days are counted and times without a zone are read.

    Raises CityError when it is missing or unknown to the tz database.
    """
    return _read_timezone(DBT_PROJECT_FILE)


def city_time(zone: ZoneInfo | None = None) -> str:
    """How a person is told whose clock it is: the place in the zone's name, e.g. `Mendoza`."""
    return (zone or city_timezone()).key.rpartition("/")[2].replace("_", " ")


def fixed_offset(zone: ZoneInfo | None = None) -> str | None:
    """`UTC−3` where clocks are not changed in summer; None where they are."""
    zone = zone or city_timezone()
    year = dt.datetime.now(dt.UTC).year
    offsets = {dt.datetime(year, month, 1, tzinfo=zone).utcoffset() for month in range(1, 13)}
    if len(offsets) != 1 or (offset := offsets.pop()) is None:
        return None
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    sign = "−" if minutes < 0 else "+"
    return "UTC" if not minutes else f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")


def _read_timezone(path: Path) -> ZoneInfo:
    name = parse_yaml(path.read_text(encoding="utf-8")).get("vars", {}).get(_VARIABLE)
    try:
        return ZoneInfo(name)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        raise CityError(
            f"«{name}» no es una zona horaria de la base de datos tz.",
            next_step=f"corrija {_VARIABLE} en {path}, por ejemplo America/Argentina/Mendoza.",
        ) from None

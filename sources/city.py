"""The facts of the city that code, contracts and SQL share: where its days begin and end, the
limits of its coordinates, its currency.

Belongs here: reading them. Does not belong here: the city's words and addresses
(`exports/catalogo.yaml`), its lists (`seeds/reference/`), or what differs between two machines of
one city (`orchestration/settings.py`). They stand among dbt's variables because dbt reads no other
file.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sources.documents import parse_yaml
from sources.errors import PipelineError

DBT_PROJECT_FILE = Path(__file__).resolve().parents[1] / "dbt_project" / "dbt_project.yml"
_VARIABLE = "zona_horaria"
# `${latitud_minima}`; those in capitals, `${SOURCE_MLC_URL}`, are the environment's.
_REFERENCE = re.compile(r"^\$\{([a-z][a-z0-9_]*)\}$")


class CityError(PipelineError):
    """The city's description cannot be used."""


@functools.lru_cache(maxsize=1)
def city_timezone() -> ZoneInfo:
    """The zone in which business days are counted and times without a zone are read.

    Raises CityError when it is missing or unknown to the tz database.
    """
    return _read_timezone(DBT_PROJECT_FILE)


@functools.lru_cache(maxsize=1)
def city_values() -> Mapping[str, Any]:
    """The city's variables by name, texts, numbers and lists: limits in degrees (WGS 84), the
    currency by its code (ISO 4217)."""
    return MappingProxyType(_variables(DBT_PROJECT_FILE))


def with_city_values(document: Any, used: dict[str, Any]) -> Any:
    """The document with the city's value in the place of every `${name}`; `used` is told which.

    Raises CityError for a name that is none of the city's values.
    """
    if isinstance(document, Mapping):
        return {key: with_city_values(value, used) for key, value in document.items()}
    if isinstance(document, list):
        return [with_city_values(value, used) for value in document]
    if not isinstance(document, str) or not (match := _REFERENCE.match(document)):
        return document
    if match[1] not in city_values():
        raise CityError(
            f"{document} no es un valor de la ciudad.",
            next_step=f"los que hay están en `vars` de {DBT_PROJECT_FILE.name}: "
            f"{', '.join(sorted(city_values()))}.",
        )
    used[match[1]] = city_values()[match[1]]
    return used[match[1]]


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
    name: Any = _variables(path).get(_VARIABLE)
    try:
        return ZoneInfo(name)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        raise CityError(
            f"«{name}» no es una zona horaria de la base de datos tz.",
            next_step=f"corrija {_VARIABLE} en {path}, por ejemplo America/Argentina/Mendoza.",
        ) from None


def _variables(path: Path) -> dict[str, Any]:
    variables: dict[str, Any] = parse_yaml(path.read_text(encoding="utf-8")).get("vars", {})
    return variables

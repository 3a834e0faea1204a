"""The city's time zone is written once, and every room takes it from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sources import city
from sources.city import (
    DBT_PROJECT_FILE,
    CityError,
    _read_timezone,
    city_time,
    city_timezone,
    city_values,
    fixed_offset,
    with_city_values,
)
from sources.contract import Contract
from sources.contract_document import parse_contract

ROOT = DBT_PROJECT_FILE.parents[1]
ROOMS = ("sources", "expectations", "exports", "orchestration")
# What each room works with, in a process that has just read the project.
_ASK = """
from sources.casting import DEFAULT_TIMEZONE
from expectations import contract_schema, protocol
from expectations.findings import digest
from exports import formats, spreadsheet
from orchestration.automation import daily_schedule
from orchestration.settings import CITY_TIMEZONE
print(
    DEFAULT_TIMEZONE, contract_schema._CITY_TIME, protocol._CITY_TIME, digest._CITY_TIME,
    formats.TIMEZONE, spreadsheet._ZONE, daily_schedule.execution_timezone, CITY_TIMEZONE,
)
print(daily_schedule.description)
"""


def test_another_city_changes_one_line(tmp_path: Path) -> None:
    for room in (*ROOMS, "dbt_project", "seeds"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("target"))
    settings = tmp_path / "dbt_project" / DBT_PROJECT_FILE.name
    text = settings.read_text(encoding="utf-8")
    changed = text.replace(f"zona_horaria: {city_timezone().key}", "zona_horaria: Asia/Kolkata")
    assert changed != text
    settings.write_text(changed, encoding="utf-8")

    said = subprocess.run(
        [sys.executable, "-c", _ASK], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    zones, description = said.stdout.splitlines()
    assert zones.split() == ["Asia/Kolkata"] * 8
    assert description == "Todos los días a las 03:00 de Kolkata."


def test_nothing_else_names_the_zone() -> None:
    name = city_timezone().key
    found = [
        path.relative_to(ROOT).as_posix()
        for room in (*ROOMS, "dbt_project")
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".sql", ".yml", ".yaml"} and "target" not in path.parts
        and not path.name.endswith("__unit_tests.yml")
        and name in path.read_text(encoding="utf-8")
    ]  # fmt: skip

    # The setting; a message may give it as its example. Unit tests say whose days they speak of.
    assert sorted({*found} - {"sources/city.py"}) == ["dbt_project/dbt_project.yml"]


def test_a_zone_that_does_not_exist_is_told_with_its_file(tmp_path: Path) -> None:
    for line in (
        "{vars: {zona_horaria: America/Lujan}}",
        "{vars: {zona_horaria: 3}}",
        "{vars: {}}",
    ):
        file = tmp_path / "dbt_project.yml"
        file.write_text(line, encoding="utf-8")

        with pytest.raises(CityError, match=r"no es una zona horaria.*dbt_project\.yml"):
            _read_timezone(file)


@pytest.mark.parametrize(
    ("zone", "place", "offset"),
    [
        ("America/Argentina/Mendoza", "Mendoza", "UTC−3"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires", "UTC−3"),
        ("Europe/Madrid", "Madrid", None),
        ("Asia/Kolkata", "Kolkata", "UTC+5:30"),
        ("UTC", "UTC", "UTC"),
    ],
)
def test_people_are_told_whose_clock_it_is(zone: str, place: str, offset: str | None) -> None:
    assert city_time(ZoneInfo(zone)) == place
    assert fixed_offset(ZoneInfo(zone)) == offset


def test_what_the_city_writes_once_is_named_elsewhere() -> None:
    used: dict[str, Any] = {}
    document = {"limits": [{"minimum": "${latitud_minima}"}], "url": "${SOURCE_MLC_URL}", "n": 1}

    assert with_city_values(document, used) == {
        "limits": [{"minimum": city_values()["latitud_minima"]}],
        "url": "${SOURCE_MLC_URL}",
        "n": 1,
    }
    assert list(used) == ["latitud_minima"]
    with pytest.raises(CityError, match=r"\$\{altura\} no es un valor de la ciudad.*moneda"):
        with_city_values(["${altura}"], used)


def test_limits_and_lists_of_the_city_are_written_once() -> None:
    """Contracts and suites of coordinates, currency, terms and basins name the city's variables."""
    once = ("latitud_minima", "longitud_maxima", "moneda", *city_values()["gestiones"],
            *city_values()["cuencas"])  # fmt: skip
    words = [str(city_values().get(name, name)) for name in once]
    rules = [
        (path.relative_to(ROOT).as_posix(), line.strip())
        for folder in ("sources/contracts", "expectations/suites")
        for path in sorted((ROOT / folder).rglob("*.yaml"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"validValues|value_set|imum:|property: unit", line)
    ]

    assert rules
    assert [rule for rule in rules if any(word in rule[1] for word in words)] == []


def test_other_limits_are_another_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ROOT / "sources" / "contracts" / "aguas" / "cuentas.yaml"
    text = file.read_text(encoding="utf-8")
    here = parse_contract(tmp_path / "cuentas.yaml", text)
    monkeypatch.setattr(city, "city_values", lambda: {**city_values(), "latitud_minima": 40.3})
    there = parse_contract(tmp_path / "otras" / "cuentas.yaml", text)

    def limits(contract: Contract) -> list[Any]:
        [column] = [c for c in contract.columns if c.name == "latitud"]
        return [rule.argument for rule in column.rules if rule.kind == "minimum"]

    assert limits(here) == [city_values()["latitud_minima"]] and limits(there) == [40.3]
    assert here.sha256 != there.sha256

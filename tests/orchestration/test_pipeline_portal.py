"""The whole sample on a real portal, connected after a first run that had none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ckanapi import RemoteCKAN

from exports.definition import load_definitions
from tests.orchestration.test_pipeline import City
from tests.support.ckan import CkanPortal


@pytest.mark.ckan
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_dataset_reaches_a_real_portal_and_a_second_time_nothing_is_sent(
    portal: CkanPortal, tmp_path: Path
) -> None:
    city = City(tmp_path / "data")
    try:
        first = city.lujan("run")
        assert first.returncode == 0, first.stdout[-3000:]
        published_twice(city, portal)
    finally:
        city.lujan("clean", "--yes")


def published_twice(city: City, portal: CkanPortal) -> None:
    there = {"CKAN_URL": portal.url, "CKAN_TOKEN": portal.token}
    done = city.lujan("run", **there)
    assert done.returncode == 0, done.stdout[-3000:]
    once = shown(portal)
    assert set(load_definitions().definitions) <= set(once)
    for name in load_definitions().definitions:
        package = once[name]
        assert package["state"] == "active" and "sintétic" in package["notes"].lower(), name
        files = {item["fileName"] for item in package["resources"]}
        assert any(file.endswith(".csv") for file in files), name
    # What was exported is gone from the disk, so it is made and compared again; but for what has
    # to be held against the files of the last release.
    for name, definition in load_definitions().definitions.items():
        rules = [resource.divulgacion for resource in definition.recursos]
        if not any(rule and rule.diferencia_minima for rule in rules):
            shutil.rmtree(city.folder / "exports" / name)
    done = city.lujan("run", **there)
    assert done.returncode == 0, done.stdout[-3000:]
    assert shown(portal) == once


def shown(portal: CkanPortal) -> dict[str, dict[str, Any]]:
    """What anybody sees of every dataset, by name."""
    found = RemoteCKAN(portal.url).call_action("package_search", {"rows": 1000})
    return {package["name"]: package for package in found["results"]}

"""The search engine of the development portal, as CKAN asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from orchestration.portal_dev import solr_stand_in

DOCUMENTS = [
    {
        "index_id": "1", "name": "calidad-del-agua", "title": "Calidad del agua",
        "title_string": "Calidad del agua", "notes": "Análisis de turbidez.",
        "owner_org": "ciudad", "groups": ["envi"], "tags": ["agua"], "res_format": ["CSV", "CSV"],
        "metadata_modified": "2026-01-02T00:00:00Z",
    },
    {
        "index_id": "2", "name": "proyectos", "title": "Proyectos", "title_string": "Proyectos",
        "notes": "Obras y programas.", "owner_org": "ciudad", "groups": ["gove"], "tags": ["obras"],
        "res_format": ["CSV", "JSON"], "metadata_modified": "2026-01-03T00:00:00Z",
    },
]  # fmt: skip


@pytest.fixture
def engine() -> Iterator[str]:
    with solr_stand_in() as port:
        address = f"http://127.0.0.1:{port}/solr/ckan"
        requests.post(f"{address}/update", data=json.dumps(DOCUMENTS), timeout=5)
        yield address


def ask(engine: str, **asked: Any) -> dict[str, Any]:
    answer = requests.get(f"{engine}/select", {"rows": 10, "start": 0} | asked, timeout=5)
    found: dict[str, Any] = answer.json()
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [document["name"] for document in found["response"]["docs"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [("turbidez", ["calidad-del-agua"]), ("ANALISIS agua", ["calidad-del-agua"]), ("nada", [])],
)
def test_words_are_found_wherever_a_reader_sees_them(
    engine: str, words: str, expected: list[str]
) -> None:
    assert names(ask(engine, q=words)) == expected


def test_facets_count_documents_as_the_pages_of_areas_and_themes_need(engine: str) -> None:
    found = ask(engine, q="*:*", **{"facet.field": ["owner_org", "groups", "res_format"]})

    assert found["facet_counts"]["facet_fields"] == {
        "owner_org": ["ciudad", 2],
        "groups": ["envi", 1, "gove", 1],
        "res_format": ["CSV", 2, "JSON", 1],
    }


def test_the_format_of_a_facet_is_filtered_by(engine: str) -> None:
    assert names(ask(engine, q="*:*", fq='+res_format:"JSON"')) == ["proyectos"]


def test_the_newest_comes_first_where_that_is_asked_for(engine: str) -> None:
    assert names(ask(engine, q="*:*", sort="metadata_modified desc"))[0] == "proyectos"
    assert names(ask(engine, q="*:*", sort="score desc, metadata_modified desc")) == [
        "calidad-del-agua",
        "proyectos",
    ]

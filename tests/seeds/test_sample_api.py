"""The API of the sample: pages, change date, token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seeds.sample import serve_api

TOKEN = "prueba"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    rows = [
        {"tramite_digital_id": f"t{day}", "actualizado_en": f"2026-06-{day:02d}T10:00:00-03:00"}
        for day in range(1, 8)
    ]
    (tmp_path / "milujan").mkdir()
    (tmp_path / "milujan" / "tramites_digitales.json").write_text(json.dumps(rows))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        serve_api(tmp_path, token=TOKEN) as api,
        httpx.Client(base_url=f"{api.url}/api/v1", headers=headers) as client,
    ):
        yield client


def ids(answer: httpx.Response) -> list[str]:
    rows: list[dict[str, Any]] = answer.json()["data"]
    return [row["tramite_digital_id"] for row in rows]


def test_pages_add_up_to_everything(client: httpx.Client) -> None:
    pages = [client.get("tramites", params={"page": n, "page_size": 3}) for n in (1, 2, 3, 4)]
    assert [len(ids(page)) for page in pages] == [3, 3, 1, 0]
    assert [name for page in pages for name in ids(page)] == [f"t{n}" for n in range(1, 8)]
    assert {k: v for k, v in pages[1].json().items() if k != "data"} == {
        "page": 2,
        "total_pages": 3,
        "total": 7,
    }


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2026-06-06T10:00:00-03:00", ["t6", "t7"]),
        ("2026-06-06T13:00:01+00:00", ["t7"]),
        ("2026-06-07", ["t7"]),
        ("2026-06-08", []),
    ],
)
def test_since_is_a_moment_not_a_text(
    client: httpx.Client, since: str, expected: list[str]
) -> None:
    assert ids(client.get("tramites", params={"desde": since})) == expected


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer otra"}, {"Authorization": TOKEN}])
def test_a_wrong_token_gets_nothing(client: httpx.Client, header: dict[str, str]) -> None:
    answer = httpx.get(f"{client.base_url}tramites", headers=header)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert "data" not in answer.json()


@pytest.mark.parametrize("params", [{"page": 0}, {"page_size": "todo"}, {"desde": "ayer"}])
def test_bad_parameters_are_told(client: httpx.Client, params: dict[str, Any]) -> None:
    answer = client.get("tramites", params=params)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert next(iter(params)) in answer.json()["error"]


def test_other_paths_do_not_exist(client: httpx.Client) -> None:
    assert client.get("otra").status_code == httpx.codes.NOT_FOUND

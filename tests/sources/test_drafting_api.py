"""Drafts of HTTP APIs, and answers whose further pages nobody declared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.checkers import checkers_for
from sources.contract_document import load_contract
from sources.drafting import Draft, draft_api
from sources.drafting.document import DraftError
from sources.errors import SourceDataError, SourceUnavailable
from sources.readers import open_reader
from sources.rehearsal import rehearse
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract, read_all
from tests.support.http import HttpServer, Reply, Request, http_server

ROWS = [
    {"id": number, "alta": f"2026-01-{number:02d}T10:00:00-03:00", "zona": {"nombre": "Ñ"},
     "monto": 1.50, "tags": [{"a": 1}, {"a": 2}]}
    for number in range(1, 6)
]  # fmt: skip


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpServer]]:
    """Starts servers that answer pages of two rows, as a function of the page's number says."""
    running = []

    def begin(document: Callable[[list[Any], int], Any], **headers: str) -> HttpServer:
        def answer(_number: int, request: Request) -> Reply:
            page = int(request.params.get("pagina", "1"))
            rows = ROWS[(page - 1) * 2 : page * 2]
            return Reply(json.dumps(document(rows, page)).encode(), headers=headers)

        context = http_server(answer)
        running.append(context)
        return context.__enter__()

    yield begin
    for context in running:
        context.__exit__(None, None, None)


def drafted(server: HttpServer) -> Draft:
    return draft_api("s.t", SourceUrl.parse(f"{server.url}/datos"))


def read(draft: Draft, folder: Path, server: HttpServer) -> int:
    path = folder / "borrador.yaml"
    path.write_text(draft.text, encoding="utf-8")
    contract = load_contract(path)
    done = rehearse(contract, SourceUrl.parse(f"{server.url}/datos"), checkers_for(contract))
    assert not done.reasons and not done.unknown
    return done.passed


def test_rows_pages_and_types_by_one_answer(
    tmp_path: Path, serve: Callable[..., HttpServer]
) -> None:
    def document(rows: list[Any], page: int) -> Any:
        following = f"/datos?pagina={page + 1}" if page < 3 else None
        return {"meta": {"total": 5}, "links": {"next": following}, "data": {"filas": rows}}

    server = serve(document)
    draft = drafted(server)

    assert {c.source_name: c.pg_type for c in draft.contract.columns} == {
        "id": "bigint", "alta": "timestamptz", "zona.nombre": "text", "monto": "numeric(18,2)",
        "tags": "text",
    }  # fmt: skip
    assert draft.contract.options.items() >= {
        ("dataPath", "data.filas"), ("nextLink", "links.next"), ("totalPath", "meta.total")
    }  # fmt: skip
    assert read(draft, tmp_path, server) == 5


def test_a_plain_list_is_read_whole(tmp_path: Path, serve: Callable[..., HttpServer]) -> None:
    server = serve(lambda rows, _page: rows)

    draft = drafted(server)

    assert "no muestra más páginas" in draft.text
    assert read(draft, tmp_path, server) == 2


def test_a_total_beyond_the_rows_is_told(serve: Callable[..., HttpServer]) -> None:
    draft = drafted(serve(lambda rows, _page: {"count": 5, "results": rows}))

    assert "trae 2 filas de 5" in draft.text


@pytest.mark.parametrize(
    ("document", "why"),
    [({"data": []}, "ninguna lista"), ({"a": 1}, "ninguna lista"), ([1, 2], "ninguna lista")],
)
def test_an_answer_without_rows_is_no_draft(
    serve: Callable[..., HttpServer], document: Any, why: str
) -> None:
    with pytest.raises(DraftError, match=why):
        drafted(serve(lambda _rows, _page: document))


def test_an_answer_that_is_no_json_is_no_draft() -> None:
    page = Reply(b"<html>", headers={"Content-Type": "text/html"})
    with http_server(lambda _n, _r: page) as at, pytest.raises(DraftError, match="página HTML"):
        drafted(at)
    with (
        http_server(lambda _n, _r: Reply(b"", 401)) as at,
        pytest.raises(SourceUnavailable) as caught,
    ):
        drafted(at)
    assert "Responsable" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [{"next": "https://otro/2"}, {"links": {"next": "/2"}}, {"has_more": True},
     {"@odata.nextLink": "https://x/2"}, {"@odata.nextLink": "datos?$skip=2"},
     {"odata.nextLink": "datos?$skip=2"}, {"d": {"__next": "datos?$skip=2"}},
     {"links": [{"rel": "self", "href": "/1"}, {"rel": "next", "href": "/2"}]},
     {"exceededTransferLimit": True}, {"properties": {"exceededTransferLimit": True}},
     {"nextPageToken": "abc"}, {"next_page": 2}],
)  # fmt: skip
def test_a_page_that_announces_another_is_not_taken_for_the_whole(
    tmp_path: Path, serve: Callable[..., HttpServer], more: dict[str, Any]
) -> None:
    contract = make_contract(tmp_path, "api", [column("id", "bigint")], dataPath="data")
    server = serve(lambda rows, _page: {"data": rows, **more})

    with pytest.raises(SourceDataError, match="anuncia más páginas") as caught:
        read_all(open_reader(contract, SourceUrl.parse(server.url)))
    assert "`nextLink`" in caught.value.next_step

    told = make_contract(tmp_path, "api", [column("id", "bigint")], dataPath="data", onePage=True)
    assert read_all(open_reader(told, SourceUrl.parse(server.url)))

    last = serve(lambda rows, _page: {"data": rows, "next": None, "has_more": False})
    assert sum(b.data.num_rows for b in read_all(open_reader(contract, SourceUrl.parse(last.url))))


@pytest.mark.parametrize("place", ["['@odata.nextLink']", "links"])
def test_a_relative_link_and_one_in_a_list_of_links_lead_on(
    tmp_path: Path, serve: Callable[..., HttpServer], place: str
) -> None:
    def document(rows: list[Any], page: int) -> Any:
        onward = f"datos?pagina={page + 1}"
        if place == "links":
            follow = [{"rel": "next", "href": onward}] if page < 3 else []
            return {"value": rows, "links": [{"rel": "self", "href": "datos"}, *follow]}
        return {"value": rows, **({"@odata.nextLink": onward} if page < 3 else {})}

    server = serve(document)
    draft = drafted(server)

    assert draft.contract.options["nextLink"] == place
    assert read(draft, tmp_path, server) == 5


def test_an_announced_total_that_one_answer_does_not_reach_asks_for_the_other_pages(
    tmp_path: Path, serve: Callable[..., HttpServer]
) -> None:
    contract = make_contract(
        tmp_path, "api", [column("id", "bigint")], dataPath="data", totalPath="count"
    )
    server = serve(lambda rows, _page: {"data": rows, "count": 5})

    with pytest.raises(SourceDataError, match="anuncia 5 filas y trae 2") as caught:
        read_all(open_reader(contract, SourceUrl.parse(server.url)))
    assert "`pageParam`" in caught.value.next_step

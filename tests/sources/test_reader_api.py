"""Paged APIs: every row once, patience with a busy server, and no half-read data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sources.contract import Contract
from sources.errors import DriftError, SourceDataError, SourceUnavailable
from sources.readers import Reader, ReaderOptions, open_reader
from sources.readers.api import retry_after
from sources.urls import SourceUrl
from tests.sources.reader_support import (
    cast_all,
    column,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)

COLUMNS = [
    column("id", key=True),
    column("satisfaccion", "integer"),
    column("extra"),
    column("actualizado_en", "timestamptz"),
]
PAGED = {
    "path": "/api/v1/tramites", "dataPath": "data", "pageParam": "page",
    "pageSizeParam": "page_size", "pageSize": 2, "totalPagesPath": "total_pages",
    "totalPath": "total", "cursorParam": "desde",
}  # fmt: skip
INCREMENTAL = {"loadMode": "incremental", "cursor": "actualizado_en", "lookback": "P3D"}
NOW = 1_000_000.0


@dataclass
class Server:
    """An API in memory. `before` may answer in place of it; it hears every request's number."""

    rows: list[Any]
    before: Callable[[int, httpx.Request], httpx.Response | None] = lambda n, request: None
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if (early := self.before(len(self.requests), request)) is not None:
            return early
        page, size = int(request.url.params["page"]), int(request.url.params["page_size"])
        return httpx.Response(
            200,
            json={
                "data": self.rows[(page - 1) * size : page * size],
                "page": page,
                "total_pages": max(1, -(-len(self.rows) // size)),
                "total": len(self.rows),
            },
        )

    def reader(self, contract: Contract, watermark: str | None = None) -> Reader:
        options = ReaderOptions(
            http_transport=httpx.MockTransport(self),
            sleep=self.pauses.append,
            now=lambda: NOW,
            max_attempts=3,
        )
        url = SourceUrl.parse("https://api.ejemplo", token="ficha-de-prueba")
        return open_reader(contract, url, watermark=watermark, options=options)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "api", COLUMNS, **PAGED, **INCREMENTAL)


def row(identifier: str, **values: Any) -> dict[str, Any]:
    return {
        "id": identifier, "satisfaccion": 5, "extra": None,
        "actualizado_en": "2026-06-01T00:00:00-03:00",
    } | values  # fmt: skip


def test_every_page_is_read_once(contract: Contract) -> None:
    server = Server([row("a", satisfaccion=None), row("b"), row("c", extra={"x": [1]})])

    with server.reader(contract) as reader:
        assert reader.source_count() == 3
        assert reader.columns() == ("id", "satisfaccion", "extra", "actualizado_en")
        batches = list(reader.batches())
    good, rejected = cast_all(contract, batches)

    assert rejected == []
    assert [(r["id"], r["satisfaccion"], r["extra"]) for r in good] == [
        ("a", None, None), ("b", 5, None), ("c", 5, '{"x":[1]}'),
    ]  # fmt: skip
    assert numbers_of(batches) == [1, 2, 3]
    assert [request.url.params["page"] for request in server.requests] == ["1", "2"]
    assert {request.headers["Authorization"] for request in server.requests} == {
        "Bearer ficha-de-prueba"
    }
    assert reader.description == "https://api.ejemplo/api/v1/tramites"


def test_an_empty_answer_is_no_rows(contract: Contract) -> None:
    assert read_all(Server([]).reader(contract)) == []


def test_an_incremental_read_asks_from_the_watermark_less_the_lookback(contract: Contract) -> None:
    server = Server([])

    read_all(server.reader(contract, watermark="2026-06-10T00:00:00-03:00"))

    assert server.requests[0].url.params["desde"] == "2026-06-07T03:00:00+00:00"
    assert "desde=2026-06-07T03%3A00%3A00%2B00%3A00" in str(server.requests[0].url)


def test_a_busy_server_is_asked_again_when_it_says(contract: Contract) -> None:
    busy = {
        1: httpx.Response(429, headers={"Retry-After": "7"}),
        2: httpx.Response(503, headers={"Retry-After": "86400"}),
    }
    server = Server([row("a")], before=lambda n, _: busy.get(n))

    assert len(rows_of(read_all(server.reader(contract)))) == 1
    assert server.pauses == [7.0, 60.0]


def test_without_advice_pauses_grow_and_have_jitter(contract: Contract) -> None:
    server = Server([row("a")], before=lambda n, _: httpx.Response(500) if n < 3 else None)

    read_all(server.reader(contract))

    assert len(server.pauses) == 2
    assert 0 <= server.pauses[0] <= 1
    assert 0 <= server.pauses[1] <= 2


def test_a_lost_connection_is_tried_again(contract: Contract) -> None:
    def drop(number: int, request: httpx.Request) -> None:
        if number == 1:
            raise httpx.ReadError("reset", request=request)

    assert len(rows_of(read_all(Server([row("a")], before=drop).reader(contract)))) == 1


@pytest.mark.parametrize(
    ("status", "requests", "message"),
    [
        (401, 1, r"rechazó el token .* cárguelo en SOURCE_PRUEBA_TOKEN"),
        (403, 1, "no tiene permiso"),
        (404, 1, "respondió con el código HTTP 404"),
        (500, 3, "respondió con el código HTTP 500"),
    ],
)
def test_refusals_say_what_to_do(
    contract: Contract, status: int, requests: int, message: str
) -> None:
    server = Server([], before=lambda n, _: httpx.Response(status))

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(server.reader(contract))

    assert len(server.requests) == requests
    assert "ficha-de-prueba" not in str(held.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [(httpx.ConnectError, "no se pudo alcanzar"), (httpx.ReadTimeout, "no respondió a tiempo")],
)
def test_a_silent_server_is_unavailable(
    contract: Contract, error: type[httpx.TransportError], message: str
) -> None:
    def fail(number: int, request: httpx.Request) -> None:
        raise error("token=ficha-de-prueba", request=request)

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(Server([], before=fail).reader(contract))
    assert "ficha-de-prueba" not in str(held.value)


def test_data_that_change_while_they_are_read_are_refused(contract: Contract) -> None:
    server = Server([row("a"), row("b"), row("c")])

    def insert(number: int, request: httpx.Request) -> None:
        if number == 2:
            server.rows.insert(0, row("nueva"))

    server.before = insert
    with pytest.raises(SourceDataError, match="cambiaron mientras se leían: pasó de 3 a 4 filas"):
        read_all(server.reader(contract))


def test_fewer_rows_than_announced_are_refused(contract: Contract) -> None:
    short = {"data": [row("a")], "total_pages": 1, "total": 2}

    with pytest.raises(SourceDataError, match="anunció 2 filas y entregó 1"):
        read_all(Server([], before=lambda n, _: httpx.Response(200, json=short)).reader(contract))


def test_a_server_that_ignores_the_page_is_noticed(contract: Contract) -> None:
    same = {"data": [row("a"), row("b")], "total_pages": 9, "total": 18}

    with pytest.raises(SourceDataError, match="las páginas 1 y 2 son iguales"):
        read_all(Server([], before=lambda n, _: httpx.Response(200, json=same)).reader(contract))


@pytest.mark.parametrize(
    ("content", "message"),
    [("<html>mantenimiento</html>", "no es JSON"), ('{"datos": []}', "no trae una lista de filas")],
)
def test_an_answer_of_another_shape_is_refused(
    contract: Contract, content: str, message: str
) -> None:
    server = Server([], before=lambda n, _: httpx.Response(200, text=content))

    with pytest.raises(SourceDataError, match=message):
        read_all(server.reader(contract))


def test_a_field_that_is_gone_is_drift(contract: Contract, tmp_path: Path) -> None:
    without = {"id": "a", "satisfaccion": 5, "actualizado_en": "2026-06-01T00:00:00Z"}
    assert len(rows_of(read_all(Server([without]).reader(contract)))) == 1

    many = make_contract(tmp_path, "api", COLUMNS, **PAGED | {"pageSize": 200})
    with pytest.raises(DriftError, match="falta la columna extra"):
        read_all(Server([without] * 100).reader(many))
    del without["id"]
    with pytest.raises(DriftError, match="falta la columna id"):
        read_all(Server([without]).reader(contract))


def test_a_row_that_is_no_object_is_set_aside(contract: Contract) -> None:
    batches = read_all(Server([row("a"), "suelto", row("c")]).reader(contract))

    assert numbers_of(batches) == [1, 3]
    (rejected,) = [r for batch in batches for r in batch.rejected]
    assert (rejected.row_number, rejected.values) == (2, {"_linea": "suelto"})


def test_without_totals_reading_ends_at_the_first_empty_page(tmp_path: Path) -> None:
    bare = {key: PAGED[key] for key in ("pageParam", "pageSizeParam", "pageSize")}
    contract = make_contract(tmp_path, "api", COLUMNS, **bare)
    rows = [row("a"), row("b"), row("c")]

    def answer(number: int, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(rows[(number - 1) * 2 : number * 2]))

    with Server([], before=answer).reader(contract) as reader:
        assert reader.source_count() is None
        assert [r["id"] for r in rows_of(reader.batches())] == ["a", "b", "c"]


def test_an_answer_in_one_piece_needs_no_paging(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "api", COLUMNS)
    server = Server([], before=lambda n, _: httpx.Response(200, json=[row("a"), row("b")]))

    assert len(rows_of(read_all(server.reader(contract)))) == 2
    assert len(server.requests) == 1


def test_advice_to_wait_may_be_a_date() -> None:
    from datetime import UTC, datetime, timedelta

    later = format_datetime(datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=30), usegmt=True)

    def advice(text: str) -> float | None:
        return retry_after(httpx.Response(503, headers={"Retry-After": text}), NOW)

    assert advice(later) == 30
    assert advice("12") == 12
    assert advice("pronto") is None
    assert retry_after(httpx.Response(503), NOW) is None

"""Paged APIs: every row once, patience with a busy server, and no half-read data."""

from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from sources.contract import Contract
from sources.errors import ContractError, DriftError, SourceDataError, SourceUnavailable
from sources.readers import Reader, ReaderOptions, open_reader
from sources.readers import http_client as client
from sources.urls import SourceUrl
from tests.sources.reader_support import (
    cast_all,
    column,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)
from tests.support.http import HttpServer, Reply, Request, certificate, http_server

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
TOKEN = "ficha-de-prueba"


@dataclass
class Clock:
    """Time that passes only by waiting."""

    now: float = 1_000_000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def options(self, **limits: Any) -> ReaderOptions:
        return ReaderOptions(
            now=lambda: self.now, sleep=self.sleep, max_attempts=3, connect_timeout_s=5, **limits
        )


@dataclass
class Api:
    """A paged API. `before` may answer in place of it; it hears every request's number."""

    rows: list[Any]
    before: Callable[[int, Request], Reply | None] = lambda number, request: None
    clock: Clock = field(default_factory=Clock)
    server: HttpServer = field(init=False)

    def answer(self, number: int, request: Request) -> Reply:
        if (early := self.before(number, request)) is not None:
            return early
        page, size = int(request.params["page"]), int(request.params["page_size"])
        return reply(
            {
                "data": self.rows[(page - 1) * size : page * size],
                "page": page,
                "total_pages": max(1, -(-len(self.rows) // size)),
                "total": len(self.rows),
            }
        )

    @property
    def asked(self) -> list[Request]:
        return self.server.requests

    @property
    def pauses(self) -> list[float]:
        return self.clock.pauses

    def reader(
        self,
        contract: Contract,
        watermark: str | None = None,
        *,
        token: str | None = TOKEN,
        user: str = "",
        query: str = "",
        **limits: Any,
    ) -> Reader:
        address = self.server.url.replace("://", f"://{user}@" if user else "://") + query
        url = SourceUrl.parse(address, token=token)
        options = self.clock.options(**limits)
        return open_reader(contract, url, watermark=watermark, options=options)


Start = Callable[..., Api]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts APIs, and stops them after the test."""
    running = []

    def begin(*arguments: Any, tls: ssl.SSLContext | None = None, **settings: Any) -> Api:
        api = Api(*arguments, **settings)
        context = http_server(api.answer, tls)
        api.server = context.__enter__()
        running.append(context)
        return api

    yield begin
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "api", COLUMNS, **PAGED, **INCREMENTAL)


def reply(document: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(document).encode(), status, named)


def row(identifier: str, **values: Any) -> dict[str, Any]:
    return {
        "id": identifier, "satisfaccion": 5, "extra": None,
        "actualizado_en": "2026-06-01T00:00:00-03:00",
    } | values  # fmt: skip


def ids(reader: Reader) -> list[str]:
    return [row["id"] for row in rows_of(read_all(reader))]


# --- pages ----------------------------------------------------------------------------------------


def test_every_page_is_read_once(contract: Contract, start: Start) -> None:
    api = start([row("a", satisfaccion=None), row("b"), row("c", extra={"x": [1]})])

    with api.reader(contract) as reader:
        assert reader.source_count() == 3
        assert reader.columns() == ("id", "satisfaccion", "extra", "actualizado_en")
        batches = list(reader.batches())
    good, rejected = cast_all(contract, batches)

    assert rejected == []
    assert [(r["id"], r["satisfaccion"], r["extra"]) for r in good] == [
        ("a", None, None), ("b", 5, None), ("c", 5, '{"x":[1]}'),
    ]  # fmt: skip
    assert numbers_of(batches) == [1, 2, 3]
    assert [request.params["page"] for request in api.asked] == ["1", "2"]
    assert {request.headers["Authorization"] for request in api.asked} == {f"Bearer {TOKEN}"}
    assert reader.description == f"{api.server.url}/api/v1/tramites"


def test_an_empty_answer_is_no_rows(contract: Contract, start: Start) -> None:
    assert read_all(start([]).reader(contract)) == []


@pytest.mark.parametrize(
    "nothing", [Reply(b'{"data": null}'), Reply(b"null"), Reply(b"", status=204)]
)
def test_no_rows_may_be_said_by_null_or_by_no_content(
    tmp_path: Path, start: Start, nothing: Reply
) -> None:
    """As the page after the last of an API that tells no totals."""

    def answer(number: int, request: Request) -> Reply:
        return reply({"data": [row("a")]}) if number == 1 else nothing

    contract = paged(tmp_path, dataPath="data", pageParam="page")

    assert ids(start([], before=answer).reader(contract)) == ["a"]


def paged(folder: Path, **options: Any) -> Contract:
    return make_contract(folder, "api", COLUMNS, pageSizeParam="n", pageSize=2, **options)


ROWS = [row("a"), row("b"), row("c")]


def test_without_totals_reading_ends_at_the_first_empty_page(tmp_path: Path, start: Start) -> None:
    def answer(number: int, request: Request) -> Reply:
        return reply(ROWS[(number - 1) * 2 : number * 2])

    api = start([], before=answer)
    with api.reader(paged(tmp_path, pageParam="page", firstPage=0)) as reader:
        assert reader.source_count() is None
        assert [r["id"] for r in rows_of(reader.batches())] == ["a", "b", "c"]
    assert [request.params["page"] for request in api.asked] == ["0", "1", "2"]


def test_pages_by_offset_move_on_by_what_came(tmp_path: Path, start: Start) -> None:
    """A server may give fewer rows than asked for."""

    def answer(number: int, request: Request) -> Reply:
        offset = int(request.params["desde_fila"])
        return reply({"total": 3, "filas": ROWS[offset : offset + 1]})

    api = start([], before=answer)
    contract = paged(tmp_path, offsetParam="desde_fila", dataPath="filas", totalPath="total")

    assert ids(api.reader(contract)) == ["a", "b", "c"]
    assert [request.params["desde_fila"] for request in api.asked] == ["0", "1", "2"]


@pytest.mark.parametrize("absolute", [True, False])
def test_pages_by_link_header(tmp_path: Path, start: Start, absolute: bool) -> None:
    def answer(number: int, request: Request) -> Reply:
        link = f'</otra?pag={number + 1}>; rel="next", </otra>; rel="first"'
        if absolute:
            link = link.replace("</otra?", f"<{api.server.url}/otra?")
        return reply([ROWS[number - 1]], **({"Link": link} if number < 3 else {}))

    api = start([], before=answer)

    assert ids(api.reader(paged(tmp_path, nextLink="header"), query="?clave=k1")) == [*"abc"]
    assert [(r.path, r.params.get("pag")) for r in api.asked[1:]] == [
        ("/otra", "2"),
        ("/otra", "3"),
    ]
    # What stands in the configured address goes with every request.
    assert {request.params["clave"] for request in api.asked} == {"k1"}


@pytest.mark.parametrize("nothing", [None, "", False])
def test_pages_by_a_link_or_a_mark_in_the_answer(
    tmp_path: Path, start: Start, nothing: Any
) -> None:
    def answer(number: int, request: Request) -> Reply:
        more = number < 3
        return reply(
            {
                "filas": [ROWS[number - 1]],
                "meta": {
                    "url": f"?pag={number + 1}" if more else nothing,
                    "marca": f"m=ñ/{number}" if more else nothing,
                },
            }
        )

    api = start([], before=answer)
    contract = paged(tmp_path, dataPath="filas", nextLink="meta.url")
    assert ids(api.reader(contract)) == [*"abc"]

    api = start([], before=answer)
    contract = paged(
        tmp_path, dataPath="filas", nextCursorPath="meta.marca", nextCursorParam="despues"
    )
    assert ids(api.reader(contract)) == [*"abc"]
    assert [r.params.get("despues") for r in api.asked] == [None, "m=ñ/1", "m=ñ/2"]
    assert {r.params["n"] for r in api.asked} == {"2"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pageParam": "p", "offsetParam": "o"}, "declara pageParam y offsetParam"),
        ({"nextCursorPath": "m"}, "sin `nextCursorParam`"),
        ({"auth": "magia"}, "`auth` debe ser bearer"),
        ({"auth": "oauth2"}, "`tokenUrl` debe ser"),
        ({"requestsPerMinute": 0}, "`requestsPerMinute` debe ser"),
    ],
)
def test_options_that_make_no_sense_are_errors_of_the_contract(
    tmp_path: Path, start: Start, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        read_all(start([]).reader(paged(tmp_path, **options), user="u:clave-larga"))


def test_an_answer_in_one_piece_needs_no_paging(tmp_path: Path, start: Start) -> None:
    api = start([], before=lambda n, _: reply([row("a"), row("b")]))

    assert ids(api.reader(make_contract(tmp_path, "api", COLUMNS))) == ["a", "b"]
    assert len(api.asked) == 1


# --- incremental ----------------------------------------------------------------------------------


def test_an_incremental_read_asks_from_the_watermark_less_the_lookback(
    contract: Contract, tmp_path: Path, start: Start
) -> None:
    api = start([])
    read_all(api.reader(contract, watermark="2026-06-10T00:00:00-03:00"))
    assert api.asked[0].params["desde"] == "2026-06-07T03:00:00+00:00"

    spelled = make_contract(
        tmp_path, "api", COLUMNS, **PAGED, **INCREMENTAL, cursorFormat="dd/MM/yyyy HH:mm"
    )
    read_all(api.reader(spelled, watermark="2026-06-10T00:00:00-03:00"))
    assert api.asked[1].params["desde"] == "07/06/2026 03:00"


# --- patience and pace ----------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_when_it_says(contract: Contract, start: Start) -> None:
    later = datetime.fromtimestamp(Clock().now, UTC) + timedelta(seconds=7 + 90)
    busy = {
        1: Reply(status=429, headers={"Retry-After": "7"}),
        2: Reply(status=503, headers={"Retry-After": format_datetime(later, usegmt=True)}),
    }
    api = start([row("a")], before=lambda n, _: busy.get(n))

    assert ids(api.reader(contract)) == ["a"]
    assert api.pauses == [7.0, 90.0]


def test_a_server_that_asks_for_hours_is_not_asked_again(contract: Contract, start: Start) -> None:
    api = start([], before=lambda n, _: Reply(status=429, headers={"Retry-After": "7200"}))

    with pytest.raises(SourceUnavailable, match=r"pide esperar 120 minutos \(HTTP 429\)"):
        read_all(api.reader(contract))
    assert (len(api.asked), api.pauses) == (1, [])


def test_without_advice_pauses_grow_and_have_jitter(contract: Contract, start: Start) -> None:
    api = start([row("a")], before=lambda n, _: Reply(status=500) if n < 3 else None)

    read_all(api.reader(contract))

    assert len(api.pauses) == 2
    assert 0 <= api.pauses[0] <= 1
    assert 0 <= api.pauses[1] <= 2


def test_advice_that_says_nothing_is_no_advice(contract: Contract, start: Start) -> None:
    vague = Reply(status=503, headers={"Retry-After": "pronto"})
    api = start([row("a")], before=lambda n, _: vague if n == 1 else None)

    assert ids(api.reader(contract)) == ["a"]
    assert 0 <= api.pauses[0] <= 1


def test_a_pace_is_kept_between_pages_and_readers(tmp_path: Path, start: Start) -> None:
    contract = make_contract(tmp_path, "api", COLUMNS, **PAGED, requestsPerMinute=30)
    api = start([row(str(n)) for n in range(5)])

    read_all(api.reader(contract))
    assert api.pauses == [2.0, 2.0]
    read_all(api.reader(contract))
    assert api.pauses == [2.0] * 5


@pytest.fixture(autouse=True)
def nobody_was_asked_before() -> None:
    client._last_asked.clear()


def test_a_lost_connection_is_tried_again(contract: Contract, start: Start) -> None:
    api = start([row("a")], before=lambda n, _: Reply(hang_up=True) if n == 1 else None)

    assert ids(api.reader(contract)) == ["a"]
    assert len(api.asked) == 2


def test_an_answer_cut_in_the_middle_is_asked_for_again(contract: Contract, start: Start) -> None:
    cut = Reply(b'{"data": [{"id": "a"', announced=5000)

    api = start([row("a")], before=lambda n, _: cut if n == 1 else None)
    assert ids(api.reader(contract)) == ["a"]

    api = start([], before=lambda n, _: cut)
    with pytest.raises(SourceUnavailable, match="cortó la respuesta antes del final"):
        read_all(api.reader(contract))
    assert len(api.asked) == 3


def test_a_server_that_does_not_answer_in_time_is_unavailable(
    contract: Contract, start: Start
) -> None:
    api = start([], before=lambda n, _: Reply(b"[]", before_body=lambda: time.sleep(1.5)))

    with pytest.raises(SourceUnavailable, match="no respondió a tiempo"):
        read_all(api.reader(contract, read_timeout_s=1))


def test_nobody_listening_is_said(contract: Contract, start: Start) -> None:
    api = start([])
    url = SourceUrl.parse("http://127.0.0.1:9/", token=TOKEN)

    with pytest.raises(SourceUnavailable, match="no se pudo alcanzar") as held:
        read_all(open_reader(contract, url, options=api.clock.options()))
    assert TOKEN not in str(held.value)


# --- credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "requests", "message"),
    [
        (401, 1, r"rechazó el token .* cárguela en SOURCE_PRUEBA_TOKEN"),
        (403, 1, "no tiene permiso"),
        (404, 1, r"no tiene nada en .* \(HTTP 404\)"),
        (500, 3, "respondió con el código HTTP 500"),
    ],
)
def test_refusals_say_what_to_do(
    contract: Contract, start: Start, status: int, requests: int, message: str
) -> None:
    api = start([], before=lambda n, _: Reply(status=status))

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(api.reader(contract))

    assert len(api.asked) == requests
    assert TOKEN not in str(held.value)


def test_credentials_go_where_the_contract_says(tmp_path: Path, start: Start) -> None:
    def sent(**options: Any) -> dict[str, str]:
        user = options.pop("user", "")
        api = start([], before=lambda n, _: reply([]))
        token = None if user else TOKEN
        read_all(
            api.reader(make_contract(tmp_path, "api", COLUMNS, **options), token=token, user=user)
        )
        return dict(api.asked[0].headers)

    assert sent()["Authorization"] == f"Bearer {TOKEN}"
    by_key = sent(auth="header", tokenHeader="X-Clave")
    assert by_key["X-Clave"] == TOKEN
    assert "Authorization" not in by_key
    assert sent(user="ana:clave%40larga")["Authorization"] == "Basic YW5hOmNsYXZlQGxhcmdh"
    with pytest.raises(SourceUnavailable, match=r"falta la credencial .* SOURCE_PRUEBA_TOKEN"):
        sent(auth="bearer", user="ana:clave-larga")


@dataclass
class TokenService:
    """Gives numbered tokens, of which only the last is valid, along with the rows."""

    lifetime: int = 3600
    given: int = 0
    forms: list[str] = field(default_factory=list)

    def __call__(self, number: int, request: Request) -> Reply | None:
        if request.path == "/oauth/token":
            self.given += 1
            self.forms.append(f"{request.headers['Authorization']} {request.body}")
            return reply({"access_token": f"pase-{self.given}", "expires_in": self.lifetime})
        if request.headers["Authorization"] != f"Bearer pase-{self.given}":
            return Reply(status=401)
        return None


def oauth(folder: Path) -> Contract:
    return make_contract(
        folder, "api", COLUMNS, **PAGED, auth="oauth2", tokenUrl="/oauth/token", tokenScope="leer"
    )


def test_oauth2_tokens_are_fetched_once_and_renewed_when_due(tmp_path: Path, start: Start) -> None:
    service = TokenService()
    api = start([row(str(n)) for n in range(6)], before=service)
    assert len(ids(api.reader(oauth(tmp_path), token=None, user="app:clave-de-app"))) == 6
    assert service.given == 1
    assert service.forms == [
        "Basic YXBwOmNsYXZlLWRlLWFwcA== grant_type=client_credentials&scope=leer"
    ]

    # Shorter than the margin: due before every page.
    brief = TokenService(lifetime=20)
    api = start([row(str(n)) for n in range(6)], before=brief)
    assert len(ids(api.reader(oauth(tmp_path), token=None, user="app:clave-de-app"))) == 6
    assert brief.given == 3


def test_a_token_withdrawn_early_is_renewed_once(tmp_path: Path, start: Start) -> None:
    service = TokenService()

    def withdraw(number: int, request: Request) -> Reply | None:
        if request.params.get("page") == "2" and service.given == 1:
            return Reply(status=401)
        return service(number, request)

    api = start([row(str(n)) for n in range(3)], before=withdraw)
    assert len(ids(api.reader(oauth(tmp_path), token=None, user="app:clave-de-app"))) == 3
    assert service.given == 2

    def never(number: int, request: Request) -> Reply | None:
        return service(number, request) if "token" in request.path else Reply(status=401)

    api = start([], before=never)
    with pytest.raises(SourceUnavailable, match=r"rechazó la credencial .* SOURCE_PRUEBA_URL"):
        read_all(api.reader(oauth(tmp_path), token=None, user="app:clave-de-app"))
    assert len(api.asked) == 4


@pytest.mark.parametrize(
    "answer", [Reply(status=400), reply({"error": "invalid_client"}), Reply(b"<html>")]
)
def test_a_token_service_that_refuses_is_named(tmp_path: Path, start: Start, answer: Reply) -> None:
    api = start([], before=lambda n, _: answer)

    with pytest.raises(SourceUnavailable, match="no entregó un token") as held:
        read_all(api.reader(oauth(tmp_path), token=None, user="app:clave-de-app"))
    assert "clave-de-app" not in str(held.value)


def test_a_redirect_to_another_server_does_not_get_the_token(
    contract: Contract, start: Start
) -> None:
    other = start([row("a")])
    api = start([], before=lambda n, _: Reply(status=302, headers={"Location": other.server.url}))

    with pytest.raises(SourceUnavailable, match=r"redirige a otro servidor .* la credencial"):
        read_all(api.reader(contract))
    assert other.asked == []


def test_a_link_to_another_server_does_not_get_the_token(tmp_path: Path, start: Start) -> None:
    other = start([row("b")])
    api = start(
        [], before=lambda n, _: reply([row("a")], Link=f'<{other.server.url}/>; rel="next"')
    )

    with pytest.raises(SourceUnavailable, match="indica seguir en otro servidor"):
        read_all(api.reader(paged(tmp_path, nextLink="header")))
    assert other.asked == []


def test_a_redirect_on_the_same_server_is_followed_but_not_for_ever(
    contract: Contract, start: Start
) -> None:
    def moved(number: int, request: Request) -> Reply | None:
        if request.path == "/nueva":
            return None
        return Reply(status=308, headers={"Location": "/nueva?page=1&page_size=2"})

    assert ids(start([row("a")], before=moved).reader(contract)) == ["a"]

    api = start([], before=lambda n, _: Reply(status=302, headers={"Location": "/"}))
    with pytest.raises(SourceUnavailable, match="redirige una y otra vez"):
        read_all(api.reader(contract))
    assert len(api.asked) == 6


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "firmado por el propio servidor"),
        ({"expired": True}, "está vencido"),
        ({"name": "otra.ejemplo"}, "de otro nombre|de otra dirección"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_is_explained(
    contract: Contract, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any], why: str,
) -> None:  # fmt: skip
    pem = certificate(tmp_path, **settings)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    api = start([row("a")], tls=tls)
    if settings:
        # Its authority is known: only what is wrong with the certificate itself remains.
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    with pytest.raises(SourceUnavailable, match=why) as held:
        read_all(api.reader(contract))
    assert "SSL_CERT_FILE" in str(held.value)
    assert api.pauses == []


def test_a_certificate_of_the_citys_own_authority_is_trusted(
    contract: Contract, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    assert ids(start([row("a")], tls=tls).reader(contract)) == ["a"]


# --- data that change, answers of another shape ---------------------------------------------------


def test_data_that_change_while_they_are_read_are_refused(contract: Contract, start: Start) -> None:
    api = start([row("a"), row("b"), row("c")])

    def insert(number: int, request: Request) -> None:
        if number == 2:
            api.rows.insert(0, row("nueva"))

    api.before = insert
    with pytest.raises(SourceDataError, match="cambiaron mientras se leían: pasó de 3 a 4 filas"):
        read_all(api.reader(contract))


def test_a_row_that_moved_to_the_next_page_is_noticed_without_totals(
    tmp_path: Path, start: Start
) -> None:
    pages = [[row("a"), row("b")], [row("b"), row("c")], []]
    api = start([], before=lambda n, _: reply(pages[n - 1]))

    with pytest.raises(SourceDataError, match="las páginas 1 y 2 traen un mismo registro"):
        read_all(api.reader(paged(tmp_path, pageParam="p")))


def test_fewer_rows_than_announced_are_refused(contract: Contract, start: Start) -> None:
    short = {"data": [row("a")], "total_pages": 1, "total": 2}

    with pytest.raises(SourceDataError, match="anunció 2 filas y entregó 1"):
        read_all(start([], before=lambda n, _: reply(short)).reader(contract))


def test_a_server_that_ignores_the_page_is_noticed(contract: Contract, start: Start) -> None:
    same = {"data": [row("a"), row("b")], "total_pages": 9, "total": 18}

    with pytest.raises(SourceDataError, match="las páginas 1 y 2 son iguales"):
        read_all(start([], before=lambda n, _: reply(same)).reader(contract))


def test_marks_that_lead_in_a_circle_are_noticed(tmp_path: Path, start: Start) -> None:
    def answer(number: int, request: Request) -> Reply:
        return reply({"filas": [row(str(number))], "m": number % 2 + 1})

    contract = paged(tmp_path, dataPath="filas", nextCursorPath="m", nextCursorParam="d")
    with pytest.raises(SourceDataError, match="después de la página 3 vuelve a una anterior"):
        read_all(start([], before=answer).reader(contract))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Reply(b"<html>mantenimiento</html>"), "es una página HTML y no JSON"),
        (Reply(b"Ups", headers={"Content-Type": "text/html; charset=utf-8"}), "es una página HTML"),
        (Reply(b'{"data": [{"id": "a"'), "no es JSON o está cortada"),
        (Reply(b'{"data": [{"id": "a", "satisfaccion": NaN}]}'), "no es JSON"),
        (Reply('{"data": [{"id": "ñ"}]}'.encode("latin-1")), "no es texto en utf-8"),
        (Reply(b'{"datos": []}'), "no trae una lista de filas en data"),
        (Reply(b'{"data": null, "errors": ["x"]}'), "no trae una lista de filas en data"),
        (Reply(b""), "no es JSON o está cortada"),
    ],
)
def test_an_answer_of_another_shape_is_refused(
    contract: Contract, start: Start, answer: Reply, message: str
) -> None:
    with pytest.raises(SourceDataError, match=message):
        read_all(start([], before=lambda n, _: answer).reader(contract))


def test_a_declared_charset_is_honoured(tmp_path: Path, start: Start) -> None:
    answer = Reply(
        json.dumps([row("ñandú")], ensure_ascii=False).encode("latin-1"),
        headers={"Content-Type": "application/json; charset=iso-8859-1"},
    )
    api = start([], before=lambda n, _: answer)

    assert ids(api.reader(make_contract(tmp_path, "api", COLUMNS))) == ["ñandú"]


@pytest.mark.parametrize("packed", [True, False])
def test_an_answer_that_would_fill_the_memory_is_refused(
    contract: Contract, start: Start, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER_BYTES", 1 << 20)
    body = b" " * (2 << 20)
    answer = (
        Reply(gzip.compress(body), headers={"Content-Encoding": "gzip"}) if packed else Reply(body)
    )

    with pytest.raises(SourceDataError, match=r"ocupa más de 1 MB.*pageSize"):
        read_all(start([], before=lambda n, _: answer).reader(contract))


def test_a_field_that_is_gone_is_drift(contract: Contract, tmp_path: Path, start: Start) -> None:
    without = {"id": "a", "satisfaccion": 5, "actualizado_en": "2026-06-01T00:00:00Z"}
    assert ids(start([without]).reader(contract)) == ["a"]

    many = make_contract(tmp_path, "api", COLUMNS, **PAGED | {"pageSize": 200})
    with pytest.raises(DriftError, match="falta la columna extra"):
        read_all(start([without] * 100).reader(many))
    del without["id"]
    with pytest.raises(DriftError, match="falta la columna id"):
        read_all(start([without]).reader(contract))


def test_a_row_that_is_no_object_is_set_aside(contract: Contract, start: Start) -> None:
    batches = read_all(start([row("a"), "suelto", row("c")]).reader(contract))

    assert numbers_of(batches) == [1, 3]
    (rejected,) = [r for batch in batches for r in batch.rejected]
    assert (rejected.row_number, rejected.values) == (2, {"_linea": "suelto"})


def test_numbers_keep_their_digits(tmp_path: Path, start: Start) -> None:
    columns = [column("cbu"), column("monto", "numeric(20,2)"), column("x", "double precision")]
    contract = make_contract(tmp_path, "api", columns)
    body = b"""[{"cbu": 2850590940090418135201, "monto": 123456789012345678.10, "x": 0.1},
               {"cbu": 1.5, "monto": 1, "x": 1}, {"cbu": 2.250, "monto": 1, "x": 1}]"""

    good, _ = cast_all(
        contract, read_all(start([], before=lambda n, _: Reply(body)).reader(contract))
    )
    assert good[0] == {
        "cbu": "2850590940090418135201", "monto": Decimal("123456789012345678.10"), "x": 0.1
    }  # fmt: skip
    assert [row["cbu"] for row in good[1:]] == ["1.5", "2.250"]


def test_numbers_within_structures_stay_numbers(tmp_path: Path, start: Start) -> None:
    contract = make_contract(tmp_path, "api", [column("punto", "jsonb")])
    point = b'{"coordinates":[-68.10,-33.2],"id":12345678901234567890123}'
    api = start([], before=lambda _number, _request: Reply(b'[{"punto":' + point + b"}]"))

    [row] = rows_of(read_all(api.reader(contract)))

    assert row["punto"] == point.decode()

"""The weekly digest: what it says, and that it is told once, whatever breaks on the way."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from expectations.findings import Project, acknowledge, synchronise
from expectations.findings.channels import (
    ChannelError,
    MailChannel,
    Patience,
    WebhookChannel,
    parse_recipients,
)
from expectations.findings.digest import (
    Channel,
    Outcome,
    Sender,
    compose,
    send_pending,
    week_of,
    write,
)
from expectations.results import CheckResult, record
from orchestration.warehouse.connection import Warehouse
from tests.support.http import Reply, Request, certificate, http_server
from tests.support.smtp import mail_server, slowly

MONDAY = dt.date(2026, 6, 1)
NEXT = MONDAY + dt.timedelta(days=7)
TOKEN, PASSWORD = "ficha-secreta", "clave-secreta"
QUICK = Patience(attempts=3, timeout_s=0.5, longest_pause_s=0)
AREAS = {"obras.uno": "Obras Públicas", "obras.dos": "Obras Públicas", "salud.uno": "Salud"}
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def city(warehouse: Warehouse) -> Iterator[Connection]:
    """Two areas with a red check each."""
    with warehouse.connect(autocommit=True) as connection:
        check(connection, "obras.uno", False)
        check(connection, "salud.uno", False)
        yield connection


def check(connection: Connection, relation: str, passed: bool, rows: int = 3) -> None:
    result = CheckResult(
        control=f"{relation}.clave", motor="great_expectations", objeto=relation, regla="clave",
        severidad="bloqueante", paso=passed, explicacion=f"Una clave no se repite en {relation}.",
        columna="id", filas_fallidas=0 if passed else rows, muestra=({"cuenta_id": "C-99071"},),
    )  # fmt: skip
    run = f"corrida-{os.urandom(4).hex()}"
    with connection.transaction():
        record(connection, run, [result])
    synchronise(connection, run, Project((), AREAS))


class Post:
    """A channel that keeps what it is given, and breaks when told to."""

    def __init__(self, channel: Channel = "correo", known: tuple[str, ...] = ("*",)) -> None:
        self.channel, self._known = channel, known
        self.broken = False
        self.sent: list[tuple[str, Mapping[str, Any], str]] = []

    def reaches(self, area: str) -> bool:
        return "*" in self._known or area in self._known

    def send(self, area: str, document: Mapping[str, Any], message_id: str) -> str | None:
        if self.broken:
            raise ChannelError("el servidor no respondió.", next_step="espere.")
        self.sent.append((area, document, message_id))
        return None


def deliver(connection: Connection, sender: Sender, today: dt.date = MONDAY) -> list[Outcome]:
    written = write(connection, sender.channel, today, sender.reaches)
    return written + send_pending(connection, sender)


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.area: outcome.estado for outcome in outcomes}


def titles(document: Mapping[str, Any], section: str) -> list[str]:
    return [entry["conjunto"] for entry in document[section]]


def test_each_area_gets_its_own_and_a_second_run_sends_nothing(city: Connection) -> None:
    post = Post()

    first = deliver(city, post)
    second = deliver(city, post, MONDAY + dt.timedelta(days=3))

    assert states(first) == {"Obras Públicas": "enviado", "Salud": "enviado"}
    assert second == []
    assert [(area, titles(document, "nuevos")) for area, document, _ in post.sent] == [
        ("Obras Públicas", ["obras.uno"]), ("Salud", ["salud.uno"])
    ]  # fmt: skip


def test_the_next_week_tells_what_changed_since(city: Connection) -> None:
    check(city, "obras.dos", False)
    post = Post()
    deliver(city, post)
    check(city, "obras.uno", True)
    check(city, "salud.uno", True)
    check(city, "salud.uno", False)

    deliver(city, post, NEXT)

    works, health = (document for _, document, _ in post.sent[2:])
    assert titles(works, "cerrados") == ["obras.uno"] and titles(works, "siguen") == ["obras.dos"]
    assert titles(works, "nuevos") == titles(works, "reabiertos") == []
    assert titles(health, "reabiertos") == ["salud.uno"]
    assert "0 nuevos, 1 que sigue, 1 cerrado" in works["asunto"]
    assert "El control pasa." in works["texto"]


def test_what_came_and_went_in_between_is_not_told(city: Connection) -> None:
    post = Post()
    deliver(city, post)
    check(city, "obras.dos", False)
    check(city, "obras.dos", True)

    assert states(deliver(city, post, NEXT))["Obras Públicas"] == "sin_novedades"


def test_a_week_without_news_is_recorded_and_not_sent(city: Connection) -> None:
    post = Post()
    deliver(city, post)

    assert set(states(deliver(city, post, NEXT)).values()) == {"sin_novedades"}
    assert len(post.sent) == 2
    check(city, "obras.uno", False, rows=50)
    later = deliver(city, post, NEXT + dt.timedelta(days=7))
    assert states(later) == {"Obras Públicas": "enviado", "Salud": "sin_novedades"}


def test_what_stays_open_is_told_again_when_it_grows_old(city: Connection) -> None:
    post = Post()
    today = dt.datetime.now(dt.UTC).date()
    deliver(city, post, today)

    assert "sin_novedades" in states(deliver(city, post, today + dt.timedelta(days=10))).values()
    old = deliver(city, post, today + dt.timedelta(days=35))
    assert set(states(old).values()) == {"enviado"}


def test_an_acknowledgement_is_told(city: Connection) -> None:
    post = Post()
    deliver(city, post)
    acknowledge(city, 1, by="Ana Pérez", note="el lunes")

    assert states(deliver(city, post, NEXT))["Obras Públicas"] == "enviado"
    assert "lo conoce Ana Pérez" in post.sent[-1][1]["texto"]


def test_a_failed_send_goes_next_time_with_the_same_text_and_number(city: Connection) -> None:
    post = Post()
    post.broken = True
    assert set(states(deliver(city, post)).values()) == {"fallido"}
    (first,) = city.execute(
        "select mensaje_id from meta.resumen_hallazgos where area = 'Salud'"
    ).fetchone() or ("",)  # fmt: skip
    check(city, "salud.uno", False, rows=99)
    post.broken = False

    assert set(states(deliver(city, post)).values()) == {"enviado"}

    area, document, message_id = post.sent[-1]
    assert (area, str(message_id)) == ("Salud", str(first))
    assert document["nuevos"][0]["filas"] == 3, "as it was written"
    assert city.execute(
        "select intentos, error, enviado_en is not null from meta.resumen_hallazgos "
        "where area = 'Salud'"
    ).fetchone() == (2, None, True)


def test_an_area_that_nobody_reads_for_loses_nothing(city: Connection) -> None:
    assert states(deliver(city, Post(known=("Salud",)))) == {
        "Obras Públicas": "sin_destinatario", "Salud": "enviado"
    }  # fmt: skip
    post = Post()

    assert states(deliver(city, post)) == {"Obras Públicas": "enviado"}
    assert titles(post.sent[0][1], "nuevos") == ["obras.uno"]


def test_channels_are_told_apart(city: Connection) -> None:
    deliver(city, Post("correo"))
    assert len(deliver(city, Post("webhook"))) == 2


def test_no_key_of_a_row_is_in_a_digest(city: Connection) -> None:
    assert compose(city, "correo", MONDAY)
    assert "C-99071" not in json.dumps([d.document() for d in compose(city, "correo", MONDAY)])
    assert city.execute("select count(*) from meta.resumen_hallazgos").fetchone() == (0,)


def test_a_long_list_is_cut_in_words_and_whole_in_data(city: Connection) -> None:
    for number in range(40):
        check(city, f"obras.t{number:02d}", False)
    city.execute("update meta.hallazgo set area = 'Obras Públicas'")

    (digest,) = compose(city, "correo", MONDAY)

    assert len(digest.secciones["nuevos"]) == 42
    assert "… y 17 más." in digest.texto


def test_four_at_once_send_each_once(city: Connection, warehouse: Warehouse) -> None:
    post = Post()

    def run() -> None:
        with warehouse.connect(autocommit=True) as connection:
            deliver(connection, post)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(area for area, _, _ in post.sent) == ["Obras Públicas", "Salud"]


KILLED = """
import sys, time, psycopg, datetime as dt
from expectations.findings.digest import send_pending, write
class Post:
    channel = "correo"
    def reaches(self, area): return True
    def send(self, area, document, message_id):
        if area == "Salud":
            print("under way", flush=True)
            time.sleep(60)
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    write(connection, "correo", dt.date(2026, 6, 1), lambda area: True)
    send_pending(connection, Post())
"""


def test_killed_while_sending_neither_loses_nor_doubles(
    city: Connection, warehouse: Warehouse
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, warehouse.url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The server needs a moment to notice, and holds what was being sent until then.
    deadline = time.monotonic() + 10
    others = (
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    while city.execute(others).fetchone() != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    post = Post()

    deliver(city, post)

    assert [area for area, _, _ in post.sent] == ["Salud"], "the other one had left"
    assert set(states(deliver(city, post))) == set()


# --- e-mail, through a real server ----------------------------------------------------------------


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server context whose certificate this process trusts."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


TO = parse_recipients("Obras Públicas=ana@ciudad.ar, luis@ciudad.ar; *=datos@ciudad.ar")


def mail(scheme: str, port: int, password: str = PASSWORD, timeout_s: float = 5) -> MailChannel:
    user = "" if scheme == "smtp+plain" else f"lector:{password}@"
    patience = Patience(attempts=3, timeout_s=timeout_s, longest_pause_s=0)
    return MailChannel(
        f"{scheme}://{user}127.0.0.1:{port}", "Datos <datos@ciudad.ar>", TO, patience
    )


# The server cannot know that its own socket is encrypted from the start.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_mail_goes_encrypted_with_credentials_to_the_areas_people(
    city: Connection, trusted: ssl.SSLContext, scheme: str
) -> None:
    options = {"tls": trusted} if scheme == "smtps" else {"starttls": trusted}
    with mail_server(login=True, **options) as server:
        outcomes = deliver(city, mail(scheme, server.port))
        again = deliver(city, mail(scheme, server.port))

    assert set(states(outcomes).values()) == {"enviado"}, outcomes
    assert again == [] and len(server.messages) == 2
    assert server.logins == [("lector", PASSWORD)] * 2
    assert server.recipients == [["ana@ciudad.ar", "luis@ciudad.ar"], ["datos@ciudad.ar"]]
    works = server.messages[0]
    assert works["Subject"].startswith("Hallazgos de calidad · Obras Públicas")
    assert works["Message-ID"].endswith("@ciudad.ar>") and works["Auto-Submitted"]
    assert "Una clave no se repite en obras.uno." in works.get_content()


def test_credentials_never_leave_without_encryption(
    city: Connection, trusted: ssl.SSLContext
) -> None:
    with mail_server() as server:  # offers no STARTTLS
        [first, _] = deliver(city, mail("smtp", server.port))
    assert first.error is not None and "no ofrece cifrado" in first.error
    assert server.logins == [] and server.messages == []
    with pytest.raises(ChannelError, match="sin cifrar"):
        MailChannel("smtp+plain://u:c@servidor", "a@b.ar", TO)


def test_a_certificate_nobody_vouches_for_is_refused(city: Connection, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    with mail_server(tls=context) as server:
        [first, _] = deliver(city, mail("smtps", server.port))
    assert first.error is not None and "certificado" in first.error and server.messages == []


def test_a_wrong_password_is_said_without_it(city: Connection, trusted: ssl.SSLContext) -> None:
    with mail_server(starttls=trusted, login=True) as server:
        [first, _] = deliver(city, mail("smtp", server.port, "otra-clave"))
    assert first.error is not None and "usuario o la contraseña" in first.error
    assert "otra-clave" not in repr(first) + repr(mail("smtp", 1, "otra-clave"))
    assert "otra-clave" not in str(city.execute("select * from meta.resumen_hallazgos").fetchall())


def test_a_busy_server_is_asked_again(city: Connection) -> None:
    with mail_server() as server:
        server.answer = lambda number: "451 espere" if number <= 2 else "250 OK"
        outcomes = deliver(city, mail("smtp+plain", server.port))
    assert set(states(outcomes).values()) == {"enviado"}
    assert server.attempts == 4 and len(server.messages) == 2


def test_a_refusal_for_good_is_not_repeated(city: Connection) -> None:
    with mail_server() as server:
        server.answer = lambda number: "554 no"
        outcomes = deliver(city, mail("smtp+plain", server.port))
    assert server.attempts == 2
    assert "código 554" in str(outcomes[0].error)


def test_a_message_whose_fate_is_unknown_is_not_sent_again_at_once(city: Connection) -> None:
    """The answer comes too late: it may have been taken. It goes later, under the same number."""
    with mail_server() as server:
        server.answer = lambda number: slowly(0.8) if number == 1 else "250 OK"
        late = deliver(city, mail("smtp+plain", server.port, timeout_s=0.5))
        assert states(late) == {"Obras Públicas": "fallido", "Salud": "enviado"}, late
        assert server.attempts == 2
        deliver(city, mail("smtp+plain", server.port))
    works = [m["Message-ID"] for m in server.messages if "Obras" in m["Subject"]]
    assert len(set(works)) == 1


def test_a_server_that_is_gone_is_tried_and_left(city: Connection) -> None:
    outcomes = deliver(city, mail("smtp+plain", 1))
    assert set(states(outcomes).values()) == {"fallido"}
    assert "no respondió" in str(outcomes[0].error)


def test_one_refused_address_is_said_and_the_others_are_not_mailed_twice(city: Connection) -> None:
    with mail_server() as server:

        async def handle_rcpt(s: Any, session: Any, envelope: Any, address: str, o: Any) -> str:
            if address.startswith("luis"):
                return "550 no existe"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        server.handle_RCPT = handle_rcpt  # type: ignore[attr-defined]
        outcomes = deliver(city, mail("smtp+plain", server.port))
        again = deliver(city, mail("smtp+plain", server.port))

    assert states(outcomes) == {"Obras Públicas": "enviado", "Salud": "enviado"}
    assert "1 de los destinatarios" in str(outcomes[0].error)
    assert again == [] and len(server.messages) == 2


@pytest.mark.parametrize(
    ("url", "sender", "words"),
    [
        ("https://servidor", "a@b.ar", "LUJAN_SMTP_URL"),
        ("smtps://", "a@b.ar", "LUJAN_SMTP_URL"),
        ("smtps://servidor", "", "LUJAN_SMTP_FROM"),
    ],
)
def test_settings_that_cannot_work_are_named(url: str, sender: str, words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        MailChannel(url, sender, TO)


@pytest.mark.parametrize("text", ["ana@x.ar", "Salud=", "Salud=ana", "*=a@x.ar\nBcc: b@y.ar"])
def test_recipients_that_cannot_be_read_are_named(text: str) -> None:
    with pytest.raises(ChannelError, match="LUJAN_DIGEST_TO"):
        parse_recipients(text)


# --- webhook, through a real server ---------------------------------------------------------------


def hook(url: str) -> WebhookChannel:
    return WebhookChannel(f"{url}/secreto-en-la-ruta", TOKEN, QUICK)


def answers(*statuses: int) -> Callable[[int, Request], Reply]:
    return lambda number, _: Reply(status=statuses[min(number, len(statuses)) - 1])


def test_a_webhook_gets_json_once(city: Connection) -> None:
    with http_server(answers(200)) as server:
        outcomes = deliver(city, hook(server.url))
        again = deliver(city, hook(server.url))

    assert set(states(outcomes).values()) == {"enviado"} and again == []
    assert len(server.requests) == 2
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/secreto-en-la-ruta")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    document = json.loads(request.body)
    assert document["area"] == "Obras Públicas" and document["semana"] == "2026-06-01"
    assert document["nuevos"][0]["conjunto"] == "obras.uno" and "texto" in document


def test_a_busy_webhook_is_asked_again_under_one_number(city: Connection) -> None:
    with http_server(answers(503, 429, 204)) as server:
        outcomes = deliver(city, hook(server.url))
    assert set(states(outcomes).values()) == {"enviado"}
    numbers = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(numbers) == 4 and len(set(numbers[:3])) == 1 != len(set(numbers))


@pytest.mark.parametrize(("status", "asked"), [(500, 6), (400, 2), (403, 2), (302, 2)])
def test_a_webhook_that_refuses_leaves_it_pending(
    city: Connection, status: int, asked: int
) -> None:
    with http_server(answers(status)) as server:
        outcomes = deliver(city, hook(server.url))
    assert set(states(outcomes).values()) == {"fallido"}
    assert len(server.requests) == asked
    text = repr(outcomes) + str(city.execute("select * from meta.resumen_hallazgos").fetchall())
    assert f"código {status}" in text
    assert TOKEN not in text and "secreto-en-la-ruta" not in text
    with http_server(answers(200)) as healed:
        assert set(states(deliver(city, hook(healed.url))).values()) == {"enviado"}


def test_a_slow_webhook_and_one_that_hangs_up(city: Connection) -> None:
    def slow(number: int, _: Request) -> Reply:
        if number == 1:
            slowly(0.8)
        return Reply(hang_up=number == 2)

    with http_server(slow) as server:
        outcomes = deliver(city, hook(server.url))
    assert set(states(outcomes).values()) == {"enviado"}
    assert len({r.headers["Idempotency-Key"] for r in server.requests[:3]}) == 1


def test_findings_do_not_travel_in_the_clear(city: Connection) -> None:
    for url in ("http://servidor.ar/x", "ftp://servidor.ar", "servidor"):
        with pytest.raises(ChannelError, match="LUJAN_DIGEST_WEBHOOK_URL"):
            WebhookChannel(url, TOKEN)


def test_weeks_begin_on_monday() -> None:
    assert {week_of(MONDAY + dt.timedelta(days=n)) for n in range(7)} == {MONDAY}

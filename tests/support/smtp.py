"""A real mail server on loopback that takes, refuses or dawdles as a test says.

Belongs here: serving SMTP, with STARTTLS or TLS from the start, and keeping what came. Does not
belong here: what a message should say (the tests).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class MailServer:
    """A running server. `answer` hears the number of each message, from 1 on; its reply is sent."""

    answer: Callable[[int], str] = lambda number: "250 OK"
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    attempts: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.attempts += 1
        reply = self.answer(self.attempts)
        if reply.startswith("250"):
            made = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(made, EmailMessage)
            self.messages.append(made)
            self.recipients.append(list(envelope.rcpt_tos))
        return reply

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str,
                     data: Any) -> AuthResult:  # fmt: skip
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"clave-secreta", handled=False)


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: bool = False,
) -> Iterator[MailServer]:
    """Serve on a free port until the block ends."""
    state = MailServer()
    controller = Controller(
        state, hostname="127.0.0.1", port=_free_port(), ssl_context=tls, tls_context=starttls,
        require_starttls=starttls is not None, authenticator=state.authenticate,
        auth_required=login, auth_require_tls=starttls is not None,
    )  # fmt: skip
    controller.start()
    state.port = controller.port
    try:
        yield state
    finally:
        controller.stop()


def slowly(seconds: float, reply: str = "250 OK") -> str:
    """Hold the whole server for a while, as a machine in trouble does."""
    time.sleep(seconds)
    return reply


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""How digests travel: e-mail over TLS, or a webhook.

Belongs here: one class per channel, its patience and its errors in words. Does not belong here:
what a message says (`digest.py`). Addresses and credentials come from outside and appear in no
error: only the host is named.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import tenacity

from expectations.findings.digest import Channel
from sources.errors import PipelineError

TIMEOUT_S = 20.0
_ATTEMPTS = 4
_LONGEST_PAUSE_S = 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DEFAULT_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
# Answers after which the same request may be asked again.
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_TEMPORARY = range(400, 500)


class ChannelError(PipelineError):
    """A message could not be sent, or a channel is set up in a way that cannot work."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try; tests wait less."""

    attempts: int = _ATTEMPTS
    timeout_s: float = TIMEOUT_S
    longest_pause_s: float = _LONGEST_PAUSE_S

    def retrying(self, worth: Callable[[BaseException], bool]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_random_exponential(multiplier=1, max=self.longest_pause_s),
            reraise=True,
        )


def parse_recipients(text: str) -> dict[str, list[str]]:
    """'Obras Públicas=a@x.ar, b@x.ar; *=datos@x.ar' → addresses by area; '*' is everybody else.

    Raises ChannelError naming the part that is not one.
    """
    found: dict[str, list[str]] = {}
    for part in filter(str.strip, text.split(";")):
        area, separator, addresses = part.partition("=")
        listed = [address.strip() for address in addresses.split(",") if address.strip()]
        if not separator or not area.strip() or not listed:
            raise ChannelError(
                f"no se entiende {part.strip()!r} en LUJAN_DIGEST_TO.",
                next_step="escriba Área=persona@dominio, otra@dominio; *=datos@dominio.",
            )
        for address in listed:
            if "@" not in parseaddr(address)[1] or any(c in address for c in "\r\n"):
                raise ChannelError(
                    f"{address!r} no es una dirección de correo.",
                    next_step="revise LUJAN_DIGEST_TO.",
                )
        found[area.strip().casefold()] = listed
    return found


class MailChannel:
    """E-mail through one server.

    `url`: smtps://user:password@host[:465] (TLS from the start) or smtp://…[:587] (STARTTLS, never
    without); smtp+plain://host[:25] has no TLS and takes no credentials.
    """

    channel: Channel = "correo"

    def __init__(
        self, url: str, sender: str, recipients: Mapping[str, Sequence[str]],
        patience: Patience = Patience(),
    ) -> None:  # fmt: skip
        """Raises ChannelError when the address or the sender cannot be used."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ChannelError(
                "LUJAN_SMTP_URL no es una dirección de servidor de correo.",
                next_step="escriba smtps://usuario:clave@servidor:465 o smtp://…:587.",
            )
        if parts.scheme == "smtp+plain" and parts.username:
            raise ChannelError(
                "LUJAN_SMTP_URL enviaría usuario y contraseña sin cifrar.",
                next_step="use smtps:// o smtp://, que cifran siempre.",
            )
        if "@" not in parseaddr(sender)[1]:
            raise ChannelError(
                "falta LUJAN_SMTP_FROM, o no es una dirección de correo.",
                next_step="escriba la dirección desde la que salen los resúmenes.",
            )
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._recipients = recipients
        self._patience = patience

    def __repr__(self) -> str:
        return f"MailChannel({self._host}:{self._port})"

    def reaches(self, area: str) -> bool:
        return bool(self._addresses(area))

    def send(self, area: str, document: Mapping[str, Any], message_id: str) -> str | None:
        """Send one message to everybody of an area; a note when it did not reach all of them.

        Asked again only after an answer that says it was not taken. When the line breaks while the
        message is under way nobody knows: it stays pending, and goes again under the same number.
        Raises ChannelError.
        """
        message = self._message(area, document, message_id)
        retrying = self._patience.retrying(_mail_was_not_taken)
        try:
            refused = retrying(self._deliver, message)
        except smtplib.SMTPAuthenticationError as error:
            raise self._error(
                "rechazó el usuario o la contraseña", "revise LUJAN_SMTP_URL."
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise self._error(
                "no ofrece cifrado o identificación",
                "use smtps://, o pregunte a quien lo administra.",
            ) from error
        except ssl.SSLError as error:
            raise self._error(
                "no tiene un certificado de confianza",
                "pida un certificado válido a quien lo administra; no se envió nada.",
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise self._error(
                f"no aceptó a ningún destinatario de {area or 'los hallazgos sin área'}",
                "revise LUJAN_DIGEST_TO.",
            ) from error
        except smtplib.SMTPResponseException as error:
            raise self._error(
                f"no aceptó el mensaje (código {error.smtp_code})",
                "se vuelve a intentar en la próxima.",
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise self._error(
                "no respondió o cortó la comunicación", "se vuelve a intentar en la próxima."
            ) from error
        if not refused:
            return None
        return (
            f"llegó, pero el servidor no aceptó a {len(refused)} de los destinatarios: revise sus "
            "direcciones en LUJAN_DIGEST_TO."
        )

    def _deliver(self, message: EmailMessage) -> Mapping[str, object]:
        """Recipients that were refused, when at least one was not."""
        context = ssl.create_default_context()
        try:
            if self._scheme == "smtps":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    self._host, self._port, timeout=self._patience.timeout_s, context=context
                )
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=self._patience.timeout_s)
        except ssl.SSLError:
            raise
        except OSError as error:
            raise _NotReachedError(str(error)) from error
        with server:
            if self._scheme == "smtp":
                server.starttls(context=context)
            if self._user:
                server.login(self._user, self._password)
            return server.send_message(message)

    def _message(self, area: str, document: Mapping[str, Any], message_id: str) -> EmailMessage:
        message = EmailMessage()
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        message["From"] = self._sender
        message["To"] = ", ".join(self._addresses(area))
        message["Subject"] = str(document["asunto"])
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = f"<{message_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(str(document["texto"]))
        return message

    def _addresses(self, area: str) -> Sequence[str]:
        return self._recipients.get(area.casefold()) or self._recipients.get("*") or ()

    def _error(self, what: str, next_step: str) -> ChannelError:
        return ChannelError(f"el servidor de correo {self._host} {what}.", next_step=next_step)


class _NotReachedError(OSError):
    """No connection was made: nothing of the message left."""


def _mail_was_not_taken(error: BaseException) -> bool:
    if isinstance(error, _NotReachedError):
        return True
    return (
        isinstance(error, smtplib.SMTPResponseException)
        and not isinstance(error, smtplib.SMTPAuthenticationError)
        and error.smtp_code in _TEMPORARY
    )


class WebhookChannel:
    """A POST with the digest as JSON; `Idempotency-Key` is the same however often it is sent."""

    channel: Channel = "webhook"

    def __init__(self, url: str, token: str = "", patience: Patience = Patience()) -> None:
        """Raises ChannelError when the address cannot be used."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ChannelError(
                "LUJAN_DIGEST_WEBHOOK_URL no es una dirección web.",
                next_step="escriba https://servidor/ruta.",
            )
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ChannelError(
                "LUJAN_DIGEST_WEBHOOK_URL enviaría los hallazgos sin cifrar.",
                next_step="use https://.",
            )
        self._url = url
        self._host = parts.hostname
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._patience = patience

    def __repr__(self) -> str:
        return f"WebhookChannel({self._host})"

    def reaches(self, area: str) -> bool:
        return True

    def send(self, area: str, document: Mapping[str, Any], message_id: str) -> str | None:
        """Send one message; always None. Asked again while the server is busy or out of reach.

        Raises ChannelError.
        """
        retrying = self._patience.retrying(_is_worth_asking_again)
        try:
            retrying(self._post, document, message_id)
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            step = (
                "se vuelve a intentar en la próxima."
                if code in _BUSY
                else "revise LUJAN_DIGEST_WEBHOOK_URL y LUJAN_DIGEST_WEBHOOK_TOKEN."
            )
            raise self._error(f"no aceptó el mensaje (código {code})", step) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            # The cause would show the address, which may hold a secret.
            raise self._error(
                "no respondió o cortó la comunicación", "se vuelve a intentar en la próxima."
            ) from None
        return None

    def _post(self, document: Mapping[str, Any], message_id: str) -> None:
        headers = self._headers | {"Idempotency-Key": message_id}
        with httpx.Client(timeout=self._patience.timeout_s, follow_redirects=False) as client:
            answer = client.post(self._url, json=dict(document), headers=headers)
        if not answer.is_success:
            raise httpx.HTTPStatusError("", request=answer.request, response=answer)

    def _error(self, what: str, next_step: str) -> ChannelError:
        return ChannelError(f"el servidor {self._host} {what}.", next_step=next_step)


def _is_worth_asking_again(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _BUSY
    return isinstance(error, httpx.TransportError)

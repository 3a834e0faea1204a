"""The weekly digest as this installation sends it: its channels, from the settings.

Belongs here: turning settings into channels, and the one function that schedule and command line
share. Does not belong here: what a digest says or how it travels (`expectations/findings/`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestration.settings import CITY_TIMEZONE, Settings, settings
from orchestration.warehouse.connection import Warehouse
from sources.errors import PipelineError

if TYPE_CHECKING:
    from expectations.findings.digest import Digest, Outcome, Sender


def is_configured(config: Settings | None = None) -> bool:
    """Whether anything would be sent anywhere; opens and checks nothing."""
    config = config or settings()
    return config.smtp_url is not None or config.digest_webhook_url is not None


def senders(config: Settings | None = None) -> list[Sender]:
    """The channels that are set up. Raises ChannelError for one that cannot work."""
    from expectations.findings.channels import MailChannel, WebhookChannel, parse_recipients

    config = config or settings()
    found: list[Sender] = []
    if config.smtp_url is not None:
        recipients = parse_recipients(config.digest_to)
        found.append(MailChannel(config.smtp_url.get_secret_value(), config.smtp_from, recipients))
    if config.digest_webhook_url is not None:
        token = config.digest_webhook_token
        found.append(
            WebhookChannel(
                config.digest_webhook_url.get_secret_value(),
                token.get_secret_value() if token else "",
            )
        )
    return found


def send_digests(
    warehouse: Warehouse, channels: Sequence[Sender], today: dt.date | None = None
) -> list[Outcome]:
    """Write and send this week's digests, and those that an earlier attempt left.

    Raises PipelineError when no channel is set up.
    """
    from expectations.findings.digest import send_pending, write

    if not channels:
        raise PipelineError(
            "no hay por dónde enviar los resúmenes.",
            next_step="defina LUJAN_SMTP_URL o LUJAN_DIGEST_WEBHOOK_URL (vea .env.example), o use "
            "--dry-run para verlos.",
        )
    outcomes = []
    with warehouse.connect(autocommit=True) as connection:
        for sender in channels:
            outcomes += write(connection, sender.channel, today or city_today(), sender.reaches)
            outcomes += send_pending(connection, sender)
    return outcomes


def preview(
    warehouse: Warehouse, channels: Sequence[Sender], today: dt.date | None = None
) -> list[Digest]:
    """What would be told now, on the first channel (e-mail when none is set up). Writes nothing."""
    from expectations.findings.digest import compose

    channel = channels[0].channel if channels else "correo"
    with warehouse.connect() as connection:
        return compose(connection, channel, today or city_today())


def city_today() -> dt.date:
    """The business day."""
    return dt.datetime.now(CITY_TIMEZONE).date()

"""`lujan live`: readings that come as messages, landed as they come.

Belongs here: choosing the contract, signals, what a person sees. Does not belong here: any work
(`sources/live.py`, `sources/landing/messages.py`).
"""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from rich.console import Console
from rich.markup import escape

from orchestration.catalogue_sync import configured_catalogue
from orchestration.checkers import checkers_for
from orchestration.connections import connections
from orchestration.settings import CITY_TIMEZONE
from orchestration.warehouse.connection import locate
from orchestration.warehouse.migrate import migrate
from sources.contract import Contract
from sources.errors import PipelineError, SourceUnavailable
from sources.landing import LoadContext
from sources.landing.messages import Message, forget_messages, land_messages, prepare_table
from sources.landing.report import LoadReport
from sources.live import LiveEvent, LiveTotals, Subscriber
from sources.urls import SourceUrl, variable

_STYLES = {"sin_servidor": "yellow", "sin_almacen": "yellow", "conectado": "green"}


def follow(console: Console, dataset: str | None) -> LiveTotals:
    """Land the messages of one contract until SIGTERM or Ctrl+C.

    Raises PipelineError when there is no such contract or it has no address, and as
    `Subscriber.run` does.
    """
    contract = _chosen(dataset)
    url = _address(contract)
    warehouse = locate()
    migrate(warehouse)
    context = LoadContext(connect=warehouse.connect, run_id=f"vivo-{uuid.uuid4().hex[:12]}")
    prepare_table(contract, context)

    def land(messages: Sequence[Message]) -> LoadReport:
        return _land(contract, url, context, messages)

    with _stop_signals() as stopped:
        subscriber = Subscriber(
            contract,
            url,
            land=land,
            forget=partial(forget_messages, contract, context),
            stopping=lambda: bool(stopped),
            tell=partial(_show, console),
        )
        console.print(
            f"Escuchando {contract.id} en {url.safe} (Ctrl+C para terminar).", highlight=False
        )
        totals = subscriber.run()
    console.print(
        f"Terminado: {totals.messages} mensajes en {totals.batches} cargas; {totals.loaded} filas "
        f"cargadas, {totals.quarantined} en cuarentena, {totals.known} ya conocidas.",
        highlight=False,
    )
    return totals


def _land(
    contract: Contract, url: SourceUrl, context: LoadContext, messages: Sequence[Message]
) -> LoadReport:
    # Checkers gather what they find for a report: a new set each time keeps memory bounded.
    return land_messages(contract, messages, context, checkers_for(contract), url.safe)


def _chosen(dataset: str | None) -> Contract:
    live = {name: c for name, c in configured_catalogue().contracts.items() if c.is_live}
    if dataset is None and len(live) == 1:
        return next(iter(live.values()))
    if dataset in live:
        return live[dataset]
    if not live:
        raise PipelineError(
            "ningún contrato recibe mensajes en vivo.",
            next_step="escriba uno con `transport: mqtt` (docs/lecturas-en-vivo.md) y nómbrelo "
            "con --contracts.",
        )
    raise PipelineError(
        f"{dataset} no recibe mensajes en vivo."
        if dataset
        else "hay varios contratos con mensajes en vivo.",
        next_step=f"elija uno con --dataset: {', '.join(live)}.",
    )


def _address(contract: Contract) -> SourceUrl:
    url = connections().urls.get(contract.system)
    if url is None or url.scheme not in ("mqtt", "mqtts"):
        raise SourceUnavailable(
            "falta la dirección del servidor de mensajes.",
            dataset=contract.id,
            owner=contract.owner,
            next_step=f"ponga {variable(contract.system)}=mqtts://usuario:clave@servidor:8883 en "
            "el entorno o en `.env`.",
        )
    return url


def _show(console: Console, event: LiveEvent) -> None:
    moment = datetime.now(CITY_TIMEZONE)
    style = _STYLES.get(event.state, "cyan")
    totals = event.totals
    console.print(
        f"{moment:%d/%m %H:%M:%S} [{style}]{escape(event.text)}[/{style}] "
        f"(total: {totals.messages} mensajes, {totals.loaded} filas)",
        highlight=False,
    )


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that is filled by SIGTERM or Ctrl+C; the handlers before it come back at the end."""
    stopped: list[int] = []
    before = {
        number: signal.signal(number, lambda caught, frame: stopped.append(caught))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

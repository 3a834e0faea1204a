"""Subscribers to live readings: in the test's own process, and in one that can be killed.

Belongs here: running them. Does not belong here: brokers (`mosquitto.py`), what must hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sources.contract import Contract
from sources.contract_document import load_contract
from sources.landing import Checker, LoadContext
from sources.landing.messages import forget_messages, land_messages, prepare_table
from sources.live import LiveEvent, LiveOptions, LiveTotals, Subscriber
from sources.urls import SourceUrl
from tests.support.forks import CONTEXT
from tests.support.processes import Death, _Watch

_PATIENCE_S = 20.0


def make_subscriber(
    contract: Contract,
    url: str,
    connect: Callable[[], Any],
    stop: Callable[[], bool],
    *,
    tell: Callable[[LiveEvent], None] = lambda event: None,
    checkers: Sequence[Checker] = (),
) -> Subscriber:
    """A subscriber that does not wait long for anything."""
    context = LoadContext(connect=connect, run_id="vivo")
    prepare_table(contract, context)
    return Subscriber(
        contract,
        SourceUrl.parse(url),
        land=lambda messages: land_messages(contract, messages, context, checkers, "mqtt://prueba"),
        forget=partial(forget_messages, contract, context),
        stopping=stop,
        tell=tell,
        options=LiveOptions(first_wait_s=0.05, longest_wait_s=0.3),
    )


@dataclass
class Following:
    """A subscriber in a thread; `events` is what it told, `error` what ended it."""

    stop: threading.Event = field(default_factory=threading.Event)
    events: list[LiveEvent] = field(default_factory=list)
    totals: LiveTotals | None = None
    error: BaseException | None = None

    def states(self) -> list[str]:
        return [event.state for event in self.events]


@contextmanager
def following(
    contract: Contract, url: str, connect: Callable[[], Any], **more: Any
) -> Iterator[Following]:
    """A running subscriber; on leaving it is stopped the clean way."""
    here = Following()

    def run() -> None:
        try:
            subscriber = make_subscriber(
                contract, url, connect, here.stop.is_set, tell=here.events.append, **more
            )
            here.totals = subscriber.run()
        except BaseException as error:  # told to the test
            here.error = error

    thread = threading.Thread(target=run, name="suscriptor", daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.stop.set()
        thread.join(_PATIENCE_S)
        assert not thread.is_alive(), "the subscriber does not stop"


@contextmanager
def subscriber_process(
    contract: Path, url: str, warehouse: str, death: Death | None = None
) -> Iterator[ForkServerProcess]:
    """A subscriber in a process of its own, which may kill itself; it is gone on leaving."""
    process = CONTEXT.Process(target=_run, args=(contract, url, warehouse, death))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(contract: Path, url: str, warehouse: str, death: Death | None) -> None:
    watch = _Watch(death)
    make_subscriber(
        load_contract(contract), url, lambda: watch.connect(warehouse), lambda: False
    ).run()

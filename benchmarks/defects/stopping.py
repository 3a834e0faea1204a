"""Stopping the mutation test when it is told to, whatever is at work at that moment.

Belongs here: what SIGTERM and SIGINT do, and nothing else. An exception raised by a signal's
handler is not enough: dbt turns whatever is raised while it works into a result of its own, and
one that comes up in a finaliser is dropped by Python. The order is therefore kept and given again.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_ORDERS: list[int] = []


def listen() -> None:
    """From now on SIGTERM and SIGINT end the run by SystemExit, so that it tidies up."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


def obey() -> None:
    """Raise SystemExit when an order came that was swallowed."""
    if _ORDERS:
        raise SystemExit(128 + _ORDERS[-1])


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Meanwhile an order interrupts, which makes dbt cancel its queries; then it is obeyed."""

    def interrupt(number: int, _frame: object) -> None:
        _ORDERS.append(number)
        raise KeyboardInterrupt

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        obey()
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        obey()


def _stop(number: int, _frame: object) -> None:
    _ORDERS.append(number)
    obey()

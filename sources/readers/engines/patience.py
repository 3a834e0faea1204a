"""One clock for everybody who waits on a server: ends waits that last too long.

Belongs here: the clock. Does not belong here: how long is too long, and how a wait is ended.

A timer of its own for each statement would start a thread for each, which takes as long as the
statement: ten of them per table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Patience:
    """Watches any number of waits with one thread, which is started by the first of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waits: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    @contextmanager
    def at_most(self, seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
        """Have `give_up` called once, when the block lasts `seconds`; never after its end.

        It is called by another thread while everybody else's waits stand still: it must be short
        and raise nothing.
        """
        wait, due = object(), time.monotonic() + seconds
        with self._changed:
            self._waits[wait] = (due, give_up)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)
                self._thread.start()
            elif due < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._waits.pop(wait, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for wait, (due, give_up) in list(self._waits.items()):
                    if due <= now:
                        del self._waits[wait]
                        give_up()
                self._wakes_at = min((due for due, _ in self._waits.values()), default=float("inf"))
                # Nobody there: until the next one comes. Those that end do not wake it.
                self._changed.wait(min(self._wakes_at - now, threading.TIMEOUT_MAX))


PATIENCE = Patience()

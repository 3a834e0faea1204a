"""Work done ahead in a thread, a few results at a time.

Belongs here: the thread, its queue, and ending both whatever happens. Does not belong here: what
is worked on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
_POLL_SECONDS = 0.2


class Ahead(Generic[Item]):
    """Runs through `items` in a thread; at most `waiting` results are held.

    `cancel` makes an iteration that waits for a server come back; it is called when whoever reads
    stops early, from the reading thread.
    """

    def __init__(
        self, items: Iterable[Item], *, waiting: int, cancel: Callable[[], None], name: str
    ) -> None:
        self._items = items
        self._cancel = cancel
        self._queue: queue.Queue[Item | _End] = queue.Queue(waiting)
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def results(self) -> Iterator[Item]:
        """The results in order; raises what the thread met. Ends the thread when left early."""
        try:
            while not isinstance(item := self._queue.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            self.stop()

    def stop(self) -> None:
        """End the thread; safe to call twice, and before `start`."""
        self._given_up.set()
        if self._thread.is_alive():
            self._cancel()
            self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as raised:  # handed to the reading thread, which raises it
            error = raised
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        while not self._given_up.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
        return False


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

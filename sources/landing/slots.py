"""Places on a system of the city: so many connections at once, counted over all processes.

Belongs here: taking and waiting for places, as advisory locks in the warehouse. Does not belong
here: opening connections (`readers/`), or how many places a system has (its contracts).

A place is held until the transaction of the load ends, whatever ends it: a process that is killed
gives its places back with its connection, and no crash can leave one taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sources.errors import SourceUnavailable
from sources.raw_table import Connection

# Longest wait for a place: other loads of the same system need minutes, not hours.
WAIT_SECONDS = 1800.0
_POLL_SECONDS = 0.2


class Slots:
    """Places one load holds on one system. All calls from the thread that runs the load."""

    def __init__(self, connection: Connection, system: str, limit: int) -> None:
        self._connection = connection
        self._system = system
        self._limit = limit
        self._held: list[int] = []

    @property
    def granted(self) -> int:
        """Places held."""
        return len(self._held)

    def extra(self, wanted: int) -> int:
        """Take up to `wanted` further places that are free now; gives how many. Never waits.

        To be called before the first row of the load is written: the connection to the warehouse
        is busy from then on.
        """
        before = self.granted
        while self.granted - before < wanted and self._take():
            pass
        return self.granted - before

    def _take(self) -> bool:
        # Rows of a series are met one by one, so that with `limit 1` one lock is taken at most. The
        # same session may take a lock twice: the places it holds are left out.
        row = self._connection.execute(
            "select n from generate_series(1, %s) as n where n <> all(%s::int[]) "
            "and pg_try_advisory_xact_lock(hashtext(%s), n) limit 1",
            [self._limit, self._held, f"sistema.{self._system}"],
        ).fetchone()
        if row is not None:
            self._held.append(int(row[0]))
        return row is not None


@contextmanager
def slots(
    connection: Connection,
    system: str,
    limit: int,
    *,
    wait_seconds: float = WAIT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Slots]:
    """Hold one place of `limit` on `system`, inside the transaction of `connection`.

    Waits for a free one. Raises SourceUnavailable when there is none for `wait_seconds`.
    """
    held = Slots(connection, system, limit)
    deadline = clock() + wait_seconds
    while not held.extra(1):
        if clock() >= deadline:
            raise SourceUnavailable(
                f"el sistema {system} admite {limit} conexiones a la vez y ninguna quedó libre en "
                f"{wait_seconds / 60:.0f} minutos. La tabla conserva sus últimos datos buenos.",
                next_step="espere a que terminen las otras cargas de ese sistema, o suba "
                "`maxConnections` en sus contratos si el área está de acuerdo.",
            )
        sleep(_POLL_SECONDS)
    yield held

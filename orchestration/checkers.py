"""What a dataset's rows are asked on the doorstep, as its contract wants it.

Belongs here: choosing the checkers for a load or a replay, and timing them. Does not belong here:
any rule (`expectations/`). They are imported when asked for: Pandera alone takes two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sources.contract import Contract

if TYPE_CHECKING:
    import pyarrow as pa

    from expectations.batches import CheckedBatch, RowChecker
    from expectations.results import CheckResult


def checkers_for(contract: Contract) -> list[RowChecker]:
    """New checkers, which count what they see: one set per load.

    Raises ContractError when a rule of the contract cannot be used.
    """
    from expectations.contract_schema import BatchChecker
    from expectations.protocol import ProtocolChecker

    checkers: list[RowChecker] = [BatchChecker(contract)]
    if contract.has_people:
        checkers.append(ProtocolChecker(contract))
    return checkers


class Stopwatch:
    """Seconds that rules took of a load: what the quality of data costs is to be seen."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens meanwhile."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began

    def timed(self, checker: RowChecker) -> RowChecker:
        """The same checker, with what it takes counted."""
        return _Timed(checker, self)


class _Timed:
    def __init__(self, checker: RowChecker, watch: Stopwatch) -> None:
        self._checker = checker
        self._watch = watch

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch:
        with self._watch.running():
            return self._checker.check(batch, row_numbers)

    def results(self) -> list[CheckResult]:
        with self._watch.running():
            return self._checker.results()

"""What a run tells while it works.

Belongs here: the small interface by which steps report, and the no-op used under Dagster's own
UI. Does not belong here: how it is drawn (`cli/live.py`).
"""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Hears of work as it is done; the stages are those of `cli/live.py`.

    What was `noticed` of a dataset stopped nothing, and a person should hear of it.
    """

    def expected(self, stage: str, total: int) -> None: ...
    def started(self, stage: str, item: str) -> None: ...
    def advanced(self, stage: str, item: str, rows: int) -> None: ...
    def finished(self, stage: str, item: str, outcome: str, rows: int | None = None) -> None: ...
    def noticed(self, item: str, note: str) -> None: ...


class _Silent:
    def expected(self, stage: str, total: int) -> None: ...
    def started(self, stage: str, item: str) -> None: ...
    def advanced(self, stage: str, item: str, rows: int) -> None: ...
    def finished(self, stage: str, item: str, outcome: str, rows: int | None = None) -> None: ...
    def noticed(self, item: str, note: str) -> None: ...


_observer: Observer = _Silent()


def observer() -> Observer:
    """Whoever listens in this process."""
    return _observer


def observe(listener: Observer | None) -> None:
    """Let `listener` hear from now on; None for nobody."""
    global _observer  # noqa: PLW0603 - one run per process has one listener
    _observer = listener or _Silent()

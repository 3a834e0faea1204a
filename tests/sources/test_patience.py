"""Waits that last too long are ended, each at its own time, and none that is over."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from sources.readers.engines.patience import Patience

LONG_S = 60.0


def test_a_wait_that_lasts_too_long_is_ended_once() -> None:
    ended: list[str] = []
    over = threading.Event()

    def give_up() -> None:
        ended.append("ended")
        over.set()

    with Patience().at_most(0.05, give_up):
        assert over.wait(LONG_S)
        time.sleep(0.1)
    assert ended == ["ended"]


def test_a_wait_that_is_over_is_never_ended() -> None:
    patience, ended = Patience(), threading.Event()
    with patience.at_most(0.05, ended.set):
        pass
    with pytest.raises(ValueError, match="broken"), patience.at_most(0.05, ended.set):
        raise ValueError("broken")

    # A later one shows that the clock went on past the times of both.
    reached = threading.Event()
    with patience.at_most(0.1, reached.set):
        assert reached.wait(LONG_S)
    assert not ended.is_set()


def test_a_shorter_wait_that_begins_later_is_ended_first() -> None:
    patience, short = Patience(), threading.Event()
    long = threading.Event()
    with patience.at_most(LONG_S, long.set), patience.at_most(0.05, short.set):
        assert short.wait(LONG_S / 2)
    assert not long.is_set()


def test_a_hundred_waits_are_watched_by_one_thread() -> None:
    patience = Patience()
    before = threading.active_count()
    events = [threading.Event() for _ in range(100)]
    with ExitStack() as stack:
        for event in events:
            stack.enter_context(patience.at_most(0.2, event.set))
        assert threading.active_count() <= before + 1
        assert all(event.wait(LONG_S) for event in events)

"""What a run's page shows of a step that broke off.

Belongs here: putting the words of an error of ours first. Does not belong here: steps that stop on
purpose (`exports.py` has its own failures), or which errors there are (`sources/errors.py`).

Dagster shows an exception as where it was raised, in dozens of lines, with its message at the end.
A failure has its words above, and its facts as a table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import psycopg
import psycopg2
from dagster import Failure, MetadataValue

from orchestration.outages import outage
from sources.errors import PipelineError

P = ParamSpec("P")


@contextmanager
def in_words() -> Iterator[None]:
    """Errors of ours that come out of this, and a warehouse or a disk that gives out, end the step
    as a failure that says what to do."""
    try:
        yield
    except (PipelineError, psycopg.Error, psycopg2.Error, OSError) as error:
        known = outage(error)
        if known is None:
            raise
        facts = {
            "conjunto": known.dataset,
            "responsable": known.owner,
            "que_hacer": known.next_step,
        }
        if known is not error:
            known.__cause__ = error
        raise Failure(
            description=str(known),
            metadata={name: MetadataValue.text(value) for name, value in facts.items() if value},
        ) from known


def told_to_people(step: Callable[P, Iterator[Any]]) -> Callable[P, Iterator[Any]]:
    """A step that yields what it makes, `in_words` from its first line to its last."""

    @functools.wraps(step)
    def told(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        with in_words():
            yield from step(*args, **kwargs)

    return told

"""Which ways the rows of loads went, and having few rows go the ways of many.

Belongs here: whether a table was read in parts, and whether its rows waited for the merge or went
into raw at once. Does not belong here: loads, and what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from sources.landing import beyond, tables
from sources.landing.intake import Intake
from sources.readers import database


@dataclass(slots=True)
class Ways:
    """What was seen, in order: the intake of every load, and the parts of every divided reading."""

    intakes: list[Intake] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)


@contextmanager
def watched(ways: Ways, *, worth_rows: int, parted_rows: int = 1000) -> Iterator[None]:
    """Note the ways of all loads.

    `worth_rows` at the end of a batch are worth writing into raw apart (`landing/beyond.py`); from
    `parted_rows` on a table is read in parts where its contract asks for it.
    """
    parted = database.parted

    class Watched(Intake):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            ways.intakes.append(self)

    def noted(*args: Any) -> Any:
        found = parted(*args)
        ways.parts.append(len(found))
        return found

    with (
        patch.object(tables, "Intake", Watched),
        patch.object(beyond, "_WORTH_ROWS", worth_rows),
        patch.object(database, "parted", noted),
        patch.object(database, "PARTED_ROWS", parted_rows),
    ):
        yield

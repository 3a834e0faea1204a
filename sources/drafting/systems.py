"""Drafts of a whole system: one for each table and view that its user may see.

Belongs here: which tables, and what each of their data sets is called. Does not belong here: the
draft of a table (`tables.py`), or files on disk.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sources.drafting import tables
from sources.drafting.document import (
    LONGEST_IDENTIFIER,
    Draft,
    DraftError,
    identify,
    plain_name,
)
from sources.errors import PipelineError
from sources.urls import SourceUrl

# A data set's name has at most 30 characters in a draft; some are left to tell two apart.
_LONGEST_NAME, _TURN = 30, 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one table: its draft, or why there is none."""

    table: str
    identifier: str
    draft: Draft | None = None
    error: PipelineError | None = None


def chosen(system: str, url: SourceUrl, patterns: Sequence[str] = ()) -> dict[str, str]:
    """Identifier of a data set -> its table, in the order of the tables; all without `patterns`.

    A pattern is a name in which `*` stands for anything, with or without the schema. Raises
    DraftError when the system's name is none, there are no tables, or a pattern meets none.
    """
    identify(f"{system}.tabla")
    found = tables.names(f"{system}.tabla", url)
    if not found:
        raise DraftError(
            f"el usuario no ve ninguna tabla en {url.safe}.",
            next_step="pida permiso de lectura (SELECT) sobre las que hagan falta.",
        )
    for pattern in patterns:
        if not any(_meets(table, [pattern]) for table in found):
            raise DraftError(
                f"ninguna de las {len(found)} tablas se llama {pattern}.",
                next_step=f"elija entre: {', '.join(found)}.",
            )
    wanted = [table for table in found if not patterns or _meets(table, patterns)]
    longest = min(_LONGEST_NAME, LONGEST_IDENTIFIER - len(f"{system}.") - 1) - _TURN
    named = _named(wanted, tables.usual_schema(url), longest)
    return {f"{system}.{name}": table for table, name in named.items()}


def drafts(url: SourceUrl, wanted: Mapping[str, str]) -> Iterator[Outcome]:
    """The draft of each table of `wanted` (see `chosen`), one after the other.

    A table that cannot be drafted does not stop the others.
    """
    for identifier, table in wanted.items():
        try:
            yield Outcome(table, identifier, tables.draft(identifier, url, table))
        except PipelineError as error:
            yield Outcome(table, identifier, error=error)


def _meets(table: str, patterns: Iterable[str]) -> bool:
    names = {table.casefold(), table.casefold().rpartition(".")[2]}
    return any(
        fnmatch.fnmatchcase(name, pattern.casefold()) for pattern in patterns for name in names
    )


def _named(found: Iterable[str], usual_schema: str, longest: int) -> dict[str, str]:
    """Table -> name of its data set; the schema is part of it where it is not the usual one."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for table in found:
        schema, _, name = table.rpartition(".")
        whole = name if schema in ("", usual_schema) else f"{schema}_{name}"
        base = plain_name(whole) or "tabla"
        base = (base if base[0].isalpha() else f"t_{base}")[:longest].rstrip("_")
        one, turn = base, 1
        while one in taken:
            turn += 1
            one = f"{base}_{turn}"
        taken.add(one)
        names[table] = one
    return names

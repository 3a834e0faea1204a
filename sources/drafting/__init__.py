"""A first contract for a source that nobody has described yet.

Belongs here: what a table or a file shows of itself, as a document that can be loaded at once and
that says what a person still has to fill in. Does not belong here: loading, or inventing what only
the city knows (owner, meaning, who may see it): that stays marked as to be confirmed, and
restricted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sources.contract import Contract
from sources.drafting.document import Draft, identify
from sources.errors import PipelineError
from sources.urls import SourceUrl

__all__ = ["Contract", "Draft", "draft_api", "draft_file", "draft_table", "table_names"]


def draft_table(identifier: str, url: SourceUrl, table: str) -> Draft:
    """The draft of a database table: columns, types, nulls and key as its server declares them.

    Raises DraftError for an identifier no contract can have, SourceUnavailable (with the tables
    there are, when it is the table that is missing) and ContractError.
    """
    from sources.drafting import tables

    identify(identifier)
    with _of_nobody_yet():
        return tables.draft(identifier, url, table)


def table_names(identifier: str, url: SourceUrl) -> list[str]:
    """Tables and views the user may see, without those of the server itself."""
    from sources.drafting import tables

    with _of_nobody_yet():
        return tables.names(identifier, url)


def draft_file(identifier: str, path: Path, sheet: str | None = None) -> Draft:
    """The draft of a file: format, encoding, separator and header by its content, types by the
    values of its first rows. `sheet` is one of a workbook's; without it, the first with a table.

    Raises DraftError for an identifier no contract can have or a file that is of no known format,
    and the readers' own errors for one that is damaged.
    """
    from sources.drafting import files

    identify(identifier)
    with _of_nobody_yet():
        return files.draft(identifier, path, sheet)


def draft_api(identifier: str, url: SourceUrl) -> Draft:
    """The draft of an HTTP API: where its rows are, where the next page is, types by one answer.

    Raises DraftError for an identifier no contract can have or an answer without rows, and the
    reader's own errors (no answer, no permission).
    """
    from sources.drafting import api

    identify(identifier)
    with _of_nobody_yet():
        return api.draft(identifier, url)


@contextmanager
def _of_nobody_yet() -> Iterator[None]:
    """Readers' errors name who answers for a data set: of a draft, nobody does."""
    try:
        yield
    except PipelineError as error:
        error.owner = None
        raise

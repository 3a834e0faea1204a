"""Errors of this room, with the facts as fields and a Spanish message for the person on duty.

Only the exception types belong here; the code that raises them knows the circumstances, the code
that shows them (`orchestration/`) decides where they appear.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any


class PipelineError(Exception):
    """An error a person has to act upon.

    `what` says what happened, `next_step` what to do; `dataset` and `owner` say whose it is.
    The text never carries a secret: callers pass addresses through `sources.urls.redact`.
    """

    def __init__(
        self, what: str, *, dataset: str = "", owner: str | None = None, next_step: str = ""
    ) -> None:
        self.what = what
        self.dataset = dataset
        self.owner = owner
        self.next_step = next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [f"{self.dataset}: {self.what}" if self.dataset else self.what]
        if self.owner:
            parts.append(f"Responsable: {self.owner}.")
        if self.next_step:
            parts.append(f"Qué hacer: {self.next_step}")
        return " ".join(parts)


class UnknownDataset(PipelineError):
    """A name that nobody knows, with up to three of `known` that are close to it.

    Where none is, `listing` says how to see them all; without it they are named.
    """

    def __init__(self, name: str, known: Collection[str], *, listing: str = "") -> None:
        within = [one for one in sorted(known) if name.rpartition(".")[2] in one]
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or within[:3]
        super().__init__(
            f"no existe el conjunto {name!r}.",
            next_step=f"¿quiso decir {' o '.join(close)}?"
            if close
            else listing or f"elija uno de: {', '.join(sorted(known))}.",
        )


class ContractError(PipelineError):
    """A contract document that cannot be used: unreadable, incomplete or contradictory."""

    @classmethod
    def of_document(cls, path: Path, what: str, identifier: str = "") -> ContractError:
        """The error of the document at `path`; the file's name stands in for a missing `id`."""
        return cls(
            f"contrato {path.name}: {what}.",
            dataset=identifier or path.stem,
            next_step=f"corrija {path} (guía: docs/agregar-una-fuente.md); "
            "los demás conjuntos siguen cargándose.",
        )


# A function that makes the error of the document at hand, from what is wrong.
Problem = Callable[[str], ContractError]


class SourceUnavailable(PipelineError):
    """The system did not answer: network, credentials, missing folder, time-out."""


class SourceDataError(PipelineError):
    """The system answered with something the contract does not describe, as a whole.

    An empty or truncated file, another layout, a missing column: the table keeps its last good
    data. Single bad rows never raise; they go to quarantine.
    """


class DriftError(SourceDataError):
    """A column of the contract is missing at the source or cannot be carried in its type.

    `columns` names those that are missing, as the source called them; `notes` says in words what
    else was found, already on record.
    """

    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class SourceChanged(SourceDataError):
    """What was read is not what the source counted or added up: it changed in the meantime."""


class LoadRefused(PipelineError):
    """The load was read but not committed, e.g. too large a share of it went to quarantine."""


class RevisionRefused(LoadRefused):
    """A version of a file that may not take the place of the one before.

    `facts` go with the load record (JSON): by them a later run refuses the same file unread.
    """

    facts: Mapping[str, Any] | None = None


class WarehouseUnavailable(PipelineError):
    """The warehouse could not take a load: disk, network, permission, or an error of its own.

    Raised, not reported per table: no other table would fare better. The cause is the driver's
    error.
    """

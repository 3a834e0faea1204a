"""A publication in a process of its own, so that it can be killed (SIGKILL) at a chosen moment.

Belongs here: starting such a process and the moments at which it ends itself. Does not belong
here: the portal, the data, or what must hold afterwards. Deaths in the middle of a request are the
proxy's (`http_proxy.py`, kinds `killed_before` and `killed_after`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

import psycopg

from tests.support.forks import CONTEXT

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Death:
    """Before the step, or once it is done at the portal and not yet recorded."""

    when: Literal["before", "after"]
    step: str


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication, as texts and plain data, which travel between processes."""

    warehouse: str
    definition: Path
    manifest: dict[str, Any]
    folder: Path
    url: str
    token: str
    chunk_bytes: int
    death: Death | None = None


@contextmanager
def publishing(job: Publication) -> Iterator[ForkServerProcess]:
    """The publication under way; on leaving, the process is gone."""
    process = CONTEXT.Process(target=_publish, args=(job,))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def ended(process: ForkServerProcess) -> int:
    """Exit code, once it has ended; the negative of a signal's number."""
    process.join(_PATIENCE_S)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def _publish(job: Publication) -> None:
    from exports import datastore
    from exports.ckan.publisher import CkanPublisher
    from exports.definition import load_definition
    from exports.export import export_dataset
    from exports.manifest import Manifest
    from exports.metadata import load_catalog_facts

    datastore.CHUNK_BYTES = job.chunk_bytes
    facts = load_catalog_facts(sintetico=True)
    publisher = CkanPublisher(job.url, job.token, facts, attempts=4, max_wait=0.1)
    if job.death:
        _die(publisher, job.death)
    with psycopg.connect(job.warehouse, autocommit=True) as connection:
        export_dataset(
            connection, load_definition(job.definition), Manifest(job.manifest), job.folder,
            "muerta", publisher, facts=facts,
        )  # fmt: skip


def _die(publisher: Any, death: Death) -> None:
    real = getattr(publisher, death.step)

    def step(*arguments: Any) -> None:
        if death.when == "after":
            real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(publisher, death.step, step)

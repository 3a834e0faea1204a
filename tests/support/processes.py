"""Loads in a process of their own, so that they can be killed, raced and measured.

Belongs here: starting such a process, the moments at which it ends itself, what it tells of its
load. Does not belong here: contracts, data, and what must hold afterwards.

Processes come from the fork server of `forks.py`.
"""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

import psycopg

import sources.landing.tables
from sources.contract_document import load_contract
from sources.landing import LoadContext, load
from sources.readers import Reader, ReaderOptions, open_reader
from sources.readers.base import DEFAULT_OPTIONS
from sources.urls import SourceUrl
from tests.support.forks import CONTEXT
from tests.support.ways import Ways, watched

# How long a load of these tests may take at the very most.
_PATIENCE_S = 60.0
APPLICATION = "lujan"


@dataclass(frozen=True, slots=True)
class Death:
    """When a process kills itself (SIGKILL).

    After `batches` batches, or around the `turn`-th (from 0) of the statements sent to the
    warehouse that match `statement` (a regular expression; `commit` counts as one).
    """

    batches: int | None = None
    statement: str | None = None
    turn: int = 0
    when: Literal["before", "after"] = "before"


@dataclass(frozen=True, slots=True)
class Job:
    """One load: contract file, source and warehouse as texts, which travel between processes.

    `read_timeout_s` replaces the time a silent source is waited for; `worth_rows` how many rows
    are worth writing into raw at once (`sources/landing/beyond.py`).
    """

    contract: Path
    source: str
    warehouse: str
    batch_rows: int = 1000
    death: Death | None = None
    read_timeout_s: int | None = None
    worth_rows: int = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a process tells of its load.

    `peak_kib` is the highest resident memory it had; `beyond` how many rows went into raw at once,
    beside others that waited; `parts` in how many the source was read; `batches` how many came.
    """

    state: str
    read: int
    loaded: int
    quarantined: int
    known: int
    deleted: int
    errors: tuple[str, ...]
    peak_kib: int
    beyond: int
    parts: int
    batches: int
    statements: tuple[str, ...] = ()


@dataclass(slots=True)
class LoadProcess:
    """A running load."""

    process: ForkServerProcess
    _channel: Connection = field(repr=False)

    def wait_until_started(self) -> None:
        """Block until the process is about to call the load."""
        assert self._channel.poll(_PATIENCE_S), "the process did not start"
        assert self._channel.recv() == "started"

    def kill(self) -> bool:
        """SIGKILL; whether it met the load before its end."""
        self.process.kill()
        return self.ended() == -signal.SIGKILL

    def ended(self) -> int:
        """Exit code, once it has ended."""
        self.process.join(_PATIENCE_S)
        assert self.process.exitcode is not None, "the process hangs"
        return self.process.exitcode

    def outcome(self, patience_s: float = _PATIENCE_S) -> Outcome:
        """What the load gave; an error of the process is raised here."""
        assert self._channel.poll(patience_s), "the process hangs"
        found = self._channel.recv()
        if isinstance(found, BaseException):
            raise found
        assert isinstance(found, Outcome)
        assert self.ended() == 0
        return found


@contextmanager
def loading(job: Job, *, gate: Any = None) -> Iterator[LoadProcess]:
    """Start the load; on leaving, the process is gone. At a `gate` (barrier) it waits."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_run, args=(job, theirs, gate))
    process.start()
    theirs.close()
    try:
        running = LoadProcess(process, ours)
        running.wait_until_started()
        yield running
    finally:
        process.kill()
        process.join()
        ours.close()


def run_load(job: Job, *, patience_s: float = _PATIENCE_S) -> Outcome:
    """The load in a process of its own, to its end; fails when that takes over `patience_s`."""
    with loading(job) as running:
        return running.outcome(patience_s)


def run_at_once(*jobs: Job) -> list[Outcome]:
    """Several loads that begin at the same moment, each in a process of its own."""
    gate = CONTEXT.Barrier(len(jobs))
    with ExitStack() as stack:
        running = [stack.enter_context(loading(job, gate=gate)) for job in jobs]
        return [one.outcome() for one in running]


def _run(job: Job, channel: Connection, gate: Any) -> None:
    watch = _Watch(job.death)
    if job.read_timeout_s is not None:
        _lose_patience_after(job.read_timeout_s)
    contract, url = load_contract(job.contract), SourceUrl.parse(job.source)
    context = LoadContext(
        connect=lambda: watch.connect(job.warehouse),
        run_id="prueba",
        batch_rows=job.batch_rows,
        progress=watch.batch,
    )
    channel.send("started")
    if gate is not None:
        gate.wait(_PATIENCE_S)
    ways = Ways()
    try:
        with watched(ways, worth_rows=job.worth_rows):
            report = load(contract, url, context, [])
    except Exception as error:  # told to the test, which raises it
        channel.send(RuntimeError(f"{type(error).__name__}: {error}"))
        return
    channel.send(
        Outcome(
            state=report.state,
            read=report.read,
            loaded=report.loaded,
            quarantined=report.quarantined,
            known=report.known,
            deleted=report.deleted,
            errors=tuple(str(error) for error in report.errors),
            peak_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            beyond=sum(intake.beyond for intake in ways.intakes),
            parts=max(ways.parts, default=1),
            batches=watch.batches,
            statements=tuple(watch.statements),
        )
    )


def _lose_patience_after(seconds: int) -> None:
    """No contract sets this time, so it is set where the landing room opens a reader."""

    def impatient(*arguments: Any, options: ReaderOptions = DEFAULT_OPTIONS, **more: Any) -> Reader:
        return open_reader(*arguments, options=replace(options, read_timeout_s=seconds), **more)

    setattr(sources.landing.tables, "open_reader", impatient)  # noqa: B010 (not to be typed)


class _Watch:
    """Counts batches and statements of a load, and ends the process at the moment asked for."""

    def __init__(self, death: Death | None) -> None:
        self._death = death or Death()
        self.batches = 0
        self._met = 0
        self.statements: list[str] = []

    def connect(self, url: str) -> psycopg.Connection[tuple[Any, ...]]:
        connection = _WatchedConnection.connect(
            url, application_name=APPLICATION, cursor_factory=_WatchedCursor
        )
        assert isinstance(connection, _WatchedConnection)
        connection.watch = self
        return connection

    def batch(self, rows: int) -> None:
        self.batches += 1
        if self.batches == self._death.batches:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, statement: str) -> Iterator[None]:
        self.statements.append(statement)
        here = False
        if self._death.statement and re.search(self._death.statement, statement, re.IGNORECASE):
            here = self._met == self._death.turn
            self._met += 1
        if here and self._death.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if here:
            os.kill(os.getpid(), signal.SIGKILL)


class _WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    watch: _Watch

    def commit(self) -> None:
        with self.watch.around("commit"):
            super().commit()


class _WatchedCursor(psycopg.Cursor[tuple[Any, ...]]):
    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        with self._around(query):
            return super().execute(query, *arguments, **options)

    def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
        with self._around(query):
            super().executemany(query, *arguments, **options)

    @contextmanager
    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
        with self._around(statement), super().copy(statement, *arguments, **options) as copy:
            yield copy

    def _around(self, query: Any) -> Any:
        connection = self.connection
        assert isinstance(connection, _WatchedConnection)
        text = query if isinstance(query, str) else None
        if text is None:
            text = query.decode() if isinstance(query, bytes) else query.as_string(connection)
        return connection.watch.around(text)

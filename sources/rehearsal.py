"""A load that leaves nothing: a source read and judged as ever, without a warehouse.

Belongs here: what would pass, what would be set aside and why. Does not belong here: writing
(`sources/landing/`), or the rules (handed in as `Checker`s).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from sources.contract import Contract
from sources.errors import PipelineError
from sources.landing.doorstep import judge, too_many_bad
from sources.landing.new_columns import unnamed
from sources.landing.report import Checker
from sources.readers import Reader, RejectedRow, notes_of, open_reader
from sources.readers.files import FilesReader
from sources.urls import SourceUrl
from sources.wording import number, percent

_SHOWN = 3
# Keys that are remembered, as 64 bits each: some 100 MB.
MOST_KEYS = 1_000_000


@dataclass(slots=True)
class Rehearsal:
    """What was read, and what would become of it.

    `whole` tells that the source was read to its end. `examples` are the first rows set aside
    for each rule, each with its file where the source has files. `unknown` are columns of the
    source that the contract does not name. `repeated` are good rows whose key came before, among
    the first `MOST_KEYS`. `refused` says why each file of a feed would not be loaded, by its name;
    its rows are in no count.
    """

    read: int = 0
    passed: int = 0
    whole: bool = True
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[tuple[str | None, RejectedRow]]] = field(
        default_factory=dict
    )
    repeated: int = 0
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def set_aside(self) -> int:
        """Rows that would go to quarantine."""
        return self.read - self.passed

    def would_be_refused(self, contract: Contract) -> bool:
        """Whether more rows are bad than the contract admits; few rows are never refused.

        Of a feed each file is judged by itself.
        """
        if contract.load_mode == "files":
            return False
        return too_many_bad(contract, self.read, self.set_aside + self.repeated)


def rehearse(
    contract: Contract,
    url: SourceUrl,
    checkers: Sequence[Checker],
    *,
    most_rows: int | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Rehearsal:
    """Read the source from its beginning, at most about `most_rows` rows, and judge each batch.

    Of a feed each file is judged by itself, as it is loaded, and one that cannot be read does not
    stop the others; rows of files are no versions of one another, so their keys are not compared.
    Raises as readers do.
    """
    began = time.monotonic()
    done = Rehearsal()
    taken = _Taken(contract, checkers, done, most_rows, progress)
    with open_reader(contract, url) as reader:
        if contract.load_mode == "files" and isinstance(reader, FilesReader):
            for name, open_one in reader.each():
                taken.file(name, open_one)
        else:
            taken.rows(reader)
    done.seconds = time.monotonic() - began
    return done


@dataclass(slots=True)
class _Taken:
    """What is read of a source, added up in `done`."""

    contract: Contract
    checkers: Sequence[Checker]
    done: Rehearsal
    most_rows: int | None
    progress: Callable[[int], None]
    keys: _Keys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = _Keys(() if self.contract.load_mode == "files" else self.contract.key)

    def file(self, name: str, open_one: Callable[[], Reader]) -> None:
        """One file of a feed, unless enough was read."""
        if self._is_enough():
            self.done.whole = False
            return
        done = self.done
        before = (done.read, done.passed)
        try:
            with open_one() as reader:
                self.rows(reader)
        except PipelineError as error:
            done.refused[name] = f"{error.what} Qué hacer: {error.next_step}"
        else:
            read, bad = done.read - before[0], done.read - done.passed - (before[0] - before[1])
            if too_many_bad(self.contract, read, bad):
                done.refused[name] = (
                    f"{name}: {number(bad)} de {number(read)} filas no pasan; el máximo admitido "
                    f"es {percent(self.contract.max_quarantine_share)}."
                )
        if name in done.refused:
            done.read, done.passed = before

    def rows(self, reader: Reader) -> None:
        done = self.done
        found = (*done.unknown, *unnamed(self.contract, reader.columns()))
        done.unknown = tuple(dict.fromkeys(found))
        for batch in reader.batches():
            judged = judge(self.contract, self.checkers, batch)
            done.read += judged.read
            done.passed += judged.good.num_rows
            done.repeated += self.keys.repeated(judged.good)
            for row in judged.bad:
                reason = (row.rule, row.column or "")
                done.reasons[reason] += 1
                if len(examples := done.examples.setdefault(reason, [])) < _SHOWN:
                    examples.append((batch.file, row))
            self.progress(done.read)
            if self._is_enough():
                done.whole = False
                break
        done.notes += notes_of(reader)

    def _is_enough(self) -> bool:
        return self.most_rows is not None and self.done.read >= self.most_rows


class _Keys:
    """The keys seen so far, by a fingerprint of their values."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._seen: set[int] = set()

    def repeated(self, batch: pa.RecordBatch) -> int:
        """How many rows of a batch have a key that came before."""
        if not self._names or len(self._seen) >= MOST_KEYS:
            return 0
        columns = [batch.column(name).to_pylist() for name in self._names]
        found = 0
        for key in zip(*columns, strict=True):
            mark = hash(key)
            found += mark in self._seen
            self._seen.add(mark)
        return found

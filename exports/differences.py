"""Which rows of a table are no longer wanted and which are missing, by their content alone.

Belongs here: comparing two lots of rows that need not fit in memory. Does not belong here: where
they come from or what is done about it (`datastore.py`).

Rows have no name but what they say: no key is needed, equal rows are told apart by how many there
are, and a changed row is one that goes and one that comes. The comparison is made on disk, in
SQLite, with some forty bytes a row.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

_DIGEST_BYTES = 16
_BATCH = 10_000
_SCHEMA = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16000;
create table present (content blob not null, number integer not null);
create table wanted (content blob not null, number integer not null);
"""
# Of several equal rows, the n-th of one lot stands for the n-th of the other.
_COMPARE = """
create table present_n as select content, number,
    row_number() over (partition by content order by number) as n from present;
create table wanted_n as select content, number,
    row_number() over (partition by content order by number) as n from wanted;
create index present_content on present_n (content, n);
create index wanted_content on wanted_n (content, n);
create table gone as select number from present_n as p where not exists (
    select 1 from wanted_n as w where w.content = p.content and w.n = p.n);
create table missing as select number from wanted_n as w where not exists (
    select 1 from present_n as p where p.content = w.content and p.n = w.n);
"""


class RowSum:
    """A hash of rows that does not depend on their order: the sum of those of each."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, record: bytes) -> None:
        self._sum += int.from_bytes(_content(record), "big")

    def hexdigest(self) -> str:
        bits = 8 * _DIGEST_BYTES
        return f"{self._sum % (1 << bits):0{bits // 4}x}"


class Differences:
    """The outcome of a comparison; both lots of numbers ascend."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.gone_rows = self._count("select count(*) from gone")
        self.missing_rows = self._count("select count(*) from missing")

    def gone(self) -> Iterator[int]:
        """Numbers of the present rows that are not wanted."""
        yield from (row[0] for row in self._database.execute("select number from gone order by 1"))

    def missing(self) -> Iterator[int]:
        """Numbers of the wanted rows that are not present."""
        query = "select number from missing order by 1"
        yield from (row[0] for row in self._database.execute(query))

    def _count(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


@contextmanager
def differences(
    present: Iterable[tuple[int, bytes]], wanted: Iterable[bytes], folder: Path
) -> Iterator[Differences]:
    """Compare numbered rows with wanted ones, which are numbered from 0 as they come.

    Works in a file in `folder` that is gone afterwards. Raises OSError or sqlite3.Error when the
    disk cannot hold it.
    """
    path = folder / ".diferencias.sqlite"
    path.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(_SCHEMA)
            _fill(database, "insert into present values (?, ?)",
                  ((_content(record), number) for number, record in present))  # fmt: skip
            _fill(database, "insert into wanted values (?, ?)",
                  ((_content(record), number) for number, record in enumerate(wanted)))  # fmt: skip
            database.executescript(_COMPARE)
            yield Differences(database)
    finally:
        path.unlink(missing_ok=True)


def records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Records of a CSV, each with its end of line; a line break inside quotes ends none."""
    begun = b""
    for line in lines:
        begun += line
        if begun.count(b'"') % 2 == 0:
            yield begun
            begun = b""
    if begun:
        yield begun


def _content(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=_DIGEST_BYTES).digest()


def _fill(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[bytes, int]]) -> None:
    numbered = iter(rows)
    while batch := list(islice(numbered, _BATCH)):
        database.executemany(statement, batch)
    database.commit()

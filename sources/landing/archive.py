"""The archive: a verbatim copy of every loaded file, named by its content.

Belongs here: keeping copies and proving them. Does not belong here: when a file is loaded
(`files.py`), or how it is read and hashed on the way (`readers/files.py`).

`<archive>/<dataset>/<first two digits>/<sha256>-<name>`. A copy is written beside its place,
synced to disk and renamed before the load commits: a load record that names a copy has one. A
load that fails afterwards may leave a copy nobody names; the same file coming again replaces it.
The original is never touched.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sources.contract import Contract
from sources.raw_table import Connection
from sources.readers import FeedFile
from sources.readers.files import TEMPORARY, LocalCopy, cannot_write, short_name
from sources.wording import refusal

# A copy begun longer ago than this belongs to a process that died.
_ABANDONED_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class ArchiveProblem:
    """A copy that is not what its load record says. `what` is for the person on duty."""

    dataset: str
    name: str
    copy: str
    what: str


class Archive:
    """The archive of one dataset."""

    def __init__(self, contract: Contract, root: Path) -> None:
        self._contract = contract
        self._root = root
        self.folder = root / contract.id

    def tidy(self) -> None:
        """Remove what processes that were killed left half written."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            with suppress(OSError):  # another process is as welcome to remove it
                if path.stat().st_mtime < time.time() - _ABANDONED_S:
                    path.unlink()

    def place_of(self, file: FeedFile) -> str:
        """Where the copy of a file stands, relative to the archive."""
        name = f"{file.sha256}-{short_name(file.name)}"
        return f"{self._contract.id}/{file.sha256[:2]}/{name}"

    def keep(self, copy: LocalCopy, file: FeedFile) -> str:
        """Move a copy that is safely on disk to its place, and give that place.

        Raises LoadRefused when it cannot be kept.
        """
        place = self._root / self.place_of(file)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(copy.path, place)  # noqa: PTH105 (says that it replaces)
            for folder in (place.parent, self.folder, self._root):
                _sync(folder)
        except OSError as error:
            raise cannot_write(self._contract, file.name, self._root, error) from error
        return self.place_of(file)


class SyncedCopy:
    """Sees to it that a finished copy is on disk, while its rows are loaded already."""

    def __init__(self, copy: LocalCopy) -> None:
        self._copy = copy
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="archivo")
        self._done: Future[None] = self._pool.submit(_sync, copy.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def keep_in(self, archive: Archive, contract: Contract, file: FeedFile) -> str:
        """Wait for the disk, then `Archive.keep`."""
        try:
            self._done.result()
        except OSError as error:
            raise cannot_write(contract, file.name, archive.folder, error) from error
        return archive.keep(self._copy, file)


def verify_archive(connection: Connection, archive: Path) -> list[ArchiveProblem]:
    """Compare every copy named in `meta.archivo` with its hash; reads all of them.

    A copy that passes is the file as it came: to restore one, copy it from there.
    """
    problems = []
    rows = connection.execute(
        "select dataset, nombre, sha256, copia from meta.archivo where copia is not null "
        "order by dataset, cargado_en"
    )
    for dataset, name, sha256, copy in rows:
        if (what := difference(archive / copy, sha256)) is not None:
            problems.append(ArchiveProblem(dataset, name, copy, f"{name}: {what} ({copy})."))
    return problems


def difference(path: Path, sha256: str) -> str | None:
    """What is wrong with a copy, in words; None when it is the file that was loaded. Reads it."""
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "falta la copia"
    except OSError as error:
        return f"no se puede leer la copia: {refusal(error)}"
    return (
        None if found == sha256 else "la copia no es el archivo que se cargó: cambió su contenido"
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

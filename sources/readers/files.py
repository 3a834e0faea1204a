"""Folders of files: which files a contract takes, copying them, and reading them as one dataset.

Belongs here: what a folder is (on this machine or far away), listing, local copies, chaining the
readers of single files. Does not belong here: any format (`delimited.py`, `jsonlines.py`,
`parquet.py`, `spreadsheet.py`), any protocol (`remote.py`), remembering what was loaded
(`landing/files.py`).
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import re
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from sources.contract import Contract
from sources.errors import LoadRefused, SourceDataError, SourceUnavailable
from sources.readers.base import (
    DEFAULT_OPTIONS,
    FeedFile,
    RawBatch,
    Reader,
    ReaderOptions,
    check_settings_hint,
    problem,
)
from sources.urls import SourceUrl
from sources.wording import refusal

# How the names of each kind of file end; what is behind it may be a compression's ending.
_PATTERNS = {
    "csv": "*.csv*",
    "jsonl": "*.jsonl*",
    "parquet": "*.parquet*",
    "xlsx": "*.[xo][ld]s*",
    "fixed": "*.txt*",
}
_OVERLOOKED = 3
# Names that programs give to what they have not finished, what spreadsheets leave while open, and
# what Windows keeps in folders for itself.
_UNFINISHED = re.compile(
    r"^\.|^~\$|\.(part|filepart|partial|tmp|crdownload|swp)$|^(thumbs\.db|desktop\.ini)$",
    re.IGNORECASE,
)
_COPY_BYTES = 8 << 20
_HASHED_BYTES = 1 << 20
# Readers kept open from looking at their columns to reading their rows; a sheet is held whole.
_KEPT_OPEN = 4


class FileChanging(SourceDataError):
    """A file was changed while it was copied or read: nothing of it counts, it is read again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as its folder lists it.

    `name` is relative to the folder, with `/`; only the folder understands `location`. `mtime` is
    in seconds of the epoch, whole microseconds as a database keeps them; `etag` changes with the
    content where the store has such a thing.
    """

    name: str
    location: str
    bytes: int
    mtime: float
    etag: str | None = None

    @property
    def modified(self) -> datetime:
        return datetime.fromtimestamp(self.mtime, UTC)

    def is_as(self, other: Entry) -> bool:
        """Whether nothing tells that the content differs."""
        if self.bytes != other.bytes:
            return False
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag
        return self.mtime == other.mtime


class Folder(ABC):
    """Where a contract's files are. A connection, if there is one, ends on leaving."""

    def __init__(self, contract: Contract, url: SourceUrl, options: ReaderOptions) -> None:
        self.contract = contract
        self.url = url
        self.options = options

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    @abstractmethod
    def disconnect(self) -> None:
        """Let go of what is open; safe to call twice."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """The files of the contract, by name, without those whose name says they are unfinished.

        The contract's `pattern` selects them (default: every file with the format's extension).
        Raises SourceUnavailable when the folder cannot be read.
        """

    @abstractmethod
    def copy(self, entry: Entry, copy: LocalCopy) -> None:
        """Bring the whole file into `copy`.

        Raises FileChanging when it is not what was listed (any more), SourceUnavailable when it
        cannot be had, LoadRefused when the copy cannot be written.
        """

    @abstractmethod
    def check(self, entry: Entry) -> None:
        """Raises FileChanging when the file is no longer what was listed."""

    def overlooked(self) -> list[str]:
        """A few files here that the pattern leaves out, by name; none where asking would cost."""
        return []

    def nothing_found(self) -> str:
        """That no file is the contract's, and what is there instead, in words."""
        told = f"no hay ningún archivo {self.pattern} en {self.url.safe}"
        if others := self.overlooked():
            told += f"; hay otros: {', '.join(others)} (las mayúsculas cuentan)"
        return f"{told}."

    def is_wanted(self, name: str) -> bool:
        """Whether a file of the pattern is to be read: finished, and not one of `exclude`."""
        own = name.rpartition("/")[2]
        excluded = self.contract.options.get("exclude", ())
        return not is_unfinished(own) and not any(
            fnmatch.fnmatchcase(text, sign) for sign in excluded for text in (name, own)
        )

    @property
    def pattern(self) -> str:
        return str(self.contract.options.get("pattern") or _PATTERNS[self.contract.kind])

    def settled(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those left alone for the contract's `settleSeconds` (default: 0, none has to wait)."""
        settle = self.options.settle_seconds
        if settle is None:
            settle = float(self.contract.options.get("settleSeconds", 0))
        newest = self.options.now() - settle
        return [entry for entry in entries if settle <= 0 or entry.mtime <= newest]

    def changing(self, entry: Entry) -> FileChanging:
        return problem(
            FileChanging,
            self.contract,
            f"el archivo {entry.name} cambió mientras se leía: todavía lo están escribiendo.",
            "nada; se vuelve a leer en la próxima corrida. Si se repite, suba `settleSeconds` en "
            "el contrato o pida que lo copien con otro nombre y lo renombren al final.",
        )


class LocalCopy:
    """A file being written on this machine, hashed on the way. It is gone unless it is moved.

    A thread hashes each piece while it is written. Raises LoadRefused when the file cannot be
    written: no space, no permission.
    """

    def __init__(self, contract: Contract, name: str, folder: Path) -> None:
        self.name = name
        # The ending tells readers how the file is compressed; a name may be too long for a prefix.
        self._contract = contract
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._hashed: Future[None] | None = None
        self._begin()
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(
                prefix=TEMPORARY, suffix=f"-{short_name(name)}", dir=folder
            )
            self.path = Path(path)
            self._stream: BinaryIO = open(handle, "wb")  # noqa: PTH123, SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._stream.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        self._wait_for_hash()
        self._hashed = self._pool.submit(self._hash.update, data)
        self.bytes += len(data)
        with self._explained():
            self._stream.write(data)

    def restart(self) -> None:
        """Forget what was written: it comes again from the beginning."""
        self._wait_for_hash()
        self._begin()
        with self._explained():
            self._stream.seek(0)
            self._stream.truncate()

    def finished(self) -> FeedFile:
        """The copy as a file to read, under its own name and with its hash."""
        with self._explained():
            self._stream.flush()
        facts = self.path.stat()
        self._wait_for_hash()
        return FeedFile(
            self.name, self.path, facts.st_size, facts.st_mtime, hashing=self._hash.hexdigest
        )

    def _begin(self) -> None:
        self._hash = hashlib.sha256()
        self.bytes = 0

    def _wait_for_hash(self) -> None:
        if self._hashed is not None:
            self._hashed.result()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._contract, self.name, self._folder, error) from error


TEMPORARY = ".entrante-"


def short_name(name: str) -> str:
    """A relative name as one file name of at most 120 bytes; its end, with the ending, is kept."""
    flat = re.sub(r"[^\w.,+=@() -]", "_", name.replace("/", "_"))
    return flat.encode()[-120:].decode(errors="ignore")


def cannot_write(contract: Contract, name: str, folder: Path, error: OSError) -> LoadRefused:
    """The error for a local copy that cannot be kept."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            what = "libere espacio en ese disco"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            what = "dé permiso de escritura en esa carpeta"
        case _:
            what = "revise esa carpeta"
    return problem(
        LoadRefused,
        contract,
        f"no se pudo guardar la copia de {name} en {folder}: {refusal(error)}. No se cargó nada "
        "de ese archivo.",
        f"{what} y vuelva a ejecutar.",
    )


class LocalFolder(Folder):
    """A folder of this machine, or a single file."""

    def disconnect(self) -> None:
        """Nothing is open between two calls."""

    def entries(self) -> list[Entry]:
        folder = self.url.path or Path()
        if not folder.exists():
            raise self._unreadable(folder, "no existe")
        try:
            paths = [folder] if folder.is_file() else sorted(folder.glob(self.pattern))
            return [
                _local_entry(path, folder)
                for path in paths
                if path.is_file() and self.is_wanted(_name_in(path, folder))
            ]
        except OSError as error:
            raise self._unreadable(folder, refusal(error)) from error

    def overlooked(self) -> list[str]:
        folder = self.url.path or Path()
        with suppress(OSError):
            files = (path for path in folder.iterdir() if path.is_file())
            return sorted(islice((p.name for p in files if not is_unfinished(p.name)), _OVERLOOKED))
        return []

    def copy(self, entry: Entry, copy: LocalCopy) -> None:
        try:
            with Path(entry.location).open("rb") as stream:
                while data := stream.read(_COPY_BYTES):
                    copy.write(data)
        except OSError as error:
            raise self._file_unreadable(entry, error) from error
        self.check(entry)
        if copy.bytes != entry.bytes:
            raise self.changing(entry)

    def check(self, entry: Entry) -> None:
        try:
            facts = Path(entry.location).stat()
        except FileNotFoundError as error:
            raise self.changing(entry) from error
        except OSError as error:
            raise self._file_unreadable(entry, error) from error
        if (facts.st_size, in_microseconds(facts.st_mtime)) != (entry.bytes, entry.mtime):
            raise self.changing(entry)

    def hashed(self, entry: Entry) -> FeedFile:
        """The file where it is, its hash known. Raises FileChanging when it is not as listed."""
        file = _in_place(entry)
        try:
            file.sha256  # noqa: B018 (read here, once)
        except OSError as error:
            raise self._file_unreadable(entry, error) from error
        self.check(entry)
        return file

    @contextmanager
    def hashed_meanwhile(self, entry: Entry) -> Iterator[FeedFile]:
        """The file where it is, hashed by a thread until the context ends.

        Who asks for the hash waits for it. Whether the file is still as listed is to be checked
        when all is read.
        """
        given_up = threading.Event()

        def sha256() -> str:
            try:
                return digest.result()
            except OSError as error:
                raise self._file_unreadable(entry, error) from error

        with ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
            digest = pool.submit(_digest, Path(entry.location), given_up)
            try:
                yield replace(_in_place(entry), hashing=sha256)
            finally:
                given_up.set()

    def _file_unreadable(self, entry: Entry, error: OSError) -> SourceDataError:
        if isinstance(error, FileNotFoundError):
            return self.changing(entry)
        return problem(
            SourceDataError,
            self.contract,
            f"no se puede leer el archivo {entry.name}: {refusal(error)}.",
            "dé permiso de lectura; se vuelve a leer en la próxima corrida.",
        )

    def _unreadable(self, folder: Path, why: str) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self.contract,
            f"no se puede leer la carpeta {folder}: {why}.",
            f"compruebe que la carpeta esté montada y con permiso de lectura; si cambió de lugar, "
            f"{check_settings_hint(self.contract)}",
        )


def open_folder(
    contract: Contract, url: SourceUrl, *, options: ReaderOptions = DEFAULT_OPTIONS
) -> Folder:
    """The folder at an address; nothing is opened before it is entered.

    Raises SourceUnavailable when the address is that of something else.
    """
    if url.scheme == "file":
        return LocalFolder(contract, url, options)
    if url.scheme not in ("s3", "sftp"):
        raise problem(
            SourceUnavailable,
            contract,
            f"el contrato es de archivos y la dirección es {url.scheme} ({url.safe}).",
            check_settings_hint(contract),
        )
    from sources.readers.remote import RemoteFolder

    return RemoteFolder(contract, url, options)


def list_files(
    contract: Contract, url: SourceUrl, *, options: ReaderOptions = DEFAULT_OPTIONS
) -> list[Entry]:
    """The files of a feed, by name; those that may still be being written are left for later.

    Raises SourceUnavailable when the folder cannot be read.
    """
    with open_folder(contract, url, options=options) as folder:
        return folder.settled(folder.entries())


class FilesReader:
    """Every file of a contract as one dataset: for tables that come as files in full."""

    def __init__(
        self,
        contract: Contract,
        url: SourceUrl,
        *,
        open_one: Callable[[FeedFile], Reader],
        options: ReaderOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.description = url.safe
        self._contract = contract
        self._url = url
        self._open_one = open_one
        self._options = options
        self._entries: list[Entry] = []
        self._opened = ExitStack()
        self._folder: Folder | None = None
        self._fetched: dict[str, FeedFile] = {}
        self._waiting: dict[str, ExitStack] = {}
        self._readers: dict[str, Reader] = {}
        self._notes: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = stack.enter_context(
                open_folder(self._contract, self._url, options=self._options)
            )
            self._entries = self._folder.settled(self._folder.entries())
            if not self._entries:
                raise problem(
                    SourceUnavailable,
                    self._contract,
                    self._folder.nothing_found(),
                    "pida el archivo al área o revise la carpeta; la tabla conserva sus últimos "
                    "datos.",
                )
            self._opened = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entries = []
        self._readers.clear()
        self._fetched.clear()
        for stack in self._waiting.values():
            stack.close()
        self._waiting.clear()
        self._opened.close()

    def columns(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for entry in self._entries:
            found.update(dict.fromkeys(self._open(entry).columns()))
            if len(self._waiting) > _KEPT_OPEN:
                self._close(entry)
        return tuple(found)

    def source_count(self) -> int | None:
        return None

    def notes(self) -> tuple[str, ...]:
        """What was noticed in the files read so far."""
        return tuple(self._notes)

    def batches(self) -> Iterator[RawBatch]:
        """Raises FileChanging when a file is not the same after it was read."""
        assert self._folder is not None, "the reader is not open"
        for entry in self._entries:
            reader = self._open(entry)
            yield from reader.batches()
            self._notes.extend(getattr(reader, "notes", tuple)())
            self._close(entry)
            if isinstance(self._folder, LocalFolder):
                self._folder.check(entry)

    def each(self) -> Iterator[tuple[str, Callable[[], Reader]]]:
        """Every file by its name, with what gives its reader: for who takes them one by one."""
        for entry in self._entries:
            yield entry.name, partial(self._reader_of, entry)

    def _reader_of(self, entry: Entry) -> Reader:
        return self._open_one(self._file(entry))

    def _open(self, entry: Entry) -> Reader:
        """The file's reader, which stays open until `_close`."""
        if entry.name not in self._readers:
            with ExitStack() as stack:
                reader = stack.enter_context(self._reader_of(entry))
                self._readers[entry.name] = reader
                self._waiting[entry.name] = stack.pop_all()
        return self._readers[entry.name]

    def _close(self, entry: Entry) -> None:
        del self._readers[entry.name]
        self._waiting.pop(entry.name).close()

    def _file(self, entry: Entry) -> FeedFile:
        """The file where it can be read; one that is far away is fetched once."""
        assert self._folder is not None, "the reader is not open"
        if isinstance(self._folder, LocalFolder):
            return _in_place(entry)
        if entry.name not in self._fetched:
            copy = self._opened.enter_context(
                LocalCopy(self._contract, entry.name, Path(tempfile.gettempdir()))
            )
            self._folder.copy(entry, copy)
            self._fetched[entry.name] = copy.finished()
        return self._fetched[entry.name]


def _in_place(entry: Entry) -> FeedFile:
    """A local file to be read where it is."""
    return FeedFile(entry.name, Path(entry.location), entry.bytes, entry.mtime)


def _digest(path: Path, given_up: threading.Event) -> str:
    """The hash of a file; a useless one once nobody waits for it."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while not given_up.is_set() and (data := stream.read(_HASHED_BYTES)):
            digest.update(data)
    return digest.hexdigest()


def is_unfinished(name: str) -> bool:
    """Whether a file's own name (no folders) says that it is hidden, a system's own or still being
    written."""
    return _UNFINISHED.search(name) is not None


def _local_entry(path: Path, folder: Path) -> Entry:
    facts = path.stat()
    return Entry(_name_in(path, folder), str(path), facts.st_size, in_microseconds(facts.st_mtime))


def _name_in(path: Path, folder: Path) -> str:
    return path.name if path == folder else path.relative_to(folder).as_posix()


def in_microseconds(seconds: float) -> float:
    return round(seconds, 6)

"""Folders of files: which files a contract takes, and reading them one after the other.

Belongs here: listing, and chaining the readers of single files. Does not belong here: any format
(`delimited.py`, `jsonlines.py`, `parquet.py`, `spreadsheet.py`) or remembering what was loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sources.contract import Contract
from sources.errors import SourceUnavailable
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

_EXTENSIONS = {"csv": "csv", "jsonl": "jsonl", "parquet": "parquet", "xlsx": "xlsx"}


def list_files(
    contract: Contract, url: SourceUrl, *, options: ReaderOptions = DEFAULT_OPTIONS
) -> list[FeedFile]:
    """The files of a feed, by name; those that may still be being written are left for later.

    The contract's `pattern` selects them (default: every file with the format's extension), its
    `settleSeconds` says how long a file must have been left alone (default: 0). Names are relative
    to the folder, with `/`. Raises SourceUnavailable when the folder cannot be read.
    """
    folder = _folder(contract, url)
    pattern = str(contract.options.get("pattern") or f"*.{_EXTENSIONS[contract.kind]}*")
    settle = options.settle_seconds
    if settle is None:
        settle = float(contract.options.get("settleSeconds", 0))
    newest = options.now() - settle
    try:
        paths = [folder] if folder.is_file() else sorted(folder.glob(pattern))
        files = [
            _feed_file(path, folder)
            for path in paths
            if path.is_file() and not path.name.startswith((".", "~$"))
        ]
    except OSError as error:
        raise _unreadable(contract, folder, error.strerror or str(error)) from error
    return [file for file in files if settle <= 0 or file.mtime <= newest]


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
        self._files: list[FeedFile] = []

    def __enter__(self) -> Self:
        self._files = list_files(self._contract, self._url, options=self._options)
        if not self._files:
            raise problem(
                SourceUnavailable,
                self._contract,
                f"no hay ningún archivo {self._contract.options.get('pattern', '')!s} en "
                f"{self._url.safe}.",
                "pida el archivo al área o revise la carpeta; la tabla conserva sus últimos datos.",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files = []

    def columns(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for file in self._files:
            with self._open_one(file) as reader:
                found.update(dict.fromkeys(reader.columns()))
        return tuple(found)

    def source_count(self) -> int | None:
        return None

    def batches(self) -> Iterator[RawBatch]:
        for file in self._files:
            with self._open_one(file) as reader:
                yield from reader.batches()


def _folder(contract: Contract, url: SourceUrl) -> Path:
    folder = url.path or Path()
    if not folder.exists():
        raise _unreadable(contract, folder, "no existe")
    return folder


def _feed_file(path: Path, folder: Path) -> FeedFile:
    facts = path.stat()
    name = path.name if path == folder else path.relative_to(folder).as_posix()
    return FeedFile(name=name, path=path, bytes=facts.st_size, mtime=facts.st_mtime)


def _unreadable(contract: Contract, folder: Path, why: str) -> SourceUnavailable:
    return problem(
        SourceUnavailable,
        contract,
        f"no se puede leer la carpeta {folder}: {why}.",
        f"compruebe que la carpeta esté montada y con permiso de lectura; si cambió de lugar, "
        f"{check_settings_hint(contract)}",
    )

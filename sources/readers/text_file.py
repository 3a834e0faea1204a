"""A file of text being read: opened as UTF-8, closed whatever happens, its troubles in words.

Belongs here: what readers of CSV, JSON lines and fixed records share. Does not belong here: what
the text means, or re-coding it (`encoding.py`).
"""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Self

from sources.contract import Contract
from sources.errors import SourceDataError
from sources.readers.base import ClosingReader, FeedFile, unreadable
from sources.readers.detection import detect
from sources.readers.encoding import Utf8Stream, declared_encoding, open_text


class TextFileReader(ClosingReader):
    """One file of text. `_text` and `_recoded` are there between entering and leaving."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        self.description = str(file.path)
        self._contract = contract
        self._file = file
        self._batch_rows = batch_rows
        self._encoding = declared_encoding(contract)
        self._text: io.BufferedReader | None = None
        self._recoded: Utf8Stream | None = None

    def __enter__(self) -> Self:
        """Open the file and begin. Raises SourceDataError when it cannot be read."""
        try:
            self._text, self._recoded = open_text(self._file.path, self._encoding)
            self._begin(self._text)
        except (OSError, EOFError, LookupError) as error:
            self._close()
            raise self._unreadable(error) from error
        except BaseException:
            self._close()
            raise
        return self

    @abstractmethod
    def _begin(self, text: io.BufferedReader) -> None:
        """Look at what comes first; the file is closed when this raises."""

    def notes(self) -> tuple[str, ...]:
        """Where the file looks like something else than its contract declares."""
        return tuple(detect(self._file.path, self._contract, self._file.name))

    def source_count(self) -> int | None:
        return None

    def _unreadable(self, why: object) -> SourceDataError:
        if isinstance(why, LookupError):
            why = f"la codificación {self._encoding!r} no existe"
        return unreadable(self._contract, self._file.name, why)

    def _close(self) -> None:
        if self._text is not None:
            self._text.close()
        self._text = self._recoded = None

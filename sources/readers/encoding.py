"""Bytes of a file as UTF-8, whatever encoding it declares and whatever is wrong in it.

Belongs here: turning a stream of bytes into valid UTF-8 without losing a byte, in bounded memory.
Does not belong here: guessing an encoding (the contract declares it) or repairing text (staging).

Parsers stop at the first byte that is no text. So such bytes travel as code points that Unicode
sets aside for private use, one for each byte; `unmark` gives them back as one character per byte,
and readers set the rows aside that hold them.
"""

from __future__ import annotations

import codecs
import io
import lzma
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from sources.contract import Contract

_BLOCK = 1 << 20
_MARK_BASE = 0x10FF00
# `surrogateescape` gives undecodable bytes as U+DC80…U+DCFF; those are no valid UTF-8 either.
_MARK = {0xDC00 + byte: _MARK_BASE + byte for byte in range(0x80, 0x100)}
_UNMARK = {_MARK_BASE + byte: byte for byte in range(0x80, 0x100)}
MARKED_PATTERN = f"[{chr(_MARK_BASE + 0x80)}-{chr(_MARK_BASE + 0xFF)}]"


class Utf8Stream(io.RawIOBase):
    """A binary stream re-coded to valid UTF-8. `marked` tells that some byte was no text."""

    def __init__(self, source: IO[bytes], encoding: str) -> None:
        self.marked = False
        self._source = source
        # A byte-order mark is no part of the first column's name.
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        self._decoder = codecs.getincrementaldecoder(name)(errors="surrogateescape")
        self._ready = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            self._fill()
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()

    def _fill(self) -> None:
        block = self._source.read(_BLOCK)
        self._ended = not block
        text = self._decoder.decode(block, final=self._ended)
        try:
            self._ready = memoryview(text.encode("utf-8"))
        except UnicodeEncodeError:
            self.marked = True
            self._ready = memoryview(text.translate(_MARK).encode("utf-8"))


def declared_encoding(contract: Contract) -> str:
    """The encoding of a contract's files."""
    return str(contract.options.get("encoding") or contract.server.encoding or "utf-8")


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content, decompressed when its name says so (.gz, .bz2, .zst, .lz4, .xz).

    Damage in what is compressed is an OSError or EOFError while reading.
    """
    if path.suffix == ".xz":
        return cast("IO[bytes]", _XzFile(path))
    stream: Any = pa.input_stream(str(path), compression="detect")
    return cast("IO[bytes]", stream)


class _XzFile(lzma.LZMAFile):
    """Arrow does not read xz; its damage is told here as Arrow tells that of the others."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except lzma.LZMAError as error:
            raise OSError(f"xz: {error}") from error


def open_text(path: Path, encoding: str) -> tuple[io.BufferedReader, Utf8Stream]:
    """The file as UTF-8: the stream to read from, and the one that knows about bad bytes."""
    recoded = Utf8Stream(open_bytes(path), encoding)
    return io.BufferedReader(recoded, _BLOCK), recoded


def marked_utf8(data: bytes) -> tuple[bytes, bool]:
    """Bytes as valid UTF-8, those that are no text marked, and whether there were any."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape").translate(_MARK)
        return text.encode("utf-8"), True
    return data, False


def unmark(text: str) -> str:
    """`text` with its undecodable bytes as one character each (as Latin-1 shows them)."""
    return text.translate(_UNMARK)

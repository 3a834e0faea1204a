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
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from sources.contract import Contract

_BLOCK = 1 << 20
_TAIL = 64
_ZIP, _XZ = (b"PK\x03\x04", b"PK\x05\x06"), b"\xfd7zXZ\x00"
# What Arrow reads, by the first bytes of the file.
_MAGIC = {
    rb"\x1f\x8b\x08": "gzip",
    rb"BZh[1-9](1A|\x17r)": "bz2",
    rb"\x28\xb5\x2f\xfd": "zstd",
    rb"\x04\x22\x4d\x18": "lz4",
}
_LONGEST_MAGIC = 6
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
        self._tail = b""

    def ends_with(self, sign: bytes) -> bool:
        """Whether what was read so far ends with it, blanks and line ends apart."""
        return self._tail.rstrip().endswith(sign)

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
        if self._ready:
            self._tail = bytes(self._ready[-_TAIL:])


def declared_encoding(contract: Contract) -> str:
    """The encoding of a contract's files."""
    return str(contract.options.get("encoding") or contract.server.encoding or "utf-8")


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content, decompressed where its first bytes say so, whatever its name says.

    gzip, bzip2, zstd, lz4 and xz; a zip with a single file in it. Damage in what is compressed is
    an OSError or EOFError, here or while reading; so is a zip with a password or several files.
    """
    with path.open("rb") as stream:
        start = stream.read(_LONGEST_MAGIC)
    if start.startswith(_ZIP):
        return cast("IO[bytes]", _ZippedFile(path))
    if start.startswith(_XZ):
        return cast("IO[bytes]", _XzFile(path))
    found: Any = next((name for magic, name in _MAGIC.items() if re.match(magic, start)), None)
    content: Any = pa.input_stream(str(path), compression=found)
    return cast("IO[bytes]", content)


class _XzFile(lzma.LZMAFile):
    """Arrow does not read xz; its damage is told here as Arrow tells that of the others."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except lzma.LZMAError as error:
            raise OSError(f"xz: {error}") from error


_DATA = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".geojson")
_MEMBERS_SHOWN = 5


class _ZippedFile(io.BufferedIOBase):
    """The only file of a zip, or its only one of data; what systems add does not count."""

    def __init__(self, path: Path) -> None:
        self._inner: IO[bytes] | None = None
        try:
            self._package = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise OSError(f"el zip está dañado o cortado ({error})") from error
        try:
            self._inner = self._package.open(self._only_member())
        except (NotImplementedError, RuntimeError) as error:
            self._package.close()
            locked = "password" in str(error)
            why = "tiene contraseña" if locked else "usa una compresión que no se admite"
            raise OSError(f"el zip {why}") from error
        except BaseException:
            self._package.close()
            raise

    def _only_member(self) -> zipfile.ZipInfo:
        names = [info.filename for info in self._package.infolist()]
        if "[Content_Types].xml" in names:
            raise OSError("es una planilla (xlsx) y no texto: el contrato lleva `format: xlsx`")
        found = [
            info
            for info in self._package.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX/")
        ]
        # Notes and licences come beside the data.
        found = [info for info in found if info.filename.lower().endswith(_DATA)] or found
        if not found:
            raise OSError("el zip no trae ningún archivo")
        if len(found) > 1:
            told = ", ".join(info.filename for info in found[:_MEMBERS_SHOWN])
            more = "…" if len(found) > _MEMBERS_SHOWN else ""
            raise OSError(
                f"el zip trae {len(found)} archivos ({told}{more}) "
                "y se lee uno por zip: hace falta cada uno por separado"
            )
        return found[0]

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        assert self._inner is not None
        try:
            return self._inner.read(-1 if size is None else size)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise OSError(f"el zip está dañado ({error})") from error

    def close(self) -> None:
        if self._inner is not None:  # else it never opened, and is collected
            self._inner.close()
            self._package.close()
        super().close()


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

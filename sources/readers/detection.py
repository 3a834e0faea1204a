"""Whether a text file looks like what its contract declares: encoding, delimiter, double encoding.

Belongs here: a look at the first megabyte, told as findings for a person. Does not belong here:
acting upon them. What the contract declares is what is read, always: a guess that is right for
one file is wrong for the next, and nobody would notice.
"""

from __future__ import annotations

import codecs
import csv
import re
from pathlib import Path

from sources.contract import Contract
from sources.errors import DriftError
from sources.readers.base import source_columns
from sources.readers.encoding import declared_encoding, open_bytes

_SAMPLE_BYTES = 1 << 20
_GUESSED_BYTES = 64 << 10
_SNIFFED_LINES = 20
_DELIMITERS = ",;\t|"
_DELIMITER_NAMES = {"\t": "tabulación"}
# What systems of the region write. General detectors (charset-normalizer) choose among a hundred
# and take a page of names in Latin-1 for one of DOS; in Spanish the letters themselves decide.
# Latin-1 before Windows-1252: they differ in 27 signs only, which then win by a letter or a sign.
_PLAUSIBLE = ("latin-1", "windows-1252", "cp850", "mac-roman")
_SPANISH = "áéíóúñüÁÉÍÓÚÑÜ¿¡°ºª«»–—‘’“”€…"
_ONE_BYTE = ("iso8859-1", "iso8859-15", "cp1252", "cp850", "mac-roman")
# A pair such as Ã³: the first byte of a UTF-8 letter and the second, each shown as a character,
# in Latin-1 or in Windows-1252. `SÃO` and `Â°` written on purpose are none, or too few to count.
_DOUBLE = re.compile("[ÃÂ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[\u0080-\u00bf™œ“”˜¦]")
_FEWEST_DOUBLE = 3
_MOST_ZEROS = 0.7
# How `surrogateescape` shows a byte that is no text in the declared encoding.
_UNDECODABLE = re.compile("[\udc80-\udcff]")


def detect(path: Path, contract: Contract, name: str = "") -> list[str]:
    """Where a delimited or JSON file clearly disagrees with its contract, in words for a person.

    `name` is what the source calls it, where `path` is a copy. Reads at most 1 MB, decompressed. No
    content is repeated in the findings. Empty for other kinds, and where the contract says
    `detectEncoding: false`. Never raises for the content; the reader's own error tells about a file
    that cannot be read.
    """
    if (
        contract.kind not in ("csv", "jsonl", "fixed")
        or contract.options.get("detectEncoding") is False
    ):
        return []
    encoding = declared_encoding(contract)
    try:
        with open_bytes(path) as stream:
            sample = stream.read(_SAMPLE_BYTES)
        text = codecs.getincrementaldecoder(encoding)("surrogateescape").decode(sample)
    except (OSError, EOFError, LookupError, UnicodeError):
        return []
    found = [_other_encoding(sample, text, encoding) or _double_encoding(text)]
    if contract.kind == "csv":
        found.append(_other_delimiter(text, contract))
    return [f"{name or path.name}: {finding}" for finding in found if finding]


def with_findings(error: DriftError, path: Path, contract: Contract, name: str) -> DriftError:
    """The same error, with what explains it: read with another delimiter, no column is there."""
    found = detect(path, contract, name)
    if not found:
        return error
    told = DriftError(
        f"{error.what} Además, {'; '.join(found)}.",
        dataset=error.dataset,
        owner=error.owner,
        next_step=error.next_step,
    )
    told.columns, told.notes = error.columns, error.notes
    return told


def _other_encoding(sample: bytes, text: str, declared: str) -> str | None:
    """The encoding the bytes look like, when it cannot be the declared one."""
    name = codecs.lookup(declared).name
    marks = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    marked = next((found for mark, found in marks.items() if sample.startswith(mark)), None)
    if marked and not name.startswith("utf-16"):
        return _disagree(declared, marked)
    # Text has no zero bytes, except in encodings of two bytes a character.
    if sample.count(0) > len(sample) // 4 and not name.startswith("utf-16"):
        return _disagree(declared, "utf-16")
    if sample.isascii():
        return None
    if name in _ONE_BYTE:
        return _disagree(declared, "utf-8") if _is_utf8(sample) else None
    bad = len(_UNDECODABLE.findall(text))
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    if bad <= good:
        return None
    return _disagree(declared, _guess(sample))


def _disagree(declared: str, guess: str | None) -> str:
    looks = f"y el archivo parece {guess}" if guess else "y el archivo no lo es"
    return f"el contrato declara la codificación {declared} {looks}"


def guess_encoding(sample: bytes) -> str:
    """The encoding the beginning of a file is most likely written in; UTF-8 where nothing says
    otherwise. For a person's first draft only: what a contract declares is never overruled."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Of two bytes a character, those of the Latin alphabet are all zeros in one of the halves.
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if len(zeros) > 1 and zeros.count(0) > len(zeros) * _MOST_ZEROS:
            return name
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample)
    bad = len(_UNDECODABLE.findall(text))
    # Spanish in one byte a letter is no UTF-8 by chance: as many letters of it are no accident.
    letters = len(text) - len(text.encode("ascii", "ignore")) - bad
    return "utf-8" if letters >= bad else _guess(sample) or "latin-1"


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes) -> str | None:
    """The encoding under which most of the letters beyond ASCII are those of Spanish."""
    beyond = bytes(byte for byte in sample[:_GUESSED_BYTES] if byte > 0x7F)
    beyond = beyond or bytes(byte for byte in sample if byte > 0x7F)
    best, most = None, len(beyond) // 2
    for encoding in _PLAUSIBLE:
        letters = sum(beyond.decode(encoding, "replace").count(letter) for letter in _SPANISH)
        if letters > most:
            best, most = encoding, letters
    return best


def _double_encoding(text: str) -> str | None:
    pairs = len(_DOUBLE.findall(text))
    if pairs < _FEWEST_DOUBLE:
        return None
    return (
        f"hay al menos {pairs} letras codificadas dos veces en UTF-8 (como «Ã³» por «ó»); se "
        "cargan como vinieron y se reparan después (regla R-TEXTO-01)"
    )


def _other_delimiter(text: str, contract: Contract) -> str | None:
    """Another delimiter, when the header has none of the declared ones."""
    declared = str(contract.options.get("delimiter") or contract.server.delimiter or ",")
    skipped = int(contract.options.get("headerRow", 1)) - 1
    lines = [line for line in text.splitlines()[skipped:][:_SNIFFED_LINES] if line.strip()]
    if not lines or declared in lines[0] or len(source_columns(contract)) < 2:
        return None
    try:
        found = csv.Sniffer().sniff("\n".join(lines), delimiters=_DELIMITERS).delimiter
    except csv.Error:
        return None
    if found == declared or found not in lines[0]:
        return None
    return f"el contrato declara el separador {_named(declared)} y el archivo usa {_named(found)}"


def _named(delimiter: str) -> str:
    return _DELIMITER_NAMES.get(delimiter, f"«{delimiter}»")

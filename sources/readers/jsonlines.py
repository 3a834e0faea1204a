"""Files with one JSON document per line, or with one list of documents.

Belongs here: taking lines apart into the contract's paths; lines that are no JSON are set aside.
Does not belong here: types. The fast decoder makes a double of a number with decimals or beyond
64 bits, which is exact up to 15 digits; where the contract declares more, and where a double
would stand in a text or for a long whole number, the slower exact decoder is used.

Options of the contract: `encoding`; `jsonForm` (`lines`, or `array`: the file is one list, or has
it at `dataPath`, read element by element in bounded memory; as such a list cannot be mended, a file
with a broken or cut one is refused as a whole). A document with a list of measurements becomes one
row per element (`sources/layouts.py`); rows are then numbered as if each element were a line.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import chain, islice
from typing import IO, Any, Self
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa

from sources.casting import DEFAULT_TIMEZONE
from sources.contract import Contract
from sources.errors import ContractError
from sources.layouts import ELEMENT, Unrolling, unrolling
from sources.readers.base import (
    RULE_ENCODING,
    RULE_MALFORMED,
    WHOLE_LINE,
    FeedFile,
    RawBatch,
    RejectedRow,
    build_batch,
    column_from_json,
    in_utc,
    missing_columns,
    problem,
    source_columns,
    unreadable,
)
from sources.readers.encoding import (
    MARKED_PATTERN,
    declared_encoding,
    unmark,
)
from sources.readers.paths import leaf_paths, parse_path, value_at
from sources.readers.text_file import TextFileReader

# The first lines tell which paths the file has.
_SAMPLE_LINES = 100
_LONGEST_LINE = 16 << 20
_EXACT_DIGITS = 15
# From here on, a double may stand for a whole number of more than 64 bits.
_BEYOND_INTEGERS = float(2**63)
_BLOCK = 1 << 20
_MARKED = re.compile(MARKED_PATTERN)
# What a double may not give back as it was written: decimals, powers, more than 64 bits.
_INEXACT = re.compile(rb"\d[.eE]|\d{18}")
_BLANKS = re.compile(r"[ \t\r\n]*")


class JsonLinesReader(TextFileReader):
    """One file of JSON lines."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        super().__init__(contract, file, batch_rows=batch_rows)
        self._is_array = json_form(contract) == "array"
        self._list = [str(s) for s in parse_path(str(contract.options.get("dataPath") or ""))]
        self._rows = JsonRows(contract, file.name)
        self._columns: dict[str, None] = {}
        self._first_lines: list[bytes] = []
        self._all: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        """Open the file and look at its first lines.

        Raises SourceDataError when it is empty or cannot be read.
        """
        super().__enter__()
        if not self._first_lines:
            self._close()
            raise self._unreadable("está vacío")
        self._check_form(self._first_lines[0])
        assert self._recoded is not None
        for line in self._first_lines:
            self._columns.update(dict.fromkeys(self._rows.paths(line, marked=self._recoded.marked)))
        return self

    def _begin(self, text: io.BufferedReader) -> None:
        self._all = self._lines()
        self._first_lines = list(islice(self._all, _SAMPLE_LINES))

    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def batches(self) -> Iterator[RawBatch]:
        """Raises DriftError when a required path is in none of the file's many lines."""
        lines = chain(self._first_lines, self._all)
        number = good = 0
        assert self._recoded is not None, "the reader is not open"
        try:
            while block := list(islice(lines, self._batch_rows)):
                batch = self._rows.batch(block, number + 1, marked=self._recoded.marked)
                number += batch.read
                good += batch.data.num_rows
                yield batch
        except (OSError, EOFError) as error:
            raise self._unreadable(error) from error
        self._check_paths(good)

    def _lines(self) -> Iterator[bytes]:
        """The lines that hold something, or the elements of the list, in order."""
        assert self._text is not None, "the reader is not open"
        if self._is_array:
            try:
                yield from array_elements(self._text, self._list)
            except ValueError as error:
                raise self._unreadable(error) from error
            return
        while line := self._text.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise self._unreadable("una línea tiene más de 16 MB")
            if not line.isspace():
                yield line

    def _check_paths(self, good: int) -> None:
        """Few lines may lack anything; a whole file without a required path is another format."""
        missing = [
            column.source_name
            for column in source_columns(self._contract)
            if column.required and column.name not in self._rows.seen
        ]
        if missing and good >= _SAMPLE_LINES:
            raise missing_columns(
                self._contract, missing, self.columns(), f"el archivo {self._file.name}"
            )

    def _check_form(self, first: bytes) -> None:
        """A list in place of lines would be one row in quarantine, or one for each of its lines."""
        start = first.strip()
        if not self._is_array and (start == b"[" or re.match(rb"\[\s*\{", start)):
            self._close()
            raise unreadable(
                self._contract,
                self._file.name,
                "es una lista JSON y el contrato espera un registro por línea",
                "si el archivo viene así, declare `jsonForm: array` en el contrato.",
            )
        if not self._is_array and start == b"{":
            self._close()
            raise unreadable(
                self._contract,
                self._file.name,
                "es un documento JSON de varias líneas y el contrato espera un registro por línea",
                "si los registros están en una lista dentro de él, declare `jsonForm: array` y en "
                "`dataPath` el camino de la lista.",
            )


class JsonRows:
    """Documents taken apart into rows: lines of a file, or messages.

    `seen` are the columns that had a value in some row so far.
    """

    def __init__(self, contract: Contract, origin: str | None) -> None:
        """`origin` is the file's name, for batches."""
        self._contract = contract
        self._origin = origin
        self._unrolled = unrolling(contract)
        self._names = tuple(column.name for column in source_columns(contract))
        elements = self._unrolled.elements if self._unrolled else {}
        self._paths = {
            c.name: parse_path(c.source_name)
            for c in source_columns(contract)
            if c.name not in elements
        }
        self._unroller = _Unroller(contract, self._unrolled) if self._unrolled else None
        self._decode = json_decoder(contract)
        self._exact = exact_decoder()
        self.seen: set[str] = set()

    def paths(self, line: bytes, *, marked: bool = False) -> list[str]:
        """The paths of a document, as a contract names them; none when it is no document."""
        document = self._document(line, marked=marked)
        if not isinstance(document, dict):
            return []
        wanted = {column.source_name for column in self._contract.columns}
        found = list(leaf_paths(document, wanted))
        if self._unrolled is None:
            return found
        place = self._unrolled.list_path
        return [
            f"{place}{ELEMENT}{path.removeprefix(place).removeprefix('[0]')}"
            if path == place or path.startswith(f"{place}[0]")
            else path
            for path in found
        ]

    def batch(
        self,
        lines: Sequence[bytes],
        first: int,
        *,
        marked: bool = False,
        beside: Sequence[Mapping[str, Any]] | None = None,
    ) -> RawBatch:
        """The rows of these documents, numbered from `first`; what is no document is set aside.

        `marked`: some bytes of the stream were no text, and were marked by `encoding.py`.
        `beside`: for each document, what is known of it beside its content, by name.
        """
        values: dict[str, list[Any]] = {name: [] for name in self._names}
        columns = [(values[name].append, path) for name, path in self._paths.items()]
        rows: list[int] = []
        taken: list[bytes] = []
        rejected: list[RejectedRow] = []
        number = first
        for turn, line in enumerate(lines):
            document = self._document(line, marked=marked)
            if beside is not None and isinstance(document, dict):
                document.update(beside[turn])
            if not isinstance(document, dict):
                rejected.append(self._refused(line, number))
                number += 1
                continue
            if self._unroller is None:
                for append, path in columns:
                    append(value_at(document, path))
                count = 1
            else:
                count = self._unroller.unroll(document, self._paths, values)
                if count == 0:
                    rejected.append(self._without_list(line, number))
                    number += 1
                    continue
            rows.extend(range(number, number + count))
            taken.extend([line] * count)
            number += count
        self._restore_digits(values, taken)
        arrays = {
            name: column_from_json(self._contract.column(name), found)
            for name, found in values.items()
        }
        self.seen.update(name for name, array in arrays.items() if array.null_count < len(array))
        return build_batch(
            self._contract,
            arrays,
            np.array(rows, np.int64),
            file=self._origin,
            rejected=rejected,
        )

    def _restore_digits(self, values: dict[str, list[Any]], lines: list[bytes]) -> None:
        """Put the number as it was written where the fast decoder's double may be another one."""
        decoded: dict[int, Any] = {}
        summed = self._unrolled.sums if self._unrolled else {}
        for name, path in self._paths.items():
            if name in summed:
                continue
            kind = self._contract.column(name).pg_type
            if kind == "double precision":
                continue
            column = values[name]
            kinds = set(map(type, column))
            if not kinds & {float, dict, list}:
                continue
            limit = 0.0 if kind in ("text", "jsonb") else _BEYOND_INTEGERS
            for at, value in enumerate(column):
                inexact = (
                    abs(value) >= limit
                    if type(value) is float
                    else type(value) in (dict, list) and _INEXACT.search(lines[at])
                )
                if inexact:
                    if at not in decoded:
                        decoded[at] = self._exact(lines[at])
                    column[at] = value_at(decoded[at], path)

    def _document(self, line: bytes, *, marked: bool) -> Any:
        """The line decoded; None when it is no JSON or holds bytes that are no text."""
        if marked and _MARKED.search(line.decode("utf-8")):
            return None
        try:
            return self._decode(line)
        except (ValueError, RecursionError):
            return None

    def _refused(self, line: bytes, number: int) -> RejectedRow:
        text = line.decode("utf-8")
        rule, reason = RULE_MALFORMED, "la línea no es un objeto JSON"
        if _MARKED.search(text):
            rule, reason = (
                RULE_ENCODING,
                f"la línea tiene bytes que no son {declared_encoding(self._contract)}",
            )
        elif not text.endswith("\n"):
            reason = "la línea está cortada: el archivo termina en medio de ella"
        return RejectedRow(number, rule, None, reason, {WHOLE_LINE: unmark(text.rstrip("\r\n"))})

    def _without_list(self, line: bytes, number: int) -> RejectedRow:
        assert self._unrolled is not None
        reason = f"el documento no trae ningún elemento en {self._unrolled.list_path}"
        text = line.decode("utf-8").rstrip("\r\n")
        return RejectedRow(number, RULE_MALFORMED, None, reason, {WHOLE_LINE: unmark(text)})


class _Unroller:
    """One document with a list of measurements as its rows."""

    def __init__(self, contract: Contract, layout: Unrolling) -> None:
        self._layout = layout
        self._list = parse_path(layout.list_path)
        self._elements = {name: parse_path(path) for name, path in layout.elements.items()}
        self._sums = {name: parse_path(path) for name, path in layout.sums.items()}
        self._zones = {
            name: ZoneInfo(contract.column(name).timezone or DEFAULT_TIMEZONE)
            for name in layout.steps
        }

    def unroll(
        self,
        document: dict[str, Any],
        paths: Mapping[str, tuple[str | int, ...]],
        values: dict[str, list[Any]],
    ) -> int:
        """Append the document's rows to `values`; how many they are."""
        found = value_at(document, self._list)
        elements = found if isinstance(found, list) else []
        base = {name: value_at(document, path) for name, path in paths.items()}
        if self._layout.with_base and isinstance(found, list):
            for name, value in base.items():
                values[name].append(value)
            for name in self._elements:
                values[name].append(None)
        for name, path in self._elements.items():
            values[name].extend(value_at(element, path) for element in elements)
        for name, value in base.items():
            if name in self._layout.steps:
                values[name].extend(self._times(name, value, len(elements)))
            elif name in self._sums:
                values[name].extend(self._registers(name, value, elements))
            else:
                values[name].extend([value] * len(elements))
        return len(elements) + (1 if self._layout.with_base and isinstance(found, list) else 0)

    def _times(self, name: str, base: Any, count: int) -> list[Any]:
        """Times of the elements; the base itself where it is no time, for the cast to refuse."""
        try:
            moment = datetime.fromisoformat(base)
        except (TypeError, ValueError):
            return [base] * count
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zones[name])
        try:
            (start,) = in_utc([moment])
            step = self._layout.steps[name]
            return [(start + step * turn).isoformat() for turn in range(1, count + 1)]
        except OverflowError:
            return [base] * count

    def _registers(self, name: str, base: Any, elements: list[Any]) -> list[str | None]:
        """The base plus the elements so far; unknown from the first unknown element on."""
        total = _exact_number(base)
        registers: list[str | None] = []
        for element in elements:
            part = _exact_number(value_at(element, self._sums[name]))
            total = None if total is None or part is None else total + part
            registers.append(None if total is None else f"{total:f}")
        return registers


def _exact_number(value: Any) -> Decimal | None:
    """A number as it was written; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def json_form(contract: Contract) -> str:
    """`lines` or `array`; raises ContractError for anything else."""
    form = str(contract.options.get("jsonForm", "lines"))
    if form not in ("lines", "array"):
        raise problem(
            ContractError,
            contract,
            f"`jsonForm` debe ser lines o array, no {form!r}.",
            f"corrija el contrato {contract.path.name}.",
        )
    return form


def json_decoder(contract: Contract) -> Callable[[bytes], Any]:
    """The decoder that loses nothing of the numbers with decimals that a contract declares."""
    wide = any(
        pa.types.is_decimal(column.arrow_type) and column.arrow_type.precision > _EXACT_DIGITS
        for column in contract.columns
    )
    return exact_decoder() if wide else orjson.loads


def exact_decoder() -> Callable[[bytes], Any]:
    """A decoder that keeps every digit; raises ValueError for what is no JSON."""
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
    return lambda line: decoder.decode(line.decode("utf-8"))


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} no es JSON")


def array_elements(stream: IO[bytes], path: Sequence[str] = ()) -> Iterator[bytes]:
    """The elements of a JSON list in UTF-8, each as a line; never more in memory than one and 1 MB.

    `path` leads to the list within a document: `("features",)`. Raises ValueError, in words for a
    person, when the list is not there, broken or cut.
    """
    text = _Text(stream)
    for name in path:
        text.enter(name)
    if text.sign() != "[":
        where = f" en {'.'.join(path)}" if path else ""
        raise ValueError(f"no es una lista JSON{where}")
    text.at += 1
    if text.sign() == "]":
        return
    count = 0
    while True:
        count += 1
        yield f"{text.value(f'en el elemento {count}', ',]')}\n".encode()
        ends = text.sign() == "]"
        text.at += 1
        if ends:
            return


class _Text:
    """A JSON document in UTF-8, read as far as asked. `held[at:]` is what comes next."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decode = json.JSONDecoder().raw_decode
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._ended = False
        self.held, self.at = "", 0

    def sign(self) -> str:
        """The next sign that is no blank; it stays. Empty at the end."""
        while True:
            self.at = _after_blanks(self.held, self.at)
            if self.at < len(self.held) or not self._more():
                return self.held[self.at : self.at + 1]

    def value(self, where: str, followed_by: str) -> str:
        """The text of the value that comes, which one of these signs has to follow."""
        while True:
            start = _after_blanks(self.held, self.at)
            end = _value_end(self._decode, self.held, start, followed_by)
            if end is not None:
                self.at = end
                return self.held[start:end]
            if len(self.held) - self.at > _LONGEST_LINE:
                raise ValueError(f"la lista JSON está rota o es enorme {where}")
            if not self._more():
                raise ValueError(f"la lista JSON está rota o cortada {where}")

    def enter(self, name: str) -> None:
        """Go to the value of a member of the object that comes."""
        ended = "{"
        while self.sign() == ended:
            self.at += 1
            if self.sign() == "}":
                break
            found = json.loads(self.value("antes de la lista", ":"))
            self.at += 1
            if found == name:
                return
            self.value("antes de la lista", ",}")
            ended = ","
        raise ValueError(f"no se encuentra {name!r}, donde estaría la lista JSON")

    def _more(self) -> bool:
        if self._ended:
            return False
        block = self._stream.read(_BLOCK)
        self._ended = not block
        self.held = self.held[self.at :] + self._text.decode(block, final=self._ended)
        self.at = 0
        return True


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _value_end(
    decode: Callable[[str, int], Any], held: str, start: int, followed_by: str
) -> int | None:
    """Where the value at `start` ends; None when more text is needed to know."""
    try:
        _, end = decode(held, start)
    except (ValueError, RecursionError):
        return None
    # A number might go on in the next block: only what follows it ends it.
    after = _after_blanks(held, end)
    sign = held[after : after + 1]
    return after if sign and sign in followed_by else None

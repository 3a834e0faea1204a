"""Delimited text files (CSV and its relatives), streamed through Arrow's parser.

Belongs here: the header, lines that cannot be taken apart, and lines that hold nothing. Does not
belong here: types; every value leaves as the text it was. Nothing between two separators is no
value, and `""` an empty text, as in PostgreSQL's COPY; a row without any value is no row, but keeps
its number: spreadsheets write such lines for cells that only have a format.

Options of the contract: `delimiter` and `encoding` (custom properties, or keys of the server),
`headerRow` (1-based, default 1), `headerRows` (how many rows the header has from there on, default
1; names are joined from the upper one down), `totalsLabel` (a row whose first value begins with
this word, or one of these, is not data), `longestRowMb` (default 1), `escape` (what stands before a
quote that is part of a value, where it is not another quote). Compressed files are known by what is
in them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.arrow_values import NO, from_flags, to_flags
from sources.contract import Contract
from sources.errors import ContractError, DriftError, SourceDataError
from sources.names import stacked, told_apart
from sources.readers.arrow import Array, pacsv, pc
from sources.readers.base import (
    RULE_ENCODING,
    RULE_MALFORMED,
    WHOLE_LINE,
    FeedFile,
    RawBatch,
    RejectedRow,
    build_batch,
    in_its_words,
    match_columns,
    problem,
    totals_pattern,
    unreadable,
)
from sources.readers.detection import with_findings
from sources.readers.encoding import (
    MARKED_PATTERN,
    unmark,
)
from sources.readers.pages import is_page
from sources.readers.text_file import TextFileReader

# Arrow keeps some blocks in memory, and no single row may be longer than one.
_LONGEST_ROW_MB = 1
_MB = 1 << 20

# A header of more lines has a quote that nobody closed.
_HEADER_LINES = 50

# What Excel reads as the separator of the lines below, and shows nowhere.
_SEPARATOR_TOLD = re.compile(rb'"?sep=.{1,4}?"?\s*', re.IGNORECASE | re.DOTALL)

Rows = npt.NDArray[np.int64]

_LONGEST_NAME = 128 << 10
_LONG_NAME = "su encabezado tiene un nombre de más de 128 KB: no parece una tabla"
_ONLY_CR = (
    "sus líneas terminan solo con el carácter CR, como las de equipos muy viejos: guárdelo otra "
    "vez como texto de Windows o de Unix"
)

_UNCLOSED = (
    "termina dentro de unas comillas que no se cierran: o está cortado, o un valor tiene comillas "
    "sueltas y las líneas que siguen quedaron dentro de él"
)


class DelimitedReader(TextFileReader):
    """One delimited file."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        super().__init__(contract, file, batch_rows=batch_rows)
        options, server = contract.options, contract.server
        self._delimiter = str(options.get("delimiter") or server.delimiter or ",")
        self._header_row = int(options.get("headerRow", 1))
        self._header_rows = int(options.get("headerRows", 1))
        self._totals = totals_pattern(contract)
        self._escape = str(options.get("escape") or "") or None
        if self._escape is not None and len(self._escape) != 1:
            raise problem(
                ContractError,
                contract,
                f"`escape` debe ser un solo carácter, no {self._escape!r}.",
                f"corrija el contrato {contract.path.name}.",
            )
        self._longest_row_mb = int(options.get("longestRowMb", _LONGEST_ROW_MB))
        self._header: tuple[str, ...] = ()
        self._positions: Mapping[str, int] = {}

    def _begin(self, text: io.BufferedReader) -> None:
        """Check the header.

        Raises SourceDataError when the file is empty, DriftError when a column of the contract is
        missing.
        """
        try:
            self._header = self._read_header(text)
        except DriftError as error:
            file = self._file
            raise with_findings(error, file.path, self._contract, file.name) from error

    def columns(self) -> tuple[str, ...]:
        return self._header

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceDataError when the file breaks off or cannot be parsed at all."""
        rejected: deque[RejectedRow] = deque()
        last = ""
        next_row = 1
        try:
            for block in _together(self._parse(rejected), self._batch_rows):
                if block.num_rows:
                    last = str(block.column(str(len(self._header) - 1))[-1])
                # A block in which no line was good still hands over the lines it set aside.
                for start in range(0, max(block.num_rows, 1), self._batch_rows):
                    part = block.slice(start, self._batch_rows)
                    rows, held = number_rows(part.num_rows, next_row, rejected)
                    next_row += len(rows) + len(held)
                    if len(rows) or held:
                        yield self._batch(part, rows, held)
            self._check_end(last)
            if rejected:
                yield self._only_rejected(rejected)
        except (OSError, EOFError, pa.ArrowInvalid) as error:
            raise self._unreadable(error) from error

    def _read_header(self, text: io.BufferedReader) -> tuple[str, ...]:
        for _ in range(self._header_row - 1):
            text.readline()
        first = text.readline()
        if self._header_row == 1 and _SEPARATOR_TOLD.fullmatch(first):
            first = text.readline()
        if not first.strip():
            raise unreadable(self._contract, self._file.name, "está vacío, no tiene ni encabezado")
        if is_page(first):
            raise unreadable(
                self._contract,
                self._file.name,
                "es una página HTML y no texto separado",
                "si trae los datos en una tabla, el contrato lleva `format: xlsx`; si no, pida que "
                "lo generen de nuevo.",
            )
        # A name in quotes may go on in the next line: spreadsheets write them so.
        more = islice(iter(text.readline, b""), _HEADER_LINES)
        lines = (unmark(line.decode("utf-8")) for line in chain([first], more))
        try:
            records = csv.reader(lines, delimiter=self._delimiter, escapechar=self._escape)
            header = stacked(list(islice(records, self._header_rows)))
            header = in_its_words(self._contract, header)
        except csv.Error as error:
            why = _ONLY_CR if b"\r" in first else error
            raise self._unreadable(_LONG_NAME if "field limit" in str(error) else why) from error
        # The limit is the process's: a library that was imported may have lifted it.
        if any(len(name) > _LONGEST_NAME for name in header):
            raise self._unreadable(_LONG_NAME)
        self._positions = match_columns(
            self._contract, header, f"el archivo {self._file.name} (¿otro formato?)"
        )
        return tuple(told_apart(header, unnamed=True))

    def _parse(self, rejected: deque[RejectedRow]) -> Iterator[pa.RecordBatch]:
        """Blocks of text columns, named by position; lines that do not parse go to `rejected`."""
        assert self._text is not None, "the reader is not open"
        if not self._text.peek(1):
            return iter(())
        names = [str(position) for position in range(len(self._header))]
        blocks: Iterator[pa.RecordBatch] = pacsv.open_csv(
            pa.PythonFile(self._text, mode="r"),
            read_options=pacsv.ReadOptions(
                # Only a single thread numbers the lines it sets aside.
                column_names=names, use_threads=False, block_size=self._longest_row_mb * _MB
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                escape_char=self._escape or False,
                invalid_row_handler=lambda row: _set_aside(row, rejected),
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                # All of them: a row may hold nothing but what the contract does not name, and the
                # last one shows whether the file ends within quotes.
                include_columns=names,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )  # fmt: skip
        return blocks

    def _check_end(self, last: str) -> None:
        """Raises SourceDataError when the last row's last value runs to the end of the file.

        It holds all the lines that follow the quote, and they would seem to be loaded.
        """
        assert self._recoded is not None, "the reader is not open"
        if "\n" in last and not self._recoded.ends_with(b'"'):
            raise self._unreadable(_UNCLOSED)

    def _batch(self, part: pa.RecordBatch, rows: Rows, rejected: list[RejectedRow]) -> RawBatch:
        assert self._recoded is not None, "the reader is not open"
        part, rows = _without_blank(part, rows)
        found = part.num_rows
        if self._totals is not None and found:
            part, rows = _without_totals(part, rows, self._totals)
        skipped = found - part.num_rows
        columns = {name: part.column(str(at)) for name, at in self._positions.items()}
        if self._recoded.marked:
            bad = _marked_rows(columns, len(rows))
            rejected = [*rejected, *self._undecodable(columns, rows, bad)]
            keep = from_flags(~bad)
            columns = {name: array.filter(keep) for name, array in columns.items()}
            rows = rows[~bad]
        return build_batch(
            self._contract, columns, rows, file=self._file.name, rejected=rejected, skipped=skipped
        )

    def _only_rejected(self, rejected: Iterable[RejectedRow]) -> RawBatch:
        """What remains when no line of the last block was good: Arrow may not hand it over."""
        columns = {name: pa.nulls(0, pa.string()) for name in self._positions}
        rows = np.array([], np.int64)
        return build_batch(self._contract, columns, rows, file=self._file.name, rejected=rejected)

    def _undecodable(
        self, columns: Mapping[str, Array], rows: Rows, bad: npt.NDArray[np.bool_]
    ) -> Iterator[RejectedRow]:
        held = from_flags(bad)
        texts = {name: array.filter(held).to_pylist() for name, array in columns.items()}
        for at, number in enumerate(rows[bad].tolist()):
            yield RejectedRow(
                row_number=number,
                rule=RULE_ENCODING,
                column=None,
                reason=f"la fila tiene bytes que no son texto en {self._encoding}; se guarda un "
                "carácter por byte",
                values={
                    name: None if values[at] is None else unmark(values[at])
                    for name, values in texts.items()
                },
            )

    def _unreadable(self, why: object) -> SourceDataError:
        if "straddling" in str(why):
            why = (
                f"hay comillas sin cerrar o una fila de más de {self._longest_row_mb} MB (si es "
                "legítima, declare `longestRowMb` en el contrato)"
            )
        return super()._unreadable(why)


def _together(blocks: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """Small blocks joined up to `most` rows: each batch costs its checks some milliseconds."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for block in blocks:
        if held and rows + block.num_rows > most:
            yield _joined(held)
            held, rows = [], 0
        held.append(block)
        rows += block.num_rows
    if held:
        yield _joined(held)


def _joined(blocks: list[pa.RecordBatch]) -> pa.RecordBatch:
    joined: pa.RecordBatch = pa.concat_batches(blocks)  # type: ignore[attr-defined]
    return joined


def number_rows(
    count: int, first: int, rejected: deque[RejectedRow]
) -> tuple[Rows, list[RejectedRow]]:
    """Numbers of `count` good rows that begin at `first`, and the rejected rows among them.

    Taken from the left of `rejected`, which holds every rejected row from `first` on in order;
    those that follow the last good row directly are taken too.
    """
    end = first + count
    held: list[RejectedRow] = []
    while rejected and rejected[0].row_number <= end:
        held.append(rejected.popleft())
        end += 1
    numbers = np.arange(first, end, dtype=np.int64)
    return np.delete(numbers, [row.row_number - first for row in held]), held


def _without_blank(part: pa.RecordBatch, rows: Rows) -> tuple[pa.RecordBatch, Rows]:
    """The rows that hold anything, and their numbers. The first column settles it for most."""
    blank: Any = None
    for column in part.columns:
        here = pc.is_null(column)
        blank = here if blank is None else pc.and_(blank, here)
        if not pc.any(blank).as_py():
            return part, rows
    return part.filter(pc.invert(blank)), rows[~to_flags(blank)]


def _without_totals(part: pa.RecordBatch, rows: Rows, pattern: str) -> tuple[pa.RecordBatch, Rows]:
    """The rows whose first value is not the word of a total, and their numbers."""
    totals = pc.fill_null(pc.match_substring_regex(pc.coalesce(*part.columns), pattern), NO)
    return part.filter(pc.invert(totals)), rows[~to_flags(totals)]


def _set_aside(row: Any, rejected: deque[RejectedRow]) -> str:
    lines = row.text.count("\n") + 1
    within = f"; ocupa {lines} renglones del archivo: revise sus comillas" if lines > 1 else ""
    rejected.append(
        RejectedRow(
            row_number=row.number,
            rule=RULE_MALFORMED,
            column=None,
            reason=f"la línea tiene {row.actual_columns} campos y se esperaban "
            f"{row.expected_columns}{within}",
            values={WHOLE_LINE: unmark(row.text)},
        )
    )
    return "skip"


def _marked_rows(columns: Mapping[str, Array], count: int) -> npt.NDArray[np.bool_]:
    bad = np.zeros(count, bool)
    for array in columns.values():
        bad |= to_flags(pc.match_substring_regex(array, MARKED_PATTERN))
    return bad

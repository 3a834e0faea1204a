"""Files of fixed records: one record per line, each value a range of characters.

Belongs here: records of several types, values of an earlier record carried to those below it, and
the count in a file's last record. Does not belong here: types; every value leaves as the text it
was, without the blanks that fill up its range (`sources/casting.py` sets the point of implied
decimals). A range of blanks is no value.

Options of the contract: see `sources/layouts.py` and `docs/contratos.md`. Positions count
characters of the decoded text. Rows are numbered by line, so numbers of rows have gaps where
records of other types stand. Compressed files are known by their ending.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import pyarrow as pa

from sources.arrow_values import from_flags
from sources.contract import Contract
from sources.layouts import Span, fixed_layout
from sources.readers.arrow import Array, pc
from sources.readers.base import (
    RULE_ENCODING,
    RULE_MALFORMED,
    WHOLE_LINE,
    FeedFile,
    RawBatch,
    RejectedRow,
    build_batch,
)
from sources.readers.encoding import (
    MARKED_PATTERN,
    unmark,
)
from sources.readers.text_file import TextFileReader

_LONGEST_LINE = 1 << 20
_END_OF_FILE = b"\x1a"
_NO_TEXT = pa.scalar(None, pa.string())


class FixedReader(TextFileReader):
    """One file of fixed records."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        super().__init__(contract, file, batch_rows=batch_rows)
        self._layout = fixed_layout(contract)
        self._shortest = self._shortest_line()
        self._carried: dict[str, str | None] = dict.fromkeys(self._layout.parents)
        self._records = 0
        self._announced: int | None = None
        self._ended = False

    def _begin(self, text: io.BufferedReader) -> None:
        """Raises SourceDataError when the file is empty."""
        if not text.peek(1):
            raise self._unreadable("está vacío")

    def columns(self) -> tuple[str, ...]:
        """The contract's own: a record has no names that could tell of others."""
        return tuple(
            column.source_name for column in self._contract.columns if column.constant is None
        )

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceDataError when the file breaks off before what it announces."""
        lines = self._lines()
        try:
            while block := list(islice(lines, self._batch_rows)):
                yield self._batch(block)
        except (OSError, EOFError) as error:
            raise self._unreadable(error) from error
        self._check_trailer()

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Lines that hold something, without their ends, with their number in the file."""
        assert self._text is not None, "the reader is not open"
        number = 0
        while line := self._text.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise self._unreadable("una línea tiene más de 1 MB")
            line = line.rstrip(b"\r\n" + _END_OF_FILE)
            if number > self._layout.skipped_lines and line.strip():
                yield number, line.decode("utf-8")

    def _batch(self, block: list[tuple[int, str]]) -> RawBatch:
        assert self._recoded is not None, "the reader is not open"
        numbers = np.array([number for number, _ in block], np.int64)
        texts: Array = pa.array([text for _, text in block], pa.string())
        types = self._types(texts)
        bad: dict[int, RejectedRow] = {}
        if self._recoded.marked:
            marked = pc.match_substring_regex(texts, MARKED_PATTERN)
            for at in _places(marked):
                bad[at] = _rejected(block[at], RULE_ENCODING, self._wrong_bytes)
        for at in _places(self._unknown(types)):
            bad.setdefault(at, _rejected(block[at], RULE_MALFORMED, self._unknown_type(types, at)))
        is_data = self._is_data(types, len(block))
        short = pc.and_(is_data, pc.less(pc.utf8_length(texts), self._shortest))
        for at in _places(short):
            bad.setdefault(at, _rejected(block[at], RULE_MALFORMED, self._too_short(block[at][1])))
        self._count(types, is_data, block)
        columns = self._columns(texts, types, self._lost(bad, is_data))
        kept = pa.array([at not in bad for at in range(len(block))]) if bad else None
        good = is_data if kept is None else pc.and_(is_data, kept)
        return build_batch(
            self._contract,
            {name: array.filter(good) for name, array in columns.items()},
            numbers[good.to_numpy(zero_copy_only=False)],
            file=self._file.name,
            rejected=[bad[at] for at in sorted(bad)],
            skipped=len(block) - len(bad) - int(pc.sum(good).as_py() or 0),
        )

    def _types(self, texts: Array) -> Array | None:
        span = self._layout.type_span
        return None if span is None else _slice(texts, span)

    def _is_data(self, types: Array | None, count: int) -> Array:
        if types is None:
            return pa.array(np.ones(count, bool))
        return pc.equal(types, self._layout.data_type)

    def _unknown(self, types: Array | None) -> Array:
        if types is None:
            return pa.array([], pa.bool_())
        known = [self._layout.data_type, *self._layout.known_types]
        return pc.invert(pc.is_in(types, value_set=pa.array(known, pa.string())))

    def _lost(self, bad: Mapping[int, RejectedRow], is_data: Array) -> Array:
        """Lines set aside that may have been the record above: whose the next are is unknown."""
        lost = np.zeros(len(is_data), bool)
        lost[[at for at in bad if not is_data[at].as_py()]] = True
        return from_flags(lost)

    def _columns(self, texts: Array, types: Array | None, lost: Array) -> Mapping[str, Array]:
        """Every column for every line; those of an earlier record are carried down to it, and none
        past a line that was `lost`: the value of another record would be taken for its own."""
        columns: dict[str, Array] = {}
        for name, span in self._layout.spans.items():
            values = _slice(texts, span)
            parent = self._layout.parents.get(name)
            if parent is not None:
                assert types is not None, "parents need record types"
                own = pc.if_else(pc.equal(types, parent), values, _NO_TEXT)
                own = pc.if_else(lost, "", own)
                carried = pa.array([self._carried[name]], pa.string())
                values = pc.fill_null_forward(pa.concat_arrays([carried, own])).slice(1)
                self._carried[name] = values[-1].as_py()
            columns[name] = pc.if_else(pc.equal(values, ""), _NO_TEXT, values)
        return columns

    def _count(self, types: Array | None, is_data: Array, block: list[tuple[int, str]]) -> None:
        """Count data records, and take the number that the last record announces."""
        self._records += int(pc.sum(is_data).as_py() or 0)
        span = self._layout.count_span
        if types is None or self._layout.trailer is None:
            return
        for at in _places(pc.equal(types, self._layout.trailer)):
            self._ended = True
            if span is None:
                continue
            written = block[at][1][span.start : span.stop].strip()
            if not written.isdecimal():
                raise self._unreadable(f"su registro final anuncia {written!r} registros")
            self._announced = int(written)

    def _check_trailer(self) -> None:
        if self._layout.trailer is None:
            return
        if not self._ended:
            raise self._unreadable(
                f"está cortado: falta su registro final ({self._layout.trailer})"
            )
        if self._announced is not None and self._announced != self._records:
            raise self._unreadable(
                f"su registro final anuncia {self._announced} lecturas y trae {self._records}"
            )

    def _shortest_line(self) -> int:
        """Characters a data record must have: the declared length, or up to its last required."""
        if self._layout.length is not None:
            return self._layout.length
        needed = (
            span.stop
            for name, span in self._layout.spans.items()
            if self._contract.column(name).required and name not in self._layout.parents
        )
        return max(needed, default=1)

    def _too_short(self, text: str) -> str:
        return f"el registro tiene {len(text)} caracteres y se esperaban {self._shortest}"

    @property
    def _wrong_bytes(self) -> str:
        return f"la línea tiene bytes que no son {self._encoding}"

    def _unknown_type(self, types: Array | None, at: int) -> str:
        found = "" if types is None else types[at].as_py()
        return f"tipo de registro desconocido: {found!r}"


def _slice(texts: Array, span: Span) -> Array:
    """The characters of a span without the blanks that fill it up."""
    return pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(texts, span.start, span.stop))


def _places(mask: Array) -> list[int]:
    return [int(at) for at in np.flatnonzero(mask.to_numpy(zero_copy_only=False))]


def _rejected(line: tuple[int, str], rule: str, reason: str) -> RejectedRow:
    number, text = line
    return RejectedRow(number, rule, None, reason, {WHOLE_LINE: unmark(text)})

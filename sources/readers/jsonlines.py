"""Files with one JSON document per line.

Belongs here: taking lines apart into the contract's paths; lines that are no JSON are set aside.
Does not belong here: types. A number arrives as JSON's double-precision number, which is exact up
to 15 digits; where the contract declares more, the slower exact decoder is used.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Self

import numpy as np
import orjson
import pyarrow as pa

from sources.contract import Contract
from sources.errors import SourceDataError
from sources.readers.base import (
    RULE_ENCODING,
    RULE_MALFORMED,
    WHOLE_LINE,
    ClosingReader,
    FeedFile,
    RawBatch,
    RejectedRow,
    build_batch,
    column_from_values,
    missing_columns,
    source_columns,
    unreadable,
)
from sources.readers.encoding import MARKED_PATTERN, Utf8Stream, open_text, unmark
from sources.readers.paths import leaf_paths, parse_path, value_at

# The first lines tell which paths the file has.
_SAMPLE_LINES = 100
_LONGEST_LINE = 16 << 20
_EXACT_DIGITS = 15
_MARKED = re.compile(MARKED_PATTERN)


class JsonLinesReader(ClosingReader):
    """One file of JSON lines."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        self.description = str(file.path)
        self._contract = contract
        self._file = file
        self._batch_rows = batch_rows
        self._encoding = str(
            contract.options.get("encoding") or contract.server.encoding or "utf-8"
        )
        self._paths = {c.name: parse_path(c.source_name) for c in source_columns(contract)}
        self._decode = json_decoder(contract)
        self._seen: set[str] = set()
        self._columns: dict[str, None] = {}
        self._first_lines: list[bytes] = []
        self._text: io.BufferedReader | None = None
        self._recoded: Utf8Stream | None = None

    def __enter__(self) -> Self:
        """Open the file and look at its first lines.

        Raises SourceDataError when it is empty or cannot be read.
        """
        try:
            self._text, self._recoded = open_text(self._file.path, self._encoding)
            self._first_lines = list(islice(self._lines(), _SAMPLE_LINES))
        except (OSError, EOFError, LookupError) as error:
            self._close()
            raise self._unreadable(error) from error
        except BaseException:
            self._close()
            raise
        if not self._first_lines:
            self._close()
            raise self._unreadable("está vacío")
        wanted = {column.source_name for column in self._contract.columns}
        for line in self._first_lines:
            document = self._document(line)
            if isinstance(document, dict):
                self._columns.update(dict.fromkeys(leaf_paths(document, wanted)))
        return self

    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def source_count(self) -> int | None:
        return None

    def batches(self) -> Iterator[RawBatch]:
        """Raises DriftError when a required path is in none of the file's many lines."""
        lines = chain(self._first_lines, self._lines())
        number = good = 0
        try:
            while block := list(islice(lines, self._batch_rows)):
                batch = self._batch(block, number + 1)
                number += len(block)
                good += batch.data.num_rows
                yield batch
        except (OSError, EOFError) as error:
            raise self._unreadable(error) from error
        self._check_paths(good)

    def _lines(self) -> Iterator[bytes]:
        """The lines that hold something, in order."""
        assert self._text is not None, "the reader is not open"
        while line := self._text.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise self._unreadable("una línea tiene más de 16 MB")
            if not line.isspace():
                yield line

    def _batch(self, lines: list[bytes], first: int) -> RawBatch:
        values: dict[str, list[Any]] = {name: [] for name in self._paths}
        columns = [(values[name].append, path) for name, path in self._paths.items()]
        rows: list[int] = []
        rejected: list[RejectedRow] = []
        for number, line in enumerate(lines, start=first):
            document = self._document(line)
            if not isinstance(document, dict):
                rejected.append(self._refused(line, number))
                continue
            rows.append(number)
            for append, path in columns:
                append(value_at(document, path))
        arrays = {name: column_from_values(found) for name, found in values.items()}
        self._seen.update(name for name, array in arrays.items() if array.null_count < len(array))
        return build_batch(
            self._contract,
            arrays,
            np.array(rows, np.int64),
            file=self._file.name,
            rejected=rejected,
        )

    def _document(self, line: bytes) -> Any:
        """The line decoded; None when it is no JSON or holds bytes that are no text."""
        assert self._recoded is not None, "the reader is not open"
        if self._recoded.marked and _MARKED.search(line.decode("utf-8")):
            return None
        try:
            return self._decode(line)
        except (ValueError, RecursionError):
            return None

    def _refused(self, line: bytes, number: int) -> RejectedRow:
        text = line.decode("utf-8")
        rule, reason = RULE_MALFORMED, "la línea no es un objeto JSON"
        if _MARKED.search(text):
            rule, reason = RULE_ENCODING, f"la línea tiene bytes que no son {self._encoding}"
        elif not text.endswith("\n"):
            reason = "la línea está cortada: el archivo termina en medio de ella"
        return RejectedRow(number, rule, None, reason, {WHOLE_LINE: unmark(text.rstrip("\r\n"))})

    def _check_paths(self, good: int) -> None:
        """Few lines may lack anything; a whole file without a required path is another format."""
        missing = [
            column.source_name
            for column in source_columns(self._contract)
            if column.required and column.name not in self._seen
        ]
        if missing and good >= _SAMPLE_LINES:
            raise missing_columns(
                self._contract, missing, self.columns(), f"el archivo {self._file.name}"
            )

    def _unreadable(self, why: object) -> SourceDataError:
        if isinstance(why, LookupError):
            why = f"la codificación {self._encoding!r} no existe"
        return unreadable(self._contract, self._file.name, why)

    def _close(self) -> None:
        if self._text is not None:
            self._text.close()
        self._text = self._recoded = None


def json_decoder(contract: Contract) -> Callable[[bytes], Any]:
    """The decoder that loses nothing of the numbers a contract declares."""
    wide = any(
        pa.types.is_decimal(column.arrow_type) and column.arrow_type.precision > _EXACT_DIGITS
        for column in contract.columns
    )
    if not wide:
        return orjson.loads
    exact = json.JSONDecoder(parse_float=Decimal)
    return lambda line: exact.decode(line.decode("utf-8"))

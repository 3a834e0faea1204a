"""Spreadsheets: xlsx, xls and ods.

Belongs here: finding the sheet and its header, and what is not data (blank rows, totals). Does not
belong here: types, except where a spreadsheet itself blurs them: it has one kind of number, and a
date is a number with a format. So whole numbers lose their `.0`, a bare number in a date column is
the day it counts, and a date in a text column is written in the column's format.

Options of the contract: `sheet` (default: the first), `headerRow` (1-based, default 1),
`totalsLabel` (a row that begins with this word is not data; default: none).

A sheet is in memory as a whole while it is read: the format allows nothing else, and limits it to
about a million rows. Row 1 is the row below the header, blank rows included, so that a person
finds it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from types import TracebackType
from typing import Any, Self

import numpy as np
import python_calamine

from sources.casting import number_style
from sources.contract import Column, Contract
from sources.errors import DriftError, SourceDataError
from sources.readers.arrow import Array
from sources.readers.base import (
    FeedFile,
    RawBatch,
    as_text,
    build_batch,
    column_from_values,
    match_columns,
    problem,
    unreadable,
)
from sources.readers.time_format import jdk_format

# Spreadsheets count days from here; days 1 to 60 differ by one, and no date of the city is so old.
_EPOCH = datetime(1899, 12, 30)
_FIRST_DAY, _LAST_DAY = 61, 2_958_465


class SpreadsheetReader:
    """One sheet of one workbook."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        self.description = str(file.path)
        self._contract = contract
        self._file = file
        self._batch_rows = batch_rows
        options = contract.options
        self._sheet = options.get("sheet")
        self._header_row = int(options.get("headerRow", 1))
        self._totals = str(options.get("totalsLabel") or "").strip().casefold()
        self._decimal = number_style(options).decimal
        self._header: tuple[str, ...] = ()
        self._positions: Mapping[str, int] = {}
        self._rows: Sequence[Sequence[Any]] = ()

    def __enter__(self) -> Self:
        """Read the sheet and check its header.

        Raises SourceDataError when the workbook or the sheet cannot be read, DriftError when a
        column of the contract is missing.
        """
        rows = self._read()
        header = rows[self._header_row - 1] if len(rows) >= self._header_row else []
        self._header = tuple(" ".join(str(cell).split()) for cell in header if cell != "")
        if not self._header:
            raise self._problem(
                f"la hoja no tiene encabezado en la fila {self._header_row}",
                "revise que la planilla conserve su formato.",
            )
        names = [" ".join(str(cell).split()) for cell in header]
        where = f"la fila {self._header_row} de {self._file.name}"
        self._positions = match_columns(self._contract, names, where)
        self._rows = rows[self._header_row :]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows = ()

    def columns(self) -> tuple[str, ...]:
        return self._header

    def source_count(self) -> int | None:
        return None

    def batches(self) -> Iterator[RawBatch]:
        for start in range(0, len(self._rows), self._batch_rows):
            yield self._batch(self._rows[start : start + self._batch_rows], start + 1)

    def _batch(self, rows: Sequence[Sequence[Any]], first: int) -> RawBatch:
        numbered = [(number, row) for number, row in enumerate(rows, first) if not _is_blank(row)]
        data = [(number, row) for number, row in numbered if not self._is_total(row)]
        columns = {
            name: self._column(self._contract.column(name), [row[at] for _, row in data])
            for name, at in self._positions.items()
        }
        return build_batch(
            self._contract,
            columns,
            np.array([number for number, _ in data], np.int64),
            file=self._file.name,
            skipped=len(numbered) - len(data),
        )

    def _column(self, column: Column, cells: Sequence[Any]) -> Array:
        return column_from_values([self._value(column, cell) for cell in cells])

    def _value(self, column: Column, cell: Any) -> Any:
        """A cell as the column wants it written: text where the column is text."""
        if cell == "":
            return None
        if column.pg_type in ("date", "timestamp", "timestamptz"):
            return _moment(cell)
        if column.pg_type == "text" and column.format and isinstance(cell, date):
            return cell.strftime(jdk_format(self._contract, column.format).strftime)
        if isinstance(cell, float):
            return _plain_number(cell, self._decimal)
        if isinstance(cell, datetime | date | time | timedelta):
            return cell.isoformat() if not isinstance(cell, timedelta) else str(cell)
        return as_text(cell)

    def _is_total(self, row: Sequence[Any]) -> bool:
        if not self._totals:
            return False
        first = next((str(cell).strip().casefold() for cell in row if cell != ""), "")
        return first == self._totals or first.startswith((f"{self._totals} ", f"{self._totals}:"))

    def _read(self) -> list[list[Any]]:
        try:
            with python_calamine.CalamineWorkbook.from_path(self._file.path) as book:
                name = str(self._sheet) if self._sheet else book.sheet_names[0]
                if name not in book.sheet_names:
                    name = self._same_name(name, book.sheet_names)
                rows: list[list[Any]] = book.get_sheet_by_name(name).to_python(
                    skip_empty_area=False
                )
                return rows
        except python_calamine.PasswordError as error:
            raise self._problem(
                "está protegido con contraseña", "guárdelo sin contraseña en la carpeta."
            ) from error
        except (python_calamine.CalamineError, OSError, IndexError) as error:
            raise self._problem(
                f"está dañado o no es una planilla ({error})",
                "ábralo, guárdelo de nuevo como .xlsx y vuelva a copiarlo a la carpeta.",
            ) from error

    def _same_name(self, wanted: str, names: Sequence[str]) -> str:
        for name in names:
            if name.strip().casefold() == wanted.strip().casefold():
                return name
        raise problem(
            DriftError,
            self._contract,
            f"el archivo {self._file.name} no tiene la hoja {wanted!r}; tiene: {', '.join(names)}.",
            f"devuelva su nombre a la hoja o actualice el contrato {self._contract.path.name}.",
        )

    def _problem(self, why: str, next_step: str) -> SourceDataError:
        return unreadable(self._contract, self._file.name, why, next_step)


def _is_blank(row: Sequence[Any]) -> bool:
    return all(cell == "" or (isinstance(cell, str) and not cell.strip()) for cell in row)


def _moment(cell: Any) -> Any:
    """A cell of a date column: a bare number is the day that it counts; text stays text."""
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        if _FIRST_DAY <= cell <= _LAST_DAY + 1:
            # Rounded as spreadsheets show it: a day's fraction has no exact microseconds.
            return (_EPOCH + timedelta(seconds=round(cell * 86_400, 3))).isoformat(" ")
        return _plain_number(float(cell), ".")
    if isinstance(cell, date):
        return cell.isoformat()
    return as_text(cell)


def _plain_number(number: float, decimal: str) -> str:
    """A number as a person would write it: 5.0 is 5, and no digit is invented or lost."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(number).replace(".", decimal)

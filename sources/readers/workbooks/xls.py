"""xls workbooks (Excel 97 to 2003), read by xlrd.

Belongs here: the old binary format, which xlrd reads with everything that is asked of a workbook:
calamine, which reads it too, tells neither errors of formulas nor the date system. Does not
belong here: what the contract makes of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import xlrd  # type: ignore[import-untyped]

from sources.readers.workbooks.base import (
    EPOCH_1900,
    EPOCH_1904,
    RULE_CELL_ERROR,
    Area,
    Flaw,
    Sheet,
    SheetInfo,
    UnusableWorkbook,
)

_LAST_DAY = 2_958_465


class XlsWorkbook:
    """One xls file."""

    def __init__(self, path: Path) -> None:
        try:
            self._book = xlrd.open_workbook(
                str(path), logfile=io.StringIO(), on_demand=True, formatting_info=True
            )
            sheets = self._book.sheets()
        except Exception as error:
            # On damaged bytes xlrd fails in many ways: struct.error, AssertionError, IndexError…
            if "encrypted" in str(error).lower():
                raise UnusableWorkbook.protected() from error
            raise UnusableWorkbook.damaged(error) from error
        self.sheets = tuple(SheetInfo(sheet.name, sheet.visibility == 0) for sheet in sheets)
        self.epoch: datetime = EPOCH_1904 if self._book.datemode else EPOCH_1900

    def read(self, name: str) -> Sheet:
        sheet = self._book.sheet_by_name(name)
        return Sheet(
            name=name,
            rows=self._rows(sheet),
            flaws={row: flaws for row in range(sheet.nrows) if (flaws := _flaws(sheet, row))},
            hidden_rows=frozenset(
                number for number, facts in sheet.rowinfo_map.items() if facts.hidden
            ),
            merged=tuple(
                Area(top, left, bottom - 1, right - 1)
                for top, bottom, left, right in sheet.merged_cells
            ),
        )

    def close(self) -> None:
        self._book.release_resources()

    def _rows(self, sheet: Any) -> Iterator[list[Any]]:
        for row in range(sheet.nrows):
            values, kinds = sheet.row_values(row), sheet.row_types(row)
            yield [self._cell(kind, value) for kind, value in zip(kinds, values, strict=True)]

    def _cell(self, kind: int, value: Any) -> Any:
        match kind:
            case xlrd.XL_CELL_DATE:
                return _moment(value, self.epoch)
            case xlrd.XL_CELL_BOOLEAN:
                return bool(value)
            case xlrd.XL_CELL_ERROR:
                return ""
            case _:
                return value


def _flaws(sheet: Any, row: int) -> tuple[Flaw, ...]:
    kinds = sheet.row_types(row)
    if xlrd.XL_CELL_ERROR not in kinds:
        return ()
    return tuple(
        Flaw(at, RULE_CELL_ERROR, xlrd.error_text_from_code.get(sheet.cell_value(row, at), "#?"))
        for at, kind in enumerate(kinds)
        if kind == xlrd.XL_CELL_ERROR
    )


def _moment(days: float, epoch: datetime) -> date | time | float:
    """A number with a date's format, as calamine gives those of the other formats."""
    if not 0 <= days <= _LAST_DAY:
        return days
    # A day's fraction has no exact microseconds: rounded as spreadsheets show it.
    moment = epoch + timedelta(seconds=round(days * 86_400, 3))
    if days < 1:
        return moment.time()
    return moment.date() if moment.time() == time() else moment

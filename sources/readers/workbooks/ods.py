"""ods workbooks (LibreOffice): read by calamine, after a look at what it does not tell.

Belongs here: the package and its XML: errors of formulas, hidden rows, merged areas, the date
system, and how far a sheet reaches (one element may stand for a million cells). Does not belong
here: what the contract makes of it.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import python_calamine

from sources.readers.workbooks.base import (
    EPOCH_1900,
    RULE_CELL_ERROR,
    RULE_NO_VALUE,
    Area,
    Flaw,
    Sheet,
    SheetInfo,
    UnusableWorkbook,
    check_grid,
    check_unpacked,
)
from sources.readers.workbooks.xlsx import full_rows

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, ValueError)
_ERROR_TEXT = re.compile(r"^(#(REF|N/A|DIV/0|VALUE|NAME|NUM|NULL)[!?]?|Err:\d+)$")


class OdsWorkbook:
    """One ods file."""

    def __init__(self, path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as package:
                check_unpacked(package.infolist())
                if b"encryption-data" in _optional(package, "META-INF/manifest.xml"):
                    raise UnusableWorkbook.protected()
                self.epoch = EPOCH_1900
                self._found = {sheet.name: sheet for sheet in self._walk(package)}
            # calamine reads every sheet on opening, the ones nobody asks for too.
            for sheet in self._found.values():
                check_grid(sheet.rows, sheet.columns, sheet.name)
            self._book = python_calamine.CalamineWorkbook.from_path(path)
        except (*_DAMAGE, ET.ParseError, RuntimeError, python_calamine.CalamineError) as error:
            raise UnusableWorkbook.damaged(error) from error
        shown = python_calamine.SheetVisibleEnum.Visible
        self.sheets = tuple(
            SheetInfo(sheet.name, sheet.visible == shown) for sheet in self._book.sheets_metadata
        )

    def read(self, name: str) -> Sheet:
        found = self._found[name]
        try:
            cells = self._book.get_sheet_by_name(name)
        except (python_calamine.CalamineError, *_DAMAGE) as error:
            raise UnusableWorkbook.damaged(error) from error
        return Sheet(
            name=name,
            rows=full_rows([cells]),
            flaws=found.flaws,
            hidden_rows=frozenset(found.hidden),
            merged=tuple(found.merged),
        )

    def close(self) -> None:
        self._book.close()

    def _walk(self, package: zipfile.ZipFile) -> Iterator[_Facts]:
        """What each sheet has besides its cells; learns the date system on the way."""
        facts = _Facts("")
        with package.open("content.xml") as stream:
            for event, element in ET.iterparse(stream, events=("start", "end")):
                if event == "start":
                    if element.tag == f"{_TABLE}table":
                        facts = _Facts(element.get(f"{_TABLE}name", ""))
                elif element.tag == f"{_TABLE}null-date":
                    day = element.get(f"{_TABLE}date-value", "1899-12-30")
                    self.epoch = datetime.fromisoformat(day)
                elif element.tag == f"{_TABLE}table-row":
                    facts.add(element)
                    element.clear()
                elif element.tag == f"{_TABLE}table":
                    element.clear()
                    yield facts


class _Facts:
    """What one sheet has besides its cells. Fed with its rows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.flaws: dict[int, list[Flaw]] = {}
        self.hidden: set[int] = set()
        self.merged: list[Area] = []
        self.rows = self.columns = 0
        self._at = 0

    def add(self, row: ET.Element) -> None:
        repeated = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        numbers = range(self._at, self._at + repeated)
        self._at = numbers.stop
        column = 0
        for cell in row:
            if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                continue
            width = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
            if _holds_something(cell):
                self.rows = max(self.rows, numbers.stop)
                self.columns = max(self.columns, column + width)
                self._look_at(cell, numbers, range(column, column + width))
            column += width
        hidden = row.get(f"{_TABLE}visibility") in ("collapse", "filter")
        if hidden and self.rows == numbers.stop:
            check_grid(len(numbers), 1, self.name)
            self.hidden.update(numbers)

    def _look_at(self, cell: ET.Element, rows: range, columns: range) -> None:
        down = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
        across = int(cell.get(f"{_TABLE}number-columns-spanned", "1"))
        if down > 1 or across > 1:
            top, left = rows.start, columns.start
            self.merged.append(Area(top, left, top + down - 1, left + across - 1))
        if (found := _flaw(cell)) is None:
            return
        check_grid(len(rows), len(columns), self.name)
        rule, text = found
        for row in rows:
            self.flaws.setdefault(row, []).extend(Flaw(at, rule, text) for at in columns)


def _holds_something(cell: ET.Element) -> bool:
    return len(cell) > 0 or f"{_OFFICE}value-type" in cell.keys() or _formula(cell)  # noqa: SIM118


def _formula(cell: ET.Element) -> bool:
    return cell.get(f"{_TABLE}formula") is not None


def _flaw(cell: ET.Element) -> tuple[str, str | None] | None:
    """The rule a cell breaks, and its text."""
    text = "".join(part for line in cell.iter(f"{_TEXT}p") for part in line.itertext())
    formula_error = _formula(cell) and _ERROR_TEXT.match(text)
    if cell.get(f"{_CALC}value-type") == "error" or formula_error:
        return RULE_CELL_ERROR, text or "#ERROR"
    if _formula(cell) and cell.get(f"{_OFFICE}value-type") is None:
        return RULE_NO_VALUE, None
    return None


def _optional(package: zipfile.ZipFile, name: str) -> bytes:
    return package.read(name) if name in package.namelist() else b""

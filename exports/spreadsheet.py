"""A resource as an Excel workbook: a sheet that explains, a sheet with the rows.

Belongs here: what a cell holds, and the two sheets. Does not belong here: other kinds of files
(`formats.py`), or the words of the explanation beyond their labels (they come from the caller).

Nothing in a workbook is a formula or a link: text is written as text, whatever it starts with. What
Excel cannot hold exactly is written as text rather than changed: numbers of more than 15 digits,
days before 1900-03-01. Instants are wall-clock time of the city, Excel knows no zones. A text
longer than a cell is an error, not a shortened text.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exports.formats import TIMEZONE
from exports.manifest import MartColumn
from sources.city import city_time

CELL_CHARACTERS = 32_767
_EXACT_DIGITS = 15
# Excel counts days from 1900 and believes that year had a 29th of February.
_FIRST_DAY = dt.date(1900, 3, 1)
# Workbooks carry a date of creation; a fixed one keeps equal data equal.
_CREATED = dt.datetime(2000, 1, 1)
_KINDS = {
    "string": "texto", "integer": "número entero", "number": "número", "boolean": "sí o no",
    "date": "fecha", "datetime": f"fecha y hora ({city_time()})", "timestamp": "fecha y hora",
    "time": "hora", "object": "texto (JSON)",
}  # fmt: skip
_FORMATS = {"date": "yyyy-mm-dd", "datetime": "yyyy-mm-dd hh:mm:ss",
            "timestamp": "yyyy-mm-dd hh:mm:ss", "time": "hh:mm:ss"}  # fmt: skip
_ZONE = ZoneInfo(TIMEZONE)


@dataclass(frozen=True, slots=True)
class Readme:
    """What the first sheet says: a title, labelled facts in order, what to keep in mind."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


class CellTooLongError(Exception):
    """A text does not fit in a cell. `column` says where, `length` how long it is."""

    def __init__(self, column: str, length: int) -> None:
        self.column, self.length = column, length
        super().__init__(f"{column}: {length}")


def write_workbook(
    rows: Iterable[tuple[Any, ...]], columns: Sequence[MartColumn], readme: Readme, path: Path
) -> int:
    """Write one workbook, row after row to the disk; how many rows of data it has.

    CellTooLongError when a text has more than `CELL_CHARACTERS`.
    """
    import xlsxwriter

    book = xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    try:
        book.set_properties({"title": readme.title, "created": _CREATED})
        _explain(book, columns, readme)
        return _fill(book, rows, columns)
    finally:
        # Also after an error: it removes the temporary files of its sheets.
        book.close()


def _explain(book: Any, columns: Sequence[MartColumn], readme: Readme) -> None:
    sheet = book.add_worksheet("Léame")
    strong, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True})
    title = book.add_format({"bold": True, "font_size": 14})
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 2, 24)
    sheet.set_column(3, 3, 80)
    lines: list[tuple[tuple[str, Any], ...]] = [((readme.title, title),)]
    lines += [((warning, strong),) for warning in readme.warnings]
    lines.append(())
    lines += [((label, strong), (value, None)) for label, value in readme.facts]
    lines += [(), tuple((name, strong) for name in ("Columna", "Tipo", "Unidad", "Descripción"))]
    lines += [
        (
            (column.name, None),
            (_KINDS[column.kind], None),
            (column.unit or "", None),
            (column.description, wrapped),
        )
        for column in columns
    ]
    for row, line in enumerate(lines):
        for place, (text, form) in enumerate(line):
            sheet.write_string(row, place, text[:CELL_CHARACTERS], form)


def _fill(book: Any, rows: Iterable[tuple[Any, ...]], columns: Sequence[MartColumn]) -> int:
    sheet = book.add_worksheet("Datos")
    head = book.add_format({"bold": True, "bottom": 1})
    formats = {kind: book.add_format({"num_format": form}) for kind, form in _FORMATS.items()}
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        sheet.set_column(place, place, min(max(len(column.name) + 2, 12), 40))
        sheet.write_string(0, place, column.name, head)
    count = 0
    for count, row in enumerate(rows, 1):
        for place, (value, column) in enumerate(zip(row, columns, strict=True)):
            _write(sheet, count, place, value, column, formats)
    return count


def _write(
    sheet: Any, row: int, place: int, value: Any, column: MartColumn, formats: dict[str, Any]
) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, place, value)
    elif isinstance(value, int | float | Decimal):
        if _is_exact(value):
            sheet.write_number(row, place, float(value))
        else:
            sheet.write_string(row, place, str(value))
    elif isinstance(value, dt.date | dt.time):
        _write_moment(sheet, row, place, value, formats[column.kind])
    else:
        text = str(value)
        if sheet.write_string(row, place, text) != 0:
            raise CellTooLongError(column.name, len(text))


def _write_moment(sheet: Any, row: int, place: int, value: dt.date | dt.time, form: Any) -> None:
    """A date or time as Excel counts it; as ISO text where its calendar does not reach."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(_ZONE).replace(tzinfo=None)
    day = value.date() if isinstance(value, dt.datetime) else value
    if isinstance(day, dt.date) and day < _FIRST_DAY:
        sheet.write_string(row, place, value.isoformat())
    else:
        sheet.write_datetime(row, place, value, form)


def _is_exact(value: float | Decimal) -> bool:
    """Whether Excel's numbers (IEEE doubles shown with 15 digits) hold the value as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    digits = Decimal(value).normalize().as_tuple()
    return isinstance(digits.exponent, int) and len(digits.digits) <= _EXACT_DIGITS

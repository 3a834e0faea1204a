"""Tables of an HTML page with a workbook's name, as many systems export what they call Excel.

Belongs here: the tables of a page as sheets of texts. Does not belong here: what the contract makes
of it; numbers and dates stay as the page shows them, for the contract's signs and formats.
"""

from __future__ import annotations

import codecs
import re
from datetime import datetime
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

from sources.readers.workbooks.base import (
    EPOCH_1900,
    LARGEST_UNPACKED_BYTES,
    Area,
    Sheet,
    SheetInfo,
    UnusableWorkbook,
    check_grid,
)

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_PAGE = re.compile(r"<(?:html|table)\b", re.IGNORECASE)
_LOOKED_AT = 4096
# What an attribute may say at most; browsers stop there, too.
_MOST_ROWS_OVER, _MOST_COLUMNS_OVER = 65_534, 1_000


def is_page(start: bytes) -> bool:
    """Whether a file that begins so is an HTML page, and no text with one among its values."""
    text = _decoded(start[:_LOOKED_AT]).lstrip()
    return text.startswith("<") and _PAGE.search(text) is not None


class HtmlWorkbook:
    """One page: each table that is in no other is a sheet, `Tabla 1` and so on."""

    epoch: datetime = EPOCH_1900

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > LARGEST_UNPACKED_BYTES:
            raise UnusableWorkbook(
                f"es una página HTML de más de {LARGEST_UNPACKED_BYTES >> 20} MB",
                "pida los datos en varios archivos o como CSV.",
            )
        reader = _Tables()
        reader.feed(_decoded(path.read_bytes()))
        reader.close()
        found = [table for table in reader.tables if table.rows]
        if not found:
            raise UnusableWorkbook(
                "es una página HTML sin ninguna tabla, con nombre de planilla",
                "vuelva a exportar los datos; si se abre y los muestra, guárdelo como .xlsx.",
            )
        self._tables = {f"Tabla {number}": table for number, table in enumerate(found, start=1)}
        self.sheets = tuple(SheetInfo(name, visible=True) for name in self._tables)

    def read(self, name: str) -> Sheet:
        table = self._tables[name]
        width = max(map(len, table.rows))
        check_grid(len(table.rows), width, name)
        rows = ([*row, *[""] * (width - len(row))] for row in table.rows)
        return Sheet(name=name, rows=rows, merged=tuple(table.merged))

    def close(self) -> None:
        self._tables.clear()


class _Table:
    """The cells read so far. `held` are columns that a cell above reaches down to: how far."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.merged: list[Area] = []
        self._held: dict[int, int] = {}

    def begin_row(self) -> None:
        self.rows.append([])

    def add(self, text: str, down: int, across: int) -> None:
        if not self.rows:
            self.begin_row()
        row, top = self.rows[-1], len(self.rows) - 1
        while self._held.get(len(row), -1) >= top:
            row.append("")
        left = len(row)
        row.extend([text, *[""] * (across - 1)])
        if down > 1:
            self._held.update(dict.fromkeys(range(left, left + across), top + down - 1))
        if down > 1 or across > 1:
            self.merged.append(Area(top, left, top + down - 1, left + across - 1))


class _Tables(HTMLParser):
    """The outermost tables of a page; what a cell has within is its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[_Table] = []
        self._depth = 0
        self._ignored = 0
        self._cell: list[str] | None = None
        self._span = (1, 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._ignored += 1
        elif tag == "table":
            self._depth += 1
            if self._depth == 1:
                self.tables.append(_Table())
        elif tag in ("br", "p", "div") and self._cell:
            self._cell.append("\n")
        elif self._depth == 1 and tag == "tr":
            self._end_cell()
            self.tables[-1].begin_row()
        elif self._depth == 1 and tag in ("td", "th"):
            self._end_cell()
            said = dict(attrs)
            self._cell = []
            self._span = (
                _times(said.get("rowspan"), _MOST_ROWS_OVER),
                _times(said.get("colspan"), _MOST_COLUMNS_OVER),
            )

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._ignored = max(0, self._ignored - 1)
        elif self._depth == 1 and tag in ("td", "th", "tr", "table"):
            self._end_cell()
        if tag == "table":
            self._depth = max(0, self._depth - 1)

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self._ignored:
            self._cell.append(re.sub(r"[ \t\r\n\f]+", " ", data))

    def close(self) -> None:
        super().close()
        if self._depth:
            self._end_cell()

    def _end_cell(self) -> None:
        """End tags of cells may be left out."""
        if self._cell is None:
            return
        lines = "".join(self._cell).replace("\xa0", " ").split("\n")
        text = "\n".join(line.strip() for line in lines).strip()
        self.tables[-1].add(text, *self._span)
        self._cell = None


def _times(text: str | None, most: int) -> int:
    digits = (text or "").strip()
    return min(max(int(digits), 1), most) if digits.isdecimal() and len(digits) < 10 else 1


def _decoded(content: bytes) -> str:
    """By the mark at the beginning, by what the page says of itself, else as UTF-8 or Windows."""
    if content.startswith(_MARKS[0]):
        return content.decode("utf-8-sig", "replace")
    if content.startswith(_MARKS[1:]):
        return content.decode("utf-16", "replace")
    said = [found[1].decode() for found in islice(_CHARSET.finditer(content[:_LOOKED_AT]), 1)]
    for encoding in (*said, "utf-8"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("cp1252", "replace")

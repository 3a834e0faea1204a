"""xlsx workbooks: read by calamine, after a look at what it does not tell.

Belongs here: the package and its XML. calamine gives a formula's error and a formula without a
result as an empty cell, knows no hidden rows, and is stopped by nothing: a small file may unpack
to gigabytes, and a stray cell in the last corner makes a grid of 17 thousand million cells. So
each part is unpacked and searched first, and calamine gets what was checked. Does not belong
here: what the contract makes of it.

A sheet is unpacked and searched some rows at a time, while calamine reads those before in threads:
each time a package of its own with the rows of one stretch, under the numbers they have.

The search is by expressions on the bytes, not by an XML parser, which takes ten times as long;
they accept every spelling the format allows for the few marks that are looked for.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from html import unescape
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree as ET

import numpy as np
import python_calamine

from sources.readers.workbooks.base import (
    EPOCH_1900,
    EPOCH_1904,
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

# XML unpacked at once, and read by calamine at once; at least so many times the parts that go with
# it, as each time calamine reads those, too: texts that cells share may be larger than the cells.
_BLOCK = 4 << 20
_TIMES_THE_REST = 4
_MOST_THREADS = 4
# Stretches unpacked and not read yet, beyond which unpacking waits.
_MOST_WAITING = 8
# Few enough bytes to stay in the processor's cache while they are compared.
_PIECE = 1 << 17
# Cells that are made Python objects all at once, which takes half the time: some 20 MB of them.
_FEW_CELLS = 250_000
# The first rows tell how wide a sheet is: its header is among them. What is written below no name,
# further right, is nobody's value.
_ROWS_OF_WIDTH = 1_000
# Where a sheet says how far it reaches, before its cells.
_SHEET_START = 4096
_DATA = re.compile(rb"<([\w.-]+:)?sheetData\b[^>]*>")
_REF = re.compile(rb"""\sr\s*=\s*["']([A-Z]{1,3})(\d{1,7})["']""")
_KIND = re.compile(rb"""\st\s*=\s*["'](\w+)["']""")
_DIMENSION = re.compile(rb"""dimension\s+ref=["'][A-Z]+\d+:([A-Z]{1,3})(\d{1,7})["']""")
_MERGED = re.compile(
    rb"""mergeCell\s[^>]*?\bref\s*=\s*["']([A-Z]{1,3})(\d{1,7})(?::([A-Z]{1,3})(\d{1,7}))?["']"""
)
_ROW_REF = re.compile(rb"""\sr\s*=\s*["'](\d{1,8})["']""")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, ValueError)


class XlsxWorkbook:
    """One xlsx file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._package = zipfile.ZipFile(path)
            self._members = {info.filename.lower(): info for info in self._package.infolist()}
            book = self._xml("xl/workbook.xml")
            targets = self._targets()
        except (*_DAMAGE, ET.ParseError, RuntimeError) as error:
            raise UnusableWorkbook.damaged(error) from error
        self._parts: dict[str, str] = {}
        sheets = []
        for sheet in _each(book, "sheet"):
            if part := targets.get(_attribute(sheet, "id")):
                name = sheet.get("name", "")
                self._parts[name] = part
                sheets.append(SheetInfo(name, sheet.get("state", "visible") == "visible"))
        self.sheets = tuple(sheets)
        old = any(p.get("date1904") in ("1", "true") for p in _each(book, "workbookPr"))
        self.epoch: datetime = EPOCH_1904 if old else EPOCH_1900

    def read(self, name: str) -> Sheet:
        part = self._members.get(self._parts[name].lower())
        if part is None:
            raise UnusableWorkbook.damaged(f"falta la hoja {name!r}")
        others = [info for key, info in self._members.items() if _is_read(key)]
        check_unpacked([part, *others])
        try:
            kept = [(info.filename, self._package.read(info)) for info in others]
            try:
                search, reading = self._begin(name, part, kept, at_once=False)
            except _OutOfOrder:
                search, reading = self._begin(name, part, kept, at_once=True)
        except (*_DAMAGE, python_calamine.CalamineError, RuntimeError) as error:
            raise _unusable(error) from error
        return Sheet(
            name=name,
            rows=_rows_of(reading),
            flaws=search.flaws,
            hidden_rows=frozenset(search.hidden),
            merged=tuple(search.merged),
        )

    def close(self) -> None:
        self._package.close()

    def _begin(
        self, name: str, part: zipfile.ZipInfo, others: list[tuple[str, bytes]], *, at_once: bool
    ) -> tuple[_Search, deque[Future[Any]]]:
        """What was found in a sheet, and its stretches as calamine reads them (one: `at_once`)."""
        search = _Search(name)
        block = max(_BLOCK, _TIMES_THE_REST * sum(len(content) for _, content in others))
        reading: deque[Future[Any]] = deque()
        threads = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
        try:
            with self._package.open(part) as stream:
                for xml in search.stretches(_whole_rows(stream, -1 if at_once else block)):
                    if len(reading) >= _MOST_WAITING:
                        reading[-_MOST_WAITING].result()
                    reading.append(threads.submit(_cells, [*others, (part.filename, xml)], name))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
        threads.shutdown(wait=False)
        return search, reading

    def _xml(self, name: str) -> ET.Element:
        info = self._members[name]
        check_unpacked([info])
        return ET.fromstring(self._package.read(info))

    def _targets(self) -> dict[str, str]:
        """Id of a relation -> path inside the package, of sheets of cells (charts are none)."""
        found = {}
        for relation in _each(self._xml("xl/_rels/workbook.xml.rels"), "Relationship"):
            if not relation.get("Type", "").endswith("/worksheet"):
                continue
            target = relation.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            found[relation.get("Id", "")] = path
        return found


class _OutOfOrder(Exception):
    """A sheet whose rows do not come by their numbers."""


class _Marks:
    """What is looked for, spelled with the prefix that some writers put before every tag."""

    def __init__(self, prefix: bytes) -> None:
        tag = re.escape(prefix)
        # calamine goes through a sheet once more in search of merged areas, unless it meets some
        # before the cells: none are as good. They are found in `_Search`.
        self.no_merges = b"<" + prefix + b"mergeCells></" + prefix + b"mergeCells>"
        self.end = b"</" + prefix + b"sheetData></" + prefix + b"worksheet>"
        self.formula = b"<" + prefix + b"f"
        self.cell = b"<" + prefix + b"c "
        self.row = b"<" + prefix + b"row"
        self.bare_row = self.row + b">"
        self.row_tag = re.compile(rb"<%srow(?:\s[^>]*)?/?>" % tag)
        self.data_end = b"</" + prefix + b"sheetData"
        self.hidden_row = re.compile(
            rb"<%srow\s[^>]*?\bhidden\s*=\s*[\"'](?:1|true)[\"'][^>]*>" % tag
        )
        self.error = re.compile(
            rb"<%sc(\s[^>]*?\bt\s*=\s*[\"']e[\"'][^>]*?)(?:/>|>(.*?)</%sc>)" % (tag, tag), re.DOTALL
        )
        self.value = re.compile(rb"<%sv[^>]*>([^<]*)<" % tag)
        self.empty_result = re.compile(
            rb"(?:</%sf>|<%sf(?:\s[^>]*)?/>)\s*(</%sc>|<%sv\s*/>|<%sv></%sv>)" % ((tag,) * 6)
        )
        self.column = re.compile(rb"<%sc\s[^>]*?\br=[\"']([A-Z]{1,3})\d" % tag)


class _Search:
    """Looks through a sheet's XML for what calamine leaves out, and divides it into stretches."""

    def __init__(self, sheet: str) -> None:
        self.flaws: dict[int, list[Flaw]] = {}
        self.hidden: set[int] = set()
        self.merged: list[Area] = []
        self._sheet = sheet
        self._known: _Marks | None = None
        self._rows = 0
        self._columns = 1
        self._declared = 0
        self._single_quotes = False

    def stretches(self, blocks: Iterable[tuple[bytes, bool]]) -> Iterator[bytes]:
        """Sheets that hold some of the rows each, searched, and none too large; see `_whole_rows`.

        Raises UnusableWorkbook for a sheet too large, ValueError for one that is none, _OutOfOrder
        for one that can only be read at once.
        """
        head = b""
        for block, last in blocks:
            rows = block
            if self._known is None:
                head, rows = self._begin(block)
            if last:
                rows = self._end(rows)
            if tag := self._marks.row_tag.search(rows):
                before = self._rows
                self._search(rows)
                check_grid(self._rows, self._columns, self._sheet)
                yield b"".join((head, *self._numbered(rows, tag, before), self._marks.end))

    def _begin(self, xml: bytes) -> tuple[bytes, bytes]:
        """What comes before the cells, as each stretch begins, and the rest."""
        found = _DATA.search(xml)
        if found is None:
            raise ValueError("la hoja no tiene celdas")
        self._known = _Marks(found[1] or b"")
        head = xml[: found.start()]
        if dimension := _DIMENSION.search(head):
            self._declared = int(dimension[2])
            self._columns = _column_number(dimension[1]) + 1
        self._find_merged(head)
        self._single_quotes = b"='" in xml[:_SHEET_START]
        if found[0].endswith(b"/>"):
            return head, self._marks.data_end + xml[found.end() :]
        return head + self._known.no_merges + found[0], xml[found.end() :]

    def _end(self, xml: bytes) -> bytes:
        """The last rows; raises ValueError when what ends a sheet does not come after them."""
        rows, end, rest = xml.partition(self._marks.data_end)
        if not end:
            raise ValueError("la hoja está cortada")
        self._find_merged(rest)
        return rows

    def _numbered(self, rows: bytes, tag: re.Match[bytes], before: int) -> tuple[bytes, ...]:
        """The rows of a stretch, the first with its number: others may go without, and follow it.

        `tag` is that of the first of them, `before` the number of the last row before.
        """
        if number := _ROW_REF.search(tag[0]):
            if int(number[1]) <= before:
                raise _OutOfOrder
            return (rows,)
        start = tag.start() + len(self._marks.row)
        return rows[:start], b' r="%d"' % (before + 1), rows[start:]

    def _search(self, rows: bytes) -> None:
        pairs = _Pairs(rows)
        if (b'"e' in pairs and b't="e"' in rows) or (self._single_quotes and b"t='e'" in rows):
            self._find_errors(rows)
        formula = self._marks.formula
        if formula[-2:] in pairs and formula in rows:
            self._find_formulas_without_value(rows)
        if b"n=" in pairs and b"hidden=" in rows:
            for row in self._marks.hidden_row.finditer(rows):
                if number := _ROW_REF.search(row[0]):
                    self.hidden.add(int(number[1]) - 1)
        self._measure(rows)

    def _find_merged(self, xml: bytes) -> None:
        for area in _MERGED.finditer(xml):
            left, top, right, bottom = area.groups()
            self.merged.append(
                Area(
                    int(top) - 1,
                    _column_number(left),
                    int(bottom or top) - 1,
                    _column_number(right or left),
                )
            )

    @property
    def _marks(self) -> _Marks:
        assert self._known is not None, "nothing was fed yet"
        return self._known

    def _find_errors(self, xml: bytes) -> None:
        for cell in self._marks.error.finditer(xml):
            value = self._marks.value.search(cell[2] or b"")
            text = unescape(value[1].decode("utf-8", "replace")) if value else "#ERROR"
            self._note(cell[1], RULE_CELL_ERROR, text)

    def _find_formulas_without_value(self, xml: bytes) -> None:
        for found in self._marks.empty_result.finditer(xml):
            start = xml.rfind(self._marks.cell, 0, found.start())
            attributes = xml[start : xml.find(b">", start)]
            kind = _KIND.search(attributes)
            # An empty value of the type text is a result: ="" shows nothing on purpose.
            if kind and kind[1] == b"str" and not found[1].startswith(b"</"):
                continue
            if not (kind and kind[1] == b"e"):
                self._note(attributes, RULE_NO_VALUE, None)

    def _note(self, attributes: bytes, rule: str, text: str | None) -> None:
        place = _REF.search(attributes)
        if place is None:
            raise UnusableWorkbook(
                f"la hoja {self._sheet!r} tiene fórmulas con error y no dice en qué celdas",
                "ábralo y guárdelo de nuevo con Excel o LibreOffice.",
            )
        self.flaws.setdefault(int(place[2]) - 1, []).append(
            Flaw(_column_number(place[1]), rule, text)
        )

    def _measure(self, rows: bytes) -> None:
        """Rows and, where they might matter, columns that the sheet reaches.

        Looking at every cell takes as long as a fifth of the reading: done where the sheet does not
        say how far it reaches, or is not right about its rows.
        """
        last = rows.rfind(self._marks.row + b" ")
        number = _ROW_REF.search(rows[last : rows.find(b">", last)]) if last >= 0 else None
        if number and self._marks.bare_row not in rows[last:]:
            self._rows = max(self._rows, int(number[1]))
        else:
            for tag in self._marks.row_tag.finditer(rows):
                number = _ROW_REF.search(tag[0])
                self._rows = max(self._rows, int(number[1])) if number else self._rows + 1
        if self._rows > self._declared:
            letters = set(self._marks.column.findall(rows))
            self._columns = max([self._columns, *(_column_number(name) + 1 for name in letters)])


class _Pairs:
    """Which two bytes stand side by side: told five times as fast as what Python's search takes."""

    def __init__(self, xml: bytes) -> None:
        self._xml = np.frombuffer(xml, np.uint8)

    def __contains__(self, pair: bytes) -> bool:
        first, second = pair
        for start in range(0, len(self._xml), _PIECE):
            piece = self._xml[start : start + _PIECE + 1]
            if ((piece[:-1] == first) & (piece[1:] == second)).any():
                return True
        return False


def _cells(members: Sequence[tuple[str, bytes]], name: str) -> Any:
    """The sheet of this name of a package of these members, as calamine reads it."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as written:
        for filename, content in members:
            written.writestr(filename, content)
    package.seek(0)
    with python_calamine.CalamineWorkbook.from_object(package) as book:
        return book.get_sheet_by_name(name)


def _rows_of(reading: deque[Future[Any]]) -> Iterator[list[Any]]:
    try:
        yield from full_rows(reading.popleft().result() for _ in range(len(reading)))
    except (*_DAMAGE, python_calamine.CalamineError) as error:
        raise _unusable(error) from error


def _unusable(error: BaseException) -> UnusableWorkbook:
    if isinstance(error, python_calamine.PasswordError):
        return UnusableWorkbook.protected()
    return UnusableWorkbook.damaged(error)


def full_rows(stretches: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows of a sheet from its first row and column on, all as long as the first ones are.

    `stretches` are calamine's sheets of some of the rows each, in order. Each begins at the first
    column that holds something, ends at the last, and gives empty rows above its own.
    """
    filled = (cells for cells in stretches if cells.start)
    first: list[Any] = []
    for cells in filled:
        first.append(cells)
        if cells.end[0] >= _ROWS_OF_WIDTH:
            break
    width = max((cells.end[1] + 1 for cells in first), default=0)
    at = 0
    for cells in chain(first, filled):
        if cells.start[0] < at:
            raise ValueError("las filas de la hoja no vienen en orden")
        yield from ([""] * width for _ in range(at, cells.start[0]))
        left, right = [""] * cells.start[1], [""] * (width - 1 - cells.end[1])
        for row in _filled_rows(cells):
            yield (left + row + right)[:width] if left or len(row) != width else row
        at = cells.end[0] + 1


def _filled_rows(cells: Any) -> Iterator[list[Any]]:
    """The rows of a stretch from its first on: one by one it gives the empty ones above it, too."""
    if cells.height * cells.width <= _FEW_CELLS:
        yield from cells.to_python()
    else:
        yield from islice(cells.iter_rows(), cells.start[0], None)


def _whole_rows(stream: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks of about `size` bytes of a sheet's XML (-1: all) cut where a row ends.

    With each, whether it is the last, which has what comes after the rows, too.
    """
    held = row_end = b""
    while block := stream.read(size):
        held = held + block if held else block
        if b"!" in held and b"<!" in held:  # in a comment, or a text set off, a row's end is none
            held += stream.read()
            break
        if not row_end and (data := _DATA.search(held)):
            row_end = b"</" + (data[1] or b"") + b"row>"
        # Of another prefix are marks behind the cells: where a form's controls are anchored.
        end = held.rfind(row_end) if row_end and size > 0 else -1
        if end >= 0:
            yield held[: end + len(row_end)], False
            held = held[end + len(row_end) :]
    yield held, True


def _is_read(name: str) -> bool:
    """Whether calamine reads this part of the package, the sheets apart."""
    return name in (
        "[content_types].xml",
        "_rels/.rels",
        "xl/workbook.xml",
        "xl/_rels/workbook.xml.rels",
        "xl/styles.xml",
        "xl/sharedstrings.xml",
    )


def _each(root: ET.Element, tag: str) -> Iterator[ET.Element]:
    """Elements of this name, in either of the format's two namespaces."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)


def _attribute(element: ET.Element, attribute: str) -> str:
    return next(
        (value for key, value in element.items() if key.rpartition("}")[2] == attribute), ""
    )


def _column_number(letters: bytes) -> int:
    """`A` -> 0, `AA` -> 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1

"""xlsx workbooks: read by calamine, after a look at what it does not tell.

Belongs here: the package and its XML. calamine gives a formula's error and a formula without a
result as an empty cell, knows no hidden rows, and is stopped by nothing: a small file may unpack
to gigabytes, and a stray cell in the last corner makes a grid of 17 thousand million cells. So
each part is unpacked and searched first, and calamine gets what was checked. Does not belong
here: what the contract makes of it.

The search is by expressions on the bytes, not by an XML parser, which takes ten times as long;
they accept every spelling the format allows for the few marks that are looked for.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

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

_BLOCK = 4 << 20
# Sheets up to this size (XML) are handed to calamine unpacked, which saves it doing so twice.
_LARGEST_IN_MEMORY = 64 << 20
# Where a sheet says how far it reaches, before its cells.
_SHEET_START = 4096
_REF = re.compile(rb"""\sr\s*=\s*["']([A-Z]{1,3})(\d{1,7})["']""")
_KIND = re.compile(rb"""\st\s*=\s*["'](\w+)["']""")
_DIMENSION = re.compile(rb"""dimension\s+ref=["'][A-Z]+\d+:([A-Z]{1,3})(\d{1,7})["']""")
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
        search = _Search(name)
        try:
            source = self._checked(part, others, search)
            with python_calamine.CalamineWorkbook.from_object(source) as book:
                cells = book.get_sheet_by_name(name)
        except (*_DAMAGE, python_calamine.CalamineError, RuntimeError) as error:
            if isinstance(error, python_calamine.PasswordError):
                raise UnusableWorkbook.protected() from error
            raise UnusableWorkbook.damaged(error) from error
        return Sheet(
            name=name,
            rows=full_rows(cells),
            flaws=search.flaws,
            hidden_rows=frozenset(search.hidden),
            merged=tuple(Area(*top, *bottom) for top, bottom in cells.merged_cell_ranges or ()),
        )

    def close(self) -> None:
        self._package.close()

    def _checked(
        self, part: zipfile.ZipInfo, others: list[zipfile.ZipInfo], search: _Search
    ) -> Any:
        """What calamine is to read: every part of it has been unpacked and searched by then."""
        if part.file_size > _LARGEST_IN_MEMORY:
            for info in others:
                with self._package.open(info) as stream:
                    while stream.read(_BLOCK):
                        pass
            with self._package.open(part) as stream:
                for rows in _whole_rows(stream):
                    search.feed(rows)
            search.finish()
            return str(self._path)
        content = self._package.read(part)
        search.feed(content)
        search.finish()
        unpacked = io.BytesIO()
        with zipfile.ZipFile(unpacked, "w", zipfile.ZIP_STORED) as package:
            for info in others:
                package.writestr(info.filename, self._package.read(info))
            package.writestr(part.filename, search.merges_first(content))
        unpacked.seek(0)
        return unpacked

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


class _Marks:
    """What is looked for, spelled with the prefix that some writers put before every tag."""

    def __init__(self, prefix: bytes) -> None:
        tag = re.escape(prefix)
        self.sheet_data = b"<" + prefix + b"sheetData"
        self.sheet_data_end = b"</" + prefix + b"sheetData"
        self.merges = b"<" + prefix + b"mergeCells"
        self.no_merges = b"<" + prefix + b"mergeCells></" + prefix + b"mergeCells>"
        self.formula = b"<" + prefix + b"f"
        self.cell = b"<" + prefix + b"c "
        self.row = b"<" + prefix + b"row "
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
    """Looks through a sheet's XML for what calamine leaves out. Fed with whole rows."""

    def __init__(self, sheet: str) -> None:
        self.flaws: dict[int, list[Flaw]] = {}
        self.hidden: set[int] = set()
        self._sheet = sheet
        self._known: _Marks | None = None
        self._rows = 0
        self._columns = 1
        self._declared = 0

    def feed(self, xml: bytes) -> None:
        if self._known is None:
            found = re.search(rb"<([\w.-]+:)?sheetData\b", xml)
            if found is None:
                raise ValueError("la hoja no tiene celdas")
            self._known = _Marks(found[1] or b"")
        if b't="e"' in xml or (b"='" in xml[:_SHEET_START] and b"t='e'" in xml):
            self._find_errors(xml)
        if self._marks.formula in xml:
            self._find_formulas_without_value(xml)
        if b"hidden=" in xml:
            for row in self._marks.hidden_row.finditer(xml):
                if number := _ROW_REF.search(row[0]):
                    self.hidden.add(int(number[1]) - 1)
        self._measure(xml)

    def finish(self) -> None:
        check_grid(self._rows, self._columns, self._sheet)

    def merges_first(self, xml: bytes) -> bytes:
        """The sheet with its merged areas before its cells.

        calamine reads a sheet a second time to find them, and stops once it has: written after
        the cells, as the format wants them, they cost as much as the cells.
        """
        data = xml.find(self._marks.sheet_data)
        # Behind the cells: a search from the end would go through all of them.
        start = xml.find(self._marks.merges, max(xml.rfind(self._marks.sheet_data_end), data))
        if start < 0:
            return b"".join((xml[:data], self._marks.no_merges, xml[data:]))
        close = xml.find(b"mergeCells>", start + len(self._marks.merges))
        if close < 0:
            return xml
        end = close + len(b"mergeCells>")
        return b"".join((xml[:data], xml[start:end], xml[data:start], xml[end:]))

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

    def _measure(self, xml: bytes) -> None:
        """Rows and, where they might matter, columns that the sheet reaches."""
        last = xml.rfind(self._marks.row)
        number = _ROW_REF.search(xml[last : xml.find(b">", last)]) if last >= 0 else None
        self._rows = int(number[1]) if number else self._rows + xml.count(self._marks.row)
        if not self._known_width(xml):
            letters = set(self._marks.column.findall(xml))
            self._columns = max([self._columns, *(_column_number(name) + 1 for name in letters)])

    def _known_width(self, xml: bytes) -> bool:
        """Whether the sheet says how far it reaches, and says the truth about its rows.

        Looking at every cell takes as long as a fifth of the reading: done where this is missing.
        """
        if found := _DIMENSION.search(xml[:_SHEET_START]):
            self._declared = int(found[2])
            self._columns = _column_number(found[1]) + 1
        return self._rows <= self._declared


def full_rows(cells: Any) -> Iterator[list[Any]]:
    """The rows of a calamine sheet from column A on: it begins at the first that holds something.

    It does give the empty rows above.
    """
    left = cells.start[1] if cells.start else 0
    if not left:
        yield from cells.iter_rows()
        return
    margin = [""] * left
    for row in cells.iter_rows():
        yield margin + row


def _whole_rows(stream: Any) -> Iterator[bytes]:
    """Blocks of a sheet's XML cut where a row ends."""
    held = b""
    while block := stream.read(_BLOCK):
        held += block
        end = max(held.rfind(b"</row>") + len(b"</row>"), held.rfind(b":row>") + len(b":row>"))
        if end >= len(b"</row>"):
            yield held[:end]
            held = held[end:]
    yield held


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

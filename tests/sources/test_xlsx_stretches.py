"""A sheet read some rows at a time: the same cells, wherever one stretch ends."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import python_calamine
import xlsxwriter

from sources.readers.workbooks import xlsx
from sources.readers.workbooks.base import Area, UnusableWorkbook
from sources.readers.workbooks.xlsx import XlsxWorkbook

_PART = "xl/worksheets/sheet1.xml"
_NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def package(folder: Path, xml: str) -> Path:
    """A workbook whose only sheet is this XML."""
    path = folder / "planilla.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Datos")
    with zipfile.ZipFile(path) as whole:
        parts = {info.filename: whole.read(info) for info in whole.infolist()}
    parts[_PART] = xml.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in parts.items():
            whole.writestr(name, content)
    return path


def sheet(rows: str, *, tail: str = "", head: str = "", prefix: str = "") -> str:
    colon = f"{prefix}:" if prefix else ""
    name = f":{prefix}" if prefix else ""
    return (
        f'<{colon}worksheet xmlns{name}="{_NAMESPACE}">{head}<{colon}sheetData>{rows}'
        f"</{colon}sheetData>{tail}</{colon}worksheet>"
    )


def row(number: int, *cells: tuple[str, Any], attributes: str = "", prefix: str = "") -> str:
    """A row of cells (letter, number or text)."""
    p = f"{prefix}:" if prefix else ""
    written = [
        f'<{p}c r="{letter}{number}" t="inlineStr"><{p}is><{p}t>{value}</{p}t></{p}is></{p}c>'
        if isinstance(value, str)
        else f'<{p}c r="{letter}{number}"><{p}v>{value}</{p}v></{p}c>'
        for letter, value in cells
    ]
    return f'<{p}row r="{number}"{attributes}>{"".join(written)}</{p}row>'


def whole(path: Path) -> list[list[Any]]:
    """The cells as calamine reads the file itself."""
    with python_calamine.CalamineWorkbook.from_path(path) as book:
        rows: list[list[Any]] = book.get_sheet_by_name("Datos").to_python(skip_empty_area=False)
        return rows


def read(path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> tuple[Any, ...]:
    monkeypatch.setattr(xlsx, "_BLOCK", block)
    monkeypatch.setattr(xlsx, "_TIMES_THE_REST", 0)
    found = XlsxWorkbook(path).read("Datos")
    return list(found.rows), dict(found.flaws), found.hidden_rows, found.merged


NUMBERED = [row(n, ("A", f"n {n}"), ("B", n), ("C", n / 4)) for n in range(1, 60)]
BARE = [f"<row><c><v>{n}</v></c><c><v>{n * 2}</v></c></row>" for n in range(1, 60)]
SHEETS = {
    "rows as they usually come": sheet("".join(NUMBERED)),
    "a truthful dimension": sheet("".join(NUMBERED), head='<dimension ref="A1:C59"/>'),
    "a dimension that says less": sheet("".join(NUMBERED), head='<dimension ref="A1"/>'),
    "rows without numbers": sheet("".join(BARE)),
    "rows with numbers here and there": sheet(
        "".join([*BARE[:20], row(40, ("A", 1)), *BARE[20:40], row(80, ("B", 2)), *BARE[40:]])
    ),
    "empty rows, also written ones": sheet(
        "".join(f'<row r="{n}"/>' if n % 3 else row(n, ("B", n)) for n in range(2, 90) if n % 11)
    ),
    "wider below": sheet("".join([*NUMBERED, row(60, ("B", 1), ("H", 2)), row(61, ("C", 3))])),
    "beginning further right below": sheet(
        "".join([row(3, ("C", 1)), *(row(n, ("E", n)) for n in range(10, 60)), row(70, ("B", 5))])
    ),
    "a long way between rows": sheet("".join([*NUMBERED, row(5_000, ("A", "lejos"))])),
    "tags with a prefix": sheet(
        "".join(row(n, ("A", f"n {n}"), ("B", n), prefix="x") for n in range(1, 40)), prefix="x"
    ),
    "bare rows with a prefix": sheet(
        "".join(part.replace("<", "<x:").replace("<x:/", "</x:") for part in BARE), prefix="x"
    ),
    "controls of a form behind the cells": sheet(
        "".join(NUMBERED), tail="<control><xdr:row xmlns:xdr='urn:x'>5</xdr:row></control>" * 40
    ),
    "what looks like a row's end": sheet(
        "".join([*NUMBERED[:30], "<!-- </row> -->", *NUMBERED[30:]])
    ),
    "text set off that looks like a row's end": sheet(
        "".join(
            [
                *NUMBERED[:30],
                '<row r="31"><c r="A31" t="inlineStr"><is><t><![CDATA[a</row><row r="9">b]]></t>'
                "</is></c></row>",
                *NUMBERED[31:],
            ]
        )
    ),
    "no rows": sheet(""),
    "no cells at all": f'<worksheet xmlns="{_NAMESPACE}"><sheetData/></worksheet>',
}


@pytest.mark.parametrize("few", [0, 250_000], ids=["row by row", "at once"])
@pytest.mark.parametrize("block", [150, 700, 1700, 4 << 20])
@pytest.mark.parametrize("xml", SHEETS.values(), ids=list(SHEETS))
def test_the_cells_are_those_of_the_whole_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xml: str, block: int, few: int
) -> None:
    monkeypatch.setattr("sources.readers.workbooks.xlsx._FEW_CELLS", few)
    path = package(tmp_path, xml)
    expected = whole(path)

    rows, *_ = read(path, monkeypatch, block)

    assert rows == expected
    assert bool(rows) is ("</" in xml and "v>" in xml)


@pytest.mark.parametrize("block", [150, 700, 4 << 20])
def test_flaws_hidden_rows_and_merged_areas_keep_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    rows = list(NUMBERED)
    rows[30] = row(31, ("A", "oculta"), attributes=' hidden="1"')
    rows[40] = '<row r="41"><c r="B41" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    rows[50] = '<row r="51"><c r="C51"><f>A1</f></c></row>'
    areas = '<mergeCells count="2"><mergeCell ref="A2:B40"/><mergeCell ref="C5"/></mergeCells>'
    path = package(tmp_path, sheet("".join(rows), tail=areas))

    _, flaws, hidden, merged = read(path, monkeypatch, block)

    assert {at: [(f.column, f.rule, f.text) for f in found] for at, found in flaws.items()} == {
        40: [(1, "error_de_formula", "#DIV/0!")],
        50: [(2, "formula_sin_valor", None)],
    }
    assert hidden == {30}
    assert merged == (Area(1, 0, 39, 1), Area(4, 2, 4, 2))


@pytest.mark.parametrize("block", [150, 4 << 20])
@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (sheet("".join(NUMBERED)).partition('<row r="40"')[0], "la hoja está cortada"),
        (sheet("".join(NUMBERED)).partition("</sheetData")[0], "la hoja está cortada"),
        (f'<worksheet xmlns="{_NAMESPACE}"></worksheet>', "la hoja no tiene celdas"),
    ],
)
def test_a_sheet_that_ends_too_soon_is_no_shorter_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xml: str, why: str, block: int
) -> None:
    with pytest.raises(UnusableWorkbook) as caught:
        read(package(tmp_path, xml), monkeypatch, block)
    assert why in caught.value.why


@pytest.mark.parametrize("block", [150, 4 << 20])
@pytest.mark.parametrize(
    "rows",
    [[*NUMBERED, *NUMBERED[10:20]], [*NUMBERED[20:30], *NUMBERED[:10], *NUMBERED[40:]]],
    ids=["twice", "back"],
)
def test_rows_out_of_order_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str], block: int
) -> None:
    path = package(tmp_path, sheet("".join(rows)))
    assert read(path, monkeypatch, block)[0] == whole(path)


def test_rows_out_of_order_are_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second stretch follows the last row of the first, and lies before others of it."""
    xml = sheet("".join([*NUMBERED[:20], NUMBERED[2], *NUMBERED[6:12]]))
    with pytest.raises(UnusableWorkbook) as caught:
        read(package(tmp_path, xml), monkeypatch, xml.index('<row r="7"', xml.index('r="20"')) + 5)
    assert "no vienen en orden" in caught.value.why


def test_what_is_further_right_than_the_first_rows_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "_ROWS_OF_WIDTH", 5)
    path = package(tmp_path, sheet("".join([*NUMBERED, row(60, ("B", 1), ("H", 2))])))
    rows, *_ = read(path, monkeypatch, 1_000)
    assert rows[59] == ["", 1.0, ""]
    assert {len(one) for one in rows} == {3}


def test_a_grid_too_large_is_refused_before_calamine_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Any]] = []
    monkeypatch.setattr(xlsx, "_cells", lambda *given: asked.append(given))
    path = package(tmp_path, sheet("".join([row(1, ("A", 1)), row(1_048_576, ("XFD", 1))])))
    with pytest.raises(UnusableWorkbook) as caught:
        read(path, monkeypatch, 4 << 20)
    assert "1048576 filas por 16384 columnas" in caught.value.why
    assert asked == []

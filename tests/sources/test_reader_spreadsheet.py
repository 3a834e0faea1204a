"""Spreadsheets as people keep them: titles above, blanks between, totals below, mixed cells."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msoffcrypto
import pytest
import xlsxwriter
import xlwt

from sources.errors import ContractError, DriftError, SourceDataError
from sources.readers import RawBatch, open_file
from sources.readers.spreadsheet import SpreadsheetReader
from sources.readers.workbooks import base as limits
from tests.sources.reader_support import (
    cast_all,
    column,
    feed_file,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)

COLUMNS = [
    column("codigo", key=True),
    column("cantidad", "integer", source="Cantidad de  personas"),
    column("monto", "numeric(12,2)"),
    column("fecha", "date", source="Fecha"),
]
HEADER = ["Código ", "cantidad de personas", " MONTO", "fecha"]


def workbook(folder: Path, rows: Sequence[Sequence[Any]], sheet: str = "Datos") -> Path:
    path = folder / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path), {"default_date_format": "dd/mm/yyyy"}) as book:
        page = book.add_worksheet(sheet)
        for line, row in enumerate(rows):
            for cell, value in enumerate(row):
                if isinstance(value, date):
                    page.write_datetime(line, cell, value)
                elif value is not None:
                    page.write(line, cell, value)
    return path


def read(folder: Path, rows: Sequence[Sequence[Any]], **options: Any) -> Any:
    columns = [column("codigo", source="Código"), *COLUMNS[1:]]
    contract = make_contract(folder, "xlsx", columns, **options)
    batches = read_all(open_file(contract, feed_file(workbook(folder, rows)), batch_rows=3))
    return batches, *cast_all(contract, batches)


def test_cells_become_what_a_person_sees(tmp_path: Path) -> None:
    _, good, rejected = read(
        tmp_path,
        [
            HEADER,
            ["A", 5, 12.5, date(2026, 6, 1)],
            [7, "6", "13.25", "2026-06-02"],
            ["0012", None, 1e-3 * 10, 46176],
        ],
    )

    assert rejected == []
    assert good == [
        {"codigo": "A", "cantidad": 5, "monto": Decimal("12.50"), "fecha": date(2026, 6, 1)},
        {"codigo": "7", "cantidad": 6, "monto": Decimal("13.25"), "fecha": date(2026, 6, 2)},
        {"codigo": "0012", "cantidad": None, "monto": Decimal("0.01"), "fecha": date(2026, 6, 3)},
    ]


PAGE = """<html><head><meta http-equiv=Content-Type content="text/html; charset={charset}">
<style>td {{mso-number-format: General}}</style></head><body>
<table><tr><td colspan=3>Dirección de Rentas</td></tr></table>
<table border=1>
<thead><tr><th rowspan=2>Código<th colspan="2">Año <b>2026</b></tr>
<tr><th>monto</th><th>obs</th></tr></thead>
<tr><td>00&amp;1</td><td>&nbsp;1.234,50 </td><td>Ñandú<br>  SRL<table><tr><td>x</td></tr></table>
</td></tr>
<tr><td rowspan=2>A<td>7<td></tr>
<tr><td>8<td>y<script>no()</script>
</table></body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
def test_a_table_of_an_html_page_is_a_sheet(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "padron.xls"
    path.write_bytes(PAGE.format(charset=encoding).encode(encoding))
    columns = [
        column("codigo", source="Código"),
        column("monto", "numeric(9,2)", source="Año 2026 monto"),
        column("obs", source="año 2026 obs"),
    ]
    contract = make_contract(
        tmp_path, "xlsx", columns,
        headerRow="auto", headerRows=2, decimal=",", thousands=".", mergedCells="repeat",
    )  # fmt: skip
    good, rejected = cast_all(contract, read_all(open_file(contract, feed_file(path))))

    assert rejected == []
    assert [tuple(row.values()) for row in good] == [
        ("00&1", Decimal("1234.50"), "Ñandú\nSRLx"),
        ("A", Decimal("7.00"), None),
        ("A", Decimal("8.00"), "y"),
    ]


def test_a_header_that_is_looked_for_may_be_behind_a_cover(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Carátula").write_row(0, 0, ["Informe", "de junio"])
        sheet = book.add_worksheet("Junio")
        sheet.write_row(1, 0, ["codigo", "monto"])
        sheet.write_row(2, 0, ["A", 1])
    columns = [column("codigo"), column("monto", "integer")]

    def read_with(*more: Any) -> Any:
        contract = make_contract(tmp_path, "xlsx", [*columns, *more], headerRow="auto")
        return rows_of(read_all(open_file(contract, feed_file(path))))

    assert [row["codigo"] for row in read_with()] == ["A"]
    with pytest.raises(DriftError, match=r"falta la columna zona .*codigo, monto"):
        read_with(column("zona"))


def test_cells_that_do_not_fit_reject_their_row_as_it_came(tmp_path: Path) -> None:
    _, good, rejected = read(
        tmp_path,
        [
            HEADER,
            ["A", 5.5, 1, None],
            ["B", 1, 1.005, None],
            ["C", 1, 1, datetime(2026, 6, 1, 10, 30)],
            ["D", 1, 1, 34],
            ["E", 1, 1, True],
            ["F", 1, "s/d", None],
        ],
    )

    assert good == []
    assert [(row.column, row.values[row.column]) for row in rejected] == [
        ("cantidad", "5.5"),
        ("monto", "1.005"),
        ("fecha", "2026-06-01 10:30:00"),
        ("fecha", "34"),
        ("fecha", "true"),
        ("monto", "s/d"),
    ]


def test_titles_blank_rows_and_totals_are_no_data(tmp_path: Path) -> None:
    batches, good, rejected = read(
        tmp_path,
        [
            ["Inventario 2026"],
            [],
            HEADER,
            ["A", 1, 1, None],
            [None, "  ", None, None],
            ["B", 2, 2, None],
            ["C", 3, 3, None],
            ["Total general", 6, 6, None],
            [None, "TOTAL:", 6],
        ],
        headerRow=3,
        totalsLabel="TOTAL",
    )

    assert [row["codigo"] for row in good] == ["A", "B", "C"]
    assert rejected == []
    assert numbers_of(batches) == [1, 3, 4]
    assert sum(batch.skipped for batch in batches) == 2


def test_rows_of_several_words_are_no_data(tmp_path: Path) -> None:
    rows = [
        HEADER, ["A", 1, 1, None], ["Subtotal norte", 1, 1], ["TOTAL", 1, 1], ["(*) Provisorio"],
        ["Totalizador", 2, 2],
    ]  # fmt: skip

    batches, good, rejected = read(tmp_path, rows, totalsLabel=["subtotal", "Total", "(*)"])

    assert [row["codigo"] for row in good] == ["A", "Totalizador"]
    assert (sum(batch.skipped for batch in batches), rejected) == (3, [])


def test_without_the_option_a_total_is_a_row_like_any_other(tmp_path: Path) -> None:
    _, good, _ = read(tmp_path, [HEADER, ["A", 1, 1, None], ["TOTAL", 1, 1, None]])

    assert [row["codigo"] for row in good] == ["A", "TOTAL"]


def test_a_date_in_a_text_column_is_written_in_its_format(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path, "xlsx", [column("nacimiento", format="dd/MM/yyyy"), column("nota")]
    )
    path = workbook(
        tmp_path, [["nacimiento", "nota"], [date(1990, 2, 1), date(2026, 6, 1)], ["34 años", 34]]
    )

    assert rows_of(read_all(open_file(contract, feed_file(path)))) == [
        {"nacimiento": "01/02/1990", "nota": "2026-06-01"},
        {"nacimiento": "34 años", "nota": "34"},
    ]


def test_numbers_follow_the_declared_decimal_sign(tmp_path: Path) -> None:
    _, good, _ = read(tmp_path, [HEADER, ["A", 1, 1.5, None], ["B", 1, "2,5", None]], decimal=",")

    assert [row["monto"] for row in good] == [Decimal("1.50"), Decimal("2.50")]


def test_the_sheet_is_found_by_name(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["codigo"], ["A"]], sheet="Respuestas ")
    contract = make_contract(tmp_path, "xlsx", [COLUMNS[0]], sheet="respuestas")
    assert len(rows_of(read_all(open_file(contract, feed_file(path))))) == 1

    contract = make_contract(tmp_path, "xlsx", [COLUMNS[0]], sheet="Otra")
    with pytest.raises(DriftError, match="no tiene la hoja 'Otra'; tiene: Respuestas"):
        read_all(open_file(contract, feed_file(path)))


def test_a_missing_column_or_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriftError, match=r"falta la columna Fecha en la fila 1 de planilla\.xlsx"):
        read(tmp_path, [HEADER[:3], ["A", 1, 1]])
    with pytest.raises(SourceDataError, match="no tiene encabezado en la fila 5"):
        read(tmp_path, [HEADER], headerRow=5)


# --- the header ---------------------------------------------------------------------------------


def rows_in(folder: Path, path: Path, columns: Sequence[Any], **options: Any) -> list[RawBatch]:
    """The sheet read in batches of two rows, so that every state crosses a batch."""
    contract = make_contract(folder, "xlsx", columns, **options)
    return read_all(open_file(contract, feed_file(path), batch_rows=2))


def rejected_in(batches: Sequence[RawBatch]) -> list[tuple[int, str, str | None]]:
    return [(row.row_number, row.rule, row.column) for b in batches for row in b.rejected]


def test_a_header_that_moved_is_found_when_the_contract_says_auto(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["Padrón"], ["codigo", "al"], [], ["monto", "codigo"], [5, "A"]])
    columns = [column("codigo"), column("monto", "integer")]

    assert rows_of(rows_in(tmp_path, path, columns, headerRow="auto")) == [
        {"codigo": "A", "monto": 5}
    ]
    with pytest.raises(DriftError, match="faltan las columnas codigo, monto en la fila 1"):
        rows_in(tmp_path, path, columns)


def test_a_header_that_is_nowhere_names_what_the_best_row_lacks(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["Padrón"], ["codigo", "otra"], ["A", 5]])
    columns = [column("codigo"), column("monto")]

    with pytest.raises(DriftError, match="falta la columna monto en la fila 2"):
        rows_in(tmp_path, path, columns, headerRow="auto")


def test_a_header_merged_over_two_rows_has_its_name_in_both(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.merge_range("A1:A2", "codigo")
        page.merge_range("B1:C1", "Consumo")
        page.write_row("B2", ["enero", "febrero"])
        page.write_row("A3", ["A", 1, 2])
    columns = [column("codigo"), column("enero", "integer"), column("febrero", "integer")]

    for options in ({"headerRow": 2}, {"headerRow": "auto"}):
        assert rows_of(rows_in(tmp_path, path, columns, **options)) == [
            {"codigo": "A", "enero": 1, "febrero": 2}
        ]
    # Read from its first row, the header ends where its merged cells do.
    assert rows_of(rows_in(tmp_path, path, [column("codigo"), column("consumo")])) == [
        {"codigo": "A", "consumo": 1}
    ]


def test_a_header_of_several_rows_gives_joined_names(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write("A1", "Consumo por cuenta")
        page.merge_range("A2:A4", "Cuenta")
        page.merge_range("B2:E2", 2025)
        page.merge_range("B3:C3", "Sem. 1")
        page.merge_range("D3:E3", "Sem. 2")
        page.merge_range("F2:G3", 2026)  # no half-years yet
        page.write_row("B4", ["m3", "$", "m3", "$", "m3", "$", "Notas"])
        page.write_row("A5", ["A", 1, 10, 2, 20, 3, 30, "x"])
    names = ["2025 Sem. 1 m3", "2025 Sem. 2 $", "2026 m3", "Notas"]
    columns = [column("cuenta"), *(column(f"c{n}", source=name) for n, name in enumerate(names))]

    for row in (2, "auto"):
        batches = rows_in(tmp_path, path, columns, headerRow=row, headerRows=3)
        assert rows_of(batches) == [{"cuenta": "A", "c0": 1, "c1": 20, "c2": 3, "c3": "x"}]
        assert numbers_of(batches) == [1]


def test_titles_that_nobody_merged_go_on_to_the_right_up_to_the_next(tmp_path: Path) -> None:
    rows = [
        ["Cuenta", None, 2025, None, 2026, None, "Notas"],
        [None, "Barrio", "ene", "feb", "ene", None, None],
        ["A", "Centro", 1, 2, 3, 4, "x"],
    ]
    contract = make_contract(tmp_path, "xlsx", [column("cuenta")], headerRows=2)
    with open_file(contract, feed_file(workbook(tmp_path, rows))) as reader:
        assert reader.columns() == (
            "Cuenta", "Barrio", "2025 ene", "2025 feb", "2026 ene", "(columna 6)", "Notas",
        )  # fmt: skip


@pytest.mark.parametrize(("option", "value"), [("mergedCells", "todas"), ("skipHidden", "sí")])
def test_an_option_with_another_value_is_an_error_of_the_contract(
    tmp_path: Path, option: str, value: Any
) -> None:
    contract = make_contract(tmp_path, "xlsx", COLUMNS, **{option: value})

    with pytest.raises(ContractError, match=f"`{option}` debe ser"):
        SpreadsheetReader(contract, feed_file(workbook(tmp_path, [HEADER])))


# --- sheets, merged cells, hidden rows ------------------------------------------------------------


def sheets(folder: Path) -> Path:
    path = folder / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        for name, value in (("Portada", "x"), ("Mes 1", "A"), ("Mes 2", "B"), ("Mes 3", "C")):
            page = book.add_worksheet(name)
            page.write_column("A1", ["codigo", value, None, f"{value}2"])
        book.get_worksheet_by_name("Portada").hide()
        book.get_worksheet_by_name("Mes 1").activate()
        book.get_worksheet_by_name("Mes 3").hide()
    return path


def test_several_sheets_are_one_table_whose_rows_are_told_apart(tmp_path: Path) -> None:
    columns = [column("codigo"), column("mes", source="_hoja")]

    batches = rows_in(tmp_path, sheets(tmp_path), columns, sheet=["mes 2", "Mes 1"])

    assert [tuple(row.values()) for row in rows_of(batches)] == [
        ("B", "Mes 2"), ("B2", "Mes 2"), ("A", "Mes 1"), ("A2", "Mes 1"),
    ]  # fmt: skip
    assert numbers_of(batches) == [1, 3, 10_000_001, 10_000_003]


def test_hidden_sheets_are_read_only_by_their_name(tmp_path: Path) -> None:
    path, columns = sheets(tmp_path), [column("codigo")]

    def codes(**options: Any) -> list[str]:
        return [row["codigo"] for row in rows_of(rows_in(tmp_path, path, columns, **options))]

    assert codes(sheet="Mes *") == ["A", "A2", "B", "B2"]
    assert codes(sheet="Mes 3") == ["C", "C2"]
    assert codes() == ["A", "A2"]


def test_a_second_sheet_without_a_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("uno").write_row("A1", ["codigo", "monto"])
        book.add_worksheet("dos").write_row("A1", ["codigo"])

    with pytest.raises(DriftError, match=r"falta la columna monto en .*, hoja dos"):
        rows_in(tmp_path, path, [column("codigo"), column("monto")], sheet=["uno", "dos"])


def merged(folder: Path) -> Path:
    path = folder / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_row("A1", ["cuadrilla", "tarea", "nota"])
        page.merge_range("A2:A5", "Norte")
        page.write_column("B2", ["poda", "riego", None, "bacheo"])
        page.merge_range("B6:C6", "ancha")
        page.write("A6", "Sur")
    return path


MERGED_COLUMNS = [column("cuadrilla"), column("tarea"), column("nota")]


@pytest.mark.parametrize(
    ("option", "crews"),
    [("first", ["Norte", None, None, "Sur"]), ("repeat", ["Norte"] * 3 + ["Sur"])],
)
def test_merged_cells_repeat_their_value_only_by_contract(
    tmp_path: Path, option: str, crews: list[str | None]
) -> None:
    rows = rows_of(rows_in(tmp_path, merged(tmp_path), MERGED_COLUMNS, mergedCells=option))

    assert [row["cuadrilla"] for row in rows] == crews
    assert [row["tarea"] for row in rows] == ["poda", "riego", "bacheo", "ancha"]
    assert [row["nota"] for row in rows] == [None] * 4


def test_hidden_rows_are_data_and_are_reported_unless_left_out(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_column("A1", ["codigo", "A", "B", "C", "D"])
        for row in (2, 4):
            page.set_row(row, None, None, {"hidden": True})
    contract = make_contract(tmp_path, "xlsx", [column("codigo")])
    with SpreadsheetReader(contract, feed_file(path)) as reader:
        assert reader.notes() == ()
        assert len(rows_of(reader.batches())) == 4
        assert "2 filas ocultas se leyeron" in reader.notes()[0]

    batches = rows_in(tmp_path, path, [column("codigo")], skipHidden=True)
    assert [row["codigo"] for row in rows_of(batches)] == ["A", "C"]
    assert sum(batch.skipped for batch in batches) == 2


# --- cells that cannot be trusted -----------------------------------------------------------------


def test_errors_of_formulas_reject_their_row_and_their_results_do_not(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_row("A1", ["codigo", "monto", "ajena"])
        page.write_column("A2", ["A", "B", "C", "D", "E"])
        page.write_formula("B2", "=2+3", None, 5)
        page.write_formula("B3", "=1/0", None, "#DIV/0!")
        page.write_formula("B4", "=Hoja9!A1", None, "#REF!")
        page.write_formula("A5", "=NA()", None, "#N/A")
        page.write_formula("C6", "=1/0", None, "#DIV/0!")
    columns = [column("codigo"), column("monto", "integer")]

    batches = rows_in(tmp_path, path, columns)

    assert rows_of(batches) == [{"codigo": "A", "monto": 5}, {"codigo": "E", "monto": None}]
    assert rejected_in(batches) == [
        (2, "error_de_formula", "monto"),
        (3, "error_de_formula", "monto"),
        (4, "error_de_formula", "codigo"),
    ]
    rejected = [row for batch in batches for row in batch.rejected]
    assert rejected[1].values == {"codigo": "C", "monto": "#REF!"}
    assert rejected[1].reason == "monto: la fórmula dio el error #REF!"
    assert sum(batch.read for batch in batches) == 5


def test_a_formula_without_a_result_is_no_empty_cell(tmp_path: Path) -> None:
    path = rewritten(
        workbook(tmp_path, [["codigo", "monto"], ["A", 7], ["B", 7], ["C", 7], ["D", 7], ["E"]]),
        ('<c r="B2"><v>7</v></c>', '<c r="B2"><f>1+1</f></c>'),
        ('<c r="B3"><v>7</v></c>', '<c r="B3"><f>1+1</f><v></v></c>'),
        ('<c r="B4"><v>7</v></c>', '<c r="B4" t="str"><f>""</f><v></v></c>'),
        ('<c r="B5"><v>7</v></c>', '<c r="B5"><f>1+1</f><v>2</v></c>'),
        ("</sheetData>", '<row r="9"><c r="B9"><f>1+1</f><v/></c></row></sheetData>'),
    )
    batches = rows_in(tmp_path, path, [column("codigo"), column("monto", "integer")])

    assert [row["codigo"] for row in rows_of(batches)] == ["C", "D", "E"]
    assert rejected_in(batches) == [(n, "formula_sin_valor", "monto") for n in (1, 2, 8)]


def test_long_numbers_keep_their_digits_or_are_rejected(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        [
            ["cuit", "n"],
            [20304050607, 9007199254740991],
            ["2850590940090418135201", 1],
            [2850590940090418135201, 1],
            ["0012", 12345678901234567],
            [9007199254740992, 1],
        ],
    )

    batches = rows_in(tmp_path, path, [column("cuit"), column("n", "numeric(20,0)")])

    assert [row["cuit"] for row in rows_of(batches)] == ["20304050607", "2850590940090418135201"]
    assert rejected_in(batches) == [
        (3, "numero_impreciso", "cuit"),
        (4, "numero_impreciso", "n"),
        (5, "numero_impreciso", "cuit"),
    ]


def test_a_double_may_be_as_large_as_it_likes(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["x"], [1e20], [0.5]])
    contract = make_contract(tmp_path, "xlsx", [column("x", "double precision")])

    good, _ = cast_all(contract, read_all(open_file(contract, feed_file(path))))
    assert [row["x"] for row in good] == [1e20, 0.5]


def test_numbers_are_written_out_with_the_declared_sign(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["t", "n"], *([n, n] for n in (5, 1.1, 1234567.25, 1e15))])
    columns = [column("t"), column("n", "numeric(30,10)")]

    for sign, written in ((".", ["5", "1.1", "1234567.25"]), (",", ["5", "1,1", "1234567,25"])):
        contract = make_contract(tmp_path, "xlsx", columns, decimal=sign)
        good, rejected = cast_all(contract, read_all(open_file(contract, feed_file(path))))

        assert rejected == []
        assert [row["t"] for row in good] == [*written, "1000000000000000"]
        assert [row["n"] for row in good] == [
            Decimal(5), Decimal("1.1"), Decimal("1234567.25"), Decimal(10**15),
        ]  # fmt: skip


def test_what_a_sum_leaves_behind_the_digits_of_a_cell_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_row("A1", ["codigo", "monto", "texto", "mixto", "doble"])
        for row in (2, 3):
            page.write_row(f"A{row}", ["A", *[100.1 * 7] * 4])
        page.write("D3", "s/d")
        page.write_row("A4", ["B", 123456789.12, 0.00001234567, 12345678.9, 1 / 3])
    columns = [
        column("codigo"), column("monto", "numeric(12,2)"), column("texto"), column("mixto"),
        column("doble", "double precision"),
    ]  # fmt: skip

    contract = make_contract(tmp_path, "xlsx", columns)
    good, rejected = cast_all(contract, rows_in(tmp_path, path, columns))

    assert rejected == []
    assert [list(row.values())[1:] for row in good] == [
        [Decimal("700.70"), "700.7", "700.7", 100.1 * 7],
        [Decimal("700.70"), "700.7", "s/d", 100.1 * 7],
        [Decimal("123456789.12"), "0.00001234567", "12345678.9", 1 / 3],
    ]


def test_dates_come_as_dates_times_serials_and_text(tmp_path: Path) -> None:
    moment = datetime(2026, 6, 1, 10, 30, 15)
    path = workbook(
        tmp_path,
        [["f", "m"], [date(2026, 6, 1), moment], [46174, 46174.4376736], ["01/06/2026", None],
         [2026, None]],
    )  # fmt: skip
    columns = [column("f", "date", format="dd/MM/yyyy"), column("m", "timestamp")]
    contract = make_contract(tmp_path, "xlsx", columns)

    good, rejected = cast_all(contract, read_all(open_file(contract, feed_file(path))))

    assert [row["f"] for row in good] == [date(2026, 6, 1)] * 3
    assert good[0]["m"] == moment
    assert abs(good[1]["m"] - moment).total_seconds() < 1
    # A year is no day of 1905.
    assert [row.values["f"] for row in rejected] == ["2026"]


def test_the_date_system_of_1904_moves_bare_numbers(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path), {"date_1904": True}) as book:
        form = book.add_format({"num_format": "dd/mm/yyyy"})
        page = book.add_worksheet()
        page.write_row("A1", ["f", "g"])
        page.write_datetime("A2", datetime(2026, 6, 1), form)
        page.write_number("B2", 44712)
    contract = make_contract(tmp_path, "xlsx", [column("f", "date"), column("g", "date")])

    good, _ = cast_all(contract, read_all(open_file(contract, feed_file(path))))
    assert good == [{"f": date(2026, 6, 1), "g": date(2026, 6, 1)}]


def test_logical_values_stay_logical(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["b", "t", "n"], [True, False, True], [False, "x", 1]])
    columns = [column("b", "boolean"), column("t"), column("n", "integer")]
    contract = make_contract(tmp_path, "xlsx", columns)

    good, rejected = cast_all(contract, read_all(open_file(contract, feed_file(path))))
    assert good == [{"b": False, "t": "x", "n": 1}]
    assert [(row.column, row.values["t"], row.values["n"]) for row in rejected] == [
        ("n", "false", "true")
    ]


def test_a_sheet_that_begins_further_right_is_read_from_its_first_column(tmp_path: Path) -> None:
    path = workbook(tmp_path, [[], [None, None, "codigo"], [None, None, "A"]])

    batches = rows_in(tmp_path, path, [column("codigo")], headerRow=2)
    assert (rows_of(batches), numbers_of(batches)) == ([{"codigo": "A"}], [1])


# --- the other formats ----------------------------------------------------------------------------


def xls(folder: Path, *, dates_1904: bool = False) -> Path:
    """A workbook of Excel 97 with what is asked of one."""
    book = xlwt.Workbook()
    book.dates_1904 = dates_1904
    book.add_sheet("Oculta").visibility = 1
    page = book.add_sheet("Datos")
    book.active_sheet = 1
    for at, name in enumerate(["codigo", "cantidad", "fecha", "sí"]):
        page.write(0, at, name)
    page.write(1, 0, "Ñandú")
    page.write(1, 1, 5)
    page.write(1, 2, date(2026, 6, 1), xlwt.easyxf(num_format_str="dd/mm/yyyy"))
    page.write(1, 3, True)
    page.write_merge(2, 3, 0, 0, "B")
    page.write(2, 1, 1.5)
    page.write(3, 1, 46174 if not dates_1904 else 44712)
    page.write(3, 2, 46174 if not dates_1904 else 44712)
    page.row(3).hidden = True
    page.row(4).set_cell_text(0, "E")
    page.row(4).set_cell_error(1, "#DIV/0!")
    path = folder / "planilla.xls"
    book.save(str(path))
    return path


XLS_COLUMNS = [
    column("codigo"),
    column("cantidad", "numeric(12,2)"),
    column("fecha", "date"),
    column("si", "boolean", source="sí"),
]


@pytest.mark.parametrize("dates_1904", [False, True])
def test_xls_is_read_with_its_errors_hidden_rows_and_dates(
    tmp_path: Path, dates_1904: bool
) -> None:
    path = xls(tmp_path, dates_1904=dates_1904)
    contract = make_contract(tmp_path, "xlsx", XLS_COLUMNS, mergedCells="repeat")

    with SpreadsheetReader(contract, feed_file(path)) as reader:
        batches = list(reader.batches())
        assert "1 filas ocultas" in reader.notes()[0]
    good, _ = cast_all(contract, batches)

    assert [row["codigo"] for row in good] == ["Ñandú", "B", "B"]
    assert good[0] | {"codigo": ""} == {
        "codigo": "", "cantidad": Decimal(5), "fecha": date(2026, 6, 1), "si": True,
    }  # fmt: skip
    assert good[2]["fecha"] == date(2026, 6, 1)
    assert rejected_in(batches) == [(4, "error_de_formula", "cantidad")]


def ods(folder: Path, rows: str, *, manifest: str = "", settings: str = "") -> Path:
    """An OpenDocument sheet as LibreOffice writes it, as small as it can be."""
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    calc = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {names} '
        f'xmlns:calcext="{calc}" office:version="1.3"><office:body><office:spreadsheet>{settings}'
        f'<table:table table:name="Datos">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    path = folder / "planilla.ods"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        package.writestr("content.xml", content)
        package.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
    return path


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_text(text: str, attributes: str = "") -> str:
    return (
        f'<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p>'
        "</table:table-cell>"
    )


def ods_number(value: float) -> str:
    return (
        f'<table:table-cell office:value-type="float" office:value="{value}">'
        f"<text:p>{value}</text:p></table:table-cell>"
    )


def test_ods_is_read_with_its_errors_hidden_rows_and_merged_cells(tmp_path: Path) -> None:
    error = (
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" '
        'office:string-value="" calcext:value-type="error"><text:p>#DIV/0!</text:p>'
        "</table:table-cell>"
    )
    path = ods(
        tmp_path,
        ods_row(ods_text("codigo"), ods_text("cantidad"))
        + ods_row(ods_text("Ñ", 'table:number-rows-spanned="2"'), ods_number(5))
        + ods_row("<table:covered-table-cell/>", ods_number(1.5))
        + ods_row(ods_text("C"), error)
        + ods_row(ods_text("D"), ods_number(2), attributes='table:visibility="collapse"')
        + ods_row('<table:table-cell table:number-columns-repeated="16384"/>',
                  attributes='table:number-rows-repeated="1048571"'),
    )  # fmt: skip
    contract = make_contract(
        tmp_path, "xlsx", [column("codigo"), column("cantidad", "numeric(9,1)")],
        mergedCells="repeat",
    )  # fmt: skip

    with SpreadsheetReader(contract, feed_file(path)) as reader:
        batches = list(reader.batches())
        assert "1 filas ocultas" in reader.notes()[0]
    good, _ = cast_all(contract, batches)

    assert [tuple(row.values()) for row in good] == [
        ("Ñ", Decimal(5)), ("Ñ", Decimal("1.5")), ("D", Decimal(2)),
    ]  # fmt: skip
    assert rejected_in(batches) == [(3, "error_de_formula", "cantidad")]


def test_the_date_system_of_ods_is_read(tmp_path: Path) -> None:
    settings = (
        '<table:calculation-settings><table:null-date table:date-value="1904-01-01"/>'
        "</table:calculation-settings>"
    )
    path = ods(tmp_path, ods_row(ods_text("f")) + ods_row(ods_number(44712)), settings=settings)
    contract = make_contract(tmp_path, "xlsx", [column("f", "date")])

    good, _ = cast_all(contract, read_all(open_file(contract, feed_file(path))))
    assert good == [{"f": date(2026, 6, 1)}]


# --- files that cannot be read --------------------------------------------------------------------


def rewritten(
    path: Path, *changes: tuple[str, str], part: str = "xl/worksheets/sheet1.xml"
) -> Path:
    """The workbook with texts of one part replaced; each must be there."""
    with zipfile.ZipFile(path) as package:
        parts = {info.filename: package.read(info) for info in package.infolist()}
    for old, new in changes:
        assert old.encode() in parts[part], old
        parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return path


def encrypted(folder: Path) -> Path:
    path, packed = workbook(folder, [HEADER]), io.BytesIO()
    with path.open("rb") as stream:
        msoffcrypto.OfficeFile(stream).encrypt("secreto", packed)
    path.write_bytes(packed.getvalue())
    return path


def encrypted_ods(folder: Path) -> Path:
    return ods(folder, "", manifest="<manifest:encryption-data xmlns:manifest='m'/>")


def cut(folder: Path) -> Path:
    path = workbook(folder, [HEADER, *(["A", n, 1, None] for n in range(500))])
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def lying(folder: Path) -> Path:
    """A part that declares fewer bytes than it holds, as a bomb would to pass a check."""
    path = workbook(folder, [HEADER, *(["A", n, 1, None] for n in range(500))])
    with zipfile.ZipFile(path) as package:
        size = package.getinfo("xl/worksheets/sheet1.xml").file_size
    content = path.read_bytes()
    held = size.to_bytes(4, "little")
    assert held in content
    path.write_bytes(content.replace(held, (size // 2).to_bytes(4, "little")))
    return path


def cut_xls(folder: Path) -> Path:
    path = xls(folder)
    path.write_bytes(path.read_bytes()[:2100])
    return path


def named(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "planilla.xls"
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (named(b""), r"está vacío \(0 bytes\)"),
        (named(b"esto no es una planilla"), "está dañado o no es una planilla"),
        (named(b"PK\x03\x04roto"), "está dañado o no es una planilla"),
        (named(b"<html><p>Su usuario no tiene permiso</html>"), "página HTML sin ninguna tabla"),
        (named(b"codigo;monto\nA;1\n"), r"es un archivo de texto \(¿csv\?\)"),
        (
            named(
                b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:'
                b'spreadsheet">'
            ),
            "XML de 2003",
        ),
        (cut, "está dañado o no es una planilla"),
        (cut_xls, "está dañado o no es una planilla"),
        (lying, "está dañado o no es una planilla"),
        (encrypted, "está protegido con contraseña"),
        (encrypted_ods, "está protegido con contraseña"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, make: Callable[[Path], Path], why: str
) -> None:
    contract = make_contract(tmp_path, "xlsx", COLUMNS)

    with pytest.raises(SourceDataError, match=why) as held:
        read_all(open_file(contract, feed_file(make(tmp_path))))
    assert "Qué hacer:" in str(held.value)


def test_a_workbook_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path, [HEADER, *(["A", 1, 1, None] for _ in range(2000))])
    contract = make_contract(tmp_path, "xlsx", COLUMNS)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(limits, "LARGEST_UNPACKED_BYTES", 100_000)

    with pytest.raises(SourceDataError, match=r"ocupa más de 0 MB al descomprimirse"):
        read_all(open_file(contract, feed_file(path)))


def test_a_stray_cell_in_the_last_corner_does_not_exhaust_the_machine(tmp_path: Path) -> None:
    far = ("</sheetData>", '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    path = rewritten(workbook(tmp_path, [HEADER, ["A", 1, 1, None]]), far)
    contract = make_contract(tmp_path, "xlsx", COLUMNS)

    with pytest.raises(SourceDataError, match="se extiende 1048576 filas por 16384 columnas"):
        read_all(open_file(contract, feed_file(path)))


def test_one_element_of_ods_that_stands_for_a_million_rows_is_refused(tmp_path: Path) -> None:
    bomb = ods_row(
        ods_text("x", 'table:number-columns-repeated="16384"'),
        attributes='table:number-rows-repeated="1048576"',
    )
    contract = make_contract(tmp_path, "xlsx", COLUMNS)

    with pytest.raises(SourceDataError, match="se extiende 1048576 filas por 16384 columnas"):
        read_all(open_file(contract, feed_file(ods(tmp_path, bomb))))


def test_tags_with_a_prefix_are_searched_alike(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_column("A1", ["codigo", "A", "B"])
        page.write_formula("A4", "=1/0", None, "#DIV/0!")
        page.set_row(2, None, None, {"hidden": True})
        page.merge_range("A5:A6", "M")
    tags = ("worksheet", "sheetData", "row", "c", "v", "f", "mergeCells", "mergeCell", "dimension")
    changes = [(f"<{tag}{end}", f"<x:{tag}{end}") for tag in tags for end in (" ", ">")]
    changes += [(f"</{tag}>", f"</x:{tag}>") for tag in tags]
    changes.append(('xmlns="http', 'xmlns:x="http'))
    with zipfile.ZipFile(path) as package:
        xml = package.read("xl/worksheets/sheet1.xml").decode()
    path = rewritten(path, *(change for change in changes if change[0] in xml))

    batches = rows_in(tmp_path, path, [column("codigo")], skipHidden=True, mergedCells="repeat")
    assert [row["codigo"] for row in rows_of(batches)] == ["A", "M"]
    assert rejected_in(batches) == [(3, "error_de_formula", "codigo")]


def test_values_below_no_name_are_a_column_and_years_are_names(tmp_path: Path) -> None:
    path = tmp_path / "planilla.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Zona", 2024, "", "", "Obs"])
        sheet.write_row(1, 0, ["Norte", 5, "suelto", "", "x"])
    contract = make_contract(tmp_path, "xlsx", [column("zona"), column("m3", source="2024")])

    with open_file(contract, feed_file(path)) as reader:
        assert reader.columns() == ("Zona", "2024", "(columna 3)", "Obs")
        assert rows_of(list(reader.batches())) == [{"zona": "Norte", "m3": 5}]

"""Spreadsheets as people keep them: titles above, blanks between, totals below, mixed cells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import python_calamine
import xlsxwriter

from sources.errors import DriftError, SourceDataError
from sources.readers import open_file
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
        ("fecha", "2026-06-01T10:30:00"),
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


@pytest.mark.parametrize("content", [b"", b"esto no es una planilla", b"PK\x03\x04roto"])
def test_a_damaged_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "planilla.xlsx"
    path.write_bytes(content)
    contract = make_contract(tmp_path, "xlsx", COLUMNS)

    with pytest.raises(SourceDataError, match="dañado o no es una planilla") as held:
        read_all(open_file(contract, feed_file(path)))
    assert "guárdelo de nuevo" in str(held.value)


def test_a_protected_workbook_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise python_calamine.PasswordError("password")

    monkeypatch.setattr(python_calamine.CalamineWorkbook, "from_path", refuse, raising=False)
    contract = make_contract(tmp_path, "xlsx", COLUMNS)

    with pytest.raises(SourceDataError, match="está protegido con contraseña"):
        read_all(open_file(contract, feed_file(workbook(tmp_path, [HEADER]))))

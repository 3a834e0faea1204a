"""CSV files: every line is a row or is set aside, under its own number."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import psutil
import pytest

from sources.contract import Contract
from sources.errors import ContractError, DriftError, SourceDataError
from sources.readers import RawBatch, delimited, open_file
from tests.sources.reader_support import (
    cast_all,
    column,
    compressed,
    feed_file,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)

COLUMNS = [
    column("medidor_id", source="medidor"),
    column("lectura", "numeric(14,3)"),
    column("unidad", constant="m3"),
]


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "csv", COLUMNS, delimiter=";")


def read(contract: Contract, content: bytes | str, name: str = "f.csv") -> list[RawBatch]:
    path = contract.path.parent / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_all(open_file(contract, feed_file(path), batch_rows=2))


def test_values_arrive_as_the_text_they_are(contract: Contract) -> None:
    batches = read(contract, 'otra;Medidor ;lectura\nx;M-1;1.0\ny;"M;2\nñ ""q""";\nz;;3')

    assert rows_of(batches) == [
        {"medidor_id": "M-1", "lectura": "1.0", "unidad": "m3"},
        {"medidor_id": 'M;2\nñ "q"', "lectura": None, "unidad": "m3"},
        {"medidor_id": None, "lectura": "3", "unidad": "m3"},
    ]
    assert [batch.data.num_rows for batch in batches] == [2, 1]
    assert {batch.file for batch in batches} == {"f.csv"}


def test_every_column_found_is_told(contract: Contract) -> None:
    path = contract.path.parent / "f.csv"
    path.write_text("medidor;lectura;nueva\n")

    with open_file(contract, feed_file(path)) as reader:
        assert reader.columns() == ("medidor", "lectura", "nueva")
        assert list(reader.batches()) == []


def test_lines_that_cannot_be_taken_apart_keep_their_number(contract: Contract) -> None:
    batches = read(
        contract,
        "medidor;lectura\ncortada\nM-2;2\nM-3;3\nM-4;4\nM-5;5;de más\n\nM-6;6\nsin final",
    )

    assert numbers_of(batches) == [2, 3, 4, 6]
    rejected = [row for batch in batches for row in batch.rejected]
    assert [(row.row_number, row.rule, row.values["_linea"]) for row in rejected] == [
        (1, "linea_malformada", "cortada"),
        (5, "linea_malformada", "M-5;5;de más"),
        (7, "linea_malformada", "sin final"),
    ]
    assert rejected[1].reason == "la línea tiene 3 campos y se esperaban 2"
    assert sum(batch.read for batch in batches) == 7
    assert batches[0].first_row == 1


def test_a_file_of_nothing_but_bad_lines_is_set_aside_line_by_line(contract: Contract) -> None:
    batches = read(contract, "medidor;lectura\na\nb\nc\n")

    assert [row.row_number for batch in batches for row in batch.rejected] == [1, 2, 3]
    assert numbers_of(batches) == []


def test_numbers_hold_across_blocks(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_MB", 64)
    lines = [f"M-{n};{n}" if n % 7 else f"mala {n}" for n in range(1, 501)]

    batches = read(contract, "\n".join(["medidor;lectura", *lines]))

    assert numbers_of(batches) == [n for n in range(1, 501) if n % 7]
    assert [int(row["lectura"]) for row in rows_of(batches)] == numbers_of(batches)
    rejected = [row for batch in batches for row in batch.rejected]
    assert [row.values["_linea"] for row in rejected] == [f"mala {n}" for n in range(7, 501, 7)]


def test_a_byte_order_mark_is_no_part_of_the_first_column(contract: Contract) -> None:
    assert rows_of(read(contract, "medidor;lectura\nÑ;1\n".encode("utf-8-sig"))) == [
        {"medidor_id": "Ñ", "lectura": "1", "unidad": "m3"}
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_the_declared_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS, delimiter=";", encoding=encoding)

    batches = read(contract, "medidor;lectura\nCañería ó;1\n".encode(encoding))

    assert [row["medidor_id"] for row in rows_of(batches)] == ["Cañería ó"]


def test_bytes_that_are_no_text_reject_only_their_row(contract: Contract) -> None:
    batches = read(contract, b"medidor;lectura\nM-1;1\nM-\xf1\xff;2\ncortada \xf1\nM-4;4\n")

    assert [row["medidor_id"] for row in rows_of(batches)] == ["M-1", "M-4"]
    rejected = [row for batch in batches for row in batch.rejected]
    assert [(row.row_number, row.rule) for row in rejected] == [
        (2, "codificacion_invalida"),
        (3, "linea_malformada"),
    ]
    assert rejected[0].values == {"medidor_id": "M-ñÿ", "lectura": "2"}
    assert rejected[1].values == {"_linea": "cortada ñ"}


def test_a_character_split_between_two_reads_is_whole(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.readers.encoding._BLOCK", 3)

    assert [row["medidor_id"] for row in rows_of(read(contract, "medidor;lectura\nñññ🙂ñ;1"))] == [
        "ñññ🙂ñ"
    ]


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst", "lz4", "xz"])
def test_compressed_files_are_read_and_refused_when_cut(contract: Contract, ending: str) -> None:
    lines = "".join(f"M-{n};{n * 7919 % 1000}\n" for n in range(20_000))
    packed = compressed(f"medidor;lectura\n{lines}".encode(), ending)

    assert len(rows_of(read(contract, packed, f"f.csv.{ending}"))) == 20_000
    with pytest.raises(SourceDataError, match="no se puede leer el archivo"):
        read(contract, packed[: len(packed) // 2], f"f.csv.{ending}")


def test_a_compressed_file_that_breaks_off_is_refused_as_a_whole(contract: Contract) -> None:
    content = "medidor;lectura\n" + "".join(f"M-{n};{n * 7919 % 1000}\n" for n in range(50_000))
    packed = gzip.compress(content.encode())

    with pytest.raises(SourceDataError, match="está cortado: falta el final"):
        read(contract, packed[: len(packed) // 2], "f.csv.gz")


def test_rows_of_totals_are_no_data_where_the_contract_says_so(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path, "csv", [column("barrio"), column("monto")], delimiter=";",
        totalsLabel=["Total", "Fuente"],
    )  # fmt: skip

    batches = read(contract, "barrio;monto\nA;1\n;TOTAL: 5\nTotales;1\n Total ;1\nFuente: Rentas;")

    assert [row["barrio"] for row in rows_of(batches)] == ["A", "Totales"]
    assert (numbers_of(batches), sum(batch.skipped for batch in batches)) == ([1, 3], 3)


@pytest.mark.parametrize("line", ["sep=;\r\n", "\ufeffSEP=;\n", '"sep=;"\n'])
def test_a_line_that_tells_excel_the_separator_is_no_header(contract: Contract, line: str) -> None:
    batches = read(contract, f"{line}medidor;lectura\nM-1;1\n")

    assert [row["medidor_id"] for row in rows_of(batches)] == ["M-1"]
    assert numbers_of(batches) == [1]


def test_lines_that_hold_nothing_are_no_rows_and_keep_their_numbers(contract: Contract) -> None:
    """Spreadsheets write them for cells that only have a format, by the thousand."""
    blank = ";;\n" * 20
    content = f'medidor;lectura;otra\nM-1;1;\n{blank};;x\nM-2;2;\n;\n"";;\n{blank}'

    batches = read(contract, content)

    rows = [(row["medidor_id"], row["lectura"]) for row in rows_of(batches)]
    # What the contract does not name makes a row of a line, and so does an empty text in quotes.
    assert rows == [("M-1", "1"), (None, None), ("M-2", "2"), ("", None)]
    assert numbers_of(batches) == [1, 22, 23, 25]
    assert [row.row_number for batch in batches for row in batch.rejected] == [24]


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(contract: Contract, content: bytes) -> None:
    with pytest.raises(SourceDataError, match=r"el archivo f\.csv: está vacío"):
        read(contract, content)


def test_lines_that_end_in_a_carriage_return_alone_are_told(contract: Contract) -> None:
    with pytest.raises(SourceDataError, match="sus líneas terminan solo con el carácter CR"):
        read(contract, b"medidor;lectura\rM-1;1.0\rM-2;2.0\r")


@pytest.mark.parametrize("limit", [128 << 10, 1 << 30], ids=["as usual", "lifted by a library"])
def test_what_is_no_table_is_told_in_words(contract: Contract, limit: int) -> None:
    before = csv.field_size_limit(limit)
    try:
        with pytest.raises(SourceDataError, match="un nombre de más de 128 KB"):
            read(contract, b"0" * 200_000)
    finally:
        csv.field_size_limit(before)


def test_a_header_alone_is_a_file_of_no_rows(contract: Contract) -> None:
    assert read(contract, "medidor;lectura\n") == []
    assert read(contract, "medidor;lectura") == []


def test_another_layout_is_drift_and_names_what_is_missing(contract: Contract) -> None:
    with pytest.raises(DriftError, match="faltan las columnas medidor, lectura") as held:
        read(contract, "medidor,lectura\nM-1,1\n")
    assert "otro formato" in str(held.value)
    assert "Columnas encontradas: medidor,lectura" in str(held.value)


def test_columns_that_differ_only_in_case_are_told_apart(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("a", source="Dato")], delimiter=";")

    assert [row["a"] for row in rows_of(read(contract, "dato;Dato;DATO\n1;2;3\n"))] == ["2"]
    with pytest.raises(DriftError, match="falta la columna Dato"):
        read(contract, "dato;DATO\n1;3\n")


def test_the_header_may_stand_further_down(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS, delimiter=";", headerRow=3)

    batches = read(contract, "Informe\n\nmedidor;lectura\nM-1;1\nrota\n")

    assert numbers_of(batches) == [1]
    assert [row.row_number for batch in batches for row in batch.rejected] == [2]


def test_an_unclosed_quote_does_not_pass_unnoticed(contract: Contract) -> None:
    batches = read(contract, 'medidor;lectura\nM-1;1\n"M-2;2\nM-3;3\n')

    assert numbers_of(batches) == [1]
    (rejected,) = [row for batch in batches for row in batch.rejected]
    assert rejected.values == {"_linea": '"M-2;2\nM-3;3'}


def test_a_row_longer_than_a_block_is_refused(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_MB", 1024)

    with pytest.raises(SourceDataError, match="comillas sin cerrar"):
        read(contract, 'medidor;lectura\n"' + "x" * 5000 + "\n")


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS, encoding="ebcdico")

    with pytest.raises(SourceDataError, match="la codificación 'ebcdico' no existe"):
        read(contract, "medidor;lectura\n")


def open_files() -> set[str]:
    return {file.path for file in psutil.Process().open_files()}


def test_an_abandoned_read_closes_the_file(contract: Contract) -> None:
    path = contract.path.parent / "f.csv"
    path.write_text("medidor;lectura\n" + "M;1\n" * 200_000)

    with open_file(contract, feed_file(path), batch_rows=10) as reader:
        next(reader.batches())
        assert str(path) in open_files()

    assert str(path) not in open_files()


def test_a_day_of_the_city_is_read_and_cast(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path,
        "csv",
        [column("medidor_id", source="medidor"),
         column("fecha_hora", "timestamptz", source="fecha", format="dd/MM/yyyy HH:mm:ss"),
         column("lectura", "numeric(14,3)", source="lectura_m3")],
        delimiter=";",
    )  # fmt: skip
    content = (
        "medidor;fecha;lectura_m3;estimada;bateria\n"
        "M-1;01/06/2026 00:00:00;10.5;false;3.61\n"
        "M-1;31/06/2026 01:00:00;10.6;false;3.61\n"
        "M-1;01/06/2026 02:0\n"
        "M-1;sin dato;10.7;false;3.61\n"
        "M-1;01/06/2026 03:00:00;10,8;false;3.61\n"
        "M-1;01/06/2026 04:00:00;10.9;false;3.61\n"
    )

    good, rejected = cast_all(contract, read(contract, content))

    assert [(row["fecha_hora"].hour, str(row["lectura"])) for row in good] == [
        (3, "10.500"),
        (7, "10.900"),
    ]
    assert [(row.row_number, row.rule, row.column) for row in rejected] == [
        (2, "tipo_invalido", "fecha_hora"),
        (3, "linea_malformada", None),
        (4, "tipo_invalido", "fecha_hora"),
        (5, "tipo_invalido", "lectura"),
    ]


def test_a_row_may_be_as_long_as_the_contract_says(tmp_path: Path) -> None:
    columns = [column("id", "bigint"), column("texto")]
    text = "x" * (3 << 20)
    content = f"id,texto\n1,{text}\n2,corto\n"

    with pytest.raises(SourceDataError, match="longestRowMb"):
        read(make_contract(tmp_path, "csv", columns), content)

    batches = read(make_contract(tmp_path, "csv", columns, longestRowMb=4), content)
    assert [row["texto"] for row in rows_of(batches)] == [text, "corto"]


def test_a_name_in_quotes_may_go_on_in_the_next_line(contract: Contract) -> None:
    batches = read(contract, '"medidor";"lectura"\n"M-1";1\n')
    assert rows_of(batches) == [{"medidor_id": "M-1", "lectura": "1", "unidad": "m3"}]

    batches = read(contract, '"otra\r\ncosa";"medidor\n";lectura\nx;M-1;1\n')
    assert rows_of(batches) == [{"medidor_id": "M-1", "lectura": "1", "unidad": "m3"}]
    assert numbers_of(batches) == [1]


def test_a_column_that_comes_twice_is_no_guess(tmp_path: Path) -> None:
    one = [column("monto")]
    with pytest.raises(DriftError, match="más de una columna de nombre monto") as caught:
        read(make_contract(tmp_path, "csv", one), "id,monto,monto\n1,10,20\n")
    assert "`monto (2)`" in caught.value.next_step

    both = make_contract(tmp_path, "csv", [*one, column("pagado", source="monto (2)")])
    assert rows_of(read(both, "id,monto,monto\n1,10,20\n")) == [{"monto": "10", "pagado": "20"}]

    first = make_contract(tmp_path, "csv", one, ignoredColumns=["monto (2)"])
    assert rows_of(read(first, "id,monto,monto\n1,10,20\n")) == [{"monto": "10"}]


def test_a_column_without_a_name_is_known_by_its_place(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("nota", source="(columna 2)")])
    path = tmp_path / "f.csv"
    path.write_text("a,,c\n1,2,3\n")

    with open_file(contract, feed_file(path)) as reader:
        assert reader.columns() == ("a", "(columna 2)", "c")
        assert rows_of(list(reader.batches())) == [{"nota": "2"}]


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:1]])
def test_a_file_that_ends_within_quotes_is_refused(
    tmp_path: Path, columns: list[dict[str, object]]
) -> None:
    contract = make_contract(tmp_path, "csv", columns, delimiter=";")

    with pytest.raises(SourceDataError, match="comillas que no se cierran"):
        read(contract, 'medidor;lectura\nM-1;1\nM-2;"2\nM-3;3\nM-4;4\n')

    whole = read(contract, 'medidor;lectura\nM-1;1\nM-2;"2\nx" \n\n')
    assert numbers_of(whole) == [1, 2]


def test_lines_swallowed_by_a_quote_are_counted_in_the_reason(contract: Contract) -> None:
    batches = read(contract, 'medidor;lectura\n"M-2;2\nM-3;3\nM-4";4;5\nM-5;5\n')

    (rejected,) = [row for batch in batches for row in batch.rejected]
    assert "ocupa 3 renglones" in rejected.reason
    assert numbers_of(batches) == [2]


def test_what_is_compressed_is_known_by_its_content(contract: Contract) -> None:
    text = b"medidor;lectura\nM-1;1\n"

    assert numbers_of(read(contract, gzip.compress(text), "f.csv")) == [1]
    assert numbers_of(read(contract, text, "f.csv.gz")) == [1]


def zipped(*names: str, content: str = "medidor;lectura\nM-1;1\n") -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as package:
        for name in names:
            package.writestr(name, content)
    return stored.getvalue()


def test_a_zip_with_a_single_file_is_read(contract: Contract) -> None:
    package = zipped("datos/", "datos/lecturas.csv", "__MACOSX/datos/._lecturas.csv")

    assert numbers_of(read(contract, package, "f.zip")) == [1]
    beside = zipped("LEEME.txt", "lecturas.CSV", "licencia.pdf")
    assert numbers_of(read(contract, beside, "f.zip")) == [1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (zipped("a.csv", "b.csv"), r"trae 2 archivos \(a.csv, b.csv\)"),
        (zipped("a.dat", "b.dat", "c.pdf"), "trae 3 archivos"),
        (zipped(), "no trae ningún archivo"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "format: xlsx"),
        (zipped("a.csv")[:60], "dañado"),
    ],
)
def test_a_zip_of_another_kind_is_refused_in_words(
    contract: Contract, content: bytes, why: str
) -> None:
    with pytest.raises(SourceDataError, match=why):
        read(contract, content, "f.zip")


def test_quotes_within_a_value_may_have_a_sign_before_them(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("id"), column("nota")], escape="\\")

    batches = read(contract, 'id,nota\n1,"dijo \\"sí\\", y\nfue"\n2,"a\\\\b"\n')

    assert [row["nota"] for row in rows_of(batches)] == ['dijo "sí", y\nfue', "a\\b"]
    with pytest.raises(ContractError, match="un solo carácter"):
        read(make_contract(tmp_path, "csv", [column("id")], escape="--"), "id\n1\n")


def test_a_page_is_no_csv_and_no_content_is_told_for_names(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("cuenta")])
    path = tmp_path / "padron.csv"
    path.write_text("<html><table><tr><td>cuenta</td></tr><tr><td>Ana Paz</td></tr></table>")

    with pytest.raises(SourceDataError, match="página HTML") as caught:
        read_all(open_file(contract, feed_file(path)))
    assert "`format: xlsx`" in str(caught.value) and "Ana Paz" not in str(caught.value)

    path.write_text('{"filas": [{"cuenta": "7", "vecino": "' + "x" * 80 + ' Ana Paz"}]}\n')
    with pytest.raises(DriftError) as drifted:
        read_all(open_file(contract, feed_file(path)))
    assert "…" in str(drifted.value) and "Ana Paz" not in str(drifted.value)

    path.write_text(",".join(f"c{number}" for number in range(50)) + "\n")
    with pytest.raises(DriftError, match=r"c39 y 10 más\."):
        read_all(open_file(contract, feed_file(path)))

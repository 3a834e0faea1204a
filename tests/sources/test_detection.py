"""What a file looks like, against what its contract declares: told, never acted upon."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from sources.contract import Contract
from sources.contract_document import load_catalogue
from sources.errors import DriftError
from sources.readers import notes_of, open_file
from sources.readers.base import missing_columns
from sources.readers.detection import detect
from tests.sources.reader_support import column, feed_file, make_contract, rows_of

COLUMNS = [column("nombre"), column("barrio")]
TEXT = "nombre,barrio\n" + "Ñandú Núñez,Perdriel\nJosé Güiraldes,Luján de Cuyo\n" * 5


def findings(folder: Path, content: bytes, name: str = "f.csv", **options: Any) -> list[str]:
    kind = "jsonl" if "jsonl" in name else "csv"
    contract: Contract = make_contract(folder, kind, COLUMNS, **options)
    path = folder / name
    path.write_bytes(content)
    return detect(path, contract)


@pytest.mark.parametrize(
    ("written", "declared", "looks"),
    [
        ("latin-1", "utf-8", "latin-1"),
        ("cp850", "utf-8", "cp850"),
        ("mac-roman", "utf-8", "mac-roman"),
        ("utf-16", "utf-8", "utf-16"),
        ("utf-16-le", "utf-8", "utf-16"),
        ("utf-16", "latin-1", "utf-16"),
        ("utf-8", "latin-1", "utf-8"),
        ("utf-8", "windows-1252", "utf-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, written: str, declared: str, looks: str) -> None:
    found = findings(tmp_path, TEXT.encode(written), encoding=declared)

    assert found == [
        f"f.csv: el contrato declara la codificación {declared} y el archivo parece {looks}"
    ]


def test_signs_that_only_windows_has_tell_it_from_latin_1(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, TEXT.replace("Perdriel", "“Perdriel”").encode("windows-1252"))

    assert found.endswith("y el archivo parece windows-1252")


def test_bytes_of_no_known_encoding_are_not_guessed(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, b"nombre,barrio\n" + bytes(range(0x81, 0xC0)))

    assert found.endswith("y el archivo no lo es")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (TEXT.encode(), {}),
        ("\ufeff".encode() + TEXT.encode(), {}),
        (TEXT.encode("latin-1"), {"encoding": "latin-1"}),
        (TEXT.encode("utf-16"), {"encoding": "utf-16"}),
        (b"nombre,barrio\nA,B\n", {"encoding": "latin-1"}),
        (b"", {}),
        # One bad byte among good letters: its row is rejected, the file is what it says.
        (TEXT.encode() + b"Mu\xf1oz,Centro\n", {}),
        ("nombre,barrio\nSÃO PAULO,Â°\n".encode(), {}),
        (TEXT.encode("latin-1"), {"detectEncoding": False}),
    ],
)
def test_a_file_as_declared_gives_no_finding(
    tmp_path: Path, content: bytes, options: dict[str, Any]
) -> None:
    assert findings(tmp_path, content, **options) == []


def test_a_letter_cut_by_the_end_of_the_sample_is_no_bad_byte(tmp_path: Path) -> None:
    start = b"nombre,barrio\n"
    padding = b"x" * ((1 << 20) - len(start) - 1)

    assert findings(tmp_path, start + padding + "ñ".encode() * 3) == []


@pytest.mark.parametrize("wrong", ["latin-1", "windows-1252"])
def test_double_encoded_letters_are_counted_and_not_shown(tmp_path: Path, wrong: str) -> None:
    twice = TEXT.encode().decode(wrong).encode()

    (found,) = findings(tmp_path, twice)

    assert "35 letras codificadas dos veces en UTF-8" in found
    assert "R-TEXTO-01" in found
    assert "andÃ" not in found


def test_json_lines_and_compressed_files_are_looked_at_alike(tmp_path: Path) -> None:
    line = '{"nombre": "Ñandú", "barrio": "Luján"}\n'.encode("latin-1")

    (found,) = findings(tmp_path, gzip.compress(line * 9), "f.jsonl.gz")
    assert found.endswith("y el archivo parece latin-1")


@pytest.mark.parametrize(
    ("written", "declared", "words"),
    [
        (";", ",", "el separador «,» y el archivo usa «;»"),
        ("\t", ",", "el separador «,» y el archivo usa tabulación"),
        (",", ";", "el separador «;» y el archivo usa «,»"),
        ("|", "\t", "el separador tabulación y el archivo usa «|»"),
    ],
)
def test_another_delimiter_explains_the_missing_columns(
    tmp_path: Path, written: str, declared: str, words: str
) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS, delimiter=declared)
    path = tmp_path / "f.csv"
    path.write_text(TEXT.replace(",", written))

    with pytest.raises(DriftError, match="faltan las columnas nombre, barrio") as held:
        open_file(contract, feed_file(path)).__enter__()
    assert words in str(held.value)
    assert "Responsable: Secretaría de Prueba" in str(held.value)


def test_a_column_that_is_just_missing_gets_no_guess(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS)
    path = tmp_path / "f.csv"
    path.write_text(TEXT.replace("barrio", "zona"))

    with pytest.raises(DriftError, match="falta la columna barrio") as held:
        open_file(contract, feed_file(path)).__enter__()
    assert "Además" not in str(held.value)


def test_findings_change_nothing_of_what_is_read(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", COLUMNS, encoding="latin-1")
    path = tmp_path / "f.csv"
    path.write_text("nombre,barrio\nJosé,Centro\n")

    with open_file(contract, feed_file(path)) as reader:
        assert rows_of(reader.batches()) == [{"nombre": "JosÃ©", "barrio": "Centro"}]
        assert len(notes_of(reader)) == 1


def test_names_read_in_another_encoding_can_be_stored_with_the_error() -> None:
    contract = load_catalogue().contracts["telemetria.lecturas_csv"]
    header = "medidor;fecha".encode("utf-16-le").decode("utf-8")

    error = missing_columns(contract, ["medidor"], [header], "el archivo")

    assert "\x00" not in str(error) and "medidor;fecha" in str(error)

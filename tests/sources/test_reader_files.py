"""Which files of a folder belong to a contract, and reading them as one dataset."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sources.errors import SourceUnavailable
from sources.readers import ReaderOptions, list_files, open_reader
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract, read_all, rows_of


def feed(folder: Path, **files: str) -> SourceUrl:
    (folder / "entrada").mkdir()
    for name, content in files.items():
        path = folder / "entrada" / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return SourceUrl.parse(str(folder / "entrada"))


def test_files_are_listed_by_name_with_size_and_hash(tmp_path: Path) -> None:
    url = feed(tmp_path, b_csv="a\n2\n", a_csv="a\n1\n", otro="x", sub__c_csv="a\n3\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="*.csv")

    files = list_files(contract, url)

    assert [file.name for file in files] == ["a.csv", "b.csv"]
    assert files[0].bytes == 4
    assert files[0].sha256 == hashlib.sha256(b"a\n1\n").hexdigest()


def test_a_pattern_may_reach_into_folders(tmp_path: Path) -> None:
    url = feed(tmp_path, a_csv="a\n", sub__c_csv="a\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="**/*.csv")

    assert [file.name for file in list_files(contract, url)] == ["a.csv", "sub/c.csv"]


def test_hidden_files_and_locks_of_spreadsheets_are_left_alone(tmp_path: Path) -> None:
    url = feed(tmp_path, **{"~$a_csv": "x", ".b_csv": "x"})
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="*")

    assert list_files(contract, url) == []


def test_a_file_that_may_still_be_written_waits(tmp_path: Path) -> None:
    url = feed(tmp_path, vieja_csv="a\n", nueva_csv="a\n")
    os.utime(tmp_path / "entrada" / "vieja.csv", (1_000, 1_000))
    os.utime(tmp_path / "entrada" / "nueva.csv", (1_050, 1_050))
    contract = make_contract(tmp_path, "csv", [column("a")], settleSeconds=60)
    at_1100 = ReaderOptions(now=lambda: 1_100.0)

    assert [file.name for file in list_files(contract, url, options=at_1100)] == ["vieja.csv"]
    at_once = ReaderOptions(now=lambda: 1_100.0, settle_seconds=0)
    assert len(list_files(contract, url, options=at_once)) == 2


def test_a_missing_folder_says_where_and_what_to_do(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "csv", [column("a")])

    with pytest.raises(SourceUnavailable, match="no se puede leer la carpeta") as held:
        list_files(contract, SourceUrl.parse(str(tmp_path / "falta")))
    assert "SOURCE_PRUEBA_URL" in str(held.value)


def test_a_dataset_in_several_files_is_read_as_one(tmp_path: Path) -> None:
    url = feed(tmp_path, b_csv="a\n2\n3\n", a_csv="a;b\n1;x\n")
    contract = make_contract(tmp_path, "csv", [column("a")], delimiter=";", loadMode="full")

    with open_reader(contract, url) as reader:
        assert reader.columns() == ("a", "b")
        batches = list(reader.batches())

    assert [(batch.file, row["a"]) for batch in batches for row in rows_of([batch])] == [
        ("a.csv", "1"),
        ("b.csv", "2"),
        ("b.csv", "3"),
    ]
    assert [batch.rows.to_pylist() for batch in batches] == [[1], [1, 2]]


def test_a_dataset_without_its_file_is_unavailable(tmp_path: Path) -> None:
    url = feed(tmp_path, otro="x")
    contract = make_contract(
        tmp_path, "xlsx", [column("a")], pattern="inventario.xlsx", loadMode="full"
    )

    with pytest.raises(SourceUnavailable, match=r"no hay ningún archivo inventario\.xlsx"):
        read_all(open_reader(contract, url))


def test_an_address_may_name_a_single_file(tmp_path: Path) -> None:
    feed(tmp_path, a_csv="a\n1\n")
    contract = make_contract(tmp_path, "csv", [column("a")], pattern="otra.csv")

    files = list_files(contract, SourceUrl.parse(str(tmp_path / "entrada" / "a.csv")))

    assert [file.name for file in files] == ["a.csv"]

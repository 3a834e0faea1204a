"""Fixed records: positions, record types, values of the record above, and the count at the end."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sources.contract import Contract
from sources.errors import ContractError, SourceDataError
from sources.readers import RawBatch, open_file
from tests.sources.reader_support import (
    cast_all,
    column,
    compressed,
    feed_file,
    make_contract,
    numbers_of,
    read_all,
)

COLUMNS = [
    column("medidor", required=True, custom={"record": "M", "position": "2-6"}),
    column("dia", "date", custom={"position": "2-9"}, format="yyyyMMdd"),
    column("litros", "numeric(9,1)", custom={"position": "10-14", "impliedDecimals": 1}),
]
TYPES: dict[str, Any] = {
    "recordTypePosition": "1-1",
    "recordType": "L",
    "ignoredRecords": ["H"],
    "trailerRecord": "T",
    "trailerCountPosition": "2-5",
}


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "fixed", COLUMNS, **TYPES)


def read(
    contract: Contract, content: str | bytes, name: str = "f.txt", batch_rows: int = 2
) -> list[RawBatch]:
    path = contract.path.parent / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_all(open_file(contract, feed_file(path), batch_rows=batch_rows))


def lines(*records: str) -> str:
    return "\r\n".join([*records, ""])


def test_values_of_the_record_above_reach_every_record_below_it(contract: Contract) -> None:
    batches = read(
        contract,
        lines(
            "H encabezado",
            "MUNO  ",
            "L2026060100123",
            "L2026060200004",
            "L2026060399999",
            "MDOS  ",
            "L20260601    7",
            "T0004",
        ),
    )

    good, rejected = cast_all(contract, batches)
    assert rejected == []
    assert [(row["medidor"], row["dia"].day, row["litros"]) for row in good] == [
        ("UNO", 1, Decimal("12.3")),
        ("UNO", 2, Decimal("0.4")),
        ("UNO", 3, Decimal("9999.9")),
        ("DOS", 1, Decimal("0.7")),
    ]
    assert numbers_of(batches) == [3, 4, 5, 7]
    assert sum(batch.skipped for batch in batches) == 4
    assert sum(batch.read for batch in batches) == 4


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_how_many_lines_are_taken_at_once_changes_nothing(
    contract: Contract, batch_rows: int
) -> None:
    text = lines("MUNO", "L2026060100001", "mal", "MDOS", "L2026060100002", "L2026060100003", "T3")

    batches = read(contract, text, batch_rows=batch_rows)

    good, rejected = cast_all(contract, batches)
    assert [row["medidor"] for row in good] == ["UNO", "DOS", "DOS"]
    assert [row.row_number for row in rejected] == [3]


def test_a_record_before_any_meter_has_none(contract: Contract) -> None:
    good, _ = cast_all(contract, read(contract, lines("L2026060100001", "T0001")))

    assert [row["medidor"] for row in good] == [None]


def test_numbers_with_a_written_point_are_not_guessed_at(contract: Contract) -> None:
    batches = read(
        contract, lines("MUNO", "L20260601 12.3", "L20260601  -12", "L20260601     ", "T3")
    )

    good, rejected = cast_all(contract, batches)
    assert [row["litros"] for row in good] == [Decimal("-1.2"), None]
    assert [(row.rule, row.column, row.values["litros"]) for row in rejected] == [
        ("tipo_invalido", "litros", "12.3")
    ]


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ((), "falta su registro final"),
        (("T0002",), "anuncia 2 lecturas y trae 1"),
        (("Tdos ",), "anuncia 'dos' registros"),
    ],
)
def test_a_file_that_breaks_off_is_refused_as_a_whole(
    contract: Contract, ending: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SourceDataError, match=words):
        read(contract, lines("MUNO", "L2026060100001", *ending))


def test_a_record_too_short_or_of_another_type_is_set_aside_whole(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "fixed", COLUMNS, **TYPES | {"recordLength": 14})

    batches = read(contract, lines("MUNO", "L20260601001", "Z?", "L2026060100001", "T0002"))

    rejected = [row for batch in batches for row in batch.rejected]
    assert [(row.row_number, row.reason, row.values) for row in rejected] == [
        (2, "el registro tiene 12 caracteres y se esperaban 14", {"_linea": "L20260601001"}),
        (3, "tipo de registro desconocido: 'Z'", {"_linea": "Z?"}),
    ]


def test_without_record_types_every_line_is_a_row(tmp_path: Path) -> None:
    columns = [column("a", custom={"position": "1-3"}), column("b", custom={"position": "4-6"})]
    contract = make_contract(tmp_path, "fixed", columns, skipLines=1, encoding="latin-1")

    good, _ = cast_all(contract, read(contract, "título\nñuño\n\nabcdef\n\x1a".encode("latin-1")))

    assert good == [{"a": "ñuñ", "b": "o"}, {"a": "abc", "b": "def"}]


def test_a_range_of_blanks_is_no_value(tmp_path: Path) -> None:
    columns = [column("a", custom={"position": "1-3"}), column("b", custom={"position": "4-6"})]
    contract = make_contract(tmp_path, "fixed", columns)

    good, _ = cast_all(contract, read(contract, "x     \n   y  \nz\n"))

    assert good == [{"a": "x", "b": None}, {"a": None, "b": "y"}, {"a": "z", "b": None}]


def test_bytes_that_are_no_text_reject_only_their_line(contract: Contract) -> None:
    text = lines("MUNO", "L2026060100001", "L20260602?0002", "T0002").encode()

    batches = read(contract, text.replace(b"?", b"\xff"))

    (rejected,) = [row for batch in batches for row in batch.rejected]
    assert (rejected.row_number, rejected.rule) == (3, "codificacion_invalida")
    assert numbers_of(batches) == [2]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("lost", [b"M\xffOS", b"XDOS"])
def test_records_below_a_lost_one_are_not_taken_for_those_of_the_meter_before(
    contract: Contract, lost: bytes, batch_rows: int
) -> None:
    text = lines(
        "MUNO", "L2026060100001", "?", "L2026060200002", "MTRES", "L2026060300003", "T0003"
    )

    batches = read(contract, text.encode().replace(b"?", lost), batch_rows=batch_rows)

    good, _ = cast_all(contract, batches)
    assert [row["medidor"] for row in good] == ["UNO", None, "TRES"]
    assert [row.row_number for batch in batches for row in batch.rejected] == [3]


def test_compressed_files_are_read_as_they_are(contract: Contract) -> None:
    text = lines("MUNO", "L2026060100001", "T0001").encode()

    good, _ = cast_all(contract, read(contract, compressed(text, "gz"), "f.txt.gz"))

    assert len(good) == 1


def test_an_empty_file_is_an_error(contract: Contract) -> None:
    with pytest.raises(SourceDataError, match="está vacío"):
        read(contract, "")


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ([column("a")], {}, "falta `position`"),
        ([column("a", custom={"position": "5-2"})], {}, "debe ser como '3-14'"),
        ([column("a", custom={"position": "0-2"})], {}, "desde 1"),
        ([column("a", custom={"position": "1-2"})], {"recordType": "L"}, "van juntas"),
        (
            [column("a", custom={"position": "1-2", "record": "M"})],
            {},
            "falta `recordTypePosition`",
        ),
        (
            [column("a", "numeric(5,1)", custom={"position": "1-2", "impliedDecimals": 2})],
            {},
            "no cabe en numeric",
        ),
        (
            [column("a", "text", custom={"position": "1-2", "impliedDecimals": 2})],
            {},
            "solo para numeric",
        ),
        ([column("a", custom={"position": "1-2"})], {"recordLength": 0}, "`recordLength`"),
    ],
)
def test_a_layout_that_cannot_be_followed_is_refused_with_the_contract(
    tmp_path: Path, columns: list[Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        make_contract(tmp_path, "fixed", columns, **options)

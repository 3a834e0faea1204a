"""JSON lines: paths are followed, and a line that is no JSON is set aside as it is."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sources.contract import Contract
from sources.errors import ContractError, DriftError, SourceDataError
from sources.readers import RawBatch, jsonlines, notes_of, open_file
from sources.readers.paths import has_path, leaf_paths, parse_path, value_at
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
    column("medidor_id", source="deviceInfo.deviceName", required=True),
    column("lectura", "numeric(14,3)", source="object.volumen_l"),
    column("rssi_dbm", "integer", source="rxInfo[0].rssi"),
    column("unidad", constant="L"),
]


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "jsonl", COLUMNS)


def read(contract: Contract, content: bytes | str, name: str = "f.jsonl") -> list[RawBatch]:
    path = contract.path.parent / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_all(open_file(contract, feed_file(path), batch_rows=2))


def uplink(meter: str | None, volume: Any = 1, rssi: Any = -97) -> str:
    return json.dumps(
        {"deviceInfo": {"deviceName": meter}, "rxInfo": [{"rssi": rssi}, {"rssi": 0}],
         "object": {"volumen_l": volume}},
        ensure_ascii=False,
    )  # fmt: skip


def test_paths_lead_into_objects_and_lists(contract: Contract) -> None:
    lines = [uplink("M-1", 123456), uplink("Ñ", 7.5, None), '{"deviceInfo": {}, "rxInfo": []}']

    good, rejected = cast_all(contract, read(contract, "\n".join(lines)))

    assert rejected == []
    assert good == [
        {"medidor_id": "M-1", "lectura": Decimal(123456), "rssi_dbm": -97, "unidad": "L"},
        {"medidor_id": "Ñ", "lectura": Decimal("7.5"), "rssi_dbm": None, "unidad": "L"},
        {"medidor_id": None, "lectura": None, "rssi_dbm": None, "unidad": "L"},
    ]


def test_lines_that_are_no_json_are_set_aside_under_their_number(contract: Contract) -> None:
    batches = read(
        contract,
        f'{uplink("M-1")}\n{{"deviceInfo": \n\n{uplink("M-3")}\n[1, 2]\n{uplink("M-5")[:-20]}',
    )

    assert numbers_of(batches) == [1, 3]
    rejected = [row for batch in batches for row in batch.rejected]
    assert [(row.row_number, row.rule, row.reason) for row in rejected] == [
        (2, "linea_malformada", "la línea no es un objeto JSON"),
        (4, "linea_malformada", "la línea no es un objeto JSON"),
        (5, "linea_malformada", "la línea está cortada: el archivo termina en medio de ella"),
    ]
    assert rejected[0].values == {"_linea": '{"deviceInfo": '}
    assert rejected[2].values == {"_linea": uplink("M-5")[:-20]}


def test_bytes_that_are_no_text_reject_only_their_line(contract: Contract) -> None:
    bad = uplink("M-2").encode().replace(b"M-2", b"M-\xf1")

    batches = read(contract, uplink("M-1").encode() + b"\n" + bad + b"\n" + uplink("M-3").encode())

    assert numbers_of(batches) == [1, 3]
    (rejected,) = [row for batch in batches for row in batch.rejected]
    assert rejected.rule == "codificacion_invalida"
    assert '"M-ñ"' in (rejected.values["_linea"] or "")


def test_numbers_of_more_digits_than_a_double_has_are_exact(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "jsonl", [column("n", "numeric(30,12)")])

    good, _ = cast_all(contract, read(contract, '{"n": 123456789012345.123456789012}\n{"n": 5}'))

    assert good == [{"n": Decimal("123456789012345.123456789012")}, {"n": Decimal(5)}]


def test_structures_become_json_text(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "jsonl", [column("ods"), column("extra", "jsonb")])

    good, _ = cast_all(contract, read(contract, '{"ods": [6, 11], "extra": {"ñ": null}}'))

    assert good == [{"ods": "[6,11]", "extra": '{"ñ":null}'}]


def test_the_paths_found_are_told(contract: Contract) -> None:
    path = contract.path.parent / "f.jsonl"
    path.write_text(f'rota\n{uplink("M-1")}\n{{"nuevo": {{"a": 1}}}}\n')

    with open_file(contract, feed_file(path)) as reader:
        assert reader.columns() == (
            "deviceInfo.deviceName", "rxInfo[0].rssi", "object.volumen_l", "nuevo.a",
        )  # fmt: skip


def test_a_file_without_a_required_path_is_another_format(contract: Contract) -> None:
    other = json.dumps({"device": "M-1", "object": {"volumen_l": 1}})

    with pytest.raises(DriftError, match=r"falta la columna deviceInfo\.deviceName"):
        read(contract, "\n".join([other] * 100))
    assert len(rows_of(read(contract, "\n".join([other] * 5)))) == 5


@pytest.mark.parametrize("content", [b"", b"\n  \n"])
def test_an_empty_file_is_refused(contract: Contract, content: bytes) -> None:
    with pytest.raises(SourceDataError, match="está vacío"):
        read(contract, content)


def test_a_compressed_file_that_breaks_off_is_refused(contract: Contract) -> None:
    packed = gzip.compress("\n".join(uplink(f"M-{n}", n) for n in range(20_000)).encode())

    with pytest.raises(SourceDataError, match="está cortado"):
        read(contract, packed[: len(packed) // 2], "f.jsonl.gz")


def test_paths_are_parsed_and_followed() -> None:
    document = {"a": {"b": [{"c": 1}]}, "n": None, "l": [1, 2], "e": {}}

    assert parse_path("a.b[0].c") == ("a", "b", 0, "c")
    assert value_at(document, parse_path("a.b[0].c")) == 1
    assert value_at(document, parse_path("a.b[1].c")) is None
    assert value_at(document, parse_path("l.x")) is None
    assert value_at(document, ()) is document
    assert has_path(document, parse_path("n.x.y"))
    assert not has_path(document, parse_path("a.x"))
    assert list(leaf_paths(document, {"l"})) == ["a.b[0].c", "n", "l", "e"]


# --- compressed files, and lists in place of lines ------------------------------------------------


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst", "lz4", "xz"])
def test_compressed_lines_are_read_and_a_cut_file_is_refused(
    contract: Contract, ending: str
) -> None:
    lines = "\n".join(uplink(f"M-{n}", n) for n in range(5000)).encode()
    whole = compressed(lines, ending)

    assert len(rows_of(read(contract, whole, f"f.jsonl.{ending}"))) == 5000
    with pytest.raises(SourceDataError, match="no se puede leer el archivo"):
        read(contract, whole[: len(whole) // 2], f"f.jsonl.{ending}")


def test_a_file_of_several_gzip_members_is_read_to_the_end(contract: Contract) -> None:
    members = [gzip.compress(f"{uplink(f'M-{n}')}\n".encode()) for n in range(3)]

    assert len(rows_of(read(contract, b"".join(members), "f.jsonl.gz"))) == 3


def array(tmp_path: Path, columns: list[dict[str, Any]] = COLUMNS) -> Contract:
    return make_contract(tmp_path, "jsonl", columns, jsonForm="array")


def test_a_list_of_documents_is_read_element_by_element(tmp_path: Path) -> None:
    documents = [uplink("M-1", 1), uplink("Ñ ]},[{", 2), '"suelto"', uplink("M-4", 4)]

    for content in (f"[{','.join(documents)}]", "[\n  " + " ,\n ".join(documents) + "\n]\n"):
        batches = read(array(tmp_path), content)

        assert [row["medidor_id"] for row in rows_of(batches)] == ["M-1", "Ñ ]},[{", "M-4"]
        assert numbers_of(batches) == [1, 2, 4]
        (rejected,) = [row for batch in batches for row in batch.rejected]
        assert (rejected.row_number, rejected.reason) == (3, "la línea no es un objeto JSON")


def test_a_list_is_read_across_the_blocks_of_a_file(tmp_path: Path) -> None:
    many = f"[{', '.join(uplink(f'Ñ{n}', n) for n in range(20_000))}]"
    assert len(many) > 2 << 20

    rows = rows_of(read(array(tmp_path), many))
    assert [row["medidor_id"] for row in rows] == [f"Ñ{n}" for n in range(20_000)]


@pytest.mark.parametrize(
    "content",
    ['{"a": 1}', '[{"a": 1}', '[{"a": 1}, {"a"', '[{"a": 1} {"a": 2}]', '[{"a": 1},, {"a": 2}]',
     '[{"a": 1}, {"a": x}, {"a": 2}]', "["],
)  # fmt: skip
def test_a_list_that_is_broken_or_cut_is_refused_as_a_whole(tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceDataError, match="lista JSON"):
        read(array(tmp_path), content)


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '[\n{"a": 1},\n{"a": 2}\n]'])
def test_a_list_where_lines_were_declared_says_which_option_to_set(
    contract: Contract, content: str
) -> None:
    with pytest.raises(SourceDataError, match="declare `jsonForm: array`"):
        read(contract, content)


WRAPPED = """{"meta": {"total": 2, "lista": [{"medidor": "no"}]},
 "resp": {"nada": null, "filas": [
   {"medidor": "M-1", "lectura": 1.50}, {"medidor": "M-2"}
 ]}, "fin": true}"""


@pytest.mark.parametrize("block", [1 << 20, 7])
def test_a_list_within_a_document_is_found_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(jsonlines, "_BLOCK", block)
    contract = make_contract(
        tmp_path, "jsonl", [column("medidor")], jsonForm="array", dataPath="resp.filas"
    )

    assert [row["medidor"] for row in rows_of(read(contract, WRAPPED))] == ["M-1", "M-2"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("resp.otras", "no se encuentra 'otras'"),
        ("otra.filas", "no se encuentra 'otra'"),
        ("resp.nada", "no es una lista JSON en resp.nada"),
        ("fin.filas", "no se encuentra 'filas'"),
    ],
)
def test_a_list_that_is_not_where_the_contract_says_is_refused(
    tmp_path: Path, path: str, why: str
) -> None:
    contract = make_contract(tmp_path, "jsonl", COLUMNS, jsonForm="array", dataPath=path)

    with pytest.raises(SourceDataError, match=why):
        read(contract, WRAPPED)


def test_one_document_where_lines_were_declared_says_which_options_to_set(
    contract: Contract,
) -> None:
    with pytest.raises(SourceDataError, match="`dataPath`"):
        read(contract, '{\n "filas": [{"a": 1}]\n}')


def test_names_with_signs_of_a_path_are_quoted() -> None:
    record = {"a.b": 1, "c": {"d[0]": 2, "it's": 3}, "": 4}
    paths = list(leaf_paths(record))

    assert paths == ["['a.b']", "c['d[0]']", "c.it's", "['']"]
    assert [value_at(record, parse_path(path)) for path in paths] == [1, 2, 3, 4]


@pytest.mark.parametrize("wide", [False, True])
def test_numbers_within_structures_stay_the_numbers_they_were(tmp_path: Path, wide: bool) -> None:
    # A declared decimal of many digits has every line decoded exactly.
    columns = [column("g", "jsonb"), column("n", "numeric(30,15)" if wide else "integer")]
    contract = make_contract(tmp_path, "jsonl", columns)
    point = '{"c":[-68.10,1e30],"id":12345678901234567890123,"n":1}'

    [row] = rows_of(read(contract, f'{{"g":{point},"n":1}}\n'))

    assert row["g"].replace("E+", "e") == point


def test_half_a_character_rejects_only_its_own_row(tmp_path: Path) -> None:
    """A system that cuts its texts cuts them within a character; decimals are decoded exactly."""
    columns = [column("n", "numeric(20,2)"), column("t"), column("g", "jsonb")]
    contract = make_contract(tmp_path, "jsonl", columns)
    half, whole = r'"\ud83d"', r'"\ud83d\ude00"'
    lines = (
        f'{{"n":1,"t":{half}}}\n{{"n":2,"g":[{half}]}}\n{{"n":3,"t":{{"x":{half}}}}}\n'
        f'{{"n":4,"t":{whole},"g":{{{half}:{whole}}}}}\n'
    )

    good, rejected = cast_all(contract, read(contract, lines))

    assert [(row.row_number, row.rule) for row in rejected] == [
        (1, "codificacion_invalida"), (2, "tipo_invalido")
    ]  # fmt: skip
    assert [(row["n"], row["t"]) for row in good] == [(3, f'{{"x":{half}}}'), (4, "😀")]
    assert rejected[1].values["g"] == f"[{half}]"


def test_an_object_that_is_null_for_once_is_no_new_column() -> None:
    wanted = {"sub.a", "lista[0].b"}

    assert list(leaf_paths({"sub": None, "lista": [], "otra": None}, wanted)) == ["otra"]
    assert list(leaf_paths({"sub": "x"}, wanted)) == ["sub"]


def test_an_unknown_form_is_an_error_of_the_contract(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "jsonl", COLUMNS, jsonForm="lista")

    with pytest.raises(ContractError, match="`jsonForm` debe ser lines o array"):
        read(contract, "[]")


def test_an_empty_list_is_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match="está vacío"):
        read(array(tmp_path), "[]")


# --- digits ---------------------------------------------------------------------------------------


def test_numbers_keep_every_digit_they_were_written_with(tmp_path: Path) -> None:
    columns = [column("cbu"), column("n", "bigint"), column("d", "numeric(12,2)"),
               column("x", "double precision")]  # fmt: skip
    contract = make_contract(tmp_path, "jsonl", columns)

    good, rejected = cast_all(
        contract,
        read(
            contract,
            '{"cbu": 2850590940090418135201, "n": 9223372036854775807, "d": 1.10, "x": 1.5}\n'
            '{"cbu": 1.10, "n": 9223372036854775808, "d": 1, "x": 1e300}\n'
            '{"cbu": 20304050607, "n": -9223372036854775809, "d": 1, "x": 1}\n'
            '{"cbu": {"a": [1.10]}, "n": 7, "d": 10000000000000000000000.5, "x": 2}\n',
        ),
    )

    assert good == [
        {"cbu": "2850590940090418135201", "n": 2**63 - 1, "d": Decimal("1.10"), "x": 1.5}
    ]
    assert [row.values["cbu"] for row in rejected][:2] == ["1.10", "20304050607"]
    assert [row.values["n"] for row in rejected[:2]] == [
        "9223372036854775808", "-9223372036854775809",
    ]  # fmt: skip
    assert rejected[2].values["d"] == "10000000000000000000000.5"


@pytest.mark.parametrize("wide", [False, True])
def test_a_number_in_a_text_column_is_written_alike_beside_longer_ones(
    tmp_path: Path, wide: bool
) -> None:
    columns = [column("n", "numeric(30,2)" if wide else "integer"), column("t")]
    contract = make_contract(tmp_path, "jsonl", columns)

    good, _ = cast_all(contract, read(contract, '{"n":1,"t":1.5}\n{"n":2,"t":2.250}\n{"n":3}\n'))

    assert [row["t"] for row in good] == ["1.5", "2.250", None]


# --- what the file looks like ---------------------------------------------------------------------


def test_lines_in_another_encoding_are_reported_and_read_as_declared(contract: Contract) -> None:
    path = contract.path.parent / "f.jsonl"
    path.write_bytes("\n".join(uplink(f"Ñandú {n}") for n in range(20)).encode("latin-1"))

    with open_file(contract, feed_file(path)) as reader:
        batches = list(reader.batches())
        (note,) = notes_of(reader)
    assert note == "f.jsonl: el contrato declara la codificación utf-8 y el archivo parece latin-1"
    assert {row.rule for batch in batches for row in batch.rejected} == {"codificacion_invalida"}


UNROLLED = [
    column("medidor", source="dev"),
    column("hora", "timestamptz", source="t0", custom={"step": "PT1H"}),
    column("registro", "numeric(14,3)", source="v0", custom={"adds": "d[].l"}),
    column("litros", "numeric(14,3)", source="d[].l"),
    column("alarma", source="d[].a"),
]


def unrolled(tmp_path: Path, *documents: Any, base: bool = False) -> tuple[list[Any], list[Any]]:
    contract = make_contract(tmp_path, "jsonl", UNROLLED, unrollBase=base)
    return cast_all(contract, read(contract, "\n".join(json.dumps(d) for d in documents)))


def test_a_list_of_measurements_becomes_a_row_each(tmp_path: Path) -> None:
    document = {"dev": "A", "t0": "2026-01-01T22:00:00Z", "v0": 10.5}
    good, rejected = unrolled(
        tmp_path,
        document | {"d": [{"l": 0.1, "a": "x"}, {"l": 2}, {"l": None}, {"l": 1}]},
        document | {"d": []},
        document | {"dev": "B", "d": [{"l": 1}]},
    )

    found = [(row["medidor"], row["hora"].hour, *list(row.values())[2:]) for row in good]
    assert found == [
        ("A", 23, Decimal("10.6"), Decimal("0.1"), "x"),
        ("A", 0, Decimal("12.6"), Decimal(2), None),
        ("A", 1, None, None, None),
        # What the register is after an unknown hour is unknown.
        ("A", 2, None, Decimal(1), None),
        ("B", 23, Decimal("11.5"), Decimal(1), None),
    ]  # fmt: skip
    assert [(row.row_number, row.reason) for row in rejected] == [
        (5, "el documento no trae ningún elemento en d")
    ]


def test_the_base_of_a_list_is_a_row_of_its_own_where_the_contract_says_so(tmp_path: Path) -> None:
    document = {"dev": "A", "t0": "2026-01-01T22:00:00-03:00", "v0": 10}

    good, _ = unrolled(tmp_path, document | {"d": [{"l": 5}]}, document | {"d": []}, base=True)

    assert [(row["hora"].hour, row["registro"], row["litros"]) for row in good] == [
        (1, Decimal(10), None), (2, Decimal(15), Decimal(5)), (1, Decimal(10), None),
    ]  # fmt: skip


@pytest.mark.parametrize("moment", ["ayer", None, 5])
def test_a_base_without_a_usable_time_gives_rows_without_one(tmp_path: Path, moment: Any) -> None:
    good, rejected = unrolled(tmp_path, {"dev": "A", "t0": moment, "v0": 1, "d": [{"l": 1}] * 2})

    assert {row["hora"] for row in good} <= {None}
    assert len(good) + len(rejected) == 2


def test_paths_of_elements_are_told_under_the_contract_s_names(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "jsonl", UNROLLED)
    path = contract.path.parent / "f.jsonl"
    path.write_text('{"dev": "A", "d": [{"l": 1, "nuevo": 2}], "t0": null}\n')

    with open_file(contract, feed_file(path)) as reader:
        assert reader.columns() == ("dev", "d[].l", "d[].nuevo", "t0")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([column("a", source="x[]"), column("b", source="y[]")], "más de una lista"),
        ([column("a", "timestamptz", custom={"step": "PT1H"})], "necesita una columna con"),
        ([column("a", source="x[]"), column("b", custom={"step": "PT1H"})], "timestamptz"),
        ([column("a", "timestamptz", custom={"step": "1 hora"})], "p. ej. PT1H"),
        ([column("a", source="x[].y[]")], "debe nombrar una lista"),
        ([column("a", custom={"position": "1-2"})], "no vale para jsonl"),
    ],
)
def test_a_list_that_cannot_be_unrolled_is_refused_with_the_contract(
    tmp_path: Path, columns: list[Any], words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        make_contract(tmp_path, "jsonl", columns)

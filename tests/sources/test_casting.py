"""Values take the contract's type exactly, or their row is set aside with its reason."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.casting import CastBatch, cast_batch
from sources.city import city_timezone
from sources.contract import Contract
from sources.errors import ContractError, DriftError
from sources.readers import RawBatch, RejectedRow
from tests.sources.reader_support import cast_values, column, make_contract


def cast_one(folder: Path, pg_type: str, values: Any, **settings: Any) -> CastBatch:
    """Cast the values of a contract's only column `c`; its clock is Mendoza's unless told."""
    options = settings.pop("options", {})
    if pg_type.startswith("timestamp"):
        settings.setdefault("timezone", "America/Argentina/Mendoza")
    contract = make_contract(folder, "csv", [column("c", pg_type, **settings)], **options)
    return cast_values(contract, c=values)


def outcome(batch: CastBatch) -> dict[int, Any]:
    """By row number: the value, or the rule under which the row was set aside."""
    found = dict(zip(batch.rows.to_pylist(), batch.good.column("c").to_pylist(), strict=True))
    return dict(sorted((found | {r.row_number: r.rule for r in batch.rejected}).items()))


def values_of(batch: CastBatch) -> list[Any]:
    return list(outcome(batch).values())


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pg_type", "texts", "expected"),
    [
        ("integer", ["5", " 7 ", "", None, "+8", "-0", "5.00", "1e3"],
         [5, 7, None, None, 8, 0, 5, 1000]),
        ("integer", ["2147483647", "2147483648"], [2147483647, "fuera_de_rango"]),
        ("smallint", ["-32768", "-32769"], [-32768, "fuera_de_rango"]),
        ("bigint", ["9223372036854775807", "9223372036854775808"],
         [9223372036854775807, "fuera_de_rango"]),
        ("integer", ["1.5", "0x10", "doce", "1 000", "--1", "1e99"],
         ["fuera_de_rango", "tipo_invalido", "tipo_invalido", "tipo_invalido", "tipo_invalido",
          "fuera_de_rango"]),
        ("numeric(5,2)", ["1.5", ".5", "5.", "1.500", "", "999.99"],
         [Decimal("1.50"), Decimal("0.50"), Decimal("5.00"), Decimal("1.50"), None,
          Decimal("999.99")]),
        ("numeric(5,2)", ["1.005", "1000", "nan", "inf", "1,5", "s/d"],
         ["fuera_de_rango", "fuera_de_rango", "tipo_invalido", "tipo_invalido", "tipo_invalido",
          "tipo_invalido"]),
        ("double precision", ["1.5", "1e300", "NaN", "x"], [1.5, 1e300] + ["tipo_invalido"] * 2),
        ("double precision", ["-1e400", None, "2"], ["fuera_de_rango", None, 2.0]),
    ],
)  # fmt: skip
def test_numbers_written_as_text(
    tmp_path: Path, pg_type: str, texts: list[Any], expected: list[Any]
) -> None:
    assert values_of(cast_one(tmp_path, pg_type, texts)) == expected


@pytest.mark.parametrize(
    ("options", "texts", "expected"),
    [
        ({"decimal": ","}, ["1,5", "7", "1.234"], [Decimal("1.50"), Decimal(7), "tipo_invalido"]),
        ({"decimal": ",", "thousands": "."}, ["1.234,5", "12345,5", "1.23,5"],
         [Decimal("1234.50"), Decimal("12345.50"), "tipo_invalido"]),
        ({"thousands": ","}, ["1,234.5", "1234.5", "1,23"],
         [Decimal("1234.50"), Decimal("1234.50"), "tipo_invalido"]),
    ],
)  # fmt: skip
def test_declared_signs_of_numbers(
    tmp_path: Path, options: dict[str, str], texts: list[str], expected: list[Any]
) -> None:
    assert values_of(cast_one(tmp_path, "numeric(9,2)", texts, options=options)) == expected


@pytest.mark.parametrize(
    ("pg_type", "values", "expected"),
    [
        ("integer", pa.array([1, 2**40], pa.int64()), [1, "fuera_de_rango"]),
        ("integer", pa.array([5.0, 5.5, None]), [5, "fuera_de_rango", None]),
        ("numeric(5,2)", pa.array([0.1, 999.99, 1000.0, float("nan")]),
         [Decimal("0.10"), Decimal("999.99"), "fuera_de_rango", "tipo_invalido"]),
        ("numeric(5,2)", pa.array([7, 1000], pa.int64()), [Decimal("7.00"), "fuera_de_rango"]),
        ("numeric(5,2)", pa.array([Decimal("1.2500000000"), Decimal("1.0050000000")]),
         [Decimal("1.25"), "fuera_de_rango"]),
        ("bigint", pa.array([Decimal("7.00"), Decimal("7.50")]), [7, "fuera_de_rango"]),
        ("double precision", pa.array([1, 2], pa.int64()), [1.0, 2.0]),
        ("integer", pa.array([None, None], pa.null()), [None, None]),
    ],
)  # fmt: skip
def test_numbers_that_come_typed(
    tmp_path: Path, pg_type: str, values: pa.Array[Any], expected: list[Any]
) -> None:
    assert values_of(cast_one(tmp_path, pg_type, values)) == expected


NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-(10**9), max_value=10**9, places=3),
    st.integers(min_value=-(10**45), max_value=10**45).map(Decimal),
)


@settings(max_examples=150, deadline=None)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=6), precision=st.integers(1, 38),
       data=st.data())  # fmt: skip
def test_a_numeric_is_exact_or_rejected(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[Decimal],
    precision: int,
    data: st.DataObject,
) -> None:
    scale = data.draw(st.integers(0, precision))
    folder = tmp_path_factory.mktemp("numeric")

    batch = cast_one(folder, f"numeric({precision},{scale})", [str(n) for n in numbers])

    for number, value in zip(numbers, values_of(batch), strict=True):
        assert value == (number if fits(number, precision, scale) else "fuera_de_rango")


def fits(number: Decimal, precision: int, scale: int) -> bool:
    with localcontext(prec=1000):
        shifted = number.scaleb(scale)
        return shifted == shifted.to_integral_value() and abs(shifted) < 10**precision


@pytest.mark.parametrize(
    ("pg_type", "text"),
    [
        ("numeric(12,3)", "9.9999999999999582835946867918540E-31"),
        ("numeric(38,3)", "9" * 39),
        ("numeric(38,38)", "24.4083070739"),
        ("bigint", "1e-38"),
        ("bigint", "1e-39"),
        ("bigint", "1e400"),
    ],
)
def test_numbers_that_arrow_alone_would_get_wrong(tmp_path: Path, pg_type: str, text: str) -> None:
    assert values_of(cast_one(tmp_path, pg_type, [text, "0"])) == ["fuera_de_rango", 0]


def test_a_typed_decimal_does_not_overflow_on_its_way(tmp_path: Path) -> None:
    wide = pa.array([Decimal("822.71198695515786970428"), Decimal(0)], pa.decimal128(23, 20))

    assert values_of(cast_one(tmp_path, "numeric(38,37)", wide)) == ["fuera_de_rango", 0]


# --- booleans, text and JSON ----------------------------------------------------------------------


def test_booleans_in_the_words_people_use(tmp_path: Path) -> None:
    texts = ["true", "1", "Sí", "si", "S", "t", "FALSE", "0", "no", "N", "f", "", "quizás", "2"]

    assert values_of(cast_one(tmp_path, "boolean", texts)) == [
        *[True] * 6, *[False] * 5, None, "tipo_invalido", "tipo_invalido",
    ]  # fmt: skip
    assert values_of(cast_one(tmp_path, "boolean", pa.array([1, 0, 2]))) == [
        True, False, "tipo_invalido",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pg_type", "expected"),
    [
        ("integer", [5, None, None, None, "tipo_invalido"]),
        ("date", ["tipo_invalido", None, None, None, "tipo_invalido"]),
        ("boolean", ["tipo_invalido", None, None, None, "tipo_invalido"]),
        ("text", ["5", "s/d", " S/D ", "-", "n/d"]),
    ],
)
def test_declared_words_for_no_value_are_null_where_no_text_is_kept(
    tmp_path: Path, pg_type: str, expected: list[Any]
) -> None:
    options = {"missingValues": ["S/D", "-"]}
    texts = ["5", "s/d", " S/D ", "-", "n/d"]
    batch = cast_one(tmp_path, pg_type, texts, options=options)

    assert values_of(batch) == expected
    assert all(row.values["c"] in ("5", "n/d") for row in batch.rejected)


def test_text_is_kept_as_it_came(tmp_path: Path) -> None:
    texts = ["", "  con espacios ", "Ñandú", None, "CaÃ±erÃ­a"]

    assert values_of(cast_one(tmp_path, "text", texts)) == texts


def test_text_that_postgresql_cannot_store_is_set_aside(tmp_path: Path) -> None:
    assert values_of(cast_one(tmp_path, "text", ["a", "b\x00c"])) == ["a", "texto_con_nulo"]


def test_typed_values_in_a_text_column(tmp_path: Path) -> None:
    days = pa.array([date(2026, 6, 1), None])
    moments = pa.array([datetime(2026, 6, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))

    assert values_of(cast_one(tmp_path, "text", days)) == ["2026-06-01", None]
    assert values_of(cast_one(tmp_path, "text", days, format="dd/MM/yyyy")) == ["01/06/2026", None]
    assert values_of(cast_one(tmp_path, "text", moments, format="dd/MM/yyyy")) == ["31/05/2026"]
    assert values_of(cast_one(tmp_path, "text", pa.array([7, 8]))) == ["7", "8"]
    assert values_of(cast_one(tmp_path, "text", pa.array([Decimal("1.50")]))) == ["1.50"]
    assert values_of(cast_one(tmp_path, "text", pa.array([[1, 2]]))) == ["[1,2]"]


def test_json_must_be_json(tmp_path: Path) -> None:
    texts = ['{"a": 1}', "[]", "", None, "{", '"\\u0000"']

    assert values_of(cast_one(tmp_path, "jsonb", texts)) == [
        '{"a": 1}', "[]", None, None, "tipo_invalido", "tipo_invalido",
    ]  # fmt: skip
    assert values_of(cast_one(tmp_path, "jsonb", pa.array([{"a": "ñ"}]))) == ['{"a":"ñ"}']


# --- dates and times ------------------------------------------------------------------------------


@pytest.mark.parametrize("pg_type", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("s"), pa.timestamp("us", "UTC")])
def test_a_file_s_own_days_beyond_the_calendar_are_set_aside(
    tmp_path: Path, pg_type: str, kind: Any
) -> None:
    """A year 0, or 20000, in Parquet: PostgreSQL takes both, and nothing can read them again."""
    days = pa.array([-719_528, None, 6_585_442, 20_000], pa.int32()).cast(pa.date32())

    found = cast_one(tmp_path, pg_type, days.cast(kind))

    # Midnight in UTC is an hour of the day before here.
    late = [4] if pg_type == "date" and kind == pa.timestamp("us", "UTC") else []
    assert [row.row_number for row in found.rejected] == [1, 3, *late]
    assert found.rows.to_pylist() == [n for n in (2, 4) if n not in late]


@pytest.mark.parametrize(
    ("form", "texts", "expected"),
    [
        (None, ["2026-06-30", "2026-06-31", "2026-02-29", "2024-02-29", "30/06/2026", ""],
         [date(2026, 6, 30), "tipo_invalido", "tipo_invalido", date(2024, 2, 29), "tipo_invalido",
          None]),
        (None, ["2026-06-30 00:00:00", "2026-06-30T10:00:00", "0000-00-00", "infinity"],
         [date(2026, 6, 30)] + ["tipo_invalido"] * 3),
        (None, ["0000-05-05", "0001-01-01", None], ["tipo_invalido", date(1, 1, 1), None]),
        ("dd/MM/yyyy", ["01/02/2026", " 01/02/2026", "2026-02-01", "1/2/2026", "31/06/2026",
                        "2026-06-31", "01/02/26", "sin dato"],
         [date(2026, 2, 1)] * 3 + ["tipo_invalido"] * 5),
        ("d/M/yyyy", ["1/2/2026", "01/02/2026", "31/12/2026", "32/1/2026"],
         [date(2026, 2, 1)] * 2 + [date(2026, 12, 31), "tipo_invalido"]),
        ("dd-MM-yy", ["01-02-26", "01-02-2026"], [date(2026, 2, 1), "tipo_invalido"]),
        ("yyyyMMdd", ["20260201", "20261301"], [date(2026, 2, 1), "tipo_invalido"]),
    ],
)  # fmt: skip
def test_dates_written_as_text(
    tmp_path: Path, form: str | None, texts: list[str], expected: list[Any]
) -> None:
    settings_ = {} if form is None else {"format": form}

    assert values_of(cast_one(tmp_path, "date", texts, **settings_)) == expected


UTC_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01T12:00:00Z", UTC_NOON),
        ("2026-06-01 09:00:00", UTC_NOON),
        ("2026-06-01T09:00", UTC_NOON),
        ("2026-06-01 12:00:00+00", UTC_NOON),
        ("2026-06-01 09:00:00 -03:00", UTC_NOON),
        ("2026-06-01T12:00:00.123456789Z", UTC_NOON.replace(microsecond=123456)),
        ("2026-06-01 09:00:00,5", UTC_NOON.replace(microsecond=500000)),
        ("2026-06-01", UTC_NOON.replace(hour=3)),
        ("2026-06-01 24:00:00", "tipo_invalido"),
        ("2026-06-31 10:00:00", "tipo_invalido"),
        ("-infinity", "tipo_invalido"),
        ("12:00", "tipo_invalido"),
    ],
)
def test_times_in_iso_spellings(tmp_path: Path, text: str, expected: Any) -> None:
    alone = values_of(cast_one(tmp_path, "timestamptz", [text]))
    among_others = values_of(
        cast_one(tmp_path, "timestamptz", ["2026-06-01T12:00:00Z", "", text, "x", "2026-06-01"])
    )

    assert alone == [expected]
    assert among_others[2] == expected
    assert among_others[:2] == [UTC_NOON, None]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("dd/MM/yyyy HH:mm:ss", "01/06/2026 09:00:00", UTC_NOON),
        ("dd/MM/yyyy HH:mm:ss", "31/06/2026 09:00:00", "tipo_invalido"),
        ("dd/MM/yyyy HH:mm:ss", "01/06/2026 24:00:00", "tipo_invalido"),
        ("dd/MM/yyyy HH:mm:ss", "01/06/2026 09:00", "tipo_invalido"),
        ("d/M/yyyy H:mm", "1/6/2026 9:00", UTC_NOON),
        ("d/M/yyyy H:mm", "01/06/2026 09:00", UTC_NOON),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2026-06-01T12:00:00.250Z",
         UTC_NOON.replace(microsecond=250000)),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2026-06-01T09:00:00.250-03:00",
         UTC_NOON.replace(microsecond=250000)),
        ("yyyyMMddHHmmss", "20260601090000", UTC_NOON),
    ],
)  # fmt: skip
def test_times_in_a_declared_format(tmp_path: Path, form: str, text: str, expected: Any) -> None:
    assert values_of(cast_one(tmp_path, "timestamptz", [text], format=form)) == [expected]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("d-MMM-yy", "1-ene-26", "2026-01-01"),
        ("d-MMM-yy", "31-DIC.-26", "2026-12-31"),
        ("d-MMM-yy", "02-Sept-26", "2026-09-02"),
        ("d/MMM/yyyy", "7/set/2026", "2026-09-07"),
        ("d 'de' MMMM 'de' yyyy", "29 de Febrero de 2028", "2028-02-29"),
        ("d-MMM-yy", "5-Apr-26", "2026-04-05"),
        ("d-MMM-yy", "30-feb-26", None),
        ("d-MMM-yy", "3-marte-26", None),
    ],
)
def test_months_may_be_named(tmp_path: Path, form: str, text: str, expected: str | None) -> None:
    batch = cast_one(tmp_path, "date", [text], format=form)

    assert [str(value) for value in values_of(batch)] == [expected or "tipo_invalido"]


def test_a_month_s_name_is_read_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="solo sirve para leer"):
        cast_one(tmp_path, "text", [date(2026, 1, 1)], format="d-MMM-yy")


def test_local_times_take_the_zone_of_the_column(tmp_path: Path) -> None:
    texts = ["2026-06-01 12:00:00"]

    in_utc = cast_one(tmp_path, "timestamptz", texts, timezone="UTC")
    contract = make_contract(tmp_path, "csv", [column("c", "timestamptz")])
    in_the_city = cast_values(contract, c=texts)

    assert values_of(in_utc) == [UTC_NOON]
    assert values_of(in_the_city) == [UTC_NOON.replace(tzinfo=city_timezone()).astimezone(UTC)]


def test_local_times_that_a_clock_change_repeats_take_the_earlier_reading(tmp_path: Path) -> None:
    # Madrid set its clocks back on 2025-10-26: 02:30 came first in UTC+2, then in UTC+1.
    batch = cast_one(tmp_path, "timestamptz", ["2025-10-26 02:30:00"], timezone="Europe/Madrid")

    assert values_of(batch) == [datetime(2025, 10, 26, 0, 30, tzinfo=UTC)]


@pytest.mark.parametrize("zone", ["America/Argentina/Mendoza", "Europe/Madrid", "UTC"])
def test_local_times_of_any_span_are_those_of_the_zone(tmp_path: Path, zone: str) -> None:
    # Mendoza changed its clocks for the last time in 2009, Madrid does twice a year.
    for year in (2008, 2009, 2024, 2025):
        local = [datetime(year, month, 1, 12) for month in range(1, 13)]
        array = pa.array([*local, None], pa.timestamp("us"))

        batch = cast_one(tmp_path, "timestamptz", array, timezone=zone)

        expected = [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in local]
        assert values_of(batch) == [*expected, None]


def test_days_are_read_with_and_without_gaps(tmp_path: Path) -> None:
    texts = ["2026-02-28", "", None, " 2026-03-01 ", "2026-02-30"]

    assert values_of(cast_one(tmp_path, "date", texts[:4])) == [
        date(2026, 2, 28), None, None, date(2026, 3, 1),
    ]  # fmt: skip
    assert values_of(cast_one(tmp_path, "date", texts))[4] == "tipo_invalido"


def test_a_timestamp_without_zone_keeps_the_local_clock(tmp_path: Path) -> None:
    texts = ["2026-06-01 09:00:00", "2026-06-01T12:00:00Z"]

    assert values_of(cast_one(tmp_path, "timestamp", texts)) == [datetime(2026, 6, 1, 9)] * 2


@pytest.mark.parametrize(
    ("pg_type", "values", "expected"),
    [
        ("timestamptz", pa.array([datetime(2026, 6, 1, 9)], pa.timestamp("us")), [UTC_NOON]),
        ("timestamptz", pa.array([UTC_NOON], pa.timestamp("ns", tz="UTC")), [UTC_NOON]),
        ("timestamptz", pa.array([date(2026, 6, 1)]), [UTC_NOON.replace(hour=3)]),
        ("timestamp", pa.array([UTC_NOON], pa.timestamp("us", tz="UTC")),
         [datetime(2026, 6, 1, 9)]),
        ("date", pa.array([datetime(2026, 6, 1), datetime(2026, 6, 1, 1)]),
         [date(2026, 6, 1), "tipo_invalido"]),
        ("date", pa.array([date(2026, 6, 1)], pa.date64()), [date(2026, 6, 1)]),
        ("timestamptz", pa.array([2**62], pa.timestamp("s")), ["fuera_de_rango"]),
    ],
)  # fmt: skip
def test_times_that_come_typed(
    tmp_path: Path, pg_type: str, values: pa.Array[Any], expected: list[Any]
) -> None:
    assert values_of(cast_one(tmp_path, pg_type, values)) == expected


@pytest.mark.parametrize("form", ["dd/MMMMM/yyyy", "MM/yyyy", "dd/MM/yyyy mm", "dd/dd/yyyy"])
def test_a_format_that_cannot_be_understood_is_an_error_of_the_contract(
    tmp_path: Path, form: str
) -> None:
    with pytest.raises(ContractError, match="formato de fecha no admitido"):
        cast_one(tmp_path, "date", ["01/06/2026"], format=form)


# --- rows -----------------------------------------------------------------------------------------


def two_columns(folder: Path, **settings: Any) -> Contract:
    return make_contract(
        folder,
        "csv",
        [
            column("id", "integer", source="Nro", key=True),
            column("fecha", "date", **settings),
            column("unidad", constant="m3"),
        ],
    )


def test_a_rejected_row_carries_everything_as_it_came(tmp_path: Path) -> None:
    contract = two_columns(tmp_path)

    batch = cast_values(
        contract, id=["1", "x", "3"], fecha=["2026-06-01", "31/6", ""], unidad=["m3"] * 3
    )

    assert batch.good.schema == contract.arrow_schema
    assert batch.good.to_pylist() == [
        {"id": 1, "fecha": date(2026, 6, 1), "unidad": "m3"},
        {"id": 3, "fecha": None, "unidad": "m3"},
    ]
    assert batch.rows.to_pylist() == [1, 3]
    assert batch.rejected == (
        RejectedRow(
            row_number=2,
            rule="tipo_invalido",
            column="id",
            reason="id: 'x' no es un número entero; "
            "fecha: '31/6' no es una fecha válida (se espera AAAA-MM-DD)",
            values={"id": "x", "fecha": "31/6"},
        ),
    )


def test_a_reason_does_not_tell_what_only_some_may_see(tmp_path: Path) -> None:
    contract = two_columns(tmp_path, classification="sensible")

    (row,) = cast_values(contract, id=["1"], fecha=["secreto"], unidad=["m3"]).rejected

    assert "secreto" not in row.reason
    assert row.values["fecha"] == "secreto"


def test_rows_the_reader_set_aside_stay_in_their_place(tmp_path: Path) -> None:
    contract = two_columns(tmp_path)
    earlier = RejectedRow(2, "linea_malformada", None, "la línea está cortada", {"_linea": "x"})
    data = pa.RecordBatch.from_pydict({"id": ["1", "x"], "fecha": ["", ""], "unidad": ["m3", "m3"]})

    batch = cast_batch(contract, RawBatch(data, pa.array([1, 3]), rejected=(earlier,)))

    assert batch.rows.to_pylist() == [1]
    assert [row.row_number for row in batch.rejected] == [2, 3]


def test_a_batch_of_no_rows_has_the_contracts_schema(tmp_path: Path) -> None:
    contract = two_columns(tmp_path)
    empty = pa.array([], pa.string())

    batch = cast_values(contract, id=empty, fecha=empty, unidad=empty)

    assert (batch.good.num_rows, batch.good.schema) == (0, contract.arrow_schema)


def test_a_column_that_did_not_come_is_drift(tmp_path: Path) -> None:
    with pytest.raises(DriftError, match="faltan columnas en lo leído: fecha"):
        cast_values(two_columns(tmp_path), id=["1"], unidad=["m3"])


@pytest.mark.parametrize("bad", [0, 1, 500, 999, 1000])
def test_the_bad_values_of_a_large_column_are_found_one_by_one(tmp_path: Path, bad: int) -> None:
    places = set(range(0, 1000, max(1, 1000 // bad))) if bad else set()
    texts = ["99999999999" if at in places else str(at) for at in range(1000)]

    batch = cast_one(tmp_path, "integer", texts)

    assert {row.row_number - 1 for row in batch.rejected} == places
    assert batch.good.column("c").to_pylist() == [at for at in range(1000) if at not in places]


def test_dictionary_columns_are_read_like_any_other(tmp_path: Path) -> None:
    values = pa.array(["1", "x", "1"]).dictionary_encode()

    assert values_of(cast_one(tmp_path, "integer", values)) == [1, "tipo_invalido", 1]


def test_counts_from_1970_are_instants(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path,
        "api",
        [
            column("milisegundos", "timestamptz", format="epoch_ms"),
            column("segundos", "timestamp", format="epoch_s"),
            column("dia", "date", format="epoch_ms", timezone="UTC"),
        ],
    )
    cast = cast_values(
        contract,
        milisegundos=[1_700_000_000_123, -1, None, 0, 0, 999_999_999_999_999],
        segundos=["1700000000.5", "", None, "ayer", "0", "0"],
        dia=[1_699_920_000_000, 0, None, 0, 1, 0],
    )

    assert [tuple(row.values()) for row in cast.good.to_pylist()] == [
        (datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
         datetime(2023, 11, 14, 19, 13, 20, 500_000), date(2023, 11, 14)),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC), None, date(1970, 1, 1)),
        (None, None, None),
    ]  # fmt: skip
    assert [(row.row_number, row.column, row.rule) for row in cast.rejected] == [
        (4, "segundos", "tipo_invalido"),
        (5, "dia", "tipo_invalido"),
        (6, "milisegundos", "fuera_de_rango"),
    ]
    assert "se espera epoch_s" in cast.rejected[0].reason

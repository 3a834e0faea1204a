"""Every type of MySQL and MariaDB, by both ways of reading: exactly, or refused in words.

A real MariaDB. `v` is the column in question; each value is written as SQL and stands beside what
the contract's type makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.contract import Contract
from sources.errors import DriftError
from sources.readers import database, open_reader
from sources.readers.arrow import Array
from sources.readers.engines.mysql import Mysql
from sources.urls import SourceUrl
from tests.sources.reader_support import cast_all, column, make_contract
from tests.support.mariadb import MariaDb

pytestmark = pytest.mark.mariadb

Way = Literal["wire", "driver"]
TYPE, RANGE, NUL, ENCODING = (
    "tipo_invalido", "fuera_de_rango", "texto_con_nulo", "codificacion_invalida",
)  # fmt: skip


class Rejected(str):
    """The rule under which a value's row is set aside."""


@pytest.fixture(params=["wire", "driver"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """The way of reading, whatever the size of a table; the test ends with proof it was taken."""
    used: list[bool] = []
    original = Mysql.stream_quickly

    def noted(
        self: Mysql, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]] | None:
        stream = original(self, connection, statement, batch_rows)
        used.append(stream is not None)
        return stream

    monkeypatch.setattr(Mysql, "stream_quickly", noted)
    monkeypatch.setattr(database, "QUICK_ROWS", 1 if request.param == "wire" else 1 << 40)
    yield request.param
    assert all(used) and bool(used) == (request.param == "wire")


def fill(server: MariaDb, kind: str, *values: str, setup: str = "set sql_mode = ''") -> None:
    """A table `t` of one column of that type and these values, numbered from 1."""
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(setup)
        cursor.execute("set time_zone = '-03:00'")
        cursor.execute("drop table if exists t")
        cursor.execute(f"create table t (n int primary key, v {kind})")
        for number, value in enumerate(values, start=1):
            cursor.execute(f"insert into t values ({number}, {value})")


def contract_of(folder: Path, pg_type: str, **settings: Any) -> Contract:
    columns = [column("n", "integer", key=True), column("v", pg_type, **settings)]
    return make_contract(folder, "mysql", columns, table="t")


def read(contract: Contract, server: MariaDb) -> list[Any]:
    """The value of each row, or the rule that keeps the row out, in order."""
    with open_reader(contract, SourceUrl.parse(server.url)) as reader:
        assert reader.source_count() is not None
        good, rejected = cast_all(contract, list(reader.batches()))
    found = {row["n"]: row["v"] for row in good}
    found |= {row.row_number: Rejected(row.rule) for row in rejected}
    assert len(found) == len(good) + len(rejected)
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("tinyint(1)", "boolean", {"1": True, "0": False, "null": None, "2": Rejected(TYPE)}),
        ("tinyint(1)", "smallint", {"-128": -128, "127": 127, "null": None}),
        ("tinyint unsigned", "smallint", {"255": 255}),
        ("smallint", "smallint", {"-32768": -32768, "32767": 32767}),
        ("mediumint unsigned", "integer", {"16777215": 16_777_215}),
        ("int", "integer", {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
        ("int unsigned", "bigint", {"4294967295": 2**32 - 1}),
        ("int unsigned", "integer", {"4294967295": Rejected(RANGE), "7": 7}),
        ("bigint", "bigint", {"-9223372036854775808": -(2**63)}),
        ("bigint unsigned", "numeric(20,0)", {"18446744073709551615": Decimal(2**64 - 1)}),
        ("bigint unsigned", "bigint", {"18446744073709551615": Rejected(RANGE), "7": 7}),
        ("int(5) unsigned zerofill", "integer", {"42": 42}),
        ("int(5) unsigned zerofill", "text", {"42": "00042"}),
        ("bit(1)", "boolean", {"b'1'": True, "b'0'": False, "null": None}),
        ("bit(8)", "smallint", {"b'11111111'": 255, "b'0'": 0}),
        ("bit(64)", "numeric(20,0)", {"18446744073709551615": Decimal(2**64 - 1)}),
        ("bit(64)", "text", {"18446744073709551615": "18446744073709551615"}),
        ("year", "smallint", {"2026": 2026, "1901": 1901, "0": 0, "null": None}),
        ("year", "text", {"2026": "2026", "0": "0000"}),
    ],
)
def test_whole_numbers(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, pg_type: str, values: dict[str, Any]
) -> None:
    fill(mariadb, kind, *values)

    assert read(contract_of(tmp_path, pg_type), mariadb) == list(values.values())


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("decimal(12,3)", "numeric(12,3)",
         {"123456789.123": Decimal("123456789.123"), "-0.001": Decimal("-0.001"), "null": None}),
        ("decimal(12,3)", "numeric(12,2)", {"1.005": Rejected(RANGE), "1.000": Decimal("1.00")}),
        ("decimal(18,9)", "numeric(18,9)",
         {"999999999.999999999": Decimal("999999999.999999999"),
          "-999999999.999999999": Decimal("-999999999.999999999"), "0": Decimal("0E-9"),
          "null": None}),
        ("decimal(18,18)", "numeric(18,18)",
         {"-0.999999999999999999": Decimal("-0.999999999999999999")}),
        ("decimal(18,0)", "numeric(18,0)", {"-999999999999999999": Decimal(1 - 10**18)}),
        ("decimal(18,0)", "bigint", {"999999999999999999": 10**18 - 1}),
        ("decimal(19,0)", "numeric(19,0)", {"-9999999999999999999": Decimal(1 - 10**19)}),
        ("decimal(6,2) unsigned zerofill", "numeric(6,2)", {"1.5": Decimal("1.50")}),
        ("decimal(12,3)", "double precision", {"-0.125": -0.125, "null": None}),
        ("decimal(12,3)", "text", {"1.5": "1.500", "-0.001": "-0.001"}),
        # Beyond a whole number of 64 bits the server writes them.
        ("decimal(28,10)", "numeric(28,10)",
         {"999999999999999999.9999999999": Decimal("999999999999999999.9999999999"),
          "-999999999999999999.9999999999": Decimal("-999999999999999999.9999999999")}),
        ("decimal(29,10)", "numeric(29,10)",
         {"9999999999999999999.9999999999": Decimal("9999999999999999999.9999999999")}),
        ("decimal(12,11)", "numeric(12,11)", {"0.12345678901": Decimal("0.12345678901")}),
        ("decimal(30,15)", "numeric(30,15)",
         {"999999999999999.123456789012345": Decimal("999999999999999.123456789012345")}),
        ("decimal(65,30)", "numeric(38,30)",
         {"1.000000000000000000000000000001": Decimal("1.000000000000000000000000000001"),
          "123456789": Rejected(RANGE)}),
        ("decimal(65,0)", "text", {"9" * 65: "9" * 65}),
        ("double", "double precision", {"0.1": 0.1, "1e300": 1e300, "-0.30000000000000004":
         -0.30000000000000004, "null": None}),
        ("double", "numeric(5,2)", {"0.1": Decimal("0.10"), "0.125": Rejected(RANGE)}),
        ("double", "text", {"0.1": "0.1", "1.5": "1.5"}),
        # What it keeps is -0.0010000000000000009; what it shows counts.
        ("double(10,3)", "numeric(10,3)", {"-0.001": Decimal("-0.001"), "null": None,
         "1234567.891": Decimal("1234567.891")}),
        ("double(20,4)", "text", {"0.1": "0.1000"}),
        ("double(255,30)", "double precision", {"0.5": 0.5}),
        ("decimal(12,2)", "double precision", {"-476807.47": -476807.47, "85889800.07":
         85889800.07}),
        ("bigint", "double precision", {"9223372036854775807": Rejected(RANGE), "7": 7.0}),
        ("float", "numeric(10,2)", {"0.1": Decimal("0.10"), "16777216": Decimal(16_777_216)}),
        ("float", "double precision", {"0.5": 0.5, "16777215": 16_777_215.0, "null": None}),
        ("float", "text", {"1.234567": "1.234567", "0.1": "0.1"}),
    ],
)  # fmt: skip
def test_fractions(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, pg_type: str, values: dict[str, Any]
) -> None:
    fill(mariadb, kind, *values)

    assert read(contract_of(tmp_path, pg_type), mariadb) == list(values.values())


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("date", "date", {"'2026-06-01'": date(2026, 6, 1), "'9999-12-31'": date(9999, 12, 31),
                          "'0001-01-01'": date(1, 1, 1), "null": None}),
        ("date", "date", {"'0000-00-00'": Rejected(TYPE), "'2026-00-00'": Rejected(TYPE),
                          "'2026-06-00'": Rejected(TYPE), "'0000-05-05'": Rejected(TYPE),
                          "'2026-06-01'": date(2026, 6, 1)}),
        ("date", "text", {"'0000-00-00'": "0000-00-00", "'2026-06-01'": "2026-06-01"}),
        ("datetime", "timestamp", {"'2026-06-01 10:00:00'": datetime(2026, 6, 1, 10)}),
        ("datetime(6)", "timestamp",
         {"'2026-06-01 10:00:00.123456'": datetime(2026, 6, 1, 10, 0, 0, 123456),
          "'9999-12-31 23:59:59.999999'": datetime(9999, 12, 31, 23, 59, 59, 999999)}),
        ("datetime", "timestamp", {"'0000-00-00 00:00:00'": Rejected(TYPE),
                                   "'2026-00-00 10:00:00'": Rejected(TYPE), "null": None}),
        # Without a zone of its own: the clock of Mendoza.
        ("datetime(3)", "timestamptz",
         {"'2026-06-01 10:00:00.5'": datetime(2026, 6, 1, 13, 0, 0, 500_000, tzinfo=UTC)}),
        ("datetime", "text", {"'2026-06-01 10:00:00'": "2026-06-01 10:00:00",
                              "'0000-00-00 00:00:00'": "0000-00-00 00:00:00"}),
        # An instant, written here in the session's zone, three hours behind.
        ("timestamp null", "timestamptz",
         {"'2026-06-01 10:00:00'": datetime(2026, 6, 1, 13, tzinfo=UTC), "null": None}),
        ("timestamp(6) null", "timestamp",
         {"'2026-06-01 10:00:00.123456'": datetime(2026, 6, 1, 10, 0, 0, 123456)}),
        ("timestamp null", "timestamptz", {"'0000-00-00 00:00:00'": Rejected(TYPE)}),
        ("timestamp null", "text", {"'2026-06-01 10:00:00'": "2026-06-01 13:00:00+00:00"}),
        ("time", "text", {"'10:00:00'": "10:00:00", "'-01:30:00'": "-01:30:00",
                          "'838:59:59'": "838:59:59", "null": None}),
        ("time(3)", "text", {"'00:00:00.5'": "00:00:00.500"}),
    ],
)  # fmt: skip
def test_dates_and_times(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, pg_type: str, values: dict[str, Any]
) -> None:
    fill(mariadb, kind, *values)

    assert read(contract_of(tmp_path, pg_type), mariadb) == list(values.values())


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("char(5)", "text", {"'ab'": "ab", "''": "", "null": None}),
        ("varchar(20)", "text", {"'Ñandú 🙂 '": "Ñandú 🙂 ", "''": "", "null": None, "' '": " "}),
        ("varchar(20)", "text", {"'a\\0b'": Rejected(NUL), "'a'": "a"}),
        ("varchar(20) character set latin1", "text", {"'Ñandú €'": "Ñandú €", "''": ""}),
        ("char(5) character set latin1", "text", {"'ñá'": "ñá"}),
        ("text", "text", {"'línea 1\\nlínea 2'": "línea 1\nlínea 2", "'\\\\N'": "\\N"}),
        ("text character set latin1", "text", {"'Luján'": "Luján"}),
        ("longtext", "text", {"repeat('ñ🙂', 100000)": "ñ🙂" * 100_000}),
        ("enum('','sí','no')", "text", {"'sí'": "sí", "''": "", "null": None}),
        ("set('agua','gas')", "text", {"'gas,agua'": "agua,gas", "''": "", "null": None}),
        ("json", "jsonb", {"""'{"a": ["ñ"]}'""": '{"a": ["ñ"]}', "null": None}),
        ("json", "text", {"""'{"a":  1}'""": '{"a":  1}'}),
        ("uuid", "text", {"'123e4567-e89b-12d3-a456-426655440000'":
                          "123e4567-e89b-12d3-a456-426655440000"}),
        ("inet6", "text", {"'2001:db8::1'": "2001:db8::1"}),
        ("varchar(20)", "integer", {"'7'": 7, "' 7 '": 7, "''": None, "'siete'": Rejected(TYPE)}),
    ],
)  # fmt: skip
def test_text(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, pg_type: str, values: dict[str, Any]
) -> None:
    fill(mariadb, kind, *values)

    assert read(contract_of(tmp_path, pg_type), mariadb) == list(values.values())


@pytest.mark.parametrize(
    ("kind", "value", "hexadecimal"),
    [
        ("blob", "x'ff00c3b1'", "FF00C3B1"),
        ("varbinary(8)", "'texto'", "746578746F"),
        ("binary(4)", "'ab'", "61620000"),
        ("point", "point(1, 2)", "000000000101000000000000000000F03F0000000000000040"),
    ],
)
def test_octets_come_in_hexadecimal_digits_or_not_at_all(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, value: str, hexadecimal: str
) -> None:
    fill(mariadb, kind, value)

    with pytest.raises(DriftError, match="la columna v de la tabla t ") as held:
        read(contract_of(tmp_path, "text"), mariadb)

    assert f"es de tipo {kind}, que no es texto" in str(held.value)
    assert "Responsable: Secretaría de Prueba" in str(held.value)
    assert read(contract_of(tmp_path, "text", format="hex"), mariadb) == [hexadecimal]


@pytest.mark.parametrize(
    ("kind", "pg_type", "value", "written"),
    [
        ("decimal(12,3)", "numeric(12,3)", "0.5", "0.500"),
        ("int(6) unsigned zerofill", "integer", "7", "7"),
        ("bigint unsigned", "numeric(20,0)", "18446744073709551615", "18446744073709551615"),
        ("float", "double precision", "0.1", "0.1"),
        ("double", "double precision", "1e308", "1e+308"),
        ("double(10,3)", "double precision", "-0.001", "-0.001"),
        ("date", "date", "'2026-06-01'", "2026-06-01"),
        ("datetime", "timestamp", "'2026-06-01 10:00:00'", "2026-06-01 10:00:00"),
        ("datetime(1)", "timestamp", "'2026-06-01 10:00:00.5'", "2026-06-01 10:00:00.500"),
        ("datetime(4)", "timestamp", "'2026-06-01 10:00:00.5'", "2026-06-01 10:00:00.500000"),
        ("datetime(6)", "timestamp", "'2026-06-01 10:00:00.000001'", "2026-06-01 10:00:00.000001"),
        ("timestamp null", "timestamptz", "'2026-06-01 10:00:00'", "2026-06-01 13:00:00Z"),
        ("timestamp(2) null", "timestamptz", "'2026-06-01 10:00:00'", "2026-06-01 13:00:00.000Z"),
    ],
)
def test_both_ways_keep_a_rejected_row_in_the_same_words(
    tmp_path: Path, mariadb: MariaDb, way: Way, kind: str, pg_type: str, value: str, written: str
) -> None:
    """What goes to quarantine is known again by its text, whichever way it came."""
    fill(mariadb, kind, value)
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("alter table t add mal varchar(9) default 'mal'")
    columns = [column("n", "integer", key=True), column("v", pg_type), column("mal", "integer")]
    contract = make_contract(tmp_path, "mysql", columns, table="t")

    with open_reader(contract, SourceUrl.parse(mariadb.url)) as reader:
        _, (rejected,) = cast_all(contract, list(reader.batches()))

    assert rejected.values == {"n": "1", "v": written, "mal": "mal"}


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
_LATIN = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)
_ODD_TIMES = ["0000-00-00", "2026-00-00", "2026-06-00", "0000-05-05", "1000-01-01", "9999-12-31"]


def _times(digits: int) -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(_ODD_TIMES),
        st.datetimes(datetime(1000, 1, 1)).map(lambda at: f"{at:%Y-%m-%d %H:%M:%S.%f}"[:20+digits]),
    )  # fmt: skip


# As columns are declared at the source and in the contract, and what may stand in them.
ANYTHING: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("tinyint(3) unsigned zerofill", "integer"): st.integers(0, 255),
    ("mediumint", "integer"): st.integers(-(2**23), 2**23 - 1),
    ("bigint", "double precision"): st.integers(-(2**63), 2**63 - 1),
    ("bigint unsigned", "numeric(20,0)"): st.integers(0, 2**64 - 1),
    ("bit(64)", "bigint"): st.integers(0, 2**64 - 1),
    ("decimal(18,4)", "numeric(18,2)"): st.decimals(-(10**13), 10**13, places=4),
    ("decimal(65,30)", "text"): st.decimals(-(10**30), 10**30, places=30),
    ("decimal(30,9)", "double precision"): st.decimals(-(10**18), 10**18, places=9),
    ("float", "double precision"): st.floats(width=32, allow_nan=False, allow_infinity=False),
    ("double", "numeric(38,10)"): st.floats(allow_nan=False, allow_infinity=False),
    ("double(12,3)", "numeric(12,3)"): st.floats(-1e8, 1e8),
    ("date", "date"): _times(0).map(lambda text: text[:10]),
    ("datetime", "timestamp"): _times(0),
    ("datetime(1)", "text"): _times(1),
    ("datetime(4)", "timestamp"): _times(4),
    ("timestamp(2) null", "timestamp"): st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1)),
    ("time(6)", "text"): st.sampled_from(["-838:59:59.999999", "00:00:00.5", "838:59:59"]),
    ("year", "smallint"): st.sampled_from([0, 1901, 2155]),
    ("varchar(60)", "text"): _TEXTS,
    ("varchar(60) character set utf16", "integer"): _TEXTS,
    ("char(30) character set latin1", "text"): _LATIN,
    ("mediumtext", "text"): st.builds(str.__mul__, _TEXTS, st.sampled_from([1, 9, 2_000])),
    ("enum('a','ñ','')", "text"): st.sampled_from(["a", "ñ", "", "otra"]),
    ("set('a','b')", "text"): st.sampled_from(["b,a", "", "c,b"]),
    ("json", "jsonb"): st.sampled_from(['{"a": 1.50}', "[]", '"ñ"']),
}


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), kinds=st.lists(st.sampled_from(sorted(ANYTHING)), min_size=1, max_size=18))
def test_both_ways_give_the_same_whatever_comes(
    tmp_path: Path, mariadb: MariaDb, data: st.DataObject, kinds: list[tuple[str, str]]
) -> None:
    rows = data.draw(
        st.lists(st.tuples(*(st.none() | ANYTHING[kind] for kind in kinds)), max_size=12)
    )
    declared = ", ".join(f"c{at} {kind}" for at, (kind, _) in enumerate(kinds))
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set sql_mode = ''")
        cursor.execute("drop table if exists t")
        cursor.execute(f"create table t (n int primary key auto_increment, {declared})")
        places = ", ".join(["%s"] * (len(kinds) + 1))
        cursor.executemany(f"insert into t values ({places})", [(None, *row) for row in rows])
    columns = [column(f"c{at}", pg_type) for at, (_, pg_type) in enumerate(kinds)]
    contract = make_contract(
        tmp_path, "mysql", [column("n", "integer", key=True), *columns], table="t", fetchRows=5
    )

    found = []
    for enough in (1, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "QUICK_ROWS", enough)
            with open_reader(contract, SourceUrl.parse(mariadb.url)) as reader:
                batches = list(reader.batches())
        good, rejected = cast_all(contract, batches)
        found.append((repr(good), [(row.row_number, row.rule, row.values) for row in rejected]))
        assert len(good) + len(rejected) == len(rows)

    assert found[0] == found[1]


def test_times_kept_as_before_mariadb_10_1_are_read_by_both_ways(
    tmp_path: Path, mariadb: MariaDb, way: Way
) -> None:
    """The server writes `timestamp(6) /* mariadb-5.3 */` for them."""
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set global mysql56_temporal_format = 0")
        try:
            fill(mariadb, "timestamp(6) null", "'2026-06-01 10:00:00.123456'", "null")
            cursor.execute("alter table t add d datetime(3) default '2026-06-01 10:00:00.5'")
        finally:
            cursor.execute("set global mysql56_temporal_format = 1")

    moment = datetime(2026, 6, 1, 13, 0, 0, 123456, tzinfo=UTC)
    assert read(contract_of(tmp_path, "timestamptz"), mariadb) == [moment, None]
    contract = contract_of(tmp_path, "timestamp", source="d")
    assert read(contract, mariadb) == [datetime(2026, 6, 1, 10, 0, 0, 500_000)] * 2


def test_a_year_zero_is_no_year_where_nothing_was_looked_for(
    tmp_path: Path, mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table that only the driver can be asked for."""
    fill(mariadb, "datetime(1)", "'0000-05-05 10:00:00'", "'2026-06-01 10:00:00.5'")
    monkeypatch.setattr(Mysql, "doubt", lambda *_: None)

    assert read(contract_of(tmp_path, "timestamp"), mariadb) == [
        Rejected(TYPE), datetime(2026, 6, 1, 10, 0, 0, 500_000)
    ]  # fmt: skip


def test_declared_types_are_told_as_the_source_writes_them(
    tmp_path: Path, mariadb: MariaDb
) -> None:
    fill(mariadb, "decimal(12,3) unsigned not null", "1.5")
    contract = contract_of(tmp_path, "numeric(12,3)")

    with open_reader(contract, SourceUrl.parse(mariadb.url)) as reader:
        assert isinstance(reader, database.DatabaseReader)
        assert reader.source_types() == {"n": "int(11)", "v": "decimal(12,3) unsigned"}


def test_a_single_column_of_nulls(tmp_path: Path, mariadb: MariaDb, way: Way) -> None:
    fill(mariadb, "decimal(12,3)", "null", "null")

    assert read(contract_of(tmp_path, "numeric(12,3)"), mariadb) == [None, None]


def test_a_column_of_unknown_type_is_left_to_the_driver(
    tmp_path: Path, mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(mariadb, "datetime", "'2026-06-01 10:00:00'")
    monkeypatch.setattr(database, "QUICK_ROWS", 1)
    monkeypatch.setattr(Mysql, "_declared", lambda self, connection, table: {})

    assert read(contract_of(tmp_path, "timestamp"), mariadb) == [datetime(2026, 6, 1, 10)]

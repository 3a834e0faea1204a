"""Every type of PostgreSQL: exactly, as text by contract, or its row set aside.

A real PostgreSQL. `v` is the column in question; each value is written as SQL and stands beside
what the contract's type makes of it. Where a type has no counterpart of its own the contract
declares text, and gets what the server writes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sources.contract import Contract
from sources.readers import open_reader
from sources.readers.database import DatabaseReader
from sources.urls import SourceUrl
from tests.sources.reader_support import cast_all, column, make_contract

TYPE, RANGE = "tipo_invalido", "fuera_de_rango"


class Rejected(str):
    """The rule under which a value's row is set aside."""


def contract_of(folder: Path, pg_type: str, **settings: Any) -> Contract:
    columns = [column("n", "integer", key=True), column("v", pg_type, **settings)]
    return make_contract(folder, "postgresql", columns, table="t")


def fill(pg: psycopg.Connection[Any], kind: str, *values: str) -> None:
    """A table `t` of one column of that type and these values, numbered from 1."""
    pg.execute(f"create table t (n int primary key, v {kind})".encode())
    for number, value in enumerate(values, start=1):
        pg.execute(f"insert into t values ({number}, {value})".encode())


def read(contract: Contract, address: str) -> list[Any]:
    """The value of each row, or the rule that keeps the row out, in order."""
    with open_reader(contract, SourceUrl.parse(address)) as reader:
        assert reader.source_count() is not None
        good, rejected = cast_all(contract, list(reader.batches()))
    found = {row["n"]: row["v"] for row in good}
    found |= {row.row_number: Rejected(row.rule) for row in rejected}
    assert len(found) == len(good) + len(rejected)
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("smallint", "smallint", {"-32768": -32768, "null": None}),
        ("integer", "integer", {"2147483647": 2**31 - 1}),
        ("bigint", "bigint", {"-9223372036854775808": -(2**63)}),
        ("bigint", "integer", {"2147483648": Rejected(RANGE), "1": 1}),
        ("numeric(12,3)", "numeric(12,3)", {"123456789.123": Decimal("123456789.123"),
                                            "-0.001": Decimal("-0.001"), "null": None}),
        ("numeric(38,20)", "numeric(38,20)",
         {"123456789012345678.12345678901234567890":
          Decimal("123456789012345678.12345678901234567890")}),
        ("numeric(5,-2)", "integer", {"12345": 12300}),
        ("numeric(2,4)", "numeric(4,4)", {"0.0012": Decimal("0.0012")}),
        ("numeric", "numeric(16,2)", {"'NaN'": Rejected(TYPE), "'Infinity'": Rejected(TYPE),
                                      "1.005": Rejected(RANGE), "1.50": Decimal("1.50")}),
        ("numeric", "text", {"'NaN'": "NaN", "1e40": "1" + "0" * 40, "1.500": "1.500",
                             "1e-20": "0.00000000000000000001"}),
        # Each with its own digits, as the server writes it; none with an exponent.
        ("numeric", "text", {"190.920": "190.920", "1.5": "1.5", "0.00000000": "0.00000000"}),
        ("numeric(10,8)", "text", {"0.00000062": "0.00000062", "0": "0.00000000", "null": None}),
        ("numeric(12,2)", "double precision", {"-476807.47": -476807.47,
                                               "85889800.07": 85889800.07}),
        ("real", "numeric(10,2)", {"0.1": Decimal("0.10"), "null": None}),
        ("real", "text", {"0.1": "0.1", "1.234567": "1.234567"}),
        ("double precision", "double precision", {"0.1": 0.1, "1e300": 1e300, "null": None}),
        ("double precision", "numeric(5,2)", {"0.1": Decimal("0.10"), "'NaN'": Rejected(TYPE)}),
        ("boolean", "boolean", {"true": True, "false": False, "null": None}),
        ("money", "text", {"'1234.50'::numeric": "$1,234.50"}),
        ("oid", "bigint", {"4294967295": 2**32 - 1}),
    ],
)  # fmt: skip
def test_numbers(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any],
    kind: str, pg_type: str, values: dict[str, Any],
) -> None:  # fmt: skip
    pg.execute("set lc_monetary = 'C'")
    fill(pg, kind, *values)

    found = read(contract_of(tmp_path, pg_type), database)

    assert found == list(values.values())


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("date", "date", {"'2026-06-01'": date(2026, 6, 1), "'9999-12-31'": date(9999, 12, 31),
                          "'infinity'": Rejected(TYPE), "'0044-03-15 BC'": Rejected(TYPE),
                          "'10000-01-01'": Rejected(TYPE), "null": None}),
        ("date", "text", {"'infinity'": "infinity", "'0044-03-15 BC'": "0044-03-15 BC"}),
        ("timestamp", "timestamp",
         {"'2026-06-01 10:00:00.123456'": datetime(2026, 6, 1, 10, 0, 0, 123456),
          "'-infinity'": Rejected(TYPE), "null": None}),
        ("timestamp(0)", "timestamptz",
         {"'2026-06-01 10:00:00'": datetime(2026, 6, 1, 13, tzinfo=UTC)}),
        ("timestamptz", "timestamptz",
         {"'2026-06-01 10:00:00-03'": datetime(2026, 6, 1, 13, tzinfo=UTC),
          "'infinity'": Rejected(TYPE), "'0044-03-15 00:00:00+00 BC'": Rejected(TYPE)}),
        ("timestamptz", "timestamp",
         {"'2026-06-01 13:00:00+00'": datetime(2026, 6, 1, 10)}),
        ("time", "text", {"'10:00:00.5'": "10:00:00.5"}),
        ("timetz", "text", {"'10:00:00-03'": "10:00:00-03"}),
        ("interval", "text", {"'1 year 2 days -03:00'": "1 year 2 days -03:00:00"}),
    ],
)  # fmt: skip
def test_dates_and_times(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any],
    kind: str, pg_type: str, values: dict[str, Any],
) -> None:  # fmt: skip
    fill(pg, kind, *values)

    assert read(contract_of(tmp_path, pg_type), database) == list(values.values())


@pytest.mark.parametrize(
    ("kind", "pg_type", "values"),
    [
        ("text", "text", {"'Ñandú 🙂'": "Ñandú 🙂", "''": "", "null": None, "E'a\\tb\\n\\\\.'":
                          "a\tb\n\\."}),
        ("varchar(5)", "text", {"'ab '": "ab "}),
        ("char(5)", "text", {"'ab'": "ab   "}),
        ('"char"', "text", {"'x'": "x"}),
        ("name", "text", {"'obras'": "obras"}),
        ("uuid", "text", {"'123e4567-e89b-12d3-a456-426655440000'":
                          "123e4567-e89b-12d3-a456-426655440000"}),
        ("json", "text", {"""'{"a":  1}'""": '{"a":  1}'}),
        ("jsonb", "jsonb", {"""'{"b": [1, null], "a": "ñ"}'""": '{"a": "ñ", "b": [1, null]}',
                            "null": None}),
        ("integer[]", "text", {"'{1,null,3}'": "{1,NULL,3}", "'{{1,2},{3,4}}'": "{{1,2},{3,4}}",
                               "'{}'": "{}"}),
        ("text[]", "text", {"""array['a,b', 'c"d', '']""": '{"a,b","c\\"d",""}'}),
        ("int4range", "text", {"'[1,5)'": "[1,5)", "'empty'": "empty"}),
        ("tstzrange", "text", {"'[2026-06-01 10:00:00-03,)'": '["2026-06-01 13:00:00+00",)'}),
        ("inet", "text", {"'10.0.0.1/24'": "10.0.0.1/24"}),
        ("bit(4)", "text", {"b'0101'": "0101"}),
        ("bytea", "text", {"'\\xff00'": "\\xff00"}),
        ("tsvector", "text", {"'obra plaza'": "'obra' 'plaza'"}),
        ("point", "text", {"'(1,2)'": "(1,2)"}),
        ("estado", "text", {"'en ejecución'": "en ejecución", "null": None}),
        ("monto", "numeric(12,2)", {"1.50": Decimal("1.50")}),
        ("domicilio", "text", {"row('San Martín', 12)": '("San Martín",12)'}),
        ("hstore", "text", {"""'a=>1, b=>NULL'""": '"a"=>"1", "b"=>NULL'}),
    ],
)  # fmt: skip
def test_text_and_what_comes_as_text(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any],
    kind: str, pg_type: str, values: dict[str, Any],
) -> None:  # fmt: skip
    pg.execute("create extension hstore")
    pg.execute("create type estado as enum ('planificado', 'en ejecución')")
    pg.execute("create domain monto as numeric(12,2) check (value >= 0)")
    pg.execute("create type domicilio as (calle text, numero int)")
    fill(pg, kind, *values)

    assert read(contract_of(tmp_path, pg_type), database) == list(values.values())


def test_octets_come_as_their_digits_alone_where_the_format_says_so(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    fill(pg, "bytea", "'\\xff00'", "'\\x'", "null")

    assert read(contract_of(tmp_path, "text", format="hex"), database) == ["FF00", "", None]


def test_a_database_in_latin_1_is_read_in_utf_8(
    tmp_path: Path, database: str, new_database: Callable[[], str], pg: psycopg.Connection[Any]
) -> None:
    address = new_database()
    name = address.rpartition("/")[2].partition("?")[0]
    pg.execute(f"drop database {name}".encode())
    pg.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0".encode())
    with psycopg.connect(address, autocommit=True, client_encoding="utf8") as latin:
        fill(latin, "varchar(20)", "'Luján, ñandú'", "'5 º'", "''")

    assert read(contract_of(tmp_path, "text"), address) == ["Luján, ñandú", "5 º", ""]


def test_declared_types_are_told_as_the_source_writes_them(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    fill(pg, "numeric(12,3)[]")
    pg.execute("alter table t add momento timestamptz(3), add nota varchar(8)")

    with open_reader(contract_of(tmp_path, "text"), SourceUrl.parse(database)) as reader:
        assert isinstance(reader, DatabaseReader)
        assert reader.source_types() == {
            "n": "integer",
            "v": "numeric(12,3)[]",
            "momento": "timestamp(3) with time zone",
            "nota": "character varying(8)",
        }

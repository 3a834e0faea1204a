"""SQL Server: every type exactly, in one snapshot, and failures say what to do.

Most tests run twice: against the protocol's server in `tests/support/tds.py`, through the real
driver, where the statement is checked and the answer is what SQL Server documents for it; and
against a real SQL Server where `MSSQL_TEST_URL` names one (mssql://user:password@host/database; the
user needs CREATE TABLE). The expectations are the same.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pymssql
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import DriftError, SourceDataError, SourceUnavailable
from sources.landing import LoadContext, LoadReport, load
from sources.readers import ReaderOptions, open_reader
from sources.readers.database import build_query
from sources.readers.engines import SourceColumn
from sources.readers.engines.sqlserver import SqlServer
from sources.urls import SourceUrl
from tests.sources.reader_support import (
    cast_all,
    column,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)
from tests.support import tds
from tests.support.tds import Result, ServerError, TdsServer, WireType

REAL_URL = os.environ.get("MSSQL_TEST_URL", "")
INCREMENTAL = {"loadMode": "incremental", "cursor": "actualizado_en", "lookback": "P3D"}


# --- sources: the protocol's server, and a real one -----------------------------------------------


class Cell(NamedTuple):
    """A value as T-SQL writes it, and as the server answers the expression that is selected."""

    literal: str
    sent: Any


class Field(NamedTuple):
    """A column as the table declares it, and the type of the expression that is selected."""

    name: str
    declared: str
    wire: WireType


class Source(Protocol):
    url: SourceUrl

    def table(self, name: str, fields: Sequence[Field], rows: Sequence[Sequence[Cell]]) -> str:
        """Make a table with these rows, in place of one of that name; gives its full name."""
        ...


@dataclass
class TdsSource:
    server: TdsServer

    @property
    def url(self) -> SourceUrl:
        return SourceUrl.parse(self.server.url)

    def table(self, name: str, fields: Sequence[Field], rows: Sequence[Sequence[Cell]]) -> str:
        sent = [tuple(cell.sent for cell in row) for row in rows]
        serve_table(self.server, name, fields, sent)
        return f"dbo.{name}"


@dataclass
class RealSource:
    url: SourceUrl
    made: dict[str, str] = field(default_factory=dict)

    def table(self, name: str, fields: Sequence[Field], rows: Sequence[Sequence[Cell]]) -> str:
        real = self.made.setdefault(name, f"prueba_{uuid.uuid4().hex[:12]}")
        columns = ", ".join(f"[{f.name}] {f.declared} null" for f in fields)
        self.run(f"drop table if exists dbo.{real}", f"create table dbo.{real} ({columns})")
        for row in rows:
            self.run(f"insert into dbo.{real} values ({', '.join(c.literal for c in row)})")
        return f"dbo.{real}"

    def run(self, *statements: str) -> None:
        with (
            pymssql.connect(
                server=self.url.host,
                port=str(self.url.port or 1433),
                user=self.url.user,
                password=self.url.password,
                database=self.url.database,
                autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture
def server() -> Iterator[TdsServer]:
    with TdsServer() as running:
        running.answer(r"snapshot_isolation_state", Result([("s", tds.TINYINT)], [(1,)]))
        yield running
    assert running.failures == []


@pytest.fixture(params=["tds", "real"])
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    if request.param == "tds":
        yield TdsSource(request.getfixturevalue("server"))
        return
    if not REAL_URL:
        pytest.skip("MSSQL_TEST_URL names no SQL Server")
    real = RealSource(SourceUrl.parse(REAL_URL))
    yield real
    real.run(*(f"drop table if exists dbo.{name}" for name in real.made.values()))


def serve_table(
    server: TdsServer, name: str, fields: Sequence[Field], rows: Sequence[Sequence[Any]]
) -> None:
    """Answer what a reader asks of one table: its columns, its catalogue, its count, its rows."""
    table = rf"FROM \[dbo\]\.\[{name}\]"
    by_name = {f.name: at for at, f in enumerate(fields)}

    def selected(statement: str) -> Result:
        labels = re.findall(r" AS \[?(\w+)\]?(?=,|\s+FROM)", statement)
        at = [by_name[label] for label in labels]
        return Result(
            [(fields[i].name, fields[i].wire) for i in at],
            [[row[i] for i in at] for row in since(statement)],
        )

    def since(statement: str) -> list[Sequence[Any]]:
        """Rows from the moment in the statement on, as the server would find them."""
        found = re.search(r"\[(\w+)\] >= CAST\(N'([^']+)' AS DATETIMEOFFSET", statement)
        if not found:
            return list(rows)
        moment = dt.datetime.fromisoformat(found[2]).astimezone(dt.UTC)
        at = by_name[found[1]]
        return [row for row in rows if row[at] is None or _instant(row[at]) >= moment]

    def counted(statement: str) -> Result:
        kept = since(statement)
        summed = re.findall(r"sum\(CAST\([^)]*\[(\w+)\] AS", statement)
        sums = [sum((_number(row[by_name[c]]) for row in kept), Decimal(0)) for c in summed]
        columns = [("n", tds.INT), *((c, tds.numeric(38, 4)) for c in summed)]
        return Result(columns, [(len(kept), *sums)])

    server.answer(table, selected)
    server.answer(rf"select \* {table}", Result([(f.name, f.wire) for f in fields]))
    server.answer(
        rf"sys\.columns.*\[dbo\]\.\[{name}\]",
        Result(
            [("name", tds.nvarchar(128)), ("is_nullable", tds.BIT), ("kind", tds.nvarchar(128)),
             ("max_length", tds.SMALLINT), ("precision", tds.TINYINT), ("scale", tds.TINYINT)],
            [(f.name, 1, *_catalogued(f.declared)) for f in fields],
        ),
    )  # fmt: skip
    server.answer(rf"select count\(\*\).*{table}", counted)


def _catalogued(declared: str) -> tuple[str, int, int, int]:
    """A declared type as `sys.columns` has it: name, bytes, precision, scale."""
    name, *arguments = re.findall(r"\w+", declared.partition(" collate ")[0])
    if arguments == ["max"] or name == "xml":
        return name, -1, 0, 0
    numbers = [int(argument) for argument in arguments]
    if name in ("decimal", "numeric"):
        return name, 17, numbers[0], numbers[1]
    if name in ("time", "datetime2", "datetimeoffset"):
        return name, 10, 0, numbers[0]
    size = numbers[0] if numbers else 8
    return name, size * 2 if name in ("nchar", "nvarchar") else size, 0, 0


def _instant(sent: tuple[dt.date, int, int]) -> dt.datetime:
    start = dt.datetime.combine(sent[0], dt.time(), dt.UTC)
    return start + dt.timedelta(microseconds=sent[1] // 10)


def _number(sent: Any) -> Decimal:
    return Decimal(sent.decode() if isinstance(sent, bytes) else sent or 0)


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def hundreds_of_ns(clock: str) -> int:
    """`10:00:00.1234567` in hundreds of nanoseconds."""
    whole, _, fraction = clock.partition(".")
    hours, minutes, seconds = map(int, whole.split(":"))
    return (hours * 3600 + minutes * 60 + seconds) * 10**7 + int(fraction.ljust(7, "0") or 0)


NULL = Cell("null", None)


# --- values ---------------------------------------------------------------------------------------


class Rejected(NamedTuple):
    rule: str


class Case(NamedTuple):
    """A value of a declared type, read into a contract's type: what is asked for, what arrives."""

    declared: str
    literal: str
    pg_type: str
    asked: str
    wire: WireType
    sent: Any
    arrives: Any


DAY = dt.date(2026, 6, 1)
ITSELF = "{c}"
DIGITS = "convert(VARBINARY(41), convert(VARCHAR(41), {c}))"
MONEY = "convert(VARBINARY(22), convert(VARCHAR(22), {c}, 2))"
CLOCK = "convert(VARBINARY(34), convert(VARCHAR(34), {c}, 121))"
UNICODE_10 = "convert(VARBINARY(20), {c})"
LATIN_10 = "convert(VARBINARY(20), convert(NVARCHAR(10), {c}))"
LONG = "convert(VARBINARY(max), {c})"
LONG_LATIN = "convert(VARBINARY(max), convert(NVARCHAR(max), {c}))"
HEX_10 = "convert(VARBINARY(22), convert(VARCHAR(22), {c}, 1))"
LONG_HEX = "convert(VARBINARY(max), convert(VARCHAR(max), convert(VARBINARY(max), {c}), 1))"
GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
LATIN = "collate Modern_Spanish_CI_AS"
V41, V34, V22, V20 = (tds.varbinary(size) for size in (41, 34, 22, 20))
VMAX = tds.varbinary("max")
PRECISE = "convert(datetime2(7), '2026-06-01 10:00:00.1234567')"
LAST = "convert(datetime2(7), '9999-12-31 23:59:59.9999999')"
OFFSET = "convert(datetimeoffset(7), '2026-06-01 10:00:00.1234567 -03:00')"

CASES = {
    "bigint": Case("bigint", "-9223372036854775808", "bigint", ITSELF, tds.BIGINT, -(2**63),
                   -(2**63)),
    "int": Case("int", "2147483647", "integer", ITSELF, tds.INT, 2**31 - 1, 2**31 - 1),
    "smallint": Case("smallint", "-32768", "smallint", ITSELF, tds.SMALLINT, -32768, -32768),
    "tinyint": Case("tinyint", "255", "smallint", ITSELF, tds.TINYINT, 255, 255),
    "bit": Case("bit", "0", "boolean", ITSELF, tds.BIT, 0, False),
    "decimal of 38 digits": Case(
        "decimal(38,20)", "-123456789012345678.12345678901234567891", "numeric(38,20)", DIGITS,
        V41, b"-123456789012345678.12345678901234567891",
        Decimal("-123456789012345678.12345678901234567891")),
    "decimal without places": Case("numeric(38,0)", "9" * 38, "numeric(38,0)", DIGITS, V41,
                                   b"9" * 38, Decimal("9" * 38)),
    "small decimal as text": Case("decimal(18,9)", "0.000000001", "text", DIGITS, V41,
                                  b"0.000000001", "0.000000001"),
    "money": Case("money", "-922337203685477.5808", "numeric(19,4)", MONEY, V22,
                  b"-922337203685477.5808", Decimal("-922337203685477.5808")),
    "money as text": Case("money", "0.1", "text", MONEY, V22, b"0.1000", "0.1000"),
    "smallmoney": Case("smallmoney", "214748.3647", "numeric(10,4)", MONEY, V22, b"214748.3647",
                       Decimal("214748.3647")),
    "float": Case("float", "0.1", "double precision", ITSELF, tds.FLOAT, 0.1, 0.1),
    "float of 17 digits": Case("float", "1.7976931348623157E308", "double precision", ITSELF,
                               tds.FLOAT, 1.7976931348623157e308, 1.7976931348623157e308),
    "real": Case("real", "0.1", "double precision", ITSELF, tds.REAL, 0.1, 0.1),
    "real as decimal": Case("real", "0.25", "numeric(5,2)", ITSELF, tds.REAL, 0.25,
                            Decimal("0.25")),
    "first date": Case("date", "'0001-01-01'", "date", ITSELF, tds.DATE, dt.date(1, 1, 1),
                       dt.date(1, 1, 1)),
    "date as text": Case("date", "'2026-06-01'", "text", CLOCK, V34, b"2026-06-01", "2026-06-01"),
    "time": Case("time(7)", "'23:59:59.9999999'", "text", CLOCK, V34, b"23:59:59.9999999",
                 "23:59:59.9999999"),
    "datetime": Case("datetime", "'2026-06-01T23:59:59.997'", "timestamp", ITSELF, tds.DATETIME,
                     dt.datetime(2026, 6, 1, 23, 59, 59, 997000),
                     dt.datetime(2026, 6, 1, 23, 59, 59, 997000)),
    "datetime of a third": Case("datetime", "'2026-06-01T10:00:00.003'", "timestamp", ITSELF,
                                tds.DATETIME, dt.datetime(2026, 6, 1, 10, 0, 0, 3000),
                                dt.datetime(2026, 6, 1, 10, 0, 0, 3000)),
    "first datetime": Case("datetime", "'1753-01-01T00:00:00'", "timestamp", ITSELF, tds.DATETIME,
                           dt.datetime(1753, 1, 1), dt.datetime(1753, 1, 1)),
    "datetime as text": Case("datetime", "'2026-06-01T10:00:00.003'", "text", CLOCK, V34,
                             b"2026-06-01 10:00:00.003", "2026-06-01 10:00:00.003"),
    "local datetime": Case("datetime", "'2026-06-01T10:00:00'", "timestamptz", ITSELF,
                           tds.DATETIME, dt.datetime(2026, 6, 1, 10),
                           dt.datetime(2026, 6, 1, 13, tzinfo=dt.UTC)),
    "smalldatetime": Case("smalldatetime", "'2026-06-01T10:01:00'", "timestamp", ITSELF,
                          tds.SMALLDATETIME, dt.datetime(2026, 6, 1, 10, 1),
                          dt.datetime(2026, 6, 1, 10, 1)),
    "datetime2 as text": Case("datetime2(7)", PRECISE, "text", CLOCK, V34,
                              b"2026-06-01 10:00:00.1234567", "2026-06-01 10:00:00.1234567"),
    "datetime2 cut off": Case("datetime2(7)", PRECISE, "timestamp", ITSELF, tds.datetime2(7),
                              (DAY, hundreds_of_ns("10:00:00.1234567")),
                              dt.datetime(2026, 6, 1, 10, 0, 0, 123456)),
    "last datetime2 cut off": Case("datetime2(7)", LAST, "timestamp", ITSELF, tds.datetime2(7),
                                   (dt.date(9999, 12, 31), hundreds_of_ns("23:59:59.9999999")),
                                   dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    "datetime2 of seconds": Case("datetime2(0)", "'2026-06-01 10:00:01'", "timestamp", ITSELF,
                                 tds.datetime2(0), (DAY, hundreds_of_ns("10:00:01")),
                                 dt.datetime(2026, 6, 1, 10, 0, 1)),
    "datetime2 of milliseconds": Case("datetime2(3)", "'2026-06-01 10:00:00.123'", "timestamp",
                                      ITSELF, tds.datetime2(3),
                                      (DAY, hundreds_of_ns("10:00:00.123")),
                                      dt.datetime(2026, 6, 1, 10, 0, 0, 123000)),
    "datetimeoffset": Case("datetimeoffset(7)", OFFSET, "timestamptz", ITSELF,
                           tds.datetimeoffset(7),
                           (DAY, hundreds_of_ns("13:00:00.1234567"), -180),
                           dt.datetime(2026, 6, 1, 13, 0, 0, 123456, tzinfo=dt.UTC)),
    "datetimeoffset as text": Case("datetimeoffset(7)", OFFSET, "text", CLOCK, V34,
                                   b"2026-06-01 10:00:00.1234567 -03:00",
                                   "2026-06-01 10:00:00.1234567 -03:00"),
    "nvarchar": Case("nvarchar(10)", "N'ñá€🙂 Ж'", "text", UNICODE_10, V20, utf16("ñá€🙂 Ж"),
                     "ñá€🙂 Ж"),
    "empty nvarchar": Case("nvarchar(10)", "N''", "text", UNICODE_10, V20, b"", ""),
    "blanks at the end": Case("nvarchar(10)", "N'a  '", "text", UNICODE_10, V20, utf16("a  "),
                              "a  "),
    "the character zero": Case("nvarchar(10)", "N'a' + nchar(0) + N'b'", "text", UNICODE_10, V20,
                               utf16("a\0b"), Rejected("texto_con_nulo")),
    "half a surrogate pair": Case("nvarchar(10)", "N'a' + nchar(0xD800) + N'b'", "text",
                                  UNICODE_10, V20, utf16("a\ud800b"),
                                  Rejected("codificacion_invalida")),
    "number in a text": Case("nvarchar(10)", "N'12.50'", "numeric(5,2)", UNICODE_10, V20,
                             utf16("12.50"), Decimal("12.50")),
    "nchar": Case("nchar(10)", "N'año'", "text", UNICODE_10, V20, utf16("año       "),
                  "año       "),
    "varchar in Latin-1": Case(f"varchar(10) {LATIN}", "N'ñá€'", "text", LATIN_10, V20,
                               utf16("ñá€"), "ñá€"),
    "varchar with bytes no character has": Case(
        f"varchar(10) {LATIN}", "convert(varchar(10), 0x61818D62)", "text", LATIN_10, V20,
        utf16("a\x81\x8db"), "a\x81\x8db"),
    "empty varchar": Case(f"varchar(10) {LATIN}", "''", "text", LATIN_10, V20, b"", ""),
    "varchar too long for nvarchar(n)": Case(
        f"varchar(8000) {LATIN}", "replicate('ñ', 8000)", "text", LONG_LATIN, VMAX,
        utf16("ñ" * 8000), "ñ" * 8000),
    "char": Case(f"char(10) {LATIN}", "N'año'", "text", LATIN_10, V20, utf16("año       "),
                 "año       "),
    "nvarchar(max) of 1 MB": Case(
        "nvarchar(max)", "replicate(convert(nvarchar(max), N'ñ'), 1000000)", "text", LONG, VMAX,
        utf16("ñ" * 1_000_000), "ñ" * 1_000_000),
    "varchar(max) of 1 MB": Case(
        f"varchar(max) {LATIN}", "replicate(convert(varchar(max), 'ñ'), 1000000)", "text",
        LONG_LATIN, VMAX, utf16("ñ" * 1_000_000), "ñ" * 1_000_000),
    "empty nvarchar(max)": Case("nvarchar(max)", "N''", "text", LONG, VMAX, b"", ""),
    "text": Case(f"text {LATIN}", "'ñ'", "text", LONG_LATIN, VMAX, utf16("ñ"), "ñ"),
    "ntext": Case("ntext", "N'🙂'", "text", LONG_LATIN, VMAX, utf16("🙂"), "🙂"),
    "json in a text": Case("nvarchar(max)", "N'{\"a\": [1]}'", "jsonb", LONG, VMAX,
                           utf16('{"a": [1]}'), '{"a": [1]}'),
    "xml": Case("xml", "N'<a>ñ🙂</a>'", "text", LONG_LATIN, VMAX, utf16("<a>ñ🙂</a>"),
                "<a>ñ🙂</a>"),
    "uniqueidentifier": Case(
        "uniqueidentifier", f"'{GUID.upper()}'", "text",
        "convert(VARBINARY(36), lower(convert(VARCHAR(36), {c})))", tds.varbinary(36),
        GUID.encode(), GUID),
    "varbinary": Case("varbinary(10)", "0x00FF", "text", HEX_10, V22, b"0x00FF", "0x00FF"),
    "empty varbinary": Case("varbinary(10)", "0x", "text", HEX_10, V22, b"0x", "0x"),
    "varbinary(max)": Case("varbinary(max)", "0xC3B100", "text", LONG_HEX, VMAX, b"0xC3B100",
                           "0xC3B100"),
    "varbinary too long for varchar(n)": Case(
        "varbinary(5000)", "convert(varbinary(5000), replicate('a', 5000))", "text", LONG_HEX,
        VMAX, b"0x" + b"61" * 5000, "0x" + "61" * 5000),
    "image": Case("image", "0x01", "text", LONG_HEX, VMAX, b"0x01", "0x01"),
    "hierarchyid": Case("hierarchyid", "hierarchyid::Parse('/1/2/')", "text", LONG_LATIN, VMAX,
                        utf16("/1/2/"), "/1/2/"),
    "geography": Case("geography", "geography::Point(-33, -68.9, 4326)", "text", LONG_LATIN, VMAX,
                      utf16("POINT (-68.9 -33)"), "POINT (-68.9 -33)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_value_of_each_type_arrives_exactly_or_rejects_its_row(
    tmp_path: Path, source: Source, case: Case
) -> None:
    table = source.table(
        "tipos",
        [Field("fila", "int", tds.INT), Field("valor", case.declared, case.wire)],
        [(Cell("1", 1), Cell(case.literal, case.sent)), (Cell("2", 2), NULL)],
    )
    contract = make_contract(
        tmp_path,
        "sqlserver",
        [column("fila", "integer", key=True), column("valor", case.pg_type)],
        table=table,
    )

    good, rejected = cast_all(contract, read_all(open_reader(contract, source.url)))

    if isinstance(case.arrives, Rejected):
        assert [(r.row_number, r.rule) for r in rejected] == [(1, case.arrives.rule)]
        assert good == [{"fila": 2, "valor": None}]
    else:
        assert rejected == []
        assert good == [{"fila": 1, "valor": case.arrives}, {"fila": 2, "valor": None}]
    if isinstance(source, TdsSource):
        asked = case.asked.format(c="[dbo].[tipos].[valor]")
        assert flat(source.server.statements[-1]) == (
            f"SELECT [dbo].[tipos].[fila] AS fila, {asked} AS valor FROM [dbo].[tipos] "
            "ORDER BY [dbo].[tipos].[fila]"
        )


def test_a_server_cuts_long_values_off_for_a_client_that_does_not_ask_for_all(
    server: TdsServer,
) -> None:
    """What the tests of 1 MB rely upon: without `set textsize` they could not pass."""
    server.answer("acta", Result([("acta", VMAX)], [(b"a" * 1_000_000,)]))
    with pymssql.connect(
        server="127.0.0.1", port=str(server.port), user=tds.USER, password=tds.PASSWORD,
        database=tds.DATABASE, conn_properties="set ansi_nulls on", autocommit=True,
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("select acta")
        assert len(cursor.fetchone()[0]) == 4096


@pytest.mark.parametrize(
    ("literal", "written"),
    [
        ("convert(datetime2(7), '2026-06-01 10:00:00.1234567')", "2026-06-01 10:00:00.1234567"),
        ("convert(datetime, '2026-06-01T10:00:00.003')", "2026-06-01 10:00:00.003"),
        ("convert(money, 0.1)", "0.1000"),
        ("convert(varbinary(8), 0x00FF)", "0x00FF"),
        ("convert(decimal(18,9), 0.000000001)", "0.000000001"),
        ("N'ñ🙂'", "ñ🙂"),
        ("7", "7"),
    ],
)
def test_a_variant_is_written_as_a_column_of_its_own_type(
    tmp_path: Path, source: Source, literal: str, written: str
) -> None:
    table = source.table(
        "variantes", [Field("valor", "sql_variant", VMAX)], [(Cell(literal, utf16(written)),)]
    )
    contract = make_contract(tmp_path, "sqlserver", [column("valor")], table=table)

    assert rows_of(read_all(open_reader(contract, source.url))) == [{"valor": written}]

    if isinstance(source, TdsSource):
        asked = flat(source.server.statements[-1])
        variant = "[dbo].[variantes].[valor]"
        for kind, style in [("datetime", 121), ("datetimeoffset", 121), ("money", 2), ("float", 3)]:
            assert (
                f"WHEN (sql_variant_property({variant}, 'BaseType') = '{kind}') "
                f"THEN convert(NVARCHAR(max), convert({kind}, {variant}), {style})" in asked
            )
        assert f"ELSE convert(NVARCHAR(max), {variant}) END" in asked


@pytest.mark.parametrize(
    ("declared", "pg_type"),
    [
        ("varbinary(10)", "bigint"), ("image", "numeric(10,2)"), ("sql_variant", "integer"),
        ("uniqueidentifier", "bigint"), ("geography", "double precision"),
        ("hierarchyid", "integer"), ("xml", "date"), ("timestamp", "bigint"),
    ],
)  # fmt: skip
def test_a_type_that_only_text_can_carry_is_drift_and_reads_nothing(
    tmp_path: Path, source: Source, declared: str, pg_type: str
) -> None:
    table = source.table("obras", [Field("foto", declared, VMAX)], [])
    contract = make_contract(tmp_path, "sqlserver", [column("foto", pg_type)], table=table)

    with pytest.raises(DriftError) as held:
        read_all(open_reader(contract, source.url))

    message = str(held.value)
    assert f"prueba.tabla: la columna foto de la tabla {table} (sistema prueba) es de" in message
    assert f"es de tipo {declared} y no puede leerse como {pg_type}" in message
    assert "La tabla conserva sus últimos datos buenos" in message
    assert "Responsable: Secretaría de Prueba." in message
    assert "Qué hacer: quite la columna del contrato tabla.yaml, o declárela como texto" in message


def test_binary_is_written_in_digits_only_where_the_format_says_so(
    tmp_path: Path, source: Source
) -> None:
    table = source.table(
        "obras", [Field("foto", "varbinary(10)", V22)], [(Cell("0x00FF", b"00FF"),)]
    )
    contract = make_contract(tmp_path, "sqlserver", [column("foto", format="hex")], table=table)

    assert rows_of(read_all(open_reader(contract, source.url))) == [{"foto": "00FF"}]

    if isinstance(source, TdsSource):
        assert "convert(VARCHAR(22), [dbo].[obras].[foto], 2)" in source.server.statements[-1]


def test_a_column_in_a_declared_format_is_written_in_it(tmp_path: Path, source: Source) -> None:
    table = source.table(
        "obras",
        [Field("inicio", "datetime", tds.DATETIME)],
        [(Cell("'2026-06-01T10:30:00'", dt.datetime(2026, 6, 1, 10, 30)),)],
    )
    contract = make_contract(
        tmp_path, "sqlserver", [column("inicio", format="dd/MM/yyyy HH:mm")], table=table
    )

    good, _ = cast_all(contract, read_all(open_reader(contract, source.url)))

    assert good == [{"inicio": "01/06/2026 10:30"}]


# --- what the catalogue does not tell -------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "sent"),
    [
        (tds.varchar(10), "ñá€"),
        (tds.varchar(10, encoding="cp1251", lcid=0x0419), "Жук"),
        (tds.varchar(10, encoding="utf-8"), "ñ🙂"),
        (tds.varchar(10), ""),
        (tds.nvarchar(10), "ñá€🙂"),
        (tds.nvarchar("max"), ""),
        (tds.nvarchar("max"), "ñ" * 1_000_000),
        (tds.varchar("max"), "ñ" * 1_000_000),
    ],
    ids=["Latin-1", "Cyrillic", "UTF-8", "empty", "Unicode", "empty long", "1 MB", "1 MB Latin-1"],
)
def test_text_of_an_undeclared_type_is_read_by_its_collation_and_whole(
    tmp_path: Path, server: TdsServer, wire: WireType, sent: str
) -> None:
    serve_table(server, "vista", [Field("nota", "oculto", wire)], [(sent,), (None,)])
    server.answer(r"sys\.columns", Result([("name", tds.nvarchar(9))]))
    contract = make_contract(tmp_path, "sqlserver", [column("nota")], table="dbo.vista")

    batches = read_all(open_reader(contract, SourceUrl.parse(server.url)))

    assert [row["nota"] for row in rows_of(batches)] == [sent, None]


def test_bytes_of_an_undeclared_type_are_never_taken_for_text(
    tmp_path: Path, server: TdsServer
) -> None:
    serve_table(server, "vista", [Field("foto", "oculto", tds.varbinary(9))], [(b"abc",)])
    server.answer(r"sys\.columns", Result([("name", tds.nvarchar(9))]))
    contract = make_contract(tmp_path, "sqlserver", [column("foto")], table="dbo.vista")

    with pytest.raises(SourceDataError, match="la columna foto trae datos binarios"):
        read_all(open_reader(contract, SourceUrl.parse(server.url)))


# --- statements -----------------------------------------------------------------------------------


def test_everything_that_is_sent_for_a_full_read(tmp_path: Path, server: TdsServer) -> None:
    serve_table(server, "obras", [Field("obra_id", "int", tds.INT)], [(1,), (2,)])
    contract = make_contract(
        tmp_path, "sqlserver", [column("obra_id", "integer", key=True)], table="dbo.obras"
    )

    with open_reader(contract, SourceUrl.parse(server.url)) as reader:
        assert reader.source_count() == 2
        assert numbers_of(reader.batches()) == [1, 2]

    catalogue = server.statements.pop(6)
    assert "FROM sys.columns" in catalogue and "object_id(N'[dbo].[obras]')" in catalogue
    assert [flat(statement) for statement in server.statements] == [
        "set ansi_nulls, ansi_padding, ansi_warnings, arithabort, concat_null_yields_null, "
        "quoted_identifier on; set textsize 2147483647; set dateformat ymd; "
        "set lock_timeout 30000",
        "use [prueba]",
        "SELECT sys.databases.snapshot_isolation_state FROM sys.databases "
        "WHERE sys.databases.database_id = db_id()",
        "set transaction isolation level snapshot",
        "begin transaction",
        "SELECT * FROM [dbo].[obras] WHERE 0 = 1",
        "SELECT count(*) AS count_1 FROM [dbo].[obras]",
        "SELECT [dbo].[obras].[obra_id] AS obra_id FROM [dbo].[obras] "
        "ORDER BY [dbo].[obras].[obra_id]",
    ]


def test_a_hidden_column_is_read_where_the_contract_names_it(
    tmp_path: Path, server: TdsServer
) -> None:
    """As those are by which a temporal table keeps its versions apart."""
    fields = [Field("obra_id", "int", tds.INT), Field("vale_desde", "int", tds.INT)]
    serve_table(server, "obras", fields, [(1, 7)])
    server.answer(r"select \* FROM \[dbo\]\.\[obras\]", Result([("obra_id", tds.INT)]))
    server.answer(r"select \[vale_desde\] FROM .* WHERE 0 = 1", Result([("vale_desde", tds.INT)]))
    names = [column("obra_id", "integer", key=True), column("vale_desde", "integer")]
    named = make_contract(tmp_path, "sqlserver", names, table="dbo.obras")

    with open_reader(named, SourceUrl.parse(server.url)) as reader:
        assert reader.columns() == ("obra_id", "vale_desde")
        assert cast_all(named, list(reader.batches()))[0] == [{"obra_id": 1, "vale_desde": 7}]

    plain = make_contract(tmp_path, "sqlserver", names[:1], table="dbo.obras")
    with open_reader(plain, SourceUrl.parse(server.url)) as reader:
        assert reader.columns() == ("obra_id",)


def test_a_connection_says_who_it_is_and_that_it_only_reads(
    tmp_path: Path, server: TdsServer
) -> None:
    serve_table(server, "obras", [Field("obra_id", "int", tds.INT)], [])
    contract = make_contract(tmp_path, "sqlserver", [column("obra_id")], table="dbo.obras")

    for query in ("", "?ApplicationIntent=ReadWrite"):
        read_all(open_reader(contract, SourceUrl.parse(server.url + query)))

    assert [(login.application, login.database) for login in server.logins] == [
        ("lujan-datos", "prueba")
    ] * 2
    assert [login.read_only_intent for login in server.logins] == [True, False]


def test_without_snapshots_rows_are_read_as_committed_and_not_counted(
    tmp_path: Path, server: TdsServer
) -> None:
    server.answer(r"snapshot_isolation_state", Result([("s", tds.TINYINT)], [(0,)]))
    serve_table(server, "obras", [Field("obra_id", "int", tds.INT)], [(1,), (2,)])
    contract = make_contract(
        tmp_path, "sqlserver", [column("obra_id", "integer", key=True)], table="dbo.obras"
    )

    with open_reader(contract, SourceUrl.parse(server.url)) as reader:
        assert reader.source_count() is None
        assert numbers_of(reader.batches()) == [1, 2]

    assert not [s for s in server.statements if re.search(r"begin|isolation level", s)]


def test_statement_is_quoted_and_bound(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path,
        "sqlserver",
        [column("solicitud_id", "bigint", key=True, source="Nro] solicitud"),
         column("actualizado_en", "timestamptz")],
        table="dbo.solicitudes",
        **INCREMENTAL,
    )  # fmt: skip

    text, parameters = incremental(contract, "datetimeoffset(7)", "2026-06-10T10:00:00-03:00")

    assert text == (
        "SELECT [dbo].[solicitudes].[Nro]] solicitud] AS solicitud_id, "
        "[dbo].[solicitudes].[actualizado_en] AS actualizado_en FROM [dbo].[solicitudes] "
        "WHERE [dbo].[solicitudes].[actualizado_en] >= CAST(%(desde)s AS DATETIMEOFFSET(7)) "
        "OR [dbo].[solicitudes].[actualizado_en] IS NULL "
        "ORDER BY [dbo].[solicitudes].[Nro]] solicitud]"
    )
    assert parameters == {"desde": "2026-06-07 13:00:00+00:00"}


@pytest.mark.parametrize(
    ("declared", "pg_type", "watermark", "cast", "since"),
    [
        ("datetime", "timestamptz", "2026-06-10T10:00:00-03:00", "DATETIME2(7)",
         "2026-06-07 10:00:00"),
        ("datetime2(7)", "timestamp", "2026-06-10T10:00:00.123456", "DATETIME2(7)",
         "2026-06-07 10:00:00.123456"),
        # Written .007, it is .0066667: the row of the watermark itself would be missed.
        ("datetime", "timestamp", "2026-06-10T10:00:00.007", "DATETIME2(7)",
         "2026-06-07 10:00:00.006666"),
        ("datetime", "timestamp", "2026-06-10T10:00:00.003", "DATETIME2(7)",
         "2026-06-07 10:00:00.003000"),
        ("datetime", "date", "2026-06-10", "DATE", "2026-06-07"),
    ],
)  # fmt: skip
def test_a_time_is_compared_as_the_column_holds_it_in_any_language(
    tmp_path: Path, declared: str, pg_type: str, watermark: str, cast: str, since: str
) -> None:
    contract = make_contract(
        tmp_path, "sqlserver",
        [column("id", "bigint", key=True), column("actualizado_en", pg_type)], **INCREMENTAL,
    )  # fmt: skip

    text, parameters = incremental(contract, declared, watermark)

    assert f">= CAST(%(desde)s AS {cast})" in text
    assert parameters == {"desde": since}


def test_a_numeric_cursor_is_compared_as_a_number(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path, "sqlserver", [column("actualizado_en", "bigint", key=True)],
        loadMode="incremental", cursor="actualizado_en",
    )  # fmt: skip

    text, parameters = incremental(contract, "bigint", "9007199254740993")

    assert "[actualizado_en] >= %(desde)s" in text
    assert parameters == {"desde": 9007199254740993}


@pytest.mark.parametrize("declared", ["varchar(20)", "nvarchar(max)"])
def test_a_number_written_as_text_is_compared_as_a_number(tmp_path: Path, declared: str) -> None:
    contract = make_contract(
        tmp_path, "sqlserver", [column("actualizado_en", "bigint", key=True)],
        loadMode="incremental", cursor="actualizado_en",
    )  # fmt: skip

    text, parameters = incremental(contract, declared, "99")

    number = "TRY_CAST ([tabla].[actualizado_en] AS NUMERIC(38, 10))"
    assert f"WHERE {number} IS NULL OR {number} >= %(desde)s" in text
    assert parameters == {"desde": 99}


@pytest.mark.parametrize(
    ("settings", "watermark"),
    [({}, "0x00000000000007D1"), ({"format": "hex"}, "00000000000007D1")],
)
def test_a_row_version_is_compared_as_octets(
    tmp_path: Path, settings: dict[str, Any], watermark: str
) -> None:
    """No text is: the server refuses to compare the two."""
    contract = make_contract(
        tmp_path, "sqlserver",
        [column("id", "bigint", key=True), column("actualizado_en", **settings)],
        loadMode="incremental", cursor="actualizado_en",
    )  # fmt: skip

    text, parameters = incremental(contract, "timestamp", watermark)

    assert "[actualizado_en] >= convert(VARBINARY(8), %(desde)s, 2) OR" in text
    assert parameters == {"desde": "00000000000007D1"}


def test_a_time_written_as_text_is_asked_for_by_its_day(tmp_path: Path) -> None:
    """Of text no conversion is asked: one value that is no time would end the statement."""
    contract = make_contract(
        tmp_path, "sqlserver",
        [column("id", "bigint", key=True), column("actualizado_en", "timestamp")], **INCREMENTAL,
    )  # fmt: skip

    text, parameters = incremental(contract, "varchar(19)", "2026-06-10T10:00:00")

    assert "[actualizado_en] >= %(desde)s OR" in text
    assert parameters == {"desde": "2026-06-06"}


def incremental(contract: Contract, cursor_type: str, watermark: str) -> tuple[str, Any]:
    """The statement from a watermark on; the cursor is of that type at the source."""
    names = {c.name: c.source_name for c in contract.columns}
    found = {s: SourceColumn(s, "bigint") for s in names.values()}
    found["actualizado_en"] = SourceColumn(
        "actualizado_en", cursor_type, zoned=cursor_type.startswith("datetimeoffset")
    )
    text, parameters = SqlServer().compiled(
        build_query(contract, SqlServer(), names, found, watermark)
    )
    return flat(text), parameters


def flat(text: str) -> str:
    return " ".join(text.split())


def test_names_that_sql_would_trip_over(tmp_path: Path, source: Source) -> None:
    fields = [Field("Order", "int", tds.INT), Field("Avance % del [mes]", "decimal(5,2)", V41)]
    if isinstance(source, RealSource):
        fields[1] = fields[1]._replace(name="Avance % del [mes]]")
    table = source.table("obras", fields, [(Cell("1", 1), Cell("0.1", b"0.10"))])
    contract = make_contract(
        tmp_path, "sqlserver",
        [column("obra_id", "integer", key=True, source="Order"),
         column("avance", "numeric(5,2)", source="Avance % del [mes]")],
        table=table,
    )  # fmt: skip
    if isinstance(source, TdsSource):
        source.server.answer(
            r"AS obra_id, .*\[Avance % del \[mes\]\]\].* AS avance",
            Result([("obra_id", tds.INT), ("avance", V41)], [(1, b"0.10")]),
        )

    good, _ = cast_all(contract, read_all(open_reader(contract, source.url)))

    assert good == [{"obra_id": 1, "avance": Decimal("0.10")}]


# --- batches --------------------------------------------------------------------------------------


def test_rows_come_in_batches_of_the_size_asked_for(tmp_path: Path, source: Source) -> None:
    table = source.table(
        "obras", [Field("obra_id", "int", tds.INT)], [(Cell(str(i), i),) for i in range(10)]
    )
    contract = make_contract(
        tmp_path, "sqlserver", [column("obra_id", "integer", key=True)], table=table
    )

    batches = read_all(open_reader(contract, source.url, batch_rows=4))

    assert [batch.data.num_rows for batch in batches] == [4, 4, 2]
    assert [row["obra_id"] for row in rows_of(batches)] == list(range(10))


@pytest.mark.parametrize(
    ("declared", "characters", "rows", "batches"),
    [
        ("nvarchar(max)", 500_000, 40, [24, 16]),
        ("nvarchar(4000)", 4_000, 4_400, [3_072, 1_328]),
        ("nvarchar(4000)", 40, 4_400, [4_400]),
    ],
)
def test_long_values_make_a_batch_of_fewer_rows(
    tmp_path: Path,
    server: TdsServer,
    declared: str,
    characters: int,
    rows: int,
    batches: list[int],
) -> None:
    acta = utf16("ñ" * characters)
    serve_table(server, "actas", [Field("acta", declared, VMAX)], [(acta,)] * rows)
    contract = make_contract(tmp_path, "sqlserver", [column("acta")], table="dbo.actas")

    read = read_all(open_reader(contract, SourceUrl.parse(server.url)))

    assert [batch.data.num_rows for batch in read] == batches


def test_a_read_that_is_abandoned_leaves_no_connection(tmp_path: Path, server: TdsServer) -> None:
    serve_table(server, "obras", [Field("obra_id", "int", tds.INT)], [(i,) for i in range(50_000)])
    contract = make_contract(
        tmp_path, "sqlserver", [column("obra_id", "integer", key=True)], table="dbo.obras"
    )

    with open_reader(contract, SourceUrl.parse(server.url), batch_rows=10) as reader:
        next(reader.batches())
        assert server.open_connections == 1

    deadline = time.monotonic() + 5
    while server.open_connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.open_connections == 0


# --- failures -------------------------------------------------------------------------------------


def refused(contract: Contract, url: str, **limits: Any) -> str:
    """The message of a read that fails as unavailable."""
    options = ReaderOptions(connect_timeout_s=2, **limits)
    with pytest.raises(SourceUnavailable) as held:
        read_all(open_reader(contract, SourceUrl.parse(url), options=options, batch_rows=5))
    message = str(held.value)
    assert tds.PASSWORD not in message and "otra-clave" not in message
    assert "sistema prueba" in message
    assert "Responsable: Secretaría de Prueba." in message and "Qué hacer:" in message
    return message


@pytest.fixture
def obras(tmp_path: Path, server: TdsServer) -> Contract:
    serve_table(server, "obras", [Field("obra_id", "int", tds.INT)], [(i,) for i in range(100)])
    return make_contract(
        tmp_path, "sqlserver", [column("obra_id", "integer", key=True)], table="dbo.obras"
    )


ROWS = r"AS obra_id\s+FROM"


def test_a_password_that_is_refused(obras: Contract, server: TdsServer) -> None:
    message = refused(obras, server.url.replace(tds.PASSWORD, "otra-clave"))

    assert "rechazó el usuario 'lector' o su contraseña" in message


def test_a_database_that_is_not_there(obras: Contract, server: TdsServer) -> None:
    assert "no existe la base de datos" in refused(obras, server.url.replace("/prueba", "/otra"))


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("mssql://lector:otra-clave@127.0.0.1:1/prueba", "no se pudo llegar al sistema prueba"),
        ("mssql://lector:otra-clave@no-existe.invalid/prueba", "no se pudo llegar al sistema"),
    ],
)
def test_what_went_before_does_not_change_what_a_failure_means(
    obras: Contract, server: TdsServer, address: str, what: str
) -> None:
    # The driver goes on giving the number of a refused login for every later failure.
    refused(obras, server.url.replace(tds.PASSWORD, "otra-clave"))

    assert what in refused(obras, address)
    assert "no existe la base" in refused(obras, server.url.replace("/prueba", "/otra"))
    assert "rechazó el usuario" in refused(obras, server.url.replace(tds.PASSWORD, "otra-clave"))


def test_a_server_that_takes_the_call_and_says_nothing(obras: Contract) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        started = time.monotonic()

        message = refused(obras, f"mssql://lector:otra-clave@127.0.0.1:{port}/prueba")

    assert "no respondió a tiempo" in message
    assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ServerError(208, "Invalid object name 'dbo.obras'."), "no existe la tabla dbo.obras"),
        (ServerError(229, "The SELECT permission was denied on 'obras', row 208.", 14),
         "no tiene permiso para leer dbo.obras"),
        (ServerError(1222, "Lock request time out period exceeded."), "no respondió a tiempo"),
        (ServerError(1205, "Deadlock victim.", 13), "no respondió a tiempo"),
        (ServerError(8152, "Los datos quedarían truncados ñ."), "con un error: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", [r"select \*", ROWS])
def test_an_error_of_the_server_says_what_to_do(
    obras: Contract, server: TdsServer, error: ServerError, what: str, when: str
) -> None:
    server.answer(when, error)

    assert what in refused(obras, server.url)


def test_an_error_after_rows_is_an_error(obras: Contract, server: TdsServer) -> None:
    rows = [(i,) for i in range(7)]
    server.answer(
        ROWS, Result([("obra_id", tds.INT)], rows, error=ServerError(1205, "Deadlock victim.", 13))
    )

    assert "no respondió a tiempo" in refused(obras, server.url)


@pytest.mark.parametrize("rows", [0, 7, 60])
@pytest.mark.parametrize("breaking", ["reset", "close"])
def test_a_connection_that_breaks_between_rows_is_no_end_of_the_table(
    obras: Contract, server: TdsServer, rows: int, breaking: Any
) -> None:
    server.answer(
        ROWS,
        Result([("obra_id", tds.INT)], [(i,) for i in range(100)], rows, breaking),
    )

    assert "no se pudo llegar al sistema prueba" in refused(obras, server.url)


@pytest.mark.parametrize("answer", ["reset", "close"])
def test_a_connection_that_breaks_before_it_answers(
    obras: Contract, server: TdsServer, answer: Any
) -> None:
    server.answer(ROWS, answer)

    assert "no se pudo llegar al sistema prueba" in refused(obras, server.url)


@pytest.mark.parametrize("rows", [None, 7], ids=["from the start", "between rows"])
def test_a_server_that_falls_silent_is_not_waited_for(
    obras: Contract, server: TdsServer, rows: int | None
) -> None:
    silent = Result([("obra_id", tds.INT)], [(i,) for i in range(100)], rows, "silence")
    server.answer(ROWS, "silence" if rows is None else silent)
    started = time.monotonic()

    assert "no respondió a tiempo" in refused(obras, server.url, read_timeout_s=1)
    assert time.monotonic() - started < 15


def test_a_statement_ends_at_its_limit_though_rows_keep_coming(
    obras: Contract, server: TdsServer
) -> None:
    rows = [(i,) for i in range(300)]  # half a minute of them
    server.answer(ROWS, Result([("obra_id", tds.INT)], rows, row_delay_s=0.1))
    started = time.monotonic()

    assert "no respondió a tiempo" in refused(obras, server.url, statement_timeout_s=1)
    assert time.monotonic() - started < 15


# --- whole loads ----------------------------------------------------------------------------------

SOLICITUDES = [
    Field("solicitud_id", "bigint", tds.BIGINT),
    Field("vecino", "nvarchar(40)", tds.varbinary(80)),
    Field("monto", "money", V22),
    Field("actualizado_en", "datetimeoffset(7)", tds.datetimeoffset(7)),
]


def solicitud(number: int, vecino: str | None, monto: str, clock: str) -> tuple[Cell, ...]:
    """A row of 1 June 2026; the clock is UTC."""
    return (
        Cell(str(number), number),
        NULL if vecino is None else Cell(f"N'{vecino}'", utf16(vecino)),
        Cell(monto, monto.encode()),
        Cell(f"'2026-06-01 {clock} +00:00'", (DAY, hundreds_of_ns(clock), 0)),
    )


def solicitudes(folder: Path, table: str, **options: Any) -> Contract:
    return make_contract(
        folder,
        "sqlserver",
        [
            column("solicitud_id", "bigint", key=True),
            column("vecino"),
            column("monto", "numeric(19,4)"),
            column("actualizado_en", "timestamptz"),
        ],
        table=table,
        **options,
    )


def loaded(contract: Contract, source: Source, warehouse: Warehouse) -> LoadReport:
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    return load(contract, source.url, context, [])


def content(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select solicitud_id, vecino, monto::text, actualizado_en at time zone 'UTC' "
            "from raw.prueba__tabla order by 1"
        ).fetchall()


def at(clock: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-06-01T{clock}")


def test_a_table_is_loaded_whole_and_recognised_when_it_has_not_changed(
    tmp_path: Path, warehouse: Warehouse, source: Source
) -> None:
    table = source.table(
        "solicitudes",
        SOLICITUDES,
        [solicitud(1, "Ñandú 🙂", "10.5000", "10:00:00"), solicitud(2, "", "-0.0001", "11:00:00"),
         solicitud(3, None, "922337203685477.5807", "12:00:00.1234567")],
    )  # fmt: skip
    contract = solicitudes(tmp_path, table)

    first, second = (loaded(contract, source, warehouse) for _ in range(2))

    assert (first.state, first.read, first.loaded) == ("cargada", 3, 3)
    assert (second.state, second.known) == ("sin_cambios", 3)
    assert content(warehouse) == [
        (1, "Ñandú 🙂", "10.5000", at("10:00:00")),
        (2, "", "-0.0001", at("11:00:00")),
        (3, None, "922337203685477.5807", at("12:00:00.123456")),
    ]


def test_an_increment_begins_at_the_watermark_less_the_lookback(
    tmp_path: Path, warehouse: Warehouse, source: Source
) -> None:
    rows = [
        solicitud(1, "Ana", "1.0000", "08:00:00"),
        solicitud(2, "Blas", "2.0000", "09:00:00"),
        solicitud(3, "Eva", "3.0000", "10:00:00"),
    ]
    table = source.table("solicitudes", SOLICITUDES, rows)
    contract = solicitudes(tmp_path, table, **INCREMENTAL | {"lookback": "PT1H"})
    first = loaded(contract, source, warehouse)
    # A change before the look-back is not seen; one at its first moment is, and so is a new row.
    source.table(
        "solicitudes",
        SOLICITUDES,
        [solicitud(1, "Anita", "1.0000", "08:59:59.9999999"),
         solicitud(2, "Blas II", "2.0000", "09:00:00"), rows[2],
         solicitud(4, "Fe", "4.0000", "10:00:00")],
    )  # fmt: skip

    second = loaded(contract, source, warehouse)

    assert (first.read, second.read) == (3, 3)
    assert [row[:2] for row in content(warehouse)] == [
        (1, "Ana"), (2, "Blas II"), (3, "Eva"), (4, "Fe"),
    ]  # fmt: skip
    if isinstance(source, TdsSource):
        assert ">= CAST(N'2026-06-01 09:00:00+00:00' AS DATETIMEOFFSET(7))" in flat(
            source.server.statements[-1]
        )


@pytest.mark.parametrize("breaking", ["reset", "close"])
@pytest.mark.parametrize("mode", [{}, INCREMENTAL], ids=["full", "incremental"])
def test_a_load_whose_connection_breaks_changes_nothing_and_says_so(
    tmp_path: Path, warehouse: Warehouse, server: TdsServer, mode: dict[str, Any], breaking: Any
) -> None:
    source = TdsSource(server)
    rows = [solicitud(i, "Ana", "1.0000", "10:00:00") for i in range(1, 101)]
    contract = solicitudes(tmp_path, source.table("solicitudes", SOLICITUDES, rows), **mode)
    loaded(contract, source, warehouse)
    before, mark = content(warehouse), watermark(warehouse)
    later = [[c.sent for c in solicitud(i, "Otra", "2.0000", "11:00:00")] for i in range(1, 200)]
    server.answer(
        r"AS solicitud_id, .* AS actualizado_en\s+FROM",
        Result([(f.name, f.wire) for f in SOLICITUDES], later, 150, breaking),
    )

    report = loaded(contract, source, warehouse)

    assert report.state == "fallida"
    assert (content(warehouse), watermark(warehouse)) == (before, mark)
    [(state, message)] = records(warehouse)
    assert state == "fallida"
    assert message == str(report.errors[0])
    assert "no se pudo llegar al sistema prueba" in message
    assert "Responsable: Secretaría de Prueba." in message and "Qué hacer:" in message
    assert tds.PASSWORD not in message


def watermark(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute("select * from meta.marca").fetchall()


def records(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select estado, error from meta.carga order by carga_id desc limit 1"
        ).fetchall()

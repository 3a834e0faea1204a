"""Cursors that the source holds as text: no row is missed where text sorts otherwise than it grows.

SQL Server's part, the statement it is sent, is in `test_reader_sqlserver.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.errors import ContractError
from sources.landing import LoadContext, LoadReport, load
from sources.readers import database
from sources.readers.text_cursor import is_misordered
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract
from tests.support.mariadb import MariaDb

KEY = column("id", "integer", key=True)


@dataclass
class Source:
    """A table `tabla` (id, marca) whose `marca` is text, and the warehouse it is loaded into."""

    kind: str
    url: str
    run: Callable[..., None]
    warehouse: Warehouse
    folder: Path

    def add(self, *marks: str | None) -> None:
        for mark in marks:
            self.run("insert into tabla (id, marca) values (%s, %s)", self._next(), mark)

    def _next(self) -> int:
        self._last = getattr(self, "_last", 0) + 1
        return self._last

    def load(self, mark: dict[str, Any], **options: Any) -> LoadReport:
        settings = {"loadMode": "incremental", "cursor": "marca", "deletionsEvery": "never"}
        contract = make_contract(
            self.folder, self.kind, [KEY, mark], maxQuarantineShare=1, **settings | options
        )
        context = LoadContext(connect=self.warehouse.connect, run_id="prueba")
        return load(contract, SourceUrl.parse(self.url), context, [])

    def rows(self) -> list[int]:
        with self.warehouse.connect() as connection:
            table = connection.execute("select to_regclass('raw.prueba__tabla')").fetchone()
            if table == (None,):  # refused before it was made
                return []
            found = connection.execute("select id from raw.prueba__tabla order by 1").fetchall()
        return [row[0] for row in found]


@pytest.fixture(params=["postgresql", "mysql", "mysql, quickly"])
def source(
    request: pytest.FixtureRequest,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Source:
    monkeypatch.setattr(database, "QUICK_ROWS", 1 if "quickly" in request.param else 1 << 40)
    if request.param == "postgresql":
        url = request.getfixturevalue("new_database")()

        def run(statement: str, *values: Any) -> None:
            with psycopg.connect(url) as connection:
                connection.execute(statement.encode(), values)

        made = Source("postgresql", url, run, warehouse, tmp_path)
    else:
        mariadb: MariaDb = request.getfixturevalue("mariadb")

        def run(statement: str, *values: Any) -> None:
            with mariadb.connect() as connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)

        made = Source("mysql", mariadb.url, run, warehouse, tmp_path)
    made.run("drop table if exists tabla")
    made.run("create table tabla (id int primary key, marca varchar(40))")
    return made


def test_a_number_written_as_text_is_compared_as_a_number(source: Source) -> None:
    number = column("marca", "bigint")
    source.add("8", " 9 ")
    assert source.load(number).loaded == 2
    source.add("10", "100", "7", None, "roto")

    report = source.load(number)

    # 7 lies behind the watermark; what is no number is read each time, and set aside.
    assert (report.loaded, report.quarantined) == (3, 1)
    assert source.rows() == [1, 2, 3, 4, 6]
    again = source.load(number)
    assert (again.loaded, again.known, again.quarantined) == (0, 2, 1)


def test_a_decimal_written_as_text_is_compared_as_a_number(source: Source) -> None:
    source.add("9.5")
    source.load(column("marca", "numeric(20,4)"))
    source.add("10.25", "-3")

    assert source.load(column("marca", "numeric(20,4)")).loaded == 1


@pytest.mark.parametrize("numbers", [("8", "9"), ("A-1", "12"), ("1.5",), ("01/02/2026 10:00",)])
def test_text_that_does_not_sort_as_it_grows_is_refused_before_a_row_is_missed(
    source: Source, numbers: tuple[str, ...]
) -> None:
    source.add(*numbers)

    report = source.load(column("marca"))

    [error] = report.errors
    assert isinstance(error, ContractError) and report.state == "fallida"
    assert "10 va antes que 9" in str(error) and "physicalType: bigint" in (error.next_step or "")
    assert error.owner == "Secretaría de Prueba"
    assert source.rows() == []


def test_a_watermark_of_before_that_is_such_a_number_is_refused_though_nothing_is_read(
    source: Source,
) -> None:
    source.add("a-1")
    source.load(column("marca"))
    with source.warehouse.connect() as connection:
        connection.execute("update meta.marca set valor = '99'")
    source.run("delete from tabla")

    [error] = source.load(column("marca")).errors

    assert isinstance(error, ContractError)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("000099", "000100"),
        ("2025", "2026"),
        ("202512", "202601"),
        ("20251231", "20260101"),
        ("20251231235959", "20260101000000"),
        ("2025-12-31 23:59", "2026-01-01 00:00"),
        ("EXP-2025-0099", "EXP-2026-0001"),
        ("0x00000000000007CF", "0x00000000000007D0"),
        ("01JAXXXXXXXXXXXXXXXXXXXXXX", "01JBXXXXXXXXXXXXXXXXXXXXXX"),
        ("", "a"),
    ],
)
def test_text_of_one_length_is_a_cursor_as_any_other(source: Source, first: str, then: str) -> None:
    source.add(first)
    assert source.load(column("marca")).errors == []
    source.add(then)

    assert source.load(column("marca")).loaded == 1


@pytest.mark.parametrize(
    ("mark", "first", "then"),
    [
        (column("marca", "timestamp"), "2026-01-31T23:59:59", "2026-02-01 00:00:00"),
        (column("marca", "timestamptz"), "2026-01-31T23:59:59-03:00", "2026-02-01T03:30:00Z"),
        (column("marca", "date"), "2026-01-31", "2026-02-01"),
        (column("marca", "date", format="yyyy/MM/dd"), "2026/01/31", "2026/02/01"),
        (column("marca", "timestamp", format="yyyyMMddHHmmss"), "20260131235959", "20260201000000"),
    ],
)
def test_a_time_written_as_text_that_begins_with_the_year_is_asked_for_by_its_day(
    source: Source, mark: dict[str, Any], first: str, then: str
) -> None:
    source.add("2025-06-01" if "format" not in mark["logicalTypeOptions"] else None, first)
    source.load(mark)
    source.add(then, "no es una fecha")

    report = source.load(mark)

    assert report.errors == []
    assert report.loaded == 1 and 3 in source.rows()
    assert 1 not in [report.read]  # the last one known is read again, the oldest is not


def test_a_time_written_with_its_day_first_is_refused(source: Source) -> None:
    source.add("31/01/2026")

    [error] = source.load(column("marca", "date", format="dd/MM/yyyy")).errors

    assert isinstance(error, ContractError)
    assert "escrito dd/MM/yyyy" in str(error) and "loadMode: full" in (error.next_step or "")


def test_the_same_text_may_be_loaded_whole(source: Source) -> None:
    source.add("8", "9", "10")

    assert source.load(column("marca"), loadMode="full").loaded == 3


@pytest.mark.parametrize("form", ["hex", None])
def test_octets_are_compared_as_octets(source: Source, form: str | None) -> None:
    if source.kind == "mysql" and form is None:
        pytest.skip("MySQL's octets come as digits only")
    octets = column("marca", **({"format": form} if form else {}))
    source.run("alter table tabla drop column marca")
    kind = {"postgresql": "bytea", "mysql": "varbinary(8)"}[source.kind]
    source.run(f"alter table tabla add column marca {kind}")

    def add(number: int, digits: str) -> None:
        decoded = {"postgresql": "decode(%s, 'hex')", "mysql": "unhex(%s)"}[source.kind]
        source.run(f"insert into tabla (id, marca) values (%s, {decoded})", number, digits)

    add(1, "00FF")
    add(2, "0A00")
    assert source.load(octets).loaded == 2
    add(3, "0A01")
    add(4, "0A")  # behind the watermark

    report = source.load(octets)

    assert (report.read, report.loaded) == (2, 1)
    assert source.rows() == [1, 2, 3]


def test_a_text_that_the_source_holds_as_a_number_is_compared_there_as_one(
    source: Source,
) -> None:
    source.run("alter table tabla drop column marca")
    source.run("alter table tabla add column marca bigint")
    source.run("insert into tabla (id, marca) values (1, 9)")
    source.load(column("marca"))
    source.run("insert into tabla (id, marca) values (2, 10)")

    assert source.load(column("marca")).loaded == 1


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_one_value_is_enough(kind: Any) -> None:
    assert is_misordered(pa.array(["a", None, "7"], kind))
    assert not is_misordered(pa.array(["a", None, "07"], kind))
    assert not is_misordered(pa.array([None], kind))
    assert not is_misordered(pa.array([], kind))

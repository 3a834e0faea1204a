"""Rows of one PostgreSQL that go to another as they came: the same as rows written anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.landing import LoadContext, load
from sources.landing.writer import Writer
from sources.readers import database, open_reader
from sources.readers.engines import postgresql
from sources.readers.engines.copy_wire import is_plain
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract
from tests.support.http import certificate
from tests.support.postgres_tls import encrypted

COLUMNS = (
    column("n", "integer", key=True), column("chico", "smallint"), column("grande", "bigint"),
    column("activo", "boolean"), column("saldo", "numeric(12,3)"),
    column("medida", "double precision"), column("dia", "date"), column("visto", "timestamp"),
    column("leido", "timestamptz"), column("nombre"), column("codigo"),
)  # fmt: skip
TABLE = (
    "create table tabla (n integer not null, chico smallint, grande bigint, activo boolean, "
    "saldo numeric(12,3), medida double precision, dia date, visto timestamp, leido timestamptz, "
    "nombre text, codigo varchar(20))"
)
FILL = (
    "insert into tabla select n, n % 100, n * 10000000000, n % 2 = 0, n / 8.0, n / 3.0, "
    "date '1900-01-01' + n, timestamp '2026-06-01' + n * interval '1 microsecond', "
    "timestamptz '2026-06-01' + n * interval '1 hour', 'Ñandú ' || n || repeat('x', n % 50), "
    "case when n % 7 > 0 then 'c' || n end from generate_series(1, 5000) n"
)
ALL = (
    "select n, chico, grande, activo, saldo, medida, dia, visto, leido, nombre, codigo "
    "from {} order by n"
)
AS_TEXT = ALL.replace("select ", "select n, row(").replace(" from", ")::text from")


@pytest.fixture
def source(new_database: Callable[[], str]) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(TABLE.encode())
        connection.execute(FILL.encode())
        yield connection


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was passed on, batch by batch."""
    sizes: list[int] = []
    pass_on = Writer.pass_on

    def spy(self: Writer, sent: tuple[memoryview, ...]) -> None:
        sizes.append(sum(map(len, sent)))
        pass_on(self, sent)

    monkeypatch.setattr(Writer, "pass_on", spy)
    return sizes


def address(source: psycopg.Connection[Any]) -> str:
    info = source.info
    return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"


def contract_of(folder: Path, *columns: dict[str, Any], **options: Any) -> Contract:
    return make_contract(folder, "postgresql", columns or COLUMNS, **options)


def load_into(warehouse: Warehouse, contract: Contract, url: str) -> Any:
    context = LoadContext(connect=warehouse.connect, run_id="prueba", batch_rows=1000)
    return load(contract, SourceUrl.parse(url), context, [])


def raw(warehouse: Warehouse, text: str = ALL.format("raw.prueba__tabla")) -> list[Any]:
    with warehouse.connect() as connection:
        return connection.execute(text.encode()).fetchall()


def test_rows_of_the_contracts_own_types_arrive_as_they_are(
    tmp_path: Path, source: psycopg.Connection[Any], warehouse: Warehouse, passed_on: list[int]
) -> None:
    report = load_into(warehouse, contract_of(tmp_path), address(source))

    assert (report.errors, report.read, report.loaded) == ([], 5000, 5000)
    assert len(passed_on) == 5
    assert raw(warehouse) == source.execute(ALL.format("tabla").encode()).fetchall()
    assert raw(warehouse, "select distinct _load_id from raw.prueba__tabla") == raw(
        warehouse, "select max(carga_id) from meta.carga"
    )


def test_an_encrypted_connection_is_read_by_libpq_and_gives_the_same(
    tmp_path: Path,
    source: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[bool] = []

    def noted(connection: Any) -> bool:
        taken.append(is_plain(connection))
        return taken[-1]

    def read(url: str) -> tuple[list[Any], bytes, int | None]:
        with open_reader(contract_of(tmp_path), SourceUrl.parse(url)) as reader:
            batches = list(reader.batches())
            count = reader.source_count()
        rows = [row for batch in batches for row in batch.data.to_pylist()]
        return rows, b"".join(bytes(piece) for batch in batches for piece in batch.sent), count

    monkeypatch.setattr(postgresql, "is_plain", noted)
    off_the_wire = read(address(source))
    here = source.info
    with encrypted(here.host, here.port, certificate(tmp_path)) as port:
        url = address(source).replace(f":{here.port}/", f":{port}/")
        assert read(f"{url}?sslmode=require") == off_the_wire
    assert taken == [True, False]


def test_a_row_lost_on_the_way_is_noticed_by_what_the_source_says_it_sent(
    tmp_path: Path,
    source: psycopg.Connection[Any],
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large table is not counted beforehand: the end of its own statement tells."""
    monkeypatch.setattr(database, "_SEARCHED_ROWS", 100)
    source.execute("analyze tabla")
    whole = load_into(warehouse, contract_of(tmp_path), address(source))
    batches = database.DatabaseReader.batches

    def losing(self: database.DatabaseReader) -> Iterator[Any]:
        return (batch for at, batch in enumerate(batches(self)) if at != 3)

    monkeypatch.setattr(database.DatabaseReader, "batches", losing)
    report = load_into(warehouse, contract_of(tmp_path), address(source))

    assert (whole.source_count, whole.loaded, whole.checksums) == (5000, 5000, {})
    assert [str(error) for error in report.errors if "contó 5.000" in str(error)]
    assert len(raw(warehouse)) == 5000


def test_no_row_gets_a_load_number_it_did_not_bring_once_the_load_is_over(
    tmp_path: Path, source: psycopg.Connection[Any], warehouse: Warehouse
) -> None:
    load_into(warehouse, contract_of(tmp_path), address(source))

    assert raw(
        warehouse,
        "select column_default from information_schema.columns where table_schema = 'raw' "
        "and table_name = 'prueba__tabla' and column_name = '_load_id'",
    ) == [(None,)]


@pytest.mark.parametrize(
    ("change", "outcome", "missing"),
    [
        ("update tabla set leido = 'infinity' where n = 1500", (4999, 1, 4), [1500]),
        ("update tabla set dia = '0044-03-15 BC' where n in (1, 5000)", (4998, 2, 3), [1, 5000]),
        ("update tabla set medida = 'NaN' where n = 1", (5000, 0, 5), []),
        ("insert into tabla (n) values (9)", (5000, 1, 6), []),
    ],
)
def test_a_batch_with_a_row_set_aside_is_written_anew(
    tmp_path: Path,
    source: psycopg.Connection[Any],
    warehouse: Warehouse,
    passed_on: list[int],
    change: str,
    outcome: tuple[int, int, int],
    missing: list[int],
) -> None:
    source.execute(change.encode())

    report = load_into(warehouse, contract_of(tmp_path), address(source))

    assert (report.errors, report.loaded, report.quarantined, len(passed_on)) == (
        [],
        *outcome[:2],
        outcome[2],
    )
    # As text: there are days that Python does not know, and NaN equals nothing.
    theirs = source.execute(AS_TEXT.format("tabla").encode()).fetchall()
    ours = raw(warehouse, AS_TEXT.format("raw.prueba__tabla"))
    assert set(ours) <= set(theirs)
    assert len(ours) == outcome[0]
    assert {n for n, _ in theirs} - {n for n, _ in ours} == set(missing)


@pytest.mark.parametrize(
    ("kind", "pg_type"),
    [
        ("integer", "bigint"), ("numeric(12,2)", "numeric(12,3)"), ("numeric", "numeric(12,3)"),
        ("char(5)", "text"), ("timestamp(0)", "timestamp"), ("text", "integer"),
        ("timestamp", "timestamptz"), ("real", "double precision"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_written_in_the_contracts(
    tmp_path: Path,
    new_database: Callable[[], str],
    warehouse: Warehouse,
    passed_on: list[int],
    kind: str,
    pg_type: str,
) -> None:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        value = "timestamp '2026-06-01'" if kind.startswith("timestamp") else "'17'"
        connection.execute(f"create table tabla (n integer not null, v {kind})".encode())
        connection.execute(f"insert into tabla select 1, {value}".encode())
        contract = contract_of(tmp_path, column("n", "integer", key=True), column("v", pg_type))
        report = load_into(warehouse, contract, address(connection))

    assert (report.errors, report.loaded, passed_on) == ([], 1, [])


def test_columns_in_another_order_at_the_source_keep_their_places(
    tmp_path: Path, new_database: Callable[[], str], warehouse: Warehouse, passed_on: list[int]
) -> None:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(b"create table tabla (b text, a text, n integer not null)")
        connection.execute(b"insert into tabla values ('de b', 'de a', 1)")
        contract = contract_of(tmp_path, column("n", "integer", key=True), column("a"), column("b"))
        load_into(warehouse, contract, address(connection))

    assert len(passed_on) == 1
    assert raw(warehouse, "select n, a, b from raw.prueba__tabla") == [(1, "de a", "de b")]


def test_a_later_load_of_what_changed_is_merged(
    tmp_path: Path, source: psycopg.Connection[Any], warehouse: Warehouse, passed_on: list[int]
) -> None:
    contract = contract_of(tmp_path)
    load_into(warehouse, contract, address(source))
    passed_on.clear()
    source.execute(b"update tabla set nombre = 'otro' where n = 3")

    report = load_into(warehouse, contract, address(source))

    assert (report.loaded, report.known, passed_on) == (1, 4999, [])
    assert raw(warehouse) == source.execute(ALL.format("tabla").encode()).fetchall()


def test_the_reader_gives_what_was_sent_only_beside_all_of_it(
    tmp_path: Path, source: psycopg.Connection[Any]
) -> None:
    with open_reader(contract_of(tmp_path), SourceUrl.parse(address(source))) as reader:
        batches = list(reader.batches())

    assert sum(batch.data.num_rows for batch in batches) == 5000
    assert all(batch.sent for batch in batches)

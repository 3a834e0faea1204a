"""MySQL through both ways of reading: one snapshot, little memory, and failures in words.

A real MariaDB. What each type becomes stands in `test_types_mysql.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import SourceChanged, SourceUnavailable
from sources.landing import LoadContext, load
from sources.readers import RawBatch, ReaderOptions, database, open_reader
from sources.readers.engines.mysql import Mysql
from sources.urls import SourceUrl
from tests.sources.reader_support import (
    cast_all,
    column,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)
from tests.support.mariadb import MariaDb

pytestmark = pytest.mark.mariadb

COLUMNS = [
    column("obra_id", "bigint", key=True),
    column("nombre"),
    column("monto", "numeric(16,2)"),
    column("inicio", "date"),
    column("activa", "boolean"),
    column("actualizado_en", "timestamptz"),
]
ODD_COLUMNS = [
    column("obra_id", "integer", key=True, source="Order"),
    column("avance", "numeric(5,2)", source='Avance % "real"'),
    column("actualizado_en", "date", source="select"),
]
READINGS = [
    column("n", "bigint", key=True), column("medidor"), column("momento", "timestamp"),
    column("m3", "numeric(12,3)"),
]  # fmt: skip


def execute(server: MariaDb, *statements: str) -> None:
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def make_readings(server: MariaDb, rows: int) -> None:
    """A table `lecturas` of this many readings, numbered from 1."""
    execute(
        server,
        "drop table if exists lecturas",
        "create table lecturas (n bigint primary key, medidor varchar(8) not null, "
        "momento datetime not null, m3 decimal(12,3)) engine=innodb",
        "insert into lecturas select seq, concat('M-', seq mod 100), "
        "'2026-01-01' + interval seq minute, (seq mod 5000) / 1000 "
        f"from seq_1_to_{rows}",
    )


def readings_contract(folder: Path, **options: Any) -> Contract:
    return make_contract(folder, "mysql", READINGS, table="lecturas", **options)


def sessions(server: MariaDb) -> list[str]:
    """What the sessions of other users are doing, ours left out."""
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(info, command) from information_schema.processlist "
            "where id <> connection_id() and user = 'prueba'"
        )
        return [str(row[0]) for row in cursor.fetchall()]


def end_reading_sessions(server: MariaDb) -> None:
    connection = server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select id from information_schema.processlist where id <> connection_id() "
            "and info like '%largas%'"
        )
        for (session,) in cursor.fetchall():
            cursor.execute(f"kill {session}")


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# --- rows, names, increments ----------------------------------------------------------------------


@pytest.fixture(params=["wire", "driver"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs by both ways of reading, whatever the size of its table."""
    monkeypatch.setattr(database, "QUICK_ROWS", 1 if request.param == "wire" else 1 << 40)
    return str(request.param)


def test_rows_arrive_exactly_and_zero_dates_reject_only_their_row(
    tmp_path: Path, mariadb: MariaDb
) -> None:
    execute(
        mariadb,
        "drop table if exists obras",
        "create table obras (obra_id bigint primary key, nombre text, monto decimal(30,15), "
        "inicio date, activa bit(1), actualizado_en timestamp(6) null)",
        "set sql_mode = ''",
        "set time_zone = '-03:00'",
        "insert into obras values (1, 'Acequia Ñ 🙂', 1234.560000000000000, '2026-06-01', b'1', "
        "'2026-06-01 10:00:00.123456'), (2, '', 0.000000000000001, '2026-06-01', b'0', null), "
        "(3, null, null, '0000-00-00', null, '2026-06-01 00:00:00')",
    )
    contract = make_contract(tmp_path, "mysql", COLUMNS, table="obras")

    with open_reader(contract, SourceUrl.parse(mariadb.url)) as reader:
        assert reader.source_count() == 3
        good, rejected = cast_all(contract, list(reader.batches()))

    assert good == [
        {
            "obra_id": 1, "nombre": "Acequia Ñ 🙂", "monto": Decimal("1234.56"),
            "inicio": date(2026, 6, 1), "activa": True,
            "actualizado_en": datetime(2026, 6, 1, 13, 0, 0, 123456, tzinfo=UTC),
        }
    ]  # fmt: skip
    assert [(r.row_number, r.column) for r in rejected] == [(2, "monto"), (3, "inicio")]
    assert rejected[1].values["inicio"] == "0000-00-00"
    assert rejected[0].values["monto"] == "0.000000000000001"


@pytest.mark.parametrize("kind", ["datetime", "timestamp"])
def test_incremental_read_on_either_kind_of_time(
    tmp_path: Path, mariadb: MariaDb, kind: str
) -> None:
    execute(
        mariadb,
        "drop table if exists obras",
        "set time_zone = '-03:00'",
        f"create table obras (obra_id int primary key, actualizado_en {kind} null)",
        "insert into obras values (1, '2026-06-09 20:59:59'), (2, '2026-06-09 21:00:00'), "
        "(3, null)",
    )
    contract = make_contract(
        tmp_path,
        "mysql",
        [column("obra_id", "integer", key=True), column("actualizado_en", "timestamptz")],
        table="obras",
        loadMode="incremental",
        cursor="actualizado_en",
        lookback="P1D",
    )

    reader = open_reader(
        contract, SourceUrl.parse(mariadb.url), watermark="2026-06-11T00:00:00+00:00"
    )
    good, rejected = cast_all(contract, read_all(reader))

    assert rejected == []
    assert good == [
        {"obra_id": 2, "actualizado_en": datetime(2026, 6, 10, tzinfo=UTC)},
        {"obra_id": 3, "actualizado_en": None},
    ]


def test_a_column_that_select_all_leaves_out_is_read_where_the_contract_names_it(
    tmp_path: Path, mariadb: MariaDb
) -> None:
    execute(
        mariadb,
        "drop table if exists obras",
        "create table obras (obra_id int primary key, nombre varchar(20), "
        "monto decimal(10,2) invisible, visto_en timestamp(3) null invisible)",
        "set time_zone = '-03:00'",
        "insert into obras (obra_id, nombre, monto, visto_en) values (1, 'Acequia', 12.5, "
        "'2026-06-01 10:00:00.125'), (2, 'Plaza', null, null)",
    )
    names = [column("obra_id", "integer", key=True), column("nombre")]
    hidden = [column("visto_en", "timestamptz"), column("monto", "numeric(10,2)")]
    named = make_contract(tmp_path, "mysql", [*names, *hidden], table="obras")

    with open_reader(named, SourceUrl.parse(mariadb.url)) as reader:
        found = reader.columns()
        good, rejected = cast_all(named, list(reader.batches()))

    assert found == ("obra_id", "nombre", "monto", "visto_en")
    assert rejected == []
    assert good == [
        {"obra_id": 1, "nombre": "Acequia", "monto": Decimal("12.50"),
         "visto_en": datetime(2026, 6, 1, 13, 0, 0, 125000, tzinfo=UTC)},
        {"obra_id": 2, "nombre": "Plaza", "monto": None, "visto_en": None},
    ]  # fmt: skip
    # Whoever does not ask for them is not told of them: they are no news, nor added to raw.
    plain = make_contract(tmp_path, "mysql", names, table="obras")
    with open_reader(plain, SourceUrl.parse(mariadb.url)) as reader:
        assert reader.columns() == ("obra_id", "nombre")
        assert isinstance(reader, database.DatabaseReader)
        assert set(reader.source_types()) == {"obra_id", "nombre"}


def test_names_that_sql_would_trip_over(tmp_path: Path, mariadb: MariaDb) -> None:
    execute(
        mariadb,
        "drop table if exists `Obras nuevas`",
        'create table `Obras nuevas` (`Order` int, `Avance % "real"` double, `select` date)',
        "insert into `Obras nuevas` values (1, 0.1, '2026-06-01')",
    )
    contract = make_contract(
        tmp_path,
        "mysql",
        ODD_COLUMNS,
        table="Obras nuevas",
        loadMode="incremental",
        cursor="actualizado_en",
    )

    for watermark in (None, "2026-06-01"):
        reader = open_reader(contract, SourceUrl.parse(mariadb.url), watermark=watermark)
        good, _ = cast_all(contract, read_all(reader))
        assert good[0]["avance"] == Decimal("0.10")


def test_snapshot_does_not_see_later_rows(tmp_path: Path, mariadb: MariaDb) -> None:
    execute(
        mariadb,
        "drop table if exists obras",
        "create table obras (obra_id int primary key) engine=innodb",
        "insert into obras values (1), (2), (3)",
    )
    contract = make_contract(
        tmp_path, "mysql", [column("obra_id", "integer", key=True)], table="obras"
    )

    with open_reader(contract, SourceUrl.parse(mariadb.url), batch_rows=2) as reader:
        execute(mariadb, "insert into obras values (4)")
        assert reader.source_count() == 3
        assert numbers_of(reader.batches()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("part", "instead", "message"),
    [
        (r"//prueba:", "//otro:", "rechazó el usuario 'otro'"),
        (r"/prueba$", "/otra", "no existe la base de datos"),
        (r":\d+/", ":1/", "no se pudo llegar al sistema prueba"),
        (r"$", "", "no existe la tabla no_existe"),
    ],
)
def test_failures_say_what_to_do(
    tmp_path: Path, mariadb: MariaDb, part: str, instead: str, message: str
) -> None:
    url = SourceUrl.parse(re.sub(part, instead, mariadb.url))
    contract = make_contract(tmp_path, "mysql", [column("a")], table="no_existe")

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(open_reader(contract, url))

    assert mariadb.password not in str(held.value)


# --- one snapshot ---------------------------------------------------------------------------------


def test_count_sums_keys_and_rows_are_of_one_moment(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 3000)
    contract = readings_contract(tmp_path)

    with open_reader(contract, SourceUrl.parse(mariadb.url), batch_rows=1000) as reader:
        assert isinstance(reader, database.DatabaseReader)
        totals = reader.source_totals()
        batches: list[RawBatch] = []
        for batch in reader.batches():
            execute(
                mariadb,
                "update lecturas set m3 = 9 where n > 2000",
                "delete from lecturas where n > 2900",
                f"insert into lecturas values ({9000 + len(batches)}, 'x', '2026-01-01', 1)",
            )
            batches.append(batch)
        compared = reader.keys()
        keys = [str(key) for batch in compared for key in batch.column("n").to_pylist()]

    good, rejected = cast_all(contract, batches)
    assert rejected == []
    assert totals is not None and totals.rows == len(good) == 3000
    assert totals.sums["m3"] == sum(row["m3"] for row in good)
    assert [row["n"] for row in good] == list(range(1, 3001))
    assert sorted(map(int, keys)) == list(range(1, 3001))


def test_a_load_while_the_source_changes_equals_one_moment_of_it(
    tmp_path: Path, mariadb: MariaDb, warehouse: Warehouse
) -> None:
    make_readings(mariadb, 3000)
    changed: list[int] = []

    def change(read: int) -> None:
        if not changed:
            execute(
                mariadb,
                "insert into lecturas values (0, 'x', '2026-01-01', 1)",
                "update lecturas set m3 = 9",
            )
        changed.append(read)

    context = LoadContext(warehouse.connect, "prueba", batch_rows=1000, progress=change)
    report = load(readings_contract(tmp_path), SourceUrl.parse(mariadb.url), context, [])

    with warehouse.connect() as connection:
        found = connection.execute(
            "select count(*), min(n), max(m3) from raw.prueba__tabla"
        ).fetchone()
    assert changed
    assert (report.state, report.errors) == ("cargada", [])
    assert found == (3000, 1, Decimal("3.000"))


# --- the fast way ---------------------------------------------------------------------------------


def test_dates_that_nobody_expected_make_the_load_read_again(
    tmp_path: Path, mariadb: MariaDb, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SEARCHED_ROWS", 0)
    make_readings(mariadb, 500)
    execute(mariadb, "set sql_mode = ''", "update lecturas set momento = '2026-00-00' where n = 9")
    contract = readings_contract(tmp_path)

    report = load(contract, SourceUrl.parse(mariadb.url), LoadContext(warehouse.connect, "p"), [])

    assert (report.state, report.errors) == ("cargada", [])
    assert (report.read, report.loaded, report.quarantined) == (500, 499, 1)


@pytest.mark.parametrize("way", ["wire"], indirect=True)
def test_the_fast_way_gives_up_in_words(
    tmp_path: Path, mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SEARCHED_ROWS", 0)
    make_readings(mariadb, 500)
    execute(mariadb, "set sql_mode = ''", "update lecturas set momento = '0000-00-00' where n = 9")

    with pytest.raises(SourceChanged, match="la tabla lecturas tiene un valor") as held:
        read_all(open_reader(readings_contract(tmp_path), SourceUrl.parse(mariadb.url)))

    assert mariadb.password not in str(held.value)


@pytest.mark.parametrize("way", ["wire"], indirect=True)
def test_the_rows_of_a_large_table_are_counted_by_the_statement_that_sends_them(
    tmp_path: Path, mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the snapshot; what is read from a watermark on is counted beforehand."""
    monkeypatch.setattr(database, "_SEARCHED_ROWS", 5)
    make_readings(mariadb, 2500)
    execute(mariadb, "analyze table lecturas")
    url = SourceUrl.parse(mariadb.url)

    with open_reader(readings_contract(tmp_path, fetchRows=1000), url) as reader:
        before = reader.source_count()
        execute(mariadb, "insert into lecturas select n + 2500, medidor, momento, m3 from lecturas")
        batches = list(reader.batches())
        counted = reader.source_count()

    assert (before, counted) == (None, 2500)
    assert sum(batch.data.num_rows for batch in batches) == 2500

    increment = readings_contract(tmp_path, loadMode="incremental", cursor="n")
    with open_reader(increment, url, watermark="4990") as reader:
        assert reader.source_count() == 11


def test_rows_come_in_batches_of_the_size_asked_for(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 2500)
    contract = readings_contract(tmp_path, fetchRows=1000)

    batches = read_all(open_reader(contract, SourceUrl.parse(mariadb.url)))

    assert [batch.data.num_rows for batch in batches] == [1000, 1000, 500]
    assert numbers_of(batches) == list(range(1, 2501))


def test_long_texts_come_in_smaller_batches(tmp_path: Path, mariadb: MariaDb) -> None:
    execute(
        mariadb,
        "drop table if exists notas",
        "create table notas (n int primary key, nota longtext)",
        "insert into notas select seq, repeat('ñ', 100000) from seq_1_to_200",
        "analyze table notas",
    )
    contract = make_contract(
        tmp_path, "mysql", [column("n", "integer", key=True), column("nota")], table="notas"
    )

    batches = read_all(open_reader(contract, SourceUrl.parse(mariadb.url)))

    # 200 notes of 200,000 bytes: 40 MB, of which a batch holds about 8.
    assert sum(batch.data.num_rows for batch in batches) == 200
    assert max(batch.data.nbytes for batch in batches) < 16 << 20


def make_long_rows(server: MariaDb) -> None:
    """A table `largas` of 200 MB: far more than sockets and windows hold."""
    execute(
        server,
        "drop table if exists largas",
        "create table largas (n int primary key, t varchar(2000))",
        "insert into largas select seq, repeat('x', 2000) from seq_1_to_100000",
        "analyze table largas",
    )


def long_rows_contract(folder: Path) -> Contract:
    columns = [column("n", "integer", key=True), column("t")]
    return make_contract(folder, "mysql", columns, table="largas")


def test_a_slow_reader_does_not_pile_up_the_table(tmp_path: Path, mariadb: MariaDb) -> None:
    """The server waits for the reader: of 200 MB only a few reach this machine's memory."""
    make_long_rows(mariadb)

    with open_reader(long_rows_contract(tmp_path), SourceUrl.parse(mariadb.url)) as reader:
        batches = reader.batches()
        next(batches)
        ended = until(lambda: not any("largas" in what for what in sessions(mariadb)), 2)
        rest = sum(batch.data.num_rows for batch in batches)

    assert not ended, "the server had nothing left to send after one batch"
    assert rest > 50_000


def test_a_read_that_is_abandoned_leaves_no_session(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 200_000)

    contract = readings_contract(tmp_path, fetchRows=1000)
    with open_reader(contract, SourceUrl.parse(mariadb.url)) as reader:
        next(reader.batches())

    assert until(lambda: sessions(mariadb) == [])


def test_a_session_ended_by_the_server_says_so(tmp_path: Path, mariadb: MariaDb) -> None:
    make_long_rows(mariadb)

    with open_reader(long_rows_contract(tmp_path), SourceUrl.parse(mariadb.url)) as reader:
        batches = reader.batches()
        next(batches)
        end_reading_sessions(mariadb)
        with pytest.raises(SourceUnavailable, match="no se pudo llegar al sistema prueba") as held:
            list(batches)

    assert mariadb.password not in str(held.value)


def test_a_statement_that_takes_too_long_is_ended(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 20_000)
    execute(
        mariadb,
        "create or replace view lentas as select n, medidor, momento, m3 from lecturas "
        "where sleep(0.001) = 0",
    )
    contract = make_contract(tmp_path, "mysql", READINGS, table="lentas", statementTimeout="PT1S")

    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="no respondió a tiempo"):
        read_all(open_reader(contract, SourceUrl.parse(mariadb.url)))

    assert time.monotonic() - started < 15  # to its end it takes twenty


def test_the_session_can_only_read(mariadb: MariaDb) -> None:
    make_readings(mariadb, 10)
    engine = Mysql()
    connection = engine.connect(SourceUrl.parse(mariadb.url), ReaderOptions())
    engine.begin(connection)

    with connection, connection.cursor() as cursor, pytest.raises(pymysql.Error, match="READ ONLY"):
        cursor.execute("delete from lecturas")


def test_a_password_with_every_sign_opens_both_ways(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 100)
    root = pymysql.connect(unix_socket=str(mariadb.socket), user="root", charset="utf8mb4")
    with root, root.cursor() as cursor:
        cursor.execute("create or replace user 'lector'@'%' identified by 'c:l@v/e #1%?ñ'")
        cursor.execute("grant select on prueba.* to 'lector'@'%'")
    address = f"mysql://lector:c%3Al%40v%2Fe%20%231%25%3F%C3%B1@127.0.0.1:{mariadb.port}/prueba"

    batches = read_all(open_reader(readings_contract(tmp_path), SourceUrl.parse(address)))

    assert len(rows_of(batches)) == 100


def test_the_server_s_own_socket_opens_both_ways(tmp_path: Path, mariadb: MariaDb) -> None:
    make_readings(mariadb, 100)
    address = f"{mariadb.url}?unix_socket={mariadb.socket}".replace(f":{mariadb.port}", ":1")

    batches = read_all(open_reader(readings_contract(tmp_path), SourceUrl.parse(address)))

    assert len(rows_of(batches)) == 100

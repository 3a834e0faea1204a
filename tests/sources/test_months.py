"""Months of a raw table: taken out, kept, put back as they were, and never lost on the way."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.checkers import checkers_for
from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.contract_document import load_catalogue
from sources.landing import LoadContext, LoadReport, load
from sources.landing.months import (
    PartitionError,
    attach,
    detach,
    expired,
    keep_from,
    months_of,
)
from sources.landing.replay import replay
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

COLUMNS = [column("medidor"), column("leido", "timestamptz"), column("litros", "integer")]
MAY, JUNE, JULY = (dt.date(2026, month, 1) for month in (5, 6, 7))


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return make_contract(tmp_path, "csv", COLUMNS, partitionBy="leido", maxQuarantineShare=1)


class Feed:
    def __init__(self, warehouse: Warehouse, folder: Path, contract: Contract) -> None:
        self.warehouse, self.folder, self.contract = warehouse, folder, contract
        folder.mkdir()
        self.context = LoadContext(connect=warehouse.connect, run_id="prueba")

    def load(self, name: str, *rows: str) -> LoadReport:
        (self.folder / name).write_text("\n".join(["medidor,leido,litros", *rows, ""]))
        report = load(self.contract, SourceUrl.parse(str(self.folder)), self.context, [])
        assert not report.errors, report.errors
        return report

    def detach(self, month: dt.date) -> None:
        with self.warehouse.connect() as connection:
            detach(connection, self.contract, month, by="Ana", reason="viejo", run_id="prueba")

    def attach(self, month: dt.date) -> Any:
        with self.warehouse.connect() as connection:
            return attach(connection, self.contract, month, by="Ana", run_id="prueba")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def rows(self) -> list[str]:
        return [
            row[0]
            for row in self.query(
                "select medidor || ' ' || litros from raw.prueba__tabla order by 1"
            )
        ]

    def months(self) -> list[tuple[str, bool, bool]]:
        with self.warehouse.connect() as connection:
            return [
                (f"{m.start:%Y-%m}", m.attached, m.missing)
                for m in months_of(connection, self.contract)
            ]


@pytest.fixture
def feed(warehouse: Warehouse, tmp_path: Path, contract: Contract) -> Feed:
    made = Feed(warehouse, tmp_path / "lecturas", contract)
    made.load(
        "a.csv", "m1,2026-05-31T23:59:59Z,1", "m1,2026-06-01T00:00:00Z,2",
        "m2,2026-06-30T23:59:59Z,3", "m1,2026-07-01T00:00:00Z,4",
    )  # fmt: skip
    return made


def test_a_detached_month_is_out_of_the_table_named_listed_and_comes_back_whole(feed: Feed) -> None:
    feed.detach(JUNE)

    assert feed.rows() == ["m1 1", "m1 4"]
    assert feed.months() == [
        ("2026-05", True, False),
        ("2026-06", False, False),
        ("2026-07", True, False),
    ]
    assert feed.query("select count(*) from raw.prueba__tabla_2026_06") == [(2,)]
    [(words,)] = feed.query("select obj_description('raw.prueba__tabla_2026_06'::regclass)")
    assert "lujan partitions attach prueba__tabla 2026-06" in words

    assert feed.attach(JUNE).rows == 2

    assert feed.rows() == ["m1 1", "m1 2", "m1 4", "m2 3"]
    assert all(attached for _, attached, _ in feed.months())
    assert feed.query("select sum(filas_cargadas) - sum(filas_eliminadas) from meta.carga") == [
        (4,)
    ]  # rows are accounted for
    feed.detach(JUNE)  # and again
    feed.attach(JUNE)
    assert len(feed.rows()) == 4


def test_what_is_cut_half_way_did_not_happen_and_can_be_asked_again(feed: Feed) -> None:
    steps: tuple[tuple[Callable[[Any], object], Callable[[dt.date], object]], ...] = (
        (
            lambda c: detach(c, feed.contract, JUNE, by="Ana", reason="viejo", run_id="prueba"),
            feed.detach,
        ),
        (lambda c: attach(c, feed.contract, JUNE, by="Ana", run_id="prueba"), feed.attach),
    )
    books = "select carga_id, modo, estado from meta.carga order by 1"
    for half, whole in steps:
        before = feed.months(), feed.rows(), feed.query(books)
        connection = feed.warehouse.connect()
        half(connection)
        feed.query(f"select pg_terminate_backend({connection.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert (feed.months(), feed.rows(), feed.query(books)) == before
        whole(JUNE)
        assert feed.months() != before[0]


def test_rows_of_a_detached_month_wait_in_quarantine_and_enter_when_it_is_back(feed: Feed) -> None:
    feed.detach(JUNE)

    report = feed.load("tarde.csv", "m3,2026-06-15T12:00:00Z,5", "m3,2026-07-15T12:00:00Z,6")

    assert (report.loaded, report.quarantined, dict(report.reasons)) == (1, 1, {"mes_separado": 1})
    [(step,)] = feed.query("select siguiente_paso from quarantine.detalle")
    assert "lujan partitions attach" in step
    assert replay(feed.contract, feed.context, []).loaded == 0  # still apart

    feed.attach(JUNE)
    assert replay(feed.contract, feed.context, []).loaded == 1

    assert feed.rows() == ["m1 1", "m1 2", "m1 4", "m2 3", "m3 5", "m3 6"]


def test_rows_of_a_file_replaced_meanwhile_go_to_the_history(feed: Feed) -> None:
    feed.detach(JUNE)
    feed.load("a.csv", "m1,2026-05-31T23:59:59Z,10")

    done = feed.attach(JUNE)

    assert (done.rows, done.replaced) == (0, 2)
    assert feed.rows() == ["m1 10"]
    assert feed.query("select count(*), count(distinct fila ->> 'litros') from raw._historial") == [
        (4, 4)
    ]


def test_a_month_that_is_not_what_it_was_is_not_let_in(feed: Feed) -> None:
    feed.detach(JUNE)
    changes = (
        ("delete from raw.prueba__tabla_2026_06 where litros = 2", "tenía 2 filas"),
        ("update raw.prueba__tabla_2026_06 set leido = '2026-07-02'", "no son de 2026-06"),
        ("alter table raw.prueba__tabla_2026_06 add otra text", "otra"),
        ("alter table raw.prueba__tabla_2026_06 alter litros type bigint", "litros"),
        ("drop table raw.prueba__tabla_2026_06", "ya no está"),
    )
    for change, words in changes:
        with feed.warehouse.connect() as connection:
            connection.execute(change.encode())
            with pytest.raises(PartitionError, match=words) as caught:
                attach(connection, feed.contract, JUNE, by="Ana", run_id="prueba")
            assert caught.value.next_step and caught.value.owner
            connection.rollback()
    with feed.warehouse.connect() as connection:
        connection.execute("drop table raw.prueba__tabla_2026_06")
    assert ("2026-06", False, True) in feed.months()  # what is lost is not forgotten


def test_a_column_that_the_table_got_meanwhile_is_added(feed: Feed) -> None:
    feed.detach(JUNE)
    with feed.warehouse.connect() as connection:
        connection.execute("alter table raw.prueba__tabla add column nueva numeric(8,2)")

    feed.attach(JUNE)

    assert len(feed.rows()) == 4


def test_a_type_that_the_table_got_meanwhile_is_told_with_the_statement_for_the_month(
    feed: Feed,
) -> None:
    feed.detach(JUNE)
    with feed.warehouse.connect() as connection:
        connection.execute("alter table raw.prueba__tabla alter litros type bigint")

    with pytest.raises(PartitionError) as caught:
        feed.attach(JUNE)

    statement = re.search(r"alter table [^;]+;", caught.value.next_step)
    assert statement is not None
    with feed.warehouse.connect() as connection:
        connection.execute(statement[0].encode())
    feed.attach(JUNE)
    assert len(feed.rows()) == 4


KEYS: dict[str, tuple[str, ...]] = {
    "none": (), "meter": ("medidor", "leido"), "litres": ("litros", "leido"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"), [("meter", "litres"), ("meter", "none"), ("none", "meter")]
)
def test_a_month_comes_back_to_a_table_that_has_another_key_by_now(
    warehouse: Warehouse, new_database: Callable[[], str], tmp_path: Path, before: str, after: str
) -> None:
    """What has no key by the new one, or that of another row, goes to the history as in a load."""
    source = new_database()
    with psycopg.connect(source) as connection:
        connection.execute(
            "create table tabla as select * from (values ('m1', '2026-06-01 00:00Z'::timestamptz, "
            "1), ('m2', '2026-06-01 00:00Z', 1), ('m3', '2026-06-02 00:00Z', null), "
            "('m1', '2026-07-01 00:00Z', 4)) v (medidor, leido, litros)"
        )
    context = LoadContext(connect=warehouse.connect, run_id="prueba")

    def contract(key: str) -> Contract:
        columns = [
            column(c["name"], c["physicalType"], key=c["name"] in KEYS[key]) for c in COLUMNS
        ]
        mode = {"loadMode": "append" if key == "none" else "incremental", "cursor": "leido"}
        return make_contract(
            tmp_path, "postgresql", columns, partitionBy="leido", maxQuarantineShare=1, **mode
        )

    def loaded(key: str) -> LoadReport:
        wanted = contract(key)
        report = load(wanted, SourceUrl.parse(source), context, checkers_for(wanted))
        assert not report.errors, report.errors
        return report

    loaded(before)
    with warehouse.connect() as connection:
        detach(connection, contract(before), JUNE, by="Ana", reason="viejo", run_id="prueba")
    loaded(after)
    with warehouse.connect() as connection:
        done = attach(connection, contract(after), JUNE, by="Ana", run_id="prueba")

    lost = 2 if after == "litres" else 0
    assert (done.rows, done.repeated) == (3 - lost, lost)
    with warehouse.connect() as connection:
        [(history,)] = connection.execute(
            "select count(*) from raw._historial where carga_id = %s", [done.load_id]
        ).fetchall()
        keys = connection.execute(
            "select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint "
            "where contype = 'p' and conrelid::regclass::text like 'raw.prueba%%' order by 1"
        ).fetchall()
    assert history == lost
    wanted = (
        f"PRIMARY KEY ({', '.join(n for n in ('medidor', 'leido', 'litros') if n in KEYS[after])})"
    )
    assert [key for _, key in keys] == ([wanted] * 3 if KEYS[after] else [])
    # And it takes loads again: those of the month that came meanwhile, and all that is known.
    replay(contract(after), context, checkers_for(contract(after)))
    with warehouse.connect() as connection:
        connection.execute("delete from meta.marca")
    assert loaded(after).loaded == 0


@pytest.mark.parametrize(
    ("month", "words"),
    [(dt.date(2025, 1, 1), "no hay un mes"), (JUNE, "ya está separado")],
)
def test_what_is_not_attached_cannot_be_detached(feed: Feed, month: dt.date, words: str) -> None:
    feed.detach(JUNE)
    with pytest.raises(PartitionError, match=words):
        feed.detach(month)
    with pytest.raises(PartitionError, match="no está separado"):
        feed.attach(MAY)


def test_a_table_that_is_read_in_full_keeps_its_months(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    whole = make_contract(tmp_path, "postgresql", COLUMNS, partitionBy="leido", loadMode="full")
    with (
        warehouse.connect() as connection,
        pytest.raises(PartitionError, match="vendrían otra vez"),
    ):
        detach(connection, whole, JUNE, by="Ana", reason="viejo", run_id="prueba")


def test_a_load_under_way_is_waited_for_and_sees_all_or_nothing(feed: Feed) -> None:
    """The load holds its lock from the first row on; the month leaves after it, with its rows."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(rows: int) -> None:
        entered.set()
        go_on.wait(20)

    context = LoadContext(connect=feed.warehouse.connect, run_id="prueba", progress=slow)
    (feed.folder / "b.csv").write_text("medidor,leido,litros\nm9,2026-06-02T00:00:00Z,9\n")
    reports: list[LoadReport] = []
    loading = threading.Thread(
        target=lambda: reports.append(
            load(feed.contract, SourceUrl.parse(str(feed.folder)), context, [])
        )
    )
    loading.start()
    assert entered.wait(20)
    detaching = threading.Thread(target=feed.detach, args=(JUNE,))
    detaching.start()
    detaching.join(0.5)
    assert detaching.is_alive()  # waits
    go_on.set()
    loading.join(20)
    detaching.join(20)

    assert not reports[0].errors and reports[0].loaded == 1
    assert feed.query("select count(*) from raw.prueba__tabla_2026_06") == [(3,)]
    assert feed.query("select filas from meta.particion_separada") == [(3,)]


def test_a_reader_that_does_not_let_go_is_named_as_the_reason(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.landing.months._LOCK_WAIT", "200ms")
    with feed.warehouse.connect() as reader:
        reader.execute("select count(*) from raw.prueba__tabla")
        with pytest.raises(PartitionError, match="está en uso"):
            feed.detach(JUNE)
    assert len(feed.rows()) == 4


def test_retention_is_the_longest_of_the_contracts_and_takes_whole_months_only(feed: Feed) -> None:
    contracts = load_catalogue().by_landing_table()["telemetria__lecturas"]
    assert keep_from(contracts, dt.date(2026, 7, 15)) == dt.date(2016, 7, 15)
    assert keep_from([*contracts, feed.contract], dt.date(2026, 7, 15)) is None

    with feed.warehouse.connect() as connection:
        months = months_of(connection, feed.contract)
    assert [m.start for m in expired(months, dt.date(2026, 6, 30))] == [MAY]
    assert [m.start for m in expired(months, dt.date(2026, 7, 1))] == [MAY, JUNE]

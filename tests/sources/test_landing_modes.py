"""Modes of tables: what each reads, adds, changes and removes, and what it refuses to."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import SourceChanged, SourceUnavailable
from sources.landing import LoadContext, LoadReport, load
from sources.landing.replay import replay
from sources.landing.slots import slots
from sources.landing.totals import Totals, exact_sum
from sources.readers import RejectedRow, database
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

KEY = column("cuenta_id", "integer", key=True)
NO_KEY = column("cuenta_id", "integer")
REST = (column("nombre"), column("saldo", "numeric(10,2)"), column("visto_en", "timestamp"))
NOW = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)


class City:
    """A PostgreSQL system with the table `tabla`, and the warehouse it is loaded into."""

    def __init__(self, url: str, warehouse: Warehouse, folder: Path) -> None:
        self.url = url
        self.warehouse = warehouse
        self.folder = folder
        self.run(
            "create table tabla (cuenta_id integer, nombre text, saldo numeric(10,2), "
            "visto_en timestamp)"
        )

    def run(self, statement: str, *parameters: Any) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode(), parameters)

    def add(self, *rows: tuple[Any, ...]) -> None:
        """Rows (cuenta_id, nombre, saldo, day of June 2026 or a whole time)."""
        for number, name, balance, seen in rows:
            moment = f"2026-06-{seen:02d}" if isinstance(seen, int) else seen
            self.run("insert into tabla values (%s, %s, %s, %s)", number, name, balance, moment)

    def fill(self, first: int, last: int) -> None:
        self.run(
            "insert into tabla select n, 'Cuenta ' || n, n, timestamp '2026-06-01' "
            "from generate_series(%s::int, %s::int) n",
            first,
            last,
        )

    def contract(self, key: dict[str, Any] = KEY, **options: Any) -> Contract:
        return make_contract(self.folder, "postgresql", [key, *REST], **options)

    def load(self, contract: Contract, now: dt.datetime = NOW, **options: Any) -> LoadReport:
        context = LoadContext(
            connect=self.warehouse.connect, run_id="prueba", clock=lambda: now, **options
        )
        return load(contract, SourceUrl.parse(self.url), context, [])

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def names(self) -> list[str]:
        return [row[0] for row in self.ask("select nombre from raw.prueba__tabla order by 1")]

    def history(self) -> list[tuple[str, str]]:
        return self.ask(
            "select operacion, fila ->> 'nombre' from raw._historial order by historial_id"
        )


@pytest.fixture
def city(new_database: Callable[[], str], warehouse: Warehouse, tmp_path: Path) -> Iterator[City]:
    """Whatever a test did: every row of history and quarantine is of a load that is on record."""
    city = City(new_database(), warehouse, tmp_path)
    yield city
    assert (
        city.ask(
            "(select carga_id from raw._historial union select carga_id from quarantine.fila) "
            "except select carga_id from meta.carga"
        )
        == []
    )


def figures(report: LoadReport) -> tuple[int, int, int, int, int]:
    assert report.errors == []
    return report.read, report.loaded, report.quarantined, report.known, report.deleted


# --- full -----------------------------------------------------------------------------------------


def test_the_first_load_of_a_prepared_table_ends_with_its_key_in_place(city: City) -> None:
    contract = city.contract()
    city.load(contract)
    city.fill(1, 300)

    assert figures(city.load(contract, batch_rows=100)) == (300, 300, 0, 0, 0)
    assert city.ask(
        "select conname, pg_get_constraintdef(oid) from pg_constraint "
        "where conrelid = 'raw.prueba__tabla'::regclass and contype = 'p'"
    ) == [("prueba__tabla_pkey", "PRIMARY KEY (cuenta_id)")]


def test_keys_repeated_in_a_first_load_are_set_aside_with_their_place_in_what_was_read(
    city: City,
) -> None:
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 1), (2, "Otro Blas", 3, 1), (3, "Eva", 4, 1))

    assert figures(city.load(city.contract())) == (4, 3, 1, 0, 0)
    assert len(city.names()) == 3
    assert city.ask("select regla, numero_fila from quarantine.fila") == [("clave_repetida", 3)]


def test_a_key_repeated_in_equal_rows_of_a_later_load_is_set_aside(city: City) -> None:
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 1))
    city.load(city.contract())
    city.add((2, "Blas", 2, 1), (3, "Eva", 3, 1), (3, "Eva", 3, 1))

    assert figures(city.load(city.contract())) == (5, 1, 2, 2, 0)
    assert city.names() == ["Ana", "Blas", "Eva"]


def test_only_changed_rows_move(city: City) -> None:
    city.fill(1, 60)
    city.load(city.contract())
    before = dict(city.ask("select cuenta_id, ctid::text from raw.prueba__tabla"))
    city.run("update tabla set saldo = saldo + 1 where cuenta_id = 7")

    assert figures(city.load(city.contract())) == (60, 1, 0, 59, 0)
    after = dict(city.ask("select cuenta_id, ctid::text from raw.prueba__tabla"))
    assert [key for key in before if before[key] != after[key]] == [7]
    assert city.history() == [("modificacion", "Cuenta 7")]


@pytest.mark.parametrize(
    "damage", ["delete from tabla", "delete from tabla where cuenta_id > 40"], ids=["all", "a part"]
)
@pytest.mark.parametrize("key", [KEY, NO_KEY], ids=["with key", "without key"])
def test_a_source_that_lost_much_of_a_table_does_not_empty_it(
    city: City, key: dict[str, Any], damage: str
) -> None:
    city.fill(1, 60)
    city.load(city.contract(key))
    city.run(damage)

    report = city.load(city.contract(key))

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "de las 60 filas de raw.prueba__tabla" in message
    assert "Secretaría de Prueba" in message and "maxDeletionShare" in message
    assert len(city.names()) == 60
    accepted = city.load(city.contract(key, maxDeletionShare=1))
    assert accepted.state == "cargada" and len(city.names()) == 60 - accepted.deleted < 60


def test_a_table_without_key_writes_only_what_differs(city: City) -> None:
    contract = city.contract(NO_KEY)
    city.add((1, "Ana", 1, 1), (1, "Ana", 1, 1), (2, None, None, 1), (3, "Eva", 3, 1))
    city.load(contract)
    before = city.ask("select ctid from raw.prueba__tabla where cuenta_id < 3 order by 1")

    assert figures(city.load(contract)) == (4, 0, 0, 4, 0)
    city.run("update tabla set nombre = 'Eva María' where cuenta_id = 3")
    city.add((1, "Ana", 1, 1))

    assert figures(city.load(contract)) == (5, 2, 0, 3, 1)
    kept = "select ctid from raw.prueba__tabla where cuenta_id < 3 and _load_id = 1 order by 1"
    assert city.ask(kept) == before
    assert city.ask("select cuenta_id, count(*) from raw.prueba__tabla group by 1 order by 1") == [
        (1, 3),
        (2, 1),
        (3, 1),
    ]
    assert city.history() == [("baja", "Eva")]


def test_another_type_in_the_contract_is_refused_with_the_statement_that_makes_it_so(
    city: City,
) -> None:
    city.add((1, "Ana", Decimal("1.50"), 1))
    city.load(city.contract())
    wider = [KEY, REST[0], column("saldo", "numeric(14,4)"), REST[2]]
    contract = make_contract(city.folder, "postgresql", wider)

    [error] = city.load(contract).errors

    assert "saldo es numeric(10,2)" in str(error)
    statement = re.search(r"alter table [^;]+;", error.next_step or "")
    assert statement is not None
    with city.warehouse.connect() as connection:
        connection.execute(statement[0].encode())
    assert figures(city.load(contract)) == (1, 0, 0, 1, 0)


def test_readers_see_the_old_state_or_the_new_one(city: City) -> None:
    city.fill(1, 100)
    city.load(city.contract())
    city.run("update tabla set nombre = 'nueva'")
    seen: set[tuple[int, int]] = set()
    done = threading.Event()

    def watch() -> None:
        with city.warehouse.connect(autocommit=True) as connection:
            while not done.is_set():
                row = connection.execute(
                    "select count(*), count(*) filter (where nombre = 'nueva') "
                    "from raw.prueba__tabla"
                ).fetchone()
                assert row is not None
                seen.add((row[0], row[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    city.load(city.contract(), batch_rows=10)
    done.set()
    watcher.join()
    assert seen <= {(100, 0), (100, 100)} and (100, 0) in seen


def test_a_view_that_leans_on_the_key_does_not_stop_a_first_load(city: City) -> None:
    city.load(city.contract())
    with city.warehouse.connect() as connection:
        # Grouped by the key alone, which makes the view depend on it.
        connection.execute(
            "create view staging.v as select cuenta_id, nombre from raw.prueba__tabla "
            "group by cuenta_id"
        )
    city.fill(1, 30)

    assert figures(city.load(city.contract())) == (30, 30, 0, 0, 0)
    assert city.ask("select count(*) from staging.v") == [(30,)]


# --- incremental ----------------------------------------------------------------------------------


def incremental(city: City, **options: Any) -> Contract:
    return city.contract(**{"loadMode": "incremental", "cursor": "visto_en"} | options)


def test_a_changed_row_stays_on_its_page_and_its_keys_index_is_not_written(city: City) -> None:
    contract = incremental(city)
    city.fill(1, 2_000)
    city.load(contract)
    places = "select (ctid::text::point)[0]::int, nombre from raw.prueba__tabla where cuenta_id = 7"
    [before] = city.ask(places)
    city.run("update tabla set nombre = 'Otra', visto_en = '2026-06-02' where cuenta_id %% 100 = 7")

    assert city.load(contract).loaded == 20
    [after] = city.ask(places)
    assert after == (before[0], "Otra")


@pytest.mark.parametrize(
    ("kind", "low", "mid", "high", "beyond"),
    [
        ("integer", "-5", "0", "7", "8"),
        ("bigint", "1", "40", "900", "9000000000"),
        ("numeric(8,2)", "-1.5", "0.25", "7", "7.01"),
        ("text", "", "M-10", "M-9", "M-9 bis"),
        ("date", "1900-01-01", "2026-05-31", "2026-06-01", "2026-06-02"),
        ("timestamp", "2026-06-01 00:00", "2026-06-01 01:00", "2026-06-02", "2026-06-02 00:00:01"),
        ("boolean", "false", "false", "false", "true"),
    ],
)
def test_an_increment_meets_known_keys_and_adds_those_below_between_and_beyond_them(
    city: City, kind: str, low: str, mid: str, high: str, beyond: str
) -> None:
    city.run(f"create table claves (clave {kind}, parte integer, nombre text, visto_en timestamp)")
    columns = [column("clave", kind, key=True), column("parte", "integer", key=True)]
    columns += [column("nombre"), column("visto_en", "timestamp")]
    contract = make_contract(
        city.folder, "postgresql", columns, table="claves", loadMode="incremental",
        cursor="visto_en", deletionsEvery="never",
    )  # fmt: skip

    def add(key: str, part: int, name: str, day: int) -> None:
        city.run(
            f"insert into claves values (%s::text::{kind}, %s, %s, %s)",
            key, part, name, f"2026-06-{day:02d}",
        )  # fmt: skip

    add(low, 5, "primera", 1)
    add(high, 6, "última", 1)
    assert figures(city.load(contract)) == (2, 2, 0, 0, 0)
    city.run("update claves set nombre = nombre || ' cambiada', visto_en = '2026-06-02'")
    add(low, 4, "debajo", 2)
    add(mid, 7, "entre ambas", 2)
    add(high, 8, "más allá, por la segunda parte", 2)
    add(beyond, 1, "más allá", 2)
    add(beyond, 1, "más allá, repetida", 2)

    report = city.load(contract)

    assert figures(report) == (7, 6, 1, 0, 0)
    # Read again from the watermark on, all of it is known but the repeated key.
    again = city.load(contract)
    assert (again.loaded, again.known + again.quarantined) == (0, 7)
    names = [name for name in city.names() if not name.startswith("más allá")]
    assert names == ["debajo", "entre ambas", "primera cambiada", "última cambiada"]
    assert len(city.names()) == 6
    assert city.history() == [("modificacion", "primera"), ("modificacion", "última")]


def test_rows_that_share_the_highest_cursor_value_are_neither_missed_nor_loaded_twice(
    city: City,
) -> None:
    contract = incremental(city)
    city.add((1, "Ana", 1, 5), (2, "Blas", 2, 5))
    city.load(contract)
    city.add((3, "Eva", 3, 5), (4, "Ivo", 4, 5))

    assert figures(city.load(contract)) == (4, 2, 0, 2, 0)
    assert figures(city.load(contract)) == (4, 0, 0, 4, 0)
    assert city.names() == ["Ana", "Blas", "Eva", "Ivo"]


def test_late_and_back_dated_changes_inside_the_look_back_are_caught(city: City) -> None:
    contract = incremental(city, lookback="P2D")
    city.add((1, "vieja", 1, 1), (2, "Blas", 2, 8), (3, "Eva", 3, 10))
    city.load(contract)
    city.run("update tabla set nombre = 'Blas corregido' where cuenta_id = 2")
    city.run("update tabla set nombre = 'no se ve' where cuenta_id = 1")
    city.add((4, "tarde", 4, "2026-06-09 23:59:59"))

    assert figures(city.load(contract)) == (3, 2, 0, 1, 0)
    assert city.names() == ["Blas corregido", "Eva", "tarde", "vieja"]
    assert city.history() == [("modificacion", "Blas")]


def test_rows_without_cursor_value_come_at_each_load_and_once_into_raw(city: City) -> None:
    contract = incremental(city)
    city.add((1, "sin fecha", 1, None), (2, "Blas", 2, 5))
    city.load(contract)
    city.run("update tabla set saldo = 9 where cuenta_id = 1")

    assert figures(city.load(contract)) == (2, 1, 0, 1, 0)
    assert city.ask("select valor from meta.marca") == [("2026-06-05T00:00:00",)]


def test_a_table_whose_cursor_is_always_null_is_read_whole(city: City) -> None:
    contract = incremental(city)
    city.add((1, "Ana", 1, None), (2, "Blas", 2, None))

    assert figures(city.load(contract)) == (2, 2, 0, 0, 0)
    assert figures(city.load(contract)) == (2, 0, 0, 2, 0)
    assert city.ask("select * from meta.marca") == []


def test_a_date_in_the_future_does_not_hide_what_comes_until_then(city: City) -> None:
    contract = incremental(city)
    city.add((1, "mal fechada", 1, "2206-06-01"), (2, "Blas", 2, 5))
    city.load(contract)
    city.add((3, "Eva", 3, "2026-06-30 09:30:00"))

    report = city.load(contract)

    # 12:00 in UTC is 9:00 in Mendoza, where times without zone are local.
    assert city.ask("select valor from meta.marca") == [("2026-06-30T09:00:00",)]
    assert figures(report) == (2, 1, 0, 1, 0)


def test_another_cursor_reads_everything_again(city: City) -> None:
    city.add((5, "Ana", 1, 5), (6, "Blas", 2, 6))
    city.load(incremental(city))
    city.run("update tabla set nombre = 'Ana María' where cuenta_id = 5")

    report = city.load(incremental(city, cursor="cuenta_id"))

    assert figures(report) == (2, 1, 0, 1, 0)
    assert city.ask("select columna, valor from meta.marca") == [("cuenta_id", "6")]


def test_a_watermark_of_another_type_reads_everything_again(city: City) -> None:
    contract = incremental(city, cursor="cuenta_id")
    city.add((5, "Ana", 1, 5))
    city.load(contract)
    with city.warehouse.connect() as connection:
        connection.execute("update meta.marca set valor = '2026-06-05T00:00:00'")

    assert figures(city.load(contract)) == (1, 0, 0, 1, 0)
    assert city.ask("select valor from meta.marca") == [("5",)]


def test_a_raw_table_that_was_emptied_is_filled_again(city: City) -> None:
    contract = incremental(city)
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 9))
    city.load(contract)
    with city.warehouse.connect() as connection:
        connection.execute("truncate raw.prueba__tabla")

    assert figures(city.load(contract)) == (2, 2, 0, 0, 0)


def test_deletions_are_found_when_their_time_has_come(city: City) -> None:
    contract = incremental(city, deletionsEvery="P7D")
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 2), (3, "Eva", 3, 3))
    city.load(contract)
    city.run("delete from tabla where cuenta_id = 2")

    early = city.load(contract, NOW + dt.timedelta(days=6))
    assert early.deleted == 0 and len(city.names()) == 3
    due = city.load(contract, NOW + dt.timedelta(days=7))

    assert figures(due) == (1, 0, 0, 1, 1)
    assert city.names() == ["Ana", "Eva"]
    assert city.history() == [("baja", "Blas")]
    assert city.ask(
        "select claves_origen, filas_eliminadas, claves_faltantes, comparado_en "
        "from meta.comparacion"
    ) == [(2, 1, 0, NOW + dt.timedelta(days=7))]


def test_deletions_do_not_wait_for_a_time_that_a_wrong_clock_left(city: City) -> None:
    contract = incremental(city, deletionsEvery="P7D")
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 2))
    city.load(contract, NOW + dt.timedelta(days=365))
    city.run("delete from tabla where cuenta_id = 1")

    assert city.load(contract, NOW).deleted == 1
    assert city.names() == ["Blas"]


def test_deletions_are_never_looked_for_where_the_contract_says_so(city: City) -> None:
    contract = incremental(city, deletionsEvery="never")
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 2))
    city.load(contract)
    city.run("delete from tabla where cuenta_id = 1")

    assert city.load(contract, NOW + dt.timedelta(days=4000)).deleted == 0
    assert city.ask("select * from meta.comparacion") == []


def test_a_row_that_came_behind_the_look_back_is_noticed_and_read_the_next_time(
    city: City,
) -> None:
    contract = incremental(city, deletionsEvery="P1D")
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 20))
    city.load(contract)
    city.add((3, "atrasada", 3, 2))

    noticed = city.load(contract, NOW + dt.timedelta(days=1))
    assert (noticed.missing, noticed.loaded) == (1, 0)
    assert ["por detrás del cursor: 1 fila del origen" in note for note in noticed.notes] == [True]
    city.load(contract, NOW + dt.timedelta(days=1))

    assert city.names() == ["Ana", "Blas", "atrasada"]


def test_a_version_that_came_behind_the_look_back_is_noticed_and_read_the_next_time(
    city: City,
) -> None:
    """An update whose transaction ended late, or rows put back to an earlier day."""
    contract = incremental(city, deletionsEvery="P1D")
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 5), (3, "Eva", 3, 20), (4, "sin fecha", 4, None))
    city.load(contract)
    city.run("update tabla set nombre = 'tarde', visto_en = '2026-06-07' where cuenta_id = 2")
    city.run("update tabla set nombre = 'de antes', visto_en = '2026-05-01' where cuenta_id = 1")

    assert city.load(contract).missing is None
    noticed = city.load(contract, NOW + dt.timedelta(days=1))
    assert (noticed.missing, noticed.loaded) == (2, 0)
    mended = city.load(contract, NOW + dt.timedelta(days=1))

    assert mended.loaded == 2
    assert city.names() == ["Eva", "de antes", "sin fecha", "tarde"]
    quiet = city.load(contract, NOW + dt.timedelta(days=2))
    assert (quiet.missing, quiet.read) == (0, 2)


def test_a_bad_version_behind_the_look_back_does_not_have_all_read_for_ever(city: City) -> None:
    city.run("alter table tabla alter saldo type text")
    city.add((1, "Ana", "1", 1), (2, "Blas", "2", 20))
    contract = incremental(city, deletionsEvery="P1D")
    city.load(contract)
    city.run("update tabla set saldo = 'dos', visto_en = '2026-06-07' where cuenta_id = 1")

    days = [NOW + dt.timedelta(days=day) for day in (1, 1, 2, 3)]
    missing = [city.load(contract, day).missing for day in days]

    assert missing == [1, None, 0, 0]  # noticed, all read, and quiet from then on
    assert city.names() == ["Ana", "Blas"]
    assert city.ask("select estado, fila ->> 'saldo' from quarantine.fila") == [
        ("pendiente", "dos")
    ]


def test_a_source_put_back_to_an_earlier_day_is_followed(city: City) -> None:
    """Its numbers are given out anew: what comes from then on lies before the watermark."""
    contract = city.contract(loadMode="incremental", cursor="cuenta_id")
    city.fill(1, 100)
    city.load(contract)
    city.run("delete from tabla where cuenta_id > 96")

    followed = city.load(contract)

    assert (followed.deleted, followed.watermark) == (4, "96")
    assert "pudo" in followed.notes[0] or "volvió" in followed.notes[0]
    city.add((97, "otra 97", 1, 2))
    assert figures(city.load(contract)) == (2, 1, 0, 1, 0)
    assert city.ask("select nombre from raw.prueba__tabla where cuenta_id > 96") == [("otra 97",)]
    assert figures(city.load(contract)) == (1, 0, 0, 1, 0)


def test_a_source_that_was_emptied_does_not_empty_raw(city: City) -> None:
    contract = incremental(city)
    city.fill(1, 60)
    city.load(contract)
    city.run("delete from tabla")

    [error] = city.load(contract).errors

    assert "ya no tiene 60 de las 60 filas" in str(error)
    assert len(city.names()) == 60


# --- a contract that changes between loads --------------------------------------------------------


def by(city: City, *columns: dict[str, Any], **options: Any) -> Contract:
    return make_contract(city.folder, "postgresql", columns, **options)


@pytest.mark.parametrize("every", ["P7D", "never"])
def test_a_column_that_is_declared_later_is_filled_for_every_row(city: City, every: str) -> None:
    options = {"loadMode": "incremental", "cursor": "visto_en", "deletionsEvery": every}
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 5))
    city.load(by(city, KEY, REST[0], REST[2], newColumns="ignore", **options))

    report = city.load(by(city, KEY, *REST, **options))

    assert figures(report) == (2, 2, 0, 0, 0)
    assert "saldo" in report.notes[0]
    assert city.ask("select cuenta_id, saldo from raw.prueba__tabla order by 1") == [(1, 1), (2, 2)]
    assert figures(city.load(by(city, KEY, *REST, **options))) == (1, 0, 0, 1, 0)


def test_a_column_that_was_away_for_a_while_is_not_stale(city: City) -> None:
    options = {"loadMode": "incremental", "cursor": "visto_en", "newColumns": "ignore"}
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 5))
    city.load(by(city, KEY, *REST, **options))
    city.run("update tabla set saldo = 99, visto_en = '2026-06-06' where cuenta_id = 1")
    city.load(by(city, KEY, REST[0], REST[2], **options))
    city.add((3, "Eva", 3, 9))
    city.load(by(city, KEY, REST[0], REST[2], **options))

    city.load(by(city, KEY, *REST, **options))

    assert city.ask("select cuenta_id, saldo from raw.prueba__tabla order by 1") == [
        (1, 99), (2, 2), (3, 3)
    ]  # fmt: skip


def test_a_column_that_is_taken_from_another_one_is_read_anew(city: City) -> None:
    options = {"loadMode": "incremental", "cursor": "visto_en", "newColumns": "ignore"}
    city.run("alter table tabla add alias text")
    city.run("insert into tabla values (1, 'Ana', 1, '2026-06-01', 'Anita'), "
             "(2, 'Blas', 2, '2026-06-05', 'B')")  # fmt: skip
    city.load(by(city, KEY, *REST, **options))

    city.load(by(city, KEY, column("nombre", source="alias"), *REST[1:], **options))

    assert city.names() == ["Anita", "B"]


@pytest.mark.parametrize("key", [KEY, NO_KEY], ids=["with key", "without key"])
def test_rows_that_were_added_take_a_column_that_is_declared_later_and_stay_one_row(
    city: City, key: dict[str, Any]
) -> None:
    options = {"loadMode": "append", "cursor": "visto_en", "lookback": "P3D"}
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 4), (3, "Eva", 3, 5))
    if key is NO_KEY:
        city.add((3, "Eva", 4, 5))
    city.load(by(city, key, REST[0], REST[2], newColumns="ignore", **options))
    city.add((4, "Ivo", 5, 6))
    stood = 3 + (key is NO_KEY)

    report = city.load(by(city, key, *REST, **options))

    assert figures(report) == (stood, stood, 0, 0, 0)  # all but Ana, and the new one
    assert "saldo" in report.notes[0]
    rows = "select cuenta_id, saldo::int from raw.prueba__tabla order by 1, 2"
    expected = [(1, None), (2, 2), (3, 3), (4, 5)]
    assert city.ask(rows) == sorted([*expected, *([(3, 4)] if key is NO_KEY else [])], key=str)
    assert [kind for kind, _ in city.history()] == ["modificacion"] * (stood - 1)
    again = city.load(by(city, key, *REST, **options))
    assert (again.loaded, again.quarantined, again.notes) == (0, 0, [])


def test_rows_of_a_divided_table_take_it_too(city: City) -> None:
    """Also beside documents, which have no order, and among equal rows."""
    city.run("alter table tabla add datos jsonb default '{\"a\": 1}'")
    city.add((1, "Ana", 1, 1), (1, "Ana", 2, 1), (2, None, 3, "2026-07-02"))
    options = {"loadMode": "append", "cursor": "visto_en", "lookback": "P60D",
               "partitionBy": "visto_en"}  # fmt: skip
    columns = [NO_KEY, REST[0], REST[2], column("datos", "jsonb")]
    city.load(by(city, *columns, **options))

    report = city.load(by(city, *columns, REST[1], **options))

    assert figures(report) == (3, 3, 0, 0, 0)
    assert city.ask("select saldo::int, datos ->> 'a' from raw.prueba__tabla order by 1") == [
        (1, "1"), (2, "1"), (3, "1")
    ]  # fmt: skip
    assert city.load(by(city, *columns, REST[1], **options)).loaded == 0


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_table_stays_divided_or_whole_as_it_was_made(city: City, mode: str) -> None:
    options = {"loadMode": mode, "cursor": "visto_en"}
    columns = [KEY, column("visto_en", "timestamp", key=True), REST[0]]
    months = {"partitionBy": "visto_en"}
    city.add((1, "Ana", 1, 1))
    city.load(by(city, *columns, landingTable="entera", **options))
    city.load(by(city, *columns, landingTable="por_mes", **months, **options))
    city.add((2, "Blas", 2, "2026-09-09"))

    whole = city.load(by(city, *columns, landingTable="entera", **months, **options))
    divided = city.load(by(city, *columns, landingTable="por_mes", **options))

    for report, table, words in (
        (whole, "entera", "sigue sin dividir"), (divided, "por_mes", "sigue dividida por visto_en"),
    ):  # fmt: skip
        assert report.loaded == 1 and words in report.notes[0]
        assert "landingTable" in report.notes[0]
        assert city.ask(f"select count(*) from raw.{table}") == [(2,)]


def test_a_divided_table_whose_rows_could_not_be_divided_any_more_is_that_table_s_failure(
    city: City,
) -> None:
    columns = [KEY, column("visto_en", "timestamp", key=True), REST[0]]
    city.add((1, "Ana", 1, 1))
    city.load(by(city, *columns, partitionBy="visto_en"))

    for changed, why in (
        ([KEY, REST[0]], "ya no tiene esa columna"),
        ([KEY, REST[0], REST[2]], "no la incluye"),
        ([KEY, REST[0], column("visto_en", key=True)], "es text y no una fecha"),
    ):
        [error] = city.load(by(city, *changed)).errors
        assert why in str(error) or "visto_en es timestamp" in str(error)
        assert error.owner and error.next_step
    assert city.names() == ["Ana"]


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_row_that_enters_later_may_be_of_a_month_that_is_not_there_yet(
    city: City, mode: str
) -> None:
    city.run("alter table tabla alter saldo type text")
    columns = [KEY, column("visto_en", "timestamp", key=True), column("saldo", "integer")]
    options = {"loadMode": mode, "cursor": "visto_en", "partitionBy": "visto_en"}
    city.add((1, "Ana", "1", 1), (2, "Blas", "s/d", "2026-03-09"))
    assert city.load(by(city, *columns, **options)).quarantined == 1
    contract = by(city, *columns, missingValues=["s/d"], **options)

    done = replay(contract, LoadContext(connect=city.warehouse.connect, run_id="prueba"), [])

    assert (done.loaded, done.pending) == (1, 0)
    assert city.ask("select cuenta_id, saldo from raw.prueba__tabla order by 1") == [
        (1, 1), (2, None)
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["append", "incremental"])
def test_a_key_by_which_most_rows_would_leave_is_refused_where_they_may_not_come_again(
    city: City, mode: str
) -> None:
    options = {"cursor": "visto_en", "deletionsEvery": "never"}
    city.fill(1, 60)
    city.load(city.contract(NO_KEY, loadMode="append", cursor="visto_en"))
    columns = [NO_KEY, column("nombre"), column("saldo", "numeric(10,2)")]
    when = column("visto_en", "timestamp", key=True)

    [error] = city.load(by(city, *columns, when, loadMode=mode, **options)).errors

    assert "59 de las 60 filas" in str(error) and "landingTable" in (error.next_step or "")
    assert error.owner and len(city.names()) == 60 and city.history() == []


def test_a_row_in_quarantine_is_neither_gone_nor_missing(city: City) -> None:
    city.run("alter table tabla alter saldo type text")
    city.add((1, "Ana", "1", 1), (2, "Blas", "dos", 2), (3, "Eva", "3", 3))
    contract = incremental(city, deletionsEvery="P1D")
    city.load(contract)
    city.run("update tabla set saldo = 'tres', visto_en = '2026-06-09' where cuenta_id = 3")

    report = city.load(contract, NOW + dt.timedelta(days=1))

    assert (report.deleted, report.missing) == (0, 0)
    assert city.names() == ["Ana", "Eva"]


def test_keys_compared_with_a_source_cut_short_remove_nothing(city: City) -> None:
    contract = incremental(city, deletionsEvery="P1D")
    city.fill(1, 60)
    city.load(contract)
    city.run("delete from tabla where cuenta_id > 30")

    report = city.load(contract, NOW + dt.timedelta(days=1))

    assert report.state == "fallida" and "30 de las 60 filas" in str(report.errors[0])
    assert len(city.names()) == 60
    assert city.ask("select comparado_en from meta.comparacion") == [(NOW,)]


def test_text_keys_are_compared_as_they_are(city: City) -> None:
    columns = [column("nombre", key=True), column("visto_en", "timestamp")]
    contract = make_contract(
        city.folder, "postgresql", columns, loadMode="incremental", cursor="visto_en",
        deletionsEvery="P1D",
    )  # fmt: skip
    city.add((1, "ñ", 1, 1), (2, "Ñ", 2, 1), (3, "", 3, 1), (4, " n", 4, 1))
    city.load(contract)
    city.run("delete from tabla where nombre = 'Ñ'")

    assert city.load(contract, NOW + dt.timedelta(days=1)).deleted == 1
    assert sorted(city.names()) == ["", " n", "ñ"]


# --- append ---------------------------------------------------------------------------------------


def append(city: City, key: dict[str, Any] = NO_KEY, **options: Any) -> Contract:
    return city.contract(key, **{"loadMode": "append", "cursor": "visto_en"} | options)


def test_without_key_rows_that_share_a_cursor_value_come_once_each(city: City) -> None:
    contract = append(city)
    city.add((1, "Ana", 1, 5), (1, "Ana", 1, 5), (2, "Blas", 2, 5))
    assert figures(city.load(contract)) == (3, 3, 0, 0, 0)
    # Another row of the same moment, and a third one equal to two that are loaded already.
    city.add((3, "Eva", 3, 5), (1, "Ana", 1, 5))

    assert figures(city.load(contract)) == (5, 2, 0, 3, 0)
    assert figures(city.load(contract)) == (5, 0, 0, 5, 0)
    assert city.names() == ["Ana", "Ana", "Ana", "Blas", "Eva"]


def test_without_key_late_rows_inside_the_look_back_are_added(city: City) -> None:
    contract = append(city, lookback="P2D")
    city.add((1, "vieja", 1, 1), (2, "Blas", 2, 10), (9, "sin fecha", 9, None))
    city.load(contract)
    city.add((3, "tarde", 3, 9), (4, "muy tarde", 4, 2), (9, "sin fecha", 9, None))

    assert figures(city.load(contract)) == (4, 2, 0, 2, 0)
    assert city.names() == ["Blas", "sin fecha", "sin fecha", "tarde", "vieja"]


def test_what_was_added_stays_whatever_becomes_of_it_at_the_source(city: City) -> None:
    contract = append(city, KEY)
    city.add((1, "Ana", 1, 1), (2, "Blas", 2, 2))
    city.load(contract)
    city.run("delete from tabla where cuenta_id = 1")
    city.run("update tabla set nombre = 'Otro' where cuenta_id = 2")
    city.add((3, "Eva", 3, 3))

    assert figures(city.load(contract, NOW + dt.timedelta(days=400))) == (2, 1, 1, 0, 0)
    assert city.names() == ["Ana", "Blas", "Eva"]
    assert city.ask("select regla, fila ->> 'nombre' from quarantine.fila") == [
        ("clave_repetida", "Otro")
    ]
    assert city.history() == []


def test_the_same_row_with_a_key_is_known(city: City) -> None:
    contract = append(city, KEY)
    city.add((1, "Ana", 1, 5))
    city.load(contract)
    city.add((2, "Blas", 2, 5), (2, "Repetida", 2, 5))

    assert figures(city.load(contract)) == (3, 1, 1, 1, 0)
    assert city.names()[0] == "Ana" and len(city.names()) == 2


def test_added_rows_land_in_the_partitions_of_their_months(city: City) -> None:
    contract = append(city, partitionBy="visto_en")
    city.add((1, "junio", 1, "2026-06-30 23:59:59"), (2, "julio", 2, "2026-07-01"))
    autumn = NOW + dt.timedelta(days=90)
    city.load(contract, autumn)
    city.add((3, "agosto", 3, "2026-08-01"), (2, "julio", 2, "2026-07-01"))

    assert figures(city.load(contract, autumn)) == (3, 2, 0, 1, 0)
    assert city.ask(
        "select tableoid::regclass::text, count(*) from raw.prueba__tabla group by 1 order by 1"
    ) == [
        ("raw.prueba__tabla_2026_06", 1),
        ("raw.prueba__tabla_2026_07", 2),
        ("raw.prueba__tabla_2026_08", 1),
    ]


# --- reconciliation -------------------------------------------------------------------------------


def test_sums_of_number_columns_are_kept_with_the_load(city: City) -> None:
    city.add((1, "Ana", "10.25", 1), (2, "Blas", "-0.75", 1), (3, "Eva", None, 1))

    report = city.load(city.contract())

    expected = {
        "cuenta_id": {"origen": "6", "leido": "6"},
        "saldo": {"origen": "9.50", "leido": "9.50"},
    }
    assert report.checksums == expected
    assert city.ask("select detalle -> 'sumas' from meta.carga") == [(expected,)]


def test_rows_kept_out_by_a_rule_are_in_the_sums(city: City) -> None:
    city.run("alter table tabla alter saldo type numeric(12,4)")
    city.add((1, "Ana", "10.25", 1), (2, "Blas", "0.1234", 1))

    report = city.load(city.contract())

    assert figures(report) == (2, 1, 1, 0, 0)
    assert report.checksums["saldo"] == {"origen": "10.3734", "leido": "10.3734"}


def test_sums_that_differ_fail_the_load_and_keep_the_table(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.fill(1, 10)
    city.load(city.contract())
    honest = database.DatabaseReader.source_totals

    def wrong(reader: database.DatabaseReader) -> database.SourceTotals | None:
        found = honest(reader)
        assert found is not None and found.sums["saldo"] is not None
        return replace(found, sums={**found.sums, "saldo": found.sums["saldo"] + 1})

    monkeypatch.setattr(database.DatabaseReader, "source_totals", wrong)
    city.run("update tabla set nombre = 'otro'")

    report = city.load(city.contract())

    assert report.state == "fallida"
    assert "saldo suma 56.00 y se leyó 55.00" in str(report.errors[0])
    assert "otro" not in city.names()


def test_a_source_that_changed_while_it_was_read_is_read_once_more_over_one_connection(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.fill(1, 10)
    read_by: list[bool] = []
    several = database.DatabaseReader.source_totals

    def changing(reader: database.DatabaseReader) -> database.SourceTotals | None:
        """Only one connection sees one moment; several find a row that was not counted."""
        found = several(reader)
        read_by.append(reader._options.exact)
        if not reader._options.exact:
            city.run("insert into tabla values (11, 'nueva', 11, '2026-06-02')")
            reader._count = 9
        return found

    monkeypatch.setattr(database.DatabaseReader, "source_totals", changing)

    assert figures(city.load(city.contract())) == (11, 11, 0, 0, 0)
    assert read_by == [False, True]


def test_sums_are_exact_beyond_what_a_machine_number_holds() -> None:
    most, thrice = Decimal("9" * 36 + ".99"), Decimal("2" + "9" * 36 + ".97")
    assert exact_sum(pa.array([most, most, most], pa.decimal128(38, 2))) == thrice
    assert exact_sum(pa.array([2**63 - 1, 2**63 - 1, None], pa.int64())) == 2 * (2**63 - 1)
    assert exact_sum(pa.array([-(2**63), -1], pa.int64())) == -(2**63) - 1
    assert exact_sum(pa.array([None, None], pa.int64())) == 0


def test_a_text_that_is_no_number_leaves_its_column_out_of_the_comparison(city: City) -> None:
    totals = Totals(city.contract(), ["cuenta_id", "saldo", "nombre"])
    good = pa.RecordBatch.from_pydict(
        {
            "cuenta_id": pa.array([1], pa.int32()),
            "saldo": pa.array([Decimal("1.00")], pa.decimal128(10, 2)),
        }
    )
    bad = RejectedRow(2, "tipo_invalido", "saldo", "x", {"cuenta_id": "2", "saldo": "dos"})
    totals.add(good, [bad])

    assert totals.compare({"cuenta_id": Decimal(3), "saldo": Decimal(5), "nombre": None}) == {
        "cuenta_id": {"origen": "3", "leido": "3"}
    }
    with pytest.raises(SourceChanged, match="cuenta_id suma 4 y se leyó 3"):
        totals.compare({"cuenta_id": Decimal(4)})


# --- places on a system ---------------------------------------------------------------------------


def test_no_more_connections_to_a_system_than_it_has_places(warehouse: Warehouse) -> None:
    with warehouse.connect() as one, warehouse.connect() as two, warehouse.connect() as three:
        with slots(one, "aguas", 2) as first, slots(two, "aguas", 2):
            assert first.extra(3) == 0
            with pytest.raises(SourceUnavailable, match="aguas admite 2 conexiones"):
                slots(three, "aguas", 2, wait_seconds=0).__enter__()
            with slots(three, "mlc", 2, wait_seconds=0) as elsewhere:
                assert elsewhere.extra(5) == 1 and elsewhere.granted == 2
        two.commit()
        assert first.extra(3) == 1


def test_a_load_waits_for_a_place_until_the_other_load_ends(warehouse: Warehouse) -> None:
    with warehouse.connect() as one, warehouse.connect() as two:
        with slots(one, "aguas", 1):
            waits: list[float] = []

            def nap(seconds: float) -> None:
                waits.append(seconds)
                one.commit()

            with slots(two, "aguas", 1, sleep=nap) as places:
                assert places.granted == 1
        assert len(waits) == 1

"""Quarantine: rows kept out as they came, decided about by people, and brought back by replay."""

from __future__ import annotations

import dataclasses
import datetime as dt
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest

from expectations.contract_schema import RULE_NAMES
from expectations.protocol import AGE, IMPOSSIBLE_DATE
from orchestration.checkers import checkers_for
from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import LoadRefused
from sources.landing import LoadContext, LoadReport, load
from sources.landing import replay as replay_module
from sources.landing.decisions import HIDDEN, discard, rows_of, summary, undo
from sources.landing.quarantine import Quarantine, close_replaced
from sources.landing.records import new_load_id
from sources.landing.replay import ReplayReport, replay, replay_after_contract_change
from sources.readers import RejectedRow
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

TODAY = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def context(warehouse: Warehouse, **options: Any) -> LoadContext:
    return LoadContext(connect=warehouse.connect, run_id="prueba", **options)


def query(warehouse: Warehouse, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def states(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return query(warehouse, "select numero_fila, estado from quarantine.fila order by fila_id")


def figures(report: ReplayReport) -> tuple[int, int, int, int]:
    return report.read, report.loaded, report.known, report.pending


class Feed:
    """A folder of CSV files with `;`, decimal commas and days first, and its contract."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.folder = folder / "entrada"
        self.folder.mkdir()
        self.url = SourceUrl.parse(str(self.folder))

    def write(self, name: str, *lines: str) -> None:
        text = "\n".join(["medidor;fecha;lectura", *lines, ""])
        (self.folder / name).write_text(text, encoding="utf-8")

    def contract(
        self,
        limits: Mapping[str, Any] = MappingProxyType({}),
        day: str = "dd/MM/yyyy",
        columns: Sequence[str] = ("medidor", "fecha", "lectura"),
        **options: Any,
    ) -> Contract:
        known = {
            "fecha": column("fecha", "date", format=day),
            "lectura": column("lectura", "numeric(10,2)") | {"logicalTypeOptions": dict(limits)},
            "lectura_m3": column("lectura_m3", "numeric(10,2)", source="lectura"),
        }
        return make_contract(
            self.home,
            "csv",
            [known.get(name, column(name)) for name in columns],
            **{"delimiter": ";", "decimal": ",", "thousands": ".", **options},
        )

    def load(self, warehouse: Warehouse, contract: Contract) -> LoadReport:
        return load(contract, self.url, context(warehouse), checkers_for(contract))


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


class Table:
    """A table `tabla` in a SQLite file, which stands for the city's MySQL."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.path = folder / "sistema.sqlite"
        self.url = SourceUrl.parse(f"sqlite:///{self.path}")
        self.run("create table tabla (id, nombre, monto, cambio)")

    def run(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.executemany(statement, rows)
        connection.close()

    def fill(self, *rows: Sequence[Any]) -> None:
        self.run("insert into tabla values (?, ?, ?, ?)", rows)

    def contract(self, *, key: bool = True, **options: Any) -> Contract:
        limits = options.pop("limits", {})
        return make_contract(
            self.home,
            "mysql",
            [
                column("id", "integer", key=key),
                column("nombre", classification="sensible"),
                column("monto", "integer") | {"logicalTypeOptions": limits},
                column("cambio", "timestamp"),
            ],
            **options,
        )

    def incremental(self, **options: Any) -> Contract:
        return self.contract(loadMode="incremental", cursor="cambio", lookback="P1D", **options)

    def load(self, warehouse: Warehouse, contract: Contract) -> LoadReport:
        return load(contract, self.url, context(warehouse), checkers_for(contract))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


# --- what is kept ---------------------------------------------------------------------------------


def test_a_row_that_breaks_a_rule_is_kept_as_the_file_wrote_it(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;1.234,50", "m2;04/02/2026;7,5")

    report = feed.load(warehouse, feed.contract(limits={"maximum": 1000}))

    assert (report.loaded, report.quarantined) == (1, 1)
    [(rule, number, values)] = query(
        warehouse, "select regla, numero_fila, fila from quarantine.fila"
    )
    assert (rule, number) == ("maximo", 1)
    assert values == {"medidor": "m1", "fecha": "03/02/2026", "lectura": "1.234,50"}


def test_a_row_refused_by_the_second_checker_is_found_in_what_was_read(
    warehouse: Warehouse, feed: Feed
) -> None:
    """Places given by a checker are those of what earlier ones, and the cast, let through."""
    feed.write(
        "a.csv", "m1;99/02/2026;1", "m2;03/02/2026;2.000,00", "m3;03/02/2026;5,0", "m4;03/02/2026;6"
    )
    contract = feed.contract(limits={"maximum": 1000})
    strict = feed.contract(limits={"minimum": 5.5})

    load(contract, feed.url, context(warehouse), [*checkers_for(contract), *checkers_for(strict)])

    assert query(
        warehouse,
        "select numero_fila, regla, fila ->> 'lectura' from quarantine.fila order by numero_fila",
    ) == [(1, "tipo_invalido", "1"), (2, "maximo", "2.000,00"), (3, "minimo", "5,0")]


def test_a_nul_is_kept_readable_and_is_no_text_of_ours_when_judged_again(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "a\x00b", 1, "2026-06-01"), (2, "c\\u0000d", 999, "2026-06-01"))
    limited = table.incremental(limits={"maximum": 100})
    table.load(warehouse, limited)
    assert query(
        warehouse, "select fila ->> 'nombre', con_nul from quarantine.fila order by numero_fila"
    ) == [("a\\u0000b", True), ("c\\u0000d", False)]

    report = replay(table.incremental(), context(warehouse), [])

    assert figures(report) == (2, 1, 0, 1)
    assert query(warehouse, "select nombre from raw.prueba__tabla") == [("c\\u0000d",)]


def test_equal_bad_rows_of_a_table_without_key_are_one_row_with_their_number(
    warehouse: Warehouse, table: Table
) -> None:
    contract = table.contract(key=False, maxQuarantineShare=1)
    table.fill(*[(1, "Ana", "diez", "2026-06-01")] * 3)
    for _ in range(2):
        assert table.load(warehouse, contract).quarantined == 3

    assert query(warehouse, "select count(*), max(veces) from quarantine.fila") == [(1, 3)]


def test_many_bad_rows_are_stored_in_chunks_and_met_again(warehouse: Warehouse, feed: Feed) -> None:
    contract = feed.contract(maxQuarantineShare=1)
    feed.write("a.csv", *(f"m{n};01/06/2026;x" for n in range(40_000)))

    report = feed.load(warehouse, contract)

    assert (report.quarantined, report.loaded) == (40_000, 0)
    assert query(
        warehouse,
        "select count(*), min(numero_fila), max(numero_fila), count(distinct carga_id) "
        "from quarantine.fila",
    ) == [(40_000, 1, 40_000, 1)]


def test_a_batch_with_every_row_bad_is_refused_naming_column_system_and_owner(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", *(f"m{n};01/06/2026;x" for n in range(60)))

    report = feed.load(warehouse, feed.contract())

    assert report.state == "fallida"
    message = str(report.errors[0])
    for word in ("60 de 60", "tipo_invalido", "lectura", "prueba", "Secretaría de Prueba"):
        assert word in message
    assert query(warehouse, "select count(*) from quarantine.fila") == [(0,)]


def test_every_reason_that_a_row_can_be_kept_out_for_is_explained(warehouse: Warehouse) -> None:
    from sources import casting
    from sources.landing import limits, months
    from sources.readers import base
    from sources.readers.workbooks import base as workbooks

    explained = {row[0] for row in query(warehouse, "select regla from meta.motivo_cuarentena")}

    rules = {
        value
        for module in (casting, base, workbooks, months, limits)
        for name, value in vars(module).items()
        if name.startswith("RULE_")
    }
    assert {*rules, *RULE_NAMES.values(), AGE, IMPOSSIBLE_DATE, "clave_repetida"} == explained


def test_the_view_of_a_dataset_tells_its_owner_what_is_wrong_since_when_and_what_to_do(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;01/06/2026;x", "m2;01/06/2026;y")
    feed.load(warehouse, feed.contract())

    found = query(
        warehouse,
        "select estado, descripcion, dias, siguiente_paso from quarantine.prueba__tabla limit 1",
    )
    [(state, description, days, next_step)] = found
    assert (state, days) == ("pendiente", 0)
    assert "no puede leerse" in description and "replay" in next_step
    assert query(warehouse, "select dataset, regla, estado, filas from quarantine.resumen") == [
        ("prueba.tabla", "tipo_invalido", "pendiente", 2)
    ]


# --- keys of what is kept -------------------------------------------------------------------------


def store(warehouse: Warehouse, contract: Contract, *rows: RejectedRow) -> None:
    with warehouse.connect() as connection:
        load_id = new_load_id(connection)
        connection.execute(
            "insert into meta.carga (carga_id, corrida_id, dataset, estado, modo, "
            "contrato_version, contrato_sha256, inicio, fin) overriding system value "
            "values (%s, 'prueba', %s, 'cargada', 'full', '1', 'x', now(), now())",
            [load_id, contract.id],
        )
        Quarantine(connection, contract, load_id, TODAY).add(rows)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        pytest.param("03/02/2026", ["2026-02-03"], id="as the contract writes it"),
        pytest.param(" 03/02/2026 ", ["2026-02-03"], id="with blanks"),
        pytest.param("31/02/2026", None, id="no such day"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_the_key_of_a_row_is_kept_in_the_contracts_type(
    warehouse: Warehouse, tmp_path: Path, written: str | None, key: list[str] | None
) -> None:
    contract = make_contract(
        tmp_path, "csv", [column("dia", "date", key=True, format="dd/MM/yyyy")], loadMode="full"
    )

    store(warehouse, contract, RejectedRow(1, "minimo", "dia", "no", {"dia": written}))

    assert query(warehouse, "select clave from quarantine.fila") == [(key,)]


def test_a_bad_update_keeps_the_last_good_row_however_its_key_is_written(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "Ana", 1, "2026-06-01"), (2, "Blas", 2, "2026-06-01"))
    table.load(warehouse, table.contract())
    table.run("update tabla set id = '2.0', monto = 'dos' where id = 2")

    report = table.load(warehouse, table.contract())

    assert (report.quarantined, report.deleted) == (1, 0)
    assert query(warehouse, "select id, monto from raw.prueba__tabla order by 1") == [
        (1, 1),
        (2, 2),
    ]


def test_a_row_that_comes_mended_in_an_increment_is_no_longer_pending(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "Ana", "uno", "2026-06-01 10:00:00"), (2, "Blas", 2, "2026-06-01 10:00:00"))
    table.load(warehouse, table.incremental())
    table.run("update tabla set monto = 1, cambio = '2026-06-02 10:00:00' where id = 1")

    table.load(warehouse, table.incremental())

    assert states(warehouse) == [(1, "reemplazada")]
    assert query(warehouse, "select count(*) from raw.prueba__tabla") == [(2,)]


def test_rows_of_a_replaced_file_are_pending_no_longer(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;01/06/2026;x")
    feed.write("b.csv", "m2;01/06/2026;x")
    contract = feed.contract()
    feed.load(warehouse, contract)
    [(first,), (_,)] = query(warehouse, "select carga_id from meta.carga order by origen")

    with warehouse.connect() as connection:
        assert close_replaced(connection, contract, [first]) == 1

    assert query(warehouse, "select archivo, estado from quarantine.fila order by 1") == [
        ("a.csv", "reemplazada"),
        ("b.csv", "pendiente"),
    ]


# --- replay ---------------------------------------------------------------------------------------


def test_replay_lands_what_the_contract_now_takes_with_its_place_and_a_load_of_its_own(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;1.234,50", "m2;03/02/2026;1", "m3;03/02/2026;9.999,99")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    eased = feed.contract(limits={"maximum": 2000})

    report = replay(eased, context(warehouse), checkers_for(eased))

    assert figures(report) == (2, 1, 0, 1)
    assert query(
        warehouse,
        "select medidor, fecha, lectura::text, _source_row from raw.prueba__tabla order by 1",
    ) == [
        ("m1", dt.date(2026, 2, 3), "1234.50", 1),
        ("m2", dt.date(2026, 2, 3), "1.00", 2),
    ]
    assert states(warehouse) == [(1, "reprocesada"), (3, "pendiente")]
    [recorded] = query(
        warehouse,
        "select l.modo, l.origen, l.filas_leidas, l.filas_cargadas, l.filas_cuarentena, "
        "o.origen, count(r.*) from meta.carga l join meta.carga o on o.carga_id = l.reproceso_de "
        "left join raw.prueba__tabla r on r._load_id = l.carga_id group by 1, 2, 3, 4, 5, 6",
    )
    assert recorded == ("reproceso", "a.csv", 2, 1, 1, "a.csv", 1)


def test_replay_after_a_change_of_format_and_again_does_nothing_twice(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;2026.02.03;1")
    feed.load(warehouse, feed.contract())
    mended = feed.contract(day="yyyy.MM.dd")

    assert figures(replay(feed.contract(), context(warehouse), [])) == (1, 0, 0, 1)
    assert figures(replay(mended, context(warehouse), [])) == (1, 1, 0, 0)
    assert figures(replay(mended, context(warehouse), [])) == (0, 0, 0, 0)
    assert query(warehouse, "select fecha from raw.prueba__tabla") == [(dt.date(2026, 2, 3),)]


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000", "m2;03/02/2026;x")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    everything = (
        "select (select jsonb_agg(f order by fila_id) from quarantine.fila f), "
        "(select count(*) from meta.carga), (select count(*) from raw.prueba__tabla)"
    )
    before = query(warehouse, everything)

    report = replay(feed.contract(), context(warehouse), [], dry_run=True)

    assert figures(report) == (2, 1, 0, 1)
    assert report.reasons == (("lectura: 'x' no es un número", 1),)
    assert query(warehouse, everything) == before


def test_replay_of_one_rule_leaves_the_others_alone(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000", "m2;99/99/2026;1")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))

    report = replay(feed.contract(), context(warehouse), [], rule="maximo")

    assert figures(report) == (1, 1, 0, 0)
    assert states(warehouse) == [(1, "reprocesada"), (2, "pendiente")]


def test_replay_of_a_divided_table_makes_the_partitions_it_needs(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.csv").write_text("hora,valor\n2026-06-01 00:00:00,x\n")
    columns = [column("hora", "timestamptz"), column("valor", "integer")]
    contract = make_contract(tmp_path, "csv", columns, partitionBy="hora")
    load(contract, SourceUrl.parse(str(tmp_path / "f")), context(warehouse), [])
    fewer = make_contract(tmp_path, "csv", columns[:1], partitionBy="hora")

    assert figures(replay(fewer, context(warehouse), [])) == (1, 1, 0, 0)
    assert query(warehouse, "select count(*) from raw.prueba__tabla_2026_06") == [(1,)]


def test_replayed_rows_go_with_their_file_when_it_is_revised(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000", "m2;03/02/2026;1")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    replay(feed.contract(), context(warehouse), [])
    feed.write("a.csv", "m1;03/02/2026;500", "m2;03/02/2026;1")

    feed.load(warehouse, feed.contract())

    assert query(warehouse, "select medidor, lectura::int from raw.prueba__tabla order by 1") == [
        ("m1", 500),
        ("m2", 1),
    ]


def test_a_line_without_columns_stays_with_a_plain_reason(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;03/02/2026;1;2", "m2;03/02/2026;1")
    feed.load(warehouse, feed.contract())

    report = replay(feed.contract(), context(warehouse), [])

    assert figures(report) == (1, 0, 0, 1)
    assert "pida el archivo corregido" in report.reasons[0][0]
    [(next_step,)] = query(warehouse, "select siguiente_paso from quarantine.prueba__tabla")
    assert "pida el archivo corregido" in next_step


def test_a_renamed_column_is_not_taken_for_an_empty_one(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    renamed = feed.contract(columns=("medidor", "fecha", "lectura_m3"))

    report = replay(renamed, context(warehouse), [])

    assert figures(report) == (1, 0, 0, 1)
    assert "lectura_m3" in report.reasons[0][0]


def test_an_added_column_is_empty_in_rows_from_before(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    wider = feed.contract(columns=("medidor", "fecha", "lectura", "zona"))

    assert figures(replay(wider, context(warehouse), [])) == (1, 1, 0, 0)
    assert query(warehouse, "select lectura::int, zona from raw.prueba__tabla") == [(5000, None)]


def test_rows_stored_as_cast_are_read_with_points_not_with_the_files_commas(
    warehouse: Warehouse, feed: Feed
) -> None:
    """1.234 in PostgreSQL's own writing is no 1234."""
    contract = make_contract(
        feed.home, "csv", [column("medidor"), column("lectura", "numeric(10,3)", key=True)],
        loadMode="full", decimal=",", thousands=".",
    )  # fmt: skip
    load(contract, feed.url, context(warehouse), [])
    values = {"medidor": "m1", "lectura": "1.234"}
    store(warehouse, contract, RejectedRow(1, "clave_repetida", "lectura", "ya vino", values))

    replay(contract, context(warehouse), [])

    assert query(warehouse, "select lectura::text from raw.prueba__tabla") == [("1.234",)]


@pytest.mark.parametrize(
    ("in_raw", "expected", "reason"),
    [
        pytest.param((1, "Ana", 10, "2026-06-01"), (1, 0, 1, 0), None, id="equal: known"),
        pytest.param((1, "Ana", 11, "2026-06-02"), (1, 0, 0, 1), "otra versión", id="newer stays"),
        pytest.param((1, "Ana", 11, "2026-05-31"), (1, 1, 0, 0), None, id="older is replaced"),
        pytest.param(None, (1, 1, 0, 0), None, id="absent: inserted"),
    ],
)
def test_replay_never_overwrites_a_newer_version(
    warehouse: Warehouse,
    table: Table,
    in_raw: tuple[Any, ...] | None,
    expected: tuple[int, int, int, int],
    reason: str | None,
) -> None:
    contract = table.incremental()
    table.fill((2, "Blas", 2, "2026-05-30"))
    table.load(warehouse, contract)
    if in_raw is not None:
        with warehouse.connect() as connection:
            connection.execute(
                "insert into raw.prueba__tabla values (%s, %s, %s, %s, 1)", list(in_raw)
            )
    values = {"id": "1", "nombre": "Ana", "monto": "10", "cambio": "2026-06-01 00:00:00"}
    store(warehouse, contract, RejectedRow(1, "maximo", "monto", "no", values))

    report = replay(contract, context(warehouse), [])

    assert figures(report) == expected
    assert [reason in why for why, _ in report.reasons if reason] == [True] * (reason is not None)
    newest = query(warehouse, "select monto, cambio from raw.prueba__tabla where id = 1")
    assert newest[0][0] == (11 if reason else 10)
    history = query(warehouse, "select fila ->> 'monto' from raw._historial")
    assert history == ([("11",)] if in_raw and in_raw[3] == "2026-05-31" else [])


def test_of_two_pending_versions_of_a_row_the_newest_lands(
    warehouse: Warehouse, table: Table
) -> None:
    contract = table.incremental()
    table.load(warehouse, contract)
    for day, amount in ((2, "20"), (1, "10")):
        values = {"id": "1", "nombre": "Ana", "monto": amount, "cambio": f"2026-06-0{day} 00:00:00"}
        store(warehouse, contract, RejectedRow(day, "maximo", "monto", "no", values))

    assert figures(replay(contract, context(warehouse), [])) == (2, 1, 0, 1)
    assert query(warehouse, "select monto from raw.prueba__tabla") == [(20,)]


def test_a_row_removed_at_the_source_meanwhile_does_not_come_back(
    warehouse: Warehouse, table: Table
) -> None:
    contract = table.incremental()
    table.load(warehouse, contract)
    values = {"id": "1", "nombre": "Ana", "monto": "10", "cambio": "2026-06-01 00:00:00"}
    store(warehouse, contract, RejectedRow(1, "maximo", "monto", "no", values))
    with warehouse.connect() as connection:
        connection.execute(
            "insert into raw._historial (dataset, operacion, fila, carga_id, registrado_en) "
            "select dataset, 'baja', '{\"id\": 1}', carga_id, ultima_vez + interval '1 day' "
            "from quarantine.fila"
        )

    report = replay(contract, context(warehouse), [])

    assert figures(report) == (1, 0, 0, 1)
    assert "baja" in report.reasons[0][0]


def test_equal_rows_of_a_table_without_key_land_as_many_as_they_were(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill(*[(1, "Ana", 999, "2026-06-01")] * 3)
    table.load(warehouse, table.contract(key=False, limits={"maximum": 100}))

    report = replay(table.contract(key=False), context(warehouse), [])

    assert figures(report) == (3, 3, 0, 0)
    assert query(warehouse, "select count(*) from raw.prueba__tabla") == [(3,)]


def test_a_change_of_contract_brings_rows_back_before_the_next_load_and_only_once(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000", "m2;03/02/2026;x")
    strict, eased = feed.contract(limits={"maximum": 1000}), feed.contract()
    feed.load(warehouse, strict)

    same = replay_after_contract_change(strict, context(warehouse), lambda: [])
    first = replay_after_contract_change(eased, context(warehouse), lambda: [])
    second = replay_after_contract_change(eased, context(warehouse), lambda: [])

    assert same is None and second is None
    assert first is not None and figures(first) == (2, 1, 0, 1)


def test_a_table_read_in_full_needs_no_replay_of_its_own(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "Ana", "uno", "2026-06-01"))
    table.load(warehouse, table.contract())

    assert (
        replay_after_contract_change(table.contract(fetchRows=5), context(warehouse), lambda: [])
        is None
    )


def _replay_and_die(contract: Contract, warehouse: Warehouse) -> None:
    """Killed when everything is written but the load record."""

    def die(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    replay_module.record = die
    replay(contract, context(warehouse), [])


def test_a_replay_killed_half_way_leaves_nothing_and_can_be_run_again(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    process = multiprocessing.get_context("fork").Process(
        target=_replay_and_die, args=(feed.contract(), warehouse)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert states(warehouse) == [(1, "pendiente")]
    assert query(warehouse, "select count(*) from raw.prueba__tabla") == [(0,)]

    assert figures(replay(feed.contract(), context(warehouse), [])) == (1, 1, 0, 0)


def test_a_replay_waits_for_the_load_of_its_table(warehouse: Warehouse, feed: Feed) -> None:
    feed.write("a.csv", "m1;03/02/2026;5.000")
    feed.load(warehouse, feed.contract(limits={"maximum": 1000}))
    with warehouse.connect() as loading:
        loading.execute("select pg_advisory_xact_lock(hashtextextended('raw.prueba__tabla', 0))")
        impatient = LoadContext(
            connect=lambda: warehouse.connect(options="-c lock_timeout=200ms"), run_id="prueba"
        )
        with pytest.raises(psycopg.errors.LockNotAvailable):
            replay(feed.contract(), impatient, [])


# --- decisions ------------------------------------------------------------------------------------


def test_a_discarded_row_is_kept_with_who_when_and_why_and_can_be_taken_back(
    warehouse: Warehouse, feed: Feed
) -> None:
    feed.write("a.csv", "m1;03/02/2026;x", "m2;03/02/2026;y")
    feed.load(warehouse, feed.contract())
    [(first,), _] = query(warehouse, "select fila_id from quarantine.fila order by 1")

    with warehouse.connect() as connection:
        done = discard(
            connection, "prueba.tabla", by="Ana", reason="medidor de prueba", ids=[first, 999]
        )
        assert done == 1
    assert states(warehouse) == [(1, "descartada"), (2, "pendiente")]
    [(step,)] = query(
        warehouse, "select siguiente_paso from quarantine.prueba__tabla where estado <> 'pendiente'"
    )
    assert "Ana" in step and "medidor de prueba" in step
    assert figures(replay(feed.contract(), context(warehouse), []))[0] == 1

    with warehouse.connect() as connection:
        assert undo(connection, "prueba.tabla", by="Blas", reason="era real", ids=[first]) == 1
    assert states(warehouse) == [(1, "pendiente"), (2, "pendiente")]
    assert query(
        warehouse,
        "select accion, por, motivo, fila_ids from quarantine.decision order by decision_id",
    ) == [
        ("descartar", "Ana", "medidor de prueba", [first]),
        ("deshacer", "Blas", "era real", [first]),
    ]


def test_a_discarded_row_that_comes_again_stays_discarded(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "Ana", "uno", "2026-06-01"))
    table.load(warehouse, table.contract())
    with warehouse.connect() as connection:
        discard(connection, "prueba.tabla", by="Ana", reason="error viejo", rule="tipo_invalido")

    report = table.load(warehouse, table.contract())

    assert (report.state, states(warehouse)) == ("sin_cambios", [(1, "descartada")])


def test_a_row_that_was_closed_and_comes_again_is_pending_and_a_change(
    warehouse: Warehouse, table: Table
) -> None:
    table.fill((1, "Ana", "uno", "2026-06-01"))
    table.load(warehouse, table.contract())
    table.run("update tabla set monto = 1")
    table.load(warehouse, table.contract())
    assert states(warehouse) == [(1, "reprocesada")]
    table.run("update tabla set monto = 'uno'")

    report = table.load(warehouse, table.contract())

    assert (report.state, states(warehouse)) == ("cargada", [(1, "pendiente")])


def test_only_columns_of_free_access_are_shown(warehouse: Warehouse, table: Table) -> None:
    table.fill((1, "Ana", "uno", "2026-06-01"))
    contract = table.contract()
    table.load(warehouse, contract)

    with warehouse.connect() as connection:
        [masked] = rows_of(connection, contract.id, contract)
        [whole] = rows_of(connection, contract.id, contract, full=True)
        [unknown] = rows_of(connection, contract.id, None)
        [group] = summary(connection, dataset=contract.id, state="pendiente")

    assert (masked.values["nombre"], masked.values["monto"]) == (HIDDEN, "uno")
    assert whole.values["nombre"] == "Ana"
    assert set(unknown.values.values()) == {HIDDEN}
    assert (group.rule, group.rows) == ("tipo_invalido", 1)


def test_rows_wait_for_the_load_that_gives_the_table_another_key(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Two rows of one key are two rows by another one, but the table still has the first."""
    folder = tmp_path / "entrada"
    folder.mkdir()
    (folder / "a.csv").write_text("medidor,dia\nm1,1\nm1,2\n")
    url = SourceUrl.parse(str(folder))

    def keyed(*keys: str) -> Contract:
        columns = [column(name, key=name in keys) for name in ("medidor", "dia")]
        return make_contract(tmp_path, "csv", columns, loadMode="full")

    load(keyed("medidor"), url, context(warehouse), [])
    other = dataclasses.replace(keyed("dia"), load_mode="append", cursor="dia")

    assert replay_after_contract_change(other, context(warehouse), lambda: []) is None
    with pytest.raises(LoadRefused, match="otra clave que raw"):
        replay(other, context(warehouse), [])

    assert states(warehouse) == [(2, "pendiente")]
    load(other, url, context(warehouse), [])
    assert query(warehouse, "select dia from raw.prueba__tabla order by 1") == [("1",), ("2",)]

"""A column that the contract does not name: kept in raw as text, told, and kept out of the rest."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from expectations.contract_schema import schema_of
from orchestration.checkers import checkers_for
from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import ContractError
from sources.landing import LoadContext, LoadReport, load
from sources.landing.drift import Episode, open_drift
from sources.landing.new_columns import MOST
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract
from tests.support.mariadb import MariaDb

KEYED = (column("id", "integer", key=True), column("monto", "integer"))


class Source:
    """A contract `prueba.tabla (id, monto)`, its address, and the warehouse it goes to."""

    def __init__(self, home: Path, warehouse: Warehouse) -> None:
        self.home = home
        self.warehouse = warehouse
        self.path = home / "sistema.sqlite"
        self.url = f"sqlite:///{self.path}"

    def run(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def contract(self, *more: dict[str, Any], kind: str = "mysql", **options: Any) -> Contract:
        return make_contract(self.home, kind, [*KEYED, *more], **options)

    def load(self, contract: Contract | None = None, url: str = "") -> LoadReport:
        found = contract or self.contract()
        context = LoadContext(connect=self.warehouse.connect, run_id="prueba")
        address = SourceUrl.parse(url or self.url)
        return load(found, address, context, checkers_for(found))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def rows(self, columns: str = "id, monto, _nueva_telefono") -> list[tuple[Any, ...]]:
        return self.ask(f"select {columns} from raw.prueba__tabla order by id")

    def columns(self) -> list[str]:
        return [
            str(name)
            for (name,) in self.ask(
                "select attname from pg_attribute where attrelid = 'raw.prueba__tabla'::regclass "
                "and attnum > 0 order by attnum"
            )
        ]

    def drift(self) -> list[Episode]:
        with self.warehouse.connect() as connection:
            return open_drift(connection)


@pytest.fixture
def source(tmp_path: Path, warehouse: Warehouse) -> Source:
    found = Source(tmp_path, warehouse)
    found.run("create table tabla (id integer, monto integer)", "insert into tabla values (1, 10)")
    return found


# --- what is kept ---------------------------------------------------------------------------------


def test_a_new_column_is_added_as_text_and_rows_read_again_get_it(source: Source) -> None:
    source.load()
    source.run("alter table tabla add column telefono integer", "update tabla set telefono = 155")
    source.run("insert into tabla values (2, 20, null)")

    report = source.load()

    assert report.errors == [] and source.rows() == [(1, 10, "155"), (2, 20, None)]
    assert source.load().state == "sin_cambios"
    [(comment,)] = source.ask(
        "select col_description('raw.prueba__tabla'::regclass, attnum) from pg_attribute "
        "where attrelid = 'raw.prueba__tabla'::regclass and attname = '_nueva_telefono'"
    )
    assert "restringida" in comment


def test_a_change_in_it_alone_is_a_change_with_history(source: Source) -> None:
    source.run("alter table tabla add column telefono text", "update tabla set telefono = 'a'")
    source.load()
    source.run("update tabla set telefono = 'b'")

    report = source.load()

    assert (report.loaded, report.known) == (1, 0) and source.rows() == [(1, 10, "b")]
    assert source.ask("select operacion, fila ->> '_nueva_telefono' from raw._historial") == [
        ("modificacion", "a")
    ]


def test_a_column_that_goes_is_null_from_then_on_and_comes_back_as_the_same(
    source: Source,
) -> None:
    source.run("alter table tabla add column telefono text", "update tabla set telefono = 'a'")
    source.load()
    source.run("alter table tabla drop column telefono")
    assert source.load().errors == [] and source.rows() == [(1, 10, None)]
    assert source.drift() == []

    source.run("alter table tabla add column telefono text", "update tabla set telefono = 'c'")
    source.load()

    assert source.rows() == [(1, 10, "c")]
    assert [name for name in source.columns() if name.startswith("_nueva")] == ["_nueva_telefono"]
    assert len(source.drift()) == 1


def test_once_declared_its_own_type_applies_and_the_text_stays_aside(source: Source) -> None:
    source.run("alter table tabla add column telefono integer", "update tabla set telefono = 155")
    source.load()

    report = source.load(source.contract(column("telefono", "integer")))

    assert report.errors == []
    assert source.rows("id, telefono, _nueva_telefono") == [(1, 155, "155")]
    assert source.drift() == []


def test_it_adds_no_row_to_a_table_that_only_grows(source: Source) -> None:
    options = {"loadMode": "append", "cursor": "id"}
    source.load(source.contract(**options))
    source.run("alter table tabla add column telefono text", "update tabla set telefono = 'a'")
    source.run("insert into tabla values (2, 20, 'b')")

    report = source.load(source.contract(**options))

    assert (report.loaded, report.quarantined) == (1, 0)
    assert source.rows() == [(1, 10, None), (2, 20, "b")]


def test_without_a_key_a_table_that_only_grows_takes_no_new_column(source: Source) -> None:
    def keyless() -> Contract:
        columns = [column("id", "integer"), column("monto", "integer")]
        return make_contract(source.home, "mysql", columns, loadMode="append", cursor="id")

    source.load(keyless())
    source.run("alter table tabla add column telefono text", "update tabla set telefono = 'a'")

    assert source.load(keyless()).loaded == 0
    assert source.columns() == ["id", "monto", "_load_id"]
    assert "sin clave" in source.drift()[0].action


def test_an_increment_brings_it_for_what_it_reads(source: Source) -> None:
    options = {"loadMode": "incremental", "cursor": "id"}
    source.load(source.contract(**options))
    source.run("alter table tabla add column telefono text", "insert into tabla values (2, 2, 'b')")

    source.load(source.contract(**options))

    assert source.rows() == [(1, 10, None), (2, 2, "b")]


# --- what stays out -------------------------------------------------------------------------------


def test_it_reaches_neither_checks_nor_quarantine(source: Source) -> None:
    source.run(
        "alter table tabla add column dni text",
        "update tabla set dni = 'secreto'",
        *(f"insert into tabla values ({n}, {n}, 'secreto')" for n in range(2, 60)),
        "insert into tabla values (60, 'roto', 'secreto')",
        "insert into tabla values (2, 2, 'secreto')",
    )

    report = source.load()

    assert report.quarantined == 2
    kept = source.ask("select fila::text from quarantine.fila")
    assert len(kept) == 2 and not any("secreto" in row or "dni" in row for (row,) in kept)
    contract = source.contract()
    assert [c.name for c in contract.columns] == ["id", "monto"]
    assert list(schema_of(contract).columns) == ["id", "monto"]


def test_a_text_with_a_nul_costs_no_row(source: Source) -> None:
    source.run(
        "alter table tabla add column nota text",
        "insert into tabla values (2, 20, cast(x'610062' as text))",
    )

    assert source.load().quarantined == 0
    assert source.rows("_nueva_nota") == [(None,), ("\\x610062",)]


def test_bytes_that_are_no_text_cost_no_row(source: Source) -> None:
    feed = source.home / "entrada"
    feed.mkdir()
    table = pa.table({"id": [1, 2], "monto": [10, 20], "foto": [b"\x00\xff", b"abc"]})
    pq.write_table(table, feed / "a.parquet")

    report = source.load(source.contract(kind="parquet"), str(feed))

    assert (report.errors, report.quarantined) == ([], 0)
    assert source.rows("_nueva_foto") == [("\\x00ff",), ("abc",)]


# --- decisions and limits -------------------------------------------------------------------------


def test_a_contract_may_leave_new_columns_where_they_are(source: Source) -> None:
    source.run("alter table tabla add column telefono text")

    report = source.load(source.contract(newColumns="ignore"))

    assert report.errors == [] and source.columns() == ["id", "monto", "_load_id"]
    assert "newColumns: ignore" in source.drift()[0].action


def test_a_contract_may_refuse_them_and_the_table_keeps_its_data(source: Source) -> None:
    source.load(source.contract(newColumns="refuse"))
    source.run("alter table tabla add column telefono text", "update tabla set monto = 99")

    report = source.load(source.contract(newColumns="refuse"))

    assert report.state == "fallida" and source.rows("id, monto") == [(1, 10)]
    for word in ("telefono", "sistema prueba", "Secretaría de Prueba", "newColumns: add"):
        assert word in str(report.errors[0])
    assert report.drift == ["columna nueva en el origen: telefono"]
    [episode] = source.drift()
    assert episode.kind == "columna_nueva" and "no se cargó nada" in episode.action


def test_another_word_is_an_error_of_the_contract(source: Source) -> None:
    with pytest.raises(ContractError, match="newColumns"):
        source.contract(newColumns="quizas")


def test_of_three_hundred_new_columns_some_are_added_and_all_are_told(source: Source) -> None:
    source.run(
        f"create table ancha (id integer, monto integer, {', '.join(f'c{n}' for n in range(300))})",
        "insert into ancha (id, monto, c0) values (1, 10, 'x')",
    )
    contract = source.contract(table="ancha")

    assert source.load(contract).errors == [] and source.load(contract).state == "sin_cambios"

    assert sum(name.startswith("_nueva_") for name in source.columns()) == MOST
    told = source.drift()
    assert len(told) == 300 and sum("el máximo" in e.action for e in told) == 300 - MOST


def test_names_that_would_be_the_same_stay_apart(source: Source) -> None:
    awkward = ["Teléfono", "tele-fono", "_nueva_tele_fono", "año 1", "año-1", "drop table x; --"]
    long = [f"{'z' * 60}{n}" for n in range(2)]
    quoted = ", ".join(f'"{name}" text' for name in (*awkward, *long))
    values = ", ".join(f"'{name}'" for name in (*awkward, *long))
    source.run(
        f"create table rara (id integer, monto integer, {quoted})",
        f"insert into rara values (1, 10, {values})",
    )

    report = source.load(source.contract(table="rara"))

    assert report.errors == []
    names = source.ask("select nombre_origen, columna from meta.columna_agregada")
    assert len({name for _, name in names}) == len(names) == 8
    for origin, name in names:
        assert source.rows(f'"{name}"') == [(origin,)]


# --- each kind of source --------------------------------------------------------------------------


def test_postgresql_gives_a_new_column_of_any_type_as_it_writes_it(
    source: Source, pg: psycopg.Connection[Any], database: str
) -> None:
    pg.execute("create table tabla (id integer primary key, monto integer)")
    pg.execute("insert into tabla values (1, 10)")
    source.load(source.contract(kind="postgresql"), database)
    pg.execute(
        "alter table tabla add column precio numeric(10,2) default 1.50, "
        "add column lista integer[] default '{1,2}', add column octetos bytea default '\\x00ff', "
        "add column rango int4range default '[1,5)', add column dia date default '2026-06-01'"
    )

    assert source.load(source.contract(kind="postgresql"), database).errors == []

    assert source.rows("_nueva_precio, _nueva_lista, _nueva_octetos, _nueva_rango, _nueva_dia") == [
        ("1.50", "{1,2}", "\\x00ff", "[1,5)", "2026-06-01")
    ]


@pytest.mark.mariadb
def test_mariadb_gives_a_new_column_of_any_type_as_text(source: Source, mariadb: MariaDb) -> None:
    connection = mariadb.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists tabla")
        cursor.execute("create table tabla (id int primary key, monto int)")
        cursor.execute("insert into tabla values (1, 10)")
        source.load(url=mariadb.url)
        cursor.execute(
            "alter table tabla add column precio decimal(10,2) default 1.50, "
            "add column octetos varbinary(4) default x'00ff', add column dia date "
            "default '2026-06-01', add column clase enum('a','b') default 'b'"
        )
        connection.commit()

        assert source.load(url=mariadb.url).errors == []

        cursor.execute("drop table tabla")
    assert source.rows("_nueva_precio, _nueva_octetos, _nueva_dia, _nueva_clase") == [
        ("1.50", "00FF", "2026-06-01", "b")
    ]


def write_csv(path: Path, names: Sequence[str], row: Sequence[str]) -> None:
    path.with_suffix(".csv").write_text(f"{','.join(names)}\n{','.join(row)}\n")


def write_jsonl(path: Path, names: Sequence[str], row: Sequence[str]) -> None:
    path.with_suffix(".jsonl").write_text(json.dumps(dict(zip(names, row, strict=True))) + "\n")


def write_parquet(path: Path, names: Sequence[str], row: Sequence[str]) -> None:
    table = pa.table({name: [value] for name, value in zip(names, row, strict=True)})
    pq.write_table(table, path.with_suffix(".parquet"))


def write_xlsx(path: Path, names: Sequence[str], row: Sequence[str]) -> None:
    with xlsxwriter.Workbook(str(path.with_suffix(".xlsx"))) as book:
        sheet = book.add_worksheet("Datos")
        sheet.write_row(0, 0, names)
        sheet.write_row(1, 0, row)


@pytest.mark.parametrize("mode", ["files", "full"])
@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet, write_xlsx])
def test_one_of_two_files_may_have_a_new_column(
    source: Source, write: Callable[[Path, Sequence[str], Sequence[str]], None], mode: str
) -> None:
    kind = write.__name__.removeprefix("write_")
    feed = source.home / "entrada"
    feed.mkdir()
    write(feed / "a", ["id", "monto"], ["1", "10"])
    write(feed / "b", ["telefono", "id", "monto"], ["261", "2", "20"])
    write(feed / "c", ["monto", "id"], ["30", "3"])

    report = source.load(source.contract(kind=kind, loadMode=mode), str(feed))

    assert report.errors == [] and report.loaded == 3
    assert source.rows() == [(1, 10, None), (2, 20, "261"), (3, 30, None)]

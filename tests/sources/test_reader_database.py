"""Tables come out of each engine exactly, in one snapshot, and failures say what to do.

PostgreSQL and SQLite are real here. MySQL and SQL Server have files of their own.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from sources.contract import Contract
from sources.errors import DriftError, SourceUnavailable
from sources.readers import database as database_reader
from sources.readers import open_reader
from sources.readers.database import build_query, count_of, explain
from sources.readers.engines import Engine, SourceColumn
from sources.readers.engines.mysql import Mysql
from sources.readers.engines.postgresql import Postgresql
from sources.readers.engines.sqlite import Sqlite
from sources.readers.engines.sqlserver import SqlServer
from sources.readers.watermark import period, since_value
from sources.urls import SourceUrl
from tests.sources.reader_support import (
    cast_all,
    column,
    make_contract,
    numbers_of,
    read_all,
    rows_of,
)

COLUMNS = [
    column("obra_id", "bigint", key=True),
    column("nombre"),
    column("monto", "numeric(16,2)"),
    column("inicio", "date"),
    column("activa", "boolean"),
    column("actualizado_en", "timestamptz"),
]
INCREMENTAL = {"loadMode": "incremental", "cursor": "actualizado_en", "lookback": "P3D"}


def sqlite_file(folder: Path, *statements: str) -> SourceUrl:
    path = folder / "fuente.sqlite"
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return SourceUrl.parse(f"sqlite:///{path}")


# --- PostgreSQL -----------------------------------------------------------------------------------


def test_postgresql_rows_arrive_exactly(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        "create table obras (obra_id bigint primary key, nombre text, monto numeric, inicio date, "
        "activa bool, actualizado_en timestamptz)"
    )
    pg.execute(
        "insert into obras values "
        "(2, 'Plaza \"Ñandú\"; línea 1\nlínea 2', 12345678901234.56, '2026-06-01', true, "
        "'2026-06-01 10:00:00.123456-03'), (1, '', null, null, false, '2026-06-01 00:00:00+00')"
    )
    contract = make_contract(tmp_path, "postgresql", COLUMNS, table="public.obras")

    good, rejected = cast_all(contract, read_all(open_reader(contract, SourceUrl.parse(database))))

    assert rejected == []
    assert good == [
        {
            "obra_id": 1, "nombre": "", "monto": None, "inicio": None, "activa": False,
            "actualizado_en": datetime(2026, 6, 1, tzinfo=UTC),
        },
        {
            "obra_id": 2, "nombre": 'Plaza "Ñandú"; línea 1\nlínea 2',
            "monto": Decimal("12345678901234.56"), "inicio": date(2026, 6, 1), "activa": True,
            "actualizado_en": datetime(2026, 6, 1, 13, 0, 0, 123456, tzinfo=UTC),
        },
    ]  # fmt: skip


def test_postgresql_values_without_a_place_reject_only_their_row(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (obra_id int, monto numeric, inicio date)")
    pg.execute(
        "insert into obras values (1, 1.5, '2026-06-01'), (2, 'NaN', '2026-06-01'), "
        "(3, 1.005, '2026-06-01'), (4, 1, 'infinity'), (5, 1, '0044-03-15 BC')"
    )
    contract = make_contract(
        tmp_path,
        "postgresql",
        [column("obra_id", "integer", key=True), column("monto", "numeric(16,2)"),
         column("inicio", "date")],
        table="obras",
    )  # fmt: skip

    good, rejected = cast_all(contract, read_all(open_reader(contract, SourceUrl.parse(database))))

    assert [row["obra_id"] for row in good] == [1]
    assert [(r.row_number, r.rule, r.column, r.values[r.column or ""]) for r in rejected] == [
        (2, "tipo_invalido", "monto", "NaN"),
        (3, "fuera_de_rango", "monto", "1.005"),
        (4, "tipo_invalido", "inicio", "infinity"),
        (5, "tipo_invalido", "inicio", "0044-03-15 BC"),
    ]


def test_a_single_nullable_column_keeps_its_null_rows(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table notas (nota text)")
    pg.execute("insert into notas values (null), (''), ('a'), ('\\.')")
    contract = make_contract(tmp_path, "postgresql", [column("nota")], table="notas")

    batches = read_all(open_reader(contract, SourceUrl.parse(database)))

    assert [row["nota"] for row in rows_of(batches)] == [None, "", "a", "\\."]


def test_count_and_rows_come_from_one_snapshot(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (obra_id int)")
    pg.execute("insert into obras select generate_series(1, 10)")
    contract = make_contract(
        tmp_path, "postgresql", [column("obra_id", "integer", key=True)], table="obras"
    )

    with open_reader(contract, SourceUrl.parse(database), batch_rows=4) as reader:
        counted = reader.source_count()
        pg.execute("insert into obras values (11)")
        batches = list(reader.batches())

    assert counted == 10
    assert [batch.data.num_rows for batch in batches] == [4, 4, 2]
    assert numbers_of(batches) == list(range(1, 11))


def test_the_rows_of_a_large_table_are_counted_by_the_statement_that_sends_them(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_reader, "_SEARCHED_ROWS", 5)
    pg.execute("create table obras as select i as obra_id from generate_series(1, 10) i")
    pg.execute("analyze obras")
    contract = make_contract(
        tmp_path, "postgresql", [column("obra_id", "integer", key=True)], table="obras"
    )

    with open_reader(contract, SourceUrl.parse(database), batch_rows=4) as reader:
        before = reader.source_count()
        pg.execute("insert into obras values (11)")
        batches = list(reader.batches())
        counted = reader.source_count()

    assert (before, counted) == (None, 10)
    assert numbers_of(batches) == list(range(1, 11))


def test_a_large_table_read_in_parts_is_counted_beforehand(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part's statement knows of its own rows only, and not of a gap between them."""
    monkeypatch.setattr(database_reader, "_SEARCHED_ROWS", 5)
    pg.execute("create table obras as select i as obra_id from generate_series(1, 10) i")
    pg.execute("analyze obras")
    contract = make_contract(
        tmp_path, "postgresql", [column("obra_id", "integer", key=True)], table="obras",
        parallelRanges=2,
    )  # fmt: skip

    with open_reader(contract, SourceUrl.parse(database)) as reader:
        assert reader.source_count() == 10


def test_a_read_that_is_abandoned_leaves_no_connection(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras as select i as obra_id from generate_series(1, 200000) i")
    contract = make_contract(
        tmp_path, "postgresql", [column("obra_id", "integer", key=True)], table="obras"
    )

    with open_reader(contract, SourceUrl.parse(database), batch_rows=10) as reader:
        next(reader.batches())

    # The server needs a moment to notice that its client has gone.
    for _ in range(100):
        left = pg.execute(
            "select pid from pg_stat_activity "
            "where datname = current_database() and application_name = 'lujan-datos'"
        ).fetchall()
        if not left:
            break
        time.sleep(0.05)
    assert left == []


def test_incremental_read_begins_at_the_watermark_less_the_lookback(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (obra_id int, actualizado_en timestamptz)")
    pg.execute(
        "insert into obras values (1, '2026-06-06 23:59:59.999999+00'), "
        "(2, '2026-06-07 00:00:00+00'), (3, '2026-06-20 00:00:00+00'), (4, null)"
    )
    contract = make_contract(
        tmp_path,
        "postgresql",
        [column("obra_id", "integer", key=True), column("actualizado_en", "timestamptz")],
        table="obras",
        **INCREMENTAL,
    )

    with open_reader(
        contract, SourceUrl.parse(database), watermark="2026-06-10T00:00:00+00:00"
    ) as reader:
        assert reader.source_count() == 3
        read = [row["obra_id"] for row in rows_of(reader.batches())]

    assert [str(number) for number in read] == ["2", "3", "4"]


def test_a_cursor_without_zone_is_compared_on_the_local_clock(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (obra_id int, actualizado_en timestamp)")
    pg.execute("insert into obras values (1, '2026-06-09 20:59:59'), (2, '2026-06-09 21:00:00')")
    contract = make_contract(
        tmp_path,
        "postgresql",
        [column("obra_id", "integer", key=True), column("actualizado_en", "timestamptz")],
        table="obras",
        **INCREMENTAL | {"lookback": "PT0H"},
    )

    reader = open_reader(contract, SourceUrl.parse(database), watermark="2026-06-10T00:00:00+00:00")

    assert [str(row["obra_id"]) for row in rows_of(read_all(reader))] == ["2"]


ODD_COLUMNS = [
    column("obra_id", "integer", key=True, source="Order"),
    column("avance", "numeric(5,2)", source='Avance % "real"'),
    column("actualizado_en", "date", source="select"),
]
ODD_INCREMENTAL = {"loadMode": "incremental", "cursor": "actualizado_en"}


def test_rows_of_postgresql_come_in_batches_of_the_size_asked_for(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table t as select n from generate_series(1, 10) n")
    contract = make_contract(
        tmp_path, "postgresql", [column("n", "integer", key=True)], table="t", fetchRows=4
    )

    batches = read_all(open_reader(contract, SourceUrl.parse(database)))

    assert [batch.read for batch in batches] == [4, 4, 2]


def test_a_statement_of_postgresql_that_takes_too_long_is_ended(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        "create view lenta as select n, pg_sleep(0.3) is null as v from generate_series(1, 40) n"
    )
    contract = make_contract(
        tmp_path, "postgresql", [column("n", "integer"), column("v", "boolean")], table="lenta",
        statementTimeout="PT1S",
    )  # fmt: skip
    began = time.monotonic()

    with pytest.raises(SourceUnavailable, match="no respondió a tiempo") as caught:
        read_all(open_reader(contract, SourceUrl.parse(database)))

    assert time.monotonic() - began < 8 and "horario de menos uso" in caught.value.next_step


@pytest.mark.parametrize("contract_type", ["timestamptz", "timestamp"])
def test_the_hour_that_comes_twice_is_read_twice(
    tmp_path: Path, pg: psycopg.Connection[Any], database: str, contract_type: str
) -> None:
    """Chile put its clocks back from 24:00 to 23:00 on 4 April 2026."""
    pg.execute("create table tabla (id int, visto_en timestamp)")
    pg.execute(
        "insert into tabla values (1, '2026-04-04 22:29'), (2, '2026-04-04 22:55'), "
        "(3, '2026-04-04 23:40'), (4, '2026-04-05 09:00')"
    )
    santiago = {"timezone": "America/Santiago"}
    contract = make_contract(
        tmp_path, "postgresql",
        [column("id", "integer", key=True), column("visto_en", contract_type, **santiago)],
        loadMode="incremental", cursor="visto_en",
    )  # fmt: skip

    def read_since(watermark: str) -> list[int]:
        reader = open_reader(contract, SourceUrl.parse(database), watermark=watermark)
        return [row["id"] for row in rows_of(read_all(reader))]

    zone = "-03:00" if contract_type == "timestamptz" else ""
    # 23:30 of the first time round: what comes at 22:55 by the clock may be later, an hour before.
    assert read_since(f"2026-04-04T23:30:00{zone}") == [2, 3, 4]
    assert read_since(f"2026-04-04T20:00:00{zone}") == [1, 2, 3, 4]
    assert read_since(f"2026-06-04T23:30:00{zone}") == []


def test_names_that_sql_would_trip_over(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        'create table "Obras nuevas" ("Order" int, "Avance % ""real""" float8, "select" date)'
    )
    pg.execute("""insert into "Obras nuevas" values (1, 0.1, '2026-06-01')""")
    contract = make_contract(
        tmp_path, "postgresql", ODD_COLUMNS, table="public.Obras nuevas", **ODD_INCREMENTAL
    )

    for watermark in (None, "2026-06-01"):
        reader = open_reader(contract, SourceUrl.parse(database), watermark=watermark)
        good, _ = cast_all(contract, read_all(reader))
        assert good == [
            {"obra_id": 1, "avance": Decimal("0.10"), "actualizado_en": date(2026, 6, 1)}
        ]


def test_missing_columns_are_drift_and_extra_columns_are_reported(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (obra_id int, nueva text)")
    table = {"table": "public.obras"}
    key = column("obra_id", "integer", key=True)
    with open_reader(
        make_contract(tmp_path, "postgresql", [key], **table), SourceUrl.parse(database)
    ) as reader:
        assert reader.columns() == ("obra_id", "nueva")

    contract = make_contract(tmp_path, "postgresql", [key, column("fecha", "date")], **table)
    with pytest.raises(
        DriftError, match=r"falta la columna fecha en la tabla public\.obras"
    ) as held:
        open_reader(contract, SourceUrl.parse(database)).__enter__()
    assert "sistema prueba" in str(held.value)
    assert "Responsable: Secretaría de Prueba" in str(held.value)


@pytest.mark.parametrize(
    ("part", "instead", "message"),
    [
        (r"/\w+$", "/otra", "no existe la base de datos"),
        (r"//\w+:", "//nadie:", "rechazó el usuario 'nadie' o su contraseña"),
        (r"(//\w+):[^@]+@", r"\1:equivocada@", "rechazó el usuario .* o su contraseña"),
        (r":\d+/", ":1/", "no se pudo llegar al sistema prueba"),
        (r"$", "", "no existe la tabla no_existe"),
    ],
)
def test_postgresql_failures_say_what_to_do(
    tmp_path: Path, database: str, part: str, instead: str, message: str
) -> None:
    url = SourceUrl.parse(re.sub(part, instead, database))
    contract = make_contract(tmp_path, "postgresql", [column("a")], table="no_existe")

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(open_reader(contract, url))

    assert str(url.password) not in str(held.value)
    assert "Qué hacer:" in str(held.value)


def test_a_table_that_may_not_be_read_says_so(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table obras (a text)")
    pg.execute("drop role if exists lector_sin_permiso")
    pg.execute("create role lector_sin_permiso login password 'clave-lector'")
    url = SourceUrl.parse(re.sub(r"//[^@]+@", "//lector_sin_permiso:clave-lector@", database))
    contract = make_contract(tmp_path, "postgresql", [column("a")], table="obras")

    with pytest.raises(SourceUnavailable, match="no tiene permiso para leer obras"):
        read_all(open_reader(contract, url))


# --- SQLite, in place of other engines ------------------------------------------------------------


def test_sqlite_values_keep_what_they_are(tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path,
        "create table obras (obra_id integer primary key, nombre, monto, inicio, activa, "
        "actualizado_en)",
        "insert into obras values (1, 'Ñ', 0.1, '2026-06-01', 1, '2026-06-01 10:00:00')",
        "insert into obras values (2, 7, 'mil', '2026-06-31', 'no', '2026-06-01T13:00:00Z')",
        "insert into obras values (3, cast(x'41FF' as text), 12, null, 0, null)",
    )
    contract = make_contract(tmp_path, "sqlserver", COLUMNS, table="dbo.obras")

    with open_reader(contract, url) as reader:
        assert reader.source_count() == 3
        good, rejected = cast_all(contract, list(reader.batches()))

    assert good == [
        {
            "obra_id": 1, "nombre": "Ñ", "monto": Decimal("0.10"), "inicio": date(2026, 6, 1),
            "activa": True, "actualizado_en": datetime(2026, 6, 1, 13, tzinfo=UTC),
        }
    ]  # fmt: skip
    assert [(r.row_number, r.rule) for r in rejected] == [
        (2, "tipo_invalido"),
        (3, "codificacion_invalida"),
    ]
    assert rejected[0].values["monto"] == "mil"
    assert rejected[0].reason.count(";") == 1
    assert rejected[1].values["nombre"] == "Aÿ"


def test_sqlite_incremental_read_takes_times_of_any_spelling(tmp_path: Path) -> None:
    url = sqlite_file(
        tmp_path,
        "create table obras (obra_id integer primary key, actualizado_en text)",
        "insert into obras values (1, '2026-06-01 08:00:00'), (2, '2026-06-10T13:00:00Z'), "
        "(3, '2026-06-10 10:00:00'), (4, '2026-06-10T10:00:00-03:00'), (5, 'ayer'), (6, null), "
        "(7, '2026-06-10 09:00:00')",
    )
    contract = make_contract(
        tmp_path,
        "mysql",
        [column("obra_id", "integer", key=True), column("actualizado_en", "timestamptz")],
        table="obras",
        **INCREMENTAL | {"lookback": "PT0H"},
    )

    reader = open_reader(contract, url, watermark="2026-06-10T13:00:00+00:00")

    assert [row["obra_id"] for row in rows_of(read_all(reader))] == [2, 3, 4, 5, 6]


def test_a_missing_sqlite_file_is_an_unavailable_source(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "mysql", [column("a")])

    with pytest.raises(SourceUnavailable, match="no existe la base de datos"):
        read_all(open_reader(contract, SourceUrl.parse(f"sqlite:///{tmp_path / 'no.sqlite'}")))


# --- all engines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [Postgresql(), Mysql(), SqlServer(), Sqlite()])
def test_the_count_asks_for_the_same_rows(tmp_path: Path, engine: Engine) -> None:
    contract = make_contract(
        tmp_path, "sqlserver", [column("id", "bigint", key=True), column("c", "date")],
        table="dbo.t", loadMode="incremental", cursor="c",
    )  # fmt: skip
    query = _query(contract, engine, {"c": False}, "2026-06-10")

    whole, count = engine.compiled(query)[0], engine.compiled(count_of(query))[0]

    assert _flat(count).startswith("SELECT count(*) AS count_1 FROM")
    assert _flat(count).partition("WHERE")[2] in _flat(whole)
    assert "ORDER BY" not in count


# --- addresses and periods ------------------------------------------------------------------------


def test_an_address_of_another_kind_is_refused_at_once(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "mysql", [column("a")])

    with pytest.raises(SourceUnavailable, match="el contrato es de tipo mysql"):
        open_reader(contract, SourceUrl.parse("postgresql://u:muysecreta@h/d"))


@pytest.mark.parametrize(
    ("text", "days"), [("P3D", 3), ("P1W", 7), ("P1M", 31), ("P1Y2M", 428), ("PT36H", 1.5)]
)
def test_periods_are_taken_at_their_longest(text: str, days: float) -> None:
    assert period(text).total_seconds() == days * 86_400


@pytest.mark.parametrize(("lookback", "first"), [(None, 41), (0, 41), (30, 11)])
def test_the_lookback_of_a_number_is_a_number(
    tmp_path: Path, lookback: int | None, first: int
) -> None:
    for kind in ("bigint", "numeric(10,2)"):
        contract = make_contract(
            tmp_path, "mysql", [column("id", kind, key=True)], loadMode="incremental", cursor="id",
            lookback=lookback,
        )  # fmt: skip
        assert since_value(contract, "41") == first


@pytest.mark.parametrize("physical", ["double precision", "numeric(10,3)"])
def test_a_cursor_of_single_precision_does_not_pass_over_rows_at_its_watermark(
    pg: psycopg.Connection[Any], database: str, tmp_path: Path, physical: str
) -> None:
    pg.execute("create table lecturas (id int primary key, metros real)")
    pg.execute("insert into lecturas values (1, 0.1), (2, 0.7), (3, 0.7), (4, 0.8)")
    contract = make_contract(
        tmp_path, "postgresql", [column("id", "integer", key=True), column("metros", physical)],
        table="public.lecturas", loadMode="incremental", cursor="metros",
    )  # fmt: skip

    # The server compares 0.7 with 0.699999988.
    rows = rows_of(read_all(open_reader(contract, SourceUrl.parse(database), watermark="0.7")))

    assert [row["id"] for row in rows] == [2, 3, 4]


def test_a_replica_that_ends_a_read_is_told_apart(tmp_path: Path) -> None:
    class Conflict(Exception):
        pgcode = "40001"

    contract = make_contract(tmp_path, "postgresql", [column("id")], table="public.t")

    error = explain(contract, SourceUrl.parse("postgresql://r/b"), Postgresql(), "t", Conflict())

    assert "la réplica" in error.what and "hot_standby_feedback" in error.next_step


def _query(
    contract: Contract, engine: Engine, zoned: dict[str, bool], watermark: str
) -> sa.Select[Any]:
    names = {c.name: c.source_name for c in contract.columns}
    found = {s: SourceColumn(s, zoned=zoned.get(name)) for name, s in names.items()}
    return build_query(contract, engine, names, found, watermark)


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_aware_times_keep_their_instant_whatever_else_is_imported() -> None:
    import pandera.engines  # noqa: F401 - its import changes how Arrow reads aware datetimes

    from sources.readers.base import column_from_values

    local = datetime(2026, 6, 1, 9, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert column_from_values([local, None]).to_pylist() == [local, None]


def test_columns_that_may_not_be_read_are_no_columns_unless_the_contract_names_them(
    tmp_path: Path, pg: psycopg.Connection[Any], database: str
) -> None:
    reader = f"lector_{os.getpid()}"
    pg.execute("create table personas (id int primary key, barrio text, dni text)")
    pg.execute("insert into personas values (1, 'Perdriel', '30111222')")
    pg.execute(f"create role {reader} login password 'x'".encode())
    try:
        pg.execute(f"grant select (id, barrio) on personas to {reader}".encode())
        url = SourceUrl.parse(re.sub(r"//[^@]*@", f"//{reader}:x@", database))
        columns = [column("id", "integer", key=True), column("barrio")]
        contract = make_contract(tmp_path, "postgresql", columns, table="public.personas")

        with open_reader(contract, url) as opened:
            assert opened.columns() == ("id", "barrio")
            assert opened.source_count() == 1
            assert rows_of(list(opened.batches())) == [{"id": 1, "barrio": "Perdriel"}]

        contract = make_contract(
            tmp_path, "postgresql", [*columns, column("dni")], table="public.personas"
        )
        with pytest.raises(SourceUnavailable, match=r"no tiene permiso para leer.* dni en"):
            open_reader(contract, url).__enter__()
    finally:
        pg.execute(f"drop owned by {reader}".encode())
        pg.execute(f"drop role {reader}".encode())

"""Tables come out of each engine exactly, in one snapshot, and failures say what to do.

PostgreSQL, MariaDB and SQLite are real here; for SQL Server, which cannot be installed on every
machine, the statements and the meaning of its errors are checked.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pymssql
import pytest
import sqlalchemy as sa

from sources.contract import Contract
from sources.errors import DriftError, SourceUnavailable
from sources.readers import ReaderOptions, open_reader
from sources.readers.database import build_query, count_of
from sources.readers.engines import Engine
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
from tests.support.mariadb import MariaDb, mariadb_server

COLUMNS = [
    column("obra_id", "bigint", key=True),
    column("nombre"),
    column("monto", "numeric(16,2)"),
    column("inicio", "date"),
    column("activa", "boolean"),
    column("actualizado_en", "timestamptz"),
]
INCREMENTAL = {"loadMode": "incremental", "cursor": "actualizado_en", "lookback": "P3D"}


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The address of an empty PostgreSQL database."""
    return new_database()


@pytest.fixture
def pg(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


def mysql_execute(server: MariaDb, *statements: str) -> None:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


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


# --- MySQL ----------------------------------------------------------------------------------------


@pytest.mark.mariadb
def test_mysql_rows_arrive_exactly_and_zero_dates_reject_only_their_row(
    tmp_path: Path, mariadb: MariaDb
) -> None:
    mysql_execute(
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


@pytest.mark.mariadb
@pytest.mark.parametrize("kind", ["datetime", "timestamp"])
def test_mysql_incremental_read_on_either_kind_of_time(
    tmp_path: Path, mariadb: MariaDb, kind: str
) -> None:
    mysql_execute(
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
        **INCREMENTAL | {"lookback": "P1D"},
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


@pytest.mark.mariadb
def test_mysql_names_that_sql_would_trip_over(tmp_path: Path, mariadb: MariaDb) -> None:
    mysql_execute(
        mariadb,
        "drop table if exists `Obras nuevas`",
        'create table `Obras nuevas` (`Order` int, `Avance % "real"` double, `select` date)',
        "insert into `Obras nuevas` values (1, 0.1, '2026-06-01')",
    )
    contract = make_contract(
        tmp_path, "mysql", ODD_COLUMNS, table="Obras nuevas", **ODD_INCREMENTAL
    )

    for watermark in (None, "2026-06-01"):
        reader = open_reader(contract, SourceUrl.parse(mariadb.url), watermark=watermark)
        good, _ = cast_all(contract, read_all(reader))
        assert good[0]["avance"] == Decimal("0.10")


@pytest.mark.mariadb
def test_mysql_snapshot_does_not_see_later_rows(tmp_path: Path, mariadb: MariaDb) -> None:
    mysql_execute(
        mariadb,
        "drop table if exists obras",
        "create table obras (obra_id int primary key) engine=innodb",
        "insert into obras values (1), (2), (3)",
    )
    contract = make_contract(
        tmp_path, "mysql", [column("obra_id", "integer", key=True)], table="obras"
    )

    with open_reader(contract, SourceUrl.parse(mariadb.url), batch_rows=2) as reader:
        mysql_execute(mariadb, "insert into obras values (4)")
        assert reader.source_count() == 3
        assert numbers_of(reader.batches()) == [1, 2, 3]


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("part", "instead", "message"),
    [
        (r"//prueba:", "//otro:", "rechazó el usuario 'otro'"),
        (r"/prueba$", "/otra", "no existe la base de datos"),
        (r":\d+/", ":1/", "no se pudo llegar al sistema prueba"),
        (r"$", "", "no existe la tabla no_existe"),
    ],
)
def test_mysql_failures_say_what_to_do(
    tmp_path: Path, mariadb: MariaDb, part: str, instead: str, message: str
) -> None:
    url = SourceUrl.parse(re.sub(part, instead, mariadb.url))
    contract = make_contract(tmp_path, "mysql", [column("a")], table="no_existe")

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(open_reader(contract, url))

    assert mariadb.password not in str(held.value)


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
        "(3, '2026-06-10 10:00:00'), (4, '2026-06-10T10:00:00-03:00'), (5, 'ayer'), (6, null)",
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


# --- SQL Server: what is sent, and what its errors mean -------------------------------------------


def test_sql_server_statement_is_quoted_and_bound(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path,
        "sqlserver",
        [column("solicitud_id", "bigint", key=True, source="Nro] solicitud"),
         column("actualizado_en", "timestamptz")],
        table="dbo.solicitudes",
        **INCREMENTAL,
    )  # fmt: skip

    text, parameters = SqlServer().compiled(
        _query(contract, SqlServer(), {"actualizado_en": True}, "2026-06-10T10:00:00-03:00")
    )

    assert _flat(text) == (
        "SELECT [dbo].[solicitudes].[Nro]] solicitud] AS solicitud_id, "
        "[dbo].[solicitudes].[actualizado_en] AS actualizado_en FROM [dbo].[solicitudes] "
        "WHERE [dbo].[solicitudes].[actualizado_en] >= CAST(%(desde)s AS DATETIMEOFFSET(7)) "
        "OR [dbo].[solicitudes].[actualizado_en] IS NULL "
        "ORDER BY [dbo].[solicitudes].[Nro]] solicitud]"
    )
    assert parameters == {"desde": "2026-06-07 13:00:00+00:00"}


def test_sql_server_time_without_zone_is_compared_on_the_local_clock(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path,
        "sqlserver",
        [column("id", "bigint", key=True), column("actualizado_en", "timestamptz")],
        **INCREMENTAL,
    )

    text, parameters = SqlServer().compiled(
        _query(contract, SqlServer(), {"actualizado_en": False}, "2026-06-10T10:00:00-03:00")
    )

    assert "CAST(%(desde)s AS DATETIME2(7))" in text
    assert parameters == {"desde": "2026-06-07 10:00:00"}


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


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (((18456, b"Login failed for user 'lector'. DB-Lib error message 20018"),),
         "rechazó el usuario 'lector'"),
        (((4060, b"Cannot open database. DB-Lib error message 20018"),), "no existe la base"),
        ((208, b"Invalid object name 'dbo.t'."), "no existe la tabla dbo.tabla"),
        ((229, b"The SELECT permission was denied"), "no tiene permiso para leer"),
        (((20009, b"DB-Lib error message 20009: Unable to connect"),), "no se pudo llegar"),
        (((20003, b"DB-Lib error message 20003: timed out"),), "no respondió a tiempo"),
    ],
)  # fmt: skip
def test_sql_server_failures_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: tuple[Any, ...], message: str
) -> None:
    def refuse(**settings: Any) -> None:
        raise pymssql.OperationalError(*error)

    monkeypatch.setattr(pymssql, "connect", refuse)
    contract = make_contract(tmp_path, "sqlserver", [column("a")], table="dbo.tabla")
    url = SourceUrl.parse("mssql://lector:muysecreta@10.0.0.9:1433/citymis")

    with pytest.raises(SourceUnavailable, match=message) as held:
        read_all(open_reader(contract, url))

    assert "muysecreta" not in str(held.value)
    assert "lector:" not in str(held.value)


def test_sql_server_that_nobody_answers_for_is_unreachable(tmp_path: Path) -> None:
    contract = make_contract(tmp_path, "sqlserver", [column("a")], table="dbo.tabla")
    url = SourceUrl.parse("mssql://lector:muysecreta@127.0.0.1:1/citymis")

    with pytest.raises(SourceUnavailable, match="no se pudo llegar al sistema prueba"):
        read_all(open_reader(contract, url, options=ReaderOptions(connect_timeout_s=2)))


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


def test_a_numeric_cursor_has_no_lookback(tmp_path: Path) -> None:
    contract = make_contract(
        tmp_path, "mysql", [column("id", "bigint", key=True)], loadMode="incremental", cursor="id"
    )

    assert since_value(contract, "41") == 41


def _query(
    contract: Contract, engine: Engine, zoned: dict[str, bool], watermark: str
) -> sa.Select[Any]:
    names = {c.name: c.source_name for c in contract.columns}
    found = {source: zoned.get(name) for name, source in names.items()}
    return build_query(contract, engine, names, found, watermark)


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_aware_times_keep_their_instant_whatever_else_is_imported() -> None:
    import pandera.engines  # noqa: F401 - its import changes how Arrow reads aware datetimes

    from sources.readers.base import column_from_values

    local = datetime(2026, 6, 1, 9, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert column_from_values([local, None]).to_pylist() == [local, None]

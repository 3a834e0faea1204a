"""Profiles: exact figures of what may be seen, counts of what may not, at a bounded cost."""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg

from expectations.profiles import changes_since_profile, take
from sources.contract import Contract

OPEN = {"classification": "libre_acceso"}
COLUMNS = [
    {"name": "id", "physicalType": "integer", "primaryKey": True, **OPEN},
    {"name": "estado", "physicalType": "text", **OPEN},
    {"name": "volumen_m3", "physicalType": "numeric(8,2)", **OPEN},
    {"name": "dia", "physicalType": "date", **OPEN},
    {"name": "vecino", "physicalType": "text", "classification": "sensible"},
    {"name": "interno", "physicalType": "text"},
    {"name": "genero", "physicalType": "text", **OPEN,
     "customProperties": {"protocolField": "genero"}},
]  # fmt: skip
SECRETS = ("Quiroga", "clave-interna", "No binario")


def rows(count: int) -> list[tuple[Any, ...]]:
    return [
        (
            number, "en curso" if number % 2 else f"T-{number:03d}", number / 2,
            dt.date(2025, 1, 1), f"Quiroga {number}", "clave-interna", "No binario",
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def profile(connection: psycopg.Connection[Any], contract: Contract, **given: Any) -> int:
    return take(connection, contract, "r", changes_since_profile(connection, contract), **given)


def column(connection: psycopg.Connection[Any], number: int, name: str) -> dict[str, Any]:
    row = connection.execute(
        "select to_jsonb(c) from meta.perfil_columna c where perfil_id = %s and columna = %s",
        [number, name],
    ).fetchone()
    assert row is not None
    return dict(row[0])


def test_figures_of_open_columns(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(COLUMNS)
    land(contract, [*rows(20), (21, None, None, None, None, None, None)])
    with connection.transaction():
        number = profile(connection, contract)

    state = column(connection, number, "estado")
    assert (state["nulos"], state["distintos"]) == (1, 11)
    assert state["valores"] == [["en curso", 10]], "values shared by fewer than five are not kept"
    assert state["patrones"] == [["a a", 10], ["a-999", 10]]
    assert (state["largo_minimo"], state["largo_maximo"]) == (5, 8)
    volume = column(connection, number, "volumen_m3")
    assert (volume["minimo"], volume["maximo"]) == ("0.50", "10.00")
    assert volume["cuantiles"]["0.5"] == 5.0
    day = column(connection, number, "dia")
    assert day["minimo"] == "2025-01-01" and day["cuantiles"]["0.5"] == 1735689600


def test_nothing_a_column_holds_that_is_not_open_is_ever_stored(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(COLUMNS, containsPersons=True)
    land(contract, rows(50))
    with connection.transaction():
        number = profile(connection, contract)

    stored = "".join(
        str(row[0])
        for row in connection.execute("select to_jsonb(c)::text from meta.perfil_columna c")
    )
    assert not [secret for secret in SECRETS if secret in stored]
    hidden = column(connection, number, "vecino")
    assert (hidden["nulos"], hidden["distintos"], hidden["publicable"]) == (0, 50, False)
    assert {hidden[k] for k in ("minimo", "maximo", "largo_maximo", "patrones")} == {None}
    assert connection.execute("select to_regclass('pg_temp._perfil')").fetchone() == (None,)


def test_a_dataset_that_grows_is_measured_by_what_came_since_the_last_profile(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(
        [*COLUMNS, {"name": "cambio", "physicalType": "timestamp"}],
        loadMode="append", cursor="cambio",
    )  # fmt: skip
    land(contract, [(*row, None) for row in rows(9)])
    with connection.transaction():
        profile(connection, contract)
    assert changes_since_profile(connection, contract) == []

    land(contract, [(100, "en curso", 1, None, None, None, None, None)])
    land(contract, [(101, "en curso", 1, None, None, None, None, None)])
    with connection.transaction():
        profile(connection, contract)

    assert connection.execute(
        "select alcance, filas from meta.perfil order by perfil_id"
    ).fetchall() == [("llegadas", 9), ("llegadas", 2)]


def test_a_large_table_is_counted_exactly_and_measured_from_a_sample(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(COLUMNS)
    land(contract, rows(20_000))
    with connection.transaction():
        number = profile(connection, contract, sample_rows=2_000)

    row = connection.execute("select filas, filas_medidas from meta.perfil").fetchone()
    assert row is not None and row[0] == 20_000
    assert 1_000 < row[1] < 3_500
    middle = column(connection, number, "volumen_m3")["cuantiles"]["0.5"]
    assert 4_000 < middle < 6_000


def test_what_came_is_found_without_reading_a_table_that_grew_for_years(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(
        [*COLUMNS, {"name": "cambio", "physicalType": "timestamp"}],
        loadMode="incremental", cursor="cambio",
    )  # fmt: skip
    land(contract, [(*row, None) for row in rows(5)])
    with connection.transaction():
        profile(connection, contract)
    connection.execute(
        "insert into raw.citymis__prueba (id, estado, volumen_m3, _load_id) "
        "select n, 'viejo', 1, 0 from generate_series(1000, 301000) as n"
    )
    connection.execute("vacuum analyze raw.citymis__prueba")
    load = land(contract, [])
    connection.execute(
        "insert into raw.citymis__prueba (id, estado, volumen_m3, _load_id) "
        "select n, 'nuevo', 2, %s from generate_series(400001, 420000) as n",
        [load],
    )
    with connection.transaction():
        number = take(connection, contract, "r", [load], sample_rows=2_000)

    row = connection.execute(
        "select filas, filas_medidas from meta.perfil where perfil_id = %s", [number]
    ).fetchone()
    assert row is not None and row[0] == 20_000
    assert 1_500 < row[1] < 2_500
    assert column(connection, number, "estado")["valores"] == [["nuevo", row[1]]]
    blocks = connection.execute("select pg_relation_size('raw.citymis__prueba') / 8192").fetchone()
    plan = connection.execute(
        "explain (analyze, buffers, format json) "
        "select count(*) from raw.citymis__prueba where _load_id = any(array[%s])",
        [load],
    ).fetchone()
    assert blocks is not None and plan is not None
    [top] = plan[0]
    read = top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
    assert read < blocks[0] / 5


def test_a_table_that_grows_gets_an_index_of_its_loads_with_the_second_of_them(
    make_contract: Any, land: Any, connection: psycopg.Connection[Any]
) -> None:
    def indexed() -> list[str]:
        found = connection.execute(
            "select substring(indexdef from 'brin \\((\\w+)\\)') from pg_indexes "
            "where tablename = 'citymis__prueba' and indexdef like '%% USING brin %%' order by 1"
        )
        return [name for (name,) in found.fetchall()]

    land(make_contract(COLUMNS, loadMode="full"), rows(2))
    land(make_contract(COLUMNS, loadMode="full"), [])
    assert indexed() == [], "what is replaced whole is read whole"
    connection.execute("drop table raw.citymis__prueba cascade")
    growing = make_contract(
        [*COLUMNS, {"name": "cambio", "physicalType": "timestamp"}],
        loadMode="append", cursor="cambio",
    )  # fmt: skip
    land(growing, [])
    land(growing, [(*row, None) for row in rows(2)])
    assert indexed() == [], "of a single load there is nothing to find"
    land(growing, [])
    assert indexed() == ["_load_id", "cambio"]
    land(growing, [])
    assert indexed() == ["_load_id", "cambio"], "one of each is enough"

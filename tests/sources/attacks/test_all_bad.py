"""Rows all bad, tables all empty, accounts that may do nothing: each has a clear outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.errors import ContractError, WarehouseUnavailable
from sources.landing import LoadReport
from tests.sources.attacks.conftest import MakeScenario
from tests.sources.attacks.support import (
    MODES,
    TABLE_MODES,
    MariaSource,
    PostgresSource,
    Scenario,
    TableSource,
    assert_same_tables,
    feed_contract,
    insertion,
    left_behind,
    query,
    states_of,
    table_contract,
    table_scenario,
    tables_of,
)
from tests.sources.reader_support import make_contract
from tests.support.processes import Outcome, run_load

HEADER = "medidor_id,fecha_hora,lectura\n"
HELD = "select count(*)::int from raw.prueba__tabla"
IN_QUARANTINE = "select estado, count(*)::int from quarantine.fila group by 1 order by 1"


def figures(report: LoadReport | Outcome) -> tuple[str, int, int, int]:
    return report.state, report.read, report.loaded, report.quarantined


def feed_of(folder: Path, **options: object) -> tuple[Scenario, Path]:
    """A feed of files and its folder, which is empty."""
    feed = folder / "lecturas"
    feed.mkdir()
    return Scenario(feed_contract(folder / "contrato", **options), str(feed), lambda: None), feed


def reading(number: int, value: str) -> str:
    return f"m{number},2026-06-01 00:00:00,{value}\n"


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_of_bad_rows_is_set_aside_and_the_others_are_loaded(
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    clean: Warehouse,
    mode: str,
) -> None:
    attack = replace(scenario(mode, 3000), batch_rows=200)
    if mode == "files":
        for file in Path(attack.url).iterdir():
            lines = [reading(n, "roto" if 200 < n <= 400 else "1.00") for n in range(1, 3001)]
            file.write_text(HEADER + "".join(lines))
            Path(attack.url, "dia_02.csv").unlink(missing_ok=True)
    else:
        postgres_source.run(
            "update cuentas set saldo = '1.00'",
            "update cuentas set saldo = 'roto' where cuenta_id between 201 and 400",
        )

    assert figures(attack.load(attacked)) == ("cargada", 3000, 2800, 200)

    attack.load(clean, batch_rows=65_536)
    assert_same_tables(attacked, clean)


@pytest.mark.parametrize("mode", ["full", "full_without_key", "incremental"])
def test_a_table_that_turned_all_bad_keeps_its_last_good_data(
    scenario: MakeScenario, postgres_source: PostgresSource, attacked: Warehouse, mode: str
) -> None:
    attack = scenario(mode, 2000)
    assert attack.load(attacked).errors == []
    before = tables_of(attacked)
    postgres_source.run(
        "update cuentas set saldo = 'roto', actualizado_en = timestamp '2026-07-01 00:00:00'"
    )

    report = attack.load(attacked)

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "2.000 de 2.000 filas no pasan (tipo_invalido (2.000))" in message
    assert "conserva sus últimos datos buenos" in message and "Qué hacer: " in message
    assert tables_of(attacked) == before
    assert left_behind(attacked) == []


@pytest.mark.parametrize("mode", TABLE_MODES)
def test_a_first_load_that_is_all_bad_leaves_no_table(
    scenario: MakeScenario, postgres_source: PostgresSource, attacked: Warehouse, mode: str
) -> None:
    attack = scenario(mode, 50)
    postgres_source.run("update cuentas set saldo = 'roto'")

    report = attack.load(attacked)

    assert report.state == "fallida"
    assert query(attacked, "select to_regclass('raw.prueba__tabla')") == [(None,)]
    assert query(attacked, IN_QUARANTINE) == []
    assert states_of(attacked) == ["fallida"]


def test_a_file_that_is_all_bad_is_refused_and_the_others_are_loaded(
    tmp_path: Path, attacked: Warehouse
) -> None:
    attack, feed = feed_of(tmp_path)
    (feed / "a.csv").write_text(HEADER + "".join(reading(n, "1.00") for n in range(50)))
    (feed / "b.csv").write_text(HEADER + "".join(reading(n, "roto") for n in range(50)))
    (feed / "c.csv").write_text(HEADER + "".join(reading(n, "2.00") for n in range(50)))

    report = attack.load(attacked)

    assert report.state == "fallida"
    assert "b.csv: 50 de 50 filas no pasan" in str(report.errors[0])
    assert query(attacked, HELD) == [(100,)]
    assert sorted(states_of(attacked)) == ["cargada", "cargada", "fallida"]
    assert query(attacked, "select nombre from meta.archivo order by 1") == [("a.csv",), ("c.csv",)]


@pytest.mark.parametrize("mode", MODES)
def test_so_few_rows_that_a_share_says_nothing_are_all_set_aside(
    tmp_path: Path,
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    mode: str,
) -> None:
    if mode == "files":
        attack, feed = feed_of(tmp_path)
        (feed / "a.csv").write_text(HEADER + "".join(reading(n, "roto") for n in range(49)))
    else:
        attack = scenario(mode, 49)
        postgres_source.run("update cuentas set saldo = 'roto'")

    assert figures(attack.load(attacked)) == ("cargada", 49, 0, 49)

    assert query(attacked, HELD) == [(0,)]
    assert query(attacked, IN_QUARANTINE) == [("pendiente", 49)]
    assert attack.load(attacked).state == "sin_cambios"
    assert query(attacked, IN_QUARANTINE) == [("pendiente", 49)]


def test_few_rows_that_all_turned_bad_keep_their_last_good_versions(
    scenario: MakeScenario, postgres_source: PostgresSource, attacked: Warehouse
) -> None:
    attack = scenario("full", 49)
    attack.load(attacked)
    postgres_source.run("update cuentas set saldo = 'roto'")

    assert figures(attack.load(attacked)) == ("cargada", 49, 0, 49)

    assert query(attacked, HELD) == [(49,)]
    assert query(attacked, "select count(*)::int from raw._historial") == [(0,)]


@pytest.mark.parametrize("mode", MODES)
def test_good_and_bad_rows_in_turn_are_each_where_they_belong(
    tmp_path: Path,
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    mode: str,
) -> None:
    if mode == "files":
        attack, feed = feed_of(tmp_path, maxQuarantineShare=0.5)
        lines = [reading(n, "roto" if n % 2 else "1.00") for n in range(1, 2001)]
        (feed / "a.csv").write_text(HEADER + "".join(lines))
    else:
        attack = scenario(mode, 2000, maxQuarantineShare=0.5)
        postgres_source.run(
            "update cuentas set saldo = case when cuenta_id % 2 = 1 then 'roto' else '1.00' end"
        )
    attack = replace(attack, batch_rows=7)

    assert figures(attack.load(attacked)) == ("cargada", 2000, 1000, 1000)

    assert query(attacked, HELD) == [(1000,)]
    name = "medidor_id" if mode == "files" else "cuenta_id"
    odd = f"mod(ltrim(fila ->> '{name}', 'm')::int, 2)"
    assert query(attacked, f"select {odd}, count(*)::int from quarantine.fila group by 1") == [
        (1, 1000)
    ]
    if mode == "files":
        assert query(
            attacked, "select min(numero_fila), max(numero_fila) from quarantine.fila"
        ) == [(1, 1999)]


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(
    tmp_path: Path, source: TableSource, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Seven times the rows; kept in memory, they alone would take more than is allowed.

    The small table fills every queue: how full one gets of less depends on the moment.
    """
    peaks = []
    for rows in (3 * _FEW_ROWS, 20 * _FEW_ROWS):
        _wide_table(source, rows, bad_percent=0)
        attack = _wide_load(tmp_path, source)
        warehouse = new_warehouse()
        outcome = run_load(attack.job(warehouse))
        assert figures(outcome) == ("cargada", rows, rows, 0)
        peaks.append(outcome.peak_kib)

    _assert_flat(peaks)


@pytest.mark.slow
def test_memory_does_not_grow_with_what_changed(
    tmp_path: Path, postgres_source: PostgresSource, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Every row another than before: the way through the temporary table and the merge."""
    peaks = []
    for rows in (_FEW_ROWS, 8 * _FEW_ROWS):
        _wide_table(postgres_source, rows, bad_percent=0)
        attack = _wide_load(tmp_path, postgres_source)
        warehouse = new_warehouse()
        assert attack.load(warehouse).errors == []
        postgres_source.run("update cuentas set saldo = '2'")
        outcome = run_load(attack.job(warehouse))
        assert figures(outcome) == ("cargada", rows, rows, 0)
        peaks.append(outcome.peak_kib)

    _assert_flat(peaks)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_bad_rows(
    tmp_path: Path, postgres_source: PostgresSource, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Ten thousand bad rows of a hundred thousand, and three times as many of both."""
    peaks = []
    for rows in (100_000, 300_000):
        _wide_table(postgres_source, rows, bad_percent=10)
        outcome = run_load(_wide_load(tmp_path, postgres_source).job(new_warehouse()))
        assert figures(outcome) == ("cargada", rows, rows * 9 // 10, rows // 10)
        peaks.append(outcome.peak_kib)

    _assert_flat(peaks)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, new_warehouse: Callable[[], Warehouse]
) -> None:
    """The small file is larger than the blocks that a parser holds."""
    attack, feed = feed_of(tmp_path)
    peaks = []
    for rows in (3 * _FEW_ROWS, 15 * _FEW_ROWS):
        (feed / "a.csv").write_text(HEADER + reading(1, "1.00").replace("m1", "m" * 300) * rows)
        outcome = run_load(attack.job(new_warehouse()))
        assert figures(outcome) == ("cargada", rows, rows, 0)
        peaks.append(outcome.peak_kib)

    _assert_flat(peaks)


# A row takes 300 bytes, so that the large table takes 120 MB.
_FEW_ROWS = 20_000


def _assert_flat(peaks: list[int]) -> None:
    few, many = peaks
    assert many < few * 1.25, f"{few} KiB for the small one, {many} KiB for the large one"


def _wide_load(folder: Path, source: TableSource) -> Scenario:
    contract = table_contract(folder / "contrato", "full", source.kind)
    return Scenario(contract, source.url, lambda: None, batch_rows=2000)


def _wide_table(source: TableSource, rows: int, *, bad_percent: int) -> None:
    number = "n" if source.kind == "postgresql" else "seq"
    numbers = f"generate_series(1, {rows}) n" if number == "n" else f"seq_1_to_{rows}"
    source.run(
        "drop table if exists cuentas",
        "create table cuentas (cuenta_id integer not null primary key, nombre varchar(300), "
        "saldo varchar(20), actualizado_en timestamp not null)",
        f"insert into cuentas select {number}, rpad('Cuenta', 300, 'x'), "
        f"case when {number} % 100 < {bad_percent} then 'roto' else '1' end, "
        f"timestamp '2026-06-01 00:00:00' from {numbers}",
    )


# --- nothing there ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "full_without_key"])
def test_a_large_table_found_empty_is_refused(
    tmp_path: Path, source: TableSource, attacked: Warehouse, mode: str
) -> None:
    attack = table_scenario(tmp_path, source, mode, 300)
    attack.load(attacked)
    before = tables_of(attacked)
    source.run("delete from cuentas")

    report = attack.load(attacked)

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "ya no tiene 300 de las 300 filas" in message and "maxDeletionShare" in message
    assert tables_of(attacked) == before


@pytest.mark.parametrize("mode", ["full", "full_without_key"])
def test_a_table_found_empty_is_emptied_where_the_contract_allows_it(
    tmp_path: Path, source: TableSource, attacked: Warehouse, clean: Warehouse, mode: str
) -> None:
    attack = table_scenario(tmp_path, source, mode, 300, maxDeletionShare=1)
    attack.load(attacked)
    source.run("delete from cuentas")

    report = attack.load(attacked)

    assert (report.errors, report.read, report.deleted) == ([], 0, 300)
    assert query(attacked, HELD) == [(0,)]
    assert attack.load(attacked).state == "sin_cambios"
    assert attack.load(clean).state == "sin_cambios"
    assert query(clean, HELD) == [(0,)]


@pytest.mark.parametrize(("mode", "state"), [("incremental", "fallida"), ("append", "sin_cambios")])
def test_a_table_found_empty_takes_nothing_from_what_is_read_by_a_cursor(
    tmp_path: Path, source: TableSource, attacked: Warehouse, mode: str, state: str
) -> None:
    """An increment begins with the row of the watermark: without it something is amiss."""
    attack = table_scenario(tmp_path, source, mode, 300)
    attack.load(attacked)
    before = tables_of(attacked)
    source.run("delete from cuentas")

    assert figures(attack.load(attacked)) == (state, 0, 0, 0)

    assert tables_of(attacked) == before
    source.run(insertion(source, 301, 400))
    assert attack.load(attacked).loaded == 100


def test_an_empty_file_is_an_error_and_a_header_alone_is_no_rows(
    tmp_path: Path, attacked: Warehouse
) -> None:
    attack, feed = feed_of(tmp_path)
    (feed / "nada.csv").write_bytes(b"")
    (feed / "solo_encabezado.csv").write_text(HEADER)
    (feed / "sin_columnas.csv").write_text("\n\n\n")

    report = attack.load(attacked)

    assert report.state == "fallida"
    texts = [str(error) for error in report.errors]
    assert len(texts) == 2
    assert all("está vacío" in text and "Qué hacer: " in text for text in texts)
    assert {name for text in texts for name in ("nada", "sin_columnas") if name in text} == {
        "nada",
        "sin_columnas",
    }
    assert query(attacked, HELD) == [(0,)]
    assert query(attacked, "select nombre, filas_leidas::int from meta.archivo") == [
        ("solo_encabezado.csv", 0)
    ]
    assert attack.load(attacked).files_known == 1


def test_a_feed_without_files_is_no_change(tmp_path: Path, attacked: Warehouse) -> None:
    attack, _ = feed_of(tmp_path)

    assert figures(attack.load(attacked)) == ("sin_cambios", 0, 0, 0)


def test_a_table_without_columns_is_a_missing_column(
    tmp_path: Path, postgres_source: PostgresSource, attacked: Warehouse
) -> None:
    attack = table_scenario(tmp_path, postgres_source, "full", 10)
    postgres_source.run("drop table cuentas", "create table cuentas ()")

    report = attack.load(attacked)

    assert report.state == "fallida"
    assert "faltan las columnas cuenta_id, nombre, saldo, actualizado_en" in str(report.errors[0])


def test_a_contract_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="columna"):
        make_contract(tmp_path, "postgresql", [], table="cuentas")


# --- not allowed --------------------------------------------------------------------------------

_PASSWORD = "clave-de-nadie"


@contextmanager
def _nobody(url: str, name: str, *grants: str) -> Iterator[str]:
    """The address for an account of PostgreSQL that has these rights and no others."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {name} login password '{_PASSWORD}'".encode())
        for grant in grants:
            connection.execute(f"{grant} to {name}".encode())
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    try:
        yield parts._replace(netloc=f"{name}:{quote(_PASSWORD)}@{place}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"drop owned by {name}".encode())
            connection.execute(f"drop role {name}".encode())


@pytest.mark.parametrize("mode", MODES)
def test_a_warehouse_account_that_may_not_write_says_so(
    scenario: MakeScenario, attacked: Warehouse, mode: str
) -> None:
    attack = scenario(mode, 2000)
    attack.load(attacked)
    before = tables_of(attacked)
    attack.change()
    grants = [f"grant usage on schema {schema}" for schema in ("raw", "quarantine", "meta")] + [
        f"grant select on all tables in schema {s}" for s in ("raw", "quarantine", "meta")
    ]

    with (
        _nobody(attacked.url, "lectura_almacen", *grants) as url,
        pytest.raises(WarehouseUnavailable, match="no tiene permiso para escribir") as caught,
    ):
        attack.load(replace(attacked, url=url))

    assert "prueba.tabla" in str(caught.value) and "Qué hacer: dele permiso" in str(caught.value)
    assert tables_of(attacked) == before


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_source_account_that_may_not_read_is_a_failed_load(
    tmp_path: Path, postgres_source: PostgresSource, attacked: Warehouse, mode: str
) -> None:
    attack = table_scenario(tmp_path, postgres_source, mode, 100)
    attack.load(attacked)
    before = tables_of(attacked)

    with _nobody(postgres_source.url, "lectura_origen") as url:
        report = replace(attack, url=url).load(attacked)

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "'lectura_origen' no tiene permiso para leer cuentas" in message
    assert "pida permiso de lectura (SELECT)" in message and _PASSWORD not in message
    assert tables_of(attacked) == before


def test_a_mariadb_account_that_may_not_read_is_a_failed_load(
    tmp_path: Path, mariadb_source: MariaSource, attacked: Warehouse
) -> None:
    attack = table_scenario(tmp_path, mariadb_source, "full", 100)
    attack.load(attacked)
    before = tables_of(attacked)
    parts = urlsplit(mariadb_source.url)
    mariadb_source.run(f"create or replace user lectura_origen@'%' identified by '{_PASSWORD}'")

    place = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"lectura_origen:{_PASSWORD}@{place}").geturl()
    report = replace(attack, url=url).load(attacked)

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "'lectura_origen' no tiene permiso para leer cuentas" in message
    assert _PASSWORD not in message
    assert tables_of(attacked) == before

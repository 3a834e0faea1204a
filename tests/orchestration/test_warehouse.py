"""The warehouse: embedded life, versions that repeat, errors that say what is wrong."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock

from orchestration import settings as settings_module
from orchestration.settings import Settings
from orchestration.warehouse import connection as connection_module
from orchestration.warehouse import embedded as embedded_module
from orchestration.warehouse.connection import RowCount, Warehouse, WarehouseError, locate
from orchestration.warehouse.embedded import CopiedFolder, EmbeddedServer
from orchestration.warehouse.migrate import migrate
from sources.errors import PipelineError
from tests.support.folders import open_folder


def test_the_embedded_server_starts_once_for_all_processes_and_stops(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "warehouse")
    fork = multiprocessing.get_context("fork")
    starters = [fork.Process(target=server.start) for _ in range(4)]
    for process in starters:
        process.start()
    for process in starters:
        process.join(60)
    try:
        assert [process.exitcode for process in starters] == [0, 0, 0, 0]
        with psycopg.connect(server.url()) as connection:
            version, listens = connection.execute(
                "select current_setting('server_version_num')::int, "
                "current_setting('listen_addresses')"
            ).fetchone() or (0, "")
        assert version >= 180000 and listens == "127.0.0.1"
        assert server.stop()
        assert not server.is_running() and not server.stop()
    finally:
        server.destroy()


def test_a_killed_server_is_started_again_on_its_port_with_its_data(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "warehouse")
    url = server.start()
    try:
        with psycopg.connect(url) as connection:
            connection.execute("create table prueba as select 7 as valor")
        pid = server._pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

        assert server.start() == url
        with psycopg.connect(url) as connection:
            assert connection.execute("select valor from prueba").fetchone() == (7,)
    finally:
        server.destroy()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the folder", "where root keeps it"])
def test_a_copy_of_the_folder_does_not_touch_the_server_of_the_original(
    monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """Somebody copies a clone with its data: `make clean` there must not destroy the other's."""
    if elsewhere:
        if os.geteuid() != 0:
            pytest.skip("only root keeps the server elsewhere")
        monkeypatch.setattr(embedded_module, "_reachable_by_others", lambda path: False)
    with open_folder("original") as outer:
        monkeypatch.setattr(embedded_module, "_ROOT_PLACE", outer / "lugar")
        server, copy = EmbeddedServer(outer / "uno"), EmbeddedServer(outer / "dos")
        url = server.start()
        try:
            assert (server.place == server.folder) is not elsewhere
            shutil.copytree(server.folder, copy.folder)

            for asked in (copy.start, copy.stop, copy.is_running):
                with pytest.raises(CopiedFolder, match=f"es una copia de {server.folder}"):
                    asked()
            copy.destroy()

            assert not copy.folder.exists()
            assert server.start() == url
            moved = server.folder.rename(outer / "tres")
            assert EmbeddedServer(moved).start() == url
            moved.rename(server.folder)
        finally:
            server.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_the_server_starts_where_root_keeps_new_files_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A umask of 077, as hardened machines give it to root."""
    monkeypatch.setattr(embedded_module, "_reachable_by_others", lambda path: False)
    with open_folder("umask") as outer:
        monkeypatch.setattr(embedded_module, "_ROOT_PLACE", outer / "lugar")
        server = EmbeddedServer(outer / "uno")
        before = os.umask(0o077)
        try:
            with psycopg.connect(server.start()) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
        finally:
            os.umask(before)
            server.destroy()


def test_the_embedded_server_asks_for_its_password(postgres: EmbeddedServer) -> None:
    wrong = postgres.url().replace(postgres.url().split(":")[2].split("@")[0], "otra")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_password_is_readable_by_its_owner_only(postgres: EmbeddedServer) -> None:
    assert (postgres.place / "password").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "archivo").write_text("no soy una carpeta")
    with pytest.raises(PipelineError, match="LUJAN_DATA_DIR"):
        EmbeddedServer(tmp_path / "archivo" / "warehouse").start()


def test_another_process_that_starts_the_server_and_does_not_end_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_module, "_START_TIMEOUT_S", 0.1)
    with (
        FileLock(tmp_path / "start.lock"),
        pytest.raises(PipelineError, match="otro proceso está arrancando") as caught,
    ):
        EmbeddedServer(tmp_path).start()
    assert caught.value.next_step.startswith("espere y vuelva a ejecutar")


def test_migrations_repeat_with_the_same_result(new_database: Callable[[], str]) -> None:
    warehouse = Warehouse(new_database(), embedded=True)

    first, second = migrate(warehouse), migrate(warehouse)

    assert first.before is None and second.before == second.after == first.after
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'meta'"
        ).fetchone()
    assert tables is not None and tables[0] > 8


def test_a_disk_that_fills_up_while_the_warehouse_is_prepared_is_no_matter_of_rights(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise psycopg.errors.DiskFull("could not write to file: No space left on device")

    monkeypatch.setattr("orchestration.warehouse.migrate.command.upgrade", full)
    with pytest.raises(WarehouseError, match="se quedó sin espacio en disco") as caught:
        migrate(Warehouse(new_database(), embedded=True))
    assert caught.value.next_step.startswith("libere espacio")


def test_a_warehouse_newer_than_the_program_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("update meta.version_esquema set version_num = '9999'")
    with pytest.raises(WarehouseError, match="más nueva"):
        migrate(warehouse)


@pytest.mark.parametrize(
    ("role", "schema", "may"),
    [
        ("datos_powerbi", "tableros", True),
        ("datos_powerbi", "agua", False),
        ("datos_powerbi", "entrega", False),
        ("datos_analista", "agua", True),
        ("datos_analista", "entrega", False),
        ("datos_powerbi", "meta", False),
        ("datos_powerbi", "raw", False),
        ("datos_powerbi", "quarantine", False),
        ("datos_analista", "meta", True),
        ("datos_analista", "staging", False),
        ("datos_analista", "raw", False),
        ("datos_equipo", "quarantine", True),
    ],
)
def test_roles_see_their_schemas_also_in_tables_made_later(
    warehouse: Warehouse, role: str, schema: str, may: bool
) -> None:
    with warehouse.connect() as connection:
        connection.execute(f"create table {schema}.nueva (x int)".encode())
        found = connection.execute(
            "select has_schema_privilege(%s, %s, 'usage') "
            "and has_table_privilege(%s, %s, 'select')",
            [role, schema, role, f"{schema}.nueva"],
        ).fetchone()
    assert found == (may,)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://a:b@c/d", "postgresql://"),
        ("postgresql://u:secreta@127.0.0.1:1/x", "no responde"),
    ],
)
def test_a_wrong_address_says_so_without_the_password(url: str, words: str) -> None:
    with pytest.raises(WarehouseError, match=words) as caught:
        locate(Settings(WAREHOUSE_URL=url)).connect(connect_timeout=2)  # type: ignore[call-arg]
    assert "secreta" not in str(caught.value)
    assert "Qué hacer:" in str(caught.value)


def test_a_wrong_password_and_a_missing_database_are_told_apart(postgres: EmbeddedServer) -> None:
    good = postgres.url()
    password = good.split(":")[2].split("@")[0]
    with pytest.raises(WarehouseError, match="contraseña"):
        Warehouse(good.replace(password, "mal"), embedded=False).connect()
    with pytest.raises(WarehouseError, match="no tiene esa base"):
        Warehouse(postgres.url("no_existe"), embedded=False).connect()


def test_addresses_given_to_other_tools_keep_special_characters() -> None:
    warehouse = Warehouse("postgresql://ana:p%40s%2Fs@h:6000/mi%20base", embedded=False)

    env = warehouse.environment()

    assert env["DBT_WAREHOUSE_PASSWORD"] == "p@s/s" and env["DBT_WAREHOUSE_DBNAME"] == "mi base"
    assert env["GX_WAREHOUSE_URL"].startswith("postgresql+psycopg2://ana:p%40s%2Fs@h:6000/")
    assert "search_path%3Ddagster" in env["DAGSTER_POSTGRES_URL"]
    assert "p@s" not in repr(warehouse) and "p%40s" not in repr(warehouse)


def test_a_user_without_superuser_rights_can_own_a_warehouse(postgres: EmbeddedServer) -> None:
    name = f"comun_{os.getpid()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create role {name} login password 'clave'".encode())
        connection.execute(f"create database {name} owner {name}".encode())
    port = postgres.url().rsplit(":", 1)[1].split("/")[0]

    result = migrate(Warehouse(f"postgresql://{name}:clave@127.0.0.1:{port}/{name}", False))

    assert result.before is None and result.after


def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LUJAN_EXECUTOR", "valor-raro")
    settings_module.settings.cache_clear()
    with pytest.raises(PipelineError, match="LUJAN_EXECUTOR") as caught:
        settings_module.settings()
    assert "valor-raro" not in str(caught.value)
    settings_module.settings.cache_clear()


def test_rows_for_a_page_are_counted_while_that_is_quick_and_estimated_beyond(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "create table raw.mes (n integer) partition by range (n); "
            "create table raw.mes_1 partition of raw.mes for values from (0) to (100); "
            "create table raw.mes_2 partition of raw.mes for values from (100) to (200); "
            "insert into raw.mes select generate_series(0, 149)"
        )
    monkeypatch.setattr(connection_module, "COUNTED_ROWS", 120)
    # Nothing was estimated yet.
    assert warehouse.rows_held("raw", "mes") == RowCount(150, counted=True)
    with warehouse.connect() as connection:
        connection.execute("analyze raw.mes")
        connection.execute("insert into raw.mes values (199)")

    # The estimate of the last analysis.
    assert warehouse.rows_held("raw", "mes") == RowCount(150, counted=False)
    assert warehouse.rows_held("raw", "mes_2") == RowCount(51, counted=True)

"""A copy of the warehouse is whole, private, and comes back only where nothing is lost."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from orchestration.settings import settings
from orchestration.warehouse.backup import dump, restore
from orchestration.warehouse.connection import Warehouse, WarehouseError
from orchestration.warehouse.embedded import program_path
from orchestration.warehouse.migrate import migrate


def program(name: str) -> Path:
    return program_path(settings().embedded_dir, name)


@pytest.fixture
def full(warehouse: Warehouse) -> Warehouse:
    """A warehouse with a load and a mart."""
    with warehouse.connect() as connection:
        connection.execute(
            "create schema if not exists agua; create table agua.dim_zona as select 7 as zona_id; "
            "grant usage on schema agua to datos_analista; "
            "grant select on agua.dim_zona to datos_analista"
        )
        connection.execute(
            "insert into meta.carga (corrida_id, dataset, contrato_version, contrato_sha256, modo, "
            "estado, inicio, fin) "
            "values ('r', 'mlc.ejes', '1', '', 'full', 'cargada', now(), now())"
        )
    return warehouse


@pytest.fixture
def empty(new_database: Callable[[], str]) -> Warehouse:
    return Warehouse(new_database(), embedded=True)


@pytest.fixture
def copy(full: Warehouse, tmp_path: Path) -> Path:
    file = tmp_path / "copia.dump"
    assert dump(full, file, program("pg_dump")) == file.stat().st_size
    return file


def test_what_was_copied_comes_back_with_its_permissions(copy: Path, empty: Warehouse) -> None:
    restore(empty, copy, program("pg_restore"))

    assert empty.count("agua", "dim_zona") == empty.count("meta", "carga") == 1
    with empty.connect() as connection:
        connection.execute("set role datos_analista")
        assert connection.execute("select zona_id from agua.dim_zona").fetchone() == (7,)
    assert migrate(empty).before == migrate(empty).after


def test_a_copy_is_for_its_owner_only_and_writes_over_nothing(copy: Path, full: Warehouse) -> None:
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    before = copy.read_bytes()

    with pytest.raises(WarehouseError, match="ya existe"):
        dump(full, copy, program("pg_dump"))

    assert copy.read_bytes() == before
    assert [file.name for file in copy.parent.iterdir()] == [copy.name]


def test_a_warehouse_with_loads_is_not_written_over(copy: Path, full: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="ya tiene cargas"):
        restore(full, copy, program("pg_restore"))

    assert full.count("agua", "dim_zona") == 1


def test_a_database_that_is_no_warehouse_keeps_what_it_has(copy: Path, empty: Warehouse) -> None:
    with empty.connect() as connection:
        connection.execute("create schema agua; create table agua.de_otros as select 1 as uno")

    with pytest.raises(WarehouseError, match=r"no es un almacén y ya tiene esquemas.*agua"):
        restore(empty, copy, program("pg_restore"))

    assert empty.count("agua", "de_otros") == 1


def test_a_file_that_is_cut_leaves_an_empty_warehouse(copy: Path, empty: Warehouse) -> None:
    copy.write_bytes(copy.read_bytes()[:-200])

    with pytest.raises(WarehouseError, match="pg_restore no pudo"):
        restore(empty, copy, program("pg_restore"))

    assert empty.count("meta", "carga") == 0
    with empty.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select from agua.dim_zona")


def test_a_file_that_is_no_copy_is_refused(empty: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "otra.dump"
    file.write_text("no es una copia")

    with pytest.raises(WarehouseError, match=r"ninguna\.dump no existe"):
        restore(empty, tmp_path / "ninguna.dump", program("pg_restore"))
    with pytest.raises(WarehouseError, match="no es una copia de un almacén") as refused:
        restore(empty, file, program("pg_restore"))
    assert "archive" not in str(refused.value), "the program's own words are English"

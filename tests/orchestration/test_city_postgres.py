"""The warehouse lives in a PostgreSQL that the city already has: older, and by leave of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.settings import settings
from orchestration.warehouse.backup import dump, restore
from orchestration.warehouse.connection import Warehouse, WarehouseError
from orchestration.warehouse.embedded import program_path
from orchestration.warehouse.migrate import ROLES_SQL, migrate
from tests.support.city_postgres import CityPostgres, city_postgres


@pytest.fixture
def server() -> Iterator[CityPostgres]:
    with city_postgres() as running:
        yield running


def program(name: str) -> Path:
    return program_path(settings().embedded_dir, name)


def test_roles_that_may_not_be_created_are_asked_for_and_serve_what_is_older(
    server: CityPostgres,
) -> None:
    warehouse = Warehouse(server.create("sin_roles"), embedded=False)

    result = migrate(warehouse)

    assert result.before is None and result.after
    assert str(ROLES_SQL) in result.warnings[0] and "sin_roles" in result.warnings[0]
    with warehouse.connect() as connection:
        connection.execute("create view agua.luji_consumo as select 1 as cuenta_id")
    with server.administrator("sin_roles") as administrator:
        administrator.execute(ROLES_SQL.read_bytes())
    assert not migrate(warehouse).warnings
    with server.administrator("sin_roles") as connection:
        connection.execute("set role datos_luji")
        assert connection.execute("select * from agua.luji_consumo").fetchall() == [(1,)]


def test_a_copy_of_the_embedded_warehouse_is_restored_in_an_older_server(
    server: CityPostgres, warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table agua.dim_zona as select 7 as zona_id, 'Ñu\\.' as nombre")
    dump(warehouse, copy := tmp_path / "copia.dump", program("pg_dump"))
    target = Warehouse(server.create("restaurado"), embedded=False)

    with pytest.raises(WarehouseError, match="ejecute una vez"):
        restore(target, copy, program("pg_restore"))
    with server.administrator("restaurado") as administrator:
        administrator.execute(ROLES_SQL.read_bytes())
    restore(target, copy, program("pg_restore"))

    with target.connect() as connection:
        assert connection.execute("select * from agua.dim_zona").fetchall() == [(7, "Ñu\\.")]
    assert migrate(target).before == migrate(warehouse).after

"""Versions of the warehouse: schemas and tables of ours (Alembic), roles and grants (repeatable).

Belongs here: bringing any PostgreSQL 15+ to the version this code expects, again and again with
the same result. Does not belong here: raw tables (made from contracts by `sources.landing`) and
the tables of models (made by dbt).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from orchestration.outages import outage
from orchestration.warehouse.connection import Warehouse, WarehouseError

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
ROLES_SQL = MIGRATIONS_DIR / "sql" / "roles.sql"
# Any fixed number: one migration at a time on a server, whoever starts it.
_LOCK_KEY = 50_063_001
_NO_RIGHT = psycopg.errors.InsufficientPrivilege.sqlstate


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """Version before (None: a new warehouse) and after, and what could not be granted."""

    before: str | None
    after: str
    warnings: tuple[str, ...]


def migrate(warehouse: Warehouse) -> MigrationResult:
    """Bring the warehouse to the newest version and (re)apply roles and grants.

    Raises WarehouseError when the server is newer than this code or lacks permission.
    """
    with warehouse.connect() as probe:
        probe.execute("select 1")
    engine = create_engine(warehouse.sqlalchemy_url(), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head() or ""
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
            connection.execute(text("create schema if not exists meta"))
            connection.commit()
            context = MigrationContext.configure(
                connection,
                opts={"version_table": "version_esquema", "version_table_schema": "meta"},
            )
            before = context.get_current_revision()
            connection.commit()
            if before is not None and before not in {r.revision for r in script.walk_revisions()}:
                raise WarehouseError(
                    f"el almacén {warehouse.label} tiene la versión {before}, más nueva que este "
                    "programa.",
                    next_step="actualice el programa (`git pull`).",
                )
            if before != head:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except Exception as error:
        if isinstance(error, WarehouseError):
            raise
        refused = getattr(getattr(error, "orig", error), "sqlstate", None) == _NO_RIGHT
        known = None if refused else outage(error)
        raise WarehouseError(
            f"no se pudo preparar el almacén {warehouse.label}: "
            f"{known.what if known else f'{_cause(error)}.'}",
            next_step=known.next_step
            if known
            else "el usuario de WAREHOUSE_URL debe poder crear esquemas en esa base.",
        ) from error
    finally:
        engine.dispose()
    return MigrationResult(before, head, _apply_roles(warehouse))


def _apply_roles(warehouse: Warehouse) -> tuple[str, ...]:
    """Create roles and grants; a server where we may not is reported, not refused."""
    try:
        with warehouse.connect() as connection:
            # Two that grant at once would fail on each other's rows of the catalogue.
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK_KEY])
            connection.execute(ROLES_SQL.read_bytes())
    except psycopg.errors.InsufficientPrivilege as error:
        return (
            f"no se pudieron crear roles o permisos ({_cause(error)}); pida a quien administra el "
            f"servidor que ejecute una vez, en la base {warehouse.label}, el archivo {ROLES_SQL}.",
        )
    return ()


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]

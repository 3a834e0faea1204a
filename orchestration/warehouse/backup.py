"""A whole copy of the warehouse in one file, and the warehouse from such a file.

Belongs here: pg_dump and pg_restore with what they need to know. Does not belong here: the archived
files of sources, which any copy of folders keeps (`docs/operacion.md`), or when copies are made.

A copy holds everything, personal data too: only its owner may read the file.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from psycopg import sql

from orchestration.warehouse.connection import Warehouse, WarehouseError
from orchestration.warehouse.migrate import migrate


def client_environment(warehouse: Warehouse) -> dict[str, str]:
    """What PostgreSQL's own programs are told: an argument would show the password to everybody."""
    parts = urlsplit(warehouse.url)
    return {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": warehouse.database,
    }


def dump(warehouse: Warehouse, file: Path, pg_dump: Path) -> int:
    """Write a consistent copy into a new file; its bytes. Others may go on working meanwhile.

    Raises WarehouseError when the file exists or the copy cannot be made; nothing is left then.
    """
    if file.exists():
        raise WarehouseError(
            f"{file} ya existe y no se toca.", next_step="elija otro nombre para la copia."
        )
    unfinished = file.with_name(f"{file.name}.tmp")
    try:
        unfinished.touch(mode=0o600)
        _run(pg_dump, ["--format=custom", f"--file={unfinished}"], warehouse)
        unfinished.replace(file)
    except OSError as error:
        raise WarehouseError(
            f"no se puede escribir {file}: {error.strerror}.", next_step="elija otra carpeta."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def restore(warehouse: Warehouse, file: Path, pg_restore: Path) -> None:
    """Fill a warehouse that has no loads with a copy, and bring it to the version of this program.

    Raises WarehouseError when it has loads, when a database that is no warehouse has schemas of the
    same names, or when the file is no copy that can be read; the warehouse is empty then.
    """
    schemas = _schemas(pg_restore, file, warehouse)
    _refuse_others(warehouse, schemas)
    migrate(warehouse)  # the roles that the copy names
    with warehouse.connect() as connection:
        if connection.execute("select exists (select from meta.carga)").fetchone() != (False,):
            raise WarehouseError(
                f"el almacén {warehouse.label} ya tiene cargas y no se pisa.",
                next_step="restaure en uno vacío: otro LUJAN_DATA_DIR, u otra base en "
                "WAREHOUSE_URL.",
            )
        for name in schemas:
            connection.execute(
                sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
            )
    try:
        arguments = ["--single-transaction", "--exit-on-error", "--no-owner", str(file)]
        _run(pg_restore, [f"--dbname={warehouse.database}", *arguments], warehouse)
    finally:
        migrate(warehouse)


def _refuse_others(warehouse: Warehouse, schemas: list[str]) -> None:
    """What a restore would drop is a warehouse's own, or nobody's."""
    with warehouse.connect() as connection:
        found = connection.execute(
            "select array(select nspname::text from pg_namespace where nspname = any(%s) "
            "order by 1) where to_regclass('meta.carga') is null",
            [schemas],
        ).fetchone()
    if found and found[0]:
        raise WarehouseError(
            f"la base {warehouse.label} no es un almacén y ya tiene esquemas con los nombres de "
            f"la copia: {', '.join(found[0])}.",
            next_step="restaure en una base vacía.",
        )


def _schemas(pg_restore: Path, file: Path, warehouse: Warehouse) -> list[str]:
    """Schemas that a copy holds, as its list of contents names them."""
    listed = _run(pg_restore, ["--list", str(file)], warehouse)
    found = re.findall(r"^\d+; \d+ \d+ SCHEMA - (\S+) ", listed, flags=re.MULTILINE)
    if "meta" not in found:
        raise WarehouseError(
            f"{file} no es una copia de un almacén.",
            next_step="use un archivo que haya hecho `lujan warehouse dump`.",
        )
    return found


def _run(program: Path, arguments: list[str], warehouse: Warehouse) -> str:
    done = subprocess.run(
        [str(program), *arguments], env=os.environ | client_environment(warehouse),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["sin más detalle"]
        raise WarehouseError(
            f"{program.name} no pudo con el almacén {warehouse.label}: {said[-1]}.",
            next_step="corrija lo que dice el mensaje y vuelva a ejecutar; no quedó nada a medias.",
        )
    return done.stdout

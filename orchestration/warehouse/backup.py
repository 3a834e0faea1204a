"""A whole copy of the warehouse in one file, and the warehouse from such a file.

Belongs here: pg_dump and pg_restore with what they need to know. Does not belong here: the archived
files of sources, which any copy of folders keeps (`docs/operacion.md`), or when copies are made.

A copy holds everything, personal data too: only its owner may read the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from psycopg import sql

from orchestration.warehouse.connection import Warehouse, WarehouseError
from orchestration.warehouse.migrate import migrate
from sources.wording import refusal

# What a copy sets that servers before PostgreSQL 17 do not know, among the settings it begins with.
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
_SETTINGS_LINES = 100
_BLOCK = 1 << 20


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
            f"no se puede escribir {file}: {refusal(error)}.", next_step="elija otra carpeta."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def restore(warehouse: Warehouse, file: Path, pg_restore: Path) -> None:
    """Fill a warehouse that has no loads with a copy, and bring it to the version of this program.

    The server may be older than the one the copy was made of (15 or later, as any warehouse).

    Raises WarehouseError when it has loads, when a database that is no warehouse has schemas of the
    same names, when the copy's roles cannot be made there, or when the file is no copy that can be
    read; the warehouse is empty then.
    """
    if not file.is_file():
        raise WarehouseError(f"{file} no existe.", next_step="diga dónde está la copia.")
    contents = _contents(pg_restore, file, warehouse)
    schemas = _schemas(contents, file)
    _refuse_others(warehouse, schemas)
    if lacking := migrate(warehouse).warnings:  # the roles that the copy names
        raise WarehouseError(lacking[0], next_step="después vuelva a ejecutar.")
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
        _fill(warehouse, file, contents, pg_restore)
    finally:
        migrate(warehouse)


def _fill(warehouse: Warehouse, file: Path, contents: str, pg_restore: Path) -> None:
    """Run a copy's statements in one transaction, which ends well only if the whole copy did."""
    read = [str(pg_restore), "--no-owner", "--file=-", str(file)]
    write = [str(pg_restore.with_name("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    with (
        tempfile.NamedTemporaryFile("w") as wanted,
        tempfile.TemporaryFile() as reading_told,
        tempfile.TemporaryFile() as writing_told,
        subprocess.Popen(
            write, env=os.environ | client_environment(warehouse),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=writing_told,
        ) as writer,
        subprocess.Popen(
            [*read, f"--use-list={_without_defaults(contents, wanted)}"],
            stdout=subprocess.PIPE, stderr=reading_told,
        ) as reader,
    ):  # fmt: skip
        _hand_on(reader, writer)
        # The writer first: a reader whose pipe was closed complains of that alone.
        for program, process, told in (
            (Path(write[0]), writer, writing_told),
            (pg_restore, reader, reading_told),
        ):
            if process.wait() != 0:
                told.seek(0)
                raise _failed(program, told.read().decode(errors="replace"), warehouse)


def _hand_on(reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes]) -> None:
    """Give what one process reads to the other, which commits it once all of it has come.

    A writer that gave up gets no more; its own exit says why.
    """
    assert writer.stdin is not None and reader.stdout is not None
    with suppress(BrokenPipeError), writer.stdin as statements:
        statements.write(b"begin;\n")
        for block in _statements(reader.stdout):
            statements.write(block)
        if reader.wait() == 0:
            statements.write(b"commit;\n")
    reader.stdout.close()


def _without_defaults(contents: str, wanted: IO[str]) -> str:
    """Name of a list of a copy's contents without default privileges.

    Those are of the copied warehouse's user, whom another server need not have; a migration gives
    them to its own.
    """
    wanted.writelines(line for line in contents.splitlines(True) if " DEFAULT ACL " not in line)
    wanted.flush()
    return wanted.name


def _statements(copy: IO[bytes]) -> Iterator[bytes]:
    """A copy as SQL, without the setting that older servers do not know."""
    for line in islice(iter(copy.readline, b""), _SETTINGS_LINES):
        if line == _UNKNOWN_BEFORE_17:
            break
        yield line
    while block := copy.read(_BLOCK):
        yield block


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


def _contents(pg_restore: Path, file: Path, warehouse: Warehouse) -> str:
    """The list of contents of a copy; WarehouseError when the file has none that can be read."""
    try:
        return _run(pg_restore, ["--list", str(file)], warehouse)
    except WarehouseError as error:
        raise _no_copy(file) from error


def _no_copy(file: Path) -> WarehouseError:
    return WarehouseError(
        f"{file} no es una copia de un almacén, o está dañada.",
        next_step="use un archivo que haya hecho `lujan warehouse dump`.",
    )


def _schemas(contents: str, file: Path) -> list[str]:
    """Schemas that a copy holds, as its list of contents names them."""
    found = re.findall(r"^\d+; \d+ \d+ SCHEMA - (\S+) ", contents, flags=re.MULTILINE)
    if "meta" not in found:
        raise _no_copy(file)
    return found


def _run(program: Path, arguments: list[str], warehouse: Warehouse) -> str:
    done = subprocess.run(
        [str(program), *arguments], env=os.environ | client_environment(warehouse),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise _failed(program, done.stderr, warehouse)
    return done.stdout


def _failed(program: Path, told: str, warehouse: Warehouse) -> WarehouseError:
    """What a program ended with: its first error, or its last words."""
    lines = told.strip().splitlines() or ["sin más detalle"]
    errors = [line for line in lines if re.search(r"\b(error|ERROR|FATAL):", line)]
    return WarehouseError(
        f"{program.name} no pudo con el almacén {warehouse.label}: {(errors or lines[-1:])[0]}.",
        next_step="corrija lo que dice el mensaje y vuelva a ejecutar; no quedó nada a medias.",
    )

"""The servers of one run of the benchmark: a PostgreSQL and, when a path needs it, a MariaDB.

Belongs here: their life, and databases copied from others. Does not belong here: what is loaded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from benchmarks.loading.mariadb import MariaDb, mariadb_server
from benchmarks.loading.model import BenchmarkError
from orchestration.warehouse.embedded import EmbeddedServer, program_path

# As the figures of the facts were taken: room for the tables in memory, and fsync on.
# The embedded server stretches its (random) password once; some peers' drivers refuse less than the
# usual 4096 times.
_SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "max_connections": "200",
    "scram_iterations": "4096",
}


class Postgres:
    """The benchmark's own PostgreSQL: sources and targets are databases of it."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)

    def start(self) -> None:
        self._server.start()
        with self.connect("postgres") as connection:
            for name, value in _SETTINGS.items():
                connection.execute(
                    sql.SQL("alter system set {} = {}").format(
                        sql.Identifier(name), sql.Literal(value)
                    )
                )
        self._server.stop()
        self._server.start()
        parts = urlsplit(self.url("postgres"))
        with self.connect("postgres") as connection:
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(parts.username or ""), sql.Literal(parts.password or "")
                )
            )

    def destroy(self) -> None:
        self._server.destroy()

    def url(self, database: str) -> str:
        return self._server.url(database)

    @property
    def psql(self) -> str:
        """Path of the client program that comes with the server."""
        return str(program_path(self._server.folder, "psql"))

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, database: str, template: str = "template1", *, warm: bool = False) -> str:
        """A new database, a copy of `template`; returns its URL.

        `warm`: in memory, as a table that is in use. Neither this copy nor one of files is in the
        log (`wal_level = minimal`): whoever first changes a page writes it there whole.
        """
        strategy = sql.SQL("wal_log" if warm else "file_copy")
        with self.connect("postgres") as connection:
            connection.execute(
                sql.SQL("create database {} template {} strategy {}").format(
                    sql.Identifier(database), sql.Identifier(template), strategy
                )
            )
        return self.url(database)

    def drop(self, database: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database))
            )

    def settle(self) -> None:
        """Write what is still in memory, so that one contender does not pay for another."""
        with self.connect("postgres") as connection:
            connection.execute("checkpoint")

    def active_seconds(self, database: str) -> float:
        """Seconds the server's processes of `database` have spent executing statements so far."""
        with self.connect("postgres") as connection:
            found = connection.execute(
                "select active_time / 1000 from pg_stat_database where datname = %s", [database]
            ).fetchone()
        return float(str(found[0])) if found else 0.0

    def readable(self, file: Path) -> Path:
        """The file at a place the server's own account can read it from."""
        folder = self._server.place / "archivos"
        folder.mkdir(exist_ok=True)
        place = folder / f"{file.parent.name}-{file.name}"
        if not place.exists():
            shutil.copyfile(file, place)
        self._give(folder)
        return place

    def writable(self, name: str) -> Path:
        """A place where the server can write a file of this name."""
        folder = self._server.place / "archivos"
        folder.mkdir(exist_ok=True)
        self._give(folder)
        return folder / name

    def _give(self, folder: Path) -> None:
        owner = (self._server.place / "pgdata").stat()
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    """A running server; it and everything it holds are gone afterwards."""
    server = Postgres(folder)
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDb]:
    """A running MariaDB with room for the tables in memory.

    Raises BenchmarkError when it is not installed or does not come up.
    """
    try:
        with mariadb_server(folder, database="fuente", buffer_pool="1G") as server:
            yield server
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)

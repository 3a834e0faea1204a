"""A PostgreSQL as a city may already run it: the distribution's, owned by an ordinary user.

Belongs here: starting and stopping one. Does not belong here: what is done with it. The embedded
server is the newest version and its user may do everything; a city's is neither.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import psycopg
import pytest
from psycopg import sql

from orchestration.warehouse.embedded import SYSTEM_USER
from tests.support.folders import open_folder

_INSTALLED = Path("/usr/lib/postgresql")
_OLDEST = 15


@dataclass(frozen=True)
class CityPostgres:
    """A running server: `administrator` may do everything, `user` owns databases and no more."""

    port: int
    version: int
    user: str = "ciudad"

    def administrator(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            f"postgresql://postgres@127.0.0.1:{self.port}/{database}", autocommit=True
        )

    def create(self, database: str) -> str:
        """URL of a new empty database, as its owner."""
        with self.administrator() as connection:
            connection.execute(
                sql.SQL("create database {} owner {}").format(
                    sql.Identifier(database), sql.Identifier(self.user)
                )
            )
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"


@contextmanager
def city_postgres() -> Iterator[CityPostgres]:
    """The oldest supported server that the distribution has installed; skips where there is none.

    In CI its absence is a failure.
    """
    versions = sorted(
        int(path.parent.parent.name)
        for path in _INSTALLED.glob("*/bin/initdb")
        if int(path.parent.parent.name) >= _OLDEST
    )
    if not versions:
        reason = "no PostgreSQL of the distribution here (Debian: apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    programs = _INSTALLED / str(versions[0]) / "bin"
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with open_folder("ciudad") as folder:
        data = folder / "datos"
        # Nobody but an ordinary user may start a server.
        user = SYSTEM_USER if os.geteuid() == 0 else None
        if user is not None:
            subprocess.run(["chown", user, str(folder)], check=True)
        _run([programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
              "--locale=C.UTF-8"], user)  # fmt: skip
        settings = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        )
        _run([programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings, "start"],
             user)  # fmt: skip
        try:
            server = CityPostgres(port, versions[0])
            with server.administrator() as connection:
                connection.execute(f"create role {server.user} login".encode())
            yield server
        finally:
            _run([programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], user)


def _run(command: list[str | Path], user: str | None) -> None:
    # A server keeps the pipes of whoever starts it: its words go nowhere, its log is a file.
    subprocess.run(
        [str(part) for part in command], user=user, check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

"""A private MariaDB server: started in a folder, reachable on loopback, then stopped.

Belongs here: starting and stopping; the tests use it too. Does not belong here: tables and data.
Nothing of a server that the machine may already run is touched: data folder, socket and port are
private.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from orchestration.processes import end

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A running server. `url` is an address for `SourceUrl.parse`."""

    socket: Path
    port: int
    user: str
    password: str
    database: str
    certificate: Path | None = None

    @property
    def url(self) -> str:
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def connect(
        self, *, local_infile: bool = False
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        """A connection with every right, to prepare tables."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            charset="utf8mb4",
            autocommit=True,
            local_infile=local_infile,
        )


def find_program(*names: str) -> Path | None:
    """The first of these programs that the machine has, the system folders included."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/local/bin"
    for name in names:
        if found := shutil.which(name, path=places):
            return Path(found)
    return None


def server_program() -> Path | None:
    """The server's program; None where MariaDB is not installed."""
    return find_program("mariadbd", "mysqld")


@contextmanager
def mariadb_server(
    folder: Path,
    *,
    database: str = "prueba",
    buffer_pool: str = "64M",
    certificate: Path | None = None,
) -> Iterator[MariaDb]:
    """Start a server whose data live below `folder`; it is stopped on leaving, whatever happens.

    With a `certificate` (and its key, in one file) it takes encrypted connections as well. Raises
    RuntimeError when MariaDB is missing, or with the server's log when it does not come up.
    """
    program = server_program()
    if program is None:
        raise RuntimeError("MariaDB is not installed here (Debian: apt-get install mariadb-server)")
    folder.mkdir(parents=True, exist_ok=True)
    data, log = folder / "data", folder / "server.log"
    user = "mysql" if os.geteuid() == 0 else getpass.getuser()
    if os.geteuid() == 0:
        _open_path_for(folder, user)
    _run_install(data, user)
    server = MariaDb(
        folder / "s", _free_port(), "prueba", "clave-prueba", database, certificate=certificate
    )
    encrypted = [f"--ssl-cert={certificate}", f"--ssl-key={certificate}"] if certificate else []
    init = folder / "init.sql"
    init.write_text(
        f"create database {database} character set utf8mb4;\n"
        f"create user '{server.user}'@'%' identified by '{server.password}';\n"
        f"grant all on *.* to '{server.user}'@'%';\n"
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                str(program),
                "--no-defaults",
                f"--datadir={data}",
                f"--socket={server.socket}",
                f"--port={server.port}",
                "--bind-address=127.0.0.1",
                f"--user={user}",
                f"--init-file={init}",
                f"--pid-file={folder / 'pid'}",
                "--skip-name-resolve",
                f"--innodb-buffer-pool-size={buffer_pool}",
                "--performance-schema=off",
                *encrypted,
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl+C is ours to answer: the server is ended below, in order.
            start_new_session=True,
        )
        try:
            _wait_until_up(server, process, log)
            yield server
        finally:
            end(process, patience_s=30)


def _run_install(data: Path, user: str) -> None:
    program = find_program("mariadb-install-db", "mysql_install_db")
    if program is None:
        raise RuntimeError("mariadb-install-db is missing although the server is there")
    done = subprocess.run(
        [
            str(program),
            "--no-defaults",
            f"--datadir={data}",
            f"--user={user}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"mariadb-install-db failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _wait_until_up(server: MariaDb, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"MariaDB ended at start:\n{log.read_text()[-3000:]}")
        try:
            server.connect().close()
        except pymysql.Error:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"MariaDB did not come up:\n{log.read_text()[-3000:]}")


def _open_path_for(folder: Path, user: str) -> None:
    """Temporary folders are closed to other users; the server runs as one of them."""
    shutil.chown(folder, user)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

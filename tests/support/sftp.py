"""SFTP servers of the tests' own on loopback: OpenSSH's, and one that asks for a password.

Belongs here: starting and stopping. Does not belong here: files. Nothing of a server that the
machine may already run is touched: configuration, keys and port are private.

OpenSSH takes passwords from the system's accounts only, which tests must not change: it is used
with a key. The server that asks for a password is asyncssh's, in a process of its own.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestration.processes import end

_START_SECONDS = 30.0
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""
_PASSWORD_SERVER = """\
import asyncio, sys
import asyncssh

port, host_key, user, password = sys.argv[1:]

class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, given):
        return (username, given) == (user, password)

async def main():
    server = await asyncssh.listen(
        "127.0.0.1", int(port), server_factory=Server, server_host_keys=[host_key],
        sftp_factory=True,
    )
    await server.wait_closed()

asyncio.run(main())
"""


@dataclass(frozen=True)
class SftpServer:
    """A running server; it serves this machine's folders. `host_key` is its fingerprint."""

    port: int
    host_key: str
    login: str
    query: str = ""

    def url(self, folder: Path, *, port: int | None = None, host_key: str | None = None) -> str:
        """Address of a folder, by way of another port where one is given."""
        pinned = quote(host_key or self.host_key, safe="")
        where = f"127.0.0.1:{port or self.port}{quote(str(folder))}"
        return f"sftp://{self.login}@{where}?host_key={pinned}{self.query}"


def require_sshd() -> None:
    """Skip the test where there is no OpenSSH server; in CI its absence is a failure."""
    if _program("sshd") is not None:
        return
    reason = "OpenSSH's server is not installed here (Debian: apt-get install openssh-server)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """OpenSSH's server for whoever runs the tests, with keys made for it below `folder`."""
    require_sshd()
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        # Where OpenSSH, started by root, keeps a process without rights.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = _make_key(folder / "host")
    _make_key(folder / "user")
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder))
    with _running([str(_program("sshd")), "-D", "-e", "-f", str(config)], port, folder):
        key_file = quote(str(folder / "user"), safe="")
        yield SftpServer(port, host_key, getpass.getuser(), f"&key_file={key_file}")


@contextmanager
def password_server(folder: Path, user: str, password: str) -> Iterator[SftpServer]:
    """A server that lets `user` in with `password`."""
    folder.mkdir(parents=True, exist_ok=True)
    host_key, port = _make_key(folder / "host"), _free_port()
    arguments = [str(port), str(folder / "host"), user, password]
    with _running([sys.executable, "-c", _PASSWORD_SERVER, *arguments], port, folder):
        yield SftpServer(port, host_key, f"{quote(user)}:{quote(password, safe='')}")


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(process, port, log)
            yield
        finally:
            end(process, patience_s=10)


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the SFTP server ended at start:\n{log.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the SFTP server did not come up:\n{log.read_text()[-2000:]}")


def _make_key(path: Path) -> str:
    """A key pair; gives the fingerprint."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(path))
    path.chmod(0o600)
    key.write_public_key(f"{path}.pub")
    return key.get_fingerprint()


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

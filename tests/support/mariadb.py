"""A MariaDB server for the tests, or the reason why a test is skipped.

Belongs here: what the tests ask of it. Does not belong here: starting and stopping it
(`benchmarks/loading/mariadb.py`), tables and data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.loading import mariadb
from benchmarks.loading.mariadb import MariaDb
from tests.support.http import certificate

DATABASE = "prueba"

__all__ = ["DATABASE", "MariaDb", "mariadb_server", "require_mariadb"]


def require_mariadb() -> None:
    """Skip the test where there is no MariaDB; in CI its absence is a failure."""
    if mariadb.server_program() is not None:
        return
    reason = "MariaDB is not installed here (Debian: apt-get install mariadb-server)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def mariadb_server(folder: Path) -> Iterator[MariaDb]:
    """Start a server whose data live below `folder`; it is stopped on leaving, whatever happens.

    Raises RuntimeError with the server's log when it does not come up.
    """
    require_mariadb()
    folder.mkdir(parents=True)
    signed = certificate(folder)
    signed.chmod(0o644)
    with mariadb.mariadb_server(folder, database=DATABASE, certificate=signed) as server:
        yield server

"""Warehouses whose disk runs full: by a limit on the size of files, or on a small real disk.

Belongs here: making space short and giving it back. Does not belong here: what is loaded.

The limit works for every user: the server inherits it from the process that starts it, and
extending a table beyond it fails as on a full disk. A real full disk (ENOSPC) needs the right to
mount, which root usually has.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestration.warehouse.embedded import SYSTEM_USER, EmbeddedServer
from tests.support.folders import open_folder

# A segment of the write-ahead log is a file of 16 MiB and must fit below the limit.
_SMALLEST_LIMIT = 17 << 20


def start_limited(server: EmbeddedServer, file_bytes: int) -> None:
    """Start a stopped server none of whose files may grow beyond `file_bytes`."""
    assert file_bytes >= _SMALLEST_LIMIT, "the server could not write its log"
    assert not server.is_running(), "the limit is inherited at start"
    process = multiprocessing.get_context("fork").Process(
        target=_start_below, args=(server, file_bytes)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0, "the limited server did not start"


def _start_below(server: EmbeddedServer, file_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    server.start()


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """A file system of its own with this much room, owned by the server's user.

    Skips the test where mounting is not allowed.
    """
    with open_folder("disk") as outer:
        place = outer / "disk"
        place.mkdir()
        yield from _mounted(place, mebibytes)


def _mounted(place: Path, mebibytes: int) -> Iterator[Path]:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        if os.geteuid() == 0:
            shutil.chown(place, SYSTEM_USER)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def database_on(server: EmbeddedServer, place: Path, name: str) -> Iterator[str]:
    """URL of an empty database whose tables lie in `place`; dropped on leaving."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create tablespace {} location {}").format(
                sql.Identifier(name), sql.Literal(str(place))
            )
        )
        connection.execute(
            sql.SQL("create database {0} tablespace {0}").format(sql.Identifier(name))
        )
    try:
        yield server.url(name)
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("drop tablespace {}").format(sql.Identifier(name)))

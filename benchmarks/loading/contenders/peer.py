"""Peers: programs of others, each in a virtual environment of its own.

Belongs here: installing them on demand at the versions of `peers.txt`, and what they all share.
Does not belong here: how any of them is told to load.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.loading.contenders.base import Command, write_job
from benchmarks.loading.model import BenchmarkError, Scenario
from benchmarks.loading.servers import Postgres

_PINNED = Path(__file__).parents[1] / "peers.txt"
_PROGRAMS = Path(__file__).parents[1] / "programs"
_INSTALL_TIMEOUT_S = 900
TARGET_SCHEMA = "destino"
DATABASE_PATHS = frozenset({"mariadb", "postgresql"})


class Peer:
    """A contender installed from the package index. Targets are tables of schema `destino`."""

    name: ClassVar[str]
    template = "template1"
    paths: ClassVar[frozenset[str]]

    def __init__(self, folder: Path) -> None:
        self._venv = folder / self.name

    @property
    def remembers(self) -> bool:
        return "merge" in self.paths

    @property
    def python(self) -> str:
        return str(self._venv / "bin" / "python")

    def install(self) -> None:
        """Make the virtual environment unless the pinned versions stand there already.

        Raises BenchmarkError with the installer's last line.
        """
        wanted = pinned()[self.name]
        stamp = self._venv / "instalado.txt"
        if stamp.exists() and stamp.read_text() == "\n".join(wanted):
            return
        _call([sys.executable, "-m", "venv", "--clear", str(self._venv)])
        _call([self.python, "-m", "pip", "install", "--quiet", *wanted])
        stamp.write_text("\n".join(wanted))

    def versions(self) -> dict[str, str]:
        """The pinned versions, which are the installed ones."""
        pairs = (item.split("==") for item in pinned()[self.name])
        return {name.split("[")[0]: version for name, version in pairs}

    def takes(self, scenario: Scenario) -> bool:
        return scenario.path in self.paths

    def set_up(self, scenario: Scenario, postgres: Postgres, database: str) -> None:
        with postgres.connect(database) as connection:
            connection.execute("create schema if not exists destino")

    def landed(self, scenario: Scenario) -> list[tuple[str, str]]:
        return [(TARGET_SCHEMA, table) for table in scenario.tables]

    def _program(
        self, scenario: Scenario, target_url: str, folder: Path, env: Mapping[str, str]
    ) -> Command:
        """The peer's program, `programs/<name>_load.py`, on a job."""
        job = write_job(scenario, target_url, folder)
        return Command([self.python, str(_PROGRAMS / f"{self.name}_load.py"), job], env)


def pinned() -> dict[str, list[str]]:
    """Requirements by contender, as `peers.txt` lists them."""
    found: dict[str, list[str]] = {}
    section = ""
    for text in _PINNED.read_text(encoding="utf-8").splitlines():
        entry = text.strip()
        if entry.startswith("["):
            section = entry.strip("[]")
            found[section] = []
        elif entry and not entry.startswith("#"):
            found[section].append(entry)
    return found


def _call(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"no se pudo instalar: superó {_INSTALL_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise BenchmarkError(f"no se pudo instalar: {lines[-1] if lines else 'sin mensaje'}")

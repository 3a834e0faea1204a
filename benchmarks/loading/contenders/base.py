"""What the runner asks of a contender.

Belongs here: the protocol, and what several contenders share. Does not belong here: any contender.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.loading.model import Scenario
from benchmarks.loading.servers import Postgres


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run; `env` is added to a bare environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Contender(Protocol):
    """One way to load. A fresh target database, a copy of `template`, is made for every run."""

    @property
    def name(self) -> str: ...

    @property
    def template(self) -> str:
        """Name of the database every target is a copy of."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether it knows what it loaded before, so that a second load brings nothing twice."""
        ...

    def install(self) -> None:
        """Make it ready to run. Raises BenchmarkError when it cannot be."""
        ...

    def versions(self) -> dict[str, str]: ...

    def takes(self, scenario: Scenario) -> bool:
        """Whether it can load this at all."""
        ...

    def set_up(self, scenario: Scenario, postgres: Postgres, database: str) -> None:
        """What must stand in the target before the measured process begins."""
        ...

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        """The process to measure; `folder` is its own, and empty or as the load before left it."""
        ...

    def landed(self, scenario: Scenario) -> list[tuple[str, str]]:
        """Tables (schema, name) its rows are in; none when it loads nothing."""
        ...


def bare_environment(folder: Path) -> dict[str, str]:
    """What every contender gets: no settings of the person who runs the benchmark."""
    names = ("PATH", "LD_LIBRARY_PATH", "PIP_INDEX_URL", "SSL_CERT_FILE")
    env = {name: os.environ[name] for name in names if name in os.environ}
    return env | {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}


def write_job(scenario: Scenario, target_url: str, folder: Path, **more: Any) -> str:
    """The job as a file for a contender's program; returns its path."""
    file = folder / "job.json"
    file.write_text(json.dumps(scenario.job(target_url) | {"folder": str(folder)} | more))
    return str(file)

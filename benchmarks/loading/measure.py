"""One run of one command: seconds, exit code, largest process, and what it told at its end.

Belongs here: running a whole process and watching it from outside. Does not belong here: which
command, or what became of the rows.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.loading.model import ROOT

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished command. `peak_mib`: resident memory of its largest process. `told`: the JSON of
    its last line, when there is one. `error`: the last line of what it printed, when it failed."""

    seconds: float
    peak_mib: float
    told: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def run(
    command: Sequence[str], *, env: Mapping[str, str], timeout_s: float, cwd: Path = ROOT
) -> Run:
    """Run `command` to its end, or end it and all it started after `timeout_s`."""
    with tempfile.TemporaryDirectory() as folder:
        result, output = Path(folder, "result"), Path(folder, "output")
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(result), str(output), *command],
            env=dict(env), cwd=cwd, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return Run(timeout_s, 0.0, error=f"no terminó en {timeout_s:.0f} s")
        finally:
            # Nothing of the group may outlive the run, nor Ctrl+C.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        text = output.read_text(errors="replace")
        if not result.exists():
            return Run(0.0, 0.0, error=_last_line(text) or "no se pudo iniciar")
        seconds, code, kib = result.read_text().split()
    told = _told(text)
    error = None if code == "0" else (_last_line(text) or f"terminó con código {code}")
    return Run(float(seconds), int(kib) / 1024, told, error)


def _told(text: str) -> dict[str, Any]:
    with suppress(ValueError):
        value = json.loads(_last_line(text))
        if isinstance(value, dict):
            return value
    return {}


def _last_line(text: str) -> str:
    lines = (_COLOURS.sub("", line).strip() for line in reversed(text.splitlines()))
    return next((line for line in lines if line), "")

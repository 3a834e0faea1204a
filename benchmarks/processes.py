"""Running a command and watching it: seconds, and the memory of its largest process.

Belongs here: what every benchmark needs to measure whole processes from outside. Does not belong
here: what is measured.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_LAST_LOOK_S = 5.0
_TURN_S = 1.0
_PATIENCE_S = 5.0  # of a command that was asked to end; some ignore it
_INTERVAL_S = 0.2  # looking more often takes a tenth of a core from what is measured


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished command. `peak_mib` is the resident memory of its largest process, the
    warehouse's server processes included; `largest` names that process."""

    seconds: float
    exit_code: int
    peak_mib: float
    largest: str
    output: str


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside, SIGTERM ends the program as Ctrl+C does: servers and folders of its own with it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def measure(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, server_folder: Path | None = None
) -> Measured:
    """Run `command` to its end. `server_folder`: an embedded server's folder to watch as well."""
    peaks: dict[str, float] = {}
    done = threading.Event()
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=dict(env), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # A daemon: an interruption before it is joined must not keep this process alive.
    watcher = threading.Thread(
        target=_watch, args=(process.pid, server_folder, peaks, done), daemon=True
    )
    try:
        watcher.start()
        output = _output_of(process)
        seconds = time.monotonic() - began
    finally:
        # An interrupted measurement leaves neither its command nor its watcher behind.
        done.set()
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_S)
            process.kill()
            process.wait()
        # A thread that is alive while the interpreter ends may hold what that waits for.
        if watcher.ident is not None:
            watcher.join(_LAST_LOOK_S)
    largest = max(peaks, key=lambda name: peaks[name], default="")
    return Measured(seconds, process.returncode, peaks.get(largest, 0.0), largest, output)


def _output_of(process: subprocess.Popen[str]) -> str:
    """All it says until it ends. In turns: an interruption that comes between two instructions and
    just before a blocking read would only be noticed when the command ends."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_TURN_S)[0]


def _watch(
    pid: int, server_folder: Path | None, peaks: dict[str, float], done: threading.Event
) -> None:
    while not done.wait(_INTERVAL_S):
        for process in _family(pid) + _server(server_folder):
            with suppress(psutil.Error):
                resident = process.memory_info().rss / 2**20
                name = process.name()
                peaks[name] = max(peaks.get(name, 0.0), resident)


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _server(folder: Path | None) -> list[psutil.Process]:
    if folder is None:
        return []
    location = folder / "location"
    place = Path(location.read_text().strip()) if location.exists() else folder
    with suppress(OSError, ValueError, IndexError):
        return _family(int((place / "pgdata" / "postmaster.pid").read_text().splitlines()[0]))
    return []

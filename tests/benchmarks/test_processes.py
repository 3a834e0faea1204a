"""Watching a command: what is interrupted leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import sigterm_interrupts

ROOT = Path(__file__).parents[2]
_MEASURE = """
import os, signal
from pathlib import Path
from benchmarks.processes import measure
# As in a terminal: who is started in the background by a script ignores Ctrl+C, children included.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Some commands ignore that they are asked to end.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("listo", flush=True)
measure(["sleep", "300"], env=dict(os.environ), cwd=Path("/"))
"""


def test_asked_to_end_a_benchmark_takes_its_servers_and_folders_with_it() -> None:
    """SIGTERM, which by itself ends Python on the spot: its server went on for ever."""
    before, left = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            left.append("taken away")
    assert left == ["taken away"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_measurement_ends_at_once_with_its_command() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURE], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "listo\n"
        while not (children := psutil.Process(process.pid).children()):
            time.sleep(0.05)
        time.sleep(0.5)  # it waits for its command by now
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert not any(child.is_running() for child in children)
    finally:
        process.kill()

"""Ending a server that this process started.

Belongs here: that, for servers a developer or a test starts. Does not belong here: starting any.
"""

from __future__ import annotations

import subprocess
from typing import Any


def end(process: subprocess.Popen[Any], patience_s: float) -> None:
    """Ask it to end, and make it after `patience_s` seconds; on return it is gone."""
    process.terminate()
    try:
        process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

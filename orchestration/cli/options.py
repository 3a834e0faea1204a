"""What commands share: values of options, ports to serve on, and answers for programs.

Belongs here: checking an option or a port, printing JSON. Does not belong here: any command, or
words for people (`orchestration/wording.py`).
"""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import typer

from sources.errors import PipelineError


def one_of(option: str, value: str | None, allowed: Sequence[str]) -> None:
    """Refuse a value that an option does not take. Raises typer.BadParameter."""
    if value is not None and value not in allowed:
        raise typer.BadParameter(f"{option} es {', '.join(allowed)}; no {value!r}.")


def refuse_taken_port(port: int, how: str) -> None:
    """Say before anything is started that a port of this machine is in use.

    `how` names what sets another one. Raises PipelineError.
    """
    with socket.socket() as probe:
        # As servers do: one that ended a moment ago does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PipelineError(
                f"el puerto {port} de esta máquina está ocupado, quizá por la misma orden en otra "
                "terminal.",
                next_step=f"ciérrela, o elija otro con {how}.",
            ) from None


def print_json(document: Any) -> None:
    """The document on standard output: days and moments as ISO 8601, decimals as numbers."""
    print(json.dumps(document, ensure_ascii=False, indent=2, default=_json_value))


def _json_value(value: object) -> str | float:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.date) else str(value)

"""What commands share: values of options, and answers for programs.

Belongs here: checking an option, printing JSON. Does not belong here: any command, or words for
people (`orchestration/wording.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import typer


def one_of(option: str, value: str | None, allowed: Sequence[str]) -> None:
    """Refuse a value that an option does not take. Raises typer.BadParameter."""
    if value is not None and value not in allowed:
        raise typer.BadParameter(f"{option} es {', '.join(allowed)}; no {value!r}.")


def print_json(document: Any) -> None:
    """The document on standard output: days and moments as ISO 8601, decimals as numbers."""
    print(json.dumps(document, ensure_ascii=False, indent=2, default=_json_value))


def _json_value(value: object) -> str | float:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, dt.date) else str(value)

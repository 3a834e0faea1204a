"""Paths into nested records: `object.volumen_l`, `rxInfo[0].rssi`.

Belongs here: finding a value in a decoded JSON document, and the paths a document has. Does not
belong here: decoding, and what a value means.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

Step = str | int
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def parse_path(text: str) -> tuple[Step, ...]:
    """`'rxInfo[0].rssi'` -> `('rxInfo', 0, 'rssi')`."""
    return tuple(
        int(match[2]) if match[2] is not None else match[1] for match in _STEP.finditer(text)
    )


def value_at(record: Any, path: tuple[Step, ...]) -> Any:
    """The value at a path; None when the document does not go that far."""
    for step in path:
        if isinstance(record, dict):
            record = record.get(step)
        elif isinstance(record, list) and isinstance(step, int) and step < len(record):
            record = record[step]
        else:
            return None
    return record


def has_path(record: Any, path: tuple[Step, ...]) -> bool:
    """Whether the document has a place for this path, be it null or below a null."""
    for step in path:
        if record is None:
            return True
        if isinstance(record, dict) and step in record:
            record = record[step]
        elif isinstance(record, list) and isinstance(step, int):
            record = record[step] if step < len(record) else None
        else:
            return False
    return True


def leaf_paths(record: Any, wanted: Collection[str] = (), prefix: str = "") -> Iterator[str]:
    """The paths of a document's values; of a list only its first element is looked into.

    Paths in `wanted` are leaves even when something lies below them.
    """
    if prefix and prefix in wanted:
        yield prefix
    elif isinstance(record, dict) and record:
        for name, value in record.items():
            yield from leaf_paths(value, wanted, f"{prefix}.{name}" if prefix else name)
    elif isinstance(record, list) and record and isinstance(record[0], dict | list):
        yield from leaf_paths(record[0], wanted, f"{prefix}[0]")
    elif prefix:
        yield prefix

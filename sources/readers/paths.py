"""Paths into nested records: `object.volumen_l`, `rxInfo[0].rssi`, `tags['barrio.nombre']`.

Belongs here: finding a value in a decoded JSON document, and the paths a document has. Does not
belong here: decoding, and what a value means.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

Step = str | int
_STEP = re.compile(r"\['((?:[^']|'')*)'\]|\[(\d+)\]|([^.\[\]]+)")
# In a name of its own, these would be read as steps.
_SIGNS = re.compile(r"[.\[\]]|^$")


def parse_path(text: str) -> tuple[Step, ...]:
    """`'rxInfo[0].rssi'` -> `('rxInfo', 0, 'rssi')`; `"tags['a.b']"` -> `('tags', 'a.b')`."""
    return tuple(_step(match) for match in _STEP.finditer(text))


def _step(match: re.Match[str]) -> Step:
    if match[2] is not None:
        return int(match[2])
    return match[3] if match[1] is None else match[1].replace("''", "'")


def _joined(prefix: str, name: str) -> str:
    """The path of a member: its name, in brackets and quotes where it holds signs of a path."""
    if _SIGNS.search(name):
        quoted = name.replace("'", "''")
        return f"{prefix}['{quoted}']"
    return f"{prefix}.{name}" if prefix else name


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


def _leads_on(prefix: str, wanted: Collection[str]) -> bool:
    return any(path.startswith((f"{prefix}.", f"{prefix}[")) for path in wanted)


def leaf_paths(record: Any, wanted: Collection[str] = (), prefix: str = "") -> Iterator[str]:
    """The paths of a document's values; of a list only its first element is looked into.

    Paths in `wanted` are leaves even when something lies below them. What is null, or empty, where
    one of them leads further is the absence of those, and no value of its own.
    """
    if prefix and prefix in wanted:
        yield prefix
    elif prefix and record in (None, {}, []) and _leads_on(prefix, wanted):
        return
    elif isinstance(record, dict) and record:
        for name, value in record.items():
            yield from leaf_paths(value, wanted, _joined(prefix, name))
    elif isinstance(record, list) and record and isinstance(record[0], dict | list):
        yield from leaf_paths(record[0], wanted, f"{prefix}[0]")
    elif prefix:
        yield prefix

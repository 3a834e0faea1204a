"""Which columns of which marts somebody outside the warehouse sees.

Belongs here: putting portal datasets and direct readers together, column by column. Does not belong
here: whether they may leave now (`gate.py`).
"""

from __future__ import annotations

import functools

from exports.definition import load_definitions
from orchestration.dbt_project import relations
from orchestration.deliveries import deliveries


@functools.lru_cache(maxsize=1)
def leaving_columns() -> dict[str, frozenset[str]]:
    """Columns that a portal dataset publishes or a direct reader sees, by '<schema>.<relation>'.

    Of what is read directly, every column is seen.
    """
    found: dict[str, set[str]] = {}
    for definition in load_definitions().definitions.values():
        for mart, columns in definition.columns_by_mart.items():
            found.setdefault(mart, set()).update(columns)
    for item in deliveries().values():
        for relation in item.marts:
            found.setdefault(relation, set()).update(relations()[relation]["columns"])
    return {relation: frozenset(columns) for relation, columns in found.items()}


def leaving_texts(relation: str) -> list[str]:
    """Those of a relation that hold text."""
    declared = (relations().get(relation) or {}).get("columns") or {}
    return sorted(
        name
        for name in leaving_columns().get(relation, ())
        if str(declared.get(name, {}).get("data_type")) == "text"
    )

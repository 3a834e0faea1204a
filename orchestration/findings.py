"""When findings are brought up to date, and what the dbt project says of its own tables.

Belongs here: the step that every run takes after its checks. Does not belong here: the life cycle
itself (`expectations/findings/`), or the commands (`cli/findings.py`).
"""

from __future__ import annotations

from expectations.findings import Change, Project, synchronise
from orchestration.dbt_project import data_test_names, relations
from orchestration.warehouse.connection import Warehouse

# Owners of marts that the city has still to confirm carry this mark; the area is the same.
_UNCONFIRMED = " (a confirmar)"


def project_facts() -> Project:
    """Data tests and the area of every relation, from dbt's manifest."""
    areas = {}
    for name, node in relations().items():
        owner = (node["config"].get("meta") or {}).get("owner")
        if owner:
            areas[name] = str(owner).removesuffix(_UNCONFIRMED)
    return Project(data_test_names(), areas)


def update_findings(warehouse: Warehouse, run_id: str) -> Change:
    """Open, refresh and close findings by what the run found. Raises what psycopg raises."""
    with warehouse.connect() as connection:
        return synchronise(connection, run_id, project_facts())

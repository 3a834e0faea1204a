"""What follows the checks of every run: findings brought up to date, scores and corrections kept.

Belongs here: the step that every run takes after its checks. Does not belong here: the work itself
(`expectations/`), or the commands (`cli/`).
"""

from __future__ import annotations

from expectations.corrections import record_corrections
from expectations.findings import Change, Project, synchronise
from expectations.scores import record_scores
from orchestration.dbt_project import data_test_names, relations
from orchestration.settings import CITY_TIMEZONE
from orchestration.warehouse.connection import Warehouse
from orchestration.wording import area_of


def project_facts() -> Project:
    """Data tests and the area of every relation, from dbt's manifest."""
    areas = {}
    for name, node in relations().items():
        owner = (node["config"].get("meta") or {}).get("owner")
        if owner:
            areas[name] = area_of(str(owner))
    return Project(data_test_names(), areas)


def update_findings(warehouse: Warehouse, run_id: str) -> Change:
    """Update findings by what the run found; keep what it measured and corrected.

    Raises what psycopg raises.
    """
    with warehouse.connect() as connection:
        change = synchronise(connection, run_id, project_facts())
        record_scores(connection, CITY_TIMEZONE.key)
        record_corrections(connection)
    return change

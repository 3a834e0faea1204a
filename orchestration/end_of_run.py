"""What follows every run, whoever started it: the command line in its own process, or a sensor.

Belongs here: the order of the steps. Does not belong here: the steps themselves.
"""

from __future__ import annotations

from dagster import DagsterInstance

from orchestration.assets.controls import write_quality_index
from orchestration.deliveries import Outcome, deliver
from orchestration.findings import update_findings
from orchestration.standing_verdicts import repeat_standing_verdicts
from orchestration.warehouse.connection import Warehouse


def end_run(warehouse: Warehouse, instance: DagsterInstance, run_id: str) -> list[Outcome]:
    """Bring findings and scores up to date; deliver to direct readers what passed; show verdicts
    that stand, in Dagster and on the page of all of them. What was delivered or withheld.

    Every step may be done again without harm: a sensor that failed tries all of them anew. Raises
    what psycopg raises when the warehouse does not answer.
    """
    # The checks of the marts come after the models: what they say is known only now.
    update_findings(warehouse, run_id)
    delivered = deliver(warehouse, run_id)
    repeat_standing_verdicts(warehouse, instance, run_id)
    write_quality_index(warehouse)
    return delivered

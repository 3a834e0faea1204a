"""Which runs of the command line are alive, and closing those that were killed.

Belongs here: the lock that says so, and that closing. Does not belong here: runs that Dagster
launched, which its own monitoring watches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sources.raw_table import Connection

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

# On runs of the command line, which do by themselves what sensors do for the others.
ORIGIN_TAG, COMMAND_LINE = "lujan/origen", "lujan run"


def of_command_line(run: DagsterRun) -> bool:
    """Whether the run is one of the command line, and not one that Dagster launched after it.

    "Re-execute" on such a run's page gives the new one all tags of the old.
    """
    return run.tags.get(ORIGIN_TAG) == COMMAND_LINE and run.parent_run_id is None


def hold(connection: Connection, run_id: str) -> bool:
    """Take the lock that says a run is alive; whether it was free.

    The server keeps it as long as the connection: whatever ends the process lets it go.
    """
    row = connection.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))", [f"corrida {run_id}"]
    ).fetchone()
    return row == (True,)


def close_dead_runs(instance: DagsterInstance, connection: Connection) -> list[str]:
    """Close command-line runs that were killed; their ids.

    They say nothing, and Dagster takes them for running: it would start no other run beside them.
    """
    from dagster import DagsterRunStatus, RunsFilter

    unfinished = RunsFilter(
        tags={ORIGIN_TAG: COMMAND_LINE},
        statuses=[
            DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED,
            DagsterRunStatus.CANCELING,
        ],
    )  # fmt: skip
    dead = [
        run
        for run in instance.get_runs(filters=unfinished)
        if of_command_line(run) and hold(connection, run.run_id)
    ]
    for run in dead:
        instance.report_run_failed(run, "El proceso de la corrida terminó sin avisar.")
    return [run.run_id for run in dead]

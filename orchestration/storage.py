"""Dagster's own storage in PostgreSQL, over connections that are kept, asking once what stays.

Belongs here: how that storage connects. Does not belong here: where it is (`instance.py`), or
anything of ours that is stored.

dagster-postgres opens a connection for every event it stores or reads, thousands in a run, and
keeps one only in the webserver, which asks for it. Opening them was half of a run without news.
Before most events it also asks the catalogue whether tables and columns of its own are there.

No event waits for the disk: what a server that loses its power forgets are the last words about a
run that went down with it. What loads and checks commit waits, and takes the events before it
along: the server writes all commits in one order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import create_engine, event

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

_KEPT = 2
_MAX_OVERFLOW = 20  # threads of the daemon, for a moment


class PooledPostgresStorage(DagsterPostgresStorage):
    """DagsterPostgresStorage with a pool; named in `dagster.yaml`, made by Dagster."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> DagsterPostgresStorage:
        """What Dagster's own class makes of its configuration, with one pool for its three parts.

        A connection is tried before it is used: one that was cut while a step worked for an hour
        must not cost the run. Dagster's engines are replaced where it keeps them, in `_engine`:
        `optimize_for_webserver` makes a pool that does not try.
        """
        made = super().from_config_value(inst_data, config_value)
        engine = create_engine(
            made.postgres_url, isolation_level="AUTOCOMMIT", pool_size=_KEPT,
            max_overflow=_MAX_OVERFLOW, pool_pre_ping=True,
        )  # fmt: skip
        event.listen(engine, "connect", _do_not_wait_for_the_disk)
        for storage in (made.run_storage, made.event_log_storage, made.schedule_storage):
            storage._engine = engine  # type: ignore[union-attr]
        events: Any = made.event_log_storage
        for question in ("has_table", "has_asset_key_col"):
            setattr(events, question, _until_yes(getattr(events, question)))
        return made


def _do_not_wait_for_the_disk(connection: Any, _record: Any) -> None:
    # Committed: what is not would go when the connection is given back.
    with connection.cursor() as cursor:
        cursor.execute("set synchronous_commit = off")
    connection.commit()


def _until_yes(ask: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same question, not asked again about what was there: Dagster only adds to its tables."""
    there: set[str] = set()

    def answer(name: str) -> bool:
        if name not in there and ask(name):
            there.add(name)
        return name in there

    return answer

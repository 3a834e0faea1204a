"""What became of every export, as `meta.publicacion` tells it.

Belongs here: writing that record, what follows from its past, and the turns by which two processes
never write it of one dataset at once. Does not belong here: approvals (`approvals.py`), versions on
a portal (`versions.py`), or deciding what becomes of an export (`export.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from exports.definition import DatasetDefinition
from exports.files import Connection, ExportedFile

State = Literal["exportada", "sin_cambios", "retenida", "publicada", "pendiente_aprobacion"]
# Moment of an export and its files, as recorded.
History = list[tuple[dt.datetime, list[dict[str, Any]]]]


@contextmanager
def dataset_turn(connection: Connection, name: str) -> Iterator[None]:
    """One export or change at the portal of a dataset at a time, on whatever machine it runs."""
    key = f"exports:{name}"
    with connection.transaction():
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (key,))
    try:
        yield
    finally:
        # A lost connection has already given the lock back.
        if not connection.closed:
            with connection.transaction():
                connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def record_export(
    connection: Connection,
    definition: DatasetDefinition,
    run_id: str,
    state: State,
    *,
    reason: str = "",
    now: dt.datetime | None = None,
    build_id: int | None = None,
    rows: int | None = None,
    archives: Sequence[Mapping[str, Any]] = (),
    destination: str | None = None,
) -> None:
    """Record what became of an export, and when: `now`, or by the database's clock."""
    with connection.transaction():
        connection.execute(
            "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256, "
            "construccion_id, filas, archivos, destino, motivo, fin) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, clock_timestamp()))",
            (
                run_id,
                definition.nombre,
                state,
                definition.sha256,
                build_id,
                rows,
                Jsonb(list(archives)),
                destination,
                reason or None,
                now,
            ),
        )


def history(connection: Connection, name: str, *, last_only: bool = False) -> History:
    """Moment and files of the exports that changed something, oldest first."""
    query = (
        "select fin, archivos from meta.publicacion where conjunto = %s "
        "and estado in ('exportada', 'publicada') order by publicacion_id desc limit %s"
    )
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(query, (name, 1 if last_only else None)).fetchall()
    return found[::-1]


def last_good(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Files of the dataset's last good export; empty when it was never exported."""
    past = history(connection, name, last_only=True)
    return past[-1][1] if past else []


def last_changes(
    past: History, folder: str, files: Sequence[ExportedFile], moment: dt.datetime
) -> dict[str, dt.datetime]:
    """When the bytes of every file last changed; `moment` for those that change now."""
    changes: dict[str, dt.datetime] = {}
    for item in files:
        since = moment
        for then, archives in reversed(past):
            if hashes(archives).get(f"{folder}/{item.path}") != item.sha256:
                break
            since = then
        changes[item.path] = since
    return changes


def hashes(archives: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Hash of every recorded file, by its path."""
    return {item["path"]: item["sha256"] for item in archives}


def clock(connection: Connection) -> dt.datetime:
    """The database's clock: the one all records go by."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute("select clock_timestamp()").fetchone()
    moment: dt.datetime = row[0]
    return moment

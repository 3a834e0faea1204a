"""Letting a withheld dataset pass by hand: who, why, what exactly, until when.

Belongs here: recording, finding and revoking such decisions. Does not belong here: what is red
(`gate.py`) or exporting. A release covers the verdicts it was given for and nothing else: once a
check says something else, or the data are newer, the gate is shut again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from orchestration.gate import Obstacle
from sources.errors import PipelineError
from sources.raw_table import Connection

DEFAULT_DAYS = 7
LONGEST_DAYS = 90


class ReleaseError(PipelineError):
    """A release that cannot be given or taken back as asked."""


@dataclass(frozen=True, slots=True)
class Release:
    """One decision of a person. `revoked_at` is None while it was not taken back."""

    id: int
    dataset: str
    by: str
    reason: str
    scope: tuple[tuple[str, str, str], ...]  # relation, control, fingerprint of the verdict
    created_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    revoked_by: str | None

    def covers(self, found: Sequence[Obstacle]) -> bool:
        """Whether every obstacle is one of the very verdicts it was given for."""
        return all((o.relation, o.control, o.fingerprint) in self.scope for o in found)


def release(
    connection: Connection,
    dataset: str,
    found: Sequence[Obstacle],
    *,
    by: str,
    reason: str,
    days: int = DEFAULT_DAYS,
) -> Release:
    """Let `dataset` leave past the obstacles `found`, for `days`.

    Raises ReleaseError without a name or a reason, when nothing withholds it, or when what does
    is no verdict: a mart that was not built or not checked has nothing to be let through.
    """
    if not by.strip() or not reason.strip():
        raise ReleaseError(
            "la liberación necesita el nombre de quien decide y el motivo.",
            dataset=dataset,
            next_step="repita la orden con --by y --reason.",
        )
    if not 1 <= days <= LONGEST_DAYS:
        raise ReleaseError(
            f"una liberación dura de 1 a {LONGEST_DAYS} días, no {days}.",
            dataset=dataset,
            next_step="elija otro plazo con --days.",
        )
    if not found:
        raise ReleaseError(
            f"{dataset} no está retenido: no hay nada que liberar.",
            dataset=dataset,
            next_step="vea qué está retenido con `lujan gate list`.",
        )
    if unfit := [item for item in found if item.fingerprint is None]:
        raise ReleaseError(
            f"{unfit[0]}: no hay un veredicto que se pueda pasar por alto.",
            dataset=dataset,
            next_step="corrija la causa y vuelva a ejecutar; sigue a la vista la última versión "
            "buena.",
        )
    scope = [
        {"objeto": o.relation, "control": o.control, "huella": o.fingerprint,
         "explicacion": o.explanation}
        for o in found
    ]  # fmt: skip
    row = connection.execute(
        "insert into meta.liberacion (conjunto, alcance, por, motivo, vence_en) "
        "values (%s, %s, %s, %s, now() + make_interval(days => %s)) returning liberacion_id",
        [dataset, Jsonb(scope), by.strip(), reason.strip(), days],
    ).fetchone()
    assert row is not None
    return _releases(connection, "liberacion_id = %s", [row[0]])[0]


def covering(connection: Connection, dataset: str, found: Sequence[Obstacle]) -> Release | None:
    """The newest release in force that covers everything in `found`; None when none does."""
    if not found:
        return None
    in_force = _releases(
        connection, "conjunto = %s and revocada_en is null and vence_en > now()", [dataset]
    )
    return next((item for item in in_force if item.covers(found)), None)


def revoke(connection: Connection, dataset: str, *, by: str, reason: str) -> list[Release]:
    """Take back every release of `dataset` that is in force; those taken back.

    What already left stays where it is until the next version; nothing more leaves. Raises
    ReleaseError without a name or a reason, or when there is nothing to take back.
    """
    if not by.strip() or not reason.strip():
        raise ReleaseError(
            "para revocar hacen falta el nombre de quien decide y el motivo.",
            dataset=dataset,
            next_step="repita la orden con --by y --reason.",
        )
    ids = [
        row[0]
        for row in connection.execute(
            "update meta.liberacion set revocada_en = now(), revocada_por = %s, "
            "revocada_motivo = %s where conjunto = %s and revocada_en is null "
            "and vence_en > now() returning liberacion_id",
            [by.strip(), reason.strip(), dataset],
        ).fetchall()
    ]
    if not ids:
        raise ReleaseError(
            f"{dataset} no tiene liberaciones vigentes.",
            dataset=dataset,
            next_step="vea las que hay con `lujan gate list --all`.",
        )
    return _releases(connection, "liberacion_id = any(%s)", [ids])


def history(connection: Connection, dataset: str | None = None) -> list[Release]:
    """Every release ever given, newest first."""
    return _releases(connection, "%s::text is null or conjunto = %s", [dataset, dataset])


def _releases(
    connection: Connection, where: LiteralString, parameters: Sequence[Any]
) -> list[Release]:
    """`where` is one of the conditions written in this module."""
    rows = connection.execute(
        sql.SQL(
            "select liberacion_id, conjunto, por, motivo, alcance, creada_en, vence_en, "
            "revocada_en, revocada_por from meta.liberacion where ({}) "
            "order by liberacion_id desc"
        ).format(sql.SQL(where)),
        parameters,
    ).fetchall()
    return [
        Release(
            id=row[0], dataset=row[1], by=row[2], reason=row[3],
            scope=tuple((s["objeto"], s["control"], s["huella"]) for s in row[4]),
            created_at=row[5], expires_at=row[6], revoked_at=row[7], revoked_by=row[8],
        )
        for row in rows
    ]  # fmt: skip

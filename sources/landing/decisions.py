"""What people see of quarantine, and what they decide about its rows.

Belongs here: counts and rows for whoever looks after a dataset, discarding rows and undoing it.
Does not belong here: keeping rows out (`quarantine.py`), bringing them back (`replay.py`), or any
printing.

A row that is discarded is kept, with who decided it, when and why; the decisions themselves are
never changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from sources.contract import Contract
from sources.raw_table import Connection

STATES = ("pendiente", "reprocesada", "reemplazada", "descartada")
HIDDEN = "•••"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one dataset, rule and state."""

    dataset: str
    rule: str
    description: str | None
    state: str
    rows: int
    since: dt.datetime
    last_seen: dt.datetime
    owner: str | None


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One row for a person to look at. `values` has HIDDEN where they may not be shown."""

    fila_id: int
    place: str
    rule: str
    reason: str
    state: str
    days: int
    next_step: str
    values: Mapping[str, str | None]


def summary(
    connection: Connection,
    *,
    dataset: str | None = None,
    state: str | None = None,
    rule: str | None = None,
) -> list[Group]:
    """Rows in quarantine by dataset, rule and state, the largest group first."""
    return [
        Group(*row)
        for row in connection.execute(
            "select dataset, regla, descripcion, estado, filas, primera_vez, ultima_vez, "
            "responsable from quarantine.resumen "
            "where (%(dataset)s::text is null or dataset = %(dataset)s) "
            "and (%(state)s::text is null or estado = %(state)s) "
            "and (%(rule)s::text is null or regla = %(rule)s) order by filas desc, 1, 2, 4",
            {"dataset": dataset, "state": state, "rule": rule},
        )
    ]


def rows_of(
    connection: Connection,
    dataset: str,
    contract: Contract | None,
    *,
    state: str | None = "pendiente",
    rule: str | None = None,
    limit: int = 20,
    full: bool = False,
) -> list[QuarantinedRow]:
    """The oldest rows of a dataset.

    Only columns that its contract classifies as `libre_acceso` are shown, unless `full`; without a
    contract, none.
    """
    shown = (
        {c.name for c in contract.columns if c.classification == "libre_acceso"}
        if contract
        else set()
    )
    found = connection.execute(
        "select fila_id, coalesce(archivo || ':', '') || coalesce(numero_fila::text, '?'), regla, "
        "motivo, estado, dias, siguiente_paso, fila from quarantine.detalle "
        "where dataset = %(dataset)s and (%(state)s::text is null or estado = %(state)s) "
        "and (%(rule)s::text is null or regla = %(rule)s) order by fila_id limit %(limit)s",
        {"dataset": dataset, "state": state, "rule": rule, "limit": limit},
    )
    return [
        QuarantinedRow(
            fila_id, place, row_rule, reason, row_state, days, next_step,
            {
                name: value if full or value is None or name in shown else HIDDEN
                for name, value in values.items()
            },
        )
        for fila_id, place, row_rule, reason, row_state, days, next_step, values in found
    ]  # fmt: skip


def known_datasets(connection: Connection) -> list[str]:
    """Every dataset there is a contract or a row in quarantine for."""
    return [
        str(row[0])
        for row in connection.execute(
            "select dataset from meta.contrato union select dataset from quarantine.fila order by 1"
        )
    ]


def discard(
    connection: Connection,
    dataset: str,
    *,
    by: str,
    reason: str,
    ids: Sequence[int] = (),
    rule: str | None = None,
) -> int:
    """Mark pending rows as not needed, chosen by `ids` or by `rule`; how many. They are kept."""
    return _decide(connection, dataset, "descartar", by, reason, ids, rule)


def undo(
    connection: Connection,
    dataset: str,
    *,
    by: str,
    reason: str,
    ids: Sequence[int] = (),
    rule: str | None = None,
) -> int:
    """Make discarded rows pending again; how many."""
    return _decide(connection, dataset, "deshacer", by, reason, ids, rule)


_EFFECTS: Mapping[str, tuple[str, LiteralString]] = {
    "descartar": (
        "pendiente",
        "estado = 'descartada', resuelta_en = now(), resolucion = 'descartada'",
    ),
    "deshacer": ("descartada", "estado = 'pendiente', resuelta_en = null, resolucion = null"),
}


def _decide(
    connection: Connection,
    dataset: str,
    action: str,
    by: str,
    reason: str,
    ids: Sequence[int],
    rule: str | None,
) -> int:
    if bool(ids) == (rule is not None):
        raise ValueError("rows are chosen either by ids or by rule")
    before, effect = _EFFECTS[action]
    chosen = [
        row[0]
        for row in connection.execute(
            "select fila_id from quarantine.fila where dataset = %(dataset)s "
            "and estado = %(before)s and (%(rule)s::text is null or regla = %(rule)s) "
            "and (%(rule)s::text is not null or fila_id = any(%(ids)s::bigint[])) "
            "order by fila_id for update",
            {"dataset": dataset, "before": before, "rule": rule, "ids": list(ids)},
        )
    ]
    if not chosen:
        return 0
    decided = connection.execute(
        "insert into quarantine.decision (dataset, accion, fila_ids, regla, por, motivo) "
        "values (%s, %s, %s, %s, %s, %s) returning decision_id",
        [dataset, action, chosen, rule, by.strip(), reason.strip()],
    ).fetchone()
    assert decided is not None
    return connection.execute(
        sql.SQL("update quarantine.fila set decision_id = %s, {} where fila_id = any(%s)").format(
            sql.SQL(effect)
        ),
        [decided[0], chosen],
    ).rowcount

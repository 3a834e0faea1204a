"""What people decide about water alerts: informed, resolved, discarded, reopened.

Belongs here: finding alerts and moving them between states. Does not belong here: what is an alert
(dbt models of `agua`), or words and layout (`cli/alerts.py`). The database writes the history
(`agua.alerta_historia`); alerts inform, so there is neither a charge nor a sanction to decide.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from sources.errors import PipelineError
from sources.raw_table import Connection

STATES = ("nueva", "informada", "resuelta", "descartada")
OPEN = ("nueva", "informada")
KINDS = (
    "flujo_continuo", "rotura", "exceso", "medidor_trabado", "flujo_inverso", "desbalance_zona",
)  # fmt: skip
_SHORTEST_PREFIX = 6
_COLUMNS = sql.SQL(
    "alerta_id, clase, regla_id, medidor_id, cuenta_id, zona_id, desde, hasta, sigue_abierta, "
    "litros_estimados, importe_estimado, explicacion, que_hacer, estado, decidido_por, motivo, "
    "vista_en, cambiada_en"
)


class AlertError(PipelineError):
    """An alert that does not exist, or a decision that its state does not admit."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of agua.alerta_agua."""

    alerta_id: str
    clase: str
    regla_id: str
    medidor_id: str | None
    cuenta_id: int | None
    zona_id: int | None
    desde: dt.datetime
    hasta: dt.datetime
    sigue_abierta: bool
    litros_estimados: int | None
    importe_estimado: Decimal | None
    explicacion: str
    que_hacer: str
    estado: str
    decidido_por: str
    motivo: str | None
    vista_en: dt.datetime
    cambiada_en: dt.datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of agua.alerta_historia. `estado_anterior` is None for the first one."""

    estado_anterior: str | None
    estado: str
    decidido_por: str
    motivo: str | None
    cambiada_en: dt.datetime


def find(
    connection: Connection,
    *,
    states: tuple[str, ...] = OPEN,
    kind: str | None = None,
    zone: int | None = None,
    account: int | None = None,
) -> list[Alert]:
    """Alerts in any of `states`, the newest first. Raises AlertError before the first run."""
    conditions = [sql.SQL("estado = any({})").format(list(states))]
    for column, value in (("clase", kind), ("zona_id", zone), ("cuenta_id", account)):
        if value is not None:
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), value))
    query = sql.SQL("select {} from agua.alerta_agua where {} order by desde desc, alerta_id")
    try:
        with connection.transaction(), connection.cursor(row_factory=class_row(Alert)) as cursor:
            return cursor.execute(
                query.format(_COLUMNS, sql.SQL(" and ").join(conditions))
            ).fetchall()
    except psycopg.errors.UndefinedTable as error:
        raise AlertError(
            "los avisos de agua no se construyeron todavía.", next_step="ejecute `lujan run`."
        ) from error


def history(connection: Connection, alert: str) -> list[Decision]:
    """Every state an alert was in, the oldest first."""
    with connection.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(
            "select estado_anterior, estado, decidido_por, motivo, cambiada_en "
            "from agua.alerta_historia where alerta_id = %s order by historia_id",
            [alert],
        ).fetchall()


def identify(connection: Connection, start: str) -> str:
    """The whole identifier of the one alert whose identifier begins with `start`.

    Raises AlertError when none does, when several do, or when `start` is too short to mean one.
    """
    listing = "vea los identificadores con `lujan alerts list`."
    if len(start) < _SHORTEST_PREFIX:
        raise AlertError(
            f"{start!r} es muy corto: escriba al menos {_SHORTEST_PREFIX} caracteres.",
            next_step=listing,
        )
    rows = connection.execute(
        "select alerta_id from agua.alerta_registro where starts_with(alerta_id, %s) limit 2",
        [start],
    ).fetchall()
    if not rows:
        raise AlertError(f"no hay ningún aviso {start!r}.", next_step=listing)
    if len(rows) > 1:
        raise AlertError(
            f"hay más de un aviso que empieza con {start!r}.", next_step="escriba más caracteres."
        )
    return str(rows[0][0])


def move(connection: Connection, start: str, state: str, *, by: str, reason: str) -> str:
    """Bring the alert that begins with `start` to `state`; returns its identifier.

    Raises AlertError for an unknown alert or a move that its state does not admit (the rule is the
    database's, agua.alerta_transicion), and without a name or a reason. The row is locked: of two
    people who decide at once the second is told.
    """
    if not by.strip() or not reason.strip():
        raise AlertError("falta quién decide, o por qué.", next_step="use --by y --reason.")
    alert = identify(connection, start)
    try:
        with connection.transaction():
            connection.execute(
                "select agua.cambiar_estado_alerta(%s, %s, %s, %s)", [alert, state, by, reason]
            )
    except psycopg.errors.InvalidParameterValue as error:
        told = error.diag.message_primary or str(error)
        raise AlertError(
            told[0].lower() + told[1:], next_step=_advice(error.diag.message_hint)
        ) from error
    return alert


def _advice(hint: str | None) -> str:
    if not hint:
        return "vea el aviso con `lujan alerts show`."
    only_reopening = hint.endswith("puede pasar a: nueva.")
    return f"{hint} Se reabre con `lujan alerts reopen`." if only_reopening else hint

"""What becomes of an error: a source's is a failed load record, the warehouse's is raised in words.

Belongs here: that turn, and nothing else. One load must not stop the others; when the warehouse
itself fails, no other would fare better. What the warehouse refuses of one table (a row too wide,
a column's name that it keeps for itself) is that table's failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from sources.contract import Contract
from sources.errors import (
    DriftError,
    LoadRefused,
    PipelineError,
    SourceDataError,
    WarehouseUnavailable,
)
from sources.landing.drift import note_missing
from sources.landing.records import record_outcome
from sources.landing.report import LoadContext, LoadReport
from sources.urls import redact

_CONNECTION_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)
_AGAIN = "vuelva a ejecutar; si se repite, avise al equipo de datos."
# By the server's error code, whole or its class: what happened, and what to do.
_TROUBLES = {
    "53100": (
        "el almacén se quedó sin espacio en disco.",
        "libere espacio en el disco del servidor del almacén, o amplíelo, y vuelva a ejecutar.",
    ),
    "53300": ("el almacén no admite más conexiones.", f"cierre las que sobren y {_AGAIN}"),
    "25006": (
        "el almacén está en modo de solo lectura.",
        "compruebe que WAREHOUSE_URL apunte al servidor principal y no a una copia.",
    ),
    "42501": (
        "el usuario del almacén no tiene permiso para escribir.",
        "dele permiso sobre los esquemas raw, quarantine y meta, o use el usuario que los creó.",
    ),
    "08": (  # no connection, or it was lost
        "se cortó la conexión con el almacén.",
        "compruebe que el servidor del almacén esté encendido y que haya red, y vuelva a ejecutar.",
    ),
    "40": ("otra sesión trabó la carga en el almacén.", _AGAIN),
    "55": ("otra sesión tiene ocupada la tabla en el almacén.", _AGAIN),
    "57014": ("el almacén canceló la carga.", _AGAIN),
    "53": ("el almacén se quedó sin memoria u otro recurso.", _AGAIN),
}
_TROUBLES["57P"] = _TROUBLES["08"]  # the server was shut down
_REVISE = "corrija el origen o el contrato y vuelva a ejecutar."
# What the server refuses of one table, whatever the state of the warehouse, by code or class.
_REFUSALS = {
    "54011": (
        "tiene más columnas de las que admite una tabla de PostgreSQL (1600).",
        "quite del contrato las que no hacen falta (`ignoredColumns`) y vuelva a ejecutar.",
    ),
    "54": (
        "una fila o una clave no entra en una tabla de PostgreSQL: son demasiados valores o "
        "demasiado largos.",
        "declare menos columnas, o una clave más corta, y vuelva a ejecutar.",
    ),
    "42701": (
        "el contrato nombra una columna que PostgreSQL usa para sí (ctid, xmin, xmax, cmin, cmax, "
        "tableoid), o dos veces la misma.",
        "dele otro `name` en el contrato; el del origen queda en `physicalName`.",
    ),
    "42702": (
        "el nombre de una columna se confunde con uno que la carga usa para sí.",
        "dele otro `name` en el contrato; el del origen queda en `physicalName`.",
    ),
    "22": ("el almacén no admite alguno de sus valores.", _REVISE),
    "23": ("una fila no cumple una regla que alguien puso en la tabla del almacén.", _REVISE),
}


def guarded(
    contract: Contract, context: LoadContext, origin: str, action: Callable[[], LoadReport]
) -> LoadReport:
    """Run one load; what a source did wrong becomes a failed load record and a report."""
    started = context.clock()
    try:
        return action()
    except PipelineError as error:
        error.dataset = error.dataset or contract.id
        error.owner = error.owner or contract.owner
        failure = error
    except psycopg.Error as error:
        refusal = refusal_of(contract, error)
        if refusal is None:
            raise  # the warehouse itself: no other table would fare better
        refusal.__cause__ = error
        failure = refusal
    except Exception as error:  # a reader met what nobody foresaw: the other datasets go on
        failure = SourceDataError(
            f"no se pudo leer {redact(origin)}: {redact(str(error) or type(error).__name__)}.",
            dataset=contract.id,
            owner=contract.owner,
            next_step="revise el origen; la tabla conserva sus últimos datos buenos.",
        )
        failure.__cause__ = error
    report = LoadReport(contract.id, "fallida", errors=[failure])
    if isinstance(failure, DriftError):
        report.drift = note_missing(contract, context, failure, origin)
    record_outcome(contract, context, report, started, origin)
    return report


def refusal_of(contract: Contract, error: psycopg.Error) -> LoadRefused | None:
    """The failure of this table alone; None where the error says nothing of it.

    The server's text is left out, and the code is told: the text may quote values of rows.
    """
    code = error.sqlstate or ""
    known = _REFUSALS.get(code) or _REFUSALS.get(code[:2])
    if known is None:
        return None
    what, next_step = known
    return LoadRefused(
        f"{what[:-1]} (código {code}). No se cargó nada y la tabla conserva sus últimos datos "
        "buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step=next_step,
    )


@contextmanager
def warehouse_errors_in_words(contract: Contract) -> Iterator[None]:
    """Turns what the warehouse's driver raises into WarehouseUnavailable."""
    try:
        yield
    except psycopg.Error as error:
        what, next_step = _explained(error)
        raise WarehouseUnavailable(
            f"{what} No quedó nada a medias.",
            dataset=contract.id,
            owner=contract.owner,
            next_step=next_step,
        ) from error


def trouble(code: str) -> tuple[str, str] | None:
    """What happened to the warehouse and what to do, by the server's code or that of its class."""
    for length in (5, 3, 2):
        if found := _TROUBLES.get(code[:length]):
            return found
    return None


def _explained(error: psycopg.Error) -> tuple[str, str]:
    """The server's text is left out: it may quote values of rows."""
    code = error.sqlstate or ("08" if isinstance(error, _CONNECTION_ERRORS) else "")
    # A file that may not grow for another reason than a full disk comes without that code.
    if "disk space" in (error.diag.message_hint or ""):
        code = "53100"
    if (known := trouble(code)) is not None:
        return known
    name = type(error).__name__
    return f"el almacén rechazó la carga ({name} {code}).".replace(" )", ")"), _AGAIN

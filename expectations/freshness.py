"""Is a dataset as recent as its contract promises? One verdict per dataset and run.

Belongs here: the rule and its reading of the load records. Does not belong here: surprising
intervals between arrivals (`monitors.py`), which need no promise.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import psycopg

from expectations.results import CheckResult
from sources.contract import Contract
from sources.wording import counted, number

# The same as `tolerancia_frecuencia` of the dbt project, on which KPI R30 rests.
TOLERANCE = 1.2
# Two machines that keep their clocks differ by seconds.
_CLOCKS_DIFFER = "1 hour"


def check(
    connection: psycopg.Connection[Any], contract: Contract, now: dt.datetime | None = None
) -> CheckResult:
    """Whether the last update is within the declared frequency times the tolerance.

    A table was updated when it was last read without error, changed or not, once it had brought
    rows; a feed of files when the last file with rows came. Without a frequency, or before any row
    came, nothing can be said: `paso` is None. Nor is anything said by a load whose time is yet to
    come, which a clock that was wrong has left.
    """
    row = connection.execute(
        "select max(fin) filter (where fin <= momento + %s::interval), "
        "extract(epoch from %s::interval), max(momento), "
        "coalesce(bool_or(filas_leidas > 0), false), coalesce(max(fin) > max(momento), false) "
        "from (select case when modo in ('full', 'incremental', 'append', 'files') then fin end "
        "as fin, filas_leidas, coalesce(%s::timestamptz, now()) as momento "
        "from meta.carga where dataset = %s and estado in ('cargada', 'sin_cambios') "
        "and (not %s or filas_leidas > 0)) as cargas",
        [_CLOCKS_DIFFER, contract.frequency, now, contract.id, contract.load_mode == "files"],
    ).fetchone()
    assert row is not None
    last, seconds, moment, has_rows, ahead = row
    if contract.frequency is None:
        return _result(contract, None, "El contrato no declara cada cuánto se actualiza.")
    if last is None and ahead:
        return _result(
            contract, None, "Su última carga figura con una hora que todavía no llegó: el reloj "
            "estuvo adelantado. Se sabrá con la próxima carga.",
        )  # fmt: skip
    if last is None:
        return _result(contract, None, "Todavía no se cargó nunca.")
    if not has_rows:
        return _result(contract, None, "Todavía no trajo ninguna fila.")
    age = (moment - last).total_seconds() / 86400
    allowed = float(seconds) / 86400 * TOLERANCE
    words = (
        f"Última actualización: hace {_days(age)}; se actualiza cada "
        f"{_days(float(seconds) / 86400)} (se toleran {number(allowed, 2)})."
    )
    return _result(contract, age <= allowed, words)


def _days(days: float) -> str:
    return counted(days, "día", "días", 2)


def _result(contract: Contract, passed: bool | None, words: str) -> CheckResult:
    return CheckResult(
        control=f"frescura.{contract.id}",
        motor="frescura",
        objeto=contract.raw_name,
        dimension="actualidad",
        regla="frecuencia declarada",
        severidad=contract.freshness_severity,
        paso=passed,
        explicacion=words,
        responsable=contract.accountable,
        dataset=contract.id,
    )

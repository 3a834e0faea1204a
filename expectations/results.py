"""What a check found, whatever engine ran it, and how it reaches `meta.resultado_control`.

Belongs here: the one shape every room reports checks in, adding it up over batches, writing it.
Does not belong here: running checks, or deciding what a failure withholds (`orchestration/`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sources.contract import Severity

if TYPE_CHECKING:
    import psycopg

Engine = Literal[
    "pandera",
    "protocolo",
    "contrato",
    "frescura",
    "monitor",
    "dbt",
    "great_expectations",
    "conciliacion",
    "construccion",
]
DIMENSIONS = (
    "completitud",
    "unicidad",
    "validez",
    "consistencia",
    "exactitud",
    "actualidad",
)
# Enough for a person to find the rows; the rest are counted.
SAMPLE_SIZE = 10

# A key of a failing row: column names and values, or {'numero_fila': 12}.
RowKey = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One row of `meta.resultado_control`, before it has a run.

    `paso` is None when the check could not be evaluated: unknown, neither good nor bad.
    `muestra` holds keys of failing rows, never personal values. `control` is the stable name under
    which successive verdicts on one `objeto` are compared. `filas_*` speak of the rows that
    `objeto` holds now; a rule on rows says in `lote_*` what it found in the rows of this run.
    `dataset` is the contract it speaks of, None for a model.
    """

    control: str
    motor: Engine
    objeto: str
    regla: str
    severidad: Severity
    paso: bool | None
    explicacion: str
    columna: str | None = None
    dimension: str | None = None
    filas_evaluadas: int | None = None
    filas_fallidas: int | None = None
    muestra: tuple[RowKey, ...] = ()
    responsable: str | None = None
    dataset: str | None = None
    lote_evaluadas: int | None = None
    lote_fallidas: int | None = None

    def __post_init__(self) -> None:
        if self.dimension is not None and self.dimension not in DIMENSIONS:
            raise ValueError(f"dimensión de calidad desconocida: {self.dimension!r}")


def merge(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Add up the verdicts on the same check over batches or files, keeping first-seen order.

    Counts are added, samples joined up to `SAMPLE_SIZE`; one failure makes the whole fail, and
    something that could not be evaluated makes the whole unknown unless another part failed.
    """
    merged: dict[tuple[str, str], CheckResult] = {}
    for result in results:
        name = (result.objeto, result.control)
        merged[name] = _add(merged[name], result) if name in merged else result
    return list(merged.values())


def record(connection: psycopg.Connection[Any], run_id: str, results: Sequence[CheckResult]) -> int:
    """Insert `results` under `run_id`; the caller owns the transaction. Returns the rows written.

    Raises whatever psycopg raises: a verdict that cannot be stored must not be lost quietly.
    """
    if not results:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, [_row(run_id, result) for result in results])
    return len(results)


_INSERT = """
insert into meta.resultado_control (
    corrida_id, control, motor, objeto, columna, dimension, regla, severidad, paso,
    filas_evaluadas, filas_fallidas, muestra, explicacion, responsable, dataset,
    lote_evaluadas, lote_fallidas
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def _row(run_id: str, result: CheckResult) -> tuple[Any, ...]:
    return (
        run_id,
        result.control,
        result.motor,
        result.objeto,
        result.columna,
        result.dimension,
        result.regla,
        result.severidad,
        result.paso,
        result.filas_evaluadas,
        result.filas_fallidas,
        json.dumps([dict(key) for key in result.muestra], default=str, ensure_ascii=False),
        result.explicacion,
        result.responsable,
        result.dataset,
        result.lote_evaluadas,
        result.lote_fallidas,
    )


def _add(first: CheckResult, second: CheckResult) -> CheckResult:
    speaker = second if first.paso is not False and second.paso is False else first
    return replace(
        first,
        explicacion=speaker.explicacion,
        paso=_both(first.paso, second.paso),
        filas_evaluadas=_sum(first.filas_evaluadas, second.filas_evaluadas),
        filas_fallidas=_sum(first.filas_fallidas, second.filas_fallidas),
        muestra=(*first.muestra, *second.muestra)[:SAMPLE_SIZE],
        lote_evaluadas=_sum(first.lote_evaluadas, second.lote_evaluadas),
        lote_fallidas=_sum(first.lote_fallidas, second.lote_fallidas),
    )


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _sum(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return first if second is None else second
    return first + second

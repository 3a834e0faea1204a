"""The verdict that stands, on the page of a check that had nothing new to look at.

Belongs here: saying it again at the end of a run. Does not belong here: judging anything, or what
a run does.

Dagster plans every check of a run when it starts. One that is then not evaluated, because its mart
was not built again, would be shown as skipped, or as failed where another step failed, and hide
what is known of it. Its last verdict is reported once more, outside the run, with the moment when
it was measured. A check whose step broke off, or whose mart was built and not looked at, is left
as Dagster shows it: nothing stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    MetadataValue,
)

from expectations.results import CheckResult
from orchestration.assets.naming import relation_key
from orchestration.assets.verdicts import cause
from orchestration.warehouse.connection import Warehouse
from orchestration.wording import minute
from sources.raw_table import Connection

# Verdicts of these are many on one check; one of dbt has a check of its own name.
_CHECK_OF = {"great_expectations": "great_expectations", "construccion": "construccion"}
_PLANNED = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
_SETTLED = (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_SKIPPED)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one check, when it was measured and in which run."""

    key: AssetCheckKey
    results: tuple[CheckResult, ...]
    measured: datetime
    run_id: str


def repeat_standing_verdicts(warehouse: Warehouse, instance: DagsterInstance, run_id: str) -> int:
    """Report what stands of the checks that the finished run planned and had no need to evaluate.

    How many were reported. Raises what psycopg raises when the warehouse does not answer.
    """
    waiting = _not_evaluated(instance, run_id)
    if not waiting:
        return 0
    relations = sorted({".".join(key.asset_key.path) for key in waiting})
    with warehouse.connect() as connection:
        found = [item for item in _standing(connection, relations) if item.key in waiting]
    for item in found:
        instance.report_runless_asset_event(_evaluation(item))
    return len(found)


def _not_evaluated(instance: DagsterInstance, run_id: str) -> set[AssetCheckKey]:
    """Checks that were planned and whose steps ended well, or were not needed, without them."""
    planned: dict[AssetCheckKey, str | None] = {}
    evaluated: set[AssetCheckKey] = set()
    settled: set[str | None] = set()
    built: set[AssetKey | None] = set()
    for event in _events(instance, run_id):
        if event.event_type == _PLANNED:
            planned[event.asset_check_planned_data.asset_check_key] = event.step_key
        elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluated.add(event.asset_check_evaluation_data.asset_check_key)
        elif event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            built.add(event.asset_key)
        else:
            settled.add(event.step_key)
    return {
        key
        for key, step in planned.items()
        if key not in evaluated and step in settled and key.asset_key not in built
    }


def _events(instance: DagsterInstance, run_id: str) -> Iterator[DagsterEvent]:
    kinds = {
        _PLANNED,
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_MATERIALIZATION,
        *_SETTLED,
    }
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        if record.event_log_entry.dagster_event is not None:
            yield record.event_log_entry.dagster_event


def _standing(connection: Connection, relations: Collection[str]) -> list[Standing]:
    """The verdicts in force on relations as they are built now, gathered by check."""
    rows = connection.execute(
        "select v.control, v.motor, v.objeto, v.columna, v.dimension, v.regla, v.severidad, "
        "v.paso, v.filas_evaluadas, v.filas_fallidas, v.muestra, v.explicacion, v.responsable, "
        "v.evaluado_en, v.corrida_id "
        "from meta.control_vigente as v "
        "where v.objeto = any(%s) and v.motor in ('dbt', 'great_expectations', 'construccion') "
        # What was said of rows that are no longer there does not stand.
        "and not exists (select from meta.construccion as c where c.objeto = v.objeto "
        "and c.estado = 'ok' and c.fin > v.evaluado_en) "
        # Nor what an expectation said that its suite no longer has.
        "and (v.motor <> 'great_expectations' or v.corrida_id = ("
        "select r.corrida_id from meta.resultado_control as r where r.objeto = v.objeto "
        "and r.motor = v.motor order by r.resultado_id desc limit 1)) "
        "order by v.objeto, v.control",
        [list(relations)],
    ).fetchall()
    gathered: dict[AssetCheckKey, list[tuple[CheckResult, datetime, str]]] = defaultdict(list)
    for row in rows:
        result = CheckResult(
            control=row[0], motor=row[1], objeto=row[2], columna=row[3], dimension=row[4],
            regla=row[5], severidad=row[6], paso=row[7], filas_evaluadas=row[8],
            filas_fallidas=row[9], muestra=tuple(row[10]), explicacion=row[11], responsable=row[12],
        )  # fmt: skip
        name = _CHECK_OF.get(result.motor, result.control)
        key = AssetCheckKey(relation_key(*result.objeto.split(".", 1)), name)
        gathered[key].append((result, row[13], str(row[14])))
    return [
        Standing(
            key,
            tuple(result for result, _, _ in items),
            measured=max(when for _, when, _ in items),
            run_id=items[-1][2],
        )
        for key, items in gathered.items()
    ]


def _evaluation(item: Standing) -> AssetCheckEvaluation:
    failed = [result for result in item.results if result.paso is not True]
    red = any(result.severidad == "bloqueante" for result in failed)
    words = f"{len(failed)} de {len(item.results)} no pasan." if failed else "Pasa."
    return AssetCheckEvaluation(
        asset_key=item.key.asset_key,
        check_name=item.key.name,
        passed=not failed,
        severity=AssetCheckSeverity.ERROR if red else AssetCheckSeverity.WARN,
        description=(
            f"{words} Vale lo evaluado el {minute(item.measured)}: desde entonces no hubo nada "
            "nuevo que evaluar."
        ),
        metadata={
            "evaluado_el": MetadataValue.timestamp(item.measured),
            "evaluado_en_la_corrida": item.run_id,
            **cause(failed),
        },
    )

"""What is asked of raw tables once all are loaded: table rules, freshness, profiles, monitors.

Belongs here: doing so in one step for all datasets, storing the verdicts, and showing them as
asset checks. Does not belong here: any rule (`expectations/`).

One step and not one per table: references need the other tables loaded, and a step costs more than
most of its checks. The checks are declared blocking so that what is made from raw waits for them,
but never end in an error: the gate reads what they stored and withholds what depends, only that.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence

import psycopg
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    multi_asset_check,
)

from expectations.results import CheckResult, Engine, record
from orchestration.assets.naming import raw_key
from orchestration.assets.verdicts import cause
from orchestration.connections import connections
from orchestration.progress import observer
from orchestration.warehouse.connection import locate
from sources.contract import Catalogue, Contract
from sources.raw_table import Connection

CHECKS: dict[str, tuple[Engine, str]] = {
    "tabla": ("contrato", "Repetidos, referencias y demás reglas del contrato sobre la tabla."),
    "frescura": ("frescura", "Se actualizó con la frecuencia que declara el contrato."),
    "monitores": ("monitor", "Volumen, intervalos, faltantes, distribución y columnas habituales."),
}


def raw_checks(catalogue: Catalogue) -> AssetChecksDefinition:
    """One step that judges every raw table of the catalogue after the loads."""
    tables = catalogue.by_landing_table()
    specs = [
        AssetCheckSpec(name, asset=raw_key(table), description=words, blocking=True)
        for table in tables
        for name, (_, words) in CHECKS.items()
    ]

    @multi_asset_check(name="controles_de_raw", specs=specs, can_subset=True)
    def check(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        warehouse = locate()
        selected = {key.asset_key for key in context.selected_asset_check_keys}
        linked = connections()
        with warehouse.connect() as connection:
            for table, contracts in tables.items():
                key = raw_key(table)
                if key not in selected:
                    continue
                found: list[CheckResult] = []
                for contract in contracts:
                    if not linked.reads(contract):
                        continue
                    observer().started("controles", contract.id)
                    found += judge_alone(connection, contract, context.run.run_id)
                for name, (engine, _) in CHECKS.items():
                    mine = [result for result in found if result.motor == engine]
                    yield _verdict(key, name, mine)

    return check


def judge_alone(connection: Connection, contract: Contract, run_id: str) -> list[CheckResult]:
    """`judge`, committed; a dataset that cannot be judged is unknown and stops no other."""
    try:
        found = judge(connection, contract, run_id)
        connection.commit()
    except psycopg.Error as error:
        connection.rollback()
        found = [_not_judged(contract, error)]
        record(connection, run_id, found)
        connection.commit()
    return found


def _not_judged(contract: Contract, error: psycopg.Error) -> CheckResult:
    """PostgreSQL's own words may quote a value of a row: only its code is kept."""
    return CheckResult(
        control=f"monitor.{contract.id}.medicion",
        motor="monitor",
        objeto=contract.raw_name,
        dimension="consistencia",
        regla="medicion",
        severidad=contract.monitor_severity,
        paso=None,
        explicacion=(
            f"No se pudo medir la tabla: PostgreSQL respondió {error.sqlstate or 'un error'} "
            f"({type(error).__name__}). Revise que sus columnas sean las del contrato."
        ),
        responsable=contract.accountable,
        dataset=contract.id,
    )


def judge(connection: Connection, contract: Contract, run_id: str) -> list[CheckResult]:
    """Every verdict on one dataset as it stands, stored under `run_id`; one transaction.

    What did not change since it was last looked at is not measured again.
    """
    from expectations import freshness, monitors, profiles, table_rules

    changed = profiles.changes_since_profile(connection, contract)
    found: list[CheckResult] = []
    if changed or _rules_due(connection, contract):
        found += table_rules.evaluate(connection, contract)
    if changed:
        profiles.take(connection, contract, run_id, changed)
    found.append(freshness.check(connection, contract))
    found += monitors.check(connection, contract)
    record(connection, run_id, found)
    return found


def _rules_due(connection: Connection, contract: Contract) -> bool:
    """Whether rules are new, could not be judged, or speak of other tables that changed."""
    if any(rule.kind == "sql" for rule in contract.table_rules):
        return True  # nobody knows which tables it reads
    names = {f"tabla.{contract.id}.{rule.name}" for rule in contract.table_rules}
    judged = {
        str(row[0]): row[1]
        for row in connection.execute(
            "select control, evaluado_en from meta.control_vigente where objeto = %s "
            "and dataset = %s and motor = 'contrato' and paso is not null",
            [contract.raw_name, contract.id],
        )
    }
    if names - judged.keys():
        return True
    parents = {".".join(r.argument[:2]) for r in contract.table_rules if r.kind == "reference"}
    return bool(parents) and _changed_since(connection, parents, min(judged.values()))


def _changed_since(connection: Connection, datasets: Collection[str], moment: dt.datetime) -> bool:
    """Whether any of the datasets was loaded anew after `moment`, or so little before that the
    load may have been committed after it."""
    row = connection.execute(
        "select exists (select from meta.carga where dataset = any(%s) and estado = 'cargada' "
        "and (filas_cargadas > 0 or filas_eliminadas > 0) and fin > %s - interval '10 minutes')",
        [list(datasets), moment],
    ).fetchone()
    return bool(row and row[0])


def _verdict(key: AssetKey, name: str, results: Sequence[CheckResult]) -> AssetCheckResult:
    failed = [result for result in results if result.paso is False]
    unknown = [result for result in results if result.paso is None]
    words = f"{len(failed)} de {len(results)} controles no pasan"
    words += f", {len(unknown)} todavía no se pueden evaluar." if unknown else "."
    return AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failed,
        severity=AssetCheckSeverity.WARN,
        description=words if results else "Nada que controlar: sin cambios o sin configurar.",
        metadata=cause([*failed, *unknown]),
    )

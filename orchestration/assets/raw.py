"""Raw assets: one per raw table, loaded by `sources`, checked by `expectations`.

Belongs here: handing a contract's load to Dagster and its outcome back as metadata and asset
checks. Does not belong here: how a load works, or what a rule means.

A source that fails does not fail the step: Dagster would skip everything downstream, and the
promise is that the table keeps its last good data while the rest of the run goes on. The failure
shows as a red `carga` check with its cause, and in the run's summary and exit code.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    Field,
    MaterializeResult,
    MetadataValue,
    Noneable,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    asset,
)

from expectations.results import CheckResult
from orchestration.assets.failures import told_to_people
from orchestration.assets.naming import RAW_GROUP, owners, raw_key
from orchestration.assets.verdicts import cause
from orchestration.connections import connections
from orchestration.loading import TableOutcome, load_raw_table
from orchestration.settings import CITY_TIMEZONE
from orchestration.warehouse.connection import KeptConnection, locate, rows_held
from orchestration.wording import day, frequency
from sources.contract import Catalogue, Contract

if TYPE_CHECKING:
    from sources.landing import LoadReport
    from sources.landing.drift import Episode

LOAD_CHECK = "carga"
RECONCILIATION_CHECK = "conciliacion"
CONTRACT_CHECK = "contrato"
PROTOCOL_CHECK = "protocolo"
# What a run may be told about a table divided by months: days whose models are to be made again.
AGAIN_CONFIG = {
    "desde": Field(Noneable(str), is_required=False, description="Primer día, aaaa-mm-dd."),
    "hasta": Field(Noneable(str), is_required=False, description="Último día, incluido."),
}


def raw_assets(catalogue: Catalogue) -> list[AssetsDefinition]:
    """One asset per raw table of the catalogue; several feeds may land in one."""
    return [
        _raw_asset(table, contracts) for table, contracts in catalogue.by_landing_table().items()
    ]


def _raw_asset(table: str, contracts: Sequence[Contract]) -> AssetsDefinition:
    first = contracts[0]
    key = raw_key(table)
    specs = [
        AssetCheckSpec(LOAD_CHECK, asset=key, description="La fuente se leyó y se cargó."),
        AssetCheckSpec(
            RECONCILIATION_CHECK,
            asset=key,
            description="Filas y sumas del origen, lo leído, raw y cuarentena coinciden.",
        ),
        AssetCheckSpec(
            CONTRACT_CHECK, asset=key, description="Cada lote cumple las reglas de su contrato."
        ),
    ]
    if any(contract.has_people for contract in contracts):
        specs.append(
            AssetCheckSpec(
                PROTOCOL_CHECK, asset=key, description="Protocolo de datos desagregados (R17–R20)."
            )
        )

    @asset(
        key=key,
        group_name=RAW_GROUP,
        description=_describe(contracts),
        owners=owners(first.owner),
        kinds={_kind(first), "postgres"},
        metadata={
            "dagster/column_schema": _column_schema(contracts),
            "dagster/table_name": f"raw.{table}",
            "contratos": ", ".join(contract.id for contract in contracts),
            "referente": first.champion or "sin dato",
            "frecuencia": frequency(first.frequency),
            "clasificacion": first.classification,
        },
        tags={"sistema": first.system, "prioridad": first.priority},
        check_specs=specs,
        config_schema=AGAIN_CONFIG if first.partition_by else None,
    )
    @told_to_people
    def load_table(context: AssetExecutionContext) -> Iterator[Any]:
        warehouse = locate()
        wanted = days_again(context.op_execution_context.op_config)
        if wanted is not None:
            from sources.landing.again import ask_again

            with warehouse.connect() as connection:
                number = ask_again(
                    connection, contracts, *wanted, CITY_TIMEZONE, context.run.run_id
                )
            context.log.info(f"Se vuelve a calcular del {wanted[0]} al {wanted[1]} ({number}).")
        with closing(KeptConnection(warehouse)) as kept:
            outcome = load_raw_table(contracts, kept, connections(), context.run.run_id)
            with kept.connect() as connection:
                rows = rows_held(connection, "raw", table).rows
        for replay in outcome.replays:
            if replay.error is not None:
                context.log.error(f"reproceso: {replay.error}")
        for report in outcome.reports:
            for error in report.errors:
                context.log.error(str(error), exc_info=error.__cause__)
        yield MaterializeResult(asset_key=key, metadata=_metadata(outcome, rows))
        yield _load_check(key, outcome)
        yield reconciliation_check(key, outcome, rows)
        yield _rules_check(
            key, CONTRACT_CHECK, [r for r in outcome.results if r.motor == "pandera"]
        )
        if any(contract.has_people for contract in contracts):
            found = [r for r in outcome.results if r.motor == "protocolo"]
            yield _rules_check(key, PROTOCOL_CHECK, found)

    return load_table


def days_again(config: Mapping[str, Any] | None) -> tuple[dt.date, dt.date] | None:
    """The days that a run was asked to work through again; None when it was asked for none.

    Raises RangeError when only one end is given or it is no date.
    """
    from sources.landing.again import RangeError

    first, last = ((config or {}).get(name) for name in AGAIN_CONFIG)
    if not first and not last:
        return None
    try:
        return dt.date.fromisoformat(str(first)), dt.date.fromisoformat(str(last))
    except ValueError as error:
        raise RangeError(
            f"hacen falta `desde` y `hasta` como aaaa-mm-dd, no {first!r} y {last!r}.",
            next_step="corrija la configuración de la corrida.",
        ) from error


def _load_check(key: AssetKey, outcome: TableOutcome) -> AssetCheckResult:
    errors = [str(error) for report in outcome.reports for error in report.errors]
    idle = all(report.state == "sin_configurar" for report in outcome.reports)
    drift = [item for report in outcome.reports for item in report.drift]
    return AssetCheckResult(
        asset_key=key,
        check_name=LOAD_CHECK,
        passed=not errors and not idle,
        severity=AssetCheckSeverity.ERROR if errors else AssetCheckSeverity.WARN,
        description=(
            "\n".join(errors)
            or ("El sistema no está configurado." if idle else "La fuente se leyó y se cargó.")
        ),
        metadata={"deriva": drift} if drift else {},
    )


def reconciliation_check(key: AssetKey, outcome: TableOutcome, rows: int) -> AssetCheckResult:
    """Numbers of the source, of what was read and of what became of it, side by side.

    A load commits only what agrees; here a person sees it, and what could not be compared.
    """
    reports = outcome.reports
    apart = [report.dataset for report in reports if not _agrees(report)]
    loaded = [report for report in reports if report.state in ("cargada", "sin_cambios")]
    if apart:
        words = f"No se conciliaron: {', '.join(apart)}."
    elif not loaded:
        words = "El sistema no está configurado: no hay nada que conciliar."
    else:
        words = "Lo leído es lo que el origen contó, y cada fila está en raw o en cuarentena."
    return AssetCheckResult(
        asset_key=key,
        check_name=RECONCILIATION_CHECK,
        passed=bool(loaded) and not apart,
        severity=AssetCheckSeverity.WARN,
        description=words,
        metadata={
            "leidas": sum(report.read for report in reports),
            "cargadas": sum(report.loaded for report in reports),
            "cuarentena": sum(report.quarantined for report in reports),
            "conocidas": sum(report.known for report in reports),
            "eliminadas": sum(report.deleted for report in reports),
            "filas_en_raw": rows,
            "por_conjunto": MetadataValue.md(_figures_table(reports)),
            "sumas": MetadataValue.md(_sums_table(reports)),
            **cause(result for result in outcome.results if result.motor == "conciliacion"),
        },
    )


def _agrees(report: "LoadReport") -> bool:
    if report.state == "sin_configurar":
        return True
    counted = report.source_count is None or report.source_count == report.read
    kept = report.read == report.loaded + report.quarantined + report.known
    sums = all(pair["origen"] == pair["leido"] for pair in report.checksums.values())
    return not report.errors and counted and kept and sums


def _figures_table(reports: "Sequence[LoadReport]") -> str:
    lines = [
        f"| {r.dataset} | {'sin contar' if r.source_count is None else r.source_count} | "
        f"{r.read} | {r.loaded} | {r.quarantined} | {r.known} | {r.deleted} |"
        for r in reports
    ]
    return "\n".join(
        ["| conjunto | contadas en el origen | leídas | cargadas | cuarentena | conocidas | "
         "eliminadas |", "|---|---|---|---|---|---|---|", *lines]
    )  # fmt: skip


def _sums_table(reports: "Sequence[LoadReport]") -> str:
    lines = [
        f"| {report.dataset} | {column} | {pair['origen']} | {pair['leido']} |"
        for report in reports
        for column, pair in report.checksums.items()
    ]
    if not lines:
        return "Sin columnas numéricas que el origen pueda sumar con exactitud y a bajo costo."
    return "\n".join(
        ["| conjunto | columna | suma en el origen | suma leída |", "|---|---|---|---|", *lines]
    )


def _rules_check(key: AssetKey, name: str, results: Sequence[CheckResult]) -> AssetCheckResult:
    failed = [result for result in results if result.paso is False]
    return AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failed,
        severity=AssetCheckSeverity.WARN,
        description=f"{len(failed)} de {len(results)} reglas con filas que no cumplen.",
        metadata=cause(failed),
    )


def _metadata(outcome: TableOutcome, rows: int) -> dict[str, Any]:
    states = {report.dataset: report.state for report in outcome.reports}
    sums = {
        name: sum(getattr(report, name) for report in outcome.reports)
        for name in ("read", "loaded", "quarantined", "known", "deleted")
    }
    return {
        "dagster/row_count": rows,
        "estado": ", ".join(f"{dataset}: {state}" for dataset, state in states.items()),
        "filas_leidas": sums["read"],
        "filas_cargadas": sums["loaded"],
        "filas_cuarentena": sums["quarantined"],
        "filas_conocidas": sums["known"],
        "filas_eliminadas": sums["deleted"],
        "filas_reprocesadas": sum(replay.loaded for replay in outcome.replays),
        "avisos": MetadataValue.md(_bullets(outcome)),
        "deriva": MetadataValue.md(_drift_table(outcome.drift)),
        "segundos": round(sum(report.seconds for report in outcome.reports), 3),
        "segundos_de_reglas": round(outcome.rules.seconds, 3),
    }


def _bullets(outcome: TableOutcome) -> str:
    notes = [note for report in outcome.reports for note in report.notes]
    return "\n".join(f"- {note}" for note in notes) or "Ninguno."


def _drift_table(drift: "Sequence[Episode]") -> str:
    lines = [
        f"| {found.dataset} | {found.column} | {found.detail} | "
        f"{day(found.since)} | {found.action} | "
        f"{found.owner or 'sin dato'} |"
        for found in drift
    ]
    if not lines:
        return "El origen tiene las columnas del contrato."
    return "\n".join(
        ["| conjunto | columna | diferencia | desde | qué se hizo | responsable |",
         "|---|---|---|---|---|---|", *lines]
    )  # fmt: skip


def _describe(contracts: Sequence[Contract]) -> str:
    lines = [
        f"**{contract.title}** (`{contract.id}`). {contract.description}" for contract in contracts
    ]
    return "\n\n".join(lines)


def _column_schema(contracts: Sequence[Contract]) -> TableSchema:
    columns: dict[str, TableColumn] = {}
    for contract in contracts:
        for column in contract.columns:
            columns.setdefault(
                column.name,
                TableColumn(
                    column.name,
                    column.pg_type,
                    column.description,
                    constraints=TableColumnConstraints(
                        nullable=not column.required, unique=column.unique
                    ),
                    tags={"clasificacion": column.classification},
                ),
            )
    return TableSchema(columns=list(columns.values()))


def _kind(contract: Contract) -> str:
    return {"xlsx": "excel", "jsonl": "json", "postgresql": "postgres"}.get(
        contract.kind, contract.kind
    )

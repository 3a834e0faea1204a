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
from dataclasses import dataclass, field, replace
from functools import partial
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

from expectations.results import CheckResult, merge, record
from orchestration.assets.failures import told_to_people
from orchestration.assets.naming import RAW_GROUP, owners, raw_key
from orchestration.assets.verdicts import cause
from orchestration.checkers import Stopwatch, checkers_for
from orchestration.connections import Connections, connections
from orchestration.progress import observer
from orchestration.settings import CITY_TIMEZONE, settings
from orchestration.warehouse.connection import (
    KeptConnection,
    Warehouse,
    count_rows,
    locate,
    rows_held,
)
from orchestration.wording import day, frequency
from sources.contract import Catalogue, Contract
from sources.wording import number

if TYPE_CHECKING:
    from sources.landing import LoadReport
    from sources.landing.drift import Episode
    from sources.landing.replay import ReplayReport

LOAD_CHECK = "carga"
RECONCILIATION_CHECK = "conciliacion"
CONTRACT_CHECK = "contrato"
PROTOCOL_CHECK = "protocolo"
# What a run may be told about a table divided by months: days whose models are to be made again.
AGAIN_CONFIG = {
    "desde": Field(Noneable(str), is_required=False, description="Primer día, aaaa-mm-dd."),
    "hasta": Field(Noneable(str), is_required=False, description="Último día, incluido."),
}


@dataclass(slots=True)
class TableOutcome:
    """What the loads of one raw table gave, and how many rows it holds now.

    `replays` are what a change of contract brought back from quarantine before the loads; `drift`
    what is open between its sources and their contracts; `rules` how long the rules on rows took.
    """

    reports: "list[LoadReport]"
    results: list[CheckResult]
    rows: int = 0
    replays: "list[ReplayReport]" = field(default_factory=list)
    drift: "list[Episode]" = field(default_factory=list)
    rules: Stopwatch = field(default_factory=Stopwatch)


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
        outcome = load_raw_table(contracts, warehouse, connections(), context.run.run_id)
        for replay in outcome.replays:
            if replay.error is not None:
                context.log.error(f"reproceso: {replay.error}")
        for report in outcome.reports:
            for error in report.errors:
                context.log.error(str(error), exc_info=error.__cause__)
        yield MaterializeResult(asset_key=key, metadata=_metadata(outcome))
        yield _load_check(key, outcome)
        yield reconciliation_check(key, outcome)
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


def load_raw_table(
    contracts: Sequence[Contract], warehouse: Warehouse, linked: Connections, run_id: str
) -> TableOutcome:
    """Load every contract of one raw table and store the verdicts of their checks."""
    from expectations.standing import in_force
    from sources.landing import LoadContext, load
    from sources.landing.drift import open_drift
    from sources.landing.replay import replay_after_contract_change

    outcome = TableOutcome([], [])
    watch = observer()
    with closing(KeptConnection(warehouse)) as kept:
        for contract in contracts:
            watch.started("raw", contract.id)
            context = LoadContext(
                connect=kept.connect,
                run_id=run_id,
                batch_rows=settings().batch_rows,
                progress=lambda rows, name=contract.id: watch.advanced("raw", name, rows),  # type: ignore[misc]
                archive=settings().archive_dir,
            )
            replayed = replay_after_contract_change(
                contract, context, partial(checkers_for, contract)
            )
            if replayed is not None:
                outcome.replays.append(replayed)
            with outcome.rules.running():
                checkers = [outcome.rules.timed(checker) for checker in checkers_for(contract)]
            with linked.open(contract.system) as url:
                report = load(contract, url if contract.is_read else None, context, checkers)
            outcome.reports.append(report)
            if report.read:
                found = [result for checker in checkers for result in checker.results()]
                with kept.connect() as connection, outcome.rules.running():
                    outcome.results += in_force(
                        connection,
                        contract,
                        found,
                        partial(checkers_for, contract),
                        rows_held=partial(count_rows, connection, "raw", contract.landing_table),
                        removed=report.deleted > 0,
                    )
            if report.state != "sin_configurar":
                outcome.results.append(_reconciliation(contract, report))
            for note in report.notes:
                watch.noticed(contract.id, note)
            watch.finished("raw", contract.id, report.state, report.loaded)
        outcome.results = [_as_warning(result) for result in merge(outcome.results)]
        with kept.connect() as connection:
            record(connection, run_id, outcome.results)
            outcome.rows = rows_held(connection, "raw", contracts[0].landing_table).rows
            outcome.drift = [found for c in contracts for found in open_drift(connection, c.id)]
    return outcome


def _as_warning(result: CheckResult) -> CheckResult:
    """On the doorstep a blocking rule keeps the row out; it withholds no publication."""
    return replace(result, severidad="advertencia")


def _reconciliation(contract: Contract, report: "LoadReport") -> CheckResult:
    passed = not report.errors
    return CheckResult(
        control=f"conciliacion:{contract.id}",
        motor="conciliacion",
        objeto=contract.raw_name,
        dimension="completitud",
        regla="leídas = cargadas + cuarentena + conocidas = contadas en el origen",
        severidad="advertencia",
        paso=passed,
        filas_evaluadas=report.read,
        filas_fallidas=0 if passed else None,
        explicacion=(
            f"{number(report.read)} leídas, {number(report.loaded)} cargadas, "
            f"{number(report.quarantined)} en cuarentena, {number(report.known)} ya conocidas"
            f"{_compared(report)}."
            if passed
            else "; ".join(str(error) for error in report.errors)
        ),
        responsable=contract.accountable,
        dataset=contract.id,
    )


def _compared(report: "LoadReport") -> str:
    """What the source said of the same rows, in words; nothing where it said nothing."""
    told = "" if report.source_count is None else f"; el origen contó {number(report.source_count)}"
    columns = ", ".join(report.checksums)
    return told + (f" y coincide la suma de {columns}" if columns else "")


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


def reconciliation_check(key: AssetKey, outcome: TableOutcome) -> AssetCheckResult:
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
            "filas_en_raw": outcome.rows,
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


def _metadata(outcome: TableOutcome) -> dict[str, Any]:
    states = {report.dataset: report.state for report in outcome.reports}
    sums = {
        name: sum(getattr(report, name) for report in outcome.reports)
        for name in ("read", "loaded", "quarantined", "known", "deleted")
    }
    return {
        "dagster/row_count": outcome.rows,
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

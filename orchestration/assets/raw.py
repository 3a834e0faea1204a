"""Raw assets: one per raw table, loaded by `sources`, checked by `expectations`.

Belongs here: handing a contract's load to Dagster and its outcome back as metadata and asset
checks. Does not belong here: how a load works, or what a rule means.

A source that fails does not fail the step: Dagster would skip everything downstream, and the
promise is that the table keeps its last good data while the rest of the run goes on. The failure
shows as a red `carga` check with its cause, and in the run's summary and exit code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    asset,
)

from expectations.results import CheckResult, merge, record
from orchestration.assets.naming import RAW_GROUP, owners, raw_key
from orchestration.connections import Connections, connections
from orchestration.progress import observer
from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse, locate
from sources.contract import Catalogue, Contract

if TYPE_CHECKING:
    from sources.landing import LoadReport

LOAD_CHECK = "carga"
CONTRACT_CHECK = "contrato"
PROTOCOL_CHECK = "protocolo"
_SHOWN_FAILURES = 50


@dataclass(slots=True)
class TableOutcome:
    """What the loads of one raw table gave."""

    reports: "list[LoadReport]"
    results: list[CheckResult]


def raw_assets(catalogue: Catalogue) -> list[AssetsDefinition]:
    """One asset per raw table of the catalogue; several feeds may land in one."""
    return [
        _raw_asset(table, contracts) for table, contracts in catalogue.by_landing_table().items()
    ]


def _raw_asset(table: str, contracts: Sequence[Contract]) -> AssetsDefinition:
    first = contracts[0]
    key = raw_key(table)
    specs = [
        AssetCheckSpec(LOAD_CHECK, asset=key, description="La fuente se leyó y las filas cuadran."),
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
            "contratos": [contract.id for contract in contracts],
            "referente": first.champion or "sin dato",
            "frecuencia": first.frequency or "sin dato",
            "clasificacion": first.classification,
        },
        tags={"sistema": first.system, "prioridad": first.priority},
        check_specs=specs,
        pool=f"raw_{table}",
    )
    def load_table(context: AssetExecutionContext) -> Iterator[Any]:
        warehouse = locate()
        outcome = load_raw_table(contracts, warehouse, connections(), context.run_id)
        for report in outcome.reports:
            for error in report.errors:
                context.log.error(str(error), exc_info=error.__cause__)
        yield MaterializeResult(asset_key=key, metadata=_metadata(table, warehouse, outcome))
        yield _load_check(key, outcome)
        yield _rules_check(
            key, CONTRACT_CHECK, [r for r in outcome.results if r.motor == "pandera"]
        )
        if len(specs) > 2:
            found = [r for r in outcome.results if r.motor == "protocolo"]
            yield _rules_check(key, PROTOCOL_CHECK, found)

    return load_table


def load_raw_table(
    contracts: Sequence[Contract], warehouse: Warehouse, linked: Connections, run_id: str
) -> TableOutcome:
    """Load every contract of one raw table and store the verdicts of their checks."""
    from expectations.contract_schema import BatchChecker
    from expectations.protocol import ProtocolChecker
    from sources.landing import LoadContext, load

    outcome = TableOutcome([], [])
    watch = observer()
    for contract in contracts:
        watch.started("raw", contract.id)
        context = LoadContext(
            connect=warehouse.connect,
            run_id=run_id,
            batch_rows=settings().batch_rows,
            progress=lambda rows, name=contract.id: watch.advanced("raw", name, rows),  # type: ignore[misc]
        )
        checkers: list[Any] = [BatchChecker(contract)]
        if contract.has_people:
            checkers.append(ProtocolChecker(contract))
        with linked.open(contract.system) as url:
            report = load(contract, url, context, checkers)
        outcome.reports.append(report)
        if report.read:
            outcome.results += [result for checker in checkers for result in checker.results()]
        if report.state != "sin_configurar":
            outcome.results.append(_reconciliation(contract, report))
        watch.finished("raw", contract.id, report.state, report.loaded)
    outcome.results = [_as_warning(result) for result in merge(outcome.results)]
    with warehouse.connect() as connection:
        record(connection, run_id, outcome.results)
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
            f"{report.read} leídas, {report.loaded} cargadas, {report.quarantined} en cuarentena, "
            f"{report.known} ya conocidas."
            if passed
            else "; ".join(str(error) for error in report.errors)
        ),
        responsable=contract.responsible or contract.owner,
    )


def _load_check(key: Any, outcome: TableOutcome) -> AssetCheckResult:
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
            or ("El sistema no está configurado." if idle else "Filas conciliadas.")
        ),
        metadata={"deriva": drift} if drift else {},
    )


def _rules_check(key: Any, name: str, results: Sequence[CheckResult]) -> AssetCheckResult:
    failed = [result for result in results if result.paso is False]
    lines = [
        f"| {r.regla} | {r.columna or ''} | {r.filas_fallidas} | {r.filas_evaluadas} | "
        f"{r.explicacion} | {r.responsable or 'sin dato'} |"
        for r in failed[:_SHOWN_FAILURES]
    ]
    table = "\n".join(
        ["| regla | columna | fallan | evaluadas | explicación | responsable |",
         "|---|---|---|---|---|---|", *lines]
    )  # fmt: skip
    return AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failed,
        severity=AssetCheckSeverity.WARN,
        description=f"{len(failed)} de {len(results)} reglas con filas que no cumplen.",
        metadata={"detalle": MetadataValue.md(table)} if failed else {},
    )


def _metadata(table: str, warehouse: Warehouse, outcome: TableOutcome) -> dict[str, Any]:
    states = {report.dataset: report.state for report in outcome.reports}
    sums = {
        name: sum(getattr(report, name) for report in outcome.reports)
        for name in ("read", "loaded", "quarantined", "known", "deleted")
    }
    return {
        "dagster/row_count": warehouse.count("raw", table),
        "estado": ", ".join(f"{dataset}: {state}" for dataset, state in states.items()),
        "filas_leidas": sums["read"],
        "filas_cargadas": sums["loaded"],
        "filas_cuarentena": sums["quarantined"],
        "filas_conocidas": sums["known"],
        "filas_eliminadas": sums["deleted"],
    }


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

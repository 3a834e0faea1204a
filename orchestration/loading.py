"""One raw table loaded: rows brought back, the loads of its contracts, the verdicts of checks.

Belongs here: what a load is for a run, whoever asks for it (Dagster's assets, `lujan load`). Does
not belong here: how a load works (`sources/landing/`), Dagster's metadata (`assets/raw.py`), or
words for the terminal (`cli/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from expectations.results import CheckResult, merge, record
from orchestration.checkers import Stopwatch, checkers_for
from orchestration.connections import Connections
from orchestration.progress import observer
from orchestration.settings import settings
from orchestration.warehouse.connection import KeptConnection, rows_held
from sources.contract import Contract
from sources.raw_table import Connection
from sources.wording import number

if TYPE_CHECKING:
    from sources.landing import LoadReport
    from sources.landing.drift import Episode
    from sources.landing.replay import ReplayReport


@dataclass(slots=True)
class TableOutcome:
    """What the loads of one raw table gave.

    `replays` are what a change of contract brought back from quarantine before the loads; `drift`
    what is open between its sources and their contracts; `rules` how long the rules on rows took.
    """

    reports: list[LoadReport]
    results: list[CheckResult]
    replays: list[ReplayReport] = field(default_factory=list)
    drift: list[Episode] = field(default_factory=list)
    rules: Stopwatch = field(default_factory=Stopwatch)


def load_raw_table(
    contracts: Sequence[Contract], kept: KeptConnection, linked: Connections, run_id: str
) -> TableOutcome:
    """Load every contract of one raw table, on one connection; store what their checks found."""
    from expectations.standing import in_force
    from sources.landing import LoadContext, load
    from sources.landing.drift import open_drift
    from sources.landing.replay import replay_after_contract_change

    outcome = TableOutcome([], [])
    watch = observer()
    for contract in contracts:
        watch.started("raw", contract.id)
        context = LoadContext(
            connect=kept.connect,
            run_id=run_id,
            batch_rows=settings().batch_rows,
            progress=lambda rows, name=contract.id: watch.advanced("raw", name, rows),  # type: ignore[misc]
            archive=settings().archive_dir,
        )
        replayed = replay_after_contract_change(contract, context, partial(checkers_for, contract))
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
                    rows_held=partial(_rows_held, connection, contract),
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
        outcome.drift = [found for c in contracts for found in open_drift(connection, c.id)]
    return outcome


def _rows_held(connection: Connection, contract: Contract) -> int:
    """Not counted where that takes long: a day's load must not read years of readings."""
    return rows_held(connection, "raw", contract.landing_table).rows


def _as_warning(result: CheckResult) -> CheckResult:
    """On the doorstep a blocking rule keeps the row out; it withholds no publication."""
    return replace(result, severidad="advertencia")


def _reconciliation(contract: Contract, report: LoadReport) -> CheckResult:
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


def _compared(report: LoadReport) -> str:
    """What the source said of the same rows, in words; nothing where it said nothing."""
    told = "" if report.source_count is None else f"; el origen contó {number(report.source_count)}"
    columns = ", ".join(report.checksums)
    return told + (f" y coincide la suma de {columns}" if columns else "")

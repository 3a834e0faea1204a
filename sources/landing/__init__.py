"""Landing: what a reader gives goes into `raw` in one transaction, and every row is accounted for.

Belongs here: the load of one contract (or of one file of it), its load record, its quarantine, its
watermark, its drift. Does not belong here: reading (`readers/`), the rules a row must meet (they
are handed in as `Checker`s), correcting values (staging), and any word of Dagster.

Invariants held by construction:
  * rows, quarantine, load record and watermark are written by one transaction;
  * read = loaded + quarantined + already known (also a CHECK on `meta.carga`);
  * memory is bounded by a batch, whatever the size of the table;
  * two loads of one table at the same time wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sources.contract import Contract
from sources.landing.files import load_files
from sources.landing.guard import guarded, warehouse_errors_in_words
from sources.landing.report import Checker, LoadContext, LoadReport, LoadState
from sources.landing.tables import load_table
from sources.urls import SourceUrl

__all__ = ["Checker", "LoadContext", "LoadReport", "LoadState", "load"]


def load(
    contract: Contract, url: SourceUrl | None, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Bring one dataset up to date, and say what happened.

    Never raises for what a source can do wrong: the error is in the report and in `meta.carga`,
    the table keeps its last good data. Raises WarehouseUnavailable for the warehouse's own errors.
    """
    started = context.clock()
    if url is None:
        return LoadReport(contract.id, "sin_configurar")
    if contract.is_live:  # its rows are landed as they come (`messages.py`)
        return LoadReport(contract.id, "sin_cambios")
    with warehouse_errors_in_words(contract):
        if contract.load_mode == "files":
            report = load_files(contract, url, context, checkers)
        else:
            report = guarded(
                contract, context, str(url), lambda: load_table(contract, url, context, checkers)
            )
    report.seconds = (context.clock() - started).total_seconds()
    return report

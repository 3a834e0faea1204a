"""Loads the tables of a job with our loader, as a run does, without Dagster.

Belongs here: the calls that `orchestration/loading.py` makes for a table. Does not belong here:
measuring. Ends with 1 when a load failed or a row was set aside.

    python -m benchmarks.loading.programs.lujan_load JOB
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import orchestration.cli  # noqa: F401  # what a process of `lujan` sets before anything else
from expectations.contract_schema import BatchChecker
from expectations.results import CheckResult, merge, record
from orchestration.warehouse.connection import KeptConnection, Warehouse
from sources.contract_document import load_contract
from sources.landing import LoadContext, LoadReport, load
from sources.urls import SourceUrl

_RUN = "medicion"
# What a contract has imported when it is needed; here before the clock starts, as the rest is.
_DATABASE = "sources.readers.database"
_READERS: dict[str, tuple[str, ...]] = {
    "csv": ("sources.readers.delimited",),
    "parquet": ("sources.readers.parquet",),
    "xlsx": ("sources.readers.spreadsheet", "sources.readers.workbooks.xlsx"),
    "mariadb": (_DATABASE, "sources.readers.engines.mysql_wire", "pymysql"),
}
_OF_POSTGRESQL = (_DATABASE, "sources.readers.engines.postgresql", "psycopg2")


def main() -> int:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    for module in _READERS.get(job["path"], _OF_POSTGRESQL):
        importlib.import_module(module)
    began = time.monotonic()
    warehouse = Warehouse(job["target_url"], embedded=True)
    url = SourceUrl.parse(job["source_url"] or str(Path(job["file"]).parent))
    reports: list[LoadReport] = []
    results: list[CheckResult] = []
    with closing(KeptConnection(warehouse)) as kept:
        for file in job["contracts"]:
            contract = load_contract(Path(file))
            checker = BatchChecker(contract)
            context = LoadContext(connect=kept.connect, run_id=_RUN)
            reports.append(load(contract, url, context, [checker]))
            results += checker.results() if reports[-1].read else []
        with kept.connect() as connection:
            record(connection, _RUN, merge(results))
    inner = time.monotonic() - began
    print(
        json.dumps(
            {
                "inner_seconds": inner,
                "load_seconds": sum(report.seconds for report in reports),
                "read": sum(report.read for report in reports),
                "loaded": sum(report.loaded for report in reports),
            }
        ),
        flush=True,
    )
    problems = [str(error) for report in reports for error in report.errors]
    problems += [
        f"{report.dataset}: {report.quarantined} filas en cuarentena: {dict(report.reasons)}"
        for report in reports
        if report.quarantined
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

"""What the checks of the last run cost, kind by kind, in seconds of that run's time.

    python -m benchmarks.checks          # of the data folder of this environment

Belongs here: adding up what the run itself recorded. Does not belong here: running anything
(`benchmarks/run.py` does, and holds the sum against the whole run).

Where each figure comes from:
  * `doorstep`: the rules on rows, Pandera's import included, as the raw assets' own metadata say;
  * `raw`: table rules, freshness, profiles and monitors: the step that runs them;
  * `dbt`: the seconds of every dbt test, over the threads that ran side by side;
  * `great_expectations`: the steps of the suites, the library's import in the first of them, and
    from the first to the last page of Data Docs written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.assets.controls import CHECK_NAME
from orchestration.settings import DBT_PROJECT_DIR, settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

_RAW_STEP = "controles_de_raw"
_RULES = "segundos_de_reglas"


def main() -> int:
    """One JSON object; 1 when there is no run to speak of."""
    from dagster import DagsterInstance

    from orchestration.instance import prepare_instance
    from orchestration.warehouse.connection import locate

    prepare_instance(locate())
    with DagsterInstance.get() as instance:
        found = instance.get_run_records(limit=1)
        if not found:
            print("no hay ninguna corrida", file=sys.stderr)
            return 1
        print(json.dumps(seconds(instance, found[0].dagster_run.run_id)))
    return 0


def seconds(instance: DagsterInstance, run_id: str) -> dict[str, float]:
    """Seconds by kind of check in one run, rounded to hundredths."""
    steps = {
        stats.step_key: (stats.end_time or 0.0) - (stats.start_time or 0.0)
        for stats in instance.get_run_step_stats(run_id)
    }
    suites = sum(taken for step, taken in steps.items() if step.endswith(CHECK_NAME))
    parts = {
        "doorstep": _doorstep(instance, run_id),
        "raw": steps.get(_RAW_STEP, 0.0),
        "dbt": _dbt_tests(DBT_PROJECT_DIR / "target" / "run_results.json"),
        "great_expectations": suites + _writing(settings().quality_docs_dir),
    }
    return {name: round(value, 2) for name, value in parts.items()}


def _doorstep(instance: DagsterInstance, run_id: str) -> float:
    from dagster import DagsterEventType

    total = 0.0
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    for record in records.records:
        made = record.asset_materialization
        if made is not None and _RULES in made.metadata:
            total += float(str(made.metadata[_RULES].value))
    return total


def _dbt_tests(path: Path) -> float:
    if not path.exists():
        return 0.0
    results: Mapping[str, Any] = json.loads(path.read_bytes())
    tests = [r for r in results["results"] if r["unique_id"].startswith("test.")]
    threads = {str(r["thread_id"]) for r in tests}
    return sum(float(r["execution_time"]) for r in tests) / max(len(threads), 1)


def _writing(folder: Path) -> float:
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(times) - min(times) if times else 0.0


if __name__ == "__main__":
    sys.exit(main())

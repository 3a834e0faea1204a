"""What checks cost is added up from what the run itself recorded, each kind from its place."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    asset,
    asset_check,
    multi_asset_check,
)

from benchmarks import checks
from orchestration.checkers import Stopwatch


@asset
def zonas() -> MaterializeResult[None]:
    time.sleep(1.5)
    return MaterializeResult(metadata={"segundos_de_reglas": 1.25})


@asset_check(asset=zonas, name="great_expectations")
def suite() -> AssetCheckResult:
    time.sleep(0.2)
    return AssetCheckResult(passed=True)


@multi_asset_check(name="controles_de_raw", specs=[AssetCheckSpec("tabla", asset="zonas")])
def raw_checks() -> AssetCheckResult:
    time.sleep(0.1)
    return AssetCheckResult(passed=True)


def test_each_kind_of_check_is_counted_from_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = [
        {"unique_id": f"test.{n}", "execution_time": 1.0, "thread_id": f"Thread-{n % 2}"}
        for n in range(6)
    ]
    model = {"unique_id": "model.x", "execution_time": 50.0, "thread_id": "Thread-3"}
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text(json.dumps({"results": [*tests, model]}))
    pages = tmp_path / "calidad"
    pages.mkdir()
    for number in range(2):
        (pages / f"{number}.html").write_text("x")
        os.utime(pages / f"{number}.html", (1000 + number, 1000 + number))
    monkeypatch.setattr(checks, "DBT_PROJECT_DIR", tmp_path)
    monkeypatch.setattr(checks, "settings", lambda: SimpleNamespace(quality_docs_dir=pages))
    job = Definitions(
        assets=[zonas], asset_checks=[suite, raw_checks]
    ).resolve_implicit_global_asset_job_def()

    with DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance)
        found = checks.seconds(instance, done.run_id)

    assert found["doorstep"] == 1.25
    assert found["dbt"] == 3.0, "six seconds of tests on two threads"
    assert 0.1 <= found["raw"] < 1.5, "not the load, which is no check"
    assert 1.2 <= found["great_expectations"] < 2.5, "the step and a second of pages"


def test_only_what_the_rules_take_of_a_load_is_counted() -> None:
    watch = Stopwatch()
    time.sleep(1)
    with pytest.raises(ValueError), watch.running():
        time.sleep(0.02)
        raise ValueError
    assert 0.02 <= watch.seconds < 1

"""The dbt project as a whole: derived sources, unit tests, and models on empty raw tables."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from orchestration.dbt_project import dbt_executable
from orchestration.dbt_sources import out_of_date
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse.connection import Warehouse
from sources.contract import load_catalogue
from sources.raw_table import ensure_raw_table


def test_source_files_say_what_the_contracts_say() -> None:
    assert out_of_date(load_catalogue()) == [], "run `lujan contracts sync`"


def test_every_model_builds_and_every_unit_test_passes_on_empty_raw_tables(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        for contract in load_catalogue().contracts.values():
            ensure_raw_table(connection, contract)

    done = subprocess.run(
        [dbt_executable(), "build", "--project-dir", str(DBT_PROJECT_DIR),
         "--profiles-dir", str(DBT_PROJECT_DIR), "--target-path", str(tmp_path / "target"),
         "--log-path", str(tmp_path), "--no-use-colors"],
        env=os.environ | warehouse.environment(), cwd=DBT_PROJECT_DIR,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:]
    last = done.stdout.strip().splitlines()[-1]
    assert " WARN=0 " in last and " ERROR=0 " in last and " SKIP=0 " in last, last


def test_no_model_reads_a_table_by_name_and_none_selects_everything_past_staging() -> None:
    for path in sorted((DBT_PROJECT_DIR / "models").rglob("*.sql")):
        text = path.read_text(encoding="utf-8").lower()
        assert "from raw." not in text and "from staging." not in text, path
        if "staging" not in path.parts:
            assert "select *" not in text, path


def test_every_column_of_every_mart_is_described_and_classified() -> None:
    for path in sorted((DBT_PROJECT_DIR / "models" / "marts").rglob("_*__models.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            for column in model["columns"]:
                name = f"{model['name']}.{column['name']}"
                meta = (column.get("config") or {}).get("meta") or column.get("meta") or {}
                assert str(column.get("description", "")).strip(), name
                assert meta.get("clasificacion"), name
                assert column.get("data_type"), name

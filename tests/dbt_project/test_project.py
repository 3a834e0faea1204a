"""The dbt project as a whole: derived sources, unit tests, and models on empty raw tables."""

from __future__ import annotations

import ast
import csv
import os
import re
import subprocess
from pathlib import Path

import yaml

from expectations.results import DIMENSIONS
from orchestration.dbt_project import dbt_executable
from orchestration.dbt_sources import out_of_date
from orchestration.settings import DBT_PROJECT_DIR, REFERENCE_DIR
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


def _calls_of_findings() -> dict[str, set[str]]:
    """Rules by raw table, as the models of findings call the macros."""
    folder = DBT_PROJECT_DIR / "models" / "intermediate" / "calidad"
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("int_calidad__hallazgos_*.sql")):
        text = path.read_text(encoding="utf-8")
        if path.stem.endswith("telemetria"):
            found["telemetria__lecturas"] = set(re.findall(r"'(R-[A-Z]+-\d\d)'", text))
            continue
        pairs = re.findall(r"hallazgo(?:_repetido)?\(\s*'([a-z_.]+)',\s*'(R-[A-Z-]+-\d\d)'", text)
        pairs += [
            (d, "R-CLAVE-01") for d in re.findall(r"hallazgo_huerfano\(\s*'([a-z_.]+)'", text)
        ]
        assert len(pairs) == len(re.findall(r"\{\{ hallazgo", text)), path
        for dataset, rule in pairs:
            found.setdefault(dataset.replace(".", "__"), set()).add(rule)
    # Alerts carry their rule with them; repetitions are merged without a finding.
    found["telemetria__lecturas"] |= {"R-AGUA-14", "R-AGUA-15", "R-AGUA-02"}
    return found


def test_the_score_knows_which_rules_look_at_which_table() -> None:
    text = (DBT_PROJECT_DIR / "macros" / "puntaje.sql").read_text(encoding="utf-8")
    body = text.split("macro reglas_de_hallazgo()")[1].split("return(")[1].split(") }}")[0]
    listed = {table: set(rules) for table, rules in ast.literal_eval(body.strip()).items()}

    assert listed == _calls_of_findings()


def test_weights_of_the_score_add_up_and_are_those_of_the_six_dimensions() -> None:
    with (REFERENCE_DIR / "dimensiones_calidad.csv").open(encoding="utf-8") as file:
        rows = {row["dimension"]: row for row in csv.DictReader(file)}
    total = rows.pop("(total)")

    assert set(rows) == set(DIMENSIONS)
    assert sum(float(row["peso"]) for row in rows.values()) == float(total["peso"]) == 100
    assert any(row["obligatoria"] == "true" for row in rows.values())

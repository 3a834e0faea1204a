"""The dbt project as a whole: derived sources, unit tests, and models on empty raw tables."""

from __future__ import annotations

import ast
import csv
import datetime as dt
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from expectations.results import DIMENSIONS
from orchestration.catalogue_sync import configured_catalogue
from orchestration.dbt_project import dbt_executable
from orchestration.dbt_sources import out_of_date, read_without_contract
from orchestration.settings import DBT_PROJECT_DIR, REFERENCE_DIR
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_catalogue
from sources.raw_table import ensure_raw_table
from tests.support.water import dbt


def test_source_files_say_what_the_contracts_say() -> None:
    assert out_of_date(configured_catalogue()) == [], "run `lujan contracts sync`"
    assert read_without_contract(configured_catalogue()) == {}


def test_every_model_builds_and_every_unit_test_passes_on_empty_raw_tables(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        for contract in load_catalogue().contracts.values():
            ensure_raw_table(connection, contract)

    done = dbt(warehouse, tmp_path, ["build"])

    assert done.returncode == 0, done.stdout[-3000:]
    last = done.stdout.strip().splitlines()[-1]
    assert " WARN=0 " in last and " ERROR=0 " in last and " SKIP=0 " in last, last
    with warehouse.connect() as connection:
        assert connection.execute(
            "select fecha, anio_iso, semana_iso, dia_semana_nombre, es_fin_de_semana, anio_mes, "
            "mes_nombre, trimestre from inventario.dim_fecha where fecha in "
            "('2021-01-01', '2024-02-29', '2060-12-31', '2024-12-30') order by fecha"
        ).fetchall() == [
            (dt.date(2021, 1, 1), 2020, 53, "viernes", False, "2021-01", "enero", 1),
            (dt.date(2024, 2, 29), 2024, 9, "jueves", False, "2024-02", "febrero", 1),
            (dt.date(2024, 12, 30), 2025, 1, "lunes", False, "2024-12", "diciembre", 4),
            (dt.date(2060, 12, 31), 2060, 53, "viernes", False, "2060-12", "diciembre", 4),
        ]


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


# Macros that are a rule of their own; the others are told theirs.
_RULES_OF_MACROS = {
    "hallazgo_huerfano": ["R-CLAVE-01"],
    "hallazgo_futuro": ["R-FECHA-05"],
    "hallazgo_inverosimil": ["R-FECHA-06"],
    "hallazgo_sin_fecha": ["R-FECHA-04"],
    "hallazgos_de_texto": ["R-PERSONA-03", "R-TEXTO-04"],
}


def _calls_of_findings() -> dict[str, set[str]]:
    """Rules by raw table, as the models of findings call the macros."""
    folder = DBT_PROJECT_DIR / "models" / "intermediate" / "calidad"
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("int_calidad__hallazgos_*.sql")):
        text = path.read_text(encoding="utf-8")
        if path.stem.endswith("telemetria"):
            found["telemetria__lecturas"] = set(re.findall(r"'(R-[A-Z]+-\d\d)'", text))
            continue
        calls = re.findall(
            r"\{\{ (hallazgos?(?:_[a-z]+)*)\(\s*'([a-z_.]+)'(?:,\s*'(R-[A-Z-]+-\d\d)')?", text
        )
        assert len(calls) == len(re.findall(r"\{\{ hallazgo", text)), path
        pairs = [
            (dataset, rule)
            for macro, dataset, named in calls
            for rule in _RULES_OF_MACROS.get(macro) or [named]
        ]
        for dataset, rule in pairs:
            found.setdefault(dataset.replace(".", "__"), set()).add(rule)
    # Alerts carry their rule with them; repetitions are merged without a finding.
    found["telemetria__lecturas"] |= {"R-AGUA-14", "R-AGUA-15", "R-AGUA-02"}
    return found


def test_the_score_knows_which_rules_look_at_which_table() -> None:
    listed = _dictionary("reglas_de_hallazgo", "puntaje.sql")

    assert {table: set(rules) for table, rules in listed.items()} == _calls_of_findings()


def test_weights_of_the_score_add_up_and_are_those_of_the_six_dimensions() -> None:
    with (REFERENCE_DIR / "dimensiones_calidad.csv").open(encoding="utf-8") as file:
        rows = {row["dimension"]: row for row in csv.DictReader(file)}
    total = rows.pop("(total)")

    assert set(rows) == set(DIMENSIONS)
    assert sum(float(row["peso"]) for row in rows.values()) == float(total["peso"]) == 100
    assert any(row["obligatoria"] == "true" for row in rows.values())


def _dictionary(macro: str, file: str) -> dict[str, Any]:
    """What a macro that only returns a dictionary holds."""
    text = (DBT_PROJECT_DIR / "macros" / file).read_text(encoding="utf-8")
    body = text.split(f"macro {macro}()")[1].split("return(")[1].split(") }}")[0]
    loaded: dict[str, Any] = ast.literal_eval(body.strip())
    return loaded


def _seed_rules() -> dict[str, dict[str, str]]:
    with (REFERENCE_DIR / "reglas_limpieza.csv").open(encoding="utf-8") as file:
        return {row["regla_id"]: row for row in csv.DictReader(file)}


def test_every_rule_of_the_project_is_on_the_list_and_every_listed_rule_is_used() -> None:
    used = set()
    for folder in ("models", "macros"):
        for path in (DBT_PROJECT_DIR / folder).rglob("*.sql"):
            used |= set(re.findall(r"R-[A-Z]+(?:-[A-Z]+)*-\d\d", path.read_text(encoding="utf-8")))

    # Why a project is at risk is no rule about its data.
    assert {rule for rule in used if not rule.startswith("R-RIESGO-")} == set(_seed_rules())


def test_what_staging_corrects_is_what_the_list_calls_a_correction() -> None:
    kinds = _dictionary("reglas_por_tipo", "correcciones.sql")
    fields = _dictionary("campos_corregibles", "correcciones.sql")
    seed = _seed_rules()

    in_use = {kind for sheet in fields.values() for kind in sheet["campos"].values()}
    applied = {rule for kind in in_use for rule in kinds[kind]}

    assert in_use == set(kinds), "no kind of field is left over"
    assert applied == {rule for rule, row in seed.items() if row["tipo"] == "correccion"}
    macro = (DBT_PROJECT_DIR / "macros" / "correcciones.sql").read_text(encoding="utf-8")
    body = macro.split("macro regla_de_correccion(")[1].split("{%- endmacro %}")[0]
    assert set(re.findall(r"R-[A-Z]+-\d\d", body)) == applied


def test_every_corrected_field_keeps_its_original_and_can_be_switched_back() -> None:
    for model, sheet in _dictionary("campos_corregibles", "correcciones.sql").items():
        (path,) = (DBT_PROJECT_DIR / "models" / "staging").rglob(f"{model}.sql")
        text = path.read_text(encoding="utf-8").rpartition("\nselect\n")[2]
        for field in sheet["campos"]:
            assert f"{{{{ corregido('{model}', '{field}') }}}}," in text, (model, field)
            assert f"    {field}_original,\n" in text, (model, field)


def test_a_rule_that_cannot_be_switched_off_is_refused_by_name(tmp_path: Path) -> None:
    """By the project itself; the other names by its macros alone, which are parsed sooner."""
    alone = tmp_path / "macros_solas"
    shutil.copytree(DBT_PROJECT_DIR / "macros", alone / "macros")
    (alone / "models").mkdir()
    (alone / "models" / "uno.sql").write_text("select {{ reglas_apagadas() | length }} as n")
    (alone / "dbt_project.yml").write_text("name: solas\nprofile: lujan\n")
    for project, rule in (
        (DBT_PROJECT_DIR, "R-FECHA-02"), (alone, "R-CLAVE-01"), (alone, "R-INVENTADA-01")
    ):  # fmt: skip
        done = subprocess.run(
            [dbt_executable(), "parse", "--project-dir", str(project),
             "--profiles-dir", str(DBT_PROJECT_DIR), "--target-path", str(tmp_path / "target"),
             "--log-path", str(tmp_path), "--no-use-colors",
             "--vars", f"{{reglas_apagadas: [{rule}]}}"],
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode != 0
        assert f"reglas_apagadas: {rule} no se puede apagar" in done.stdout


def test_the_relationships_told_to_analysts_are_those_of_the_tables() -> None:
    """docs/power-bi.md: one side is a table's key, the other has the column; all are delivered."""
    models = {
        model["name"]: model
        for path in (DBT_PROJECT_DIR / "models" / "marts").rglob("_*__models.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
    }
    exposures = yaml.safe_load((DBT_PROJECT_DIR / "models" / "exposures.yml").read_text("utf-8"))
    boards = next(item for item in exposures["exposures"] if item["name"] == "tableros_power_bi")
    delivered = set(re.findall(r"ref\('(\w+)'\)", " ".join(boards["depends_on"])))
    text = (DBT_PROJECT_DIR.parent / "docs" / "power-bi.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*) \|$", text, re.MULTILINE)

    assert len(told) == 9
    for one, column, many in told:
        assert models[one]["config"]["meta"]["clave"] == [column], one
        related = [] if one == "dim_fecha" else re.findall(r"`(\w+)`", many)
        for name in (one, *related):
            assert name in delivered, name
            assert column in {item["name"] for item in models[name]["columns"]}, (name, column)

"""What is asked of raw tables after the loads: before dbt builds on them, once per change."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.assets.raw_controls import judge, judge_alone
from orchestration.catalogue_sync import synchronise
from orchestration.connections import Connections
from orchestration.gate import obstacles
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse.connection import Warehouse
from sources.contract import Catalogue, Contract
from sources.contract_document import CONTRACTS_DIR, load_catalogue, load_contract
from sources.raw_table import ensure_raw_table

OWN = ("expectations", "orchestration", "sources", "exports", "seeds")


@pytest.fixture
def zones(tmp_path: Path) -> Contract:
    """The city's contract of water zones with one rule more, which blocks."""
    text = (CONTRACTS_DIR / "aguas" / "zonas.yaml").read_text(encoding="utf-8")
    head, properties = text.split("    properties:\n", 1)
    rule = (
        "    quality:\n      - {type: sql, name: sin_prueba, mustBe: 0, severity: error,\n"
        "         query: \"select count(*) from ${object} where nombre like 'Prueba%'\"}\n"
    )
    path = tmp_path / "zonas.yaml"
    path.write_text(head + rule + "    properties:\n" + properties, encoding="utf-8")
    return load_contract(path)


@pytest.fixture
def loaded(warehouse: Warehouse, zones: Contract) -> Iterator[Warehouse]:
    with warehouse.connect() as connection:
        synchronise(connection, Catalogue({zones.id: zones}, ()), Connections({}, sample=False))
    load(warehouse, zones, 1, "Prueba Norte")
    yield warehouse


def load(warehouse: Warehouse, contract: Contract, zone: int, name: str) -> None:
    with warehouse.connect() as connection:
        row = connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas) "
            "values ('r', %s, 'cargada', 'full', '1', 'x', now(), now(), 1, 1) returning carga_id",
            [contract.id],
        ).fetchone()
        assert row is not None
        connection.execute("delete from raw.aguas__zonas where zona_id = %s", [zone])
        connection.execute(
            "insert into raw.aguas__zonas (zona_id, nombre, _load_id) values (%s, %s, %s)",
            [zone, name, row[0]],
        )


def run(warehouse: Warehouse, contract: Contract, run_id: str) -> dict[str, bool | None]:
    with warehouse.connect() as connection:
        return {r.control: r.paso for r in judge(connection, contract, run_id)}


def blocked(warehouse: Warehouse) -> bool:
    with warehouse.connect() as connection:
        found = obstacles(connection, ["agua.dim_zona"])
    return any(item.control == "tabla.aguas.zonas.sin_prueba" for item in found)


def test_a_red_rule_on_raw_withholds_what_is_made_from_it_until_the_data_are_mended(
    loaded: Warehouse, zones: Contract
) -> None:
    assert run(loaded, zones, "r1")["tabla.aguas.zonas.sin_prueba"] is False
    assert blocked(loaded)

    run(loaded, zones, "r2")
    assert blocked(loaded), "a run without news changes nothing"

    load(loaded, zones, 1, "Zona Norte")
    assert run(loaded, zones, "r3")["tabla.aguas.zonas.sin_prueba"] is True
    assert not blocked(loaded)


def test_a_reference_is_judged_again_when_only_the_other_table_changed(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    for name in ("zonas", "macromedidores"):
        shutil.copy(CONTRACTS_DIR / "aguas" / f"{name}.yaml", tmp_path)
    catalogue = load_catalogue([tmp_path])
    zones, mains = catalogue.contracts["aguas.zonas"], catalogue.contracts["aguas.macromedidores"]
    with warehouse.connect() as connection:
        synchronise(connection, catalogue, Connections({}, sample=False))
        ensure_raw_table(connection, mains)
        connection.execute("delete from raw.aguas__macromedidores")
    load(warehouse, zones, 1, "Zona Norte")
    with warehouse.connect() as connection:
        connection.execute(
            "insert into raw.aguas__macromedidores (macromedidor_id, zona_id, _load_id) "
            "values ('M-1', 1, 1)"
        )
    control = "tabla.aguas.macromedidores.zona_id_referencia"
    assert run(warehouse, mains, "r1")[control] is True
    with warehouse.connect() as connection:
        connection.execute(
            "update meta.resultado_control set evaluado_en = now() - interval '1 day'"
        )
        connection.execute("update meta.carga set fin = now() - interval '2 days'")
    assert control not in run(warehouse, mains, "r2"), "nothing changed, nothing is read"

    load(warehouse, zones, 2, "Zona Sur")
    with warehouse.connect() as connection:
        connection.execute("delete from raw.aguas__zonas where zona_id = 1")
    assert run(warehouse, mains, "r3")[control] is False


def test_every_run_has_a_verdict_of_freshness_and_monitors_and_profiles_only_changes(
    loaded: Warehouse, zones: Contract
) -> None:
    first = run(loaded, zones, "r1")
    again = run(loaded, zones, "r2")

    assert first == again and len(first) == 7
    with loaded.connect() as connection:
        assert connection.execute("select count(*) from meta.perfil").fetchone() == (1,)
        rows: Any = connection.execute(
            "select corrida_id, count(*), bool_and(responsable is not null and dataset is not null "
            "and dimension is not null) from meta.resultado_control group by 1 order by 1"
        ).fetchall()
    assert rows == [("r1", 7, True), ("r2", 7, True)]


def test_a_table_that_cannot_be_measured_is_unknown_and_stops_nothing(
    loaded: Warehouse, zones: Contract
) -> None:
    with loaded.connect() as connection:
        connection.execute("alter table raw.aguas__zonas drop column nombre")
    with loaded.connect() as connection:
        [found] = judge_alone(connection, zones, "r1")
    assert found.paso is None and "42703" in found.explicacion
    with loaded.connect() as connection:
        stored = connection.execute("select control from meta.control_vigente").fetchall()
    assert stored == [("monitor.aguas.zonas.medicion",)]


def test_models_wait_for_the_verdicts_on_raw() -> None:
    from orchestration.definitions import defs

    graph = defs.resolve_job_def("diaria").graph
    dependencies = graph.dependency_structure
    node = graph.node_named("dbt")
    upstream = {
        output.node_name
        for outputs in dependencies.input_to_upstream_outputs_for_node(node.name).values()
        for output in outputs
    }
    assert "controles_de_raw" in upstream


def test_great_expectations_is_imported_in_the_step_that_runs_it_and_nowhere_else() -> None:
    places = []
    for room in OWN:
        for path in sorted((PROJECT_ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [alias.name for alias in node.names]
                    names.append(getattr(node, "module", None) or "")
                    if any(name.split(".")[0] == "great_expectations" for name in names):
                        at_import = any(node is item for item in tree.body)
                        places.append((path.relative_to(PROJECT_ROOT).as_posix(), at_import))
    assert places and set(places) == {("expectations/marts.py", False)}

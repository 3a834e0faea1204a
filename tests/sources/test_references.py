"""References that no contract writes: found by the names of keys, within one system."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sources.contract import Contract
from sources.contract_document import CONTRACTS_DIR, load_catalogue


def references(contract: Contract) -> dict[str, str]:
    """Where each column points, by column."""
    return {
        rule.columns[0]: ".".join(rule.argument)
        for rule in contract.table_rules
        if rule.kind == "reference"
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Zones, and the meters of mains that stand in them."""
    for name in ("zonas", "macromedidores"):
        shutil.copy(CONTRACTS_DIR / "aguas" / f"{name}.yaml", tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_column_called_like_the_key_of_another_dataset_points_there(folder: Path) -> None:
    contracts = load_catalogue([folder]).contracts
    assert references(contracts["aguas.macromedidores"]) == {"zona_id": "aguas.zonas.zona_id"}
    assert references(contracts["aguas.zonas"]) == {}
    (rule,) = [r for r in contracts["aguas.macromedidores"].table_rules if r.kind == "reference"]
    assert rule.severity == "advertencia", "an accident of names must withhold nothing"


@pytest.mark.parametrize("written", ["[]", "[{to: zonas.zona_id}]"])
def test_what_the_contract_writes_stands(folder: Path, written: str) -> None:
    edit(folder / "macromedidores.yaml", "      - name: zona_id\n",
         f"      - name: zona_id\n        relationships: {written}\n")  # fmt: skip
    found = references(load_catalogue([folder]).contracts["aguas.macromedidores"])
    assert found == ({"zona_id": "aguas.zonas.zona_id"} if "to" in written else {})


def test_two_datasets_with_that_key_leave_it_open(folder: Path) -> None:
    twin = folder / "sectores.yaml"
    shutil.copy(folder / "zonas.yaml", twin)
    edit(twin, "id: aguas.zonas\n", "id: aguas.sectores\n")
    contracts = load_catalogue([folder]).contracts
    assert "aguas.sectores" in contracts
    assert references(contracts["aguas.macromedidores"]) == {}


def test_another_type_is_another_thing(folder: Path) -> None:
    text = (folder / "macromedidores.yaml").read_text(encoding="utf-8")
    head, tail = text.split("      - name: zona_id\n", 1)
    tail = tail.replace("physicalType: integer", "physicalType: bigint", 1)
    (folder / "macromedidores.yaml").write_text(f"{head}      - name: zona_id\n{tail}")
    loaded = load_catalogue([folder])
    assert not loaded.errors
    assert references(loaded.contracts["aguas.macromedidores"]) == {}


def test_the_references_of_the_city_are_checked_and_feeds_without_end_are_not() -> None:
    found = {name: references(c) for name, c in load_catalogue().contracts.items()}
    assert found["mlc.proyectos"] == {
        "programa_id": "mlc.programas.programa_id",
        "secretaria_id": "mlc.secretarias.secretaria_id",
    }
    assert found["aguas.facturacion"] == {"cuenta_id": "aguas.cuentas.cuenta_id"}
    assert not any(found[name] for name in found if name.startswith("telemetria."))

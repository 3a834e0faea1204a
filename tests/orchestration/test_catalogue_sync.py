"""Which contracts are in force: what is red in a dataset that is not keeps nothing back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from orchestration.catalogue_sync import synchronise
from orchestration.connections import Connections
from orchestration.dbt_sources import refuse_missing
from orchestration.gate import obstacles
from orchestration.loading import load_raw_table
from orchestration.run import _without_table
from orchestration.warehouse.connection import KeptConnection, Warehouse
from sources.contract import Catalogue
from sources.contract_document import CONTRACTS_DIR, load_catalogue
from sources.errors import ContractError
from sources.urls import SourceUrl
from tests.support.marts import judge, make_mart, say_built

ZONES = CONTRACTS_DIR / "aguas" / "zonas.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One contract, alone in a folder."""
    place = tmp_path / "zonas.yaml"
    place.write_text(ZONES.read_text(encoding="utf-8"), encoding="utf-8")
    return place


def withheld(warehouse: Warehouse, catalogue: Catalogue) -> list[str]:
    """What keeps the zones back once these contracts are in force."""
    with warehouse.connect() as connection:
        synchronise(connection, catalogue, Connections({}, False))
        return [item.control for item in obstacles(connection, ["agua.dim_zona"])]


def test_a_red_check_counts_while_its_contract_cannot_be_read_and_goes_with_it(
    warehouse: Warehouse, folder: Path
) -> None:
    with warehouse.connect() as connection:
        synchronise(connection, load_catalogue([folder.parent]), Connections({}, False))
        make_mart(connection, "agua.dim_zona")
        say_built(connection, "agua.dim_zona")
        judge(connection, "great_expectations", "agua.dim_zona", True)
        judge(connection, "conciliacion", "raw.aguas__zonas", False, dataset="aguas.zonas")
    [red] = withheld(warehouse, load_catalogue([folder.parent]))

    folder.write_text("kind: [", encoding="utf-8")
    assert withheld(warehouse, load_catalogue([folder.parent])) == [red]

    folder.unlink()
    assert withheld(warehouse, load_catalogue([folder.parent])) == []


def test_a_run_says_which_contracts_its_models_miss_unless_their_tables_are_there(
    warehouse: Warehouse,
) -> None:
    whole = load_catalogue()
    without = load_catalogue([CONTRACTS_DIR / system for system in ("mlc", "citymis", "planillas")])
    with warehouse.connect() as connection:
        synchronise(connection, without, Connections({}, False))
        missing = _without_table(connection, without)
        synchronise(connection, whole, Connections({}, False))
        there = _without_table(connection, without)

    assert len(missing) == 12
    assert missing["aguas__cuentas"] == "stg_aguas__cuentas"
    with pytest.raises(ContractError, match=r"aguas\.cuentas, .*sin dirección.*stg_aguas__cuentas"):
        refuse_missing(missing)
    assert there == {}
    refuse_missing(there)


def test_a_retired_dataset_is_not_asked_of_a_system_that_does_not_have_it(
    warehouse: Warehouse, folder: Path, tmp_path: Path
) -> None:
    """A city may have some tables of a system only."""
    empty = Connections({"aguas": SourceUrl.parse(f"sqlite:///{tmp_path / 'aguas.sqlite'}")}, False)

    def loaded() -> tuple[str, int, bool]:
        catalogue = load_catalogue([folder])
        with warehouse.connect() as connection:
            synchronise(connection, catalogue, empty)
            [connected] = connection.execute("select configurado from meta.contrato").fetchall()
        with closing(KeptConnection(warehouse)) as kept:
            [report] = load_raw_table(
                [*catalogue.contracts.values()], kept, empty, "corrida"
            ).reports
        return report.state, len(report.errors), connected[0]

    assert loaded() == ("fallida", 1, True)
    text = folder.read_text(encoding="utf-8")
    folder.write_text(text.replace("status: active", "status: retired"), encoding="utf-8")
    assert loaded() == ("sin_configurar", 0, False)

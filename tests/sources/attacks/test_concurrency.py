"""Runs of one dataset, and of two that share a table, at once: as one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.contract_document import load_contract
from tests.sources.attacks.conftest import MakeScenario
from tests.sources.attacks.support import (
    BEYOND_MODES,
    IN_PARTS,
    MODES,
    Scenario,
    assert_same_tables,
    feed_scenario,
    left_behind,
    query,
    states_of,
    write_feed,
)
from tests.support.processes import run_at_once

_ROUNDS = 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*MODES, IN_PARTS])
def test_two_runs_of_one_dataset_at_once_give_what_one_gives(
    scenario: MakeScenario, new_warehouse: Callable[[], Warehouse], clean: Warehouse, mode: str
) -> None:
    attack = replace(scenario(mode, 2000), batch_rows=200)
    raced = [new_warehouse() for _ in range(_ROUNDS)]
    for warehouse in (*raced, clean):
        assert attack.load(warehouse).errors == []
    attack.change()
    assert attack.load(clean).errors == []

    for warehouse in raced:
        outcomes = run_at_once(attack.job(warehouse), attack.job(warehouse))

        assert [outcome.errors for outcome in outcomes] == [(), ()]
        assert left_behind(warehouse) == []
        assert_same_tables(warehouse, clean)
        if mode != "files":  # two runs of a feed share its files between them
            assert sorted(outcome.state for outcome in outcomes) == ["cargada", "sin_cambios"]
            assert sorted(states_of(warehouse)) == ["cargada", "cargada", "sin_cambios"]
            assert any(outcome.beyond for outcome in outcomes) is (mode in BEYOND_MODES)
            assert all((outcome.parts > 1) is (mode == IN_PARTS) for outcome in outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_first_runs_at_once_make_the_table_once(
    scenario: MakeScenario, attacked: Warehouse, clean: Warehouse, mode: str
) -> None:
    attack = scenario(mode, 3000)
    assert attack.load(clean).errors == []

    outcomes = run_at_once(attack.job(attacked), attack.job(attacked))

    assert [outcome.errors for outcome in outcomes] == [(), ()]
    assert_same_tables(attacked, clean)


@pytest.mark.slow
def test_four_runs_of_a_feed_load_each_file_once(
    tmp_path: Path, attacked: Warehouse, clean: Warehouse
) -> None:
    attack = feed_scenario(tmp_path, 2000)
    attack.change()
    assert attack.load(clean).errors == []

    outcomes = run_at_once(*[attack.job(attacked)] * 4)

    assert sum(outcome.loaded for outcome in outcomes) == 12 * 200
    assert_same_tables(attacked, clean)


@pytest.mark.slow
def test_two_datasets_that_share_a_raw_table_land_in_it_at_once(
    tmp_path: Path, new_warehouse: Callable[[], Warehouse], clean: Warehouse
) -> None:
    feeds = [_feed(tmp_path / name, name, first) for name, first in (("norte", 1), ("sur", 11))]
    for feed in feeds:
        assert feed.load(clean).errors == []

    for warehouse in [new_warehouse() for _ in range(_ROUNDS)]:
        outcomes = run_at_once(*(feed.job(warehouse) for feed in feeds))

        assert [outcome.errors for outcome in outcomes] == [(), ()]
        assert_same_tables(warehouse, clean)
        assert query(
            warehouse,
            "select dataset, sum(filas_cargadas)::int from meta.carga c where exists "
            "(select from raw.lecturas l where l._load_id = c.carga_id) group by 1 order by 1",
        ) == [("norte.lecturas", 5 * 300), ("sur.lecturas", 5 * 300)]


def _feed(folder: Path, system: str, first_day: int) -> Scenario:
    scenario = feed_scenario(folder, 10, landingTable="lecturas", partitionBy="fecha_hora")
    for file in (folder / "lecturas").iterdir():
        file.unlink()
    write_feed(folder / "lecturas", range(first_day, first_day + 5), 300)
    return replace(scenario, contract=_renamed(scenario.contract, system))


def _renamed(contract: Contract, system: str) -> Contract:
    """The same contract as dataset `lecturas` of another system."""
    document = yaml.safe_load(contract.path.read_text(encoding="utf-8"))
    document["id"] = f"{system}.lecturas"
    document["servers"][0]["server"] = system
    contract.path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return load_contract(contract.path)

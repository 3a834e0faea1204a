"""A load killed at any moment (SIGKILL) and run again gives the tables of one clean run."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestration.warehouse.connection import Warehouse
from tests.sources.attacks.conftest import MakeScenario
from tests.sources.attacks.support import (
    BEYOND_MODES,
    IN_PARTS,
    MODES,
    PostgresSource,
    Scenario,
    assert_same_tables,
    left_behind,
    reading_sessions,
    rows_without_record,
    tables_of,
)
from tests.support.processes import Death, Outcome, loading, run_load

_ROWS = 60_000
_FEWER_ROWS = 20_000


def prepare(scenario: Scenario, attacked: Warehouse, clean: Warehouse) -> None:
    """Both warehouses hold the first state; the source goes on to the second."""
    for warehouse in (attacked, clean):
        assert scenario.load(warehouse).state == "cargada"
    scenario.change()


def assert_nothing_half_done(scenario: Scenario, attacked: Warehouse) -> None:
    assert left_behind(attacked) == []
    assert rows_without_record(attacked, scenario.contract) == 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*MODES, IN_PARTS])
def test_killed_at_ten_random_moments(
    scenario: MakeScenario,
    postgres_source: PostgresSource,
    attacked: Warehouse,
    clean: Warehouse,
    mode: str,
) -> None:
    attack = scenario(mode, _ROWS if mode == "full" else _FEWER_ROWS)
    prepare(attack, attacked, clean)
    with loading(attack.job(clean)) as running:
        began = time.monotonic()
        outcome = running.outcome()
        duration = time.monotonic() - began
    assert outcome.errors == ()
    assert (outcome.beyond > 0) is (mode in BEYOND_MODES)
    assert (outcome.parts > 1) is (mode == IN_PARTS)

    interrupted = 0
    # A feed keeps the files that were committed before a kill: less is left for the next.
    for moment in _moments(duration / 3 if mode == "files" else duration):
        with loading(attack.job(attacked)) as running:
            time.sleep(moment)
            interrupted += running.kill()
        assert_nothing_half_done(attack, attacked)
        assert reading_sessions(postgres_source) == 0
    run_load(attack.job(attacked))

    assert interrupted >= 5, "too few kills met a load: nothing was attacked"
    assert_same_tables(attacked, clean)


def _moments(duration: float) -> Iterator[float]:
    """Ten moments, one at random in each tenth of a load's duration."""
    chance = random.Random(20260601)
    return (duration * chance.uniform(tenth, tenth + 1) / 10 for tenth in range(10))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_the_moments_that_matter(
    scenario: MakeScenario, attacked: Warehouse, clean: Warehouse, mode: str
) -> None:
    attack = replace(scenario(mode, 2000), batch_rows=100)
    prepare(attack, attacked, clean)
    outcome = run_load(attack.job(clean))
    assert outcome.errors == ()
    assert (outcome.beyond > 0) is (mode in BEYOND_MODES)

    before = tables_of(attacked)
    for death in _deaths(outcome, one_transaction=mode != "files"):
        with loading(attack.job(attacked, death=death)) as running:
            assert running.ended() == -9, f"the load ended before {death}"
        assert_nothing_half_done(attack, attacked)
        if mode != "files":
            assert tables_of(attacked) == before, death
    with loading(attack.job(attacked, death=Death(statement="^commit$", when="after"))) as running:
        assert running.ended() == -9
    assert run_load(attack.job(attacked)).errors == ()

    assert_same_tables(attacked, clean)


def _deaths(outcome: Outcome, *, one_transaction: bool) -> Iterator[Death]:
    """While reading, at the end of the copy, within the merge, and on the brink of the commit."""
    statements = outcome.statements
    yield Death(batches=1)
    yield Death(batches=3 if one_transaction else 1)
    copies = sum(text.lower().startswith("copy") for text in statements)
    if one_transaction:
        yield Death(statement="^copy", turn=copies - 1, when="after")
        if outcome.beyond:
            yield Death(statement='^copy "raw"', when="before")
            yield Death(batches=outcome.batches - 1)
        last_copy = max(at for at, text in enumerate(statements) if text.startswith("copy"))
        merging = random.Random(7).sample(range(last_copy + 1, len(statements) - 1), 4)
        for at in sorted(merging):
            yield Death(statement=".", turn=at, when="before")
            yield Death(statement=".", turn=at, when="after")
    else:
        yield Death(statement="^copy", when="after")
        yield Death(statement="insert into meta.archivo", when="before")
        yield Death(statement="insert into meta.archivo", turn=1, when="after")
    yield Death(statement="^commit$", turn=0, when="before")

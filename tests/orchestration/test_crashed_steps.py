"""What counts as broken off: an error of the program, not a dataset that is withheld."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dagster import DagsterInstance, Output, job, op
from dagster._core.errors import DagsterExecutionInterruptedError

from orchestration.assets.exports import Refused
from orchestration.assets.failures import told_to_people
from orchestration.run import _crashed_steps
from sources.errors import PipelineError


@op
def refused() -> None:
    raise Refused(description="falta el archivo", allow_retries=False)


@op
@told_to_people
def broken() -> Iterator[Any]:
    yield Output(None)
    raise PipelineError("el disco está lleno.", dataset="agua.lecturas", next_step="haga lugar.")


@job
def both() -> None:
    refused()
    broken()


def test_a_refused_dataset_is_withheld_and_an_error_of_the_program_is_told_without_its_path() -> (
    None
):
    with DagsterInstance.ephemeral() as instance:
        done = both.execute_in_process(instance=instance, raise_on_error=False)

        [words] = _crashed_steps(instance, done.run_id)

    told = "agua.lecturas: el disco está lleno. Qué hacer: haga lugar."
    assert words == f"broken: PipelineError: {told}"
    # On the page of the run the words stand first, and the facts apart.
    [failed] = [event for event in done.all_events if event.is_step_failure
                and event.step_key == "broken"]  # fmt: skip
    shown = failed.step_failure_data.user_failure_data
    assert shown is not None and shown.description == told
    assert {name: value.value for name, value in shown.metadata.items()} == {
        "conjunto": "agua.lecturas", "que_hacer": "haga lugar.",
    }  # fmt: skip


@op
def stopped() -> None:
    raise DagsterExecutionInterruptedError


@job
def by_hand() -> None:
    stopped()


def test_a_run_that_somebody_stops_says_so_once_and_in_words() -> None:
    with DagsterInstance.ephemeral() as instance:
        done = by_hand.execute_in_process(instance=instance, raise_on_error=False)

        assert _crashed_steps(instance, done.run_id) == (
            "a pedido; lo que no terminó no se guardó.",
        )


def test_a_run_that_breaks_off_outside_of_any_step_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*_: object) -> None:
        raise PipelineError("el almacén no responde.", next_step="enciéndalo.")

    with DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(
            "dagster._core.execution.plan.active.ActiveExecution.get_next_step", lost
        )
        done = both.execute_in_process(instance=instance, raise_on_error=False)

        [words] = _crashed_steps(instance, done.run_id)

    assert words == "la corrida: PipelineError: el almacén no responde. Qué hacer: enciéndalo."

"""What the page of a check says of a verdict that is no pass, whatever engine gave it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from expectations.results import Engine
from orchestration.assets.verdicts import cause
from tests.support.marts import verdict


@pytest.mark.parametrize("engine", get_args(Engine))
def test_a_verdict_that_is_no_pass_says_what_is_wrong_where_and_whose_it_is(
    engine: Engine,
) -> None:
    found = replace(
        verdict(engine, "agua.dim_zona"), filas_fallidas=3, filas_evaluadas=20,
        columna="cuenca", muestra=({"zona_id": 17},),
    )  # fmt: skip

    said = cause([found])

    assert said["responsable"] == "Obras Públicas"
    for words in (found.control, "cuenca", "no pasa", "| 3 | 20 |", "zona_id 17", "cuatro"):
        assert words in said["detalle"].value, words


def test_unknown_is_told_apart_from_a_failure_and_a_pass_says_nothing() -> None:
    unknown = verdict("monitor", "agua.dim_zona", passed=None)
    passed = verdict("dbt", "agua.dim_zona", passed=True)

    said = cause([passed, unknown])["detalle"].value

    assert "sin evaluar" in said and "no pasa" not in said and passed.control not in said
    assert cause([passed]) == {}


def test_what_a_check_says_keeps_to_its_cell_and_an_owner_nobody_named_is_said_to_be_unknown() -> (
    None
):
    found = replace(
        verdict("contrato", "agua.dim_zona"), explicacion="uno | dos\ntres", responsable=None
    )

    said = cause([found])

    assert "| uno ¦ dos tres |" in said["detalle"].value
    assert said["responsable"] == "sin dato"
    assert len(said["detalle"].value.splitlines()) == 3

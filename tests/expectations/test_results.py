"""Adding up verdicts and storing them where the gate reads them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from expectations.results import SAMPLE_SIZE, CheckResult, merge, record

GOOD = CheckResult(
    control="contrato.mlc.hitos.estado.valor_permitido",
    motor="pandera",
    objeto="raw.mlc__hitos",
    regla="valor_permitido",
    severidad="advertencia",
    paso=True,
    explicacion="El estado es uno de la lista.",
    columna="estado",
    dimension="validez",
    filas_evaluadas=10,
    filas_fallidas=0,
)
BAD = dataclasses.replace(
    GOOD, paso=False, filas_fallidas=2, muestra=({"hito_id": 1}, {"hito_id": 2})
)
UNKNOWN = dataclasses.replace(GOOD, paso=None, filas_evaluadas=None, filas_fallidas=None)


def test_batches_of_one_check_add_up_and_one_failure_is_a_failure() -> None:
    (total,) = merge([GOOD, BAD, GOOD])
    assert (total.filas_evaluadas, total.filas_fallidas, total.paso) == (30, 2, False)
    assert total.muestra == BAD.muestra


def test_unknown_is_neither_good_nor_hidden() -> None:
    assert merge([GOOD, UNKNOWN])[0].paso is None
    assert merge([UNKNOWN, BAD])[0].paso is False
    assert merge([UNKNOWN, UNKNOWN])[0].filas_evaluadas is None


def test_checks_on_other_objects_stay_apart_and_in_order() -> None:
    other = dataclasses.replace(BAD, objeto="raw.mlc__otra")
    assert [result.objeto for result in merge([GOOD, other, GOOD])] == [
        "raw.mlc__hitos",
        "raw.mlc__otra",
    ]


def test_samples_stay_short_and_the_explanation_is_the_failures() -> None:
    many = dataclasses.replace(BAD, muestra=tuple({"hito_id": i} for i in range(8)))
    failing = dataclasses.replace(many, explicacion="No cumplen 2 filas.")
    (total,) = merge([GOOD, failing, many])
    assert len(total.muestra) == SAMPLE_SIZE
    assert total.explicacion == "No cumplen 2 filas."


def test_results_are_stored_under_their_run(connection) -> None:
    dated = dataclasses.replace(BAD, muestra=({"fecha": dt.date(2026, 6, 1), "zona": "Ñ"},))

    assert record(connection, "corrida-1", [GOOD, UNKNOWN]) == 2
    assert record(connection, "corrida-2", [dated]) == 1
    assert record(connection, "corrida-3", []) == 0

    stored = connection.execute(
        "select corrida_id, control, columna, dimension, severidad, paso, filas_evaluadas,"
        " filas_fallidas, muestra, responsable from meta.control_vigente where objeto = %s",
        [GOOD.objeto],
    ).fetchall()
    assert stored == [
        (
            "corrida-2",
            GOOD.control,
            "estado",
            "validez",
            "advertencia",
            False,
            10,
            2,
            [{"fecha": "2026-06-01", "zona": "Ñ"}],
            None,
        )
    ]
    assert json.dumps(stored[0][8])


def test_recording_leaves_the_transaction_to_the_caller(connection) -> None:
    with connection.transaction(force_rollback=True):
        record(connection, "corrida-deshecha", [GOOD])
    count = connection.execute(
        "select count(*) from meta.resultado_control where corrida_id = 'corrida-deshecha'"
    ).fetchone()
    assert count == (0,)


def test_a_dimension_is_one_of_six() -> None:
    with pytest.raises(ValueError, match="puntualidad"):
        dataclasses.replace(GOOD, dimension="puntualidad")

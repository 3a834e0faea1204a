"""The protocol for data about people: what it accepts, reports and keeps out, and what it says."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import pytest

from expectations.protocol import (
    AGE,
    DATE_FORMAT,
    FIELDS,
    GENDER_EQUIVALENT,
    IMPOSSIBLE_DATE,
    ProtocolChecker,
    ReferenceLists,
    compliance,
    judge_birth_date,
    judge_listed,
    load_lists,
)
from expectations.results import CheckResult
from sources.contract import PROTOCOL_FIELDS
from sources.contract_document import load_contract
from sources.errors import PipelineError

TODAY = dt.date(2026, 7, 1)
ROOT = Path(__file__).parents[2]
ID = {"name": "id", "physicalType": "bigint", "primaryKey": True}
LISTS = ReferenceLists(
    values={
        "genero": {
            "masculino": "Masculino",
            "femenino": "Femenino",
            "no_binario": "No binario",
            "prefiero_no_decir": "Prefiero no decir",
        },
        "nivel_educativo": {"primario_completo": "Primario completo"},
        "wg_ver": {"sin_dificultad": "sin dificultad", "no_puede": "no puede"},
        "distrito": {"vistalba": "Vistalba"},
    },
    genders={"masculino": "Masculino", "m": "Masculino", "varon": "Masculino"},
)


def field(name: str, protocol_field: str, kind: str = "text", **custom: Any) -> dict[str, Any]:
    return {
        "name": name,
        "physicalType": kind,
        "classification": "sensible",
        "customProperties": {"protocolField": protocol_field, **custom},
    }


BIRTH = field("fecha_nacimiento", "fecha_nacimiento")


def by_rule(results: list[CheckResult]) -> dict[str, CheckResult]:
    return {result.control.split(".", 3)[3]: result for result in results if result.columna}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("05/03/1980", None),
        (" 29/02/2024 ", None),
        ("01/07/2026", None),
        ("01/07/1906", None),
        ("1980-03-05", DATE_FORMAT),
        ("1980-03-05 00:00:00", DATE_FORMAT),
        ("5/3/1980", DATE_FORMAT),
        ("05-03-1980", DATE_FORMAT),
        ("34", AGE),
        ("4", AGE),
        ("101", AGE),
        ("34.0", AGE),
        ("34 años", AGE),
        ("34 AÑOS", AGE),
        ("35 a 44", AGE),
        ("35-44", AGE),
        ("65 y más", AGE),
        ("65+", AGE),
        ("más de 60", AGE),
        ("menores de 18 años", AGE),
        ("<18", AGE),
        ("31/02/1980", IMPOSSIBLE_DATE),
        ("29/02/2023", IMPOSSIBLE_DATE),
        ("12/31/1990", IMPOSSIBLE_DATE),
        ("1980-02-31", IMPOSSIBLE_DATE),
        ("00/00/0000", IMPOSSIBLE_DATE),
        ("02/07/2026", IMPOSSIBLE_DATE),
        ("30/06/1906", IMPOSSIBLE_DATE),
        ("05/03/80", IMPOSSIBLE_DATE),
        ("1980", IMPOSSIBLE_DATE),
        ("29281", IMPOSSIBLE_DATE),
        ("marzo de 1980", IMPOSSIBLE_DATE),
    ],
)
def test_a_birth_date_is_a_date_a_person_can_have(value: str, rule: str | None) -> None:
    verdict = judge_birth_date(value, TODAY)
    assert (verdict.rule if verdict else None) == rule


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("Masculino", None),
        ("Prefiero no decir", None),
        ("M", GENDER_EQUIVALENT),
        ("Varón", GENDER_EQUIVALENT),
        ("FEMENINO", GENDER_EQUIVALENT),
        ("No  binario", GENDER_EQUIVALENT),
        ("X", "protocolo.genero.fuera_de_lista"),
        ("ignorado", "protocolo.genero.fuera_de_lista"),
    ],
)
def test_a_gender_is_one_of_four_or_understood_or_unknown(value: str, rule: str | None) -> None:
    verdict = judge_listed("genero", value, LISTS.values["genero"], LISTS.genders)
    assert (verdict.rule if verdict else None) == rule


def test_an_age_or_an_impossible_date_keeps_the_row_out(make_contract, batch_of) -> None:
    contract = make_contract([ID, BIRTH], containsPersons=True)
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)

    checked = checker.check(
        *batch_of(
            contract,
            [(1, "05/03/1980"), (2, "34"), (3, "31/02/1980"), (4, "1980-03-05"), (5, None)],
        )
    )

    assert checked.good.column("id").to_pylist() == [1, 4, 5]
    assert checked.good_rows.to_pylist() == [1, 4, 5]
    assert [(f.row_number, f.rule, f.column, f.reason) for f in checked.failures] == [
        (
            2,
            "protocolo.edad_en_lugar_de_fecha",
            "fecha_nacimiento",
            "se recibió un número de 2 cifras, que parece una edad; "
            "el protocolo pide la fecha de nacimiento dd/mm/aaaa",
        ),
        (
            3,
            "protocolo.fecha_imposible",
            "fecha_nacimiento",
            "la fecha de nacimiento no existe en el calendario",
        ),
    ]
    results = by_rule(checker.results())
    assert results["fecha_nacimiento.edad_en_lugar_de_fecha"].muestra == ({"id": 2},)
    assert results["fecha_nacimiento.edad_en_lugar_de_fecha"].severidad == "bloqueante"
    assert results["fecha_nacimiento.formato"].muestra == ({"id": 4},)
    assert results["fecha_nacimiento.formato"].severidad == "advertencia"
    assert results["fecha_nacimiento.completitud"].filas_fallidas == 1


def test_the_contract_may_ask_for_a_report_only(make_contract, batch_of) -> None:
    contract = make_contract(
        [ID, field("nacimiento", "fecha_nacimiento", protocolSeverity="advertencia")]
    )
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)

    checked = checker.check(*batch_of(contract, [(1, "34"), (2, "31/02/1980")]))

    assert (checked.good.num_rows, checked.failures) == (2, [])
    assert [(r.regla, r.severidad, r.filas_fallidas) for r in checker.results()][1:3] == [
        (AGE, "advertencia", 1),
        (IMPOSSIBLE_DATE, "advertencia", 1),
    ]


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_a_real_date_only_has_to_be_possible(make_contract, batch_of, kind: str) -> None:
    contract = make_contract([ID, field("nacimiento", "fecha_nacimiento", kind)])
    moments = [dt.datetime(1980, 3, 5), dt.datetime(2050, 1, 1), dt.datetime(1850, 1, 1), None]
    values = [m.date() if m and kind == "date" else m for m in moments]

    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    checked = checker.check(*batch_of(contract, list(enumerate(values))))

    assert checked.good.column("id").to_pylist() == [0, 3]
    assert {failure.rule for failure in checked.failures} == {IMPOSSIBLE_DATE}


def test_a_number_column_of_ages_is_seen_as_ages(make_contract, batch_of) -> None:
    contract = make_contract([ID, field("edad", "fecha_nacimiento", "integer")])
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    checked = checker.check(*batch_of(contract, [(1, 34), (2, None)]))
    assert [failure.rule for failure in checked.failures] == [AGE]


def test_lists_are_reported_and_never_keep_a_row_out(make_contract, batch_of) -> None:
    contract = make_contract(
        [
            ID,
            field("genero", "genero"),
            field("nivel_educativo", "educacion"),
            field("wg_ver", "discapacidad"),
            field("distrito", "ubicacion"),
            field("latitud", "ubicacion", "numeric(9,6)"),
        ]
    )
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)

    checked = checker.check(
        *batch_of(
            contract,
            [
                (1, "Femenino", "Primario completo", "sin dificultad", "Vistalba", None),
                (2, "Varón", "Doctorado", "NO PUEDE", " vistalba ", None),
                (3, "X", None, "regular", "Godoy Cruz", None),
                (4, " ", "S/D", "-", "", None),
            ],
        )
    )

    assert (checked.good.num_rows, checked.failures) == (4, [])
    failed = {n: r.filas_fallidas for n, r in by_rule(checker.results()).items()}
    assert failed == {
        "genero.completitud": 1,
        "genero.equivalencia": 1,
        "genero.fuera_de_lista": 1,
        "nivel_educativo.completitud": 2,
        "nivel_educativo.otra_escritura": 0,
        "nivel_educativo.fuera_de_lista": 1,
        "wg_ver.completitud": 1,
        "wg_ver.otra_escritura": 1,
        "wg_ver.fuera_de_lista": 1,
        "distrito.completitud": 1,
        "distrito.otra_escritura": 1,
        "distrito.fuera_de_lista": 1,
        "latitud.completitud": 4,
    }
    assert {result.severidad for result in checker.results()} == {"advertencia"}
    education = by_rule(checker.results())["nivel_educativo.fuera_de_lista"]
    assert education.filas_evaluadas == 2  # of those that have a value


def test_nothing_reported_repeats_a_value(make_contract, batch_of) -> None:
    contract = make_contract(
        [{**ID, "classification": "sensible"}, BIRTH, field("genero", "genero")],
        containsPersons=True,
    )
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    checked = checker.check(
        *batch_of(contract, [(30111222, "nacida en 1977", "secreto"), (30111223, "87", "otro")])
    )
    said = f"{checked.failures} {checker.results()} {compliance(contract, checker.results())}"
    for value in ("30111222", "1977", "87", "secreto", "otro "):
        assert value not in said
    assert by_rule(checker.results())["genero.fuera_de_lista"].muestra == (
        {"numero_fila": 1},
        {"numero_fila": 2},
    )


def test_a_dataset_of_people_is_told_which_fields_it_lacks(make_contract) -> None:
    people = make_contract([ID, BIRTH], containsPersons=True)
    missing = [r for r in ProtocolChecker(people, lists=LISTS).results() if not r.columna]
    assert {r.regla for r in missing} == {
        f"protocolo.{name}.ausente" for name in FIELDS if name != "fecha_nacimiento"
    }
    assert {(r.paso, r.severidad) for r in missing} == {(False, "advertencia")}

    things = make_contract([ID], identifier="aguas.cosas")
    assert ProtocolChecker(things).results() == []
    assert compliance(things, []) == []


def test_compliance_is_told_field_by_field(make_contract, batch_of) -> None:
    contract = make_contract(
        [
            ID,
            BIRTH,
            field("genero", "genero"),
            field("nivel_educativo", "educacion"),
            field("wg_ver", "discapacidad"),
        ],
        containsPersons=True,
    )
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    before = {c.campo: c for c in compliance(contract, checker.results())}
    assert before["genero"].estado == "sin_dato"
    assert before["genero"].completitud is None

    checker.check(
        *batch_of(
            contract,
            [
                (1, "05/03/1980", "Femenino", "Doctorado", None),
                (2, "34", "Masculino", None, None),
                (3, "06/03/1980", "M", None, None),
                (4, "07/03/1980", "No binario", None, None),
            ],
        )
    )
    found = {c.campo: c for c in compliance(contract, checker.results())}

    assert set(found) == set(FIELDS)
    assert (found["fecha_nacimiento"].estado, found["fecha_nacimiento"].validez) == (
        "cumple_en_parte",
        0.75,
    )
    assert (found["genero"].estado, found["genero"].completitud) == ("cumple_en_parte", 1.0)
    assert found["genero"].explicacion == (
        "género: 100,0 % de las filas con dato; 75,0 % de los datos, como pide el protocolo"
    )
    assert (found["educacion"].estado, found["educacion"].validez) == ("no_cumple", 0.0)
    assert (found["discapacidad"].estado, found["discapacidad"].validez) == ("no_cumple", None)
    assert (found["etnia"].estado, found["etnia"].columnas) == ("no_cumple", ())


def test_a_field_complies_when_every_row_has_a_valid_value(make_contract, batch_of) -> None:
    contract = make_contract([ID, BIRTH], containsPersons=True)
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    checker.check(*batch_of(contract, [(1, "05/03/1980")]))
    (found,) = [c for c in compliance(contract, checker.results()) if c.columnas]
    assert found.estado == "cumple"


def test_the_citys_lists_cover_the_protocol() -> None:
    lists = load_lists()
    assert set(FIELDS) == set(PROTOCOL_FIELDS)
    assert set(lists.values["genero"].values()) == {
        "Masculino",
        "Femenino",
        "No binario",
        "Prefiero no decir",
    }
    assert set(lists.genders.values()) <= set(lists.values["genero"].values())
    people = load_contract(ROOT / "sources" / "contracts" / "citymis" / "beneficiarios.yaml")
    for column in people.columns:
        if column.protocol_field and column.protocol_field != "fecha_nacimiento":
            assert lists.of(column), column.name


def test_codes_of_the_lists_are_the_codes_of_their_values() -> None:
    lists = load_lists()
    for name, allowed in lists.values.items():
        for value in allowed.values():
            assert judge_listed("genero", value, allowed, {}) is None, (name, value)


def test_missing_lists_stop_with_a_message(make_contract, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"protocolo_valores\.csv"):
        load_lists(tmp_path)
    (tmp_path / "protocolo_valores.csv").write_text("campo,valor\n", encoding="utf-8")
    with pytest.raises(PipelineError, match="faltan columnas: codigo"):
        load_lists(tmp_path)


def test_a_hundred_thousand_people_are_checked_in_well_under_a_second(
    make_contract, batch_of
) -> None:
    contract = make_contract([ID, BIRTH, field("genero", "genero")])
    start_day = dt.date(1930, 1, 1)
    days = [(start_day + dt.timedelta(days=i % 33000)).strftime("%d/%m/%Y") for i in range(100_000)]
    batch, rows = batch_of(contract, [(i, day, "Femenino") for i, day in enumerate(days)])
    checker = ProtocolChecker(contract, lists=LISTS, today=TODAY)
    start = time.process_time()
    assert checker.check(batch, rows).failures == []
    assert time.process_time() - start < 0.8

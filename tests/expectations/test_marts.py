"""Great Expectations on marts: verdicts, pages without secrets or values, and readable suites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa

from expectations.marts import MartValidator, run_suite
from expectations.suite_files import Suite, SuiteError, load_suites

SUITE = """
mart: prueba_gx.dim_zona
descripcion: Zonas de prueba.
expectativas:
  - tipo: expect_column_values_to_not_be_null
    argumentos: {column: zona_id}
    severidad: bloqueante
    dimension: completitud
    explicacion: Toda zona tiene número.
  - tipo: expect_column_values_to_be_in_set
    argumentos: {column: cuenca, value_set: [Ciudad, Vistalba]}
    severidad: advertencia
    dimension: validez
    explicacion: La cuenca es una de las conocidas.
  - tipo: expect_compound_columns_to_be_unique
    argumentos: {column_list: [zona_id, cuenca]}
    severidad: bloqueante
    dimension: unicidad
    explicacion: Una fila por zona y cuenca.
  - tipo: expect_table_columns_to_match_set
    argumentos: {column_set: [zona_id, cuenca], exact_match: false}
    severidad: bloqueante
    dimension: consistencia
    explicacion: Están las columnas que usan los tableros.
  - tipo: expect_table_row_count_to_be_between
    argumentos: {min_value: 1}
    severidad: advertencia
    dimension: completitud
    explicacion: Hay al menos una zona.
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return write(tmp_path, SUITE)


@pytest.fixture
def zones(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("create schema prueba_gx")
    connection.execute("create table prueba_gx.dim_zona (zona_id int, cuenca text, nombre text)")
    return connection


def write(folder: Path, text: str) -> Suite:
    directory = folder / "suites"
    directory.mkdir(exist_ok=True)
    (directory / "prueba_gx__suite.yaml").write_text(text, encoding="utf-8")
    (suite,) = load_suites(directory).values()
    if suite.problema:
        raise suite.problema
    return suite


def test_a_sound_mart_passes_and_its_pages_are_built(zones, suite, warehouse_url, tmp_path) -> None:
    zones.execute("insert into prueba_gx.dim_zona values (1, 'Ciudad', 'A'), (2, 'Vistalba', 'B')")
    docs = tmp_path / "docs" / "calidad"

    results = run_suite(suite, warehouse_url, docs)

    assert [result.paso for result in results] == [True] * 5
    assert {(r.motor, r.objeto) for r in results} == {("great_expectations", "prueba_gx.dim_zona")}
    assert results[0].filas_evaluadas == 2
    assert results[0].control == "prueba_gx.dim_zona.zona_id.expect_column_values_to_not_be_null"
    assert results[2].columna == "zona_id, cuenca"
    assert results[4].filas_evaluadas == 2
    assert (docs / "index.html").exists()


def test_no_row_of_a_mart_is_fetched_to_judge_it(zones, suite, warehouse_url, tmp_path) -> None:
    zones.execute(
        "insert into prueba_gx.dim_zona select n, 'Ciudad' from generate_series(1, 500) n"
    )
    fetched: list[int] = []
    with MartValidator(warehouse_url, tmp_path / "calidad") as validator:

        @sa.event.listens_for(sa.Engine, "after_cursor_execute")
        def count(_connection, cursor, _statement, _parameters, _context, _many) -> None:
            fetched.append(cursor.rowcount)

        try:
            results = validator.run(suite)
        finally:
            sa.event.remove(sa.Engine, "after_cursor_execute", count)
    assert [result.paso for result in results] == [True] * 5
    assert results[0].filas_evaluadas == 500
    assert len(fetched) > 5
    assert max(fetched) <= 10, "counts and names of columns, never rows"


def test_failures_come_with_counts_and_no_values(zones, suite, warehouse_url, tmp_path) -> None:
    zones.execute("alter table prueba_gx.dim_zona drop column nombre")
    zones.execute(
        "insert into prueba_gx.dim_zona values"
        " (1, 'Ciudad'), (1, 'Ciudad'), (null, 'persona-secreta')"
    )
    docs = tmp_path / "calidad"

    null, listed, unique, columns, count = run_suite(suite, warehouse_url, docs)

    assert (null.paso, null.filas_evaluadas, null.filas_fallidas) == (False, 3, 1)
    assert null.explicacion == "Toda zona tiene número. No cumplen 1 de 3 filas."
    assert (listed.paso, listed.severidad, listed.filas_fallidas) == (False, "advertencia", 1)
    assert (unique.paso, unique.filas_fallidas) == (False, 2)
    assert (columns.paso, count.paso) == (True, True)
    pages = [page.read_text(encoding="utf-8") for page in docs.rglob("*.html")]
    assert any("La cuenca es una de las conocidas." in page for page in pages)
    password = urlsplit(warehouse_url).password or ""
    assert len(password) > 10
    for page in pages:
        assert "persona-secreta" not in page
        assert password not in page


def test_a_missing_column_fails_its_check_and_leaves_others_unknown(
    zones, suite, warehouse_url, tmp_path
) -> None:
    zones.execute("alter table prueba_gx.dim_zona drop column cuenca")

    results = run_suite(suite, warehouse_url, tmp_path / "calidad")

    assert [result.paso for result in results] == [True, None, None, False, False]
    assert results[1].explicacion.endswith("falta la columna cuenca o algo que la regla necesita.")
    assert results[3].explicacion.endswith("Faltan columnas: cuenca.")
    assert results[4].explicacion.endswith("Se encontraron 0 filas.")


def test_a_mart_that_was_not_built_is_unknown(suite, warehouse_url, tmp_path) -> None:
    results = run_suite(suite, warehouse_url, tmp_path / "calidad")
    assert {result.paso for result in results} == {None}
    assert results[0].explicacion.endswith("La tabla prueba_gx.dim_zona no existe todavía.")


def test_a_window_looks_at_the_newest_days_only(zones, warehouse_url, tmp_path) -> None:
    zones.execute(
        "create table prueba_gx.fct_consumo as select dia::date as dia,"
        " case when dia < '2026-06-01' then -1 else 1 end as litros"
        " from generate_series('2026-01-01'::date, '2026-06-30', '1 day') as dia"
    )
    text = """
mart: prueba_gx.fct_consumo
ventana: {columna: dia, dias: 10}
expectativas:
  - tipo: expect_column_values_to_be_between
    argumentos: {column: litros, min_value: 0}
    severidad: bloqueante
    dimension: validez
    explicacion: El consumo no es negativo.
"""
    suite = write(tmp_path, text)
    (result,) = run_suite(suite, warehouse_url, tmp_path / "calidad")
    assert (result.paso, result.filas_evaluadas) == (True, 11)

    zones.execute("create table prueba_gx.otra as select '2026-06-04'::date as dia")
    dated = write(tmp_path, text.replace("dias: 10", "dias: 10, hasta: otra"))
    (result,) = run_suite(dated, warehouse_url, tmp_path / "calidad")
    assert (result.paso, result.filas_evaluadas) == (False, 37), "from ten days before that day"

    zones.execute("truncate prueba_gx.fct_consumo")
    (result,) = run_suite(suite, warehouse_url, tmp_path / "calidad")
    assert (result.paso, result.filas_evaluadas) == (True, 0)


def test_an_expectation_may_speak_of_some_rows_only(zones, warehouse_url, tmp_path) -> None:
    zones.execute("alter table prueba_gx.dim_zona add column oculta boolean")
    zones.execute(
        "insert into prueba_gx.dim_zona values"
        " (3, 'Ciudad', 'A', false), (12, 'Vistalba', 'B', false), (null, 'Ciudad', 'C', true)"
    )
    suite = write(
        tmp_path,
        """
mart: prueba_gx.dim_zona
expectativas:
  - tipo: expect_column_values_to_be_between
    argumentos: {column: zona_id, min_value: 10}
    donde: {columna: cuenca, valores: [Vistalba, Drummond]}
    severidad: bloqueante
    dimension: validez
    explicacion: Solo en esas cuencas.
  - tipo: expect_column_values_to_be_null
    argumentos: {column: zona_id}
    donde: {columna: oculta, valores: [true]}
    severidad: bloqueante
    dimension: consistencia
    explicacion: Lo oculto no lleva número.
  - tipo: expect_column_values_to_be_between
    argumentos: {column: zona_id, min_value: 10}
    severidad: bloqueante
    dimension: validez
    explicacion: En todas.
""",
    )
    some, hidden, every = run_suite(suite, warehouse_url, tmp_path / "calidad")
    assert (some.paso, some.filas_evaluadas) == (True, 1)
    assert (hidden.paso, hidden.filas_evaluadas) == (True, 1)
    assert (every.paso, every.filas_fallidas) == (False, 1)
    assert some.control != every.control


# What fails of the rows below, by kind of expectation. Together, every kind that speaks of rows.
SAMPLES = {
    "expect_column_values_to_be_between {column: desde, max_value: 20}": [4],
    "expect_column_values_to_not_be_null {column: hasta}": [3],
    "expect_column_values_to_be_null {column: cuenca}": [1, 2, 4, 5],
    "expect_column_values_to_be_in_set {column: cuenca, value_set: [Ciudad, Sur]}": [5],
    "expect_column_values_to_not_be_in_set {column: cuenca, value_set: [Sur]}": [2, 4],
    "expect_column_values_to_match_regex {column: cuenca, regex: '^[A-Z]'}": [5],
    "expect_column_value_lengths_to_be_between {column: cuenca, max_value: 3}": [1, 5],
    "expect_column_values_to_be_unique {column: hasta}": [1, 4],
    "expect_compound_columns_to_be_unique {column_list: [hasta, secreto]}": [1, 4],
    "expect_column_pair_values_a_to_be_greater_than_b {column_A: hasta, column_B: desde}": [4],
    "expect_column_pair_values_to_be_equal {column_A: desde, column_B: hasta}": [1, 2, 3, 4, 5],
    "expect_multicolumn_sum_to_equal {column_list: [desde, hasta], sum_total: 3}": [2, 4, 5],
}
ROWS_BY_KEY = """
create table prueba_gx.periodo (
    periodo_id int, zona text, desde int, hasta int, cuenca text, secreto text);
insert into prueba_gx.periodo values
    (5, 'Sur', 1, 4, 'otra', 'e'), (3, 'Norte', 5, null, null, 'c'),
    (1, 'Norte', 1, 2, 'Ciudad', 'x'), (4, 'Sur', 30, 2, 'Sur', 'x'), (2, 'Norte', 2, 3, 'Sur', 'b')
"""


def rule(declared: str, more: str = "") -> str:
    kind, _, arguments = declared.partition(" ")
    return f"""
  - tipo: {kind}
    argumentos: {arguments}{more}
    severidad: advertencia
    dimension: validez
    explicacion: Una regla.
"""


def periods(tmp_path: Path, *rules: str, key: tuple[str, ...] = ("periodo_id",)) -> Suite:
    text = "mart: prueba_gx.periodo\nexpectativas:" + "".join(rules)
    return replace(write(tmp_path, text), clave=key)


def test_what_fails_is_named_by_its_key_whatever_the_kind_and_by_nothing_else(
    zones, warehouse_url, tmp_path
) -> None:
    zones.execute(ROWS_BY_KEY)
    only = "\n    donde: {columna: zona, valores: [Sur]}"
    declared = [rule(text) for text in SAMPLES]
    declared += [rule(text, only) for text in SAMPLES if "unique" not in text]
    suite = periods(tmp_path, *declared)

    results = run_suite(suite, warehouse_url, tmp_path / "calidad")

    south = [[n for n in keys if n > 3] for kind, keys in SAMPLES.items() if "unique" not in kind]
    assert [[row["periodo_id"] for row in result.muestra] for result in results] == [
        *SAMPLES.values(), *south,
    ]  # fmt: skip
    assert all(set(row) == {"periodo_id"} for result in results for row in result.muestra)
    assert [result.filas_fallidas for result in results] == [
        len(result.muestra) for result in results
    ]


def test_every_kind_of_rule_that_the_suites_hold_names_rows_or_speaks_of_a_whole_table() -> None:
    named = {text.partition(" ")[0] for text in SAMPLES}
    held = {e.tipo for suite in load_suites().values() for e in suite.expectativas}
    assert all(kind in named or kind.startswith("expect_table_") for kind in held)


def test_a_sample_of_keys_is_short_complete_and_never_at_the_cost_of_the_verdict(
    zones, warehouse_url, tmp_path
) -> None:
    zones.execute(ROWS_BY_KEY)
    between = rule("expect_column_values_to_be_between {column: desde, max_value: 0}")
    docs = tmp_path / "calidad"

    whole_key = periods(tmp_path, between, key=("zona", "periodo_id"))
    [two] = run_suite(whole_key, warehouse_url, docs)
    [without] = run_suite(periods(tmp_path, between, key=()), warehouse_url, docs)
    [gone] = run_suite(periods(tmp_path, between, key=("no_esta",)), warehouse_url, docs)
    zones.execute(
        "insert into prueba_gx.periodo select n, 'Sur', n, n from generate_series(100, 900) n"
    )
    [many] = run_suite(periods(tmp_path, between), warehouse_url, docs)

    assert two.muestra[0] == {"zona": "Norte", "periodo_id": 1}
    assert (without.paso, without.muestra, gone.paso, gone.muestra) == (False, (), False, ())
    assert (many.filas_fallidas, len(many.muestra)) == (806, 10)
    assert [row["periodo_id"] for row in many.muestra[:6]] == [1, 2, 3, 4, 5, 100]


def test_one_validator_runs_many_suites_and_builds_pages_once(
    zones, suite, warehouse_url, tmp_path
) -> None:
    docs = tmp_path / "calidad"
    docs.mkdir()
    (docs / "de_la_vez_anterior.html").touch()
    with MartValidator(warehouse_url, docs, run_id="corrida-7") as validator:
        for _ in range(3):
            assert len(validator.run(suite)) == 5
        index = validator.build_docs()

    assert index == docs / "index.html"
    assert not (docs / "de_la_vez_anterior.html").exists()
    assert any("corrida-7" in str(page) for page in docs.rglob("*.html"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".calidad")] == []


def test_a_warehouse_that_does_not_answer_is_named_without_its_password(tmp_path) -> None:
    with pytest.raises(SuiteError) as caught:
        MartValidator("postgresql://lector:clavesecreta@127.0.0.1:1/x", tmp_path / "calidad")
    assert "127.0.0.1:1" in str(caught.value)
    assert "clavesecreta" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_sent_anywhere(warehouse_url, tmp_path) -> None:
    with MartValidator(warehouse_url, tmp_path / "calidad") as validator:
        assert validator._context.variables.config.analytics_enabled is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mart: prueba_gx.dim_zona", "mart: dim_zona"), "`mart` debe ser"),
        (("severidad: advertencia", "severidad: grave"), "`severidad` debe ser una de"),
        (("dimension: unicidad", "dimension: belleza"), "`dimension` debe ser una de"),
        (("explicacion: Toda zona tiene número.", "explicacion: ''"), "falta `explicacion`"),
        (("tipo: expect_column_values_to_be_in_set", "tipo: en_lista"), "empezar con expect_"),
        (("descripcion:", "descripsion:"), "claves desconocidas: descripsion"),
        (("    severidad: advertencia", "    seberidad: advertencia"), "claves desconocidas"),
        (("mart: prueba_gx.dim_zona", "mart: a.b\nventana: {dias: 3}"), "`ventana` necesita"),
        (("expectativas:", "expectativas: [\n"), "no se puede leer"),
        (
            ("    severidad: advertencia", "    donde: {columna: x}\n    severidad: advertencia"),
            "lista",
        ),
    ],
)
def test_a_mistake_in_a_suite_is_named_with_its_file(tmp_path, change, message) -> None:
    with pytest.raises(SuiteError, match=message) as caught:
        write(tmp_path, SUITE.replace(*change, 1))
    assert "prueba_gx__suite.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("expect_column_values_to_be_in_set", "expect_no_such_thing"), "no conoce"),
        (("value_set: [Ciudad, Vistalba]", "value_list: [a]"), "argumentos no válidos"),
    ],
)
def test_a_type_or_argument_that_does_not_exist_stops_the_suite(
    zones, warehouse_url, tmp_path, change, message
) -> None:
    suite = write(tmp_path, SUITE.replace(*change, 1))
    with pytest.raises(SuiteError, match=message):
        run_suite(suite, warehouse_url, tmp_path / "calidad")


def test_a_mistake_in_a_file_is_of_its_mart_alone(zones, warehouse_url, tmp_path) -> None:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "prueba_gx__dim_zona.yaml").write_text(SUITE, encoding="utf-8")
    (folder / "prueba_gx__otro.yaml").write_text(SUITE.replace("tipo", "tpo"), encoding="utf-8")
    (folder / "prueba_gx__roto.yaml").write_text("mart: [", encoding="utf-8")
    suites = load_suites(folder)

    assert [mart for mart, suite in suites.items() if suite.problema] == [
        "prueba_gx.otro", "prueba_gx.roto",
    ]  # fmt: skip
    assert len(run_suite(suites["prueba_gx.dim_zona"], warehouse_url, tmp_path / "calidad")) == 5
    with pytest.raises(SuiteError, match=r"prueba_gx__roto\.yaml: no se puede leer"):
        run_suite(suites["prueba_gx.roto"], warehouse_url, tmp_path / "calidad")

    (folder / "notas.yaml").write_text("x", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"notas\.yaml"):
        load_suites(folder)


def test_two_files_for_one_mart_are_refused(tmp_path) -> None:
    write(tmp_path, SUITE)
    (tmp_path / "suites" / "prueba_gx__z.yaml").write_text(SUITE, encoding="utf-8")
    [suite] = load_suites(tmp_path / "suites").values()
    assert suite.problema and "ya tiene expectativas" in str(suite.problema)

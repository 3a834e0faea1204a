"""What a dbt test says of the rows behind it: how many it looked at, which fail, whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from expectations.results import CheckResult
from orchestration import dbt_rows
from orchestration.dbt_project import manifest, relations, row_key
from orchestration.dbt_rows import with_rows
from orchestration.dbt_verdicts import dbt_test_results
from orchestration.warehouse import connection as connection_module
from orchestration.warehouse.connection import RowCount, Warehouse
from tests.support.marts import make_mart

Connection = psycopg.Connection[Any]
AXES = "proyectos.dim_eje"


@pytest.fixture
def marts(warehouse: Warehouse) -> Iterator[Connection]:
    """Three axes, one of them named twice, in a mart as dbt would leave it."""
    with warehouse.connect() as connection:
        make_mart(connection, AXES)
        connection.execute(
            "insert into proyectos.dim_eje (eje_id, eje_nombre) values "
            "(1, 'Agua'), (2, 'Agua'), (3, null)"
        )
        yield connection


def made(kind: str, query: str, *, column: str | None = None, **config: Any) -> dict[str, Any]:
    """A generic test of `kind` on the axes, as the manifest would hold it, and what dbt ran."""
    name = f"{kind}_prueba"
    node = {
        "unique_id": f"test.lujan.{name}", "resource_type": "test", "name": name,
        "attached_node": relations()[AXES]["unique_id"], "column_name": column,
        "test_metadata": {"name": kind, "kwargs": {}}, "config": {"meta": {}} | config,
    }  # fmt: skip
    return {"node": node, "unique_id": node["unique_id"], "status": "fail", "failures": 1,
            "compiled_code": query}  # fmt: skip


def of_project(name: str, query: str, status: str = "fail") -> dict[str, Any]:
    """A test that the project has, which ended so and ran the query."""
    [node] = [n for n in manifest()["nodes"].values() if n["name"].startswith(name)]
    return {"unique_id": node["unique_id"], "status": status, "failures": int(status == "fail"),
            "compiled_code": query}  # fmt: skip


def judged(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, *results: dict[str, Any],
    counted: dict[str, RowCount] | None = None,
) -> list[CheckResult]:  # fmt: skip
    for result in results:
        if "node" in result:
            monkeypatch.setitem(manifest()["nodes"], result["unique_id"], result["node"])
    ran = {"results": results}
    found = with_rows(connection, ran, dbt_test_results(ran), counted)
    assert connection.execute("select 1").fetchone() == (1,), "the transaction goes on"
    assert connection.execute("show statement_timeout").fetchone() == ("0",)
    return found


KINDS = {
    "not_null": ("select eje_nombre from proyectos.dim_eje where eje_nombre is null", [3]),
    "accepted_values": (
        "select value_field, n_records from (select eje_nombre as value_field, count(*) as "
        "n_records from proyectos.dim_eje group by 1) v where value_field not in ('Tierra')",
        [1, 2],
    ),
    "unique": (
        "select eje_nombre as unique_field, count(*) as n_records from proyectos.dim_eje "
        "where eje_nombre is not null group by 1 having count(*) > 1",
        [1, 2],
    ),
    "expresion_nuestra": ("select * from proyectos.dim_eje where eje_id > 2 -- las de más", [3]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_is_named_by_the_key_of_the_mart_and_by_no_value(
    marts: Connection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    query, expected = KINDS[kind]

    [found] = judged(marts, monkeypatch, made(kind, query, column="eje_nombre"))

    assert list(found.muestra) == [{"eje_id": n} for n in expected]
    assert found.filas_evaluadas == 3


def test_a_reference_to_nothing_is_named_beside_the_row_that_makes_it(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "select eje_nombre as from_field from proyectos.dim_eje where eje_nombre is not null"

    [found] = judged(marts, monkeypatch, made("relationships", query, column="eje_nombre"))

    assert found.muestra[0] == {"eje_id": 1, "eje_nombre": "Agua"}


def test_a_condition_of_the_test_is_one_of_its_rows_too(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "select eje_nombre as unique_field from proyectos.dim_eje where eje_id < 2"
    test = made("unique", query, column="eje_nombre", where="eje_id < 2")

    [found] = judged(marts, monkeypatch, test, counted={AXES: RowCount(3, counted=True)})

    assert (found.muestra, found.filas_evaluadas) == (({"eje_id": 1},), 1)


def test_a_test_of_a_key_names_it_and_one_that_cannot_be_asked_any_more_stands_alone(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = of_project(
        "clave_unica_dim_eje", "select n as eje_id, 2 as filas from generate_series(1, 40) n"
    )
    gone = of_project("clave_unica_dim_zona", "select zona_id, 2 as filas from agua.no_esta")

    by_key, without = judged(marts, monkeypatch, repeated, gone)

    assert list(by_key.muestra) == [{"eje_id": n} for n in range(1, 11)]
    assert (without.paso, without.muestra, without.filas_evaluadas) == (False, (), None)
    assert "la tabla ya no está" in without.explicacion


def test_sums_that_do_not_match_are_named_as_the_test_says(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = of_project(
        "nada_se_pierde_en_proyectos",
        "select 'eje' as nivel, 'hitos' as que, 5 as esperado, 4 as obtenido",
    )

    found = judged(marts, monkeypatch, broken)

    assert len(found) > 5, "one verdict of each relation it reads"
    assert all(item.muestra == ({"nivel": "eje", "que": "hitos"},) for item in found)


def test_a_run_in_which_all_passes_does_not_pay_for_samples(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_rows, "_failing_keys", lambda *_: pytest.fail("asked on green"))
    passed = of_project("clave_unica_dim_eje", "select 1 / 0", status="pass")

    [found] = judged(marts, monkeypatch, passed, counted={AXES: RowCount(6, counted=True)})

    assert (found.paso, found.muestra, found.filas_evaluadas) == (True, (), 6)


def test_a_view_is_counted_in_the_days_that_its_test_looks_at(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    marts.execute(
        "create schema if not exists agua; create view agua.fct_consumo_diario_cuenta as "
        "select 1 as cuenta_id, dia::date from generate_series(date '2026-01-01', "
        "'2026-06-30', '1 day') dia"
    )
    query = (
        "select\n    cuenta_id, dia,\n    count(*) as filas\nfrom agua.fct_consumo_diario_cuenta\n"
        "where dia >= date '2026-06-30' - 35\ngroup by cuenta_id, dia\nhaving count(*) > 1"
    )

    [found] = judged(
        marts, monkeypatch, of_project("clave_unica_fct_consumo_diario_cuenta", query, "pass")
    )

    assert found.filas_evaluadas == 36


def test_a_number_that_is_no_count_says_so_and_one_that_takes_too_long_is_not_known(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = of_project("clave_unica_dim_eje", "", "pass")
    [about] = judged(marts, monkeypatch, passed, counted={AXES: RowCount(7_000_000, counted=False)})
    assert about.filas_evaluadas == 7_000_000
    assert "estimación de PostgreSQL" in about.explicacion

    marts.execute("analyze proyectos.dim_eje")
    monkeypatch.setattr(connection_module, "COUNTED_ROWS", 2)
    [estimated] = judged(marts, monkeypatch, passed)
    assert (estimated.filas_evaluadas, "estimación" in estimated.explicacion) == (3, True)

    marts.execute(
        "create schema if not exists agua; create view agua.alerta_agua as "
        "select pg_sleep(5)::text as alerta_id"
    )
    monkeypatch.setattr(dbt_rows, "_PATIENCE_S", 0.1)
    slow = of_project("clave_unica_alerta_agua", "", "pass")
    [unknown] = judged(marts, monkeypatch, slow)
    assert (unknown.paso, unknown.filas_evaluadas) == (True, None)
    assert "sin dato (contarlas lleva" in unknown.explicacion


def test_a_test_that_could_not_run_looked_at_nothing(
    marts: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = of_project("clave_unica_dim_eje", "select 1", "error")
    [found] = judged(marts, monkeypatch, broken, counted={AXES: RowCount(6, counted=True)})
    assert (found.paso, found.filas_evaluadas, found.muestra) == (None, None, ())


def test_a_key_that_is_personal_names_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert row_key(AXES) == ("eje_id",)
    assert row_key("referencia.temas") == ("tema_codigo",), "as its own test says"
    declared = relations()[AXES]["columns"]["eje_id"]
    monkeypatch.setitem(declared["config"]["meta"], "clasificacion", "sensible")
    assert row_key(AXES) == ()
    [test] = [
        n for n in manifest()["nodes"].values() if n["name"].startswith("clave_unica_dim_eje")
    ]
    assert dbt_rows._failing_rows(AXES, test, "select 1")[0] == ()


def test_every_test_of_the_project_can_name_what_fails() -> None:
    for node in manifest()["nodes"].values():
        if node["resource_type"] == "test":
            relation = dbt_test_results({"results": [
                {"unique_id": node["unique_id"], "status": "fail", "failures": 1}
            ]})[0].objeto  # fmt: skip
            columns, _ = dbt_rows._failing_rows(relation, node, "select 1")
            assert columns, node["name"]
            if not node.get("attached_node"):
                assert node["config"]["meta"]["claves"], "columns of its own, chosen to be shown"


def test_no_test_names_rows_by_personal_data() -> None:
    personal = {"documento", "cuil", "apellido", "nombre", "domicilio", "correo", "telefono"}
    tests = [n for n in manifest()["nodes"].values() if n["resource_type"] == "test"]
    named = {
        column
        for node in tests
        for column in (
            *(((node.get("test_metadata") or {}).get("kwargs") or {}).get("columnas") or ()),
            *(node["config"]["meta"].get("claves") or ()),
        )
    }
    assert named and not named & personal


def test_every_test_of_dbt_says_in_spanish_what_it_asks_and_what_it_found() -> None:
    for node in manifest()["nodes"].values():
        if node["resource_type"] == "test":
            ran = {
                "unique_id": node["unique_id"],
                "status": "fail",
                "failures": 2,
                "message": "Got",
            }
            words = dbt_test_results({"results": [ran]})[0].explicacion
            assert words.endswith(": 2 fallas.") and node["name"] not in words
    key = of_project("clave_unica_kpi_cumplimiento_eje", "", "pass")
    assert dbt_test_results({"results": [key]})[0].explicacion == "La clave (eje_id) no se repite."


def test_every_test_of_dbt_has_somebody_who_answers_for_it() -> None:
    tests = [n for n in manifest()["nodes"].values() if n["resource_type"] == "test"]
    results = {
        "results": [{"unique_id": n["unique_id"], "status": "fail", "failures": 1} for n in tests]
    }
    found = dbt_test_results(results)
    assert {r.control for r in found if not r.responsable} == set()
    staging = {r.responsable for r in found if r.objeto == "staging.stg_telemetria__lecturas"}
    assert staging == {"Obras Públicas"}, "whom the contract of the readings names"

"""Corrections are counted by load and kept, whatever becomes of the rows afterwards."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from expectations.corrections import Correction, corrections, record_corrections
from orchestration import settings as settings_module
from orchestration.cli import main
from orchestration.warehouse.connection import Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]
JUNE, JULY = dt.date(2026, 6, 1), dt.date(2026, 7, 1)

# As the models make them; the view is that of dbt_project/models/marts/calidad.
MODELS = """
create table calidad.fct_correccion (dataset text, clave text, columna text, regla_id text,
    queda_sin_dato boolean, carga_id bigint);
create table referencia.reglas_limpieza (regla_id text, nombre text, descripcion text,
    dimension text, reversion text);
insert into referencia.reglas_limpieza values
    ('R-TEXTO-02', 'Espacios normalizados', 'Espacios de más.', 'validez', 'original'),
    ('R-CODIGO-02', 'Código no reconocido', 'No está en la lista.', 'validez', 'original'),
    ('R-CLAVE-01', 'Referencia inexistente', 'x', 'consistencia', 'no_corrige');
create view calidad.fct_correccion_mensual as
select c.dataset, date_trunc('month', c.cargado_en at time zone 'America/Argentina/Mendoza')::date
    as mes, c.regla_id, max(r.nombre) as regla_nombre, c.columna, sum(c.valores)::bigint as valores,
    sum(c.sin_dato)::bigint as sin_dato, count(*) as cargas, max(c.cargado_en) as ultima_carga
from meta.correccion c left join referencia.reglas_limpieza r using (regla_id) group by 1, 2, 3, 5;
"""


@pytest.fixture
def city(warehouse: Warehouse) -> Iterator[Connection]:
    """Two loads: one in the last hour of June in Mendoza (July in Greenwich), one in July."""
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(MODELS.encode())
        for when in ("2026-07-01 02:30:00+00", "2026-07-10 12:00:00+00"):
            connection.execute(
                "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
                "contrato_sha256, inicio, fin) values ('c', 'mlc.ejes', 'cargada', 'full', '1', "
                "'x', %(when)s, %(when)s)",
                {"when": when},
            )
        yield connection


def built(connection: Connection, state: str = "ok") -> None:
    connection.execute(
        "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
        "ultima_carga_id) values ('c', 'calidad.fct_correccion', 'n', %s, '', 0)",
        [state],
    )


def corrected(connection: Connection, *rows: tuple[str, str, int]) -> None:
    """The models now hold these corrections: key, rule, load."""
    connection.execute("truncate calidad.fct_correccion")
    for key, rule, load in rows:
        connection.execute(
            "insert into calidad.fct_correccion values ('mlc.ejes', %s, 'nombre', %s, %s, %s)",
            [key, rule, rule.endswith("02") and "CODIGO" in rule, load],
        )
    built(connection)
    record_corrections(connection)


def counts(found: list[Correction]) -> list[tuple[str, int, int]]:
    return [(item.regla_id, item.valores, item.sin_dato) for item in found]


def test_a_month_of_the_city_is_one_question(city: Connection) -> None:
    corrected(city, ("1", "R-TEXTO-02", 1), ("2", "R-TEXTO-02", 1), ("3", "R-CODIGO-02", 2))

    assert counts(corrections(city, JUNE)) == [("R-TEXTO-02", 2, 0)]
    assert counts(corrections(city, dt.date(2026, 7, 31), "mlc.ejes")) == [("R-CODIGO-02", 1, 1)]
    assert corrections(city, JULY, "mlc.otro") == []


def test_what_is_put_right_at_its_source_was_corrected_all_the_same(city: Connection) -> None:
    corrected(city, ("1", "R-TEXTO-02", 1), ("2", "R-TEXTO-02", 1))
    corrected(city, ("2", "R-TEXTO-02", 1), ("1", "R-CODIGO-02", 2))

    assert counts(corrections(city, JUNE)) == [("R-TEXTO-02", 2, 0)]
    assert counts(corrections(city, JULY)) == [("R-CODIGO-02", 1, 1)]


def test_counting_again_counts_nothing_twice(city: Connection) -> None:
    corrected(city, ("1", "R-TEXTO-02", 1))

    assert record_corrections(city) == 0
    assert counts(corrections(city, JUNE)) == [("R-TEXTO-02", 1, 0)]


def test_models_that_failed_are_not_counted(city: Connection) -> None:
    assert record_corrections(city) == 0
    city.execute(
        "insert into calidad.fct_correccion values ('a.b', '1', 'c', 'R-TEXTO-02', false, 1)"
    )
    built(city, "error")
    assert record_corrections(city) == 0


@pytest.fixture
def lujan(  # type: ignore[misc]
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("COLUMNS", "80")
    settings_module.settings.cache_clear()

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(main, "console", Console())
        return CliRunner().invoke(main.app, ["corrections", *arguments])

    yield run  # type: ignore[misc]
    settings_module.settings.cache_clear()


def test_the_command_tells_a_month_and_the_rules(
    city: Connection, lujan: Callable[..., Result]
) -> None:
    corrected(city, ("1", "R-TEXTO-02", 1), ("2", "R-CODIGO-02", 1))

    june = " ".join(lujan("mlc.ejes", "--month", "2026-06").output.split())
    assert "mlc.ejes · 2 valores corregidos" in june
    assert "1 nombre: Código no reconocido (R-CODIGO-02), 1 quedó sin dato" in june
    assert "no necesitaron correcciones" in lujan("mlc.ejes", "--month", "2026-05").output
    document = json.loads(lujan("--month", "2026-06", "--json").output)
    assert [item["regla_id"] for item in document] == ["R-CODIGO-02", "R-TEXTO-02"]
    rules = lujan("--rules").output
    assert "R-TEXTO-02" in rules and "vuelve el valor como llegó" in rules
    assert "R-CLAVE-01" not in rules
    wrong = lujan("--month", "junio")
    assert wrong.exit_code == 2 and "aaaa-mm" in wrong.output


def test_before_the_first_run_it_says_what_to_do(lujan: Callable[..., Result]) -> None:
    assert "lujan run" in str(lujan().exception)

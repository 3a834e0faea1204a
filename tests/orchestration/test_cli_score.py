"""`lujan score` as a person at the terminal meets it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration import settings as settings_module
from orchestration.cli import main
from orchestration.warehouse.connection import Warehouse

Lujan = Callable[..., Result]

# The columns that the command reads, as the models make them.
MODELS = """
create table calidad.kpi_calidad_dataset (dataset text, secretaria text, puntaje numeric,
    cobertura_pct numeric, cumple_estandar boolean, motivo_estandar text);
insert into calidad.kpi_calidad_dataset values
    ('aguas.zonas', 'Obras Públicas', 99.5, 100, true, 'Cumple.'),
    ('aguas.cuentas', 'Obras Públicas', 60, 75, false, 'No llega al mínimo en: validez.'),
    ('aguas.nueva', null, null, 0, null, 'No se midió nada.');
create table calidad.kpi_calidad_secretaria (secretaria text, conjuntos integer, cumplen integer,
    no_cumplen integer, sin_saber integer, puntaje_medio numeric);
insert into calidad.kpi_calidad_secretaria values
    ('Obras Públicas', 2, 1, 1, 0, 79.75), ('(sin dato)', 1, 0, 0, 1, null);
create table calidad.fct_punto_perdido (dataset text, dimension text, regla text, regla_nombre text,
    columna text, filas_fallidas bigint, puntos_perdidos numeric, siguiente_paso text);
insert into calidad.fct_punto_perdido values
    ('aguas.cuentas', 'validez', 'R-CODIGO-02', 'Código no reconocido', 'categoria', 12, 15,
     'Corrija el valor.'),
    ('aguas.cuentas', 'exactitud', 'sin_medir', 'Dimensión sin medir', null, null, 25, 'Agregue.');
insert into meta.puntaje_estandar (dia, dataset, puntaje, cobertura_pct, cumple_estandar, motivo,
    corrida_id) values ('2026-06-01', 'aguas.cuentas', 58, 75, false, 'x', 'c');
"""


@pytest.fixture
def lujan(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Lujan:  # type: ignore[misc]
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()

    def run(*arguments: str, width: int = 80) -> Result:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(main, "console", Console())
        return CliRunner().invoke(main.app, ["score", *arguments])

    yield run  # type: ignore[misc]
    settings_module.settings.cache_clear()


@pytest.fixture
def measured(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(MODELS.encode())


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def test_every_secretariat_with_what_is_not_known_apart(lujan: Lujan, measured: None) -> None:
    words = flat(lujan())

    assert "Obras Públicas 1 de 2 cumplen el estándar; puntaje medio 79,75" in words
    assert "60,00 no cumple aguas.cuentas No llega al mínimo en: validez." in words
    assert "(sin dato) 0 de 1 cumplen el estándar, 1 sin saber; puntaje medio sin dato" in words
    assert "sin dato no se sabe aguas.nueva" in words
    assert "aguas.nueva" not in lujan("--area", "obras").output


@pytest.mark.parametrize("width", [80, 120])
def test_one_data_set_with_each_lost_point_what_to_do_and_its_history(
    lujan: Lujan, measured: None, width: int
) -> None:
    result = lujan("aguas.cuentas", width=width)

    words = flat(result)
    assert "aguas.cuentas · 60,00 de 100 · no cumple" in words
    assert "−15,0000 validez: Código no reconocido (R-CODIGO-02) · categoria · 12 filas" in words
    assert "qué hacer: Corrija el valor." in words and "(sin_medir)" in words
    assert "01/06/2026 58,00 no cumple" in words
    assert max(map(len, result.output.splitlines())) <= width
    assert "No perdió ningún punto" in lujan("aguas.zonas").output


def test_json_keeps_the_unknown_as_null(lujan: Lujan, measured: None) -> None:
    document = {item["dataset"]: item for item in json.loads(lujan("--json").output)}
    assert document["aguas.nueva"]["puntaje"] is None
    assert document["aguas.cuentas"]["puntaje"] == 60
    one = json.loads(lujan("aguas.cuentas", "--json").output)
    assert [item["puntos_perdidos"] for item in one["perdidos"]] == [25, 15]


def test_what_was_not_measured_is_said(lujan: Lujan) -> None:
    assert "lujan run" in str(lujan().exception)


def test_an_unknown_data_set_is_said(lujan: Lujan, measured: None) -> None:
    assert "aguas.cuenta" in str(lujan("aguas.cuenta").exception)

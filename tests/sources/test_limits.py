"""What a raw table cannot hold costs that row, or that table's load; never the loads of others."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from sources.landing import LoadContext, LoadReport, load, partitions
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract


@pytest.fixture
def load_csv(warehouse: Warehouse, tmp_path: Path) -> Callable[..., LoadReport]:
    """Writes a file of these lines and loads it."""
    folder = tmp_path / "archivos"
    folder.mkdir()

    def run(columns: list[dict[str, Any]], *lines: str, **options: Any) -> LoadReport:
        (folder / "a.csv").write_text("\n".join([*lines, ""]))
        contract = make_contract(tmp_path, "csv", columns, pattern="a.csv", **options)
        context = LoadContext(connect=warehouse.connect, run_id="prueba")
        return load(contract, SourceUrl.parse(str(folder)), context, [])

    return run


def rows(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def test_a_key_longer_than_an_index_holds_is_set_aside_and_the_others_enter(
    warehouse: Warehouse, load_csv: Callable[..., LoadReport]
) -> None:
    # Not to be compressed: an index would take 9,000 equal letters.
    long = "".join(random.Random(7).choices(string.ascii_letters, k=9_000))
    columns = [column("codigo", key=True), column("valor")]

    report = load_csv(columns, "codigo,valor", f"{long},1", "b,2", loadMode="full")

    assert (report.loaded, dict(report.reasons)) == (1, {"clave_demasiado_larga": 1})
    assert rows(warehouse, "select codigo from raw.prueba__tabla") == [("b",)]
    [(kept,)] = rows(warehouse, "select fila ->> 'codigo' from quarantine.fila")
    assert kept == long


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_a_date_of_no_month_is_set_aside_and_the_others_enter(
    warehouse: Warehouse, load_csv: Callable[..., LoadReport], kind: str
) -> None:
    columns = [column("id", "integer"), column("hasta", kind)]

    report = load_csv(
        columns, "id,hasta", "1,9999-12-31", "2,2026-06-01", "3,0001-01-01", "4,2199-12-31",
        partitionBy="hasta",
    )  # fmt: skip

    assert (report.loaded, dict(report.reasons)) == (2, {"mes_imposible": 2})
    assert rows(warehouse, "select id from raw.prueba__tabla order by 1") == [(2,), (4,)]


def test_dates_of_too_many_months_are_refused_in_words(
    load_csv: Callable[..., LoadReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MOST_MONTHS", 2)
    columns = [column("dia", "date")]

    report = load_csv(columns, "dia", "2026-01-01", "2026-02-01", "1926-03-01", partitionBy="dia")

    assert report.state == "fallida"
    assert "1926-03" in str(report.errors[0])
    assert "partitionBy" in report.errors[0].next_step


def test_a_row_too_wide_for_the_warehouse_fails_its_table_and_no_other(
    warehouse: Warehouse, load_csv: Callable[..., LoadReport]
) -> None:
    names = [f"c{number}" for number in range(1_100)]
    columns = [column(name, "bigint") for name in names]

    report = load_csv(columns, ",".join(names), ",".join("1" for _ in names))

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "no entra en una tabla de PostgreSQL" in message
    assert "Secretaría de Prueba" in message
    assert rows(warehouse, "select estado from meta.carga") == [("fallida",)]

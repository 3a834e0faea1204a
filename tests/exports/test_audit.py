"""Hidden cells stay hidden: ranges by arithmetic, and what the marts' own suppression leaves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import jinja2
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports import files
from exports.audit import HiddenSum, exposed, ranges
from exports.disclosure import check_rows
from exports.errors import DisclosureError
from exports.manifest import Manifest
from tests.exports.conftest import Connection, Define

MACROS = Path(__file__).parents[2] / "dbt_project" / "macros" / "poblacion.sql"
GENERAL, SENSITIVE = 5, 10


def test_one_cell_under_a_total_is_told_exactly() -> None:
    assert ranges([HiddenSum(("a",), 7)]) == {"a": (7, 7)}


def test_two_cells_under_a_total_can_be_anything_up_to_it() -> None:
    assert ranges([HiddenSum(("a", "b"), 7)]) == {"a": (0, 7), "b": (0, 7)}
    assert exposed([HiddenSum(("a", "b"), 7)], {"a": 5, "b": 5}) == {}
    assert set(exposed([HiddenSum(("a", "b"), 3)], {"a": 5, "b": 5})) == {"a", "b"}


def test_two_hidden_cells_a_row_do_not_help_when_columns_give_them_back() -> None:
    """Rows hide two each, but one cell is alone in its column: subtraction finds both."""
    sums = [HiddenSum(("a", "b"), 9), HiddenSum(("a", "c"), 12), HiddenSum(("b",), 4)]
    assert {cell: (round(low), round(high)) for cell, (low, high) in ranges(sums).items()} == {
        "a": (5, 5), "b": (4, 4), "c": (7, 7),
    }  # fmt: skip


def test_a_hidden_total_that_is_known_otherwise_gives_its_cells_back() -> None:
    """Under a hidden total 14 are shown and one cell is hidden; elsewhere the total is told: 16."""
    under = HiddenSum(("a",), -14, total="total")
    assert exposed([under], {"a": 5, "total": 5}) == {}
    told = exposed([under, HiddenSum(("total",), 16)], {"a": 5, "total": 5})
    assert told == {"a": pytest.approx((2, 2)), "total": pytest.approx((16, 16))}


def test_totals_that_contradict_each_other_are_no_protection() -> None:
    with pytest.raises(ValueError, match="contradict"):
        ranges([HiddenSum(("a",), 3), HiddenSum(("a", "b"), 2)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=4, max_size=4), st.sets(st.integers(0, 3)))
def test_ranges_are_those_of_trying_every_table(cells: list[int], hidden: set[int]) -> None:
    """A 2×2 table with all its margins published, against every whole-number table."""
    lines = [(0, 1), (2, 3), (0, 2), (1, 3)]
    sums = [
        HiddenSum(tuple(i for i in line if i in hidden), sum(cells[i] for i in line if i in hidden))
        for line in lines
        if any(i in hidden for i in line)
    ]
    possible = [
        table
        for table in itertools.product(range(9), repeat=4)
        if all(table[i] == cells[i] for i in range(4) if i not in hidden)
        and all(sum(table[i] for i in line) == sum(cells[i] for i in line) for line in lines)
    ]
    found = ranges(sums)
    assert found.keys() == hidden
    for cell in hidden:
        values = [table[cell] for table in possible]
        assert found[cell] == pytest.approx((min(values), max(values)))


@pytest.fixture(scope="module")
def suppression() -> str:
    """The marts' own SQL: the macro `suprimir`, over a table of counts called `celdas`."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # SQL, not HTML
    values = {"umbral_celda_general": GENERAL, "umbral_celda_sensible": SENSITIVE}
    module = environment.from_string(
        MACROS.read_text("utf-8"), globals={"var": lambda name: values[name]}
    ).make_module({"var": lambda name: values[name]})
    return str(module.suprimir("celdas", ["grupo"]))  # type: ignore[attr-defined]


Tables = dict[str, list[int]]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 400).flatmap(
        lambda total: st.fixed_dictionaries(
            {
                name: st.lists(st.integers(0, total), min_size=0, max_size=6).map(
                    lambda cuts, total=total: [
                        high - low
                        for low, high in itertools.pairwise([0, *sorted(cuts), total])
                        if high > low
                    ]
                )
                for name in ("distrito", "genero", "banda_edad")
            }
        )
    )
)
def test_nothing_the_marts_hide_comes_back_by_arithmetic(
    bare: psycopg.Connection[Any], suppression: str, tables: Tables
) -> None:
    """Any population in any three one-way tables: every hidden cell keeps its threshold's width."""
    total = sum(tables["genero"])
    rows = [("total", "Total", total)]
    rows += [(name, str(i), n) for name, cells in tables.items() for i, n in enumerate(cells)]
    bare.execute("truncate celdas")
    with bare.cursor() as cursor:
        cursor.executemany("insert into celdas values (1, %s, %s, %s)", rows)
    found = bare.execute(
        f"with {suppression} select dimension, valor, personas, supresion is not null "
        "from protegidas".encode()
    ).fetchall()
    hidden = {(dimension, value) for dimension, value, _, gone in found if gone}
    thresholds = {key: SENSITIVE if key[0] == "genero" else GENERAL for key in hidden}
    for dimension, value, count, gone in found:
        limit = SENSITIVE if dimension == "genero" else GENERAL
        assert gone or count >= limit, (dimension, value, count)
    if ("total", "Total") in hidden:
        assert len(hidden) == len(found)
        return
    sums = []
    for name in tables:
        cells = [(d, v, n) for d, v, n, _ in found if d == name]
        secret = tuple((d, v) for d, v, _ in cells if (d, v) in hidden)
        if secret:
            shown = sum(n for d, v, n in cells if (d, v) not in hidden)
            sums.append(HiddenSum(secret, total - shown))
    assert exposed(sums, thresholds) == {}


@pytest.fixture
def bare(new_database: Any) -> Any:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(
            "create table celdas (grupo int, dimension text, valor text, personas bigint)"
        )
        yield connection


def test_two_hidden_cells_that_add_up_to_little_are_refused(
    connection: Connection, define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    people_resource["divulgacion"] |= {
        "margenes": [["distrito"]],
        "fila_total": {"columna": "genero", "valor": "Total"},
    }
    connection.execute(
        "truncate poblacion.fct_beneficiarios; insert into poblacion.fct_beneficiarios values "
        "('Agrelo', 'Femenino', null, null), ('Agrelo', 'Masculino', null, null), "
        "('Agrelo', 'No binario', 40, 39), ('Agrelo', 'Total', 44, 39)"
    )
    connection.commit()
    definition = define(recursos=[people_resource])
    with (
        pytest.raises(DisclosureError, match=r"2 celdas suprimidas .* se deducen"),
        files.snapshot(connection),
    ):
        check_rows(connection, definition, manifest)
    connection.execute("update poblacion.fct_beneficiarios set n_personas = 55 "
                       "where genero = 'Total'")  # fmt: skip
    connection.commit()
    with files.snapshot(connection):
        check_rows(connection, definition, manifest)


def test_a_total_that_is_not_the_sum_of_its_cells_is_refused(
    connection: Connection, define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    people_resource["divulgacion"] |= {
        "margenes": [["distrito"]],
        "fila_total": {"columna": "genero", "valor": "Total"},
    }
    connection.execute(
        "truncate poblacion.fct_beneficiarios; insert into poblacion.fct_beneficiarios values "
        "('Agrelo', 'Femenino', null, null), ('Agrelo', 'Masculino', null, null), "
        "('Agrelo', 'No binario', 40, 39), ('Agrelo', 'Total', 30, 39)"
    )
    connection.commit()
    with (
        pytest.raises(DisclosureError, match="no coinciden con sus celdas"),
        files.snapshot(connection),
    ):
        check_rows(connection, define(recursos=[people_resource]), manifest)

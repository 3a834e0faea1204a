"""The rows behind a dbt test: how many it looked at, and the keys of some that fail.

Belongs here: what dbt does not say of a test and the warehouse knows. Does not belong here: what
dbt says (`dbt_verdicts.py`), or a test.

Keys of failing rows are asked only of a test that failed, by one more query: a run in which all
passes does not pay for them. A key is what the mart names its rows by, never another column. A test
that compares sums or groups has no row to show; it says in its own configuration which columns of
what it selects name what fails (`meta.claves`), or why it looks at no rows (`meta.sin_filas`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from expectations.results import SAMPLE_SIZE, CheckResult
from orchestration.dbt_project import is_personal, manifest, relations, row_key
from orchestration.warehouse.connection import COUNTED_ROWS, RowCount, count_rows, rows_held
from sources.raw_table import Connection

# What it selects of dbt's own tests of a column: the values that fail, to find their rows again by.
_VALUE_OF = {
    "accepted_values": "value_field", "unique": "unique_field", "relationships": "from_field"
}  # fmt: skip
# Longer than this nothing waits for a sample or the count of a view.
_PATIENCE_S = 30
_ESTIMATED = (
    "filas evaluadas: estimación de PostgreSQL (de una tabla de más de "
    f"{COUNTED_ROWS // 1_000_000} millones no se cuentan en cada corrida)"
)
_TOO_LONG = f"filas evaluadas: sin dato (contarlas lleva más de {_PATIENCE_S} segundos)"


@dataclass(frozen=True, slots=True)
class Looked:
    """Rows a test looked at, None when not known; `note` says what the number is, or why not."""

    rows: int | None
    note: str = ""


def with_rows(
    connection: Connection,
    run_results: Mapping[str, Any],
    verdicts: Sequence[CheckResult],
    counted: Mapping[str, RowCount] | None = None,
) -> list[CheckResult]:
    """The verdicts of dbt tests, with the rows they looked at and keys of some that fail.

    `counted` holds relations ('<schema>.<table>') whose rows are known; others are counted here,
    once each. What cannot be asked any more is left unknown: the verdict stands without it.
    """
    nodes = manifest()["nodes"]
    tests = {
        str(nodes[result["unique_id"]]["name"]): (
            nodes[result["unique_id"]],
            str(result.get("compiled_code") or ""),
        )
        for result in run_results["results"]
        if nodes.get(result["unique_id"], {}).get("resource_type") == "test"
    }
    known: dict[tuple[str, str], Looked] = {
        (relation, ""): _as_looked(count) for relation, count in (counted or {}).items()
    }
    return [
        _with_rows(connection, verdict, *tests[verdict.control], known)
        if verdict.control in tests and verdict.paso is not None
        else verdict
        for verdict in verdicts
    ]


def _with_rows(
    connection: Connection,
    verdict: CheckResult,
    test: Mapping[str, Any],
    compiled: str,
    known: dict[tuple[str, str], Looked],
) -> CheckResult:
    looked = _looked_at(connection, verdict.objeto, test, compiled, known)
    words = verdict.explicacion
    return replace(
        verdict,
        filas_evaluadas=looked.rows,
        explicacion=f"{words.rstrip('.')}; {looked.note}." if looked.note else words,
        muestra=()
        if verdict.paso or not compiled
        else _failing_keys(connection, verdict.objeto, test, compiled),
    )


def _looked_at(
    connection: Connection,
    relation: str,
    test: Mapping[str, Any],
    compiled: str,
    known: dict[tuple[str, str], Looked],
) -> Looked:
    reason = test["config"]["meta"].get("sin_filas")
    if reason:
        return Looked(None, f"filas evaluadas: sin dato ({reason})")
    name = (relation, _condition(test, compiled))
    if name not in known:
        known[name] = _count(connection, *name)
    return known[name]


def _condition(test: Mapping[str, Any], compiled: str) -> str:
    """The condition on the rows that a test looks at, as dbt compiled it; empty for all of them."""
    if test["config"].get("where"):
        return str(test["config"]["where"])
    if ((test.get("test_metadata") or {}).get("kwargs") or {}).get("ultimos_dias"):
        # The window of `clave_unica`, a line of its own in the macro.
        lines = [line for line in compiled.splitlines() if line.startswith("where ")]
        return lines[0].removeprefix("where ") if lines and lines[0] != "where false" else ""
    return ""


def _count(connection: Connection, relation: str, condition: str) -> Looked:
    schema, table = relation.split(".", 1)
    node = relations().get(relation) or {}
    try:
        with _patiently(connection):
            if condition:
                return Looked(_count_where(connection, schema, table, condition))
            if node.get("config", {}).get("materialized") == "view":
                return Looked(count_rows(connection, schema, table))
            return _as_looked(rows_held(connection, schema, table))
    except psycopg.errors.QueryCanceled:
        return Looked(None, _TOO_LONG)
    except psycopg.ProgrammingError:
        return Looked(None, "filas evaluadas: sin dato (la tabla ya no está, o no se puede leer)")


def _as_looked(count: RowCount) -> Looked:
    return Looked(count.rows, "" if count.counted else _ESTIMATED)


def _count_where(connection: Connection, schema: str, table: str, condition: str) -> int:
    row = connection.execute(
        sql.SQL("select count(*) from {} where {}").format(
            # Text of the project's own test, as dbt compiled it and has just run it.
            sql.Identifier(schema, table),
            sql.SQL(condition),
        )
    ).fetchone()
    return int(row[0]) if row else 0


def _failing_keys(
    connection: Connection, relation: str, test: Mapping[str, Any], compiled: str
) -> tuple[dict[str, Any], ...]:
    """Some rows that fail, by their key; empty where they have none or cannot be found any more."""
    columns, rows = _failing_rows(relation, test, compiled)
    if not columns:
        return ()
    key = sql.SQL(", ").join(map(sql.Identifier, columns))
    # In order: the same rows are named while the same rows fail (`gate.py` compares samples).
    query = sql.SQL("select {} from {} order by {} limit {}").format(
        key, rows, key, sql.Literal(SAMPLE_SIZE)
    )
    try:
        with _patiently(connection):
            found = connection.execute(query).fetchall()
    except (psycopg.errors.QueryCanceled, psycopg.ProgrammingError, psycopg.DataError):
        # It takes too long, or the table is gone: the verdict stands without a sample.
        return ()
    return tuple(dict(zip(columns, row, strict=True)) for row in found)


def _failing_rows(
    relation: str, test: Mapping[str, Any], compiled: str
) -> tuple[tuple[str, ...], sql.Composable]:
    """Columns that name what fails, and the rows of it to select them from."""
    kind = test.get("test_metadata") or {}
    # The text that dbt compiled from the project's own test and has just run.
    selected = sql.SQL("(\n{}\n) as fallas").format(sql.SQL(compiled))
    node = relations().get(relation)
    named = test["config"]["meta"].get("claves") or (kind.get("kwargs") or {}).get("columnas")
    if named:
        personal = node is not None and any(is_personal(node, name) for name in named)
        return () if personal else tuple(named), selected
    key, column = row_key(relation), str(test.get("column_name"))
    if kind.get("name") == "not_null":
        return key, _where(relation, test, sql.SQL("{} is null").format(sql.Identifier(column)))
    value = _VALUE_OF.get(str(kind.get("name")))
    if value is None:
        # A test of rows that selects them whole, or at least by their key.
        return key, selected
    fails = sql.SQL("{} in (select {} from {})").format(
        sql.Identifier(column), sql.Identifier(value), selected
    )
    if kind["name"] == "relationships" and node and not is_personal(node, column):
        # The key of another table, which is not there.
        key = tuple(dict.fromkeys((*key, column)))
    return key, _where(relation, test, fails)


def _where(relation: str, test: Mapping[str, Any], fails: sql.Composable) -> sql.Composable:
    condition = str(test["config"].get("where") or "true")
    return sql.SQL("{} where ({}) and {}").format(
        sql.Identifier(*relation.split(".", 1)), sql.SQL(condition), fails
    )


@contextmanager
def _patiently(connection: Connection) -> Iterator[None]:
    """A question that must not hold up the run, nor end the transaction it is asked in."""
    with connection.transaction():
        row = connection.execute("select current_setting('statement_timeout')").fetchone()
        _set_timeout(connection, f"{_PATIENCE_S}s")
        yield
        _set_timeout(connection, str(row[0]) if row else "0")


def _set_timeout(connection: Connection, value: str) -> None:
    connection.execute("select set_config('statement_timeout', %s, true)", [value])

"""Rules of a contract on the whole raw table, evaluated in the warehouse.

Belongs here: one statement per rule, its verdict, and keys of failing rows. Does not belong here:
what a rule means (`sources/table_rules.py`), or rules on single rows (`contract_schema.py`).
Nothing but counts and keys leaves the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from expectations.results import SAMPLE_SIZE, CheckResult, RowKey
from sources.contract import Contract
from sources.table_rules import TableRule, fill_places
from sources.wording import counted, number

if TYPE_CHECKING:
    from psycopg import Connection

# A rule that a person wrote must not hold up a whole night.
_TIMEOUT_MS = 120_000


def evaluate(connection: Connection[Any], contract: Contract) -> list[CheckResult]:
    """One result per rule on the table, in the order of the contract.

    A rule that cannot be evaluated (no such table, a query that fails or takes too long) has
    `paso` None and says why; it never stops the others.
    """
    return [_evaluate(connection, contract, rule) for rule in contract.table_rules]


class _CannotTell(Exception):
    """A rule without an answer; the message says why."""


def _evaluate(connection: Connection[Any], contract: Contract, rule: TableRule) -> CheckResult:
    try:
        # Rolled back whatever it did: a rule reads.
        with connection.transaction(force_rollback=True):
            connection.execute(
                sql.SQL("set local statement_timeout = {}").format(sql.Literal(_TIMEOUT_MS))
            )
            connection.execute("set local transaction_read_only = on")
            rows, measured, sample = _measure(connection, contract, rule)
    except (psycopg.Error, _CannotTell) as error:
        words = str(error).strip().splitlines()[0] if str(error).strip() else "sin detalle"
        # PostgreSQL's messages may quote a value of the row that broke the query.
        if isinstance(error, psycopg.Error):
            words = f"PostgreSQL respondió {error.sqlstate or 'un error'} ({type(error).__name__})"
        return _result(contract, rule, None, f"No se pudo evaluar: {words}.")
    if rule.bound.unit == "percent" and rule.kind not in ("row_count", "sql"):
        if not rows:
            return _result(contract, rule, True, "La tabla no tiene filas.", rows, 0)
        share = 100.0 * measured / rows
        passed, words = (
            rule.bound.holds(share),
            f"{number(share, 2)} % de {counted(rows, 'fila', 'filas')}",
        )
    else:
        passed, words = rule.bound.holds(measured), number(measured, 6)
    failed = None if rule.kind in ("row_count", "sql") else int(measured)
    facts = f"Medido: {words}; {rule.bound}." if not passed else ""
    return _result(contract, rule, passed, facts, rows, failed, () if passed else sample)


def _measure(
    connection: Connection[Any], contract: Contract, rule: TableRule
) -> tuple[int | None, float, tuple[RowKey, ...]]:
    """Rows of the table, the number the rule is about, and keys of rows behind it."""
    table = _table(contract)
    if rule.kind == "sql":
        return None, _number(connection, contract, rule), ()
    if rule.kind == "row_count":
        rows = _count(connection, table)
        return rows, float(rows), ()
    if rule.kind == "duplicates":
        return _duplicates(connection, contract, rule, table)
    condition = _condition(connection, contract, rule)
    if rule.kind == "reference":
        # As a condition of the whole statement it is one hash join; in a `filter` it would be
        # asked again for every row.
        counts = sql.SQL(
            "select (select count(*) from {1}), (select count(*) from {1} as t where {0})"
        )
    else:
        counts = sql.SQL("select count(*), count(*) filter (where {0}) from {1} as t")
    return _counted(
        connection,
        contract,
        counts.format(condition, table),
        lambda keys: sql.SQL("select {} from {} as t where {} limit {}").format(
            keys, table, condition, sql.Literal(SAMPLE_SIZE)
        ),
    )


def _counted(
    connection: Connection[Any],
    contract: Contract,
    counts: sql.Composed,
    sample_of: Callable[[sql.Composable], sql.Composed],
) -> tuple[int, float, tuple[RowKey, ...]]:
    """What `counts` finds: rows, and those that break the rule; with keys of some of the latter.

    `sample_of` gives the statement for them, from the columns of the key.
    """
    row = connection.execute(counts).fetchone()
    assert row is not None
    keys = _keys(contract)
    sample: tuple[RowKey, ...] = ()
    if row[1] and keys:
        sample = _sample(connection, keys, sample_of(_columns(keys)))
    return int(row[0]), float(row[1]), sample


def _condition(connection: Connection[Any], contract: Contract, rule: TableRule) -> sql.Composable:
    """True for the rows that break the rule."""
    column = sql.SQL("t.{}").format(sql.Identifier(rule.columns[0]))
    if rule.kind == "reference":
        return _orphan(connection, contract, rule, column)
    if rule.kind == "missing":
        words = sql.Literal(list(rule.argument))
        return sql.SQL("({0} is null or btrim({0}::text) = any({1}::text[]))").format(column, words)
    pg_type = sql.SQL(contract.column(rule.columns[0]).pg_type)
    wrong: list[sql.Composable] = []
    for argument, value in rule.argument.items():
        if argument == "validValues":
            values = sql.Literal([str(item) for item in value])
            wrong.append(sql.SQL("not {}::text = any({}::text[])").format(column, values))
        elif argument == "pattern":
            wrong.append(sql.SQL("{}::text !~ {}").format(column, sql.Literal(str(value))))
        else:
            sign = sql.SQL("<" if argument == "minimum" else ">")
            bound = sql.Literal(str(value))
            wrong.append(sql.SQL("{} {} {}::{}").format(column, sign, bound, pg_type))
    return sql.SQL("coalesce({}, false)").format(sql.SQL(" or ").join(wrong))


def _orphan(
    connection: Connection[Any], contract: Contract, rule: TableRule, column: sql.Composable
) -> sql.Composable:
    system, dataset, name = rule.argument
    row = connection.execute(
        "select tabla_raw from meta.contrato where dataset = %s and vigente",
        [f"{system}.{dataset}"],
    ).fetchone()
    target = str(row[0]) if row else ""
    exists = connection.execute("select to_regclass(%s)", [target]).fetchone() if target else None
    if exists is None or exists[0] is None:
        raise _CannotTell(f"no existe el conjunto {system}.{dataset}")
    parent = sql.Identifier(*target.split("."))
    if connection.execute(sql.SQL("select from {} limit 1").format(parent)).fetchone() is None:
        # Everything would be an orphan of a table that was never loaded.
        raise _CannotTell(f"{system}.{dataset} todavía no tiene filas")
    # As text: systems keep one code as number here and as text there.
    return sql.SQL(
        "({0} is not null and not exists (select from {1} as p where p.{2}::text = {0}::text))"
    ).format(column, parent, sql.Identifier(name))


def _duplicates(
    connection: Connection[Any], contract: Contract, rule: TableRule, table: sql.Composable
) -> tuple[int, float, tuple[RowKey, ...]]:
    """Rows beyond the first of each group of equal values; rows without a value repeat nothing."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in rule.columns)
    present = sql.SQL(" and ").join(
        sql.SQL("{} is not null").format(sql.Identifier(name)) for name in rule.columns
    )
    groups = sql.SQL(
        "select count(*) as n from {} as t where {} group by {} having count(*) > 1"
    ).format(table, present, columns)
    return _counted(
        connection,
        contract,
        sql.SQL(
            "select (select count(*) from {} as t), coalesce(sum(n - 1), 0) from ({}) g"
        ).format(table, groups),
        lambda keys: sql.SQL(
            "select {} from (select *, row_number() over (partition by {} order by {}) as _n "
            "from {} as t where {}) r where _n > 1 limit {}"
        ).format(keys, columns, keys, table, present, sql.Literal(SAMPLE_SIZE)),
    )


def _number(connection: Connection[Any], contract: Contract, rule: TableRule) -> float:
    table = sql.Identifier(*contract.raw_name.split(".")).as_string(connection)
    column = sql.Identifier(rule.columns[0]).as_string(connection) if rule.columns else None
    query = fill_places(rule.argument, table, column)
    # Prepared: the protocol then takes one statement only.
    rows = connection.execute(query.encode(), prepare=True).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise _CannotTell("la consulta debe dar una fila con un número")
    value = rows[0][0]
    if value is None or isinstance(value, bool):
        raise _CannotTell("la consulta no dio un número")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise _CannotTell("la consulta no dio un número") from error


def _table(contract: Contract) -> sql.Composable:
    """The contract's rows: of a table that several feeds share, those that it brought."""
    name = sql.Identifier(*contract.raw_name.split("."))
    if contract.landing_table == f"{contract.system}__{contract.dataset}":
        return name
    return sql.SQL(
        "(select * from {} where _load_id in (select carga_id from meta.carga where dataset = {}))"
    ).format(name, sql.Literal(contract.id))


def _keys(contract: Contract) -> tuple[str, ...]:
    """The key, unless it says who a person is."""
    sensitive = any(contract.column(name).classification == "sensible" for name in contract.key)
    return () if sensitive else contract.key


def _columns(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _sample(
    connection: Connection[Any], keys: Sequence[str], statement: sql.Composed
) -> tuple[RowKey, ...]:
    return tuple(
        dict(zip(keys, row, strict=True)) for row in connection.execute(statement).fetchall()
    )


def _count(connection: Connection[Any], table: sql.Composable) -> int:
    row = connection.execute(sql.SQL("select count(*) from {} as t").format(table)).fetchone()
    return int(row[0]) if row else 0


def _result(
    contract: Contract,
    rule: TableRule,
    passed: bool | None,
    facts: str,
    rows: int | None = None,
    failed: int | None = None,
    sample: tuple[RowKey, ...] = (),
) -> CheckResult:
    return CheckResult(
        control=f"tabla.{contract.id}.{rule.name}",
        motor="contrato",
        objeto=contract.raw_name,
        columna=", ".join(rule.columns) or None,
        dimension=rule.dimension,
        regla=rule.kind,
        severidad=rule.severity,
        paso=passed,
        filas_evaluadas=rows,
        filas_fallidas=failed,
        muestra=sample,
        explicacion=f"{rule.description} {facts}".strip(),
        responsable=contract.accountable,
        dataset=contract.id,
    )

"""What a rule on rows says of all the rows a table holds, when a load read only some of them.

Belongs here: carrying a verdict over increments. Does not belong here: the rules themselves.

A load of everything judges everything. A load of a part says nothing of the rows it did not read,
so its verdict alone would let an old warning vanish. The verdict in force is therefore:

- rule that keeps rows out: the rows that wait in quarantine for it, or those of this load if more;
- rows only ever added (files, `append`): what failed before plus what failed now;
- rows that may have changed or gone (`incremental`, a file replaced): the table is read again, in
  batches, by the same checkers, if anything failed before; otherwise what failed now is all.

Tables of more than `MOST_REREAD` rows are not read again: the count is then an upper bound, and
says so, until the next load of everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from expectations.batches import KeySampler, RowChecker
from expectations.results import SAMPLE_SIZE, CheckResult, RowKey
from sources.contract import Contract

MOST_REREAD = 5_000_000
_BATCH_ROWS = 20_000
_AT_MOST = "Como máximo: la tabla es demasiado grande para revisarla entera en cada carga."


def in_force(
    connection: psycopg.Connection[Any],
    contract: Contract,
    results: Sequence[CheckResult],
    new_checkers: Callable[[], Sequence[RowChecker]],
    *,
    rows_held: Callable[[], int],
    removed: bool,
) -> list[CheckResult]:
    """`results` of a load's rows as verdicts on all rows; call after the load has committed.

    `rows_held` tells how many the raw table holds now, `removed` says whether rows left it in this
    load.
    """
    if contract.load_mode == "full":
        return list(results)
    before = _previous(connection, contract)
    if not before:
        return list(results)
    waiting = _waiting(connection, contract)
    held_now = rows_held()
    only_added = contract.load_mode in ("files", "append") and not removed
    open_rules = {
        result.control
        for result in results
        if result.severidad == "advertencia" and before.get(result.control, (0, 0, ()))[1]
    }
    reread: dict[str, CheckResult] = {}
    if open_rules and not only_added and held_now <= MOST_REREAD:
        reread = _read_again(connection, contract, new_checkers)
    standing = []
    for result in results:
        if result.paso is None or result.filas_fallidas is None:
            standing.append(result)
            continue
        evaluated, failed, sample = before.get(result.control, (0, 0, ()))
        if result.severidad == "bloqueante":
            held, keys = waiting.get((result.columna or "", result.regla), (0, ()))
            # All of this load's are among those that wait, but for what was set aside for good.
            more = held > result.filas_fallidas
            standing.append(
                _now(result, held_now, max(held, result.filas_fallidas), keys if more else None)
            )
        elif only_added:
            standing.append(
                _now(
                    result,
                    evaluated + (result.filas_evaluadas or 0),
                    failed + result.filas_fallidas,
                    (*sample, *result.muestra),
                )
            )
        elif result.control not in open_rules:
            standing.append(_now(result, held_now, result.filas_fallidas))
        elif result.control in reread:
            again = reread[result.control]
            standing.append(
                _now(result, again.filas_evaluadas or 0, again.filas_fallidas or 0, again.muestra)
            )
        else:
            bound = _now(
                result, held_now, failed + result.filas_fallidas, (*sample, *result.muestra)
            )
            standing.append(replace(bound, explicacion=f"{bound.explicacion} {_AT_MOST}"))
    return standing


def _now(
    result: CheckResult, evaluated: int, failed: int, sample: Sequence[Any] | None = None
) -> CheckResult:
    return replace(
        result,
        paso=failed == 0,
        filas_evaluadas=evaluated,
        filas_fallidas=failed,
        muestra=result.muestra if sample is None else tuple(sample)[:SAMPLE_SIZE],
    )


def _previous(
    connection: psycopg.Connection[Any], contract: Contract
) -> dict[str, tuple[int, int, tuple[Any, ...]]]:
    """Rows judged, rows failing and a sample, by control, as last stored."""
    return {
        str(row[0]): (int(row[1] or 0), int(row[2] or 0), tuple(row[3]))
        for row in connection.execute(
            "select distinct on (control) control, filas_evaluadas, filas_fallidas, muestra "
            "from meta.resultado_control where objeto = %s and dataset = %s "
            "and motor in ('pandera', 'protocolo') order by control, resultado_id desc",
            [contract.raw_name, contract.id],
        ).fetchall()
    }


def _waiting(
    connection: psycopg.Connection[Any], contract: Contract
) -> dict[tuple[str, str], tuple[int, list[RowKey]]]:
    """Rows in quarantine by column and rule, and keys of the first of them."""
    sampler = KeySampler(contract)
    rows = connection.execute(
        "select columna, regla, total, clave, numero_fila from ("
        "select columna, regla, clave, numero_fila, count(*) over regla_y_columna as total, "
        "row_number() over (regla_y_columna order by fila_id) as orden from quarantine.fila "
        "where dataset = %s and estado = 'pendiente' "
        "window regla_y_columna as (partition by columna, regla)) as pendientes "
        "where orden <= %s order by columna, regla, orden",
        [contract.id, SAMPLE_SIZE],
    ).fetchall()
    found: dict[tuple[str, str], tuple[int, list[RowKey]]] = {}
    for column, rule, total, key, number in rows:
        _, keys = found.setdefault((str(column or ""), str(rule)), (int(total), []))
        keys.append(sampler.of_text(key, number))
    return found


def _read_again(
    connection: psycopg.Connection[Any],
    contract: Contract,
    new_checkers: Callable[[], Sequence[RowChecker]],
) -> dict[str, CheckResult]:
    """Every rule's verdict over all rows of the contract; empty when raw cannot be read as such.

    The same checkers as at the door, so that a rule is never said twice.
    """
    checkers = new_checkers()
    # A value Python cannot hold (a year of five digits): the caller falls back to a bound.
    with contextlib.suppress(psycopg.DataError, pa.ArrowInvalid):
        for batch, numbers in _batches(connection, contract):
            for checker in checkers:
                checker.check(batch, numbers)
        return {result.control: result for one in checkers for result in one.results()}
    return {}


def _batches(
    connection: psycopg.Connection[Any], contract: Contract
) -> Iterator[tuple[pa.RecordBatch, pa.Int64Array]]:
    columns = [
        sql.SQL("{}::text" if column.pg_type == "jsonb" else "{}").format(
            sql.Identifier(column.name)
        )
        for column in contract.columns
    ]
    number = "_source_row" if contract.from_files else "row_number() over ()"
    statement = sql.SQL(
        "select {}, {} from {} where _load_id in (select carga_id from meta.carga "
        "where dataset = {})"
    ).format(
        sql.SQL(", ").join(columns),
        sql.SQL(number),
        sql.Identifier(*contract.raw_name.split(".")),
        sql.Literal(contract.id),
    )
    with connection.transaction(), connection.cursor(name="reglas_por_fila") as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(_BATCH_ROWS):
            *values, numbers = zip(*rows, strict=True)
            arrays = [
                pa.array(column_values, column.arrow_type)
                for column_values, column in zip(values, contract.columns, strict=True)
            ]
            yield (
                pa.RecordBatch.from_arrays(arrays, schema=contract.arrow_schema),
                pa.array([int(n or 0) for n in numbers], pa.int64()),
            )

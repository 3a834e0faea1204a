"""Having a stretch of readings worked through again, without loading anything.

Belongs here: the load record that says so. Does not belong here: what is made of it (the models
find the record among the new loads and list its days as changed).

It is a record like that of a month that comes back: committed with the step that asks for it, seen
once by the models, and carried on by the next run where one breaks off.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from psycopg import sql
from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.errors import PipelineError
from sources.landing.records import extent_details
from sources.raw_table import Connection, table_name

AGAIN = "recalculo"
_LAST_LOAD = (
    "select dataset, contrato_version, contrato_sha256 from meta.carga "
    "where dataset = any(%s) and estado = 'cargada' order by carga_id desc limit 1"
)


class RangeError(PipelineError):
    """Days that cannot be worked through again as asked."""


def ask_again(
    connection: Connection,
    contracts: Sequence[Contract],
    first: dt.date,
    last: dt.date,
    timezone: dt.tzinfo,
    run_id: str,
) -> int:
    """Have the rows of a raw table from `first` to `last`, both included, worked through again.

    `contracts` are those of the table; days are of `timezone`. Gives the number of the record; the
    caller commits. Raises RangeError like `check_range`.
    """
    check_range(connection, contracts, first, last, timezone)
    contract = contracts[0]
    known = connection.execute(_LAST_LOAD, [[c.id for c in contracts]]).fetchone()
    assert known is not None
    low, high = _moments(first, last, timezone)
    row = connection.execute(
        "insert into meta.carga (corrida_id, dataset, estado, modo, origen, contrato_version, "
        "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, detalle) values "
        "(%s, %s, 'cargada', %s, %s, %s, %s, now(), clock_timestamp(), 0, 0, %s) "
        "returning carga_id",
        [
            run_id, known[0], AGAIN, contract.raw_name, known[1], known[2],
            Jsonb(extent_details(contract, low, high)),
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def check_range(
    connection: Connection,
    contracts: Sequence[Contract],
    first: dt.date,
    last: dt.date,
    timezone: dt.tzinfo,
) -> None:
    """See that these days can be worked through again.

    Raises RangeError when they are in the wrong order, nothing was ever loaded, or raw has no row
    of them: they are outside what was loaded, or in months that are apart.
    """
    contract = contracts[0]
    if first > last:
        raise _problem(contract, f"el {first:%d/%m/%Y} es posterior al {last:%d/%m/%Y}.")
    if connection.execute(_LAST_LOAD, [[c.id for c in contracts]]).fetchone() is None:
        raise _problem(contract, "todavía no se cargó ninguna lectura.")
    low, high = _moments(first, last, timezone)
    column, table = sql.Identifier(contract.partition_by or ""), table_name(contract)
    there = connection.execute(
        sql.SQL("select exists (select from {} where {} >= %s and {} < %s)").format(
            table, column, column
        ),
        [low, high],
    ).fetchone()
    if there == (True,):
        return
    apart = connection.execute(
        "select min(desde), max(hasta) from meta.particion_separada "
        "where tabla = %s and unida_en is null and desde < %s and hasta > %s",
        [contract.landing_table, high, low],
    ).fetchone()
    days = f"del {first:%d/%m/%Y} al {last:%d/%m/%Y}"
    if apart and apart[0] is not None:
        raise RangeError(
            f"los meses con lecturas {days} están separados de la tabla.",
            dataset=contract.id,
            owner=contract.owner,
            next_step="únalos con `lujan partitions attach`: al volver se calculan solos.",
        )
    raise _problem(contract, f"no hay ninguna lectura cargada {days}.")


def _moments(first: dt.date, last: dt.date, timezone: dt.tzinfo) -> tuple[dt.datetime, dt.datetime]:
    """Where the first day begins and the last one ends."""
    return (
        dt.datetime.combine(first, dt.time(), timezone),
        dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), timezone),
    )


def _problem(contract: Contract, what: str) -> RangeError:
    return RangeError(
        what,
        dataset=contract.id,
        owner=contract.owner,
        next_step="revise los días (aaaa-mm-dd) y vuelva a pedirlo.",
    )

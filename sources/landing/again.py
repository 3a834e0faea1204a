"""Having a stretch of readings worked through again, without loading anything.

Belongs here: the load record that says so. Does not belong here: what is made of it (the models
find the record among the new loads and list its days as changed).

It is a record like that of a month that comes back: committed with the step that asks for it, seen
once by the models, and carried on by the next run where one breaks off.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.errors import PipelineError
from sources.landing.records import extent_details
from sources.raw_table import Connection

AGAIN = "recalculo"


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
    caller commits. Raises RangeError when the days are in the wrong order or nothing was ever
    loaded.
    """
    contract = contracts[0]
    if first > last:
        raise _problem(contract, f"el {first:%d/%m/%Y} es posterior al {last:%d/%m/%Y}.")
    known = connection.execute(
        "select dataset, contrato_version, contrato_sha256 from meta.carga "
        "where dataset = any(%s) and estado = 'cargada' order by carga_id desc limit 1",
        [[c.id for c in contracts]],
    ).fetchone()
    if known is None:
        raise _problem(contract, "todavía no se cargó ninguna lectura.")
    low = dt.datetime.combine(first, dt.time(), timezone)
    high = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), timezone)
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


def _problem(contract: Contract, what: str) -> RangeError:
    return RangeError(
        what,
        dataset=contract.id,
        owner=contract.owner,
        next_step="revise los días (aaaa-mm-dd) y vuelva a pedirlo.",
    )

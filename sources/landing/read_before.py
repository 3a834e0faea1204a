"""Rows read before by another reading of their columns: which columns that is, and what is done.

Belongs here: telling that a contract reads a column otherwise than when the watermark was stored (a
column it did not have, another name or type at the source, another format), and giving rows that
stand in raw the values of such columns. Does not belong here: the watermark itself (`records.py`),
changes at the source (`drift.py`), types of the raw table (`sources/raw_table.py`).

A watermark says that all up to it was read: with these columns, by this reading. An increment by
another one would leave older rows as they were: empty in a new column, stale in one that was away
for a while. So an incremental table is read whole once, and its rows take what they lack.

What `append` brought once does not change, and older rows may be gone at the source. There the rows
that are read again, those of the look-back, take the values of such columns if they are equal in
all others. Compared with them they would be other rows: loaded a second time, or refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from psycopg import sql

from sources.contract import Contract
from sources.landing.intake import INPUT
from sources.landing.records import names_of
from sources.landing.writer import ORDER
from sources.raw_table import LOAD_ID, Connection, table_name
from sources.wording import number


def reading_of(contract: Contract) -> list[str]:
    """How each column of the document is read, as texts that are equal when the reading is."""
    return [
        json.dumps(
            [
                column.name, column.source_name, column.pg_type, column.format, column.timezone,
                column.constant, column.implied_decimals,
            ],
            ensure_ascii=False,
        )
        for column in contract.declared
    ]  # fmt: skip


def read_otherwise(contract: Contract, before: Sequence[str] | None) -> tuple[str, ...]:
    """Columns of the contract that are not read as `before`; none where that is not known."""
    if before is None:
        return ()
    known = set(before)
    return tuple(
        column.name
        for column, reading in zip(contract.declared, reading_of(contract), strict=True)
        if reading not in known
    )


def fill_in(connection: Connection, contract: Contract, load_id: int, names: Sequence[str]) -> int:
    """Give rows of raw that were read again, and are equal but for `names`, those columns' values.

    How many; their earlier versions go to the history. Of equal rows without a key the n-th of raw
    takes the values of the n-th read.
    """
    changed = [name for name in names if name not in contract.key]
    declared = [column.name for column in contract.declared]
    others = [name for name in declared if name not in changed]
    if not changed or not others:
        return 0

    def of(alias: str, columns: Sequence[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(alias, name) for name in columns)

    return connection.execute(
        sql.SQL(
            "with _aqui as (select *, row_number() over (partition by {group} order by {order}) "
            "as _turno from {input}), "
            "_alla as (select ctid as _lugar, tableoid as _parte, {columns}, "
            "row_number() over (partition by {group} order by ctid) as _turno from {raw} "
            "where {cursor} is null or {cursor} >= (select min({cursor}) from {input})), "
            "_par as materialized (select _r._lugar, _r._parte, {new} from _alla _r join _aqui _e "
            "on {match} and _r._turno = _e._turno where row({old_others}) is not distinct from "
            "row({new_others}) and row({old}) is distinct from row({new})), "
            "_antes as (insert into raw._historial (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'modificacion', to_jsonb(_r), {load} from {raw} _r join _par "
            "on _r.ctid = _par._lugar and _r.tableoid = _par._parte) "
            "update {raw} _r set {set}, {load_id} = {load} from _par "
            "where _r.ctid = _par._lugar and _r.tableoid = _par._parte"
        ).format(
            # By their text: json has no equality, and a row's text has.
            group=names_of(contract.key)
            if contract.key
            else sql.SQL("(row({}))::text").format(names_of(others)),
            match=sql.SQL(" and ").join(
                sql.SQL("_r.{0} = _e.{0}").format(sql.Identifier(name)) for name in contract.key
            )
            if contract.key
            else sql.SQL("(row({}))::text = (row({}))::text").format(
                of("_r", others), of("_e", others)
            ),
            order=sql.Identifier(ORDER),
            input=INPUT,
            raw=table_name(contract),
            columns=names_of(declared),
            cursor=sql.Identifier(contract.cursor or ""),
            new=of("_e", changed),
            old=of("_r", changed),
            old_others=of("_r", others),
            new_others=of("_e", others),
            set=sql.SQL(", ").join(
                sql.SQL("{0} = _par.{0}").format(sql.Identifier(name)) for name in changed
            ),
            load_id=sql.Identifier(LOAD_ID),
            dataset=sql.Literal(contract.id),
            load=sql.Literal(load_id),
        )
    ).rowcount


def note_of(contract: Contract, names: Sequence[str], *, filled: int | None) -> str:
    """What was done, for the person who changed the contract. `filled`: None where all was read."""
    shown = ", ".join(names)
    if filled is None:
        return (
            f"se leyó toda la tabla otra vez: desde la última carga cambió en el contrato, o en el "
            f"origen, cómo se leen las columnas {shown}"
        )
    return (
        f"cambió cómo se leen las columnas {shown}: {number(filled)} filas que ya estaban y se "
        "leyeron otra vez tomaron sus valores; las anteriores al margen quedan como estaban en "
        f"{contract.raw_name}"
    )

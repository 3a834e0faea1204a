"""The key of a raw table: that of its contract, also when the contract comes to name another.

Belongs here: taking a key off that the contract no longer has, and putting on the one it has.
Does not belong here: merging by the key (`merge.py`), keys of the source (`keys.py`), the key of an
empty table that is written straight into (`intake.py`).

A table loaded without a key may hold rows that are one row by the key. Merged by it, each of them
would take the values of another. So the surplus leaves for the history first, and everything is
read again: what the source still repeats is set aside, as in a first load.
"""

from __future__ import annotations

from psycopg import sql

from sources.contract import Contract
from sources.landing.records import names_of
from sources.raw_table import LOAD_ID, RAW, Connection, drop_key, table_name


def settle_key(connection: Connection, contract: Contract, load_id: int) -> int | None:
    """Give the raw table the contract's key; how many rows left for the history.

    None where it has it already, which is nearly always. Commits nothing. In the mode `files` rows
    stand side by side, and the table has none.
    """
    wanted = () if contract.load_mode == "files" else contract.key
    found = connection.execute(
        "select c.conname, array_agg(a.attname::text) from pg_constraint c join pg_attribute a "
        "on a.attrelid = c.conrelid and a.attnum = any(c.conkey) "
        "where c.conrelid = to_regclass(%s) and c.contype = 'p' group by c.conname",
        [f"{RAW}.{contract.landing_table}"],
    ).fetchone()
    name, columns = found or (None, [])
    if set(columns) == set(wanted):
        return None
    if name is not None:
        drop_key(connection, contract, str(name))
        for column in set(columns) - set(wanted):
            connection.execute(  # the key leaves it behind
                sql.SQL("alter table {} alter column {} drop not null").format(
                    table_name(contract), sql.Identifier(column)
                )
            )
    if not wanted:
        return 0
    gone = _keep_one_of_each(connection, contract, load_id)
    connection.execute(
        sql.SQL("alter table {} add primary key ({})").format(
            table_name(contract), names_of(contract.key)
        )
    )
    return gone


def _keep_one_of_each(connection: Connection, contract: Contract, load_id: int) -> int:
    """Rows without a key, and all but the first of a key, into the history."""
    nulls = sql.SQL(" or ").join(
        sql.SQL("{} is null").format(sql.Identifier(name)) for name in contract.key
    )
    return connection.execute(
        sql.SQL(
            "with _surplus as (delete from {raw} _r using (select ctid as _place, tableoid as "
            "_part, row_number() over (partition by {key} order by {load_id}, ctid) as _turn, "
            "({nulls}) as _none from {raw}) as _ranked where _r.ctid = _ranked._place "
            "and _r.tableoid = _ranked._part and (_ranked._turn > 1 or _ranked._none) "
            "returning _r.*) insert into raw._historial (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'baja', to_jsonb(_surplus.*), {load} from _surplus"
        ).format(
            raw=table_name(contract),
            key=names_of(contract.key),
            load_id=sql.Identifier(LOAD_ID),
            nulls=nulls,
            dataset=sql.Literal(contract.id),
            load=sql.Literal(load_id),
        )
    ).rowcount


def key_note(contract: Contract, gone: int) -> str:
    """What was done, for the person who changed the contract."""
    now = f"es ahora {', '.join(contract.key)}" if contract.key else "ya no existe"
    told = f"la clave de {contract.raw_name} {now}"
    return f"{told}: {gone} filas que la repetían o no la tenían pasaron a raw._historial"

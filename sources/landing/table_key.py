"""The key of a raw table: that of its contract, also when the contract comes to name another.

Belongs here: taking a key off that the contract no longer has, and putting on the one it has, in
the table and in a month that comes back to it.
Does not belong here: merging by the key (`merge.py`), keys of the source (`keys.py`), the key of an
empty table that is written straight into (`intake.py`).

A table loaded without a key may hold rows that are one row by the key. Merged by it, each of them
would take the values of another. So the surplus leaves for the history first, and everything is
read again: what the source still repeats is set aside, as in a first load.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from sources.contract import Contract
from sources.errors import LoadRefused
from sources.landing.records import names_of
from sources.raw_table import LOAD_ID, RAW, Connection, table_name
from sources.wording import number, percent


def settle_key(connection: Connection, contract: Contract, load_id: int) -> int | None:
    """Give the raw table the contract's key; how many rows left for the history.

    Raises LoadRefused where that would be many, and the source may not bring them again.

    None where it has it already, which is nearly always. Commits nothing. In the mode `files` rows
    stand side by side, and the table has none.
    """
    wanted = () if contract.load_mode == "files" else contract.key
    name, columns = _key_of(connection, contract.landing_table)
    if set(columns) == set(wanted):
        return None
    table = table_name(contract)
    if name is not None:
        _take_off(connection, table, name, set(columns) - set(wanted))
    if not wanted:
        return 0
    gone = _keep_one_of_each(connection, contract, table, wanted, load_id)
    if gone:
        _refuse_losing(connection, contract, gone)
    connection.execute(
        sql.SQL("alter table {} add primary key ({})").format(table, names_of(wanted))
    )
    return gone


def is_settled(connection: Connection, contract: Contract) -> bool:
    """Whether the raw table has the contract's key already."""
    wanted = () if contract.load_mode == "files" else contract.key
    return set(_key_of(connection, contract.landing_table)[1]) == set(wanted)


def _refuse_losing(connection: Connection, contract: Contract, gone: int) -> None:
    """Raises LoadRefused where many rows would leave that the source may not bring again."""
    if contract.load_mode != "append" and contract.deletions_every is not None:
        return  # what is read again is all there is
    row = connection.execute(
        sql.SQL("select count(*) from {}").format(table_name(contract))
    ).fetchone()
    stood = gone + (int(row[0]) if row else 0)
    if contract.may_lose(gone, stood):
        return
    raise LoadRefused(
        f"por la clave nueva ({', '.join(contract.key)}) {number(gone)} de las {number(stood)} "
        f"filas de {contract.raw_name} se repiten o no la tienen, y el origen puede no traerlas "
        f"otra vez; el máximo admitido es {percent(contract.max_deletion_share)}. No se cargó "
        "ni se borró nada.",
        dataset=contract.id,
        owner=contract.owner,
        next_step=f"revise qué columnas llevan `primaryKey` en {contract.path.name}; si es "
        "correcto, suba `maxDeletionShare` (hasta 1), o dele otro nombre en `landingTable`: la "
        "tabla nueva se llena desde el origen y la de antes queda como está.",
    )


def settle_part(connection: Connection, contract: Contract, part: str, load_id: int) -> int:
    """Make a month that was apart fit for the key its table has come to have meanwhile.

    How many of its rows left for the history. The key itself comes with attaching it. Commits
    nothing.
    """
    _, wanted = _key_of(connection, contract.landing_table)
    name, columns = _key_of(connection, part)
    if columns == wanted:
        return 0
    table = sql.Identifier(RAW, part)
    if name is not None:
        _take_off(connection, table, name, set(columns) - set(wanted))
    if not wanted:
        return 0
    gone = _keep_one_of_each(connection, contract, table, wanted, load_id)
    for column in wanted:
        connection.execute(
            sql.SQL("alter table {} alter column {} set not null").format(
                table, sql.Identifier(column)
            )
        )
    return gone


def _key_of(connection: Connection, table: str) -> tuple[str | None, tuple[str, ...]]:
    """Name and columns of a raw table's primary key, in its order; no name where it has none."""
    found = connection.execute(
        "select c.conname, array_agg(a.attname::text order by array_position(c.conkey, a.attnum)) "
        "from pg_constraint c join pg_attribute a "
        "on a.attrelid = c.conrelid and a.attnum = any(c.conkey) "
        "where c.conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) "
        "and c.contype = 'p' group by c.conname",
        [RAW, table],
    ).fetchone()
    return (None, ()) if found is None else (str(found[0]), tuple(found[1]))


def _take_off(
    connection: Connection, table: sql.Identifier, name: str, freed: Iterable[str]
) -> None:
    """Drop a key, and what it leaves behind in columns that are in none any more."""
    connection.execute(
        sql.SQL("alter table {} drop constraint {}").format(table, sql.Identifier(name))
    )
    for column in freed:
        connection.execute(
            sql.SQL("alter table {} alter column {} drop not null").format(
                table, sql.Identifier(column)
            )
        )


def _keep_one_of_each(
    connection: Connection,
    contract: Contract,
    table: sql.Identifier,
    key: Sequence[str],
    load_id: int,
) -> int:
    """Rows of a table without a key, and all but the first of a key, into the history."""
    nulls = sql.SQL(" or ").join(sql.SQL("{} is null").format(sql.Identifier(name)) for name in key)
    return connection.execute(
        sql.SQL(
            "with _surplus as (delete from {raw} _r using (select ctid as _place, tableoid as "
            "_part, row_number() over (partition by {key} order by {load_id}, ctid) as _turn, "
            "({nulls}) as _none from {raw}) as _ranked where _r.ctid = _ranked._place "
            "and _r.tableoid = _ranked._part and (_ranked._turn > 1 or _ranked._none) "
            "returning _r.*) insert into raw._historial (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'baja', to_jsonb(_surplus.*), {load} from _surplus"
        ).format(
            raw=table,
            key=names_of(key),
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
    return f"{told}: {number(gone)} filas que la repetían o no la tenían pasaron a raw._historial"

"""Months of a divided raw table, taken out of it and put back; nothing is ever dropped.

Belongs here: what months there are, detaching, attaching, and keeping rows of a detached month out
of a load. Does not belong here: making a partition (`sources/raw_table.py`), which months a batch
needs (`partitions.py`), the commands (`orchestration/cli/partitions.py`).

A detached month stays in `raw` under its name, as a table of its own, and in
`meta.particion_separada`. Both ways are one transaction under the lock that loads of the table
take, so no load sees half of it. Rows that come for a detached month go to quarantine
(`mes_separado`) and can be replayed once it is back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.errors import PipelineError
from sources.landing.divided import Divided, divided
from sources.landing.records import extent_details, lock, new_load_id
from sources.landing.table_key import settle_part
from sources.raw_table import LOAD_ID, RAW, Connection, month_table, table_name

RULE_DETACHED = "mes_separado"
# Modes of the load records of both ways: rows that left raw, and rows that models look at again.
LEFT, RETURNED = "mes_separado", "mes_unido"
# Longest wait for those who read the table; later ones would queue behind us.
_LOCK_WAIT = "10s"


class PartitionError(PipelineError):
    """A month that cannot be taken out or put back as asked."""


@dataclass(frozen=True, slots=True)
class Month:
    """One month of a raw table. `rows` is the planner's estimate while it is attached (None: never
    analysed) and exact once it is not; `missing`: recorded as detached, and its table is gone."""

    name: str
    start: dt.date
    attached: bool
    rows: int | None
    bytes: int
    since: dt.datetime | None = None
    by: str | None = None
    missing: bool = False

    @property
    def end(self) -> dt.date:
        """First day after it."""
        return (self.start.replace(day=28) + dt.timedelta(days=4)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Returned:
    """What putting a month back did: `rows` are in the table again. In the history are `replaced`,
    because their file was replaced while the month was away, and `repeated`, because the table got
    another key meanwhile and they have none by it, or that of another row."""

    rows: int
    replaced: int
    repeated: int
    load_id: int


def months_of(connection: Connection, contract: Contract) -> list[Month]:
    """Months of the contract's raw table, attached or not, the oldest first."""
    attached = connection.execute(
        "select c.relname, c.reltuples, pg_total_relation_size(c.oid) from pg_inherits i "
        "join pg_class c on c.oid = i.inhrelid where i.inhparent = to_regclass(%s)",
        [f"{RAW}.{contract.landing_table}"],
    ).fetchall()
    found = [
        Month(str(name), start, True, None if rows < 0 else int(rows), int(size))
        for name, rows, size in attached
        if (start := _start_of(contract, str(name)))
    ]
    apart = connection.execute(
        "select particion, filas, separada_en, separada_por, "
        "coalesce(pg_total_relation_size(to_regclass(format('raw.%%I', particion))), 0), "
        "to_regclass(format('raw.%%I', particion)) is null "
        "from meta.particion_separada where tabla = %s and unida_en is null",
        [contract.landing_table],
    ).fetchall()
    found += [
        Month(str(name), start, False, int(rows), int(size), since, by, bool(gone))
        for name, rows, since, by, size, gone in apart
        if (start := _start_of(contract, str(name)))
    ]
    return sorted(found, key=lambda month: month.start)


def expired(months: Iterable[Month], keep_from: dt.date) -> list[Month]:
    """Attached months that end on or before `keep_from`."""
    return [month for month in months if month.attached and month.end <= keep_from]


def keep_from(contracts: Sequence[Contract], today: dt.date) -> dt.date | None:
    """First day that every contract of a table asks to keep; None when one names no retention."""
    days = [contract.retention_from(today) for contract in contracts]
    known = [day for day in days if day is not None]
    return min(known) if known and len(known) == len(days) else None


def detach(
    connection: Connection, contract: Contract, start: dt.date, *, by: str, reason: str, run_id: str
) -> Month:
    """Take a month out of the table. Commits nothing.

    Raises PartitionError when it is not there, when the table is read anew in full at every load
    (its rows would come again), or when readers do not let go of it in time.
    """
    if contract.load_mode == "full":
        raise _problem(
            contract,
            f"{contract.raw_name} se lee entera en cada carga: sus filas vendrían otra vez.",
            "acorte la historia en el origen.",
        )
    with _alone(connection, contract):
        found = {month.start: month for month in months_of(connection, contract)}
        month = found.get(start)
        if month is None or not month.attached:
            raise _problem(
                contract,
                f"{start:%Y-%m} ya está separado." if month else f"no hay un mes {start:%Y-%m}.",
                f"mire los meses con `lujan partitions list {contract.landing_table}`.",
            )
        place = sql.Identifier(RAW, month.name)
        connection.execute(
            sql.SQL("alter table {} detach partition {}").format(table_name(contract), place)
        )
        rows = _count(connection, place)
        connection.execute(
            "insert into meta.particion_separada (tabla, particion, columna, desde, hasta, filas, "
            "separada_por, motivo) values (%s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (tabla, particion) do update set columna = excluded.columna, "
            "filas = excluded.filas, separada_en = now(), separada_por = excluded.separada_por, "
            "motivo = excluded.motivo, unida_en = null, unida_por = null",
            [
                contract.landing_table, month.name, contract.partition_by, _moment(month.start),
                _moment(month.end), rows, by, reason,
            ],
        )  # fmt: skip
        connection.execute(
            sql.SQL("comment on table {} is {}").format(
                place,
                sql.Literal(
                    f"Mes {start:%Y-%m} separado de {contract.raw_name} por {by}. Para unirlo: "
                    f"lujan partitions attach {contract.landing_table} {start:%Y-%m}."
                ),
            )
        )
        _record(connection, contract, new_load_id(connection), run_id, month, gone=rows)
    return Month(month.name, start, False, rows, month.bytes, by=by)


def attach(
    connection: Connection, contract: Contract, start: dt.date, *, by: str, run_id: str
) -> Returned:
    """Put a month back. Commits nothing.

    Before it is let in: it is the table that was taken out, with its columns, its rows and nothing
    but its month; columns that the raw table got meanwhile are added to it, and it takes the key of
    now. Rows of files that were
    replaced meanwhile go to the history, as the replacement would have put them. A load record
    makes the models look at the month again.

    Raises PartitionError saying what is not as it was.
    """
    name = month_table(contract, start)
    place = sql.Identifier(RAW, name)
    with _alone(connection, contract):
        row = connection.execute(
            "select filas, desde, hasta, columna, "
            "to_regclass(format('raw.%%I', particion)) is null from meta.particion_separada "
            "where tabla = %s and particion = %s and unida_en is null",
            [contract.landing_table, name],
        ).fetchone()
        if row is None:
            raise _problem(
                contract,
                f"{start:%Y-%m} no está separado.",
                f"mire los meses con `lujan partitions list {contract.landing_table}`.",
            )
        recorded, begin, end, column, lost = row
        if lost:
            raise _problem(
                contract,
                f"la tabla raw.{name} ya no está: alguien la borró o le cambió el nombre.",
                "recupérela de una copia de seguridad con ese nombre y vuelva a ejecutar.",
            )
        if column != contract.partition_by:
            raise _problem(
                contract,
                f"se separó cuando la tabla se dividía por {column} y ahora es por "
                f"{contract.partition_by}.",
                "avise al equipo de datos: hay que cargar sus filas de nuevo.",
            )
        _match_columns(connection, contract, name)
        rows = _count(connection, place)
        if rows != recorded:
            raise _problem(
                contract,
                f"raw.{name} tenía {recorded} filas al separarla y ahora tiene {rows}.",
                "averigüe quién la cambió; si es correcto, recupere las filas de su copia.",
            )
        load_id = new_load_id(connection)
        replaced = _move_replaced(connection, contract, place, load_id)
        repeated = settle_part(connection, contract, name, load_id)
        try:
            connection.execute(
                sql.SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
                    table_name(contract), place, sql.Literal(begin), sql.Literal(end)
                )
            )
        except psycopg.errors.CheckViolation as error:
            raise _problem(
                contract,
                f"raw.{name} tiene filas que no son de {start:%Y-%m}.",
                "averigüe quién las puso; la tabla quedó como estaba, fuera de la principal.",
            ) from error
        connection.execute(
            "update meta.particion_separada set unida_en = now(), unida_por = %s "
            "where tabla = %s and particion = %s",
            [by, contract.landing_table, name],
        )
        connection.execute(sql.SQL("comment on table {} is null").format(place))
        month = Month(name, start, True, rows, 0)
        gone = replaced + repeated
        _record(connection, contract, load_id, run_id, month, came=rows, gone=gone)
    return Returned(rows - gone, replaced, repeated, load_id)


class DetachedMonths:
    """Keeps rows of detached months out of a load: a checker like those of the rules."""

    def __init__(self, column: str, spans: Sequence[tuple[dt.datetime, dt.datetime]]) -> None:
        self._column = column
        self._spans = spans

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> Divided:
        """Divide the batch; a row without a date is not of any month."""
        values: Any = batch.column(self._column)
        away = np.zeros(batch.num_rows, dtype=bool)
        for begin, end in self._spans:
            low, high = (pa.scalar(value).cast(values.type) for value in _ends(values, begin, end))
            inside = pc.and_(pc.greater_equal(values, low), pc.less(values, high))
            away |= pc.fill_null(inside, False).to_numpy(zero_copy_only=False)
        return divided(
            batch, row_numbers, away, RULE_DETACHED, self._column,
            lambda at: f"el mes {_month(values[at])} está separado",
        )  # fmt: skip


def detached_months(connection: Connection, contract: Contract) -> list[DetachedMonths]:
    """The checker of the contract's table; none where no month is apart, which is nearly always."""
    if not contract.partition_by:
        return []
    spans = connection.execute(
        "select desde, hasta from meta.particion_separada where tabla = %s and unida_en is null",
        [contract.landing_table],
    ).fetchall()
    return [DetachedMonths(contract.partition_by, spans)] if spans else []


def _ends(values: Any, begin: dt.datetime, end: dt.datetime) -> tuple[Any, Any]:
    """Bounds of a month as values of the column: months are those of UTC."""
    utc = (begin.astimezone(dt.UTC), end.astimezone(dt.UTC))
    if pa.types.is_date(values.type):
        return utc[0].date(), utc[1].date()
    if values.type.tz is None:
        return utc[0].replace(tzinfo=None), utc[1].replace(tzinfo=None)
    return utc


def _month(value: Any) -> str:
    found = value.as_py()
    if isinstance(found, dt.datetime) and found.tzinfo:
        found = found.astimezone(dt.UTC)
    return f"{found:%Y-%m}"


def _moment(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _start_of(contract: Contract, name: str) -> dt.date | None:
    """The month that a partition's name tells; None for a table that is not one of ours."""
    prefix = f"{contract.landing_table}_"
    try:
        return dt.datetime.strptime(name.removeprefix(prefix), "%Y_%m").date()
    except ValueError:
        return None


def _count(connection: Connection, place: sql.Identifier) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(place)).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _alone(connection: Connection, contract: Contract) -> Iterator[None]:
    """Neither a load nor, for long, a reader in between."""
    lock(connection, contract)
    connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_WAIT)))
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise _problem(
            contract,
            f"{contract.raw_name} está en uso hace más de {_LOCK_WAIT[:-1]} segundos.",
            "espere a que termine la corrida o el informe que la lee y vuelva a ejecutar.",
        ) from error
    connection.execute("set local lock_timeout to default")


def _match_columns(connection: Connection, contract: Contract, name: str) -> None:
    """Add what the raw table got meanwhile; refuse what it does not have or has otherwise."""
    rows = connection.execute(
        "select a.attrelid = to_regclass(%s), a.attname, format_type(a.atttypid, a.atttypmod) "
        "from pg_attribute a where a.attrelid in (to_regclass(%s), to_regclass(%s)) "
        "and a.attnum > 0 and not a.attisdropped order by a.attnum",
        [
            f"{RAW}.{contract.landing_table}", f"{RAW}.{contract.landing_table}",
            f"{RAW}.{name}",
        ],
    ).fetchall()  # fmt: skip
    parent = {str(column): str(kind) for of_parent, column, kind in rows if of_parent}
    own = {str(column): str(kind) for of_parent, column, kind in rows if not of_parent}
    odd = sorted(column for column, kind in own.items() if parent.get(column) != kind)
    if odd:
        statements = " ".join(
            f"alter table {RAW}.{name} alter column {column} type {parent[column]} "
            f"using {column}::{parent[column]};"
            for column in odd
            if column in parent
        )
        raise _problem(
            contract,
            f"raw.{name} tiene columnas que {contract.raw_name} no tiene o tiene de otro tipo: "
            f"{', '.join(odd)}.",
            "deje la tabla como estaba al separarla"
            + (
                "; si cambió el tipo en la tabla principal, páselo también al mes con "
                f"`lujan warehouse psql`: {statements}"
                if statements
                else "."
            ),
        )
    for column in parent.keys() - own.keys():
        connection.execute(
            sql.SQL("alter table {} add column {} {}").format(
                sql.Identifier(RAW, name), sql.Identifier(column), sql.SQL(parent[column])
            )
        )


def _move_replaced(
    connection: Connection, contract: Contract, place: sql.Identifier, load_id: int
) -> int:
    """Rows of file versions that a newer one replaced while the month was away, into history."""
    return connection.execute(
        sql.SQL(
            "with gone as (delete from {} t using meta.archivo a where a.carga_id = t.{} "
            "and not a.vigente returning t.*, a.dataset as _conjunto) "
            "insert into raw._historial (dataset, operacion, fila, carga_id) "
            "select _conjunto, 'baja', to_jsonb(gone.*) - '_conjunto', %s from gone"
        ).format(place, sql.Identifier(LOAD_ID)),
        [load_id],
    ).rowcount


def _record(
    connection: Connection,
    contract: Contract,
    load_id: int,
    run_id: str,
    month: Month,
    *,
    came: int = 0,
    gone: int = 0,
) -> None:
    """A load record of a month that left or came back, so that rows stay accounted for."""
    connection.execute(
        "insert into meta.carga (carga_id, corrida_id, dataset, estado, modo, origen, "
        "contrato_version, contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, "
        "filas_eliminadas, detalle) overriding system value "
        "values (%s, %s, %s, 'cargada', %s, %s, %s, %s, now(), clock_timestamp(), %s, %s, %s, %s)",
        [
            load_id, run_id, contract.id, RETURNED if came else LEFT, f"raw.{month.name}",
            contract.version, contract.sha256, came, came, gone,
            Jsonb(extent_details(contract, _moment(month.start), _moment(month.end))),
        ],
    )  # fmt: skip


def _problem(contract: Contract, what: str, next_step: str) -> PartitionError:
    return PartitionError(what, dataset=contract.id, owner=contract.owner, next_step=next_step)

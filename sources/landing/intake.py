"""Where the rows of a load wait to be merged, or stand at once: a temporary table, or raw itself.

Belongs here: choosing between the two, writing into the one chosen, and rows whose key came twice.
Does not belong here: what becomes of the rows (`merge.py`), reading and checking them.

A raw table that is empty is written straight into, without its key, and the key is built
afterwards: less than half the time of merging. So do rows of an increment that can meet nothing in
raw (`beyond.py`), beside its key. Nobody sees either before the load commits.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from sources.arrow_values import to_python
from sources.contract import Contract
from sources.landing.beyond import Beyond, can_be_told
from sources.landing.doorstep import Judged
from sources.landing.partitions import Partitions
from sources.landing.quarantine import CHUNK, Quarantine
from sources.landing.records import names_of
from sources.landing.report import LoadReport
from sources.landing.writer import ORDER, Writer, write_as_it_comes
from sources.raw_table import (
    LOAD_ID,
    Connection,
    add_key,
    audit_columns,
    drop_key,
    key_name,
    stamp_rows,
    table_name,
)
from sources.readers import RejectedRow

INPUT = sql.Identifier("_entrada")
_REPEATED = sql.Identifier("_repetidas")
# Longest wait for the readers of an empty table; after it the rows take the longer way.
_LOCK_WAIT = "3s"
_INDEX_MEMORY = "256MB"
_INDEX_WORKERS = 2


class Intake:
    """Takes the good rows of one load. A context manager: leaving it ends the writing.

    `straight` tells that all rows stand in raw already; `beyond` how many do where not all of them
    do; `wrote` that there were any; `highest` is the highest cursor value among them.
    """

    def __init__(
        self,
        connection: Connection,
        contract: Contract,
        load_id: int,
        *,
        raw_is_empty: bool,
        whole: bool,
    ) -> None:
        """`whole`: all rows of the source come, and are compared with all of raw."""
        self._connection = connection
        self._contract = contract
        self._load_id = load_id
        self._may_be_straight = raw_is_empty
        self._may_be_beyond = not whole and can_be_told(contract)
        self._partitions = Partitions(connection, contract)
        self._writer: Writer | None = None
        self._beyond: Beyond | None = None
        self._beyond_writer: Writer | None = None
        self._key: str | None = None
        self._numbers = _Numbers()
        self.straight = False
        self.beyond = 0
        self.wrote = False
        self.highest: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers():
            writer.__exit__(kind, error, trace)

    @property
    def tables(self) -> tuple[sql.Identifier, ...]:
        """Where the rows are, each with the load's number."""
        raw = table_name(self._contract)
        if self.straight:
            return (raw,)
        return (INPUT, raw) if self.beyond else (INPUT,)

    @property
    def ascends(self) -> bool:
        """Whether no key came twice, as every key was higher than the one before it."""
        return self._beyond is not None and self._beyond.ascends

    def pause(self) -> None:
        """Before the connection is used for something else."""
        for writer in self._writers():
            writer.pause()

    def write(self, judged: Judged) -> None:
        """Take the good rows of a batch."""
        batch, rows = judged.good, judged.rows
        if batch.num_rows == 0:
            return
        if self._writer is None:
            self._writer = self._begin()
        self._partitions.prepare(batch, self.pause)
        if self.straight and judged.sent:
            self._writer.pass_on(judged.sent)
        elif self._beyond is not None:
            self._divide(self._beyond, batch, rows)
        else:
            self._writer.write(batch, rows)
        self.wrote = True
        if self.straight:
            self._numbers.add(rows)
        if self._contract.has_watermark:
            top = to_python(pc.max(batch.column(self._contract.cursor or "")))
            if top is not None:
                self.highest = top if self.highest is None else max(self.highest, top)

    def _divide(self, beyond: Beyond, batch: pa.RecordBatch, rows: pa.Int64Array) -> None:
        """Have the rows of a batch wait up to where they are beyond raw, and the others stand."""
        assert self._writer is not None
        start = beyond.starts_at(batch)
        if start:
            if self._beyond_writer is not None:
                self._beyond_writer.pause()
            self._writer.write(batch.slice(0, start), rows.slice(0, start))
        if start == batch.num_rows:
            return
        self._writer.pause()
        if self._beyond_writer is None:
            self._beyond_writer = Writer(
                self._connection, table_name(self._contract), self._contract, self._load_id
            )
        self._beyond_writer.write(batch.slice(start), rows.slice(start))
        self.beyond += batch.num_rows - start

    def settle_straight(self, quarantine: Quarantine, report: LoadReport) -> None:
        """Build the key over the rows written into raw; what stands in its way leaves for good."""
        if self.wrote:
            stamp_rows(self._connection, self._contract, None)
        if not self._contract.key or self._key is None:
            return
        self._connection.execute(
            "select set_config('maintenance_work_mem', greatest(pg_size_bytes(%s), "
            "pg_size_bytes(current_setting('maintenance_work_mem'))) / 1024 || 'kB', true), "
            "set_config('max_parallel_maintenance_workers', %s, true)",
            [_INDEX_MEMORY, str(_INDEX_WORKERS)],
        )
        try:
            with self._connection.transaction():
                add_key(self._connection, self._contract, self._key)
        except psycopg.errors.UniqueViolation:
            self._move_repeated_in_raw(quarantine, report)
            add_key(self._connection, self._contract, self._key)

    def move_repeated(self, quarantine: Quarantine, report: LoadReport) -> None:
        """Rows of the temporary table whose key already came earlier in this load."""
        self._move(
            sql.SQL(
                "delete from {input} t using (select ctid as _place, row_number() over "
                "(partition by {key} order by {order}) as _turn from {input}) as ranked "
                "where t.ctid = ranked._place and (ranked._turn > 1 or exists "
                "(select from {raw} _r where {match} and _r.{load_id} = {load})) "
                "returning t.{order}, {columns}"
            ),
            quarantine,
            report,
            lambda number: number,
        )

    def _move_repeated_in_raw(self, quarantine: Quarantine, report: LoadReport) -> None:
        """The same for rows that stand in raw already: their place tells which came first."""
        self._move(
            sql.SQL(
                "delete from {raw} t using (select _place, _ordinal, row_number() over "
                "(partition by {key} order by _ordinal) as _turn from (select ctid as _place, "
                "row_number() over (order by ctid) as _ordinal, {key} from {raw}) as placed) "
                "as ranked where t.ctid = ranked._place and ranked._turn > 1 "
                "returning ranked._ordinal, {columns}"
            ),
            quarantine,
            report,
            self._numbers.of,
        )

    def _move(
        self,
        deletion: sql.SQL,
        quarantine: Quarantine,
        report: LoadReport,
        number_of: Callable[[int], int],
    ) -> None:
        contract = self._contract
        names = [sql.Identifier(column.name) for column in contract.declared]
        self._connection.execute(
            sql.SQL("create temporary table {} ({} bigint, {}) on commit drop").format(
                _REPEATED,
                sql.Identifier(ORDER),
                sql.SQL(", ").join(sql.SQL("{} text").format(name) for name in names),
            )
        )
        self._connection.execute(
            sql.SQL("with gone as ({}) insert into {} select * from gone").format(
                deletion.format(
                    raw=table_name(contract),
                    input=INPUT,
                    key=names_of(contract.key),
                    match=sql.SQL(" and ").join(
                        sql.SQL("_r.{0} = t.{0}").format(sql.Identifier(n)) for n in contract.key
                    ),
                    load_id=sql.Identifier(LOAD_ID),
                    load=sql.Literal(self._load_id),
                    order=sql.Identifier(ORDER),
                    columns=sql.SQL(", ").join(sql.SQL("t.{}::text").format(n) for n in names),
                ),
                _REPEATED,
            )
        )
        set_aside_repeated(
            self._connection, contract, quarantine, report,
            sql.SQL("select * from {}").format(_REPEATED),
            "ya vino en otra fila de la misma carga", number_of,
        )  # fmt: skip

    def _begin(self) -> Writer:
        self.straight = self._may_be_straight and self._take_raw()
        if self.straight:
            # The table is ours until the load commits: it gives every row the load's number.
            stamp_rows(self._connection, self._contract, self._load_id)
            return Writer(
                self._connection,
                table_name(self._contract),
                self._contract,
                freeze=not self._contract.partition_by,
            )
        create_input(self._connection, self._contract)
        if self._may_be_beyond:
            self._beyond = Beyond(self._connection, self._contract)
        return Writer(self._connection, INPUT, self._contract, self._load_id, with_order=True)

    def _writers(self) -> list[Writer]:
        return [one for one in (self._writer, self._beyond_writer) if one is not None]

    def _take_raw(self) -> bool:
        """Take the empty raw table for ourselves and its key off; False where it cannot be.

        Row numbers follow from places in the table, so a divided table with a key is merged.
        """
        contract, connection = self._contract, self._connection
        if contract.partition_by and contract.key:
            return False
        raw = table_name(contract)
        try:
            with connection.transaction():
                connection.execute(
                    sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_WAIT))
                )
                connection.execute(sql.SQL("lock table {} in access exclusive mode").format(raw))
                connection.execute("set local lock_timeout to default")
                filled = connection.execute(
                    sql.SQL("select exists(select from {})").format(raw)
                ).fetchone()
                if filled != (False,):
                    return False
                self._key = key_name(connection, contract)
                if self._key is not None:
                    drop_key(connection, contract, self._key)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist):
            self._key = None
            return False
        # A fresh file under the table: rows can be written frozen, and no scan has to hint them.
        connection.execute(sql.SQL("truncate {}").format(raw))
        write_as_it_comes(connection)
        return True


def create_input(connection: Connection, contract: Contract) -> None:
    """The temporary table a load is read into; it goes with the transaction."""
    create_temporary(connection, contract, INPUT, (*audit_columns(contract), ORDER))


def create_temporary(
    connection: Connection, contract: Contract, name: sql.Identifier, numbers: tuple[str, ...]
) -> None:
    """A temporary table of the contract's columns and further ones of numbers."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.pg_type))
        for column in contract.columns
    ]
    columns += [sql.SQL("{} bigint").format(sql.Identifier(number)) for number in numbers]
    connection.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            name, sql.SQL(", ").join(columns)
        )
    )


def set_aside_repeated(
    connection: Connection,
    contract: Contract,
    quarantine: Quarantine,
    report: LoadReport,
    query: sql.Composed,
    why: str,
    number_of: Callable[[int], int] = lambda number: number,
) -> None:
    """Rows that cannot stand in raw beside their key: `query` gives a number and all as text."""
    names = [column.name for column in contract.declared]
    reason = f"la clave ({', '.join(contract.key)}) {why}"
    with connection.cursor(name="repetidas") as cursor:
        cursor.execute(query)
        while found := cursor.fetchmany(CHUNK):
            repeated = [
                RejectedRow(
                    row_number=number_of(row[0]),
                    rule="clave_repetida",
                    column=contract.key[0],
                    reason=reason,
                    values=dict(zip(names, row[1:], strict=True)),
                )
                for row in found
            ]
            quarantine.add(repeated)
            report.quarantined += len(repeated)
            report.reasons.update(row.rule for row in repeated)


class _Numbers:
    """Source row numbers of the rows written, found again by their ordinal (from 1).

    Memory grows with the batches, and with the rows only where some of a batch were kept out.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._batches: list[tuple[int, pa.Int64Array | None]] = []
        self._count = 0

    def add(self, rows: pa.Int64Array) -> None:
        first, last = rows[0].as_py(), rows[-1].as_py()
        whole = last - first + 1 == len(rows)
        self._starts.append(self._count + 1)
        self._batches.append((first, None if whole else rows))
        self._count += len(rows)

    def of(self, ordinal: int) -> int:
        at = bisect.bisect_right(self._starts, ordinal) - 1
        first, rows = self._batches[at]
        offset = ordinal - self._starts[at]
        return first + offset if rows is None else int(rows[offset].as_py())

"""Tables of a database: which columns and rows are read, and what a failure means.

Belongs here: the query derived from the contract, its snapshot, and errors in words a person can
act upon. Does not belong here: what an engine does its own way (`engines/`).

The query selects the contract's columns only, in the order of the key. With a cursor and a
watermark it takes the rows from `watermark - lookback` on (that moment included), and those whose
cursor is null: they would otherwise never come.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from sources.arrow_values import from_texts
from sources.contract import Column, Contract
from sources.errors import DriftError, PipelineError, SourceChanged, SourceUnavailable
from sources.names import folded
from sources.readers.arrow import Array
from sources.readers.base import (
    DEFAULT_OPTIONS,
    ClosingReader,
    RawBatch,
    ReaderOptions,
    Sent,
    build_batch,
    check_settings_hint,
    key_batch,
    match_columns,
    problem,
    source_columns,
)
from sources.readers.engines import Engine, NotDecoded, SourceColumn, Trouble, engine_for
from sources.readers.ranges import boundaries, in_turn, parted
from sources.readers.text_cursor import (
    first_text,
    is_compared_as_text,
    is_misordered,
    refuse_format,
    refuse_numbers,
)
from sources.readers.watermark import CursorValue, period, since_value, zone_of
from sources.urls import SourceUrl

# Longest a statement may run at the source when the contract does not say.
_STATEMENT_TIMEOUT = "PT1H"
# Fewer rows than this have come before the fast way of reading has begun.
QUICK_ROWS = 20_000
# Up to this many rows counting them, or a search for values that the fast way cannot take, is a
# matter of 0.1 s.
_SEARCHED_ROWS = 1_000_000
# From this many rows on a table is read in parts, where the contract asks for it. Not by itself:
# on two processors two parts took as long as one (5 M readings: 2.4 s, whole 2.1 s), as decoding is
# what takes the time. They serve where the source or the way to it is slow.
PARTED_ROWS = 1_000_000
PARALLEL_RANGES = 1
# Longer than any clock was ever put back at once.
_A_CHANGE_OF_CLOCKS = timedelta(hours=3)
_LEAST_PARTS = 2
# What stands before the digits of octets in a text: in PostgreSQL, in SQL Server.
_MARK_OF_OCTETS = re.compile(r"^(?:\\x|0x)")
# Numbers of single precision, and how far one may lie from what it is written as, at most.
_SINGLE = re.compile(r"^(?:real|float4?)\b", re.IGNORECASE)
_SINGLE_PRECISION = Decimal(2) ** -23
_WHOLE = re.compile(r"^(small|big)?int(eger)?$")
_MOMENTS = re.compile(r"^(date|timestamp)\b")


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """What the source says of the rows it is asked for: how many, and sums by contract column.

    Only integers and decimals have a sum; None where it is not an exact number.
    """

    rows: int
    sums: Mapping[str, Decimal | None]


class DatabaseReader(ClosingReader):
    """One table, read in one snapshot."""

    def __init__(
        self,
        contract: Contract,
        url: SourceUrl,
        *,
        watermark: str | None = None,
        batch_rows: int = 65_536,
        options: ReaderOptions = DEFAULT_OPTIONS,
        engine: Engine | None = None,
    ) -> None:
        self._contract = contract
        self._url = url
        self._watermark = watermark
        self._batch_rows = int(contract.options.get("fetchRows", batch_rows))
        self._options = _with_limits(contract, options)
        self._engine = engine or engine_for(url)
        self._table = source_table(contract, self._engine)
        self.description = f"{url.safe} {self._table.fullname}"
        self._connection: Any = None
        self._consistent = False
        self._filtered = False
        self._found: dict[str, SourceColumn] = {}
        self._source_names: dict[str, str] = {}
        self._count: int | None = None
        self._told: int | None = None
        self._doubtful: list[str] = []
        self._bounds: list[Any] | None = None
        self._helpers: list[Any] = []

    def __enter__(self) -> Self:
        """Connect, start the snapshot and find the columns.

        Raises SourceUnavailable for host, credentials, database, table or time-out, DriftError
        when a column of the contract is missing, ContractError where its cursor is text that does
        not sort as it grows.
        """
        try:
            self._connect()
        except BaseException as error:
            self._close()
            raise self._translated(error) from error
        return self

    def columns(self) -> tuple[str, ...]:
        """All but hidden columns that the contract does not name: whoever hides one from `*` does
        not offer it to those who do not ask for it."""
        asked = set(self._source_names.values())
        return tuple(n for n, found in self._found.items() if not found.hidden or n in asked)

    def source_types(self) -> dict[str, str]:
        """Declared type of every such column by the source's own name; unknown ones left out."""
        types = {name: self._found[name].type for name in self.columns()}
        return {name: kind for name, kind in types.items() if kind}

    def notes(self) -> tuple[str, ...]:
        """That the server keeps rows from this user, where it does: they are in no count, either.

        As it was when the table was opened: the connection may be closed by now.
        """
        if not self._filtered:
            return ()
        return (f"{self._table.fullname}: {rows_kept_back(self._url)}",)

    def source_key(self) -> tuple[str, ...]:
        """Columns of the table's primary key under the source's names, in the table's order.

        Empty where none is declared. To be called before `batches`.
        """
        try:
            return self._engine.primary_key(self._connection, self._table)
        except self._engine.errors as error:
            raise self._translated(error) from error

    def source_count(self) -> int | None:
        """Rows of the query in the snapshot; None where the server offers no snapshot.

        Counted at the first call, which must come before `batches`. Of a large table whose server
        says how many rows it sent that is the count: None until all of `batches` were taken.
        """
        if self._count is None and self._consistent and not self._is_told_at_the_end:
            self._ask_totals(())
        return self._told if self._count is None else self._count

    @cached_property
    def _is_told_at_the_end(self) -> bool:
        """Whether counting the rows beforehand would read a large table once more for nothing.

        Parts of a table are several statements, each of which knows of its own rows only.
        """
        told = self._engine.tells_rows_sent
        if told == "none" or self._wanted_parts >= _LEAST_PARTS:
            return False
        if told == "whole tables" and self._asks_for_doubts(self._statement()):
            return False
        return self._estimated_rows(self._table) > _SEARCHED_ROWS

    def _estimated_rows(self, table: sa.TableClause) -> int:
        """What the server's statistics say. Often the first thing asked of a connection again."""
        try:
            return self._engine.estimated_rows(self._connection, table)
        except self._engine.errors as error:
            raise self._translated(error) from error

    @property
    def _wanted_parts(self) -> int:
        return int(self._contract.options.get("parallelRanges", PARALLEL_RANGES))

    def source_totals(self) -> SourceTotals | None:
        """Count and exact sums of what `batches` gives, by one statement in the same snapshot.

        None where the server offers no snapshot. To be called before `batches`; the count is then
        known to `source_count` as well.
        """
        if not self._consistent:
            return None
        names = self._exact_columns()
        sums = self._ask_totals(names)
        return SourceTotals(
            self._count or 0,
            {name: _exact(value) for name, value in zip(names, sums, strict=True)},
        )

    def keys(self) -> Iterator[pa.RecordBatch]:
        """The key and cursor of every row of the table, whatever the watermark, in the same
        snapshot.

        These columns under the contract's names, as the source gives them (text that is not valid
        Unicode: one character per byte), in no particular order. Not while `batches` is being read.
        Raises SourceUnavailable when the connection breaks.
        """
        key, cursor = self._contract.key, self._contract.cursor
        names = {name: source for name, source in self._source_names.items() if name in key}
        quickly = self._keys_go_quickly(names)
        written = []
        if cursor in self._source_names and cursor not in names:
            names[cursor] = self._source_names[cursor]
            table = source_table(self._contract, self._engine, [names[cursor]])
            doubtful = self._doubts(
                {cursor: (table.columns[names[cursor]], self._found[names[cursor]])}
            )
            written = list(doubtful)
        query = select_columns(self._contract, self._engine, names, self._found, written)
        for columns, _ in self._stream(self._connection, query, quickly=quickly):
            yield key_batch(self._contract, columns)

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceUnavailable when the connection breaks while reading, and SourceChanged
        when the fast way of reading met a value it cannot take: read again with `exact`.
        Raises ContractError for a cursor of text that turns out not to sort as it grows.
        """
        first = 1
        quickly = self._is_told_at_the_end or (self.source_count() or 0) >= QUICK_ROWS
        if self._options.exact and not self._doubtful:
            # What the fast way could not take is not known: the driver takes anything.
            quickly = False
        query = self._statement(self._doubtful)
        connections = [self._connection, *self._helpers]
        streams = [
            self._counted(self._stream(connection, part, quickly=quickly))
            for connection, part in zip(connections, self._parts(query), strict=True)
        ]
        as_in_raw = self._is_as_in_raw()
        cursor = self._text_cursor
        watched = cursor if cursor is not None and is_compared_as_text(cursor) else None
        for columns, sent in in_turn(streams):
            if watched is not None and is_misordered(columns[watched.name]):
                refuse_numbers(self._contract, watched, f"la tabla {self._table.fullname}")
            rows = np.arange(first, first + len(next(iter(columns.values()))), dtype=np.int64)
            first += len(rows)
            batch = build_batch(self._contract, columns, rows)
            yield replace(batch, sent=sent) if as_in_raw and not batch.rejected else batch

    def _counted(
        self, stream: Generator[tuple[dict[str, Array], Sent], None, int | None]
    ) -> Generator[tuple[dict[str, Array], Sent], None, None]:
        """A stream whose count, given at its end, is kept."""
        told = yield from stream
        if told is not None:
            self._told = (self._told or 0) + told

    def _stream(
        self, connection: Any, query: sa.Select[Any], *, quickly: bool
    ) -> Generator[tuple[dict[str, Array], Sent], None, int | None]:
        """The rows of a statement, by column of the contract, and as they were sent if at all.

        Gives at its end how many rows the server says it sent, where it does.
        """
        engine, names = self._engine, [column.name for column in query.selected_columns]
        try:
            sent_too = engine.stream_as_sent(connection, query, self._batch_rows)
            if sent_too is not None:
                return (yield from _named(names, sent_too))
            stream = None
            if quickly:
                stream = engine.stream_quickly(connection, query, self._batch_rows)
            if stream is None:
                stream = engine.stream(connection, query, self._batch_rows)
            for arrays in stream:
                yield dict(zip(names, arrays, strict=True)), ()
            if self._is_told_at_the_end:
                return engine.rows_sent(connection)
        except NotDecoded as error:
            raise problem(
                SourceChanged,
                self._contract,
                f"la tabla {self._table.fullname} tiene un valor que la lectura rápida no admite.",
                "ninguno: se vuelve a leer por la vía exacta.",
            ) from error
        except engine.errors as error:
            raise self._translated(error) from error
        return None

    def _connect(self) -> None:
        self._connection = self._engine.connect(self._url, self._options)
        self._consistent = self._engine.begin(self._connection)
        self._found = self._engine.describe(self._connection, self._table)
        self._filtered = self._engine.filters_rows(self._connection, self._table)
        names = list(self._found)
        try:
            positions = match_columns(self._contract, names, f"la tabla {self._table.fullname}")
        except DriftError as error:
            self._check_grants(error)
            raise
        self._source_names = {name: names[position] for name, position in positions.items()}
        self._refuse_what_cannot_be_carried()
        self._refuse_what_cannot_order()

    def _check_grants(self, error: DriftError) -> None:
        """Raise SourceUnavailable where what is missing is there, and may not be read."""
        withheld = {folded(n) for n in self._engine.withheld(self._connection, self._table)}
        hidden = [name for name in error.columns if folded(name) in withheld]
        if hidden:
            raise problem(
                SourceUnavailable,
                self._contract,
                f"el usuario {self._url.user!r} no tiene permiso para leer de "
                f"{self._table.fullname} las columnas {', '.join(hidden)} en el sistema "
                f"{self._contract.system}.",
                "pida permiso de lectura (SELECT) sobre ellas, o quítelas del contrato.",
            ) from error

    def _part(self, query: sa.Select[Any]) -> list[Any]:
        """Boundaries of the parts a large table is read in, a connection opened for each of them.

        None where the table is small, nothing parts it, or the system has no place left. Now, and
        not with the first batch: places are asked for on the warehouse's connection, which is busy
        writing from then on.
        """
        wanted, source = self._wanted_parts, self._parting_column()
        if (
            self._options.exact
            or wanted < _LEAST_PARTS
            or source is None
            or (self._count or 0) < PARTED_ROWS
        ):
            return []
        column = query.get_final_froms()[0].c[source.name]
        found = boundaries(*self._extremes(query, column, source), wanted)
        name = self._engine.share_snapshot(self._connection) if found else None
        if name is None:
            return []
        granted = self._options.extra_slots(len(found))
        for _ in range(granted):
            self._helpers.append(self._engine.connect(self._url, self._options))
            self._engine.join_snapshot(self._helpers[-1], name)
            self._engine.begin(self._helpers[-1])
        if granted == len(found):
            return found
        return boundaries(*self._extremes(query, column, source), granted + 1)

    def _parting_column(self) -> SourceColumn | None:
        """A column whose values part the table: the key's first, or else the cursor."""
        contract = self._contract
        for name in (*contract.key[:1], contract.cursor):
            source = self._found.get(self._source_names.get(name or "", ""))
            if source is not None and source.nullable is False:
                if _WHOLE.search(source.type or ""):
                    return source
                if name == contract.cursor and _MOMENTS.search(source.type or ""):
                    return source
        return None

    def _extremes(
        self, query: sa.Select[Any], column: sa.ColumnElement[Any], source: SourceColumn
    ) -> tuple[Any, Any]:
        """Lowest and highest value of a column, infinite times and those before Christ left out."""
        ends = query.with_only_columns(
            sa.func.min(column), sa.func.max(column), maintain_column_froms=True
        ).order_by(None)
        if not _WHOLE.search(source.type or ""):
            ends = ends.where(column >= "0001-01-01", column <= "9999-12-31")
        lowest, highest = self._engine.row(self._connection, ends)
        return lowest, highest

    def _parts(self, query: sa.Select[Any]) -> list[sa.Select[Any]]:
        if not self._bounds:
            return [query]
        source = self._parting_column()
        assert source is not None, "boundaries without a column"
        column = query.get_final_froms()[0].c[source.name]
        return parted(
            query, column, self._bounds,
            lambda value: self._engine.since(column, value, source.zoned),
        )  # fmt: skip

    def _is_as_in_raw(self) -> bool:
        """Whether the source has all columns of raw, in its order and declared as there."""
        columns = self._contract.columns
        return list(self._source_names) == [column.name for column in columns] and all(
            self._engine.is_as_in_raw(self._found[self._source_names[column.name]], column)
            for column in columns
        )

    def _refuse_what_cannot_be_carried(self) -> None:
        for name, source in self._source_names.items():
            if self._contract.column(name).undeclared:
                continue  # as the server writes it; octets as hexadecimal digits
            why = self._engine.refusal(self._found[source], self._contract.column(name))
            if why is not None:
                raise problem(
                    DriftError,
                    self._contract,
                    f"la columna {source} de la tabla {self._table.fullname} (sistema "
                    f"{self._contract.system}) {why}. La tabla conserva sus últimos datos buenos.",
                    f"quite la columna del contrato {self._contract.path.name}, o declárela como "
                    "texto (`physicalType: text`; si es binaria, con `format: hex`).",
                )

    def _refuse_what_cannot_order(self) -> None:
        cursor = self._text_cursor
        if cursor is None:
            return
        refuse_format(self._contract, cursor, f"la tabla {self._table.fullname}")
        if is_compared_as_text(cursor) and is_misordered(from_texts([self._watermark or ""])):
            refuse_numbers(self._contract, cursor, f"la tabla {self._table.fullname}")

    @cached_property
    def _text_cursor(self) -> Column | None:
        """The cursor, where the source holds it as text."""
        contract = self._contract
        if not contract.has_watermark or contract.cursor not in self._source_names:
            return None
        source = self._found[self._source_names[contract.cursor]]
        return contract.column(contract.cursor) if self._engine.holds_text(source) else None

    def _statement(self, written: Collection[str] = ()) -> sa.Select[Any]:
        return build_query(
            self._contract, self._engine, self._source_names, self._found, self._watermark, written
        )

    def _ask_totals(self, names: Iterable[str]) -> list[Any]:
        """Count the query's rows and add up these columns; doubtful columns are noted as well."""
        query = self._statement()
        columns = query.get_final_froms()[0].c
        found = {n: (columns[s], self._found[s]) for n, s in self._source_names.items()}
        sums = [self._engine.total(*found[name]) for name in names]
        doubts = self._doubts(found)
        try:
            if doubts and not self._asks_for_doubts(query):
                doubts = {}
            doubtful = [sa.func.count(sa.case((doubt, 1))) for doubt in doubts.values()]
            count, *values = self._engine.row(self._connection, count_of(query, *sums, *doubtful))
            self._count = int(count)
            if self._bounds is None:
                self._bounds = self._part(query)
        except self._engine.errors as error:
            raise self._translated(error) from error
        self._doubtful = [
            name for name, many in zip(doubts, values[len(sums) :], strict=True) if int(many)
        ]
        return values[: len(sums)]

    def _asks_for_doubts(self, query: sa.Select[Any]) -> bool:
        """Whether doubtful values are looked for before the first batch is read.

        In a large table that costs more than it saves: few have any, and then it is read again.
        """
        if self._options.exact or query.whereclause is not None:
            return True
        return self._estimated_rows(self._table) <= _SEARCHED_ROWS

    def _doubts(
        self, columns: Mapping[str, tuple[sa.ColumnElement[Any], SourceColumn]]
    ) -> dict[str, sa.ColumnElement[bool]]:
        found = {name: self._engine.doubt(*column) for name, column in columns.items()}
        return {name: doubt for name, doubt in found.items() if doubt is not None}

    def _keys_go_quickly(self, names: Mapping[str, str]) -> bool:
        """Whether the keys of a large table hold nothing that the fast way cannot take."""
        table = source_table(self._contract, self._engine, dict.fromkeys(names.values()))
        columns = {n: (table.columns[s], self._found[s]) for n, s in names.items()}
        if self._options.exact or self._doubts(columns):
            return False
        return self._estimated_rows(table) >= QUICK_ROWS

    def _exact_columns(self) -> list[str]:
        """Contract columns that both ends hold as integers or decimals."""
        return [
            column.name
            for column in source_columns(self._contract)
            if pa.types.is_integer(column.arrow_type) or pa.types.is_decimal(column.arrow_type)
            if self._engine.exact_numbers.search(
                self._found[self._source_names[column.name]].type or ""
            )
        ]

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, PipelineError) or not isinstance(error, self._engine.errors):
            return error
        return explain(self._contract, self._url, self._engine, self._table.fullname, error)

    def _close(self) -> None:
        connections = [*self._helpers, self._connection]
        self._helpers, self._connection = [], None
        for connection in connections:
            if connection is not None:
                connection.close()


def _named(
    names: Sequence[str], stream: Generator[tuple[list[Array], Sent], None, int]
) -> Generator[tuple[dict[str, Array], Sent], None, int]:
    """The batches of a stream with their columns by name; gives at its end what that gives."""
    while True:
        try:
            arrays, sent = next(stream)
        except StopIteration as end:
            return int(end.value)
        yield dict(zip(names, arrays, strict=True)), sent


def source_table(contract: Contract, engine: Engine, columns: Iterable[str] = ()) -> sa.Table:
    """The table a contract names, always quoted: the source's spelling is kept.

    Behind the schema of the server a name may have points of its own.
    """
    usual = contract.server.schema_ or ""
    if usual and contract.source_table.startswith(f"{usual}."):
        schema, name = usual, contract.source_table.removeprefix(f"{usual}.")
    else:
        schema, _, name = contract.source_table.rpartition(".")
        schema = schema or usual
    return sa.Table(
        sa.quoted_name(name, quote=True),
        sa.MetaData(),
        *(sa.Column(sa.quoted_name(column, quote=True)) for column in columns),
        schema=sa.quoted_name(schema, quote=True) if schema and engine.has_schemas else None,
    )


def rows_kept_back(url: SourceUrl) -> str:
    """What a person should know of a table whose rows depend on who asks."""
    return (
        f"tiene seguridad por fila, y el usuario {url.user!r} ve solo las filas que sus políticas "
        "le permiten. Si hacen falta todas, pida una política que se las muestre, o BYPASSRLS"
    )


def select_columns(
    contract: Contract,
    engine: Engine,
    source_names: Mapping[str, str],
    found: Mapping[str, SourceColumn],
    written: Collection[str] = (),
) -> sa.Select[Any]:
    """These columns of the whole table under our names, in no order; `written` ones as text."""
    table = source_table(contract, engine, dict.fromkeys(source_names.values()))

    def asked(name: str, source: str) -> sa.ColumnElement[Any]:
        column = table.columns[source]
        if name in written:
            return engine.written(column, found[source])
        return engine.select(column, found[source], contract.column(name))

    return sa.select(*(asked(name, source).label(name) for name, source in source_names.items()))


def build_query(
    contract: Contract,
    engine: Engine,
    source_names: Mapping[str, str],
    found: Mapping[str, SourceColumn],
    watermark: str | None,
    written: Collection[str] = (),
) -> sa.Select[Any]:
    """The statement for a contract: its columns under our names, from the watermark on, by key.

    `source_names` gives the source's name of each column, `found` what the source says of it;
    columns in `written` are asked for as the server's text.
    """
    query = select_columns(contract, engine, source_names, found, written)
    columns = query.get_final_froms()[0].c
    if contract.cursor and watermark is not None and contract.has_watermark:
        source = source_names[contract.cursor]
        query = query.where(_since(contract, engine, columns[source], found[source], watermark))
    return query.order_by(
        *(columns[source_names[name]] for name in contract.key if name in source_names)
    )


def _since(
    contract: Contract,
    engine: Engine,
    column: sa.ColumnElement[Any],
    source: SourceColumn,
    watermark: str,
) -> sa.ColumnElement[bool]:
    """The condition of the rows from the watermark on, and of those without a cursor."""
    cursor = contract.column(contract.cursor or "")
    since = since_value(contract, watermark)
    if engine.holds_text(source) and not is_compared_as_text(cursor):
        if not isinstance(since, date):
            return engine.since_number(column, since)
        since = first_text(cursor, since) or since
    elif isinstance(since, str) and engine.holds_octets(source):
        digits = _MARK_OF_OCTETS.sub("", since)
        return sa.or_(engine.since_octets(column, digits), column.is_(None))
    else:
        since = _not_above(source, _as_stored(cursor, since, source.zoned))
    return sa.or_(engine.since(column, since, source.zoned), column.is_(None))


def _not_above(source: SourceColumn, value: CursorValue) -> CursorValue:
    """The value, or one just below it for a column of single precision.

    What is read of it as 0.7 is 0.699999988 when it is compared, and lies below 0.7.
    """
    if isinstance(value, Decimal) and _SINGLE.match(source.type or ""):
        return value - abs(value) * _SINGLE_PRECISION
    return value


def count_of(query: sa.Select[Any], *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The statement that counts what `query` selects, with further aggregates of the same rows."""
    counted = query.with_only_columns(sa.func.count(), *more, maintain_column_froms=True)
    return counted.order_by(None)


def _as_stored(column: Column, value: CursorValue, zoned: bool | None) -> CursorValue:
    """A time as the source's column holds it: the local clock where it carries no zone."""
    if not isinstance(value, datetime):
        return value
    if zoned:
        return value if value.tzinfo else value.replace(tzinfo=zone_of(column))
    local = value.astimezone(zone_of(column)) if value.tzinfo else value
    earlier = _before_the_clock_goes_back(local.replace(tzinfo=zone_of(column)))
    return earlier if zoned is None and value.tzinfo else earlier.replace(tzinfo=None)


def _before_the_clock_goes_back(local: datetime) -> datetime:
    """A local time from which on no row is missed: where clocks go back soon, that much earlier.

    The hour that comes twice is written twice: its second rows lie before the last of its first.
    """
    later = (local.astimezone(UTC) + _A_CHANGE_OF_CLOCKS).astimezone(local.tzinfo)
    back = (local.utcoffset() or timedelta(0)) - (later.utcoffset() or timedelta(0))
    return local - max(back, timedelta(0))


def _with_limits(contract: Contract, options: ReaderOptions) -> ReaderOptions:
    """The options with the contract's limits in them."""
    if options.statement_timeout_s is not None:
        return options
    longest = period(str(contract.options.get("statementTimeout", _STATEMENT_TIMEOUT)))
    return replace(options, statement_timeout_s=int(longest.total_seconds()))


def _exact(value: Any) -> Decimal | None:
    """A sum as a driver gives it; none of no rows is zero, and None what is no exact number."""
    if value is None:
        return Decimal(0)
    text = value.decode() if isinstance(value, bytes) else value
    try:
        return None if isinstance(text, float) else Decimal(str(text))
    except InvalidOperation:
        return None


def explain(
    contract: Contract, url: SourceUrl, engine: Engine, table: str, error: Exception
) -> SourceUnavailable:
    """A driver's error in words: what happened, to which system, and what to do."""
    system, where = contract.system, url.safe
    hint = check_settings_hint(contract)
    words: dict[Trouble, tuple[str, str]] = {
        "red": (
            f"no se pudo llegar al sistema {system} ({engine.name} en {where}).",
            "verifique que el servidor esté encendido y que haya red o VPN; si cambió de lugar, "
            f"{hint}",
        ),
        "credenciales": (
            f"el sistema {system} ({where}) rechazó el usuario {url.user!r} o su contraseña.",
            f"pida la credencial vigente y {hint}",
        ),
        "base": (f"no existe la base de datos del sistema {system} ({where}).", hint),
        "tabla": (
            f"no existe la tabla {table} en el sistema {system} ({where}).",
            "confirme el cambio con el área; si la tabla cambió de nombre, actualice el contrato "
            f"{contract.path.name}.",
        ),
        "permiso": (
            f"el usuario {url.user!r} no tiene permiso para leer {table} en el sistema {system}.",
            "pida permiso de lectura (SELECT) sobre esa tabla.",
        ),
        "tiempo": (
            f"el sistema {system} ({where}) no respondió a tiempo.",
            "vuelva a ejecutar en un horario de menos uso; si se repite, avise al área.",
        ),
        "replica": (
            f"la réplica del sistema {system} ({where}) cortó la lectura: lo que recibe del "
            "servidor principal quita filas que se estaban leyendo.",
            "vuelva a ejecutar; si se repite, pida `hot_standby_feedback = on` en la réplica (o "
            f"un `max_standby_streaming_delay` mayor), o lea del servidor principal: {hint}",
        ),
        "otro": (
            f"el sistema {system} ({where}) respondió con un error: {_one_line(error)}.",
            "la tabla conserva sus últimos datos buenos; si se repite, avise al equipo de datos.",
        ),
    }
    what, next_step = words[engine.trouble(error)]
    return problem(SourceUnavailable, contract, what, next_step)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")

"""Tables of a database: which columns and rows are read, and what a failure means.

Belongs here: the query derived from the contract, its snapshot, and errors in words a person can
act upon. Does not belong here: what an engine does its own way (`engines.py`).

The query selects the contract's columns only, in the order of the key. With a cursor and a
watermark it takes the rows from `watermark - lookback` on (that moment included), and those whose
cursor is null: they would otherwise never come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

import numpy as np
import sqlalchemy as sa

from sources.contract import Column, Contract
from sources.errors import PipelineError, SourceUnavailable
from sources.readers.base import (
    DEFAULT_OPTIONS,
    ClosingReader,
    RawBatch,
    ReaderOptions,
    build_batch,
    check_settings_hint,
    match_columns,
    problem,
)
from sources.readers.engines import Engine, Trouble, engine_for
from sources.readers.watermark import CursorValue, since_value, zone_of
from sources.urls import SourceUrl


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
        self._batch_rows = batch_rows
        self._options = options
        self._engine = engine or engine_for(url)
        self._table = source_table(contract, self._engine)
        self.description = f"{url.safe} {self._table.fullname}"
        self._connection: Any = None
        self._consistent = False
        self._found: dict[str, bool | None] = {}
        self._query: sa.Select[Any] | None = None
        self._count: int | None = None

    def __enter__(self) -> Self:
        """Connect, start the snapshot and find the columns.

        Raises SourceUnavailable for host, credentials, database, table or time-out, DriftError
        when a column of the contract is missing.
        """
        try:
            self._connect()
        except BaseException as error:
            self._close()
            raise self._translated(error) from error
        return self

    def columns(self) -> tuple[str, ...]:
        return tuple(self._found)

    def source_count(self) -> int | None:
        """Rows of the query in the snapshot; None where the server offers no snapshot.

        Counted at the first call, which must come before `batches`.
        """
        if self._count is None and self._consistent and self._query is not None:
            try:
                found = self._engine.scalar(self._connection, count_of(self._query))
            except self._engine.errors as error:
                raise self._translated(error) from error
            self._count = int(found)
        return self._count

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceUnavailable when the connection breaks while reading."""
        assert self._query is not None, "the reader is not open"
        names = [column.name for column in self._query.selected_columns]
        first = 1
        try:
            for arrays in self._engine.stream(self._connection, self._query, self._batch_rows):
                rows = np.arange(first, first + len(arrays[0]), dtype=np.int64)
                first += len(rows)
                yield build_batch(self._contract, dict(zip(names, arrays, strict=True)), rows)
        except self._engine.errors as error:
            raise self._translated(error) from error

    def _connect(self) -> None:
        self._connection = self._engine.connect(self._url, self._options)
        self._consistent = self._engine.begin(self._connection)
        self._found = self._engine.describe(self._connection, self._table)
        names = list(self._found)
        positions = match_columns(self._contract, names, f"la tabla {self._table.fullname}")
        self._query = build_query(
            self._contract,
            self._engine,
            {name: names[position] for name, position in positions.items()},
            self._found,
            self._watermark,
        )

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, PipelineError) or not isinstance(error, self._engine.errors):
            return error
        return explain(self._contract, self._url, self._engine, self._table.fullname, error)

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def source_table(contract: Contract, engine: Engine, columns: Iterable[str] = ()) -> sa.Table:
    """The table a contract names, always quoted: the source's spelling is kept."""
    schema, _, name = contract.source_table.rpartition(".")
    schema = schema or (contract.server.schema_ or "")
    return sa.Table(
        sa.quoted_name(name, quote=True),
        sa.MetaData(),
        *(sa.Column(sa.quoted_name(column, quote=True)) for column in columns),
        schema=sa.quoted_name(schema, quote=True) if schema and engine.has_schemas else None,
    )


def build_query(
    contract: Contract,
    engine: Engine,
    source_names: Mapping[str, str],
    zoned: Mapping[str, bool | None],
    watermark: str | None,
) -> sa.Select[Any]:
    """The statement for a contract: its columns under our names, from the watermark on, by key.

    `source_names` gives the source's name of each column; `zoned` tells whether the times of a
    source column carry a zone.
    """
    table = source_table(contract, engine, dict.fromkeys(source_names.values()))
    columns = {name: table.columns[source] for name, source in source_names.items()}
    query = sa.select(*(column.label(name) for name, column in columns.items()))
    if contract.cursor and watermark is not None and contract.load_mode == "incremental":
        cursor, carries_zone = columns[contract.cursor], zoned[source_names[contract.cursor]]
        since = _as_stored(
            contract.column(contract.cursor), since_value(contract, watermark), carries_zone
        )
        query = query.where(sa.or_(engine.since(cursor, since, carries_zone), cursor.is_(None)))
    return query.order_by(*(columns[name] for name in contract.key if name in columns))


def count_of(query: sa.Select[Any]) -> sa.Select[Any]:
    """The statement that counts what `query` selects."""
    return query.with_only_columns(sa.func.count(), maintain_column_froms=True).order_by(None)


def _as_stored(column: Column, value: CursorValue, zoned: bool | None) -> CursorValue:
    """A time as the source's column holds it: the local clock where it carries no zone."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo and not zoned:
        local = value.astimezone(zone_of(column))
        return local if zoned is None else local.replace(tzinfo=None)
    if value.tzinfo is None and zoned:
        return value.replace(tzinfo=zone_of(column))
    return value


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
        "otro": (
            f"el sistema {system} ({where}) respondió con un error: {_one_line(error)}.",
            "la tabla conserva sus últimos datos buenos; si se repite, avise al equipo de datos.",
        ),
    }
    what, next_step = words[engine.trouble(error)]
    return problem(SourceUnavailable, contract, what, next_step)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")

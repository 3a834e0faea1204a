"""Months of a divided raw table, made as the rows of a load ask for them.

Belongs here: how a table is divided, which months a batch needs, and where the rows of a load are.
Does not belong here: how a partition is made (`sources/raw_table.py`), taking months out
(`months.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.arrow_values import to_python
from sources.contract import Contract
from sources.errors import ContractError, LoadRefused
from sources.raw_table import RAW, Connection, ensure_month_partitions
from sources.wording import number

# A century and a quarter. Dates read by a wrong format are of any year, and a server's memory for
# locks ends at some thousands of partitions.
MOST_MONTHS = 1_500


def as_it_is_divided(connection: Connection, contract: Contract) -> Contract:
    """The contract, divided as its raw table is: a table stays as it was made.

    Raises ContractError where its rows could not be divided so any more: the column is no longer
    in the contract, is no date, or is not part of the key.
    """
    row = connection.execute(
        "select a.attname from pg_partitioned_table p join pg_attribute a "
        "on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] "
        "where p.partrelid = to_regclass(%s)",
        [f"{RAW}.{contract.landing_table}"],
    ).fetchone()
    column = None if row is None else str(row[0])
    if column is not None:
        _refuse_undivided(contract, column)
    return contract if column == contract.partition_by else replace(contract, partition_by=column)


def division_note(contract: Contract, stands: Contract) -> str:
    """What a change of `partitionBy` comes to, for the person who made it."""
    now = f"dividida por {stands.partition_by}" if stands.partition_by else "sin dividir"
    wanted = contract.partition_by or "ninguna columna"
    return (
        f"{contract.raw_name} sigue {now}, como se creó, y el contrato dice `partitionBy`: "
        f"{wanted}. Para dividirla de otro modo, dele otro nombre en `landingTable`: se llena "
        "desde el origen"
    )


def _refuse_undivided(contract: Contract, column: str) -> None:
    found = {c.name: c for c in contract.columns}.get(column)
    if found is None:
        why = "el contrato ya no tiene esa columna"
    elif found.pg_type not in ("date", "timestamp", "timestamptz"):
        why = f"en el contrato es {found.pg_type} y no una fecha"
    elif contract.load_mode != "files" and contract.key and column not in contract.key:
        why = "la clave del contrato no la incluye"
    else:
        return
    raise ContractError(
        f"{contract.raw_name} está dividida en meses por {column}, y {why}. No se cargó nada y la "
        "tabla conserva sus últimos datos buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step=f"corrija {contract.path.name}, o dele otro nombre en `landingTable`: la tabla "
        "nueva se llena desde el origen y la de antes queda como está.",
    )


class Partitions:
    """The monthly partitions that the batches of one load need, each made once."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection = connection
        self._contract = contract
        self._made: set[dt.date] = set()

    def prepare(self, batch: pa.RecordBatch, pause: Callable[[], None]) -> None:
        """Make what `batch` needs; `pause` is called before the connection is used.

        Raises LoadRefused when one load asks for more than `MOST_MONTHS`.
        """
        column = self._contract.partition_by
        if not column or batch.num_rows == 0:
            return
        months = pc.unique(
            pc.cast(pc.floor_temporal(batch.column(column), unit="month"), pa.date32())
        )
        wanted = {month for month in months.to_pylist() if month} - self._made
        if len(wanted) + len(self._made) > MOST_MONTHS:
            raise self._too_many(min(wanted), max(wanted))
        if wanted:
            pause()
            self.make(sorted(wanted))
            self._made |= wanted

    def make(self, months: Sequence[dt.date]) -> None:
        """Make the partitions of these months that are not there yet."""
        ensure_month_partitions(self._connection, self._contract, months)

    def _too_many(self, first: dt.date, last: dt.date) -> LoadRefused:
        column = self._contract.partition_by
        return LoadRefused(
            f"sus filas son de más de {number(MOST_MONTHS)} meses, entre ellos {first:%Y-%m} y "
            f"{last:%Y-%m}, y la tabla se divide por {column} en meses. No se cargó nada y "
            "conserva sus últimos datos buenos.",
            dataset=self._contract.id,
            owner=self._contract.owner,
            next_step=f"revise el formato de {column}; si las fechas son esas, quite `partitionBy` "
            "del contrato.",
        )


class Extent:
    """Lowest and highest value of the partition column over the batches of one load."""

    def __init__(self, contract: Contract) -> None:
        self.column = contract.partition_by
        self.low: Any = None
        self.high: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the good rows of a batch into account."""
        if self.column is None:
            return
        ends: Any = pc.min_max(batch.column(self.column))
        low, high = to_python(ends["min"]), to_python(ends["max"])
        if low is None:
            return
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

"""Feeds of files: each file is a load of its own, once.

Belongs here: which files are new, and appending one of them to raw. Does not belong here: reading
a format (`readers/`) or tables that are read as a whole (`tables.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sources.contract import Contract
from sources.landing.doorstep import checked_batches, finish_reading, refuse_if_mostly_bad
from sources.landing.drift import note_drift
from sources.landing.guard import guarded
from sources.landing.quarantine import Quarantine
from sources.landing.records import lock, new_load_id, record
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.writer import Writer
from sources.raw_table import Connection, ensure_month_partitions, ensure_raw_table, table_name
from sources.readers import FeedFile, list_files, open_file
from sources.urls import SourceUrl


def load_files(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    total = LoadReport(contract.id, "sin_cambios")
    listing: list[FeedFile] = []

    def list_them() -> LoadReport:
        listing.extend(list_files(contract, url))
        return LoadReport(contract.id, "sin_cambios")

    listed = guarded(contract, context, str(url), list_them)
    total.errors.extend(listed.errors)
    with context.connect() as connection:
        known = {
            str(row[0])
            for row in connection.execute(
                "select sha256 from meta.archivo where dataset = %s", [contract.id]
            )
        }
    for file in listing:
        if file.sha256 in known:
            total.add(LoadReport(contract.id, "sin_cambios", files=1, files_known=1))
            continue
        known.add(file.sha256)
        total.add(
            guarded(
                contract,
                context,
                file.name,
                lambda file=file: _load_file(contract, file, context, checkers),  # type: ignore[misc]
            )
        )
    if total.errors:
        total.state = "fallida"
    elif total.files > total.files_known:
        total.state = "cargada"
    return total


def _load_file(
    contract: Contract, file: FeedFile, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Append one file to raw. Copied straight into the table: a roll-back leaves nothing."""
    started = context.clock()
    with context.connect() as connection:
        lock(connection, contract)
        if _file_is_known(connection, contract, file):
            return LoadReport(contract.id, "sin_cambios", files=1, files_known=1)
        ensure_raw_table(connection, contract)
        load_id = new_load_id(connection)
        report = LoadReport(contract.id, "cargada", files=1)
        quarantine = Quarantine(connection, contract, load_id, context.clock())
        with open_file(contract, file, batch_rows=context.batch_rows) as reader:
            note_drift(connection, contract, reader, load_id, report)
            partitions = _Partitions(connection, contract)
            with Writer(connection, table_name(contract), contract, load_id) as writer:
                quarantine.pause = writer.pause
                for batch, rows in checked_batches(
                    reader.batches(), contract, checkers, quarantine, report, context.progress
                ):
                    partitions.prepare(batch, writer.pause)
                    writer.write(batch, rows)
            finish_reading(reader, report)
        report.loaded = report.read - report.quarantined
        refuse_if_mostly_bad(contract, report, file.name)
        record(connection, contract, context, report, load_id, started, file.name)
        connection.execute(
            "insert into meta.archivo (dataset, sha256, nombre, bytes, filas_leidas, "
            "filas_cuarentena, carga_id) values (%s, %s, %s, %s, %s, %s, %s)",
            [contract.id, file.sha256, file.name, file.bytes, report.read,
             report.quarantined, load_id],
        )  # fmt: skip
    return report


def _file_is_known(connection: Connection, contract: Contract, file: FeedFile) -> bool:
    """Asked again under the lock: another run may have loaded it meanwhile."""
    found = connection.execute(
        "select 1 from meta.archivo where dataset = %s and sha256 = %s", [contract.id, file.sha256]
    ).fetchone()
    return found is not None


class _Partitions:
    """The monthly partitions that the batches of one load need, each made once."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection = connection
        self._contract = contract
        self._made: set[dt.date] = set()

    def prepare(self, batch: pa.RecordBatch, pause: Callable[[], None]) -> None:
        """Make what `batch` needs; `pause` is called before the connection is used."""
        column = self._contract.partition_by
        if not column or batch.num_rows == 0:
            return
        months = pc.unique(
            pc.cast(pc.floor_temporal(batch.column(column), unit="month"), pa.date32())
        )
        wanted = {month for month in months.to_pylist() if month} - self._made
        if wanted:
            pause()
            ensure_month_partitions(self._connection, self._contract, sorted(wanted))
            self._made |= wanted

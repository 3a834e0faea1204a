"""Files that were loaded before, read again by the contract as it is now.

Belongs here: which files those are, and where each of them still is. Does not belong here: landing
a file (`files.py`), or rows in quarantine, which come back by themselves (`replay.py`).

A file is loaded once, by the contract of its day: a column that the contract names later stays
empty in its rows, and one read otherwise stays as it was. Read again, a file takes its own place,
as a new version of it would: in one transaction, what changes goes to `raw._historial`, and its
rows in quarantine are judged anew. It is read from its copy in the archive or, where that is gone,
at the source, if that still has the very file. One that is nowhere keeps its rows as they are.

Only files in force that another document of the contract read are read again: what breaks off goes
on where it stopped. The load record says `relectura`: nothing new came from the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sources.contract import Contract
from sources.errors import ContractError, SourceDataError
from sources.landing.archive import difference
from sources.landing.files import Feed, FileLanding, Held
from sources.landing.guard import guarded, warehouse_errors_in_words
from sources.landing.records import lock
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.revisions import Ledger, Version
from sources.raw_table import Connection
from sources.readers import FeedFile
from sources.readers.base import problem
from sources.readers.files import Entry, Folder, open_folder
from sources.urls import SourceUrl


def outdated(connection: Connection, contract: Contract) -> list[Version]:
    """The files in force that another document of the contract read, oldest load first.

    Raises ContractError where files are not loaded one by one: such a table is read whole anyway.
    """
    if contract.load_mode != "files" or contract.is_live:
        raise problem(
            ContractError,
            contract,
            "no se carga archivo por archivo, y no hay archivos que leer otra vez.",
            "nada: una tabla que se lee entera toma el contrato de hoy en la próxima corrida.",
        )
    return Ledger(connection, contract).read_otherwise()


def reread(
    contract: Contract, url: SourceUrl | None, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Read the outdated files again, each in a transaction of its own; the sum over them.

    `url` is where the system is, for files without a copy; None where it is not connected. What
    a file does wrong is an error of the report and a failed load record, and its rows stay.
    Raises ContractError like `outdated`, WarehouseUnavailable for the warehouse's own errors.
    """
    total = LoadReport(contract.id, "sin_cambios")
    landing = FileLanding(contract, context, checkers)
    astray: list[tuple[Version, str]] = []
    with warehouse_errors_in_words(contract):
        with context.connect() as connection:
            versions = outdated(connection, contract)
        for version in versions:
            place, why = _copy_of(context, version)
            if place is None:
                astray.append((version, why))
                continue
            file = FeedFile(
                version.current_name, place, place.stat().st_size, version.modified,
                hashing=partial(str, version.sha256),  # just compared
            )  # fmt: skip
            total.add(_guarded(landing, contract, context, version, file))
        if astray:
            total.add(_from_source(contract, url, context, checkers, astray))
    total.state = "fallida" if total.errors else "cargada" if total.files else "sin_cambios"
    return total


def _copy_of(context: LoadContext, version: Version) -> tuple[Path | None, str]:
    """The archive's copy of a file; where it is not to be had, why."""
    if context.archive is None or version.copy is None:
        return None, "no se guardó una copia"
    place = context.archive / version.copy
    what = difference(place, version.sha256)
    return (place, "") if what is None else (None, f"{what} ({version.copy})")


def _guarded(
    landing: FileLanding,
    contract: Contract,
    context: LoadContext,
    version: Version,
    file: FeedFile,
    held: Held | None = None,
) -> LoadReport:
    entry = Entry(file.name, str(file.path), file.bytes, version.modified)

    def read_again() -> LoadReport:
        with context.connect() as connection:
            lock(connection, contract)
            # Asked under the lock: a run may have replaced it, or read it again, meanwhile.
            if version not in Ledger(connection, contract).read_otherwise():
                return LoadReport(contract.id, "sin_cambios")
            return landing.land(connection, entry, held or Held(file), version)

    return guarded(contract, context, file.name, read_again)


def _from_source(
    contract: Contract,
    url: SourceUrl | None,
    context: LoadContext,
    checkers: Sequence[Checker],
    astray: Sequence[tuple[Version, str]],
) -> LoadReport:
    """Read at the source what has no copy, as far as it is still what was loaded."""
    total = LoadReport(contract.id, "sin_cambios")

    def read_one(
        folder: Folder | None, entry: Entry | None, version: Version, why: str
    ) -> LoadReport:
        if folder is None or entry is None:
            raise _nowhere(contract, version, why)
        feed = Feed(contract, context, checkers, folder)
        with feed.readable(entry) as held:
            if held.file.sha256 != version.sha256:
                raise _nowhere(contract, version, why)
            return _guarded(feed, contract, context, version, held.file, held)

    def read_all(folder: Folder | None) -> LoadReport:
        there = {} if folder is None else {entry.name: entry for entry in folder.entries()}
        for version, why in astray:
            name = version.current_name
            action = partial(read_one, folder, there.get(name), version, why)
            total.add(guarded(contract, context, name, action))
        return LoadReport(contract.id, "sin_cambios")

    def open_and_read() -> LoadReport:
        if url is None:
            return read_all(None)
        with open_folder(contract, url) as folder:
            return read_all(folder)

    total.add(guarded(contract, context, str(url or contract.system), open_and_read))
    return total


def _nowhere(contract: Contract, version: Version, why: str) -> SourceDataError:
    return problem(
        SourceDataError,
        contract,
        f"{version.current_name} no se puede leer otra vez: {why}, y el origen ya no tiene ese "
        "archivo tal como se cargó. Sus filas quedan como estaban.",
        "devuelva la copia a la carpeta del archivo, o el archivo a la carpeta del origen, y "
        "vuelva a pedirlo.",
    )

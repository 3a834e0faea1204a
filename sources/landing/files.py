"""Feeds of files: each content is a load of its own, once.

Belongs here: which files of a folder are to be loaded, and loading one of them, in one
transaction. Does not belong here: reading a format (`readers/`), what makes files versions of one
another (`revisions.py`), keeping copies (`archive.py`), tables that are read as a whole
(`tables.py`).

A file is known unread when name, size and date (or the store's ETag) are those it was loaded with,
and known by its content otherwise: sha256 of the bytes as stored, so that the same rows compressed
another way are another version. What is read is what was hashed: a copy (the archive's, or a
temporary one of a file far away), or the file itself, proven unchanged before the load commits. The
file itself is hashed while it is loaded, where no content of its size is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import gettempdir

import psycopg

from sources.contract import Contract
from sources.errors import LoadRefused, RevisionRefused
from sources.landing.archive import Archive, SyncedCopy
from sources.landing.doorstep import checked_batches, finish_reading, refuse_if_mostly_bad
from sources.landing.drift import note_drift
from sources.landing.guard import guarded
from sources.landing.limits import limits
from sources.landing.months import RULE_DETACHED
from sources.landing.new_columns import Plan, add_columns, plan, with_known
from sources.landing.partitions import Extent, Partitions, as_it_is_divided, division_note
from sources.landing.quarantine import Quarantine
from sources.landing.records import lock, new_load_id, record
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.revisions import (
    Ledger,
    Refusal,
    Span,
    Version,
    identity_of,
    is_reliable,
    loads_as_a_whole,
    refuse_what_is_there,
    replace_versions,
    replaces,
)
from sources.landing.table_key import settle_key
from sources.landing.writer import Writer, write_as_it_comes
from sources.raw_table import Connection, ensure_raw_table, existing_columns, table_name
from sources.readers import FeedFile, Reader, notes_of, open_file
from sources.readers.base import problem
from sources.readers.files import (
    Entry,
    FileChanging,
    Folder,
    LocalCopy,
    LocalFolder,
    open_folder,
)
from sources.urls import SourceUrl


def load_files(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Load what is new in a folder, each file in a transaction of its own."""
    total = LoadReport(contract.id, "sin_cambios")

    def load_all() -> LoadReport:
        with open_folder(contract, url) as folder:
            Feed(contract, context, checkers, folder).load_all(total)
        return LoadReport(contract.id, "sin_cambios")

    total.add(guarded(contract, context, str(url), load_all))
    if total.errors:
        total.state = "fallida"
    elif total.files > total.files_known + total.files_waiting:
        total.state = "cargada"
    return total


def waiting_files(connection: Connection, contract: Contract, url: SourceUrl) -> list[str]:
    """What a run would load, one text for each content: for sensors. Nothing is fetched or kept.

    A file far away that merely got another name or date is among them until a run has seen it.
    """
    if contract.is_live:
        return []
    ledger = Ledger(connection, contract)
    latest, refusals = ledger.latest_by_name(), ledger.refusals()
    found = set()
    with open_folder(contract, url) as folder:
        for entry in folder.settled(folder.entries()):
            if _is_known(entry, latest):
                continue
            if (refusal := refusals.get(entry.name)) is not None and refusal.is_of(entry):
                found.add(refusal.sha256)
                continue
            if not isinstance(folder, LocalFolder):
                found.add(f"{entry.name} {entry.bytes} {entry.etag or entry.mtime}")
                continue
            with suppress(FileChanging):  # its turn comes when it is at rest
                sha256 = folder.hashed(entry).sha256
                version = ledger.version(sha256)
                if version is None or ledger.arrives_anew(version, entry.name):
                    found.add(sha256)
    return sorted(found)


def _is_known(entry: Entry, latest: dict[str, tuple[Entry, str, bool]]) -> bool:
    """Whether this very file was seen before: then it needs neither fetching nor hashing."""
    if entry.name not in latest:
        return False
    before, _, reliable = latest[entry.name]
    return reliable and entry.is_as(before)


# What the load record of a file that was read again says for its mode.
REREAD = "relectura"


@dataclass(frozen=True, slots=True)
class Held:
    """A file that can be read here and now; `synced` is there when the archive gets a copy."""

    file: FeedFile
    synced: SyncedCopy | None = None


class FileLanding:
    """Landing single files of one contract that can be read here and now."""

    def __init__(
        self, contract: Contract, context: LoadContext, checkers: Sequence[Checker]
    ) -> None:
        self._contract = contract
        self._context = context
        self._checkers = checkers
        # Loads of the dataset from before its first file, if its rows came otherwise.
        self._loads_before: Sequence[int] = ()
        self._archive: Archive | None = None
        if context.archive is not None and contract.options.get("archive", True):
            self._archive = Archive(contract, context.archive)

    def land(
        self, connection: Connection, entry: Entry, held: Held, again: Version | None = None
    ) -> LoadReport:
        """The transaction, under the lock. Rows are copied straight into the table: a roll-back
        leaves nothing. They take the place of those of older versions, or of the file itself when
        it is read `again`."""
        contract, file = self._contract, held.file
        started = self._context.clock()
        ledger = Ledger(connection, contract)
        ensure_raw_table(connection, contract)
        stands = as_it_is_divided(connection, contract)
        report = LoadReport(contract.id, "cargada", files=1)
        if stands is not contract:
            report.notes.append(division_note(contract, stands))
            contract = self._contract = stands
        load_id = new_load_id(connection)
        settle_key(connection, contract, load_id)
        span = self._write_rows(connection, file, report, load_id)
        refuse_if_mostly_bad(contract, report, file.name)
        if self._loads_before:
            before = self._loads_before
            refuse_what_is_there(connection, contract, file, report, load_id, before)
        old: Sequence[Version] = () if again is None else [again]
        if again is None and replaces(contract):
            old = ledger.in_force(identity_of(contract, entry.name), but=file.sha256)
        elif again is not None and report.reasons[RULE_DETACHED]:
            raise _of_months_apart(contract, file.name)
        if old:
            replace_versions(connection, contract, old, file, report, load_id, span)
        mode = None if again is None else REREAD
        record(connection, contract, self._context, report, load_id, started, file.name, mode=mode)
        copy = None
        if self._archive is not None and held.synced is not None:
            copy = held.synced.keep_in(self._archive, contract, file)
        ledger.add(entry, file, report, load_id, span, copy)
        return report

    def _write_rows(
        self, connection: Connection, file: FeedFile, report: LoadReport, load_id: int
    ) -> Span:
        """Read, check and copy the rows; gives where in the table's partitions they are."""
        context = self._context
        quarantine = Quarantine(connection, self._contract, load_id, context.clock())
        checkers = [*self._checkers, *limits(connection, self._contract)]
        partitions, extent = Partitions(connection, self._contract), Extent(self._contract)
        write_as_it_comes(connection)
        with self._opened(connection, file) as (reader, planned):
            contract = planned.contract
            note_drift(connection, planned, reader, context, report, file=file.name)
            with Writer(connection, table_name(contract), contract, load_id) as writer:
                quarantine.pause = writer.pause
                for judged in checked_batches(
                    reader.batches(), contract, checkers, quarantine, report, context.progress
                ):
                    partitions.prepare(judged.good, writer.pause)
                    extent.add(judged.good)
                    writer.write(judged.good, judged.rows)
            finish_reading(reader, report)
            report.notes.extend(notes_of(reader))
        report.loaded = report.read - report.quarantined
        return _span(extent)

    @contextmanager
    def _opened(self, connection: Connection, file: FeedFile) -> Iterator[tuple[Reader, Plan]]:
        """The reader of a file; opened once more where it has columns to be added."""
        contract, rows = with_known(connection, self._contract), self._context.batch_rows
        with open_file(contract, file, batch_rows=rows) as reader:
            planned = plan(connection, contract, reader.columns())
            if not planned.fresh:
                yield reader, planned
                return
        add_columns(connection, planned)
        with open_file(planned.contract, file, batch_rows=rows) as reader:
            yield reader, planned


class Feed(FileLanding):
    """One run over a folder."""

    def __init__(
        self,
        contract: Contract,
        context: LoadContext,
        checkers: Sequence[Checker],
        folder: Folder,
    ) -> None:
        super().__init__(contract, context, checkers)
        self._folder = folder
        self._listed: Collection[str] = ()
        self._listed_at = 0.0
        self._refusals: dict[str, Refusal] = {}

    def load_all(self, total: LoadReport) -> None:
        """Load the new files into `total`, those changed last at the source last."""
        self._listed_at = self._context.clock().timestamp()
        entries = self._folder.entries()
        self._listed = {entry.name for entry in entries}
        if not entries:
            total.notes.append(self._folder.nothing_found())
        settled = self._folder.settled(entries)
        if fresh := len(entries) - len(settled):
            total.notes.append(
                f"para la próxima corrida quedan archivos que cambiaron hace un momento: {fresh}."
            )
        with self._context.connect() as connection:
            ledger = Ledger(connection, self._contract)
            latest, self._refusals = ledger.latest_by_name(), ledger.refusals()
            if not latest:
                self._loads_before = loads_as_a_whole(connection, self._contract)
            elif note := _of_columns_to_come(connection, self._contract):
                total.notes.append(note)
        if self._archive is not None:
            self._archive.tidy()
        for entry in sorted(settled, key=lambda entry: (entry.mtime, entry.name)):
            if _is_known(entry, latest):
                total.add(self._known())
                continue
            total.add(
                guarded(
                    self._contract,
                    self._context,
                    entry.name,
                    lambda entry=entry: self._take(entry),  # type: ignore[misc]
                )
            )

    def _known(self) -> LoadReport:
        return LoadReport(self._contract.id, "sin_cambios", files=1, files_known=1)

    def _take(self, entry: Entry) -> LoadReport:
        refusal = self._refusals.get(entry.name)
        if refusal is not None and refusal.is_of(entry):
            with self._context.connect() as connection:
                self._refuse_again(connection, entry, refusal)
        try:
            with self.readable(entry) as held:
                return self._load(entry, held)
        except FileChanging as error:
            return LoadReport(
                self._contract.id,
                "sin_cambios",
                files=1,
                files_waiting=1,
                notes=[f"{error.what} Se carga en la próxima corrida."],
            )

    @contextmanager
    def readable(self, entry: Entry) -> Iterator[Held]:
        """The file with its hash: a copy on its way to the archive, a temporary one, or itself."""
        if self._archive is None and isinstance(self._folder, LocalFolder):
            with self._folder.hashed_meanwhile(entry) as file:
                yield Held(file)
            return
        place = Path(gettempdir()) if self._archive is None else self._archive.folder
        with ExitStack() as stack:
            copy = stack.enter_context(LocalCopy(self._contract, entry.name, place))
            self._folder.copy(entry, copy)
            file = copy.finished()
            synced = None
            if self._archive is not None:
                synced = stack.enter_context(SyncedCopy(copy))
            yield Held(file, synced)

    def _load(self, entry: Entry, held: Held) -> LoadReport:
        try:
            with self._context.connect() as connection:
                report = self._load_inside(connection, entry, held)
                self._check_in_place(entry)
        except psycopg.Error:
            raise
        except Exception:
            # Half a file may look like any error: what it is called depends on the file at rest.
            self._check_in_place(entry)
            raise
        return report

    def _check_in_place(self, entry: Entry) -> None:
        if self._archive is None and isinstance(self._folder, LocalFolder):
            self._folder.check(entry)

    def _load_inside(self, connection: Connection, entry: Entry, held: Held) -> LoadReport:
        file = held.file
        lock(connection, self._contract)
        ledger = Ledger(connection, self._contract)
        # Asked under the lock: another run may have loaded it meanwhile. The size comes first: what
        # is new by its size is read while it is still being hashed.
        version = ledger.version(file.sha256) if ledger.has_size(file.bytes) else None
        if version is not None and not ledger.arrives_anew(version, entry.name):
            ledger.follow_rename(version, entry.name, self._listed)
            ledger.note_name(entry, file.sha256, self._listed_at)
            return self._known()
        refusal = self._refusals.get(entry.name)
        if refusal and refusal.entry.bytes == file.bytes and refusal.sha256 == file.sha256:
            self._refuse_again(connection, entry, refusal)
        try:
            report = self.land(connection, entry, held)
        except RevisionRefused as error:
            # Nothing was replaced yet: those in force are what it stood against.
            beside = ledger.beside(entry.name, file.sha256)
            reliable = is_reliable(entry, self._listed_at)
            found = Refusal(entry, file.sha256, reliable, beside, error.what, error.next_step)
            raise found.error(self._contract) from error
        self._loads_before = ()
        ledger.note_name(entry, file.sha256, self._listed_at)
        return report

    def _refuse_again(self, connection: Connection, entry: Entry, refusal: Refusal) -> None:
        """Raises RevisionRefused where the content refused then would be for the same reason."""
        ledger = Ledger(connection, self._contract)
        if refusal.beside == ledger.beside(entry.name, refusal.sha256):
            known = replace(refusal, entry=entry, reliable=is_reliable(entry, self._listed_at))
            raise known.error(self._contract)


def _of_columns_to_come(connection: Connection, contract: Contract) -> str | None:
    """That the contract names columns which no file loaded so far was asked for."""
    held = existing_columns(connection, contract.landing_table)
    fresh = [column.name for column in contract.declared if column.name not in held]
    if not held or not fresh:
        return None
    return (
        f"el contrato nombra columnas nuevas ({', '.join(fresh)}): las filas de los archivos ya "
        f"cargados las tienen vacías; para leerlos otra vez, `lujan reread {contract.id}`."
    )


def _of_months_apart(contract: Contract, name: str) -> LoadRefused:
    return problem(
        LoadRefused,
        contract,
        f"{name} tiene filas de un mes que está separado de {contract.raw_name}: leído otra vez, "
        "quedarían dos veces. Sus filas quedan como estaban.",
        "una ese mes con `lujan partitions attach` y vuelva a pedirlo.",
    )


def _span(extent: Extent) -> Span:
    if extent.low is None:
        return Span()
    return Span(extent.column, extent.low.isoformat(), extent.high.isoformat())

"""Tables: a whole read, an increment or additions, brought into raw in one transaction.

Belongs here: the steps of such a load, in order. Does not belong here: feeds of files (`files.py`),
checking rows (`doorstep.py`), where they wait (`intake.py`), what becomes of them (`merge.py`).

What is read, by mode:
  * full: everything; rows that are gone are removed;
  * incremental: from `watermark - lookback` on, that moment included, up to the snapshot; merged
    by the key, so that a row met again is known. Removals are found by comparing all keys, every
    `deletionsEvery`, and whenever everything was read. So are versions that came behind the
    look-back: then, and where columns are read otherwise than before, all is read once more;
  * append: the same rows, added where raw lacks them. With a key another version of a known row is
    set aside. Without one, equal rows are counted: of the rows that share a cursor value none is
    missed and none added twice, however often that value is read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from sources.contract import DATABASE_TYPES, Contract
from sources.errors import SourceChanged
from sources.landing.doorstep import checked_batches, finish_reading, refuse_if_mostly_bad
from sources.landing.drift import note_drift
from sources.landing.intake import Intake
from sources.landing.keys import (
    KeyReader,
    comparison_is_due,
    count_outdated,
    source_went_back,
    store_source_keys,
)
from sources.landing.limits import limits
from sources.landing.merge import Merge, remove_gone
from sources.landing.new_columns import Plan, add_columns, plan, with_known
from sources.landing.partitions import as_it_is_divided, division_note
from sources.landing.quarantine import Quarantine
from sources.landing.read_before import fill_in, note_of, read_otherwise, reading_of
from sources.landing.records import (
    Books,
    forget_watermark,
    lock,
    lower_watermark,
    open_books,
    record,
    store_comparison,
    store_watermark,
)
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.revisions import forget_files
from sources.landing.slots import slots
from sources.landing.table_key import key_note, settle_key
from sources.landing.totals import Totals
from sources.raw_table import Connection, ensure_raw_table
from sources.readers import Reader, ReaderOptions, notes_of, open_reader
from sources.urls import SourceUrl
from sources.wording import counted

# Sums are asked for up to this many rows: a scan of them takes a server well under a second. Beyond
# it they would add a tenth to the whole load, and the count has to do.
_SUMMED_ROWS = 1_000_000


def load_table(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Bring a table into raw, so that readers never see it empty or half written.

    A database that gave other rows than it counted is read once more over a single connection:
    several see one moment only where the server can share it.
    """
    try:
        return _load(contract, url, context, checkers, exact=False)
    except SourceChanged:
        if contract.kind not in DATABASE_TYPES:
            raise
    return _load(contract, url, context, checkers, exact=True)


def _load(
    contract: Contract,
    url: SourceUrl,
    context: LoadContext,
    checkers: Sequence[Checker],
    *,
    exact: bool,
) -> LoadReport:
    started = context.clock()
    with context.connect() as connection:
        start = _begin(connection, contract)
        contract, books = start.contract, start.books
        report = LoadReport(contract.id, "sin_cambios", watermark=books.watermark)
        quarantine = Quarantine(connection, contract, books.load_id, started)
        keys: int | None = None
        with _open(connection, contract, url, context, books, exact=exact) as (reader, planned):
            contract = planned.contract
            whole = _is_whole(contract, books)
            intake = Intake(
                connection, contract, books.load_id, raw_is_empty=books.raw_is_empty, whole=whole
            )
            judges = [*checkers, *limits(connection, contract)]
            sums = _ask_totals(reader, contract, books, report)
            note_drift(connection, planned, reader, context, report)
            with intake:
                quarantine.pause = intake.pause
                for judged in checked_batches(
                    reader.batches(), contract, judges, quarantine, report, context.progress
                ):
                    intake.write(judged)
            if report.source_count is None:
                # A server that counts while it sends has told by now.
                report.source_count = reader.source_count()
            finish_reading(reader, report)
            report.notes.extend(notes_of(reader))
            if report.totals is not None:
                report.checksums = report.totals.compare(sums)
            went_back = source_went_back(contract, books, report, intake.highest)
            due = went_back or comparison_is_due(contract, books, started)
            if due and isinstance(reader, KeyReader):
                keys = store_source_keys(connection, contract, reader, books.load_id)
            origin = reader.description
        filled = 0
        if contract.load_mode == "append" and intake.wrote and not intake.straight:
            filled = fill_in(connection, contract, books.load_id, start.otherwise)
        merge = Merge(
            connection, contract, report, quarantine, intake, books.load_id, whole=whole
        )  # fmt: skip
        merge.compare()
        refuse_if_mostly_bad(contract, report, origin)
        merge.apply()
        _account_for_the_contract(start, report, filled)
        if merge.whole:
            quarantine.close_absent()
        elif intake.wrote:
            for table in intake.tables:
                quarantine.close_superseded(table)
        _close_books(
            connection, contract, books, report, intake, keys, started, went_back=went_back
        )
        report.state = "cargada" if report.changed or quarantine.new_rows else "sin_cambios"
        record(connection, contract, context, report, books.load_id, started, origin)
        if books.files_in_force:
            forget_files(connection, contract, books.load_id)
    return report


@dataclass(frozen=True, slots=True)
class _Start:
    """What a load begins with: `contract` as its raw table stands, and what changed in it since.

    `rekeyed` rows left for the history, as the table got another key (None: it did not);
    `otherwise` are columns that are not read as before; `notes` are for the report.
    """

    contract: Contract
    books: Books
    rekeyed: int | None
    otherwise: tuple[str, ...]
    notes: tuple[str, ...]


def _begin(connection: Connection, contract: Contract) -> _Start:
    """The raw table, made or brought to the contract, under its lock; and its books."""
    lock(connection, contract)
    ensure_raw_table(connection, contract)
    stands = as_it_is_divided(connection, contract)
    notes = () if stands is contract else (division_note(contract, stands),)
    contract = with_known(connection, stands)
    books = open_books(connection, contract)
    rekeyed = settle_key(connection, contract, books.load_id)
    otherwise = read_otherwise(contract, books.reading)
    if (rekeyed is not None and not books.raw_is_empty) or (
        otherwise and contract.load_mode == "incremental"
    ):
        books = replace(books, watermark=None)  # all is read again
    return _Start(contract, books, rekeyed, otherwise, notes)


def _account_for_the_contract(start: _Start, report: LoadReport, filled: int) -> None:
    """Count and tell what the load did because the contract changed; `filled` rows of raw."""
    contract = start.contract
    report.notes.extend(start.notes)
    report.loaded, report.known = report.loaded + filled, report.known - filled
    if start.otherwise:
        whole = contract.load_mode == "incremental"
        report.notes.append(note_of(contract, start.otherwise, filled=None if whole else filled))
    if start.rekeyed:
        report.deleted += start.rekeyed
        report.notes.append(key_note(contract, start.rekeyed))


@contextmanager
def _open(
    connection: Connection,
    contract: Contract,
    url: SourceUrl,
    context: LoadContext,
    books: Books,
    *,
    exact: bool,
) -> Iterator[tuple[Reader, Plan]]:
    """The reader, opened in a place of its own on the system where that is a server.

    Where it finds columns to be added it is opened once more to read them too: the first time only,
    as later loads know of them beforehand.
    """

    def opened(wanted: Contract, options: ReaderOptions) -> Reader:
        return open_reader(
            wanted, url, watermark=books.watermark, batch_rows=context.batch_rows,
            options=options,
        )  # fmt: skip

    with ExitStack() as stack:
        options = ReaderOptions()
        if not contract.from_files:
            places = stack.enter_context(
                slots(connection, contract.system, contract.max_connections)
            )
            options = ReaderOptions(exact=exact, extra_slots=places.extra)
        with opened(contract, options) as reader:
            planned = plan(connection, contract, reader.columns())
            if not planned.fresh:
                yield reader, planned
                return
        add_columns(connection, planned)
        yield stack.enter_context(opened(planned.contract, options)), planned


def _is_whole(contract: Contract, books: Books) -> bool:
    """Whether all rows of the source are read, and those that are gone may be removed."""
    if contract.load_mode == "incremental":
        return books.watermark is None and contract.deletions_every is not None
    return contract.load_mode == "full"


def _ask_totals(
    reader: Reader, contract: Contract, books: Books, report: LoadReport
) -> Mapping[str, Decimal | None]:
    """Have the source count its rows and, where that is cheap, add up its number columns.

    One statement does both where the last load tells that the table is not large; the first time
    the count comes first.
    """
    ask: Callable[[], object] | None = getattr(reader, "source_totals", None)
    if ask is None or (books.expected_rows or 0) > _SUMMED_ROWS:
        report.source_count = reader.source_count()
        return {}
    if books.expected_rows is None:
        report.source_count = reader.source_count()
        if report.source_count is None or report.source_count > _SUMMED_ROWS:
            return {}
    found = ask()
    report.source_count = reader.source_count()
    sums: Mapping[str, Decimal | None] = getattr(found, "sums", {})
    report.totals = Totals(contract, sums)
    return sums


def _close_books(
    connection: Connection,
    contract: Contract,
    books: Books,
    report: LoadReport,
    intake: Intake,
    keys: int | None,
    now: dt.datetime,
    *,
    went_back: bool,
) -> None:
    """Watermark and comparison, with the rows. What raw turns out to lack is read the next time."""
    if contract.has_watermark:
        report.watermark = store_watermark(
            connection, contract, books.load_id, intake.highest, known=books.watermark,
            reading=reading_of(contract), now=now,
        )  # fmt: skip
    if contract.load_mode != "incremental":
        return
    if keys is not None:
        deleted, missing = remove_gone(connection, contract, books.load_id, report)
        missing += count_outdated(connection, contract)
        report.missing = missing
        if went_back:
            report.notes.append(
                f"el origen ya no tiene la fila de la última marca ({books.watermark}): se "
                "compararon todas las claves, por si volvió a un estado anterior"
            )
        if missing > 0:
            forget_watermark(connection, contract)
            report.notes.append(
                f"por detrás del cursor: {counted(missing, 'fila', 'filas')} del origen sin leer, "
                "o en una versión anterior. La próxima carga lee toda la tabla"
            )
        elif went_back:
            report.watermark = lower_watermark(
                connection, contract, books.load_id, reading=reading_of(contract), now=now
            )
    elif _is_whole(contract, books):
        keys, deleted, missing = report.read, report.deleted, 0
    else:
        return
    store_comparison(
        connection, contract, books.load_id, keys=keys, deleted=deleted, missing=missing, now=now
    )

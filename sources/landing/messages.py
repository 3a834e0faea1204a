"""Messages: readings that come one by one, landed in micro-batches the way files are.

Belongs here: the transaction of one micro-batch: which of its messages are new, contract, checks,
quarantine, rows and load record. Does not belong here: the broker (`sources/live.py`).

Held by construction, for whoever acknowledges messages only after `land_messages` returned:
  * nothing is lost: what was not committed was not acknowledged, and comes again;
  * nothing is loaded twice: what was committed is known by its fingerprint (topic and payload);
  * nothing blocks the line: a message that cannot be loaded, for whatever reason, is quarantined
    verbatim. There is no share of bad messages from which on a micro-batch is refused: refused
    messages would be delivered again for ever.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import psycopg

from sources.contract import Contract
from sources.landing.doorstep import checked_batches
from sources.landing.guard import warehouse_errors_in_words
from sources.landing.limits import limits
from sources.landing.partitions import Extent, Partitions
from sources.landing.quarantine import Quarantine
from sources.landing.records import extent_details, lock, new_load_id, record
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.writer import Writer
from sources.raw_table import RAW, Connection, ensure_raw_table, month_table, table_name
from sources.readers import RawBatch, RejectedRow
from sources.readers.base import WHOLE_LINE
from sources.readers.encoding import marked_utf8, unmark
from sources.readers.jsonlines import JsonRows

MODE = "vivo"
RULE_REFUSED = "rechazada_por_el_almacen"
# What a document may ask for beside its content, as paths: `_tema[1]`, `_recibido`.
TOPIC, RECEIVED = "_tema", "_recibido"


@dataclass(frozen=True)
class Message:
    """One message as it came; `received_at` is aware."""

    topic: str
    payload: bytes
    received_at: dt.datetime

    @cached_property
    def fingerprint(self) -> uuid.UUID:
        """128 bits over topic and payload: a message delivered again has the same."""
        name = self.topic.encode()
        digest = hashlib.blake2b(digest_size=16)
        digest.update(len(name).to_bytes(4, "big") + name + self.payload)
        return uuid.UUID(bytes=digest.digest())


def prepare_table(contract: Contract, context: LoadContext) -> None:
    """Make the raw table and what belongs to it, once before messages are landed."""
    with warehouse_errors_in_words(contract), context.connect() as connection:
        lock(connection, contract)
        ensure_raw_table(connection, contract)


def land_messages(
    contract: Contract,
    messages: Sequence[Message],
    context: LoadContext,
    checkers: Sequence[Checker],
    origin: str,
) -> LoadReport:
    """Land one micro-batch; on return every message of it is in raw, in quarantine, or known.

    Raises WarehouseUnavailable when the warehouse cannot take it: then nothing was written, and
    the same call may be repeated. Memory is bounded by the batch.
    """
    with warehouse_errors_in_words(contract):
        return _land_or_divide(contract, messages, context, checkers, origin)


def forget_messages(contract: Contract, context: LoadContext, before: dt.datetime) -> int:
    """Forget fingerprints of messages received before a moment; how many."""
    with warehouse_errors_in_words(contract), context.connect() as connection:
        return connection.execute(
            "delete from meta.mensaje where dataset = %s and recibido_en < %s",
            [contract.id, before],
        ).rowcount


def _land_or_divide(
    contract: Contract,
    messages: Sequence[Message],
    context: LoadContext,
    checkers: Sequence[Checker],
    origin: str,
) -> LoadReport:
    """The micro-batch in one transaction; where the warehouse refuses its values, by halves.

    A value that contract and casts let through and the table does not take (a rule somebody added
    in the database) must not hold up the messages beside it.
    """
    try:
        with context.connect() as connection:
            return _land(connection, contract, messages, context, checkers, origin)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(messages) == 1:
            return _set_aside(contract, messages[0], context, origin, error)
    report = LoadReport(contract.id, "sin_cambios")
    half = len(messages) // 2
    for part in (messages[:half], messages[half:]):
        report.add(_land_or_divide(contract, part, context, checkers, origin))
    report.state = "cargada"
    return report


def _land(
    connection: Connection,
    contract: Contract,
    messages: Sequence[Message],
    context: LoadContext,
    checkers: Sequence[Checker],
    origin: str,
) -> LoadReport:
    started = context.clock()
    load_id = new_load_id(connection)
    report = LoadReport(contract.id, "cargada")
    new, again = _sorted_out(connection, contract, messages, load_id)
    # A place of its own for each micro-batch: equal bad rows of two are two rows.
    rows = JsonRows(contract, f"{origin} lote {load_id}")
    report.read = report.known = _documents(rows, again).read if again else 0
    quarantine = Quarantine(connection, contract, load_id, started)
    months, extent = _Months(connection, contract), Extent(contract)
    checkers = [*checkers, *limits(connection, contract)]
    with Writer(connection, table_name(contract), contract, load_id) as writer:
        quarantine.pause = writer.pause
        batches = [_documents(rows, new)] if new else []
        for judged in checked_batches(
            batches, contract, checkers, quarantine, report, context.progress
        ):
            months.prepare(judged.good, writer.pause)
            extent.add(judged.good)
            writer.write(judged.good, judged.rows)
    if extent.low is not None:
        report.extent = extent_details(contract, extent.low, extent.high)
    report.loaded = report.read - report.quarantined - report.known
    record(connection, contract, context, report, load_id, started, origin, mode=MODE)
    return report


def _sorted_out(
    connection: Connection, contract: Contract, messages: Sequence[Message], load_id: int
) -> tuple[list[Message], list[Message]]:
    """Messages that were never landed, and those that were or come twice in this batch.

    Two subscribers of one contract wait for each other where they hold the same message.
    """
    found = connection.execute(
        "insert into meta.mensaje (dataset, huella, carga_id, recibido_en) "
        "select %s, huella, %s, recibido from unnest(%s::uuid[], %s::timestamptz[]) "
        "as m (huella, recibido) order by huella on conflict do nothing returning huella",
        [
            contract.id,
            load_id,
            [message.fingerprint for message in messages],
            [message.received_at for message in messages],
        ],
    )
    unseen = {row[0] for row in found}
    new: list[Message] = []
    again: list[Message] = []
    for message in messages:
        if message.fingerprint in unseen:
            unseen.discard(message.fingerprint)
            new.append(message)
        else:
            again.append(message)
    return new, again


def _documents(rows: JsonRows, messages: Sequence[Message]) -> RawBatch:
    texts = [marked_utf8(message.payload) for message in messages]
    return rows.batch(
        [text for text, _ in texts],
        1,
        marked=any(marked for _, marked in texts),
        beside=[
            {TOPIC: message.topic.split("/"), RECEIVED: message.received_at.isoformat()}
            for message in messages
        ],
    )


def _set_aside(
    contract: Contract, message: Message, context: LoadContext, origin: str, error: psycopg.Error
) -> LoadReport:
    """Quarantine a message that the warehouse refuses."""
    started = context.clock()
    with context.connect() as connection:
        load_id = new_load_id(connection)
        report = LoadReport(contract.id, "cargada", read=1)
        new, _ = _sorted_out(connection, contract, [message], load_id)
        if new:
            text, _ = marked_utf8(message.payload)
            reason = f"el almacén no aceptó sus valores (código {error.sqlstate})"
            row = RejectedRow(1, RULE_REFUSED, None, reason, {WHOLE_LINE: unmark(text.decode())})
            quarantine = Quarantine(connection, contract, load_id, started)
            quarantine.add([row], f"{origin} lote {load_id}")
            report.quarantined = 1
            report.reasons[RULE_REFUSED] = 1
        else:
            report.known = 1
        record(connection, contract, context, report, load_id, started, origin, mode=MODE)
    return report


class _Months(Partitions):
    """Months are made under the table's lock; where none is missing, no load is waited for.

    A micro-batch waits for such a load only when it needs a month that is not there yet.
    """

    def make(self, months: Sequence[dt.date]) -> None:
        names = [f"{RAW}.{month_table(self._contract, month)}" for month in months]
        missing = self._connection.execute(
            "select bool_or(to_regclass(name) is null) from unnest(%s::text[]) as name", [names]
        ).fetchone()
        if missing == (True,):
            lock(self._connection, self._contract)
        super().make(months)

"""The doorstep: each batch cast and checked; what does not pass is set aside and counted.

Belongs here: the way of a batch from reader to writer, and when a load is refused as a whole. Does
not belong here: the casts (`sources/casting.py`) and the rules (handed in as `Checker`s).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sources.arrow_values import to_numbers
from sources.casting import cast_batch
from sources.contract import Contract
from sources.errors import LoadRefused, SourceChanged
from sources.landing.quarantine import CHUNK, Quarantine
from sources.landing.report import Checker, LoadReport, Progress, RowFailure
from sources.readers import RawBatch, Reader, RejectedRow
from sources.readers.base import Sent, row_values
from sources.urls import redact
from sources.wording import number, percent

_REFUSAL_MIN_ROWS = 50


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch after the doorstep: `good` has `contract.arrow_schema`, `rows` numbers its rows as
    the source does, `bad` are the others, verbatim. Together they are what was read. `sent` has
    the good rows as binary COPY, where they came so and nothing had to be done to any of them."""

    good: pa.RecordBatch
    rows: pa.Int64Array
    bad: list[RejectedRow]
    sent: Sent = ()

    @property
    def read(self) -> int:
        return self.good.num_rows + len(self.bad)


def judge(contract: Contract, checkers: Sequence[Checker], raw: RawBatch) -> Judged:
    """Cast one batch and check what could be cast; raises as `cast_batch` and the checkers do."""
    cast = cast_batch(contract, raw)
    bad = list(cast.rejected)
    batch, rows = cast.good, cast.rows
    for checker in checkers:
        checked = checker.check(batch, rows)
        if checked.failures:
            bad.extend(_refused(contract, raw, rows, checked.failures))
        batch, rows = checked.good, checked.good_rows
    return Judged(batch, rows, bad, _still_as_sent(raw, batch))


def _still_as_sent(raw: RawBatch, good: pa.RecordBatch) -> Sent:
    """What was sent, unless rows were set aside, or a value was not what its type says.

    An infinite time or NaN makes a column of that batch text, whatever its declared type.
    """
    if not raw.sent or good.num_rows != raw.data.num_rows:
        return ()
    same = all(
        read.type == kept.type
        or (pa.types.is_decimal(read.type) and read.type.scale == getattr(kept.type, "scale", None))
        for read, kept in zip(raw.data.columns, good.columns, strict=True)
    )
    return raw.sent if same else ()


def checked_batches(
    batches: Iterable[RawBatch],
    contract: Contract,
    checkers: Sequence[Checker],
    quarantine: Quarantine,
    report: LoadReport,
    progress: Progress,
) -> Iterator[Judged]:
    """Cast and check each batch; what does not pass goes to quarantine, the rest is for raw.

    Bad rows are handed over many at a time, because each time interrupts the writing of the good
    ones; all of them have been once the last batch is asked for and there is none.
    """
    held: list[RejectedRow] = []
    file: str | None = None
    for raw in batches:
        judged = judge(contract, checkers, raw)
        if held and (raw.file != file or len(held) + len(judged.bad) > CHUNK):
            quarantine.add(held, file)
            held = []
        file = raw.file
        held.extend(judged.bad)
        report.read += judged.read
        if report.totals is not None:
            report.totals.add(judged.good, judged.bad)
        report.quarantined += len(judged.bad)
        report.reasons.update(row.rule for row in judged.bad)
        report.bad_columns.update(row.column for row in judged.bad if row.column)
        progress(report.read)
        yield judged
    quarantine.add(held, file)


def _refused(
    contract: Contract, raw: RawBatch, rows: pa.Int64Array, failures: Sequence[RowFailure]
) -> list[RejectedRow]:
    """One row per failing row, verbatim, with the first rule that it broke and all reasons.

    `failures` give places in `rows`; the values are looked up in what was read, by row number.
    """
    by_index: dict[int, list[RowFailure]] = {}
    for failure in failures:
        by_index.setdefault(failure.index, []).append(failure)
    indices = sorted(by_index)
    numbers = to_numbers(rows)[indices]
    read = to_numbers(raw.rows)
    order = np.argsort(read, kind="stable")
    places = order[np.searchsorted(read, numbers, sorter=order)]
    columns = dict(zip(raw.data.schema.names, raw.data.columns, strict=True))
    return [
        RejectedRow(
            row_number=int(number),
            rule=by_index[index][0].rule,
            column=by_index[index][0].column,
            reason="; ".join(dict.fromkeys(failure.reason for failure in by_index[index])),
            values=values,
        )
        for index, number, values in zip(
            indices, numbers, row_values(contract, columns, places), strict=True
        )
    ]


def finish_reading(reader: Reader, report: LoadReport) -> None:
    """A database that gave another number of rows than it counted changed its mind mid-read."""
    if report.source_count is not None and report.source_count != report.read:
        raise SourceChanged(
            f"el origen contó {number(report.source_count)} filas y entregó {number(report.read)}.",
            next_step="vuelva a ejecutar; si se repite, revise la conexión con el sistema.",
        )


def too_many_bad(contract: Contract, read: int, bad: int) -> bool:
    """Whether more than the contract's `maxQuarantineShare` is bad; few rows are never too many."""
    return read >= _REFUSAL_MIN_ROWS and bad / read > contract.max_quarantine_share


def refuse_if_mostly_bad(contract: Contract, report: LoadReport, origin: str) -> None:
    """Raise LoadRefused when more than the contract's `maxQuarantineShare` does not pass.

    The message names the columns at fault and what changed at the source, where that is known.
    """
    if not too_many_bad(contract, report.read, report.quarantined):
        return
    reasons = ", ".join(
        f"{rule} ({number(count)})" for rule, count in report.reasons.most_common(3)
    )
    columns = ", ".join(name for name, _ in report.bad_columns.most_common(3))
    changed = f" Cambios en el origen: {'; '.join(report.drift)}." if report.drift else ""
    raise LoadRefused(
        f"{redact(origin)}: {number(report.quarantined)} de {number(report.read)} filas no pasan "
        f"({reasons})"
        f"{f', por las columnas {columns}' if columns else ''} (sistema {contract.system}); "
        f"el máximo admitido es {percent(contract.max_quarantine_share)}.{changed} No se cargó "
        "nada y la tabla conserva sus últimos datos buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step="corrija el origen o el contrato y vuelva a ejecutar.",
    )

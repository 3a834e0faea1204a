"""The doorstep: each batch cast and checked; what does not pass is set aside and counted.

Belongs here: the way of a batch from reader to writer, and when a load is refused as a whole. Does
not belong here: the casts (`sources/casting.py`) and the rules (handed in as `Checker`s).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from sources.casting import cast_batch
from sources.contract import Contract
from sources.errors import LoadRefused, SourceDataError
from sources.landing.quarantine import Quarantine
from sources.landing.report import Checker, LoadReport, Progress, RowFailure
from sources.readers import RawBatch, Reader, RejectedRow
from sources.urls import redact

_REFUSAL_MIN_ROWS = 50


def checked_batches(
    batches: Iterable[RawBatch],
    contract: Contract,
    checkers: Sequence[Checker],
    quarantine: Quarantine,
    report: LoadReport,
    progress: Progress,
) -> Iterator[tuple[pa.RecordBatch, pa.Int64Array]]:
    """Cast and check each batch; what does not pass goes to quarantine, the rest is yielded."""
    for raw in batches:
        cast = cast_batch(contract, raw)
        bad = list(cast.rejected)
        report.read += cast.good.num_rows + len(bad)
        batch, rows = cast.good, cast.rows
        for checker in checkers:
            checked = checker.check(batch, rows)
            bad.extend(_refused(batch, rows, checked.failures))
            batch, rows = checked.good, checked.good_rows
        quarantine.add(bad, raw.file)
        report.quarantined += len(bad)
        report.reasons.update(row.rule for row in bad)
        progress(report.read)
        yield batch, rows


def _refused(
    batch: pa.RecordBatch, rows: pa.Int64Array, failures: Sequence[RowFailure]
) -> list[RejectedRow]:
    """One quarantined row per failing row, with the first rule that it broke and all reasons."""
    by_index: dict[int, list[RowFailure]] = {}
    for failure in failures:
        by_index.setdefault(failure.index, []).append(failure)
    if not by_index:
        return []
    indices = sorted(by_index)
    values = batch.take(pa.array(indices, pa.int64())).to_pylist()
    return [
        RejectedRow(
            row_number=rows[index].as_py(),
            rule=by_index[index][0].rule,
            column=by_index[index][0].column,
            reason="; ".join(dict.fromkeys(failure.reason for failure in by_index[index])),
            values={name: _as_text(value) for name, value in row.items()},
        )
        for index, row in zip(indices, values, strict=True)
    ]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def finish_reading(reader: Reader, report: LoadReport) -> None:
    """A database that gave another number of rows than it counted changed its mind mid-read."""
    if report.source_count is not None and report.source_count != report.read:
        raise SourceDataError(
            f"el origen contó {report.source_count} filas y entregó {report.read}.",
            next_step="vuelva a ejecutar; si se repite, revise la conexión con el sistema.",
        )


def refuse_if_mostly_bad(contract: Contract, report: LoadReport, origin: str) -> None:
    share = report.quarantined / report.read if report.read else 0.0
    if report.read < _REFUSAL_MIN_ROWS or share <= contract.max_quarantine_share:
        return
    reasons = ", ".join(f"{rule} ({count})" for rule, count in report.reasons.most_common(3))
    raise LoadRefused(
        f"{redact(origin)}: {report.quarantined} de {report.read} filas no pasan ({reasons}); "
        f"el máximo admitido es {contract.max_quarantine_share:.0%}. No se cargó nada y la tabla "
        "conserva sus últimos datos buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step="corrija el origen o el contrato y vuelva a ejecutar.",
    )

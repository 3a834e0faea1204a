"""What checking one Arrow batch row by row gives, whichever rules were applied.

Belongs here: separating the rows that break a blocking rule, counting failures per rule over many
batches, and choosing keys to show. Does not belong here: any rule (`contract_schema`, `protocol`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from expectations.results import SAMPLE_SIZE, CheckResult, Engine, RowKey
from sources.contract import Contract, Severity

_WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row kept out of raw: its place in the batch and in what was read, and why.

    `reason` is in Spanish and never contains a value of the row.
    """

    index: int
    row_number: int
    rule: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """Rows that may be loaded and, once each, the rows that may not.

    Always `good.num_rows + len(failures) == rows checked`: a row that breaks several blocking
    rules is one failure, named after the first, with every reason in its text.
    """

    good: pa.RecordBatch
    good_rows: pa.Int64Array
    failures: list[RowFailure]


class RowChecker(Protocol):
    """Anything that checks the batches of one load, in order, and sums up at the end."""

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch:
        """Check one batch already cast to the contract's types."""
        ...

    def results(self) -> list[CheckResult]:
        """One result per rule over every batch checked so far."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """The rows of one batch that break one rule. `reason`: for all of them, or one per row."""

    rule: str
    column: str
    severity: Severity
    failing: pa.BooleanArray
    reason: str | pa.StringArray

    def reason_at(self, index: int) -> str:
        """Why the row at `index` breaks the rule."""
        if isinstance(self.reason, str):
            return self.reason
        return str(self.reason[index].as_py())


def separate(
    batch: pa.RecordBatch, row_numbers: pa.Int64Array, findings: Iterable[Finding]
) -> CheckedBatch:
    """Take the rows with a blocking finding out of `batch`."""
    blocking = [finding for finding in findings if finding.severity == "bloqueante"]
    if not blocking:
        return CheckedBatch(batch, row_numbers, [])
    broken: dict[int, list[Finding]] = {}
    for finding in blocking:
        for index in pc.indices_nonzero(finding.failing).to_numpy():
            broken.setdefault(int(index), []).append(finding)
    failures = [
        RowFailure(
            index=index,
            row_number=row_numbers[index].as_py(),
            rule=found[0].rule,
            column=found[0].column,
            reason="; ".join(dict.fromkeys(finding.reason_at(index) for finding in found)),
        )
        for index, found in sorted(broken.items())
    ]
    bad = blocking[0].failing
    for finding in blocking[1:]:
        bad = pc.or_(bad, finding.failing)
    keep = pc.invert(bad)
    return CheckedBatch(batch.filter(keep), row_numbers.filter(keep), failures)


@dataclass(slots=True)
class Tally:
    """Counts of one rule over the batches of a load."""

    control: str
    rule: str
    column: str | None
    dimension: str
    severity: Severity
    explanation: str
    evaluated: int = 0
    failed: int = 0
    sample: list[RowKey] = field(default_factory=list)

    def add(self, evaluated: int, failed: int, sample: Sequence[RowKey] = ()) -> None:
        """Count one batch."""
        self.evaluated += evaluated
        self.failed += failed
        self.sample.extend(sample[: SAMPLE_SIZE - len(self.sample)])

    def result(self, engine: Engine, contract: Contract) -> CheckResult:
        """The verdict so far; without rows there is nothing wrong to report."""
        return CheckResult(
            control=self.control,
            motor=engine,
            objeto=contract.raw_name,
            columna=self.column,
            dimension=self.dimension,
            regla=self.rule,
            severidad=self.severity,
            paso=self.failed == 0,
            filas_evaluadas=self.evaluated,
            filas_fallidas=self.failed,
            muestra=tuple(self.sample),
            explicacion=self.explanation,
            responsable=contract.accountable,
            dataset=contract.id,
            lote_evaluadas=self.evaluated,
            lote_fallidas=self.failed,
        )


class KeySampler:
    """Names failing rows by primary key, or by row number where the key says who a person is."""

    def __init__(self, contract: Contract) -> None:
        sensitive = any(contract.column(name).classification == "sensible" for name in contract.key)
        self._key = () if sensitive else contract.key
        self._numbers = {
            name for name in self._key if pa.types.is_integer(contract.column(name).arrow_type)
        }

    def of_text(self, key: Sequence[str] | None, row_number: int | None) -> RowKey:
        """The same of a row whose whole key was written down as text, None when it had none.

        It may be the key of an earlier contract, with other columns or types.
        """
        if not self._key or len(key or ()) != len(self._key):
            return {"numero_fila": row_number}
        return {
            name: int(value) if name in self._numbers and _WHOLE.fullmatch(value) else value
            for name, value in zip(self._key, key or (), strict=True)
        }

    def keys(
        self, batch: pa.RecordBatch, row_numbers: pa.Int64Array, failing: pa.BooleanArray
    ) -> list[RowKey]:
        """Keys of the first `SAMPLE_SIZE` failing rows."""
        chosen = pc.indices_nonzero(failing)[:SAMPLE_SIZE]
        numbers = row_numbers.take(chosen).to_pylist()
        values = {name: _plain(batch.column(name).take(chosen)) for name in self._key}
        keys: list[RowKey] = []
        for position, number in enumerate(numbers):
            key = {name: column[position] for name, column in values.items()}
            usable = bool(key) and None not in key.values()
            keys.append(key if usable else {"numero_fila": number})
        return keys


def _plain(values: pa.Array[Any]) -> list[int | str | None]:
    """Whole numbers as they are, the rest as text: every Arrow value has one, even year 0."""
    if pa.types.is_integer(values.type):
        return list(values.to_pylist())
    return list(pc.cast(values, pa.string()).to_pylist())

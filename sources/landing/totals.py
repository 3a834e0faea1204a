"""Checksums: the sum of each exact number column at the source and over the rows that were read.

Belongs here: adding up what was read, exactly, and comparing it with what the source said. Does
not belong here: asking the source (`readers/`), counting rows (`doorstep.py`).

Only columns whose numbers are exact at both ends count: integers and decimals. The sums are of
what was read: rows kept out for a rule are in them, by the text they came with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.contract import Contract
from sources.errors import SourceChanged
from sources.readers import RejectedRow

# Sums are exact up to here; the widest numeric a contract may declare has 38 digits.
_EXACT = Context(prec=100)
_INT64_MAX = 2**63 - 1
_DECIMAL128_DIGITS = 38


class Totals:
    """Sums over the batches of one load, of those of `columns` that hold exact numbers."""

    def __init__(self, contract: Contract, columns: Iterable[str]) -> None:
        self._sums: dict[str, Decimal] = {
            name: Decimal(0) for name in columns if _is_exact(contract.column(name).arrow_type)
        }
        self._unknown: set[str] = set()

    def add(self, good: pa.RecordBatch, bad: Sequence[RejectedRow]) -> None:
        """Add one batch: rows in the contract's types, and the others with their values as text."""
        for name in self._sums:
            self._sums[name] = _EXACT.add(self._sums[name], exact_sum(good.column(name)))
        for row in bad:
            self._add_rejected(row)

    def compare(self, source: Mapping[str, Decimal | None]) -> dict[str, dict[str, str]]:
        """Sums of both sides by column, as text: `origen` and `leido`.

        Columns that one side could not add up are left out. Raises SourceChanged when a sum
        differs: rows changed while they were read, or were read wrongly.
        """
        found: dict[str, dict[str, str]] = {}
        wrong: list[str] = []
        for name, theirs in source.items():
            if theirs is None or not theirs.is_finite():
                continue
            if name not in self._sums or name in self._unknown:
                continue
            ours = self._sums[name]
            found[name] = {"origen": _plain_text(theirs), "leido": _plain_text(ours)}
            if theirs != ours:
                wrong.append(f"{name} suma {_plain_text(theirs)} y se leyó {_plain_text(ours)}")
        if wrong:
            raise SourceChanged(
                f"el origen cambió durante la lectura o se leyó mal: {'; '.join(wrong)}. "
                "No se cargó nada.",
                next_step="vuelva a ejecutar; si se repite, avise al equipo de datos: la suma de "
                "una columna no coincide con la del sistema.",
            )
        return found

    def _add_rejected(self, row: RejectedRow) -> None:
        """A row that was kept out counts by its text; what is no number makes the sum unknown."""
        for name in self._sums:
            text = row.values.get(name)
            if text is None and row.values:
                continue
            try:
                self._sums[name] = _EXACT.add(self._sums[name], Decimal((text or "").strip()))
            except InvalidOperation:
                self._unknown.add(name)


def exact_sum(column: pa.Array[Any]) -> Decimal:
    """The sum of an integer or decimal column, nulls left out; never wraps."""
    kind = column.type
    if column.null_count == len(column):
        return Decimal(0)
    if pa.types.is_decimal(kind):
        if kind.precision + len(str(len(column))) <= _DECIMAL128_DIGITS:
            return Decimal(pc.sum(column).as_py())
        wide = pc.cast(column, pa.decimal256(76, kind.scale))
        return Decimal(pc.sum(wide).as_py())
    bounds = pc.min_max(column)
    widest = max(abs(bounds["min"].as_py()), abs(bounds["max"].as_py()))
    if widest * len(column) <= _INT64_MAX:
        return Decimal(pc.sum(column).as_py())
    return Decimal(pc.sum(pc.cast(column, pa.decimal256(76, 0))).as_py())


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _plain_text(value: Decimal) -> str:
    return format(value, "f")

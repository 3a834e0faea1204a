"""Whether a defect was caught as the catalogue says, and whether anything else cried out.

Belongs here: comparing an entry with what was observed, and adding verdicts up. Does not belong
here: running anything, or printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.defects.catalogue import Defect
from benchmarks.defects.signals import Signal

TARGET = 0.98
LEGITIMATE = Path(__file__).parent / "legitimos.yaml"
CONSEQUENCES = Path(__file__).parent / "consecuencias.yaml"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One defect after its run. `by` is the signal that caught it; `error` tells why none could.

    `near` spoke of it with another severity or owner than the catalogue says.
    """

    defect: Defect
    by: Signal | None
    near: Signal | None
    others: tuple[Signal, ...]
    seconds: float
    error: str = ""

    @property
    def caught(self) -> bool:
        return self.by is not None

    def as_row(self) -> dict[str, Any]:
        """The line of the report."""
        said = self.by or self.near
        return {
            "defect": self.defect.id,
            "system": self.defect.system,
            "dataset": self.defect.dataset,
            "class": self.defect.kind,
            "expected": self.defect.detects,
            "caught": self.caught,
            "by": said.label if said else None,
            "severity": said.severity if said else None,
            "owner": said.owner if said else None,
            "others_red": [signal.label for signal in self.others],
            "seconds": round(self.seconds, 1),
            **({"error": self.error} if self.error else {}),
        }


def judge(
    defect: Defect, raised: Sequence[Signal], seconds: float, consequences: Iterable[Known] = ()
) -> Verdict:
    """Find the expected signal among those raised, and the alarms nobody expected.

    `consequences` have patterns with `{dataset}`, `{tabla}` and `{sistema}` in them.
    """
    places = {
        "dataset": defect.dataset,
        "tabla": defect.raw_table,
        "sistema": defect.dataset.partition(".")[0],
    }
    allowed = [*defect.also, *(known.pattern.format(**places) for known in consequences)]
    expected = [signal for signal in raised if signal.matches(defect.detects)]
    right = [
        signal
        for signal in expected
        if (signal.severity, signal.owner) == (defect.severity, defect.owner)
    ]
    others = tuple(
        signal
        for signal in raised
        if signal.is_alarm
        and signal not in expected
        and not any(signal.matches(pattern) for pattern in allowed)
    )
    near = expected[0] if expected else None
    return Verdict(defect, right[0] if right else None, near, others, seconds)


def not_injected(defect: Defect, error: Exception, seconds: float) -> Verdict:
    """The verdict on a defect that could not be put in or whose run broke: not caught."""
    return Verdict(defect, None, None, (), seconds, f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Known:
    """What is true and no false alarm: signals of a pattern, of at most `rows` rows if it says."""

    pattern: str
    reason: str
    rows: int | None = None

    def explains(self, signal: Signal) -> bool:
        return signal.matches(self.pattern) and (self.rows is None or signal.rows <= self.rows)


def load_known(path: Path) -> list[Known]:
    """The entries of one of the two lists, in the order of the file."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return [Known(str(e["senal"]), str(e["motivo"]), e.get("filas")) for e in entries]


def false_alarms(clean: Iterable[Signal], legitimate: Sequence[Known]) -> list[Signal]:
    """Alarms on the clean city that no known condition explains."""
    return [s for s in clean if s.is_alarm and not any(known.explains(s) for known in legitimate)]


def totals(rows: Sequence[Mapping[str, Any]], alarms: Sequence[Signal]) -> dict[str, Any]:
    """The last line of the report, from the lines before it."""
    caught = sum(row["caught"] for row in rows)
    return {
        "caught": caught,
        "total": len(rows),
        "share": round(caught / len(rows), 4) if rows else 0.0,
        "false_alarms": len(alarms),
        "others_red": sum(len(row["others_red"]) for row in rows),
        "missed": [row["defect"] for row in rows if not row["caught"]],
        "alarms_on_clean": [signal.label for signal in alarms],
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }


def on_target(summary: dict[str, Any]) -> bool:
    """Detection at or above the target, and not one alarm without a cause."""
    return bool(
        summary["share"] >= TARGET and not summary["false_alarms"] and not summary["others_red"]
    )

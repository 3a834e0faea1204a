"""The live list of stages that `lujan run` shows while it works.

Belongs here: turning what steps report into a few lines that stay in place, or, where output is
no terminal, into one line per stage. Does not belong here: the closing report (`report.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sources.wording import counted

_STAGES = {
    "warehouse": "Almacén",
    "sample": "Municipio de muestra (sintético)",
    "models": "Preparación de modelos",
    "again": "Días por recalcular",
    "raw": "Carga de fuentes",
    "dbt": "Modelos",
    "projections": "Proyecciones de consumo",
    "controles": "Controles",
    "exports": "Exportaciones",
    "deliveries": "Luji y tableros",
}
# Of these there is one: done or not, it is not counted.
_SINGLE = {"warehouse", "sample", "models", "projections"}
_BAD = {"falla", "fallida", "retenida"}


@dataclass(slots=True)
class _Stage:
    title: str
    began: float
    single: bool = False
    total: int | None = None
    current: str = ""
    done: int = 0
    bad: int = 0
    rows: int = 0
    reading: dict[str, int] = field(default_factory=dict)
    ended: float | None = None
    unchanged: bool = False


class LiveView:
    """Observer of a run. Use as a context manager; drawing stops at the end of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[str, _Stage] = {}
        self._totals: dict[str, int] = {}
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=8, transient=False
        )

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stage in self._stages.values():
            if error is not None and stage.ended is None:
                stage.bad += 1
            self._end(stage)
        if self._console.is_terminal:
            self._live.stop()

    def expected(self, stage: str, total: int) -> None:
        self._totals[stage] = total

    def started(self, stage: str, item: str) -> None:
        self._stage(stage).current = item

    def advanced(self, stage: str, item: str, rows: int) -> None:
        entry = self._stage(stage)
        entry.current = item
        entry.reading[item] = rows

    def noticed(self, item: str, note: str) -> None:
        """The closing report tells it."""

    def finished(self, stage: str, item: str, outcome: str, rows: int | None = None) -> None:
        entry = self._stage(stage)
        entry.done += 1
        entry.bad += outcome in _BAD
        entry.unchanged = outcome == "sin_cambios" and stage == "dbt"
        entry.rows += rows or 0

    def _stage(self, name: str) -> _Stage:
        if name not in self._stages:
            for earlier in self._stages.values():
                self._end(earlier)
            self._stages[name] = _Stage(
                _STAGES[name], time.monotonic(), name in _SINGLE, self._totals.get(name)
            )
        entry = self._stages[name]
        entry.ended = None
        return entry

    def _end(self, stage: _Stage) -> None:
        if stage.ended is None:
            stage.ended = time.monotonic()
            # A stage that only began, and waits for another, has nothing to tell yet.
            if not self._console.is_terminal and (stage.done or stage.bad):
                self._console.print(f"{stage.title}: {self._counts(stage) or 'listo'}")

    def _draw(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for stage in self._stages.values():
            running = stage.ended is None
            mark: Spinner | Text
            if running:
                mark = Spinner("dots")
            else:
                mark = Text("✗" if stage.bad else "✓", style="yellow" if stage.bad else "green")
            elapsed = (stage.ended or time.monotonic()) - stage.began
            table.add_row(
                mark,
                stage.title,
                Text(self._counts(stage), style="cyan"),
                Text(f"{elapsed:.0f} s", style="dim"),
                Text(stage.current if running else "", style="dim"),
            )
        return Group(table)

    @staticmethod
    def _counts(stage: _Stage) -> str:
        if stage.unchanged:
            return "sin cambios"
        rows = max(stage.rows, sum(stage.reading.values()))
        of = f" de {stage.total}" if stage.total and stage.done <= stage.total else ""
        parts = [] if stage.single else [f"{stage.done}{of}"]
        if rows:
            parts.append(counted(rows, "fila", "filas"))
        if stage.bad:
            parts.append(f"{stage.bad} con problemas")
        return " · ".join(parts)

"""`lujan score`: the quality of each data set and secretariat, and why points are missing.

Belongs here: words and layout. Does not belong here: any figure (`expectations/scores.py`).
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from orchestration.cli.options import print_json
from sources.errors import PipelineError, UnknownDataset
from sources.wording import counted

if TYPE_CHECKING:
    from expectations.scores import DayScore, LostPoints, Score
    from sources.raw_table import Connection

_UNKNOWN = "sin dato"
_VERDICTS = {True: ("cumple", "green"), False: ("no cumple", "red"), None: ("no se sabe", "yellow")}


def show_scores(console: Console, dataset: str | None, area: str | None, *, as_json: bool) -> None:
    """Print all data sets by secretariat, or one with every lost point and its history.

    Raises PipelineError when nothing was measured yet, or the data set is not known.
    """
    from expectations.scores import models_ready
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        if not models_ready(connection):
            raise PipelineError(
                "todavía no se midió la calidad.", next_step="haga una corrida con `lujan run`."
            )
        if dataset is not None:
            _show_one(console, connection, dataset, as_json)
        else:
            _show_all(console, connection, area, as_json)


def _show_all(console: Console, connection: Connection, area: str | None, as_json: bool) -> None:
    from expectations.scores import area_scores, scores

    found = scores(connection, area)
    areas = {item.secretaria: item for item in area_scores(connection)}
    if as_json:
        print_json([asdict(score) for score in found])
        return
    for name in sorted({score.secretaria or "(sin dato)" for score in found}):
        total = areas[name]
        console.print(Text(name, style="bold"))
        unknown = f", {total.sin_saber} sin saber" if total.sin_saber else ""
        console.print(
            f"  {total.cumplen} de {total.conjuntos} cumplen el estándar{unknown}; puntaje medio "
            f"{_points(total.puntaje_medio)}",
            highlight=False,
        )
        for score in found:
            if (score.secretaria or "(sin dato)") == name:
                _line(console, score)
        console.print()
    console.print(
        "Puntaje de 100; lo que no se midió no suma. Por qué: lujan score CONJUNTO", highlight=False
    )


def _line(console: Console, score: Score) -> None:
    words, style = _VERDICTS[score.cumple_estandar]
    line = Text(f"  {_points(score.puntaje):>8}  ")
    line.append(f"{words:<10}", style=style)
    line.append(f"  {score.dataset}")
    console.print(line, overflow="fold")
    if score.cumple_estandar is not True:
        _indented(console, score.motivo_estandar, 22)


def _show_one(console: Console, connection: Connection, dataset: str, as_json: bool) -> None:
    from expectations.scores import lost_points, score_history, scores

    known = {item.dataset: item for item in scores(connection)}
    if dataset not in known:
        raise UnknownDataset(dataset, known, listing="vea cuáles hay: `lujan score`.")
    score = known[dataset]
    lost, days = lost_points(connection, dataset), score_history(connection, dataset)
    if as_json:
        print_json(
            asdict(score)
            | {"perdidos": [asdict(i) for i in lost], "historia": [asdict(d) for d in days]}
        )
        return
    words, style = _VERDICTS[score.cumple_estandar]
    head = Text(dataset, style="bold")
    head.append(f" · {_points(score.puntaje)} de 100 · ", style="not bold")
    head.append(words, style=f"not bold {style}")
    console.print(head)
    _indented(console, score.motivo_estandar, 2)
    _indented(console, f"Se pudieron medir {_points(score.cobertura_pct)} de 100 puntos.", 2)
    for item in lost:
        _lost(console, item)
    if not lost:
        _indented(console, "No perdió ningún punto.", 2)
    _history(console, days)


def _lost(console: Console, item: LostPoints) -> None:
    rows = (
        "" if item.filas_fallidas is None else f" · {counted(item.filas_fallidas, 'fila', 'filas')}"
    )
    column = f" · {item.columna}" if item.columna else ""
    _indented(console, f"−{_points(item.puntos_perdidos, 4)}  {item.dimension}: "
                       f"{item.regla_nombre} ({item.regla}){column}{rows}", 2)  # fmt: skip
    _indented(console, f"qué hacer: {item.siguiente_paso}", 11)


def _history(console: Console, days: list[DayScore]) -> None:
    if not days:
        return
    _indented(console, "historia:", 2)
    for day in days:
        words, _ = _VERDICTS[day.cumple_estandar]
        _indented(console, f"{day.dia:%d/%m/%Y}  {_points(day.puntaje)}  {words}", 4)


def _points(value: Decimal | None, places: int = 2) -> str:
    return _UNKNOWN if value is None else f"{value:.{places}f}".replace(".", ",")


def _indented(console: Console, text: str, by: int) -> None:
    console.print(Padding(Text(text, overflow="fold"), (0, 0, 0, by), expand=False))

"""`lujan corrections`: what the cleaning rules changed in a month, and the rules themselves.

Belongs here: words and layout. Does not belong here: any count (`expectations/corrections.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sources.errors import PipelineError
from sources.wording import counted, number

if TYPE_CHECKING:
    from expectations.corrections import Rule

_REVERSIONS = {
    "original": "al apagarla vuelve el valor como llegó",
    "sin_dato": "al apagarla queda sin dato; el original está en la columna _original",
    "no_se_apaga": "no se apaga: el original no cabe en el campo y está en la columna _original",
    "recalculo": "las lecturas originales siguen en raw y el consumo se recalcula",
}


def show_corrections(
    console: Console, dataset: str | None, month: str | None, *, as_json: bool, list_rules: bool
) -> None:
    """Print what was corrected in a month ('aaaa-mm', this one by default), or the rules.

    Raises PipelineError before the first run, BadParameter for a month that is none.
    """
    from expectations.corrections import corrections, models_ready, rules
    from orchestration.cli.quarantine import check_dataset
    from orchestration.digest import city_today
    from orchestration.warehouse.connection import locate

    wanted = _month(month) if month else city_today().replace(day=1)
    with locate().connect() as connection:
        if not models_ready(connection):
            raise PipelineError(
                "todavía no se corrigió nada.", next_step="haga una corrida con `lujan run`."
            )
        if list_rules:
            _show_rules(console, rules(connection), as_json)
            return
        if dataset is not None:
            check_dataset(connection, dataset)
        found = corrections(connection, wanted, dataset)
    if as_json:
        print(json.dumps([asdict(i) for i in found], ensure_ascii=False, indent=2, default=str))
        return
    where = f" de {dataset}" if dataset else ""
    if not found:
        console.print(
            f"Las filas{where} que llegaron en {wanted:%m/%Y} no necesitaron correcciones.",
            highlight=False,
        )
        return
    for name, group in groupby(found, attrgetter("dataset")):
        members = list(group)
        total = sum(item.valores for item in members)
        words = counted(total, "valor corregido", "valores corregidos")
        console.print(Text(f"{name} · {words}", style="bold"))
        for item in members:
            left = counted(item.sin_dato, "quedó", "quedaron")
            left = f", {left} sin dato" if item.sin_dato else ""
            text = f"{item.columna}: {item.regla_nombre} ({item.regla_id}){left}"
            line = Table.grid(padding=(0, 2))
            line.add_column(width=9, justify="right")
            line.add_column(overflow="fold")
            line.add_row(number(item.valores), Text(text))
            console.print(line)
    console.print(
        f"\nFilas que llegaron en {wanted:%m/%Y}. Valor por valor: calidad.fct_correccion. "
        "Qué hace cada regla: lujan corrections --rules",
        highlight=False,
    )


def _show_rules(console: Console, found: Sequence[Rule], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(rule) for rule in found], ensure_ascii=False, indent=2))
        return
    for rule in found:
        console.print(Text.assemble((rule.regla_id, "bold"), f"  {rule.nombre} ({rule.dimension})"))
        for text in (rule.descripcion, f"vuelta atrás: {_REVERSIONS[rule.reversion]}"):
            console.print(Padding(Text(text, overflow="fold"), (0, 0, 0, 4), expand=False))


def _month(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise typer.BadParameter(f"--month es aaaa-mm, p. ej. 2026-06; no {text!r}.") from None

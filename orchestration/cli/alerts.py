"""`lujan alerts`: water alerts, and what people decide about them.

Belongs here: arguments, words and layout. Does not belong here: any work (`alerts.py`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from orchestration.cli.options import one_of, print_json
from orchestration.wording import minute
from sources.city import city_values
from sources.wording import number

if TYPE_CHECKING:
    from orchestration.alerts import Alert

alerts_app = typer.Typer(
    no_args_is_help=True,
    help="Avisos de agua: pérdidas, roturas, excesos. Informan; no llevan cargos ni sanciones.",
    epilog="Un aviso es de un solo evento: mientras dure no se repite.",
)
console = Console()

Which = Annotated[str, typer.Argument(help="Identificador del aviso, o sus primeros caracteres.")]
By = Annotated[str, typer.Option("--by", help="Quién decide (persona o área).")]
Reason = Annotated[str, typer.Option("--reason", help="Por qué, o qué se hizo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Un documento JSON, para otros programas.")]
_OPEN, _ALL = "abiertas", "todas"
_STYLES = {"nueva": "yellow", "informada": "cyan", "resuelta": "green", "descartada": "dim"}


@alerts_app.command("list")
def list_alerts(
    state: Annotated[
        str,
        typer.Option("--state", help="abiertas, todas, nueva, informada, resuelta o descartada."),
    ] = _OPEN,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="flujo_continuo, rotura, exceso, medidor_trabado, flujo_inverso, desbalance_zona.",
        ),
    ] = None,
    zone: Annotated[int | None, typer.Option("--zone", help="Número de zona.")] = None,
    account: Annotated[int | None, typer.Option("--account", help="Número de cuenta.")] = None,
    as_json: AsJson = False,
) -> None:
    """Muestra los avisos, el más nuevo primero."""
    from orchestration.alerts import KINDS, OPEN, STATES, find
    from orchestration.warehouse.connection import locate

    one_of("--state", state, (_OPEN, _ALL, *STATES))
    one_of("--kind", kind, KINDS)
    states = {_OPEN: OPEN, _ALL: STATES}.get(state, (state,))
    with locate().connect() as connection:
        found = find(connection, states=states, kind=kind, zone=zone, account=account)
    if as_json:
        print_json([asdict(alert) for alert in found])
        return
    for alert in found:
        _show(alert)
    console.print(
        f"{len(found)} {'aviso' if len(found) == 1 else 'avisos'}."
        if found
        else "No hay avisos con esas condiciones.",
        highlight=False,
    )


@alerts_app.command("show")
def show(which: Which) -> None:
    """Muestra un aviso con todo lo que se decidió sobre él."""
    from orchestration.alerts import STATES, find, history, identify
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        alert = identify(connection, which)
        decisions = history(connection, alert)
        shown = [one for one in find(connection, states=STATES) if one.alerta_id == alert]
    for one in shown:
        _show(one)
    if not shown:
        console.print(f"{alert}: las lecturas corregidas ya no lo muestran.", highlight=False)
    for decision in decisions:
        reason = f": {decision.motivo}" if decision.motivo else ""
        _indented(
            f"{minute(decision.cambiada_en)} {decision.estado}, {decision.decidido_por}{reason}"
        )


@alerts_app.command("inform")
def inform(which: Which, by: By, reason: Reason) -> None:
    """Deja dicho que se le avisó a quien corresponde. El aviso sigue abierto."""
    _move(which, "informada", by, reason)


@alerts_app.command("resolve")
def resolve(which: Which, by: By, reason: Reason) -> None:
    """Cierra un aviso cuya causa se solucionó."""
    _move(which, "resuelta", by, reason)


@alerts_app.command("discard")
def discard(which: Which, by: By, reason: Reason) -> None:
    """Cierra un aviso que no era tal."""
    _move(which, "descartada", by, reason)


@alerts_app.command("reopen")
def reopen(which: Which, by: By, reason: Reason) -> None:
    """Vuelve a abrir un aviso que se cerró por error o cuya causa volvió."""
    _move(which, "nueva", by, reason)


def _move(which: str, state: str, by: str, reason: str) -> None:
    from orchestration.alerts import move
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        alert = move(connection, which, state, by=by, reason=reason)
    console.print(f"Aviso {alert[:8]}: {state}, por {escape(by.strip())}.", highlight=False)


def _show(alert: Alert) -> None:
    head = Text(f"{alert.alerta_id[:8]}  ")
    head.append(alert.estado, style=_STYLES[alert.estado])
    head.append(f"  {alert.clase}", style="bold")
    head.append(f" · {_whose(alert)}")
    console.print(head, overflow="fold")
    _indented(alert.explicacion)
    facts = [f"desde {minute(alert.desde)}"]
    facts.append("sigue" if alert.sigue_abierta else f"hasta {minute(alert.hasta)}")
    if alert.litros_estimados is not None:
        facts.append(f"{number(alert.litros_estimados)} litros estimados")
    if alert.importe_estimado is not None:
        facts.append(f"{number(round(alert.importe_estimado))} {city_values()['moneda']}")
    _indented(" · ".join(facts), style="dim")
    if alert.motivo:
        _indented(f"{alert.decidido_por}: {alert.motivo}")
    else:
        _indented(f"qué hacer: {alert.que_hacer}")


def _whose(alert: Alert) -> str:
    parts = []
    if alert.medidor_id is not None:
        parts.append(f"medidor {alert.medidor_id}")
        parts.append("cuenta sin dato" if alert.cuenta_id is None else f"cuenta {alert.cuenta_id}")
    parts.append("zona sin dato" if alert.zona_id is None else f"zona {alert.zona_id}")
    return ", ".join(parts)


def _indented(text: str, style: str = "") -> None:
    console.print(Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 10), expand=False))

"""`lujan gate`: what is withheld, and letting it pass by hand.

Belongs here: arguments, words and tables. Does not belong here: what is red (`gate.py`), or the
decisions themselves (`releases.py`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from orchestration.wording import day
from sources.errors import UnknownDataset

if TYPE_CHECKING:
    from orchestration.gate import Marts

gate_app = typer.Typer(
    no_args_is_help=True, help="La compuerta: qué está retenido por un control, y liberarlo."
)
console = Console(file=sys.stdout)
_WHAT = "Nombre del conjunto del portal, o de la vista o tabla que se lee directamente."


@gate_app.command("list")
def gate_list(
    everything: Annotated[
        bool, typer.Option("--all", help="También las liberaciones vencidas o revocadas.")
    ] = False,
) -> None:
    """Muestra qué no puede salir, por qué, desde cuándo y qué versión sigue a la vista."""
    from orchestration.gate import obstacles_by
    from orchestration.releases import covering, history
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        stands = {
            str(row[0]): (row[1], row[2])
            for row in connection.execute(
                "select conjunto, retenida_desde, ultima_buena from meta.retencion_vigente "
                "union all select nombre, retenida_desde, datos_al from meta.entrega"
            )
        }
        wanted = _all_that_leaves()
        by_name = obstacles_by(connection, {name: marts for name, (_, marts) in wanted.items()})
        shut = 0
        for name, (kind, _) in wanted.items():
            found = by_name[name]
            if not found:
                continue
            release = covering(connection, name, found)
            shut += release is None
            state = "liberado" if release else "retenido"
            console.print(f"[bold]{escape(name)}[/bold] ({kind}): {state}", highlight=False)
            for item in found:
                console.print(f"    ✗ {item}", highlight=False, markup=False)
            if release:
                console.print(
                    f"    lo liberó {release.by}, hasta el {day(release.expires_at)}: "
                    f"{release.reason}",
                    highlight=False, markup=False,
                )  # fmt: skip
            since, good = stands.get(name, (None, None))
            if since:
                console.print(
                    f"    retenido desde el {day(since)}; a la vista: "
                    + (f"la versión del {day(good)}" if good else "ninguna versión"),
                    highlight=False,
                )
            elif good and not release:
                console.print(
                    f"    a la vista: la versión del {day(good)}; no hay otra más nueva",
                    highlight=False,
                )
        console.print(f"{shut} retenidos." if shut else "Nada está retenido.")
        if everything:
            for given in history(connection):
                ended = (
                    f"revocada el {day(given.revoked_at)} por {given.revoked_by}"
                    if given.revoked_at
                    else f"hasta el {day(given.expires_at)}"
                )
                console.print(
                    f"{given.dataset}: liberada el {day(given.created_at)} por {given.by} "
                    f"({given.reason}), {ended}; {len(given.scope)} controles",
                    highlight=False, markup=False,
                )  # fmt: skip


@gate_app.command("release")
def gate_release(
    dataset: Annotated[str, typer.Argument(help=_WHAT)],
    by: Annotated[str, typer.Option("--by", help="Quién decide (persona o comité).")],
    reason: Annotated[str, typer.Option("--reason", help="Motivo o acta.")],
    days: Annotated[int, typer.Option("--days", help="Cuántos días vale, de 1 a 90.")] = 7,
) -> None:
    """Deja salir un conjunto retenido, solo con los veredictos que hay ahora.

    Si un control da otro resultado, o llegan datos nuevos, la compuerta vuelve a cerrarse.
    """
    from orchestration.deliveries import deliver, deliveries
    from orchestration.gate import obstacles
    from orchestration.releases import release
    from orchestration.warehouse.connection import locate

    marts, warehouse = _marts_of(dataset), locate()
    with warehouse.connect() as connection:
        made = release(
            connection, dataset, obstacles(connection, marts), by=by, reason=reason, days=days
        )
    console.print(
        f"Liberado: {dataset}, por {len(made.scope)} controles, hasta el {day(made.expires_at)}. "
        + ("" if dataset in deliveries() else "Sale en la próxima corrida."),
        highlight=False,
    )
    if (item := deliveries().get(dataset)) is None:
        return
    # Nothing has to be built or sent: who reads it directly need not wait for a run.
    outcomes = deliver(warehouse, f"liberacion-{made.id}", {dataset: item})
    for outcome in outcomes:
        words = f"Sigue retenido: {outcome.reason}" if outcome.reason else "Ya está a la vista."
        console.print(words, highlight=False, markup=False)
    if not outcomes:
        console.print("Sale al terminar la corrida que está construyendo, o la próxima.")


@gate_app.command("revoke")
def gate_revoke(
    dataset: Annotated[str, typer.Argument(help=_WHAT)],
    by: Annotated[str, typer.Option("--by", help="Quién decide (persona o comité).")],
    reason: Annotated[str, typer.Option("--reason", help="Motivo o acta.")],
) -> None:
    """Deshace las liberaciones vigentes de un conjunto.

    Lo que ya salió sigue a la vista hasta la próxima versión buena.
    """
    from orchestration.releases import revoke
    from orchestration.warehouse.connection import locate

    _marts_of(dataset)
    with locate().connect() as connection:
        ended = revoke(connection, dataset, by=by, reason=reason)
    console.print(f"Revocadas: {len(ended)} liberaciones de {dataset}.", highlight=False)


def _marts_of(dataset: str) -> Marts:
    """What the dataset or delivery reads; UnknownDataset when there is none of that name."""
    known = _all_that_leaves()
    if dataset not in known:
        raise UnknownDataset(dataset, known)
    return known[dataset][1]


def _all_that_leaves() -> dict[str, tuple[str, Marts]]:
    """Portal datasets and what is read directly, by name: its kind in words, and its marts."""
    from exports.definition import load_definitions
    from orchestration.deliveries import deliveries

    datasets: dict[str, tuple[str, Marts]] = {
        name: ("conjunto del portal", definition.columns_by_mart)
        for name, definition in load_definitions().definitions.items()
    }
    return datasets | {
        name: (f"lo lee {item.consumer}", item.marts) for name, item in deliveries().items()
    }

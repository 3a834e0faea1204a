"""`lujan status`: where things stand, from `meta`.

Belongs here: one screen for the person on duty. Does not belong here: changing anything.
"""

from __future__ import annotations

import datetime as dt

from rich.console import Console
from rich.table import Table

from orchestration.catalogue_sync import configured_catalogue
from orchestration.connections import connections
from orchestration.publishing import waiting
from orchestration.warehouse.connection import locate
from orchestration.wording import minute


def show_status(console: Console) -> None:
    """Print systems, last loads, pending quarantine and portal datasets.

    Starts nothing: an embedded warehouse that is stopped is reported as such.
    """
    linked = connections()
    catalogue = configured_catalogue()
    warehouse = locate(start=False)
    console.print(f"Almacén: {warehouse.label}", highlight=False)
    if linked.sample:
        console.print("[yellow]Fuentes: municipio de muestra (sintético)[/yellow]")
    with warehouse.connect() as connection:
        last = {
            str(row[0]): row[1:]
            for row in connection.execute(
                "select distinct on (dataset) dataset, estado, fin, error from meta.carga "
                "order by dataset, carga_id desc"
            )
        }
        pending = dict(
            connection.execute(
                "select dataset, count(*) from quarantine.fila where estado = 'pendiente' "
                "group by dataset"
            ).fetchall()
        )
        exports = connection.execute(
            "select distinct on (p.conjunto) p.conjunto, p.estado, p.fin, r.retenida_desde, "
            "r.ultima_buena from meta.publicacion p left join meta.retencion_vigente r "
            "using (conjunto) order by p.conjunto, p.publicacion_id desc"
        ).fetchall()
        late = {
            item.dataset: item.blocked or "se publica en cuanto corra"
            for item in waiting(connection, dt.datetime.now(dt.UTC))
            if item.overdue
        }
    table = _table("Conjunto", "Último intento", "Cuándo", "Cuarentena")
    for contracts in catalogue.systems().values():
        for contract in contracts:
            if not linked.reads(contract):
                words = "sin configurar" if contract.is_read else "no se lee"
                table.add_row(contract.id, f"[dim]{words}[/dim]", "", "")
                continue
            state, when, _ = last.get(contract.id, ("nunca", None, None))
            moment = minute(when) if when else ""
            table.add_row(
                contract.id, str(state).replace("_", " "), moment, str(pending.get(contract.id, ""))
            )
    # Loaded once with `--contracts`: there, and not to be judged or loaded again without it.
    for dataset in sorted(last.keys() - catalogue.contracts.keys()):
        _, when, _ = last[dataset]
        table.add_row(
            dataset, "[dim]sin contrato[/dim]", minute(when), str(pending.get(dataset, ""))
        )
    console.print(table)
    if exports:
        table = _table("Portal", "Estado", "Cuándo")
        for name, state, when, since, _ in exports:
            words = "[red]retenida[/red]" if since else _EXPORT_STATES.get(state, state)
            words += " [red](vencida)[/red]" if name in late else ""
            table.add_row(str(name), words, minute(since or when))
        console.print()
        console.print(table)
    for name, _, _, since, good in exports:
        if since:
            seen = f"se ve la versión del {minute(good)}" if good else "no se ve ninguna versión"
            console.print(
                f"[red]Retenida[/red] {name}: {seen}. Por qué: lujan gate list", highlight=False
            )
        if name in late:
            console.print(f"[red]Publicación vencida[/red] {name}: {late[name]}", highlight=False)
    for error in catalogue.errors:
        console.print(f"[red]Atención:[/red] {error}", highlight=False)


_EXPORT_STATES = {"pendiente_aprobacion": "espera aprobación", "sin_cambios": "sin cambios"}


def _table(*titles: str) -> Table:
    """A table whose first column is never cut: it is what a person copies."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for position, title in enumerate(titles):
        table.add_column(title, no_wrap=position == 0)
    return table

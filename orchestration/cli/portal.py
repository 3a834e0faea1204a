"""`lujan portal`: what of the warehouse is on the open-data portal, and how it gets there.

Belongs here: arguments, words and tables of these commands. Does not belong here: any work
(`exports/`, `orchestration/publishing.py`).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.cli.options import refuse_taken_port
from orchestration.cli.portal_definitions import register
from orchestration.cli.questions import confirm
from orchestration.wording import minute
from sources.wording import counted, number

portal_app = typer.Typer(
    no_args_is_help=True,
    help="El portal de datos abiertos: definir, revisar, comparar, publicar, retirar.",
    epilog="Códigos de salida: 0 bien; 1 no se pudo o quedó retenido; 2 faltan datos en la orden.",
)
console = Console(file=sys.stdout)
register(portal_app)

Dataset = Annotated[str, typer.Argument(help="Nombre del conjunto, p. ej. zonas-de-agua.")]
By = Annotated[str, typer.Option("--by", help="Quién lo decide (persona o comité).")]
Reason = Annotated[str, typer.Option("--reason", help="Acta o motivo; se muestra en el portal.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Muestra qué haría, sin hacerlo.")]


@portal_app.command()
def diff(dataset: Dataset) -> None:
    """Muestra qué cambiaría en el portal si se publicara ahora; no cambia nada."""
    _show_difference(dataset)


@portal_app.command()
def publish(
    dataset: Dataset,
    dry_run: DryRun = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="También el contenido desde el que se volvió atrás."),
    ] = False,
) -> None:
    """Publica un conjunto ahora, si sus controles pasan y está aprobado."""
    from orchestration.publishing import publish as publish_now

    if dry_run:
        _show_difference(dataset)
        return
    result = publish_now(dataset, again=again)
    if result.error:
        raise result.error
    console.print(f"{dataset}: {_STATES[result.estado]}.", highlight=False)
    if result.reason:
        console.print(f"  {result.reason}", highlight=False, markup=False)
    if result.address and result.estado != "retenida":
        console.print(f"  {result.address}", highlight=False, markup=False)
    if result.estado in ("retenida", "pendiente_aprobacion"):
        raise typer.Exit(1)


@portal_app.command()
def withdraw(
    dataset: Dataset,
    by: By,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="No preguntar.")] = False,
) -> None:
    """Retira un conjunto: se borran sus archivos y tablas, y su página dice por qué."""
    from orchestration.publishing import take_away

    if not yes:
        confirm(
            f"Se borrarán del portal los archivos y tablas de {dataset}, también los de versiones "
            "anteriores. ¿Seguir?"
        )
    take_away(dataset, by=by, reason=reason)
    console.print(
        f"{dataset}: retirado. Su página queda con el motivo; publicarlo de nuevo lleva otra "
        "aprobación.",
        highlight=False,
    )


@portal_app.command()
def rollback(
    dataset: Dataset,
    by: By,
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option("--to", help="Número de versión (lujan portal history); si no, la anterior."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Vuelve a una versión anterior, sin enviar nada; las direcciones no cambian."""
    from orchestration.publishing import go_back

    version = go_back(dataset, by=by, reason=reason, to=to, dry_run=dry_run)
    if dry_run:
        console.print(
            f"{dataset}: volvería a la versión {version.id} ({minute(version.changed)}, "
            f"{counted(version.rows, 'fila', 'filas')}).",
            highlight=False,
        )
        return
    console.print(
        f"{dataset}: el portal muestra otra vez la versión anterior. El contenido del que se "
        "volvió no se publica solo de nuevo; uno distinto, sí.",
        highlight=False,
    )


@portal_app.command()
def history(dataset: Dataset) -> None:
    """Versiones del conjunto en el portal: cuándo, quién aprobó, en qué estado quedó cada una."""
    from exports.versions import Approved
    from orchestration.publishing import history as versions_of

    versions = versions_of(dataset)
    if not versions:
        console.print(f"{dataset}: nunca se publicó en este portal.", highlight=False)
        return
    table = Table(box=None, padding=(0, 2))
    for title in ("Versión", "Cuándo", "Qué", "Estado", "Filas", "Aprobó"):
        table.add_column(title, justify="right" if title == "Filas" else "left")
    for item in versions:
        approved = item.known(Approved).by if item.reached(Approved) else ""
        table.add_row(
            str(item.id), minute(item.changed), _ORIGINS[item.origin], item.state,
            number(item.rows), escape(approved),
        )  # fmt: skip
    console.print(table)
    for item in versions:
        for words, text in (("se detuvo", item.error), ("se volvió atrás", item.rejection)):
            if text:
                console.print(f"Versión {item.id}: {words}: {text}", highlight=False, markup=False)


@portal_app.command()
def look() -> None:
    """Mira el portal como lo ve cualquiera y anota qué muestra (indicadores R31 y R40).

    También pone al día los avisos de las páginas de lo retenido o atrasado.
    """
    from orchestration.publishing import catalog_facts, ckan, show_notices
    from orchestration.publishing import look as look_now
    from orchestration.warehouse.connection import locate

    with locate().connect(autocommit=True) as connection:
        portal = ckan(catalog_facts(connection))
        published = look_now(connection, portal)
        for problem in show_notices(connection):
            console.print(f"[yellow]Atención:[/yellow] {escape(problem)}", highlight=False)
    console.print(f"{portal.portal} muestra {published} conjuntos publicados.", highlight=False)


@portal_app.command()
def dev(
    port: Annotated[int, typer.Option("--port", help="Puerto de CKAN en esta máquina.")] = 5000,
) -> None:
    """Arranca un CKAN de verdad en esta máquina, para mirar; Ctrl+C detiene todo."""
    import signal

    from orchestration.portal_dev import ckan_portal
    from orchestration.settings import settings
    from orchestration.warehouse.embedded import EmbeddedServer

    # What a service manager sends and a closed terminal stop everything in order as well, and
    # Ctrl+C also where a shell had it ignored.
    for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(caught, signal.default_int_handler)
    refuse_taken_port(port, "--port")
    folder = settings().data_dir / "portal-dev"
    server = EmbeddedServer(folder / "postgres")
    console.print("Arrancando CKAN (la primera vez, un minuto)…")
    server.start()
    try:
        with ckan_portal(folder / "ckan", server.ensure_database, port=port) as running:
            console.print(f"Portal: {running.url}", highlight=False)
            console.print("Para publicar en él, en otra terminal:")
            console.print(f"  export CKAN_URL={running.url}", highlight=False)
            console.print(f"  export CKAN_TOKEN={running.token}", highlight=False, soft_wrap=True)
            console.print("Ctrl+C para detenerlo.")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        console.print("Deteniendo…")
    finally:
        server.stop()


_STATES = {
    "publicada": "publicado",
    "exportada": "exportado",
    "sin_cambios": "no hay nada nuevo que enviar",
    "retenida": "retenido",
    "pendiente_aprobacion": "espera aprobación",
}
_ORIGINS = {
    "exportacion": "publicación",
    "vuelta_atras": "vuelta atrás",
    "retiro": "retiro",
}


def _show_difference(dataset: str) -> None:
    from orchestration.publishing import difference

    found = difference(dataset)
    compared = found.compared
    if compared.is_new:
        console.print(f"{dataset}: es nuevo en el portal.", highlight=False)
    elif not compared.anything:
        console.print(f"{dataset}: el portal ya lo tiene igual.", highlight=False)
    for words, names in (
        ("Archivos que se enviarían", compared.files),
        ("Tablas que se cargarían", compared.tables),
        ("Textos y datos de la ficha que cambiarían", compared.texts),
        ("Recursos que dejarían de publicarse", compared.removed),
        ("Editado a mano en el portal (se corregiría)", compared.by_hand),
        ("Ajeno (se conservaría)", compared.foreign),
    ):
        if names:
            console.print(f"{words}:")
            for name in names:
                rows = ""
                now = found.rows_now.get(name) if name in compared.files else None
                if now is not None:
                    before = found.rows_before.get(name)
                    was = "nuevo" if before is None else number(before)
                    rows = f" ({was} → {counted(now, 'fila', 'filas')})"
                console.print(f"  {name}{rows}", highlight=False, markup=False)
    for obstacle in found.obstacles:
        console.print(f"[red]No sale:[/red] {escape(obstacle)}", highlight=False)

"""The closing report of a run, for a person who does not know the program.

Belongs here: words and layout. Does not belong here: finding anything out (`summary.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.summary import LoadLine, RunSummary
from orchestration.wording import day
from sources.wording import counted, number

_STATES = {
    "cargada": "[green]cargado[/green]",
    "sin_cambios": "[dim]sin cambios[/dim]",
    "fallida": "[red]falló[/red]",
    "sin_cargar": "[yellow]no se cargó[/yellow]",
}
_REASONS = {
    "tipo_invalido": "valor que no corresponde al tipo",
    "clave_repetida": "clave repetida",
    "linea_malformada": "línea incompleta o mal formada",
    "codificacion_invalida": "texto en otra codificación",
    "fuera_de_rango": "valor que no cabe en su tipo",
    "texto_con_nulo": "texto con un carácter nulo",
    "error_de_formula": "fórmula con error",
    "formula_sin_valor": "fórmula sin resultado guardado",
    "numero_impreciso": "número con más cifras de las que guarda una celda",
    "obligatorio": "falta un dato obligatorio",
    "minimo": "valor por debajo del mínimo",
    "maximo": "valor por encima del máximo",
    "patron": "valor sin la forma esperada",
    "valor_permitido": "valor fuera de la lista",
    "mes_separado": "fila de un mes que fue separado de su tabla",
    "mes_imposible": "fecha de un mes que la tabla no puede tener",
    "clave_demasiado_larga": "clave más larga de lo que admite un índice",
    "protocolo.edad_en_lugar_de_fecha": "una edad en lugar de la fecha de nacimiento",
    "protocolo.fecha_imposible": "fecha de nacimiento imposible",
}
_SHOWN = 12


def show(summary: RunSummary, console: Console) -> None:
    """Print the report."""
    console.print()
    if summary.sample:
        console.print(
            "[yellow]Datos de muestra: el municipio es sintético.[/yellow] Para usar datos reales, "
            "defina SOURCE_<SISTEMA>_URL (vea .env.example)."
        )
    if summary.nothing_new:
        console.print(
            f"[green]Sin novedades:[/green] {len(summary.loads)} conjuntos revisados, nada que "
            f"cargar ni construir ({summary.seconds:.0f} s)."
        )
    else:
        show_loads(summary.loads, console)
    if summary.again:
        first, last = summary.again
        console.print(
            f"Se volvieron a calcular las lecturas del {first:%d/%m/%Y} al {last:%d/%m/%Y}."
        )
    show_load_notes(summary.load_notes, console)
    _quarantine(summary, console)
    _checks(summary, console)
    _exports(summary, console)
    _deliveries(summary, console)
    # What a load said already is told with its data set.
    told = {error for line in summary.loads for error in line.errors}
    for error in summary.contract_errors:
        if error not in told:
            console.print(f"[red]Falló:[/red] {escape(error)}", highlight=False)
    for note in summary.notes:
        console.print(f"[yellow]Atención:[/yellow] {escape(note)}", highlight=False)
    for step in summary.crashed:
        console.print(f"[red]Interrumpido:[/red] {escape(step)}", highlight=False)
    if summary.unconfigured:
        console.print(f"Sistemas sin configurar (omitidos): {', '.join(summary.unconfigured)}.")
    console.print()
    console.print("Ver el recorrido:  [bold]make ui[/bold]    (Dagster, http://127.0.0.1:3000)")
    console.print("Ver los modelos:   [bold]make docs[/bold]  (documentación dbt)")
    console.print(_verdict(summary))


def show_loads(lines: Sequence[LoadLine], console: Console) -> None:
    """A line per dataset, their sum, and why those failed that did."""
    table = Table(title="Conjuntos de datos", title_justify="left", box=None, padding=(0, 1))
    for title, justify in (
        ("Conjunto", "left"), ("Estado", "left"), ("Leídas", "right"),
        ("Cargadas", "right"), ("Cuarentena", "right"),
    ):  # fmt: skip
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for line in lines:
        table.add_row(
            line.dataset, _STATES[line.state], number(line.read), number(line.loaded),
            number(line.quarantined) if line.quarantined else "",
        )  # fmt: skip
    total = [sum(getattr(line, name) for line in lines) for name in _FIGURES]
    table.add_section()
    table.add_row("Total", "", *(number(value) for value in total), style="bold")
    console.print(table)
    _load_errors(lines, console)


_FIGURES = ("read", "loaded", "quarantined")


def _load_errors(lines: Sequence[LoadLine], console: Console) -> None:
    """Each cause once: a system that is down fails all its datasets for the same reason.

    A feed of files has one for each file that was not loaded.
    """
    causes: dict[str, list[str]] = {}
    for line in lines:
        for error in line.errors:
            cause = error.removeprefix(f"{line.dataset}: ")
            causes.setdefault(cause, []).append(line.dataset)
    for cause, datasets in causes.items():
        console.print(f"[red]Falló {', '.join(datasets)}:[/red] {escape(cause)}", highlight=False)


def show_load_notes(notes: Sequence[tuple[str, str]], console: Console) -> None:
    """What loads noticed at their sources: nothing was stopped, and somebody should look."""
    if not notes:
        return
    console.print("\n[bold]Al leer se notó:[/bold]")
    for dataset, note in notes[:_SHOWN]:
        console.print(f"  {dataset}: {escape(note)}", highlight=False)
    rest = len(notes) - _SHOWN
    if rest > 0:
        console.print(f"  y {rest} más")
    console.print("  Cambios de columnas: [bold]lujan drift[/bold]")


def _quarantine(summary: RunSummary, console: Console) -> None:
    if not summary.quarantine:
        return
    total = sum(count for _, _, count in summary.quarantine)
    console.print(
        "\n[bold]Cuarentena:[/bold] "
        + counted(total, "fila espera", "filas esperan")
        + " corrección"
    )
    for dataset, rule, count in summary.quarantine[:_SHOWN]:
        console.print(f"  {number(count):>7}  {dataset}: {_REASONS.get(rule, rule)}")
    rest = len(summary.quarantine) - _SHOWN
    if rest > 0:
        console.print(f"           y {counted(rest, 'motivo', 'motivos')} más")
    console.print("  Ver filas: [bold]lujan quarantine show CONJUNTO[/bold]")


def _checks(summary: RunSummary, console: Console) -> None:
    failed = len(summary.blocking)
    if summary.checks_passed or summary.checks_warned or failed:
        console.print(
            f"\n[bold]Controles:[/bold] {number(summary.checks_passed)} pasan, "
            f"{number(summary.checks_warned)} con advertencia, "
            f"{number(summary.checks_unknown)} todavía sin evaluar, "
            + (f"[red]{failed} bloqueantes[/red]" if failed else "0 bloqueantes")
        )
    for text in summary.blocking:
        console.print(f"  [red]✗[/red] {escape(text)}", highlight=False)
    for text in summary.build_failures:
        console.print(f"  [red]✗ modelo[/red] {escape(text)}", highlight=False)
    if summary.findings:
        total = sum(count for _, count in summary.findings)
        kinds = len(summary.findings)
        console.print(
            f"[bold]Hallazgos:[/bold] {number(total)} de {counted(kinds, 'clase', 'clases')}, con "
            "responsable: "
            "[bold]lujan findings list[/bold]"
        )


def _deliveries(summary: RunSummary, console: Console) -> None:
    """What the chatbot and the boards see; nothing is said when nothing was ever delivered."""
    held = summary.held_deliveries
    if not summary.deliveries:
        return
    current = number(summary.deliveries - len(held))
    words = f", [red]{len(held)} retenidas[/red]" if held else ""
    console.print(f"\n[bold]Luji y tableros:[/bold] {current} vistas y tablas al día{words}")
    for name, shown, reason in held:
        version = f"se ve la versión del {day(shown)}" if shown else "no se ve ninguna versión"
        console.print(f"  [red]retenida[/red] {name}: {version}. {escape(reason)}", highlight=False)


def _exports(summary: RunSummary, console: Console) -> None:
    place = summary.portal or str(summary.exports_dir / "index.html")
    if not summary.exports and summary.exports_total:
        if len(summary.pending) < summary.exports_total:
            console.print(f"\n[bold]Exportaciones:[/bold] al día en {place}", highlight=False)
        else:
            console.print("\n[bold]Exportaciones:[/bold] todavía no salió ninguna")
        _pending(summary, console)
        return
    states: dict[str, int] = {}
    for _, state, _, _ in summary.exports:
        states[state] = states.get(state, 0) + 1
    words = ", ".join(counted(count, *_EXPORT_STATES[state]) for state, count in states.items())
    console.print(f"\n[bold]Exportaciones:[/bold] {words or 'ninguna'}")
    for name, state, _, reason in summary.exports:
        if state == "retenida":
            words = escape((reason or "").removeprefix(f"{name}: "))
            console.print(f"  [red]retenida[/red] {name}: {words}", highlight=False)
    _pending(summary, console)
    if set(states) <= {"pendiente_aprobacion"}:
        return
    console.print(f"  Archivos: {place}", highlight=False)
    if not summary.portal:
        console.print("  Sin CKAN_URL: se escribió el árbol del portal en disco.")


def _pending(summary: RunSummary, console: Console) -> None:
    if not summary.pending:
        return
    console.print(f"  Esperan aprobación (lujan approve NOMBRE …): {', '.join(summary.pending)}")
    console.print(f"  Para revisarlas: {summary.pending_dir}", highlight=False)


_EXPORT_STATES = {
    "exportada": ("exportada", "exportadas"),
    "publicada": ("publicada", "publicadas"),
    "sin_cambios": ("sin cambios", "sin cambios"),
    "retenida": ("retenida", "retenidas"),
    "pendiente_aprobacion": ("pendiente de aprobación", "pendientes de aprobación"),
}


def _verdict(summary: RunSummary) -> str:
    seconds = f"({summary.seconds:.0f} s)"
    words = {
        0: f"[bold green]Terminó bien[/bold green] {seconds}",
        1: f"[bold red]Un control bloqueante no pasa: hay datos retenidos[/bold red] {seconds}",
        2: f"[bold yellow]Terminó, pero alguna fuente no se pudo cargar[/bold yellow] {seconds}",
        3: f"[bold red]Se interrumpió un paso; vuelva a ejecutar[/bold red] {seconds}",
    }
    return words[summary.exit_code]

"""Commands of `lujan`.

Belongs here: arguments, options, help and exit codes. Does not belong here: any work; each
command calls one function of another module. Heavy libraries are imported inside the commands
that need them, so `--help` answers at once.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from orchestration.cli.alerts import alerts_app
from orchestration.cli.contracts import contracts_app
from orchestration.cli.findings import findings_app
from orchestration.cli.gate import gate_app
from orchestration.cli.options import refuse_taken_port
from orchestration.cli.partitions import partitions_app
from orchestration.cli.portal import portal_app
from orchestration.cli.quality import quality_app
from orchestration.cli.quarantine import quarantine_app
from orchestration.cli.spanish import INTERRUPTED, invoke
from sources.wording import counted

app = typer.Typer(
    name="lujan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Almacén de datos de la ciudad: de los sistemas municipales al portal de datos abiertos.",
    epilog="Las direcciones de los sistemas se leen del entorno o de .env (vea .env.example).",
)
warehouse_app = typer.Typer(no_args_is_help=True, help="El almacén PostgreSQL.")
sample_app = typer.Typer(no_args_is_help=True, help="El municipio de muestra (sintético).")
app.add_typer(warehouse_app, name="warehouse")
app.add_typer(sample_app, name="sample")
app.add_typer(contracts_app, name="contracts")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(partitions_app, name="partitions")
app.add_typer(portal_app, name="portal")
app.add_typer(findings_app, name="findings")
app.add_typer(gate_app, name="gate")
app.add_typer(alerts_app, name="alerts")
app.add_typer(quality_app, name="quality")

# Bound to the terminal itself: during a run, what libraries print is sent to a log file.
console = Console(file=sys.stdout)
errors = Console(file=sys.stderr)


def run() -> None:
    """Entry point: known errors are one message, never a trace.

    A run that could not go on ends with its own code: 1 says that a check did not pass.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a log of Latin letters alone shows ? for an arrow, and no trace.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = invoke(app, errors)
        if code == INTERRUPTED:
            errors.print("\nInterrumpido: lo que no terminó no se guardó; vuelva a ejecutar.")
        sys.exit(code)
    except Exception as error:
        from orchestration.outages import outage

        if (known := outage(error)) is None:
            raise
        # In a log, one line: words of a command broken over two cannot be copied.
        text = f"[red]Error:[/red] {escape(str(known))}"
        errors.print(text, highlight=False, soft_wrap=not errors.is_terminal)
        sys.exit(getattr(known, "exit_code", 1))


_MoreContracts = Annotated[
    list[Path] | None,
    typer.Option("--contracts", "-c", help="Carpeta o archivo con contratos adicionales."),
]


@app.command("run")
def run_pipeline(
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", "-s", help="sistema=dirección, p. ej. telemetria=/ruta. Repetible."
        ),
    ] = None,
    contracts: _MoreContracts = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Muestra qué se haría, sin cargar nada.")
    ] = False,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DÍA", help="Vuelve a calcular lecturas desde aquí."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DÍA", help="Hasta este día, incluido.")
    ] = None,
) -> None:
    """Recorre todo: fuentes → raw → modelos → controles → exportaciones.

    Sin ningún sistema configurado usa el municipio de muestra (sintético). La segunda vez hace
    solo lo que cambió. Con --from y --to (aaaa-mm-dd), además, vuelve a calcular las lecturas de
    esos días, en una sola corrida. Código de salida: 0 bien, 1 un control bloqueante no pasa, 2
    alguna fuente no se pudo cargar, 3 se interrumpió un paso.
    """
    from orchestration.cli import report
    from orchestration.cli.live import LiveView
    from orchestration.run import broken_off_in_words, execute, prepare

    again = _days_again(first, last)
    _apply(source, contracts)
    if dry_run:
        _show_plan()
        return
    with broken_off_in_words(), LiveView(console) as view:
        summary = execute(prepare(view), view, again)
    report.show(summary, console)
    raise typer.Exit(summary.exit_code)


def _days_again(first: str | None, last: str | None) -> tuple[dt.date, dt.date] | None:
    if first is None and last is None:
        return None
    try:
        days = dt.date.fromisoformat(first or ""), dt.date.fromisoformat(last or "")
    except ValueError:
        raise typer.BadParameter("--from y --to van juntos, como aaaa-mm-dd.") from None
    if days[0] > days[1]:
        raise typer.BadParameter("--from es posterior a --to.")
    return days


@app.command("load")
def load_datasets(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONJUNTO",
            help="Conjuntos, p. ej. mlc.proyectos; sin ninguno, todos los de los sistemas "
            "conectados.",
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", help="Todos los conjuntos de este sistema. Repetible."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="sistema=dirección. Repetible."),
    ] = None,
    contracts: _MoreContracts = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Lee otra vez las tablas incrementales desde el principio: trae lo que cambió "
            "sin que cambiara su marca.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Un documento JSON, para otros programas.")
    ] = False,
) -> None:
    """Carga conjuntos a raw, y nada más: sin modelos, controles de marts ni portal.

    Con las mismas garantías que en una corrida. Código de salida: 0 bien, 2 alguna fuente no se
    pudo cargar (su tabla conserva sus últimos datos buenos). Para ver antes qué entraría: `lujan
    contracts try`.
    """
    from orchestration.cli.load import load_only

    _apply(source, contracts)
    code = load_only(console, errors, datasets or [], system or [], whole=whole, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def reread(
    dataset: Annotated[
        str, typer.Argument(metavar="CONJUNTO", help="Conjunto de archivos, p. ej. agua.lecturas.")
    ],
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="sistema=dirección, para archivos sin copia guardada."),
    ] = None,
    contracts: _MoreContracts = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Muestra qué archivos serían, sin cambiar nada.")
    ] = False,
) -> None:
    """Vuelve a leer los archivos ya cargados que otra versión del contrato leyó.

    Cada uno, de su copia guardada y en una transacción: lo que cambia pasa a raw._historial, y lo
    que estaba en cuarentena se juzga de nuevo. Código de salida: 0 bien, 1 algún archivo no se
    pudo leer otra vez (sus filas quedan como estaban).
    """
    from orchestration.cli.reread import read_again

    _apply(source, contracts)
    if not read_again(console, dataset, dry_run=dry_run):
        raise typer.Exit(1)


@app.command()
def live(
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Contrato que recibe mensajes; hace falta si hay varios."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="sistema=dirección, p. ej. tiempo_real=mqtts://…"),
    ] = None,
    contracts: _MoreContracts = None,
) -> None:
    """Recibe lecturas en vivo (MQTT) y las carga a medida que llegan, hasta Ctrl+C o SIGTERM.

    Cada mensaje se confirma al servidor recién cuando quedó guardado: si el proceso se corta, el
    servidor lo entrega otra vez. Si el almacén o el servidor no están, espera y reintenta.
    """
    from orchestration.cli.readings import follow

    _apply(source, contracts)
    follow(console, dataset)


@app.command()
def status() -> None:
    """Muestra sistemas, últimas cargas, cuarentena y exportaciones."""
    from orchestration.cli.status import show_status

    show_status(console)


@app.command()
def drift(
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Solo este conjunto, p. ej. mlc.proyectos.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="También las que ya terminaron.")
    ] = False,
) -> None:
    """Muestra qué cambió en los orígenes respecto de los contratos, desde cuándo y qué se hizo."""
    from orchestration.cli.drift import show_drift

    show_drift(console, dataset, closed_too=everything)


@app.command()
def corrections(
    dataset: Annotated[
        str | None, typer.Argument(help="Solo este conjunto, p. ej. mlc.proyectos.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", help="Mes, aaaa-mm; por defecto, el actual.")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Muestra las reglas y cómo se vuelve atrás.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Un documento JSON, para otros programas.")
    ] = False,
) -> None:
    """Muestra qué corrigió cada regla de limpieza en las filas que llegaron en un mes."""
    from orchestration.cli.corrections import show_corrections

    show_corrections(console, dataset, month, as_json=as_json, list_rules=rules)


@app.command()
def score(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Un conjunto, p. ej. mlc.proyectos, con cada punto perdido."),
    ] = None,
    area: Annotated[
        str | None, typer.Option("--area", help="Secretaría, o parte de su nombre.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Un documento JSON, para otros programas.")
    ] = False,
) -> None:
    """Muestra el puntaje de calidad de cada conjunto, si cumple el estándar y por qué."""
    from orchestration.cli.score import show_scores

    show_scores(console, dataset, area, as_json=as_json)


@app.command()
def prepare() -> None:
    """Deja listo el almacén (esquemas, roles, tablas) y el manifiesto dbt, sin cargar nada."""
    from orchestration.cli.live import LiveView
    from orchestration.run import prepare as prepare_run

    with LiveView(console) as view:
        prepared = prepare_run(view, sample=False)
    for text in (*prepared.contract_errors, *prepared.notes):
        console.print(f"[yellow]Atención:[/yellow] {escape(text)}", highlight=False)


@app.command()
def approve(
    dataset: Annotated[str, typer.Argument(help="Nombre del conjunto del portal.")],
    by: Annotated[str, typer.Option("--by", help="Quién aprueba (persona o comité).")],
    reason: Annotated[str, typer.Option("--reason", help="Acta o motivo.")],
) -> None:
    """Registra la aprobación de una primera publicación o de un cambio de columnas."""
    from exports.approvals import approve as record_approval
    from orchestration.publishing import find_definition
    from orchestration.warehouse.connection import locate

    definition = find_definition(dataset)
    with locate().connect() as connection:
        record_approval(connection, definition, by, reason)
    console.print(f"Aprobado: {dataset}. Se publica en la próxima corrida.")


@app.command()
def ui() -> None:
    """Abre Dagster en http://127.0.0.1:3000 (Ctrl+C para salir)."""
    from orchestration.instance import prepare_instance
    from orchestration.settings import PROJECT_ROOT, settings
    from orchestration.warehouse.connection import locate
    from orchestration.warehouse.migrate import migrate

    refuse_taken_port(settings().ui_port, "LUJAN_UI_PORT")
    warehouse = locate()
    migrate(warehouse)
    prepare_instance(warehouse)
    port = str(settings().ui_port)
    address = f"http://127.0.0.1:{port}"
    console.print(f"Dagster: {address}")
    console.print(f"  Tablas y pasos: {address}/asset-groups")
    console.print(f"  Corridas:       {address}/runs")
    program = str(Path(sys.executable).with_name("dagster"))
    os.chdir(PROJECT_ROOT)
    # Dagster ends by SIGTERM as by Ctrl+C, which is ignored by what is started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.execv(program, [program, "dev", "-h", "127.0.0.1", "-p", port, "-w", "workspace.yaml"])


@app.command()
def docs(
    serve: Annotated[bool, typer.Option(help="Servir además de generar.")] = True,
) -> None:
    """Genera la documentación dbt y la sirve en http://127.0.0.1:8081."""
    from orchestration.docs_site import generate, serve_forever
    from orchestration.settings import settings

    port = settings().docs_port
    if serve:
        refuse_taken_port(port, "LUJAN_DOCS_PORT, o use --no-serve")
    console.print("Generando la documentación: cerca de medio minuto…")
    folder = generate()
    console.print(f"Documentación: {folder / 'index.html'}", highlight=False)
    if serve:
        console.print(f"http://127.0.0.1:{port} (Ctrl+C para salir)")
        serve_forever(folder, port)


@app.command()
def dbt(
    arguments: Annotated[list[str], typer.Argument(help="Lo que se le pasa a dbt.")],
) -> None:
    """Ejecuta dbt contra este almacén, p. ej. `lujan dbt -- build -s fct_proyecto`."""
    from orchestration.dbt_project import dbt_executable
    from orchestration.settings import DBT_PROJECT_DIR
    from orchestration.warehouse.connection import export_environment, locate

    export_environment(locate())
    folder = str(DBT_PROJECT_DIR)
    done = subprocess.run(
        [dbt_executable(), *arguments, "--project-dir", folder, "--profiles-dir", folder],
        check=False,
    )
    raise typer.Exit(done.returncode)


@app.command()
def stop() -> None:
    """Detiene el almacén embebido."""
    warehouse_stop()


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="No preguntar.")] = False,
) -> None:
    """Detiene el almacén embebido y borra la carpeta de datos (no toca WAREHOUSE_URL)."""
    import shutil

    from orchestration.cli.questions import confirm
    from orchestration.settings import settings
    from orchestration.warehouse.embedded import EmbeddedServer

    folder = settings().data_dir
    if not folder.exists():
        console.print("No hay nada que borrar.")
        return
    if not yes:
        confirm(f"¿Borrar {folder} con todo su contenido?")
    EmbeddedServer(settings().embedded_dir).destroy()
    shutil.rmtree(folder)
    console.print(f"Borrado: {folder}", highlight=False)


@warehouse_app.command("start")
def warehouse_start() -> None:
    """Arranca el almacén (o comprueba el de WAREHOUSE_URL) y lo pone al día."""
    from orchestration.warehouse.connection import locate
    from orchestration.warehouse.migrate import migrate

    warehouse = locate()
    result = migrate(warehouse)
    console.print(f"Almacén en {warehouse.label}, versión {result.after}.", highlight=False)
    for warning in result.warnings:
        console.print(f"[yellow]Atención:[/yellow] {escape(warning)}", highlight=False)


@warehouse_app.command("stop")
def warehouse_stop() -> None:
    """Detiene el almacén embebido."""
    from orchestration.settings import settings
    from orchestration.warehouse.embedded import EmbeddedServer

    stopped = EmbeddedServer(settings().embedded_dir).stop()
    console.print("Almacén detenido." if stopped else "El almacén ya estaba detenido.")


@warehouse_app.command(
    "psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def warehouse_psql(context: typer.Context) -> None:
    """Abre psql en el almacén; los argumentos que sobren pasan a psql."""
    from orchestration.settings import settings
    from orchestration.warehouse.backup import client_environment
    from orchestration.warehouse.connection import locate
    from orchestration.warehouse.embedded import program_path

    os.environ.update(client_environment(locate()))
    program = str(program_path(settings().embedded_dir, "psql"))
    os.execv(program, [program, *context.args])


@warehouse_app.command("url")
def warehouse_url(
    password: Annotated[
        bool, typer.Option("--password", help="Incluir la contraseña (para conectar Power BI).")
    ] = False,
) -> None:
    """Muestra dónde está el almacén; con --password, la dirección completa."""
    from orchestration.warehouse.connection import locate

    warehouse = locate()
    print(warehouse.url if password else warehouse.label)


@warehouse_app.command("dump")
def warehouse_dump(
    file: Annotated[Path, typer.Argument(metavar="ARCHIVO", help="Archivo nuevo.")],
) -> None:
    """Guarda en un archivo una copia completa del almacén, que solo puede leer quien la hizo."""
    from orchestration.settings import settings
    from orchestration.warehouse.backup import dump
    from orchestration.warehouse.connection import locate
    from orchestration.warehouse.embedded import program_path

    warehouse = locate()
    size = dump(warehouse, file, program_path(settings().embedded_dir, "pg_dump"))
    console.print(f"Copia de {warehouse.label} en {file}: {size >> 20} MiB.", highlight=False)


@warehouse_app.command("restore")
def warehouse_restore(
    file: Annotated[Path, typer.Argument(metavar="ARCHIVO", help="Una copia de `dump`.")],
) -> None:
    """Llena con una copia un almacén que todavía no tiene cargas."""
    from orchestration.settings import settings
    from orchestration.warehouse.backup import restore
    from orchestration.warehouse.connection import locate
    from orchestration.warehouse.embedded import program_path

    warehouse = locate()
    restore(warehouse, file, program_path(settings().embedded_dir, "pg_restore"))
    console.print(f"Restaurado en {warehouse.label}.", highlight=False)


@sample_app.command("build")
def sample_build() -> None:
    """Genera el municipio sintético y su verdad conocida (ground_truth.json)."""
    from orchestration.cli.live import LiveView
    from orchestration.run import build_sample
    from orchestration.settings import settings

    with LiveView(console) as view:
        build_sample(view)
    console.print(f"Muestra en {settings().sample_dir}", highlight=False)


def _apply(source: list[str] | None, contracts: list[Path] | None) -> None:
    """Options of the command line become settings of this process."""
    from orchestration.run import set_sources
    from orchestration.settings import settings

    try:
        set_sources(source or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if contracts:
        paths = [str(path.resolve()) for path in contracts]
        known = os.environ.get("LUJAN_CONTRACTS")
        os.environ["LUJAN_CONTRACTS"] = os.pathsep.join([*paths, *([known] if known else [])])
        settings.cache_clear()
    _refuse_unknown_systems(source or [])


def _refuse_unknown_systems(source: list[str]) -> None:
    """A slip of the pen must not pass for a run in which nothing was new."""
    from orchestration.catalogue_sync import configured_catalogue

    if not source:
        return
    catalogue = configured_catalogue()
    if catalogue.errors:  # the run tells of them: one may be the contract that is meant
        return
    known = catalogue.systems()
    for system in (item.partition("=")[0] for item in source):
        if system not in known:
            raise typer.BadParameter(
                f"no hay ningún contrato del sistema {system!r}; los hay de: {', '.join(known)}. "
                "Los suyos se agregan con --contracts."
            )


def _show_plan() -> None:
    from orchestration.catalogue_sync import configured_catalogue
    from orchestration.connections import connections, without_contracts

    linked = connections()
    catalogue = configured_catalogue()
    if not linked.urls:
        console.print("Ningún sistema configurado: se usaría el municipio de muestra (sintético).")
    for system, contracts in catalogue.systems().items():
        state = "se cargaría" if linked.is_connected(system) else "sin configurar, se omitiría"
        console.print(f"{system}: {state} ({counted(len(contracts), 'conjunto', 'conjuntos')})")
    for text in (*catalogue.errors, *without_contracts(linked, catalogue)):
        console.print(f"[red]Atención:[/red] {escape(str(text))}", highlight=False)

"""`lujan contracts`: from a source to a contract that loads, and those there are.

Belongs here: arguments, and what a person reads. Does not belong here: making the draft
(`sources/drafting/`) or judging rows (`sources/rehearsal.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from orchestration.wording import frequency
from sources.wording import counted, number, percent, refusal

if TYPE_CHECKING:
    from sources.contract import Contract
    from sources.rehearsal import Rehearsal
    from sources.urls import SourceUrl

contracts_app = typer.Typer(no_args_is_help=True, help="Los contratos de datos.")

console = Console(file=sys.stdout)
errors = Console(file=sys.stderr)
_TRIED_ROWS = 200_000


@contracts_app.command()
def draft(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="SISTEMA.CONJUNTO",
            help="El conjunto; o solo el SISTEMA, para todas las tablas de su base.",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Archivo, o dirección: postgresql://…, mysql://…, mssql://…, https://… (una API)",
        ),
    ],
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            "-t",
            help="Tabla o vista (sin ella, se listan las que hay), u hoja de una planilla. De un "
            "sistema entero: solo las que se llaman así; * vale por cualquier texto, y puede "
            "repetirse.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Archivo nuevo; sin él, se muestra en pantalla. De un sistema entero: la carpeta.",
        ),
    ] = None,
) -> None:
    """Propone un contrato mirando una tabla o un archivo: columnas, tipos, clave, formato.

    No carga nada. Lo que solo la ciudad sabe (dueño, significado, clasificación) queda marcado. Lo
    que ya existe no se toca.
    """
    from sources.drafting.document import DraftError

    tables = table or []
    if "." not in identifier:
        _draft_system(identifier, source, tables, output)
        return
    if len(tables) > 1:
        raise DraftError(
            "un conjunto se hace de una sola tabla.",
            next_step=f"para varias, escriba solo el sistema: {identifier.partition('.')[0]}.",
        )
    _draft_one(identifier, source, tables[0] if tables else None, output)


def _draft_system(system: str, source: str, patterns: list[str], folder: Path | None) -> None:
    """A file per table; those that cannot be drafted are told at the end, and end it with 1."""
    from sources.drafting.document import DraftError
    from sources.drafting.systems import chosen, drafts
    from sources.urls import SourceUrl

    if folder is None or folder.is_file():
        raise DraftError(
            "de un sistema entero salen muchos contratos.",
            next_step="diga en qué carpeta con --output; para uno solo, escriba sistema.conjunto.",
        )
    if Path(source).expanduser().exists():
        raise DraftError(
            f"{source} no es una base de datos.",
            next_step="de un archivo sale un solo conjunto: escriba sistema.conjunto.",
        )
    url = SourceUrl.parse(source)
    _refuse_without_tables(url)
    wanted = chosen(system, url, patterns)
    new = {
        identifier: table
        for identifier, table in wanted.items()
        if not _document_in(folder, identifier).exists()
    }
    failed = 0
    with Console(file=sys.stderr).status("") as status:
        for place, outcome in enumerate(drafts(url, new), start=1):
            status.update(f"{place} de {len(new)}: {outcome.table}")
            if outcome.draft is None:
                failed += 1
                console.print(f"✗ {outcome.table}: {outcome.error}", markup=False, soft_wrap=True)
                continue
            _write(_document_in(folder, outcome.identifier), outcome.draft.text)
            contract = outcome.draft.contract
            key = f"clave {', '.join(contract.key)}" if contract.key else "sin clave conocida"
            columns = counted(len(contract.columns), "columna", "columnas")
            console.print(
                f"✓ {outcome.table} → {contract.id}: {columns}, {key}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
    known = len(wanted) - len(new)
    told = [f"{counted(len(new) - failed, 'borrador nuevo', 'borradores nuevos')} en {folder}"]
    told += [f"{counted(known, 'ya estaba', 'ya estaban')}, sin tocar"] if known else []
    told += [counted(failed, "no se pudo hacer", "no se pudieron hacer")] if failed else []
    console.print(
        f"\n{'; '.join(told)}.",
        "Lo que falta completar está al comienzo de cada archivo. Para cargarlos como están:",
        f"  lujan load --contracts {folder} --source {system}=…",
        sep="\n", markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    if failed:
        raise typer.Exit(1)


def _document_in(folder: Path, identifier: str) -> Path:
    return folder / f"{identifier.partition('.')[2]}.yaml"


def _draft_one(identifier: str, source: str, table: str | None, output: Path | None) -> None:
    from sources.drafting import draft_api, draft_file, draft_table, table_names
    from sources.drafting.document import DraftError, identify
    from sources.urls import SourceUrl, variable

    identify(identifier)
    if output is not None and output.exists():
        raise DraftError(
            f"{output} ya existe y no se toca.", next_step="elija otro nombre con --output."
        )
    path = Path(source).expanduser()
    url = None
    if not path.exists():
        token = os.environ.get(variable(identify(identifier)[0], "TOKEN"))
        url = SourceUrl.parse(source, token=token)
        if url.path is not None and url.path.exists():  # written file:///…
            path, url = url.path, None
    if url is None or url.scheme == "file":
        if url is not None:
            raise DraftError(f"no existe {source}.", next_step="revise el camino del archivo.")
        found = draft_file(identifier, path, table)
    elif url.scheme in ("http", "https"):
        found = draft_api(identifier, url)
    else:
        _refuse_without_tables(url)
        if table is None:
            names = table_names(identifier, url)
            console.print(*names or ["El usuario no ve ninguna tabla."], sep="\n", highlight=False)
            system = identifier.partition(".")[0]
            console.print(
                f"\nElija una: lujan contracts draft {identifier} --from … --table TABLA",
                f"O todas:   lujan contracts draft {system} --from … --output CARPETA",
                sep="\n", highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip
            return
        found = draft_table(identifier, url, table)
    if output is None:
        sys.stdout.write(found.text)
        return
    _write(output, found.text)
    console.print(
        f"{output}: {len(found.contract.columns)} columnas. Antes de darlo por bueno:",
        *(f"  · {note}" for note in found.notes),
        f"\nPruébelo: lujan contracts try {output} --source {found.contract.system}=…",
        sep="\n", highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _refuse_without_tables(url: SourceUrl) -> None:
    from sources.drafting.document import DraftError

    if url.scheme not in ("postgresql", "mysql", "mssql", "sqlite"):
        raise DraftError(
            f"{url.safe} no es una base de datos.",
            next_step="traiga un archivo a esta máquina: de él, o de una API, sale un conjunto; "
            "escriba sistema.conjunto.",
        )


def _write(path: Path, text: str) -> None:
    from sources.drafting.document import DraftError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DraftError(
            f"no se puede escribir {path}: {refusal(error)}.", next_step="elija otra carpeta."
        ) from error


@contracts_app.command("try")
def try_contract(
    path: Annotated[Path, typer.Argument(metavar="CONTRATO", help="El archivo del contrato.")],
    source: Annotated[
        str | None,
        typer.Option("--source", "-s", help="sistema=dirección; sin ella, la configurada."),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Cuántas filas se leen, más o menos.")
    ] = _TRIED_ROWS,
    everything: Annotated[bool, typer.Option("--all", help="Leer todas las filas.")] = False,
) -> None:
    """Lee el origen y aplica el contrato, sin cargar nada: qué entraría, qué no y por qué.

    Termina con 0 si todo entraría, 1 si alguna fila iría a cuarentena o la carga se rechazaría.
    """
    from orchestration.checkers import checkers_for
    from sources.contract_document import load_contract
    from sources.rehearsal import rehearse

    contract = load_contract(path)
    url = _address(contract, source)
    with Console(file=sys.stderr).status(f"Leyendo {contract.id}…") as status:
        done = rehearse(
            contract, url, checkers_for(contract),
            most_rows=None if everything else rows,
            progress=lambda read: status.update(f"Leyendo {contract.id}: {number(read)} filas…"),
        )  # fmt: skip
    _show(contract, done)
    raise typer.Exit(1 if done.set_aside or done.repeated or done.refused else 0)


def _address(contract: Contract, source: str | None) -> SourceUrl:
    """The address given, or the one configured for the system."""
    from sources.errors import SourceUnavailable
    from sources.urls import SourceUrl, variable

    if source is None:
        from orchestration.connections import connections

        found = connections().urls.get(contract.system)
        if found is None:
            raise SourceUnavailable(
                f"el sistema {contract.system} no tiene dirección.",
                dataset=contract.id,
                next_step=f"agregue --source {contract.system}=… o {variable(contract.system)}.",
            )
        return found
    system, sign, address = source.partition("=")
    if not sign or system != contract.system:
        raise typer.BadParameter(
            f"escriba --source {contract.system}=dirección: el contrato es de ese sistema."
        )
    token = os.environ.get(variable(system, "TOKEN"))
    return SourceUrl.parse(address, token=token)


def _show(contract: Contract, done: Rehearsal) -> None:
    extent = "todas las filas" if done.whole else "las primeras filas"
    console.print(
        f"{contract.id}: se leyeron {extent}: {number(done.read)} en {number(done.seconds, 1)} s. "
        f"Entrarían {number(done.passed - done.repeated)}; a cuarentena irían "
        f"{number(done.set_aside + done.repeated)}.",
        highlight=False,
    )
    for (rule, column), count in done.reasons.most_common():
        where = f" en {column}" if column else ""
        console.print(
            f"  [yellow]{rule}[/yellow]{where}: {counted(count, 'fila', 'filas')}", highlight=False
        )
        for file, row in done.examples[rule, column]:
            of_file = f" de {file}" if file else ""
            console.print(
                f"    fila {row.row_number}{of_file}: {row.reason}", highlight=False, markup=False
            )
    if done.repeated:
        console.print(
            f"  [yellow]clave_repetida[/yellow]: {counted(done.repeated, 'fila', 'filas')} "
            f"cuya clave ({', '.join(contract.key)}) ya había venido",
            highlight=False,
        )
    if done.unknown:
        console.print(
            f"Columnas del origen que el contrato no nombra: {', '.join(done.unknown)}.",
            highlight=False, markup=False,
        )  # fmt: skip
    for note in done.notes:
        console.print(f"Atención: {note}.", highlight=False, markup=False)
    for why in done.refused.values():
        console.print(f"[red]No se cargaría:[/red] {escape(why)}", highlight=False)
    if done.would_be_refused(contract):
        console.print(
            f"[red]La carga se rechazaría entera[/red]: el contrato admite hasta "
            f"{percent(contract.max_quarantine_share)} de filas en cuarentena.",
            highlight=False,
        )
    console.print("No se cargó nada.")


@contracts_app.command()
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Carpetas o archivos; por defecto, los de la ciudad."),
    ] = None,
) -> None:
    """Revisa contratos sin conectarse a nada."""
    from orchestration.catalogue_sync import configured_catalogue
    from orchestration.dbt_sources import read_without_contract, refuse_missing
    from sources.contract_document import load_catalogue

    catalogue = load_catalogue(paths) if paths else configured_catalogue()
    for error in catalogue.errors:
        errors.print(f"[red]✗[/red] {error}", highlight=False)
    console.print(
        f"{len(catalogue.contracts)} contratos correctos, {len(catalogue.errors)} con error."
    )
    if not paths:
        refuse_missing(read_without_contract(catalogue))
    raise typer.Exit(1 if catalogue.errors else 0)


@contracts_app.command("list")
def list_contracts() -> None:
    """Lista los conjuntos de datos por secretaría, con su frecuencia y su clasificación."""
    from orchestration.catalogue_sync import configured_catalogue

    show_contracts(configured_catalogue().contracts.values(), console)


@contracts_app.command()
def sync(
    only_check: Annotated[
        bool, typer.Option("--check", help="Solo comprobar, sin escribir.")
    ] = False,
) -> None:
    """Reescribe las fuentes de dbt a partir de los contratos."""
    from orchestration.catalogue_sync import configured_catalogue
    from orchestration.dbt_sources import out_of_date, write

    catalogue = configured_catalogue()
    paths = out_of_date(catalogue) if only_check else write(catalogue)
    for path in paths:
        console.print(str(path), highlight=False)
    console.print(f"{len(paths)} archivos {'desactualizados' if only_check else 'reescritos'}.")
    raise typer.Exit(1 if only_check and paths else 0)


def show_contracts(contracts: Iterable[Contract], console: Console) -> None:
    """Print contracts by area: what each is, how often it is brought up to date, who may see it."""
    areas: dict[str, list[Contract]] = {}
    for contract in contracts:
        areas.setdefault(contract.owner or "Sin secretaría", []).append(contract)
    for place, (area, members) in enumerate(sorted(areas.items())):
        if place:
            console.print()
        console.print(Text(area, style="bold"))
        for contract in members:
            console.print(
                f"  {contract.id:<34}{frequency(contract.frequency):<18}{contract.classification}",
                highlight=False,
            )
            console.print(Text(f"    {contract.title}", style="dim"))

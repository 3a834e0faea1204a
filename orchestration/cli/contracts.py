"""`lujan contracts draft` and `try`: from a source to a contract that loads.

Belongs here: arguments, and what a person reads. Does not belong here: making the draft
(`sources/drafting/`) or judging rows (`sources/rehearsal.py`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sources.contract import Contract
    from sources.rehearsal import Rehearsal
    from sources.urls import SourceUrl

console = Console(file=sys.stdout)
_TRIED_ROWS = 200_000


def draft(
    identifier: Annotated[str, typer.Argument(metavar="SISTEMA.CONJUNTO")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Archivo, o dirección: postgresql://…, mysql://…, mssql://…, https://… (una API)",
        ),
    ],
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            "-t",
            help="Tabla o vista (sin ella, se listan las que hay), u hoja de una planilla.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Archivo nuevo; sin él, se muestra en pantalla."),
    ] = None,
) -> None:
    """Propone un contrato mirando una tabla o un archivo: columnas, tipos, clave, formato.

    No carga nada. Lo que solo la ciudad sabe (dueño, significado, clasificación) queda marcado.
    """
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
    elif url.scheme not in ("postgresql", "mysql", "mssql", "sqlite"):
        raise DraftError(
            f"de {url.safe} no se puede hacer un borrador.",
            next_step="traiga un archivo y úselo con --from.",
        )
    elif table is None:
        names = table_names(identifier, url)
        console.print(*names or ["El usuario no ve ninguna tabla."], sep="\n", highlight=False)
        console.print(f"\nElija una: lujan contracts draft {identifier} --from … --table TABLA")
        return
    else:
        found = draft_table(identifier, url, table)
    if output is None:
        sys.stdout.write(found.text)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise DraftError(
            f"no se puede escribir {output}: {error.strerror}.", next_step="elija otra carpeta."
        ) from error
    console.print(
        f"{output}: {len(found.contract.columns)} columnas. Antes de darlo por bueno:",
        *(f"  · {note}" for note in found.notes),
        f"\nPruébelo: lujan contracts try {output} --source {found.contract.system}=…",
        sep="\n", highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


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
    from sources.contract import load_contract
    from sources.rehearsal import rehearse

    contract = load_contract(path)
    url = _address(contract, source)
    with Console(file=sys.stderr).status(f"Leyendo {contract.id}…") as status:
        done = rehearse(
            contract, url, checkers_for(contract),
            most_rows=None if everything else rows,
            progress=lambda read: status.update(f"Leyendo {contract.id}: {read:,} filas…"),
        )  # fmt: skip
    _show(contract, done)
    raise typer.Exit(1 if done.set_aside or done.repeated else 0)


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
        f"{contract.id}: se leyeron {extent}: {done.read:,} en {done.seconds:.1f} s. "
        f"Entrarían {done.passed - done.repeated:,}; a cuarentena irían "
        f"{done.set_aside + done.repeated:,}.",
        highlight=False,
    )
    for (rule, column), count in done.reasons.most_common():
        where = f" en {column}" if column else ""
        console.print(f"  [yellow]{rule}[/yellow]{where}: {count:,} filas", highlight=False)
        for row in done.examples[rule, column]:
            console.print(f"    fila {row.row_number}: {row.reason}", highlight=False, markup=False)
    if done.repeated:
        console.print(
            f"  [yellow]clave_repetida[/yellow]: {done.repeated:,} filas cuya clave "
            f"({', '.join(contract.key)}) ya había venido",
            highlight=False,
        )
    if done.unknown:
        console.print(
            f"Columnas del origen que el contrato no nombra: {', '.join(done.unknown)}.",
            highlight=False, markup=False,
        )  # fmt: skip
    for note in done.notes:
        console.print(f"Atención: {note}.", highlight=False, markup=False)
    if done.would_be_refused(contract):
        console.print(
            f"[red]La carga se rechazaría entera[/red]: el contrato admite hasta "
            f"{contract.max_quarantine_share:.0%} de filas en cuarentena.",
            highlight=False,
        )
    console.print("No se cargó nada.")

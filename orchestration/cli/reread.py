"""`lujan reread`: files that were loaded, read again by the contract as it is now.

Belongs here: arguments and words. Does not belong here: any work (`sources/landing/reread.py`).
"""

from __future__ import annotations

import uuid

from rich.console import Console

from orchestration.checkers import checkers_for
from orchestration.cli.quarantine import check_dataset
from orchestration.connections import connections
from orchestration.settings import settings
from orchestration.warehouse.connection import locate
from sources.errors import PipelineError
from sources.landing import LoadContext, LoadReport
from sources.landing.reread import outdated, reread
from sources.wording import counted, number


def read_again(console: Console, dataset: str, *, dry_run: bool) -> bool:
    """Read the outdated files of a dataset again; whether all went well.

    Raises PipelineError when there is no such contract, or it is of no feed of files.
    """
    warehouse = locate()
    with warehouse.connect() as connection:
        contract = check_dataset(connection, dataset)
        if contract is None:
            raise PipelineError(
                f"{dataset} ya no tiene contrato: no hay con qué leer sus archivos.",
                next_step="devuelva el contrato a su carpeta, o nómbrela en LUJAN_CONTRACTS.",
            )
        versions = outdated(connection, contract)
    if not versions:
        console.print(
            f"Los archivos cargados de {dataset} se leyeron con el contrato de hoy: no hay nada "
            "que leer otra vez.",
            highlight=False,
        )
        return True
    if dry_run:
        for version in versions:
            console.print(
                f"  {version.current_name} ({counted(version.rows, 'fila', 'filas')})",
                highlight=False, markup=False,
            )  # fmt: skip
        files = counted(len(versions), "archivo", "archivos")
        console.print(f"Se leerían otra vez {files}. No se cambió nada.", highlight=False)
        return True
    context = LoadContext(
        connect=warehouse.connect,
        run_id=f"relectura-{uuid.uuid4()}",
        batch_rows=settings().batch_rows,
        archive=settings().archive_dir,
    )
    with connections().open(contract.system) as url:
        report = reread(contract, url, context, checkers_for(contract))
    _show(console, report)
    return not report.errors


def _show(console: Console, report: LoadReport) -> None:
    files = counted(report.files, "archivo leído", "archivos leídos")
    console.print(
        f"{report.dataset}: {files} otra vez. Filas nuevas o cambiadas: {number(report.loaded)}; "
        f"iguales: {number(report.known)}; al historial, como eran: {number(report.deleted)}; en "
        f"cuarentena: {number(report.quarantined)}.",
        highlight=False,
    )
    for note in dict.fromkeys(report.notes):
        console.print(f"  {note}", highlight=False, markup=False)
    for error in report.errors:
        console.print(f"[red]Error:[/red] {error}", highlight=False)
    if report.changed:
        console.print("Los modelos se actualizan en la próxima corrida (`lujan run`).")

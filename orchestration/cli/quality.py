"""`lujan quality`: rules that the history of a dataset suggests.

Belongs here: arguments and words. Does not belong here: suggesting (`expectations/proposals.py`).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from sources.errors import PipelineError, UnknownDataset

quality_app = typer.Typer(no_args_is_help=True, help="Reglas de calidad de los conjuntos.")
console = Console(file=sys.stdout)


@quality_app.callback()
def _commands() -> None:
    """Keeps `propose` a command of its own while it is the only one."""


@quality_app.command("propose")
def quality_propose(
    dataset: Annotated[
        str | None, typer.Argument(help="Conjunto, p. ej. mlc.proyectos; sin él, todos.")
    ] = None,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Escribe las reglas en el contrato (requiere el conjunto)."),
    ] = False,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="Solo esta columna. Repetible.")
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=2, help="Perfiles que hacen falta como mínimo.")
    ] = 5,
    margin: Annotated[
        float, typer.Option("--margin", min=0, max=5, help="Margen a cada lado de un rango visto.")
    ] = 0.2,
) -> None:
    """Propone reglas según la historia de cada conjunto, con su evidencia.

    Sin --accept no cambia nada: muestra lo que se escribiría en el contrato. Nada se agrega solo.
    """
    from expectations.proposals import accept as write
    from expectations.proposals import as_yaml, propose
    from orchestration.catalogue_sync import configured_catalogue
    from orchestration.warehouse.connection import locate

    contracts = configured_catalogue().contracts
    if dataset is not None and dataset not in contracts:
        raise UnknownDataset(
            dataset, contracts, listing="vea los que hay con `lujan contracts list`."
        )
    if accept and dataset is None:
        raise PipelineError(
            "--accept escribe en un contrato: hay que decir en cuál.",
            next_step="repita la orden con el nombre del conjunto.",
        )
    chosen = [contracts[dataset]] if dataset else list(contracts.values())
    total = 0
    with locate().connect() as connection:
        for contract in chosen:
            found = [
                item
                for item in propose(connection, contract, fewest_runs=runs, margin=margin)
                if not column or item.column in column
            ]
            total += len(found)
            if not found:
                continue
            console.print(f"# {contract.id} ({contract.path})", highlight=False, markup=False)
            console.print(as_yaml(found), highlight=False, markup=False, soft_wrap=True)
            if accept:
                write(contract.path, found)
                console.print(
                    f"{len(found)} reglas escritas en {contract.path}. Revise el cambio antes de "
                    "confirmarlo; rigen desde la próxima carga.",
                    highlight=False, markup=False,
                )  # fmt: skip
    if not total:
        console.print(
            f"No hay nada que proponer: hacen falta {runs} perfiles y columnas sin regla que se "
            "hayan comportado siempre igual."
        )

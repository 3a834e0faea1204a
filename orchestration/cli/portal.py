"""`lujan portal`: what of the warehouse is on the open-data portal, and how it gets there.

Belongs here: arguments, words and tables of these commands. Does not belong here: any work
(`exports/`, `orchestration/publishing.py`).
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

portal_app = typer.Typer(
    no_args_is_help=True,
    help="El portal de datos abiertos: definir, comparar, publicar, retirar, volver atrás.",
    epilog="Códigos de salida: 0 bien; 1 no se pudo o quedó retenido; 2 faltan datos en la orden.",
)
console = Console(file=sys.stdout)


@portal_app.callback()
def portal() -> None:
    """Conjuntos del portal de datos abiertos."""

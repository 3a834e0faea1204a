"""A question before what cannot be taken back, asked and answered in Spanish.

Belongs here: asking. Does not belong here: what is asked about. Typer's own `confirm` shows
`[y/N]` and takes a person's "s" for no answer.
"""

from __future__ import annotations

import typer

_YES = ("s", "si", "sí", "y", "yes")
_NO = ("n", "no", "")


def confirm(question: str) -> None:
    """Go on after "sí"; with "no", or nothing, end with code 1 and nothing done.

    Anything else is asked again. Without anybody to answer (no input) it is a no.
    """
    while True:
        answer = typer.prompt(f"{question} [s/N]", default="", show_default=False).strip().lower()
        if answer in _YES:
            return
        if answer in _NO:
            typer.echo("No se hizo nada.")
            raise typer.Exit(1)
        typer.echo("Responda s o n.")

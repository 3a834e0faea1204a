"""`lujan drift`: what changed at the sources, since when, and what was done about it.

Belongs here: the table of it. Does not belong here: finding or keeping it
(`sources/landing/drift.py`).
"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from orchestration.wording import day


def show_drift(console: Console, dataset: str | None, *, closed_too: bool) -> None:
    """Print the open differences, or all. Raises PipelineError for an unknown dataset."""
    from orchestration.cli.quarantine import check_dataset
    from orchestration.warehouse.connection import locate
    from sources.landing.drift import open_drift

    with locate().connect() as connection:
        if dataset is not None:
            check_dataset(connection, dataset)
        episodes = open_drift(connection, dataset, closed_too=closed_too)
    if not episodes:
        of = f" de {dataset}" if dataset else ""
        console.print(f"No hay diferencias{'' if closed_too else ' abiertas'}{of}.")
        return
    for episode in episodes:
        since, until = (
            day(moment) if moment else "sigue" for moment in (episode.since, episode.until)
        )
        console.print(
            f"[bold]{escape(episode.dataset)}[/bold] · {escape(episode.column)} · "
            f"desde {since}, hasta {until}",
            highlight=False,
        )
        for label, text in (
            ("diferencia", episode.detail),
            ("qué se hizo", episode.action),
            ("responsable", episode.owner or "sin dato"),
        ):
            console.print(f"    {label}: {text}", highlight=False, markup=False)

"""`lujan load`: some datasets into raw, at once, and nothing after them.

Belongs here: which datasets are meant, and what a person or a program is told. Does not belong
here: any work (`orchestration/loading.py`), or a whole run (`orchestration/run.py`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestration.catalogue_sync import configured_catalogue, synchronise
from orchestration.cli import report
from orchestration.cli.live import LiveView
from orchestration.cli.options import print_json
from orchestration.cli.quarantine import check_dataset
from orchestration.connections import Connections, connections
from orchestration.loading import load_raw_table
from orchestration.progress import observe
from orchestration.summary import EXIT_OK, EXIT_SOURCE_FAILED, LoadLine
from orchestration.synthetic import admit_sample, left_over
from orchestration.warehouse.connection import KeptConnection, Warehouse, locate
from orchestration.warehouse.migrate import migrate
from sources.contract import Catalogue
from sources.errors import PipelineError, SourceUnavailable
from sources.landing import LoadReport
from sources.landing.records import forget_watermark
from sources.raw_table import Connection
from sources.urls import variable
from sources.wording import number


def load_only(
    console: Console,
    errors: Console,
    datasets: Sequence[str],
    systems: Sequence[str],
    *,
    whole: bool,
    as_json: bool,
) -> int:
    """Load these datasets and those of these systems, or all that are connected; the exit code.

    `whole`: forget first up to where each was read. With `as_json` progress and warnings go to
    `errors`. Raises PipelineError for a name that nothing knows, and for a dataset that no address
    is known of.
    """
    warehouse = locate()
    migrate(warehouse)
    linked, catalogue = connections(), configured_catalogue()
    with warehouse.connect() as connection:
        chosen = _chosen(connection, catalogue, linked, datasets, systems)
        notes = _make_ready(connection, warehouse, catalogue, linked)
        if whole:
            for contract in chosen.contracts.values():
                forget_watermark(connection, contract)
    people = errors if as_json else console
    began = time.monotonic()
    reports = _load(people, chosen, warehouse, linked)
    seconds = time.monotonic() - began
    for note in notes:
        people.print(f"[yellow]Atención:[/yellow] {escape(note)}", highlight=False)
    if as_json:
        print_json([_figures(one) for one in reports])
    else:
        _show(console, chosen, reports, seconds)
    return EXIT_SOURCE_FAILED if any(one.errors for one in reports) else EXIT_OK


def _chosen(
    connection: Connection,
    catalogue: Catalogue,
    linked: Connections,
    datasets: Sequence[str],
    systems: Sequence[str],
) -> Catalogue:
    """The contracts that are meant, each once."""
    named = [contract for name in datasets if (contract := check_dataset(connection, name))]
    if gone := [name for name in datasets if name not in {c.id for c in named}]:
        raise PipelineError(
            f"{', '.join(gone)} ya no tiene contrato: no hay de dónde leer.",
            next_step="devuelva el contrato a su carpeta, o nómbrela en LUJAN_CONTRACTS.",
        )
    by_system = catalogue.systems()
    for system in systems:
        if system not in by_system:
            raise PipelineError(
                f"no hay ningún contrato del sistema {system!r}.",
                next_step=f"los hay de: {', '.join(sorted(by_system))}.",
            )
        named += by_system[system]
    if not (datasets or systems):
        named = [one for one in catalogue.contracts.values() if linked.reads(one)]
        if not named:
            raise PipelineError(
                "no hay ningún sistema conectado.",
                next_step="dé su dirección con --source sistema=… o en .env (vea .env.example); "
                "`lujan run` arma el municipio de muestra.",
            )
    for contract in named:
        if not contract.is_read:
            raise PipelineError(
                "el conjunto se dio de baja: su contrato dice que ya no se lee.",
                dataset=contract.id,
                next_step=f"si vuelve, cambie `status` en {contract.path.name}.",
            )
        if not linked.is_connected(contract.system):
            raise SourceUnavailable(
                f"el sistema {contract.system} no tiene dirección.",
                dataset=contract.id,
                next_step=f"dé una con --source {contract.system}=… o "
                f"{variable(contract.system, 'URL')} en .env.",
            )
    return Catalogue({contract.id: contract for contract in named}, ())


def _make_ready(
    connection: Connection, warehouse: Warehouse, catalogue: Catalogue, linked: Connections
) -> list[str]:
    """Tables for every contract; what a person should hear of them and of the warehouse."""
    if linked.sample:
        admit_sample(connection, label=warehouse.label)
    problems = synchronise(connection, catalogue, linked)
    told = map(str, (*catalogue.errors, *problems))
    return [*told, *left_over(connection, sample=linked.sample)]


def _load(
    console: Console, chosen: Catalogue, warehouse: Warehouse, linked: Connections
) -> list[LoadReport]:
    run_id = f"carga-{uuid.uuid4()}"
    with LiveView(console) as view:
        view.expected("raw", len(chosen.contracts))
        observe(view)
        try:
            with closing(KeptConnection(warehouse)) as kept:
                outcomes = [
                    load_raw_table(contracts, kept, linked, run_id)
                    for contracts in chosen.by_landing_table().values()
                ]
        finally:
            observe(None)
    return [one for outcome in outcomes for one in outcome.reports]


def _show(
    console: Console, chosen: Catalogue, reports: Sequence[LoadReport], seconds: float
) -> None:
    console.print()
    report.show_loads(
        [
            LoadLine(
                one.dataset, chosen.contracts[one.dataset].title, one.state, one.read, one.loaded,
                one.quarantined, tuple(map(str, one.errors)),
            )
            for one in reports
        ],
        console,
    )  # fmt: skip
    report.show_load_notes(
        [(one.dataset, note) for one in reports for note in (*one.drift, *one.notes)], console
    )
    for one in reports:
        if one.quarantined:
            console.print(
                f"Por qué no entraron: [bold]lujan quarantine show {one.dataset}[/bold]",
                highlight=False,
            )
    if any(one.changed for one in reports):
        console.print("Los modelos se actualizan en la próxima corrida (`lujan run`).")
    took = f"({number(seconds, 1)} s)"
    if any(one.errors for one in reports):
        console.print(f"[bold yellow]Alguna fuente no se pudo cargar[/bold yellow] {took}")
    else:
        console.print(f"[bold green]Terminó bien[/bold green] {took}")


def _figures(one: LoadReport) -> dict[str, Any]:
    return {
        "conjunto": one.dataset,
        "estado": one.state,
        "leidas": one.read,
        "cargadas": one.loaded,
        "conocidas": one.known,
        "eliminadas": one.deleted,
        "cuarentena": one.quarantined,
        "motivos": dict(one.reasons),
        "segundos": round(one.seconds, 3),
        "avisos": [*one.drift, *one.notes],
        "errores": [str(error) for error in one.errors],
    }

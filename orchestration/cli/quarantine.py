"""`lujan quarantine`: the rows that were not loaded, and what to do with them.

Belongs here: arguments, words and tables of these commands. Does not belong here: any work
(`sources/landing/decisions.py`, `sources/landing/replay.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Console

from orchestration.cli.questions import confirm
from orchestration.wording import day
from sources.errors import PipelineError, UnknownDataset
from sources.wording import counted, number

if TYPE_CHECKING:
    from sources.contract import Contract
    from sources.landing.replay import ReplayReport
    from sources.raw_table import Connection

quarantine_app = typer.Typer(
    no_args_is_help=True,
    help="Filas que no se cargaron: por qué, y qué hacer con ellas.",
    epilog="Códigos de salida: 0 bien; 1 no se pudo, o no había filas para esa acción; 2 faltan "
    "datos en la orden.",
)
console = Console()

_ANY_STATE = "todas"
Dataset = Annotated[str, typer.Argument(help="Conjunto, p. ej. citymis.beneficiarios.")]
Rule = Annotated[str | None, typer.Option("--rule", help="Solo esta regla, p. ej. tipo_invalido.")]
State = Annotated[
    str,
    typer.Option("--state", help="pendiente, reprocesada, reemplazada, descartada o todas."),
]
Ids = Annotated[
    list[int] | None, typer.Option("--id", help="Número de fila en cuarentena. Repetible.")
]
By = Annotated[str, typer.Option("--by", help="Quién lo decide (persona o área).")]
Reason = Annotated[str, typer.Option("--reason", help="Por qué.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="No preguntar.")]


@quarantine_app.command("list")
def list_groups(
    dataset: Annotated[str | None, typer.Option("--dataset", help="Solo este conjunto.")] = None,
    state: State = "pendiente",
    rule: Rule = None,
) -> None:
    """Cuenta las filas por conjunto, regla y estado."""
    from orchestration.warehouse.connection import locate
    from sources.landing.decisions import summary

    chosen = _state(state)
    with locate().connect() as connection:
        if dataset is not None:
            check_dataset(connection, dataset)
        groups = summary(connection, dataset=dataset, state=chosen, rule=rule)
    if not groups:
        console.print(f"No hay filas {_described(chosen, rule, dataset)}.", highlight=False)
        return
    # Lines and no table: names must never be cut, they are what the other commands are given.
    for name, found in groupby(sorted(groups, key=attrgetter("dataset")), attrgetter("dataset")):
        members = list(found)
        console.print(f"[bold]{name}[/bold] · {members[0].owner or 'sin dato'}", highlight=False)
        for group in members:
            since = day(group.since)
            console.print(
                f"{number(group.rows):>9}  {group.rule}  ({group.state}, desde {since})",
                highlight=False, markup=False,
            )  # fmt: skip
    console.print("\nQué pasa, por regla:")
    for rule_name, words in sorted(
        {group.rule: group.description or "regla del contrato" for group in groups}.items()
    ):
        console.print(f"  {rule_name}: {words}", highlight=False, markup=False)
    console.print()
    console.print(f"{_rows(sum(group.rows for group in groups))}.", highlight=False)


@quarantine_app.command("show")
def show(
    dataset: Dataset,
    limit: Annotated[int, typer.Option(help="Filas como máximo.", min=1)] = 20,
    rule: Rule = None,
    state: State = "pendiente",
    full: Annotated[
        bool,
        typer.Option("--full", help="También las columnas restringidas: pueden ser personales."),
    ] = False,
) -> None:
    """Muestra filas, textuales. Las columnas que no son de libre acceso se tapan."""
    from orchestration.warehouse.connection import locate
    from sources.landing.decisions import HIDDEN, rows_of

    chosen = _state(state)
    with locate().connect() as connection:
        contract = check_dataset(connection, dataset)
        rows = rows_of(
            connection, dataset, contract, state=chosen, rule=rule, limit=limit, full=full
        )
    for row in rows:
        since = "desde hoy" if row.days == 0 else f"hace {counted(row.days, 'día', 'días')}"
        console.print(
            f"[bold]{row.fila_id}[/bold] {row.place} · {row.state} {since}", highlight=False
        )
        for label, text in (("", f"{row.rule}: {row.reason}"), ("qué hacer: ", row.next_step)):
            console.print(f"    {label}{text}", highlight=False, markup=False)
        values = ", ".join(
            f"{name}={'(vacío)' if value is None else value}" for name, value in row.values.items()
        )
        console.print(f"    {values}", highlight=False, style="dim", markup=False)
    if not rows:
        console.print(f"No hay filas {_described(chosen, rule, dataset)}.", highlight=False)
    elif any(HIDDEN in row.values.values() for row in rows):
        console.print("Hay columnas restringidas tapadas; --full las muestra.", highlight=False)


@quarantine_app.command("replay")
def replay(
    dataset: Dataset,
    rule: Rule = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Dice qué pasaría, sin cambiar nada.")
    ] = False,
) -> None:
    """Vuelve a juzgar las filas pendientes con el contrato de hoy y carga las que pasan."""
    from orchestration.checkers import checkers_for
    from orchestration.warehouse.connection import locate
    from sources.landing import LoadContext
    from sources.landing.guard import warehouse_errors_in_words
    from sources.landing.replay import replay as replay_rows

    warehouse = locate()
    with warehouse.connect() as connection:
        contract = check_dataset(connection, dataset)
    if contract is None:
        raise PipelineError(
            f"{dataset} ya no tiene contrato: no hay con qué juzgar sus filas.",
            next_step="devuelva el contrato a su carpeta, nombre esa carpeta en LUJAN_CONTRACTS, o "
            "descarte las filas con `discard`.",
        )
    context = LoadContext(connect=warehouse.connect, run_id=f"reproceso-{uuid.uuid4()}")
    with warehouse_errors_in_words(contract):
        report = replay_rows(contract, context, checkers_for(contract), rule=rule, dry_run=dry_run)
    if not report.read:
        console.print(f"No hay filas {_described('pendiente', rule, dataset)}.", highlight=False)
        return
    _print_replay(report, dry_run)


@quarantine_app.command("discard")
def discard(
    dataset: Dataset,
    reason: Reason,
    by: By,
    ids: Ids = None,
    rule: Rule = None,
    yes: Yes = False,
) -> None:
    """Descarta filas pendientes. Se guardan, con quién, cuándo y por qué; `undo` lo deshace."""
    from sources.landing import decisions

    _decide(decisions.discard, "pendiente", "descartar", dataset, reason, by, ids, rule, yes)


@quarantine_app.command("undo")
def undo(
    dataset: Dataset,
    reason: Reason,
    by: By,
    ids: Ids = None,
    rule: Rule = None,
    yes: Yes = False,
) -> None:
    """Deshace un descarte: las filas vuelven a estar pendientes."""
    from sources.landing import decisions

    _decide(
        decisions.undo, "descartada", "devolver a pendientes", dataset, reason, by, ids, rule, yes
    )


class _Decision(Protocol):
    def __call__(
        self,
        connection: Connection,
        dataset: str,
        *,
        by: str,
        reason: str,
        ids: Sequence[int] = (),
        rule: str | None = None,
    ) -> int: ...


def _decide(
    decide: _Decision,
    state: str,
    verb: str,
    dataset: str,
    reason: str,
    by: str,
    ids: list[int] | None,
    rule: str | None,
    yes: bool,
) -> None:
    from orchestration.warehouse.connection import locate
    from sources.landing.decisions import summary

    if bool(ids) == (rule is not None):
        raise typer.BadParameter("elija las filas con --id (uno o más) o con --rule, no con ambos.")
    for name, text in (("--reason", reason), ("--by", by)):
        if not text.strip():
            raise typer.BadParameter(f"{name} no puede estar vacío.")
    warehouse = locate()
    with warehouse.connect() as connection:
        check_dataset(connection, dataset)
        groups = summary(connection, dataset=dataset, state=state, rule=rule)
    expected = len(ids) if ids else sum(group.rows for group in groups)
    if expected and not yes:
        # Asked with no transaction open: people answer in their own time.
        confirm(f"¿{verb.capitalize()} {_rows(expected)} de {dataset}?")
    with warehouse.connect() as connection:
        done = decide(connection, dataset, by=by, reason=reason, ids=ids or (), rule=rule)
    if not done:
        raise PipelineError(
            f"no hay filas {_described(state, rule, dataset)}"
            + (f" con los números {', '.join(map(str, ids))}." if ids else "."),
            next_step=f"vea cuáles hay con `lujan quarantine show {dataset} --state {state}`.",
        )
    left = f"; {expected - done} no estaban en ese estado" if done < expected else ""
    console.print(f"{verb.capitalize()}: {_rows(done)} de {dataset}{left}.", highlight=False)


def check_dataset(connection: Connection, dataset: str) -> Contract | None:
    """The dataset's contract; None for one that only lives on in quarantine.

    Raises UnknownDataset for a name that nothing knows.
    """
    from orchestration.catalogue_sync import configured_catalogue
    from sources.landing.decisions import known_datasets

    catalogue = configured_catalogue()
    if contract := catalogue.contracts.get(dataset):
        return contract
    names = {*catalogue.contracts, *known_datasets(connection)}
    if dataset in names:
        return None
    raise UnknownDataset(dataset, names, listing="vea los que hay con `lujan contracts list`.")


def _state(name: str) -> str | None:
    from sources.landing.decisions import STATES

    if name == _ANY_STATE:
        return None
    if name not in STATES:
        raise typer.BadParameter(f"--state es {', '.join(STATES)} o {_ANY_STATE}, no {name!r}.")
    return name


def _described(state: str | None, rule: str | None, dataset: str | None) -> str:
    """«pendientes de aguas.cuentas por la regla tipo_invalido»."""
    words = {
        None: "en cuarentena",
        "pendiente": "pendientes",
        "reprocesada": "reprocesadas",
        "reemplazada": "reemplazadas",
        "descartada": "descartadas",
    }[state]
    return words + (f" de {dataset}" if dataset else "") + (f" por la regla {rule}" if rule else "")


def _print_replay(report: ReplayReport, dry_run: bool) -> None:
    would = "Si se hiciera ahora: " if dry_run else ""
    console.print(
        f"{would}{_rows(report.read)} de {report.dataset}: {number(report.loaded)} entran, "
        f"{number(report.known)} ya estaban en raw, {number(report.pending)} siguen pendientes.",
        highlight=False,
    )
    for why, count in report.reasons:
        console.print(f"    {number(count)} · {why}", highlight=False, markup=False)
    if dry_run:
        console.print("No se cambió nada.")
    elif report.loaded:
        console.print("Los modelos se actualizan en la próxima corrida (`lujan run`).")


def _rows(count: int) -> str:
    return f"{number(count)} {'fila' if count == 1 else 'filas'}"

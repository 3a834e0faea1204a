"""`lujan partitions`: the months of a raw table, taken out of it and put back.

Belongs here: arguments, words and tables of these commands. Does not belong here: any work
(`sources/landing/months.py`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sources.errors import PipelineError
from sources.wording import number

if TYPE_CHECKING:
    from sources.contract import Contract
    from sources.landing.months import Month

partitions_app = typer.Typer(
    no_args_is_help=True,
    help="Meses de las tablas grandes de raw: separar y volver a unir. Nada se borra.",
    epilog="Sin --apply, detach y retain solo muestran qué harían. Códigos de salida: 0 bien; 1 no "
    "se pudo; 2 faltan datos en la orden.",
)
console = Console()

Table = Annotated[
    str, typer.Argument(help="Tabla de raw o su contrato, p. ej. telemetria__lecturas.")
]
MonthText = Annotated[str, typer.Argument(metavar="MES", help="Mes, aaaa-mm (de UTC).")]
By = Annotated[str, typer.Option("--by", help="Quién lo decide (persona o área).")]
Reason = Annotated[str, typer.Option("--reason", help="Por qué.")]
Apply = Annotated[bool, typer.Option("--apply", help="Hacerlo; sin esto solo se muestra.")]


@partitions_app.command("list")
def list_months(
    table: Annotated[str | None, typer.Argument(help="Solo esta tabla o contrato.")] = None,
) -> None:
    """Muestra los meses de cada tabla dividida: en uso, separados y vencidos."""
    from orchestration.settings import CITY_TIMEZONE
    from orchestration.warehouse.connection import locate
    from sources.landing.months import expired, keep_from, months_of

    today = dt.datetime.now(CITY_TIMEZONE).date()
    tables = [_contracts(table)] if table else _divided().values()
    with locate().connect() as connection:
        for contracts in tables:
            first = contracts[0]
            limit = keep_from(contracts, today)
            kept = f"se guarda desde {limit:%d/%m/%Y}" if limit else "sin plazo de guarda"
            console.print(f"[bold]{first.landing_table}[/bold] · {kept}", highlight=False)
            months = months_of(connection, first)
            old = expired(months, limit) if limit else []
            for month in months:
                console.print(f"  {_described(month, month in old)}", highlight=False, markup=False)
            if not months:
                console.print("  todavía no tiene meses.", highlight=False)


@partitions_app.command("detach")
def detach_month(
    table: Table, month: MonthText, by: By, reason: Reason, apply: Apply = False
) -> None:
    """Separa un mes: deja de formar parte de la tabla y sigue en raw con su nombre."""
    from sources.landing.months import PartitionError, months_of

    contracts, start = _contracts(table), _month(month)
    first = contracts[0]
    if apply:
        _detach(contracts, [start], by, reason)
        return
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        found = next((m for m in months_of(connection, first) if m.start == start), None)
    if found is None or not found.attached:
        raise PartitionError(
            f"{start:%Y-%m} ya está separado." if found else f"no hay un mes {start:%Y-%m}.",
            dataset=first.id, owner=first.owner,
            next_step=f"mire los meses con `lujan partitions list {first.landing_table}`.",
        )  # fmt: skip
    _propose(first, [found])


@partitions_app.command("attach")
def attach_month(table: Table, month: MonthText, by: By) -> None:
    """Vuelve a unir un mes separado, si es el mismo que se separó."""
    from orchestration.warehouse.connection import locate
    from sources.landing.months import attach

    contract, start = _contracts(table)[0], _month(month)
    with locate().connect() as connection:
        done = attach(connection, contract, start, by=by, run_id=_run_id())
    console.print(
        f"{contract.raw_name}: {start:%Y-%m} está unido otra vez, con {number(done.rows)} filas. "
        "La próxima corrida vuelve a mirar sus días.",
        highlight=False,
    )
    if done.replaced:
        console.print(
            f"Otras {number(done.replaced)} eran de archivos que se reemplazaron mientras estaba "
            "separado: pasaron a raw._historial.",
            highlight=False,
        )
    if done.repeated:
        console.print(
            f"Otras {number(done.repeated)} no tienen la clave que la tabla tiene ahora, o la "
            "repiten: pasaron a raw._historial.",
            highlight=False,
        )


@partitions_app.command("retain")
def retain(
    table: Table,
    by: Annotated[str, typer.Option("--by", help="Quién lo decide.")] = "almacén",
    keep_months: Annotated[
        int | None,
        typer.Option(
            "--keep-months", min=1, help="Meses a dejar, en lugar del plazo del contrato."
        ),
    ] = None,
    apply: Apply = False,
) -> None:
    """Separa los meses que pasaron el plazo de guarda (`retention` de los contratos)."""
    from orchestration.settings import CITY_TIMEZONE
    from orchestration.warehouse.connection import locate
    from sources.landing.months import PartitionError, expired, keep_from, months_of

    contracts = _contracts(table)
    first = contracts[0]
    today = dt.datetime.now(CITY_TIMEZONE).date()
    limit = keep_from(contracts, today)
    if keep_months is not None:
        count = today.year * 12 + today.month - 1 - keep_months + 1
        limit = dt.date(count // 12, count % 12 + 1, 1)
    if limit is None:
        raise PartitionError(
            f"algún contrato de {first.raw_name} no dice cuánto se guarda.",
            dataset=first.id, owner=first.owner,
            next_step="ponga `retention` en `slaProperties`, o use --keep-months.",
        )  # fmt: skip
    with locate().connect() as connection:
        old = expired(months_of(connection, first), limit)
    if not old:
        console.print(
            f"{first.raw_name}: ningún mes termina antes del {limit:%d/%m/%Y}.", highlight=False
        )
        return
    if apply:
        _detach(
            contracts, [m.start for m in old], by, f"pasó el plazo de guarda ({limit:%d/%m/%Y})"
        )
        return
    _propose(first, old)


def _detach(contracts: Sequence[Contract], starts: Sequence[dt.date], by: str, reason: str) -> None:
    """Each month in a transaction of its own: one that cannot be taken out keeps no other."""
    from orchestration.warehouse.connection import locate
    from sources.landing.months import detach

    first, warehouse = contracts[0], locate()
    for start in starts:
        with warehouse.connect() as connection:
            month = detach(connection, first, start, by=by, reason=reason, run_id=_run_id())
        console.print(
            f"{first.raw_name}: {start:%Y-%m} separado, {number(month.rows or 0)} filas. Sigue en "
            f"raw.{month.name}; para unirlo: lujan partitions attach {first.landing_table} "
            f"{start:%Y-%m} --by …",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def _propose(contract: Contract, months: Sequence[Month]) -> None:
    console.print(f"Se separarían de {contract.raw_name}:", highlight=False)
    for month in months:
        console.print(f"  {_described(month, False)}", highlight=False, markup=False)
    console.print(
        "No se hizo nada. Los marts conservan esos meses hasta que se los construya de nuevo desde "
        "cero (docs/operacion.md). Para hacerlo, repita la orden con --apply.",
        highlight=False,
    )


def _described(month: Month, old: bool) -> str:
    size = f"{number(month.bytes / 2**20)} MiB"
    if month.missing:
        return f"{month.start:%Y-%m}  separado; raw.{month.name} ya no está"
    rows = "filas sin contar" if month.rows is None else f"{number(month.rows)} filas"
    if month.attached:
        return f"{month.start:%Y-%m}  en uso    {rows}, {size}{', vencido' if old else ''}"
    when = f" el {month.since:%d/%m/%Y} por {month.by}" if month.since else ""
    return f"{month.start:%Y-%m}  separado  {rows}, {size}{when}: raw.{month.name}"


def _divided() -> dict[str, list[Contract]]:
    """Contracts of each raw table that is divided by month."""
    from orchestration.catalogue_sync import configured_catalogue

    tables = configured_catalogue().by_landing_table()
    return {name: found for name, found in tables.items() if found[0].partition_by}


def _contracts(name: str) -> list[Contract]:
    """By table, with or without its schema, or by contract."""
    tables = _divided()
    wanted = name.removeprefix("raw.")
    for table, contracts in tables.items():
        if wanted == table or wanted in {contract.id for contract in contracts}:
            return contracts
    raise PipelineError(
        f"{name} no es una tabla dividida por meses.",
        next_step=f"elija una de: {', '.join(tables) or 'no hay ninguna'}.",
    )


def _month(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise typer.BadParameter(f"se esperaba aaaa-mm, no {text!r}") from None


def _run_id() -> str:
    return f"meses-{uuid.uuid4().hex[:12]}"

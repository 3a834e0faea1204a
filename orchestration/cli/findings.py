"""`lujan findings`: what has to be put right, whose it is, and the weekly digest of it.

Belongs here: arguments, words and layout of these commands. Does not belong here: any work
(`expectations/findings/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from orchestration.cli.options import one_of, print_json
from orchestration.wording import day
from sources.errors import PipelineError
from sources.wording import number

if TYPE_CHECKING:
    from expectations.findings import Event, Finding

findings_app = typer.Typer(
    no_args_is_help=True,
    help="Hallazgos de calidad: qué hay que corregir, de quién es y cuál es el siguiente paso.",
    epilog="Un hallazgo se abre y se cierra solo, según los controles de cada corrida.",
)
console = Console()

NO_AREA = "(sin área asignada)"
_ANY_STATE = "todos"
_SHOWN_KEYS = 4
_STYLES = {"alta": "red", "media": "yellow", "baja": "dim"}
_EVENTS = {
    "abierto": "se abrió",
    "reabierto": "volvió",
    "cambio": "cambió",
    "cerrado": "se cerró",
    "visto": "visto",
}
_OUTCOMES = {
    "enviado": "enviado",
    "sin_novedades": "sin novedades desde el anterior; no se envía",
    "sin_destinatario": "no tiene destinatario en LUJAN_DIGEST_TO; no se envía",
    "fallido": "no se pudo enviar; se vuelve a intentar en la próxima",
}
AreaOption = Annotated[str | None, typer.Option("--area", help="Secretaría, o parte de su nombre.")]
DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Conjunto o tabla, p. ej. mlc.proyectos.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Un documento JSON, para otros programas.")]
Number = Annotated[int, typer.Argument(help="Número del hallazgo.")]
By = Annotated[str, typer.Option("--by", help="Quién (persona o área).")]
Note = Annotated[str, typer.Option("--note", help="Qué se va a hacer, o por qué.")]


@findings_app.command("list")
def list_findings(
    area: AreaOption = None,
    dataset: DatasetOption = None,
    severity: Annotated[str | None, typer.Option("--severity", help="alta, media o baja.")] = None,
    state: Annotated[str, typer.Option("--state", help="abierto, cerrado o todos.")] = "abierto",
    source: Annotated[
        str | None, typer.Option("--source", help="dato, cuarentena, deriva o control.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Muestra los hallazgos por área, los más graves primero."""
    from expectations.findings import find
    from expectations.findings.register import SEVERITIES, SOURCES, STATES
    from orchestration.warehouse.connection import locate

    one_of("--severity", severity, SEVERITIES)
    one_of("--state", state, (*STATES, _ANY_STATE))
    one_of("--source", source, SOURCES)
    with locate().connect() as connection:
        found = find(
            connection, area=area, dataset=dataset, severity=severity, source=source,
            state=None if state == _ANY_STATE else state,
        )  # fmt: skip
    if as_json:
        print_json([asdict(finding) for finding in found])
        return
    if not found:
        filtered = any((area, dataset, severity, source))
        kind = {"abierto": " abiertos", "cerrado": " cerrados"}.get(state, "")
        console.print(
            f"No hay hallazgos{kind}{' con esas condiciones' if filtered else ''}.",
            highlight=False,
        )
        return
    for name, members in groupby(found, attrgetter("area")):
        group = list(members)
        grave = sum(1 for finding in group if finding.severidad == "alta")
        line = Text(name or NO_AREA, style="bold")
        line.append(f" · {_count(len(group), 'hallazgo', 'hallazgos')}", style="not bold")
        line.append(f" · {_count(grave, 'alto', 'altos')}" if grave else "", style="red not bold")
        console.print(line)
        for finding in group:
            _show_line(finding)
        console.print()
    console.print(
        f"{_count(len(found), 'hallazgo', 'hallazgos')}. Para ver uno: lujan findings show NÚMERO",
        highlight=False,
    )


@findings_app.command("show")
def show(number: Number, as_json: AsJson = False) -> None:
    """Muestra un hallazgo con todas sus claves de muestra y su historia."""
    from expectations.findings import get, history
    from orchestration.warehouse.connection import locate

    with locate().connect() as connection:
        finding = get(connection, number)
        events = history(connection, number)
    if finding is None:
        raise PipelineError(
            f"no existe el hallazgo {number}.",
            next_step="vea cuáles hay con `lujan findings list --state todos`.",
        )
    if as_json:
        print_json(asdict(finding) | {"historia": [asdict(event) for event in events]})
        return
    _show_line(finding, keys=len(finding.muestra))
    for label, text in (
        ("qué pasa", finding.explicacion),
        ("área", finding.area or NO_AREA),
        ("dimensión", finding.dimension or "sin dato"),
        ("de dónde sale", f"{finding.fuente}: {finding.objeto}, {finding.regla}"),
    ):
        _indented(f"{label}: {text}")
    _indented("historia:")
    for event in events:
        _indented(_event_words(event), 8)


@findings_app.command("ack")
def ack(number: Number, by: By, note: Note) -> None:
    """Deja dicho que alguien conoce el hallazgo y qué va a hacer. Sigue abierto."""
    from expectations.findings import acknowledge
    from orchestration.warehouse.connection import locate

    _not_blank(by, note)
    with locate().connect() as connection:
        acknowledge(connection, number, by=by.strip(), note=note.strip())
    console.print(f"Hallazgo {number}: visto por {escape(by.strip())}.", highlight=False)


@findings_app.command("close")
def close_by_hand(number: Number, by: By, note: Note) -> None:
    """Cierra a mano lo que no puede cerrarse solo: reglas de conjuntos que se leen por partes."""
    from expectations.findings import close
    from orchestration.warehouse.connection import locate

    _not_blank(by, note)
    with locate().connect() as connection:
        close(connection, number, by=by.strip(), note=note.strip())
    console.print(
        f"Hallazgo {number}: cerrado. Vuelve a abrirse si otra carga trae el mismo problema.",
        highlight=False,
    )


@findings_app.command("digest")
def digest(
    area: AreaOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Muestra los resúmenes, sin enviar ni anotar nada.")
    ] = False,
) -> None:
    """Envía a cada área el resumen de la semana: lo nuevo, lo que sigue y lo que se cerró.

    Uno por área y semana: si ya se envió no se repite, y si falló se vuelve a intentar.
    """
    from orchestration.digest import preview, send_digests, senders
    from orchestration.warehouse.connection import locate

    channels = senders()
    warehouse = locate()
    if dry_run:
        found = [
            item
            for item in preview(warehouse, channels)
            if area is None or area.casefold() in item.area_nombre.casefold()
        ]
        for item in found:
            console.print(Text(item.asunto, style="bold"))
            console.print(Text(item.texto))
            console.print()
        console.print(
            f"{_count(len(found), 'resumen', 'resúmenes')}; no se envió nada.", highlight=False
        )
        return
    if area is not None:
        raise typer.BadParameter("--area solo vale con --dry-run: se envía a todas las áreas.")
    outcomes = send_digests(warehouse, channels)
    for outcome in outcomes:
        console.print(
            Text(f"{outcome.area or NO_AREA} ({outcome.canal}): {_OUTCOMES[outcome.estado]}"),
            overflow="fold",
        )
        if outcome.error:
            _indented(outcome.error, 2, "red")
    if not outcomes:
        console.print("Nada que enviar: los resúmenes de esta semana ya salieron.")
    if any(outcome.estado == "fallido" for outcome in outcomes):
        raise typer.Exit(1)


def key_words(key: Mapping[str, Any]) -> str:
    """A sample key on one line: its value alone when it has one part, else every part by name."""
    values = {name: value for name, value in key.items() if name != "fila_id"}
    if list(values) == ["clave"]:
        return str(values["clave"])
    if not values:
        return ", ".join(f"{name} {value}" for name, value in key.items())
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _show_line(finding: Finding, keys: int = _SHOWN_KEYS) -> None:
    head = Text(f"{finding.hallazgo_id:>5}  ")
    head.append(finding.severidad, style=_STYLES[finding.severidad])
    head.append("  ")
    head.append(finding.dataset or finding.objeto, style="bold")
    if finding.columna:
        head.append(f" · {finding.columna}")
    if finding.estado == "cerrado":
        head.append("  [cerrado]", style="green")
    console.print(head, overflow="fold")
    _indented(f"{_title(finding)} ({_short(finding)})")
    facts = [
        _count(finding.filas_afectadas, "fila", "filas")
        if finding.filas_afectadas is not None
        else "filas sin contar",
        f"desde {day(finding.abierto_desde)}, visto {day(finding.ultima_vez)}",
        finding.responsable or "sin responsable",
    ]
    if finding.veces_abierto > 1:
        facts.insert(2, f"{finding.veces_abierto}.ª vez")
    _indented(" · ".join(facts), style="dim")
    if finding.muestra:
        shown = "; ".join(key_words(key) for key in finding.muestra[:keys])
        rest = (finding.filas_afectadas or len(finding.muestra)) - min(keys, len(finding.muestra))
        _indented(f"claves: {shown}" + (f"; y {number(rest)} más" if rest > 0 else ""))
    if finding.estado == "cerrado":
        closed = day(finding.cerrado_en) if finding.cerrado_en else ""
        run = f" (corrida {finding.cierre_corrida})" if finding.cierre_corrida else ""
        _indented(f"cerrado el {closed}{run}: {finding.cierre_motivo}")
    else:
        _indented(f"qué hacer: {finding.siguiente_paso}")
    if finding.visto_por:
        _indented(f"lo conoce {finding.visto_por}: {finding.visto_nota}")


def _title(finding: Finding) -> str:
    """What is wrong: a check says it best in its own words."""
    if finding.fuente == "control":
        return finding.explicacion.rstrip(".")
    return (
        finding.titulo if finding.fuente != "deriva" else f"{finding.titulo}: {finding.explicacion}"
    )


def _short(finding: Finding) -> str:
    """The rule's name without what the line says already."""
    if finding.fuente != "control":
        return finding.regla
    return "control " + finding.regla.rpartition(".")[2]


def _event_words(event: Event) -> str:
    rows = (
        ""
        if event.filas_afectadas is None
        else f", {_count(event.filas_afectadas, 'fila', 'filas')}"
    )
    who = f" por {event.por}" if event.por else f" en la corrida {event.corrida_id}"
    note = f": {event.nota}" if event.nota else ""
    return f"{day(event.ocurrido_en)} {_EVENTS[event.tipo]}{who}{rows}{note}"


def _indented(text: str, by: int = 7, style: str = "") -> None:
    console.print(Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, by), expand=False))


def _count(value: int, one: str, many: str) -> str:
    return f"{number(value)} {one if value == 1 else many}"


def _not_blank(by: str, note: str) -> None:
    for name, text in (("--by", by), ("--note", note)):
        if not text.strip():
            raise typer.BadParameter(f"{name} no puede estar vacío.")

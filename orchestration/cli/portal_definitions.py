"""`lujan portal new`, `check` and `schema`: writing and reviewing the definitions of datasets.

Belongs here: arguments, questions, words and tables. Does not belong here: the rules or the drafts
(`exports/review.py`), or anything that speaks to a portal (`portal.py`). No database is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sources.errors import PipelineError

if TYPE_CHECKING:
    from exports.manifest import Manifest

console = Console(file=sys.stdout)


def register(app: typer.Typer) -> None:
    """Add these commands to the sub-application of the portal."""
    app.command("new")(new)
    app.command("check")(check)
    app.command("schema")(schema)


def new(
    name: Annotated[str, typer.Argument(help="Nombre del conjunto, p. ej. obras-por-distrito.")],
    mart: Annotated[
        str, typer.Option("--mart", prompt="Mart (esquema.tabla)", help="De qué mart sale.")
    ],
    title: Annotated[str, typer.Option("--title", prompt="Título", help="Título en el portal.")],
    theme: Annotated[
        str,
        typer.Option("--theme", prompt="Tema (GOVE, ENVI, SOCI…)", help="Tema del perfil."),
    ],
    frequency: Annotated[
        str,
        typer.Option(
            "--frequency", prompt="Frecuencia (R/P1M: cada mes)", help="Cada cuánto se actualiza."
        ),
    ],
    owner: Annotated[
        str, typer.Option("--owner", prompt="Secretaría responsable", help="Área responsable.")
    ],
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Sistema del que salen los datos. Repetible."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Dónde escribirlo; si no, exports/datasets.")
    ] = None,
) -> None:
    """Escribe un borrador válido a partir de un mart, con las columnas que pueden publicarse."""
    from exports.definition import DATASETS_DIR
    from exports.review import draft

    manifest = _manifest()
    place = (folder or DATASETS_DIR) / f"{name}.yaml"
    if place.exists():
        raise PipelineError(
            f"ya existe {place}.", dataset=name, next_step="elija otro nombre o edite ese archivo."
        )
    facts = {
        "titulo": title,
        "recurso": name,
        "tema": theme,
        "frecuencia": frequency,
        "secretaria": owner,
        "fuentes": source or ["Almacén de datos municipal"],
    }
    text, hidden = draft(manifest.mart(mart), manifest, facts)
    _write_if_valid(place, text)
    console.print(f"Borrador: {place}", highlight=False, soft_wrap=True)
    if hidden:
        console.print(f"No se publican: {', '.join(hidden)}.", highlight=False)
    console.print(
        f"Ahora: complete los textos, corra `lujan portal check {name}` y pida la aprobación.",
        highlight=False,
    )


def check(
    name: Annotated[str | None, typer.Argument(help="Nombre del conjunto; si no, todos.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Otra carpeta de definiciones.")
    ] = None,
) -> None:
    """Revisa las definiciones: todos los errores juntos, con su línea y qué hacer.

    Código de salida: 0 bien (también con sugerencias), 1 si algo impide publicar.
    """
    from exports.definition import DATASETS_DIR
    from exports.review import review

    base = folder or DATASETS_DIR
    paths = sorted(base.glob("*.yaml")) if name is None else [base / f"{name}.yaml"]
    if not paths or not all(path.is_file() for path in paths):
        raise PipelineError(
            f"no existe {paths[0] if paths else base}.",
            next_step="vea los nombres en exports/datasets/ o créelo con `lujan portal new`.",
        )
    manifest = _manifest()
    findings = [finding for path in paths for finding in review(path, manifest)]
    for item in findings:
        kind = "[red]error[/red]" if item.blocking else "[yellow]sugerencia[/yellow]"
        console.print(f"{kind} ", end="")
        field = f"{item.field}: " if item.field else ""
        console.print(
            f"{item.file}:{item.line}: {field}{item.what.rstrip('.')}. Qué hacer: {item.next_step}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    wrong = sum(item.blocking for item in findings)
    console.print(
        f"{len(paths)} definiciones revisadas: {wrong} errores, {len(findings) - wrong} "
        "sugerencias.",
        highlight=False,
    )
    raise typer.Exit(1 if wrong else 0)


def schema(
    check_only: Annotated[
        bool, typer.Option("--check", help="Solo comprobar, sin escribir.")
    ] = False,
) -> None:
    """Reescribe el esquema que usan los editores para ayudar a escribir definiciones."""
    import json

    from exports.definition import SCHEMA_FILE, definition_schema

    text = json.dumps(definition_schema(), ensure_ascii=False, indent=2) + "\n"
    current = SCHEMA_FILE.is_file() and SCHEMA_FILE.read_text(encoding="utf-8") == text
    if not check_only and not current:
        SCHEMA_FILE.write_text(text, encoding="utf-8")
    words = "al día" if current else ("desactualizado" if check_only else "reescrito")
    console.print(f"{SCHEMA_FILE.name}: {words}.", highlight=False)
    raise typer.Exit(1 if check_only and not current else 0)


def _write_if_valid(place: Path, text: str) -> None:
    """A draft that the rules refuse is not left behind."""
    from exports.definition import load_definition
    from exports.errors import DefinitionError

    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    try:
        load_definition(place)
    except DefinitionError:
        place.unlink()
        raise


def _manifest() -> Manifest:
    from exports.manifest import Manifest
    from orchestration.dbt_project import ensure_manifest, manifest

    ensure_manifest()
    return Manifest(manifest())

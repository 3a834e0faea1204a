"""Reading a definition as an editor would: everything that is wrong with it at once, by line.

Belongs here: findings about documents of `exports/datasets/`, and drafts of new ones. Does not
belong here: the rules themselves (`definition.py`, `manifest.py`, `disclosure.py`), or the command
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from exports.contributions import contributions_of
from exports.definition import DatasetDefinition, error_in_words, load_definition, separate_errors
from exports.disclosure import THRESHOLD_SENSITIVE_CROSSING, check_request
from exports.errors import DefinitionError, DisclosureError, ExportError
from exports.manifest import OPEN, Manifest, Mart

TITLE_CHARACTERS = 90
DESCRIPTION_CHARACTERS = 80
KEYWORDS = 3

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `blocking` ones keep the dataset from being published."""

    file: str
    line: int
    field: str
    what: str
    next_step: str
    blocking: bool = True


def review(path: Path, manifest: Manifest) -> list[Finding]:
    """Everything to correct in one document, in the order of its lines."""
    try:
        definition = load_definition(path)
    except DefinitionError as error:
        return sorted(_unreadable(path, error), key=lambda item: item.line)
    text = path.read_text(encoding="utf-8")
    found = [*_against_dbt(definition, manifest), *_advice(definition)]
    return sorted(
        (
            Finding(path.name, line_of(text, place), _dotted(place), what, step, blocking)
            for place, what, step, blocking in found
        ),
        key=lambda item: item.line,
    )


def line_of(text: str, place: Place) -> int:
    """Line (from 1) of a field, or of the nearest thing around it that is written."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = node.start_mark.line if node else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            entry = next((item for item in node.value if item[0].value == part), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def draft(mart: Mart, manifest: Manifest, facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A valid document for a mart, to be finished by hand, and the columns that were left out.

    `facts` gives `titulo`, `recurso`, `tema`, `frecuencia`, `secretaria` and `fuentes`. Only
    described columns of free access go in. ExportError when none may leave.
    """
    shown, hidden = [], []
    for name in mart.raw_columns:
        try:
            manifest.column(mart, name)
        except ExportError:
            hidden.append(name)
        else:
            shown.append(name)
    if not shown:
        raise DisclosureError(
            f"ninguna columna de {mart.name} está clasificada como '{OPEN}'.",
            next_step="elija otro mart, o que la secretaría dueña clasifique sus columnas.",
        )
    key = [name for name in mart.meta.get("clave", []) if name in shown]
    title = str(facts["titulo"])
    words = [word for word in re.findall(r"\w+", title.casefold()) if len(word) > KEYWORDS]
    document: dict[str, Any] = {
        "titulo": title,
        "descripcion": mart.description or title,
        "tema": facts["tema"],
        "etiquetas": list(dict.fromkeys(words)) or [title.casefold()],
        "licencia": "CC-BY-4.0",
        "frecuencia": facts["frecuencia"],
        "secretaria": facts["secretaria"],
        "contacto": {"nombre": facts.get("contacto") or "Dirección de Datos"},
        "fuentes": list(facts["fuentes"]),
        "recursos": [
            {
                "nombre": facts["recurso"],
                "titulo": title,
                "descripcion": f"Una fila es {mart.meta.get('grano', 'un caso')}.",
                "mart": mart.name,
                "columnas": shown,
                "orden": key or shown[:1],
                "formatos": ["csv", "json", "xlsx"],
            }
        ],
    }
    made_up = contributions_of(mart)
    if made_up and made_up.count in shown:
        document["recursos"][0]["divulgacion"] = {
            "umbral_minimo": THRESHOLD_SENSITIVE_CROSSING,
            "diferencia_minima": THRESHOLD_SENSITIVE_CROSSING,
            "columna_conteo": made_up.count,
            "celdas_inseguras": "omitir",
        }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=98)
    head = "# yaml-language-server: $schema=../dataset.schema.json\n"
    head += "# Conjunto del portal. Qué significa cada clave: docs/publicar-un-conjunto.md\n"
    if hidden:
        head += f"# No se publican (no son de libre acceso): {', '.join(hidden)}\n"
    return head + text, hidden


def _unreadable(path: Path, error: DefinitionError) -> Iterator[Finding]:
    """Findings in a document that is no definition: one per wrong field."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        text = path.read_text(encoding="utf-8")
        for item in separate_errors(cause):
            yield Finding(
                path.name, line_of(text, item["loc"]), _dotted(item["loc"]), error_in_words(item),
                "corríjalo; docs/publicar-un-conjunto.md dice qué va en cada clave.",
            )  # fmt: skip
        return
    mark = getattr(cause, "problem_mark", None)
    yield Finding(path.name, mark.line + 1 if mark else 1, "", error.what, error.next_step)


_Found = tuple[Place, str, str, bool]


def _against_dbt(definition: DatasetDefinition, manifest: Manifest) -> list[_Found]:
    """What the marts cannot or may not give."""
    found: list[_Found] = []
    for index, resource in enumerate(definition.recursos):
        base: Place = ("recursos", index)
        try:
            mart = manifest.mart(resource.mart)
        except ExportError as error:
            found.append(((*base, "mart"), error.what, error.next_step, True))
            continue
        asked: list[tuple[Place, str]] = [
            ((*base, "columnas", place), name) for place, name in enumerate(resource.columnas)
        ]
        asked += [
            ((*base, "filtros", place), item.columna) for place, item in enumerate(resource.filtros)
        ]
        wrong: list[_Found] = []
        for place, name in asked:
            try:
                manifest.column(mart, name)
            except ExportError as error:
                wrong.append((place, error.what, error.next_step, True))
        if not wrong:
            alone = definition.model_copy(update={"recursos": (resource,)})
            try:
                check_request(alone, manifest)
            except ExportError as error:
                wrong.append((base, error.what, error.next_step, True))
        found += wrong
    return found


def _advice(definition: DatasetDefinition) -> Iterator[_Found]:
    """What an editor would say of the texts; nothing of it stops a publication."""
    if len(definition.titulo) > TITLE_CHARACTERS:
        yield ("titulo",), f"tiene más de {TITLE_CHARACTERS} caracteres", "acórtelo.", False
    about = definition.descripcion.strip()
    if len(about) < DESCRIPTION_CHARACTERS or not about.endswith("."):
        yield (
            ("descripcion",),
            f"tiene menos de {DESCRIPTION_CHARACTERS} caracteres o no termina en punto",
            "diga qué contiene, de quién es y para qué sirve, en frases completas.",
            False,
        )
    if len(definition.etiquetas) < KEYWORDS:
        yield (
            ("etiquetas",),
            f"son menos de {KEYWORDS}",
            "agregue palabras por las que alguien lo buscaría.",
            False,
        )
    for index, resource in enumerate(definition.recursos):
        for key, value in (("descripcion", resource.descripcion), ("orden", resource.orden)):
            if not value:
                yield (
                    ("recursos", index),
                    f"no lleva `{key}`",
                    "agréguelo: qué es una fila, y en qué orden van.",
                    False,
                )


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in place)

"""Drafts of HTTP APIs: what one answer shows.

Belongs here: where the rows are in an answer, how it says where to go on, types by its rows. Does
not belong here: asking (`readers/http_client.py`), and parameters that an answer does not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from sources.casting import NumberStyle
from sources.drafting.document import Draft, DraftColumn, DraftError, Source, address, compose
from sources.drafting.files import list_within, names_of
from sources.drafting.types import propose
from sources.readers.api import next_link_at, next_page_at
from sources.readers.base import DEFAULT_OPTIONS, column_from_values
from sources.readers.http_client import Answer, HttpClient
from sources.readers.jsonlines import exact_decoder
from sources.readers.paths import parse_path, value_at
from sources.urls import SourceUrl

# Where answers tell how many rows there are in all.
_TOTALS = ("total", "count", "total_count", "totalCount", "meta.total", "meta.total_count",
           "pagination.total", "result.total")  # fmt: skip


def draft(identifier: str, url: SourceUrl) -> Draft:
    """The draft of what an address answers; one page of it is read.

    Raises as the reader of APIs does, and DraftError for an answer without rows.
    """
    stub = compose(identifier, _source(identifier, {}), [DraftColumn("columna", "text")]).contract
    client = HttpClient(stub, url, (url.base or "").rstrip("/"), DEFAULT_OPTIONS)
    try:
        answer = client.get(dict(url.query))
    finally:
        client.close()
    document = _document(url, answer)
    place = _place(document)
    rows = value_at(document, place) if place is not None else None
    records = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if not records:
        raise DraftError(
            f"la respuesta de {url.safe} no trae ninguna lista de registros con nombres.",
            next_step="revise la dirección y sus parámetros; si hoy no hay filas, pruebe después.",
        )
    options = {"dataPath": ".".join(place)} if place else {}
    further, notes = _further(document, answer, len(records))
    names, lists = names_of(records)
    if lists:
        notes.append(f"traen una lista, que se guarda entera como texto: {', '.join(lists)}")
    plain = compose(
        identifier, _source(identifier, options), [DraftColumn(name, "text") for name in names]
    ).contract
    proposed = [
        propose(plain, column, _values(records, column.source_name), NumberStyle())
        for column in plain.columns
    ]
    notes.append(f"los tipos salen de {len(records)} filas de una sola respuesta")
    notes.append(
        "la dirección del sistema es la que se dio, entera; si otros conjuntos vienen del mismo "
        "servidor, deje en ella lo que tienen en común y ponga el resto en `path`"
    )
    described = _source(identifier, options | further)
    return compose(identifier, described, proposed, [f"{note}." for note in notes])


def _source(identifier: str, options: Mapping[str, Any]) -> Source:
    _, _, dataset = identifier.partition(".")
    server = {"type": "api", "location": address(identifier)}
    return Source(server, dataset, "full", options)


def _document(url: SourceUrl, answer: Answer) -> Any:
    try:
        text = answer.content.decode(answer.charset or "utf-8-sig")
        return exact_decoder()(text.encode())
    except (ValueError, LookupError, RecursionError):
        raise DraftError(
            f"la respuesta de {url.safe} no es JSON"
            f"{' sino una página HTML' if answer.kind == 'text/html' else ''}.",
            next_step="revise la dirección, y si hace falta una credencial. Un archivo que se "
            "publica en la web (csv, xlsx) se baja a una carpeta, y el borrador se pide de él.",
        ) from None


def _place(document: Any) -> tuple[str, ...] | None:
    if isinstance(document, list):
        return ()
    return list_within(document) if isinstance(document, dict) else None


def _further(document: Any, answer: Answer, rows: int) -> tuple[dict[str, Any], list[str]]:
    """Options for the pages that follow, and what a person should know of them."""
    options: dict[str, Any] = {}
    place = next_page_at(document, answer)
    total = next(
        (path for path in _TOTALS if type(value_at(document, parse_path(path))) is int), None
    )
    announced = int(value_at(document, parse_path(total))) if total else 0
    if total and announced >= rows:
        options["totalPath"] = total
    if place and place != next_link_at(document, answer):
        return options, [
            f"dice {place}: hay más páginas; declare cómo se piden (docs/contratos.md)"
        ]
    if place:
        return {"nextLink": place, **options}, [f"la página siguiente viene en {place}"]
    if total and announced > rows:
        told = f"trae {rows} filas de {announced}: declare cómo se piden las demás (`pageParam`…)"
        return options, [told]
    return options, ["no muestra más páginas; si las hay, declare cómo se piden (`pageParam`…)"]


def _values(records: Sequence[Any], path: str) -> pa.ChunkedArray[Any]:
    """A column as the reader gives it."""
    steps = parse_path(path)
    return pa.chunked_array([column_from_values([value_at(record, steps) for record in records])])

"""Metadata of portal datasets: `datapackage.json`, data dictionary, facts of the whole catalogue.

Belongs here: describing what was exported. Does not belong here: writing data files (`files.py`),
catalogues of what is published (`data_json.py`, `dcat.py`), or sending anything (`portal.py`).

Types and descriptions come from the dbt manifest, titles and frequency from the definition, dates
from the record of publications, and facts about the whole catalogue from `catalogo.yaml`. The
`datapackage.json` beside the files is the one full description of what *was published*:
`data.json` and the portal's pages are made from it, never from a definition that changed since.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exports.definition import (
    LICENCES,
    DatasetDefinition,
    Disclosure,
    Resource,
    Text,
    check_email,
)
from exports.errors import ExportError
from exports.files import ExportedFile
from exports.formats import TIMEZONE
from exports.manifest import Kind, Manifest, MartColumn
from sources.documents import parse_yaml

CATALOG_FILE = Path(__file__).parent / "catalogo.yaml"
PACKAGE_NAME = "datapackage.json"
PLACEHOLDER_DOMAIN = "example.org"
SYNTHETIC_WARNING = (
    "Datos sintéticos de muestra: los generó un programa para probar el sistema y no describen "
    "a personas, cuentas ni obras reales."
)

# Data Package types (Table Schema) of every kind of column.
_TABLE_TYPES: Mapping[Kind, tuple[str, str | None]] = {
    "string": ("string", None),
    "integer": ("integer", None),
    "number": ("number", None),
    "boolean": ("boolean", None),
    "date": ("date", None),
    # ISO 8601 with offset, with or without a fraction: no single pattern covers both.
    "datetime": ("datetime", "any"),
    "timestamp": ("datetime", None),
    "time": ("time", None),
    "object": ("object", None),
}
_KIND_WORDS: Mapping[Kind, str] = {
    "string": "texto",
    "integer": "entero",
    "number": "número",
    "boolean": "sí o no",
    "date": "fecha",
    "datetime": "fecha y hora con zona",
    "timestamp": "fecha y hora",
    "time": "hora",
    "object": "objeto JSON",
}
_MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "geojson": "application/geo+json",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "md": "text/markdown",
}
_GZIP = "application/gzip"
_BINARY = ("parquet", "xlsx")
_FORMAT_NAMES = {
    "jsonl": "JSON Lines",
    "geojson": "GeoJSON",
    "parquet": "Parquet",
    "md": "Markdown",
}


class CatalogFacts(BaseModel):
    """What is true of the whole catalogue; `load_catalog_facts` reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    titulo: Text
    descripcion: Text
    editor: Text
    correo: Annotated[str, AfterValidator(check_email)]
    portal: Annotated[str, Field(pattern=r"^https?://\S+[^/]$")]
    organizacion: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    idioma: Annotated[str, Field(pattern=r"^[a-z]{3}$")]
    licencia: str
    version_perfil: Text
    taxonomia_supertemas: Text
    lugar: Text
    # A code of the country's own list: 50063 of INDEC, CL-13132, 28079.
    ambito_geografico: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]*$")]
    sintetico: bool = False

    @property
    def placeholder_contact(self) -> bool:
        """True while the address is the reserved example and not one of the city's."""
        return self.correo.endswith(PLACEHOLDER_DOMAIN)


class Addresses(Protocol):
    """Where a file of a dataset can be seen and downloaded, once it is published."""

    def page(self, dataset: str) -> str: ...

    def access(self, dataset: str, file: str) -> str: ...

    def download(self, dataset: str, file: str) -> str: ...


def load_catalog_facts(
    path: Path = CATALOG_FILE,
    *,
    correo: str | None = None,
    portal: str | None = None,
    sintetico: bool = False,
) -> CatalogFacts:
    """Read `catalogo.yaml`; the caller's settings replace its example address and portal."""
    try:
        loaded = parse_yaml(path.read_text(encoding="utf-8"))
        given = {"correo": correo, "portal": portal.rstrip("/") if portal else None}
        return CatalogFacts.model_validate(
            {
                **loaded,
                **{key: value for key, value in given.items() if value},
                "sintetico": sintetico,
            }
        )
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise ExportError(f"no se puede leer {path}: {error}.", next_step="corríjalo.") from error
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise ExportError(
            f"{path.name}: falta o no es válido: {fields}.",
            next_step=f"corrija {path.name} o la configuración del portal.",
        ) from error


def data_package(
    definition: DatasetDefinition,
    manifest: Manifest,
    facts: CatalogFacts,
    files: Sequence[ExportedFile],
    *,
    issued: dt.datetime | None = None,
    modified: Mapping[str, dt.datetime] | None = None,
    temporal: tuple[dt.date, dt.date] | None = None,
    omitted: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Description of one dataset and its files (Data Package v1, with the profile's own keys).

    `modified` gives the last content change of each file; `issued` the first export of the
    dataset. Both are left out of a dataset that has not been approved. `omitted` counts, by
    resource, the rows left out because they could reveal somebody.
    """
    changes = dict(modified or {})
    licence_title, licence_url = LICENCES[definition.licencia]
    warnings = [*synthetic_notes(facts), *map(_paragraph, definition.advertencias)]
    resources = {resource.nombre: resource for resource in definition.recursos}
    package: dict[str, Any] = {
        "profile": "data-package",
        "name": definition.nombre,
        "title": definition.titulo,
        "description": " ".join(definition.descripcion.split()),
        "homepage": facts.portal,
        "licenses": [{"name": definition.licencia, "title": licence_title, "path": licence_url}],
        "keywords": list(definition.etiquetas),
        "sources": [{"title": source} for source in definition.fuentes],
        "contributors": [
            {"title": facts.editor, "email": facts.correo, "role": "publisher"},
            {"title": definition.secretaria, "role": "author"},
            {
                "title": definition.contacto.nombre,
                "email": definition.contacto.correo or facts.correo,
                "role": "maintainer",
            },
        ],
        "superTheme": [definition.tema],
        "accrualPeriodicity": definition.frecuencia,
        "language": [facts.idioma],
        "spatial": facts.ambito_geografico,
        "spatialName": facts.lugar,
        "catalogTitle": facts.titulo,
        "synthetic": facts.sintetico,
        "warnings": warnings,
        "resources": [
            _resource(manifest, resources, item, issued, changes.get(item.path), omitted or {})
            for item in files
        ],
    }
    if temporal:
        package["temporal"] = f"{temporal[0].isoformat()}/{temporal[1].isoformat()}"
    if issued:
        package["created"] = package["issued"] = _instant(issued)
    if data_changes := [changes[item.path] for item in files if item.resource and changes]:
        package["modified"] = _instant(max(data_changes))
    return package


def synthetic_notes(facts: CatalogFacts) -> tuple[str, ...]:
    """What goes before any other warning while the data are the sample's."""
    return (SYNTHETIC_WARNING,) if facts.sintetico else ()


def dictionary_csv(
    definition: DatasetDefinition, manifest: Manifest, files: Sequence[ExportedFile] = ()
) -> tuple[bytes, int]:
    """The dataset's data dictionary as CSV, one row per published column, and its row count.

    `files` are the data files as written; without them the names are those of a small resource.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([field["name"] for field in _DICTIONARY_FIELDS])
    rows = list(_dictionary_rows(definition, manifest, files))
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8"), len(rows)


def dictionary_markdown(definition: DatasetDefinition, manifest: Manifest) -> bytes:
    """The same dictionary to read: a table per resource, after what the dataset is."""
    lines = [f"# {definition.titulo}: diccionario de datos", "", _paragraph(definition.descripcion)]
    for resource in definition.recursos:
        about = _paragraph(f"Archivo: `{resource.nombre}`. {resource.descripcion or ''}")
        lines += ["", f"## {resource.titulo}", "", about, ""]
        lines += ["| columna | tipo | unidad | descripción |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{column.name}` | {_KIND_WORDS[column.kind]} | {_cell(column.unit or '')} "
            f"| {_cell(column.description)} |"
            for column in manifest.columns(resource)
        ]
    return ("\n".join(line.rstrip() for line in lines) + "\n").encode("utf-8")


def _dictionary_rows(
    definition: DatasetDefinition, manifest: Manifest, files: Sequence[ExportedFile]
) -> Iterator[list[Any]]:
    written = {item.resource: item.path for item in reversed(files)}
    for resource in definition.recursos:
        file = written.get(resource.nombre, resource.file_names[0])
        for order, column in enumerate(manifest.columns(resource), 1):
            yield [
                resource.nombre,
                file,
                order,
                column.name,
                _TABLE_TYPES[column.kind][0],
                column.unit or "",
                column.description,
                resource.mart,
            ]


def _paragraph(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    """Text inside a Markdown table."""
    return _paragraph(text).replace("|", "\\|")


def dump(document: Mapping[str, Any]) -> bytes:
    """JSON as it is written to files: readable, accents as they are, the same every time."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def notes(package: Mapping[str, Any]) -> str:
    """The text of the dataset's page: what it is, then what to keep in mind."""
    return "\n\n".join([package["description"], *package["warnings"]])


def _resource(
    manifest: Manifest,
    resources: Mapping[str, Resource],
    item: ExportedFile,
    issued: dt.datetime | None,
    modified: dt.datetime | None,
    omitted: Mapping[str, int],
) -> dict[str, Any]:
    resource = resources.get(item.resource or "")
    described: dict[str, Any] = {
        "name": item.path.replace(".", "-"),
        "path": item.path,
        "title": _file_title(item, resource),
        "description": " ".join((resource.descripcion or resource.titulo).split())
        if resource
        else "Tipo, unidad y descripción de cada columna de este conjunto.",
        "format": item.format,
        "mediatype": _GZIP if item.compressed else _MEDIA_TYPES[item.format],
        "encoding": "utf-8",
        "bytes": item.bytes,
        "hash": f"sha256:{item.sha256}",
        "rowCount": item.rows,
    }
    if item.format in _BINARY:
        del described["encoding"]
    if item.rows is None:
        del described["rowCount"]
    if item.compressed:
        described["compression"] = "gz"
    if item.part:
        described["part"], described["parts"] = item.part
    if item.format == "csv":
        described["profile"] = "tabular-data-resource"
        described["dialect"] = {"delimiter": ",", "lineTerminator": "\r\n", "header": True}
    if item.format == "xlsx":
        described["dialect"] = {"excel": {"sheet": "Datos"}}
    if resource:
        described["schema"] = {
            "fields": [_table_field(column) for column in manifest.columns(resource)],
            "missingValues": [""],
        }
        described["sourceTable"] = resource.mart
        described["resourceName"] = resource.nombre
        described["resourceTitle"] = resource.titulo
        if resource.divulgacion:
            described["description"] += f" {_protection(resource.divulgacion)}"
            if resource.divulgacion.celdas_inseguras == "omitir":
                described["omittedRows"] = omitted.get(resource.nombre, 0)
    else:
        described["schema"] = {"fields": [dict(field) for field in _DICTIONARY_FIELDS]}
    if issued:
        described["issued"] = _instant(min(issued, modified) if modified else issued)
    if modified:
        described["modified"] = _instant(modified)
    return described


def _file_title(item: ExportedFile, resource: Resource | None) -> str:
    """Title of the resource, then what tells its files apart."""
    words = _FORMAT_NAMES.get(item.format, item.format.upper())
    if item.part:
        words += ", parte {} de {}".format(*item.part)
    if item.compressed:
        words += ", comprimido"
    return f"{resource.titulo if resource else 'Diccionario de datos'} ({words})"


def _protection(rule: Disclosure) -> str:
    """What a reader must know of cells that are not shown."""
    words = f"`{rule.columna_conteo}` es menor que {rule.umbral_minimo}"
    if rule.dominancia:
        words += f" o un solo caso reúne más del {rule.dominancia.maximo_pct} % del total"
    return f"Para no identificar a nadie, no se muestran las celdas en las que {words}."


_DICTIONARY_FIELDS: tuple[Mapping[str, str], ...] = (
    {"name": "recurso", "type": "string", "description": "Recurso al que pertenece la columna."},
    {"name": "archivo", "type": "string", "description": "Archivo principal del recurso."},
    {"name": "orden", "type": "integer", "description": "Posición de la columna en el archivo."},
    {"name": "campo", "type": "string", "description": "Nombre de la columna."},
    {"name": "tipo", "type": "string", "description": "Tipo del dato (Table Schema)."},
    {"name": "unidad", "type": "string", "description": "Unidad de medida, si la tiene."},
    {"name": "descripcion", "type": "string", "description": "Qué significa la columna."},
    {"name": "origen", "type": "string", "description": "Tabla del almacén de la que sale."},
)


def _table_field(column: MartColumn) -> dict[str, Any]:
    kind, form = _TABLE_TYPES[column.kind]
    field: dict[str, Any] = {"name": column.name, "type": kind, "description": column.description}
    if form:
        field["format"] = form
    if column.unit:
        field["unit"] = column.unit
    return field


def _instant(moment: dt.datetime) -> str:
    return moment.astimezone(ZoneInfo(TIMEZONE)).isoformat(timespec="seconds")

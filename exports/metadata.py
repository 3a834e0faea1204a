"""Metadata of portal datasets: `datapackage.json`, data dictionary, national `data.json`.

Belongs here: describing what was exported, and a strict check of the national profile. Does not
belong here: writing data files (`files.py`) or sending anything (`portal.py`).

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
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exports.definition import (
    FREQUENCIES,
    LICENCES,
    SUPER_THEMES,
    DatasetDefinition,
    Disclosure,
    Resource,
    Text,
    check_email,
)
from exports.errors import ExportError
from exports.files import TIMEZONE, ExportedFile
from exports.manifest import Kind, Manifest, MartColumn

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
    ambito_geografico: Annotated[str, Field(pattern=r"^\d{5}$")]
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
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def catalog_entry(package: Mapping[str, Any], addresses: Addresses) -> dict[str, Any]:
    """The `dataset` of the national profile for a published data package."""
    name = str(package["name"])
    people = {person["role"]: person for person in package["contributors"]}
    entry = {
        "identifier": name,
        "title": package["title"],
        "description": notes(package),
        "publisher": {
            "name": people["author"]["title"],
            "mbox": people["publisher"]["email"],
        },
        "contactPoint": {
            "fn": people["maintainer"]["title"],
            "hasEmail": people["maintainer"]["email"],
        },
        "superTheme": package["superTheme"],
        "theme": [theme.lower() for theme in package["superTheme"]],
        "keyword": package["keywords"],
        "accrualPeriodicity": package["accrualPeriodicity"],
        "issued": package["issued"],
        "modified": package["modified"],
        "landingPage": addresses.page(name),
        "license": package["licenses"][0]["title"],
        "language": package["language"],
        "spatial": package["spatial"],
        "source": "; ".join(source["title"] for source in package["sources"]),
        "distribution": [
            _distribution(name, package, resource, addresses) for resource in package["resources"]
        ],
    }
    if "temporal" in package:
        entry["temporal"] = package["temporal"]
    return entry


def catalog(
    facts: CatalogFacts, packages: Sequence[Mapping[str, Any]], addresses: Addresses
) -> dict[str, Any]:
    """The whole `data.json`. `issued` and `modified` come from the datasets in it."""
    entries = [catalog_entry(package, addresses) for package in packages]
    themes = sorted({theme for package in packages for theme in package["superTheme"]})
    document: dict[str, Any] = {
        "version": facts.version_perfil,
        "identifier": facts.organizacion,
        "title": facts.titulo + (" (datos sintéticos de muestra)" if facts.sintetico else ""),
        "description": " ".join([*synthetic_notes(facts), *facts.descripcion.split()]),
        "publisher": {"name": facts.editor, "mbox": facts.correo},
        "superThemeTaxonomy": facts.taxonomia_supertemas,
        "themeTaxonomy": [
            {"id": theme.lower(), "label": SUPER_THEMES[theme], "description": SUPER_THEMES[theme]}
            for theme in themes
        ],
        "homepage": facts.portal,
        "language": [facts.idioma],
        "license": LICENCES[facts.licencia][0],
        "spatial": facts.ambito_geografico,
        "dataset": entries,
    }
    if entries:
        document["issued"] = min(entry["issued"] for entry in entries)
        document["modified"] = max(entry["modified"] for entry in entries)
    return document


def notes(package: Mapping[str, Any]) -> str:
    """The text of the dataset's page: what it is, then what to keep in mind."""
    return "\n\n".join([package["description"], *package["warnings"]])


def validate_catalog(document: Mapping[str, Any]) -> list[str]:
    """Every breach of the national profile, in Spanish; an empty list when there is none.

    Stricter than the reference validator, whose schemas accept `issued: "01/02/2025"` and the
    frequency `R/P1|`.
    """
    problems: list[str] = []
    check = _Checker(problems)
    check.texts("catálogo", document, ("title", "description", "superThemeTaxonomy"))
    check.email("catálogo: publisher.mbox", check.texts(
        "catálogo", document.get("publisher"), ("name", "mbox"), "publisher."
    ).get("mbox"))  # fmt: skip
    check.dates("catálogo", document)
    check.languages("catálogo", document)
    datasets = document.get("dataset")
    if not isinstance(datasets, list):
        problems.append("catálogo: falta `dataset` o no es una lista")
        return problems
    themes = {theme.get("id") for theme in document.get("themeTaxonomy") or []}
    for index, dataset in enumerate(datasets):
        _validate_dataset(check, f"dataset[{index}] {dataset.get('title', '')!r}", dataset, themes)
    check.unique("dataset", [dataset.get("identifier") for dataset in datasets])
    return problems


class _Checker:
    """Collects problems; every method names the place and the field."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems

    def add(self, place: str, problem: str) -> None:
        self.problems.append(f"{place}: {problem}")

    def texts(
        self, place: str, holder: Any, names: Sequence[str], prefix: str = ""
    ) -> Mapping[str, Any]:
        """Required texts; gives the holder back, or an empty mapping when it is not one."""
        fields: Mapping[str, Any] = holder if isinstance(holder, Mapping) else {}
        for name in names:
            value = fields.get(name)
            if not isinstance(value, str) or not value.strip():
                self.add(place, f"falta `{prefix}{name}`")
        return fields

    def email(self, place: str, value: Any) -> None:
        if isinstance(value, str) and value:
            try:
                check_email(value)
            except ValueError as error:
                self.problems.append(f"{place}: {error}")

    def dates(self, place: str, holder: Mapping[str, Any], required: Sequence[str] = ()) -> None:
        for name in ("issued", "modified"):
            value = holder.get(name)
            if value is None:
                if name in required:
                    self.add(place, f"falta `{name}`")
            elif not _is_iso(value):
                self.add(place, f"`{name}` no es una fecha ISO 8601: {value!r}")
        issued, modified = holder.get("issued"), holder.get("modified")
        if _is_iso(issued) and _is_iso(modified) and str(modified)[:10] < str(issued)[:10]:
            self.add(place, "`modified` es anterior a `issued`")

    def languages(self, place: str, holder: Mapping[str, Any]) -> None:
        for code in holder.get("language") or []:
            if not isinstance(code, str) or not re.fullmatch(r"[a-z]{3}", code):
                self.add(place, f"`language` lleva códigos ISO 639-3, no {code!r}")

    def address(self, place: str, name: str, value: Any) -> None:
        if isinstance(value, str) and value and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            self.add(place, f"`{name}` no es una dirección http(s): {value!r}")

    def unique(self, place: str, values: Sequence[Any]) -> None:
        for value in sorted({str(v) for v in values if v is not None and values.count(v) > 1}):
            self.add(place, f"`identifier` repetido: {value}")


def _validate_dataset(
    check: _Checker, place: str, dataset: Mapping[str, Any], themes: set[Any]
) -> None:
    check.texts(place, dataset, ("title", "description", "accrualPeriodicity", "identifier"))
    publisher = check.texts(place, dataset.get("publisher"), ("name",), "publisher.")
    check.email(f"{place}: publisher.mbox", publisher.get("mbox"))
    contact = dataset.get("contactPoint")
    if isinstance(contact, Mapping):
        check.email(f"{place}: contactPoint.hasEmail", contact.get("hasEmail"))
    check.dates(place, dataset, required=("issued",))
    check.languages(place, dataset)
    check.address(place, "landingPage", dataset.get("landingPage"))
    _validate_lists(check, place, dataset, themes)
    temporal = dataset.get("temporal")
    if temporal is not None and not _is_interval(temporal):
        check.add(place, f"`temporal` no es una fecha o un intervalo ISO 8601: {temporal!r}")
    distributions = dataset.get("distribution")
    if not isinstance(distributions, list) or not distributions:
        check.add(place, "falta `distribution` (al menos una)")
        return
    for index, distribution in enumerate(distributions):
        _validate_distribution(check, f"{place} distribution[{index}]", distribution)
    check.unique(place, [item.get("identifier") for item in distributions])


def _validate_lists(
    check: _Checker, place: str, dataset: Mapping[str, Any], themes: set[Any]
) -> None:
    """Values that come from a list of the profile or of the catalogue itself."""
    if (frequency := dataset.get("accrualPeriodicity")) and frequency not in FREQUENCIES:
        check.add(place, f"`accrualPeriodicity` no es una frecuencia del perfil: {frequency!r}")
    super_themes = dataset.get("superTheme")
    if not isinstance(super_themes, list) or not super_themes:
        check.add(place, "falta `superTheme` (al menos uno)")
    else:
        for theme in super_themes:
            if theme not in SUPER_THEMES:
                check.add(place, f"`superTheme` desconocido: {theme!r}")
    for theme in dataset.get("theme") or []:
        if theme not in themes:
            check.add(place, f"`theme` no está en themeTaxonomy: {theme!r}")
    for keyword in dataset.get("keyword") or []:
        if not isinstance(keyword, str) or not keyword.strip() or re.search(r"[,/]", keyword):
            check.add(place, f"`keyword` vacía o con coma o barra: {keyword!r}")


def _validate_distribution(check: _Checker, place: str, item: Mapping[str, Any]) -> None:
    check.texts(place, item, ("accessURL", "downloadURL", "title", "identifier"))
    check.dates(place, item, required=("issued",))
    check.address(place, "accessURL", item.get("accessURL"))
    check.address(place, "downloadURL", item.get("downloadURL"))
    name = item.get("fileName")
    if name is not None and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)+", str(name)):
        check.add(place, f"`fileName` no es ASCII en minúsculas con guiones: {name!r}")
    for index, field in enumerate(item.get("field") or []):
        title = field.get("title")
        where = f"{place} field[{index}]"
        if not isinstance(title, str) or not re.fullmatch(r"[a-z0-9_]{1,60}", title):
            check.add(where, f"`title` debe ser [a-z0-9_] y de hasta 60 caracteres: {title!r}")
        check.texts(where, field, ("type", "description"))


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


def _distribution(
    name: str, package: Mapping[str, Any], resource: Mapping[str, Any], addresses: Addresses
) -> dict[str, Any]:
    file = str(resource["path"])
    fields = []
    for field in resource["schema"]["fields"]:
        described = {
            "title": field["name"],
            "type": field["type"],
            "description": field["description"],
        }
        if "unit" in field:
            described["units"] = field["unit"]
        fields.append(described)
    return {
        "identifier": f"{name}.{resource['name']}",
        "title": resource["title"],
        "description": resource["description"],
        "type": "file.upload" if "sourceTable" in resource else "documentation",
        "format": str(resource["format"]).upper(),
        "mediaType": resource["mediatype"],
        "fileName": file,
        "byteSize": resource["bytes"],
        "hash": resource["hash"],
        "license": package["licenses"][0]["title"],
        "issued": resource["issued"],
        "modified": resource["modified"],
        "accessURL": addresses.access(name, file),
        "downloadURL": addresses.download(name, file),
        "field": fields,
    }


def _instant(moment: dt.datetime) -> str:
    return moment.astimezone(ZoneInfo(TIMEZONE)).isoformat(timespec="seconds")


def _is_iso(value: Any) -> bool:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}", value):
        return False
    try:
        dt.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_interval(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    ends = value.split("/")
    if not 1 <= len(ends) <= 2 or not all(_is_iso(end) for end in ends):
        return False
    return len(ends) == 1 or ends[0] <= ends[1]

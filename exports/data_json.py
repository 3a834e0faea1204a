"""The national catalogue, `data.json`: made from the packages of what is published, and checked.

Belongs here: the words of the national profile, and a strict check of them. Does not belong here:
describing a dataset (`metadata.py`), the same catalogue in European words (`dcat.py`), or which
datasets are in it (`catalog.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

from exports.definition import FREQUENCIES, LICENCES, SUPER_THEMES, check_email
from exports.metadata import Addresses, CatalogFacts, notes, synthetic_notes


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

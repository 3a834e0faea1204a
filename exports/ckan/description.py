"""A dataset in CKAN's words: the public dataset as a version wants it, and the marks of ours.

Belongs here: the translation of a version's package into CKAN's metadata (that of the national
tools), plain data in and out. Does not belong here: what the portal says now and what stays of it
(`comparison.py`), the notice of the day (`notices.py`), calls.

A description holds tags, groups and extras as plain names and values; `in_calls` gives them the
form CKAN's calls take.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from exports.ckan.addresses import CkanAddresses
from exports.definition import FREQUENCIES, SUPER_THEMES
from exports.errors import PortalError
from exports.metadata import PLACEHOLDER_DOMAIN, notes
from exports.versions import Prepared, Switched, Table, Version
from exports.wording import spoken_day, spoken_period

Metadata = dict[str, Any]

# Extra by which a dataset is known as ours.
FINGERPRINT = "huella_publicacion"
WITHDRAWN = "retirado"
WITHDRAWAL_REASON = "motivo_retiro"
# What programs read in the extras, under the names of the national tools, and our own marks. The
# portal may leave them out of its pages: `package_hide_extras` (docs/publicar-un-conjunto.md).
MACHINE_EXTRAS = (
    "issued", "modified", "accrualPeriodicity", "superTheme", "language", "spatial", "source",
    "license", "temporal", FINGERPRINT, WITHDRAWN, WITHDRAWAL_REASON,
)  # fmt: skip
# The same facts for people. CKAN shows keys as labels, in the order of the alphabet.
_CHANGED, _PERIOD, _FIRST = "Cambio más reciente", "Período que cubre", "Publicado por primera vez"
_SOURCES, _PLACE, _FREQUENCY, _THEME = "Fuentes de los datos", "Lugar", "Se actualiza", "Tema"
PEOPLE_EXTRAS = (_CHANGED, _SOURCES, _PLACE, _PERIOD, _FIRST, _FREQUENCY, _THEME)
# Keys of a resource that point to one of the archive: to its file, by which a resource is known as
# ours, and to its DataStore table.
FILE_POINTER = "version_archivo"
TABLE_POINTER = "tabla_version"
# Ids of CKAN's default licence list.
_LICENCES = {"CC-BY-4.0": "cc-by", "CC0-1.0": "cc-zero"}


def tables_of(version: Version) -> tuple[Table, ...]:
    """The DataStore tables of a version."""
    return version.known(Prepared).tables


def published(live: Version | None) -> Metadata | None:
    """What the last finished version put at the portal."""
    return dict(live.known(Switched).metadata) if live and live.reached(Switched) else None


def file_name(resource: Mapping[str, Any]) -> str:
    """How a resource is told to people, whoever made it."""
    return str(resource.get("fileName") or resource.get("name") or resource["id"])


def extras_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The extras of a dataset as CKAN gives it, by key."""
    return {item["key"]: item["value"] for item in dataset.get("extras", ())}


def in_calls(description: Metadata) -> Metadata:
    """The description as CKAN's calls take it."""
    return {
        **description,
        "tags": [{"name": name} for name in description["tags"]],
        "groups": [{"name": name} for name in description["groups"]],
        "extras": [{"key": key, "value": value} for key, value in description["extras"].items()],
    }


def describe(version: Version, tables: Mapping[str, str], addresses: CkanAddresses) -> Metadata:
    """The dataset as it should be, with its fingerprint.

    `tables` are the ids of its DataStore tables, by file.
    """
    package = version.package
    publisher, author, maintainer = package["contributors"]
    description: Metadata = {
        "title": package["title"],
        "notes": notes(package),
        "owner_org": addresses.organization,
        "private": False,
        "state": "active",
        "author": author["title"],
        "author_email": publisher["email"],
        "maintainer": maintainer["title"],
        "maintainer_email": maintainer["email"],
        # CKAN calls it the source of the data; the page of a dataset is the one it stands on.
        "url": "",
        "license_id": _LICENCES[package["licenses"][0]["name"]],
        "tags": list(package["keywords"]),
        "groups": [theme.lower() for theme in package["superTheme"]],
        "resources": _resources(version, tables, addresses),
    }
    extras = _extras(package)
    text = json.dumps([description, extras], sort_keys=True)
    extras[FINGERPRINT] = hashlib.sha256(text.encode()).hexdigest()
    description["extras"] = extras
    return description


def check_contact(package: Mapping[str, Any]) -> None:
    """PortalError for real data that would go out with the address of the example."""
    if package["synthetic"]:
        return
    for person in package["contributors"]:
        if str(person.get("email", "")).endswith(PLACEHOLDER_DOMAIN):
            raise PortalError(
                f"el contacto publicado sería {person['email']}, que es un ejemplo.",
                dataset=str(package["name"]),
                next_step="configure el correo del portal antes de publicar datos reales.",
            )


def _extras(package: Mapping[str, Any]) -> dict[str, Any]:
    extras = {
        "issued": package["issued"],
        "modified": package["modified"],
        "accrualPeriodicity": package["accrualPeriodicity"],
        "superTheme": json.dumps(package["superTheme"]),
        "language": json.dumps(package["language"]),
        "spatial": package["spatial"],
        "source": "; ".join(source["title"] for source in package["sources"]),
        "license": package["licenses"][0]["path"],
    }
    if "temporal" in package:
        extras["temporal"] = package["temporal"]
        extras[_PERIOD] = spoken_period(package)
    if "spatialName" in package:
        extras[_PLACE] = package["spatialName"]
    extras |= {
        _CHANGED: spoken_day(package["modified"]),
        _SOURCES: extras["source"],
        _FIRST: spoken_day(package["issued"]),
        _FREQUENCY: FREQUENCIES[package["accrualPeriodicity"]],
        _THEME: "; ".join(SUPER_THEMES[theme] for theme in package["superTheme"]),
    }
    if "withdrawn" in package:
        extras |= {
            WITHDRAWN: package["withdrawn"],
            WITHDRAWAL_REASON: package["withdrawalReason"],
        }
    return extras


def _resources(
    version: Version, tables: Mapping[str, str], addresses: CkanAddresses
) -> list[Metadata]:
    files = addresses.file_ids(version)
    by_file = {table.file: table for table in tables_of(version)}
    resources = []
    for item in version.package["resources"]:
        described = _resource(version.dataset, item, files[item["path"]], addresses)
        if table := by_file.get(item["path"]):
            described |= {
                "datastore_active": True,
                TABLE_POINTER: tables[table.file],
                "filas": table.rows,
            }
        resources.append(described)
    return resources


def _resource(
    dataset: str, item: Mapping[str, Any], version_id: str, addresses: CkanAddresses
) -> Metadata:
    fields = [
        {"title": field["name"], "type": field["type"], "description": field["description"]}
        for field in item.get("schema", {}).get("fields", ())
    ]
    file = str(item["path"])
    return {
        "id": addresses.resource_id(dataset, file),
        "name": item["title"],
        "description": item["description"],
        "format": str(item["format"]).upper(),
        "mimetype": item["mediatype"],
        "size": item["bytes"],
        "hash": item["hash"],
        "fileName": file,
        "url": addresses.in_archive(version_id, file),
        "accessURL": addresses.access(dataset, file),
        "downloadURL": addresses.download(dataset, file),
        "issued": item["issued"],
        "modified": item["modified"],
        "attributesDescription": json.dumps(fields, ensure_ascii=False),
        FILE_POINTER: version_id,
    }

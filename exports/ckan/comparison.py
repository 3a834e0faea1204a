"""What the portal has against what it should have: whose it is, what differs, what stays.

Belongs here: telling ours from others' in CKAN's metadata, plain data in and out. Does not belong
here: what a version wants (`description.py`), or asking and changing the portal (`publisher.py`).

Three states are compared: `current`, the dataset as CKAN gives it, without today's notice;
`wanted`, the description of the version to publish; `base`, that of the last version we finished,
or None. What is in `current` and in neither of the others is somebody else's, and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from exports.ckan.description import (
    FILE_POINTER,
    FINGERPRINT,
    MACHINE_EXTRAS,
    PEOPLE_EXTRAS,
    TABLE_POINTER,
    Metadata,
    extras_of,
    file_name,
)
from exports.ckan.notices import NOTICE
from exports.errors import PortalError
from exports.versions import Compared

_FIELD_WORDS = {
    "title": "título",
    "notes": "descripción",
    "owner_org": "organización",
    "private": "visibilidad",
    "state": "estado",
    "author": "autor",
    "author_email": "correo del editor",
    "maintainer": "contacto",
    "maintainer_email": "correo del contacto",
    "url": "sitio",
    "license_id": "licencia",
}
_GROUPS = "temas"
# Differences that take an organisation or groups that may not be there yet.
OF_PLACE = frozenset({_GROUPS, _FIELD_WORDS["owner_org"]})
# Extras that only this program writes, wherever they come from.
_EXTRAS = (*MACHINE_EXTRAS, *PEOPLE_EXTRAS, NOTICE)
# Keys of a resource that this program writes.
_RESOURCE_KEYS = (
    "name", "description", "format", "mimetype", "size", "hash", "fileName", "url", "accessURL",
    "downloadURL", "issued", "modified", "attributesDescription", "datastore_active",
    TABLE_POINTER, "filas", FILE_POINTER,
)  # fmt: skip


def check_ours(name: str, current: Mapping[str, Any], base: Metadata | None) -> None:
    """PortalError for a dataset of this name that no publication of ours made."""
    if base is None and FINGERPRINT not in extras_of(current):
        raise PortalError(
            "el portal ya tiene un conjunto con este nombre que no publicó este sistema; no se "
            "lo toca.",
            dataset=name,
            next_step="cambie el nombre del archivo de la definición, o pida a quien "
            "administra el portal que renombre o borre el otro.",
        )


def compare(
    current: Mapping[str, Any],
    wanted: Metadata,
    base: Metadata | None,
    archived: Collection[str],
    moved: Collection[str],
) -> Compared:
    """What publishing `wanted` changes in a dataset that is there.

    `archived` are the ids the archive holds, `moved` those of the public resources whose table is
    another one than wanted.
    """
    have = {item["id"]: item for item in current["resources"]}
    merged = merge(current, wanted, base)
    ids = {item["id"] for item in wanted["resources"]}
    kept = {item["id"] for item in merged["resources"]}
    return Compared(
        files=tuple(
            item["fileName"]
            for item in wanted["resources"]
            if _points_elsewhere(have.get(item["id"], {}), item)
            or item[FILE_POINTER] not in archived  # somebody deleted what it points to
        ),
        tables=tuple(item["fileName"] for item in wanted["resources"] if item["id"] in moved),
        texts=tuple(differences(current, merged, skip=(FINGERPRINT,))),
        removed=tuple(file_name(have[id_]) for id_ in have if id_ not in kept),
        by_hand=tuple(_by_hand(current, base)) if base else (),
        foreign=tuple(file_name(have[id_]) for id_ in have if id_ in kept - ids),
    )


def merge(current: Mapping[str, Any], wanted: Metadata, base: Metadata | None) -> Metadata:
    """What is ours as wanted, what is others' as it is."""
    base = base or {"tags": [], "groups": [], "extras": {}, "resources": []}
    merged = {**wanted, "resources": _merged_resources(current, wanted, base)}
    for key in ("tags", "groups"):
        merged[key] = _with_others(_names(current.get(key, ())), base[key], wanted[key])
    known = {*base["extras"], *_EXTRAS}
    others = {key: value for key, value in extras_of(current).items() if key not in known}
    merged["extras"] = {**others, **wanted["extras"]}
    return merged


def differences(
    current: Mapping[str, Any], merged: Metadata, skip: Sequence[str] = ()
) -> Iterator[str]:
    """Names, as staff read them, of everything in which the portal is not as it should be."""
    for field, words in _FIELD_WORDS.items():
        found = current.get(field)
        if field == "owner_org":
            found = (current.get("organization") or {}).get("name")
        if (found or "") != (merged[field] or ""):
            yield words
    if sorted(_names(current.get("tags", ()))) != sorted(merged["tags"]):
        yield "etiquetas"
    if sorted(_names(current.get("groups", ()))) != sorted(merged["groups"]):
        yield _GROUPS
    extras = extras_of(current)
    for key in sorted({*extras, *merged["extras"]} - set(skip)):
        if extras.get(key) != merged["extras"].get(key):
            yield key
    have = {item["id"]: item for item in current["resources"]}
    if list(have) != [item["id"] for item in merged["resources"]]:
        yield "lista de recursos"
    for item in merged["resources"]:
        there = have.get(item["id"])
        if there is not None and item.get(FILE_POINTER):
            for key in _RESOURCE_KEYS:
                if (there.get(key) or None) != (item.get(key) or None):
                    yield f"{file_name(item)}: {key}"


def _points_elsewhere(there: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return any(there.get(key) != item[key] for key in (FILE_POINTER, "hash"))


def _by_hand(current: Mapping[str, Any], base: Metadata) -> Iterator[str]:
    """What somebody else changed in what we published last."""
    expected = {
        **base,
        "tags": _with_others(_names(current.get("tags", ())), [], base["tags"]),
        "groups": _with_others(_names(current.get("groups", ())), [], base["groups"]),
    }
    ours = {item["id"] for item in base["resources"]}
    mine = {
        **current,
        "resources": [item for item in current["resources"] if item["id"] in ours],
        "extras": [item for item in current.get("extras", ()) if item["key"] in base["extras"]],
    }
    yield from differences(mine, expected)


def _merged_resources(
    current: Mapping[str, Any], wanted: Metadata, base: Metadata
) -> list[Metadata]:
    """Ours in their order, then those of others."""
    have = {item["id"]: item for item in current["resources"]}
    mine = {item["id"] for item in (*base["resources"], *wanted["resources"])}
    # Keys of ours that no longer apply must not survive from the earlier version.
    ours = [{**_without_ours(have.get(item["id"], {})), **item} for item in wanted["resources"]]
    foreign = [
        dict(item)
        for item in current["resources"]
        if item["id"] not in mine and not item.get(FILE_POINTER)
    ]
    # Positions are given anew: CKAN 2.12 keeps the old ones when a resource goes, and then fails on
    # the gap ("list index out of range") the next time nothing else changes in one.
    return [{**item, "position": place} for place, item in enumerate([*ours, *foreign])]


def _without_ours(resource: Mapping[str, Any]) -> Metadata:
    return {key: value for key, value in resource.items() if key not in _RESOURCE_KEYS}


def _names(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def _with_others(current: Sequence[str], base: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted names, and after them those that somebody else added."""
    return [*wanted, *(name for name in current if name not in base and name not in wanted)]

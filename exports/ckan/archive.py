"""The dataset that holds every version's files and tables, beside what readers see.

Belongs here: what is kept in it, how it gets there and how it is taken away. Does not belong here:
the public dataset that points to it (`publisher.py`), or the rows of a table (`datastore.py`).

A resource of the archive is of one dataset, and its id is made of what it holds: what is there need
not be sent. Only a table that was changed into another says itself what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from exports import datastore
from exports.ckan.addresses import ARCHIVE, CkanAddresses
from exports.ckan.client import CkanClient
from exports.ckan.description import FILE_POINTER, Metadata, file_name, tables_of
from exports.ckan.tables import CkanTables
from exports.versions import Table, Version

# What the archive holds, by id.
Held = Mapping[str, Metadata]

_DATASET = "conjunto"
# Of a table that was changed into another: the identity of what it holds now, or nothing while it
# is being changed. A table without it holds what its id was made from.
_CONTENT = "contenido"
# Files up to this many bytes in all travel in one call. With what surrounds them they stay below
# the 1 MB that nginx takes by default: no portal that takes a file alone refuses it with others.
_TOGETHER_BYTES = 512 << 10


def table_name(table: Table) -> str:
    """How a table is told apart from the file that carries it."""
    return f"{table.file} (tabla)"


def table_ids(version: Version, held: Held, addresses: CkanAddresses) -> dict[str, str]:
    """By file, the table that holds these rows, or that will: one whose id says so."""
    return {
        table.file: _table_id(version.dataset, table, held, addresses)
        for table in tables_of(version)
    }


def begun_table(dataset: str, table: Table, held: Held) -> str | None:
    """A table for this file that an earlier process was changing when it was cut."""
    return _holding(dataset, table, held, "")


class Archive:
    """The archive of one organisation's datasets.

    Methods repeat themselves while a failure looks temporary, and find what an earlier try did.
    Tables that are not what was sent raise datastore.TableMismatchError.
    """

    def __init__(self, client: CkanClient, tables: CkanTables, organization: str) -> None:
        self._client = client
        self._tables = tables
        self._organization = organization

    def held(self) -> Held:
        """What it holds; nothing while there is no archive."""
        return _by_id(self._client.retried(partial(self._client.find, "package", ARCHIVE)))

    def ensure(self) -> Held:
        """The archive, made if need be; what it holds."""
        return _by_id(self._client.retried(self._ensure))

    def send_files(
        self,
        dataset: str,
        resources: Sequence[Mapping[str, Any]],
        ids: Mapping[str, str],
        folder: Path,
    ) -> None:
        """Files of the dataset's package, read from `folder`; `ids` are theirs by name.

        Small ones travel together: for every change CKAN looks at all that the archive holds.
        """
        for together in loads(resources):
            self._client.retried(partial(self._send_files, dataset, together, ids, folder))

    def add_table(self, dataset: str, table: Table, id_: str) -> None:
        """A resource for a table; its rows are not here yet."""
        described = {
            "id": id_,
            "name": _table_title(dataset, table),
            "url": "_datastore_only_resource",
            "url_type": "datastore",
            # What its address gives; without one the portal counts an empty format among its own.
            "format": "CSV",
            _DATASET: dataset,
            FILE_POINTER: id_,
        }
        self._client.retried(partial(self._add, {id_: described}))

    def fill_table(self, dataset: str, table: Table, id_: str, rows: Path) -> None:
        """A whole table, from the folder of rows."""
        self.add_table(dataset, table, id_)
        self._tables.fill(id_, table, rows / table.rows_file)

    def turn_table(self, table: Table, id_: str, rows: Path) -> bool:
        """Change an old table into this one; False when filling another is better.

        The archive says all the time what is in it: of a table that is being changed, nothing.
        """
        if not self._tables.sends_differences:
            return False
        self._note(id_, {_CONTENT: ""})
        if not datastore.turn_into(self._tables, id_, table, rows / table.rows_file):
            return False
        self._note(id_, {_CONTENT: table.identity})
        return True

    def remove_file(self, id_: str) -> None:
        """Take a file out, so that it is sent again."""
        self._take_out({id_})

    def prune(self, dataset: str, needed: Collection[str]) -> tuple[str, ...]:
        """Take out what is the dataset's and not needed; the names of what went."""
        old = [
            item
            for id_, item in self.held().items()
            if item.get(_DATASET) == dataset and id_ not in needed
        ]
        for item in old:
            if item.get("url_type") == "datastore":
                self._tables.drop(item["id"])
        self._take_out({item["id"] for item in old})
        return tuple(file_name(item) for item in old)

    def _ensure(self) -> Metadata:
        found = self._client.find("package", ARCHIVE)
        if found is None:
            described = {
                "name": ARCHIVE,
                "title": "Archivo de versiones",
                "notes": "Archivos y tablas a los que apuntan los conjuntos de datos de este "
                "portal, en sus últimas versiones. Para citar o descargar un conjunto use las "
                "direcciones de su propia página, que no cambian.",
                "owner_org": self._organization,
                "private": False,
            }
            self._client.make("package", described)
            return self._current()
        if found["state"] != "active":
            return self._client.call("package_patch", {"id": found["id"], "state": "active"})
        return found

    def _current(self) -> Metadata:
        return self._client.call("package_show", {"id": ARCHIVE})

    def _send_files(
        self,
        dataset: str,
        resources: Sequence[Mapping[str, Any]],
        ids: Mapping[str, str],
        folder: Path,
    ) -> None:
        described, uploads = {}, {}
        with ExitStack() as opened:
            for resource in resources:
                file = str(resource["path"])
                id_ = ids[file]
                described[id_] = {
                    "id": id_,
                    "name": f"{dataset}: {file}",
                    "format": str(resource["format"]).upper(),
                    "hash": resource["hash"],
                    _DATASET: dataset,
                    FILE_POINTER: id_,
                }
                stream = opened.enter_context((folder / file).open("rb"))
                uploads[id_] = (file, stream, str(resource["mediatype"]))
            self._add(described, uploads)

    def _add(
        self,
        described: Mapping[str, Metadata],
        uploads: Mapping[str, tuple[str, BinaryIO, str]] | None = None,
    ) -> None:
        """Add resources, by id, but for those that are there.

        Through `package_revise` and not `resource_create`: it refuses when somebody else, or this
        same request delivered twice, came first. A second `resource_create` of the same id leaves
        a gap in the positions, on which CKAN 2.12 fails from then on ("list index out of range").
        """
        found = self._current()
        there = {item["id"] for item in found["resources"]}
        missing = [id_ for id_ in described if id_ not in there]
        if not missing:
            return
        if [item["position"] for item in found["resources"]] != [*range(len(found["resources"]))]:
            places = [{"position": place} for place in range(len(found["resources"]))]
            found = self._client.revise(found, {"update": {"resources": places}})["package"]
        change = {"update__resources__extend": json.dumps([described[id_] for id_ in missing])}
        files = {
            f"update__resources__{place - len(missing)}__upload": uploads[id_]
            for place, id_ in enumerate(missing)
            if uploads
        }
        self._client.revise(found, change, files)

    def _note(self, id_: str, facts: Mapping[str, str]) -> None:
        """Note facts of a resource."""

        def step() -> None:
            archive = self._current()
            changes = [dict(facts) if item["id"] == id_ else {} for item in archive["resources"]]
            self._client.revise(archive, {"update": {"resources": changes}})

        self._client.retried(step)

    def _take_out(self, gone: set[str]) -> None:
        """Take resources out, the bytes on the portal's disk included."""
        if gone:
            # First emptied: CKAN keeps for ever the file of a resource that is only deleted.
            self._client.retried(partial(self._empty, gone))
            self._client.retried(partial(self._delete, gone))

    def _empty(self, gone: set[str]) -> None:
        archive = self._current()
        emptied = {"clear_upload": True, "url_type": "", "url": "borrado"}
        changes = [
            emptied if item["id"] in gone and item.get("url_type") == "upload" else {}
            for item in archive["resources"]
        ]
        if any(changes):
            self._client.revise(archive, {"update": {"resources": changes}})

    def _delete(self, gone: set[str]) -> None:
        archive = self._current()
        left = [item for item in archive["resources"] if item["id"] not in gone]
        if len(left) < len(archive["resources"]):
            placed = [{**item, "position": place} for place, item in enumerate(left)]
            change = {"filter": ["-resources__*"], "update": {"resources": placed}}
            self._client.revise(archive, change)


def loads(resources: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The files of a package as they travel, in their order; a large one alone."""
    together: list[Mapping[str, Any]] = []
    for resource in resources:
        if together and sum(r["bytes"] for r in (*together, resource)) > _TOGETHER_BYTES:
            yield together
            together = []
        together.append(resource)
    if together:
        yield together


def _by_id(archive: Mapping[str, Any] | None) -> Held:
    return {item["id"]: item for item in (archive or {}).get("resources", ())}


def _table_title(dataset: str, table: Table) -> str:
    return f"{dataset}: {table_name(table)}"


def _table_id(dataset: str, table: Table, held: Held, addresses: CkanAddresses) -> str:
    if changed := _holding(dataset, table, held, table.identity):
        return changed
    taken = 0
    # The table whose id these rows would have may hold others by now.
    while _CONTENT in held.get(id_ := addresses.table_id(dataset, table, taken), {}):
        taken += 1
    return id_


def _holding(dataset: str, table: Table, held: Held, content: str) -> str | None:
    """The changed table of this file of which the archive says that it holds `content`."""
    for id_, item in held.items():
        of_file = item.get(_DATASET) == dataset and item["name"] == _table_title(dataset, table)
        if of_file and item.get(_CONTENT) == content:
            return id_
    return None

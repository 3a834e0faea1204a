"""A CKAN portal as a publication sees it: one method for every state.

Belongs here: what each state asks of the portal, in which order. Does not belong here: single calls
and their repetition (`client.py`), words for failures (`failures.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson
import requests
from ckanapi import RemoteCKAN
from ckanapi.errors import CKANAPIError, NotAuthorized, NotFound, ValidationError

from exports import datastore
from exports.ckan.client import CkanClient, Patience, watched_session
from exports.ckan.failures import (
    DifferentBytesError,
    StaleError,
    TemporaryError,
    explained,
)
from exports.definition import SUPER_THEMES
from exports.errors import PortalError, ReadBackError
from exports.files import TIMEZONE
from exports.metadata import PLACEHOLDER_DOMAIN, CatalogFacts, notes
from exports.portal import PublishResult, check_whole
from exports.versions import (
    Compared,
    Prepared,
    ReadBack,
    Recorded,
    Switched,
    Table,
    Uploaded,
    Verified,
    Version,
)

ARCHIVE = "archivo-de-versiones"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/lujan-datos/exports")
_CHUNK = 1 << 20
# Extra by which a dataset is known as ours, and the key by which a resource is.
FINGERPRINT = "huella_publicacion"
_OURS = "version_archivo"
_DATASET = "conjunto"
# Of a table that was changed into another: the identity of what it holds now, or nothing while it
# is being changed. A table without it holds what its id was made from.
_CONTENT = "contenido"
WITHDRAWN = "retirado"
# Extra with what the page says today above the dataset's own text.
NOTICE = "aviso"
# Ids of CKAN's default licence list.
_LICENCES = {"CC-BY-4.0": "cc-by", "CC0-1.0": "cc-zero"}
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

T = TypeVar("T")
Metadata = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource as the public sees it; `rows` is null when its metadata do not say."""

    file: str
    format: str | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A dataset as the public sees it. Dates are those its metadata give."""

    name: str
    title: str
    is_ours: bool
    is_withdrawn: bool
    issued: dt.datetime | None
    modified: dt.datetime | None
    frequency: str | None
    resources: tuple[SeenResource, ...]


class CkanPublisher:
    """A CKAN portal and the right to publish there.

    `url` is the portal's address as the public sees it, `token` an API token of a user who may
    edit the organisation. `attempts` bounds the tries of every step; the waits between them grow
    up to `max_wait` seconds and respect `Retry-After`. `direct` fills DataStore tables in their own
    database, for a portal that the city runs itself. All methods raise PortalError.
    """

    def __init__(
        self,
        url: str,
        token: str,
        facts: CatalogFacts,
        *,
        attempts: int = 6,
        max_wait: float = 60.0,
        timeout: tuple[float, float] = (10.0, 300.0),
        direct: datastore.DirectDataStore | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PortalError(
                "la dirección del portal no empieza con http:// o https://.",
                next_step="corrija la dirección del portal en la configuración.",
            )
        if parts.username or parts.password:
            raise PortalError(
                "la dirección del portal lleva usuario o clave.",
                next_step="quítelos: la credencial va aparte, como token.",
            )
        self.url = url.rstrip("/")
        self._facts = facts
        self._direct = direct
        self._patience = Patience(attempts, max_wait, timeout)
        self.client = CkanClient(self.url, token, self._patience)
        self._explained = partial(
            explained,
            url=self.url,
            token=token,
            organization=facts.organizacion,
            max_wait=max_wait,
        )
        # What the public sees is asked without the token, and past what a cache may hold.
        self._public = watched_session()
        self._public.headers["Cache-Control"] = "no-cache"
        self._outside = RemoteCKAN(self.url, session=self._public)

    @property
    def portal(self) -> str:
        """The address under which versions are recorded."""
        return self.url

    def page(self, dataset: str) -> str:
        return f"{self.url}/dataset/{dataset}"

    def access(self, dataset: str, file: str) -> str:
        return f"{self.page(dataset)}/resource/{self.resource_id(dataset, file)}"

    def download(self, dataset: str, file: str) -> str:
        return f"{self.access(dataset, file)}/download/{file}"

    def resource_id(self, dataset: str, file: str) -> str:
        """The file's resource, the same for ever; also the address of its DataStore table."""
        return self._derived(dataset, file)

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Nothing to send: CKAN makes its catalogue from the datasets it has.

        With the national plug-in the portal serves `/data.json` itself; ours stays beside the
        exported files.
        """
        return PublishResult(self.url, ())

    # The states, in their order.

    def compare(self, version: Version, live: Version | None) -> Compared:
        """What publishing this version would change at the portal; nothing is changed."""
        self._check_contact(version.package)
        name = version.dataset
        with self._explained(name):
            archived = self.client.retried(self._archived)
            wanted = self._wanted(version, self._table_ids(version, archived))
            current = self.client.retried(partial(self.client.find, "package", name))
            current = current and _without_notice(current)
            base = _published(live)
            if current is None or current.get("state") != "active":
                return Compared(
                    is_new=True,
                    files=tuple(item["fileName"] for item in wanted["resources"]),
                    tables=tuple(table.file for table in _tables(version)),
                    texts=("metadatos",),
                )
            self._check_ours(name, current, base)
            have = {item["id"]: item for item in current["resources"]}
            merged = self._merged(current, wanted, base)
            files, tables = [], []
            for item in wanted["resources"]:
                there = have.get(item["id"], {})
                if (there.get(_OURS), there.get("hash")) != (item[_OURS], item["hash"]):
                    files.append(item["fileName"])
                elif item[_OURS] not in archived:
                    files.append(item["fileName"])  # somebody deleted what it points to
                if self.client.retried(partial(self._table_moved, there, item)):
                    tables.append(item["fileName"])
            ids = {item["id"] for item in wanted["resources"]}
            kept = {item["id"] for item in merged["resources"]}
            return Compared(
                files=tuple(files),
                tables=tuple(tables),
                texts=tuple(_differences(current, merged, skip=(FINGERPRINT,))),
                removed=tuple(_file_name(have[id_]) for id_ in have if id_ not in kept),
                by_hand=tuple(_by_hand(current, base)) if base else (),
                foreign=tuple(_file_name(have[id_]) for id_ in have if id_ in kept - ids),
            )

    def upload(
        self,
        version: Version,
        live: Version | None,
        folder: Path,
        rows: Path,
        spare: Mapping[str, str] | None = None,
    ) -> Uploaded:
        """Send what the portal does not hold yet, beside what readers see.

        `folder` holds the files of the package, `rows` those of its tables. Going on after a cut:
        files and rows that have arrived are not sent again. `spare` are tables of a version that
        nobody goes back to any more, by file: one that differs little from what is wanted is
        changed into it, which sends the difference only.
        """
        name = version.dataset
        with self._explained(name):
            compared = version.known(Compared)
            if compared.is_new or set(compared.texts) & {"temas", "organización"}:
                self.client.retried(self._ensure_organization)
                for theme in version.package["superTheme"]:
                    self.client.retried(partial(self._ensure_group, theme))
            files = self._file_ids(version)
            stored = self.client.retried(self._ensure_archive)
            tables = self._table_ids(version, stored)
            missing = [file for file, id_ in files.items() if id_ not in stored]
            if missing:
                if version.origin != "exportacion":
                    raise self._gone(name, missing)
                check_whole(folder, version.package)
            sent = []
            for resource in version.package["resources"]:
                if resource["path"] in missing:
                    self.client.retried(partial(self._send_file, version, folder, resource))
                    sent.append(str(resource["path"]))
            port = _DataStorePort(self)
            for table in _tables(version):
                if port.count(tables[table.file]) == table.rows:
                    continue
                if version.origin != "exportacion":
                    raise self._gone(name, [table.file])
                begun = self._begun(name, table, stored) or (spare or {}).get(table.file)
                with self._mismatch(name, table):
                    if begun in stored and self._turn_into(port, begun, table, rows):
                        tables[table.file] = begun
                    else:
                        self._fill(port, version, table, tables[table.file], rows)
                sent.append(_table_name(table))
        return Uploaded(files=files, tables=tables, sent=tuple(sent))

    def _fill(
        self, port: _DataStorePort, version: Version, table: Table, id_: str, rows: Path
    ) -> None:
        """A whole table, all of its rows sent."""
        self.client.retried(partial(self._ensure_table_resource, version, table, id_))
        if self._direct:
            port.create(id_, table)
            self._direct.copy(id_, table, rows / table.rows_file)
        else:
            datastore.load(port, id_, table, rows / table.rows_file)

    def _turn_into(
        self, port: _DataStorePort, id_: str, table: Table, rows: Path
    ) -> datastore.LoadReport | None:
        """Change an old table into this one; None when filling another is better.

        The archive says all the time what is in it: of a table that is being changed, nothing.
        """
        if self._direct:
            return None
        self.client.retried(partial(self._hold, id_, {_CONTENT: ""}))
        report = datastore.turn_into(port, id_, table, rows / table.rows_file)
        if report:
            self.client.retried(partial(self._hold, id_, {_CONTENT: table.identity}))
        return report

    def _begun(self, name: str, table: Table, stored: Mapping[str, Metadata]) -> str | None:
        """A table for this file that an earlier process was changing when it was cut."""
        return _holding(stored, name, table, "")

    def _hold(self, id_: str, facts: Mapping[str, str]) -> None:
        """Note facts of a resource of the archive."""
        archive = self.client.call("package_show", {"id": ARCHIVE})
        changes = [dict(facts) if item["id"] == id_ else {} for item in archive["resources"]]
        self.client.revise(archive, {"update": {"resources": changes}})

    def read_back(self, version: Version, live: Version | None) -> ReadBack:
        """Read everything that the version in force does not already vouch for, and compare.

        What is not as it was sent is removed from beside, so that the next run sends it again.
        """
        name, uploaded = version.dataset, version.known(Uploaded)
        vouched = live.known(Uploaded) if live and live.reached(Uploaded) else None
        known_files = set(vouched.files.values()) if vouched else set()
        known_tables = set(vouched.tables.values()) if vouched else set()
        read, rows = {}, {}
        with self._explained(name):
            for resource in version.package["resources"]:
                file = str(resource["path"])
                id_ = uploaded.files[file]
                if id_ in known_files and file not in uploaded.sent:
                    continue
                address = self._version_address(id_, file)
                read[file] = self._check_bytes(name, resource, address, remove=id_)
            port = _DataStorePort(self)
            for table in _tables(version):
                id_ = uploaded.tables[table.file]
                if id_ in known_tables and _table_name(table) not in uploaded.sent:
                    continue
                try:
                    rows[table.file] = datastore.check(port, id_, table)
                except datastore.TableMismatchError as error:
                    port.drop(id_)
                    raise self._differs(name, f"la tabla de {table.file}", error.what) from error
        return ReadBack(files=read, rows=rows)

    def switch(self, version: Version, live: Version | None) -> Switched:
        """Point readers to this version: files and texts in one call, then the tables' names."""
        name = version.dataset
        tables = version.known(Uploaded).tables
        wanted = self._wanted(version, tables)
        base = _published(live)
        with self._explained(name):
            port = _DataStorePort(self)
            for table in _tables(version):
                port.create(tables[table.file], table)  # its dictionary
            self.client.retried(partial(self._point, name, wanted, base))
            for item in wanted["resources"]:
                if "tabla_version" in item:
                    target = item["tabla_version"]
                    self.client.retried(partial(self._move_alias, item["id"], target))
            shown_before = {item["id"] for item in base["resources"]} if base else set()
            for item in wanted["resources"]:
                if "tabla_version" in item and item["id"] not in shown_before:
                    self._preview(item["id"])
            if base:
                gone = {item["id"] for item in base["resources"] if item.get("tabla_version")}
                for id_ in gone - {i["id"] for i in wanted["resources"] if "tabla_version" in i}:
                    self.client.retried(partial(self._move_alias, id_, None))
        return Switched(previous=live.id if live else None, metadata=wanted)

    def verify(self, version: Version, live: Version | None) -> Verified:
        """Look from outside, without the token, at the addresses the public uses."""
        name = version.dataset
        switched = version.known(Switched).metadata
        before = {item["id"]: item[_OURS] for item in (_published(live) or {}).get("resources", ())}
        addresses = []
        with self._explained(name):
            self.client.retried(partial(self._check_seen, name, switched))
            described = {item["path"]: item for item in version.package["resources"]}
            for item in switched["resources"]:
                file = item["fileName"]
                address = self.download(name, file)
                if before.get(item["id"]) != item[_OURS]:
                    self._check_bytes(name, described[file], address, remove=None)
                addresses.append(address)
            for table in _tables(version):
                self.client.retried(partial(self._check_table_seen, name, table))
        return Verified(addresses=tuple(addresses))

    def prune(self, version: Version, kept: Sequence[Version]) -> Recorded:
        """Remove from beside what none of the kept versions needs. Only what versions of ours
        brought goes; `kept` is the version in force and those one can go back to."""
        name = version.dataset
        needed: set[str] = set()
        for item in kept:
            known = item.known(Uploaded)
            needed |= {*known.files.values(), *known.tables.values()}
        with self._explained(name):
            archive = self.client.retried(partial(self.client.find, "package", ARCHIVE))
            old = [
                item
                for item in (archive or {}).get("resources", ())
                if item.get(_DATASET) == name and item["id"] not in needed
            ]
            self._remove(old)
        return Recorded(pruned=tuple(_file_name(item) for item in old))

    def look(self, dataset: str) -> Seen | None:
        """The dataset as anybody sees it; None when nobody does."""
        with self._explained(dataset):
            found = self.client.retried(partial(self._seen, dataset))
        if found is None or found.get("type") != "dataset":
            return None
        extras = {item["key"]: item["value"] for item in found.get("extras", ())}
        return Seen(
            name=dataset,
            title=str(found.get("title") or dataset),
            is_ours=FINGERPRINT in extras,
            is_withdrawn=WITHDRAWN in extras,
            issued=_moment(extras.get("issued")),
            modified=_moment(extras.get("modified")),
            frequency=extras.get("accrualPeriodicity"),
            resources=tuple(
                SeenResource(_file_name(item), item.get("format") or None, item.get("filas"))
                for item in found["resources"]
            ),
        )

    def announce(self, dataset: str, notice: str | None) -> bool:
        """Show a notice above the text of one of our datasets, or take it away; False: as it was.

        Only texts change. Nothing happens when the dataset is not there, not ours, or withdrawn.
        """
        with self._explained(dataset):
            return self.client.retried(partial(self._announce, dataset, notice))

    def _announce(self, dataset: str, notice: str | None) -> bool:
        current = self.client.find("package", dataset)
        if current is None or current.get("state") != "active":
            return False
        extras = {item["key"]: item["value"] for item in current.get("extras", ())}
        text = _without_notice(current)["notes"]
        wanted = f"{_notice(notice)}{text}" if notice else text
        as_it_was = (extras.get(NOTICE), current.get("notes")) == (notice, wanted)
        if FINGERPRINT not in extras or WITHDRAWN in extras or as_it_was:
            return False
        extras.pop(NOTICE, None)
        if notice:
            extras[NOTICE] = notice
        self.client.revise(
            current,
            {
                "filter": ["-extras__*"],
                "update": {
                    "notes": wanted,
                    "extras": [{"key": key, "value": value} for key, value in extras.items()],
                },
            },
        )
        return True

    def count_rows(self, dataset: str, file: str, filters: Mapping[str, Any]) -> int | None:
        """Rows of a published table for which the filters hold, as anybody gets them.

        None when the portal shows no such table or column: unknown, not none.
        """
        with self._explained(dataset):
            try:
                found = self.client.retried(
                    lambda: self._outside.call_action(
                        "datastore_search",
                        {
                            "resource_id": self.resource_id(dataset, file),
                            "filters": dict(filters),
                            "limit": 0,
                        },
                        requests_kwargs={"timeout": self._patience.timeout},
                    )
                )
            except (NotFound, NotAuthorized, ValidationError):
                return None
        return int(found["total"])

    def names(self) -> list[str]:
        """Names of all public datasets, as anybody sees them."""
        with self._explained(""):
            found: list[str] = self.client.retried(
                lambda: self._outside.call_action(
                    "package_list", {}, requests_kwargs={"timeout": self._patience.timeout}
                )
            )
        return [name for name in found if name != ARCHIVE]

    # What a version says, in CKAN's words.

    def _wanted(self, version: Version, tables: Mapping[str, str]) -> Metadata:
        """The dataset as it should be (mapping of the national tools), with its fingerprint.

        `tables` are the ids of its DataStore tables, by file.
        """
        package, name = version.package, version.dataset
        publisher, author, maintainer = package["contributors"]
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
        if "withdrawn" in package:
            extras |= {
                WITHDRAWN: package["withdrawn"],
                "motivo_retiro": package["withdrawalReason"],
            }
        files = self._file_ids(version)
        by_file = {table.file: table for table in _tables(version)}
        resources = []
        for item in package["resources"]:
            described = self._resource(name, item, files[item["path"]])
            if table := by_file.get(item["path"]):
                described |= {
                    "datastore_active": True,
                    "tabla_version": tables[table.file],
                    "filas": table.rows,
                }
            resources.append(described)
        metadata: Metadata = {
            "title": package["title"],
            "notes": notes(package),
            "owner_org": self._facts.organizacion,
            "private": False,
            "state": "active",
            "author": author["title"],
            "author_email": publisher["email"],
            "maintainer": maintainer["title"],
            "maintainer_email": maintainer["email"],
            "url": package["homepage"],
            "license_id": _LICENCES[package["licenses"][0]["name"]],
            "tags": list(package["keywords"]),
            "groups": [theme.lower() for theme in package["superTheme"]],
            "resources": resources,
        }
        text = json.dumps([metadata, extras], sort_keys=True)
        extras[FINGERPRINT] = hashlib.sha256(text.encode()).hexdigest()
        metadata["extras"] = extras
        return metadata

    def _resource(self, dataset: str, item: Mapping[str, Any], version_id: str) -> Metadata:
        fields = [
            {"title": field["name"], "type": field["type"], "description": field["description"]}
            for field in item.get("schema", {}).get("fields", ())
        ]
        file = str(item["path"])
        return {
            "id": self.resource_id(dataset, file),
            "name": item["title"],
            "description": item["description"],
            "format": str(item["format"]).upper(),
            "mimetype": item["mediatype"],
            "size": item["bytes"],
            "hash": item["hash"],
            "fileName": file,
            "url": self._version_address(version_id, file),
            "accessURL": self.access(dataset, file),
            "downloadURL": self.download(dataset, file),
            "issued": item["issued"],
            "modified": item["modified"],
            "attributesDescription": json.dumps(fields, ensure_ascii=False),
            _OURS: version_id,
        }

    def _file_ids(self, version: Version) -> dict[str, str]:
        return {
            str(item["path"]): self._derived(version.dataset, str(item["path"]), item["hash"])
            for item in version.package["resources"]
        }

    def _table_ids(self, version: Version, stored: Mapping[str, Metadata]) -> dict[str, str]:
        """By file, the table that holds these rows, or that will: one whose id says so."""
        return {
            table.file: self._table_id(version.dataset, table, stored) for table in _tables(version)
        }

    def _table_id(self, name: str, table: Table, stored: Mapping[str, Metadata]) -> str:
        if changed := _holding(stored, name, table, table.identity):
            return changed
        parts = [name, table.file, "tabla", table.identity]
        # The table whose id these rows would have may hold others by now.
        while _CONTENT in stored.get(id_ := self._derived(*parts), {}):
            parts.append("otra")
        return id_

    def _derived(self, *parts: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, "/".join((self._facts.organizacion, *parts))))

    def _version_address(self, version_id: str, file: str) -> str:
        return f"{self.url}/dataset/{ARCHIVE}/resource/{version_id}/download/{file}"

    def _check_contact(self, package: Mapping[str, Any]) -> None:
        """Real data must not go out with the address of the example."""
        if package["synthetic"]:
            return
        for person in package["contributors"]:
            if str(person.get("email", "")).endswith(PLACEHOLDER_DOMAIN):
                raise PortalError(
                    f"el contacto publicado sería {person['email']}, que es un ejemplo.",
                    dataset=str(package["name"]),
                    next_step="configure el correo del portal antes de publicar datos reales.",
                )

    @staticmethod
    def _check_ours(name: str, current: Mapping[str, Any], base: Metadata | None) -> None:
        extras = {item["key"] for item in current.get("extras", ())}
        if base is None and FINGERPRINT not in extras:
            raise PortalError(
                "el portal ya tiene un conjunto con este nombre que no publicó este sistema; no se "
                "lo toca.",
                dataset=name,
                next_step="cambie el nombre del archivo de la definición, o pida a quien "
                "administra el portal que renombre o borre el otro.",
            )

    # Steps that may be repeated: each looks first whether it is already done.

    def _ensure_organization(self) -> None:
        name = self._facts.organizacion
        if self.client.find("organization", name) is None:
            organization = {
                "name": name,
                "title": self._facts.editor,
                "description": self._facts.descripcion,
            }
            self.client.make("organization", organization)

    def _ensure_group(self, theme: str) -> None:
        name, title = theme.lower(), SUPER_THEMES[theme]
        if self.client.find("group", name) is None:
            group = {
                "name": name,
                "title": title,
                "description": f"Conjuntos de datos de {title.lower()}.",
            }
            self.client.make("group", group)

    def _archived(self) -> dict[str, Metadata]:
        """What the archive of versions holds, by id; nothing while there is no archive."""
        found = self.client.find("package", ARCHIVE)
        return {item["id"]: item for item in (found or {}).get("resources", ())}

    def _table_moved(self, there: Metadata, item: Metadata) -> bool:
        """Whether the resource's table is another one, or its id does not name it."""
        target = item.get("tabla_version")
        if there.get("tabla_version") != target:
            return True
        return target is not None and self._table_behind(item["id"]) != target

    def _ensure_archive(self) -> dict[str, Metadata]:
        """The dataset that holds all versions, made if need be; what it holds, by id."""
        found = self.client.find("package", ARCHIVE)
        if found is None:
            described = {
                "name": ARCHIVE,
                "title": "Archivo de versiones",
                "notes": "Archivos y tablas a los que apuntan los conjuntos de datos de este "
                "portal, en sus últimas versiones. Para citar o descargar un conjunto use las "
                "direcciones de su propia página, que no cambian.",
                "owner_org": self._facts.organizacion,
                "private": False,
            }
            self.client.make("package", described)
            found = self.client.call("package_show", {"id": ARCHIVE})
        elif found["state"] != "active":
            found = self.client.call("package_patch", {"id": found["id"], "state": "active"})
        return {item["id"]: item for item in found["resources"]}

    def _send_file(self, version: Version, folder: Path, resource: Mapping[str, Any]) -> None:
        file = str(resource["path"])
        id_ = self._file_ids(version)[file]
        described = {
            "id": id_,
            "name": f"{version.dataset}: {file}",
            "format": str(resource["format"]).upper(),
            "hash": resource["hash"],
            _DATASET: version.dataset,
            _OURS: id_,
        }
        with (folder / file).open("rb") as stream:
            self._archive(described, (file, stream, str(resource["mediatype"])))

    def _ensure_table_resource(self, version: Version, table: Table, id_: str) -> None:
        self._archive(
            {
                "id": id_,
                "name": f"{version.dataset}: {_table_name(table)}",
                "url": "_datastore_only_resource",
                "url_type": "datastore",
                _DATASET: version.dataset,
                _OURS: id_,
            }
        )

    def _archive(
        self, described: Metadata, upload: tuple[str, BinaryIO, str] | None = None
    ) -> None:
        """Add a resource to the archive, unless it is there.

        Through `package_revise` and not `resource_create`: it refuses when somebody else, or this
        same request delivered twice, came first. A second `resource_create` of the same id leaves
        a gap in the positions, on which CKAN 2.12 fails from then on ("list index out of range").
        """
        found = self.client.call("package_show", {"id": ARCHIVE})
        if any(item["id"] == described["id"] for item in found["resources"]):
            return
        if [item["position"] for item in found["resources"]] != [*range(len(found["resources"]))]:
            places = [{"position": place} for place in range(len(found["resources"]))]
            found = self.client.revise(found, {"update": {"resources": places}})["package"]
        change = {"update__resources__extend": json.dumps([described])}
        files = {"update__resources__-1__upload": upload} if upload else None
        self.client.revise(found, change, files)

    def _point(self, name: str, wanted: Metadata, base: Metadata | None) -> None:
        """Make the public dataset what it should be, in one call, unless it is already."""
        current = self.client.find("package", name)
        if current is None:
            created = {**_in_ckan(wanted), "name": name}
            self.client.make("package", created)
            return
        current = _without_notice(current)
        merged = self._merged(current, wanted, base)
        if current.get("state") == "active" and not list(_differences(current, merged)):
            return
        # Somebody may save the dataset between our look and our call: then the portal refuses,
        # and the next try looks again.
        self.client.revise(
            current,
            {
                "filter": ["-resources__*", "-extras__*", "-tags__*", "-groups__*"],
                "update": _in_ckan(merged),
            },
        )

    def _merged(
        self, current: Mapping[str, Any], wanted: Metadata, base: Metadata | None
    ) -> Metadata:
        """What is ours as wanted, what is others' as it is."""
        base = base or {"tags": [], "groups": [], "extras": {}, "resources": []}
        mine = {item["id"] for item in base["resources"]} | {i["id"] for i in wanted["resources"]}
        have = {item["id"]: item for item in current["resources"]}
        foreign = [
            dict(item) for item in current["resources"]
            if item["id"] not in mine and not item.get(_OURS)
        ]  # fmt: skip
        resources = [
            # Keys of ours that no longer apply must not survive from the earlier version.
            {**_without_ours(have.get(item["id"], {})), **item}
            for item in wanted["resources"]
        ]
        merged = {**wanted, "resources": [*resources, *foreign]}
        for position, item in enumerate(merged["resources"]):
            # Given anew: CKAN 2.12 keeps the old ones when a resource goes, and then fails on the
            # gap ("list index out of range") the next time nothing else changes in one.
            item["position"] = position
        merged["tags"] = _others([i["name"] for i in current.get("tags", ())], base["tags"],
                                 wanted["tags"])  # fmt: skip
        merged["groups"] = _others([i["name"] for i in current.get("groups", ())],
                                   base["groups"], wanted["groups"])  # fmt: skip
        there = {item["key"]: item["value"] for item in current.get("extras", ())}
        known = {*base["extras"], *_EXTRAS}
        merged["extras"] = {
            **{key: value for key, value in there.items() if key not in known},
            **wanted["extras"],
        }
        return merged

    def _move_alias(self, alias: str, target: str | None) -> None:
        """Let the public id name the target's rows.

        Through the API CKAN moves an alias in two calls. In between the id names nothing: a reader
        is told that it does not exist, never other rows; the metadata name the table itself all the
        time. In the database it is one transaction.
        """
        owner = self._table_behind(alias)
        if owner == target:
            return
        if self._direct:
            self._direct.name(alias, target)
            return
        if owner is not None:
            self.client.call(
                "datastore_create", {"resource_id": owner, "aliases": [], "force": True}
            )
        if target is not None:
            self.client.call(
                "datastore_create", {"resource_id": target, "aliases": [alias], "force": True}
            )

    def _preview(self, resource_id: str) -> None:
        """Let the resource's page show its table, if the portal has CKAN's viewer for that."""
        # A preview is a courtesy: a portal that cannot has published the data all the same.
        with suppress(CKANAPIError, TemporaryError, requests.RequestException):
            views: Any = self.client.call("resource_view_list", {"id": resource_id})
            if not views:
                self.client.call(
                    "resource_view_create",
                    {"resource_id": resource_id, "view_type": "datatables_view", "title": "Tabla"},
                )

    def _table_behind(self, alias: str) -> str | None:
        found = self.client.call(
            "datastore_search",
            {"resource_id": "_table_metadata", "filters": {"name": alias}, "limit": 1},
        )
        return found["records"][0]["alias_of"] if found["records"] else None

    def _remove(self, resources: Sequence[Mapping[str, Any]]) -> None:
        """Take resources out of the archive, their tables and the bytes on its disk included."""
        if not resources:
            return
        port = _DataStorePort(self)
        for item in resources:
            if item.get("url_type") == "datastore":
                port.drop(item["id"])
        gone = {item["id"] for item in resources}
        # First emptied: CKAN keeps for ever the file of a resource that is only deleted.
        self.client.retried(partial(self._empty, gone))
        self.client.retried(partial(self._take_out, gone))

    def _empty(self, gone: set[str]) -> None:
        archive = self.client.call("package_show", {"id": ARCHIVE})
        emptied = {"clear_upload": True, "url_type": "", "url": "borrado"}
        changes = [
            emptied if item["id"] in gone and item.get("url_type") == "upload" else {}
            for item in archive["resources"]
        ]
        if any(changes):
            self.client.revise(archive, {"update": {"resources": changes}})

    def _take_out(self, gone: set[str]) -> None:
        archive = self.client.call("package_show", {"id": ARCHIVE})
        left = [item for item in archive["resources"] if item["id"] not in gone]
        if len(left) < len(archive["resources"]):
            placed = [{**item, "position": place} for place, item in enumerate(left)]
            self.client.revise(
                archive, {"filter": ["-resources__*"], "update": {"resources": placed}}
            )

    # Looking from outside.

    def _seen(self, dataset: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._outside.call_action(
                "package_show", {"id": dataset}, requests_kwargs={"timeout": self._patience.timeout}
            )
        except (NotFound, NotAuthorized):
            return None
        return found

    def _check_seen(self, name: str, switched: Metadata) -> None:
        seen = self._seen(name)
        extras = {item["key"]: item["value"] for item in (seen or {}).get("extras", ())}
        if extras.get(FINGERPRINT) != switched["extras"][FINGERPRINT]:
            # A cache before the portal, or a replica behind it, may lag: looked at again.
            raise StaleError("muestra todavía una versión anterior")
        shown = [item.get(_OURS) for item in (seen or {})["resources"] if item.get(_OURS)]
        if shown != [item[_OURS] for item in switched["resources"]]:
            raise StaleError("muestra recursos de otra versión")

    def _check_table_seen(self, name: str, table: Table) -> None:
        try:
            found = self._outside.call_action(
                "datastore_search",
                {"resource_id": self.resource_id(name, table.file), "limit": 0},
                requests_kwargs={"timeout": self._patience.timeout},
            )
        except NotFound:
            raise StaleError(f"no muestra la tabla de {table.file}") from None
        if found["total"] != table.rows:
            raise StaleError(
                f"muestra {found['total']} filas de {table.file} en lugar de {table.rows}"
            )

    def _check_bytes(
        self, name: str, resource: Mapping[str, Any], address: str, remove: str | None
    ) -> str:
        """Download and compare through size and hash; the hash. Reads may be stale: read again.

        CKAN serves a `.gz` with `Content-Encoding: gzip`: the bytes of that file are the encoded
        ones, and are not decoded. Of any other file an encoding is the transport's.
        """
        expected = (resource["bytes"], resource["hash"])
        packed = str(resource["path"]).endswith(".gz")

        def read() -> str:
            digest, size = hashlib.sha256(), 0
            with self._public.get(address, timeout=self._patience.timeout, stream=True) as response:
                if not response.ok:
                    raise StaleError(f"respondió {response.status_code} a la descarga")
                if packed:
                    response.raw.headers.pop("Content-Encoding", None)
                for chunk in response.iter_content(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
            found = f"sha256:{digest.hexdigest()}"
            if (size, found) != expected:
                raise DifferentBytesError(f"devuelve {size} bytes con otra huella")
            return found

        try:
            return self.client.retried(read)
        except DifferentBytesError as error:
            if remove is not None:
                self._remove([{"id": remove}])
            raise self._differs(name, f"el archivo {resource['path']}", str(error)) from error

    @contextmanager
    def _mismatch(self, name: str, table: Table) -> Iterator[None]:
        try:
            yield
        except datastore.TableMismatchError as error:
            raise self._differs(name, f"la tabla de {table.file}", error.what) from error

    def _differs(self, name: str, what: str, how: str) -> PortalError:
        return ReadBackError(
            f"{what} en el portal no es lo que se envió: {how}.",
            dataset=name,
            next_step="vuelva a publicar: se envía de nuevo. Nadie llegó a verlo; sigue la versión "
            "anterior. Si persiste, avise a quien administra el portal.",
        )

    def _gone(self, name: str, files: Sequence[str]) -> PortalError:
        return PortalError(
            f"el portal ya no guarda esta versión (falta {', '.join(files)}).",
            dataset=name,
            next_step="elija otra versión (`lujan portal history`) o publique la actual.",
        )


class _DataStorePort:
    """The DataStore through the action API, as the loader speaks to it."""

    def __init__(self, portal: CkanPublisher) -> None:
        self._portal = portal

    def create(self, table_id: str, table: Table) -> None:
        fields = [
            {
                "id": column.id,
                "type": column.type,
                "info": {
                    "label": column.label,
                    "notes": column.notes,
                    "type_override": column.type,
                },
            }
            for column in table.columns
        ]
        data: dict[str, Any] = {"resource_id": table_id, "fields": fields, "force": True}
        if table.key:
            data["primary_key"] = list(table.key)
        self.retried(partial(self._portal.client.call, "datastore_create", data))

    def drop(self, table_id: str) -> None:
        def step() -> None:
            with suppress(NotFound):
                self._portal.client.call(
                    "datastore_delete", {"resource_id": table_id, "force": True}
                )

        self.retried(step)

    def count(self, table_id: str) -> int | None:
        def step() -> int | None:
            try:
                found = self._portal.client.call(
                    "datastore_search", {"resource_id": table_id, "limit": 0}
                )
            except NotFound:
                return None
            return int(found["total"])

        return self.retried(step)

    def insert(self, table_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        # orjson: a chunk is a megabyte of text, and the standard encoder would take as long over
        # it as the portal does.
        self._portal.client.post(
            "datastore_upsert",
            orjson.dumps(
                {"resource_id": table_id, "records": records, "method": "insert", "force": True}
            ),
        )

    def remove(self, table_id: str, numbers: Sequence[int]) -> None:
        data = {"resource_id": table_id, "filters": {"_id": list(numbers)}, "force": True}
        self.retried(partial(self._portal.client.call, "datastore_delete", data))

    def page(
        self, table_id: str, table: Table, after: int, rows: int, *, numbered: bool = False
    ) -> str:
        data = {
            "resource_id": table_id,
            "fields": [*(["_id"] if numbered else []), *(column.id for column in table.columns)],
            "records_format": "csv",
            "include_total": False,
            "sort": "_id",
            "offset": after,
            "limit": rows,
        }
        found = self.retried(partial(self._portal.client.call, "datastore_search", data))
        return str(found["records"])

    def fields(self, table_id: str) -> list[tuple[str, str]]:
        found = self.retried(
            partial(
                self._portal.client.call, "datastore_search", {"resource_id": table_id, "limit": 0}
            )
        )
        return [(item["id"], item["type"]) for item in found["fields"] if item["id"] != "_id"]

    def retried(self, step: Callable[[], T]) -> T:
        return self._portal.client.retried(step)


# Extras that only this program writes, wherever they come from.
_EXTRAS = (
    "issued", "modified", "accrualPeriodicity", "superTheme", "language", "spatial", "source",
    "license", "temporal", FINGERPRINT, WITHDRAWN, "motivo_retiro", NOTICE,
)  # fmt: skip
# Keys of a resource that this program writes.
_RESOURCE_KEYS = (
    "name", "description", "format", "mimetype", "size", "hash", "fileName", "url", "accessURL",
    "downloadURL", "issued", "modified", "attributesDescription", "datastore_active",
    "tabla_version", "filas", _OURS,
)  # fmt: skip


def _tables(version: Version) -> tuple[Table, ...]:
    return version.known(Prepared).tables


def _table_name(table: Table) -> str:
    return f"{table.file} (tabla)"


def _holding(stored: Mapping[str, Metadata], name: str, table: Table, content: str) -> str | None:
    """The changed table of this file of which the archive says that it holds `content`."""
    for id_, item in stored.items():
        of_file = item.get(_DATASET) == name and item["name"] == f"{name}: {_table_name(table)}"
        if of_file and item.get(_CONTENT) == content:
            return id_
    return None


def _published(live: Version | None) -> Metadata | None:
    """What the last finished version put at the portal."""
    return dict(live.known(Switched).metadata) if live and live.reached(Switched) else None


def _in_ckan(metadata: Metadata) -> Metadata:
    return {
        **metadata,
        "tags": [{"name": name} for name in metadata["tags"]],
        "groups": [{"name": name} for name in metadata["groups"]],
        "extras": [{"key": key, "value": value} for key, value in metadata["extras"].items()],
    }


def _notice(words: str) -> str:
    """As CKAN's pages show it: a quote, bold, before everything else."""
    return f"> **Aviso:** {words}\n\n"


def _without_notice(current: Mapping[str, Any]) -> Metadata:
    """The dataset as it is apart from today's notice, which is no part of any version."""
    extras = current.get("extras", ())
    words = next((item["value"] for item in extras if item["key"] == NOTICE), "")
    return {
        **current,
        "notes": (current.get("notes") or "").removeprefix(_notice(words)),
        "extras": [item for item in extras if item["key"] != NOTICE],
    }


def _others(current: Sequence[str], base: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted names, and after them those that somebody else added."""
    return [*wanted, *(name for name in current if name not in base and name not in wanted)]


def _without_ours(resource: Mapping[str, Any]) -> Metadata:
    return {key: value for key, value in resource.items() if key not in _RESOURCE_KEYS}


def _differences(
    current: Mapping[str, Any], merged: Metadata, skip: Sequence[str] = ()
) -> Iterator[str]:
    """Names, as staff read them, of everything in which the portal is not as it should be."""
    for field, words in _FIELD_WORDS.items():
        found = current.get(field)
        if field == "owner_org":
            found = (current.get("organization") or {}).get("name")
        if (found or "") != (merged[field] or ""):
            yield words
    if sorted(item["name"] for item in current.get("tags", ())) != sorted(merged["tags"]):
        yield "etiquetas"
    if sorted(item["name"] for item in current.get("groups", ())) != sorted(merged["groups"]):
        yield "temas"
    extras = {item["key"]: item["value"] for item in current.get("extras", ())}
    for key in sorted({*extras, *merged["extras"]} - set(skip)):
        if extras.get(key) != merged["extras"].get(key):
            yield key
    have = [item["id"] for item in current["resources"]]
    if have != [item["id"] for item in merged["resources"]]:
        yield "lista de recursos"
    by_id = {item["id"]: item for item in current["resources"]}
    for item in merged["resources"]:
        there = by_id.get(item["id"])
        if there is not None and item.get(_OURS):
            for key in _RESOURCE_KEYS:
                if (there.get(key) or None) != (item.get(key) or None):
                    yield f"{_file_name(item)}: {key}"


def _by_hand(current: Mapping[str, Any], base: Metadata) -> Iterator[str]:
    """What somebody else changed in what we published last."""
    expected = {**base, "tags": _others([i["name"] for i in current.get("tags", ())], [],
                                        base["tags"]),
                "groups": _others([i["name"] for i in current.get("groups", ())], [],
                                  base["groups"])}  # fmt: skip
    ours = {item["id"] for item in base["resources"]}
    mine = {
        **current,
        "resources": [item for item in current["resources"] if item["id"] in ours],
        "extras": [item for item in current.get("extras", ()) if item["key"] in base["extras"]],
    }
    yield from _differences(mine, expected)


def _file_name(resource: Mapping[str, Any]) -> str:
    return str(resource.get("fileName") or resource.get("name") or resource["id"])


def _moment(text: str | None) -> dt.datetime | None:
    """A date of the metadata; None when there is none, or none that can be read."""
    try:
        found = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(TIMEZONE))

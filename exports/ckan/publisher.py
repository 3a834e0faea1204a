"""A CKAN portal as a publication sees it: one method for every state, and looks at the result.

Belongs here: what each state asks of the portal, in which order, and the change of what readers are
pointed to. Does not belong here: what is kept beside (`archive.py`), what the dataset should be and
what stays of it (`description.py`, `comparison.py`), single calls (`client.py`, `tables.py`).

Everything below raises what its parts raise; here, and only here, it becomes a PortalError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exports import datastore
from exports.ckan.addresses import CkanAddresses
from exports.ckan.archive import Archive, begun_table, table_ids, table_name
from exports.ckan.client import CkanClient, Patience
from exports.ckan.comparison import OF_PLACE, check_ours, compare, differences, merge
from exports.ckan.description import (
    FILE_POINTER,
    TABLE_POINTER,
    Metadata,
    check_contact,
    describe,
    in_calls,
    published,
    tables_of,
)
from exports.ckan.failures import DifferentBytesError, explained
from exports.ckan.notices import notice_change, without_notice
from exports.ckan.outside import Outside, Seen
from exports.ckan.tables import CkanTables
from exports.definition import SUPER_THEMES
from exports.errors import PortalError, ReadBackError
from exports.metadata import CatalogFacts
from exports.portal import PublishResult, check_whole
from exports.versions import (
    Compared,
    ReadBack,
    Recorded,
    Switched,
    Table,
    Uploaded,
    Verified,
    Version,
)


class CkanPublisher:
    """A CKAN portal and the right to publish there.

    `url` is the portal's address as the public sees it, `token` an API token of a user who may
    edit the organisation. `attempts` bounds the tries of every step; the waits between them grow
    up to `max_wait` seconds and respect `Retry-After`. `direct` fills DataStore tables in their own
    database, for a portal that the city runs itself. `client` are the calls it makes with the
    token. All methods raise PortalError.
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
        _check_address(url)
        self.url = url.rstrip("/")
        self._facts = facts
        patience = Patience(attempts, max_wait, timeout)
        self.client = CkanClient(self.url, token, patience)
        self._addresses = CkanAddresses(self.url, facts.organizacion)
        self._tables = CkanTables(self.client, direct)
        self._archive = Archive(self.client, self._tables, facts.organizacion)
        self._outside = Outside(self.url, patience)
        self._explained = partial(
            explained,
            url=self.url,
            token=token,
            organization=facts.organizacion,
            max_wait=max_wait,
        )

    @property
    def portal(self) -> str:
        """The address under which versions are recorded."""
        return self.url

    def page(self, dataset: str) -> str:
        return self._addresses.page(dataset)

    def access(self, dataset: str, file: str) -> str:
        return self._addresses.access(dataset, file)

    def download(self, dataset: str, file: str) -> str:
        return self._addresses.download(dataset, file)

    def resource_id(self, dataset: str, file: str) -> str:
        """The file's resource, the same for ever; also the address of its DataStore table."""
        return self._addresses.resource_id(dataset, file)

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Nothing to send: CKAN makes its catalogue from the datasets it has.

        With the national plug-in the portal serves `/data.json` itself; ours stays beside the
        exported files.
        """
        return PublishResult(self.url, ())

    # The states, in their order.

    def compare(self, version: Version, live: Version | None) -> Compared:
        """What publishing this version would change at the portal; nothing is changed."""
        check_contact(version.package)
        name, base = version.dataset, published(live)
        with self._explained(name):
            held = self._archive.held()
            wanted = describe(version, table_ids(version, held, self._addresses), self._addresses)
            current = self.client.retried(partial(self.client.find, "package", name))
            if current is None or current.get("state") != "active":
                return Compared(
                    is_new=True,
                    files=tuple(item["fileName"] for item in wanted["resources"]),
                    tables=tuple(table.file for table in tables_of(version)),
                    texts=("metadatos",),
                )
            current = without_notice(current)
            check_ours(name, current, base)
            return compare(current, wanted, base, held, self._moved(current, wanted))

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
            if compared.is_new or OF_PLACE.intersection(compared.texts):
                self._ensure_place(version.package["superTheme"])
            files = self._addresses.file_ids(version)
            held = self._archive.ensure()
            tables = table_ids(version, held, self._addresses)
            sent = self._send_files(version, files, held, folder)
            for table in tables_of(version):
                id_ = tables[table.file]
                if self._tables.count(id_) == table.rows:
                    continue
                old = begun_table(name, table, held) or (spare or {}).get(table.file)
                changeable = old if old in held else None
                tables[table.file] = self._send_table(version, table, id_, changeable, rows)
                sent.append(table_name(table))
        return Uploaded(files=files, tables=tables, sent=tuple(sent))

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
                address = self._addresses.in_archive(id_, file)
                with _as_sent(name, _file(file), partial(self._archive.remove_file, id_)):
                    read[file] = self._outside.check_bytes(resource, address)
            for table in tables_of(version):
                id_ = uploaded.tables[table.file]
                if id_ in known_tables and table_name(table) not in uploaded.sent:
                    continue
                with _as_sent(name, _table(table), partial(self._tables.drop, id_)):
                    rows[table.file] = datastore.check(self._tables, id_, table)
        return ReadBack(files=read, rows=rows)

    def switch(self, version: Version, live: Version | None) -> Switched:
        """Point readers to this version: files and texts in one call, then the tables' names."""
        name, base = version.dataset, published(live)
        tables = version.known(Uploaded).tables
        wanted = describe(version, tables, self._addresses)
        with self._explained(name):
            for table in tables_of(version):
                self._tables.create(tables[table.file], table)  # its dictionary
            self.client.retried(partial(self._point, name, wanted, base))
            self._name_tables(wanted, base)
        return Switched(previous=live.id if live else None, metadata=wanted)

    def verify(self, version: Version, live: Version | None) -> Verified:
        """Look from outside, without the token, at the addresses the public uses."""
        name, switched = version.dataset, version.known(Switched).metadata
        before = {
            item["id"]: item[FILE_POINTER] for item in (published(live) or {}).get("resources", ())
        }
        addresses = []
        with self._explained(name):
            self._outside.check_dataset(name, switched)
            described = {item["path"]: item for item in version.package["resources"]}
            for item in switched["resources"]:
                file = item["fileName"]
                address = self.download(name, file)
                if before.get(item["id"]) != item[FILE_POINTER]:
                    with _as_sent(name, _file(file)):
                        self._outside.check_bytes(described[file], address)
                addresses.append(address)
            for table in tables_of(version):
                self._outside.check_table(self.resource_id(name, table.file), table)
        return Verified(addresses=tuple(addresses))

    def prune(self, version: Version, kept: Sequence[Version]) -> Recorded:
        """Remove from beside what none of the kept versions needs. Only what versions of ours
        brought goes; `kept` is the version in force and those one can go back to."""
        needed: set[str] = set()
        for item in kept:
            known = item.known(Uploaded)
            needed |= {*known.files.values(), *known.tables.values()}
        with self._explained(version.dataset):
            return Recorded(pruned=self._archive.prune(version.dataset, needed))

    # Looks, and the notice of the day: no part of a publication.

    def names(self) -> list[str]:
        """Names of all public datasets, as anybody sees them."""
        with self._explained(""):
            return self._outside.names()

    def look(self, dataset: str) -> Seen | None:
        """The dataset as anybody sees it; None when nobody does."""
        with self._explained(dataset):
            return self._outside.look(dataset)

    def count_rows(self, dataset: str, file: str, filters: Mapping[str, Any]) -> int | None:
        """Rows of a published table for which the filters hold, as anybody gets them.

        None when the portal shows no such table or column: unknown, not none.
        """
        with self._explained(dataset):
            return self._outside.count_rows(self.resource_id(dataset, file), filters)

    def announce(self, dataset: str, notice: str | None) -> bool:
        """Show a notice above the text of one of our datasets, or take it away; False: as it was.

        Only texts change. Nothing happens when the dataset is not there, not ours, or withdrawn.
        """
        with self._explained(dataset):
            return self.client.retried(partial(self._announce, dataset, notice))

    # Steps that may be repeated: each looks first whether it is already done.

    def _moved(self, current: Mapping[str, Any], wanted: Metadata) -> set[str]:
        """Resources whose table is another one than wanted, or whose id does not name it."""
        there = {item["id"]: item.get(TABLE_POINTER) for item in current["resources"]}
        return {
            item["id"]
            for item in wanted["resources"]
            if self._is_moved(item["id"], there.get(item["id"]), item.get(TABLE_POINTER))
        }

    def _is_moved(self, id_: str, there: str | None, wanted: str | None) -> bool:
        if there != wanted:
            return True
        return wanted is not None and self._tables.behind(id_) != wanted

    def _ensure_place(self, themes: Sequence[str]) -> None:
        """The organisation and the groups the dataset stands in, made if need be."""
        facts = self._facts
        wanted = [("organization", facts.organizacion, facts.editor, facts.descripcion)]
        for theme in themes:
            title = SUPER_THEMES[theme]
            words = f"Conjuntos de datos de {title.lower()}."
            wanted.append(("group", theme.lower(), title, words))
        for kind, name, title, description in wanted:
            described = {"name": name, "title": title, "description": description}
            self.client.retried(partial(self._ensure, kind, described))

    def _ensure(self, kind: str, described: Metadata) -> None:
        if self.client.find(kind, described["name"]) is None:
            self.client.make(kind, described)

    def _send_files(
        self, version: Version, ids: Mapping[str, str], held: Collection[str], folder: Path
    ) -> list[str]:
        """Send the files the archive does not hold; their names."""
        missing = [file for file, id_ in ids.items() if id_ not in held]
        if missing:
            _check_is_export(version, missing)
            check_whole(folder, version.package)
            going = [item for item in version.package["resources"] if item["path"] in missing]
            self._archive.send_files(version.dataset, going, ids, folder)
        return missing

    def _send_table(
        self, version: Version, table: Table, id_: str, old: str | None, rows: Path
    ) -> str:
        """Send the rows of a table, as a difference to `old` if that is better; where they are."""
        _check_is_export(version, [table.file])
        with _as_sent(version.dataset, _table(table)):
            if old and self._archive.turn_table(table, old, rows):
                id_ = old
            else:
                self._archive.fill_table(version.dataset, table, id_, rows)
        return id_

    def _point(self, name: str, wanted: Metadata, base: Metadata | None) -> None:
        """Make the public dataset what it should be, in one call, unless it is already."""
        current = self.client.find("package", name)
        if current is None:
            self.client.make("package", {**in_calls(wanted), "name": name})
            return
        current = without_notice(current)
        merged = merge(current, wanted, base)
        if current.get("state") == "active" and not list(differences(current, merged)):
            return
        # Somebody may save the dataset between our look and our call: then the portal refuses,
        # and the next try looks again.
        self.client.revise(
            current,
            {
                "filter": ["-resources__*", "-extras__*", "-tags__*", "-groups__*"],
                "update": in_calls(merged),
            },
        )

    def _name_tables(self, wanted: Metadata, base: Metadata | None) -> None:
        """Let the public ids name the tables of this version, and those that have none nothing."""
        before = {item["id"]: item.get(TABLE_POINTER) for item in (base or {}).get("resources", ())}
        now = {
            item["id"]: item[TABLE_POINTER] for item in wanted["resources"] if TABLE_POINTER in item
        }
        for id_, table in now.items():
            self._tables.move_alias(id_, table)
        for id_ in now:
            if id_ not in before:
                self._tables.show_table(id_)
        for id_, table in before.items():
            if table and id_ not in now:
                self._tables.move_alias(id_, None)

    def _announce(self, dataset: str, notice: str | None) -> bool:
        current = self.client.find("package", dataset)
        if current is None or (change := notice_change(current, notice)) is None:
            return False
        self.client.revise(current, change)
        return True


def _check_address(url: str) -> None:
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


def _check_is_export(version: Version, missing: Sequence[str]) -> None:
    """Only an export has its files at hand; going back rests on what the portal holds."""
    if version.origin != "exportacion":
        raise PortalError(
            f"el portal ya no guarda esta versión (falta {', '.join(missing)}).",
            dataset=version.dataset,
            next_step="elija otra versión (`lujan portal history`) o publique la actual.",
        )


def _file(file: str) -> str:
    return f"el archivo {file}"


def _table(table: Table) -> str:
    return f"la tabla de {table.file}"


@contextmanager
def _as_sent(dataset: str, what: str, remove: Callable[[], None] | None = None) -> Iterator[None]:
    """ReadBackError for what is read back and is not what was sent, once it is removed."""
    try:
        yield
    except (DifferentBytesError, datastore.TableMismatchError) as error:
        if remove:
            remove()
        raise ReadBackError(
            f"{what} en el portal no es lo que se envió: {error}.",
            dataset=dataset,
            next_step="vuelva a publicar: se envía de nuevo. Nadie llegó a verlo; sigue la versión "
            "anterior. Si persiste, avise a quien administra el portal.",
        ) from error

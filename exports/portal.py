"""Where finished datasets go: what any place must offer, and a folder any web server can show.

Belongs here: the protocol, copying into a folder, and the addresses files get there. Does not
belong here: portals that keep versions (`publication.py`, `ckan/`), deciding what is sent
(`export.py`) or describing it (`metadata.py`).

Every publisher compares first and sends only what changed, reads back what it sent, and leaves
the last good version in place when anything fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from exports.dcat import JSONLD_NAME, TURTLE_NAME
from exports.errors import PortalError
from exports.files import describe, install, remove_others, write_bytes
from exports.metadata import PACKAGE_NAME, Addresses, dump
from exports.pages import catalog_page, dataset_page
from sources.wording import refusal


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Where the dataset is, and what was sent this time (empty: everything was there)."""

    address: str
    sent: tuple[str, ...]


class Publisher(Addresses, Protocol):
    """A place where datasets are published: a folder, or a portal that keeps versions."""

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Publish `data.json`; called after the datasets."""
        ...


@runtime_checkable
class FolderPublisher(Publisher, Protocol):
    """A place where the files of a dataset are replaced where they are."""

    def publish(self, folder: Path, package: Mapping[str, Any]) -> PublishResult:
        """Publish the files of `folder` as `package` describes them; PortalError on failure."""
        ...


@dataclass(frozen=True, slots=True)
class FolderAddresses:
    """Addresses of a tree `<base>/<dataset>/<file>`."""

    base: str

    def page(self, dataset: str) -> str:
        return f"{self.base}/{dataset}/index.html"

    def access(self, dataset: str, file: str) -> str:
        return f"{self.page(dataset)}#{file.replace('.', '-')}"

    def download(self, dataset: str, file: str) -> str:
        return f"{self.base}/{dataset}/{file}"


class LocalPublisher:
    """Publishes into a folder: `<root>/<dataset>/<files>`, `<root>/data.json`, Spanish pages.

    Nothing leaves the machine. `base_url` is where the folder is (or will be) served from;
    `notices` are what the pages must say of a dataset today, by its name.
    """

    def __init__(self, root: Path, base_url: str, notices: Mapping[str, str] | None = None) -> None:
        self.root = root
        self._notices = dict(notices or {})
        self._addresses = FolderAddresses(base_url.rstrip("/"))

    def page(self, dataset: str) -> str:
        return self._addresses.page(dataset)

    def access(self, dataset: str, file: str) -> str:
        return self._addresses.access(dataset, file)

    def download(self, dataset: str, file: str) -> str:
        return self._addresses.download(dataset, file)

    def publish(self, folder: Path, package: Mapping[str, Any]) -> PublishResult:
        """Copy what changed, data first, page and `datapackage.json` last."""
        name = str(package["name"])
        check_whole(folder, package)
        target = self.root / name
        names = [str(resource["path"]) for resource in package["resources"]]
        sent = [file for file in names if self._install(folder / file, target / file)]
        for resource in package["resources"]:
            copied = describe(target / resource["path"], rows=None)
            if f"sha256:{copied.sha256}" != resource["hash"]:
                raise PortalError(
                    f"el archivo {copied.path} no llegó entero a {target}.",
                    dataset=name,
                    next_step="revise el espacio y el estado del disco y vuelva a publicar.",
                )
        for file, content in (
            ("index.html", self._page_of(package, folder)),
            (PACKAGE_NAME, dump(package)),
        ):
            if self._install_bytes(content, target / file):
                sent.append(file)
        sent += remove_others(target, (*names, "index.html", PACKAGE_NAME))
        return PublishResult(str(target), tuple(sent))

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Copy `data.json` and its DCAT-AP forms, and rewrite the page that lists the datasets."""
        document = json.loads(catalog_file.read_text(encoding="utf-8"))
        sent = [
            name
            for name in (catalog_file.name, JSONLD_NAME, TURTLE_NAME)
            if self._install(catalog_file.with_name(name), self.root / name)
        ]
        page = catalog_page(document, self._notices).encode()
        if self._install_bytes(page, self.root / "index.html"):
            sent.append("index.html")
        return PublishResult(str(self.root), tuple(sent))

    def refresh_pages(self) -> tuple[str, ...]:
        """Write anew the pages whose notices changed, from what is published; their names.

        Data, `datapackage.json` and `data.json` are left alone.
        """
        changed = []
        for described in sorted(self.root.glob(f"*/{PACKAGE_NAME}")):
            package = json.loads(described.read_text(encoding="utf-8"))
            page = self._page_of(package, described.parent)
            if self._install_bytes(page, described.with_name("index.html")):
                changed.append(f"{described.parent.name}/index.html")
        catalog = self.root / "data.json"
        if catalog.exists():
            document = json.loads(catalog.read_text(encoding="utf-8"))
            page = catalog_page(document, self._notices).encode()
            if self._install_bytes(page, self.root / "index.html"):
                changed.append("index.html")
        return tuple(changed)

    def _page_of(self, package: Mapping[str, Any], folder: Path) -> bytes:
        notice = self._notices.get(str(package["name"]))
        return dataset_page(package, folder, self, notice).encode()

    def _install(self, source: Path, target: Path) -> bool:
        try:
            return install(source, target)
        except OSError as error:
            raise PortalError(
                f"no se puede escribir {target}: {refusal(error)}.",
                next_step="revise permisos y espacio de la carpeta del portal.",
            ) from error

    def _install_bytes(self, content: bytes, target: Path) -> bool:
        beside = target.parent / f".{target.name}.new"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(beside, content)
        except OSError as error:
            raise PortalError(
                f"no se puede escribir {target}: {refusal(error)}.",
                next_step="revise permisos y espacio de la carpeta del portal.",
            ) from error
        try:
            return self._install(beside, target)
        finally:
            beside.unlink(missing_ok=True)


def check_whole(folder: Path, package: Mapping[str, Any]) -> None:
    """PortalError unless every file of the package is in `folder` with the hash it declares."""
    for resource in package["resources"]:
        path = folder / resource["path"]
        if not path.is_file() or f"sha256:{describe(path, rows=None).sha256}" != resource["hash"]:
            raise PortalError(
                f"el archivo {path} falta o no es el que describe {PACKAGE_NAME}.",
                dataset=str(package["name"]),
                next_step="exporte de nuevo el conjunto antes de publicarlo.",
            )

"""Where finished datasets go: what any place must offer, and a folder any web server can show.

Belongs here: the protocol, copying into a folder, and the addresses files get there. Does not
belong here: portals that keep versions (`publication.py`, `ckan.py`), deciding what is sent
(`export.py`) or describing it (`metadata.py`).

Every publisher compares first and sends only what changed, reads back what it sent, and leaves
the last good version in place when anything fails.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from exports.errors import PortalError
from exports.files import describe, install, remove_others, write_bytes
from exports.metadata import PACKAGE_NAME, Addresses, dump


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
            ("index.html", self._page_of(package)),
            (PACKAGE_NAME, dump(package)),
        ):
            if self._install_bytes(content, target / file):
                sent.append(file)
        sent += remove_others(target, (*names, "index.html", PACKAGE_NAME))
        return PublishResult(str(target), tuple(sent))

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Copy `data.json` and rewrite the page that lists the datasets."""
        document = json.loads(catalog_file.read_text(encoding="utf-8"))
        sent = []
        if self._install(catalog_file, self.root / "data.json"):
            sent.append("data.json")
        page = _catalog_page(document, self._notices).encode()
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
            if self._install_bytes(self._page_of(package), described.with_name("index.html")):
                changed.append(f"{described.parent.name}/index.html")
        catalog = self.root / "data.json"
        if catalog.exists():
            document = json.loads(catalog.read_text(encoding="utf-8"))
            page = _catalog_page(document, self._notices).encode()
            if self._install_bytes(page, self.root / "index.html"):
                changed.append("index.html")
        return tuple(changed)

    def _page_of(self, package: Mapping[str, Any]) -> bytes:
        return _dataset_page(package, self._notices.get(str(package["name"]))).encode()

    def _install(self, source: Path, target: Path) -> bool:
        try:
            return install(source, target)
        except OSError as error:
            raise PortalError(
                f"no se puede escribir {target}: {error.strerror}.",
                next_step="revise permisos y espacio de la carpeta del portal.",
            ) from error

    def _install_bytes(self, content: bytes, target: Path) -> bool:
        beside = target.parent / f".{target.name}.new"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(beside, content)
        except OSError as error:
            raise PortalError(
                f"no se puede escribir {target}: {error.strerror}.",
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


_PAGE = """<!doctype html>
<html lang="es-AR">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }}
a {{ color: #0b5394; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem; border-bottom: 1px solid #ccc; }}
.aviso {{ border-left: .3rem solid #b45f06; padding: .5rem 1rem; background: #fff4e5; }}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _catalog_page(document: Mapping[str, Any], notices: Mapping[str, str]) -> str:
    items = "\n".join(
        f'<li><a href="{_text(item["identifier"])}/index.html">{_text(item["title"])}</a>'
        f"<br>{_text(_first_sentence(item['description']))} "
        f"<small>Actualizado: {_text(str(item['modified'])[:10])}.</small>"
        f"{_notice(notices.get(item['identifier']))}</li>"
        for item in document["dataset"]
    )
    body = (
        f"<h1>{_text(document['title'])}</h1>\n<p>{_text(document['description'])}</p>\n"
        f"<p>{_text(document['publisher']['name'])} · "
        f'<a href="data.json">Catálogo completo (data.json)</a></p>\n<ul>\n{items}\n</ul>'
    )
    return _PAGE.format(title=_text(document["title"]), body=body)


def _notice(text: str | None) -> str:
    return f'<p class="aviso">{_text(text)}</p>\n' if text else ""


def _dataset_page(package: Mapping[str, Any], notice: str | None = None) -> str:
    warnings = _notice(notice) + "".join(
        f'<p class="aviso">{_text(item)}</p>\n' for item in package["warnings"]
    )
    licence = package["licenses"][0]
    facts = [
        ("Publica", package["contributors"][1]["title"]),
        ("Frecuencia", package["accrualPeriodicity"]),
        ("Publicado", str(package["issued"])[:10]),
        ("Último cambio", str(package["modified"])[:10]),
        ("Fuentes", "; ".join(source["title"] for source in package["sources"])),
        ("Contacto", "{title} <{email}>".format(**package["contributors"][2])),
    ]
    rows = "\n".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>"
                     for name, value in facts)  # fmt: skip
    resources = "\n".join(_resource_section(resource) for resource in package["resources"])
    body = (
        f'<p><a href="../index.html">Todos los conjuntos</a></p>\n'
        f"<h1>{_text(package['title'])}</h1>\n{warnings}"
        f"<p>{_text(package['description'])}</p>\n<table>\n{rows}\n"
        f'<tr><th>Licencia</th><td><a href="{_text(licence["path"])}">{_text(licence["title"])}'
        f"</a></td></tr>\n</table>\n{resources}\n"
        f'<p><a href="{PACKAGE_NAME}">Descripción para programas ({PACKAGE_NAME})</a></p>'
    )
    return _PAGE.format(title=_text(package["title"]), body=body)


def _resource_section(resource: Mapping[str, Any]) -> str:
    fields = "\n".join(
        f"<tr><td><code>{_text(field['name'])}</code></td><td>{_text(field['type'])}</td>"
        f"<td>{_text(field['description'])}</td></tr>"
        for field in resource["schema"]["fields"]
    )
    return (
        f'<section id="{_text(resource["name"])}">\n<h2>{_text(resource["title"])}</h2>\n'
        f"<p>{_text(resource['description'])}</p>\n"
        f'<p><a href="{_text(resource["path"])}">Descargar {_text(resource["path"])}</a> '
        f"({_size(resource)})</p>\n"
        f"<details><summary>Columnas</summary><table>\n"
        f"<tr><th>Columna</th><th>Tipo</th><th>Descripción</th></tr>\n{fields}\n</table></details>\n"
        "</section>"
    )


def _size(resource: Mapping[str, Any]) -> str:
    rows = f"{resource['rowCount']} filas, " if "rowCount" in resource else ""
    return f"{rows}{resource['bytes']} bytes"


def _first_sentence(text: str) -> str:
    return text.split("\n", 1)[0].split(". ", 1)[0].rstrip(".") + "."


def _text(value: str) -> str:
    return html.escape(value, quote=True)

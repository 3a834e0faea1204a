"""A CKAN portal as anybody sees it: asked without the token, past what a cache may hold.

Belongs here: looking, and comparing what is seen with what was sent. Does not belong here: anything
that changes the portal, or recording what was seen (`orchestration/publishing.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from ckanapi import RemoteCKAN
from ckanapi.errors import NotAuthorized, NotFound, ValidationError

from exports.ckan.addresses import ARCHIVE
from exports.ckan.client import Patience, watched_session
from exports.ckan.description import (
    FILE_POINTER,
    FINGERPRINT,
    WITHDRAWN,
    Metadata,
    extras_of,
    file_name,
)
from exports.ckan.failures import DifferentBytesError, StaleError
from exports.formats import TIMEZONE
from exports.versions import Table

_CHUNK = 1 << 20


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


class Outside:
    """What the portal shows. Methods repeat themselves while a failure looks temporary.

    The checks raise StaleError while the public does not see what was published: a cache before
    the portal, or a replica behind it, may lag.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        self._patience = patience
        self._session = watched_session()
        self._session.headers["Cache-Control"] = "no-cache"
        self._ckan = RemoteCKAN(url, session=self._session)

    def names(self) -> list[str]:
        """Names of all public datasets, the archive of versions left out."""
        found: list[str] = self._patience.retried(partial(self._ask, "package_list"))
        return [name for name in found if name != ARCHIVE]

    def look(self, dataset: str) -> Seen | None:
        """The dataset; None when nobody sees it."""
        found = self._patience.retried(partial(self._dataset, dataset))
        if found is None or found.get("type") != "dataset":
            return None
        extras = extras_of(found)
        return Seen(
            name=dataset,
            title=str(found.get("title") or dataset),
            is_ours=FINGERPRINT in extras,
            is_withdrawn=WITHDRAWN in extras,
            issued=_moment(extras.get("issued")),
            modified=_moment(extras.get("modified")),
            frequency=extras.get("accrualPeriodicity"),
            resources=tuple(
                SeenResource(file_name(item), item.get("format") or None, item.get("filas"))
                for item in found["resources"]
            ),
        )

    def count_rows(self, resource_id: str, filters: Mapping[str, Any]) -> int | None:
        """Rows of a table for which the filters hold; None when it shows no such table or column:
        unknown, not none."""
        step = partial(
            self._ask, "datastore_search", resource_id=resource_id, filters=dict(filters), limit=0
        )
        try:
            return int(self._patience.retried(step)["total"])
        except (NotFound, NotAuthorized, ValidationError):
            return None

    def check_dataset(self, name: str, description: Metadata) -> None:
        """That the dataset is shown as described: its texts, and where its resources point."""
        self._patience.retried(partial(self._check_dataset, name, description))

    def check_table(self, resource_id: str, table: Table) -> None:
        """That the resource shows a table of so many rows."""
        self._patience.retried(partial(self._check_table, resource_id, table))

    def check_bytes(self, resource: Mapping[str, Any], address: str) -> str:
        """Download a file of a package and compare size and hash; the hash.

        Reads may be stale: only what stays different raises DifferentBytesError.
        """
        return self._patience.retried(partial(self._check_bytes, resource, address))

    def _dataset(self, name: str) -> Metadata | None:
        try:
            found: Metadata = self._ask("package_show", id=name)
        except (NotFound, NotAuthorized):
            return None
        return found

    def _check_dataset(self, name: str, description: Metadata) -> None:
        seen = self._dataset(name) or {}
        if extras_of(seen).get(FINGERPRINT) != description["extras"][FINGERPRINT]:
            raise StaleError("muestra todavía una versión anterior")
        shown = [item[FILE_POINTER] for item in seen["resources"] if item.get(FILE_POINTER)]
        if shown != [item[FILE_POINTER] for item in description["resources"]]:
            raise StaleError("muestra recursos de otra versión")

    def _check_table(self, resource_id: str, table: Table) -> None:
        try:
            found = self._ask("datastore_search", resource_id=resource_id, limit=0)
        except NotFound:
            raise StaleError(f"no muestra la tabla de {table.file}") from None
        if found["total"] != table.rows:
            raise StaleError(
                f"muestra {found['total']} filas de {table.file} en lugar de {table.rows}"
            )

    def _check_bytes(self, resource: Mapping[str, Any], address: str) -> str:
        digest, size = hashlib.sha256(), 0
        with self._session.get(address, timeout=self._patience.timeout, stream=True) as response:
            if not response.ok:
                raise StaleError(f"respondió {response.status_code} a la descarga")
            # CKAN serves a `.gz` with `Content-Encoding: gzip`: the bytes of that file are the
            # encoded ones, and are not decoded. Of any other file an encoding is the transport's.
            if str(resource["path"]).endswith(".gz"):
                response.raw.headers.pop("Content-Encoding", None)
            for chunk in response.iter_content(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        found = f"sha256:{digest.hexdigest()}"
        if (size, found) != (resource["bytes"], resource["hash"]):
            raise DifferentBytesError(f"devuelve {size} bytes con otra huella")
        return found

    def _ask(self, action: str, **asked: Any) -> Any:
        return self._ckan.call_action(
            action, asked, requests_kwargs={"timeout": self._patience.timeout}
        )


def _moment(text: str | None) -> dt.datetime | None:
    """A date of the metadata; None when there is none, or none that can be read."""
    try:
        found = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(TIMEZONE))

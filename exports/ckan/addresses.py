"""Where things are on a CKAN portal, and their ids: the same on every run and every machine.

Belongs here: ids made from names and content, and the addresses that follow from them. Does not
belong here: whether anything is there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from exports.versions import Table, Version

# The dataset that holds all versions.
ARCHIVE = "archivo-de-versiones"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/lujan-datos/exports")


@dataclass(frozen=True, slots=True)
class CkanAddresses:
    """Addresses under `url`, without a slash at its end; ids of one organisation's things."""

    url: str
    organization: str

    def page(self, dataset: str) -> str:
        return f"{self.url}/dataset/{dataset}"

    def access(self, dataset: str, file: str) -> str:
        return f"{self.page(dataset)}/resource/{self.resource_id(dataset, file)}"

    def download(self, dataset: str, file: str) -> str:
        return f"{self.access(dataset, file)}/download/{file}"

    def resource_id(self, dataset: str, file: str) -> str:
        """The file's resource, the same for ever; also the address of its DataStore table."""
        return self._derived(dataset, file)

    def in_archive(self, version_id: str, file: str) -> str:
        """Where the bytes of one version of a file are."""
        return f"{self.page(ARCHIVE)}/resource/{version_id}/download/{file}"

    def file_ids(self, version: Version) -> dict[str, str]:
        """By file, the resource of the archive that holds these bytes, or that will."""
        return {
            str(item["path"]): self._derived(version.dataset, str(item["path"]), item["hash"])
            for item in version.package["resources"]
        }

    def table_id(self, dataset: str, table: Table, taken: int = 0) -> str:
        """A table for these rows; another one when so many before it are taken by other rows."""
        return self._derived(dataset, table.file, "tabla", table.identity, *["otra"] * taken)

    def _derived(self, *parts: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, "/".join((self.organization, *parts))))

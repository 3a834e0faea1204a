"""DataStore tables of a CKAN portal: made, filled, read, and named by the public ids.

Belongs here: every call that concerns a table. Does not belong here: which rows it should hold and
how they travel (`datastore.py`), or which tables there should be (`archive.py`, `publisher.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson
import requests
from ckanapi.errors import CKANAPIError, NotFound

from exports import datastore
from exports.ckan.client import CkanClient
from exports.ckan.failures import TemporaryError
from exports.versions import Table

T = TypeVar("T")


class CkanTables:
    """The DataStore through the action API, as the loader speaks to it, and through `direct`.

    All methods but `insert` and `show_table` repeat themselves while a failure looks temporary.
    """

    def __init__(self, client: CkanClient, direct: datastore.DirectDataStore | None = None) -> None:
        self._client = client
        self._direct = direct

    @property
    def sends_differences(self) -> bool:
        """Whether changing a table is sooner done than filling one: not with its own database."""
        return self._direct is None

    def fill(self, table_id: str, table: Table, path: Path) -> None:
        """A whole table, all rows of `path` sent. Raises datastore.TableMismatchError."""
        if self._direct:
            self.create(table_id, table)
            self._direct.copy(table_id, table, path)
        else:
            datastore.load(self, table_id, table, path)

    # What the loader needs (datastore.TablePort).

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
        self.retried(partial(self._client.call, "datastore_create", data))

    def drop(self, table_id: str) -> None:
        def step() -> None:
            with suppress(NotFound):
                self._client.call("datastore_delete", {"resource_id": table_id, "force": True})

        self.retried(step)

    def count(self, table_id: str) -> int | None:
        def step() -> int | None:
            try:
                return int(self._search(table_id, limit=0)["total"])
            except NotFound:
                return None

        return self.retried(step)

    def insert(self, table_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        # orjson: a chunk is a megabyte of text, and the standard encoder would take as long over
        # it as the portal does.
        self._client.post(
            "datastore_upsert",
            orjson.dumps(
                {"resource_id": table_id, "records": records, "method": "insert", "force": True}
            ),
        )

    def remove(self, table_id: str, numbers: Sequence[int]) -> None:
        data = {"resource_id": table_id, "filters": {"_id": list(numbers)}, "force": True}
        self.retried(partial(self._client.call, "datastore_delete", data))

    def page(
        self, table_id: str, table: Table, after: int, rows: int, *, numbered: bool = False
    ) -> str:
        step = partial(
            self._search,
            table_id,
            fields=[*(["_id"] if numbered else []), *(column.id for column in table.columns)],
            records_format="csv",
            include_total=False,
            sort="_id",
            offset=after,
            limit=rows,
        )
        return str(self.retried(step)["records"])

    def fields(self, table_id: str) -> list[tuple[str, str]]:
        found = self.retried(partial(self._search, table_id, limit=0))
        return [(item["id"], item["type"]) for item in found["fields"] if item["id"] != "_id"]

    def retried(self, step: Callable[[], T]) -> T:
        return self._client.retried(step)

    # The names readers use.

    def behind(self, alias: str) -> str | None:
        """The table whose rows the alias names; None when it names none."""
        return self.retried(partial(self._behind, alias))

    def move_alias(self, alias: str, target: str | None) -> None:
        """Let the alias name the target's rows, or nothing.

        Through the API CKAN moves an alias in two calls. In between the id names nothing: a reader
        is told that it does not exist, never other rows; the metadata name the table itself all the
        time. In the database it is one transaction.
        """
        self.retried(partial(self._move_alias, alias, target))

    def show_table(self, resource_id: str) -> None:
        """Let the resource's page show its table, if the portal has CKAN's viewer for that."""
        # A preview is a courtesy: a portal that cannot has published the data all the same.
        with suppress(CKANAPIError, TemporaryError, requests.RequestException):
            views: Any = self._client.call("resource_view_list", {"id": resource_id})
            if not views:
                self._client.call(
                    "resource_view_create",
                    {"resource_id": resource_id, "view_type": "datatables_view", "title": "Tabla"},
                )

    def _move_alias(self, alias: str, target: str | None) -> None:
        owner = self._behind(alias)
        if owner == target:
            return
        if self._direct:
            self._direct.name(alias, target)
            return
        if owner is not None:
            self._set_aliases(owner, [])
        if target is not None:
            self._set_aliases(target, [alias])

    def _behind(self, alias: str) -> str | None:
        records = self._search("_table_metadata", filters={"name": alias}, limit=1)["records"]
        return records[0]["alias_of"] if records else None

    def _set_aliases(self, table_id: str, aliases: list[str]) -> None:
        data = {"resource_id": table_id, "aliases": aliases, "force": True}
        self._client.call("datastore_create", data)

    def _search(self, table_id: str, **asked: Any) -> dict[str, Any]:
        return self._client.call("datastore_search", {"resource_id": table_id, **asked})

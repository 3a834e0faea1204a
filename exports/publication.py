"""A version's way to a portal: begun, carried from state to state, resumed, gone back from.

Belongs here: the order of the states and what a failure in each of them leaves. Does not belong
here: their record (`versions.py`), the calls (`ckan/`), or preparing the files (`export.py`).

What a killed process leaves behind is told apart by its state. Before the switch readers have seen
nothing: the next run begins again, and because everything sent beside has an address made from
its content, only what is missing is sent. From `releida` on the version is finished before anything
else happens, with the facts recorded: the portal may stand between the two ends of the switch.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from exports.approvals import annul_approvals
from exports.errors import PortalError, ReadBackError
from exports.files import Connection
from exports.formats import TIMEZONE
from exports.portal import Publisher
from exports.versions import (
    ORDER,
    Approved,
    Checked,
    Compared,
    Facts,
    Journal,
    Origin,
    Prepared,
    ReadBack,
    Recorded,
    Switched,
    Table,
    Uploaded,
    Verified,
    Version,
)

# Versions of a dataset that stay at the portal, the one in force included.
KEPT_VERSIONS = 3
_ROLLS_FORWARD = ORDER[ORDER.index("releida") : -1]
_DATES = ("issued", "modified")


@runtime_checkable
class VersionedPortal(Publisher, Protocol):
    """A portal that holds several versions of a dataset and points readers to one of them.

    One method for every state; each may be repeated, and finds what an earlier try has done.
    """

    @property
    def portal(self) -> str: ...

    def compare(self, version: Version, live: Version | None) -> Compared: ...

    def upload(
        self,
        version: Version,
        live: Version | None,
        folder: Path,
        rows: Path,
        spare: Mapping[str, str] | None = None,
    ) -> Uploaded: ...

    def read_back(self, version: Version, live: Version | None) -> ReadBack: ...

    def switch(self, version: Version, live: Version | None) -> Switched: ...

    def verify(self, version: Version, live: Version | None) -> Verified: ...

    def prune(self, version: Version, kept: Sequence[Version]) -> Recorded: ...


def content_hash(package: Mapping[str, Any], tables: Sequence[Table]) -> str:
    """The same for the same data, columns and texts, whenever they were exported."""
    document = {key: value for key, value in package.items() if key not in _DATES}
    document["resources"] = [
        {key: value for key, value in item.items() if key not in _DATES}
        for item in package["resources"]
    ]
    document["tables"] = [table.model_dump(mode="json") for table in tables]
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def with_dates_of(package: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The package of equal content with the dates under which it was published."""
    dates = {item["path"]: _dates(item) for item in live["resources"]}
    resources = [{**item, **dates[item["path"]]} for item in package["resources"]]
    return {**package, **_dates(live), "resources": resources}


def _dates(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: described[key] for key in _DATES if key in described}


def begin(
    portal: VersionedPortal,
    journal: Journal,
    package: Mapping[str, Any],
    tables: Sequence[Table],
    rules: Sequence[str],
    *,
    origin: Origin = "exportacion",
) -> Version:
    """A version that is prepared, checked and compared. Raises PortalError; nothing is changed."""
    facts = Prepared(tables=tuple(tables))
    version = journal.begin(content_hash(package, tables), package, facts, origin)
    version = journal.advance(version, Checked(rules=tuple(rules)))
    try:
        compared = portal.compare(version, journal.live())
    except PortalError as error:
        journal.failed(version, str(error))
        raise
    return journal.advance(version, compared)


def draft(portal: VersionedPortal, package: Mapping[str, Any], tables: Sequence[Table]) -> Version:
    """A version that is recorded nowhere, to compare with."""
    facts = Prepared(tables=tuple(tables))
    moment = _now()
    return Version(
        id=0, dataset=str(package["name"]), portal=portal.portal, origin="exportacion",
        content=content_hash(package, tables), state=facts.STATE, package=package,
        facts={facts.STATE: facts.model_dump(mode="json")}, run_id="", error=None, rejection=None,
        started=moment, changed=moment,
    )  # fmt: skip


def finish(
    portal: VersionedPortal, journal: Journal, version: Version, folder: Path, rows: Path
) -> Version:
    """Carry an approved version to its end.

    Raises PortalError with the state reached recorded; the last good version stays in force until
    the switch. `folder` and `rows` are read only before `subida`.
    """
    live = journal.live()
    while version.state != "registrada":
        try:
            facts = _step(portal, journal, version, live, folder, rows)
        except ReadBackError as error:
            journal.abandon(version, str(error))
            raise
        except PortalError as error:
            journal.failed(version, str(error))
            raise
        version = journal.advance(version, facts)
    return version


def roll_forward(portal: VersionedPortal, journal: Journal) -> Version | None:
    """Finish what another process left: a version from reading back on, a withdrawal begun."""
    version = journal.unfinished()
    if version is None:
        return None
    withdrawal = version.origin == "retiro" and version.state in ("aprobada", "subida")
    if version.state not in _ROLLS_FORWARD and not withdrawal:
        return None
    return finish(portal, journal, version, Path(), Path())


def roll_back(
    portal: VersionedPortal,
    journal: Journal,
    *,
    by: str,
    reason: str,
    to: int | None = None,
    dry_run: bool = False,
) -> Version:
    """Point readers to an earlier version again; nothing is sent.

    `to` is the id of a recorded version; the one before the present when it is not given. The
    content gone back from is not published again by itself. With `dry_run` only the version that
    would come back is given. Raises PortalError when there is none.
    """
    roll_forward(portal, journal)
    live, target = _target(journal, to)
    if dry_run:
        return target
    tables = target.known(Prepared).tables
    version = begin(portal, journal, target.package, tables, ("ya publicada",),
                    origin="vuelta_atras")  # fmt: skip
    version = journal.advance(version, Approved(by=by, reason=reason, at=_now()))
    version = finish(portal, journal, version, Path(), Path())
    journal.reject(live, f"{by}: {reason}")
    return version


def withdraw(
    portal: VersionedPortal, journal: Journal, connection: Connection, *, by: str, reason: str
) -> Version:
    """Take every file and table away; the address stays and says why.

    Approvals from before no longer count: publishing again needs a new one. Raises PortalError
    when the dataset is not published.
    """
    roll_forward(portal, journal)
    live = journal.live()
    if live is None or live.origin == "retiro":
        raise PortalError(
            "no hay nada que retirar: no está publicado." if live is None else "ya está retirado.",
            dataset=journal.dataset,
            next_step="vea `lujan portal history`.",
        )
    # First of all: whatever happens later, no scheduled run publishes it again.
    annul_approvals(connection, journal.dataset, f"retirado: {reason}", by)
    moment = _now()
    package = _tombstone(live.package, reason, moment)
    version = begin(portal, journal, package, (), ("sin archivos",), origin="retiro")
    version = journal.advance(version, Approved(by=by, reason=reason, at=moment))
    return finish(portal, journal, version, Path(), Path())


def _step(
    portal: VersionedPortal,
    journal: Journal,
    version: Version,
    live: Version | None,
    folder: Path,
    rows: Path,
) -> Facts:
    match version.state:
        case "aprobada":
            return portal.upload(version, live, folder, rows, _spare(journal, version))
        case "subida":
            return portal.read_back(version, live)
        case "releida":
            return portal.switch(version, live)
        case "conmutada":
            return portal.verify(version, live)
        case "verificada":
            return _pruned(portal, journal, version)
        case _:
            raise ValueError(f"a version in state {version.state} is not ready to be published")


def _pruned(portal: VersionedPortal, journal: Journal, version: Version) -> Recorded:
    """Take older versions away. Of a withdrawal it is the very purpose, and must succeed."""
    try:
        return portal.prune(version, _kept(journal, version))
    except PortalError as error:
        if version.origin == "retiro":
            raise
        return Recorded(left=str(error))


def _spare(journal: Journal, version: Version) -> dict[str, str]:
    """Tables of the version that this one will push out, which no other needs, by file.

    Only of equal columns and key, so that they can be changed into those of this version.
    """
    newest = journal.recorded(KEPT_VERSIONS)
    if version.origin != "exportacion" or len(newest) < KEPT_VERSIONS:
        return {}
    *kept, oldest = newest
    needed = {id_ for item in kept for id_ in item.known(Uploaded).tables.values()}
    shapes = {table.file: _shape(table) for table in version.known(Prepared).tables}
    held = oldest.known(Uploaded).tables
    return {
        table.file: held[table.file]
        for table in oldest.known(Prepared).tables
        if shapes.get(table.file) == _shape(table) and held[table.file] not in needed
    }


def _shape(table: Table) -> tuple[object, ...]:
    return (table.key, [(column.id, column.type) for column in table.columns])


def _kept(journal: Journal, version: Version) -> list[Version]:
    """The version in force and those one can go back to; nothing after a withdrawal."""
    if version.origin == "retiro":
        return [version]
    earlier = []
    for item in journal.recorded(KEPT_VERSIONS - 1):
        if item.origin == "retiro":
            break
        earlier.append(item)
    return [version, *earlier]


def _target(journal: Journal, to: int | None) -> tuple[Version, Version]:
    recorded = journal.recorded()
    if not recorded:
        raise PortalError(
            "no está publicado en este portal.",
            dataset=journal.dataset,
            next_step="publíquelo con `lujan portal publish`.",
        )
    live, *earlier = recorded
    # What was withdrawn does not come back this way.
    for item in earlier if live.origin != "retiro" else ():
        wanted = item.id == to if to is not None else (
            item.content != live.content and item.rejection is None
        )  # fmt: skip
        if item.origin == "retiro":
            break
        if wanted:
            return live, item
    raise PortalError(
        "no hay una versión anterior a la que volver."
        if to is None
        else f"la versión {to} no está entre las que se pueden recuperar.",
        dataset=journal.dataset,
        next_step="vea las versiones con `lujan portal history`.",
    )


def _tombstone(package: Mapping[str, Any], reason: str, moment: dt.datetime) -> dict[str, Any]:
    """What stays at the address of a withdrawn dataset."""
    local = moment.astimezone(ZoneInfo(TIMEZONE))
    instant = local.isoformat(timespec="seconds")
    return {
        **package,
        "title": f"{package['title']} (retirado)",
        "description": f"Este conjunto se retiró el {local:%d/%m/%Y}. Motivo: {reason.strip()}",
        "warnings": [],
        "resources": [],
        "modified": instant,
        "withdrawn": instant,
        "withdrawalReason": reason.strip(),
    }


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

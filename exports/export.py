"""One portal dataset from its marts to its place: prepared, guarded, approved, installed, told.

Belongs here: the order of the steps, and what becomes of a dataset. Does not belong here: making
its files and what may leave (`preparation.py`), who answers for it (`approvals.py`), the record of
exports (`record.py`), how a portal is spoken to (`portal.py`, `publication.py`), or whether a
failed check withholds the dataset (the caller asks `record_withheld`).

In `output_dir`: `<dataset>/` holds the last good files and their `datapackage.json`,
`pendientes/<dataset>/` what waits for an approval, `data.json` the catalogue (`catalog.py`). Files
are replaced one by one in one step each, data first and `datapackage.json` last; its hashes tell a
reader whether a set is whole. Whatever goes wrong, the last good version stays.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.approvals import Approvals, annul_if_reclassified, standing_approval
from exports.contributions import Succession, contributions_of, contributions_turn, in_words
from exports.definition import DatasetDefinition, columns_fingerprint
from exports.disclosure import check_request
from exports.errors import ExportError, PortalError
from exports.files import (
    MAX_ROWS,
    Connection,
    ExportedFile,
    describe,
    install,
    remove_others,
    write_bytes,
)
from exports.manifest import Manifest
from exports.metadata import PACKAGE_NAME, CatalogFacts, data_package, dump, load_catalog_facts
from exports.portal import FolderPublisher, Publisher
from exports.preparation import (
    ROWS_FOLDER,
    STAGING_FOLDER,
    Job,
    Prepared,
    dated_package,
    prepare,
    rules_in_words,
)
from exports.publication import (
    VersionedPortal,
    begin,
    content_hash,
    draft,
    finish,
    roll_forward,
    with_dates_of,
)
from exports.record import State, clock, dataset_turn, hashes, history, record_export
from exports.succession import small_changes
from exports.versions import Approved, Compared, Journal, Version

PENDING_FOLDER = "pendientes"
# How the reason of a release begins that is held back until more has changed: nothing is wrong.
WAITING = "Espera:"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What became of one dataset. `error` is set when it was withheld because of a mistake."""

    dataset: str
    estado: State
    files: tuple[ExportedFile, ...] = ()
    rows: int = 0
    reason: str = ""
    address: str | None = None
    error: ExportError | None = None


def export_dataset(
    connection: Connection,
    definition: DatasetDefinition,
    manifest: Manifest,
    output_dir: Path,
    run_id: str,
    publisher: Publisher | None = None,
    approvals: Approvals | None = None,
    *,
    facts: CatalogFacts | None = None,
    now: dt.datetime | None = None,
    max_rows: int = MAX_ROWS,
    again: bool = False,
) -> ExportResult:
    """Export one dataset and record it; the connection must not be inside a transaction.

    A dataset that may not leave comes back as `retenida` with the error in the result, so that
    one mistake never stops the others; the caller shows it. PortalError is raised after the files
    were installed and recorded: the next run sends what the portal lacks. `approvals` are read
    from `meta.aprobacion` unless given (dataset → approved fingerprints). `again` publishes also
    the very content from which somebody went back.
    """
    facts = facts or load_catalog_facts()
    staging = output_dir / STAGING_FOLDER / definition.nombre
    job = Job(connection, definition, manifest, output_dir, run_id, facts, now)
    portal = publisher if isinstance(publisher, VersionedPortal) else None
    journal = Journal(connection, definition.nombre, portal.portal, run_id) if portal else None
    succession = Succession(connection, definition)
    with (
        dataset_turn(connection, definition.nombre),
        contributions_turn(connection, definition, manifest),
    ):
        _empty(staging)
        try:
            if portal and journal:
                # A switch begun by a process that died is finished before anything else.
                roll_forward(portal, journal)
            try:
                check_request(definition, manifest)
                prepared = prepare(job, staging, max_rows, succession, tables=portal is not None)
            except ExportError as error:
                annul_if_reclassified(connection, definition, error)
                _record(job, "retenida", reason=str(error), now=now)
                return ExportResult(definition.nombre, "retenida", reason=str(error), error=error)
            approval = standing_approval(connection, definition, approvals)
            if approval is None:
                return _hold_for_approval(job, prepared, portal, journal)
            if held := _held_back(job, prepared, publisher):
                return held
            if portal and journal:
                return _release_version(
                    job, prepared, approval, portal, journal, succession, again=again
                )
            return _release(job, prepared, publisher, succession)
        finally:
            succession.close()
            shutil.rmtree(staging, ignore_errors=True)


def compare_dataset(
    connection: Connection,
    definition: DatasetDefinition,
    manifest: Manifest,
    output_dir: Path,
    portal: VersionedPortal,
    *,
    facts: CatalogFacts,
    max_rows: int = MAX_ROWS,
) -> tuple[Mapping[str, Any], Compared, Version | None]:
    """What publishing now would change: the new description, the differences, what is in force.

    Prepares everything and changes nothing, neither at the portal nor in the record.
    Raises ExportError for what may not leave, PortalError when the portal cannot be asked.
    """
    staging = output_dir / STAGING_FOLDER / f"{definition.nombre}.comparacion"
    job = Job(connection, definition, manifest, output_dir, "comparacion", facts, None)
    live = Journal(connection, definition.nombre, portal.portal, job.run_id).live()
    succession = Succession(connection, definition)
    _empty(staging)
    try:
        check_request(definition, manifest)
        prepared = prepare(job, staging, max_rows, succession, tables=True)
        package = dated_package(job, prepared, clock(connection))
        return package, portal.compare(draft(portal, package, prepared.tables), live), live
    finally:
        succession.close()
        shutil.rmtree(staging, ignore_errors=True)


def record_withheld(
    connection: Connection, definition: DatasetDefinition, run_id: str, reason: str
) -> ExportResult:
    """Record that the dataset was not exported, e.g. because a check of its marts failed.

    Touches no file: what was published before stays where it is.
    """
    record_export(connection, definition, run_id, "retenida", reason=reason)
    return ExportResult(definition.nombre, "retenida", reason=reason)


def _hold_for_approval(
    job: Job, prepared: Prepared, portal: VersionedPortal | None, journal: Journal | None
) -> ExportResult:
    definition = job.definition
    package = data_package(
        definition,
        job.manifest,
        job.facts,
        prepared.files,
        temporal=prepared.temporal,
        omitted=prepared.omitted,
    )
    folder = f"{PENDING_FOLDER}/{definition.nombre}"
    files, _ = _install(prepared, package, job.output_dir / folder)
    reason = (
        "falta la aprobación de la primera publicación o de un cambio en sus columnas o en su "
        f"clasificación (huella {columns_fingerprint(definition)[:12]}); los archivos esperan en "
        f"{folder}."
    )
    if portal and journal:
        # For whoever approves: what would change. A portal that is down delays no approval.
        try:
            dated = dated_package(job, prepared, job.now or clock(job.connection))
            begin(portal, journal, dated, prepared.tables, rules_in_words(definition))
        except PortalError as error:
            reason += f" No se pudo comparar con el portal: {error}"
    _record(
        job, "pendiente_aprobacion", reason=reason, now=job.now,
        prepared=prepared, archives=[item.record(folder) for item in files],
    )  # fmt: skip
    return ExportResult(
        definition.nombre, "pendiente_aprobacion", files, prepared.rows, reason=reason
    )


def _held_back(job: Job, prepared: Prepared, publisher: Publisher | None) -> ExportResult | None:
    """The record of a release that has to wait; None when it may go on."""
    error = None
    try:
        reason = _waits(job, prepared, publisher)
    except ExportError as found:
        reason, error = str(found), found
    if not reason:
        return None
    name = job.definition.nombre
    _record(job, "retenida", reason=reason, now=job.now)
    return ExportResult(name, "retenida", rows=prepared.rows, reason=reason, error=error)


def _waits(job: Job, prepared: Prepared, publisher: Publisher | None) -> str:
    """Why this release would tell, together with the last one, of too few people; or nothing.

    Raises ExportError when the last one is not at hand to compare with.
    """
    past = history(job.connection, job.definition.nombre, last_only=True)
    recorded = hashes(past[-1][1]) if past else {}
    for resource in job.definition.recursos:
        rule = resource.divulgacion
        file = f"{resource.nombre}.csv"
        released = recorded.get(f"{job.definition.nombre}/{file}")
        if rule is None or rule.diferencia_minima is None or released is None:
            continue
        if contributions_of(job.manifest.mart(resource.mart)):
            continue  # cell by cell, by those who make it up
        before = job.folder / file
        if not before.is_file() or describe(before, rows=None).sha256 != released:
            raise ExportError(
                f"recurso {resource.nombre}: no se puede comparar con lo último publicado: falta "
                f"{before}, o es otro (regla: diferencia entre publicaciones).",
                dataset=job.definition.nombre,
                owner=job.definition.secretaria,
                next_step="devuelva ese archivo a su lugar y vuelva a correr"
                + (
                    f"; está en {publisher.download(job.definition.nombre, file)}."
                    if publisher
                    else "."
                ),
            )
        mart = job.manifest.mart(resource.mart)
        told = {rule.columna_conteo, *rule.medidas}
        key = [name for name in mart.meta.get("clave", ()) if name in resource.columnas] or [
            name for name in resource.columnas if name not in told
        ]
        try:
            found = small_changes(before, prepared.folder / file, resource, rule, key)
        except KeyError:
            continue  # other columns: a person approved them, and nothing is comparable
        if found:
            return (
                f"{WAITING} {len(found)} grupos de {resource.nombre} cambiaron en menos de "
                f"{rule.diferencia_minima} desde lo último publicado, y restando se sabría de "
                "quiénes (regla: diferencia entre publicaciones). Sale cuando haya más cambios."
            )
    return ""


def _release(
    job: Job, prepared: Prepared, publisher: Publisher | None, succession: Succession
) -> ExportResult:
    """Install the files, and copy them to a folder that is a portal."""
    moment = job.now or clock(job.connection)
    package = dated_package(job, prepared, moment)
    files, archives, state = _install_release(job, prepared, package, succession)
    destination, reason = str(job.folder), in_words(prepared.waiting)
    if isinstance(publisher, FolderPublisher):
        try:
            published = publisher.publish(job.folder, package)
        except PortalError as error:
            _record(
                job, state, reason=str(error), now=moment,
                prepared=prepared, archives=archives, destination=destination,
            )  # fmt: skip
            raise
        destination = published.address
        if published.sent:
            state = "publicada"
            reason = "; ".join(filter(None, (f"se enviaron: {', '.join(published.sent)}", reason)))
    _record(
        job, state, reason=reason, now=moment,
        prepared=prepared, archives=archives, destination=destination,
    )  # fmt: skip
    return ExportResult(
        job.definition.nombre, state, files, prepared.rows, reason=reason, address=destination
    )


def _release_version(
    job: Job,
    prepared: Prepared,
    approval: Approved,
    portal: VersionedPortal,
    journal: Journal,
    succession: Succession,
    *,
    again: bool,
) -> ExportResult:
    """Install the files and carry them to the portal as a version, unless it has them already."""
    name = job.definition.nombre
    moment = job.now or clock(job.connection)
    package = dated_package(job, prepared, moment)
    content = content_hash(package, prepared.tables)
    live = journal.live()
    if live and live.content == content:
        package = with_dates_of(package, live.package)
    if again:
        journal.accept_again(content)
    elif rejected := journal.rejection(content):
        reason = (
            f"se volvió atrás desde este mismo contenido ({rejected}); no se publica hasta que "
            f"cambie, o con `lujan portal publish {name} --again`."
        )
        _record(job, "retenida", reason=reason, now=job.now)
        return ExportResult(name, "retenida", rows=prepared.rows, reason=reason)
    files, archives, state = _install_release(job, prepared, package, succession)
    address = portal.page(name)

    def record(state: State, reason: str, destination: str) -> None:
        _record(
            job, state, reason=reason, now=moment,
            prepared=prepared, archives=archives, destination=destination,
        )  # fmt: skip

    try:
        version = begin(portal, journal, package, prepared.tables, rules_in_words(job.definition))
        compared = version.known(Compared)
        if compared.anything:
            version = journal.advance(version, approval)
            finish(portal, journal, version, job.folder, prepared.folder / ROWS_FOLDER)
            state = "publicada"
        else:
            journal.discard(version)
    except PortalError as error:
        # It came as far as the folder: the next run carries it on.
        record(state, str(error), str(job.folder))
        raise
    reason = "; ".join(filter(None, (_in_words(compared), in_words(prepared.waiting))))
    record(state, reason, address)
    return ExportResult(name, state, files, prepared.rows, reason=reason, address=address)


def _install_release(
    job: Job, prepared: Prepared, package: Mapping[str, Any], succession: Succession
) -> tuple[tuple[ExportedFile, ...], list[dict[str, Any]], State]:
    """The prepared files in the dataset's folder; whether they differ from the last ones."""
    name = job.definition.nombre
    past = history(job.connection, name, last_only=True)
    succession.remember()  # first: whatever breaks off, nothing was shown that is not known of
    files, _ = _install(prepared, package, job.folder)
    shutil.rmtree(job.output_dir / PENDING_FOLDER / name, ignore_errors=True)
    archives = [item.record(name) for item in files]
    changed = not past or hashes(past[-1][1]) != hashes(archives)
    return files, archives, "exportada" if changed else "sin_cambios"


def _in_words(compared: Compared) -> str:
    """What a publication changed, for the record."""
    parts = [
        (compared.is_new, "conjunto nuevo"),
        (compared.files, f"archivos: {', '.join(compared.files)}"),
        (compared.tables, f"tablas: {', '.join(compared.tables)}"),
        (compared.texts and not compared.is_new, f"metadatos: {', '.join(compared.texts)}"),
        (compared.removed, f"recursos que dejaron de publicarse: {', '.join(compared.removed)}"),
        (compared.by_hand, f"se corrigió lo editado en el portal: {', '.join(compared.by_hand)}"),
        (compared.foreign, f"recursos ajenos que se conservan: {', '.join(compared.foreign)}"),
    ]
    return "; ".join(words for holds, words in parts if holds)


def _install(
    prepared: Prepared, package: Mapping[str, Any], folder: Path
) -> tuple[tuple[ExportedFile, ...], bool]:
    """Put the prepared files and their description in `folder`, the description last."""
    write_bytes(prepared.folder / PACKAGE_NAME, dump(package))
    files = (*prepared.files, describe(prepared.folder / PACKAGE_NAME, rows=None))
    changed = [install(prepared.folder / item.path, folder / item.path) for item in files]
    removed = remove_others(folder, (item.path for item in files))
    return files, any(changed) or bool(removed)


def _record(
    job: Job,
    state: State,
    *,
    reason: str = "",
    now: dt.datetime | None = None,
    prepared: Prepared | None = None,
    archives: Sequence[Mapping[str, Any]] = (),
    destination: str | None = None,
) -> None:
    record_export(
        job.connection,
        job.definition,
        job.run_id,
        state,
        reason=reason,
        now=now,
        build_id=prepared.build_id if prepared else None,
        rows=prepared.rows if prepared else None,
        archives=archives,
        destination=destination,
    )


def _empty(folder: Path) -> None:
    """A clean staging folder: a killed run may have left half a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

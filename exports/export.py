"""One portal dataset from its marts to its place: prepared, guarded, approved, installed, told.

Belongs here: the order of the steps and their record in `meta.publicacion`, approvals, and the
catalogue of what is published. Does not belong here: how a file is written (`files.py`), what may
leave (`disclosure.py`), how a portal is spoken to (`portal.py`), or whether a failed check
withholds the dataset (the caller asks `record_withheld`).

In `output_dir`: `<dataset>/` holds the last good files and their `datapackage.json`,
`pendientes/<dataset>/` what waits for an approval, `data.json` the catalogue (`catalogo.jsonld` and
`catalogo.ttl` in DCAT-AP). Files are replaced
one by one in one step each, data first and `datapackage.json` last; its hashes tell a reader
whether a set is whole. Whatever goes wrong, the last good version stays.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from exports.datastore import describe_table, write_rows
from exports.dcat import JSONLD_NAME, TURTLE_NAME, dcat_catalog, turtle
from exports.definition import DatasetDefinition, columns_fingerprint
from exports.disclosure import check_request, check_rows
from exports.errors import DisclosureError, ExportError, PortalError
from exports.files import (
    MAX_ROWS,
    Connection,
    ExportedFile,
    date_range,
    describe,
    install,
    omitted_rows,
    remove_others,
    rows_of,
    snapshot,
    write_bytes,
    write_dataset,
)
from exports.manifest import Manifest
from exports.metadata import (
    PACKAGE_NAME,
    Addresses,
    CatalogFacts,
    catalog,
    data_package,
    dictionary_csv,
    dictionary_markdown,
    dump,
    load_catalog_facts,
    synthetic_notes,
    validate_catalog,
)
from exports.portal import FolderPublisher, Publisher
from exports.publication import (
    VersionedPortal,
    annul_approvals,
    begin,
    content_hash,
    draft,
    finish,
    roll_forward,
    with_dates_of,
)
from exports.succession import small_changes
from exports.versions import Approved, Compared, Journal, Table, Version

PENDING_FOLDER = "pendientes"
# How the reason of a release begins that is held back until more has changed: nothing is wrong.
WAITING = "Espera:"
CATALOG_NAME = "data.json"
_STAGING_FOLDER = ".preparacion"
_ROWS_FOLDER = "filas"

State = Literal["exportada", "sin_cambios", "retenida", "publicada", "pendiente_aprobacion"]
Approvals = Mapping[str, Collection[str]]


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


@dataclass(frozen=True, slots=True)
class CatalogResult:
    """The catalogue as written, and whether its bytes changed."""

    path: Path
    document: Mapping[str, Any]
    changed: bool


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
    staging = output_dir / _STAGING_FOLDER / definition.nombre
    job = _Job(connection, definition, manifest, output_dir, run_id, facts, now)
    portal = publisher if isinstance(publisher, VersionedPortal) else None
    journal = Journal(connection, definition.nombre, portal.portal, run_id) if portal else None
    with dataset_turn(connection, definition.nombre):
        _empty(staging)
        try:
            if portal and journal:
                # A switch begun by a process that died is finished before anything else.
                roll_forward(portal, journal)
            try:
                check_request(definition, manifest)
                prepared = _prepare(job, staging, max_rows, tables=portal is not None)
            except ExportError as error:
                _classification_changed(connection, definition, error)
                _record(connection, definition, run_id, "retenida", reason=str(error), now=now)
                return ExportResult(definition.nombre, "retenida", reason=str(error), error=error)
            approval = _approval(connection, definition, approvals)
            if approval is None:
                return _hold_for_approval(job, prepared, portal, journal)
            if held := _held_back(job, prepared, publisher):
                return held
            if portal and journal:
                return _release_version(job, prepared, approval, portal, journal, again=again)
            return _release(job, prepared, publisher)
        finally:
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
    staging = output_dir / _STAGING_FOLDER / f"{definition.nombre}.comparacion"
    job = _Job(connection, definition, manifest, output_dir, "comparacion", facts, None)
    live = Journal(connection, definition.nombre, portal.portal, job.run_id).live()
    _empty(staging)
    try:
        check_request(definition, manifest)
        prepared = _prepare(job, staging, max_rows, tables=True)
        package = _package(job, prepared, _clock(connection))
        return package, portal.compare(draft(portal, package, prepared.tables), live), live
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def record_withheld(
    connection: Connection, definition: DatasetDefinition, run_id: str, reason: str
) -> ExportResult:
    """Record that the dataset was not exported, e.g. because a check of its marts failed.

    Touches no file: what was published before stays where it is.
    """
    _record(connection, definition, run_id, "retenida", reason=reason)
    return ExportResult(definition.nombre, "retenida", reason=reason)


def approve(connection: Connection, definition: DatasetDefinition, by: str, reason: str) -> str:
    """Record that a person approved publishing these columns; the approved fingerprint.

    Repeating an approval that stands changes nothing. ExportError without a name or a reason.
    """
    if not by.strip() or not reason.strip():
        raise ExportError(
            "la aprobación necesita el nombre de quien aprueba y el motivo.",
            dataset=definition.nombre,
            owner=definition.secretaria,
            next_step="repita la aprobación con ambos datos.",
        )
    fingerprint = columns_fingerprint(definition)
    with connection.transaction():
        connection.execute(
            "insert into meta.aprobacion "
            "(conjunto, columnas_sha256, aprobado_por, motivo, aprobado_en) "
            "select %(name)s, %(hash)s, %(by)s, %(reason)s, clock_timestamp() where not exists ("
            "select 1 from meta.aprobacion_vigente where conjunto = %(name)s "
            "and columnas_sha256 = %(hash)s)",
            {
                "name": definition.nombre,
                "hash": fingerprint,
                "by": by.strip(),
                "reason": reason.strip(),
            },
        )
    return fingerprint


def load_approvals(connection: Connection) -> dict[str, frozenset[str]]:
    """Approved fingerprints by dataset, those annulled left out."""
    found: dict[str, set[str]] = {}
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("select conjunto, columnas_sha256 from meta.aprobacion_vigente")
        for name, fingerprint in cursor:
            found.setdefault(name, set()).add(fingerprint)
    return {name: frozenset(values) for name, values in found.items()}


def build_catalog(
    connection: Connection,
    names: Iterable[str],
    output_dir: Path,
    addresses: Addresses,
    *,
    facts: CatalogFacts | None = None,
) -> CatalogResult:
    """Write `data.json` with the datasets that were approved and exported, as they stand.

    The same catalogue as DCAT-AP is written before it.

    `names` are the datasets the city defines today (`LoadedDefinitions.names`: also those whose
    document is broken, because their last good files are still published). A dataset whose files
    do not match their record is refused. Raises ExportError, and leaves the old catalogue, when
    the new one breaks the national profile.
    """
    facts = facts or load_catalog_facts()
    packages = []
    for name in sorted(set(names)):
        # In its turn: an export of this dataset under way would be seen half installed.
        with dataset_turn(connection, name):
            if _is_withdrawn(connection, name):
                continue
            if archives := _last_good(connection, name):
                _check_recorded(name, output_dir, archives)
                path = output_dir / name / PACKAGE_NAME
                packages.append(json.loads(path.read_text(encoding="utf-8")))
    document = catalog(facts, packages, addresses)
    if problems := validate_catalog(document):
        raise ExportError(
            f"data.json no cumple el perfil nacional: {'; '.join(problems)}.",
            next_step="corrija las definiciones o catalogo.yaml; el catálogo anterior queda como "
            "está.",
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    linked = dcat_catalog(facts, packages, addresses)
    if (
        _install_bytes(output_dir, JSONLD_NAME, dump(linked))
        or not (output_dir / TURTLE_NAME).is_file()
    ):
        _install_bytes(output_dir, TURTLE_NAME, turtle(linked))
    changed = _install_bytes(output_dir, CATALOG_NAME, dump(document))
    return CatalogResult(output_dir / CATALOG_NAME, document, changed)


def _install_bytes(output_dir: Path, name: str, content: bytes) -> bool:
    """Put a small file in its place in one step; False when the same bytes were there."""
    staging = output_dir / _STAGING_FOLDER
    staging.mkdir(exist_ok=True)
    write_bytes(staging / name, content)
    changed = install(staging / name, output_dir / name)
    (staging / name).unlink()
    return changed


@dataclass(frozen=True, slots=True)
class _Job:
    """What every step of one export needs to know."""

    connection: Connection
    definition: DatasetDefinition
    manifest: Manifest
    output_dir: Path
    run_id: str
    facts: CatalogFacts
    now: dt.datetime | None

    @property
    def folder(self) -> Path:
        """Where the last good files of the dataset are."""
        return self.output_dir / self.definition.nombre


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Files in the staging folder, all from one view of the warehouse."""

    folder: Path
    files: tuple[ExportedFile, ...]
    tables: tuple[Table, ...]
    temporal: tuple[dt.date, dt.date] | None
    build_id: int | None
    omitted: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows of the dataset: each resource once, whatever its formats."""
        return rows_of(self.files)


def _prepare(job: _Job, staging: Path, max_rows: int, *, tables: bool) -> _Prepared:
    """Write and check everything in one view of the warehouse: what was checked is what leaves."""
    connection, definition, manifest = job.connection, job.definition, job.manifest
    with snapshot(connection):
        check_rows(connection, definition, manifest)
        files = write_dataset(
            connection, definition, manifest, staging, max_rows, notes=synthetic_notes(job.facts)
        )
        loaded = _write_tables(job, staging / _ROWS_FOLDER, files) if tables else ()
        ranges = [
            found
            for resource in definition.recursos
            if (found := date_range(connection, resource, manifest.mart(resource.mart)))
        ]
        omitted = {
            resource.nombre: omitted_rows(connection, resource, manifest.mart(resource.mart))
            for resource in definition.recursos
        }
        build_id = _newest_build(connection, definition.marts)
    content, rows = dictionary_csv(definition, manifest, files)
    write_bytes(staging / definition.dictionary_name, content)
    files.append(describe(staging / definition.dictionary_name, rows=rows))
    write_bytes(
        staging / definition.dictionary_page_name, dictionary_markdown(definition, manifest)
    )
    files.append(describe(staging / definition.dictionary_page_name, rows=None))
    temporal = None
    if ranges:
        temporal = (min(first for first, _ in ranges), max(last for _, last in ranges))
    return _Prepared(staging, tuple(files), loaded, temporal, build_id, omitted)


def _write_tables(job: _Job, folder: Path, files: Sequence[ExportedFile]) -> tuple[Table, ...]:
    """The rows of every resource in loading form; the first of its files carries the table."""
    found = []
    for resource in job.definition.recursos:
        carrier = next(item.path for item in files if item.resource == resource.nombre)
        path = folder / f"{resource.nombre}.filas"
        written = write_rows(job.connection, resource, job.manifest, path)
        found.append(describe_table(resource, carrier, job.manifest, written))
    return tuple(found)


def _package(job: _Job, prepared: _Prepared, moment: dt.datetime) -> dict[str, Any]:
    """Description of what leaves, with its dates from the record of earlier exports."""
    name = job.definition.nombre
    past = _history(job.connection, name)
    return data_package(
        job.definition, job.manifest, job.facts, prepared.files,
        issued=past[0][0] if past else moment,
        modified=_last_changes(past, name, prepared.files, moment),
        temporal=prepared.temporal, omitted=prepared.omitted,
    )  # fmt: skip


def _rules(definition: DatasetDefinition) -> tuple[str, ...]:
    """The disclosure rules that were checked, in words."""
    words = ["columnas de libre acceso"]
    for resource in definition.recursos:
        if rule := resource.divulgacion:
            words.append(f"{resource.nombre}: {rule.columna_conteo} ≥ {rule.umbral_minimo}")
            if rule.dominancia:
                words.append(f"{resource.nombre}: dominancia ≤ {rule.dominancia.maximo_pct} %")
            if rule.margenes:
                words.append(f"{resource.nombre}: supresión complementaria")
    return tuple(words)


def _approval(
    connection: Connection, definition: DatasetDefinition, approvals: Approvals | None
) -> Approved | None:
    """Who answers for these columns leaving; None while nobody does."""
    fingerprint = columns_fingerprint(definition)
    if approvals is not None:
        if fingerprint not in approvals.get(definition.nombre, ()):
            return None
        return Approved(by="quien exporta", reason="aprobación dada en la llamada",
                        at=_clock(connection))  # fmt: skip
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select aprobado_por, motivo, aprobado_en from meta.aprobacion_vigente "
            "where conjunto = %s and columnas_sha256 = %s order by aprobado_en desc limit 1",
            (definition.nombre, fingerprint),
        ).fetchone()
    return Approved(by=row[0], reason=row[1], at=row[2]) if row else None


def _classification_changed(
    connection: Connection, definition: DatasetDefinition, error: ExportError
) -> None:
    """A column that stopped being open: opening it again takes a new approval."""
    standing = load_approvals(connection).get(definition.nombre)
    if isinstance(error, DisclosureError) and error.columns and standing:
        annul_approvals(connection, definition.nombre, error.what, "control de clasificación")


def _hold_for_approval(
    job: _Job, prepared: _Prepared, portal: VersionedPortal | None, journal: Journal | None
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
            dated = _package(job, prepared, job.now or _clock(job.connection))
            begin(portal, journal, dated, prepared.tables, _rules(definition))
        except PortalError as error:
            reason += f" No se pudo comparar con el portal: {error}"
    _record(
        job.connection, definition, job.run_id, "pendiente_aprobacion", reason=reason, now=job.now,
        prepared=prepared, archives=[item.record(folder) for item in files],
    )  # fmt: skip
    return ExportResult(
        definition.nombre, "pendiente_aprobacion", files, prepared.rows, reason=reason
    )


def _held_back(job: _Job, prepared: _Prepared, publisher: Publisher | None) -> ExportResult | None:
    """The record of a release that has to wait; None when it may go on."""
    error = None
    try:
        reason = _waits(job, prepared, publisher)
    except ExportError as found:
        reason, error = str(found), found
    if not reason:
        return None
    name = job.definition.nombre
    _record(job.connection, job.definition, job.run_id, "retenida", reason=reason, now=job.now)
    return ExportResult(name, "retenida", rows=prepared.rows, reason=reason, error=error)


def _waits(job: _Job, prepared: _Prepared, publisher: Publisher | None) -> str:
    """Why this release would tell, together with the last one, of too few people; or nothing.

    Raises ExportError when the last one is not at hand to compare with.
    """
    past = _history(job.connection, job.definition.nombre, last_only=True)
    recorded = _hashes(past[-1][1]) if past else {}
    for resource in job.definition.recursos:
        rule = resource.divulgacion
        file = f"{resource.nombre}.csv"
        released = recorded.get(f"{job.definition.nombre}/{file}")
        if rule is None or rule.diferencia_minima is None or released is None:
            continue
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


def _release(job: _Job, prepared: _Prepared, publisher: Publisher | None) -> ExportResult:
    """Install the files, and copy them to a folder that is a portal."""
    moment = job.now or _clock(job.connection)
    package = _package(job, prepared, moment)
    files, archives, state = _install_release(job, prepared, package)
    destination, reason = str(job.folder), ""
    if isinstance(publisher, FolderPublisher):
        try:
            published = publisher.publish(job.folder, package)
        except PortalError as error:
            _record(
                job.connection, job.definition, job.run_id, state, reason=str(error), now=moment,
                prepared=prepared, archives=archives, destination=destination,
            )  # fmt: skip
            raise
        destination = published.address
        if published.sent:
            state, reason = "publicada", f"se enviaron: {', '.join(published.sent)}"
    _record(
        job.connection, job.definition, job.run_id, state, reason=reason, now=moment,
        prepared=prepared, archives=archives, destination=destination,
    )  # fmt: skip
    return ExportResult(
        job.definition.nombre, state, files, prepared.rows, reason=reason, address=destination
    )


def _release_version(
    job: _Job,
    prepared: _Prepared,
    approval: Approved,
    portal: VersionedPortal,
    journal: Journal,
    *,
    again: bool,
) -> ExportResult:
    """Install the files and carry them to the portal as a version, unless it has them already."""
    name = job.definition.nombre
    moment = job.now or _clock(job.connection)
    package = _package(job, prepared, moment)
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
        _record(job.connection, job.definition, job.run_id, "retenida", reason=reason, now=job.now)
        return ExportResult(name, "retenida", rows=prepared.rows, reason=reason)
    files, archives, state = _install_release(job, prepared, package)
    address = portal.page(name)

    def record(state: State, reason: str, destination: str) -> None:
        _record(
            job.connection, job.definition, job.run_id, state, reason=reason, now=moment,
            prepared=prepared, archives=archives, destination=destination,
        )  # fmt: skip

    try:
        version = begin(portal, journal, package, prepared.tables, _rules(job.definition))
        compared = version.known(Compared)
        if compared.anything:
            version = journal.advance(version, approval)
            finish(portal, journal, version, job.folder, prepared.folder / _ROWS_FOLDER)
            state = "publicada"
        else:
            journal.discard(version)
    except PortalError as error:
        # It came as far as the folder: the next run carries it on.
        record(state, str(error), str(job.folder))
        raise
    reason = _in_words(compared)
    record(state, reason, address)
    return ExportResult(name, state, files, prepared.rows, reason=reason, address=address)


def _install_release(
    job: _Job, prepared: _Prepared, package: Mapping[str, Any]
) -> tuple[tuple[ExportedFile, ...], list[dict[str, Any]], State]:
    """The prepared files in the dataset's folder; whether they differ from the last ones."""
    name = job.definition.nombre
    past = _history(job.connection, name, last_only=True)
    files, _ = _install(prepared, package, job.folder)
    shutil.rmtree(job.output_dir / PENDING_FOLDER / name, ignore_errors=True)
    archives = [item.record(name) for item in files]
    changed = not past or _hashes(past[-1][1]) != _hashes(archives)
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
    prepared: _Prepared, package: Mapping[str, Any], folder: Path
) -> tuple[tuple[ExportedFile, ...], bool]:
    """Put the prepared files and their description in `folder`, the description last."""
    write_bytes(prepared.folder / PACKAGE_NAME, dump(package))
    files = (*prepared.files, describe(prepared.folder / PACKAGE_NAME, rows=None))
    changed = [install(prepared.folder / item.path, folder / item.path) for item in files]
    removed = remove_others(folder, (item.path for item in files))
    return files, any(changed) or bool(removed)


@contextmanager
def dataset_turn(connection: Connection, name: str) -> Iterator[None]:
    """One export or change at the portal of a dataset at a time, on whatever machine it runs."""
    key = f"exports:{name}"
    with connection.transaction():
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (key,))
    try:
        yield
    finally:
        # A lost connection has already given the lock back.
        if not connection.closed:
            with connection.transaction():
                connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def _record(
    connection: Connection,
    definition: DatasetDefinition,
    run_id: str,
    state: State,
    *,
    reason: str = "",
    now: dt.datetime | None = None,
    prepared: _Prepared | None = None,
    archives: Sequence[Mapping[str, Any]] = (),
    destination: str | None = None,
) -> None:
    with connection.transaction():
        connection.execute(
            "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256, "
            "construccion_id, filas, archivos, destino, motivo, fin) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, clock_timestamp()))",
            (
                run_id,
                definition.nombre,
                state,
                definition.sha256,
                prepared.build_id if prepared else None,
                prepared.rows if prepared else None,
                Jsonb(list(archives)),
                destination,
                reason or None,
                now,
            ),
        )


_History = list[tuple[dt.datetime, list[dict[str, Any]]]]


def _history(connection: Connection, name: str, *, last_only: bool = False) -> _History:
    """Moment and files of the exports that changed something, oldest first."""
    query = (
        "select fin, archivos from meta.publicacion where conjunto = %s "
        "and estado in ('exportada', 'publicada') order by publicacion_id desc limit %s"
    )
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(query, (name, 1 if last_only else None)).fetchall()
    return found[::-1]


def _last_good(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Files of the dataset's last good export; empty when it was never exported."""
    past = _history(connection, name, last_only=True)
    return past[-1][1] if past else []


def _is_withdrawn(connection: Connection, name: str) -> bool:
    """Whether the last thing that happened to the dataset on its portal was its withdrawal."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select origen from meta.version_portal where conjunto = %s "
            "and estado not in ('abandonada', 'preparada', 'controlada', 'comparada') "
            "order by version_id desc limit 1",
            (name,),
        ).fetchone()
    return row is not None and row[0] == "retiro"


def _check_recorded(name: str, output_dir: Path, archives: Sequence[Mapping[str, Any]]) -> None:
    """ExportError when the files on disk are not those of the last good export."""
    for item in archives:
        path = output_dir / item["path"]
        if not path.is_file() or describe(path, rows=None).sha256 != item["sha256"]:
            raise ExportError(
                f"el archivo {path} no es el que se exportó.",
                dataset=name,
                next_step="exporte de nuevo el conjunto; el catálogo anterior queda como está.",
            )


def _last_changes(
    past: _History, folder: str, files: Sequence[ExportedFile], moment: dt.datetime
) -> dict[str, dt.datetime]:
    """When the bytes of every file last changed; `moment` for those that change now."""
    changes: dict[str, dt.datetime] = {}
    for item in files:
        since = moment
        for then, archives in reversed(past):
            if _hashes(archives).get(f"{folder}/{item.path}") != item.sha256:
                break
            since = then
        changes[item.path] = since
    return changes


def _hashes(archives: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {item["path"]: item["sha256"] for item in archives}


def _newest_build(connection: Connection, marts: Sequence[str]) -> int | None:
    """The newest successful build of these marts that the snapshot sees; None when unknown."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select max(construccion_id) from meta.construccion "
            "where objeto = any(%s) and estado = 'ok'",
            (list(marts),),
        ).fetchone()
    return row[0] if row else None


def _clock(connection: Connection) -> dt.datetime:
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute("select clock_timestamp()").fetchone()
    moment: dt.datetime = row[0]
    return moment


def _empty(folder: Path) -> None:
    """A clean staging folder: a killed run may have left half a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

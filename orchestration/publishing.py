"""Publishing outside a whole run: one dataset now, back, or away; and looking at the portal.

Belongs here: putting gate, warehouse, settings and portal together for the command line and for
Dagster. Does not belong here: words on a screen (`cli/portal.py`), or the work (`exports/`).
"""

from __future__ import annotations

import csv
import datetime as dt
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from exports.definition import (
    FREQUENCIES,
    DatasetDefinition,
    columns_fingerprint,
    load_definitions,
)
from exports.errors import PortalError
from exports.export import WAITING, ExportResult, compare_dataset, export_dataset, record_withheld
from exports.manifest import Manifest
from exports.metadata import CatalogFacts, load_catalog_facts
from exports.portal import LocalPublisher, Publisher
from exports.publication import roll_back, withdraw
from exports.record import dataset_turn
from exports.versions import Compared, Journal, Version
from orchestration.gate import obstacles
from orchestration.releases import Release, covering
from orchestration.settings import CITY_TIMEZONE, REFERENCE_DIR, settings
from orchestration.synthetic import holds_sample
from orchestration.warehouse.connection import Warehouse, locate
from orchestration.wording import day
from sources.errors import UnknownDataset
from sources.raw_table import Connection

if TYPE_CHECKING:
    from exports.ckan.publisher import CkanPublisher

_log = logging.getLogger(__name__)

# National profile: up to date while less than 1.2 periods have passed.
_SLACK = 1.2
STRATEGIC_MART = "proyectos.dim_indicador"


def catalog_facts(connection: Connection) -> CatalogFacts:
    """What the catalogue says of itself: synthetic while the sample is in the warehouse,
    whatever else is connected since."""
    config = settings()
    return load_catalog_facts(
        correo=config.contact_email,
        portal=config.ckan_url or config.portal_url,
        sintetico=holds_sample(connection),
    )


def publisher(facts: CatalogFacts, notices: Mapping[str, str] | None = None) -> Publisher:
    """The portal when `CKAN_URL` is set, otherwise the same tree on disk.

    `notices` are what the pages of the tree say of datasets that are withheld or released by hand.
    """
    if settings().ckan_url:
        return ckan(facts)
    return LocalPublisher(settings().portal_dir, facts.portal, notices)


def destination(dataset: str) -> str:
    """Where a dataset is once it is published, as `meta.publicacion.destino` has it."""
    config = settings()
    if config.ckan_url:
        return f"{config.ckan_url.rstrip('/')}/dataset/{dataset}"
    return str(config.portal_dir / dataset)


def portal_notices(
    connection: Connection, *, leaving: str | None = None, now: dt.datetime | None = None
) -> dict[str, str]:
    """What the public page of a dataset must say of it today, by dataset.

    That it is overdue, that it is withheld, or that a person let it leave: the last one that holds.
    `leaving` is about to be published: what was withheld of it no longer is.
    """
    overdue = _overdue_notices(connection, now or dt.datetime.now(dt.UTC))
    withheld = {
        str(name): (
            f"La actualización de este conjunto está retenida desde el {day(since)} porque un "
            "control de calidad no pasa. Se muestra la última versión publicada"
            + (f", del {day(good)}." if good else ".")
        )
        for name, since, good, reason in connection.execute(
            "select conjunto, retenida_desde, ultima_buena, motivo from meta.retencion_vigente"
        )
        if not (reason or "").startswith(WAITING)
    }
    released = {
        str(name): (
            "Esta versión se publicó por decisión expresa, con un control de calidad sin pasar "
            f"({day(when)})."
        )
        for name, when, release in connection.execute(
            "select distinct on (conjunto) conjunto, fin, liberacion_id from meta.publicacion "
            "order by conjunto, publicacion_id desc"
        )
        if release is not None
    }
    notices = overdue | withheld | released
    return {name: words for name, words in notices.items() if name != leaving}


def _overdue_notices(connection: Connection, now: dt.datetime) -> dict[str, str]:
    """Of datasets that were published and were not brought up to date in their time."""
    definitions, _ = load_definitions()
    periods = _periods()
    found = {}
    for name, last in _last_settled(connection).items():
        definition = definitions.get(name)
        period = periods.get(definition.frecuencia) if definition else None
        if definition and period and last and now - last > period * _SLACK:
            found[name] = (
                f"Este conjunto se actualiza {FREQUENCIES[definition.frecuencia]} y está "
                f"atrasado: se muestra la última versión, del {day(last)}."
            )
    return found


def show_notices(connection: Connection, dataset: str | None = None) -> list[str]:
    """Bring the notices on public pages up to date; on CKAN those of `dataset`, or of all of ours.

    Only texts change: no data are sent. A portal that does not answer stops nothing; what it said
    is given back, and the next look tries again.
    """
    config = settings()
    notices = portal_notices(connection)
    if not config.ckan_url:
        address = catalog_facts(connection).portal
        LocalPublisher(config.portal_dir, address, notices).refresh_pages()
        return []
    problems = []
    try:
        # A courtesy: a run that withholds much does not wait long for a portal that is down.
        portal = ckan(catalog_facts(connection), attempts=2)
        for name in [dataset] if dataset else _ours(connection, portal.portal):
            portal.announce(name, notices.get(name))
    except PortalError as error:
        problems.append(f"No se pudo actualizar el aviso de la página. {error}")
        _log.warning(problems[-1])
    return problems


def _ours(connection: Connection, portal: str) -> list[str]:
    """Datasets that we published on this portal and did not withdraw."""
    return [
        str(name)
        for name, origin in connection.execute(
            "select distinct on (conjunto) conjunto, origen from meta.version_portal "
            "where portal = %s and estado = 'registrada' order by conjunto, version_id desc",
            [portal],
        )
        if origin != "retiro"
    ]


def record_release(
    warehouse: Warehouse, definition: DatasetDefinition, run_id: str, release: Release
) -> None:
    """Say in the record of the publication by which release it left."""
    with warehouse.connect() as connection:
        connection.execute(
            "update meta.publicacion set liberacion_id = %s where publicacion_id = ("
            "select max(publicacion_id) from meta.publicacion where conjunto = %s "
            "and corrida_id = %s)",
            [release.id, definition.nombre, run_id],
        )
        connection.commit()
        show_notices(connection, definition.nombre)


def ckan(facts: CatalogFacts, *, attempts: int = 6) -> CkanPublisher:
    """The city's portal. Raises PortalError when none is configured."""
    from exports.ckan.publisher import CkanPublisher
    from exports.datastore import DirectDataStore

    config = settings()
    if not config.ckan_url:
        raise PortalError(
            "no hay un portal CKAN configurado.",
            next_step="ponga CKAN_URL y CKAN_TOKEN en el entorno o en .env.",
        )
    token = config.ckan_token.get_secret_value() if config.ckan_token else ""
    direct = None
    if config.ckan_datastore_url:
        direct = DirectDataStore(config.ckan_datastore_url.get_secret_value())
    return CkanPublisher(config.ckan_url, token, facts, direct=direct, attempts=attempts)


def find_definition(name: str) -> DatasetDefinition:
    """The definition of that name. Raises its own error when it is broken, or UnknownDataset."""
    definitions, errors = load_definitions()
    for error in errors:
        if error.dataset == name:
            raise error
    if name not in definitions:
        raise UnknownDataset(name, definitions)
    return definitions[name]


@dataclass(frozen=True, slots=True)
class Difference:
    """What publishing a dataset now would change, and what keeps it from leaving."""

    definition: DatasetDefinition
    compared: Compared
    rows_before: Mapping[str, int | None]
    rows_now: Mapping[str, int | None]
    obstacles: tuple[str, ...]


def difference(name: str) -> Difference:
    """Compare a dataset, prepared anew, with the portal; changes nothing."""
    definition = find_definition(name)
    with locate().connect(autocommit=True) as connection:
        facts = catalog_facts(connection)
        portal = ckan(facts)
        found = tuple(str(item) for item in obstacles(connection, definition.columns_by_mart))
        package, compared, live = compare_dataset(
            connection, definition, _manifest(), settings().exports_dir, portal, facts=facts
        )
    return Difference(definition, compared, _rows(live.package if live else {}), _rows(package),
                      found)  # fmt: skip


def publish(name: str, *, again: bool = False) -> ExportResult:
    """Publish one dataset now, if the gate or a person's release lets it. Raises PortalError."""
    definition, run_id = find_definition(name), _run_id()
    with locate().connect(autocommit=True) as connection:
        facts = catalog_facts(connection)
        found = obstacles(connection, definition.columns_by_mart)
        release = covering(connection, name, found) if found else None
        if found and release is None:
            words = "; ".join(str(item) for item in found)
            withheld = record_withheld(connection, definition, run_id, words)
            show_notices(connection, name)
            return withheld
        portal = publisher(facts, portal_notices(connection, leaving=name))
        result = export_dataset(
            connection, definition, _manifest(), settings().exports_dir, run_id, portal,
            facts=facts, again=again,
        )  # fmt: skip
    if release:
        record_release(locate(), definition, run_id, release)
    elif settings().ckan_url:
        with locate().connect(autocommit=True) as connection:
            show_notices(connection, name)
    return result


def go_back(name: str, *, by: str, reason: str, to: int | None, dry_run: bool) -> Version:
    """Point readers to an earlier version. Raises PortalError."""
    with _journal(name) as (connection, portal, journal):
        del connection
        return roll_back(portal, journal, by=by, reason=reason, to=to, dry_run=dry_run)


def take_away(name: str, *, by: str, reason: str) -> Version:
    """Withdraw a dataset; its address says why. Raises PortalError."""
    with _journal(name) as (connection, portal, journal):
        version = withdraw(portal, journal, connection, by=by, reason=reason)
        definitions, _ = load_definitions()
        if definition := definitions.get(name):
            words = f"retirado por {by}: {reason}; publicarlo de nuevo lleva otra aprobación."
            record_withheld(connection, definition, journal.run_id, words)
        return version


def history(name: str) -> list[Version]:
    """Versions of a dataset on the portal, newest first."""
    with locate().connect(autocommit=True) as connection:
        portal = ckan(catalog_facts(connection))
        return Journal(connection, name, portal.portal, "").history()


def look(connection: Connection, portal: CkanPublisher, now: dt.datetime | None = None) -> int:
    """Note what the portal shows to anybody, dataset by dataset; how many it shows as published.

    What it no longer shows, and what we published and it does not show, is `ausente`. The look is
    recorded whole or not at all. Raises PortalError.
    """
    definitions, _ = load_definitions()
    moment = now or dt.datetime.now(dt.UTC)
    seen = [found for name in portal.names() if (found := portal.look(name))]
    rows = []
    for item in seen:
        marts = {
            resource.file: _mart_of(definitions.get(item.name), resource.file)
            for resource in item.resources
        }
        resources = [
            {
                "archivo": resource.file,
                "formato": resource.format,
                "mart": marts[resource.file],
                "filas": resource.rows,
                "estrategicos": portal.count_rows(item.name, resource.file,
                                                  {"es_estrategico": True})
                if marts[resource.file] == STRATEGIC_MART and resource.rows is not None
                else None,
            }
            for resource in item.resources
        ]  # fmt: skip
        state = "retirado" if item.is_withdrawn else "publicado"
        rows.append(
            (portal.portal, item.name, item.title, state, item.is_ours, item.issued, item.modified,
             item.frequency, Jsonb(resources), moment)
        )  # fmt: skip
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "update meta.portal_visto set situacion = 'ausente', visto_en = %s where portal = %s",
            (moment, portal.portal),
        )
        cursor.executemany(
            "insert into meta.portal_visto (portal, conjunto, titulo, situacion, es_propio, "
            "publicado, modificado, frecuencia, recursos, visto_en) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (portal, conjunto) do update set titulo = excluded.titulo, "
            "situacion = excluded.situacion, es_propio = excluded.es_propio, "
            "publicado = excluded.publicado, modificado = excluded.modificado, "
            "frecuencia = excluded.frecuencia, recursos = excluded.recursos, "
            "visto_en = excluded.visto_en",
            rows,
        )
        cursor.execute(
            "insert into meta.portal_visto (portal, conjunto, situacion, es_propio, visto_en) "
            "select distinct v.portal, v.conjunto, 'ausente', true, %s::timestamptz "
            "from meta.version_portal as v where v.portal = %s and v.estado = 'registrada' "
            "on conflict (portal, conjunto) do nothing",
            (moment, portal.portal),
        )
    return sum(1 for item in seen if not item.is_withdrawn)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A dataset that should be on the portal and is not, or not in time.

    `overdue`: more than 1.2 times its period has passed since it was last published or found
    unchanged (the national profile's rule); null when its frequency names no period. `blocked` says
    what keeps it from leaving; when nothing does, a run may publish it.
    """

    dataset: str
    overdue: bool | None
    last: dt.datetime | None
    blocked: str
    run_key: str


def waiting(connection: Connection, now: dt.datetime) -> list[Waiting]:
    """Datasets that are overdue, were withheld, or were approved since their last attempt."""
    definitions, _ = load_definitions()
    periods = _periods()
    attempts = {
        str(row[0]): row[1:]
        for row in connection.execute(
            "select distinct on (conjunto) conjunto, estado, coalesce(motivo, '') "
            "from meta.publicacion order by conjunto, publicacion_id desc"
        )
    }
    last = _last_settled(connection)
    approved = {
        str(row[0]): (set(row[1]), int(row[2]))
        for row in connection.execute(
            "select conjunto, array_agg(columnas_sha256), max(aprobacion_id) "
            "from meta.aprobacion_vigente group by conjunto"
        )
    }
    found = []
    for name, definition in definitions.items():
        state, reason = attempts.get(name, ("", ""))
        settled = last.get(name)
        period = periods.get(definition.frecuencia)
        overdue = None if period is None else settled is None or now - settled > period * _SLACK
        fingerprints, approval = approved.get(name, (set(), 0))
        is_approved = columns_fingerprint(definition) in fingerprints
        if not overdue and state not in ("retenida", "pendiente_aprobacion"):
            continue
        red = obstacles(connection, definition.columns_by_mart)
        if red and covering(connection, name, red):
            red = []
        blocked = "; ".join(str(item) for item in red)
        if not blocked and not is_approved:
            blocked = "falta la aprobación"
        if not blocked and "--again" in reason:
            blocked = reason
        day = now.astimezone(CITY_TIMEZONE).date()
        key = f"{name}:{approval}:{_newest_build(connection, definition)}:{day}"
        found.append(Waiting(name, overdue, settled, blocked, key))
    return found


def _last_settled(connection: Connection) -> dict[str, dt.datetime | None]:
    """When each dataset was last published or found unchanged; None when it never was."""
    return {
        str(name): when
        for name, when in connection.execute(
            "select conjunto, max(fin) filter "
            "(where estado in ('publicada', 'sin_cambios', 'exportada')) "
            "from meta.publicacion group by conjunto"
        )
    }


def _periods() -> dict[str, dt.timedelta]:
    """The period of every frequency that has one, from the list the models use."""
    with (REFERENCE_DIR / "frecuencias.csv").open(encoding="utf-8", newline="") as stream:
        return {
            row["frecuencia_codigo"]: dt.timedelta(days=float(row["dias"]))
            for row in csv.DictReader(stream)
            if row["dias"]
        }


def _newest_build(connection: Connection, definition: DatasetDefinition) -> int:
    row = connection.execute(
        "select coalesce(max(construccion_id), 0) from meta.construccion "
        "where objeto = any(%s) and estado = 'ok'",
        [list(definition.marts)],
    ).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _journal(name: str) -> Iterator[tuple[Connection, CkanPublisher, Journal]]:
    """A dataset's versions, in its turn. The definition may be gone: the portal still has it."""
    with locate().connect(autocommit=True) as connection, dataset_turn(connection, name):
        portal = ckan(catalog_facts(connection))
        yield connection, portal, Journal(connection, name, portal.portal, _run_id())


def _manifest() -> Manifest:
    from orchestration.dbt_project import ensure_manifest, manifest

    ensure_manifest()
    return Manifest(manifest())


def _rows(package: Mapping[str, Any]) -> dict[str, int | None]:
    return {str(item["path"]): item.get("rowCount") for item in package.get("resources", ())}


def _mart_of(definition: DatasetDefinition | None, file: str) -> str | None:
    """The mart a published file is made from; None for dictionaries and what is not ours."""
    resources = definition.recursos if definition else ()
    return next((item.mart for item in resources if item.owns(file)), None)


def _run_id() -> str:
    return f"portal-{uuid.uuid4().hex[:12]}"

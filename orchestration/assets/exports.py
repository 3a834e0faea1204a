"""Export assets: one per portal dataset, behind the gate.

Belongs here: asking the gate, exporting or withholding, and saying so. Does not belong here: how
a file or a portal page is made (`exports/`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)

from exports.approvals import load_approvals
from exports.catalog import build_catalog
from exports.definition import DatasetDefinition, columns_fingerprint, load_definitions
from exports.errors import ExportError
from exports.export import export_dataset, record_withheld
from exports.files import ExportedFile
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.portal import Publisher
from orchestration.assets.failures import in_words
from orchestration.assets.naming import EXPORTS_GROUP, export_key, owners, relation_key
from orchestration.dbt_project import manifest
from orchestration.gate import Obstacle, obstacles
from orchestration.progress import observer
from orchestration.publishing import (
    catalog_facts,
    destination,
    portal_notices,
    publisher,
    record_release,
    show_notices,
)
from orchestration.releases import covering
from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse, locate
from orchestration.wording import day, frequency
from sources.raw_table import Connection
from sources.wording import number

_CATALOG_LOCK = 50_063_003
# States after which nothing of a dataset is waiting to leave.
_SETTLED = ("exportada", "publicada", "sin_cambios")


class Withheld(Failure):
    """A portal dataset that must not leave now; the run shows it red."""

    def __init__(self, definition: DatasetDefinition, found: Sequence[Obstacle]) -> None:
        reasons = "\n".join(f"- {item}" for item in found)
        super().__init__(
            description=(
                f"Retenido: {definition.titulo} ({definition.nombre}). Sigue disponible la última "
                f"versión buena.\n{reasons}\nQué hacer: corrija la causa y vuelva a ejecutar; se "
                "publica solo cuando el control vuelva a pasar. Para dejarlo salir igual: "
                f"lujan gate release {definition.nombre} --by … --reason …"
            ),
            allow_retries=False,
        )


class Refused(Failure):
    """A portal dataset that is withheld by what is asked of its rows or files as it leaves."""


def export_assets(definitions: Mapping[str, DatasetDefinition]) -> list[AssetsDefinition]:
    """One asset per definition, downstream of every mart it publishes."""
    return [_export_asset(definition) for definition in definitions.values()]


def withhold(connection: Connection, run_id: str, marts: Collection[str]) -> list[str]:
    """Record as withheld every portal dataset of `marts`; their names.

    For datasets whose own step Dagster will not start, because a blocking check or a model before
    it failed: nothing that is withheld may go unsaid.
    """
    held = []
    for name, definition in load_definitions().definitions.items():
        if set(definition.marts) & set(marts) and _hold_back(connection, definition, run_id):
            held.append(name)
    return held


def _hold_back(
    connection: Connection, definition: DatasetDefinition, run_id: str
) -> list[Obstacle]:
    """What keeps the dataset from leaving now, recorded; empty when nothing does.

    A release that a person gave for exactly these verdicts opens the gate.
    """
    found = obstacles(connection, definition.columns_by_mart)
    if not found or covering(connection, definition.nombre, found):
        return []
    words = "; ".join(str(item) for item in found)
    record_withheld(connection, definition, run_id, words)
    connection.commit()
    observer().finished("exports", definition.nombre, "retenida")
    show_notices(connection, definition.nombre)
    return found


def all_dependents_held(connection: Connection, mart: str) -> bool:
    """Whether every portal dataset of `mart` stays back: false when a release lets one leave, or
    what is red concerns a column that one does not publish."""
    dependents = [d for d in load_definitions().definitions.values() if mart in d.marts]
    held = {d.nombre: obstacles(connection, d.columns_by_mart) for d in dependents}
    return all(found and covering(connection, name, found) is None for name, found in held.items())


def marts_not_exported(connection: Connection) -> set[str]:
    """Marts whose portal datasets have not left since they were built, as they are defined now,
    for where they go now: a portal that is connected later receives all of them. One that waits for
    a person is left alone until that person approved its columns."""
    definitions, _ = load_definitions()
    approvals = load_approvals(connection)
    last = {
        str(row[0]): (str(row[1]), str(row[2]), row[3], row[4])
        for row in connection.execute(
            "select distinct on (conjunto) conjunto, estado, definicion_sha256, construccion_id, "
            "destino from meta.publicacion order by conjunto, publicacion_id desc"
        )
    }
    built = {
        str(row[0]): int(row[1])
        for row in connection.execute(
            "select objeto, max(construccion_id) from meta.construccion "
            "where estado = 'ok' group by objeto"
        )
    }
    behind: set[str] = set()
    for name, definition in definitions.items():
        state, sha, build, place = last.get(name, ("", "", None, None))
        newest = max((built.get(mart, 0) for mart in definition.marts), default=0)
        at_rest = state in _SETTLED or (
            state == "pendiente_aprobacion"
            and columns_fingerprint(definition) not in approvals.get(name, ())
        )
        settled = at_rest and sha == definition.sha256 and (build or 0) >= newest
        there = place is None or place == destination(name)
        if not (settled and there) or not _files_stand(definition):
            behind |= set(definition.marts)
    return behind


def _files_stand(definition: DatasetDefinition) -> bool:
    """Whether the dataset's folder is still there; a deleted one is made again."""
    base = settings().exports_dir
    return any((folder / definition.nombre).exists() for folder in (base, base / "pendientes"))


def _export_asset(definition: DatasetDefinition) -> AssetsDefinition:
    @asset(
        key=export_key(definition.nombre),
        deps=[relation_key(*mart.split(".", 1)) for mart in definition.marts],
        group_name=EXPORTS_GROUP,
        description=f"**{definition.titulo}**. {definition.descripcion}",
        owners=owners(definition.secretaria),
        kinds={"csv", "json"},
        metadata={
            "frecuencia": frequency(definition.frecuencia),
            "marts": ", ".join(definition.marts),
        },
    )
    def export(context: AssetExecutionContext) -> MaterializeResult[None]:
        with in_words():
            return _export(context, definition)

    return export


def _export(
    context: AssetExecutionContext, definition: DatasetDefinition
) -> MaterializeResult[None]:
    watch = observer()
    watch.started("exports", definition.nombre)
    warehouse = locate()
    with warehouse.connect() as connection:
        found = _hold_back(connection, definition, context.run.run_id)
        if found:
            raise Withheld(definition, found)
        red = obstacles(connection, definition.columns_by_mart)
        release = covering(connection, definition.nombre, red)
        notices = portal_notices(connection, leaving=definition.nombre)
        facts = catalog_facts(connection)
    portal = publisher(facts, notices)
    with warehouse.connect(autocommit=True) as connection:
        result = export_dataset(
            connection,
            definition,
            Manifest(manifest()),
            settings().exports_dir,
            context.run.run_id,
            portal,
            facts=facts,
        )
    if release:
        record_release(warehouse, definition, context.run.run_id, release)
        context.log.warning(
            f"{definition.nombre} salió con controles en rojo: lo liberó {release.by} "
            f"({release.reason}), hasta el {day(release.expires_at)}."
        )
    elif settings().ckan_url:
        with warehouse.connect() as connection:
            show_notices(connection, definition.nombre)
    watch.finished("exports", definition.nombre, result.estado, result.rows)
    if result.error:
        raise Refused(description=str(result.error), allow_retries=False)
    try:
        _refresh_catalog(warehouse, facts, portal)
    except ExportError as error:
        # Files of another dataset that are gone are no failure of this one; its own step makes them
        # again and the catalogue with them.
        if error.dataset in ("", definition.nombre):
            raise
        context.log.warning(str(error))
    metadata: dict[str, Any] = {
        "estado": result.estado,
        "dagster/row_count": result.rows,
        "archivos": MetadataValue.md(_files_table(result.files)),
    }
    if result.reason:
        metadata["motivo"] = result.reason
    if result.address:
        metadata["direccion"] = _address(result.address)
    if release:
        metadata["liberado_por"] = release.by
        metadata["motivo_de_liberacion"] = release.reason
        metadata["controles_en_rojo"] = MetadataValue.md("\n".join(f"- {item}" for item in red))
    return MaterializeResult(metadata=metadata)


def _refresh_catalog(warehouse: Warehouse, facts: CatalogFacts, portal: Publisher) -> None:
    """Write `data.json` anew; one at a time, so that the last one has seen every dataset."""
    with warehouse.connect() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [_CATALOG_LOCK])
        result = build_catalog(
            connection, load_definitions().names, settings().exports_dir, portal, facts=facts
        )
        portal.publish_catalog(result.path)


def _files_table(files: Sequence[ExportedFile]) -> str:
    lines = [
        f"| {file.path} | {'' if file.rows is None else number(file.rows)} | {number(file.bytes)} |"
        for file in files
    ]
    return "\n".join(["| archivo | filas | bytes |", "|---|---|---|", *lines])


def _address(where: str) -> MetadataValue:
    """A page of the portal as a link, a folder as a path."""
    return MetadataValue.url(where) if "://" in where else MetadataValue.path(where)

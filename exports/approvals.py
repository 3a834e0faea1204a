"""Who answers for the columns of a dataset leaving: given, standing, annulled.

Belongs here: `meta.aprobacion` and what annuls one. Does not belong here: which columns an approval
covers (`definition.columns_fingerprint`), or what happens while there is none (`export.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg.rows import tuple_row

from exports.definition import DatasetDefinition, columns_fingerprint
from exports.errors import DisclosureError, ExportError
from exports.files import Connection
from exports.record import clock
from exports.versions import Approved

# Approved fingerprints, by dataset.
Approvals = Mapping[str, Collection[str]]


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


def standing_approval(
    connection: Connection, definition: DatasetDefinition, approvals: Approvals | None
) -> Approved | None:
    """Who answers for these columns leaving; None while nobody does.

    `approvals` are those to go by instead of the recorded ones.
    """
    fingerprint = columns_fingerprint(definition)
    if approvals is not None:
        if fingerprint not in approvals.get(definition.nombre, ()):
            return None
        return Approved(by="quien exporta", reason="aprobación dada en la llamada",
                        at=clock(connection))  # fmt: skip
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select aprobado_por, motivo, aprobado_en from meta.aprobacion_vigente "
            "where conjunto = %s and columnas_sha256 = %s order by aprobado_en desc limit 1",
            (definition.nombre, fingerprint),
        ).fetchone()
    return Approved(by=row[0], reason=row[1], at=row[2]) if row else None


def annul_approvals(connection: Connection, dataset: str, reason: str, by: str) -> None:
    """Approvals recorded until now no longer count."""
    with connection.transaction():
        connection.execute(
            "insert into meta.aprobacion_anulada (conjunto, motivo, anulado_por) "
            "values (%s, %s, %s)",
            (dataset, reason, by),
        )


def annul_if_reclassified(
    connection: Connection, definition: DatasetDefinition, error: ExportError
) -> None:
    """A column that stopped being open: opening it again takes a new approval."""
    standing = load_approvals(connection).get(definition.nombre)
    if isinstance(error, DisclosureError) and error.columns and standing:
        annul_approvals(connection, definition.nombre, error.what, "control de clasificación")

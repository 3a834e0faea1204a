"""Asking for findings: plain values for whoever shows them.

Belongs here: reading `meta.hallazgo` and its history. Does not belong here: changing either
(`lifecycle.py`), or words and columns on a screen (`orchestration/cli/`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.rows import class_row

from sources.raw_table import Connection

STATES = ("abierto", "cerrado")
SEVERITIES = ("alta", "media", "baja")
SOURCES = ("dato", "cuarentena", "deriva", "control")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding as it stands. `filas_afectadas` is None when nobody counted them."""

    hallazgo_id: int
    fuente: str
    objeto: str
    regla: str
    columna: str
    dataset: str | None
    area: str | None
    responsable: str | None
    dimension: str | None
    severidad: str
    titulo: str
    explicacion: str
    siguiente_paso: str
    filas_afectadas: int | None
    filas_evaluadas: int | None
    muestra: list[Mapping[str, Any]]
    estado: str
    primera_vez: dt.datetime
    primera_corrida: str
    ultima_vez: dt.datetime
    ultima_corrida: str
    abierto_desde: dt.datetime
    veces_abierto: int
    cerrado_en: dt.datetime | None
    cierre_corrida: str | None
    cierre_motivo: str | None
    visto_por: str | None
    visto_en: dt.datetime | None
    visto_nota: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a finding; `por` is None for what a run did."""

    tipo: str
    ocurrido_en: dt.datetime
    corrida_id: str | None
    filas_afectadas: int | None
    por: str | None
    nota: str | None


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Finding.__slots__))
_ORDER = sql.SQL(
    "order by area nulls last, array_position(array['alta', 'media', 'baja'], severidad), "
    "filas_afectadas desc nulls first, hallazgo_id"
)


def find(
    connection: Connection,
    *,
    area: str | None = None,
    dataset: str | None = None,
    severity: str | None = None,
    source: str | None = None,
    state: str | None = "abierto",
) -> list[Finding]:
    """Findings that meet every filter given, by area and then the gravest first.

    `area` is part of a secretariat's name, in any case; `dataset` is a data set or a mart.
    """
    where = sql.SQL(
        "where (%(state)s::text is null or estado = %(state)s) "
        "and (%(area)s::text is null or strpos(lower(area), lower(%(area)s)) > 0) "
        "and (%(dataset)s::text is null or %(dataset)s in (dataset, objeto)) "
        "and (%(severity)s::text is null or severidad = %(severity)s) "
        "and (%(source)s::text is null or fuente = %(source)s)"
    )
    facts = {"state": state, "area": area, "dataset": dataset, "severity": severity,
             "source": source}  # fmt: skip
    return _read(connection, where, facts)


def get(connection: Connection, finding_id: int) -> Finding | None:
    """One finding, open or closed."""
    found = _read(connection, sql.SQL("where hallazgo_id = %(id)s"), {"id": finding_id})
    return found[0] if found else None


def history(connection: Connection, finding_id: int) -> list[Event]:
    """What happened to a finding, oldest first."""
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(
            "select tipo, ocurrido_en, corrida_id, filas_afectadas, por, nota "
            "from meta.hallazgo_evento where hallazgo_id = %s order by evento_id",
            [finding_id],
        ).fetchall()


def _read(connection: Connection, where: sql.SQL, facts: Mapping[str, Any]) -> list[Finding]:
    query = sql.SQL("select {} from meta.hallazgo {} {}").format(_COLUMNS, where, _ORDER)
    with connection.cursor(row_factory=class_row(Finding)) as cursor:
        return cursor.execute(query, facts).fetchall()

"""Digital procedures (Mi Luján Digital), the data its HTTP API serves.

Rows and their planted defects belong here; serving them belongs in ``api.py``.
"""

from __future__ import annotations

import datetime as dt
import uuid

import numpy as np

from seeds.sample.config import SECRETARIATS, TODAY, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.tables import (
    RowPicker,
    Table,
    blank_where,
    columns,
    moments,
    pick,
    stream,
    zoned,
)
from seeds.sample.variants import MISSPELT_SECRETARIAT, plant_variants

FIRST_DAY = dt.date(2025, 7, 1)
KINDS = ("Turno licencia", "Libre deuda", "Habilitación comercial", "Reclamo", "Boleta digital")


def build_digital(seed: int, size: SampleSize, log: DefectLog) -> Table:
    """Digital procedures ordered by last change, as the API gives them."""
    rng = stream(seed, "digital")
    table = _procedures(rng, size)
    _plant(rng, table, log)
    return table


def _procedures(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.digital_procedures
    horizon = (TODAY - FIRST_DAY).days * 86400 - 3600
    start = rng.integers(0, horizon - 86400, count)
    finish = start + rng.gamma(1.5, 2 * 86400, count).astype(np.int64) + 600
    over = finish < horizon
    changed = np.where(over, finish, np.minimum(start + 1800, horizon))
    order = np.argsort(changed, kind="stable")
    start, finish, over, changed = start[order], finish[order], over[order], changed[order]
    refused, begun = rng.random(count) < 0.05, rng.random(count) < 0.6
    state = np.select(
        [over & refused, over, begun], ["rechazado", "finalizado", "en_curso"], "iniciado"
    )
    silent = ~over | (rng.random(count) < 0.6)
    identifiers = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(count)]
    return Table(
        "tramites_digitales",
        columns(
            "tramite_digital_id text",
            "tipo text",
            "secretaria text",
            "fecha_inicio timestamptz",
            "fecha_fin timestamptz",
            "estado text",
            "canal text",
            "satisfaccion int",
            "actualizado_en timestamptz",
        ),
        ("tramite_digital_id",),
        {
            "tramite_digital_id": identifiers,
            "tipo": pick(rng, KINDS, count),
            "secretaria": pick(rng, [name for name, _ in SECRETARIATS], count),
            "fecha_inicio": zoned(moments(FIRST_DAY, start)),
            "fecha_fin": zoned(blank_where(moments(FIRST_DAY, finish), ~over)),
            "estado": state.tolist(),
            "canal": pick(rng, ("web", "app"), count, (3, 2)),
            "satisfaccion": blank_where(pick(rng, (1, 2, 3, 4, 5), count, (1, 1, 2, 4, 4)), silent),
            "actualizado_en": zoned(moments(FIRST_DAY, changed)),
        },
    )


def _plant(rng: np.random.Generator, table: Table, log: DefectLog) -> None:
    prefix = "milujan.tramites_digitales"
    rows = RowPicker(rng, len(table))
    over = np.array([value is not None for value in table["fecha_fin"]])
    for row in rows.take(log.wanted(f"{prefix}.satisfaccion_fuera_de_rango"), over):
        table["satisfaccion"][row] = 9
        log.add(f"{prefix}.satisfaccion_fuera_de_rango", table.key_of(row))
    for row in rows.take(log.wanted(f"{prefix}.fin_antes_de_inicio"), over):
        table["fecha_fin"][row] = table["fecha_inicio"][row] - dt.timedelta(hours=5)
        log.add(f"{prefix}.fin_antes_de_inicio", table.key_of(row))
    for row in rows.take(log.wanted(f"{prefix}.secretaria_mal_escrita")):
        table["secretaria"][row] = MISSPELT_SECRETARIAT
        key = {**table.key_of(row), "valor": MISSPELT_SECRETARIAT, "correcto": "Obras Públicas"}
        log.add(f"{prefix}.secretaria_mal_escrita", key)
    plant_variants(table, "estado", f"{prefix}.estado_variante", rows, log)

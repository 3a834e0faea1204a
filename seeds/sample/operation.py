"""What running the water network leaves behind: pumping energy, and leaks and cuts attended to.

Rows and their planted defects belong here; the network itself belongs in ``water.py`` and what
neighbours ask for in ``services.py``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeds.sample.config import TODAY, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.services import FIRST_DAY
from seeds.sample.tables import (
    Ints,
    RowPicker,
    Table,
    blank_where,
    columns,
    decimals,
    moments,
    pick,
    stream,
)
from seeds.sample.variants import plant_variants
from seeds.sample.water import SEASON, Water

ENERGY_MONTHS = 36
# Synthetic: what pumping used from `ENERGY_DROP_FROM` on, against the same months before it.
ENERGY_CHANGE = -0.08
ENERGY_DROP_FROM = dt.date(2025, 1, 1)
PRICE_ARS_KWH = 120.0  # synthetic tariff
# Request of the citizens' system → kind of report; what it tells is checked on the spot.
REPORTED = {"Fuga de agua en vía pública": "fuga", "Corte de agua": "corte"}
PLACES = ("cañería", "conexión", "válvula", "otro")


@dataclass
class Operation:
    """The tables of the network's operation and the truths worth checking."""

    tables: list[Table]
    truth: dict[str, Any]


def build_operation(
    seed: int, size: SampleSize, water: Water, requests: Table, log: DefectLog
) -> Operation:
    """Energy per station and month, and one report per leak or cut, defects included.

    ``requests`` is the citizens' system's table: part of the reports began there.
    """
    network = next(table for table in water.tables if table.name == "red_infraestructura")
    energy = _energy(stream(seed, "energy"), network)
    rng = stream(seed, "reports")
    reports = _reports(rng, size, network, requests, water.truth["zonas_criticas"])
    leaks = _leaks_by_zone(reports)
    _plant_energy(stream(seed, "energy defects"), energy, log)
    _plant_reports(rng, reports, log)
    truth = {
        "energia_variacion_pct": 100 * ENERGY_CHANGE,
        "energia_variacion_desde": ENERGY_DROP_FROM,
        "fugas_por_zona_12_meses": leaks,
    }
    return Operation([energy, reports], truth)


def _energy(rng: np.random.Generator, network: Table) -> Table:
    stations = [
        element
        for element, kind in zip(network["elemento_id"], network["tipo"], strict=True)
        if kind == "estación de bombeo"
    ]
    count = len(stations)
    months = [_month_before(TODAY, back) for back in range(ENERGY_MONTHS, 0, -1)]
    season = np.array([SEASON[(month.month + 5) % 12] for month in months])
    later = np.array([month >= ENERGY_DROP_FROM for month in months])
    size = rng.uniform(20_000, 90_000, count)  # m3 in a month of January
    drop = np.where(later, 1 + ENERGY_CHANGE, 1.0)
    m3 = size[:, None] * season * drop * rng.normal(1, 0.02, (count, ENERGY_MONTHS))
    kwh = m3 * rng.uniform(0.35, 0.9, count)[:, None] * rng.normal(1, 0.02, m3.shape)
    closed = [(_month_before(month, -1) - months[0]).days for month in months]
    return Table(
        "energia_bombeo",
        columns(
            "estacion_id int",
            "periodo date",
            "energia_kwh numeric(14,1)",
            "volumen_bombeado_m3 numeric(14,3)",
            "importe_ars numeric(14,2)",
            "actualizado_en timestamp",
        ),
        ("estacion_id", "periodo"),
        {
            "estacion_id": [station for station in stations for _ in months],
            "periodo": months * count,
            "energia_kwh": decimals(kwh.ravel(), 1),
            "volumen_bombeado_m3": decimals(m3.ravel(), 3),
            "importe_ars": decimals(PRICE_ARS_KWH * kwh.ravel(), 2),
            "actualizado_en": moments(months[0], np.tile(closed, count) * 86400 - 1800),
        },
    )


def _month_before(day: dt.date, months: int) -> dt.date:
    """First day of the month that many months before the month of ``day``."""
    number = day.year * 12 + day.month - 1 - months
    return dt.date(number // 12, number % 12 + 1, 1)


def _reports(
    rng: np.random.Generator,
    size: SampleSize,
    network: Table,
    requests: Table,
    critical: list[int],
) -> Table:
    """Reports that neighbours began, then the leaks that crews found and the cuts they planned."""
    told = [
        row for row, kind in enumerate(requests["tipo"]) if kind in REPORTED and rng.random() < 0.8
    ]
    found, planned = max(10, size.requests // 25), max(5, size.requests // 80)
    kind = (
        [REPORTED[requests["tipo"][row]] for row in told] + ["fuga"] * found + ["corte"] * planned
    )
    count, days = len(kind), (TODAY - FIRST_DAY).days
    began = [_local_seconds(requests["fecha_ingreso"][row]) + 900 for row in told]
    own = rng.integers(8 * 3600, (days - 1) * 86400, found + planned)
    start = np.concatenate([np.array(began, dtype=np.int64), own])
    leak = np.array([k == "fuga" for k in kind])
    by_crew = np.arange(count) >= len(told)
    lasts = np.where(leak, rng.gamma(2, 10 * 3600, count), rng.gamma(2, 2 * 3600, count))
    lasts = lasts.astype(np.int64) + 1800
    end = days * 86400 - 3600
    closed = (start + lasts < end) & (rng.random(count) < 0.97)
    refused = closed & ~by_crew & (rng.random(count) < 0.08)
    repaired = closed & ~refused
    state = np.select([refused, repaired], ["descartado", "reparado"], "en_reparacion")
    zone, element, place = _where(rng, size, network, critical, leak)
    return Table(
        "reportes_servicio",
        columns(
            "reporte_id bigint",
            "tipo text",
            "origen text",
            "zona_id int",
            "lugar text",
            "elemento_id int",
            "solicitud_id bigint",
            "programado bool",
            "cuentas_afectadas int",
            "fecha_reporte timestamp",
            "fecha_reparacion timestamp",
            "estado text",
            "actualizado_en timestamp",
        ),
        ("reporte_id",),
        {
            "reporte_id": list(range(1, count + 1)),
            "tipo": kind,
            "origen": np.where(by_crew, "cuadrilla", "vecino").tolist(),
            "zona_id": zone.tolist(),
            "lugar": place,
            "elemento_id": element,
            "solicitud_id": [requests["solicitud_id"][row] for row in told]
            + [None] * (found + planned),
            "programado": (by_crew & ~leak).tolist(),
            "cuentas_afectadas": blank_where(rng.integers(1, 120, count).tolist(), leak),
            "fecha_reporte": moments(FIRST_DAY, start),
            "fecha_reparacion": blank_where(moments(FIRST_DAY, start + lasts), ~repaired),
            "estado": state.tolist(),
            "actualizado_en": moments(FIRST_DAY, np.where(closed, start + lasts, start + 600)),
        },
    )


def _where(
    rng: np.random.Generator,
    size: SampleSize,
    network: Table,
    critical: list[int],
    leak: NDArray[np.bool_],
) -> tuple[Ints, list[int | None], list[str | None]]:
    """Zone, network element (only of leaks in pipes) and place; zones that lose more leak more."""
    weights = np.ones(size.zones)
    weights[np.array(critical) - 1] = 3
    zone = rng.choice(size.zones, len(leak), p=weights / weights.sum()) + 1
    place = blank_where(pick(rng, PLACES, len(leak), (55, 35, 5, 5)), ~leak)
    pipes: dict[int, list[int]] = {}
    for number, kind, owner in zip(
        network["elemento_id"], network["tipo"], network["zona_id"], strict=True
    ):
        if kind == "cañería":
            pipes.setdefault(owner, []).append(number)
    draw = rng.random(len(leak))
    element: list[int | None] = []
    for where, own_zone, at in zip(place, zone.tolist(), draw.tolist(), strict=True):
        own = pipes.get(own_zone, [])
        element.append(own[int(at * len(own))] if where == "cañería" and own else None)
    return zone, element, place


def _local_seconds(moment: dt.datetime) -> int:
    """Seconds of a zoned time since local midnight of the first day."""
    return int(
        (moment.replace(tzinfo=None) - dt.datetime.combine(FIRST_DAY, dt.time())).total_seconds()
    )


def _leaks_by_zone(reports: Table) -> dict[str, int]:
    """Leaks of the last twelve months that were not discarded, per zona_id."""
    since = dt.datetime.combine(_month_before(TODAY, 12), dt.time())
    counted: dict[str, int] = {}
    for kind, state, zone, told in zip(
        reports["tipo"],
        reports["estado"],
        reports["zona_id"],
        reports["fecha_reporte"],
        strict=True,
    ):
        if kind == "fuga" and state != "descartado" and told >= since:
            counted[str(zone)] = counted.get(str(zone), 0) + 1
    return counted


def _plant_energy(rng: np.random.Generator, energy: Table, log: DefectLog) -> None:
    prefix = "aguas.energia_bombeo"
    rows = RowPicker(rng, len(energy))
    for row in rows.take(log.wanted(f"{prefix}.energia_desproporcionada")):
        energy["energia_kwh"][row] *= 10
        log.add(f"{prefix}.energia_desproporcionada", energy.key_of(row))
    # The last months stay whole: what is compared with the year before is not what is spoilt here.
    early = np.array([period < dt.date(2023, 10, 1) for period in energy["periodo"]])
    for row in rows.take(log.wanted(f"{prefix}.estacion_inexistente"), early):
        energy["estacion_id"][row] = 9999
        log.add(f"{prefix}.estacion_inexistente", energy.key_of(row))


def _plant_reports(rng: np.random.Generator, reports: Table, log: DefectLog) -> None:
    prefix = "aguas.reportes_servicio"
    rows = RowPicker(rng, len(reports))
    repaired = np.array([state == "reparado" for state in reports["estado"]])
    for row in rows.take(log.wanted(f"{prefix}.reparado_antes_del_reporte"), repaired):
        reports["fecha_reparacion"][row] = reports["fecha_reporte"][row] - dt.timedelta(days=1)
        log.add(f"{prefix}.reparado_antes_del_reporte", reports.key_of(row))
    for row in rows.take(log.wanted(f"{prefix}.reparado_sin_fecha"), repaired):
        reports["fecha_reparacion"][row] = None
        log.add(f"{prefix}.reparado_sin_fecha", reports.key_of(row))
    for row in rows.take(log.wanted(f"{prefix}.zona_inexistente")):
        reports["zona_id"][row] = 88
        log.add(f"{prefix}.zona_inexistente", reports.key_of(row))
    for row in rows.take(log.wanted(f"{prefix}.repetido")):
        copy = reports.append_copy(row, reporte_id=len(reports) + 1)
        key = {**reports.key_of(copy), "original": reports["reporte_id"][row]}
        log.add(f"{prefix}.repetido", key)
    plant_variants(reports, "tipo", f"{prefix}.tipo_variante", rows, log)

"""The water system (Aguas): zones, accounts, meters, macro-meters, bills, network, samples.

Rows and their planted defects belong here; hourly readings belong in ``readings.py`` and writing
to SQLite in ``sqlite_store.py``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeds.sample.config import (
    BASINS,
    DISTRICTS,
    PERIOD_DAYS,
    PERIOD_START,
    SAMPLE_BOX,
    SampleSize,
)
from seeds.sample.defects import DefectLog
from seeds.sample.readings import CATEGORIES, DAILY_LITRES, Meters, Readings, simulate
from seeds.sample.tables import (
    Floats,
    Ints,
    RowPicker,
    Table,
    blank_where,
    columns,
    dates,
    decimals,
    moments,
    pick,
    stream,
)
from seeds.sample.variants import plant_variants

# Share of January's use kept in each month (July 2025 … June 2026). Synthetic: dry summers.
SEASON = (0.52, 0.55, 0.62, 0.75, 0.88, 0.97, 1.0, 0.95, 0.82, 0.66, 0.57, 0.54)
BILLED_MONTHS = tuple(
    dt.date(2025 + (6 + m) // 12, (6 + m) % 12 + 1, 1) for m in range(len(SEASON))
)
FIXED_CHARGE_ARS, PRICE_ARS_M3 = 4500.0, 380.0  # synthetic tariff
NETWORK = {
    "cañería": ("PVC", "PEAD", "Hierro dúctil", "Asbesto cemento"),
    "estación de bombeo": ("Hormigón",),
    "planta potabilizadora": ("Hormigón",),
    "válvula": ("Bronce", "Hierro dúctil"),
    "cisterna": ("Hormigón",),
}
FEWEST_STATIONS = 6  # also in the smallest sample: energy is compared station by station
# Parameter → unit, mean and spread of a normal sample, decimals.
SAMPLED = {
    "turbidez": ("NTU", 0.9, 0.3, 2),
    "color": ("uH", 2.0, 0.6, 1),
    "ph": ("pH", 7.4, 0.2, 2),
    "arsenico": ("mg/L", 0.004, 0.001, 4),
    "amonio": ("mg/L", 0.06, 0.02, 3),
    "cloro_residual": ("mg/L", 0.6, 0.15, 2),
}


@dataclass
class Water:
    """The tables of the system, the readings of its meters and the truths worth checking."""

    tables: list[Table]
    meters: Meters
    readings: Readings
    truth: dict[str, Any]


@dataclass
class _Connections:
    """Accounts and meters pair one to one in this order: csv, lorawan, manual."""

    zone: Ints  # position in the zones table
    category: Ints  # position in CATEGORIES
    idle: NDArray[np.bool_]


def build_water(seed: int, size: SampleSize, log: DefectLog) -> Water:
    """All tables of the system and its readings, defects included."""
    rng = stream(seed, "water")
    zones = _zones(rng, size)
    points = _zone_points(rng, size)
    links = _connections(rng, size)
    accounts = _accounts(rng, zones, points, links)
    devices = _meters(rng, size, links)
    keep_clean = _plant_meters(rng, size, links, devices, log)
    keep_clean += _plant_inactive(rng, links, accounts, devices, log)
    meters = _smart_meters(size, links, devices, keep_clean)
    readings = simulate(stream(seed, "readings"), meters, log)
    devices.data["digitos"][: size.smart_meters] = meters.dials.tolist()
    monthly = _june_litres(rng, size, links, readings)
    bills = _bills(rng, links, monthly)
    macro = _macrometers(rng, zones, points, monthly, links)
    inlet = _inlets(rng, size, links, readings, monthly)
    volumes = _macro_volumes(macro, inlet.daily_m3)
    network, samples = _network(rng, size), _samples(rng, size)
    _plant_accounts(rng, accounts, log)
    _plant_bills(rng, size, bills, readings.healthy & (meters.category == 0), log)
    _plant_volumes(rng, volumes, macro, log)
    _plant_network(rng, network, samples, log)
    tables = [zones, accounts, devices, macro, volumes, bills, network, samples]
    return Water(tables, meters, readings, _truth(size, links, readings, inlet))


def _zones(rng: np.random.Generator, size: SampleSize) -> Table:
    numbers = list(range(1, size.zones + 1))
    district = [DISTRICTS[(i - 1) % len(DISTRICTS)] for i in numbers]
    return Table(
        "zonas",
        columns("zona_id int", "nombre text", "cuenca text", "distrito text"),
        ("zona_id",),
        {
            "zona_id": numbers,
            "nombre": [f"Zona {i:02d} (sintético)" for i in numbers],
            "cuenca": [BASINS[(i - 1) % len(BASINS)] for i in numbers],
            "distrito": district,
        },
    )


def _zone_points(rng: np.random.Generator, size: SampleSize) -> Floats:
    """A made-up centre (lat, lon) per zone."""
    lat = rng.uniform(*SAMPLE_BOX["lat"], size.zones)
    lon = rng.uniform(*SAMPLE_BOX["lon"], size.zones)
    return np.column_stack([lat, lon])


def _connections(rng: np.random.Generator, size: SampleSize) -> _Connections:
    count = size.accounts
    weights = rng.uniform(0.5, 1.5, size.zones)
    zone = rng.choice(size.zones, count, p=weights / weights.sum())
    category = rng.choice(len(CATEGORIES), count, p=(0.88, 0.08, 0.015, 0.025))
    return _Connections(zone, category, rng.random(count) < 0.008)


def _accounts(rng: np.random.Generator, zones: Table, points: Floats, links: _Connections) -> Table:
    count = len(links.zone)
    numbers = list(range(1, count + 1))
    place = points[links.zone] + rng.normal(0, 0.004, (count, 2))
    return Table(
        "cuentas",
        columns(
            "cuenta_id int",
            "numero_cuenta text",
            "titular_nombre text",
            "titular_documento text",
            "categoria text",
            "zona_id int",
            "distrito text",
            "domicilio text",
            "latitud numeric(9,6)",
            "longitud numeric(9,6)",
            "fecha_alta date",
            "activa bool",
        ),
        ("cuenta_id",),
        {
            "cuenta_id": numbers,
            "numero_cuenta": [f"SINT-{i:07d}" for i in numbers],
            "titular_nombre": [f"Titular sintético {i}" for i in numbers],
            "titular_documento": [f"SINT-{i:06d}" for i in numbers],
            "categoria": [CATEGORIES[c] for c in links.category.tolist()],
            "zona_id": [zones["zona_id"][z] for z in links.zone.tolist()],
            "distrito": [zones["distrito"][z] for z in links.zone.tolist()],
            "domicilio": [f"Calle sintética {i % 90 + 1} N° {i}" for i in numbers],
            "latitud": decimals(place[:, 0], 6),
            "longitud": decimals(place[:, 1], 6),
            "fecha_alta": dates(dt.date(1995, 1, 1), rng.integers(0, 10500, count)),
            "activa": (~links.idle).tolist(),
        },
    )


def _meters(rng: np.random.Generator, size: SampleSize, links: _Connections) -> Table:
    kinds = (
        ("csv", "C", size.csv_meters),
        ("lorawan", "L", size.lorawan_meters),
        ("manual", "M", size.manual_meters),
    )
    ids = [f"SINT-{letter}-{i:05d}" for _, letter, n in kinds for i in range(1, n + 1)]
    feed = [kind for kind, _, n in kinds for _ in range(n)]
    count = len(ids)
    brand = rng.integers(0, 3, count)
    return Table(
        "medidores",
        columns(
            "medidor_id text",
            "cuenta_id int",
            "zona_id int",
            "marca text",
            "modelo text",
            "digitos smallint",
            "multiplicador numeric(8,4)",
            "unidad text",
            "tipo_telemetria text",
            "fecha_instalacion date",
            "fecha_retiro date",
            "estado text",
        ),
        ("medidor_id",),
        {
            "medidor_id": ids,
            "cuenta_id": list(range(1, count + 1)),
            "zona_id": (links.zone + 1).tolist(),
            "marca": [f"Marca sintética {'ABC'[b]}" for b in brand.tolist()],
            "modelo": [f"Modelo {'ABC'[b]}1" for b in brand.tolist()],
            "digitos": pick(rng, (4, 5), count, (1, 4)),
            "multiplicador": decimals(np.ones(count), 4),
            "unidad": ["L" if kind == "lorawan" else "m3" for kind in feed],
            "tipo_telemetria": feed,
            "fecha_instalacion": dates(dt.date(2023, 1, 1), rng.integers(0, 1000, count)),
            "fecha_retiro": [None] * count,
            "estado": ["activo"] * count,
        },
    )


def _plant_meters(
    rng: np.random.Generator, size: SampleSize, links: _Connections, devices: Table, log: DefectLog
) -> list[int]:
    """Defects of the meters table; returns the meters that the readings must leave alone."""
    rows = RowPicker(rng, len(devices))
    in_use = ~links.idle
    is_smart = np.arange(len(devices)) < size.smart_meters
    # Zero dates fall on manual meters: a quarantined meter must not take its readings along.
    for row in rows.take(log.wanted("aguas.medidores.fecha_cero"), ~is_smart):
        devices["fecha_retiro"][row] = "0000-00-00"
        log.add("aguas.medidores.fecha_cero", devices.key_of(row))
    for row in rows.take(log.wanted("aguas.medidores.sin_cuenta"), in_use):
        devices["cuenta_id"][row] = None
        log.add("aguas.medidores.sin_cuenta", devices.key_of(row))
    retired = rows.take(log.wanted("aguas.medidores.retirado_con_lecturas"), is_smart & in_use)
    for row in retired:
        devices["fecha_retiro"][row] = dt.date(2026, 5, 15)
        devices["estado"][row] = "retirado"
        log.add("aguas.medidores.retirado_con_lecturas", devices.key_of(row))
    large = np.flatnonzero((links.category == 2) & (np.arange(len(devices)) < size.csv_meters))
    for row in large[::3].tolist():
        devices["multiplicador"][row] = decimals(np.array([10.0]), 4)[0]
    return retired


def _plant_inactive(
    rng: np.random.Generator, links: _Connections, accounts: Table, devices: Table, log: DefectLog
) -> list[int]:
    """Accounts closed on paper whose meters go on counting; returns those meters."""
    usable = np.array([day is None for day in devices["fecha_retiro"]])
    owned = np.array([account is not None for account in devices["cuenta_id"]])
    smart = np.array(devices["tipo_telemetria"]) != "manual"
    homes = (links.category == 0) & ~links.idle
    rows = RowPicker(rng, len(accounts))
    wanted = log.wanted("aguas.cuentas.inactiva_con_consumo")
    inactive = rows.take(wanted, usable & owned & smart & homes)
    for row in inactive:
        accounts["activa"][row] = False
        key = {**accounts.key_of(row), "medidor_id": devices["medidor_id"][row]}
        log.add("aguas.cuentas.inactiva_con_consumo", key)
    return inactive


def _smart_meters(
    size: SampleSize, links: _Connections, devices: Table, keep_clean: list[int]
) -> Meters:
    """The arrays the simulation of readings needs, for the meters that send any."""
    smart = size.smart_meters
    return Meters(
        ids=devices["medidor_id"][:smart],
        category=links.category[:smart],
        dials=np.array(devices["digitos"][:smart], dtype=np.int64),
        multiplier=np.array([int(m) for m in devices["multiplicador"][:smart]], dtype=np.int64),
        idle=links.idle[:smart],
        keep_clean=np.isin(np.arange(smart), keep_clean),
    )


def _june_litres(
    rng: np.random.Generator, size: SampleSize, links: _Connections, readings: Readings
) -> Ints:
    """Litres of June per account, between the first and the last reading of the period."""
    manual = np.arange(size.smart_meters, size.accounts)
    mean = np.array([DAILY_LITRES[c][0] for c in CATEGORIES])[links.category[manual]]
    estimated = (mean * PERIOD_DAYS * rng.lognormal(0, 0.3, len(manual))).astype(np.int64)
    estimated[links.idle[manual]] = 0
    return np.concatenate([readings.registered[:, :-1].sum(axis=1), estimated])


def _bills(rng: np.random.Generator, links: _Connections, june: Ints) -> Table:
    """Twelve bills per account; June's volume is what the meter registered."""
    count, months = len(june), len(BILLED_MONTHS)
    noise = rng.lognormal(0, 0.12, (months, count))
    noise[-1] = 1.0
    litres = np.rint(june * np.array(SEASON)[:, None] / SEASON[-1] * noise)
    m3 = (litres / 1000).ravel()
    total = months * count
    paid = rng.random((months, count)) < np.linspace(0.97, 0.55, months)[:, None]
    void = rng.random((months, count)) < 0.004
    state = np.where(void, "anulada", np.where(paid, "pagada", "impaga")).ravel()
    period = [month for month in BILLED_MONTHS for _ in range(count)]
    month_ends = np.array([(_next_month(m) - BILLED_MONTHS[0]).days for m in BILLED_MONTHS])
    issued = np.repeat(month_ends * 86400 - 1800, count)
    return Table(
        "facturacion",
        columns(
            "factura_id bigint",
            "cuenta_id int",
            "periodo date",
            "m3_facturados numeric(12,3)",
            "importe_ars numeric(14,2)",
            "vencimiento date",
            "estado text",
            "actualizado_en timestamp",
        ),
        ("factura_id",),
        {
            "factura_id": list(range(1, total + 1)),
            "cuenta_id": list(range(1, count + 1)) * months,
            "periodo": period,
            "m3_facturados": decimals(m3, 3),
            "importe_ars": decimals(FIXED_CHARGE_ARS + PRICE_ARS_M3 * m3, 2),
            "vencimiento": dates(BILLED_MONTHS[0], np.repeat(month_ends + 14, count)),
            "estado": state.tolist(),
            "actualizado_en": moments(BILLED_MONTHS[0], issued),
        },
    )


def _next_month(day: dt.date) -> dt.date:
    return (day + dt.timedelta(days=32)).replace(day=1)


def _macrometers(
    rng: np.random.Generator, zones: Table, points: Floats, june: Ints, links: _Connections
) -> Table:
    """Two intakes, two plants, two trunk mains and the inlet of every zone."""
    kinds = ["captacion"] * 2 + ["planta"] * 2 + ["troncal"] * 2 + ["ingreso_zona"] * len(zones)
    count = len(kinds)
    zone: list[int | None] = [None] * 6 + list(zones["zona_id"])
    centre = points.mean(axis=0) + rng.normal(0, 0.02, (6, 2))
    place = np.vstack([centre, points])
    hourly = np.bincount(links.zone, june, minlength=len(zones)) / 1000 / (PERIOD_DAYS * 24)
    capacity = np.concatenate([np.full(6, hourly.sum() * 4), hourly * 5 + 5])
    return Table(
        "macromedidores",
        columns(
            "macromedidor_id text",
            "nombre text",
            "tipo text",
            "zona_id int",
            "latitud numeric(9,6)",
            "longitud numeric(9,6)",
            "caudal_max_m3h numeric(12,3)",
        ),
        ("macromedidor_id",),
        {
            "macromedidor_id": [f"SINT-MM-{i:02d}" for i in range(1, count + 1)],
            "nombre": [f"Macromedidor {i:02d} (sintético)" for i in range(1, count + 1)],
            "tipo": kinds,
            "zona_id": zone,
            "latitud": decimals(place[:, 0], 6),
            "longitud": decimals(place[:, 1], 6),
            "caudal_max_m3h": decimals(capacity, 3),
        },
    )


@dataclass
class _Inlets:
    """Water that enters each zone per day (m3) and the share of it that the zone loses."""

    daily_m3: Floats
    loss: Floats
    critical: Ints


def _inlets(
    rng: np.random.Generator,
    size: SampleSize,
    links: _Connections,
    readings: Readings,
    june: Ints,
) -> _Inlets:
    """What a zone used plus what it loses; two zones lose half."""
    smart = size.smart_meters
    daily = readings.use.reshape(smart, PERIOD_DAYS, 24).sum(axis=2)
    used = np.zeros((size.zones, PERIOD_DAYS))
    np.add.at(used, links.zone[:smart], daily)
    manual = np.bincount(links.zone[smart:], june[smart:], minlength=size.zones)
    used += manual[:, None] / PERIOD_DAYS
    loss = rng.uniform(0.15, 0.35, size.zones)
    critical = np.sort(rng.choice(size.zones, 2, replace=False))
    loss[critical] = 0.5
    inlet = used / (1 - loss)[:, None] * rng.normal(1, 0.01, used.shape) / 1000
    return _Inlets(inlet, loss, critical)


def _macro_volumes(macro: Table, inlet: Floats) -> Table:
    """Daily volume of every macro-meter; what the zones receive passed the mains before."""
    total = inlet.sum(axis=0)
    share = np.array([0.6, 0.4])[:, None]
    intake, plant, trunk = total * 1.06 * share, total * 1.02 * share, total * 1.01 * share
    volume = np.vstack([intake, plant, trunk, inlet])
    day = np.tile(np.arange(PERIOD_DAYS), len(macro))
    return Table(
        "lecturas_macromedidor",
        columns(
            "macromedidor_id text",
            "fecha date",
            "volumen_m3 numeric(14,3)",
            "actualizado_en timestamp",
        ),
        ("macromedidor_id", "fecha"),
        {
            "macromedidor_id": [m for m in macro["macromedidor_id"] for _ in range(PERIOD_DAYS)],
            "fecha": dates(PERIOD_START, day),
            "volumen_m3": decimals(volume.ravel(), 3),
            "actualizado_en": moments(PERIOD_START, (day + 1) * 86400 + 2 * 3600),
        },
    )


def _truth(
    size: SampleSize, links: _Connections, readings: Readings, inlet: _Inlets
) -> dict[str, Any]:
    """Totals of the period per zone (keys are zona_id), before any defect of the files."""
    zone = links.zone[: size.smart_meters]

    def by_zone(values: Floats | Ints, places: int) -> dict[str, float]:
        return {str(i): round(float(v), places) for i, v in enumerate(values.tolist(), 1)}

    used = np.bincount(zone, readings.use.sum(axis=1), minlength=size.zones)
    noticed = np.bincount(zone, readings.registered[:, :-1].sum(axis=1), minlength=size.zones)
    return {
        "zonas_criticas": [int(z) + 1 for z in inlet.critical.tolist()],
        "perdida_por_zona": by_zone(inlet.loss, 4),
        "ingreso_m3_por_zona": by_zone(inlet.daily_m3.sum(axis=1), 3),
        "uso_real_m3_por_zona_720_h": by_zone(used / 1000, 3),
        "registrado_m3_por_zona_entre_primera_y_ultima_lectura": by_zone(noticed / 1000, 3),
        "medidores_sanos": int(readings.healthy.sum()),
    }


def _network(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.network_elements
    kind = pick(rng, list(NETWORK), count, (80, 3, 1, 12, 4))
    kind[-FEWEST_STATIONS:] = ["estación de bombeo"] * FEWEST_STATIONS
    pipe = np.array([k == "cañería" for k in kind])
    sized = pipe | np.array([k == "válvula" for k in kind])
    return Table(
        "red_infraestructura",
        columns(
            "elemento_id int",
            "tipo text",
            "nombre text",
            "zona_id int",
            "material text",
            "diametro_mm int",
            "longitud_m numeric(12,2)",
            "anio_instalacion int",
            "estado text",
        ),
        ("elemento_id",),
        {
            "elemento_id": list(range(1, count + 1)),
            "tipo": kind,
            "nombre": [f"{k.capitalize()} {i} (sintético)" for i, k in enumerate(kind, 1)],
            "zona_id": rng.integers(1, size.zones + 1, count).tolist(),
            "material": [NETWORK[k][i % len(NETWORK[k])] for i, k in enumerate(kind)],
            "diametro_mm": blank_where(pick(rng, (63, 90, 110, 160, 200, 315), count), ~sized),
            "longitud_m": blank_where(decimals(rng.uniform(20, 900, count), 2), ~pipe),
            "anio_instalacion": rng.integers(1965, 2026, count).tolist(),
            "estado": pick(rng, ("en servicio", "fuera de servicio", "en obra"), count, (94, 3, 3)),
        },
    )


def _samples(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.quality_samples
    names = list(SAMPLED)
    parameter = [names[i % len(names)] for i in range(count)]
    spec = [SAMPLED[name] for name in parameter]
    mean, spread = np.array([s[1] for s in spec]), np.array([s[2] for s in spec])
    # Clipped at two spreads, so only the planted samples exceed a limit.
    deviation = np.clip(rng.normal(0, 1, count), -2, 2)
    rounded = [
        round(v, s[3]) for v, s in zip((mean + spread * deviation).tolist(), spec, strict=True)
    ]
    visit = np.arange(count) // len(names)
    zone = visit % size.zones + 1
    seconds = rng.integers(0, 181, visit.max() + 1) * 86400 + rng.integers(
        28800, 57600, visit.max() + 1
    )
    return Table(
        "calidad_agua",
        columns(
            "muestra_id bigint",
            "punto text",
            "zona_id int",
            "fecha_hora timestamp",
            "parametro text",
            "valor numeric(14,6)",
            "unidad text",
            "laboratorio text",
        ),
        ("muestra_id",),
        {
            "muestra_id": list(range(1, count + 1)),
            "punto": [f"Punto de muestreo {z:02d} (sintético)" for z in zone.tolist()],
            "zona_id": zone.tolist(),
            "fecha_hora": moments(dt.date(2026, 1, 1), seconds[visit]),
            "parametro": parameter,
            "valor": decimals(np.array(rounded), 6),
            "unidad": [s[0] for s in spec],
            "laboratorio": pick(rng, ("Laboratorio sintético A", "Laboratorio sintético B"), count),
        },
    )


def _plant_accounts(rng: np.random.Generator, accounts: Table, log: DefectLog) -> None:
    rows = RowPicker(rng, len(accounts))
    for row in rows.take(log.wanted("aguas.cuentas.sin_zona")):
        accounts["zona_id"][row] = None
        log.add("aguas.cuentas.sin_zona", accounts.key_of(row))
    for row in rows.take(log.wanted("aguas.cuentas.coordenadas_intercambiadas")):
        lat, lon = accounts["latitud"][row], accounts["longitud"][row]
        accounts["latitud"][row], accounts["longitud"][row] = lon, lat
        log.add("aguas.cuentas.coordenadas_intercambiadas", accounts.key_of(row))
    for row in rows.take(log.wanted("aguas.cuentas.coordenadas_fuera")):
        accounts["latitud"][row], accounts["longitud"][row] = decimals(np.array([-34.6, -58.4]), 6)
        log.add("aguas.cuentas.coordenadas_fuera", accounts.key_of(row))
    plant_variants(accounts, "distrito", "aguas.cuentas.distrito_variante", rows, log)


def _plant_bills(
    rng: np.random.Generator,
    size: SampleSize,
    bills: Table,
    healthy_homes: NDArray[np.bool_],
    log: DefectLog,
) -> None:
    total = len(bills)
    rows = RowPicker(rng, total)
    june = np.arange(total) >= total - size.accounts
    steady = np.zeros(total, dtype=bool)
    first = total - size.accounts
    steady[first : first + size.smart_meters] = healthy_homes
    state = np.array(bills["estado"])
    for row in rows.take(log.wanted("aguas.facturacion.m3_distinto_del_medidor"), june & steady):
        bills["m3_facturados"][row] += 25
        log.add("aguas.facturacion.m3_distinto_del_medidor", bills.key_of(row))
    for row in rows.take(log.wanted("aguas.facturacion.importe_negativo"), state != "anulada"):
        bills["importe_ars"][row] = -bills["importe_ars"][row]
        log.add("aguas.facturacion.importe_negativo", bills.key_of(row))
    for row in rows.take(log.wanted("aguas.facturacion.duplicada"), ~june & (state == "pagada")):
        copy = bills.append_copy(row, factura_id=len(bills) + 1)
        log.add(
            "aguas.facturacion.duplicada",
            {**bills.key_of(copy), "original": bills["factura_id"][row]},
        )
    plant_variants(bills, "estado", "aguas.facturacion.estado_variante", rows, log)


def _plant_volumes(rng: np.random.Generator, volumes: Table, macro: Table, log: DefectLog) -> None:
    rows = RowPicker(rng, len(volumes))
    capacity = dict(zip(macro["macromedidor_id"], macro["caudal_max_m3h"], strict=True))
    for row in rows.take(log.wanted("aguas.lecturas_macromedidor.volumen_negativo")):
        volumes["volumen_m3"][row] = -volumes["volumen_m3"][row]
        log.add("aguas.lecturas_macromedidor.volumen_negativo", volumes.key_of(row))
    for row in rows.take(log.wanted("aguas.lecturas_macromedidor.supera_caudal_maximo")):
        volumes["volumen_m3"][row] = capacity[volumes["macromedidor_id"][row]] * 24 + 500
        log.add("aguas.lecturas_macromedidor.supera_caudal_maximo", volumes.key_of(row))
    # Never the first or last day: only a day between two others is known to be missing.
    inner = np.arange(len(volumes)) % PERIOD_DAYS
    absent = rows.take(
        log.wanted("aguas.lecturas_macromedidor.dia_faltante"), (inner > 1) & (inner < 28)
    )
    for row in absent:
        log.add("aguas.lecturas_macromedidor.dia_faltante", volumes.key_of(row))
    volumes.drop(absent)


def _plant_network(
    rng: np.random.Generator, network: Table, samples: Table, log: DefectLog
) -> None:
    rows = RowPicker(rng, len(network))
    for row in rows.take(log.wanted("aguas.red_infraestructura.anio_futuro")):
        network["anio_instalacion"][row] = 2062
        log.add("aguas.red_infraestructura.anio_futuro", network.key_of(row))
    plant_variants(network, "estado", "aguas.red_infraestructura.estado_variante", rows, log)
    tests = RowPicker(rng, len(samples))
    parameter = np.array(samples["parametro"])
    for row in tests.take(log.wanted("aguas.calidad_agua.turbidez_alta"), parameter == "turbidez"):
        samples["valor"][row] = decimals(np.array([9.0]), 6)[0]
        log.add("aguas.calidad_agua.turbidez_alta", samples.key_of(row))
    for row in tests.take(log.wanted("aguas.calidad_agua.ph_imposible"), parameter == "ph"):
        samples["valor"][row] = decimals(np.array([71.0]), 6)[0]
        log.add("aguas.calidad_agua.ph_imposible", samples.key_of(row))
    plant_variants(samples, "parametro", "aguas.calidad_agua.parametro_variante", tests, log)

"""The projects system (MLC): secretariats, axes, programmes, projects, milestones, indicators.

Rows and their planted defects belong here; writing them to PostgreSQL belongs in
``postgres_store.py``.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from seeds.sample.config import DISTRICTS, SECRETARIATS, TODAY, SampleSize
from seeds.sample.defects import DefectLog
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
    zoned,
)
from seeds.sample.variants import plant_mojibake, plant_variants

# First and last day of the two terms of government.
TERMS = {
    "2019-2023": (dt.date(2019, 12, 10), dt.date(2023, 12, 9)),
    "2023-2027": (dt.date(2023, 12, 10), dt.date(2027, 12, 9)),
}
STATES = ("planificado", "en_ejecucion", "demorado", "finalizado", "cancelado")
WORKS = (
    "Ampliación de red",
    "Producción local",
    "Mejora de espacios verdes",
    "Capacitación digital",
    "Iluminación LED",
    "Construcción de veredas",
    "Recolección diferenciada",
    "Prevención en salud",
    "Modernización de trámites",
    "Ciclovía",
    "Forestación",
    "Educación ambiental",
)
MEASURED = (
    "Índice de satisfacción",
    "Tiempo medio de resolución",
    "Porcentaje de ejecución",
    "Población alcanzada",
    "Costo por intervención",
    "Reducción de reclamos",
)
CATEGORIES = ("eficiencia", "eficacia", "calidad", "productividad", "impacto")
# Months between measurements, first year measured.
FREQUENCIES = {
    "mensual": (1, 2024),
    "trimestral": (3, 2022),
    "semestral": (6, 2021),
    "anual": (12, 2020),
}


def build_projects(seed: int, size: SampleSize, log: DefectLog) -> list[Table]:
    """All tables of the system, defects included."""
    rng = stream(seed, "projects")
    programmes = _programmes(rng, size)
    projects = _projects(rng, size, programmes)
    milestones = _milestones(rng, size, projects)
    indicators = _indicators(rng, size)
    goals = _goals(rng, size, indicators)
    measurements = _measurements(rng, indicators)
    _plant_milestones(rng, milestones, projects, log)
    _plant_projects(rng, projects, log)
    _plant_indicators(rng, indicators, goals, measurements, log)
    return [
        _secretariats(size),
        _axes(size),
        programmes,
        projects,
        milestones,
        indicators,
        goals,
        measurements,
    ]


def _secretariats(size: SampleSize) -> Table:
    named = SECRETARIATS[: size.secretariats]
    count = len(named)
    return Table(
        "secretarias",
        columns(
            "secretaria_id int",
            "nombre text",
            "sigla text",
            "responsable text",
            "activa bool",
            "actualizado_en timestamptz",
        ),
        ("secretaria_id",),
        {
            "secretaria_id": list(range(1, count + 1)),
            "nombre": [name for name, _ in named],
            "sigla": [initials for _, initials in named],
            "responsable": [f"Responsable sintético {i:02d}" for i in range(1, count + 1)],
            "activa": [True] * count,
            "actualizado_en": zoned([dt.datetime(2026, 1, 5, 9)] * count),
        },
    )


def _axes(size: SampleSize) -> Table:
    numbers = list(range(1, size.axes + 1))
    return Table(
        "ejes",
        columns("eje_id int", "nombre text", "descripcion text", "orden int"),
        ("eje_id",),
        {
            "eje_id": numbers,
            "nombre": [f"Eje estratégico {i} (sintético)" for i in numbers],
            "descripcion": [f"Descripción del eje {i} (sintético)" for i in numbers],
            "orden": list(numbers),
        },
    )


def _programmes(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.programmes
    numbers = list(range(1, count + 1))
    return Table(
        "programas",
        columns(
            "programa_id int",
            "eje_id int",
            "secretaria_id int",
            "nombre text",
            "descripcion text",
            "gestion text",
        ),
        ("programa_id",),
        {
            "programa_id": numbers,
            "eje_id": [(i - 1) % size.axes + 1 for i in numbers],
            "secretaria_id": [(i - 1) % size.secretariats + 1 for i in numbers],
            "nombre": [f"Programa {i:02d} (sintético)" for i in numbers],
            "descripcion": [f"Descripción del programa {i:02d} (sintético)" for i in numbers],
            "gestion": pick(rng, list(TERMS), count, (1, 2)),
        },
    )


def _projects(rng: np.random.Generator, size: SampleSize, programmes: Table) -> Table:
    count = size.projects
    programme = rng.integers(0, len(programmes), count)
    terms = [programmes["gestion"][p] for p in programme.tolist()]
    start, end, real_end, state, progress = _timeline(rng, terms)
    numbers = list(range(1, count + 1))
    works, districts = pick(rng, WORKS, count), pick(rng, DISTRICTS, count)
    origin = dt.date(2019, 12, 1)
    touched = (TODAY - origin).days - 1 - rng.integers(0, 170, count)
    created = _days_from(origin, start) - rng.integers(10, 90, count)
    created = np.clip(created, 0, touched - 1)
    return Table(
        "proyectos",
        columns(
            "proyecto_id int",
            "codigo text",
            "programa_id int",
            "secretaria_id int",
            "nombre text",
            "descripcion text",
            "estado text",
            "avance_pct numeric(5,2)",
            "presupuesto_ars numeric(16,2)",
            "fecha_inicio date",
            "fecha_fin_prevista date",
            "fecha_fin_real date",
            "gestion text",
            "ods text",
            "plan_climatico bool",
            "participacion_ciudadana bool",
            "distrito text",
            "creado_en timestamptz",
            "actualizado_en timestamptz",
        ),
        ("proyecto_id",),
        {
            "proyecto_id": numbers,
            "codigo": [f"SINT-P-{i:04d}" for i in numbers],
            "programa_id": [programmes["programa_id"][p] for p in programme.tolist()],
            "secretaria_id": [programmes["secretaria_id"][p] for p in programme.tolist()],
            "nombre": [
                f"{w} en {d} {i:04d}" for w, d, i in zip(works, districts, numbers, strict=True)
            ],
            "descripcion": [f"{w} (sintético)" for w in works],
            "estado": state,
            "avance_pct": decimals(progress, 2),
            "presupuesto_ars": decimals(rng.lognormal(17, 1.2, count), 2),
            "fecha_inicio": start,
            "fecha_fin_prevista": end,
            "fecha_fin_real": real_end,
            "gestion": terms,
            "ods": _sdgs(rng, count),
            "plan_climatico": (rng.random(count) < 0.2).tolist(),
            "participacion_ciudadana": (rng.random(count) < 0.3).tolist(),
            "distrito": districts,
            "creado_en": zoned(moments(origin, created * 86400 + 9 * 3600)),
            "actualizado_en": zoned(
                moments(origin, touched * 86400 + rng.integers(28800, 72000, count))
            ),
        },
    )


def _days_from(origin: dt.date, values: list[dt.date]) -> Ints:
    return np.array([(value - origin).days for value in values], dtype=np.int64)


def _timeline(
    rng: np.random.Generator, terms: list[str]
) -> tuple[list[dt.date], list[dt.date], list[dt.date | None], list[str], Floats]:
    """Start, planned end, real end, state and progress that agree with one another and TODAY."""
    count = len(terms)
    origin = dt.date(2019, 12, 1)
    today = (TODAY - origin).days
    opening = _days_from(origin, [TERMS[term][0] for term in terms])
    closing = _days_from(origin, [TERMS[term][1] for term in terms])
    start = opening + rng.integers(0, 1100, count)
    end = np.minimum(start + rng.integers(60, 720, count), closing)
    planned, over = start > today, end < today
    luck = rng.random(count)
    late = over & (luck < 0.12)
    cancelled = (luck > 0.97) & ~planned
    finished = over & ~late & ~cancelled
    slow = ~over & ~planned & (luck < 0.15)
    state = np.select(
        [cancelled, planned, finished, late | slow],
        [4, 0, 3, 2],
        default=1,
    )
    elapsed = np.clip((today - start) / np.maximum(end - start, 1), 0, 1)
    pace = np.where(state == 2, rng.uniform(0.3, 0.7, count), rng.uniform(0.8, 1.05, count))
    progress = np.select(
        [state == 3, state == 0, state == 4],
        [100.0, 0.0, np.round(elapsed * 40)],
        default=np.clip(np.round(elapsed * pace * 100, 1), 1, 98),
    )
    delay = np.where(
        rng.random(count) < 0.35, rng.integers(5, 200, count), -rng.integers(0, 20, count)
    )
    real = np.clip(end + delay, start + 1, today - 1)
    real_dates = blank_where(dates(origin, real), state != 3)
    return (
        dates(origin, start),
        dates(origin, end),
        real_dates,
        [STATES[i] for i in state.tolist()],
        progress,
    )


def _sdgs(rng: np.random.Generator, count: int) -> list[str]:
    first, second = rng.integers(1, 18, count), rng.integers(1, 18, count)
    both = rng.random(count) < 0.4
    return [
        f"{min(a, b)},{max(a, b)}" if two and a != b else str(a)
        for a, b, two in zip(first.tolist(), second.tolist(), both.tolist(), strict=True)
    ]


def _milestones(rng: np.random.Generator, size: SampleSize, projects: Table) -> Table:
    count = size.milestones
    owner = np.sort(rng.integers(0, len(projects), count))
    origin = dt.date(2019, 12, 1)
    start = _days_from(origin, projects["fecha_inicio"])[owner]
    end = _days_from(origin, projects["fecha_fin_prevista"])[owner]
    due = start + ((end - start) * rng.uniform(0.1, 1, count)).astype(np.int64)
    met = np.maximum(due + rng.integers(-20, 60, count), start)
    today = (TODAY - origin).days
    alive = np.isin([projects["estado"][p] for p in owner.tolist()], ["cancelado"], invert=True)
    done = (met < today) & alive & (rng.random(count) < 0.9)
    state = np.where(done, "cumplido", np.where(due < today, "vencido", "pendiente"))
    return Table(
        "hitos",
        columns(
            "hito_id int",
            "proyecto_id int",
            "nombre text",
            "fecha_prevista date",
            "fecha_cumplido date",
            "estado text",
        ),
        ("hito_id",),
        {
            "hito_id": list(range(1, count + 1)),
            "proyecto_id": [projects["proyecto_id"][p] for p in owner.tolist()],
            "nombre": [f"Hito {i} (sintético)" for i in range(1, count + 1)],
            "fecha_prevista": dates(origin, due),
            "fecha_cumplido": blank_where(dates(origin, met), ~done),
            "estado": state.tolist(),
        },
    )


def _indicators(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.indicators
    numbers = list(range(1, count + 1))
    programme = rng.integers(1, size.programmes + 1, count)
    names = pick(rng, MEASURED, count)
    flags = ("relevancia", "medibilidad", "accesibilidad", "comparabilidad", "simplicidad")
    return Table(
        "indicadores",
        columns(
            "indicador_id int",
            "codigo text",
            "nombre text",
            "secretaria_id int",
            "programa_id int",
            "categoria text",
            "tipo text",
            "unidad text",
            "sentido text",
            "linea_base numeric(18,4)",
            "frecuencia text",
            *(f"{flag} bool" for flag in flags),
            "validado_por_secretaria bool",
            "es_estrategico bool",
        ),
        ("indicador_id",),
        {
            "indicador_id": numbers,
            "codigo": [f"SINT-I-{i:03d}" for i in numbers],
            "nombre": [
                f"{name} {i:03d} (sintético)" for name, i in zip(names, numbers, strict=True)
            ],
            "secretaria_id": ((programme - 1) % size.secretariats + 1).tolist(),
            "programa_id": programme.tolist(),
            "categoria": pick(rng, CATEGORIES, count),
            "tipo": pick(rng, ("de proceso", "de finalidad"), count, (3, 2)),
            "unidad": pick(rng, ("porcentaje", "días", "personas", "unidades"), count),
            "sentido": pick(rng, ("aumentar", "disminuir", "mantener"), count, (6, 3, 1)),
            "linea_base": decimals(rng.uniform(20, 120, count), 4),
            "frecuencia": pick(rng, list(FREQUENCIES), count, (60, 25, 10, 5)),
            **{flag: (rng.random(count) < 0.85).tolist() for flag in flags},
            "validado_por_secretaria": (rng.random(count) < 0.8).tolist(),
            "es_estrategico": (rng.random(count) < 0.25).tolist(),
        },
    )


def _goals(rng: np.random.Generator, size: SampleSize, indicators: Table) -> Table:
    count = size.goals
    chosen = np.arange(count) % len(indicators)
    base = np.array([float(v) for v in indicators["linea_base"]])[chosen]
    sense = np.array(indicators["sentido"])[chosen]
    change = np.select([sense == "aumentar", sense == "disminuir"], [1.0, -1.0], 0.0)
    with_project = rng.random(count) < 0.4
    project = rng.integers(1, size.projects + 1, count)
    limits = (
        dt.date(2025, 12, 31),
        dt.date(2026, 6, 30),
        dt.date(2026, 12, 31),
        TERMS["2023-2027"][1],
    )
    return Table(
        "metas",
        columns(
            "meta_id int",
            "indicador_id int",
            "proyecto_id int",
            "descripcion text",
            "valor_objetivo numeric(18,4)",
            "fecha_limite date",
        ),
        ("meta_id",),
        {
            "meta_id": list(range(1, count + 1)),
            "indicador_id": [indicators["indicador_id"][i] for i in chosen.tolist()],
            "proyecto_id": blank_where(project.tolist(), ~with_project),
            "descripcion": [f"Meta {i} (sintético)" for i in range(1, count + 1)],
            "valor_objetivo": decimals(base * (1 + change * rng.uniform(0.05, 0.3, count)), 4),
            "fecha_limite": pick(rng, limits, count, (1, 1, 2, 2)),
        },
    )


def _periods(frequency: str) -> list[dt.date]:
    """First day of every period that had ended by TODAY."""
    step, year = FREQUENCIES[frequency]
    months = range(year * 12, TODAY.year * 12 + TODAY.month - step, step)
    return [dt.date(month // 12, month % 12 + 1, 1) for month in months]


def _measurements(rng: np.random.Generator, indicators: Table) -> Table:
    """A trend towards (or away from) the goal plus noise, one value per finished period."""
    owners: list[int] = []
    periods: list[dt.date] = []
    values: list[float] = []
    for row, frequency in enumerate(indicators["frecuencia"]):
        own = _periods(frequency)
        base = float(indicators["linea_base"][row])
        sense = {"aumentar": 1, "disminuir": -1, "mantener": 0}[indicators["sentido"][row]]
        slope = sense * rng.normal(0.15, 0.12)
        path = base * (1 + slope * np.linspace(0, 1, len(own)) + rng.normal(0, 0.03, len(own)))
        owners += [indicators["indicador_id"][row]] * len(own)
        periods += own
        values += np.maximum(path, 0).tolist()
    count = len(owners)
    step = np.array([FREQUENCIES[indicators["frecuencia"][i - 1]][0] for i in owners])
    lag = np.minimum(step * 30 + rng.integers(1, 12, count), _days_to_today(periods))
    seconds = (_days_from(dt.date(2020, 1, 1), periods) + lag) * 86400
    return Table(
        "mediciones",
        columns(
            "medicion_id bigint",
            "indicador_id int",
            "periodo date",
            "valor numeric(18,4)",
            "fuente text",
            "registrado_en timestamptz",
        ),
        ("medicion_id",),
        {
            "medicion_id": list(range(1, count + 1)),
            "indicador_id": owners,
            "periodo": periods,
            "valor": decimals(np.array(values), 4),
            "fuente": pick(rng, ("Planilla del área", "Sistema", "Relevamiento"), count),
            "registrado_en": zoned(
                moments(dt.date(2020, 1, 1), seconds + rng.integers(28800, 64800, count))
            ),
        },
    )


def _days_to_today(periods: list[dt.date]) -> Ints:
    return np.array([(TODAY - period).days - 1 for period in periods], dtype=np.int64)


def _plant_projects(rng: np.random.Generator, projects: Table, log: DefectLog) -> None:
    rows = RowPicker(rng, len(projects))
    states = np.array(projects["estado"])
    plant_mojibake(projects, "nombre", "mlc.proyectos.nombre_mal_codificado", rows, log)

    def each(kind: str, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        defect_id = f"mlc.proyectos.{kind}"
        chosen = rows.take(log.wanted(defect_id), allowed)
        for row in chosen:
            log.add(defect_id, projects.key_of(row))
        return chosen

    for row in each("completo_y_planificado", states == "planificado"):
        projects["avance_pct"][row] = decimals(np.array([100.0]), 2)[0]
    for row in each("avance_mayor_a_100", states == "en_ejecucion"):
        projects["avance_pct"][row] = decimals(np.array([120.0]), 2)[0]
    for row in each("programa_inexistente"):
        projects["programa_id"][row] = 999
    for row in each("fin_antes_de_inicio", states != "finalizado"):
        projects["fecha_fin_prevista"][row] = projects["fecha_inicio"][row] - dt.timedelta(days=30)
    for row in each("codigo_duplicado"):
        twin = row - 1 if row else row + 1
        projects["codigo"][row] = projects["codigo"][twin]
    for row in each("ods_invalido"):
        projects["ods"][row] = "11,18"
    plant_variants(projects, "estado", "mlc.proyectos.estado_variante", rows, log)
    plant_variants(projects, "distrito", "mlc.proyectos.distrito_variante", rows, log)


def _plant_milestones(
    rng: np.random.Generator, milestones: Table, projects: Table, log: DefectLog
) -> None:
    rows = RowPicker(rng, len(milestones))
    met = np.array(milestones["estado"]) == "cumplido"
    start = dict(zip(projects["proyecto_id"], projects["fecha_inicio"], strict=True))
    for row in rows.take(log.wanted("mlc.hitos.cumplido_antes_de_inicio"), met):
        begun = start[milestones["proyecto_id"][row]]
        milestones["fecha_cumplido"][row] = begun - dt.timedelta(days=15)
        log.add("mlc.hitos.cumplido_antes_de_inicio", milestones.key_of(row))
    for row in rows.take(log.wanted("mlc.hitos.cumplido_sin_fecha"), met):
        milestones["fecha_cumplido"][row] = None
        log.add("mlc.hitos.cumplido_sin_fecha", milestones.key_of(row))
    for row in rows.take(log.wanted("mlc.hitos.proyecto_inexistente")):
        milestones["proyecto_id"][row] = 99999
        log.add("mlc.hitos.proyecto_inexistente", milestones.key_of(row))


def _plant_indicators(
    rng: np.random.Generator,
    indicators: Table,
    goals: Table,
    measurements: Table,
    log: DefectLog,
) -> None:
    rows = RowPicker(rng, len(indicators))
    plant_mojibake(indicators, "nombre", "mlc.indicadores.nombre_mal_codificado", rows, log)
    plant_variants(indicators, "categoria", "mlc.indicadores.categoria_variante", rows, log)
    for row in RowPicker(rng, len(goals)).take(log.wanted("mlc.metas.sin_vinculo")):
        goals["indicador_id"][row] = goals["proyecto_id"][row] = None
        log.add("mlc.metas.sin_vinculo", goals.key_of(row))
    readings = RowPicker(rng, len(measurements))
    for row in readings.take(log.wanted("mlc.mediciones.indicador_inexistente")):
        measurements["indicador_id"][row] = 9999
        log.add("mlc.mediciones.indicador_inexistente", measurements.key_of(row))
    for row in readings.take(log.wanted("mlc.mediciones.valor_atipico")):
        measurements["valor"][row] *= 1000
        log.add("mlc.mediciones.valor_atipico", measurements.key_of(row))

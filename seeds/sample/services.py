"""The citizen-service system (Citymis): requests, procedures and programme beneficiaries.

Rows and their planted defects belong here; value lists about people belong in ``people.py``.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from seeds.sample.config import DISTRICTS, SAMPLE_BOX, TODAY, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.people import (
    ACCESS,
    EDUCATION,
    ETHNICITIES,
    INCOME,
    LITERACY,
    WASHINGTON,
    birth_dates,
    genders,
    plant_birth_dates,
    plant_gender_variants,
    washington_answers,
)
from seeds.sample.tables import (
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
from seeds.sample.variants import plant_variants

# Type of request → category and area.
REQUESTS = {
    "Fuga de agua en vía pública": ("agua", "Aguas"),
    "Corte de agua": ("agua", "Aguas"),
    "Luminaria apagada": ("alumbrado", "Obras Públicas"),
    "Bache": ("calles", "Obras Públicas"),
    "Recolección de residuos": ("higiene", "Higiene Urbana"),
    "Poda de árbol": ("arbolado", "Medio Ambiente"),
    "Ruidos molestos": ("convivencia", "Seguridad"),
}
PROCEDURES = (
    "Habilitación comercial",
    "Licencia de conducir",
    "Certificado de libre deuda",
    "Permiso de obra",
    "Reclamo administrativo",
)
FIRST_DAY = dt.date(2025, 1, 1)


def build_services(seed: int, size: SampleSize, log: DefectLog) -> list[Table]:
    """All tables of the system, defects included."""
    rng = stream(seed, "services")
    requests = _requests(rng, size)
    procedures = _procedures(rng, size)
    people = _beneficiaries(rng, size)
    _plant_requests(rng, requests, log)
    _plant_procedures(rng, procedures, log)
    _plant_beneficiaries(rng, people, log)
    return [requests, procedures, people]


def _requests(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.requests
    days = (TODAY - FIRST_DAY).days
    entry = np.sort(rng.integers(0, (days - 1) * 86400, count))
    lasts = (rng.gamma(1.5, 6 * 86400, count)).astype(np.int64) + 1800
    end_of_time = days * 86400 - 3600
    closed = (entry + lasts < end_of_time) & (rng.random(count) < 0.93)
    kind = pick(rng, list(REQUESTS), count, (9, 6, 25, 18, 22, 14, 6))
    refused = rng.random(count) < 0.05
    started = rng.random(count) < 0.5
    state = np.select(
        [closed & refused, closed, started], ["rechazada", "resuelta", "en_proceso"], "ingresada"
    )
    last = np.where(closed, entry + lasts, np.minimum(entry + 3600, end_of_time))
    return Table(
        "solicitudes",
        columns(
            "solicitud_id bigint",
            "tipo text",
            "categoria text",
            "area text",
            "descripcion text",
            "distrito text",
            "latitud numeric(9,6)",
            "longitud numeric(9,6)",
            "fecha_ingreso timestamptz",
            "fecha_cierre timestamptz",
            "estado text",
            "canal text",
            "actualizado_en timestamptz",
        ),
        ("solicitud_id",),
        {
            "solicitud_id": list(range(1, count + 1)),
            "tipo": kind,
            "categoria": [REQUESTS[k][0] for k in kind],
            "area": [REQUESTS[k][1] for k in kind],
            "descripcion": [f"{k} (sintético) {i}" for i, k in enumerate(kind, 1)],
            "distrito": pick(rng, DISTRICTS, count),
            "latitud": decimals(rng.uniform(*SAMPLE_BOX["lat"], count), 6),
            "longitud": decimals(rng.uniform(*SAMPLE_BOX["lon"], count), 6),
            "fecha_ingreso": zoned(moments(FIRST_DAY, entry)),
            "fecha_cierre": zoned(blank_where(moments(FIRST_DAY, entry + lasts), ~closed)),
            "estado": state.tolist(),
            "canal": pick(
                rng, ("presencial", "telefono", "web", "app", "luji"), count, (25, 30, 20, 15, 10)
            ),
            "actualizado_en": zoned(moments(FIRST_DAY, last)),
        },
    )


def _procedures(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.procedures
    days = (TODAY - FIRST_DAY).days
    start = np.sort(rng.integers(0, (days - 1) * 86400, count))
    about_data = rng.random(count) < 0.03
    lasts = rng.gamma(2, 5 * 86400, count).astype(np.int64) + 3600
    solved = start + lasts < days * 86400 - 3600
    refused = rng.random(count) < 0.06
    state = np.select([solved & refused, solved], ["rechazado", "resuelto"], "en_proceso")
    kind = pick(rng, PROCEDURES, count)
    return Table(
        "tramites",
        columns(
            "tramite_id bigint",
            "tipo text",
            "secretaria_id int",
            "fecha_inicio timestamptz",
            "fecha_resolucion timestamptz",
            "estado text",
            "es_pedido_de_datos bool",
        ),
        ("tramite_id",),
        {
            "tramite_id": list(range(1, count + 1)),
            "tipo": [
                "Pedido de datos" if data else k
                for k, data in zip(kind, about_data.tolist(), strict=True)
            ],
            "secretaria_id": rng.integers(1, size.secretariats + 1, count).tolist(),
            "fecha_inicio": zoned(moments(FIRST_DAY, start)),
            "fecha_resolucion": zoned(blank_where(moments(FIRST_DAY, start + lasts), ~solved)),
            "estado": state.tolist(),
            "es_pedido_de_datos": about_data.tolist(),
        },
    )


def _beneficiaries(rng: np.random.Generator, size: SampleSize) -> Table:
    count = size.beneficiaries
    numbers = list(range(1, count + 1))
    return Table(
        "beneficiarios",
        columns(
            "beneficiario_id bigint",
            "programa_id int",
            *(
                f"{name} text"
                for name in (
                    "documento",
                    "nombre",
                    "apellido",
                    "fecha_nacimiento",
                    "genero",
                    "etnia",
                    "nivel_educativo",
                    "nivel_ingreso",
                    "distrito",
                    *WASHINGTON,
                    "acceso_tecnologia",
                    "alfabetizacion_digital",
                )
            ),
            "fecha_alta date",
        ),
        ("beneficiario_id",),
        {
            "beneficiario_id": numbers,
            "programa_id": rng.integers(1, size.programmes + 1, count).tolist(),
            "documento": [f"SINT-{900000 + i}" for i in numbers],
            "nombre": [f"Nombre sintético {i}" for i in numbers],
            "apellido": [f"Apellido sintético {i}" for i in numbers],
            "fecha_nacimiento": birth_dates(rng, count, 1, 90),
            "genero": genders(rng, count),
            "etnia": pick(rng, ETHNICITIES, count, (88, 5, 3, 4)),
            "nivel_educativo": pick(rng, EDUCATION, count, (3, 12, 16, 22, 27, 9, 11)),
            "nivel_ingreso": pick(rng, INCOME, count, range(10, 0, -1)),
            "distrito": pick(rng, DISTRICTS, count),
            **washington_answers(rng, count),
            "acceso_tecnologia": pick(rng, ACCESS, count, (45, 42, 8, 5)),
            "alfabetizacion_digital": pick(rng, LITERACY, count, (10, 40, 35, 15)),
            "fecha_alta": dates(dt.date(2024, 1, 1), rng.integers(0, 900, count)),
        },
    )


def _plant_requests(rng: np.random.Generator, requests: Table, log: DefectLog) -> None:
    rows = RowPicker(rng, len(requests))
    closed = np.array([value is not None for value in requests["fecha_cierre"]])
    for row in rows.take(log.wanted("citymis.solicitudes.cierre_antes_de_ingreso"), closed):
        entry = requests["fecha_ingreso"][row]
        requests["fecha_cierre"][row] = entry - dt.timedelta(days=2)
        log.add("citymis.solicitudes.cierre_antes_de_ingreso", requests.key_of(row))
    for row in rows.take(log.wanted("citymis.solicitudes.coordenadas_fuera")):
        requests["latitud"][row], requests["longitud"][row] = decimals(np.zeros(2), 6)
        log.add("citymis.solicitudes.coordenadas_fuera", requests.key_of(row))
    for row in rows.take(log.wanted("citymis.solicitudes.distrito_desconocido")):
        requests["distrito"][row] = "Distrito inexistente"
        log.add("citymis.solicitudes.distrito_desconocido", requests.key_of(row))
    for row in rows.take(log.wanted("citymis.solicitudes.duplicada")):
        copy = requests.append_copy(row, solicitud_id=len(requests) + 1)
        key = {**requests.key_of(copy), "original": requests["solicitud_id"][row]}
        log.add("citymis.solicitudes.duplicada", key)
    plant_variants(requests, "estado", "citymis.solicitudes.estado_variante", rows, log)


def _plant_procedures(rng: np.random.Generator, procedures: Table, log: DefectLog) -> None:
    rows = RowPicker(rng, len(procedures))
    solved = np.array([value is not None for value in procedures["fecha_resolucion"]])
    for row in rows.take(log.wanted("citymis.tramites.resolucion_antes_de_inicio"), solved):
        start = procedures["fecha_inicio"][row]
        procedures["fecha_resolucion"][row] = start - dt.timedelta(days=1)
        log.add("citymis.tramites.resolucion_antes_de_inicio", procedures.key_of(row))
    for row in rows.take(log.wanted("citymis.tramites.secretaria_inexistente")):
        procedures["secretaria_id"][row] = 99
        log.add("citymis.tramites.secretaria_inexistente", procedures.key_of(row))


def _plant_beneficiaries(rng: np.random.Generator, people: Table, log: DefectLog) -> None:
    prefix = "citymis.beneficiarios"
    rows = RowPicker(rng, len(people))
    plant_birth_dates(people, prefix, rows, log)
    plant_gender_variants(people, prefix, rows, log)
    plant_variants(people, "distrito", f"{prefix}.distrito_variante", rows, log)
    written = {
        "genero_fuera_de_lista": ("genero", "X"),
        "fecha_imposible": ("fecha_nacimiento", "31/02/1980"),
        "educacion_fuera_de_lista": ("nivel_educativo", "Curso de oficios"),
        "programa_inexistente": ("programa_id", 999),
    }
    for kind, (column, value) in written.items():
        for row in rows.take(log.wanted(f"{prefix}.{kind}")):
            people[column][row] = value
            log.add(f"{prefix}.{kind}", {**people.key_of(row), "valor": value})
    copies = log.wanted(f"{prefix}.documento_duplicado")
    # Originals are picked as well: one kept out for another defect would hide its copy.
    for row, twin in zip(rows.take(copies), rows.take(copies), strict=True):
        people["documento"][row] = people["documento"][twin]
        key = {**people.key_of(row), "original": people["beneficiario_id"][twin]}
        log.add(f"{prefix}.documento_duplicado", key)

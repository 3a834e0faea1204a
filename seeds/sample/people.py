"""People in the sample: birth dates, and the answers the disaggregation protocol asks for.

Value lists and draws common to beneficiaries and survey answers belong here; everything is made
up, and the shares of each value say nothing about the city's population.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from seeds.sample.config import TODAY
from seeds.sample.defects import DefectLog
from seeds.sample.tables import RowPicker, Table, dates, pick
from seeds.sample.variants import GENDER_VARIANTS

GENDERS = ("Femenino", "Masculino", "No binario", "Prefiero no decir")
ETHNICITIES = ("Ninguno", "Indígena", "Afrodescendiente", "Prefiero no decir")
EDUCATION = (
    "Sin instrucción",
    "Primario incompleto",
    "Primario completo",
    "Secundario incompleto",
    "Secundario completo",
    "Superior incompleto",
    "Superior completo",
)
INCOME = tuple(f"Decil {i}" for i in range(1, 11))
ACCESS = (
    "Computadora e internet",
    "Solo celular con internet",
    "Celular sin internet",
    "Sin acceso",
)
LITERACY = ("Nula", "Básica", "Intermedia", "Avanzada")
DIFFICULTY = ("sin dificultad", "alguna dificultad", "mucha dificultad", "no puede")
WASHINGTON = (
    "wg_ver",
    "wg_oir",
    "wg_caminar",
    "wg_recordar",
    "wg_cuidado_personal",
    "wg_comunicarse",
)
GENDER_OF_VARIANT = {"M": "Masculino", "F": "Femenino", "Hombre": "Masculino", "Varón": "Masculino"}


def birth_dates(rng: np.random.Generator, count: int, youngest: int, oldest: int) -> list[str]:
    """Birth dates written ``dd/mm/aaaa``, as the protocol wants them."""
    days = rng.integers(youngest * 366, oldest * 365, count)
    return [f"{day:%d/%m/%Y}" for day in dates(TODAY, -days)]


def genders(rng: np.random.Generator, count: int) -> list[str]:
    """The city's four values."""
    return pick(rng, GENDERS, count, (53, 44, 1.5, 1.5))


def washington_answers(rng: np.random.Generator, count: int) -> dict[str, list[Any]]:
    """One answer per question of the Washington Group short set."""
    return {name: pick(rng, DIFFICULTY, count, (90, 7, 2.3, 0.7)) for name in WASHINGTON}


def plant_birth_dates(table: Table, prefix: str, rows: RowPicker, log: DefectLog) -> None:
    """Ages instead of dates, and dates in year-month-day order."""
    born = table["fecha_nacimiento"]
    for number, row in enumerate(rows.take(log.wanted(f"{prefix}.edad_en_lugar_de_fecha"))):
        born[row] = str(34 + number)
        log.add(f"{prefix}.edad_en_lugar_de_fecha", {**table.key_of(row), "valor": born[row]})
    for row in rows.take(log.wanted(f"{prefix}.fecha_orden_iso")):
        original = born[row]
        born[row] = dt.datetime.strptime(original, "%d/%m/%Y").date().isoformat()
        key = {**table.key_of(row), "valor": born[row], "correcto": original}
        log.add(f"{prefix}.fecha_orden_iso", key)


def plant_gender_variants(table: Table, prefix: str, rows: RowPicker, log: DefectLog) -> None:
    """Genders in other words, which the protocol maps to its own."""
    chosen = rows.take(log.wanted(f"{prefix}.genero_variante"))
    for number, row in enumerate(chosen):
        variant = GENDER_VARIANTS[number % len(GENDER_VARIANTS)]
        table["genero"][row] = variant
        key = {**table.key_of(row), "valor": variant, "correcto": GENDER_OF_VARIANT[variant]}
        log.add(f"{prefix}.genero_variante", key)

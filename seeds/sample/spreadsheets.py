"""Spreadsheets kept by hand: dataset inventory, skills survey, manual KPIs, committee meetings.

Rows, their planted defects and the xlsx layout (titles, header row, blank and total rows) belong
here. The bytes written depend only on the seed and the size.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xlsxwriter

from seeds.sample.config import SECRETARIATS, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.people import (
    EDUCATION,
    birth_dates,
    genders,
    plant_birth_dates,
    plant_gender_variants,
)
from seeds.sample.tables import RowPicker, Table, columns, dates, pick, stream
from seeds.sample.variants import MISSPELT_SECRETARIAT

EXCEL_EPOCH = dt.date(1899, 12, 30)
# A fixed creation date keeps the bytes of a workbook the same in every build.
WORKBOOK_DATE = dt.datetime(2026, 7, 1)
# Manual committee KPIs → mean and decimals of the sample values. R33, R36: nobody reported.
MANUAL_KPIS = {
    "kpi_r25": (4.0, 0),
    "kpi_r26": (62.5, 1),
    "kpi_r29": (2.0, 0),
    "kpi_r32": (1350.0, 0),
    "kpi_r34": (6.0, 0),
    "kpi_r35": (48.5, 1),
    "kpi_r37": (41.0, 1),
    "kpi_r38": (64.5, 1),
}
FREQUENCY_DAYS = {"mensual": 30, "trimestral": 91, "anual": 364}
QUARTERS = tuple(dt.date(2024 + q // 4, q % 4 * 3 + 1, 1) for q in range(3, 10))
SUBJECTS = (
    "Consumo de agua|mensual|sensible|critica",
    "Red de agua|anual|acceso_restringido|critica",
    "Calidad de agua|mensual|libre_acceso|critica",
    "Atenciones de salud|trimestral|sensible|critica",
    "Proyectos|trimestral|libre_acceso|alta",
    "Solicitudes|mensual|acceso_restringido|alta",
    "Habilitaciones|trimestral|libre_acceso|normal",
    "Compras|mensual|libre_acceso|alta",
    "Presupuesto|anual|libre_acceso|alta",
    "Espacios públicos|anual|libre_acceso|normal",
)


@dataclass(frozen=True)
class Sheet:
    """A table and how it lies in its workbook (header row counted from 1)."""

    table: Table
    name: str
    header_row: int = 1
    titles: tuple[str, ...] = ()
    blank_after: int | None = None
    footer: tuple[Any, ...] = ()
    raw_numbers: frozenset[tuple[int, str]] = frozenset()


def build_spreadsheets(seed: int, size: SampleSize, log: DefectLog) -> list[Sheet]:
    """The four workbooks, defects included."""
    rng = stream(seed, "spreadsheets")
    return [
        _inventory(rng, size, log),
        _survey(rng, size, log),
        _kpis(rng, log),
        _meetings(rng, size),
    ]


def write_workbook(folder: Path, sheet: Sheet) -> None:
    """Write ``<table>.xlsx`` with one sheet."""
    path = folder / f"{sheet.table.name}.xlsx"
    with xlsxwriter.Workbook(str(path), {"default_date_format": "dd/mm/yyyy"}) as book:
        book.set_properties({"title": "Datos sintéticos", "created": WORKBOOK_DATE})
        page = book.add_worksheet(sheet.name)
        for line, title in enumerate(sheet.titles):
            page.write_string(line, 0, title)
        names = [column.name for column in sheet.table.columns]
        page.write_row(sheet.header_row - 1, 0, names)
        line = sheet.header_row
        for row, values in enumerate(sheet.table.rows()):
            for cell, value in enumerate(values):
                _write_cell(page, line, cell, value, (row, names[cell]) in sheet.raw_numbers)
            line += 2 if row == sheet.blank_after else 1
        for cell, value in enumerate(sheet.footer):
            _write_cell(page, line, cell, value, False)


def _write_cell(page: Any, line: int, cell: int, value: Any, as_number: bool) -> None:
    if value is None:
        return
    if isinstance(value, dt.date):
        if as_number:
            page.write_number(line, cell, (value - EXCEL_EPOCH).days)
        else:
            page.write_datetime(line, cell, dt.datetime.combine(value, dt.time()))
    elif isinstance(value, str):
        page.write_string(line, cell, value)
    else:
        page.write_number(line, cell, value)


def _inventory(rng: np.random.Generator, size: SampleSize, log: DefectLog) -> Sheet:
    count = size.inventory
    numbers = list(range(1, count + 1))
    subject = [SUBJECTS[(i - 1) % len(SUBJECTS)].split("|") for i in numbers]
    names = [name for name, _ in SECRETARIATS]
    table = Table(
        "inventario_datasets",
        columns(
            "dataset_codigo text",
            "nombre text",
            "secretaria text",
            "responsable text",
            "referente text",
            "frecuencia text",
            "formato text",
            "clasificacion text",
            "prioridad text",
            "ubicacion text",
            "ultima_actualizacion date",
            "publicado text",
        ),
        ("dataset_codigo",),
        {
            "dataset_codigo": [f"DS-{i:03d}" for i in numbers],
            "nombre": [
                f"{s[0]} {i:03d} (sintético)" for i, s in zip(numbers, subject, strict=True)
            ],
            "secretaria": [names[(i - 1) % len(names)] for i in numbers],
            "responsable": [f"Responsable sintético {i % 13 + 1:02d}" for i in numbers],
            "referente": [f"Referente sintético {i % 13 + 1:02d}" for i in numbers],
            "frecuencia": [s[1] for s in subject],
            "formato": pick(rng, ("base de datos", "xlsx", "csv", "papel"), count, (5, 4, 2, 1)),
            "clasificacion": [s[2] for s in subject],
            "prioridad": [s[3] for s in subject],
            "ubicacion": pick(rng, ("Servidor municipal", "Planilla compartida", "Archivo"), count),
            "ultima_actualizacion": _updates(rng, size, [s[1] for s in subject]),
            "publicado": pick(rng, ("si", "no"), count, (2, 3)),
        },
    )
    raw_numbers = _plant_inventory(rng, table, log)
    middle = count // 2
    prefix = "planillas.inventario_datasets"
    total, blank = log.wanted(f"{prefix}.fila_total"), log.wanted(f"{prefix}.fila_en_blanco")
    if total:
        log.add(f"{prefix}.fila_total", {"texto": "TOTAL"})
    if blank:
        log.add(f"{prefix}.fila_en_blanco", {"despues_de_fila": middle + 1})
    return Sheet(
        table,
        "Inventario",
        header_row=3,
        titles=("Inventario de conjuntos de datos (SINTÉTICO)", "Actualizado al 01/07/2026"),
        blank_after=middle if blank else None,
        footer=("TOTAL", *[None] * 8, f"{count} conjuntos") if total else (),
        raw_numbers=raw_numbers,
    )


def _updates(rng: np.random.Generator, size: SampleSize, frequencies: list[str]) -> list[dt.date]:
    """When each dataset was last updated: many late, none of them in the clean sample."""
    days = rng.integers(0, 364, len(frequencies))
    if not size.defect_share:
        days = 363 - days % np.array([FREQUENCY_DAYS[name] for name in frequencies])
    return dates(dt.date(2025, 7, 1), days)


def _plant_inventory(
    rng: np.random.Generator, table: Table, log: DefectLog
) -> frozenset[tuple[int, str]]:
    prefix = "planillas.inventario_datasets"
    rows = RowPicker(rng, len(table))
    _misspell(table, prefix, rows, log)
    for row in rows.take(log.wanted(f"{prefix}.sin_responsable")):
        table["responsable"][row] = None
        log.add(f"{prefix}.sin_responsable", table.key_of(row))
    open_data = np.array(table["clasificacion"]) == "libre_acceso"
    for row in rows.take(log.wanted(f"{prefix}.clasificacion_variante"), open_data):
        table["clasificacion"][row] = "Libre Acceso "
        key = {**table.key_of(row), "valor": "Libre Acceso ", "correcto": "libre_acceso"}
        log.add(f"{prefix}.clasificacion_variante", key)
    numbers = []
    for row in rows.take(log.wanted(f"{prefix}.fecha_como_numero")):
        day = table["ultima_actualizacion"][row]
        key = {**table.key_of(row), "valor": (day - EXCEL_EPOCH).days, "correcto": day.isoformat()}
        log.add(f"{prefix}.fecha_como_numero", key)
        numbers.append((row, "ultima_actualizacion"))
    return frozenset(numbers)


def _misspell(table: Table, prefix: str, rows: RowPicker, log: DefectLog) -> None:
    public_works = np.array(table["secretaria"]) == "Obras Públicas"
    for row in rows.take(log.wanted(f"{prefix}.secretaria_mal_escrita"), public_works):
        table["secretaria"][row] = MISSPELT_SECRETARIAT
        key = {**table.key_of(row), "valor": MISSPELT_SECRETARIAT, "correcto": "Obras Públicas"}
        log.add(f"{prefix}.secretaria_mal_escrita", key)


def _survey(rng: np.random.Generator, size: SampleSize, log: DefectLog) -> Sheet:
    count = size.survey_answers
    names = [name for name, _ in SECRETARIATS]
    uses = ("diaria", "semanal", "mensual", "ocasional", "nunca")
    tools = ("Planilla de cálculo", "Power BI", "Sistema propio", "Ninguna")
    table = Table(
        "encuesta_habilidades",
        columns(
            "respuesta_id int",
            "secretaria text",
            "fecha_nacimiento text",
            "genero text",
            "nivel_educativo text",
            "frecuencia_uso text",
            "herramienta_principal text",
            "capacitacion_recibida text",
            "interes_capacitacion text",
            "autoevaluacion int",
            "fecha_respuesta date",
        ),
        ("respuesta_id",),
        {
            "respuesta_id": list(range(1, count + 1)),
            "secretaria": [names[i] for i in (np.arange(count) % len(names)).tolist()],
            "fecha_nacimiento": birth_dates(rng, count, 20, 66),
            "genero": genders(rng, count),
            "nivel_educativo": pick(rng, EDUCATION, count, (0, 1, 3, 6, 35, 20, 35)),
            "frecuencia_uso": pick(rng, uses, count, (4, 3, 1, 2, 1)),
            "herramienta_principal": pick(rng, tools, count, (6, 1, 2, 1)),
            "capacitacion_recibida": pick(rng, ("si", "no"), count),
            "interes_capacitacion": pick(rng, ("si", "no"), count, (4, 1)),
            "autoevaluacion": rng.integers(1, 6, count).tolist(),
            "fecha_respuesta": dates(dt.date(2025, 3, 1), rng.integers(0, 60, count)),
        },
    )
    prefix = "planillas.encuesta_habilidades"
    rows = RowPicker(rng, len(table))
    plant_birth_dates(table, prefix, rows, log)
    plant_gender_variants(table, prefix, rows, log)
    for row in rows.take(log.wanted(f"{prefix}.autoevaluacion_fuera_de_rango")):
        table["autoevaluacion"][row] = 7
        log.add(f"{prefix}.autoevaluacion_fuera_de_rango", table.key_of(row))
    _misspell(table, prefix, rows, log)
    return Sheet(table, "Respuestas")


def _kpis(rng: np.random.Generator, log: DefectLog) -> Sheet:
    codes = [code for code in MANUAL_KPIS for _ in QUARTERS]
    mean = np.array([MANUAL_KPIS[code][0] for code in codes])
    values = mean * rng.uniform(0.8, 1.2, len(codes))
    places = [MANUAL_KPIS[code][1] for code in codes]
    periods = list(QUARTERS) * len(MANUAL_KPIS)
    table = Table(
        "kpi_manuales",
        columns(
            "kpi_codigo text",
            "periodo date",
            "valor text",
            "fuente text",
            "cargado_por text",
            "fecha_carga date",
        ),
        ("kpi_codigo", "periodo"),
        {
            "kpi_codigo": codes,
            "periodo": periods,
            "valor": [f"{v:.{n}f}" for v, n in zip(values.tolist(), places, strict=True)],
            "fuente": ["Informe del área (sintético)"] * len(codes),
            "cargado_por": ["Referente sintético 01"] * len(codes),
            "fecha_carga": [_quarter_end(day) for day in periods],
        },
    )
    prefix = "planillas.kpi_manuales"
    rows = RowPicker(rng, len(table))
    fractional = np.array([n > 0 for n in places])
    for row in rows.take(log.wanted(f"{prefix}.coma_decimal"), fractional):
        original = table["valor"][row]
        table["valor"][row] = original.replace(".", ",")
        key = {
            "kpi_codigo": codes[row],
            "periodo": periods[row].isoformat(),
            "valor": table["valor"][row],
            "correcto": original,
        }
        log.add(f"{prefix}.coma_decimal", key)
    total = log.wanted(f"{prefix}.fila_total")
    if total:
        log.add(f"{prefix}.fila_total", {"texto": "TOTAL"})
    return Sheet(table, "KPI", footer=("TOTAL", None, f"{len(codes)}") if total else ())


def _quarter_end(first: dt.date) -> dt.date:
    return (first + dt.timedelta(days=95)).replace(day=1) - dt.timedelta(days=2)


def _meetings(rng: np.random.Generator, size: SampleSize) -> Sheet:
    """Quarterly meetings; the last but one was planned and never held."""
    count = size.meetings
    planned = [dt.date(2024 + (8 + 3 * i) // 12, (8 + 3 * i) % 12 + 1, 4) for i in range(count)]
    held: list[dt.date | None] = [
        day + dt.timedelta(days=int(d))
        for day, d in zip(planned, rng.integers(0, 10, count), strict=True)
    ]
    held[-2] = None
    table = Table(
        "reuniones_comite",
        columns(
            "reunion_id int",
            "fecha_prevista date",
            "fecha_realizada date",
            "asistentes int",
            "temas text",
            "acta text",
        ),
        ("reunion_id",),
        {
            "reunion_id": list(range(1, count + 1)),
            "fecha_prevista": planned,
            "fecha_realizada": held,
            "asistentes": [
                None if day is None else int(n)
                for day, n in zip(held, rng.integers(7, 16, count), strict=True)
            ],
            "temas": [f"Temario sintético {i}" for i in range(1, count + 1)],
            "acta": [
                None if day is None else f"Acta sintética {i}" for i, day in enumerate(held, 1)
            ],
        },
    )
    return Sheet(table, "Reuniones")

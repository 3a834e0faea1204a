"""The rows that are loaded: hourly meter readings, and municipal projects of twenty columns.

Belongs here: making them, always the same, a batch at a time. Does not belong here: writing them
to files and servers (`sources.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.loading.model import Column, Dataset

METERS = 2_000
_HOURS_PER_BATCH = 100
_START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
_HOUR_US = 3_600_000_000
_SECRETARIATS = ("Obras Públicas", "Hacienda", "Gobierno", "Desarrollo Social", "Turismo")
_STATES = ("planificado", "en ejecución", "terminado", "demorado")
_WORDS = ("plaza", "cloaca", "luminaria", "ciclovía", "acueducto", "señalización", "jardín", "🌳")
_FULL_YEARS = 6


def _readings(rows: int) -> Iterator[pa.RecordBatch]:
    """Readings in order of arrival: every meter at one hour, then the next hour.

    Consumption follows the hour of the day with a spread of its own per meter (seeded).
    """
    rng = np.random.default_rng(7)
    meters = pa.array([f"M-{number:06d}" for number in range(1, METERS + 1)])
    register = rng.integers(10_000, 900_000, METERS)
    done = 0
    while done < rows:
        hours = min(_HOURS_PER_BATCH, -(-(rows - done) // METERS))
        first_hour = done // METERS
        of_day = (first_hour + np.arange(hours)) % 24
        used = rng.integers(0, 40, (hours, METERS)) + np.where(of_day >= 7, 12, 1)[:, None]
        litres = register + np.cumsum(used, axis=0)
        register = litres[-1]
        # A thousandth resolution: the meter's litres plus what its pulse counter adds.
        thousandths = used * 1_000 + rng.integers(0, 1_000, (hours, METERS))
        moments = _START_US + (first_hour + np.arange(hours)) * _HOUR_US
        count = min(hours * METERS, rows - done)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.arange(done + 1, done + count + 1)),
                meters.take(pa.array(np.tile(np.arange(METERS), hours)[:count], pa.int64())),
                pa.array(np.repeat(moments, METERS)[:count], pa.timestamp("us", tz="UTC")),
                pa.array(litres.reshape(-1)[:count]),
                _decimals(thousandths.reshape(-1)[:count], 12, 3),
            ],
            names=["lectura_id", "medidor_id", "momento", "lectura_l", "consumo"],
        )
        done += count


def _changing_readings(rows: int) -> Iterator[pa.RecordBatch]:
    """The same readings with the moment each was last changed: a second apart by arrival."""
    for batch in _readings(rows):
        seconds = pc.multiply(pc.cast(batch.column("lectura_id"), pa.int64()), 1_000_000)
        changed = pc.cast(pc.add(seconds, _START_US), pa.timestamp("us", tz="UTC"))
        yield batch.append_column("actualizado_en", changed)


def _projects(rows: int) -> Iterator[pa.RecordBatch]:
    """Projects with nulls, accents, signs outside the basic plane, and long texts."""
    rng = np.random.default_rng(11)
    for first in range(0, rows, 20_000):
        count = min(20_000, rows - first)
        numbers = np.arange(first + 1, first + count + 1)
        amounts = rng.integers(100_000, 9_000_000_000, count)
        starts = 19_000 + rng.integers(0, 1_500, count)
        made = _START_US + numbers * 61_000_000
        open_ended = rng.random(count) < 0.3
        silent = rng.random(count) < 0.5
        words = rng.integers(0, len(_WORDS), (count, 2))
        arrays: dict[str, Any] = {
            "proyecto_id": pa.array(numbers),
            "codigo": pa.array([f"P-{number:07d}" for number in numbers]),
            "nombre": pa.array(
                [
                    f"Obra {_WORDS[a]} {_WORDS[b]} n.º {n}"
                    for (a, b), n in zip(words, numbers, strict=True)
                ]
            ),
            "secretaria": _picked(rng, _SECRETARIATS, count),
            "distrito": _picked(rng, [f"Distrito {n}" for n in range(1, 16)], count),
            "estado": _picked(rng, _STATES, count),
            "prioridad": pa.array(rng.integers(1, 6, count), pa.int16()),
            "ods": pa.array(rng.integers(1, 18, count), pa.int16()),
            "monto": _decimals(amounts, 14, 2),
            "ejecutado": _decimals((amounts * rng.random(count)).astype(np.int64), 14, 2),
            "avance": pa.array(np.round(rng.random(count) * 100, 2)),
            "poblacion": pa.array(rng.integers(50, 40_000, count), pa.int32()),
            "latitud": pa.array(np.round(-33.0 - rng.random(count) / 4, 6)),
            "longitud": pa.array(np.round(-68.9 - rng.random(count) / 4, 6)),
            "inicio": pa.array(starts, pa.int32()).cast(pa.date32()),
            "fin": pa.array(
                (starts + rng.integers(30, 365 * _FULL_YEARS, count)).astype(np.int32),
                pa.int32(), mask=open_ended,
            ).cast(pa.date32()),
            "creado_en": pa.array(made, pa.timestamp("us", tz="UTC")),
            "actualizado_en": pa.array(made + 86_400_000_000, pa.timestamp("us", tz="UTC")),
            "activo": pa.array(rng.random(count) < 0.9),
            "observaciones": pa.array(
                [None if quiet else f"Expediente {n} en trámite; sin novedades de obra."
                 for quiet, n in zip(silent, numbers, strict=True)]
            ),
        }  # fmt: skip
        yield pa.RecordBatch.from_pydict(arrays)


def _decimals(units: np.ndarray[Any, Any], precision: int, scale: int) -> pa.Array[Any]:
    """Exact decimals of whole units of their last place."""
    raised = np.zeros((len(units), 2), dtype=np.int64)
    raised[:, 0] = units
    kind = pa.decimal128(precision, scale)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(raised.tobytes())])


def _picked(rng: np.random.Generator, values: Any, count: int) -> pa.Array[Any]:
    places = pa.array(rng.integers(0, len(values), count), pa.int64())
    picked: pa.Array[Any] = pa.array(list(values)).take(places)
    return picked


_READING_COLUMNS = (
    Column("lectura_id", "bigint", "bigint"),
    Column("medidor_id", "text", "varchar(20)"),
    Column("momento", "timestamptz", "datetime"),
    Column("lectura_l", "bigint", "bigint", minimum=0),
    Column("consumo", "numeric(12,3)", "decimal(12,3)", minimum=0),
)

READINGS = Dataset(
    "lecturas", _READING_COLUMNS, "lectura_id", "consumo", "momento", "medidor_id", _readings
)
CHANGING_READINGS = Dataset(
    "lecturas_cambiantes",
    (*_READING_COLUMNS, Column("actualizado_en", "timestamptz", "datetime")),
    "lectura_id", "consumo", "actualizado_en", "medidor_id", _changing_readings,
    cursor="actualizado_en",
)  # fmt: skip
PROJECTS = Dataset(
    "proyectos",
    (
        Column("proyecto_id", "bigint", "bigint"),
        Column("codigo", "text", "varchar(20)"),
        Column("nombre", "text", "varchar(200)"),
        Column("secretaria", "text", "varchar(80)"),
        Column("distrito", "text", "varchar(80)"),
        Column("estado", "text", "varchar(20)"),
        Column("prioridad", "smallint", "smallint", minimum=1),
        Column("ods", "smallint", "smallint", minimum=1),
        Column("monto", "numeric(14,2)", "decimal(14,2)", minimum=0),
        Column("ejecutado", "numeric(14,2)", "decimal(14,2)", minimum=0),
        Column("avance", "double precision", "double"),
        Column("poblacion", "integer", "int"),
        Column("latitud", "double precision", "double"),
        Column("longitud", "double precision", "double"),
        Column("inicio", "date", "date"),
        Column("fin", "date", "date", required=False),
        Column("creado_en", "timestamptz", "datetime"),
        Column("actualizado_en", "timestamptz", "datetime"),
        Column("activo", "boolean", "tinyint(1)"),
        Column("observaciones", "text", "text", required=False),
    ),
    "proyecto_id", "monto", "creado_en", "nombre", _projects,
)  # fmt: skip

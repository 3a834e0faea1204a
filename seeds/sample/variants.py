"""Ways in which people and systems spoil a text: blanks, case, encoding.

Only text damage belongs here; choosing the rows that suffer it belongs to each subject.
"""

from __future__ import annotations

import numpy as np

from seeds.sample.defects import DefectLog
from seeds.sample.tables import RowPicker, Table

MISSPELT_SECRETARIAT = "Obras Publicas"
GENDER_VARIANTS = ("M", "F", "Hombre", "Varón")


def spoil(value: str, style: int) -> str:
    """A spelling of the same value: spaces for underscores, other case, surrounding blanks."""
    words = value.replace("_", " ").replace("ejecucion", "ejecución")
    return (f"{words.title()} ", words.upper(), f"  {value}", f"{words} ")[style % 4]


def mojibake(value: str) -> str:
    """UTF-8 text read as Latin-1: 'Producción' → 'ProducciÃ³n'."""
    return value.encode("utf-8").decode("latin-1")


def plant_variants(
    table: Table, column: str, defect_id: str, rows: RowPicker, log: DefectLog
) -> None:
    """Write a variant spelling over ``column`` in as many rows as the catalogue says."""
    filled = np.array([value is not None for value in table[column]])
    for style, row in enumerate(rows.take(log.wanted(defect_id), filled)):
        original = table[column][row]
        table[column][row] = spoil(original, style)
        log.add(
            defect_id,
            {**table.key_of(row), "valor": table[column][row], "correcto": original},
        )


def plant_mojibake(
    table: Table, column: str, defect_id: str, rows: RowPicker, log: DefectLog
) -> None:
    """Damage the encoding of ``column`` where it has a character to damage."""
    damageable = np.array([not value.isascii() for value in table[column]])
    for row in rows.take(log.wanted(defect_id), damageable):
        original = table[column][row]
        table[column][row] = mojibake(original)
        log.add(
            defect_id,
            {**table.key_of(row), "valor": table[column][row], "correcto": original},
        )

"""What a workbook gives, whatever its format: sheets, cells, and what cells alone do not tell.

Belongs here: the values that pass between the formats and the spreadsheet reader, and the limits
all formats share. Does not belong here: any format, and any rule about what a cell may hold.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self

# One GiB of XML is some thirty million cells, more than one full sheet of twenty columns. What is
# larger was not made by hand, or was made to exhaust the machine.
LARGEST_UNPACKED_BYTES = 1 << 30
# Sheets are held as a full grid of about 32 bytes a cell: this many are 1.6 GB.
MOST_GRID_CELLS = 50_000_000

# Spreadsheets count days from here; the second system was that of old Macintosh versions.
EPOCH_1900, EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)

RULE_CELL_ERROR = "error_de_formula"
RULE_NO_VALUE = "formula_sin_valor"


class UnusableWorkbook(Exception):
    """A file that cannot be read as a workbook: why, and what a person can do about it."""

    def __init__(self, why: str, next_step: str) -> None:
        self.why = why
        self.next_step = next_step
        super().__init__(why)

    @classmethod
    def damaged(cls, why: object) -> Self:
        return cls(
            f"está dañado o no es una planilla ({why})",
            "ábralo, guárdelo de nuevo como .xlsx y vuelva a copiarlo a la carpeta.",
        )

    @classmethod
    def protected(cls) -> Self:
        return cls("está protegido con contraseña", "guárdelo sin contraseña en la carpeta.")


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A sheet by name, and whether a person sees its tab."""

    name: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Area:
    """A merged area: first and last row and column, counted from 0."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """A cell without a value that can be trusted: a formula's error, or no result at all.

    `text` is what the cell shows (`#REF!`), None when it shows nothing.
    """

    column: int
    rule: str
    text: str | None

    @property
    def reason(self) -> str:
        if self.rule == RULE_CELL_ERROR:
            return f"la fórmula dio el error {self.text}"
        return "la fórmula no tiene un resultado guardado: abra y guarde la planilla"


@dataclass(slots=True)
class Sheet:
    """The cells of a sheet, to be iterated once, and what they do not tell.

    `rows` gives a list per row from the first row and column on, all of one length, empty cells
    as ''. Iterating raises UnusableWorkbook when what comes cannot be read. Numbers are floats, and
    dates are date, datetime, time or timedelta. Row numbers in `flaws`, `hidden_rows` and `merged`
    count from 0. `flaws` may name rows beyond the last of `rows`: those have nothing else in them.
    """

    name: str
    rows: Iterator[Sequence[Any]]
    flaws: Mapping[int, Sequence[Flaw]] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()
    merged: tuple[Area, ...] = ()


class Workbook(Protocol):
    """An open workbook. `epoch` is day 0 of its bare day numbers."""

    @property
    def sheets(self) -> tuple[SheetInfo, ...]: ...

    @property
    def epoch(self) -> datetime: ...

    def read(self, name: str) -> Sheet:
        """The sheet of that exact name. Raises UnusableWorkbook when it cannot be read."""
        ...

    def close(self) -> None: ...


def check_unpacked(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a package whose parts are too large once unpacked.

    `zipfile` gives no more bytes of a part than declared and checks them against their sum, so
    that a part which declares less than it holds is found damaged.
    """
    if sum(member.file_size for member in members) > LARGEST_UNPACKED_BYTES:
        raise UnusableWorkbook(
            f"ocupa más de {LARGEST_UNPACKED_BYTES >> 20} MB al descomprimirse, el máximo "
            "admitido para una planilla",
            "pida los datos en varios archivos o como CSV.",
        )


def check_grid(rows: int, columns: int, sheet: str) -> None:
    """Refuse a sheet that would be held as a grid too large: often a stray cell far away."""
    if rows * columns > MOST_GRID_CELLS:
        raise UnusableWorkbook(
            f"la hoja {sheet!r} se extiende {rows} filas por {columns} columnas, más de lo que se "
            "puede leer",
            "borre las celdas sueltas lejos de la tabla, o pida los datos como CSV.",
        )

"""Sizes, seed, period and places of the sample municipality.

Only constants and the ``SampleSize`` value belong here; how rows are drawn belongs in the
module of each subject, and which defects are planted in ``defects.py``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields, replace

SEED = 20260701

# Mendoza keeps UTC-3 all year, so a fixed offset is exact and needs no time-zone database.
MENDOZA = dt.timezone(dt.timedelta(hours=-3))
PERIOD_START = dt.date(2026, 6, 1)
PERIOD_DAYS = 30
PERIOD_HOURS = PERIOD_DAYS * 24
TODAY = dt.date(2026, 7, 1)

# The 15 districts of the department; the assignment of zones to them is synthetic.
DISTRICTS = (
    "Ciudad",
    "La Puntilla",
    "Carrodilla",
    "Mayor Drummond",
    "Chacras de Coria",
    "Vistalba",
    "Potrerillos",
    "Industrial",
    "Agrelo",
    "Perdriel",
    "Ugarteche",
    "El Carrizal",
    "Las Compuertas",
    "Cacheuta",
    "Piedemonte",
)
BASINS = ("Vistalba", "Ciudad", "Drummond", "Carrodilla")

# Areas named by the city's strategy. The full list of 13 is not public: the last three are made up.
SECRETARIATS = (
    ("Innovación, Gobierno Abierto y Gestión del Territorio", "IGAGT"),
    ("Desarrollo Humano", "DH"),
    ("Obras Públicas", "OP"),
    ("Salud", "SA"),
    ("Seguridad", "SE"),
    ("Medio Ambiente", "MA"),
    ("Economía y Hacienda", "EH"),
    ("Legal y Técnica", "LT"),
    ("Higiene Urbana", "HU"),
    ("Relaciones Institucionales", "RI"),
    ("Secretaría sintética 11", "S11"),
    ("Secretaría sintética 12", "S12"),
    ("Secretaría sintética 13", "S13"),
)

# Degrees; bounding box of the department (longitudes west, latitudes south).
BOUNDING_BOX = {"lon": (-70.094, -68.619), "lat": (-33.392, -32.619)}
# Where synthetic points fall: an arbitrary rectangle well inside the bounding box.
SAMPLE_BOX = {"lon": (-69.00, -68.80), "lat": (-33.15, -32.98)}

SCALED = (
    "projects",
    "milestones",
    "indicators",
    "goals",
    "csv_meters",
    "lorawan_meters",
    "manual_meters",
    "network_elements",
    "quality_samples",
    "requests",
    "procedures",
    "beneficiaries",
    "digital_procedures",
    "inventory",
    "survey_answers",
)


@dataclass(frozen=True)
class SampleSize:
    """How many of each thing to make. The defaults are the city's real size."""

    secretariats: int = 13
    axes: int = 6
    programmes: int = 35
    projects: int = 1685
    milestones: int = 6000
    indicators: int = 242
    goals: int = 300
    zones: int = 20
    csv_meters: int = 2700
    lorawan_meters: int = 300
    manual_meters: int = 200
    network_elements: int = 600
    quality_samples: int = 1500
    requests: int = 8000
    procedures: int = 5000
    beneficiaries: int = 4000
    digital_procedures: int = 6000
    inventory: int = 60
    survey_answers: int = 791
    meetings: int = 8
    defect_share: float = 1.0

    @property
    def smart_meters(self) -> int:
        """Meters that send hourly readings."""
        return self.csv_meters + self.lorawan_meters

    @property
    def accounts(self) -> int:
        """One account per meter, smart or manual."""
        return self.smart_meters + self.manual_meters

    @property
    def readings(self) -> int:
        """Hourly readings of the period before gaps, losses and repetitions are planted."""
        return self.smart_meters * PERIOD_HOURS

    def planted(self, full_count: int) -> int:
        """How many cases of a defect go into a sample of this size (at least one, unless clean)."""
        return max(1, round(full_count * self.defect_share)) if self.defect_share else 0

    def reduced(self, factor: float) -> SampleSize:
        """The same city with rows and defects scaled by ``factor`` (for tests)."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        scaled = {name: max(10, round(values[name] * factor)) for name in SCALED}
        return replace(self, **scaled, defect_share=factor)

    def clean(self) -> SampleSize:
        """The same city without a single planted defect: every alarm on it would be a false one."""
        return replace(self, defect_share=0.0)

"""The catalogue of defects: what is wrong, how it is put in, who must notice.

Belongs here: reading `catalogo/*.yaml` and refusing an entry that cannot be meant. Does not belong
here: carrying an injection out, or judging what the pipeline said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CATALOGUE_DIR = Path(__file__).parent / "catalogo"
SYSTEMS = ("mlc", "aguas", "citymis", "milujan", "planillas", "telemetria", "almacen")
CLASSES = (
    "filas",
    "columnas",
    "archivos",
    "esquema",
    "referencias",
    "tiempo",
    "volumen",
    "datos_personales",
    "fisica_del_agua",
    "duplicados",
    "codificacion",
    "unidades",
    "entre_sistemas",
    "marts",
    "exportaciones",
)
# What can speak up: a check, a finding, quarantine, drift, a load that was refused, a correction
# that is counted, a portal dataset that was held back.
KINDS = ("control", "hallazgo", "cuarentena", "deriva", "carga", "correccion", "retenido")
SEVERITIES = ("bloqueante", "advertencia", "alta", "media", "baja")
_KEYS = {
    "id", "dataset", "clase", "problema", "inyectar", "detecta", "severidad", "responsable",
    "tambien", "desde_cero",
}  # fmt: skip
_REQUIRED = _KEYS - {"tambien", "desde_cero"}


class CatalogueError(ValueError):
    """An entry that cannot be used; the text names its file, its id and the key."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect. `detects` and `also` are patterns of signals, `<kind>:<name>[@<object>]`.

    `also` are further alarms that the same defect rightly raises; any other one is a false alarm.
    `from_scratch`: the sources were spoilt before anything was ever loaded.
    """

    id: str
    dataset: str
    kind: str
    problem: str
    injection: tuple[Mapping[str, Any], ...]
    detects: str
    severity: str
    owner: str
    also: tuple[str, ...] = ()
    from_scratch: bool = False

    @property
    def system(self) -> str:
        return self.dataset.partition(".")[0] if self.in_sources else "almacen"

    @property
    def raw_table(self) -> str:
        """`raw.<table>` where the dataset lands; the two feeds of readings share one."""
        system, _, name = self.dataset.partition(".")
        return f"raw.{system}__{'lecturas' if system == 'telemetria' else name}"

    @property
    def in_sources(self) -> bool:
        """Whether a system of the city is spoilt, and not the warehouse."""
        return self.dataset.partition(".")[0] in SYSTEMS


def load_catalogue(directory: Path = CATALOGUE_DIR) -> list[Defect]:
    """Every entry of every `*.yaml`, in the order of the files.

    Raises CatalogueError for an unreadable file, an unknown key or a repeated id.
    """
    defects: dict[str, Defect] = {}
    for path in sorted(directory.glob("*.yaml")):
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise CatalogueError(f"{path.name}: no se puede leer: {error}") from error
        for entry in entries or ():
            defect = _defect(path, entry)
            if defect.id in defects:
                raise CatalogueError(f"{path.name}: {defect.id} está dos veces")
            defects[defect.id] = defect
    return list(defects.values())


def _defect(path: Path, entry: Mapping[str, Any]) -> Defect:
    name = f"{path.name}: {entry.get('id', 'una entrada sin id')}"
    if unknown := sorted(set(entry) - _KEYS):
        raise CatalogueError(f"{name}: claves desconocidas: {', '.join(unknown)}")
    if missing := sorted(_REQUIRED - set(entry)):
        raise CatalogueError(f"{name}: faltan {', '.join(missing)}")
    _listed(name, "clase", entry["clase"], CLASSES)
    _listed(name, "severidad", entry["severidad"], SEVERITIES)
    patterns = [entry["detecta"], *(entry.get("tambien") or ())]
    for pattern in patterns:
        _listed(name, "detecta o tambien", str(pattern).partition(":")[0], KINDS)
    return Defect(
        id=str(entry["id"]),
        dataset=str(entry["dataset"]),
        kind=str(entry["clase"]),
        problem=" ".join(str(entry["problema"]).split()),
        injection=tuple(_steps(name, entry["inyectar"])),
        detects=str(entry["detecta"]),
        severity=str(entry["severidad"]),
        owner=str(entry["responsable"]),
        also=tuple(str(item) for item in entry.get("tambien") or ()),
        from_scratch=bool(entry.get("desde_cero", False)),
    )


def _steps(name: str, steps: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(steps, list) or not all(isinstance(s, dict) and len(s) == 1 for s in steps):
        raise CatalogueError(f"{name}: `inyectar` es una lista de pasos de una sola clave")
    return steps


def _listed(name: str, key: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise CatalogueError(f"{name}: `{key}` debe ser de {', '.join(allowed)}, no {value!r}")

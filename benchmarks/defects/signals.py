"""What the warehouse says is wrong, in one shape, and what it says now that it did not say before.

Belongs here: reading verdicts, findings, quarantine, drift, loads, corrections. Does not belong
here: any rule, or whether a signal was expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestration.gate import obstacles
from sources.raw_table import Connection


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing the pipeline says. `kind` is one of `catalogue.KINDS`; `rows` of them speak."""

    kind: str
    name: str
    subject: str
    severity: str
    owner: str
    rows: int = 1
    words: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.name}@{self.subject}"

    @property
    def is_alarm(self) -> bool:
        """A correction is counted and shown; it calls nobody."""
        return self.kind != "correccion"

    def matches(self, pattern: str) -> bool:
        """Whether `<kind>:<name>[@<subject>]`, with `*` for anything, means this one."""
        return fnmatchcase(self.label, pattern if "@" in pattern else f"{pattern}@*")


_QUERIES = {
    # A check that is no longer run for its object says nothing any more; the gate does the same.
    # A monitor whose history is too short says nothing yet, unless the contract lets it block.
    "control": """
        select control, objeto, severidad, coalesce(responsable, ''), coalesce(filas_fallidas, 1),
            explicacion
        from meta.control_vigente
        where paso is not true
        and not (paso is null and motor = 'monitor' and severidad = 'advertencia')
    """,
    "hallazgo": """
        select regla_id, dataset, severidad, coalesce(responsable, ''), count(*), min(descripcion)
        from calidad.fct_hallazgo group by 1, 2, 3, 4
    """,
    "cuarentena": """
        select f.regla, f.dataset, 'bloqueante', coalesce(c.responsable, c.secretaria, ''),
            count(*), min(f.motivo)
        from quarantine.fila f left join meta.contrato c using (dataset)
        where f.estado = 'pendiente' group by 1, 2, 3, 4
    """,
    "deriva": """
        select tipo || ':' || columna, dataset, 'advertencia', coalesce(responsable, ''), 1, detalle
        from meta.deriva where resuelto_en is null
    """,
    "carga": """
        select u.estado, u.dataset, 'bloqueante', coalesce(c.responsable, c.secretaria, ''), 1,
            coalesce(u.error, '')
        from (
            select distinct on (dataset) dataset, estado, error from meta.carga
            order by dataset, carga_id desc
        ) as u left join meta.contrato c using (dataset)
        where u.estado = 'fallida'
    """,
    "correccion": """
        select f.regla_id, f.dataset, min(r.severidad), coalesce(min(c.responsable), ''), count(*),
            min(f.columna)
        from calidad.fct_correccion f
        join referencia.reglas_limpieza r using (regla_id)
        left join meta.contrato c on c.dataset = f.dataset
        group by 1, 2
    """,
}


def read_signals(connection: Connection) -> list[Signal]:
    """Everything the warehouse says now, portal datasets held back by the gate included."""
    found = [
        Signal(kind, str(row[0]), str(row[1]), str(row[2]), str(row[3]), int(row[4]), str(row[5]))
        for kind, query in _QUERIES.items()
        for row in connection.execute(query.encode())
    ]
    return [*found, *_held_back(connection)]


def _held_back(connection: Connection) -> Iterable[Signal]:
    from exports.definition import load_definitions

    for name, definition in load_definitions().definitions.items():
        reasons = obstacles(connection, definition.columns_by_mart)
        if reasons:
            words = "; ".join(str(reason) for reason in reasons)
            owner = definition.secretaria or ""
            yield Signal("retenido", name, name, "bloqueante", owner, len(reasons), words)


def raised(before: Iterable[Signal], after: Iterable[Signal]) -> list[Signal]:
    """The signals that are new, or that speak of more rows than before."""
    known = {signal.label: signal.rows for signal in before}
    return [signal for signal in after if signal.rows > known.get(signal.label, 0)]

"""The gate: may this portal dataset leave? (invariant 6)

Belongs here: the verdict over what is stored in `meta`, so that a check that failed in another run
counts as much as one of this run. Does not belong here: running checks, or withholding (the
export assets do that).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestration.dbt_project import data_test_names, with_ancestors
from sources.raw_table import Connection


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why something must not leave: what is red, where, whose it is."""

    relation: str
    control: str
    explanation: str
    owner: str | None

    def __str__(self) -> str:
        who = f" Responsable: {self.owner}." if self.owner else ""
        return f"{self.relation}: {self.control}: {self.explanation}{who}"


def obstacles(connection: Connection, marts: Collection[str]) -> list[Obstacle]:
    """Everything red on `marts` ('<schema>.<table>') or on what they are built from.

    Red is: a blocking check whose last verdict is not a pass (unknown is no pass), a mart whose
    last build failed or was left out because something before it failed, or that was never built.
    """
    relations = sorted(set().union(*(with_ancestors(mart) for mart in marts)) | set(marts))
    found = [
        Obstacle(str(row[0]), str(row[1]), str(row[2]), row[3])
        for row in connection.execute(
            # A check that is no longer in the project or in its suite blocks nothing.
            "select objeto, control, explicacion, responsable from meta.control_vigente v "
            "where objeto = any(%s) and severidad = 'bloqueante' and paso is not true "
            "and (motor <> 'dbt' or control = any(%s)) "
            "and (motor <> 'great_expectations' or corrida_id = ("
            "select corrida_id from meta.resultado_control r where r.objeto = v.objeto "
            "and r.motor = 'great_expectations' order by resultado_id desc limit 1)) "
            "order by objeto, control",
            [relations, data_test_names()],
        )
    ]
    builds = {
        str(row[0]): (str(row[1]), row[2])
        for row in connection.execute(
            "select distinct on (objeto) objeto, estado, mensaje from meta.construccion "
            "where objeto = any(%s) order by objeto, construccion_id desc",
            [sorted(marts)],
        )
    }
    for mart in sorted(marts):
        state, message = builds.get(mart, ("sin construir", "todavía no se construyó"))
        if state != "ok":
            words = message or "no se construyó porque falló algo de lo que depende"
            found.append(Obstacle(mart, f"construcción ({state})", words, None))
    return found

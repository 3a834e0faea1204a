"""The gate: may this portal dataset, report or view leave? (invariant 6)

Belongs here: the verdict over what is stored in `meta`, so that a check that failed in another run
counts as much as one of this run. Does not belong here: running checks, withholding (the export
assets do that), or letting something pass by hand (`releases.py`).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from expectations.personal_texts import RULE as PERSONAL_TEXT
from expectations.suite_files import load_suites
from orchestration.build_plan import newest_changes
from orchestration.dbt_project import data_test_names, with_ancestors
from sources.raw_table import Connection

UNCHECKED = "sin controlar"
# Marts ('<schema>.<table>') that something is made of. A mapping also gives the columns of each
# that it shows; of a mere collection, it shows all.
Marts = Collection[str] | Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why something must not leave: what is red, where, whose it is.

    `fingerprint` names this very verdict on these very data: another count, another sample or
    newer data give another one. None where there is no verdict that a person could overrule.
    """

    relation: str
    control: str
    explanation: str
    owner: str | None
    fingerprint: str | None = None
    rows: tuple[str, ...] = ()  # keys of some that fail
    shown_column: str | None = None  # what it keeps back is this column and nothing else

    def __str__(self) -> str:
        who = f" Responsable: {self.owner}." if self.owner else ""
        rows = f" Filas: {'; '.join(self.rows)}." if self.rows else ""
        return f"{self.relation}: {self.control}: {self.explanation}{rows}{who}"


def obstacles(connection: Connection, marts: Marts) -> list[Obstacle]:
    """Everything red on `marts` or on what they are built from, raw included.

    Red is: a blocking check whose last verdict is not a pass (unknown is no pass); a mart whose
    last build failed, was left out because something before it failed, or never happened; a mart
    whose suite did not run since it was last built. A personal datum in a text keeps back what
    shows the column it stands in, and not what is only made from the mart.
    """
    return obstacles_by(connection, {"": marts})[""]


def obstacles_by(connection: Connection, wanted: Mapping[str, Marts]) -> dict[str, list[Obstacle]]:
    """`obstacles` of many at once: by name, those of the marts under that name."""
    marts = set().union(*wanted.values()) if wanted else set()
    lineage = {mart: with_ancestors(mart, sources=True) | {mart} for mart in marts}
    checks = _red_checks(connection, sorted(set().union(*lineage.values())) if lineage else [])
    builds = _failed_builds(connection, marts)
    unchecked = _unchecked(connection, marts - {item.relation for item in builds})
    return {
        name: [
            *(one for one in checks if _concerns(one, group, lineage)),
            *(one for one in (*builds, *unchecked) if one.relation in group),
        ]
        for name, group in wanted.items()
    }


def _concerns(found: Obstacle, group: Marts, lineage: Mapping[str, Collection[str]]) -> bool:
    if found.shown_column is None:
        return any(found.relation in lineage[mart] for mart in group)
    shown = group.get(found.relation) if isinstance(group, Mapping) else None
    return found.relation in group and (shown is None or found.shown_column in shown)


def _red_checks(connection: Connection, relations: Collection[str]) -> list[Obstacle]:
    rows = connection.execute(
        # A check that is no longer in the project, the contract or its suite blocks nothing: dbt's
        # are known by name, of the others only what the last evaluation of that engine gave.
        "select objeto, control, explicacion, responsable, paso, filas_evaluadas, filas_fallidas, "
        "muestra, regla, columna from meta.control_vigente v "
        "where objeto = any(%s) and severidad = 'bloqueante' and paso is not true "
        "and motor <> 'construccion' "
        "and (motor <> 'dbt' or control = any(%s)) "
        "and (dataset is null or exists ("
        "select from meta.contrato c where c.dataset = v.dataset and c.vigente)) "
        "and (motor = 'dbt' or corrida_id = ("
        "select corrida_id from meta.resultado_control r where r.objeto = v.objeto "
        "and r.motor = v.motor and r.dataset is not distinct from v.dataset "
        "order by resultado_id desc limit 1)) "
        "order by objeto, control",
        [list(relations), data_test_names()],
    ).fetchall()
    if not rows:
        return []
    changes = newest_changes(connection)
    return [
        Obstacle(
            relation=str(row[0]),
            control=str(row[1]),
            explanation=str(row[2]),
            owner=row[3],
            fingerprint=_fingerprint(row[:8], _data_version(str(row[0]), changes)),
            rows=tuple(", ".join(f"{k} {v}" for k, v in key.items()) for key in row[7]),
            shown_column=str(row[9]) if row[8] == PERSONAL_TEXT else None,
        )
        for row in rows
    ]


def _fingerprint(verdict: tuple[Any, ...], data: int) -> str:
    relation, control, explanation, _, passed, evaluated, failed, sample = verdict
    said = [relation, control, explanation, passed, evaluated, failed, sample, data]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _data_version(relation: str, changes: Mapping[str, int]) -> int:
    """The newest load that changed anything `relation` is made from; 0 when nothing did."""
    return max((changes.get(name, 0) for name in with_ancestors(relation, sources=True)), default=0)


def _failed_builds(connection: Connection, marts: Collection[str]) -> list[Obstacle]:
    builds = {
        str(row[0]): (str(row[1]), row[2])
        for row in connection.execute(
            "select distinct on (objeto) objeto, estado, mensaje from meta.construccion "
            "where objeto = any(%s) order by objeto, construccion_id desc",
            [sorted(marts)],
        )
    }
    found = []
    for mart in sorted(marts):
        state, message = builds.get(mart, ("sin construir", "todavía no se construyó"))
        if state != "ok":
            words = message or "no se construyó porque falló algo de lo que depende"
            found.append(Obstacle(mart, f"construcción ({state})", words, None))
    return found


def _unchecked(connection: Connection, marts: Collection[str]) -> list[Obstacle]:
    words = "no se controló desde su última construcción; vuelva a ejecutar la corrida completa"
    return [Obstacle(name, UNCHECKED, words, None) for name in unchecked(connection, marts)]


def unchecked(connection: Connection, marts: Collection[str]) -> list[str]:
    """Those of the marts that were built, for example alone or by a run that was killed, and whose
    suite has not looked at what was built."""
    with_suite = sorted(set(marts) & suite_marts())
    rows = connection.execute(
        "select m.objeto from unnest(%s::text[]) as m (objeto) "
        "cross join lateral (select max(fin) as fin from meta.construccion c "
        "where c.objeto = m.objeto and c.estado = 'ok') b "
        "cross join lateral (select max(evaluado_en) as evaluado_en from meta.resultado_control r "
        "where r.objeto = m.objeto and r.motor = 'great_expectations') g "
        "where b.fin is not null and (g.evaluado_en is null or g.evaluado_en < b.fin) order by 1",
        [with_suite],
    ).fetchall()
    return [str(row[0]) for row in rows]


@functools.lru_cache(maxsize=1)
def suite_marts() -> frozenset[str]:
    """Marts that have a suite."""
    return frozenset(load_suites())

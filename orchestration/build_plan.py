"""What dbt has to build this time, and the record of what it built.

Belongs here: comparing what was loaded, what was built and what left, as stored in `meta`; and
storing what was built. Does not belong here: starting dbt, or what its results say
(`dbt_verdicts.py`).

The comparison is with what was *completed*, so a run killed between two steps is caught up by the
next one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expectations.results import record
from orchestration.dbt_project import (
    data_test_names,
    manifest,
    project_sha256,
    relation_of,
    relations,
)
from orchestration.dbt_verdicts import STATES, build_verdict, built_relations, message
from orchestration.settings import CITY_TIMEZONE
from sources.raw_table import Connection

# Everything that scores read of checks, quarantine and drift enters here.
_MEASUREMENTS = "intermediate.int_calidad__mediciones"
# Any fixed number. Held while dbt builds: two builds at once would collide on its temporary names,
# and what is half built is not to be delivered.
BUILD_LOCK = 50_063_002


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to select: everything, some selectors, or nothing at all.

    `reason` is for people; `newest_load` is the newest load the build will have seen.
    `from_scratch`: incremental models are built whole, because their text changed or their last
    build broke off, which may have been the one that was to bring a change into their old rows.
    """

    everything: bool
    selectors: tuple[str, ...]
    reason: str
    newest_load: int
    from_scratch: bool = False

    @property
    def nothing(self) -> bool:
        return not self.everything and not self.selectors


def plan_build(connection: Connection, today: dt.date | None = None) -> BuildPlan:
    """Compare raw with the last builds.

    `today` is the business day, on which what is late or at risk may differ from yesterday; None
    where the models speak of a fixed day.
    """
    newest = _scalar(connection, "select coalesce(max(carga_id), 0) from meta.carga")
    fingerprint = project_sha256()
    built = _built(connection)
    missing = [name for name in relations() if name not in built]
    if missing or any(sha != fingerprint for _, sha, _ in built.values()):
        why = "primera construcción" if not built else "cambió el proyecto dbt"
        return BuildPlan(True, (), why, newest, from_scratch=True)
    selectors = [f"{unique_id}+" for unique_id in _changed_sources(connection, built)]
    selectors += [
        f"{_selector(name)}+" for name, (state, _, _) in sorted(built.items()) if state != "ok"
    ]
    gone = _gone(connection)
    selectors += [f"{_selector(name)}+" for name in gone]
    selectors += [f"{_selector(name)}+" for name in _of_another_day(connection, today)]
    if _measured_otherwise(connection):
        selectors.append(f"{_selector(_MEASUREMENTS)}+")
    selectors += [_selector(name) for name in sorted(_red(connection))]
    reason = "datos nuevos o pasos pendientes" if selectors else "sin cambios desde la última vez"
    broken = any(
        relations()[name]["config"].get("materialized") == "incremental"
        for name, (state, _, _) in built.items()
        if state != "ok" or name in gone
    )
    return BuildPlan(False, tuple(dict.fromkeys(selectors)), reason, newest, from_scratch=broken)


def _red(connection: Connection) -> set[str]:
    """Relations behind a blocking check that does not pass, or could not be evaluated: asked again
    in every run, also where a person let the data out in the meantime."""
    known = relations()
    return {
        str(row[0])
        for row in connection.execute(
            "select distinct objeto from meta.control_vigente v where severidad = 'bloqueante' "
            "and paso is not true and (motor = 'dbt' and control = any(%s) "
            # Of a suite, only what its last evaluation gave: the rest is no longer asked.
            "or motor = 'great_expectations' and corrida_id = ("
            "select corrida_id from meta.resultado_control r where r.objeto = v.objeto "
            "and r.motor = v.motor order by resultado_id desc limit 1))",
            [data_test_names()],
        )
        if row[0] in known
    }


def _gone(connection: Connection) -> list[str]:
    """Relations that were built and are not there: somebody dropped them."""
    return [
        str(row[0])
        for row in connection.execute(
            "select nombre from unnest(%s::text[]) as nombre "
            "where to_regclass(nombre) is null order by nombre",
            [sorted(relations())],
        )
    ]


def newest_changes(connection: Connection) -> dict[str, int]:
    """By raw table ('raw.<table>'), the newest load that changed its rows or its quarantine, or
    asked for some of its days to be worked through again."""
    return {
        str(row[0]): int(row[1])
        for row in connection.execute(
            "select c.tabla_raw, max(l.carga_id) from meta.carga l "
            "join meta.contrato c using (dataset) "
            "where l.estado = 'cargada' "
            "and (l.filas_cargadas > 0 or l.filas_eliminadas > 0 or l.filas_cuarentena > 0 "
            "or l.modo = 'recalculo') "
            "group by c.tabla_raw"
        )
    }


def record_builds(
    connection: Connection, run_id: str, run_results: Mapping[str, Any], newest_load: int
) -> list[str]:
    """Store the state of every relation that dbt built, failed or left out; those not built."""
    fingerprint = project_sha256()
    found = built_relations(run_results)
    rows = [
        (
            run_id,
            relation,
            result["unique_id"],
            STATES.get(str(result["status"]), "error"),
            result.get("execution_time"),
            message(result),
            fingerprint,
            newest_load,
        )
        for relation, result in found.items()
    ]
    record(connection, run_id, [build_verdict(result) for result in found.values()])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, segundos, mensaje, "
            "proyecto_sha256, ultima_carga_id) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    return [row[1] for row in rows if row[3] != "ok"]


def _built(connection: Connection) -> dict[str, tuple[str, str, int]]:
    """State, fingerprint and newest load of the last build of each relation there still is."""
    known = relations()
    return {
        str(row[0]): (str(row[1]), str(row[2]), int(row[3]))
        for row in connection.execute(
            "select distinct on (objeto) objeto, estado, proyecto_sha256, ultima_carga_id "
            "from meta.construccion order by objeto, construccion_id desc"
        )
        if str(row[0]) in known
    }


def _changed_sources(
    connection: Connection, built: Mapping[str, tuple[str, str, int]]
) -> list[str]:
    """dbt source selectors whose raw table changed after something made from it was last built."""
    changed_at = newest_changes(connection)
    selectors = []
    for unique_id, source in sorted(manifest()["sources"].items()):
        loaded = changed_at.get(relation_of(source), 0)
        readers = [
            relation_of(manifest()["nodes"][child])
            for child in manifest()["child_map"].get(unique_id, [])
            if child in manifest()["nodes"]
            and manifest()["nodes"][child]["resource_type"] in ("model", "snapshot")
        ]
        if any(built[name][2] < loaded for name in readers if name in built):
            selectors.append(f"source:{source['source_name']}.{source['name']}")
    return selectors


def _of_another_day(connection: Connection, today: dt.date | None) -> list[str]:
    """Tables that speak of the day and were built on an earlier one (of the city)."""
    if today is None:
        return []
    nodes = manifest()["nodes"]
    speaking = {
        unique_id
        for unique_id, node in nodes.items()
        if any("fecha_referencia" in name for name in node.get("depends_on", {}).get("macros", []))
    }
    # Views speak of today whenever they are read; the tables made from them do not.
    tables: set[str] = set()
    pending, seen = list(speaking), set()
    while pending:
        current = pending.pop()
        if current in seen or nodes.get(current, {}).get("resource_type") != "model":
            continue
        seen.add(current)
        if nodes[current]["config"]["materialized"] in ("view", "ephemeral"):
            pending.extend(manifest()["child_map"].get(current, []))
        else:
            tables.add(relation_of(nodes[current]))
    return [
        str(row[0])
        for row in connection.execute(
            "select objeto from meta.construccion where objeto = any(%s) group by objeto "
            "having (max(fin) at time zone %s)::date < %s order by objeto",
            [sorted(tables), CITY_TIMEZONE.key, today],
        )
    ]


def _measured_otherwise(connection: Connection) -> bool:
    """Whether a check of raw, quarantine or drift says something else than when last measured."""
    row = connection.execute(
        """
        with medido as (
            select max(fin) as en from meta.construccion where objeto = %s and estado = 'ok'
        ),
        vigentes as (
            select v.objeto, v.control, v.paso
            from meta.control_vigente v, medido
            where v.objeto like 'raw.%%' and v.evaluado_en > medido.en
        )
        select
            exists (
                select from vigentes v, medido
                where v.paso is distinct from (
                    select r.paso from meta.resultado_control r
                    where r.objeto = v.objeto and r.control = v.control
                    and r.evaluado_en <= medido.en
                    order by r.resultado_id desc limit 1
                )
            )
            or exists (
                select from quarantine.fila f, medido
                where f.primera_vez > medido.en or f.resuelta_en > medido.en
                or f.reabierta_en > medido.en
            )
            or exists (
                select from meta.deriva d, medido
                where d.detectado_en > medido.en or d.resuelto_en > medido.en
            )
        """,
        [_MEASUREMENTS],
    ).fetchone()
    return bool(row and row[0])


def _selector(relation: str) -> str:
    return ".".join(relations()[relation]["fqn"])


def _scalar(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0

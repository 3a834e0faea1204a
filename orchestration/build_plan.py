"""What dbt has to build this time, and the record of what it built.

Belongs here: comparing what was loaded, what was built and what left, as stored in `meta`; and
turning dbt's run results into rows of `meta`. Does not belong here: starting dbt.

The comparison is with what was *completed*, so a run killed between two steps is caught up by the
next one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from expectations.results import SAMPLE_SIZE, CheckResult, record
from orchestration.dbt_project import manifest, project_sha256, relation_of, relations
from orchestration.settings import CITY_TIMEZONE
from sources.raw_table import Connection

# Everything that scores read of checks, quarantine and drift enters here.
_MEASUREMENTS = "intermediate.int_calidad__mediciones"
# Any fixed number. Held while dbt builds: two builds at once would collide on its temporary names,
# and what is half built is not to be delivered.
BUILD_LOCK = 50_063_002
_STATES = {"success": "ok", "pass": "ok", "error": "error", "fail": "error", "skipped": "omitido"}


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


def plan_build(
    connection: Connection, exports_behind: Collection[str] = (), today: dt.date | None = None
) -> BuildPlan:
    """Compare raw with the last builds.

    `exports_behind` are marts ('<schema>.<table>') whose portal datasets have not left since the
    mart was last built: they are built (and so checked) again. `today` is the business day, on
    which what is late or at risk may differ from yesterday; None where the models speak of a
    fixed day.
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
    selectors += [_selector(name) for name in sorted({*exports_behind, *_red(connection)})]
    reason = "datos nuevos o pasos pendientes" if selectors else "sin cambios desde la última vez"
    broken = any(
        relations()[name]["config"].get("materialized") == "incremental"
        for name, (state, _, _) in built.items()
        if state != "ok" or name in gone
    )
    return BuildPlan(False, tuple(dict.fromkeys(selectors)), reason, newest, from_scratch=broken)


def _red(connection: Connection) -> set[str]:
    """Relations behind a blocking check that does not pass: asked again in every run, also where a
    person let the data out in the meantime."""
    known = relations()
    return {
        str(row[0])
        for row in connection.execute(
            "select distinct objeto from meta.control_vigente where severidad = 'bloqueante' "
            "and paso is false and motor in ('dbt', 'great_expectations')"
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
    nodes = manifest()["nodes"]
    rows = [
        (
            run_id,
            relation_of(nodes[result["unique_id"]]),
            result["unique_id"],
            _STATES.get(str(result["status"]), "error"),
            result.get("execution_time"),
            _message(result),
            fingerprint,
            newest_load,
        )
        for result in run_results["results"]
        if nodes.get(result["unique_id"], {}).get("resource_type") in ("model", "seed", "snapshot")
    ]
    kept = {row[2] for row in rows}
    verdicts = [build_verdict(r) for r in run_results["results"] if r["unique_id"] in kept]
    record(connection, run_id, verdicts)
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, segundos, mensaje, "
            "proyecto_sha256, ultima_carga_id) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    return [row[1] for row in rows if row[3] != "ok"]


def build_verdict(result: Mapping[str, Any]) -> CheckResult:
    """A build as a verdict; one that was left out because another failed is unknown."""
    relation = relation_of(manifest()["nodes"][result["unique_id"]])
    state = _STATES.get(str(result["status"]), "error")
    words = {"ok": "Se construyó.", "omitido": "No se construyó: falló algo de lo que depende."}
    return CheckResult(
        control=f"construccion:{relation}",
        motor="construccion",
        objeto=relation,
        dimension="actualidad",
        regla="construccion",
        severidad="bloqueante",
        paso={"ok": True, "error": False}.get(state),
        explicacion=words.get(state) or _message(result) or "Falló la construcción.",
        responsable=_owner(relation),
    )


def dbt_test_results(
    run_results: Mapping[str, Any], rows: Mapping[str, int] | None = None
) -> list[CheckResult]:
    """dbt test results as check results, one per relation that the test speaks of.

    `rows` are those of the relations that were counted: what a test without a condition looked at.
    A test that could not run has no verdict (`paso` None); a skipped one keeps its last verdict.
    """
    nodes = manifest()["nodes"]
    found: list[CheckResult] = []
    for result in run_results["results"]:
        node = nodes.get(result["unique_id"])
        if node is None or node["resource_type"] != "test" or result["status"] == "skipped":
            continue
        # Under a condition it looked at fewer, and how many is not known.
        looked_at = {} if node["config"].get("where") else rows or {}
        found.extend(
            _test_result(node, relation, result, looked_at.get(relation))
            for relation in tested_relations(node)
        )
    return found


def with_failing_keys(
    connection: Connection, run_results: Mapping[str, Any], verdicts: Sequence[CheckResult]
) -> list[CheckResult]:
    """The verdicts of dbt tests, with keys of some rows that fail a test on a key.

    Of tests on keys and references alone: what other tests select may be a value. Asked only of
    what fails; where it cannot be asked any more, the verdict stands without a sample.
    """
    nodes = manifest()["nodes"]
    tests = {
        str(nodes[result["unique_id"]]["name"]): (nodes[result["unique_id"]], result)
        for result in run_results["results"]
        if result["unique_id"] in nodes and result.get("compiled_code")
    }
    return [
        replace(verdict, muestra=_failing_keys(connection, *tests[verdict.control]))
        if verdict.paso is False and verdict.control in tests
        else verdict
        for verdict in verdicts
    ]


def _failing_keys(
    connection: Connection, test: Mapping[str, Any], result: Mapping[str, Any]
) -> tuple[dict[str, Any], ...]:
    arguments = (test.get("test_metadata") or {}).get("kwargs") or {}
    # Columns of what the test selects, by the name they have in the table.
    key = {str(name): str(name) for name in arguments.get("columnas") or ()}
    if (test.get("test_metadata") or {}).get("name") == "relationships":
        key = {"from_field": str(test.get("column_name"))}
    if not key:
        return ()
    query = sql.SQL("select {} from ({}) as filas limit {}").format(
        sql.SQL(", ").join(map(sql.Identifier, key)),
        # The text that dbt compiled from the project's own test and has just run.
        sql.SQL(str(result["compiled_code"])),
        sql.Literal(SAMPLE_SIZE),
    )
    with contextlib.suppress(psycopg.Error), connection.transaction():
        rows = connection.execute(query).fetchall()
        return tuple(dict(zip(key.values(), row, strict=True)) for row in rows)
    return ()


def tested_relations(test: Mapping[str, Any]) -> list[str]:
    """Relations a dbt test speaks of: the one it is attached to, or every one it reads.

    The warehouse's own books tell a test where to look; they are not what it judges.
    """
    both = manifest()["nodes"] | manifest()["sources"]
    attached = test.get("attached_node")
    names = [attached] if attached else test.get("depends_on", {}).get("nodes", [])
    return [
        relation_of(both[name])
        for name in names
        if name in both and (attached or both[name].get("schema") != "meta")
    ]


def _test_result(
    node: Mapping[str, Any], relation: str, result: Mapping[str, Any], rows: int | None
) -> CheckResult:
    severity = str(node["config"].get("severity", "error")).lower()
    status = str(result["status"])
    meta = node["config"].get("meta") or node.get("meta") or {}
    failures = result.get("failures")
    words = str(node.get("description") or "").strip() or f"prueba dbt {node['name']}"
    return CheckResult(
        control=str(node["name"]),
        motor="dbt",
        objeto=relation,
        columna=node.get("column_name"),
        dimension=meta.get("dimension") or _dimension(node),
        regla=str((node.get("test_metadata") or {}).get("name") or node["name"]),
        severidad="bloqueante" if severity == "error" else "advertencia",
        paso=None if status == "error" else status == "pass",
        filas_evaluadas=rows,
        filas_fallidas=failures,
        explicacion=words if status == "pass" else f"{words}: {_message(result) or status}",
        responsable=_owner(relation),
    )


def _owner(relation: str) -> str | None:
    """Who answers for a relation: its own owner, or that of everything next above it.

    Staging belongs to whoever the contract of its raw table names. None where several areas would
    have to answer for one table.
    """
    both = {**manifest()["nodes"], **manifest()["sources"]}
    named = {relation_of(node): name for name, node in both.items() if "schema" in node}
    return _owner_of(named[relation], both) if relation in named else None


def _owner_of(unique_id: str, nodes: Mapping[str, Any]) -> str | None:
    node = nodes[unique_id]
    owner = (node.get("config", {}).get("meta") or {}).get("owner")
    if owner:
        return str(owner)
    above = {
        _owner_of(parent, nodes)
        for parent in node.get("depends_on", {}).get("nodes", [])
        # The warehouse's own books and the reference lists say nothing of whose the data are.
        if parent in nodes
        and nodes[parent]["resource_type"] in ("model", "snapshot", "source")
        and nodes[parent]["schema"] != "meta"
    }
    return above.pop() if len(above) == 1 else None


def _dimension(node: Mapping[str, Any]) -> str:
    name = str((node.get("test_metadata") or {}).get("name") or "")
    if "unique" in name or "unica" in name:
        return "unicidad"
    if name == "not_null":
        return "completitud"
    if name == "accepted_values":
        return "validez"
    return "consistencia"


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
    """Tables that speak of the day and were built on an earlier one (of Mendoza)."""
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


def _message(result: Mapping[str, Any]) -> str | None:
    text = str(result.get("message") or "").strip()
    return text[:2000] if result["status"] not in ("success", "pass") and text else None


def _scalar(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0

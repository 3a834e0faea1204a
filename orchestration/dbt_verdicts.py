"""What dbt said of a build or a test, as a verdict of `meta.resultado_control`.

Belongs here: reading `run_results.json` beside the manifest. Does not belong here: anything that
asks the warehouse (`dbt_rows.py`), or what to build (`build_plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from expectations.results import CheckResult
from orchestration.dbt_project import manifest, relation_of

STATES = {"success": "ok", "pass": "ok", "error": "error", "fail": "error", "skipped": "omitido"}


def built_relations(run_results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What dbt says of every relation that it built, failed or left out, by '<schema>.<table>'."""
    nodes = manifest()["nodes"]
    return {
        relation_of(nodes[result["unique_id"]]): result
        for result in run_results["results"]
        if nodes.get(result["unique_id"], {}).get("resource_type") in ("model", "seed", "snapshot")
    }


def build_verdict(result: Mapping[str, Any]) -> CheckResult:
    """A build as a verdict; one that was left out because another failed is unknown."""
    relation = relation_of(manifest()["nodes"][result["unique_id"]])
    state = STATES.get(str(result["status"]), "error")
    words = {"ok": "Se construyó.", "omitido": "No se construyó: falló algo de lo que depende."}
    return CheckResult(
        control=f"construccion:{relation}",
        motor="construccion",
        objeto=relation,
        dimension="actualidad",
        regla="construccion",
        severidad="bloqueante",
        paso={"ok": True, "error": False}.get(state),
        explicacion=words.get(state) or message(result) or "Falló la construcción.",
        responsable=owner_of(relation),
    )


def dbt_test_results(run_results: Mapping[str, Any]) -> list[CheckResult]:
    """dbt test results as check results, one per relation that the test speaks of.

    A test that could not run has no verdict (`paso` None); a skipped one keeps its last verdict.
    How many rows each looked at, and which fail, only the warehouse knows (`dbt_rows.py`).
    """
    nodes = manifest()["nodes"]
    found: list[CheckResult] = []
    for result in run_results["results"]:
        node = nodes.get(result["unique_id"])
        if node is None or node["resource_type"] != "test" or result["status"] == "skipped":
            continue
        found.extend(_test_result(node, relation, result) for relation in tested_relations(node))
    return found


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


def _test_result(node: Mapping[str, Any], relation: str, result: Mapping[str, Any]) -> CheckResult:
    severity = str(node["config"].get("severity", "error")).lower()
    status = str(result["status"])
    meta = node["config"].get("meta") or node.get("meta") or {}
    failures = result.get("failures")
    words = test_words(node).rstrip(".")
    return CheckResult(
        control=str(node["name"]),
        motor="dbt",
        objeto=relation,
        columna=node.get("column_name"),
        dimension=meta.get("dimension") or _dimension(node),
        regla=str((node.get("test_metadata") or {}).get("name") or node["name"]),
        severidad="bloqueante" if severity == "error" else "advertencia",
        paso=None if status == "error" else status == "pass",
        filas_fallidas=failures,
        explicacion=f"{words}." if status == "pass" else f"{words}: {_what_failed(result)}.",
        responsable=owner_of(relation),
    )


def test_words(test: Mapping[str, Any]) -> str:
    """What a test asks, in the words of its description or of its kind."""
    kind = test.get("test_metadata") or {}
    given, column = kind.get("kwargs") or {}, test.get("column_name")
    by_kind = {
        "clave_unica": f"La clave ({', '.join(given.get('columnas') or ())}) "
        f"{'' if given.get('admite_nulos') else 'está completa y '}no se repite",
        "not_null": f"«{column}» no falta",
        "unique": f"«{column}» no se repite",
        "accepted_values": f"«{column}» es uno de los valores conocidos",
        "relationships": f"«{column}» está en {_referred(given)}",
    }
    written = " ".join(str(test.get("description") or "").split())
    return written or by_kind.get(str(kind.get("name"))) or f"Prueba de dbt {test['name']}"


def _referred(arguments: Mapping[str, Any]) -> str:
    """The table that a reference points to, of `ref('dim_zona')` or `source('a', 'b')`."""
    return ".".join(re.findall(r"'([^']+)'", str(arguments.get("to")))) or str(arguments.get("to"))


def _what_failed(result: Mapping[str, Any]) -> str:
    """How much dbt found, or why it could not ask."""
    failures = result.get("failures")
    if result["status"] in ("fail", "warn") and failures is not None:
        return f"{failures} {'falla' if failures == 1 else 'fallas'}"
    return (message(result) or str(result["status"])).rstrip(".")


def owner_of(relation: str) -> str | None:
    """Who answers for a relation: its own owner, or that of everything next above it.

    Staging belongs to whoever the contract of its raw table names. None where several areas would
    have to answer for one table.
    """
    both = {**manifest()["nodes"], **manifest()["sources"]}
    named = {relation_of(node): name for name, node in both.items() if "schema" in node}
    return node_owner(named[relation], both) if relation in named else None


def node_owner(unique_id: str, nodes: Mapping[str, Any]) -> str | None:
    """The same of a node of the manifest; `nodes` are its nodes and sources."""
    node = nodes[unique_id]
    owner = (node.get("config", {}).get("meta") or {}).get("owner")
    if owner:
        return str(owner)
    above = {
        node_owner(parent, nodes)
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


def message(result: Mapping[str, Any]) -> str | None:
    """dbt's own words on what did not end well."""
    text = str(result.get("message") or "").strip()
    return text[:2000] if result["status"] not in ("success", "pass") and text else None

"""The dbt project seen from here: its manifest, its commands, its lineage.

Belongs here: everything that reads `manifest.json` or starts dbt outside Dagster. Does not belong
here: the assets made from it (`assets/dbt.py`). Nothing here needs a database to be imported.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from orchestration.settings import DBT_PROJECT_DIR, REFERENCE_DIR
from sources.errors import PipelineError

MANIFEST = DBT_PROJECT_DIR / "target" / "manifest.json"
_STAMP = MANIFEST.with_name("project.sha256")
_RELATION_KINDS = ("model", "seed", "snapshot")


class DbtProjectError(PipelineError):
    """The dbt project cannot be parsed or compiled."""


def dbt_executable() -> str:
    """The dbt of this environment, whatever PATH says."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else "dbt"


def project_sha256() -> str:
    """Fingerprint of every file that decides what dbt builds.

    Hidden ones do not: dbt keeps a `.user.yml` there, editors and file managers theirs.
    """
    digest = hashlib.sha256()
    for folder in (DBT_PROJECT_DIR, REFERENCE_DIR):
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if any(part.startswith(".") for part in relative.parts):
                continue
            if path.is_file() and relative.parts[0] not in ("target", "logs", "dbt_packages"):
                digest.update(str(relative).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure_manifest() -> Path:
    """Parse the project when its manifest is missing or older than its files; needs no database.

    Raises DbtProjectError with dbt's own words.
    """
    wanted = project_sha256()
    if _is_current(wanted):
        return MANIFEST
    MANIFEST.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(MANIFEST.parent / "parse.lock"):
        if not _is_current(wanted):
            run_dbt(["parse", "--quiet"], env={})
            _STAMP.write_text(wanted)
    manifest.cache_clear()
    _lineage.cache_clear()
    return MANIFEST


def _is_current(wanted: str) -> bool:
    return MANIFEST.exists() and _STAMP.exists() and _STAMP.read_text() == wanted


def run_dbt(arguments: Iterable[str], env: Mapping[str, str]) -> str:
    """Run one dbt command in a process of its own; its output. Raises DbtProjectError."""
    done = subprocess.run(
        [dbt_executable(), *arguments,
         "--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)],
        env=os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"} | dict(env),
        capture_output=True, text=True, check=False, cwd=DBT_PROJECT_DIR,
    )  # fmt: skip
    if done.returncode != 0:
        raise DbtProjectError(
            f"dbt {next(iter(arguments))} falló:\n{(done.stdout + done.stderr).strip()[-2000:]}",
            next_step="corrija el modelo que nombra el mensaje.",
        )
    return done.stdout


@functools.lru_cache(maxsize=1)
def manifest() -> Mapping[str, Any]:
    """The parsed manifest of the current project files."""
    loaded: Mapping[str, Any] = json.loads(ensure_manifest().read_bytes())
    return loaded


def relation_of(node: Mapping[str, Any]) -> str:
    """`<schema>.<table>` as checks and builds name it."""
    return f"{node['schema']}.{node.get('alias') or node['identifier']}"


def relations() -> dict[str, Mapping[str, Any]]:
    """dbt nodes that are tables or views, by `<schema>.<table>`; ephemeral ones are neither."""
    return {
        relation_of(node): node
        for node in manifest()["nodes"].values()
        if node["resource_type"] in _RELATION_KINDS
        and node["config"].get("materialized") != "ephemeral"
    }


def row_key(relation: str) -> tuple[str, ...]:
    """Columns that name a row of a relation, as its model declares or else its test of the key.

    None where one of them is personal (`sensible`): a sample of keys may be seen by people who may
    not see rows.
    """
    node = relations().get(relation)
    if node is None:
        return ()
    key = (node["config"].get("meta") or {}).get("clave") or _tested_key(node["unique_id"])
    return () if any(is_personal(node, name) for name in key) else tuple(key)


def is_personal(node: Mapping[str, Any], column: str) -> bool:
    """Whether a column of a dbt node is declared `sensible`."""
    declared = node["columns"].get(column) or {}
    return (declared.get("config", {}).get("meta") or {}).get("clasificacion") == "sensible"


def _tested_key(unique_id: str) -> Sequence[str]:
    for test in manifest()["nodes"].values():
        kind = test.get("test_metadata") or {}
        if test.get("attached_node") == unique_id and kind.get("name") == "clave_unica":
            columns: Sequence[str] = kind["kwargs"]["columnas"]
            return columns
    return ()


def data_test_names() -> list[str]:
    """Names of the data tests that the project has now."""
    nodes = manifest()["nodes"].values()
    return [str(node["name"]) for node in nodes if node["resource_type"] == "test"]


def with_ancestors(relation: str, *, sources: bool = False) -> set[str]:
    """A relation and everything of dbt it is built from; with `sources`, raw tables as well.

    A raw table or any other that dbt does not build is built from nothing: itself alone.
    """
    known = relations()
    return set(_lineage(known[relation]["unique_id"], sources)) if relation in known else {relation}


@functools.lru_cache(maxsize=1024)
def _lineage(unique_id: str, sources: bool) -> frozenset[str]:
    nodes = manifest()["nodes"] | (manifest()["sources"] if sources else {})
    found: set[str] = set()
    pending = [unique_id]
    while pending:
        current = pending.pop()
        if current in found or current not in nodes:
            continue
        found.add(current)
        pending.extend(nodes[current].get("depends_on", {}).get("nodes", []))
    return frozenset(relation_of(nodes[item]) for item in found if "schema" in nodes[item])

"""The dbt documentation as a site on disk, and a small server for it.

Belongs here: generating and serving. Does not belong here: anything the site says (dbt models).
"""

from __future__ import annotations

import functools
import http.server
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.dbt_project import run_dbt
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, settings
from orchestration.warehouse.connection import locate

# The cells are known by the style that cuts them; dbt gives them no name.
CUT = "max-width: 1px"
_WHOLE_DESCRIPTIONS = (
    f'<style>td[style*="{CUT}"] {{ white-space: normal !important; max-width: none !important; '
    "width: 55%; }</style>"
)
# Staging keeps what came beside what was corrected, under this ending.
_ORIGINAL = "_original"


def generate() -> Path:
    """Generate the site into the data folder; its path. One file, works without a server."""
    target = settings().data_dir / "docs"
    target.mkdir(parents=True, exist_ok=True)
    run_dbt(
        ["docs", "generate", "--target-path", str(target.resolve())], env=locate().environment()
    )
    manifest, catalog = (
        json.loads((target / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("manifest", "catalog")
    )
    describe_columns(manifest, catalog)
    # As dbt's own `--static` does, of a manifest that says more.
    site = target / "index.html"
    page = site.read_text(encoding="utf-8")
    for name, document in (("MANIFEST", manifest), ("CATALOG", catalog)):
        page = page.replace(f'"{name}.JSON INLINE DATA"', json.dumps(document))
    site.write_text(with_whole_descriptions(with_plain_paths(page)), encoding="utf-8")
    return target


def describe_columns(manifest: dict[str, Any], catalog: Mapping[str, Any]) -> None:
    """Give every column without words those of its name in the nearest table it is built from.

    The contracts describe raw, models the marts: what lies between says whose words it has.
    """
    nodes = manifest["nodes"] | manifest["sources"]
    found: list[tuple[str, str, str]] = []
    for node_id, table in catalog["nodes"].items():
        for column in table["columns"]:
            if node_id in nodes and not _words(nodes[node_id], column):
                base = column.removesuffix(_ORIGINAL)
                if words := _inherited(nodes, node_id, base):
                    before = "Como llegó, sin corregir. " if base != column else ""
                    found.append((node_id, column, before + words))
    # At the end: what was given to one is not passed on as its own.
    for node_id, column, words in found:
        described = nodes[node_id]["columns"].setdefault(column, {"name": column})
        described["description"] = words


def _words(node: Mapping[str, Any], column: str) -> str:
    return str(node["columns"].get(column, {}).get("description") or "")


def _inherited(nodes: Mapping[str, Any], node_id: str, column: str) -> str:
    """The nearest words for the column, and whose they are; '' when nothing above has any."""
    level, seen = [node_id], {node_id}
    while level:
        above = [one for known in level for one in _parents(nodes[known])]
        level = [one for one in dict.fromkeys(above) if one in nodes and one not in seen]
        seen.update(level)
        for one in level:
            if words := _words(nodes[one], column):
                table = nodes[one].get("alias") or nodes[one].get("identifier")
                return f"{words} ({nodes[one]['schema']}.{table})"
    return ""


def _parents(node: Mapping[str, Any]) -> list[str]:
    return list(node.get("depends_on", {}).get("nodes", ()))


def with_plain_paths(page: str) -> str:
    """The site with its files under the folders of the repository.

    The reference lists lie beside the dbt project; the menu would show them in a folder named "..".
    """
    outside = os.path.relpath(PROJECT_ROOT, DBT_PROJECT_DIR)
    return page.replace(f'"original_file_path": "{outside}/', '"original_file_path": "')


def with_whole_descriptions(page: str) -> str:
    """The site with what each column means in full.

    dbt cuts it after a word or two, until the row is clicked: a table could not be read through.
    """
    return page.replace("</head>", f"{_WHOLE_DESCRIPTIONS}</head>", 1)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Silent: the site asks for a few files that dbt never wrote."""


def serve_forever(folder: Path, port: int) -> None:
    """Serve the folder on loopback until interrupted."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()

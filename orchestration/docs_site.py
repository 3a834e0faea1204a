"""The dbt documentation as a site on disk, and a small server for it.

Belongs here: generating and serving. Does not belong here: anything the site says (dbt models).
"""

from __future__ import annotations

import functools
import http.server
import os
from pathlib import Path

from orchestration.dbt_project import run_dbt
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, settings
from orchestration.warehouse.connection import locate


def generate() -> Path:
    """Generate the site into the data folder; its path. One file, works without a server."""
    target = settings().data_dir / "docs"
    target.mkdir(parents=True, exist_ok=True)
    run_dbt(
        ["docs", "generate", "--static", "--target-path", str(target.resolve())],
        env=locate().environment(),
    )
    site = target / "static_index.html"
    if site.exists():
        page = with_plain_paths(site.read_text(encoding="utf-8"))
        (target / "index.html").write_text(page, encoding="utf-8")
        site.unlink()
    return target


def with_plain_paths(page: str) -> str:
    """The site with its files under the folders of the repository.

    The reference lists lie beside the dbt project; the menu would show them in a folder named "..".
    """
    outside = os.path.relpath(PROJECT_ROOT, DBT_PROJECT_DIR)
    return page.replace(f'"original_file_path": "{outside}/', '"original_file_path": "')


def serve_forever(folder: Path, port: int) -> None:
    """Serve the folder on loopback until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()

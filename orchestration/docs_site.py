"""The dbt documentation as a site on disk, and a small server for it.

Belongs here: generating and serving. Does not belong here: anything the site says (dbt models).
"""

from __future__ import annotations

import functools
import http.server
from pathlib import Path

from orchestration.dbt_project import run_dbt
from orchestration.settings import settings
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
        site.replace(target / "index.html")
    return target


def serve_forever(folder: Path, port: int) -> None:
    """Serve the folder on loopback until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()

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

# The cells are known by the style that cuts them; dbt gives them no name.
CUT = "max-width: 1px"
_WHOLE_DESCRIPTIONS = (
    f'<style>td[style*="{CUT}"] {{ white-space: normal !important; max-width: none !important; '
    "width: 55%; }</style>"
)


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
        page = with_whole_descriptions(with_plain_paths(site.read_text(encoding="utf-8")))
        (target / "index.html").write_text(page, encoding="utf-8")
        site.unlink()
    return target


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


def serve_forever(folder: Path, port: int) -> None:
    """Serve the folder on loopback until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()

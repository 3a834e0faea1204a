"""The catalogue of what is published: `data.json`, and the same as DCAT-AP.

Belongs here: which datasets are in it, and putting it in place. Does not belong here: its words
(`data_json.py`, `dcat.py`), or sending it anywhere (`portal.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.data_json import catalog, validate_catalog
from exports.dcat import JSONLD_NAME, TURTLE_NAME, dcat_catalog, turtle
from exports.errors import ExportError
from exports.files import Connection, describe, install, write_bytes
from exports.metadata import (
    PACKAGE_NAME,
    Addresses,
    CatalogFacts,
    dump,
    load_catalog_facts,
)
from exports.preparation import STAGING_FOLDER
from exports.record import dataset_turn, last_good
from exports.versions import is_withdrawn

CATALOG_NAME = "data.json"


@dataclass(frozen=True, slots=True)
class CatalogResult:
    """The catalogue as written, and whether its bytes changed."""

    path: Path
    document: Mapping[str, Any]
    changed: bool


def build_catalog(
    connection: Connection,
    names: Iterable[str],
    output_dir: Path,
    addresses: Addresses,
    *,
    facts: CatalogFacts | None = None,
) -> CatalogResult:
    """Write `data.json` with the datasets that were approved and exported, as they stand.

    The same catalogue as DCAT-AP is written before it.

    `names` are the datasets the city defines today (`LoadedDefinitions.names`: also those whose
    document is broken, because their last good files are still published). A dataset whose files
    do not match their record is refused. Raises ExportError, and leaves the old catalogue, when
    the new one breaks the national profile.
    """
    facts = facts or load_catalog_facts()
    packages = []
    for name in sorted(set(names)):
        # In its turn: an export of this dataset under way would be seen half installed.
        with dataset_turn(connection, name):
            if is_withdrawn(connection, name):
                continue
            if archives := last_good(connection, name):
                _check_recorded(name, output_dir, archives)
                path = output_dir / name / PACKAGE_NAME
                packages.append(json.loads(path.read_text(encoding="utf-8")))
    document = catalog(facts, packages, addresses)
    if problems := validate_catalog(document):
        raise ExportError(
            f"data.json no cumple el perfil nacional: {'; '.join(problems)}.",
            next_step="corrija las definiciones o catalogo.yaml; el catálogo anterior queda como "
            "está.",
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    linked = dcat_catalog(facts, packages, addresses)
    if (
        _install_bytes(output_dir, JSONLD_NAME, dump(linked))
        or not (output_dir / TURTLE_NAME).is_file()
    ):
        _install_bytes(output_dir, TURTLE_NAME, turtle(linked))
    changed = _install_bytes(output_dir, CATALOG_NAME, dump(document))
    return CatalogResult(output_dir / CATALOG_NAME, document, changed)


def _install_bytes(output_dir: Path, name: str, content: bytes) -> bool:
    """Put a small file in its place in one step; False when the same bytes were there."""
    staging = output_dir / STAGING_FOLDER
    staging.mkdir(exist_ok=True)
    write_bytes(staging / name, content)
    changed = install(staging / name, output_dir / name)
    (staging / name).unlink()
    return changed


def _check_recorded(name: str, output_dir: Path, archives: Sequence[Mapping[str, Any]]) -> None:
    """ExportError when the files on disk are not those of the last good export."""
    for item in archives:
        path = output_dir / item["path"]
        if not path.is_file() or describe(path, rows=None).sha256 != item["sha256"]:
            raise ExportError(
                f"el archivo {path} no es el que se exportó.",
                dataset=name,
                next_step="exporte de nuevo el conjunto; el catálogo anterior queda como está.",
            )

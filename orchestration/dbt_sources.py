"""dbt's source files, derived from the contracts.

Belongs here: writing `_<system>__sources.yml`, and telling whether the files on disk agree with the
contracts and whether models read what none describes. Does not belong here: anything dbt says
beyond its sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestration.settings import DBT_PROJECT_DIR
from sources.contract import Catalogue, Contract
from sources.errors import ContractError

STAGING_DIR = DBT_PROJECT_DIR / "models" / "staging"
_HEADER = (
    "# Derived from the contracts in sources/contracts: change those, then run\n"
    "# `lujan contracts sync`. Tests fail when this file disagrees with them.\n"
)
# How a staging model names the raw table of its system.
_READS = re.compile(r"source\('(\w+)', '(\w+)'\)")


def source_files(catalogue: Catalogue) -> dict[Path, str]:
    """Path and text of the source file of every system."""
    systems: dict[str, dict[str, list[Contract]]] = {}
    for table, contracts in catalogue.by_landing_table().items():
        systems.setdefault(contracts[0].system, {})[table] = contracts
    return {
        STAGING_DIR / system / f"_{system}__sources.yml": _HEADER + _document(system, tables)
        for system, tables in systems.items()
    }


def out_of_date(catalogue: Catalogue) -> list[Path]:
    """Files that do not say what the contracts say."""
    return [
        path
        for path, text in source_files(catalogue).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def read_without_contract(catalogue: Catalogue) -> dict[str, str]:
    """Models that read a raw table which no contract describes, by that table.

    Empty while some document cannot be read: the table may be its own.
    """
    if catalogue.errors:
        return {}
    described = catalogue.by_landing_table()
    found = {}
    for path in sorted(STAGING_DIR.rglob("stg_*.sql")):
        for system, name in _READS.findall(path.read_text(encoding="utf-8")):
            table = f"{system}__{name}"
            if system == path.parent.name and table not in described:
                found[table] = path.stem
    return found


def refuse_missing(missing: Mapping[str, str]) -> None:
    """Raise ContractError when a model (value) would be left without its raw table (key)."""
    if missing:
        tables = ", ".join(table.replace("__", ".") for table in missing)
        raise ContractError(
            f"los modelos leen conjuntos que ningún contrato describe: {tables}.",
            next_step="devuelva sus contratos a sources/contracts/. Los de un sistema que la "
            "ciudad no tiene se dejan, y el sistema sin dirección: sus tablas quedan vacías y lo "
            "que depende de ellas, sin dato. Para quitarlos, quite también los modelos: "
            f"{', '.join(missing.values())} (docs/otra-ciudad.md).",
        )


def write(catalogue: Catalogue) -> list[Path]:
    """Rewrite the files that are out of date; their paths.

    Raises ContractError, before anything is written, when a model would be left without its source.
    """
    refuse_missing(read_without_contract(catalogue))
    changed = out_of_date(catalogue)
    texts = source_files(catalogue)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return changed


def _document(system: str, tables: dict[str, list[Contract]]) -> str:
    document = {
        "version": 2,
        "sources": [
            {
                "name": system,
                "schema": "raw",
                "description": f"Sistema {system}: filas tal como llegaron, con su carga.",
                "tables": [
                    _table(system, table, contracts) for table, contracts in sorted(tables.items())
                ],
            }
        ],
    }
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=100)


def _table(system: str, table: str, contracts: Sequence[Contract]) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {}
    for contract in contracts:
        for column in contract.columns:
            columns.setdefault(
                column.name,
                {
                    "name": column.name,
                    "description": column.description,
                    "config": {"meta": {"clasificacion": column.classification}},
                },
            )
    first = contracts[0]
    return {
        "name": table.removeprefix(f"{system}__"),
        "identifier": table,
        "description": " ".join(
            f"{contract.title}: {contract.description}" for contract in contracts
        ),
        "config": {
            "meta": {
                "contratos": [contract.id for contract in contracts],
                "owner": first.owner,
                "clasificacion": first.classification,
            }
        },
        "columns": [
            *columns.values(),
            {"name": "_load_id", "description": "Carga (meta.carga) que escribió la fila."},
            *(
                [{"name": "_source_row", "description": "Número de fila en lo leído, desde 1."}]
                if first.from_files
                else []
            ),
        ],
    }

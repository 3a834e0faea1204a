"""Contracts for ours: the same documents a city would write for these tables.

Belongs here: turning a dataset and a path into a contract document. Does not belong here: loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.loading.model import Column, Dataset

SYSTEM = "banco"
_LOGICAL: Mapping[str, str] = {
    "text": "string",
    "bigint": "integer",
    "integer": "integer",
    "smallint": "integer",
    "date": "date",
    "timestamptz": "timestamp",
    "boolean": "boolean",
}
_KINDS: Mapping[str, str] = {
    "mariadb": "mysql",
    "postgresql": "postgresql",
    "merge": "postgresql",
    "no_change": "postgresql",
}


def write_contract(folder: Path, path: str, dataset: Dataset, table: str, variant: str) -> Path:
    """Write the contract of one table and return its file.

    `variant`: `simple` (no key: the promise the peers make), `clave` (primary key: repeated rows
    are found and the index is kept) or `particiones` (monthly partitions by the time column).
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"{SYSTEM}.{table}",
        "name": f"Tabla {table} de la medición",
        "version": "1.0.0",
        "status": "active",
        "team": {"name": "Dirección de Datos"},
        "customProperties": [
            {"property": name, "value": value}
            for name, value in _options(path, dataset, variant).items()
        ],
        "servers": [_server(path)],
        "schema": [
            {
                "name": table,
                "physicalName": table,
                "properties": [
                    _property(column, dataset, keyed=_keyed(path, variant))
                    for column in dataset.columns
                ],
            }
        ],
    }
    file = folder / f"{table}.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return file


def _keyed(path: str, variant: str) -> bool:
    return variant == "clave" or path in ("merge", "no_change")


def _options(path: str, dataset: Dataset, variant: str) -> dict[str, Any]:
    if path in ("merge", "no_change"):
        return {"loadMode": "incremental", "cursor": dataset.cursor, "deletionsEvery": "never"}
    if path in ("mariadb", "postgresql"):
        if variant == "clave":
            return {"loadMode": "full"}
        return {"loadMode": "append", "cursor": dataset.key}
    options: dict[str, Any] = {"loadMode": "files", "archive": False, "settleSeconds": 0}
    if variant == "particiones":
        options["partitionBy"] = dataset.time
    return options


def _server(path: str) -> dict[str, Any]:
    if path in _KINDS:
        return {"server": SYSTEM, "type": _KINDS[path], "host": "127.0.0.1", "database": "fuente"}
    own: list[dict[str, Any]] = [{"property": "pattern", "value": f"*.{path}"}]
    server = {
        "server": SYSTEM,
        "type": "local",
        "path": ".",
        "format": path,
        "customProperties": own,
    }
    if path == "csv":
        server["encoding"] = "utf-8"
        own += [{"property": "delimiter", "value": ","}, {"property": "decimal", "value": "."}]
    if path == "xlsx":
        own += [{"property": "sheet", "value": "Datos"}, {"property": "headerRow", "value": 1}]
    return server


def _property(column: Column, dataset: Dataset, *, keyed: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": column.name,
        "logicalType": _LOGICAL.get(column.pg_type, "number"),
        "physicalType": column.pg_type,
        "description": f"Columna {column.name} de la medición.",
        "required": column.required,
        "primaryKey": keyed and column.name == dataset.key,
        "classification": "libre_acceso",
    }
    options: dict[str, Any] = {}
    if column.pg_type == "timestamptz":
        # The other contenders take a time without zone as it stands: so does this contract.
        options["defaultTimezone"] = "UTC"
    if column.minimum is not None:
        options["minimum"] = column.minimum
    if options:
        found["logicalTypeOptions"] = options
    return found

"""Small contracts for the tests of readers and casting, written as the documents they are."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from sources.casting import CastBatch, cast_batch
from sources.contract import Contract
from sources.contract_document import load_contract
from sources.readers import FeedFile, RawBatch, Reader

_LOGICAL = {
    "text": "string",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
    "jsonb": "object",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
}


def column(name: str, pg_type: str = "text", **settings: Any) -> dict[str, Any]:
    """A property of a contract. `source`, `format`, `timezone`, `constant` and `key` are short.

    `custom` holds further custom properties.
    """
    found: dict[str, Any] = {
        "name": name,
        "physicalName": settings.get("source", name),
        "logicalType": _LOGICAL.get(pg_type, "number"),
        "physicalType": pg_type,
        "description": f"Columna {name}.",
        "required": settings.get("required", False),
        "primaryKey": settings.get("key", False),
        "classification": settings.get("classification", "libre_acceso"),
        "logicalTypeOptions": {},
    }
    if "format" in settings:
        found["logicalTypeOptions"]["format"] = settings["format"]
    if "timezone" in settings:
        found["logicalTypeOptions"]["defaultTimezone"] = settings["timezone"]
    custom = {"constant": settings["constant"]} if "constant" in settings else {}
    custom |= settings.get("custom", {})
    if custom:
        found["customProperties"] = [{"property": k, "value": v} for k, v in custom.items()]
    return found


def make_contract(
    folder: Path,
    kind: str,
    columns: Iterable[Mapping[str, Any]],
    *,
    table: str = "tabla",
    server: Mapping[str, Any] | None = None,
    **options: Any,
) -> Contract:
    """A contract `prueba.tabla` for a kind of source, read from a file as all contracts are."""
    place: dict[str, Any] = {"server": "prueba", **(server or {})}
    if kind in ("csv", "jsonl", "parquet", "xlsx", "fixed"):
        place |= {"type": "local", "path": "carpeta", "format": kind}
    else:
        place |= {"type": kind}
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "prueba.tabla",
        "version": "1.0.0",
        "status": "active",
        "team": {"name": "Secretaría de Prueba"},
        "servers": [place],
        "customProperties": [{"property": k, "value": v} for k, v in options.items()],
        "schema": [{"name": "tabla", "physicalName": table, "properties": list(columns)}],
    }
    path = folder / "tabla.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return load_contract(path)


def feed_file(path: Path) -> FeedFile:
    facts = path.stat()
    return FeedFile(path.name, path, facts.st_size, facts.st_mtime)


def read_all(reader: Reader) -> list[RawBatch]:
    with reader:
        return list(reader.batches())


def rows_of(batches: Iterable[RawBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.data.to_pylist()]


def numbers_of(batches: Iterable[RawBatch]) -> list[int]:
    return [number for batch in batches for number in batch.rows.to_pylist()]


def cast_all(contract: Contract, batches: Iterable[RawBatch]) -> tuple[list[Any], list[Any]]:
    """Good rows and rejected rows of every batch."""
    cast = [cast_batch(contract, batch) for batch in batches]
    good = [row for batch in cast for row in batch.good.to_pylist()]
    return good, [row for batch in cast for row in batch.rejected]


def cast_values(contract: Contract, **columns: Any) -> CastBatch:
    """Cast a batch made of Python values or Arrow arrays by column."""
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values)
        for name, values in columns.items()
    }
    data = pa.RecordBatch.from_pydict(arrays)
    rows = pa.array(range(1, data.num_rows + 1), pa.int64())
    return cast_batch(contract, RawBatch(data=data, rows=rows))


def compressed(content: bytes, ending: str) -> bytes:
    """The content as a file of that ending holds it."""
    if ending == "xz":
        return lzma.compress(content)
    codec = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4"}[ending]
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(content)
    return bytes(sink.getvalue())

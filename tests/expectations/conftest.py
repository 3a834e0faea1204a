"""Contracts and batches small enough to read, and a real PostgreSQL for what needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import yaml

from sources.contract import Contract
from sources.contract_document import load_contract

MakeContract = Callable[..., Contract]
MakeBatch = Callable[..., tuple[pa.RecordBatch, pa.Int64Array]]


@pytest.fixture
def make_contract(tmp_path: Path) -> MakeContract:
    """Write a contract document with the given columns and read it back."""

    def make(
        columns: Sequence[dict[str, Any]],
        *,
        identifier: str = "citymis.prueba",
        quality: Sequence[dict[str, Any]] = (),
        frequency: tuple[int, str] | None = None,
        **custom: Any,
    ) -> Contract:
        system, dataset = identifier.split(".")
        document: dict[str, Any] = {
            "apiVersion": "v3.0.2",
            "kind": "DataContract",
            "id": identifier,
            "name": "Prueba",
            "version": "1.0.0",
            "status": "active",
            "servers": [{"server": system, "type": "sqlserver", "schema": "dbo"}],
            "schema": [{"name": dataset, "properties": [_column(column) for column in columns]}],
            "team": {
                "name": "Desarrollo Humano",
                "members": [{"username": "mesa@ejemplo", "role": "responsable"}],
            },
            "customProperties": [
                {"property": name, "value": value} for name, value in custom.items()
            ],
        }
        document["schema"][0]["quality"] = list(quality)
        if frequency is not None:
            value, unit = frequency
            document["slaProperties"] = [{"property": "frequency", "value": value, "unit": unit}]
        path = tmp_path / f"{identifier}.yaml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        return load_contract(path)

    return make


def _column(given: dict[str, Any]) -> dict[str, Any]:
    """A property of the standard from the short form of the tests."""
    column = {"description": "Columna de prueba.", **given}
    kind = column["physicalType"]
    logical = {"text": "string", "date": "date", "boolean": "boolean"}.get(kind)
    if logical is None:
        logical = "timestamp" if kind.startswith("timestamp") else "integer"
        logical = "number" if kind.startswith(("numeric", "double")) else logical
    column.setdefault("logicalType", logical)
    if isinstance(column.get("customProperties"), dict):
        column["customProperties"] = [
            {"property": name, "value": value} for name, value in column["customProperties"].items()
        ]
    return column


@pytest.fixture
def batch_of() -> MakeBatch:
    """Rows of plain values as a batch in the contract's types, and their row numbers."""

    def make(
        contract: Contract, rows: Sequence[Sequence[Any]], first_row: int = 1
    ) -> tuple[pa.RecordBatch, pa.Int64Array]:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(contract.columns)
        arrays = [
            pa.array(values, column.arrow_type)
            for values, column in zip(columns, contract.columns, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=contract.arrow_schema)
        return batch, pa.array(range(first_row, first_row + len(rows)), pa.int64())

    return make


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty, migrated warehouse."""
    with psycopg.connect(warehouse_url, autocommit=True) as opened:
        yield opened


Land = Callable[..., int]


@pytest.fixture
def land(connection: psycopg.Connection[Any]) -> Land:
    """Put rows of plain values in a contract's raw table as one load would; the load's number."""
    from psycopg import sql

    from orchestration.catalogue_sync import _store
    from sources.raw_table import ensure_raw_table

    def put(
        contract: Contract, rows: Sequence[Sequence[Any]], *, days_ago: float = 0, run: str = "r"
    ) -> int:
        _store(connection, contract, True)
        ensure_raw_table(connection, contract)
        loaded = connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas) "
            "values (%s, %s, 'cargada', 'full', '1', 'x', now(), "
            "now() - make_interval(secs => %s), %s, %s) returning carga_id",
            [run, contract.id, days_ago * 86400, len(rows), len(rows)],
        ).fetchone()
        assert loaded is not None
        names = [*(column.name for column in contract.columns), "_load_id"]
        with connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL("insert into {} ({}) values ({})").format(
                    sql.Identifier("raw", contract.landing_table),
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.SQL(", ").join(sql.Placeholder() * len(names)),
                ),
                [[*row, loaded[0]] for row in rows],
            )
        return int(loaded[0])

    return put

"""COPY of Arrow batches into PostgreSQL.

Belongs here: encoding and sending. Does not belong here: which rows, and into which table.
"""

from __future__ import annotations

from typing import Any

import pgpq
import pgpq.encoders
import pgpq.schema
import pyarrow as pa
from psycopg import sql

from sources.contract import Contract
from sources.landing.records import names_of
from sources.raw_table import Connection, audit_columns

ORDER = "_orden"


class Writer:
    """COPY of Arrow batches, in PostgreSQL's binary format."""

    def __init__(
        self,
        connection: Connection,
        target: sql.Identifier,
        contract: Contract,
        load_id: int,
        *,
        with_order: bool = False,
    ) -> None:
        self._connection = connection
        self._contract = contract
        self._load_id = pa.scalar(load_id, pa.int64())
        self._with_order = with_order
        extra = [*audit_columns(contract), *([ORDER] if with_order else [])]
        self._schema = pa.schema(
            [*contract.arrow_schema, *(pa.field(name, pa.int64()) for name in extra)]
        )
        self._encoders = {f.name: _encoder(f, contract) for f in self._schema}
        self._statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            target, names_of(self._schema.names)
        )

    def write(self, batch: pa.RecordBatch, rows: pa.Int64Array) -> None:
        """Append a batch of the contract's schema; `rows` are its source row numbers."""
        if batch.num_rows == 0:
            return
        arrays = [*batch.columns, pa.repeat(self._load_id, batch.num_rows)]
        if self._contract.from_files:
            arrays.append(rows)
        if self._with_order:
            arrays.append(rows)
        encoder: Any = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(
            self._schema, self._encoders
        )
        with (
            self._connection.cursor() as cursor,
            cursor.copy(self._statement) as copy,
        ):
            copy.write(encoder.write_header())
            copy.write(encoder.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema)))
            copy.write(encoder.finish())


def _encoder(field_: pa.Field[Any], contract: Contract) -> Any:
    if field_.name in contract.arrow_schema.names:
        column = contract.column(field_.name)
        if column.pg_type == "jsonb":
            return pgpq.encoders.StringEncoderBuilder.new_with_output(field_, pgpq.schema.Jsonb())
    return pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field_)

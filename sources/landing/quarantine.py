"""Rows kept out of raw: written inside the load's transaction, found again by their fingerprint.

Belongs here: writing `quarantine.fila` while loading, and closing what a load made good. Does not
belong here: deciding which rows (`doorstep.py`), bringing them back (`replay.py`), what people
see and decide (`decisions.py`).

A row is the same row when dataset, rule and values are; for files, its place as well. Meeting it
again renews it: `carga_id`, `ultima_vez` and `veces` (equal rows in one load) are of the last load
that met it. What a person discarded stays discarded.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pgpq
import pgpq.encoders
import pgpq.schema
import pyarrow as pa
from psycopg import sql

from sources.arrow_values import from_flags, from_numbers, from_some_texts, from_texts
from sources.casting import NumberStyle, cast_column, number_style
from sources.contract import Contract
from sources.landing.records import names_of
from sources.raw_table import LOAD_ID, Connection
from sources.readers import RejectedRow
from sources.readers.arrow import pc

# Rules whose rows are found after casting: their values are the warehouse's text, not the source's.
FOUND_LATE = frozenset({"clave_repetida"})
# Rows encoded and sent at once; a batch may have any number of bad rows.
CHUNK = 16_384
_NUL, _NUL_WRITTEN = "\x00", "\\u0000"
_as_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_INPUT = sql.Identifier("_cuarentena")
_KEPT = sql.Identifier("_retenida")
_FIELDS = pa.schema(
    (
        pa.field("numero_fila", pa.int64()),
        pa.field("regla", pa.string()),
        pa.field("columna", pa.string()),
        pa.field("motivo", pa.string()),
        pa.field("fila", pa.string()),
        pa.field("huella", pa.string()),
        pa.field("clave", pa.list_(pa.string())),
        pa.field("es_textual", pa.bool_()),
        pa.field("con_nul", pa.bool_()),
    )
)
_CREATE_INPUT = """
create temporary table if not exists _cuarentena (numero_fila bigint, regla text, columna text,
    motivo text, fila jsonb, huella text, clave text[], es_textual boolean, con_nul boolean)
on commit drop
"""
# A row that had stopped being pending and comes again is as new as one never seen.
_STORE = """
with puestas as (
    insert into quarantine.fila as q (dataset, carga_id, archivo, numero_fila, regla, columna,
        motivo, fila, huella, clave, es_textual, con_nul, contrato_sha256, veces, primera_vez,
        ultima_vez)
    select %(dataset)s, %(load)s, %(file)s, numero_fila, regla, columna, motivo, fila, huella,
        clave, es_textual, con_nul, %(sha)s, veces, %(now)s, %(now)s
    from (
        select distinct on (huella) *, count(*) over (partition by huella) as veces
        from _cuarentena order by huella, numero_fila
    ) as distintas order by numero_fila
    on conflict (dataset, huella) do update set
        carga_id = excluded.carga_id, numero_fila = excluded.numero_fila,
        motivo = excluded.motivo, clave = excluded.clave, ultima_vez = excluded.ultima_vez,
        contrato_sha256 = excluded.contrato_sha256, ultimo_intento = null,
        ultimo_intento_en = null,
        veces = excluded.veces + case when q.carga_id = excluded.carga_id then q.veces else 0 end,
        estado = case when q.estado = 'descartada' then q.estado else 'pendiente' end,
        resuelta_en = case when q.estado = 'descartada' then q.resuelta_en end,
        resolucion = case when q.estado = 'descartada' then q.resolucion end,
        reabierta_en = case when q.estado in ('reprocesada', 'reemplazada')
            then excluded.ultima_vez else q.reabierta_en end
    returning (xmax = 0 or reabierta_en = ultima_vez) as nueva
)
select count(*) filter (where nueva) from puestas
"""


class Quarantine:
    """Writes rows kept out of raw, batch by batch, inside the load's transaction."""

    def __init__(
        self, connection: Connection, contract: Contract, load_id: int, now: dt.datetime
    ) -> None:
        self._connection = connection
        self._contract = contract
        self._load_id = load_id
        self._now = now
        # Called before the connection is used: a COPY of the load may be under way on it.
        self.pause: Callable[[], None] = lambda: None
        self._with_key = False
        self.new_rows = 0

    def add(self, rows: Sequence[RejectedRow], file: str | None = None) -> None:
        """Store rows (of `file`, for feeds); one met again is renewed, see the module's text."""
        if rows:
            self.pause()
        for start in range(0, len(rows), CHUNK):
            self._store(rows[start : start + CHUNK], file)

    def kept_condition(self) -> sql.Composable:
        """SQL that is true for raw rows `_r` whose newest version is in quarantine.

        The last good version of such a row stays: a bad update is no deletion.
        """
        if not self._with_key:
            return sql.SQL("false")
        self._connection.execute(
            sql.SQL(
                "create temporary table if not exists {kept} on commit drop as "
                "select distinct {values} from quarantine.fila "
                "where carga_id = {load} and dataset = {dataset} and clave is not null"
            ).format(
                kept=_KEPT,
                values=_key_values(self._contract),
                load=sql.Literal(self._load_id),
                dataset=sql.Literal(self._contract.id),
            )
        )
        self._connection.execute(sql.SQL("analyze {}").format(_KEPT))
        return sql.SQL("exists (select from {kept} k where {join})").format(
            kept=_KEPT, join=_same_key(self._contract, "k", "_r")
        )

    def close_absent(self) -> None:
        """After a full read: rows that no longer come, or came good, are no longer pending."""
        self._connection.execute(
            "update quarantine.fila set estado = 'reprocesada', resuelta_en = %(now)s, "
            "resolucion = 'el origen ya no la trae así: vino corregida o fue dada de baja' "
            "where dataset = %(dataset)s and estado = 'pendiente' and ultima_vez < %(now)s",
            {"now": self._now, "dataset": self._contract.id},
        )

    def close_superseded(self, good: sql.Identifier) -> int:
        """After a partial read: pending rows of earlier loads whose key this load put into `good`.

        Only rows last judged by this contract: their keys are of its types. Returns how many.
        """
        if not self._contract.key:
            return 0
        return self._connection.execute(
            sql.SQL(
                "update quarantine.fila q set estado = 'reemplazada', resuelta_en = {now}, "
                "resolucion = 'llegó una versión más nueva de la fila' "
                "from (select fila_id, {values} from quarantine.fila where dataset = {dataset} "
                "and estado = 'pendiente' and contrato_sha256 = {sha} and clave is not null "
                "and carga_id <> {load} offset 0) k "
                "where q.fila_id = k.fila_id and exists (select from {good} e where {join} "
                "and e.{load_id} = {load})"
            ).format(
                load_id=sql.Identifier(LOAD_ID),
                now=sql.Literal(self._now),
                values=_key_values(self._contract),
                dataset=sql.Literal(self._contract.id),
                sha=sql.Literal(self._contract.sha256),
                load=sql.Literal(self._load_id),
                good=good,
                join=_same_key(self._contract, "k", "e"),
            )
        ).rowcount

    def _store(self, rows: Sequence[RejectedRow], file: str | None) -> None:
        # Position counts for files (two equal bad lines are two rows), not for tables, where the
        # same row is met at each reading.
        in_files = self._contract.load_mode == "files"
        written = [_written(row, [file, row.row_number] if in_files else []) for row in rows]
        # Rows found late come by themselves, never among others.
        textual = rows[0].rule not in FOUND_LATE
        keys = keys_of(
            self._contract,
            [row.values for row in rows],
            style_of(self._contract, textual=textual),
        )
        self._with_key = self._with_key or keys.null_count < len(keys)
        batch = pa.RecordBatch.from_arrays(
            [
                from_numbers(np.array([row.row_number for row in rows], np.int64)),
                from_texts([row.rule for row in rows]),
                from_some_texts([row.column for row in rows]),
                from_texts([row.reason.replace(_NUL, _NUL_WRITTEN) for row in rows]),
                from_texts([text for text, _, _ in written]),
                from_texts([mark for _, mark, _ in written]),
                keys,
                from_flags(np.full(len(rows), textual)),
                from_flags(np.array([with_nul for _, _, with_nul in written], np.bool_)),
            ],
            schema=_FIELDS,
        )
        self._connection.execute(_CREATE_INPUT.encode())
        self._connection.execute("truncate _cuarentena")
        _copy(self._connection, batch)
        stored = self._connection.execute(
            _STORE.encode(),
            {
                "dataset": self._contract.id,
                "load": self._load_id,
                "file": file,
                "sha": self._contract.sha256,
                "now": self._now,
            },
        ).fetchone()
        self.new_rows += int(stored[0]) if stored else 0


def close_replaced(connection: Connection, contract: Contract, load_ids: Iterable[int]) -> int:
    """Pending rows of files that a newer version replaced are pending no longer; how many.

    `load_ids`: the loads of the replaced versions. Called before or after the new version is
    loaded: rows that came again belong to its load by then.
    """
    return connection.execute(
        "update quarantine.fila set estado = 'reemplazada', resuelta_en = now(), "
        "resolucion = 'otra versión del archivo tomó su lugar' "
        "where carga_id = any(%s) and dataset = %s and estado = 'pendiente'",
        [list(load_ids), contract.id],
    ).rowcount


def keys_of(
    contract: Contract, rows: Sequence[Mapping[str, str | None]], style: NumberStyle
) -> pa.Array[Any]:
    """The key of each row as PostgreSQL reads it, one list of texts per row.

    `rows` hold texts by column, numbers written in `style`. Null for a row whose key is incomplete
    or cannot be read in the contract's types.
    """
    if not contract.key:
        return pa.nulls(len(rows), pa.list_(pa.string()))
    parts = []
    for name in contract.key:
        column = contract.column(name)
        texts = from_some_texts([row.get(name, column.constant) for row in rows])
        parts.append(pc.cast(cast_column(contract, column, texts, style).array, pa.string()))
    complete = parts[0].is_valid()
    for part in parts[1:]:
        complete = pc.and_(complete, part.is_valid())
    places = np.arange(len(rows) * len(parts)).reshape(len(parts), len(rows)).T.ravel()
    offsets = from_numbers(np.arange(0, len(places) + 1, len(parts), dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.concat_arrays(parts).take(from_numbers(places)))
    keys: pa.Array[Any] = pc.if_else(complete, lists, pa.nulls(1, lists.type)[0])
    return keys


def held_condition(contract: Contract, alias: str) -> sql.Composable:
    """SQL that is true for a row whose key is one of a row kept out, and not closed since.

    Only rows last judged by this contract: their keys are of its types.
    """
    return sql.SQL(
        "exists (select from (select {values} from quarantine.fila where dataset = {dataset} "
        "and contrato_sha256 = {sha} and clave is not null "
        "and estado in ('pendiente', 'descartada') offset 0) q where {join})"
    ).format(
        values=_key_values(contract),
        dataset=sql.Literal(contract.id),
        sha=sql.Literal(contract.sha256),
        join=_same_key(contract, "q", alias),
    )


def style_of(contract: Contract, *, textual: bool) -> NumberStyle:
    """How numbers are written in quarantined values: as the files do, or as PostgreSQL does."""
    return number_style(contract.options) if textual and contract.from_files else NumberStyle()


def restored(values: Mapping[str, str | None], *, with_nul: bool) -> dict[str, str | None]:
    """Values as the source gave them, from what `quarantine.fila` holds."""
    if not with_nul:
        return dict(values)
    return {
        name: None if value is None else value.replace(_NUL_WRITTEN, _NUL)
        for name, value in values.items()
    }


def _written(row: RejectedRow, place: Sequence[str | int | None]) -> tuple[str, str, bool]:
    """The row's values as JSON, its fingerprint, and whether a NUL had to be written otherwise."""
    text = _as_json(row.values)
    with_nul = _NUL_WRITTEN in text and any(_NUL in (value or "") for value in row.values.values())
    if with_nul:
        values = {
            name: None if value is None else value.replace(_NUL, _NUL_WRITTEN)
            for name, value in row.values.items()
        }
        text = _as_json(values)
    before = _as_json([row.rule, *place])[:-1]
    mark = hashlib.sha256(f"{before}, {text}]".encode()).hexdigest()
    return text, mark, with_nul


def _copy(connection: Connection, batch: pa.RecordBatch) -> None:
    encoders = {
        field.name: pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in _FIELDS
    }
    encoders["fila"] = pgpq.encoders.StringEncoderBuilder.new_with_output(
        _FIELDS.field("fila"), pgpq.schema.Jsonb()
    )
    encoder: Any = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(_FIELDS, encoders)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        _INPUT, names_of(_FIELDS.names)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def _key_values(contract: Contract) -> sql.Composable:
    """The items of `clave` as columns of the contract's types and names."""
    return sql.SQL(", ").join(
        sql.SQL("clave[{}]::{} as {}").format(
            sql.Literal(place), sql.SQL(contract.column(name).pg_type), sql.Identifier(name)
        )
        for place, name in enumerate(contract.key, start=1)
    )


def _same_key(contract: Contract, one: str, other: str) -> sql.Composable:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name))
        for name in contract.key
    )

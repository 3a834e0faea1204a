"""Last good versions for those who read the warehouse directly: the chatbot and the boards.

Belongs here: which relations are delivered, asking the gate for each, and replacing the rows that
its readers see. Does not belong here: what is red (`gate.py`), a person's decision
(`releases.py`), or portal datasets (`assets/exports.py`).

What is delivered is a dbt exposure with `entrega: <schema>` in its meta: each relation it depends
on is copied to a table of that schema, once the gate lets it. A relation with `candidato` in its
meta is a view over the copy, and its candidate is what is copied. Readers see the old version or
the new one and nothing between, and nobody waits: rows are replaced in one transaction, with the
record of it. What changed is found by key, so that the work follows what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql

from orchestration.build_plan import BUILD_LOCK
from orchestration.dbt_project import manifest, relation_of, relations, with_ancestors
from orchestration.gate import Obstacle, obstacles_by
from orchestration.releases import covering
from orchestration.warehouse.connection import Warehouse
from sources.raw_table import Connection

_log = logging.getLogger(__name__)

State = Literal["entregada", "sin_cambios", "retenida"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One relation that somebody reads directly.

    `name` is what they read, `candidate` what its rows are taken from, `destination` where they
    stand (the same as `name` unless that is a view), all '<schema>.<relation>'. `key` is unique in
    the candidate. `marts` is what the gate is asked about.
    """

    name: str
    consumer: str
    candidate: str
    destination: str
    key: tuple[str, ...]
    marts: tuple[str, ...]

    @property
    def has_view(self) -> bool:
        """Whether a view stands on the copy, whose columns a migration has set."""
        return self.name != self.destination


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one delivery; `reason` says why it is withheld."""

    name: str
    state: State
    reason: str = ""


def deliveries() -> dict[str, Delivery]:
    """Everything that is delivered, by the name its readers know."""
    nodes = manifest()["nodes"]
    found = {}
    for exposure in manifest()["exposures"].values():
        schema = (exposure["config"].get("meta") or {}).get("entrega")
        if not schema:
            continue
        for unique_id in exposure["depends_on"]["nodes"]:
            made = _delivery(str(exposure["name"]), str(schema), relation_of(nodes[unique_id]))
            found[made.name] = made
    return dict(sorted(found.items()))


def _delivery(consumer: str, schema: str, relation: str) -> Delivery:
    meta = relations()[relation]["config"]["meta"]
    destination = f"{schema}.{relation.partition('.')[2]}"
    candidate = meta.get("candidato")
    return Delivery(
        name=relation if candidate else destination,
        consumer=consumer,
        candidate=candidate or relation,
        destination=destination,
        key=tuple(meta["clave"]),
        marts=(relation, candidate) if candidate else (relation,),
    )


def deliver(
    warehouse: Warehouse, run_id: str, wanted: Mapping[str, Delivery] | None = None
) -> list[Outcome]:
    """Bring what readers see up to date, or withhold it; what was not newer is left out.

    Nothing is done while dbt builds: that run delivers at its end. Raises what psycopg raises when
    the warehouse does not answer; a relation that cannot be copied is withheld and says why.
    """
    known = deliveries() if wanted is None else wanted
    with warehouse.connect(autocommit=True) as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", [BUILD_LOCK]).fetchone()
        if not row or not row[0]:
            _log.info("Otra corrida está construyendo: entrega ella, al terminar.")
            return []
        if wanted is None:
            _take_away(connection, known, run_id)
        newest = _newest_builds(connection, known.values())
        behind = [item for item in known.values() if _is_behind(connection, item, newest)]
        if not behind:
            return []
        found = obstacles_by(connection, {item.name: item.marts for item in behind})
        return [
            _deliver_one(connection, item, found[item.name], newest.get(item.name), run_id)
            for item in behind
        ]


def _take_away(connection: Connection, known: Mapping[str, Delivery], run_id: str) -> None:
    """Drop the copies of what the exposures no longer name: nobody would bring them up to date."""
    with connection.transaction():
        gone = connection.execute(
            "delete from meta.entrega where not nombre = any(%s) and nombre = destino "
            "returning nombre",
            [list(known)],
        ).fetchall()
        for (name,) in gone:
            connection.execute(sql.SQL("drop table if exists {}").format(_name(str(name))))
            connection.execute(
                "insert into meta.entrega_historia (nombre, estado, corrida_id, motivo) "
                "values (%s, 'retenida', %s, 'Ya no se entrega: se quitó de los tableros.')",
                [name, run_id],
            )


def _newest_builds(connection: Connection, wanted: Iterable[Delivery]) -> dict[str, int]:
    """The newest good build of anything each delivery is made from."""
    pairs = [
        (item.name, relation)
        for item in wanted
        for relation in sorted(with_ancestors(item.candidate))
    ]
    return {
        str(name): int(build)
        for name, build in connection.execute(
            "select n.nombre, max(c.construccion_id) "
            "from unnest(%s::text[], %s::text[]) as n (nombre, objeto) "
            "cross join lateral (select construccion_id from meta.construccion "
            "where objeto = n.objeto and estado = 'ok' order by construccion_id desc limit 1) as c "
            "group by n.nombre",
            [[name for name, _ in pairs], [relation for _, relation in pairs]],
        )
    }


def _is_behind(connection: Connection, item: Delivery, newest: Mapping[str, int]) -> bool:
    """Whether there is something newer than what readers see.

    A view over the warehouse's own books changes without being built: it is always compared.
    """
    node = relations().get(item.candidate)
    if node is not None and node["config"].get("materialized") == "view":
        return True
    row = connection.execute(
        "select construccion_id from meta.entrega where nombre = %s and retenida_desde is null "
        "and to_regclass(destino) is not null",
        [item.name],
    ).fetchone()
    return row is None or row[0] is None or newest.get(item.name, 0) > int(row[0])


def _deliver_one(
    connection: Connection,
    item: Delivery,
    found: Sequence[Obstacle],
    build: int | None,
    run_id: str,
) -> Outcome:
    release = covering(connection, item.name, found) if found else None
    if found and release is None:
        return _withhold(connection, item, run_id, "; ".join(str(one) for one in found))
    try:
        with connection.transaction():
            added, removed = replace_rows(connection, item)
            changed = _record_delivery(
                connection, item, build, run_id, release.id if release else None, added, removed
            )
    except psycopg.Error as error:
        # PostgreSQL's own words may quote a value of a row: only its code is kept.
        words = f"no se pudo copiar {item.candidate}: PostgreSQL respondió {error.sqlstate}"
        return _withhold(connection, item, run_id, f"{words} ({type(error).__name__}).")
    return Outcome(item.name, "entregada" if changed else "sin_cambios")


def replace_rows(connection: Connection, item: Delivery) -> tuple[int, int]:
    """Give the copy the rows of its candidate; rows added and rows removed (a change is both).

    Runs in the caller's transaction. Raises psycopg errors when the candidate is not there.
    """
    candidate, destination = _name(item.candidate), _name(item.destination)
    columns = _columns(connection, item.destination)
    if not item.has_view and columns != _columns(connection, item.candidate):
        _make(connection, item)
        columns = _columns(connection, item.destination)
    parts = {
        "destination": destination,
        "candidate": sql.SQL("(select {} from {})").format(
            sql.SQL(", ").join(
                sql.SQL("{0}::{1} as {0}").format(sql.Identifier(name), sql.SQL(kind))
                for name, kind in columns.items()
            ),
            candidate,
        ),
        "names": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "old": sql.SQL(", ").join(sql.Identifier("d", name) for name in columns),
        "new": sql.SQL(", ").join(sql.Identifier("c", name) for name in columns),
        # Arrays compare nulls as equal, and PostgreSQL can hash them.
        "same_key": sql.SQL("array[{}] = array[{}]").format(
            *(
                sql.SQL(", ").join(
                    sql.SQL("{}::text").format(sql.Identifier(side, name)) for name in item.key
                )
                for side in ("c", "d")
            )
        ),
    }
    removed = connection.execute(
        sql.SQL(
            "delete from {destination} as d where not exists (select from {candidate} as c "
            "where {same_key} and row({new}) is not distinct from row({old}))"
        ).format(**parts)
    ).rowcount
    added = connection.execute(
        sql.SQL(
            "insert into {destination} ({names}) select {new} from {candidate} as c "
            "where not exists (select from {destination} as d where {same_key})"
        ).format(**parts)
    ).rowcount
    if added or removed:
        connection.execute(sql.SQL("analyze {}").format(destination))
    return added, removed


def _make(connection: Connection, item: Delivery) -> None:
    """The table anew, with the columns and descriptions the candidate has now."""
    destination, candidate = _name(item.destination), _name(item.candidate)
    connection.execute(sql.SQL("drop table if exists {}").format(destination))
    connection.execute(
        sql.SQL("create table {} (like {} including comments)").format(destination, candidate)
    )
    row = connection.execute(
        "select obj_description(to_regclass(%s), 'pg_class')", [item.candidate]
    ).fetchone()
    connection.execute(
        sql.SQL("comment on table {} is {}").format(
            destination, sql.Literal(row[0] if row else None)
        )
    )


def _columns(connection: Connection, relation: str) -> dict[str, str]:
    """Columns and types in their order; none when there is no such relation."""
    return {
        str(name): str(kind)
        for name, kind in connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
            [relation],
        )
    }


def _name(relation: str) -> sql.Identifier:
    return sql.Identifier(*relation.split("."))


def _record_delivery(
    connection: Connection,
    item: Delivery,
    build: int | None,
    run_id: str,
    release_id: int | None,
    added: int,
    removed: int,
) -> bool:
    """Say which version stands; whether it is another than before."""
    row = connection.execute(
        "select construccion_id is not distinct from %s and retenida_desde is null "
        "from meta.entrega where nombre = %s",
        [build, item.name],
    ).fetchone()
    if row and row[0] and not added and not removed:
        return False
    connection.execute(
        "insert into meta.entrega (nombre, candidato, destino, construccion_id, datos_al, "
        "entregada_en, corrida_id, liberacion_id) "
        "select %(name)s, %(candidate)s, %(destination)s, %(build)s, coalesce(("
        "select fin from meta.construccion where construccion_id = %(build)s), now()), now(), "
        "%(run)s, %(release)s "
        "on conflict (nombre) do update set candidato = excluded.candidato, "
        "destino = excluded.destino, construccion_id = excluded.construccion_id, "
        "datos_al = excluded.datos_al, entregada_en = excluded.entregada_en, "
        "corrida_id = excluded.corrida_id, liberacion_id = excluded.liberacion_id, "
        "retenida_desde = null, motivo = null",
        {"name": item.name, "candidate": item.candidate, "destination": item.destination,
         "build": build, "run": run_id, "release": release_id},
    )  # fmt: skip
    connection.execute(
        "insert into meta.entrega_historia (nombre, estado, corrida_id, construccion_id, "
        "liberacion_id, filas_agregadas, filas_quitadas) "
        "values (%s, 'entregada', %s, %s, %s, %s, %s)",
        [item.name, run_id, build, release_id, added, removed],
    )
    return True


def _withhold(connection: Connection, item: Delivery, run_id: str, reason: str) -> Outcome:
    """Leave what stands; say since when and why. The same reason is written once."""
    with connection.transaction():
        changed = connection.execute(
            "insert into meta.entrega (nombre, candidato, destino, corrida_id, retenida_desde, "
            "motivo) values (%s, %s, %s, %s, now(), %s) on conflict (nombre) do update set "
            "retenida_desde = coalesce(entrega.retenida_desde, excluded.retenida_desde), "
            "motivo = excluded.motivo, corrida_id = excluded.corrida_id "
            "where entrega.motivo is distinct from excluded.motivo returning nombre",
            [item.name, item.candidate, item.destination, run_id, reason],
        ).fetchone()
        if changed:
            connection.execute(
                "insert into meta.entrega_historia (nombre, estado, corrida_id, motivo) "
                "values (%s, 'retenida', %s, %s)",
                [item.name, run_id, reason],
            )
    return Outcome(item.name, "retenida", reason)

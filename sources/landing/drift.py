"""Drift: where a source's columns differ from its contract, or from what they were.

Belongs here: finding it, and keeping it in `meta.deriva`: since when, what was done, until when.
So is refusing a load for a new column, another key or times that gained or lost their zone, which
only show here. Does not belong here: what a missing column does to a load (the readers refuse it),
or refusing a load whose values no longer fit (`doorstep.py`).

What is found is written in a transaction of its own, so that a load that fails afterwards leaves
its drift on record. An episode stays open until the source, or the contract, makes it go away:
  * a new column, until the contract names it or the source no longer has it;
  * a missing column, until a reading finds it;
  * a declared type or key that changed, until the source goes back or the contract gets a new
    version.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sources.contract import Contract
from sources.errors import DriftError
from sources.landing.declared_types import changes_zone, is_widening
from sources.landing.new_columns import Plan
from sources.landing.report import LoadContext, LoadReport
from sources.names import folded
from sources.raw_table import Connection
from sources.readers import Reader
from sources.readers.base import problem
from sources.urls import redact

NEW, MISSING, CHANGED, WIDENED, REKEYED = (
    "columna_nueva",
    "columna_faltante",
    "tipo_cambiado",
    "tipo_ampliado",
    "clave_cambiada",
)
_NOTHING_LOADED = "no se cargó nada; la tabla conserva sus últimos datos buenos"
_WIDER_LOADED = "se siguió cargando; un valor que no quepa en el tipo del contrato va a cuarentena"
_FITTING_LOADED = (
    "se cargaron las filas que caben en el tipo del contrato y las demás fueron a cuarentena; si "
    "son demasiadas, no se carga nada y la tabla conserva sus últimos datos buenos"
)
# A file that lacks a column is tried at each run. Not met for this long, it is gone.
_FILE_FORGOTTEN_AFTER = "7 days"
# Names in one message; all of them are in `meta.deriva`.
_SHOWN = 20


@runtime_checkable
class TypedReader(Protocol):
    """A reader whose source declares the types of its columns."""

    def source_types(self) -> dict[str, str]:
        """Declared type by the source's own name; unknown ones left out."""
        ...


@runtime_checkable
class KeyedReader(Protocol):
    """A reader whose source declares a primary key."""

    def source_key(self) -> tuple[str, ...]:
        """Its columns by the source's own names; empty where none is declared."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `text` is for the load's report; `refuses`: nothing is loaded with it."""

    kind: str
    column: str
    detail: str
    action: str
    text: str
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """A difference as `meta.deriva` keeps it; `until` is None while it lasts."""

    dataset: str
    kind: str
    column: str
    detail: str
    action: str
    owner: str | None
    origin: str | None
    since: dt.datetime
    last_seen: dt.datetime
    until: dt.datetime | None


def note_drift(
    connection: Connection,
    plan: Plan,
    reader: Reader,
    context: LoadContext,
    report: LoadReport,
    *,
    file: str | None = None,
) -> None:
    """Compare the columns of an open reader (of `file`, for feeds) with contract and past.

    Raises DriftError, once all is on record, where the contract refuses new columns, the key is
    another one, or times gained or lost their zone. Looks through
    the load's `connection`; writes, when there is something to write, through one of its own.
    """
    contract = plan.contract
    found = _new_columns(plan, reader.columns())
    declared = reader.source_types() if isinstance(reader, TypedReader) else {}
    seen = _seen_types(connection, contract)
    retyped = _retyped(contract, declared, seen)
    found += retyped
    key = reader.source_key() if isinstance(reader, KeyedReader) else None
    seen_key = None if key is None else _seen_key(connection, contract)
    rekeyed = None if key is None else _rekeyed(contract, key, seen_key)
    found += [rekeyed] if rekeyed else []
    new_key = key if rekeyed is None and key != seen_key else None
    report.drift.extend(finding.text for finding in found)
    unknown = _unknown_types(contract, declared, seen)
    open_ones = _open_episodes(connection, contract)
    if not found and not open_ones and not unknown and new_key is None:
        return
    origin = file or redact(reader.description)
    with context.connect() as own:
        _close_episodes(own, contract, found, origin)
        _open(own, contract, found, origin)
        _remember(own, contract, unknown)
        if new_key is not None:
            _remember_key(own, contract, new_key)
    if rekeyed is not None:
        raise _with_another_key(contract, rekeyed, report, origin)
    if other_zones := [finding for finding in retyped if finding.refuses]:
        raise _with_other_zones(contract, other_zones, report, origin)
    if contract.new_columns == "refuse" and plan.left_out:
        raise _refused(contract, plan, report, origin)


def _refused(contract: Contract, plan: Plan, report: LoadReport, origin: str) -> DriftError:
    names = list(plan.left_out)
    shown = ", ".join(names[:_SHOWN]) + (" y otras" if len(names) > _SHOWN else "")
    error = problem(
        DriftError,
        contract,
        f"{origin} (sistema {contract.system}) tiene columnas que el contrato no declara y "
        f"rechaza (`newColumns: refuse`): {shown}. La tabla conserva sus últimos datos buenos.",
        f"confirme el cambio con el área; declare las columnas en {contract.path.name}, o permita "
        "que se agreguen con `newColumns: add`.",
    )
    error.notes = tuple(report.drift)
    return error


def _with_another_key(
    contract: Contract, finding: Finding, report: LoadReport, origin: str
) -> DriftError:
    error = problem(
        DriftError,
        contract,
        f"cambió la clave de {origin} (sistema {contract.system}): {finding.detail}; la del "
        f"contrato es {_listed(contract.key)}. La tabla conserva sus últimos datos buenos.",
        "confirme el cambio con el área; si es definitivo, revise qué columnas llevan `primaryKey` "
        f"en {contract.path.name} y suba su `version`.",
    )
    error.notes = tuple(report.drift)
    return error


def _with_other_zones(
    contract: Contract, findings: Sequence[Finding], report: LoadReport, origin: str
) -> DriftError:
    """Values of such a column fit the contract as ever, and are other moments."""
    error = problem(
        DriftError,
        contract,
        f"cambió si llevan zona las horas de {origin} (sistema {contract.system}): "
        f"{'; '.join(finding.text for finding in findings)}. Las mismas horas dirían otros "
        "momentos. La tabla conserva sus últimos datos buenos.",
        "confirme con el área en qué zona están ahora; si hace falta corrija `defaultTimezone` en "
        f"{contract.path.name}, y suba su `version`.",
    )
    error.notes = tuple(report.drift)
    return error


def note_missing(
    contract: Contract, context: LoadContext, error: DriftError, origin: str
) -> list[str]:
    """Record the columns a reader did not find, and give them in words; the load has failed."""
    findings = [
        Finding(
            MISSING,
            name,
            "el contrato la pide y el origen no la tiene",
            _NOTHING_LOADED,
            f"falta en el origen la columna {name}",
        )
        for name in error.columns
    ]
    if findings:
        with context.connect() as own:
            _open(own, contract, findings, redact(origin))
    return [*(finding.text for finding in findings), *error.notes]


def open_drift(
    connection: Connection, dataset: str | None = None, *, closed_too: bool = False
) -> list[Episode]:
    """Episodes of drift, of one dataset or all: the open ones, newest first; then the others."""
    return [
        Episode(*row)
        for row in connection.execute(
            "select dataset, tipo, columna, detalle, accion, responsable, origen, detectado_en, "
            "visto_por_ultima_vez, resuelto_en from meta.deriva "
            "where (%(dataset)s::text is null or dataset = %(dataset)s) "
            "and (%(closed)s or resuelto_en is null) "
            "order by resuelto_en desc nulls first, detectado_en desc, deriva_id desc",
            {"dataset": dataset, "closed": closed_too},
        )
    ]


def _new_columns(plan: Plan, found: Iterable[str]) -> list[Finding]:
    """Columns the document does not name, each with what was done: added as text, or left out."""
    carried = {
        folded(column.source_name): column for column in plan.contract.columns if column.undeclared
    }
    findings = []
    for name in dict.fromkeys(found):
        column = carried.get(folded(name))
        if column is None and name not in plan.left_out:
            continue
        added = (
            ""
            if column is None
            else f"se agregó a {plan.contract.raw_name} como texto con el nombre {column.name}; "
            "sin clasificación es restringida y no sale de ahí. Declárela en el contrato para "
            "usarla"
        )
        findings.append(
            Finding(
                NEW,
                name,
                "existe en el origen y no en el contrato",
                added or plan.left_out[name],
                f"columna nueva en el origen: {name}",
            )
        )
    return findings


def _retyped(
    contract: Contract, declared: Mapping[str, str], seen: Mapping[str, tuple[str, str]]
) -> list[Finding]:
    """Columns of the contract whose declared type is not the one it was first read with."""
    times = {
        column.source_name.strip().casefold()
        for column in contract.declared
        if column.logical_type in ("date", "timestamp")
    }
    findings = []
    for name, now in declared.items():
        before, version = seen.get(name, (now, contract.version))
        if before == now:
            continue
        wider = is_widening(before, now)
        # Two spellings of one type hold each other: int(11) and int.
        if version != contract.version or (wider and is_widening(now, before)):
            continue
        refuses = name.strip().casefold() in times and changes_zone(before, now)
        findings.append(
            Finding(
                WIDENED if wider else CHANGED,
                name,
                f"el origen la declaraba {before} y ahora {now}",
                _NOTHING_LOADED if refuses else _WIDER_LOADED if wider else _FITTING_LOADED,
                f"la columna {name} era {before} en el origen y ahora es {now}",
                refuses=refuses,
            )
        )
    return findings


def _rekeyed(
    contract: Contract, now: tuple[str, ...], before: tuple[str, ...] | None
) -> Finding | None:
    """The finding for a primary key that is another one than this version of the contract met.

    None for a key that never was met before, and for one within the contract's own: that tells its
    rows apart as well.
    """
    if before is None or now == before:
        return None
    names = {c.source_name.strip().casefold() for c in contract.columns if c.primary_key}
    if now and {name.strip().casefold() for name in now} <= names:
        return None
    detail = f"la clave primaria del origen era {_listed(before)} y ahora es {_listed(now)}"
    return Finding(
        REKEYED,
        ", ".join(now or before),
        detail,
        _NOTHING_LOADED,
        detail,
    )


def _listed(names: Sequence[str]) -> str:
    return f"({', '.join(names)})" if names else "ninguna"


def _seen_key(connection: Connection, contract: Contract) -> tuple[str, ...] | None:
    """The source's key as this version of the contract knows it; None when it never met one."""
    row = connection.execute(
        "select columnas from meta.clave_origen where dataset = %s and contrato_version = %s",
        [contract.id, contract.version],
    ).fetchone()
    return None if row is None else tuple(row[0])


def _remember_key(own: Connection, contract: Contract, key: Sequence[str]) -> None:
    own.execute(
        "insert into meta.clave_origen as c (dataset, columnas, contrato_version) "
        "values (%s, %s, %s) on conflict (dataset) do update set columnas = excluded.columnas, "
        "contrato_version = excluded.contrato_version, visto_desde = case "
        "when c.columnas = excluded.columnas then c.visto_desde else now() end",
        [contract.id, list(key), contract.version],
    )


def _unknown_types(
    contract: Contract, declared: Mapping[str, str], seen: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Types to be remembered: of columns never seen, or seen by another version of the contract."""
    wanted = {column.source_name.strip().casefold() for column in contract.declared}
    return {
        name: kind
        for name, kind in declared.items()
        if name.strip().casefold() in wanted
        and (name not in seen or seen[name][1] != contract.version)
    }


def _seen_types(connection: Connection, contract: Contract) -> dict[str, tuple[str, str]]:
    return {
        str(row[0]): (str(row[1]), str(row[2]))
        for row in connection.execute(
            "select columna, tipo_declarado, contrato_version from meta.columna_origen "
            "where dataset = %s",
            [contract.id],
        )
    }


def _remember(own: Connection, contract: Contract, types: Mapping[str, str]) -> None:
    with own.cursor() as cursor:
        cursor.executemany(
            "insert into meta.columna_origen as c (dataset, columna, tipo_declarado, "
            "contrato_version) values (%s, %s, %s, %s) on conflict (dataset, columna) do update "
            "set tipo_declarado = excluded.tipo_declarado, "
            "contrato_version = excluded.contrato_version, visto_desde = case "
            "when c.tipo_declarado = excluded.tipo_declarado then c.visto_desde else now() end",
            [(contract.id, name, kind, contract.version) for name, kind in types.items()],
        )


def _open_episodes(connection: Connection, contract: Contract) -> bool:
    row = connection.execute(
        "select exists (select from meta.deriva where dataset = %s and resuelto_en is null)",
        [contract.id],
    ).fetchone()
    return row == (True,)


def _open(own: Connection, contract: Contract, found: Sequence[Finding], origin: str) -> None:
    """Begin an episode for each finding, or note that an open one was met again."""
    with own.cursor() as cursor:
        cursor.executemany(
            "insert into meta.deriva (dataset, tipo, columna, detalle, accion, origen, "
            "responsable) values (%s, %s, %s, %s, %s, %s, %s) "
            "on conflict (dataset, tipo, columna, detalle) where resuelto_en is null "
            "do update set visto_por_ultima_vez = now(), accion = excluded.accion, "
            "origen = excluded.origen, responsable = excluded.responsable",
            [
                (
                    contract.id,
                    finding.kind,
                    finding.column,
                    finding.detail,
                    finding.action,
                    origin,
                    contract.accountable,
                )
                for finding in found
            ],
        )


def _close_episodes(
    own: Connection, contract: Contract, found: Sequence[Finding], origin: str
) -> None:
    """End what this reading no longer shows.

    A missing column of a feed ends when the same file is read, or is not met any more: other files
    say nothing of it.
    """
    own.execute(
        "update meta.deriva d set resuelto_en = now() "
        "where dataset = %(dataset)s and resuelto_en is null "
        "and not exists (select from unnest(%(kinds)s::text[], %(columns)s::text[], "
        "%(details)s::text[]) as f (tipo, columna, detalle) where f.tipo = d.tipo "
        "and f.columna = d.columna and f.detalle = d.detalle) "
        "and (tipo <> 'columna_faltante' or not %(feed)s or origen = %(origin)s "
        "or visto_por_ultima_vez < now() - %(forgotten)s::interval)",
        {
            "dataset": contract.id,
            "kinds": [finding.kind for finding in found],
            "columns": [finding.column for finding in found],
            "details": [finding.detail for finding in found],
            "feed": contract.load_mode == "files",
            "origin": origin,
            "forgotten": _FILE_FORGOTTEN_AFTER,
        },
    )

"""Opening, refreshing, closing and reopening findings by what is known now.

Belongs here: the order of the statements in `sql/`, and what a person may do to a finding. Does
not belong here: showing findings (`register.py`), or deciding what a check's verdict is.

Unknown opens nothing and closes nothing: a check that could not be evaluated, or models that were
not built, leave their findings as they were.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from expectations.results import SAMPLE_SIZE
from sources.errors import PipelineError
from sources.raw_table import Connection

STEPS_CSV = Path(__file__).parents[2] / "seeds" / "reference" / "pasos_hallazgo.csv"
_SQL = Path(__file__).parent / "sql"
# Any fixed number: one life-cycle step at a time on a server, whoever starts it.
_LOCK_KEY = 50_063_006
_DATA_MART = "calidad.fct_hallazgo"


@dataclass(frozen=True, slots=True)
class Project:
    """What the project says of its own checks and tables.

    `dbt_tests`: names of the data tests there are now; a verdict of another one is of the past.
    `areas`: secretariat by mart, '<schema>.<table>'.
    """

    dbt_tests: Sequence[str] = ()
    areas: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """How many findings a step opened, reopened, closed and met again with other figures."""

    opened: int
    reopened: int
    changed: int
    closed: int


class FindingError(PipelineError):
    """Something was asked of a finding that cannot be done."""


def synchronise(connection: Connection, run_id: str, project: Project) -> Change:
    """Bring `meta.hallazgo` up to what checks, models, quarantine and drift say now.

    One transaction of its own; doing it twice changes nothing the second time. Raises whatever
    psycopg raises.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        facts: dict[str, Any] = {
            "run_id": run_id,
            "sample": SAMPLE_SIZE,
            "steps": json.dumps(_steps()),
            "dbt_tests": list(project.dbt_tests),
            "areas": json.dumps(
                [{"objeto": name, "area": area} for name, area in project.areas.items()]
            ),
        }
        connection.execute("drop table if exists pg_temp.observado")
        _execute(connection, "observed_table")
        complete = ["cuarentena", "deriva"]
        _execute(connection, "observed_quarantine", facts)
        _execute(connection, "observed_drift", facts)
        if _models_speak(connection):
            complete.append("dato")
            _execute(connection, "observed_data", facts)
        change = _apply(connection, facts | {"complete": complete})
        # Checks come after: they leave out what the others already say.
        connection.execute("delete from pg_temp.observado")
        _execute(connection, "observed_checks", facts)
        checks = _apply(connection, facts | {"complete": []})
        connection.execute("drop table pg_temp.observado")
    return Change(
        change.opened + checks.opened,
        change.reopened + checks.reopened,
        change.changed + checks.changed,
        change.closed + checks.closed,
    )


def acknowledge(connection: Connection, finding_id: int, *, by: str, note: str) -> None:
    """Record that a person knows of an open finding and what they will do. It stays open.

    Raises FindingError when there is no such open finding.
    """
    with connection.transaction():
        done = connection.execute(
            "update meta.hallazgo set visto_por = %s, visto_en = now(), visto_nota = %s "
            "where hallazgo_id = %s and estado = 'abierto'",
            [by, note, finding_id],
        )
        if not done.rowcount:
            raise _not_open(finding_id)
        _event(connection, finding_id, "visto", by, note)


def close(connection: Connection, finding_id: int, *, by: str, note: str) -> None:
    """Close by hand a finding that cannot close by itself, with who and why.

    Only a check of the rows of each load, on a data set that is not read whole: a later load that
    passes says nothing of the rows before it. It comes back when the check fails again.

    Raises FindingError when there is no such open finding, or it closes by itself.
    """
    with connection.transaction():
        row = connection.execute(
            "select coalesce(fuente = 'control' and regla ~ '^(contrato|protocolo)[.]' and "
            "(select modo_carga <> 'full' from meta.contrato c where c.dataset = h.dataset) and "
            "(select to_jsonb(v) ->> 'lote_evaluadas' is null from meta.control_vigente v "
            "where v.objeto = h.objeto and v.control = h.regla), false)"
            " from meta.hallazgo h where hallazgo_id = %s and estado = 'abierto' for update",
            [finding_id],
        ).fetchone()
        if row is None:
            raise _not_open(finding_id)
        if not row[0]:
            raise FindingError(
                f"el hallazgo {finding_id} se cierra solo, cuando se corrige.",
                next_step="siga su próximo paso; para dejar dicho que lo conoce, use "
                f"`lujan findings ack {finding_id}`.",
            )
        connection.execute(
            "update meta.hallazgo set estado = 'cerrado', cerrado_en = now(), "
            "cierre_corrida = null, cierre_motivo = %s where hallazgo_id = %s",
            [f"Lo cerró {by}: {note}", finding_id],
        )
        _event(connection, finding_id, "cerrado", by, note)


def _models_speak(connection: Connection) -> bool:
    """Whether the findings of the models are those of its last build, and not of one before."""
    row = connection.execute(
        "select to_regclass(%(mart)s) is not null and to_regclass('referencia.reglas_limpieza') "
        "is not null and coalesce((select estado = 'ok' from meta.construccion "
        "where objeto = %(mart)s order by construccion_id desc limit 1), false)",
        {"mart": _DATA_MART},
    ).fetchone()
    return bool(row and row[0])


def _apply(connection: Connection, facts: Mapping[str, Any]) -> Change:
    closed = _execute(connection, "close", facts)
    reopened = _execute(connection, "reopen", facts)
    changed = _execute(connection, "refresh", facts)
    opened = _execute(connection, "open", facts)
    return Change(opened, reopened, changed, closed)


def _event(connection: Connection, finding_id: int, kind: str, by: str, note: str) -> None:
    connection.execute(
        "insert into meta.hallazgo_evento (hallazgo_id, tipo, filas_afectadas, por, nota) "
        "select hallazgo_id, %s, filas_afectadas, %s, %s from meta.hallazgo where hallazgo_id = %s",
        [kind, by, note, finding_id],
    )


def _not_open(finding_id: int) -> FindingError:
    return FindingError(
        f"no hay un hallazgo abierto con el número {finding_id}.",
        next_step="vea los abiertos con `lujan findings list`.",
    )


def _execute(connection: Connection, name: str, parameters: Mapping[str, Any] | None = None) -> int:
    return connection.execute(_statement(name), parameters).rowcount


@cache
def _statement(name: str) -> bytes:
    return (_SQL / f"{name}.sql").read_bytes()


@cache
def _steps() -> list[dict[str, str]]:
    """Titles and next steps by class of finding, from the reference list."""
    with STEPS_CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

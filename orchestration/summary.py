"""What happened in a run, in figures a city employee understands.

Belongs here: reading `meta` after a run and giving one plain value. Does not belong here: how it
is shown (`cli/report.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.connections import Connections
from orchestration.settings import CITY_TIMEZONE, settings
from orchestration.warehouse.connection import Warehouse
from sources.contract import Catalogue
from sources.raw_table import Connection

EXIT_OK, EXIT_BLOCKED, EXIT_SOURCE_FAILED, EXIT_CRASHED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class LoadLine:
    """The loads of one dataset in this run, added up."""

    dataset: str
    title: str
    state: str
    read: int
    loaded: int
    quarantined: int
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Everything the closing report shows, and the exit code."""

    run_id: str
    sample: bool
    seconds: float
    loads: tuple[LoadLine, ...]
    unconfigured: tuple[str, ...]
    quarantine: tuple[tuple[str, str, int], ...]  # dataset, rule, rows pending
    built: int
    build_failures: tuple[str, ...]
    checks_passed: int
    checks_warned: int
    blocking: tuple[str, ...]
    findings: tuple[tuple[str, int], ...]
    exports: tuple[tuple[str, str, int | None, str | None], ...]  # name, state, rows, reason
    exports_total: int
    pending: tuple[str, ...]  # wait for an approval, since this run or an earlier one
    exports_dir: Path
    pending_dir: Path
    portal: str | None
    contract_errors: tuple[str, ...] = ()
    checks_unknown: int = 0  # could not be judged: neither good nor bad
    notes: tuple[str, ...] = ()
    crashed: tuple[str, ...] = ()
    deliveries: int = 0  # relations that the chatbot and the boards read
    held_deliveries: tuple[tuple[str, dt.datetime | None, str], ...] = ()  # name, shown as of, why
    load_notes: tuple[tuple[str, str], ...] = ()  # dataset, what its load noticed and did not stop
    again: tuple[dt.date, dt.date] | None = None  # days of readings that were worked through again

    @property
    def nothing_new(self) -> bool:
        """Whether the run found nothing to do."""
        return (
            not self.built
            and not self.crashed
            and all(line.state == "sin_cambios" for line in self.loads)
        )

    @property
    def exit_code(self) -> int:
        if self.crashed:
            return EXIT_CRASHED
        withheld = any(state == "retenida" for _, state, _, _ in self.exports)
        if self.blocking or self.build_failures or withheld or self.held_deliveries:
            return EXIT_BLOCKED
        if self.contract_errors or any(line.state == "fallida" for line in self.loads):
            return EXIT_SOURCE_FAILED
        return EXIT_OK


def summarise(
    warehouse: Warehouse,
    *,
    run_id: str,
    catalogue: Catalogue,
    linked: Connections,
    contract_errors: Sequence[str],
    notes: Sequence[str],
    crashed: Sequence[str],
    looked_at: Collection[str],
    load_notes: Collection[tuple[str, str]],
    seconds: float,
) -> RunSummary:
    """Read back from `meta` what the run wrote.

    `looked_at`: the landing tables whose step came to its end. `load_notes`: by dataset, what was
    noticed on the way, which the load records have only where there was a load.
    """
    with warehouse.connect() as connection:
        builds = connection.execute(
            "select objeto, estado, mensaje from meta.construccion where corrida_id = %s", [run_id]
        ).fetchall()
        passed, warned, unknown = _checks(connection, run_id)
        total = connection.execute(
            "select count(distinct conjunto) from meta.publicacion"
        ).fetchone()
        deliveries = connection.execute(
            "select nombre, datos_al, motivo from meta.entrega order by nombre"
        ).fetchall()
        return RunSummary(
            run_id=run_id,
            sample=linked.sample,
            seconds=seconds,
            loads=_loads(connection, run_id, catalogue, linked, looked_at),
            unconfigured=tuple(
                system for system in sorted(catalogue.systems()) if not linked.is_connected(system)
            ),
            quarantine=_quarantine(connection, catalogue),
            built=sum(1 for row in builds if row[1] == "ok"),
            build_failures=tuple(
                f"{name}: {message or 'error'}"
                for name, state, message in builds
                if state == "error"
            ),
            checks_passed=passed,
            checks_warned=warned,
            checks_unknown=unknown,
            blocking=_blocking(connection, run_id),
            findings=_findings(connection),
            exports=_exports(connection, run_id),
            exports_total=int(total[0]) if total else 0,
            pending=_pending(connection),
            exports_dir=settings().portal_dir,
            pending_dir=settings().exports_dir / "pendientes",
            portal=settings().ckan_url,
            contract_errors=tuple(contract_errors),
            notes=tuple(notes),
            load_notes=tuple(sorted({*_load_notes(connection, run_id), *load_notes})),
            crashed=tuple(crashed),
            deliveries=len(deliveries),
            held_deliveries=tuple((str(n), d, str(m)) for n, d, m in deliveries if m is not None),
            again=_days_again(connection, run_id),
        )


def _loads(
    connection: Connection,
    run_id: str,
    catalogue: Catalogue,
    linked: Connections,
    looked_at: Collection[str],
) -> tuple[LoadLine, ...]:
    """A line per dataset whose system is connected; the days worked through again are no load.

    Without a record of it, a dataset had nothing new, or its turn never came: it is not among
    those `looked_at`.
    """
    from sources.landing.again import AGAIN

    found = {
        str(row[0]): row[1:]
        for row in connection.execute(
            "select dataset, bool_or(estado = 'fallida'), bool_or(estado = 'cargada'), "
            "sum(filas_leidas), sum(filas_cargadas), sum(filas_cuarentena), "
            "array_agg(error order by inicio) filter (where error is not null) "
            "from meta.carga where corrida_id = %s and modo <> %s group by dataset",
            [run_id, AGAIN],
        )
    }
    lines = []
    for identifier, contract in catalogue.contracts.items():
        if not linked.reads(contract):
            continue
        failed, did_load, read, loaded, quarantined, errors = found.get(
            identifier, (False, False, 0, 0, 0, None)
        )
        state = "fallida" if failed else "cargada" if did_load else "sin_cambios"
        if identifier not in found and contract.landing_table not in looked_at:
            state = "sin_cargar"
        lines.append(
            LoadLine(
                identifier,
                contract.title,
                state,
                int(read),
                int(loaded),
                int(quarantined),
                tuple(errors or ()),
            )
        )
    return tuple(lines)


def _load_notes(connection: Connection, run_id: str) -> tuple[tuple[str, str], ...]:
    """What loads noticed, by dataset: columns that changed, and what a person should know."""
    return tuple(
        (str(dataset), str(note))
        for dataset, note in connection.execute(
            "select distinct c.dataset, nota from meta.carga c, jsonb_array_elements_text("
            "coalesce(c.detalle -> 'deriva', '[]') || coalesce(c.detalle -> 'avisos', '[]')) "
            "as nota where c.corrida_id = %s order by 1, 2",
            [run_id],
        )
    )


def _quarantine(connection: Connection, catalogue: Catalogue) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (str(dataset), str(rule), int(rows))
        for dataset, rule, rows in connection.execute(
            "select dataset, regla, count(*) from quarantine.fila where estado = 'pendiente' "
            "and dataset = any(%s) group by dataset, regla order by count(*) desc",
            [list(catalogue.contracts)],
        )
    )


def _checks(connection: Connection, run_id: str) -> tuple[int, int, int]:
    """Checks of the run that passed, that warn, and that nobody could judge (warnings alone)."""
    row = connection.execute(
        "select count(*) filter (where paso), "
        "count(*) filter (where not paso and severidad = 'advertencia'), "
        "count(*) filter (where paso is null and severidad = 'advertencia') "
        "from meta.resultado_control where corrida_id = %s and motor <> 'construccion'",
        [run_id],
    ).fetchone() or (0, 0, 0)
    return int(row[0]), int(row[1]), int(row[2])


def _blocking(connection: Connection, run_id: str) -> tuple[str, ...]:
    return tuple(
        f"{relation}: {why}" + (f" Responsable: {owner}." if owner else "")
        for relation, why, owner in connection.execute(
            "select distinct objeto, explicacion, responsable from meta.control_vigente "
            "where severidad = 'bloqueante' and paso is not true "
            "and motor <> 'construccion' and corrida_id = %s order by 1",
            [run_id],
        )
    )


def _exports(
    connection: Connection, run_id: str
) -> tuple[tuple[str, str, int | None, str | None], ...]:
    """What became of each dataset in the run, as it ended: name, state, rows, reason."""
    return tuple(
        (str(name), str(state), rows, reason)
        for name, state, rows, reason in connection.execute(
            "select distinct on (conjunto) conjunto, estado, filas, motivo "
            "from meta.publicacion where corrida_id = %s "
            "order by conjunto, publicacion_id desc",
            [run_id],
        )
    )


def _pending(connection: Connection) -> tuple[str, ...]:
    """Datasets whose last export waits for an approval."""
    return tuple(
        str(row[0])
        for row in connection.execute(
            "select conjunto from (select distinct on (conjunto) conjunto, estado "
            "from meta.publicacion order by conjunto, publicacion_id desc) as ultimas "
            "where estado = 'pendiente_aprobacion' order by conjunto"
        )
    )


def _days_again(connection: Connection, run_id: str) -> tuple[dt.date, dt.date] | None:
    """Days of readings that the run worked through again, if it was asked for any."""
    from sources.landing.again import AGAIN

    row = connection.execute(
        "select (detalle -> 'rango' ->> 'desde')::timestamptz, "
        "(detalle -> 'rango' ->> 'hasta')::timestamptz "
        "from meta.carga where corrida_id = %s and modo = %s order by carga_id desc limit 1",
        [run_id, AGAIN],
    ).fetchone()
    return _days(*row) if row else None


def _days(low: dt.datetime, high: dt.datetime) -> tuple[dt.date, dt.date]:
    """First and last day between two midnights."""
    first, after = (moment.astimezone(CITY_TIMEZONE).date() for moment in (low, high))
    return first, after - dt.timedelta(days=1)


def _findings(connection: Connection) -> tuple[tuple[str, int], ...]:
    """Findings by kind, from the mart when it has been built."""
    exists = connection.execute("select to_regclass('calidad.fct_hallazgo')").fetchone()
    if exists is None or exists[0] is None:
        return ()
    return tuple(
        (str(name), int(count))
        for name, count in connection.execute(
            "select regla_id, count(*) from calidad.fct_hallazgo group by 1 order by 2 desc"
        )
    )

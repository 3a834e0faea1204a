"""How fast rows get into a portal's DataStore: ours beside the usual ways and the portal's limit.

    python -m benchmarks.portal [--rows N] [--publish-rows N] [--json]

Belongs here: a CKAN of its own, the contenders, their verification, and one line for each. Does not
belong here: how CKAN is started (`orchestration/portal_dev.py`).

All contenders fill an empty table of the same columns on the same portal, in turn, `--rounds`
times; what arrived is read back and compared row by row, or the line has no figure. "La diferencia"
begins with the table of the version before, one row in a hundred of which is another. The limit is
the server's own COPY from a file into a table that CKAN made, with the full-text trigger and index
CKAN puts on it: nothing that ends as a DataStore table can be filled faster.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from ckanapi import RemoteCKAN
from psycopg import sql

from benchmarks.processes import sigterm_interrupts
from exports import datastore
from exports.approvals import approve
from exports.ckan.archive import Archive
from exports.ckan.client import CkanClient, Patience
from exports.ckan.publisher import CkanPublisher
from exports.ckan.tables import CkanTables
from exports.definition import load_definition
from exports.differences import RowSum
from exports.export import export_dataset
from exports.manifest import Manifest
from exports.metadata import load_catalog_facts
from exports.versions import Table, TableColumn
from orchestration.portal_dev import CkanPortal, ckan_portal
from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.embedded import EmbeddedServer
from orchestration.warehouse.migrate import migrate

_COLUMNS = (
    ("lectura_id", "bigint", "int8"),
    ("medidor", "text", "text"),
    ("momento", "timestamp", "timestamp"),
    ("litros", "numeric(12,3)", "numeric"),
    ("es_medida", "boolean", "bool"),
    ("zona", "text", "text"),
)
# Calls one after another take minutes for a few thousand rows: a sample gives the pace.
_ROW_WISE_ROWS = 300
_LIMIT, _OURS_COPY, _OURS_API = "límite: COPY", "lujan, COPY", "lujan, API"
_OURS_DIFFERENCE = "lujan, API, la diferencia"
# Of a table that has a new version, one row in so many is another.
_CHANGED_EVERY = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One contender: rows per second (median of the rounds) and its ratio to the limit."""

    contender: str
    rows: int
    rows_per_second: float | None
    ratio_to_limit: float | None
    verified: bool
    note: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per contender and one for a whole publication; 1 when ours is not verified."""
    parser = argparse.ArgumentParser(description="Carga del DataStore de un CKAN propio.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--publish-rows", type=int, default=1_000_000)
    parser.add_argument("--publish-through", choices=("COPY", "API"), default="COPY")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    failed = False
    with (
        tempfile.TemporaryDirectory(prefix="lujan-portal-") as folder,
        _servers(Path(folder)) as (
            server,
            portal,
        ),
    ):
        lines = _compare(portal, Path(folder), options.rows, options.rounds)
        for line in lines:
            print(_shown(line, as_json=options.json), flush=True)
        if options.publish_rows:
            direct = options.publish_through == "COPY"
            for item in _published(server, portal, Path(folder), options.publish_rows, direct):
                failed = failed or "error" in item
                print(json.dumps(item, ensure_ascii=False), flush=True)
    return 0 if all(line.verified for line in lines) and not failed else 1


def _shown(line: Line, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(line), ensure_ascii=False)
    pace = f"{line.rows_per_second:>10,.0f} filas/s" if line.rows_per_second else "sin cifra"
    ratio = f"{line.ratio_to_limit:.2f} del límite" if line.ratio_to_limit else ""
    return f"{line.contender:<34} {line.rows:>9} {pace} {ratio} {line.note}"


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[EmbeddedServer, CkanPortal]]:
    server = EmbeddedServer(folder / "postgres")
    server.start()
    try:
        with ckan_portal(folder / "ckan", server.ensure_database) as portal:
            yield server, portal
    finally:
        server.destroy()


def _compare(portal: CkanPortal, folder: Path, rows: int, rounds: int) -> list[Line]:
    path = folder / "filas.csv"
    table = _write_rows(path, rows)
    before = _write_rows(folder / "antes.csv", rows, other_every=_CHANGED_EVERY)
    sample = table.model_copy(update={"rows": min(rows, _ROW_WISE_ROWS), "key": ("lectura_id",)})
    bench = _Bench(portal, table, path, before)
    contenders: dict[str, Callable[[], float | None]] = {
        _LIMIT: bench.limit,
        _OURS_COPY: bench.ours_by_copy,
        _OURS_API: bench.ours_by_api,
        _OURS_DIFFERENCE: bench.ours_by_difference,
        "subida entera (datastore_create)": bench.whole_upload,
        "fila por fila (datastore_upsert)": lambda: bench.row_by_row(sample),
    }
    paces: dict[str, list[float | None]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            paces[name].append(run())
    limit = _median(paces[_LIMIT])
    lines = []
    for name, found in paces.items():
        pace = _median(found)
        lines.append(
            Line(
                name,
                sample.rows if "fila por fila" in name else rows,
                round(pace, 1) if pace else None,
                round(pace / limit, 3) if pace and limit else None,
                pace is not None,
            )
        )
    return lines


class _Bench:
    """The contenders. Each gives rows per second, or None when what arrived is something else."""

    def __init__(self, portal: CkanPortal, table: Table, path: Path, before: Table) -> None:
        self._portal, self._table, self._path, self._before = portal, table, path, before
        facts = load_catalog_facts(sintetico=True)
        client = CkanClient(portal.url, portal.token, Patience())
        client.make("organization", {"name": facts.organizacion, "title": facts.editor})
        self._port = CkanTables(client)
        self._archive = Archive(client, self._port, facts.organizacion)
        self._archive.ensure()
        self._ckan = RemoteCKAN(portal.url, apikey=portal.token)

    def limit(self) -> float | None:
        name = self._made()
        statement = sql.SQL("copy {} ({}) from {} (format csv)").format(
            sql.Identifier(name),
            sql.SQL(", ").join(sql.Identifier(column) for column, _, _ in _COLUMNS),
            sql.Literal(str(self._readable())),
        )

        def run() -> None:
            with psycopg.connect(self._portal.datastore_url) as connection:
                connection.execute(statement)

        return self._timed(name, run)

    def ours_by_copy(self) -> float | None:
        name = self._resource()
        direct = datastore.DirectDataStore(self._portal.datastore_url)

        def run() -> None:
            self._port.create(name, self._table)
            direct.copy(name, self._table, self._path)

        return self._timed(name, run)

    def ours_by_api(self) -> float | None:
        name = self._resource()
        return self._timed(name, lambda: datastore.load(self._port, name, self._table, self._path))

    def ours_by_difference(self) -> float | None:
        """From a table that holds the version before; rows of the new one per second."""
        name = self._resource()
        self._port.create(name, self._before)
        direct = datastore.DirectDataStore(self._portal.datastore_url)
        direct.copy(name, self._before, self._path.with_name(self._before.rows_file))
        return self._timed(
            name, lambda: datastore.turn_into(self._port, name, self._table, self._path)
        )

    def whole_upload(self) -> float | None:
        name = self._resource()
        with self._path.open(encoding="utf-8", newline="") as stream:
            records = [
                dict(zip((column for column, _, _ in _COLUMNS), row, strict=True))
                for row in csv.reader(stream)
            ]
        fields = [{"id": column, "type": kind} for column, _, kind in _COLUMNS]
        return self._timed(
            name,
            lambda: self._ckan.call_action(
                "datastore_create",
                {"resource_id": name, "fields": fields, "records": records, "force": True},
                requests_kwargs={"timeout": 3600},
            ),
        )

    def row_by_row(self, sample: Table) -> float | None:
        name = self._resource()
        self._port.create(name, sample)
        with self._path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row, _ in zip(csv.reader(stream), range(sample.rows), strict=False)]
        started = time.perf_counter()
        for row in rows:
            record = dict(zip((column for column, _, _ in _COLUMNS), row, strict=True))
            self._ckan.call_action(
                "datastore_upsert",
                {"resource_id": name, "records": [record], "method": "upsert", "force": True},
            )
        seconds = time.perf_counter() - started
        return len(rows) / seconds if self._port.count(name) == len(rows) else None

    def _timed(self, name: str, run: Callable[[], Any]) -> float | None:
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
        try:
            datastore.check(self._port, name, self._table)
        except datastore.TableMismatchError as error:
            print(f"{name}: {error.what}", file=sys.stderr)
            return None
        return self._table.rows / seconds

    def _made(self) -> str:
        name = self._resource()
        self._port.create(name, self._table)
        return name

    def _resource(self) -> str:
        name = str(uuid.uuid4())
        self._archive.add_table("medicion", self._table, name)
        return name

    def _readable(self) -> Path:
        """The file where the database server's own user can read it."""
        self._path.chmod(0o644)
        for parent in self._path.parents:
            if parent == Path(tempfile.gettempdir()):
                break
            parent.chmod(0o755)
        return self._path


def _write_rows(path: Path, rows: int, *, other_every: int = 0) -> Table:
    """Rows of readings; with `other_every`, one in so many as it was a version before."""
    digest, shown, total = hashlib.sha256(), hashlib.sha256(), RowSum()
    with path.open("wb") as stream:
        for n in range(rows):
            other = 1 if other_every and n % other_every == 0 else 0
            day, hour = divmod(n // 2000, 24)
            line = (
                f"{n},M-{n % 2000:05d},2026-{1 + day // 28 % 12:02d}-{1 + day % 28:02d} "
                f"{hour:02d}:00:00,{(n + other) % 9973 / 8:.3f},{'f' if n % 11 == 0 else 't'},"
                f"Zona {n % 15}\n"
            ).encode()
            stream.write(line)
            digest.update(line)
            shown.update(datastore._shown(line))
            total.add(datastore._shown(line))
    return Table(
        resource="lecturas",
        file="lecturas.csv",
        rows_file=path.name,
        rows=rows,
        bytes=path.stat().st_size,
        sha256=digest.hexdigest(),
        shown_sha256=shown.hexdigest(),
        shown_sum=total.hexdigest(),
        columns=tuple(
            TableColumn(id=name, type=kind, label=name, notes="") for name, _, kind in _COLUMNS
        ),
    )


def _published(
    server: EmbeddedServer, portal: CkanPortal, folder: Path, rows: int, direct: bool
) -> Iterator[dict[str, Any]]:
    yield _publication(server, portal, folder, rows, direct=direct)
    yield _difference(portal, folder, rows)


def _publication(
    server: EmbeddedServer, portal: CkanPortal, folder: Path, rows: int, *, direct: bool
) -> dict[str, Any]:
    """A whole publication (files, table, read back, switch) in a process of its own."""
    warehouse = Warehouse(server.ensure_database("almacen"), embedded=True)
    migrate(warehouse)
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            sql.SQL("create table agua.fct_lectura ({})").format(
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
                    for name, kind, _ in _COLUMNS
                )
            )
        )
        connection.execute(
            "insert into agua.fct_lectura select n, 'M-' || n %% 2000, "
            "timestamp '2026-01-01' + n / 2000 * interval '1 hour', n %% 9973 / 8.0, n %% 11 <> 0, "
            "'Zona ' || n %% 15 from generate_series(1, %s) as n",
            (rows,),
        )
    found = _in_a_process(
        _publish, warehouse.url, portal.url, portal.token,
        portal.datastore_url if direct else None, folder,
    )  # fmt: skip
    return {"contender": "publicación completa", "rows": rows, **found}


def _difference(portal: CkanPortal, folder: Path, rows: int) -> dict[str, Any]:
    """A large table changed into its next version through the API, in a process of its own."""
    table = _write_rows(folder / "grande.csv", rows)
    before = _write_rows(folder / "grande-antes.csv", rows, other_every=_CHANGED_EVERY)
    bench = _Bench(portal, table, folder / "grande.csv", before)
    name = bench._resource()
    bench._port.create(name, before)
    direct = datastore.DirectDataStore(portal.datastore_url)
    direct.copy(name, before, folder / "grande-antes.csv")
    found = _in_a_process(_turn_into, portal.url, portal.token, name, table, folder / "grande.csv")
    return {"contender": "tabla a su versión siguiente", "rows": rows, **found}


def _in_a_process(work: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    """What `work` sends through its last argument, from a new process whose memory is its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(*arguments, theirs))
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        return {"error": f"el proceso terminó con código {process.exitcode}; vea arriba por qué"}
    process.join()
    return found


def _turn_into(url: str, token: str, name: str, table: Table, path: Path, answer: Any) -> None:
    port = CkanTables(CkanClient(url, token, Patience()))
    started = time.perf_counter()
    report = datastore.turn_into(port, name, table, path)
    seconds = time.perf_counter() - started
    checked = datastore.check(port, name, table)
    answer.send(
        {
            "way": "API, la diferencia",
            "sent": report.rows if report else None,
            "verified": checked == table.rows,
            "seconds": round(seconds, 1),
            "peak_mib": _peak_mib(),
        }
    )


def _publish(
    warehouse_url: str, url: str, token: str, datastore_url: str | None, folder: Path, answer: Any
) -> None:
    columns = [name for name, _, _ in _COLUMNS]
    document = folder / "lecturas.yaml"
    document.write_text(
        yaml.safe_dump(
            {
                "titulo": "Lecturas", "descripcion": "Lecturas sintéticas.", "tema": "ENVI",
                "etiquetas": ["agua"], "frecuencia": "R/P1M", "secretaria": "Obras",
                "contacto": {"nombre": "Datos"}, "fuentes": ["Sintética"],
                "recursos": [{"nombre": "lecturas", "titulo": "Lecturas",
                              "mart": "agua.fct_lectura", "columnas": columns,
                              "orden": ["lectura_id"], "formatos": ["csv"]}],
            }
        ),
        encoding="utf-8",
    )  # fmt: skip
    manifest = Manifest(
        {
            "nodes": {
                "model.lujan.fct_lectura": {
                    "resource_type": "model", "schema": "agua", "name": "fct_lectura",
                    "config": {"meta": {"clasificacion": "libre_acceso"}},
                    "columns": {
                        name: {"data_type": kind, "description": name} for name, kind, _ in _COLUMNS
                    },
                }
            }
        }
    )  # fmt: skip
    definition = load_definition(document)
    facts = load_catalog_facts(sintetico=True)
    direct = datastore.DirectDataStore(datastore_url) if datastore_url else None
    publisher = CkanPublisher(url, token, facts, direct=direct)
    started = time.perf_counter()
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        approve(connection, definition, "Medición", "Medición")
        result = export_dataset(
            connection, definition, manifest, folder / "salida", "medicion", publisher, facts=facts
        )
    answer.send(
        {
            "way": "COPY" if datastore_url else "API",
            "state": result.estado,
            "seconds": round(time.perf_counter() - started, 1),
            "peak_mib": _peak_mib(),
        }
    )


def _peak_mib() -> float:
    """This process's own peak: `ru_maxrss` of a spawned process begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def _median(found: Sequence[float | None]) -> float | None:
    values = [value for value in found if value is not None]
    return statistics.median(values) if len(values) == len(found) and values else None


if __name__ == "__main__":
    with sigterm_interrupts():
        sys.exit(main())

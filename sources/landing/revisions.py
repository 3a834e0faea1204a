"""Versions of a file: which files are the same one, and a new version taking the place of the old.

Belongs here: `meta.archivo`, `meta.archivo_nombre`, and the rows of a version that is replaced.
Does not belong here: reading and writing the new version (`files.py`).

Which content is in force:
  * files are versions of one another when `fileIdentity` (a regular expression; its group 1) gives
    the same text for their names; by default a file is only a version of its own name;
  * of several versions the one that arrived last counts, whatever its date. Of files that arrive
    in one run the one changed last at the source counts;
  * a content that was loaded before is a copy, under whatever name it comes: it is not loaded again
    and replaces nothing. One exception: a file put back to an earlier, replaced content. There the
    name held another content in between, so the earlier one has arrived anew.
  * a known content under a new name, its old name gone, is a renamed file: what comes later under
    the new name replaces it;
  * a version that was refused is refused again unread, as long as the contract, the file and the
    version it would replace are the same, and no row of it was kept out for a rule: what rules look
    at may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import sql

from sources.contract import Contract
from sources.errors import LoadRefused, RevisionRefused
from sources.landing.quarantine import close_replaced
from sources.landing.report import LoadReport
from sources.raw_table import LOAD_ID, RAW, SOURCE_ROW, Connection, audit_columns, table_name
from sources.readers import FeedFile
from sources.readers.base import problem
from sources.readers.files import Entry
from sources.wording import number, percent

# A file changed this recently when it was listed may change again without its date moving: the
# clocks of file systems tick every 2 s at worst (FAT), those of SFTP every second.
_SETTLED_S = 3.0


@dataclass(frozen=True, slots=True)
class Span:
    """The partition column, its lowest and its highest value over the rows of one load, as text."""

    column: str | None = None
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A content that was loaded, as `meta.archivo` knows it; `rows` of it were good.

    `modified` is when the source changed it last (epoch; 0: not known), `copy` where the archive
    has it.
    """

    sha256: str
    name: str
    current_name: str
    load_id: int
    rows: int
    in_force: bool
    modified: float
    copy: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that was refused, with the words; `beside` are the loads it would have replaced.

    `entry` is the file it was; it tells the content where `reliable`.
    """

    entry: Entry
    sha256: str
    reliable: bool
    beside: tuple[int, ...]
    what: str
    next_step: str

    def is_of(self, entry: Entry) -> bool:
        """Whether this very file was refused: it needs neither fetching nor hashing."""
        return self.reliable and entry.is_as(self.entry)

    def error(self, contract: Contract) -> RevisionRefused:
        """The error that says so, with what a later run has to know."""
        error = problem(RevisionRefused, contract, self.what, self.next_step)
        error.facts = {
            "nombre": self.entry.name, "bytes": self.entry.bytes, "modificado": self.entry.mtime,
            "etiqueta": self.entry.etag, "fiable": self.reliable, "sha256": self.sha256,
            "cargas": list(self.beside), "que": self.what, "hacer": self.next_step,
        }  # fmt: skip
        return error


_VERSION = sql.SQL(
    "select sha256, nombre, nombre_actual, carga_id, filas_leidas - filas_cuarentena, vigente, "
    "coalesce(extract(epoch from modificado_en), 0)::float8, copia, rango_columna, desde, hasta "
    "from meta.archivo"
)


def identity_of(contract: Contract, name: str) -> str:
    """What names of one file's versions have in common."""
    pattern = contract.options.get("fileIdentity")
    found = re.search(str(pattern), name) if pattern else None
    return name if found is None or found[1] is None else found[1]


def is_reliable(entry: Entry, listed_at: float) -> bool:
    """Whether the facts of a file, read at `listed_at` (epoch), tell its content."""
    return entry.etag is not None or entry.mtime < listed_at - _SETTLED_S


def replaces(contract: Contract) -> bool:
    """Whether a new version takes the old one's place (otherwise both stay)."""
    return str(contract.options.get("revisions", "replace")) == "replace"


class Ledger:
    """What is known of the files of one dataset. Statements run on the connection it is given."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection = connection
        self._contract = contract

    def latest_by_name(self) -> dict[str, tuple[Entry, str, bool]]:
        """For each name the last file that came under it, its hash, and whether its date counts."""
        rows = self._connection.execute(
            "select distinct on (nombre) nombre, bytes, "
            "coalesce(extract(epoch from modificado_en), 0)::float8, etiqueta, sha256, fiable "
            "from meta.archivo_nombre n where dataset = %s and not exists (select from "
            "meta.archivo a where a.dataset = n.dataset and a.sha256 = n.sha256 "
            "and a.reemplazado_por like 'carga %%') order by nombre, llegado_en desc",
            [self._contract.id],
        )
        return {
            name: (Entry(name, "", size, mtime, etag), sha256, reliable)
            for name, size, mtime, etag, sha256, reliable in rows
        }

    def refusals(self) -> dict[str, Refusal]:
        """The last refused version of each name, by this very document of the contract."""
        rows = self._connection.execute(
            "select distinct on (detalle -> 'rechazo' ->> 'nombre') detalle -> 'rechazo' "
            "from meta.carga where dataset = %s and contrato_sha256 = %s and detalle ? 'rechazo' "
            "order by detalle -> 'rechazo' ->> 'nombre', carga_id desc",
            [self._contract.id, self._contract.sha256],
        )
        return {
            f["nombre"]: Refusal(
                Entry(f["nombre"], "", f["bytes"], f["modificado"], f["etiqueta"]),
                f["sha256"], f["fiable"], tuple(f["cargas"]), f["que"], f["hacer"],
            )
            for (f,) in rows
        }  # fmt: skip

    def beside(self, name: str, sha256: str) -> tuple[int, ...]:
        """Loads of the versions that a content of this name would replace."""
        old = self.in_force(identity_of(self._contract, name), but=sha256)
        return tuple(version.load_id for version in old)

    def has_size(self, size: int) -> bool:
        """Whether a content of so many bytes was loaded before: otherwise the next one is new."""
        row = self._connection.execute(
            "select exists (select from meta.archivo where dataset = %s and bytes = %s)",
            [self._contract.id, size],
        ).fetchone()
        return row == (True,)

    def version(self, sha256: str) -> Version | None:
        found = self._versions(
            sql.SQL("sha256 = {} and coalesce(reemplazado_por, '') not like 'carga %'").format(
                sha256
            )
        )
        return found[0] if found else None

    def in_force(self, identity: str, *, but: str) -> list[Version]:
        """The versions in force of one file, without the content `but`."""
        self._refresh_identities()
        return self._versions(
            sql.SQL("vigente and identidad = {} and sha256 <> {}").format(identity, but)
        )

    def read_otherwise(self) -> list[Version]:
        """The versions in force that another document of the contract read, oldest load first."""
        return self._versions(
            sql.SQL(
                "vigente and carga_id in (select c.carga_id from meta.carga c "
                "where c.dataset = {} and c.contrato_sha256 <> {})"
            ).format(self._contract.id, self._contract.sha256)
        )

    def arrives_anew(self, version: Version, name: str) -> bool:
        """Whether a replaced content is back under a name that held another one in between."""
        if version.in_force:
            return False
        row = self._connection.execute(
            "select sha256 from meta.archivo_nombre where dataset = %s and nombre = %s "
            "order by llegado_en desc limit 1",
            [self._contract.id, name],
        ).fetchone()
        return row is not None and row[0] != version.sha256

    def add(
        self,
        entry: Entry,
        file: FeedFile,
        report: LoadReport,
        load_id: int,
        span: Span,
        copy: str | None,
    ) -> None:
        """A content just loaded; one that was replaced once is in force again."""
        self._connection.execute(
            "insert into meta.archivo as a (dataset, sha256, nombre, nombre_actual, identidad, "
            "identidad_regla, bytes, filas_leidas, filas_cuarentena, carga_id, modificado_en, "
            "copia, rango_columna, desde, hasta) "
            "values (%(dataset)s, %(sha256)s, %(name)s, %(name)s, %(identity)s, "
            "%(rule)s, %(bytes)s, %(read)s, %(bad)s, %(load)s, %(modified)s, "
            "%(copy)s, %(column)s, %(low)s, %(high)s) on conflict (dataset, sha256) do update set "
            "nombre = excluded.nombre, nombre_actual = excluded.nombre_actual, "
            "identidad = excluded.identidad, identidad_regla = excluded.identidad_regla, "
            "filas_leidas = excluded.filas_leidas, "
            "filas_cuarentena = excluded.filas_cuarentena, carga_id = excluded.carga_id, "
            "cargado_en = now(), modificado_en = excluded.modificado_en, "
            "copia = coalesce(excluded.copia, a.copia), "
            "rango_columna = excluded.rango_columna, desde = excluded.desde, "
            "hasta = excluded.hasta, vigente = true, reemplazado_por = null, "
            "reemplazado_en = null",
            {
                "dataset": self._contract.id,
                "sha256": file.sha256,
                "name": entry.name,
                "identity": identity_of(self._contract, entry.name),
                "rule": self._rule,
                "bytes": file.bytes,
                "read": report.read,
                "bad": report.quarantined,
                "load": load_id,
                "modified": entry.modified if entry.mtime else None,
                "copy": copy,
                "column": span.column,
                "low": span.low,
                "high": span.high,
            },
        )

    def note_name(self, entry: Entry, sha256: str, listed_at: float) -> None:
        """This content came under this name; `listed_at` (epoch) is when its facts were read."""
        reliable = is_reliable(entry, listed_at)
        self._connection.execute(
            "insert into meta.archivo_nombre (dataset, nombre, sha256, bytes, modificado_en, "
            "etiqueta, fiable, llegado_en) "
            "values (%s, %s, %s, %s, to_timestamp(%s), %s, %s, clock_timestamp()) "
            "on conflict (dataset, nombre, sha256) do update set bytes = excluded.bytes, "
            "modificado_en = excluded.modificado_en, etiqueta = excluded.etiqueta, "
            "fiable = excluded.fiable, llegado_en = excluded.llegado_en",
            [
                self._contract.id, entry.name, sha256, entry.bytes, entry.mtime, entry.etag,
                reliable,
            ],
        )  # fmt: skip

    def follow_rename(self, version: Version, name: str, listed: Collection[str]) -> None:
        """A known file whose old name is gone goes on under its new one."""
        if name == version.current_name or version.current_name in listed or not version.in_force:
            return
        identity = identity_of(self._contract, name)
        if self.in_force(identity, but=version.sha256):
            return
        self._connection.execute(
            "update meta.archivo set nombre_actual = %s, identidad = %s, identidad_regla = %s "
            "where dataset = %s and sha256 = %s",
            [name, identity, self._rule, self._contract.id, version.sha256],
        )

    @property
    def _rule(self) -> str:
        return str(self._contract.options.get("fileIdentity") or "")

    def _versions(self, condition: sql.Composable) -> list[Version]:
        rows = self._connection.execute(
            _VERSION
            + sql.SQL(" where dataset = {} and ").format(self._contract.id)
            + condition
            + sql.SQL(" order by carga_id")
        )
        return [
            Version(sha256, name, current, load_id, good, in_force, modified, copy, Span(*span))
            for sha256, name, current, load_id, good, in_force, modified, copy, *span in rows
        ]

    def _refresh_identities(self) -> None:
        """Identities taken by a rule that the contract has since changed are taken anew."""
        outdated = self._connection.execute(
            "select sha256, nombre_actual from meta.archivo "
            "where dataset = %s and vigente and identidad_regla <> %s",
            [self._contract.id, self._rule],
        ).fetchall()
        if outdated:
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    "update meta.archivo set identidad = %s, identidad_regla = %s "
                    "where dataset = %s and sha256 = %s",
                    [
                        (identity_of(self._contract, name), self._rule, self._contract.id, sha256)
                        for sha256, name in outdated
                    ],
                )


def forget_files(connection: Connection, contract: Contract, load_id: int) -> None:
    """The table was loaded as a whole: its rows are no file's any more.

    Where the contract takes files one by one again later, all of them are to be loaded.
    """
    connection.execute(
        "update meta.archivo set vigente = false, reemplazado_por = %s, reemplazado_en = now() "
        "where dataset = %s and vigente",
        [f"carga {load_id}", contract.id],
    )


def loads_as_a_whole(connection: Connection, contract: Contract) -> list[int]:
    """Loads that brought rows of a dataset of which no file is known: it was read as a whole."""
    row = connection.execute(
        "select array_agg(carga_id) from meta.carga where dataset = %s and filas_cargadas > 0 "
        "and to_regclass(%s) is not null",
        [contract.id, contract.raw_name],
    ).fetchone()
    return [] if row is None or row[0] is None else [int(number) for number in row[0]]


def refuse_what_is_there(
    connection: Connection,
    contract: Contract,
    file: FeedFile,
    report: LoadReport,
    load_id: int,
    loads: Sequence[int],
) -> None:
    """Raises LoadRefused where most rows of a file are among those of `loads`, which are no file's.

    Beside them they would be there twice.
    """
    held = _Rows(connection, contract, list(loads)).held_of(load_id)
    if 2 * held > report.loaded:
        raise problem(
            LoadRefused,
            contract,
            f"{file.name}: {held} de sus {report.loaded} filas ya están en {contract.raw_name}, "
            "cargadas con otro `loadMode`: cargadas archivo por archivo estarían dos veces. No se "
            "cargó nada.",
            f"vacíe la tabla (`lujan warehouse psql`: truncate {contract.raw_name}) y la próxima "
            "corrida carga todos los archivos; o dé otro `landingTable`, y esta queda como está.",
        )


def replace_versions(
    connection: Connection,
    contract: Contract,
    old: Sequence[Version],
    file: FeedFile,
    report: LoadReport,
    load_id: int,
    span: Span,
) -> None:
    """Take the rows of `old` versions out of raw, now that those of the new one are in.

    Rows that the new version does not have go to `raw._historial` as they were; of equal rows as
    many as it lacks. The report counts those as deleted, and rows that both versions have as known
    instead of loaded. Raises RevisionRefused (LoadRefused where rows of it were kept out) when the
    new version has no good row and the old one had, or so many less that it is rather a part of it.
    """
    if any(version.sha256 == file.sha256 for version in old):
        _refuse_worse_reading(contract, old, file, report)
    # Rules may look at other tables: with rows kept out it may pass another time.
    kind = LoadRefused if report.quarantined else RevisionRefused
    if not report.loaded and any(version.rows for version in old):
        raise problem(
            kind,
            contract,
            f"{file.name}: la versión nueva no tiene ninguna fila buena y la anterior "
            f"({old[-1].name}) tenía {number(old[-1].rows)}. No se reemplazó nada.",
            "pida el archivo completo; si de verdad quedó sin datos, avise al equipo de datos.",
        )
    stood = max((version.rows for version in old), default=0)
    if not contract.may_lose(stood - report.loaded, stood):
        raise problem(
            kind,
            contract,
            f"{file.name}: la versión nueva tiene {number(report.loaded)} filas buenas y la "
            f"anterior ({old[-1].name}) tenía {number(stood)}; puede achicarse "
            f"{percent(contract.max_deletion_share)} como máximo. No se reemplazó nada "
            "y la tabla conserva las filas de la anterior.",
            "pida el archivo completo; si de verdad se achicó, suba `maxDeletionShare` (hasta 1) "
            f"en {contract.path.name} y vuelva a ejecutar; si cada archivo trae solo lo nuevo, "
            "declare `revisions: append`.",
        )
    loads = [version.load_id for version in old]
    replays = _replays_of(connection, loads)
    with_rows = [version for version in old if version.rows]
    if with_rows or replays:
        rows = _Rows(connection, contract, [*(v.load_id for v in with_rows), *replays])
        # A replayed row may lie outside what its file held: then all partitions are looked at.
        rows.narrow([] if replays else [version.span for version in with_rows])
        report.deleted = rows.keep_missing(load_id, span)
        report.known = rows.delete() - report.deleted
        report.loaded -= report.known
    connection.execute(
        "update meta.archivo set vigente = false, reemplazado_por = %s, reemplazado_en = now() "
        "where dataset = %s and sha256 = any(%s)",
        [file.sha256, contract.id, [version.sha256 for version in old]],
    )
    close_replaced(connection, contract, loads)


def _refuse_worse_reading(
    contract: Contract, old: Sequence[Version], file: FeedFile, report: LoadReport
) -> None:
    """Raises LoadRefused when a file that is read again would lose what it has."""
    stood = sum(version.rows for version in old)
    if stood and (not report.loaded or not contract.may_lose(stood - report.loaded, stood)):
        raise problem(
            LoadRefused,
            contract,
            f"{file.name}: con el contrato de hoy pasan {report.loaded} filas y hay {stood} "
            "cargadas. No se reemplazó nada.",
            f"vea qué no pasa con `lujan contracts try`, y corrija {contract.path.name}; si es "
            "lo que corresponde, suba `maxDeletionShare` (hasta 1).",
        )


def _replays_of(connection: Connection, loads: list[int]) -> list[int]:
    """Loads that brought rows of these loads back from quarantine."""
    found = connection.execute(
        "select carga_id from meta.carga where reproceso_de = any(%s)", [loads]
    )
    return [int(row[0]) for row in found]


# No name of ours may be one of a column: `t` beside a column t would be that column. Those of
# contracts begin with a letter.
# Hashes of rows that the old loads have more often than the new one, and how much more often.
# A table of its own: only what is not written to another table is worked out in parallel.
_MISSING = """
create temporary table _falta on commit drop as
select h1, h2, sum(signo) as n
from (
    select hash_record_extended({row}, 0) as h1, hash_record_extended({row}, 1) as h2, 1 as signo
    from {raw} _r where {old}
    union all
    select hash_record_extended({row}, 0), hash_record_extended({row}, 1), -1
    from {raw} _r where {new}
) as x
group by h1, h2
having sum(signo) > 0
"""
_KEEP_MISSING = """
with candidata as (
    select _r as _registro, f.n, row_number() over (
        partition by f.h1, f.h2 order by _r.{load_id}, _r.{source_row} desc
    ) as turno
    from {raw} _r
    join _falta f on f.h1 = hash_record_extended({row}, 0) and f.h2 = hash_record_extended({row}, 1)
    where {old}
)
insert into {history} (dataset, operacion, fila, carga_id)
select {dataset}, 'baja', to_jsonb(_registro), {load} from candidata where turno <= n
"""


class _Rows:
    """The rows of some loads in a raw table."""

    def __init__(self, connection: Connection, contract: Contract, loads: list[int]) -> None:
        self._connection = connection
        self._contract = contract
        self._loads = loads
        self._where: sql.Composable = sql.SQL("_r.{} = any({})").format(
            sql.Identifier(LOAD_ID), sql.Literal(loads)
        )

    def narrow(self, spans: Sequence[Span]) -> None:
        """Look only at the partitions these spans lie in, when all of them are known.

        A span of another column, from before the contract's `partitionBy` changed, tells nothing.
        """
        column = self._contract.partition_by
        if column and spans and all(span.column == column for span in spans):
            self._where += sql.SQL(" and (") + sql.SQL(" or ").join(
                _within(self._contract, span) for span in spans
            ) + sql.SQL(")")  # fmt: skip

    def keep_missing(self, new_load: int, new_span: Span) -> int:
        """Write to history the rows that the new load does not have; how many those were.

        Rows are compared by 128 bits of hash over every column that is not ours, so that two
        versions of millions of rows need no sort and no more than the server's work memory.
        """
        new = sql.SQL("_r.{} = {}").format(sql.Identifier(LOAD_ID), sql.Literal(new_load))
        if new_span.column is not None:
            new += sql.SQL(" and ") + _within(self._contract, new_span)
        row = self._row()
        parts = {
            "raw": table_name(self._contract),
            "row": row,
            "new": new,
            "old": self._where,
            "load_id": sql.Identifier(LOAD_ID),
            "source_row": sql.Identifier(SOURCE_ROW),
            "history": sql.Identifier(RAW, "_historial"),
            "dataset": sql.Literal(self._contract.id),
            "load": sql.Literal(new_load),
        }
        # The planner knows nothing of loads it has not analysed and might loop over millions.
        self._connection.execute("set local enable_nestloop = off")
        self._connection.execute(sql.SQL(_MISSING).format(**parts))
        count = self._connection.execute(sql.SQL(_KEEP_MISSING).format(**parts)).rowcount
        self._connection.execute("set local enable_nestloop to default")
        self._connection.execute("drop table _falta")
        return count

    def held_of(self, new_load: int) -> int:
        """How many rows of the new load these loads have, too."""
        row = self._connection.execute(
            sql.SQL(
                "select count(*) from {raw} _r where _r.{load} = {new} and "
                "hash_record_extended({row}, 0) in (select hash_record_extended({row}, 0) "
                "from {raw} _r where {old})"
            ).format(
                raw=table_name(self._contract),
                load=sql.Identifier(LOAD_ID),
                new=sql.Literal(new_load),
                row=self._row(),
                old=self._where,
            )
        ).fetchone()
        return int(row[0]) if row else 0

    def delete(self) -> int:
        return self._connection.execute(
            sql.SQL("delete from {} _r where {}").format(table_name(self._contract), self._where)
        ).rowcount

    def _row(self) -> sql.Composed:
        """Every column of a row `_r` but ours as one value: also those of other contracts."""
        names = self._connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 "
            "and not attisdropped and attname <> all(%s) order by attnum",
            [self._contract.raw_name, list(audit_columns(self._contract))],
        )
        return sql.SQL("row({})").format(
            sql.SQL(", ").join(sql.SQL("_r.{}").format(sql.Identifier(name)) for (name,) in names)
        )


def _within(contract: Contract, span: Span) -> sql.Composed:
    assert contract.partition_by is not None
    kind = sql.SQL(contract.column(contract.partition_by).pg_type)
    return sql.SQL("_r.{column} between {low}::{kind} and {high}::{kind}").format(
        column=sql.Identifier(contract.partition_by),
        low=sql.Literal(span.low),
        high=sql.Literal(span.high),
        kind=kind,
    )

"""A publication as a sequence of states, kept in the warehouse so that any of them can be resumed.

Belongs here: the states, their facts, and their record in `meta.version_portal`. Does not belong
here: the work of a step (`ckan/`) or when a dataset may leave (`export.py`).

    preparada → controlada → comparada → aprobada → subida → releida → conmutada → verificada
    → registrada

A version moves one state at a time; every move is committed with the facts it rests on before the
next begins. A process that dies leaves the last state it reached. Up to `aprobada` nothing has
changed at the portal and the next run simply begins again; `subida` and `releida` have added what
nobody is pointed to yet; from the switch on, the facts hold everything that is needed to finish.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, LiteralString, TypeVar

from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict

from exports.files import Connection

State = Literal[
    "preparada", "controlada", "comparada", "aprobada", "subida", "releida", "conmutada",
    "verificada", "registrada", "abandonada",
]  # fmt: skip
Origin = Literal["exportacion", "vuelta_atras", "retiro"]
ORDER: tuple[State, ...] = (
    "preparada", "controlada", "comparada", "aprobada", "subida", "releida", "conmutada",
    "verificada", "registrada",
)  # fmt: skip


class TableColumn(BaseModel):
    """A column of a DataStore table: its type there, and what the dictionary says of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    label: str
    notes: str


class Table(BaseModel):
    """Rows of one resource as the DataStore takes them.

    `file` is the resource's file on the portal that carries the table; `rows_file` holds the rows
    in COPY's CSV, untouched, in the folder of rows; `sha256` is of its bytes, `shown_sha256` of
    what a portal shows of them, `shown_sum` of the same whatever the order of the rows.
    """

    model_config = ConfigDict(frozen=True)

    resource: str
    file: str
    rows_file: str
    rows: int
    bytes: int
    sha256: str
    shown_sha256: str
    shown_sum: str = ""  # not known of versions recorded before it was
    key: tuple[str, ...] = ()
    columns: tuple[TableColumn, ...]

    @property
    def identity(self) -> str:
        """The same for equal rows, columns, types and key; dictionary texts do not count."""
        parts = [self.sha256, self.key, [(column.id, column.type) for column in self.columns]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Facts(BaseModel):
    """What is known once a state is reached; every state has a type of its own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    STATE: ClassVar[State]


class Prepared(Facts):
    """The files are written and described, all from one view of the warehouse."""

    STATE: ClassVar[State] = "preparada"
    tables: tuple[Table, ...] = ()


class Checked(Facts):
    """Columns, classification and disclosure rules hold for exactly these rows."""

    STATE: ClassVar[State] = "controlada"
    rules: tuple[str, ...] = ()


class Compared(Facts):
    """What differs from the portal. `by_hand` was changed there by somebody else."""

    STATE: ClassVar[State] = "comparada"
    files: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    is_new: bool = False

    @property
    def anything(self) -> bool:
        return bool(self.files or self.tables or self.texts or self.removed or self.is_new)


class Approved(Facts):
    """Somebody answers for these columns of these rows leaving."""

    STATE: ClassVar[State] = "aprobada"
    by: str
    reason: str
    at: dt.datetime


class Uploaded(Facts):
    """Everything of this version is at the portal, beside what readers see."""

    STATE: ClassVar[State] = "subida"
    files: dict[str, str]  # file → id of the resource that holds these bytes
    tables: dict[str, str]  # file → id of the DataStore table that holds these rows
    sent: tuple[str, ...] = ()


class ReadBack(Facts):
    """What was sent has been read from the portal and is equal: bytes, rows, columns, types."""

    STATE: ClassVar[State] = "releida"
    files: dict[str, str]  # file → sha256 read
    rows: dict[str, int]  # file → rows read from its table


class Switched(Facts):
    """Readers are pointed to this version. `previous` is where they were before."""

    STATE: ClassVar[State] = "conmutada"
    previous: int | None
    metadata: dict[str, Any]  # what was published, to tell it later from what others wrote


class Verified(Facts):
    """Seen from outside, without credentials, at the addresses the public uses."""

    STATE: ClassVar[State] = "verificada"
    addresses: tuple[str, ...]


class Recorded(Facts):
    """Finished; older versions than the ones kept are gone from the portal.

    `left` says why some are not: they cost room there and nothing else, and the next version takes
    them away.
    """

    STATE: ClassVar[State] = "registrada"
    pruned: tuple[str, ...] = ()
    left: str = ""


F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a dataset on a portal, as recorded."""

    id: int
    dataset: str
    portal: str
    origin: Origin
    content: str
    state: State
    package: Mapping[str, Any]
    facts: Mapping[str, Any]
    run_id: str
    error: str | None
    rejection: str | None
    started: dt.datetime
    changed: dt.datetime

    @property
    def rows(self) -> int:
        """Rows of its tables: each resource once, whatever its formats."""
        return sum(table.rows for table in self.known(Prepared).tables)

    def known(self, kind: type[F]) -> F:
        """Facts of a state that was reached; KeyError when it was not."""
        return kind.model_validate(self.facts[kind.STATE])

    def reached(self, kind: type[Facts]) -> bool:
        return kind.STATE in self.facts


class OutOfOrderError(ValueError):
    """A state was to be recorded that does not follow the present one: a fault of this program."""


class Journal:
    """The versions of one dataset on one portal.

    The connection commits by itself (autocommit) or is outside a transaction: every call is one.
    """

    def __init__(self, connection: Connection, dataset: str, portal: str, run_id: str) -> None:
        self._connection = connection
        self.dataset, self.portal, self.run_id = dataset, portal, run_id

    def unfinished(self) -> Version | None:
        """The version under way, if the last process did not finish it."""
        return self._one("estado not in ('registrada', 'abandonada')")

    def live(self) -> Version | None:
        """The last version that reached its end."""
        return self._one("estado = 'registrada'")

    def recorded(self, limit: int | None = None) -> list[Version]:
        """Finished versions, newest first."""
        return self._many("estado = 'registrada'", limit)

    def history(self, limit: int | None = None) -> list[Version]:
        """All versions, newest first."""
        return self._many("true", limit)

    def begin(
        self, content: str, package: Mapping[str, Any], facts: Prepared,
        origin: Origin = "exportacion",
    ) -> Version:  # fmt: skip
        """A new version in its first state; one under way is given up.

        Of one that had sent something the record stays; of one that had not, nothing.
        """
        given_up = self.unfinished()
        if given_up and ORDER.index(given_up.state) <= ORDER.index("aprobada"):
            self.discard(given_up)
        with self._connection.transaction(), self._cursor() as cursor:
            cursor.execute(
                "update meta.version_portal set estado = 'abandonada', "
                "cambiada_en = clock_timestamp() where conjunto = %s and portal = %s "
                "and estado not in ('registrada', 'abandonada')",
                (self.dataset, self.portal),
            )
            row: Any = cursor.execute(
                "insert into meta.version_portal (conjunto, portal, origen, contenido_sha256, "
                "estado, paquete, hechos, corrida_id) values (%s, %s, %s, %s, %s, %s, %s, %s) "
                "returning version_id",
                (
                    self.dataset, self.portal, origin, content, facts.STATE, Jsonb(dict(package)),
                    Jsonb({facts.STATE: facts.model_dump(mode="json")}), self.run_id,
                ),
            ).fetchone()  # fmt: skip
            self._step(cursor, row[0], facts)
        found = self._one("version_id = %s", row[0])
        assert found is not None
        return found

    def advance(self, version: Version, facts: Facts) -> Version:
        """Record the next state. OutOfOrderError for any other."""
        if ORDER.index(facts.STATE) != ORDER.index(version.state) + 1:
            raise OutOfOrderError(f"{version.state} is not followed by {facts.STATE}")
        with self._connection.transaction(), self._cursor() as cursor:
            cursor.execute(
                "update meta.version_portal set estado = %s, hechos = hechos || %s, error = null, "
                "corrida_id = %s, cambiada_en = clock_timestamp() "
                "where version_id = %s and estado = %s",
                (
                    facts.STATE, Jsonb({facts.STATE: facts.model_dump(mode="json")}), self.run_id,
                    version.id, version.state,
                ),
            )  # fmt: skip
            if cursor.rowcount != 1:
                raise OutOfOrderError(f"version {version.id} is no longer {version.state}")
            self._step(cursor, version.id, facts)
        found = self._one("version_id = %s", version.id)
        assert found is not None
        return found

    def failed(self, version: Version, reason: str) -> None:
        """Say why the version stopped where it is; it can be resumed."""
        with self._connection.transaction():
            self._connection.execute(
                "update meta.version_portal set error = %s, cambiada_en = clock_timestamp() "
                "where version_id = %s",
                (reason, version.id),
            )

    def abandon(self, version: Version, reason: str) -> None:
        """Give a version up: it cannot be resumed, the next run begins again."""
        with self._connection.transaction():
            self._connection.execute(
                "update meta.version_portal set estado = 'abandonada', error = %s, "
                "cambiada_en = clock_timestamp() where version_id = %s",
                (reason, version.id),
            )

    def discard(self, version: Version) -> None:
        """Forget a version that had nothing to send."""
        with self._connection.transaction():
            for statement in (
                "delete from meta.version_portal_paso where version_id = %s",
                "delete from meta.version_portal where version_id = %s",
            ):
                self._connection.execute(statement, (version.id,))

    def reject(self, version: Version, reason: str) -> None:
        """Somebody went back from this version: its content is not published again by itself."""
        with self._connection.transaction():
            self._connection.execute(
                "update meta.version_portal set rechazo = %s where version_id = %s",
                (reason, version.id),
            )

    def accept_again(self, content: str) -> None:
        """Lift the rejection of a content."""
        with self._connection.transaction():
            self._connection.execute(
                "update meta.version_portal set rechazo = null "
                "where conjunto = %s and portal = %s and contenido_sha256 = %s",
                (self.dataset, self.portal, content),
            )

    def rejection(self, content: str) -> str | None:
        """Why this very content was gone back from; None when it was not."""
        found = self._one("contenido_sha256 = %s and rechazo is not null", content)
        return found.rejection if found else None

    def steps(self, version: Version) -> list[tuple[str, dt.datetime]]:
        """States of a version and when it reached them."""
        with self._connection.transaction(), self._cursor() as cursor:
            rows: list[tuple[str, dt.datetime]] = cursor.execute(
                "select estado, momento from meta.version_portal_paso where version_id = %s "
                "order by momento",
                (version.id,),
            ).fetchall()
        return rows

    def _step(self, cursor: Any, version_id: int, facts: Facts) -> None:
        cursor.execute(
            "insert into meta.version_portal_paso (version_id, estado, hechos) values (%s, %s, %s)",
            (version_id, facts.STATE, Jsonb(facts.model_dump(mode="json"))),
        )

    def _one(self, condition: LiteralString, *values: Any) -> Version | None:
        found = self._many(condition, 1, *values)
        return found[0] if found else None

    def _many(self, condition: LiteralString, limit: int | None, *values: Any) -> list[Version]:
        query = sql.SQL(
            "select version_id, conjunto, portal, origen, contenido_sha256, estado, paquete, "
            "hechos, corrida_id, error, rechazo, iniciada_en, cambiada_en from meta.version_portal "
            "where conjunto = %s and portal = %s and {} order by version_id desc limit %s"
        ).format(sql.SQL(condition))
        with self._connection.transaction(), self._cursor() as cursor:
            rows: Sequence[Any] = cursor.execute(
                query, (self.dataset, self.portal, *values, limit)
            ).fetchall()
        return [Version(*row) for row in rows]

    def _cursor(self) -> Any:
        return self._connection.cursor(row_factory=tuple_row)


def is_withdrawn(connection: Connection, name: str) -> bool:
    """Whether the last thing that happened to the dataset on its portal was its withdrawal."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "select origen from meta.version_portal where conjunto = %s "
            "and estado not in ('abandonada', 'preparada', 'controlada', 'comparada') "
            "order by version_id desc limit 1",
            (name,),
        ).fetchone()
    return row is not None and row[0] == "retiro"

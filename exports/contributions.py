"""What the releases of a table about accounts or requests tell together, unit by unit.

Belongs here: which published cells may change, because enough of those who make them up changed,
and the memory of what was published (schema `divulgacion`). Does not belong here: what one release
tells alone (`disclosure.py`), or tables of which only counts are known (`succession.py`).

When one account's late reading enters a month that is already out, the two releases of that month
differ by exactly that account's water (disclosure by differencing). So a cell is remembered with
everything that made it up, and it changes only when what changed since does not point to a few:
of those who changed alike (the same cells, the same class before and after) there are none or at
least `diferencia_minima`, and where the definition has `dominancia`, none of them makes up more
than that share of their change. Sums and differences of published cells then never come down to
fewer. Until then the cell leaves as the public knows it; changes add up and leave together.

The comparison is with every state of the cell that the public may hold (the last `KEPT_STATES`), so
that a correction that is taken back does not bring two releases close again. A cell that waits
leaves in the state nearest to the present one.

The mart says in `meta.contribuciones` who contributes:

    relacion   a model of ours with one row per cell and unit: the columns of `celda`, `unidad`,
               `clase` (text: what the unit counts as) and `medidas` (numeric[]: what it adds)
    celda      columns of the mart: rows with the same values leave together
    suma       column of the mart that is the sum of the first of `medidas`: proves that mart and
               `relacion` are of the same build
    conteo     column of the mart that says how many of them there are; for drafts of definitions
    clase      columns of the mart that `clase` spells (`dimension=valor`), where a cell is several
               rows with a total: hidden rows are then told apart from shown ones

The memory is of `relacion`, not of a dataset: another name, a withdrawal or a return to an earlier
version leave it as it is, and two datasets that show the same figure wait for each other. It is
written before anything is put where somebody may see it. A process that dies in between leaves a
state remembered that was not shown, which keeps nothing from leaving that would have left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from exports.definition import DatasetDefinition, Resource
from exports.errors import DefinitionError, ExportError
from exports.files import Connection, database_problem
from exports.manifest import Manifest, Mart
from exports.queries import row_condition
from exports.record import dataset_turn
from sources.wording import counted

# States of a cell that are compared with, and what each mart shows of it now. Older ones are
# forgotten: a cell that has moved four times by enough since then comes near one only if as many
# take back what they changed.
KEPT_STATES = 5
_KEYS = frozenset({"relacion", "celda", "suma", "conteo", "clase"})
# Cells that a message names.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Contributions:
    """Who makes up the cells of a mart; see `meta.contribuciones` above."""

    relation: str
    cell: tuple[str, ...]
    total: str
    classes: tuple[str, ...] = ()
    count: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A cell that leaves as it was; None for its values where a key of the cell is unknown."""

    mart: str
    cell: tuple[tuple[str, Any], ...]
    least: int

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {'sin dato' if value is None else value}" for name, value in self.cell
        )


def contributions_of(mart: Mart) -> Contributions | None:
    """What the mart says of who makes it up; None when nothing. Raises DefinitionError."""
    written = mart.meta.get("contribuciones")
    if written is None:
        return None
    if (
        not isinstance(written, dict)
        or not written.keys() <= _KEYS
        or not {"relacion", "celda", "suma"} <= written.keys()
        or str(written["relacion"]).count(".") != 1
    ):
        raise DefinitionError(
            f"`meta.contribuciones` de {mart.name} no se entiende: lleva `relacion` "
            "(esquema.tabla), `celda`, `suma` y, si hacen falta, `conteo` y `clase`.",
            next_step="corrija el .yml del modelo en dbt.",
        )
    found = Contributions(
        str(written["relacion"]), tuple(written["celda"]), str(written["suma"]),
        tuple(written.get("clase", ())), written.get("conteo"),
    )  # fmt: skip
    named = [*found.cell, found.total, *found.classes, *filter(None, [found.count])]
    absent = [name for name in named if name not in mart.raw_columns]
    if absent or not found.cell:
        raise DefinitionError(
            f"`meta.contribuciones` de {mart.name} nombra columnas que no tiene: "
            f"{', '.join(absent) or '(ninguna en `celda`)'}.",
            next_step="corrija el .yml del modelo en dbt.",
        )
    return found


@contextmanager
def contributions_turn(
    connection: Connection, definition: DatasetDefinition, manifest: Manifest
) -> Iterator[None]:
    """One export at a time of all that show figures of the same units; see `dataset_turn`."""
    relations = set()
    for resource in definition.recursos:
        try:
            found = contributions_of(manifest.mart(resource.mart))
        except ExportError:
            continue  # said when the request is checked
        if found:
            relations.add(found.relation)
    with ExitStack() as turns:
        for name in sorted(relations):
            turns.enter_context(dataset_turn(connection, f"contribuciones:{name}"))
        yield


class Succession:
    """The marts of one export whose cells wait. Used once: `open`, `settle`, `remember`, `close`.

    What is compared stands in temporary tables of the connection, so that it is of the same view
    of the warehouse as the files, and is what is remembered.
    """

    def __init__(self, connection: Connection, definition: DatasetDefinition) -> None:
        self._connection, self._definition = connection, definition
        self._tables: list[_MartTables] = []

    def open(self, manifest: Manifest) -> None:
        """Make the temporary tables; outside of any transaction. Raises ExportError."""
        for name in self._definition.marts:
            resources = [item for item in self._definition.recursos if item.mart == name]
            mart = manifest.mart(name)
            found = contributions_of(mart)
            if found is None:
                continue
            tables = _MartTables(len(self._tables), mart, found, resources)
            with self._explained(resources[0]), self._connection.transaction():
                tables.run(self._connection, _DROP)  # of an export that broke off
                tables.run(self._connection, _CREATE)
            self._tables.append(tables)

    def settle(self, manifest: Manifest) -> tuple[Manifest, tuple[Waiting, ...]]:
        """The manifest by which to read what leaves, and the cells that wait.

        Call inside `files.snapshot`. Raises ExportError when a mart is not made up of what its
        contributions say: they are of different builds, and nothing could be compared.
        """
        waiting: list[Waiting] = []
        for tables in self._tables:
            with self._explained(tables.resources[0]):
                waiting += self._settle(tables)
        return manifest.reading({item.mart.name: item.place for item in self._tables}), tuple(
            waiting
        )

    def remember(self) -> None:
        """Keep what is about to be shown, one transaction a mart. Repeating it changes nothing.

        Raises psycopg.Error like any record of the warehouse: nothing may be shown then.
        """
        for tables in self._tables:
            with self._connection.transaction():
                for statement in _REMEMBER:
                    tables.run(self._connection, statement)

    def close(self) -> None:
        """Drop the temporary tables, whatever has happened to the connection."""
        idle = self._connection.info.transaction_status is TransactionStatus.IDLE
        if not self._connection.closed and idle:
            for tables in self._tables:
                with self._connection.transaction():
                    tables.run(self._connection, _DROP)
        self._tables = []

    def _settle(self, tables: _MartTables) -> list[Waiting]:
        connection = self._connection
        tables.run(connection, _CELLS)
        if differing := tables.rows(connection, _OUT_OF_STEP)[0][0]:
            raise ExportError(
                f"recurso {tables.resources[0].nombre}: en {differing} celdas "
                f"{tables.mart.name} no suma lo que {tables.contributions.relation}: son de "
                "construcciones distintas (regla: diferencia entre publicaciones).",
                dataset=self._definition.nombre,
                owner=self._definition.secretaria,
                next_step="vuelva a correr: la construcción los pone al día a los dos.",
            )
        for statement in (_CHANGED, _UNITS, _CHANGES):
            tables.run(connection, statement)
        if tables.contributions.classes:
            for statement in _MASK:
                tables.run(connection, statement)
        held = {row[0] for row in tables.rows(connection, _FEW)}
        if tables.share is not None:
            held |= {row[0] for row in tables.rows(connection, _DOMINATED)}
        if held:
            held = _linked(held, [row[0] for row in tables.rows(connection, _SHARED)])
        with connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL("insert into {} (numero) values (%s)").format(tables.names["held"]),
                [(number,) for number in sorted(held)],
            )
        for statement in _LEAVING:
            tables.run(connection, statement)
        names = tables.contributions.cell
        return [
            Waiting(tables.mart.name, tuple((name, cell[name]) for name in names), tables.least)
            for (cell,) in tables.rows(connection, _HELD_CELLS)
        ]

    @contextmanager
    def _explained(self, resource: Resource) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.Error as error:
            raise database_problem(self._definition, resource, error) from error


def in_words(waiting: Sequence[Waiting]) -> str:
    """Which cells leave as they were, and why; empty without any."""
    if not waiting:
        return ""
    named = "; ".join(str(item) for item in waiting[:_NAMED])
    more = f" y {len(waiting) - _NAMED} más" if len(waiting) > _NAMED else ""
    least = min(item.least for item in waiting)
    cells = counted(len(waiting), "celda sale", "celdas salen")
    return (
        f"{cells} con su última cifra publicada ({named}{more}): lo que cambió desde entonces es "
        f"de menos de {least}, o uno pesa demasiado en el cambio, y restando se sabría de quiénes "
        "(regla: diferencia entre publicaciones). Se actualizará solo cuando haya más cambios."
    )


def _linked(held: set[int], shared: Sequence[Sequence[int]]) -> set[int]:
    """Cells that wait, with those that share changed units with one: they move together.

    Otherwise one would show them come while the other has not yet shown them go.
    """
    held, groups = set(held), [set(cells) for cells in shared]
    grew = bool(held)
    while grew:
        grew = False
        for cells in groups:
            if cells & held and not cells <= held:
                held |= cells
                grew = True
    return held


class _MartTables:
    """The temporary tables of one mart, and the statements on them with their names filled in."""

    def __init__(
        self, number: int, mart: Mart, contributions: Contributions, resources: Sequence[Resource]
    ) -> None:
        self.mart, self.contributions, self.resources = mart, contributions, resources
        rules = [item.divulgacion for item in resources if item.divulgacion]
        self.least = max(rule.diferencia_minima or 0 for rule in rules)
        shares = [rule.dominancia.maximo_pct for rule in rules if rule.dominancia]
        self.share: Decimal | None = min(shares) if shares else None
        self.names: dict[str, sql.Composable] = {
            name: sql.Identifier("pg_temp", f"divulgacion_{number}_{name}")
            for name in ("parts", "cells", "changed", "units", "changes", "hidden", "held", "rows")
        }
        self.place = ("pg_temp", f"divulgacion_{number}_rows")
        count = rules[0].columna_conteo
        visible = [
            sql.SQL(
                "select s._celda from (select * from {} as t{}) as s where {} is not null"
            ).format(
                self.names["rows"], row_condition(item),
                sql.Identifier("s", item.divulgacion.columna_conteo),
            )
            for item in resources if item.divulgacion
        ]  # fmt: skip
        schema, table = contributions.relation.split(".")
        self._parts = self.names | {
            "mart": sql.Identifier(mart.schema, mart.table),
            "mart_name": sql.Literal(mart.name),
            "relation": sql.Identifier(schema, table),
            "relation_name": sql.Literal(contributions.relation),
            "keys": sql.SQL(", ").join(sql.Identifier("c", name) for name in contributions.cell),
            "cell_of_c": _object("c", contributions.cell),
            "cell_of_t": _object("t", contributions.cell),
            "class_of_t": _spelled("t", contributions.classes),
            "class_of_row": _spelled_json("f", contributions.classes),
            "masked_of_t": _masked("t.{1}", contributions.classes),
            "masked_of_row": _masked("f ->> {0}", contributions.classes),
            "total": sql.Identifier("t", contributions.total),
            "by_class": sql.Literal(bool(contributions.classes)),
            "count": sql.Identifier("t", count),
            "count_name": sql.Literal(count),
            "least": sql.Literal(self.least),
            "share": sql.Literal(self.share),
            "kept": sql.Literal(KEPT_STATES),
            "visible": sql.SQL(" union ").join(visible),
        }

    def run(self, connection: Connection, statement: LiteralString) -> None:
        connection.execute(sql.SQL(statement).format(**self._parts))

    def rows(self, connection: Connection, statement: LiteralString) -> list[Any]:
        with connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(sql.SQL(statement).format(**self._parts)).fetchall()


def _object(alias: str, names: Sequence[str]) -> sql.Composable:
    """The key columns of a row and their values, as JSON."""
    pairs = [
        sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier(alias, name)) for name in names
    ]
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs))


def _spelled(alias: str, names: Sequence[str]) -> sql.Composable:
    """The class of a row of the mart, as the contributions spell it."""
    if not names:
        return sql.SQL("''")
    values = sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)
    return sql.SQL("concat_ws('=', {})").format(values)


def _spelled_json(alias: str, names: Sequence[str]) -> sql.Composable:
    if not names:
        return sql.SQL("''")
    values = sql.SQL(", ").join(
        sql.SQL("{} ->> {}").format(sql.Identifier(alias), sql.Literal(name)) for name in names
    )
    return sql.SQL("concat_ws('=', {})").format(values)


def _masked(spelled: LiteralString, names: Sequence[str]) -> sql.Composable:
    """How the class of a row is called while it is hidden: what its total is of, and no more."""
    values = [
        sql.SQL(spelled).format(sql.Literal(name), sql.Identifier(name)) for name in names[:-1]
    ]
    return sql.SQL("concat_ws('=', {})").format(sql.SQL(", ").join([*values, sql.Literal("*")]))


_CREATE: LiteralString = """
create temporary table {parts} (
    celda jsonb, clase text, unidades bigint, total numeric, uno numeric, otro numeric
);
create temporary table {cells} (celda jsonb primary key, huella text);
create temporary table {changed} (
    numero integer generated always as identity primary key, celda jsonb unique
);
create temporary table {units} (
    numero integer, unidad bytea, clase text, medidas numeric[], primary key (numero, unidad)
);
create temporary table {changes} (
    numero integer, estado_id bigint, unidad bytea, antes text, despues text, saltos numeric[]
);
create temporary table {hidden} (numero integer, estado_id bigint, clase text, mascara text);
create temporary table {held} (numero integer primary key, estado_id bigint);
create temporary table {rows} as select * from {mart} with no data;
alter table {rows} add column _celda jsonb;
"""

_DROP: LiteralString = (
    "drop table if exists {parts}, {cells}, {changed}, {units}, {changes}, {hidden}, {held}, {rows}"
)

# Of every cell as it is now a fingerprint that does not depend on the order of its contributions.
_CELLS: LiteralString = """
insert into {parts}
select {cell_of_c}, coalesce(c.clase, ''), count(*), sum(c.medidas[1]),
    sum(hashtextextended(h.texto, 0)::numeric), sum(hashtextextended(h.texto, 1)::numeric)
from {relation} as c
cross join lateral (
    select concat_ws(E'\\x1f', c.unidad, coalesce(c.clase, ''), c.medidas::text) as texto
) as h
group by {keys}, coalesce(c.clase, '');
insert into {cells}
select celda, concat_ws(':', sum(unidades), sum(uno), sum(otro)) from {parts} group by celda;
"""

# A row that is hidden, or whose sum is not known, says nothing.
_OUT_OF_STEP: LiteralString = """
select count(*)
from (
    select {cell_of_t} as celda, {class_of_t} as clase, sum({total}) as total
    from {mart} as t
    where {total} is not null
    group by 1, 2
) as m
left join (
    select celda, case when {by_class} then clase else '' end as clase, sum(total) as total
    from {parts}
    group by 1, 2
) as c using (celda, clase)
where m.total <> coalesce(c.total, 0)
"""

# What is not as it was in one of the states known of the cell, and what is no longer there at all.
_CHANGED: LiteralString = """
insert into {changed} (celda)
select celda from {cells} as a
where not exists (
    select from divulgacion.estado as e
    where e.relacion = {relation_name} and e.celda = a.celda and e.huella = a.huella
)
union
select e.celda from divulgacion.estado as e
where e.relacion = {relation_name} and not exists (
    select from {cells} as a where a.celda = e.celda
);
analyze {changed};
"""

_UNITS: LiteralString = """
insert into {units}
select k.numero, substr(sha256(s.clave || convert_to(c.unidad, 'UTF8')), 1, 16),
    coalesce(c.clase, ''), c.medidas
from {relation} as c
inner join {changed} as k on k.celda = {cell_of_c}
cross join divulgacion.clave as s;
analyze {units};
"""

_CHANGES: LiteralString = """
insert into {changes}
select coalesce(o.numero, n.numero), coalesce(o.estado_id, n.estado_id),
    coalesce(o.unidad, n.unidad), o.clase, n.clase,
    array(
        select abs(coalesce(d.a, 0) - coalesce(d.b, 0))
        from unnest(o.medidas, n.medidas) as d (a, b)
    )
from (
    select k.numero, e.estado_id, c.unidad, c.clase, c.medidas
    from {changed} as k
    inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
    inner join divulgacion.contribucion as c on c.estado_id = e.estado_id
) as o
full join (
    select k.numero, e.estado_id, u.unidad, u.clase, u.medidas
    from {changed} as k
    inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
    inner join {units} as u on u.numero = k.numero
) as n on n.estado_id = o.estado_id and n.unidad = o.unidad
where o.unidad is null or n.unidad is null
    or o.clase <> n.clase or o.medidas is distinct from n.medidas;
analyze {changes};
"""

# What is hidden now or was then is known only as what is missing to the total.
_MASK: tuple[LiteralString, ...] = (
    """
insert into {hidden}
select k.numero, e.estado_id, {class_of_t}, {masked_of_t}
from {mart} as t
inner join {changed} as k on k.celda = {cell_of_t}
inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
where {count} is null
union
select k.numero, e.estado_id, {class_of_row}, {masked_of_row}
from {changed} as k
inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
inner join divulgacion.mostrado as m on m.estado_id = e.estado_id and m.mart = {mart_name}
cross join jsonb_array_elements(m.filas) as f
where f ->> {count_name} is null
""",
    """
update {changes} as g set antes = o.mascara
from {hidden} as o
where o.numero = g.numero and o.estado_id = g.estado_id and o.clase = g.antes
""",
    """
update {changes} as g set despues = o.mascara
from {hidden} as o
where o.numero = g.numero and o.estado_id = g.estado_id and o.clase = g.despues
""",
    "delete from {changes} as g where g.antes = g.despues and 0 = all (g.saltos)",
)

# Changed alike: in one cell, against any of its states; and over all cells, against the last ones.
_FEW: LiteralString = """
with ultimos as (
    select distinct on (k.numero) k.numero, e.estado_id
    from {changed} as k
    inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
    order by k.numero, e.orden desc
),

por_unidad as (
    select array_agg(g.numero order by g.numero) as celdas,
        array_agg(
            concat_ws(E'\\x1f', coalesce('=' || g.antes, '-'), coalesce('=' || g.despues, '-'))
            order by g.numero
        ) as cambios
    from {changes} as g
    inner join ultimos using (numero, estado_id)
    group by g.unidad
)

select numero from {changes}
group by numero, estado_id, antes, despues
having count(*) < {least}
union
select unnest(celdas) from (
    select celdas from por_unidad group by celdas, cambios having count(*) < {least}
) as pocas
"""

_DOMINATED: LiteralString = """
select distinct g.numero
from {changes} as g
cross join lateral unnest(g.saltos) with ordinality as d (salto, medida)
group by g.numero, g.estado_id, g.antes, g.despues, d.medida
having max(d.salto) * 100 > sum(d.salto) * {share}
"""

_SHARED: LiteralString = """
select distinct celdas
from (
    select array_agg(distinct numero) as celdas from {changes} group by unidad
) as s
where cardinality(celdas) > 1
"""

_LEAVING: tuple[LiteralString, ...] = (
    # The state nearest to the present one, of those that this mart has shown.
    """
update {held} as h set estado_id = c.estado_id
from (
    select distinct on (k.numero) k.numero, e.estado_id
    from {changed} as k
    inner join divulgacion.estado as e on e.relacion = {relation_name} and e.celda = k.celda
    inner join divulgacion.mostrado as m on m.estado_id = e.estado_id and m.mart = {mart_name}
    left join (
        select numero, estado_id, count(*) as cambios from {changes} group by 1, 2
    ) as d on d.numero = k.numero and d.estado_id = e.estado_id
    order by k.numero, coalesce(d.cambios, 0), e.orden desc
) as c
where c.numero = h.numero
""",
    """
insert into {rows}
select t.*, {cell_of_t} from {mart} as t
where not exists (
    select from {held} as h inner join {changed} as k on k.numero = h.numero
    where k.celda = {cell_of_t}
)
""",
    """
insert into {rows}
select (jsonb_populate_record(null::{mart}, f)).*, k.celda
from {held} as h
inner join {changed} as k on k.numero = h.numero
inner join divulgacion.mostrado as m on m.estado_id = h.estado_id and m.mart = {mart_name}
cross join jsonb_array_elements(m.filas) as f
""",
    "analyze {rows}",
)

_HELD_CELLS: LiteralString = """
select k.celda from {held} as h inner join {changed} as k on k.numero = h.numero order by k.celda
"""

_REMEMBER: tuple[LiteralString, ...] = (
    # A cell of which nothing is shown is not known to anybody.
    """
with nuevos as (
    insert into divulgacion.estado (relacion, celda, huella)
    select {relation_name}, k.celda, a.huella
    from {changed} as k
    inner join {cells} as a on a.celda = k.celda
    where not exists (select from {held} as h where h.numero = k.numero)
        and k.celda in ({visible})
    on conflict do nothing
    returning estado_id, celda
)

insert into divulgacion.contribucion (estado_id, unidad, clase, medidas)
select e.estado_id, u.unidad, u.clase, u.medidas
from nuevos as e
inner join {changed} as k on k.celda = e.celda
inner join {units} as u on u.numero = k.numero
""",
    """
insert into divulgacion.mostrado as m (estado_id, mart, filas)
select e.estado_id, {mart_name}, jsonb_agg(to_jsonb(t) - '_celda' order by to_jsonb(t)::text)
from {rows} as t
inner join {cells} as a on a.celda = t._celda
inner join divulgacion.estado as e
    on e.relacion = {relation_name} and e.celda = a.celda and e.huella = a.huella
where t._celda in ({visible})
    and not exists (
        select from {held} as h inner join {changed} as k on k.numero = h.numero
        where k.celda = t._celda
    )
group by e.estado_id
on conflict (estado_id, mart) do update set filas = excluded.filas
where m.filas is distinct from excluded.filas
""",
    """
update divulgacion.estado as e
set orden = nextval('divulgacion.orden'), publicado_en = clock_timestamp()
from {cells} as a
where e.relacion = {relation_name} and e.celda = a.celda and e.huella = a.huella
    and exists (
        select from divulgacion.estado as o
        where o.relacion = e.relacion and o.celda = e.celda and o.orden > e.orden
    )
    and e.celda in ({visible})
""",
    """
with viejos as (
    delete from divulgacion.estado as e
    using (
        select estado_id, row_number() over (partition by celda order by orden desc) as lugar
        from divulgacion.estado
        where relacion = {relation_name}
    ) as o
    where o.estado_id = e.estado_id and o.lugar > {kept}
        -- What a mart shows now, however often another one of the same cells has changed since.
        and e.estado_id not in (
            select distinct on (m.mart, s.celda) s.estado_id
            from divulgacion.mostrado as m
            inner join divulgacion.estado as s on s.estado_id = m.estado_id
            where s.relacion = {relation_name}
            order by m.mart, s.celda, s.orden desc
        )
    returning e.estado_id
)

delete from divulgacion.contribucion as c using viejos as v where c.estado_id = v.estado_id
""",
)

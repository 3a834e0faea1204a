"""The rows of a resource as SQL: which leave, in which order, and the text form of every type.

Belongs here: composing statements, from a definition and the manifest, for one row of a mart under
the alias `t`. Does not belong here: running them (`files.py`, `datastore.py`, `disclosure.py`), or
how the records they give are laid out in a file (`formats.py`).

What every form has in common is written once: the filters, the cells left out, the coordinates
rounded to what may be told, and the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from exports.definition import Disclosure, Filter, Resource
from exports.manifest import Mart, MartColumn

# Control characters that JSON always escapes, so COPY never finds them in a value and passes the
# JSON text through as it is.
_COPY_JSON = sql.SQL("format csv, delimiter {delimiter}, quote {quote}").format(
    delimiter=sql.Literal("\x02"), quote=sql.Literal("\x01")
)
# The last four are the full-width forms, which spreadsheets read the same way.
_FORMULA = r"^[[:space:]]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]"
_SIGNED_NUMBER = r"^[[:space:]]*[+-][0-9]+([.,][0-9]+)*[[:space:]]*$"
_OPERATORS = {
    "igual": "=",
    "distinto": "is distinct from",
    "mayor": ">",
    "mayor_o_igual": ">=",
    "menor": "<",
    "menor_o_igual": "<=",
}


def row_condition(resource: Resource) -> sql.Composable:
    """The `where` of a resource, or nothing; the table's alias is `t`."""
    conditions = [_condition(item) for item in resource.filtros]
    if resource.divulgacion and resource.divulgacion.celdas_inseguras == "omitir":
        conditions.append(sql.SQL("not ({})").format(unsafe_cell(resource.divulgacion)))
    if not conditions:
        return sql.SQL("")
    return sql.SQL(" where {}").format(sql.SQL(" and ").join(conditions))


def unsafe_cell(rule: Disclosure) -> sql.Composable:
    """True for a row with too small a count, or in which one contributor makes up too much."""
    unsafe: sql.Composable = sql.SQL("coalesce({} < {}, false)").format(
        column_of(rule.columna_conteo), sql.Literal(rule.umbral_minimo)
    )
    if rule.dominancia:
        unsafe = sql.SQL("({} or coalesce({} > {}, false))").format(
            unsafe, column_of(rule.dominancia.columna), sql.Literal(rule.dominancia.maximo_pct)
        )
    return unsafe


def source_table(mart: Mart) -> sql.Composable:
    """The mart as it stands in `from`, under the alias `t`."""
    return sql.SQL("{} as t").format(sql.Identifier(*mart.source))


def column_of(name: str) -> sql.Identifier:
    """A column of the mart, under the alias `t`."""
    return sql.Identifier("t", name)


def copy_csv(resource: Resource, mart: Mart, columns: Sequence[MartColumn]) -> sql.Composed:
    """A `copy` whose records are lines of CSV, the header left out."""
    query = select_rows(resource, mart, columns, [_csv_value(column) for column in columns])
    return sql.SQL("copy ({}) to stdout (format csv)").format(query)


def copy_json(resource: Resource, mart: Mart, columns: Sequence[MartColumn]) -> sql.Composed:
    """A `copy` whose records are JSON objects by column."""
    query = select_rows(resource, mart, columns, [_json_value(column) for column in columns])
    return sql.SQL("copy (select row_to_json(r.*) from ({}) as r) to stdout ({})").format(
        query, _COPY_JSON
    )


def copy_geojson(resource: Resource, mart: Mart, columns: Sequence[MartColumn]) -> sql.Composed:
    """A `copy` whose records are GeoJSON features. ValueError for a resource without a point."""
    point = resource.coordenadas
    if point is None:  # the definition does not allow it
        raise ValueError(f"{resource.nombre} has no coordinates")
    shown = [column for column in columns if column.name not in (point.latitud, point.longitud)]
    geometry = sql.SQL(
        "case when {0} is not null and {1} is not null then "
        "json_build_object('type', 'Point', 'coordinates', json_build_array({0}, {1})) end"
    ).format(column_of(point.longitud), column_of(point.latitud))
    values = [
        sql.SQL("{} as {}").format(_json_value(column), sql.Identifier(column.name))
        for column in shown
    ]
    query = _ordered(
        sql.SQL("{} as geometria, (select row_to_json(p.*) from (select {}) as p) as propiedades")
        .format(geometry, sql.SQL(", ").join(values)),
        resource, mart, columns,
    )  # fmt: skip
    return sql.SQL(
        "copy (select json_build_object('type', 'Feature', 'geometry', geometria, 'properties', "
        "coalesce(propiedades, '{{}}'::json)) from ({}) as r) to stdout ({})"
    ).format(query, _COPY_JSON)


def select_typed(resource: Resource, mart: Mart, columns: Sequence[MartColumn]) -> sql.Composed:
    """A `select` of values in types of their own; those that no file has a type for as text."""
    return select_rows(resource, mart, columns, [_typed_value(column) for column in columns])


def select_rows(
    resource: Resource, mart: Mart, columns: Sequence[MartColumn], values: Sequence[sql.Composable]
) -> sql.Composed:
    """A `select` with these values of the columns, in the published order."""
    named = [
        sql.SQL("{} as {}").format(value, sql.Identifier(column.name))
        for value, column in zip(values, columns, strict=True)
    ]
    return _ordered(sql.SQL(", ").join(named), resource, mart, columns)


def _ordered(
    shown: sql.Composable, resource: Resource, mart: Mart, columns: Sequence[MartColumn]
) -> sql.Composed:
    """`shown` of every row of the resource, in the one order in which it is published."""
    by_name = {column.name: column for column in columns}
    ordered = [by_name[name] for name in dict.fromkeys((*resource.orden, *by_name))]
    return sql.SQL("select {} from {}{} order by {}").format(
        shown,
        _told_exactly_enough(resource, mart),
        row_condition(resource),
        sql.SQL(", ").join(_order(column) for column in ordered),
    )


def _told_exactly_enough(resource: Resource, mart: Mart) -> sql.Composable:
    """The mart, with coordinates rounded before anything else sees them: no format can forget."""
    point = resource.coordenadas
    if point is None:
        return source_table(mart)
    columns: list[sql.Composable] = []
    for name in mart.raw_columns:
        column: sql.Composable = sql.Identifier("m", name)
        if name in (point.latitud, point.longitud):
            column = sql.SQL("round({}::numeric, {})").format(column, sql.Literal(point.decimales))
        columns.append(sql.SQL("{} as {}").format(column, sql.Identifier(name)))
    return sql.SQL("(select {} from {} as m) as t").format(
        sql.SQL(", ").join(columns), sql.Identifier(*mart.source)
    )


def _order(column: MartColumn) -> sql.Composable:
    if column.kind in ("string", "object"):
        return sql.SQL('{}::text collate "C"').format(column_of(column.name))
    return column_of(column.name)


def _csv_value(column: MartColumn) -> sql.Composable:
    field = column_of(column.name)
    if column.kind == "string":
        return sql.SQL("case when {0} ~ {1} and {0} !~ {2} then '''' || {0} else {0} end").format(
            sql.SQL("{}::text").format(field), sql.Literal(_FORMULA), sql.Literal(_SIGNED_NUMBER)
        )
    if column.kind == "boolean":
        return sql.SQL("{}::text").format(field)
    if column.kind in ("datetime", "timestamp"):
        # The JSON form is ISO 8601 with 'T' and, for an instant, the session's offset.
        return sql.SQL("to_jsonb({}) #>> {}").format(field, sql.Literal("{}"))
    return _json_value(column)


def _json_value(column: MartColumn) -> sql.Composable:
    field = column_of(column.name)
    if column.kind == "number":
        return sql.SQL("nullif({}, 'NaN')").format(field)
    if column.kind == "object":
        return sql.SQL("{}::jsonb").format(field)
    return field


def _typed_value(column: MartColumn) -> sql.Composable:
    if column.kind == "object":
        return sql.SQL("{}::text").format(column_of(column.name))
    if column.pg_type == "uuid":
        return sql.SQL("{}::text").format(column_of(column.name))
    return _json_value(column)


def _condition(item: Filter) -> sql.Composable:
    field = column_of(item.columna)
    if item.operador == "vacio":
        return sql.SQL("{} is null").format(field)
    if item.operador == "no_vacio":
        return sql.SQL("{} is not null").format(field)
    if isinstance(item.valor, list):
        values = sql.SQL(", ").join(sql.Literal(value) for value in item.valor)
        return sql.SQL("{} in ({})").format(field, values)
    return sql.SQL("{} {} {}").format(
        field, sql.SQL(_OPERATORS[item.operador]), sql.Literal(item.valor)
    )

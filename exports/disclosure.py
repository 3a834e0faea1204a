"""The last guard before anything leaves: what must not be told is refused here, whoever asks.

Belongs here: checks on what a definition asks for and on the rows it would publish. Does not
belong here: suppression itself. Aggregating, hiding small cells and hiding further cells so that
totals do not give them back is the marts' work; this module refuses when that was not done.

Differences between releases are not refused here but held back, until they are large enough
(`contributions.py`, `succession.py`). A cell that is hidden today and was shown before cannot be
taken back: refusing would leave the release that shows it in place.

Thresholds: OECD, "at least five, others three"; ten where ethnicity, disability or gender cross
anything else. A lower one takes a written reason in the definition, which the approval covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from exports.audit import HiddenSum, exposed
from exports.contributions import contributions_of
from exports.definition import DatasetDefinition, Disclosure, Resource
from exports.errors import DisclosureError, ExportError
from exports.files import Connection
from exports.manifest import Manifest, Mart, MartColumn, check_definition, owned
from exports.queries import row_condition, source_table, unsafe_cell

THRESHOLD_SENSITIVE_CROSSING = 10

# Columns that point at one person, account or meter. A mart that has one of them holds a row for
# each, so nothing of it is published, whatever its classification says. Zones' and mains' meters
# (`macromedidor_id`) are infrastructure, not people.
INDIVIDUAL_COLUMNS = frozenset(
    {
        "beneficiario_id", "respuesta_id", "persona_id", "documento", "dni", "cuil", "cuit",
        "nif", "nie", "rut", "run", "curp", "cpf", "cedula", "apellido",
        "fecha_nacimiento", "titular_nombre", "titular_documento", "domicilio", "cuenta_id",
        "numero_cuenta", "medidor_id", "factura_id", "latitud_cuenta", "longitud_cuenta",
    }
)  # fmt: skip
_INDIVIDUAL_LEVELS = ("persona", "cuenta", "medidor", "hogar")
# Protocol fields whose crossing with anything else needs the higher threshold.
_SENSITIVE_FIELDS = ("genero", "etnia", "discapacidad")
_PERSONAL_FIELDS = (*_SENSITIVE_FIELDS, "ingreso", "educacion", "acceso_tecnologia",
                    "alfabetizacion_digital", "edad", "grupo_edad", "rango_edad",
                    "tramo_edad", "nivel_educativo", "nivel_ingreso")  # fmt: skip

_COORDINATE_NAMES = ("lat", "latitud", "lon", "lng", "longitud", "geom", "geometria", "wkt",
                     "coordenada", "coordenadas")  # fmt: skip
_LENGTH_UNITS = ("m", "km", "mm", "cm")


def check_request(definition: DatasetDefinition, manifest: Manifest) -> None:
    """Refuse what the definition may not ask for, without looking at a row.

    Raises the one error found, or one DisclosureError or ExportError listing them all.
    """
    errors = check_definition(definition, manifest)
    if not errors:
        for resource in definition.recursos:
            mart, columns = manifest.mart(resource.mart), manifest.columns(resource)
            errors.extend(_individuals(definition, resource, mart))
            errors.extend(_guard_columns(definition, resource, mart))
            errors.extend(_personal_data(definition, resource, mart, columns))
            errors.extend(_coordinates(definition, resource, mart, columns))
            errors.extend(_succession(definition, resource, mart, manifest))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        refused = [error for error in errors if isinstance(error, DisclosureError)]
        together = (DisclosureError if refused else ExportError)(
            " ".join(f"({number}) {error.what}" for number, error in enumerate(errors, 1)),
            dataset=definition.nombre,
            owner=definition.secretaria,
            next_step=" ".join(dict.fromkeys(error.next_step for error in errors)),
        )
        if isinstance(together, DisclosureError):
            together.columns = tuple(name for error in refused for name in error.columns)
        raise together


def check_rows(connection: Connection, definition: DatasetDefinition, manifest: Manifest) -> None:
    """Refuse when the rows of the marts tell too much; call inside `files.snapshot`."""
    check_cells(connection, definition, manifest)
    for resource in definition.recursos:
        rule, mart = resource.divulgacion, manifest.mart(resource.mart)
        for margin in rule.margenes if rule else ():
            assert rule is not None
            alone = _lonely_cells(connection, resource, mart, rule, margin)
            if alone:
                raise _refused(
                    definition,
                    resource,
                    f"{alone} grupos de ({', '.join(margin)}) tienen una sola celda suprimida, que "
                    "se obtiene restando al total (regla: supresión complementaria)",
                    "suprima en el mart al menos otra celda de cada uno de esos grupos.",
                )
    _audit(connection, definition, manifest)


def check_cells(connection: Connection, definition: DatasetDefinition, manifest: Manifest) -> None:
    """Refuse when a row tells too much by itself; call inside `files.snapshot`."""
    for resource in definition.recursos:
        rule, mart = resource.divulgacion, manifest.mart(resource.mart)
        if rule is None:
            continue
        small = _count(connection, resource, mart, _below(rule))
        if small:
            raise _refused(
                definition,
                resource,
                f"{small} filas publican {rule.columna_conteo} menor que {rule.umbral_minimo} "
                "(regla: umbral mínimo)",
                "suprima esas celdas en el mart (conteo y medidas vacíos) o agrupe más.",
            )
        dominated = _count(connection, resource, mart, unsafe_cell(rule))
        if rule.dominancia and dominated:
            raise _refused(
                definition,
                resource,
                f"en {dominated} filas {rule.dominancia.columna} supera el "
                f"{rule.dominancia.maximo_pct} % (regla: dominancia)",
                "suprima esas celdas en el mart o agrupe más.",
            )
        for measure in rule.medidas:
            telling = _count(connection, resource, mart, _told_anyway(rule, measure))
            if telling:
                raise _refused(
                    definition,
                    resource,
                    f"{telling} filas suprimidas todavía muestran {measure} "
                    "(regla: medidas de celdas suprimidas)",
                    f"deje vacía {measure} en el mart donde {rule.columna_conteo} está vacía.",
                )


def _audit(connection: Connection, definition: DatasetDefinition, manifest: Manifest) -> None:
    """Refuse when published totals, of all resources of a mart together, give hidden cells back."""
    by_mart: dict[str, list[Resource]] = {}
    for resource in definition.recursos:
        if resource.divulgacion and resource.divulgacion.totals:
            by_mart.setdefault(resource.mart, []).append(resource)
    for name, resources in by_mart.items():
        sums: list[HiddenSum[str]] = []
        thresholds: dict[str, int] = {}
        for resource in resources:
            rule = resource.divulgacion
            if rule is None:
                continue
            for margin in rule.margenes:
                found = _hidden_sums(connection, resource, manifest.mart(name), rule, margin)
                sums += found
                for item in found:
                    for cell in item.unknown:
                        thresholds[cell] = max(thresholds.get(cell, 0), rule.umbral_minimo)
        try:
            told = exposed(sums, thresholds)
        except ValueError as error:
            raise _refused(
                definition,
                resources[0],
                f"los totales de {name} no coinciden con sus celdas (regla: supresión "
                "complementaria)",
                "revise el mart: cada total debe ser la suma de sus celdas.",
            ) from error
        if told:
            raise _refused(
                definition,
                resources[0],
                f"{len(told)} celdas suprimidas de {name} se deducen de los totales publicados, "
                "exactamente o casi (regla: supresión complementaria)",
                "suprima en el mart más celdas de esos grupos, hasta que lo oculto sume al menos "
                "el umbral.",
            )


def _individuals(
    definition: DatasetDefinition, resource: Resource, mart: Mart
) -> list[DisclosureError]:
    found = sorted(INDIVIDUAL_COLUMNS & mart.raw_columns.keys())
    level = mart.meta.get("nivel")
    if not found and level not in _INDIVIDUAL_LEVELS:
        return []
    why = f"tiene {', '.join(found)}" if found else f"su `meta.nivel` es '{level}'"
    return [
        _refused(
            definition,
            resource,
            f"{mart.name} tiene una fila por persona, cuenta o medidor ({why}) "
            "(regla: nada individual sale)",
            "publique un mart agregado (por zona, distrito, período) en lugar de este.",
        )
    ]


def _guard_columns(
    definition: DatasetDefinition, resource: Resource, mart: Mart
) -> list[DisclosureError]:
    """Columns that only the guard reads must exist, or it would guard nothing."""
    rule = resource.divulgacion
    used = [part.columna for part in (rule.dominancia, *rule.totals) if part] if rule else []
    return [
        _refused(
            definition,
            resource,
            f"`divulgacion` usa {name}, que no existe en {mart.name}",
            "corrija el nombre en la definición.",
        )
        for name in used
        if name not in mart.raw_columns
    ]


def _succession(
    definition: DatasetDefinition, resource: Resource, mart: Mart, manifest: Manifest
) -> list[ExportError]:
    """A mart that knows who makes it up is not published release by release without looking."""
    try:
        found = contributions_of(mart)
        if found is None:
            return []
        manifest.mart(found.relation)
    except ExportError as error:
        return [owned(error, definition, resource)]
    rule = resource.divulgacion
    if rule and rule.diferencia_minima:
        return []
    return [
        _refused(
            definition,
            resource,
            f"{mart.name} dice quiénes componen sus celdas y el recurso no declara "
            "`diferencia_minima`: restando dos publicaciones se sabría lo de uno solo (regla: "
            "diferencia entre publicaciones)",
            "agregue `divulgacion.diferencia_minima` al recurso.",
        )
    ]


def _personal_data(
    definition: DatasetDefinition, resource: Resource, mart: Mart, columns: Sequence[MartColumn]
) -> list[DisclosureError]:
    about_people = _about_people(mart, columns)
    rule = resource.divulgacion
    if rule is None:
        if not about_people:
            return []
        return [
            _refused(
                definition,
                resource,
                "describe a personas y no declara `divulgacion` (regla: umbral mínimo)",
                "agregue `divulgacion` con `columna_conteo` y `umbral_minimo` al recurso.",
            )
        ]
    measures = {rule.columna_conteo, *rule.medidas}
    dimensions = [column for column in columns if column.name not in measures]
    sensitive = [column.name for column in dimensions if _field_of(column) in _SENSITIVE_FIELDS]
    crossed = bool(sensitive) and len(dimensions) > 1
    if crossed and rule.umbral_minimo < THRESHOLD_SENSITIVE_CROSSING and not rule.justificacion:
        return [
            _refused(
                definition,
                resource,
                f"cruza {', '.join(sensitive)} con otras columnas y su `umbral_minimo` es "
                f"{rule.umbral_minimo} (regla: al menos {THRESHOLD_SENSITIVE_CROSSING} en cruces "
                "de género, etnia o discapacidad)",
                f"suba `umbral_minimo` a {THRESHOLD_SENSITIVE_CROSSING} o escriba la "
                "`justificacion` que la aprobación debe cubrir.",
            )
        ]
    return []


def _coordinates(
    definition: DatasetDefinition, resource: Resource, mart: Mart, columns: Sequence[MartColumn]
) -> list[DisclosureError]:
    """Places of people never leave, and no place leaves more exactly than was decided."""
    placed = [column.name for column in columns if _is_coordinate(column)]
    point = resource.coordenadas
    if point is None and not placed:
        return []
    if point is None:
        return [
            _refused(
                definition,
                resource,
                f"publica {', '.join(placed)} sin decir con qué exactitud, en `coordenadas` "
                "(regla: coordenadas)",
                "agregue `coordenadas: {latitud: …, longitud: …, decimales: 4}` si son lugares "
                "públicos; si no, quite esas columnas.",
            )
        ]
    about_people = _about_people(mart, columns) or resource.divulgacion is not None
    if about_people:
        return [
            _refused(
                definition,
                resource,
                "describe a personas o cuentas y tiene `coordenadas` (regla: coordenadas)",
                "quite las coordenadas y publique por zona o distrito.",
            )
        ]
    undeclared = sorted(set(placed) - {point.latitud, point.longitud})
    if undeclared:
        return [
            _refused(
                definition,
                resource,
                f"publica {', '.join(undeclared)} además de las de `coordenadas`, sin redondear "
                "(regla: coordenadas)",
                "quite esas columnas.",
            )
        ]
    return []


def _is_coordinate(column: MartColumn) -> bool:
    """Whether a column says where something is; `longitud_m` is a length."""
    first = column.name.partition("_")[0]
    return first in _COORDINATE_NAMES and column.unit not in _LENGTH_UNITS


def _about_people(mart: Mart, columns: Sequence[MartColumn]) -> bool:
    return bool(mart.meta.get("contiene_personas")) or any(
        _field_of(column) in _PERSONAL_FIELDS for column in columns
    )


def _field_of(column: MartColumn) -> str:
    """The protocol field a column answers to: as classified, or by the name it has here."""
    return column.protocol_field or column.name.removesuffix("_nombre").removesuffix("_id")


def _below(rule: Disclosure) -> sql.Composable:
    return sql.SQL("{} < {}").format(
        sql.Identifier("t", rule.columna_conteo), sql.Literal(rule.umbral_minimo)
    )


def _told_anyway(rule: Disclosure, measure: str) -> sql.Composable:
    return sql.SQL("{} is null and {} is not null").format(
        sql.Identifier("t", rule.columna_conteo), sql.Identifier("t", measure)
    )


def _count(
    connection: Connection, resource: Resource, mart: Mart, condition: sql.Composable
) -> int:
    query = sql.SQL("select count(*) filter (where {}) from {}{}").format(
        condition, source_table(mart), row_condition(resource)
    )
    return _single(connection, query)


def _lonely_cells(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    rule: Disclosure,
    margin: Sequence[str],
) -> int:
    """Groups in which exactly one cell is hidden while their total is not."""
    # An empty margin is the grand total: one group.
    names: list[sql.Composable] = [sql.Identifier("t", name) for name in margin]
    names = names or [sql.SQL("()")]
    count = sql.Identifier("t", rule.columna_conteo)
    rows = sql.SQL("(select * from {}{}) as t").format(source_table(mart), row_condition(resource))
    kept: sql.Composable = sql.SQL("true")
    hidden_total: sql.Composable = sql.SQL("false")
    if total := rule.total_of(margin):
        kept = sql.SQL("{} is distinct from {}").format(
            sql.Identifier("t", total.columna), sql.Literal(total.valor)
        )
        same_group = [
            sql.SQL("{} is not distinct from {}").format(
                sql.Identifier("s", name), sql.Identifier("t", name)
            )
            for name in margin
            if name != total.columna
        ]
        # The total may stand in another resource of the dataset: the whole mart is looked at.
        hidden_total = sql.SQL(
            "exists (select 1 from {} as s where s.{} = {} and s.{} is null{})"
        ).format(
            sql.Identifier(mart.schema, mart.table),
            sql.Identifier(total.columna),
            sql.Literal(total.valor),
            sql.Identifier(rule.columna_conteo),
            sql.SQL("").join(sql.SQL(" and {}").format(item) for item in same_group),
        )
    query = sql.SQL(
        "select count(*) from (select 1 from {} where {} group by {} "
        "having count(*) filter (where {} is null) = 1 and not {}) as g"
    ).format(rows, kept, sql.SQL(", ").join(names), count, hidden_total)
    return _single(connection, query)


def _hidden_sums(
    connection: Connection,
    resource: Resource,
    mart: Mart,
    rule: Disclosure,
    margin: Sequence[str],
) -> list[HiddenSum[str]]:
    """What every total leaves for the cells hidden under it; only those are read."""
    total = rule.total_of(margin)
    if total is None:
        return []
    count = sql.Identifier("t", rule.columna_conteo)
    # The same row has the same name in every resource of the mart.
    key = [name for name in mart.meta.get("clave", ()) if name in mart.raw_columns] or [
        name for name in resource.columnas if name not in (rule.columna_conteo, *rule.medidas)
    ]
    same_group = [
        sql.SQL("s.{0} is not distinct from t.{0}").format(sql.Identifier(name))
        for name in margin
        if name != total.columna
    ]
    groups: list[sql.Composable] = [sql.Identifier("t", name) for name in margin]
    query = sql.SQL(
        "select array_agg(jsonb_build_array({key})::text) filter (where {count} is null), "
        "coalesce(sum({count}), 0), "
        "(select jsonb_build_array(s.{n}, jsonb_build_array({total_key})::text) from {mart} as s "
        "where s.{column} = {value}{same}) "
        "from (select * from {source}{where}) as t where {shown} is distinct from {value} "
        "group by {groups} having bool_or({count} is null)"
    ).format(
        key=sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
        total_key=sql.SQL(", ").join(sql.Identifier("s", name) for name in key),
        count=count,
        n=sql.Identifier(rule.columna_conteo),
        mart=sql.Identifier(mart.schema, mart.table),
        column=sql.Identifier(total.columna),
        shown=sql.Identifier("t", total.columna),
        value=sql.Literal(total.valor),
        same=sql.SQL("").join(sql.SQL(" and {}").format(item) for item in same_group),
        source=source_table(mart),
        where=row_condition(resource),
        groups=sql.SQL(", ").join(groups or [sql.SQL("()")]),
    )
    sums = []
    with connection.cursor(row_factory=tuple_row) as cursor:
        for cells, seen, row in cursor.execute(query):
            if row is None:
                continue  # no total is published for this group
            published, name = row
            hidden = name if published is None else None
            sums.append(HiddenSum(tuple(cells), float(published or 0) - float(seen), hidden))
    return sums


def _single(connection: Connection, query: sql.Composed) -> int:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row: Any = cursor.execute(query).fetchone()
    return int(row[0])


def _refused(
    definition: DatasetDefinition, resource: Resource, what: str, next_step: str
) -> DisclosureError:
    return DisclosureError(
        f"recurso {resource.nombre}: no sale: {what}.",
        dataset=definition.nombre,
        owner=definition.secretaria,
        next_step=next_step,
    )

"""Rules of a contract that speak of the whole table and not of one row.

Belongs here: what `quality` blocks (metrics with a threshold, duplicates, row counts, SQL),
`unique` and `relationships` mean, as typed values, with an error that names the key. Does not
belong here: evaluating them (`expectations/table_rules.py`) or rules on single rows
(`contract_document.py`). The standard: https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sources.errors import Problem
from sources.wording import number

if TYPE_CHECKING:
    from open_data_contract_standard.model import DataQuality, Relationship

Kind = Literal["duplicates", "row_count", "missing", "invalid", "reference", "sql"]
Unit = Literal["rows", "percent"]

METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
OPERATORS: Mapping[str, str] = {
    "mustBe": "debe ser {}",
    "mustNotBe": "no debe ser {}",
    "mustBeGreaterThan": "debe ser mayor que {}",
    "mustBeGreaterOrEqualTo": "debe ser {} o más",
    "mustBeLessThan": "debe ser menor que {}",
    "mustBeLessOrEqualTo": "debe ser {} o menos",
    "mustBeBetween": "debe estar entre {} y {}",
    "mustNotBeBetween": "no debe estar entre {} y {}",
}
_INVALID_ARGUMENTS = ("validValues", "pattern", "minimum", "maximum")
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_PLACES = re.compile(r"\$\{([^}]*)\}|\{(object|property|table|column)\}")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a measured number is held against."""

    operator: str
    values: tuple[float, ...]
    unit: Unit = "rows"

    def holds(self, measured: float) -> bool:
        """Whether `measured`, in the bound's unit, is within it."""
        first, last = self.values[0], self.values[-1]
        return {
            "mustBe": measured == first,
            "mustNotBe": measured != first,
            "mustBeGreaterThan": measured > first,
            "mustBeGreaterOrEqualTo": measured >= first,
            "mustBeLessThan": measured < first,
            "mustBeLessOrEqualTo": measured <= first,
            "mustBeBetween": first <= measured <= last,
            "mustNotBeBetween": not first <= measured <= last,
        }[self.operator]

    def __str__(self) -> str:
        sign = " %" if self.unit == "percent" else ""
        return OPERATORS[self.operator].format(
            *(f"{number(value, 6)}{sign}" for value in self.values)
        )


NONE_AT_ALL = Bound("mustBe", (0.0,))


@dataclass(frozen=True, slots=True)
class TableRule:
    """One rule on a table. `name` is unique in its contract and stays while the rule stays.

    `argument` by kind: invalid: mapping of the standard's arguments; missing: texts that count as
    missing beside null; reference: (system, dataset, column); sql: the query, one number.
    """

    kind: Kind
    name: str
    columns: tuple[str, ...]
    argument: Any
    bound: Bound
    severity: Literal["bloqueante", "advertencia"]
    description: str
    dimension: str


def is_row_rule(quality: DataQuality) -> bool:
    """Whether a rule can be decided row by row at the door: none may break it, and by its values.

    A share, a count or words that stand for a missing value need the table.
    """
    if quality.metric == "missingValues" and (quality.arguments or {}).get("missingValues"):
        return False
    operators = set(OPERATORS) & quality.model_fields_set
    strict = operators <= {"mustBe"} and quality.mustBe in (None, 0)
    return quality.metric in ("nullValues", "missingValues", "invalidValues") and strict


def table_rule(
    quality: DataQuality,
    column: str | None,
    columns: Sequence[str],
    *,
    severity: Literal["bloqueante", "advertencia"],
    dimension: str | None,
    problem: Problem,
) -> TableRule | None:
    """The rule of one `quality` element that is no row rule; None for plain text.

    `column` is the property it stands on, None on the table. Raises what `problem` makes for an
    unknown type, metric, operator or argument.
    """
    where = column or "la tabla"
    kind = quality.type or ("sql" if quality.query else "library")
    if kind == "text":
        return None
    if kind == "sql":
        return _sql_rule(quality, column, severity, dimension, problem)
    if kind != "library":
        raise problem(
            f"{where}: `type: {kind}` no se puede ejecutar aquí; use library o sql, o text para "
            "dejarla solo escrita"
        )
    metric = quality.metric
    if metric not in METRICS:
        raise problem(
            f"{where}: regla de calidad no admitida: metric={metric!r}; las que hay son "
            f"{', '.join(METRICS)}"
        )
    arguments = quality.arguments or {}
    if metric == "rowCount":
        if column is not None:
            raise problem(f"{where}: `rowCount` va en la tabla, no en una columna")
        bound = _bound(quality, where, problem, required=True)
        return TableRule(
            "row_count", _name(quality, "filas", problem), (), None, bound, severity,
            quality.description or f"La cantidad de filas {bound}.", dimension or "completitud",
        )  # fmt: skip
    bound = _bound(quality, where, problem)
    if metric == "duplicateValues":
        chosen = _chosen(arguments, column, columns, where, problem)
        words = f"{', '.join(chosen)}: la cantidad de repetidas {bound}."
        return TableRule(
            "duplicates", _name(quality, f"{'_'.join(chosen)}_repetidos", problem), chosen, None,
            bound, severity, quality.description or words, dimension or "unicidad",
        )  # fmt: skip
    if column is None:
        raise problem(f"`{metric}` va en una columna, no en la tabla")
    if metric == "invalidValues":
        unknown = sorted(set(arguments) - set(_INVALID_ARGUMENTS))
        if unknown or not arguments:
            raise problem(
                f"{where}: `invalidValues` pide {', '.join(_INVALID_ARGUMENTS)}, no "
                f"{', '.join(unknown) or 'nada'}"
            )
        words = f"{column}: la cantidad de valores no válidos {bound}."
        return TableRule(
            "invalid", _name(quality, f"{column}_no_validos", problem), (column,),
            dict(arguments), bound, severity, quality.description or words, dimension or "validez",
        )  # fmt: skip
    words = f"{column}: la cantidad de valores que faltan {bound}."
    stand_ins = tuple(str(v) for v in arguments.get("missingValues") or () if v is not None)
    return TableRule(
        "missing", _name(quality, f"{column}_faltantes", problem), (column,), stand_ins, bound,
        severity, quality.description or words, dimension or "completitud",
    )  # fmt: skip


def unique_rule(column: str) -> TableRule:
    """What `unique: true` asks of a column that is not the key, where nothing else says it."""
    return TableRule(
        "duplicates", f"{column}_unico", (column,), None, NONE_AT_ALL, "advertencia",
        f"{column} no se repite.", "unicidad",
    )  # fmt: skip


def reference_rule(
    relationship: Relationship,
    column: str,
    system: str,
    *,
    severity: Literal["bloqueante", "advertencia"],
    problem: Problem,
) -> TableRule:
    """A relationship of a property: every value is one of another dataset's column.

    `to` is `<dataset>.<column>` of the same system, or `<system>.<dataset>.<column>`.
    """
    target = relationship.to
    parts = target.split(".") if isinstance(target, str) else []
    if (
        relationship.type not in (None, "foreignKey")
        or len(parts) not in (2, 3)
        or not all(_NAME.match(part) for part in parts)
    ):
        raise problem(
            f"{column}: `relationships.to` debe ser '<conjunto>.<columna>' o "
            f"'<sistema>.<conjunto>.<columna>', no {target!r}"
        )
    if len(parts) == 2:
        parts = [system, *parts]
    return reference_to(column, tuple(parts), severity)


def reference_to(
    column: str,
    target: tuple[str, ...],
    severity: Literal["bloqueante", "advertencia"] = "advertencia",
) -> TableRule:
    """Every value of `column` is one of `target`: system, dataset, column."""
    words = f"{column} existe en {target[0]}.{target[1]} ({target[2]})."
    return TableRule(
        "reference", f"{column}_referencia", (column,), target, NONE_AT_ALL, severity, words,
        "consistencia",
    )  # fmt: skip


def _sql_rule(
    quality: DataQuality,
    column: str | None,
    severity: Literal["bloqueante", "advertencia"],
    dimension: str | None,
    problem: Problem,
) -> TableRule:
    where = column or "la tabla"
    query = (quality.query or "").strip().rstrip(";")
    if not query:
        raise problem(f"{where}: una regla `type: sql` necesita `query`")
    if not query.lower().startswith(("select", "with")) or ";" in query:
        raise problem(f"{where}: `query` debe ser una sola consulta SELECT que dé un número")
    for match in _PLACES.finditer(query):
        place = match[1] or match[2]
        if place not in ("object", "table", "property", "column"):
            raise problem(f"{where}: `query` usa ${{{place}}}, y hay ${{object}} y ${{property}}")
        if place in ("property", "column") and column is None:
            raise problem(f"`query` usa ${{{place}}}, pero la regla no está en una columna")
    if not quality.name:
        raise problem(f"{where}: una regla `type: sql` necesita `name`, que la identifica")
    bound = _bound(quality, where, problem, required=True)
    return TableRule(
        "sql", _name(quality, "", problem), (column,) if column else (), query, bound, severity,
        quality.description or f"{quality.name}: el resultado {bound}.",
        dimension or "consistencia",
    )  # fmt: skip


def fill_places(query: str, table: str, column: str | None) -> str:
    """`query` with its places for table and column filled by names that are already quoted."""
    names = {"object": table, "table": table, "property": column or "", "column": column or ""}
    return _PLACES.sub(lambda match: names[match[1] or match[2]], query)


def _bound(quality: DataQuality, where: str, problem: Problem, *, required: bool = False) -> Bound:
    given = [name for name in OPERATORS if name in quality.model_fields_set]
    unit = quality.unit or "rows"
    if unit not in ("rows", "percent"):
        raise problem(f"{where}: `unit` debe ser rows o percent, no {unit!r}")
    if len(given) > 1 or (required and not given):
        raise problem(f"{where}: hace falta un operador, y uno solo, de {', '.join(OPERATORS)}")
    if not given:
        return Bound("mustBe", (0.0,), "percent" if unit == "percent" else "rows")
    value = getattr(quality, given[0])
    values = value if isinstance(value, list) else [value]
    wrong = any(isinstance(item, bool) or not isinstance(item, int | float) for item in values)
    if wrong or not values:
        raise problem(f"{where}: `{given[0]}` debe ser un número, no {value!r}")
    return Bound(
        given[0], tuple(float(item) for item in values), "percent" if unit == "percent" else "rows"
    )


def _chosen(
    arguments: Mapping[str, Any],
    column: str | None,
    columns: Sequence[str],
    where: str,
    problem: Problem,
) -> tuple[str, ...]:
    if column is not None:
        return (column,)
    chosen = arguments.get("properties")
    if not isinstance(chosen, list) or not chosen:
        raise problem(f"{where}: `duplicateValues` necesita `arguments.properties`, una lista")
    if unknown := [str(name) for name in chosen if name not in columns]:
        raise problem(f"{where}: `properties` nombra columnas ausentes: {', '.join(unknown)}")
    return tuple(chosen)


def _name(quality: DataQuality, default: str, problem: Problem) -> str:
    name = quality.name or default
    if not _NAME.match(name):
        raise problem(f"`name` de una regla va en minúsculas, sin espacios ni acentos: {name!r}")
    return name

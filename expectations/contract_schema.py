"""Pandera schemas derived from contracts, applied to the Arrow batches of a load.

Belongs here: turning the rules of a contract into Pandera checks and their verdicts into rows
kept, rows quarantined and results. Does not belong here: rules of our own (`protocol`), casting,
or writing anything down.

Pandera 0.35 on Arrow, as measured with narwhals 2.29: it takes tables only, knows no decimal type,
and hands back either a narwhals expression (checks: true = good) or a frame with a `check_output`
column (nulls: true = bad). Both are evaluated for the whole batch at once; no row is looked at in
Python unless it fails.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from expectations.batches import CheckedBatch, Finding, KeySampler, Tally, separate
from expectations.results import CheckResult
from sources.contract import Column, Contract, Rule
from sources.errors import ContractError

if TYPE_CHECKING:
    from pandera.errors import SchemaError
    from pandera.pyarrow import Check, DataFrameSchema, PyArrowData

# Rule kinds of contracts, as quarantine and results name them.
RULE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "required": "obligatorio",
        "allowed": "valor_permitido",
        "minimum": "minimo",
        "maximum": "maximo",
        "pattern": "patron",
        "min_length": "largo_minimo",
        "max_length": "largo_maximo",
    }
)
_CITY_TIME = ZoneInfo("America/Argentina/Mendoza")
_TRUE, _FALSE = ("true", "t", "si", "sí", "1"), ("false", "f", "no", "0")
_CHECK_OUTPUT = "check_output"


def schema_of(contract: Contract) -> DataFrameSchema:
    """The Pandera schema of a batch of `contract`, every rule in it whatever its severity.

    The checks of a column stand in the order of `checked_rules`; required columns that block are
    not nullable. Every rule but those on missing values lets a null pass.

    Raises ContractError when an argument does not fit the type of its column.
    """
    from pandera.pyarrow import Check, DataFrameSchema
    from pandera.pyarrow import Column as SchemaColumn

    return DataFrameSchema(
        {
            column.name: SchemaColumn(
                None,
                [_check(contract, column, rule) for rule in checked_rules(column)],
                nullable=not _not_null_rules(column),
            )
            for column in contract.columns
        },
        # Pandera's Arrow engine has no decimals and no time zones, so types are compared as such.
        checks=Check(_has_types(contract), native=True, name="tipos"),
        name=contract.id,
    )


def checked_rules(column: Column) -> tuple[Rule, ...]:
    """The rules of `column` that are Pandera checks, in order; the rest make it not nullable."""
    not_null = _not_null_rules(column)
    return tuple(rule for rule in column.rules if rule not in not_null)


def rule_codes(column: Column) -> dict[Rule, str]:
    """The name of every rule of `column`, unique in it: 'minimo', 'minimo_2'…"""
    codes: dict[Rule, str] = {}
    for rule in column.rules:
        code = RULE_NAMES[rule.kind]
        times = 1 + sum(1 for known in codes if known.kind == rule.kind)
        codes[rule] = code if times == 1 else f"{code}_{times}"
    return codes


class BatchChecker:
    """Checks the batches of one load against its contract and counts per rule.

    Not for use from several threads: it keeps the counts of one load.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schema = schema_of(contract)
        self._sampler = KeySampler(contract)
        self._codes = {
            (column.name, rule): code
            for column in contract.columns
            for rule, code in rule_codes(column).items()
        }
        self._tallies = {
            (column, code): Tally(
                control=f"contrato.{contract.id}.{column}.{code}",
                rule=code,
                column=column,
                dimension=rule.dimension,
                severity=rule.severity,
                explanation=rule.description,
            )
            for (column, rule), code in self._codes.items()
        }

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch:
        """Separate the rows of `batch` that break a blocking rule, and count the others.

        `batch` holds the contract's columns in their Arrow types, others beside them are left
        alone; `row_numbers` gives the 1-based place of every row in what was read.

        Raises ContractError when a rule cannot be evaluated, ValueError when the batch lacks a
        column or has it in another type.
        """
        findings = self._findings(batch)
        failing = {(finding.column, finding.rule): finding.failing for finding in findings}
        for name, tally in self._tallies.items():
            mask = failing.get(name)
            if mask is None:
                tally.add(batch.num_rows, 0)
            else:
                keys = self._sampler.keys(batch, row_numbers, mask)
                tally.add(batch.num_rows, mask.true_count, keys)
        return separate(batch, row_numbers, findings)

    def results(self) -> list[CheckResult]:
        """One result per rule of the contract, over every batch checked so far."""
        return [tally.result("pandera", self._contract) for tally in self._tallies.values()]

    def _findings(self, batch: pa.RecordBatch) -> list[Finding]:
        from pandera.config import ValidationDepth, config_context
        from pandera.errors import SchemaErrors

        names = [column.name for column in self._contract.columns]
        if missing := [name for name in names if name not in batch.schema.names]:
            raise ValueError(f"{self._contract.id}: faltan columnas en el lote: {missing}")
        table = pa.Table.from_batches([batch.select(names)])
        # Said here and not left to PANDERA_* variables: one of them set to false would let
        # everything through without a word.
        with config_context(
            validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA
        ):
            try:
                self._schema.validate(table, lazy=True)
            except SchemaErrors as errors:
                return [
                    finding
                    for error in errors.schema_errors
                    for finding in self._explain(table, error)
                ]
        return []

    def _explain(self, table: pa.Table, error: SchemaError) -> list[Finding]:
        """The findings behind one Pandera error: which rows, by which rule."""
        reason = error.reason_code.name if error.reason_code else ""
        if error.schema.name == self._contract.id:
            raise ValueError(f"{self._contract.id}: {_type_differences(self._contract, table)}")
        column = self._contract.column(error.schema.name)
        if reason == "SERIES_CONTAINS_NULLS":
            rules = _not_null_rules(column)
        elif reason == "DATAFRAME_CHECK":
            rules = (checked_rules(column)[error.check_index],)
        else:
            raise _cannot_evaluate(self._contract, column, error)
        failing = _failing_rows(table, error)
        return [
            Finding(
                rule=self._codes[column.name, rule],
                column=column.name,
                severity=rule.severity,
                failing=failing,
                reason=rule.description,
            )
            for rule in rules
        ]


def _not_null_rules(column: Column) -> tuple[Rule, ...]:
    return tuple(
        rule for rule in column.rules if rule.kind == "required" and rule.severity == "bloqueante"
    )


def _check(contract: Contract, column: Column, rule: Rule) -> Check:
    """One rule as a Pandera check. `n_failure_cases` spares Pandera a copy of every bad value."""
    from pandera.pyarrow import Check

    options: dict[str, Any] = {"name": f"{column.name}.{rule.kind}", "n_failure_cases": 1}
    if rule.kind == "required":
        return Check(_is_present, native=True, ignore_na=False, **options)
    if rule.kind in ("pattern", "min_length", "max_length"):
        if column.pg_type not in ("text", "jsonb"):
            raise _unfit(contract, column, rule, "solo se aplica a columnas de texto")
        return _text_check(contract, column, rule, options)
    if rule.kind == "allowed":
        values = [_literal(contract, column, rule, value) for value in rule.argument]
        return Check(_is_one_of(pa.array(values, column.arrow_type)), native=True, **options)
    if column.arrow_type in (pa.string(), pa.bool_()):
        raise _unfit(contract, column, rule, "no se puede comparar con un límite")
    bound = _bound(rule.kind, column, _literal(contract, column, rule, rule.argument))
    return Check.ge(bound, **options) if rule.kind == "minimum" else Check.le(bound, **options)


def _text_check(
    contract: Contract, column: Column, rule: Rule, options: Mapping[str, Any]
) -> Check:
    from pandera.pyarrow import Check

    if rule.kind == "pattern":
        # As in JSON Schema, on which the standard leans: found anywhere unless it says ^ and $.
        if _arrow_can_match(rule.argument):
            return Check.str_contains(rule.argument, **options)
        return Check(_matches_in_python(rule.argument), native=True, **options)
    try:
        length = int(rule.argument)
    except (TypeError, ValueError) as error:
        raise _unfit(contract, column, rule, "el largo debe ser un número entero") from error
    if rule.kind == "min_length":
        return Check.str_length(min_value=length, **options)
    return Check.str_length(max_value=length, **options)


def _is_present(data: PyArrowData) -> pa.ChunkedArray[Any]:
    """True where there is a value. A blank text is a value here; the protocol is stricter."""
    present: pa.ChunkedArray[Any] = pc.is_valid(data.table[data.key])
    return present


def _is_one_of(values: pa.Array[Any]) -> Callable[[PyArrowData], pa.ChunkedArray[Any]]:
    """True where the value is in the list, and for nulls.

    Instead of Pandera's `isin`, which compares decimals of different scale as different.
    """

    def check(data: PyArrowData) -> pa.ChunkedArray[Any]:
        column = data.table[data.key]
        return _or_null(pc.is_in(column, value_set=values), column)

    return check


def _matches_in_python(pattern: str) -> Callable[[PyArrowData], pa.ChunkedArray[Any]]:
    """For what Arrow's RE2 lacks, such as look-ahead: each distinct value once, in Python."""
    expression = re.compile(pattern, re.ASCII)

    def check(data: PyArrowData) -> pa.ChunkedArray[Any]:
        column = data.table[data.key]
        distinct = pc.unique(column).drop_null()
        matching = [value for value in distinct.to_pylist() if expression.search(value)]
        found = pc.is_in(column, value_set=pa.array(matching, column.type))
        return _or_null(found, column)

    return check


def _or_null(good: pa.ChunkedArray[Any], column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    return cast("pa.ChunkedArray[Any]", pc.or_(good, pc.is_null(column)))


def _has_types(contract: Contract) -> Callable[[PyArrowData], bool]:
    wanted = contract.arrow_schema.types

    def check(data: PyArrowData) -> bool:
        return list(data.table.schema.types) == wanted

    return check


def _type_differences(contract: Contract, table: pa.Table) -> str:
    return "; ".join(
        f"{column.name} llegó como {table.schema.field(column.name).type}, "
        f"el contrato dice {column.arrow_type}"
        for column in contract.columns
        if table.schema.field(column.name).type != column.arrow_type
    )


def _failing_rows(table: pa.Table, error: SchemaError) -> pa.BooleanArray:
    """True where the row breaks the rule behind `error`; nulls in a check's answer are a pass."""
    import narwhals.stable.v1 as nw

    output = error.check_output
    if isinstance(output, nw.Expr):
        frame = nw.from_native(table, eager_only=True).select(output.alias(_CHECK_OUTPUT))
        good = frame.to_native()[_CHECK_OUTPUT]
    else:
        answer = output.collect() if isinstance(output, nw.LazyFrame) else output
        good = answer.to_native()[_CHECK_OUTPUT]
        if error.reason_code.name == "SERIES_CONTAINS_NULLS":
            good = pc.invert(good)
    return _one_chunk(pc.invert(pc.fill_null(good, True)))


def _one_chunk(column: pa.ChunkedArray[Any]) -> pa.BooleanArray:
    return cast("pa.BooleanArray", column.combine_chunks())


def _arrow_can_match(pattern: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _bound(kind: str, column: Column, value: Any) -> Any:
    """A bound in the column's own scale: 0.0005 against cents is 0.01, or 0.00 as a maximum.

    Whole steps of the column compare the same either way, and no comparison has to widen decimals
    beyond the 38 digits Arrow has.
    """
    if not isinstance(value, Decimal):
        return value
    scale = column.arrow_type.scale if pa.types.is_decimal(column.arrow_type) else 0
    step = Decimal(1).scaleb(-scale)
    rounded = value.quantize(step, ROUND_CEILING if kind == "minimum" else ROUND_FLOOR)
    return rounded if scale or pa.types.is_decimal(column.arrow_type) else int(rounded)


def _literal(contract: Contract, column: Column, rule: Rule, value: Any) -> Any:
    """An argument of the document as a value comparable with the column."""
    try:
        return _as_type(column, value)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise _unfit(
            contract, column, rule, f"{value!r} no es un valor de tipo {column.pg_type}"
        ) from error


def _as_type(column: Column, value: Any) -> Any:
    arrow_type = column.arrow_type
    if pa.types.is_boolean(arrow_type):
        return _as_boolean(value)
    if pa.types.is_integer(arrow_type) or pa.types.is_decimal(arrow_type):
        return Decimal(str(value))
    if pa.types.is_floating(arrow_type):
        return float(value)
    if pa.types.is_timestamp(arrow_type):
        return _as_moment(column, value)
    if pa.types.is_date(arrow_type):
        moment = value if isinstance(value, dt.date) else dt.datetime.fromisoformat(str(value))
        return moment.date() if isinstance(moment, dt.datetime) else moment
    return str(value)


def _as_boolean(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _as_moment(column: Column, value: Any) -> dt.datetime:
    """A moment; without a zone it is local time of the column, or of the city."""
    if isinstance(value, dt.datetime):
        moment = value
    elif isinstance(value, dt.date):
        moment = dt.datetime.combine(value, dt.time())
    else:
        moment = dt.datetime.fromisoformat(str(value))
    local = ZoneInfo(column.timezone) if column.timezone else _CITY_TIME
    if column.pg_type == "timestamp":
        return moment.astimezone(local).replace(tzinfo=None) if moment.tzinfo else moment
    return (moment if moment.tzinfo else moment.replace(tzinfo=local)).astimezone(dt.UTC)


def _unfit(contract: Contract, column: Column, rule: Rule, why: str) -> ContractError:
    return ContractError(
        f"{column.name}: la regla {RULE_NAMES[rule.kind]!r} no se puede usar: {why}.",
        dataset=contract.id,
        owner=contract.responsible or contract.owner,
        next_step=f"corrija la regla en {contract.path}.",
    )


def _cannot_evaluate(contract: Contract, column: Column, error: SchemaError) -> ContractError:
    """Says which rule, not the library's own text: that may quote values of the row."""
    return ContractError(
        f"{column.name}: no se pudo evaluar una de sus reglas ({error.reason_code}).",
        dataset=contract.id,
        owner=contract.responsible or contract.owner,
        next_step=f"revise las reglas de la columna en {contract.path}.",
    )

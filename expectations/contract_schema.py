"""Pandera schemas derived from contracts, applied to the Arrow batches of a load.

Belongs here: turning the rules of a contract into Pandera checks and their verdicts into rows
kept, rows quarantined and results. Does not belong here: rules of our own (`protocol`), casting,
or writing anything down.

A rule is one predicate over a column: true where the value is good, true or null where there is
none. Pandera's checks are made of these predicates, and they are asked by themselves first: most
batches have nothing wrong, and Pandera takes 10 ms to say so of a batch and, with pandas, 0.3 s and
60 MB to be imported. It explains the batches in which a predicate was false.

Pandera 0.35 on Arrow, as measured with narwhals 2.29: it takes tables only, knows no decimal type,
and hands back either a narwhals expression (checks: true = good) or a frame with a `check_output`
column (nulls: true = bad). Both are evaluated for the whole batch at once; no row is looked at in
Python unless it fails.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.batches import CheckedBatch, Finding, KeySampler, Tally, separate
from expectations.results import CheckResult
from sources.arrow_values import YES, from_numbers, from_texts
from sources.city import city_timezone
from sources.contract import Column, Contract, Rule
from sources.errors import ContractError

if TYPE_CHECKING:
    from pandera.errors import SchemaError
    from pandera.pyarrow import Check, DataFrameSchema, PyArrowData

# True where a value is good; a null counts as good.
Predicate = Callable[[Any], Any]
Comparison = Callable[[Any, Any], Any]

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
_CITY_TIME = city_timezone()
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

    def check(column: Column, rule: Rule) -> Check:
        # `n_failure_cases` spares Pandera a copy of every bad value.
        return Check(
            _on_column(predicate_of(contract, column, rule)),
            native=True,
            ignore_na=rule.kind != "required",
            name=f"{column.name}.{rule.kind}",
            n_failure_cases=1,
        )

    return DataFrameSchema(
        {
            column.name: SchemaColumn(
                None,
                [check(column, rule) for rule in checked_rules(column)],
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
        self._predicates = [
            (column.name, predicate_of(contract, column, rule))
            for column in contract.columns
            for rule in column.rules
        ]
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
        self._compare_types(batch)
        findings = [] if self._is_good(batch) else self._findings(batch)
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

    def _compare_types(self, batch: pa.RecordBatch) -> None:
        """Raise ValueError when a column of the contract is missing or of another type."""
        names = batch.schema.names
        wanted = self._contract.arrow_schema
        if missing := [name for name in wanted.names if name not in names]:
            raise ValueError(f"{self._contract.id}: faltan columnas en el lote: {missing}")
        if differences := [
            f"{field.name} llegó como {found}, el contrato dice {field.type}"
            for field in wanted
            if (found := batch.schema.field(field.name).type) != field.type
        ]:
            raise ValueError(f"{self._contract.id}: {'; '.join(differences)}")

    def _is_good(self, batch: pa.RecordBatch) -> bool:
        """Whether no predicate is false anywhere; one that cannot be evaluated is not good."""
        try:
            return all(
                pc.all(predicate(batch.column(name)), min_count=0).as_py()
                for name, predicate in self._predicates
            )
        except pa.ArrowException:
            return False

    @functools.cached_property
    def _schema(self) -> DataFrameSchema:
        return schema_of(self._contract)

    def _findings(self, batch: pa.RecordBatch) -> list[Finding]:
        from pandera.config import ValidationDepth, config_context
        from pandera.errors import SchemaErrors

        table = pa.Table.from_batches([batch.select(self._contract.arrow_schema.names)])
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


def predicate_of(contract: Contract, column: Column, rule: Rule) -> Predicate:
    """What `rule` asks of the values of `column`, an Arrow array of the contract's type.

    Raises ContractError when its argument does not fit the type of the column.
    """
    if rule.kind == "required":
        return _is_present(column)
    if rule.kind in ("pattern", "min_length", "max_length"):
        if column.pg_type not in ("text", "jsonb"):
            raise _unfit(contract, column, rule, "solo se aplica a columnas de texto")
        return _text_predicate(contract, column, rule)
    if rule.kind == "allowed":
        values = [_literal(contract, column, rule, value) for value in rule.argument]
        return _is_one_of(_allowed(column, values))
    if column.arrow_type in (pa.string(), pa.bool_()):
        raise _unfit(contract, column, rule, "no se puede comparar con un límite")
    value = _literal(contract, column, rule, rule.argument)
    try:
        scalar = _scalar(column, _bound(rule.kind, column, value))
    except (OverflowError, InvalidOperation, pa.ArrowInvalid) as error:
        raise _unfit(contract, column, rule, "el límite tiene demasiados dígitos") from error
    compare: Comparison = pc.greater_equal if rule.kind == "minimum" else pc.less_equal
    return lambda values: compare(values, scalar)


def _text_predicate(contract: Contract, column: Column, rule: Rule) -> Predicate:
    if rule.kind == "pattern":
        # As in JSON Schema, on which the standard leans: found anywhere unless it says ^ and $.
        pattern = rule.argument
        if _arrow_can_match(pattern):
            return lambda values: pc.match_substring_regex(values, pattern)
        return _matches_in_python(pattern)
    try:
        length = int(rule.argument)
    except (TypeError, ValueError) as error:
        raise _unfit(contract, column, rule, "el largo debe ser un número entero") from error
    compare: Comparison = pc.greater_equal if rule.kind == "min_length" else pc.less_equal
    bound = from_numbers(np.array([length], np.int64))[0]
    return lambda values: compare(pc.utf8_length(values), bound)


def _is_present(column: Column) -> Predicate:
    """True where there is a value. A blank text is a value here; the protocol is stricter."""
    not_a_number = pa.types.is_floating(column.arrow_type)
    return lambda values: pc.invert(pc.is_null(values, nan_is_null=not_a_number))


def _is_one_of(allowed: pa.Array[Any]) -> Predicate:
    return lambda values: _or_null(pc.is_in(values, value_set=allowed), values)


def _matches_in_python(pattern: str) -> Predicate:
    """For what Arrow's RE2 lacks, such as look-ahead: each distinct value once, in Python."""
    expression = re.compile(pattern, re.ASCII)

    def predicate(values: Any) -> Any:
        distinct = pc.unique(values).drop_null()
        matching = [value for value in distinct.to_pylist() if expression.search(value)]
        return _or_null(pc.is_in(values, value_set=pa.array(matching, values.type)), values)

    return predicate


def _or_null(good: Any, values: Any) -> Any:
    return pc.or_(good, pc.is_null(values))


def _on_column(predicate: Predicate) -> Callable[[PyArrowData], Any]:
    """A predicate as Pandera calls a check."""
    return lambda data: predicate(data.table[data.key])


def _has_types(contract: Contract) -> Callable[[PyArrowData], bool]:
    wanted = contract.arrow_schema.types

    def check(data: PyArrowData) -> bool:
        return list(data.table.schema.types) == wanted

    return check


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
    return _one_chunk(pc.invert(pc.fill_null(good, YES)))


def _one_chunk(column: pa.ChunkedArray[Any]) -> pa.BooleanArray:
    return cast("pa.BooleanArray", column.combine_chunks())


def _arrow_can_match(pattern: str) -> bool:
    try:
        pc.match_substring_regex(from_texts([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _allowed(column: Column, values: list[Any]) -> Any:
    if column.arrow_type == pa.string():
        return from_texts(values)
    return pa.array(values, column.arrow_type)


def _scalar(column: Column, bound: Any) -> Any:
    """A bound to compare with a column; a number that the column cannot hold has its own type.

    Raises OverflowError or ArrowInvalid for a number with too many digits.
    """
    kind: Any = column.arrow_type
    if isinstance(bound, int):
        return from_numbers(np.array([bound], np.int64))[0]
    if isinstance(bound, Decimal) and len(bound.as_tuple().digits) <= kind.precision:
        return pc.cast(from_texts([f"{bound:f}"]), kind)[0]
    if isinstance(bound, float):
        return from_numbers(np.array([bound], np.float64))[0]
    if isinstance(bound, dt.date):
        return pc.cast(from_texts([bound.isoformat()]), kind)[0]
    return pa.scalar(bound)


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
        owner=contract.accountable,
        next_step=f"corrija la regla en {contract.path}.",
    )


def _cannot_evaluate(contract: Contract, column: Column, error: SchemaError) -> ContractError:
    """Says which rule, not the library's own text: that may quote values of the row."""
    return ContractError(
        f"{column.name}: no se pudo evaluar una de sus reglas ({error.reason_code}).",
        dataset=contract.id,
        owner=contract.accountable,
        next_step=f"revise las reglas de la columna en {contract.path}.",
    )

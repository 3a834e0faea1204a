"""Where a value stands in a record that has no columns of its own: positions, parents, elements.

Belongs here: the options of a contract that say so, as typed values, checked when the contract is
read. Does not belong here: reading (`readers/fixed.py`, `readers/jsonlines.py`).

Two kinds of record need it:
  * fixed records: each line is a record of a type, each value a range of characters; a value may
    stand in an earlier record of another type (the meter's, above its readings);
  * documents with a list of measurements: one row per element of the list, with times that advance
    by a step and registers that grow by the elements.

Messages that come over MQTT are such documents; how they are gathered stands here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sources.errors import ContractError

if TYPE_CHECKING:
    from sources.contract import Column, Contract

# Custom properties of a column that say where its value stands.
COLUMN_LAYOUT = ("position", "record", "step", "adds")
# Ends a path's name where one element of a list is meant: `object.deltaVolumes[]`.
ELEMENT = "[]"
# Two micro-batches must fit into the messages a broker may leave unacknowledged (65,535).
_MOST_MESSAGES = 30_000
_POSITION = re.compile(r"^(\d{1,5})-(\d{1,5})$")
_STEP = re.compile(r"^(-?)PT(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?$")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `stop` of a line, counted from 0, `stop` not included."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class FixedLayout:
    """How a file of fixed records is taken apart.

    `spans` by contract column, `parents` the record type of the columns that stand in an earlier
    record. Without `type_span` every line is a data record. `trailer` is the type of the record
    that ends a file and `count_span` where it says how many data records there are.
    """

    spans: Mapping[str, Span]
    parents: Mapping[str, str]
    type_span: Span | None
    data_type: str | None
    ignored: frozenset[str]
    trailer: str | None
    count_span: Span | None
    length: int | None
    skipped_lines: int

    @property
    def known_types(self) -> frozenset[str]:
        """Every record type that may occur beside the data."""
        trailer = {self.trailer} if self.trailer else set()
        return self.ignored | frozenset(self.parents.values()) | trailer


@dataclass(frozen=True, slots=True)
class Unrolling:
    """One row per element of the list at `list_path`, `with_base` one more row in front.

    `elements` gives, by contract column, the path within an element ('' = the element itself);
    `steps` how far a time advances per element (the first element is one step after the base);
    `sums` the path within an element whose values are added up onto a column.
    """

    list_path: str
    with_base: bool
    elements: Mapping[str, str]
    steps: Mapping[str, timedelta]
    sums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveLayout:
    """How messages are subscribed to and gathered.

    A micro-batch is landed at `flush_messages` messages or `flush_seconds` after its first one,
    whichever comes first. The broker keeps what comes while nobody listens for `session_days`.
    """

    topics: tuple[str, ...]
    client_id: str
    flush_messages: int
    flush_seconds: float
    session_days: int


def check_layout(contract: Contract) -> None:
    """Raise ContractError for options that a reader could not follow."""
    if contract.kind == "fixed":
        fixed_layout(contract)
    elif contract.kind == "jsonl":
        unrolling(contract)
        if contract.is_live:
            live_layout(contract)
    else:
        for column in contract.columns:
            if column.layout:
                raise _wrong(
                    contract,
                    f"{column.name}: `{next(iter(column.layout))}` no vale para {contract.kind}",
                )


def fixed_layout(contract: Contract) -> FixedLayout:
    """The layout a contract of fixed records declares; ContractError names what is wrong."""
    options = contract.options
    spans: dict[str, Span] = {}
    parents: dict[str, str] = {}
    data_type = _text(options.get("recordType"))
    for column in contract.columns:
        if column.constant is not None:
            continue
        if "position" not in column.layout:
            raise _wrong(contract, f"{column.name}: falta `position` (p. ej. '3-14')")
        spans[column.name] = _span(contract, column.name, column.layout["position"])
        if parent := _text(column.layout.get("record")):
            parents[column.name] = parent
    type_span = _optional_span(contract, "recordTypePosition", options)
    if (type_span is None) != (data_type is None):
        raise _wrong(contract, "`recordTypePosition` y `recordType` van juntas")
    ignored = options.get("ignoredRecords") or []
    if not isinstance(ignored, list):
        raise _wrong(contract, "`ignoredRecords` debe ser una lista")
    trailer = _text(options.get("trailerRecord"))
    if type_span is None and (parents or ignored or trailer):
        raise _wrong(contract, "hay tipos de registro pero falta `recordTypePosition`")
    count_span = _optional_span(contract, "trailerCountPosition", options)
    if count_span is not None and trailer is None:
        raise _wrong(contract, "`trailerCountPosition` necesita `trailerRecord`")
    return FixedLayout(
        spans=spans,
        parents=parents,
        type_span=type_span,
        data_type=data_type,
        ignored=frozenset(str(item) for item in ignored),
        trailer=trailer,
        count_span=count_span,
        length=_count(contract, "recordLength", options, least=1),
        skipped_lines=_count(contract, "skipLines", options, least=0) or 0,
    )


def unrolling(contract: Contract) -> Unrolling | None:
    """How one document becomes several rows; None where each is one row."""
    elements: dict[str, str] = {}
    lists: set[str] = set()
    steps: dict[str, timedelta] = {}
    sums: dict[str, str] = {}
    for column in contract.columns:
        if column.constant is None and ELEMENT in column.source_name:
            elements[column.name] = _of_list(contract, column, column.source_name, lists)
        if "step" in column.layout:
            steps[column.name] = _step(contract, column)
        if "adds" in column.layout:
            if not column.pg_type.startswith(("numeric", "integer", "bigint")):
                raise _wrong(contract, f"{column.name}: `adds` es solo para números exactos")
            sums[column.name] = _of_list(contract, column, str(column.layout["adds"]), lists)
        if column.name in elements and (column.name in steps or column.name in sums):
            raise _wrong(contract, f"{column.name}: viene del elemento: no lleva `step` ni `adds`")
        if misplaced := column.layout.keys() & {"position", "record"}:
            raise _wrong(contract, f"{column.name}: `{misplaced.pop()}` no vale para jsonl")
    if len(lists) > 1:
        raise _wrong(contract, f"hay más de una lista: {', '.join(sorted(lists))}")
    if not lists:
        if steps:
            raise _wrong(contract, f"{next(iter(steps))}: `step` necesita una columna con `[]`")
        return None
    with_base = contract.options.get("unrollBase", False)
    if not isinstance(with_base, bool):
        raise _wrong(contract, "`unrollBase` debe ser true o false")
    return Unrolling(lists.pop(), with_base, elements, steps, sums)


def live_layout(contract: Contract) -> LiveLayout:
    """How a contract's messages come; ContractError names what is wrong."""
    options = contract.options
    found = options.get("topic")
    topics = tuple(str(topic) for topic in found) if isinstance(found, list) else (found,)
    if not all(isinstance(topic, str) and topic for topic in topics):
        raise _wrong(contract, "`topic` debe ser un tema de MQTT, o una lista de ellos")
    if contract.load_mode != "files":
        raise _wrong(contract, "los mensajes en vivo se cargan con `loadMode: files`")
    seconds = options.get("flushSeconds", 5)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        raise _wrong(contract, f"`flushSeconds` debe estar entre 0 y 3600, no {seconds!r}")
    messages = _count(contract, "flushMessages", options, least=1) or 500
    if messages > _MOST_MESSAGES:
        raise _wrong(contract, f"`flushMessages` puede ser hasta {_MOST_MESSAGES}")
    return LiveLayout(
        topics=tuple(str(topic) for topic in topics),
        client_id=str(options.get("clientId") or f"lujan-{contract.id}"),
        flush_messages=messages,
        flush_seconds=float(seconds),
        session_days=_count(contract, "sessionDays", options, least=1) or 7,
    )


def _of_list(contract: Contract, column: Column, path: str, lists: set[str]) -> str:
    """The path within an element; the list's own path joins `lists`."""
    before, mark, after = path.partition(ELEMENT)
    if not before or not mark or ELEMENT in after:
        raise _wrong(contract, f"{column.name}: {path!r} debe nombrar una lista, p. ej. datos[]")
    lists.add(before)
    return after.removeprefix(".")


def _step(contract: Contract, column: Column) -> timedelta:
    found = _STEP.match(str(column.layout["step"]))
    if (
        column.pg_type != "timestamptz"
        or column.format
        or found is None
        or not any(found.groups()[1:])
    ):
        raise _wrong(
            contract,
            f"{column.name}: `step` es para timestamptz en ISO 8601 y se escribe en horas, "
            "minutos y segundos, p. ej. PT1H o -PT15M",
        )
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    step = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -step if found[1] else step


def _optional_span(contract: Contract, key: str, options: Mapping[str, Any]) -> Span | None:
    return _span(contract, key, options[key]) if key in options else None


def _span(contract: Contract, what: str, value: Any) -> Span:
    """`'3-14'`: first and last character, counted from 1."""
    match = _POSITION.match(str(value))
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise _wrong(contract, f"{what}: la posición {value!r} debe ser como '3-14', desde 1")
    return Span(int(match[1]) - 1, int(match[2]))


def _count(contract: Contract, key: str, options: Mapping[str, Any], *, least: int) -> int | None:
    value = options.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _wrong(contract, f"`{key}` debe ser un número entero desde {least}, no {value!r}")
    return int(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _wrong(contract: Contract, what: str) -> ContractError:
    return ContractError(
        f"contrato {contract.path.name}: {what}.",
        dataset=contract.id,
        next_step=f"corrija {contract.path} (guía: docs/contratos.md); "
        "los demás conjuntos siguen cargándose.",
    )

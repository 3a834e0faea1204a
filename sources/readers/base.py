"""What every reader gives and takes: batches, rejected rows, files, options.

Belongs here: the values that pass between readers and their callers, and the few steps all
readers share (decoding text, adding constants, wording an error). Does not belong here: anything
that knows a format or an engine, or that changes a value (`sources/casting.py` turns the source's
text into the contract's types).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from sources.arrow_values import (
    from_flags,
    from_numbers,
    from_some_texts,
    from_texts,
    to_texts,
)
from sources.contract import Column, Contract
from sources.errors import DriftError, PipelineError, SourceDataError
from sources.names import folded, told_apart, unaccented
from sources.readers.arrow import Array, pc
from sources.urls import redact, variable

RULE_MALFORMED = "linea_malformada"
RULE_ENCODING = "codificacion_invalida"
RULE_IMPRECISE = "numero_impreciso"
# Key under which a row that could not be taken apart is kept whole.
WHOLE_LINE = "_linea"

# Python types that keep a type of their own as a column.
_KEPT_TYPES = frozenset({int, float, bool, bytes, Decimal, date, datetime})

Mask = npt.NDArray[np.bool_]
Error = TypeVar("Error", bound=PipelineError)

_BEYOND_64_BITS = 1 << 63


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be represented, verbatim, with what is wrong with it.

    `values` holds every value as text under the contract's column names; a row that could not even
    be taken apart stands whole under `_linea`. `rule`, for rows that readers and casting reject, is
    one of: linea_malformada, codificacion_invalida, tipo_invalido, fuera_de_rango, texto_con_nulo;
    from spreadsheets also: error_de_formula, formula_sin_valor, numero_impreciso.
    """

    row_number: int
    rule: str
    column: str | None
    reason: str
    values: dict[str, str | None]


# Pieces of a binary COPY: whole rows, without header and end mark.
Sent = tuple[memoryview, ...]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """What was read, under the contract's names, still as the source gave it.

    `data` holds the contract's columns, constants included, each as text or in an Arrow type of
    the source. `rows` numbers each row of `data` (1-based, per file for files); numbers missing
    from it are those of `rejected`. `skipped` counts rows that are not data (totals). `sent` has
    the same rows as PostgreSQL's binary COPY writes them, where they came so and every column is
    declared there as it is in raw; else it is empty.
    """

    data: pa.RecordBatch
    rows: pa.Int64Array
    file: str | None = None
    rejected: tuple[RejectedRow, ...] = ()
    skipped: int = 0
    sent: Sent = ()

    @property
    def first_row(self) -> int:
        """Number of the first row in the batch, rejected ones included; 0 when it holds none."""
        numbers = [row.row_number for row in self.rejected[:1]]
        if len(self.rows):
            numbers.append(self.rows[0].as_py())
        return min(numbers, default=0)

    @property
    def read(self) -> int:
        """Rows met at the source: good and rejected, without the skipped ones."""
        return self.data.num_rows + len(self.rejected)


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Limits and the outside world, injected so that tests need neither clock nor network.

    `statement_timeout_s` is the longest a statement may run at a database (None: no limit; the
    database reader fills it from the contract). `exact` asks a database reader for the way that
    cannot fail, after a faster one did: one connection, and what that could not take as text.
    `extra_slots(n)` asks for n more connections to the system and gives how many were granted.
    """

    connect_timeout_s: int = 10
    read_timeout_s: int = 600
    statement_timeout_s: int | None = None
    exact: bool = False
    extra_slots: Callable[[int], int] = lambda wanted: 0
    settle_seconds: float | None = None
    max_attempts: int = 5
    max_wait_s: float = 60.0
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


DEFAULT_OPTIONS = ReaderOptions()


class Reader(Protocol):
    """One dataset being read. Connections open on entering and close on leaving."""

    description: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def columns(self) -> tuple[str, ...]:
        """Every column found at the source under the source's own names, for drift."""
        ...

    def source_count(self) -> int | None:
        """Rows `batches` must give, counted by the source in the same snapshot; None if unknown."""
        ...

    def batches(self) -> Iterator[RawBatch]:
        """The rows, streamed: memory does not grow with the table. Call once."""
        ...


class ClosingReader(ABC):
    """A reader that holds something open from entering to leaving."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of everything; safe to call twice."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()


@dataclass(frozen=True)
class FeedFile:
    """One file of a feed.

    Its hash is read only when somebody asks for it; `hashing` gives it where it is known, or being
    read already.
    """

    name: str
    path: Path
    bytes: int
    mtime: float = field(compare=False)
    hashing: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def sha256(self) -> str:
        """Hash of the content as stored, read in blocks."""
        if self.hashing is not None:
            return self.hashing()
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def problem(
    kind: type[Error], contract: Contract, what: str, next_step: str, *, owner: str | None = None
) -> Error:
    """An error of ours that names dataset and owner; secrets in `what` are hidden."""
    return kind(
        redact(what),
        dataset=contract.id,
        owner=owner or contract.owner,
        next_step=redact(next_step),
    )


def unreadable(contract: Contract, name: str, why: object, next_step: str = "") -> SourceDataError:
    """The error for a file that cannot be read as a whole."""
    words = str(why)
    if "Truncated" in words or isinstance(why, EOFError):
        words = "está cortado: falta el final"
    return problem(
        SourceDataError,
        contract,
        f"no se puede leer el archivo {name}: {words}.",
        next_step or "pida que lo generen de nuevo; se volverá a leer en la próxima corrida.",
    )


def check_settings_hint(contract: Contract) -> str:
    return f"revise {variable(contract.system)} en el entorno o en `.env`."


def source_columns(contract: Contract) -> tuple[Column, ...]:
    """The columns a reader must bring; constants come from the contract itself."""
    return tuple(column for column in contract.columns if column.constant is None)


def match_columns(contract: Contract, found: Sequence[str], where: str) -> dict[str, int]:
    """Contract column name -> position in `found`.

    Names are compared without superfluous blanks; upper and lower case only matter where two
    columns of the source differ in nothing else. The second column of one name is `name (2)`
    (`names.told_apart`). Raises DriftError naming the contract's columns that are missing, or that
    came more than once without the contract saying which is meant; one that the document does not
    declare may come or not.
    """
    exact: dict[str, int] = {}
    folded: dict[str, list[int]] = {}
    for position, name in enumerate(told_apart(found, unnamed=True)):
        exact.setdefault(name, position)
        folded.setdefault(name.casefold(), []).append(position)
    _refuse_repeated(contract, found, where)
    matched: dict[str, int] = {}
    missing: list[str] = []
    for column in source_columns(contract):
        name = _trimmed(column.source_name)
        loose = folded.get(name.casefold(), [])
        if name in exact:
            matched[column.name] = exact[name]
        elif len(loose) == 1:
            matched[column.name] = loose[0]
        elif not column.undeclared:
            missing.append(column.source_name)
    if missing:
        raise missing_columns(contract, missing, found, where)
    return matched


def in_its_words(contract: Contract, header: Sequence[str]) -> list[str]:
    """A file's header, with the names the contract has for what people write otherwise.

    That is: with other accents, or by one of a column's `otherNames`. Only where the contract's own
    name did not come, and no more than one of the header can be meant.
    """
    names = list(header)
    came = {folded(name) for name in names}
    columns = source_columns(contract)
    taken = {folded(column.source_name) for column in columns if not column.undeclared}
    taken |= {folded(name) for name in contract.ignored_columns}
    # A column of its own until now is another one's only where the contract says so.
    known = {folded(column.source_name) for column in columns if column.undeclared}
    free: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name.strip() and folded(name) not in taken:
            free.setdefault(unaccented(name), []).append(place)
    for column in columns:
        if column.undeclared or folded(column.source_name) in came:
            continue
        own, others = unaccented(column.source_name), set(map(unaccented, column.other_names))
        places = [place for name in others for place in free.get(name, ())]
        if own not in others:
            places += [at for at in free.get(own, ()) if folded(names[at]) not in known]
        if len(places) == 1:
            names[places[0]] = column.source_name
    return names


def _trimmed(name: str) -> str:
    return " ".join(name.split())


def _refuse_repeated(contract: Contract, found: Sequence[str], where: str) -> None:
    """Raise DriftError for a column of the contract that came twice: either may be the one meant.

    No doubt where the contract names the others, too, to be loaded or not: `monto`, `monto (2)`.
    """
    times = Counter(map(_trimmed, found))
    named = {_trimmed(column.source_name) for column in source_columns(contract)}
    known = named | {_trimmed(name) for name in contract.ignored_columns}
    repeated = [
        name
        for name in sorted(named)
        if times[name] > 1 and any(f"{name} ({n})" not in known for n in range(2, times[name] + 1))
    ]
    if repeated:
        error = problem(
            DriftError,
            contract,
            f"hay más de una columna de nombre {', '.join(repeated)} en {where} (sistema "
            f"{contract.system}), y no se sabe cuál es la del contrato. La tabla conserva sus "
            "últimos datos buenos.",
            "pida un nombre distinto para cada una; si siempre viene así, nombre las demás en "
            f"{contract.path.name}: la segunda es `{repeated[0]} (2)`, en `physicalName` o en "
            "`ignoredColumns`.",
        )
        error.columns = tuple(repeated)
        raise error


def totals_pattern(contract: Contract) -> str | None:
    """What the first value of a row begins with that is no data, by `totalsLabel`; None: nothing.

    An expression for Python and Arrow alike.
    """
    labels = contract.options.get("totalsLabel") or ()
    words = [labels] if isinstance(labels, str) else labels
    any_of = "|".join(re.escape(" ".join(word.split())) for word in words)
    return rf"(?i)^\s*(?:{any_of})(?:[\s:]|$)" if any_of else None


_NAMES_SHOWN, _NAME_SHOWN = 40, 80


def missing_columns(
    contract: Contract, missing: Sequence[str], found: Sequence[str], where: str
) -> DriftError:
    """The error for columns of the contract that the source does not have."""
    several = len(missing) > 1
    # Read in another encoding, names hold zero bytes, which no text of PostgreSQL can.
    names = ("".join(c for c in name if c.isprintable()).strip() for name in found[:_NAMES_SHOWN])
    # What is so long is no name but the content of a file that is something else.
    seen = ", ".join(f"{n[:_NAME_SHOWN]}…" if len(n) > _NAME_SHOWN else n for n in names)
    if len(found) > _NAMES_SHOWN:
        seen = f"{seen} y {len(found) - _NAMES_SHOWN} más"
    seen = seen or "ninguna"
    error = problem(
        DriftError,
        contract,
        f"{'faltan las columnas' if several else 'falta la columna'} {', '.join(missing)} en "
        f"{where} (sistema {contract.system}). Columnas encontradas: {seen}. "
        "La tabla conserva sus últimos datos buenos.",
        "confirme el cambio con el área; si es definitivo, actualice el contrato "
        f"{contract.path.name}.",
    )
    error.columns = tuple(missing)
    return error


def build_batch(
    contract: Contract,
    columns: Mapping[str, Array],
    rows: npt.NDArray[np.int64],
    *,
    file: str | None = None,
    rejected: Iterable[RejectedRow] = (),
    skipped: int = 0,
) -> RawBatch:
    """A RawBatch of these columns (by contract name, all of `len(rows)`), constants added.

    Binary columns are text in UTF-8: rows whose bytes are not go to `rejected`. A column that the
    document does not declare is text, null where it did not come, and never costs a row.
    """
    undeclared = {column.name for column in contract.columns if column.undeclared}
    if undeclared:
        columns = {n: undeclared_text(a) if n in undeclared else a for n, a in columns.items()}
    decoded, bad = _decode(columns)
    held = list(rejected)
    if bad is not None:
        held.extend(_undecodable(contract, decoded, rows, bad))
        keep = from_flags(~bad)
        decoded = {name: array.filter(keep) for name, array in decoded.items()}
        rows = rows[~bad]
    names, arrays = [], []
    for column in contract.columns:
        if column.constant is not None:
            names.append(column.name)
            arrays.append(pa.repeat(from_texts([column.constant])[0], len(rows)))
        elif column.name in decoded:
            names.append(column.name)
            arrays.append(decoded[column.name])
        elif column.undeclared:
            names.append(column.name)
            arrays.append(pa.nulls(len(rows), pa.string()))
    return RawBatch(
        data=pa.RecordBatch.from_arrays(arrays, names=names),
        rows=from_numbers(rows),
        file=file,
        rejected=tuple(sorted(held, key=lambda row: row.row_number)),
        skipped=skipped,
    )


def key_batch(contract: Contract, columns: Mapping[str, Array]) -> pa.RecordBatch:
    """Key and cursor in the contract's order, constants included; no row is ever left out."""
    decoded, _ = _decode(columns)
    length = len(next(iter(decoded.values())))
    wanted = [c for c in contract.columns if c.primary_key or c.name in decoded]
    arrays = [
        decoded[column.name]
        if column.constant is None
        else pa.repeat(from_texts([column.constant])[0], length)
        for column in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in wanted])


def column_from_values(values: Sequence[Any]) -> Array:
    """One column of Python values as Arrow: a type of its own where all agree, else their text.

    Never raises for a value: what Arrow cannot hold is given as text, verbatim, and text that is
    not valid Unicode as the bytes it came from, so that only its own row is rejected later.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values), pa.string())
    if kinds == {str}:
        return _text_array(values)
    if len(kinds) == 1 and kinds <= _KEPT_TYPES and not _mixes_zones(kinds, values):
        try:
            return pa.array(in_utc(values) if kinds == {datetime} else values)
        except (pa.ArrowException, OverflowError, ValueError):
            pass  # a value beyond Arrow's range: the column goes as text
    return _text_array([as_text(value) for value in values])


def column_from_json(column: Column, values: Sequence[Any]) -> Array:
    """The same of values of JSON: in a text column each number as it was written.

    As a column of decimals all would have the digits of the longest: 1.5 beside 2.25 were 1.50.
    """
    if column.pg_type == "text":
        values = [str(value) if type(value) is Decimal else value for value in values]
    return column_from_values(values)


def in_utc(values: Sequence[Any]) -> list[Any]:
    """Aware times of any zone as the same instants in UTC; naive ones and None as they are.

    Needed before `pa.array`: once Pandera's engines are imported (0.35 with Arrow 26), it takes the
    local clock of an aware datetime for UTC, without an error.
    """
    return [v.astimezone(UTC) if v is not None and v.tzinfo is not None else v for v in values]


def _mixes_zones(kinds: set[type], values: Sequence[Any]) -> bool:
    if kinds != {datetime}:
        return False
    return len({value.tzinfo is None for value in values if value is not None}) > 1


def as_text(value: Any) -> str | None:
    """A single value as the text a person would recognise; structures as JSON."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case bytes():
            return decode_leniently(value)
        case dict() | list():
            return _json_text(value)
        case _:
            return str(value)


def _json_text(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_in_json).decode()
    except TypeError:  # a whole number of more than 64 bits, or half a character
        return orjson.dumps(_written_out(value), default=_in_json).decode()


def _written_out(value: Any) -> Any:
    """The same with what orjson does not take as it is written: long numbers, half characters."""
    match value:
        case dict():
            return {_without_halves(name): _written_out(item) for name, item in value.items()}
        case list():
            return [_written_out(item) for item in value]
        case int() if abs(value) >= _BEYOND_64_BITS:
            return orjson.Fragment(str(value))
        case str() if _without_halves(value) != value:
            return orjson.Fragment(json.dumps(value))
        case _:
            return value


def _without_halves(text: str) -> str:
    """Text with the halves of characters that came alone as they are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _in_json(value: Any) -> Any:
    """What JSON has no type for, as text; an exact number is a number, as it was written."""
    return orjson.Fragment(str(value)) if isinstance(value, Decimal) else str(value)


def decode_leniently(value: bytes) -> str:
    """UTF-8 where it is, otherwise one character per byte so that nothing is lost."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def undeclared_text(array: Array) -> Array:
    """Any column as text that PostgreSQL can hold: `\\x` and hexadecimal digits for a value that is
    no valid UTF-8 or has a NUL."""
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        try:
            text = pc.cast(array, pa.string())
        except pa.ArrowInvalid:
            return from_some_texts([_text_or_hex(value) for value in array.to_pylist()])
    elif pa.types.is_string(array.type):
        text = array
    else:
        text = from_some_texts(verbatim(array))
    if pc.any(pc.match_substring(text, "\x00")).as_py():
        values = [None if v is None else v.encode() for v in text.to_pylist()]
        return from_some_texts([_text_or_hex(value) for value in values])
    return text


def _text_or_hex(value: bytes | None) -> str | None:
    if value is None:
        return None
    return f"\\x{value.hex()}" if b"\x00" in value or not _is_utf8(value) else value.decode()


def verbatim(array: Array) -> list[str | None]:
    """Values of any Arrow column as text."""
    if pa.types.is_string(array.type):
        return list(array.to_pylist())
    try:
        return list(to_texts(array).to_pylist())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return [as_text(value) for value in array.to_pylist()]


def row_values(
    contract: Contract, columns: Mapping[str, Array], indices: npt.NDArray[np.int64]
) -> list[dict[str, str | None]]:
    """The rows at `indices` as text under the contract's column names.

    Constants are left out, and what the document does not declare: nobody has classified it.
    """
    taken = from_numbers(indices)
    texts = {
        column.name: verbatim(columns[column.name].take(taken))
        for column in source_columns(contract)
        if column.name in columns and not column.undeclared
    }
    return [{name: values[at] for name, values in texts.items()} for at in range(len(indices))]


def _text_array(values: Sequence[str | None]) -> Array:
    try:
        return from_some_texts(values)
    except UnicodeEncodeError:
        return pa.array([None if v is None else _bytes_of(v) for v in values], pa.binary())


def _bytes_of(text: str) -> bytes:
    """The bytes a text came from; no UTF-8 where it has half a character, as JSON may."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _decode(columns: Mapping[str, Array]) -> tuple[dict[str, Array], Mask | None]:
    """Binary columns as text, and the rows in which some byte was not UTF-8 (None: no row)."""
    decoded: dict[str, Array] = {}
    bad: Mask | None = None
    for name, array in columns.items():
        if not pa.types.is_binary(array.type):
            decoded[name] = array
            continue
        try:
            decoded[name] = pc.cast(array, pa.string())
        except pa.ArrowInvalid:
            values = array.to_pylist()
            here = np.array([value is not None and not _is_utf8(value) for value in values])
            bad = here if bad is None else bad | here
            decoded[name] = from_some_texts(
                [None if value is None else decode_leniently(value) for value in values]
            )
    return decoded, bad


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(
    contract: Contract, columns: Mapping[str, Array], rows: npt.NDArray[np.int64], bad: Mask
) -> Iterator[RejectedRow]:
    indices = np.flatnonzero(bad)
    for index, values in zip(indices, row_values(contract, columns, indices), strict=True):
        yield RejectedRow(
            row_number=int(rows[index]),
            rule=RULE_ENCODING,
            column=None,
            reason="la fila tiene bytes que no son texto válido; se guarda un carácter por byte",
            values=values,
        )

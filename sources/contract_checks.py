"""What a contract may say: its options and modes, alone and against each other.

Belongs here: checks of our own keys (`customProperties`) and of contracts that share a table, each
with an error that names the key. Does not belong here: the standard's structure
(`contract_document.py`), rules on whole tables (`table_rules.py`) or where a value stands in a
record (`layouts.py`), which are checked where they are read.

Every check takes `problem`, which makes the error of the document at hand, and raises what it
makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from sources.contract import (
    CURSOR_MODES,
    DIMENSIONS,
    FILE_FORMATS,
    NEVER,
    NEW_COLUMNS,
    REVISIONS,
    SEVERITY_WORDS,
    Column,
    Contract,
    LoadMode,
    Severity,
)
from sources.errors import ContractError, Problem

_Value = TypeVar("_Value")

# Columns that PostgreSQL has in every table already.
RESERVED_NAMES = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
# A month's table is called `<table>_2026_01`, and PostgreSQL cuts a name at 63 bytes.
_LONGEST_DIVIDED = 63 - len("_2026_01")

# Year, half-year, quarter, month and figure: more rows are no header, but data read as one.
MOST_HEADER_ROWS = 5

_ISO_PERIOD = re.compile(
    r"^P(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?$"
)


def check_options(options: Mapping[str, Any], problem: Problem) -> None:
    """The values of our own keys have the type that the code expects."""
    expected: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
        ("loadMode", str, "un texto"),
        ("cursor", str, "un nombre de columna"),
        ("landingTable", str, "un nombre de tabla"),
        ("partitionBy", str, "un nombre de columna"),
        ("containsPersons", bool, "true o false"),
        ("archive", bool, "true o false"),
        ("detectEncoding", bool, "true o false"),
        ("onePage", bool, "true o false"),
        ("fileIdentity", str, "una expresión regular"),
        ("freshnessSeverity", str, "error o warning"),
        ("monitorSeverity", str, "error o warning"),
    )
    for key, kind, words in expected:
        if key in options and not isinstance(options[key], kind):
            raise problem(f"`{key}` debe ser {words}, no {options[key]!r}")
    ignored = options.get("ignoredColumns", [])
    if not isinstance(ignored, list) or not all(isinstance(name, str) for name in ignored):
        raise problem(f"`ignoredColumns` debe ser una lista de nombres, no {ignored!r}")
    left_out = options.get("exclude", [])
    if not isinstance(left_out, list) or not all(isinstance(name, str) for name in left_out):
        raise problem(f"`exclude` debe ser una lista de nombres de archivo, no {left_out!r}")
    words = options.get("missingValues", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise problem(f"`missingValues` debe ser una lista de textos entre comillas, no {words!r}")
    signs = options.get("numberSigns", [])
    if not isinstance(signs, list) or not all(_is_sign(sign) for sign in signs):
        raise problem(f"`numberSigns` debe ser una lista como ['$', '%'], sin cifras, no {signs!r}")
    labels = options.get("totalsLabel", [])
    labels = [labels] if isinstance(labels, str) else labels
    if not isinstance(labels, list) or not all(isinstance(x, str) and x.strip() for x in labels):
        raise problem(f"`totalsLabel` debe ser una palabra, o una lista de ellas, no {labels!r}")
    _check_numbers(options, problem)
    for key in ("freshnessSeverity", "monitorSeverity"):
        severity_of(f"`{key}`", options.get(key), problem)
    one_of("revisions", options, REVISIONS, "replace", problem)
    one_of("newColumns", options, NEW_COLUMNS, "add", problem)
    iso_period("statementTimeout", options.get("statementTimeout"), problem)
    if options.get("deletionsEvery") != NEVER:
        iso_period("deletionsEvery", options.get("deletionsEvery"), problem)
    if "fileIdentity" in options:
        _check_identity(options["fileIdentity"], problem)


def _is_sign(text: Any) -> bool:
    """Whether a text can stand beside a number and be no part of it."""
    return isinstance(text, str) and bool(text.strip()) and not re.search(r"[\d.,+-]", text)


def _check_numbers(options: Mapping[str, Any], problem: Problem) -> None:
    """Shares lie between 0 and 1, counts are whole and at least 1; true is no number."""
    for key in ("maxQuarantineShare", "maxDeletionShare"):
        value = options.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise problem(f"`{key}` debe ser un número entre 0 y 1, no {value!r}")
    for key in ("fetchRows", "maxConnections", "parallelRanges", "longestRowMb"):
        value = options.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise problem(f"`{key}` debe ser un número entero desde 1, no {value!r}")
    settle = options.get("settleSeconds", 0)
    if isinstance(settle, bool) or not isinstance(settle, int | float) or settle < 0:
        raise problem(f"`settleSeconds` debe ser un número de segundos, no {settle!r}")


def check_header_row(kind: str, options: Mapping[str, Any], problem: Problem) -> None:
    """The row of the titles: a number, or found by looking at the workbook; and how many rows."""
    rows = options.get("headerRows", 1)
    if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= MOST_HEADER_ROWS:
        words = f"un número de 1 a {MOST_HEADER_ROWS}"
        raise problem(f"`headerRows` debe ser {words}, no {rows!r}")
    row = options.get("headerRow", 1)
    if row == "auto" and kind == "xlsx":
        return
    if isinstance(row, bool) or not isinstance(row, int) or row < 1:
        words = "un número desde 1 o `auto`" if kind == "xlsx" else "un número desde 1"
        raise problem(f"`headerRow` debe ser {words}, no {row!r}")


def _check_identity(pattern: str, problem: Problem) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise problem(f"`fileIdentity`: expresión regular no válida: {error}") from error
    if groups < 1:
        raise problem(f"`fileIdentity` debe tener un grupo entre paréntesis: {pattern!r}")


def check_columns(columns: Sequence[Column], problem: Problem) -> None:
    """There are some, no two of one name, and none of a name that PostgreSQL keeps for itself."""
    if not columns:
        raise problem("la tabla no tiene columnas")
    names = [column.name for column in columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise problem(f"columnas repetidas: {', '.join(repeated)}")
    if reserved := sorted(RESERVED_NAMES.intersection(names)):
        raise problem(
            f"PostgreSQL se reserva el nombre {', '.join(reserved)}: dele otro a la columna en "
            "`name`; el del origen queda en `physicalName`"
        )


def check_partition(
    mode: str,
    partition_by: str | None,
    columns: Sequence[Column],
    landing_table: str,
    problem: Problem,
) -> None:
    """Months need a date, a name of their own, and, in a table with a key, that date in the key
    (PostgreSQL's rule)."""
    if not partition_by:
        return
    if len(landing_table) > _LONGEST_DIVIDED:
        raise problem(
            f"`partitionBy`: {landing_table} es un nombre demasiado largo para una tabla dividida "
            f"en meses; dele otro, de hasta {_LONGEST_DIVIDED} letras, en `landingTable`"
        )
    found = {column.name: column for column in columns}.get(partition_by)
    if found is None:
        raise problem(f"`partitionBy` nombra una columna ausente: {partition_by}")
    if found.pg_type not in ("date", "timestamp", "timestamptz"):
        raise problem(f"`partitionBy`: {partition_by} no es una fecha")
    keyed = mode != "files" and any(column.primary_key for column in columns)
    if keyed and not found.primary_key:
        raise problem(f"`partitionBy`: {partition_by} debe ser parte de la clave primaria")


def check_mode(
    kind: str, mode: str, *, cursor: str | None, columns: Sequence[Column], problem: Problem
) -> None:
    """The kind of source can be loaded that way, and a cursor can order its rows."""
    if mode not in get_args(LoadMode):
        raise problem(f"`loadMode` desconocido: {mode!r}")
    if mode == "files" and kind not in FILE_FORMATS:
        raise problem("`loadMode: files` es solo para archivos")
    if mode not in CURSOR_MODES:
        return
    if kind in FILE_FORMATS:
        raise problem("los archivos se cargan con `files` o `full`")
    by_name = {column.name: column for column in columns}
    if cursor not in by_name:
        raise problem(f"`cursor` nombra una columna ausente: {cursor!r}")
    if by_name[cursor].pg_type in ("boolean", "jsonb"):
        raise problem(f"`cursor`: {cursor} es {by_name[cursor].pg_type}, que no ordena")
    if mode == "incremental" and not any(column.primary_key for column in columns):
        raise problem("una carga incremental necesita clave primaria")


def shared_table_conflicts(contracts: Mapping[str, Contract]) -> list[ContractError]:
    """Feeds that share a table must agree on its columns, its partitions and how it is filled.

    The first contract of a table counts; one error per contract that contradicts it.
    """
    errors: list[ContractError] = []
    tables: dict[str, Contract] = {}
    types: dict[tuple[str, str], tuple[str, str]] = {}
    for contract in contracts.values():
        first = tables.setdefault(contract.landing_table, contract)
        problem = _table_conflict(contract, first) or _type_conflict(contract, types)
        if problem:
            errors.append(ContractError.of_document(contract.path, problem, contract.id))
            continue
        for column in contract.columns:
            types.setdefault((contract.landing_table, column.name), (column.pg_type, contract.id))
    return errors


def _table_conflict(contract: Contract, first: Contract) -> str:
    if contract is first:
        return ""
    if "files" not in {contract.load_mode} & {first.load_mode}:
        return (
            f"comparte la tabla {contract.raw_name} con {first.id}: solo es posible entre "
            "archivos con `loadMode: files`"
        )
    if contract.partition_by != first.partition_by:
        return (
            f"`partitionBy` es {contract.partition_by}, pero {first.id}, que llega a la misma "
            f"tabla {contract.raw_name}, declara {first.partition_by}"
        )
    return ""


def _type_conflict(contract: Contract, types: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    for column in contract.columns:
        pg_type, owner = types.get((contract.landing_table, column.name), (column.pg_type, ""))
        if pg_type != column.pg_type:
            return (
                f"{column.name} es {column.pg_type}, pero {owner}, que llega a la misma "
                f"tabla {contract.raw_name}, la declara {pg_type}"
            )
    return ""


def severity_of(name: str, value: str | None, problem: Problem) -> Severity:
    """The warehouse's word for the standard's `severity`; a rule that says nothing warns."""
    if value not in SEVERITY_WORDS:
        raise problem(f"{name}: `severity` debe ser error o warning, no {value!r}")
    return SEVERITY_WORDS[value]


def dimension_of(name: str, value: str | None, problem: Problem) -> str | None:
    """The Spanish word for a dimension, given in either language; None when none is given."""
    if value is None or value in DIMENSIONS.values():
        return value
    if value not in DIMENSIONS:
        raise problem(f"{name}: `dimension` {value!r} no es una de {', '.join(DIMENSIONS)}")
    return DIMENSIONS[value]


def iso_period(name: str, value: Any, problem: Problem) -> str | None:
    """A duration as ISO 8601 writes it (`P7D`, `PT2H`); None when none is given."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) < 3 or not _ISO_PERIOD.match(value):
        raise problem(f"`{name}` debe ser una duración ISO 8601, no {value!r}")
    return value


def check_lookback(value: Any, cursor: Column | None, problem: Problem) -> str | None:
    """How far behind its watermark a read begins, in what the cursor counts; None: not at all.

    A duration for a date or a time, a whole number for a number: one that could not be taken off
    would be a margin that nobody has.
    """
    if value is None or cursor is None or cursor.pg_type in ("date", "timestamp", "timestamptz"):
        return iso_period("lookback", value, problem)
    if cursor.pg_type == "text":
        raise problem(f"`lookback`: {cursor.name} es un texto, al que no se le puede restar nada")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise problem(
            f"`lookback`: {cursor.name} es un número, y el margen es otro, entero: no {value!r}"
        )
    return str(value)


def known(where: str, value: Any, allowed: Sequence[_Value], problem: Problem) -> _Value | None:
    """The one of `allowed` that `value` equals; None when none is given."""
    if value is None:
        return None
    for item in allowed:
        if item == value:
            return item
    words = ", ".join(str(item) for item in allowed)
    raise problem(f"{where} {value!r} no es uno de {words}")


def one_of(
    name: str, options: Mapping[str, Any], allowed: Sequence[str], default: str, problem: Problem
) -> str:
    """The option `name`, or `default` where it is not given."""
    value = str(options.get(name, default))
    if value not in allowed:
        raise problem(f"`{name}`: {value!r} no es uno de {', '.join(allowed)}")
    return value


def check_pattern(name: str, pattern: Any, problem: Problem) -> None:
    """A regular expression of column `name` that compiles."""
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise problem(f"{name}: expresión regular no válida: {error}") from error

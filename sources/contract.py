"""A dataset of the city as its contract describes it: immutable values and what follows from them.

Belongs here: `Contract`, `Column`, `Rule`, `Catalogue`, the words their fields may hold, and what
can be said from them alone. Does not belong here: reading a document (`contract_document.py`),
deciding whether it makes sense (`contract_checks.py`), or deriving checks (`expectations/`).

Every process that loads or asks imports this module, so it imports neither Pydantic nor the
standard's models at run time; only reading a document needs them.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from sources.table_rules import TableRule

if TYPE_CHECKING:
    from open_data_contract_standard.model import OpenDataContractStandard, Server

    from sources.errors import ContractError

LoadMode = Literal["full", "incremental", "append", "files"]
Severity = Literal["bloqueante", "advertencia"]
RetentionUnit = Literal["y", "m", "w", "d"]
CLASSIFICATIONS = ("sensible", "acceso_restringido", "libre_acceso")
PRIORITIES = ("critica", "normal")
# The standard's; the last is of a data set that the city does not have, or gave up.
RETIRED = "retired"
STATUSES = ("proposed", "draft", "active", "deprecated", RETIRED)
SEVERITIES: tuple[Severity, ...] = ("bloqueante", "advertencia")
# The standard's words for them; a rule that says nothing warns.
SEVERITY_WORDS: Mapping[str | None, Severity] = MappingProxyType(
    {"error": "bloqueante", "warning": "advertencia", None: "advertencia"}
)
RETENTION_UNITS: tuple[RetentionUnit, ...] = ("y", "m", "w", "d")
PROTOCOL_FIELDS = (
    "fecha_nacimiento",
    "genero",
    "etnia",
    "ingreso",
    "educacion",
    "ubicacion",
    "acceso_tecnologia",
    "alfabetizacion_digital",
    "discapacidad",
)
# The standard names the dimensions in English; the warehouse and its reports in Spanish.
DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "exactitud",
        "completeness": "completitud",
        "conformity": "validez",
        "consistency": "consistencia",
        "coverage": "completitud",
        "timeliness": "actualidad",
        "uniqueness": "unicidad",
    }
)
DATABASE_TYPES = ("postgresql", "mysql", "sqlserver")
FILE_FORMATS = ("csv", "jsonl", "parquet", "xlsx", "fixed")
REVISIONS = ("replace", "append")
NEW_COLUMNS = ("add", "ignore", "refuse")
NEVER = "never"
# Of fewer rows a share says nothing: one row of two may well be gone.
FEWEST_GUARDED_ROWS = 50
# Modes that go on from the highest cursor value of the load before.
CURSOR_MODES = ("incremental", "append")
NUMERIC = re.compile(r"^numeric\((\d+),(\d+)\)$")
# Beside numeric(p,s): the type in Arrow, and the standard's logical types it can carry.
PG_TYPES: Mapping[str, tuple[pa.DataType, tuple[str, ...]]] = MappingProxyType(
    {
        "smallint": (pa.int16(), ("integer",)),
        "integer": (pa.int32(), ("integer",)),
        "bigint": (pa.int64(), ("integer",)),
        "double precision": (pa.float64(), ("number",)),
        "boolean": (pa.bool_(), ("boolean",)),
        # A date or a number may be kept as text when the source writes it in a way that only
        # staging can read; the logical type still says what it means.
        "text": (pa.string(), ("string", "date", "number", "integer", "timestamp", "boolean")),
        "date": (pa.date32(), ("date",)),
        "timestamp": (pa.timestamp("us"), ("timestamp",)),
        "timestamptz": (pa.timestamp("us", tz="UTC"), ("timestamp",)),
        "jsonb": (pa.string(), ("object", "array")),
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on one column, or on the whole row when `column` is empty.

    `kind` is one of: required, allowed, minimum, maximum, pattern, min_length, max_length.
    """

    kind: str
    column: str
    argument: Any
    severity: Severity
    description: str
    dimension: str = "validez"

    @property
    def name(self) -> str:
        return f"{self.column}.{self.kind}" if self.column else self.kind


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset: where it comes from, what it holds, who may see it."""

    name: str
    source_name: str
    logical_type: str
    pg_type: str
    description: str
    required: bool
    unique: bool
    primary_key: bool
    classification: str
    format: str | None
    timezone: str | None
    constant: str | None
    unit: str | None
    protocol_field: str | None
    rules: tuple[Rule, ...]
    # What a value against the protocol costs its row; None = what the protocol says for the field.
    protocol_severity: Severity | None = None
    # Digits behind a decimal point that the source does not write: 000123456 is 123.456 with three.
    implied_decimals: int = 0
    # Where the value stands in a record, for readers (`sources/layouts.py` gives them their types).
    layout: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), hash=False, repr=False
    )
    # How files call it, too, at times.
    other_names: tuple[str, ...] = ()
    # Found at the source and not in the document (`landing/new_columns.py`).
    undeclared: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type every batch is cast to before it is written."""
        if match := NUMERIC.match(self.pg_type):
            return pa.decimal128(int(match[1]), int(match[2]))
        return PG_TYPES[self.pg_type][0]


@dataclass(frozen=True, slots=True)
class Contract:
    """A dataset of the city as its contract describes it."""

    id: str
    system: str
    dataset: str
    title: str
    version: str
    description: str
    domain: str
    kind: str
    server: Server
    options: Mapping[str, Any]
    source_table: str
    columns: tuple[Column, ...]
    load_mode: LoadMode
    cursor: str | None
    lookback: str | None
    landing_table: str
    partition_by: str | None
    owner: str | None
    responsible: str | None
    champion: str | None
    people: Mapping[str, str]
    frequency: str | None
    classification: str
    priority: str
    has_people: bool
    max_quarantine_share: float
    path: Path
    sha256: str
    document: OpenDataContractStandard = field(repr=False, compare=False)
    table_rules: tuple[TableRule, ...] = ()
    retention: tuple[int, RetentionUnit] | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the primary-key columns, in order; empty when the dataset has none."""
        return tuple(column.name for column in self.columns if column.primary_key)

    def retention_from(self, today: dt.date) -> dt.date | None:
        """First day to be kept by `retention` of `slaProperties`; None when it names none."""
        return _before(today, *self.retention) if self.retention else None

    @property
    def declared(self) -> tuple[Column, ...]:
        """The columns of the document, without those that a load added from the source."""
        return tuple(column for column in self.columns if not column.undeclared)

    @property
    def new_columns(self) -> str:
        """What becomes of a column that the document does not name: add, ignore or refuse."""
        return str(self.options.get("newColumns", NEW_COLUMNS[0]))

    @property
    def is_read(self) -> bool:
        """Whether its source is asked for rows; of a retired one the table stays as it is."""
        return self.document.status != RETIRED

    @property
    def from_files(self) -> bool:
        return self.kind in FILE_FORMATS

    @property
    def is_live(self) -> bool:
        """Whether its rows come as messages (`lujan live`) and not from a folder."""
        return self.options.get("transport") == "mqtt"

    @property
    def has_watermark(self) -> bool:
        """Whether a load goes on from the highest cursor value of the one before."""
        return self.load_mode in CURSOR_MODES

    @property
    def deletions_every(self) -> str | None:
        """Longest time between two comparisons of all keys with the source; None: never."""
        value = str(self.options.get("deletionsEvery", "P7D"))
        return None if value == NEVER else value

    @property
    def max_deletion_share(self) -> float:
        """Largest part (0 to 1) of a table of 50 rows or more that one load may remove."""
        return float(self.options.get("maxDeletionShare", self.max_quarantine_share))

    def may_lose(self, gone: int, stood: int) -> bool:
        """Whether one load may remove `gone` of `stood` rows."""
        return stood < FEWEST_GUARDED_ROWS or gone <= self.max_deletion_share * stood

    @property
    def freshness_severity(self) -> Severity:
        """What being overdue costs: `bloqueante` withholds what is made from the dataset."""
        return SEVERITY_WORDS[self.options.get("freshnessSeverity")]

    @property
    def monitor_severity(self) -> Severity:
        """What a surprising volume, share or distribution costs."""
        return SEVERITY_WORDS[self.options.get("monitorSeverity")]

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns of the source that the city knows of and chose not to load."""
        return tuple(self.options.get("ignoredColumns", ()))

    @property
    def max_connections(self) -> int:
        """Most connections to the system at once, over all processes."""
        return int(self.options.get("maxConnections", 2))

    @property
    def accountable(self) -> str | None:
        """Who answers for the data: the person named for it, else the owner."""
        return self.responsible or self.owner

    @property
    def raw_name(self) -> str:
        """`raw.<table>` as people and `meta` write it."""
        return f"raw.{self.landing_table}"

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, column.arrow_type) for column in self.columns])

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every contract that can be used, and the errors of those that cannot.

    One broken document must not stop the datasets of the other systems.
    """

    contracts: Mapping[str, Contract]
    errors: tuple[ContractError, ...]

    def systems(self) -> dict[str, list[Contract]]:
        """Contracts by system, both in alphabetical order."""
        found: dict[str, list[Contract]] = {}
        for contract in self.contracts.values():
            found.setdefault(contract.system, []).append(contract)
        return found

    def by_landing_table(self) -> dict[str, list[Contract]]:
        """Contracts by raw table: several feeds may share one normalised table."""
        found: dict[str, list[Contract]] = {}
        for contract in self.contracts.values():
            found.setdefault(contract.landing_table, []).append(contract)
        return found


def _before(day: dt.date, count: int, unit: str) -> dt.date:
    """The day `count` years, months, weeks or days before; the last of a shorter month."""
    if unit in ("y", "m"):
        months = day.year * 12 + day.month - 1 - count * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
    return day - dt.timedelta(days=count * (7 if unit == "w" else 1))

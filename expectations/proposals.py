"""Rules that the history of a dataset suggests, for a person to accept.

Belongs here: reading profiles, suggesting ODCS `quality` elements with the evidence behind each,
and writing accepted ones into a contract's file. Does not belong here: measuring (`profiles.py`).
Nothing is ever added by itself: what was always so need not be a rule.

Columns that are not open have no figures but nulls, so only those can be suggested for them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from sources.contract import Column, Contract
from sources.contract_document import load_contract
from sources.errors import ContractError
from sources.wording import counted, number, percent

FEWEST_RUNS = 5
FEWEST_ROWS = 100
MOST_VALUES = 15
# Room on both sides of what was seen, as a share of the range seen.
MARGIN = 0.2
_LATEST_RUNS = 60
_DIMENSIONS = {"validez": "conformity", "completitud": "completeness", "unicidad": "uniqueness"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """One `quality` element for `column`, and why: runs and rows seen, and the room left."""

    column: str
    element: Mapping[str, Any]
    runs: int
    rows: int
    evidence: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """One profile of a column."""

    rows: int
    measured: int
    nulls: int
    distinct: int | None
    low: str | None
    high: str | None
    values: Mapping[str, int] | None
    patterns: Sequence[tuple[str, int]] | None


def propose(
    connection: psycopg.Connection[Any],
    contract: Contract,
    *,
    fewest_runs: int = FEWEST_RUNS,
    margin: float = MARGIN,
) -> list[Proposal]:
    """What held in every one of the last profiles and no rule says yet, in order of the columns.

    Nothing below `fewest_runs` profiles or `FEWEST_ROWS` rows in all.
    """
    history = _history(connection, contract)
    found: list[Proposal] = []
    for column in contract.columns:
        seen = history.get(column.name, [])
        rows = sum(one.measured for one in seen)
        if len(seen) < fewest_runs or rows < FEWEST_ROWS or column.constant is not None:
            continue
        for element, evidence in _suggest(contract, column, seen, margin):
            found.append(Proposal(column.name, element, len(seen), rows, evidence))
    return found


def _suggest(
    contract: Contract, column: Column, seen: Sequence[_Seen], margin: float
) -> list[tuple[dict[str, Any], str]]:
    said = {rule.kind for rule in column.rules}
    on_table = {rule.kind for rule in contract.table_rules if column.name in rule.columns}
    found: list[tuple[dict[str, Any], str]] = []
    if "required" not in said and "missing" not in on_table and not any(s.nulls for s in seen):
        found.append((
            _element("nullValues", "completitud", f"{column.name} no falta."),
            "nunca faltó",
        ))  # fmt: skip
    if not (said & {"allowed", "pattern", "minimum", "maximum"} or "invalid" in on_table):
        found += _values(column, seen) or _range(column, seen, margin)
    whole = all(s.rows == s.measured for s in seen) and contract.load_mode == "full"
    if (
        whole
        # A measurement that never repeated did so by chance.
        and column.pg_type in ("text", "smallint", "integer", "bigint")
        and not column.unique
        and "duplicates" not in on_table
        and all(s.distinct == s.measured - s.nulls and s.distinct > 1 for s in seen)
    ):
        found.append((
            _element("duplicateValues", "unicidad", f"{column.name} no se repite."),
            "nunca se repitió",
        ))  # fmt: skip
    return found


def _values(column: Column, seen: Sequence[_Seen]) -> list[tuple[dict[str, Any], str]]:
    """A closed list: few values, all of them seen in every run, covering every row."""
    if column.pg_type != "text" or not all(s.values for s in seen):
        return []
    first = set(seen[0].values or ())
    complete = all(
        set(s.values or ()) == first and sum((s.values or {}).values()) == s.measured - s.nulls
        for s in seen
    )
    if not complete or not 1 < len(first) <= MOST_VALUES:
        return []
    names = sorted(first)
    words = f"{column.name} es uno de los {len(names)} valores conocidos."
    element = _element("invalidValues", "validez", words, validValues=names)
    return [(element, f"siempre los mismos {len(names)} valores, en todas las filas")]


def _range(
    column: Column, seen: Sequence[_Seen], margin: float
) -> list[tuple[dict[str, Any], str]]:
    """The range seen with room on both sides; a number never seen negative stays from zero on."""
    kind = column.pg_type
    counts = kind in ("smallint", "integer", "bigint", "double precision")
    names_rows = column.primary_key or column.name.endswith("_id")
    if names_rows or not (counts or kind.startswith("numeric")):
        return []
    lows = [Decimal(s.low) for s in seen if s.low is not None]
    highs = [Decimal(s.high) for s in seen if s.high is not None]
    if not lows or not highs or not all(v.is_finite() for v in (*lows, *highs)):
        return []
    low, high = min(lows), max(highs)
    if low == high:
        return []
    room = (high - low) * Decimal(str(margin))
    bottom = Decimal(0) if 0 <= low < room or low == 0 else _round(low - room, down=True)
    top = _round(high + room, down=False)
    words = f"{column.name} está entre {number(bottom, 6)} y {number(top, 6)}."
    element = _element(
        "invalidValues", "validez", words, minimum=_plain(bottom), maximum=_plain(top)
    )
    return [
        (
            element,
            f"se vio de {number(low, 6)} a {number(high, 6)}; margen de {percent(margin)} "
            "a cada lado",
        )
    ]


def _element(metric: str, dimension: str, words: str, **arguments: Any) -> dict[str, Any]:
    element: dict[str, Any] = {"metric": metric}
    if arguments:
        element["arguments"] = arguments
    return element | {
        "mustBe": 0, "severity": "warning", "dimension": _DIMENSIONS[dimension],
        "description": words,
    }  # fmt: skip


def _round(value: Decimal, *, down: bool) -> Decimal:
    """Two significant figures, away from what was seen: a limit that a person can remember."""
    if value == 0:
        return Decimal(0)
    step = Decimal(1).scaleb(value.adjusted() - 1)
    whole = math.floor(value / step) if down else math.ceil(value / step)
    return Decimal(whole) * step


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def as_yaml(proposals: Sequence[Proposal]) -> str:
    """The proposals as they would stand in the contract, by column, with their evidence."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    document = CommentedMap()
    for item in proposals:
        quality = document.setdefault(item.column, CommentedMap(quality=CommentedSeq()))["quality"]
        quality.append(CommentedMap(item.element))
        quality.yaml_set_comment_before_after_key(
            len(quality) - 1, before=_words(item), indent=4
        )  # fmt: skip
    out = io.StringIO()
    writer = YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(document, out)
    return out.getvalue()


def _words(item: Proposal) -> str:
    return f"{item.evidence}: {item.runs} corridas, {counted(item.rows, 'fila', 'filas')}"


def accept(path: Path, proposals: Sequence[Proposal]) -> Contract:
    """Write `proposals` into the contract at `path`; the contract as it then reads.

    Comments, order and quoting stay; long folded texts may be wrapped anew. The file is replaced
    in one step, and only if the result is a valid contract: otherwise ContractError and the file
    is as it was.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 100
    text = path.read_text(encoding="utf-8")
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(text)
    by_name = {prop["name"]: prop for prop in document["schema"][0]["properties"]}
    for item in proposals:
        quality = by_name[item.column].setdefault("quality", CommentedSeq())
        quality.append(CommentedMap(item.element))
    beside = path.with_name(f".{path.name}.nuevo")
    try:
        with beside.open("w", encoding="utf-8") as out:
            editor.dump(document, out)
        made = load_contract(beside)
        if {p.column for p in proposals} - {column.name for column in made.columns}:
            raise ContractError(f"no se pudo escribir {path.name}.", dataset=made.id)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return load_contract(path)


def _history(connection: psycopg.Connection[Any], contract: Contract) -> dict[str, list[_Seen]]:
    """The last profiles by column, of runs with rows."""
    found: dict[str, list[_Seen]] = {}
    for row in connection.execute(
        "select c.columna, p.filas, p.filas_medidas, c.nulos, c.distintos, c.minimo, c.maximo, "
        "c.valores, c.patrones from meta.perfil_columna c join meta.perfil p using (perfil_id) "
        "where p.perfil_id in (select perfil_id from meta.perfil where dataset = %s "
        "and filas_medidas > 0 order by perfil_id desc limit %s) order by p.perfil_id",
        [contract.id, _LATEST_RUNS],
    ).fetchall():
        name, rows, measured, nulls, distinct, low, high, values, patterns = row
        found.setdefault(str(name), []).append(
            _Seen(
                rows, measured, nulls, distinct, low, high,
                {str(v): int(n) for v, n in values} if values else None, patterns,
            )
        )  # fmt: skip
    return found

"""Rules that history suggests: with evidence, only what always held, and only when accepted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from expectations.profiles import changes_since_profile, take
from expectations.proposals import Proposal, accept, as_yaml, propose
from sources.contract import Contract
from sources.contract_document import CONTRACTS_DIR, load_contract
from sources.errors import ContractError

OPEN = {"classification": "libre_acceso"}
COLUMNS = [
    {"name": "id", "physicalType": "integer", "primaryKey": True, **OPEN},
    {"name": "codigo", "physicalType": "text", **OPEN},
    {"name": "estado", "physicalType": "text", **OPEN},
    {"name": "volumen_m3", "physicalType": "numeric(10,2)", **OPEN},
    {"name": "documento", "physicalType": "text", "classification": "sensible"},
    {"name": "nota", "physicalType": "text", **OPEN},
]
Run = Callable[..., None]


@pytest.fixture
def runs(land: Any, connection: psycopg.Connection[Any]) -> Run:
    """Load and profile a table of 30 rows as often as asked."""

    def go(contract: Contract, times: int, *, odd_state: str = "en curso") -> None:
        for time in range(times):
            land(contract, [])
            connection.execute("truncate raw.citymis__prueba")
            state = odd_state if time == times - 1 else "en curso"
            land(contract, [
                (n, f"C{n}", state if n % 2 else "fin", 10 + n / 10 + time, f"30{n}",
                 None if n == 4 else "x")
                for n in range(30)
            ])  # fmt: skip
            with connection.transaction():
                take(connection, contract, "r", changes_since_profile(connection, contract))

    return go


def by_column(found: list[Proposal]) -> dict[str, list[dict[str, Any]]]:
    elements: dict[str, list[dict[str, Any]]] = {}
    for item in found:
        elements.setdefault(item.column, []).append(dict(item.element))
    return elements


def test_what_always_held_is_proposed_with_its_evidence(
    make_contract: Any, runs: Run, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(COLUMNS)
    runs(contract, 5)

    found = propose(connection, contract)

    elements = by_column(found)
    metrics = {name: [e["metric"] for e in items] for name, items in elements.items()}
    assert metrics == {
        "codigo": ["nullValues", "duplicateValues"],
        "estado": ["nullValues", "invalidValues"],
        "volumen_m3": ["nullValues", "invalidValues"],
        "documento": ["nullValues", "duplicateValues"],
    }, "the key has its rules, `nota` was empty once, `documento` shows nothing of its values"
    assert elements["estado"][1]["arguments"] == {"validValues": ["en curso", "fin"]}
    assert elements["volumen_m3"][1]["arguments"] == {"minimum": 8.6, "maximum": 19}
    seen = next(item for item in found if item.column == "volumen_m3" and "margen" in item.evidence)
    assert (seen.runs, seen.rows) == (5, 150)
    assert seen.evidence == "se vio de 10 a 16,9; margen de 20 % a cada lado"
    text = as_yaml(found)
    assert "5 corridas, 150 filas" in text and "30" + "1" not in text


def test_short_histories_and_values_that_changed_propose_nothing(
    make_contract: Any, runs: Run, connection: psycopg.Connection[Any]
) -> None:
    contract = make_contract(COLUMNS)
    runs(contract, 4)
    assert propose(connection, contract) == []
    runs(contract, 2, odd_state="otro")
    assert [e["metric"] for e in by_column(propose(connection, contract))["estado"]] == [
        "nullValues"
    ]


def test_what_a_rule_says_already_is_not_proposed(
    make_contract: Any, runs: Run, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    contract = make_contract(COLUMNS)
    runs(contract, 5)
    accepted = accept(contract.path, propose(connection, contract))
    assert propose(connection, accepted) == []


RULE = Proposal(
    "distrito",
    {"metric": "nullValues", "mustBe": 0, "severity": "warning", "dimension": "completeness",
     "description": "El distrito se informa."},
    9, 900, "nunca faltó",
)  # fmt: skip


def test_an_accepted_rule_leaves_the_rest_of_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "proyectos.yaml"
    shutil.copy(CONTRACTS_DIR / "mlc" / "proyectos.yaml", path)
    before = path.read_text(encoding="utf-8").splitlines()

    made = accept(path, [RULE])

    after = path.read_text(encoding="utf-8").splitlines()
    assert [rule.kind for rule in made.column("distrito").rules] == ["required"]
    assert [line for line in before if line.lstrip().startswith("#")] == [
        line for line in after if line.lstrip().startswith("#")
    ]
    kept = [line for line in after if line in before]
    assert len(before) - len(kept) <= 4, "only folded texts may be wrapped anew"
    assert list(tmp_path.iterdir()) == [path]
    assert (
        load_contract(path).columns[:5]
        == load_contract(CONTRACTS_DIR / "mlc" / "proyectos.yaml").columns[:5]
    )


def test_a_rule_that_would_break_the_contract_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "proyectos.yaml"
    shutil.copy(CONTRACTS_DIR / "mlc" / "proyectos.yaml", path)
    before = path.read_bytes()
    broken = Proposal("distrito", {"metric": "nada", "mustBe": 0}, 9, 900, "x")

    with pytest.raises(ContractError):
        accept(path, [broken])

    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

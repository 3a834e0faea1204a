"""Rows beyond all of raw: the same tables, history and quarantine as if each had been compared."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.landing import intake
from sources.landing.beyond import Beyond, can_be_told
from sources.landing.intake import Intake
from sources.landing.merge import Merge
from sources.raw_table import ensure_raw_table
from tests.sources.reader_support import column, make_contract
from tests.sources.test_landing_modes import City, figures
from tests.support.ways import Ways, watched


@pytest.fixture
def city(new_database: Callable[[], str], warehouse: Warehouse, tmp_path: Path) -> City:
    return City(new_database(), warehouse, tmp_path)


@pytest.fixture
def intakes() -> Iterator[list[Intake]]:
    """Every load's intake; a single row is worth writing apart."""
    ways = Ways()
    with watched(ways, worth_rows=1):
        yield ways.intakes


def contract_of(city: City, mode: str = "incremental", **options: Any) -> Contract:
    given: dict[str, Any] = {"loadMode": mode, "cursor": "visto_en", "maxQuarantineShare": 1.0}
    return city.contract(**given | options)


# --- where they begin -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "batches", "starts"),
    [
        ([], [[1, 2, 3]], [0]),
        ([50], [[1, 50, 51, 52]], [2]),
        ([50], [[100, 7, 101, 102]], [2]),
        ([50], [[100, 7, 99, 102]], [3]),
        ([50], [[51, 51, 52]], [2]),
        ([50], [[51, 52], [52, 53], [10], [54]], [0, 1, 1, 0]),
        ([-7], [[-9, -6], [2_000_000_000]], [1, 0]),
    ],
)
def test_they_are_higher_than_all_of_raw_and_all_that_came_before(
    city: City,
    intakes: list[Intake],
    known: list[int],
    batches: list[list[int]],
    starts: list[int],
) -> None:
    contract = contract_of(city)
    with city.warehouse.connect() as connection:
        ensure_raw_table(connection, contract)
        for key in known:
            connection.execute(
                "insert into raw.prueba__tabla (cuenta_id, _load_id) values (%s, 1)", [key]
            )
        told = Beyond(connection, contract)
        found = [
            told.starts_at(pa.record_batch({"cuenta_id": pa.array(np.array(keys, np.int32))}))
            for keys in batches
        ]
    assert found == starts


@pytest.mark.parametrize(
    ("keys", "options", "told"),
    [
        ([("clave", "bigint")], {}, True),
        ([("clave", "smallint")], {}, True),
        ([("clave", "text")], {}, False),
        ([("clave", "numeric(12,0)")], {}, False),
        ([("clave", "bigint"), ("otra", "bigint")], {}, False),
        ([("clave", "bigint"), ("visto_en", "timestamp")], {"partitionBy": "visto_en"}, False),
    ],
)
def test_only_keys_of_one_whole_number_are_told(
    tmp_path: Path, keys: list[tuple[str, str]], options: dict[str, Any], told: bool
) -> None:
    columns = [column(name, kind, key=True) for name, kind in keys]
    assert can_be_told(make_contract(tmp_path, "postgresql", columns, **options)) is told


# --- what becomes of them -------------------------------------------------------------------------


def test_new_rows_are_written_once_and_changed_ones_compared(
    city: City, intakes: list[Intake]
) -> None:
    contract = contract_of(city)
    city.fill(1, 20)
    city.load(contract, batch_rows=7)
    city.run("update tabla set nombre = 'cambiada', visto_en = '2026-06-02' where cuenta_id = 3")
    city.add(*((number, f"Cuenta {number}", number, 2) for number in range(21, 41)))

    assert figures(city.load(contract, batch_rows=7)) == (40, 21, 0, 19, 0)

    assert intakes[-1].beyond == 20
    assert city.ask("select count(*), sum(cuenta_id), max(_load_id) from raw.prueba__tabla") == [
        (40, 820, 2)
    ]
    assert city.history() == [("modificacion", "Cuenta 3")]


def test_a_table_that_brings_new_rows_alone_compares_nothing(
    city: City, intakes: list[Intake]
) -> None:
    contract = contract_of(city, mode="append")
    city.add((1, "Ana", 1, 1))
    city.load(contract)
    city.run("delete from tabla")
    city.add((2, "Blas", 2, 2), (3, "Eva", 3, 2))

    assert figures(city.load(contract)) == (2, 2, 0, 0, 0)
    assert intakes[-1].beyond == 2
    assert city.names() == ["Ana", "Blas", "Eva"]


def test_a_key_that_repeats_one_written_at_once_is_set_aside(
    city: City, intakes: list[Intake]
) -> None:
    contract = contract_of(city)
    city.add((1, "Ana", 1, 1))
    city.load(contract)
    city.add((2, "Blas", 2, 2), (2, "Otro Blas", 3, 2), (3, "Eva", 4, 2))

    assert figures(city.load(contract, batch_rows=1)) == (4, 2, 1, 1, 0)
    assert intakes[-1].beyond == 2
    assert len(city.names()) == 3
    assert city.history() == []
    assert city.ask("select regla, numero_fila from quarantine.fila") == [("clave_repetida", 3)]


def test_a_good_version_beyond_raw_closes_the_row_that_was_kept_out(
    city: City, intakes: list[Intake]
) -> None:
    """Pending stay one that comes no better, and one whose last good version is in raw."""
    city.run("alter table tabla alter saldo type numeric(30,2)")
    contract = contract_of(city)
    city.add((1, "Ana", 1, 1), (5, "Blas", 10**15, 1), (6, "Eva", 10**15, 1))
    assert figures(city.load(contract)) == (3, 1, 2, 0, 0)
    city.run("update tabla set saldo = 10::numeric ^ 15, visto_en = '2026-06-02' where cuenta_id=1")
    city.add((3, "Luz", 1, 3))
    city.load(contract)
    city.run("update tabla set saldo = 4, visto_en = '2026-06-04' where cuenta_id = 5")

    city.load(contract)

    assert intakes[-1].beyond == 1
    assert city.ask("select clave[1], estado from quarantine.fila order by 1") == [
        ("1", "pendiente"),
        ("5", "reemplazada"),
        ("6", "pendiente"),
    ]


def test_a_load_that_breaks_off_leaves_nothing_of_them(
    city: City, intakes: list[Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = contract_of(city)
    city.fill(1, 5)
    city.load(contract)
    city.add(*((number, f"Cuenta {number}", number, 2) for number in range(6, 30)))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("se cortó")

    with monkeypatch.context() as patched:
        patched.setattr(Merge, "apply", broken)
        assert city.load(contract).state == "fallida"
    assert intakes[-1].beyond == 24
    assert city.ask("select count(*) from raw.prueba__tabla") == [(5,)]
    assert figures(city.load(contract)) == (29, 24, 0, 5, 0)


@pytest.mark.parametrize("mode", ["incremental", "append"])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_all_is_as_if_every_row_had_been_compared(
    city: City, intakes: list[Intake], monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    """Keys that repeat within and across batches, known ones, and long rises of new ones."""
    chance = random.Random(seed)
    made = [
        (chance.randint(1, 60), f"versión {turn}-{number}", number, turn)
        for turn in range(1, 4)
        for number in range(chance.randint(5, 40))
    ]
    # Also long rises, as most tables bring them.
    made += [(100 + 3 * number, "nueva", number, 4) for number in range(30)]
    made += [(100 + chance.randint(0, 120), "tardía", number, 4) for number in range(10)]

    if seed % 2:  # sorted as texts: 10 before 9
        city.run("alter table tabla alter cuenta_id type text")
    contract = contract_of(city, mode, deletionsEvery="never")

    def outcome() -> list[Any]:
        with city.warehouse.connect() as connection:
            connection.execute("drop table if exists raw.prueba__tabla cascade")
            connection.execute("truncate raw._historial, quarantine.fila, meta.marca")
        city.run("truncate tabla")
        reports = []
        for turn in range(1, 5):
            city.add(*(row for row in made if row[3] == turn))
            reports.append(figures(city.load(contract, batch_rows=9)))
        return [
            reports,
            city.ask("select cuenta_id, nombre, saldo, visto_en from raw.prueba__tabla order by 1"),
            city.ask(
                "select operacion, fila ->> 'cuenta_id', fila ->> 'nombre' from raw._historial "
                "order by 1, 2, 3"
            ),
            city.ask(
                "select regla, numero_fila, estado, fila from quarantine.fila "
                "order by 1, 2, 3, fila::text"
            ),
        ]

    found = outcome()
    assert sum(one.beyond for one in intakes) > 0
    monkeypatch.setattr(intake, "can_be_told", lambda contract: False)
    assert found == outcome()

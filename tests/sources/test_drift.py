"""Drift: what changed at a source is on record, with its dates, whatever became of the load."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.contract_document import load_contract
from sources.landing import LoadContext, LoadReport, load
from sources.landing.declared_types import is_widening
from sources.landing.drift import Episode, open_drift
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract


class System:
    """A database file with a table `tabla (id, monto)`, its contract, and a folder of files."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        self.home = folder
        self.warehouse = warehouse
        self.path = folder / "sistema.sqlite"
        self.feed = folder / "entrada"
        self.feed.mkdir()
        self.run("create table tabla (id integer, monto integer)")
        self.run("insert into tabla values (1, 10)")

    def run(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def retype(self, kind: str, values: str = "monto") -> None:
        self.run(
            "alter table tabla rename to vieja",
            f"create table tabla (id integer, monto {kind})",
            f"insert into tabla select id, {values} from vieja",
            "drop table vieja",
        )

    def rekey(self, *key: str) -> None:
        declared = f", primary key ({', '.join(key)})" if key else ""
        self.run(
            "alter table tabla rename to vieja",
            f"create table tabla (id integer, monto integer{declared})",
            "insert into tabla select id, monto from vieja",
            "drop table vieja",
        )

    def contract(
        self, version: str = "1.0.0", columns: Sequence[str] = (), **options: Any
    ) -> Contract:
        found = make_contract(
            self.home,
            "mysql",
            [
                column("id", "integer", key=True),
                column("monto", "integer"),
                *(column(name) for name in columns),
            ],
            **{"maxQuarantineShare": 0.5} | options,
        )
        text = found.path.read_text(encoding="utf-8").replace("1.0.0", version)
        found.path.write_text(text, encoding="utf-8")
        return load_contract(found.path)

    def load(self, contract: Contract | None = None) -> LoadReport:
        return self._load(contract or self.contract(), f"sqlite:///{self.path}")

    def load_files(self) -> LoadReport:
        contract = make_contract(self.home, "csv", [column("a"), column("b")])
        return self._load(contract, str(self.feed))

    def _load(self, contract: Contract, url: str) -> LoadReport:
        context = LoadContext(connect=self.warehouse.connect, run_id="prueba")
        return load(contract, SourceUrl.parse(url), context, [])

    def drift(self, *, closed_too: bool = False) -> list[Episode]:
        with self.warehouse.connect() as connection:
            return open_drift(connection, closed_too=closed_too)

    def kinds(self, *, closed_too: bool = False) -> list[tuple[str, str, bool]]:
        return [(e.kind, e.column, e.until is None) for e in self.drift(closed_too=closed_too)]

    def amounts(self) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute("select id, monto from raw.prueba__tabla").fetchall()


@pytest.fixture
def system(tmp_path: Path, warehouse: Warehouse) -> System:
    return System(tmp_path, warehouse)


def test_a_source_as_its_contract_says_has_no_drift(system: System) -> None:
    system.load()
    system.load()

    assert system.drift(closed_too=True) == []


def test_a_new_column_is_reported_until_the_contract_names_it_and_says_where_it_went(
    system: System,
) -> None:
    system.run("alter table tabla add column telefono text")
    report = system.load()
    [first] = system.drift()
    system.load()
    [again] = system.drift()

    assert report.drift == ["columna nueva en el origen: telefono"]
    assert (first.kind, first.column, first.owner) == (
        "columna_nueva",
        "telefono",
        "Secretaría de Prueba",
    )
    assert "raw.prueba__tabla" in first.action and "_nueva_telefono" in first.action
    assert again.since == first.since and again.last_seen > first.last_seen

    system.load(system.contract(columns=["telefono"]))

    assert system.kinds(closed_too=True) == [("columna_nueva", "telefono", False)]


def test_a_column_the_city_chose_not_to_load_is_no_news(system: System) -> None:
    system.run(
        "alter table tabla add column telefono text", "alter table tabla add column fax text"
    )
    report = system.load(system.contract(ignoredColumns=["Telefono"]))

    assert report.drift == ["columna nueva en el origen: fax"]


def test_a_missing_column_is_on_record_though_the_load_failed_until_it_is_back(
    system: System,
) -> None:
    system.load()
    system.run("alter table tabla rename column monto to importe")

    report = system.load()

    assert report.state == "fallida" and "falta en el origen la columna monto" in report.drift
    assert system.amounts() == [(1, 10)]
    [missing] = system.drift()
    assert (missing.kind, missing.column) == ("columna_faltante", "monto")
    assert "conserva" in missing.action
    system.run("alter table tabla rename column importe to monto")
    system.load()
    assert system.drift() == []


def test_the_same_trouble_later_is_an_episode_of_its_own(system: System) -> None:
    for change in ("add column telefono", "drop column telefono", "add column telefono"):
        system.run(f"alter table tabla {change}")
        system.load()

    assert system.kinds(closed_too=True) == [
        ("columna_nueva", "telefono", True),
        ("columna_nueva", "telefono", False),
    ]


def test_a_type_that_is_as_wide_as_no_other_is_no_drift_of_itself(system: System) -> None:
    """Ranges, arrays, and whatever an engine comes to have."""
    system.retype("int4range")

    assert system.load().drift == [] and system.load().drift == []
    assert system.kinds(closed_too=True) == []


def test_a_wider_type_is_a_note_and_the_load_goes_on(system: System) -> None:
    system.load()
    system.retype("bigint")

    report = system.load()

    assert report.errors == [] and system.kinds() == [("tipo_ampliado", "monto", True)]
    assert report.drift == ["la columna monto era integer en el origen y ahora es bigint"]


def test_a_retyped_column_whose_values_still_fit_is_loaded_and_reported(system: System) -> None:
    system.load()
    system.retype("varchar(20)", "'11'")

    report = system.load()

    assert report.errors == [] and system.amounts() == [(1, 11)]
    assert system.kinds() == [("tipo_cambiado", "monto", True)]


@pytest.mark.parametrize(
    ("before", "now"),
    [("timestamp with time zone", "timestamp without time zone"),
     ("timestamp(3) without time zone", "timestamp(6) with time zone"),
     ("datetime2(7)", "datetimeoffset(7)"), ("timestamp", "datetime")],
)  # fmt: skip
def test_times_that_gain_or_lose_their_zone_keep_the_last_good_data(
    system: System, before: str, now: str
) -> None:
    """They would fit as ever, and be three hours off."""

    def declare(kind: str) -> None:
        system.run(
            "drop table tabla",
            f'create table tabla (id integer, monto "{kind}")',
            "insert into tabla values (1, '2026-01-01 10:00:00')",
        )

    def load(kind: str, version: str) -> LoadReport:
        found = make_contract(
            system.home, "mysql", [column("id", "integer", key=True), column("monto", kind)]
        )
        text = found.path.read_text(encoding="utf-8").replace("1.0.0", version)
        found.path.write_text(text, encoding="utf-8")
        return system.load(load_contract(found.path))

    declare(before)
    assert load("timestamptz", "1.0.0").errors == []
    declare(now)
    refused = load("timestamptz", "1.0.0")

    assert refused.state == "fallida" and refused.loaded == 0
    assert all(word in str(refused.errors[0]) for word in ("monto", before, now, "`version`"))
    assert system.kinds() == [("tipo_cambiado", "monto", True)]
    assert load("timestamptz", "1.1.0").errors == []


def test_a_text_of_times_may_gain_a_zone(system: System) -> None:
    found = make_contract(system.home, "mysql", [column("id", "integer", key=True), column("dia")])
    for kind in ("timestamp with time zone", "timestamp without time zone"):
        system.run("drop table tabla", f"create table tabla (id integer, dia {kind})")
        report = system.load(found)

    assert report.errors == [] and len(report.drift) == 1


def test_a_retyped_column_whose_values_do_not_fit_keeps_the_last_good_data(system: System) -> None:
    system.run(*(f"insert into tabla values ({n}, {n})" for n in range(2, 61)))
    system.load()
    system.retype("varchar(20)", "'$ ' || monto")

    report = system.load()

    assert report.state == "fallida" and len(system.amounts()) == 60
    message = str(report.errors[0])
    for word in ("monto", "varchar(20)", "prueba", "Secretaría de Prueba", "60 de 60"):
        assert word in message
    assert system.kinds() == [("tipo_cambiado", "monto", True)]


@pytest.mark.parametrize("cure", ["the source goes back", "the contract is revised"])
def test_a_retype_is_over_when_the_source_goes_back_or_the_contract_is_revised(
    system: System, cure: str
) -> None:
    system.load()
    system.retype("varchar(20)")
    system.load()
    if cure == "the source goes back":
        system.retype("INTEGER")
        system.load()
    else:
        system.load(system.contract(version="1.1.0"))

    assert system.kinds(closed_too=True) == [("tipo_cambiado", "monto", False)]
    assert system.load(system.contract(version="1.1.0")).drift == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (("id",), ("id", "monto"), "era (id) y ahora es (id, monto)"),
        (("id",), ("monto",), "era (id) y ahora es (monto)"),
        (("id",), (), "era (id) y ahora es ninguna"),
        ((), ("monto",), "era ninguna y ahora es (monto)"),
    ],
)
def test_another_key_at_the_source_keeps_the_last_good_data(
    system: System, before: Sequence[str], after: Sequence[str], words: str
) -> None:
    system.rekey(*before)
    assert system.load().errors == []
    system.rekey(*after)
    system.run("update tabla set monto = 99")

    report = system.load()

    assert report.state == "fallida" and system.amounts() == [(1, 10)]
    for word in (words, "sistema prueba", "contrato es (id)", "Secretaría de Prueba", "`version`"):
        assert word in str(report.errors[0])
    assert report.drift == [f"la clave primaria del origen {words}"]
    assert [(e.kind, "conserva" in e.action) for e in system.drift()] == [("clave_cambiada", True)]

    revised = system.contract(version="1.1.0")
    assert system.load(revised).errors == [] and system.amounts() == [(1, 99)]
    assert system.drift() == [] and system.load(revised).state == "sin_cambios"


def test_a_key_that_goes_back_ends_the_episode(system: System) -> None:
    for key in ("id", "monto", "id"):
        system.rekey(key)
        report = system.load()

    assert report.errors == []
    assert [kind[::2] for kind in system.kinds(closed_too=True)] == [("clave_cambiada", False)]


def test_a_source_that_comes_to_declare_the_contracts_key_is_no_drift(system: System) -> None:
    system.load()
    system.rekey("id")

    assert system.load().errors == [] and system.drift(closed_too=True) == []


def test_another_order_of_columns_is_no_drift(system: System) -> None:
    system.load()
    system.run("create table otra (monto integer, id integer)", "insert into otra values (10, 1)")
    system.run("drop table tabla", "alter table otra rename to tabla")

    assert system.load().state == "sin_cambios" and system.drift(closed_too=True) == []


def test_a_bad_file_stays_on_record_while_others_of_its_feed_are_read(system: System) -> None:
    (system.feed / "malo.csv").write_text("a,c\n1,2\n")
    (system.feed / "z_bueno.csv").write_text("a,b\n1,2\n")
    system.load_files()

    [missing] = system.drift()
    assert (missing.kind, missing.column, missing.origin) == ("columna_faltante", "b", "malo.csv")

    (system.feed / "malo.csv").write_text("a,b\n3,4\n")
    system.load_files()
    assert system.drift() == []


@pytest.mark.parametrize(
    ("before", "now", "wider"),
    [
        ("int(11)", "bigint(20)", True),
        ("bigint", "int", False),
        ("int", "int(11)", True),
        ("int unsigned", "int", False),
        ("int(10) unsigned", "bigint(20)", True),
        ("int", "int unsigned", False),
        ("integer", "numeric(12,2)", True),
        ("integer", "numeric(8,2)", False),
        ("decimal(10,2)", "decimal(12,2)", True),
        ("decimal(10,2)", "decimal(10,4)", False),
        ("varchar(20)", "varchar(50)", True),
        ("varchar(50)", "varchar(20)", False),
        ("character varying(20)", "text", True),
        ("char(5)", "varchar(5)", True),
        ("varchar(5)", "char(5)", False),
        ("nvarchar(10)", "nvarchar(max)", True),
        ("int", "varchar(20)", False),
        ("date", "datetime", False),
        ("real", "double precision", True),
        ("enum('a','b')", "enum('a','b','c')", True),
        ("enum('a','b')", "enum('a','c')", False),
        ("geometry", "geometry", True),
        ("$%&", "int", False),
    ],
)
def test_a_type_is_wider_when_it_holds_every_value_of_the_other(
    before: str, now: str, wider: bool
) -> None:
    assert is_widening(before, now) is wider

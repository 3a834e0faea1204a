"""The benchmark of loads: what it prints, and what it refuses to print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import load
from benchmarks.loading import results
from benchmarks.loading.contenders.base import Command
from benchmarks.loading.contenders.limit import Limit
from benchmarks.loading.mariadb import MariaDb
from benchmarks.loading.model import BenchmarkError, Scenario
from benchmarks.loading.paths import Sources
from benchmarks.loading.results import Series
from benchmarks.loading.rounds import Rounds
from benchmarks.loading.servers import Postgres, postgres_server
from benchmarks.loading.sources import DataFolder, fill_postgres

ROWS = 2_000
KEYS = {"path", "rows", "contender", "seconds", "ratio_to_limit", "peak_mib", "inner_seconds"}


class Careless(Limit):
    """Loads as the limit does, and then does something to the rows."""

    name = "descuidado"

    def __init__(self, postgres: Postgres, afterwards: str) -> None:
        super().__init__(postgres)
        self._afterwards = afterwards

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        loading = super().command(scenario, target_url, folder)
        return Command([*loading.argv, "-c", self._afterwards], loading.env)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_server(tmp_path_factory.mktemp("servidor")) as running:
        yield running


@pytest.fixture(scope="module")
def csv_scenario(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    data = DataFolder(tmp_path_factory.mktemp("datos"))
    return next(Sources(data, server, no_mariadb).scenarios("csv", (ROWS,)))


def no_mariadb() -> MariaDb:
    raise AssertionError("this path needs no MariaDB")


def play(server: Postgres, scenario: Scenario, folder: Path, *, afterwards: str) -> dict[str, Any]:
    """The line of a contender that does `afterwards` to what it loaded."""
    said: list[str] = []
    rounds = Rounds(server, folder, repeat=2, timeout_s=60, say=said.append)
    limit, careless = rounds.play(scenario, [Limit(server), Careless(server, afterwards)])
    return results.line(scenario, careless, limit)


def test_a_run_prints_a_json_line_per_contender_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = load.main(
        ["--rows", str(ROWS), "--path", "csv", "--only", "lujan", "--repeat", "1", "--json",
         "--data", str(tmp_path)]
    )  # fmt: skip

    printed = capsys.readouterr()
    lines = [json.loads(text) for text in printed.out.splitlines()]
    assert code == 0, printed
    assert [line["contender"] for line in lines] == ["limite", "lujan", "lujan_particiones"]
    assert {line["path"] for line in lines} == {"csv"}
    for line in lines:
        assert line.keys() >= KEYS
        assert line["rows"] == ROWS and line["seconds"] > 0 and line["peak_mib"] > 0
        assert line["versions"]
    limit, ours, _ = lines
    assert limit["ratio_to_limit"] == 1.0
    assert ours["ratio_to_limit"] == pytest.approx(ours["seconds"] / limit["seconds"], rel=0.2)
    assert 0 < ours["inner_seconds"] < ours["seconds"]
    assert list(tmp_path.iterdir()) == []


def test_equal_rows_have_a_ratio(server: Postgres, csv_scenario: Scenario, tmp_path: Path) -> None:
    line = play(server, csv_scenario, tmp_path, afterwards="select 1")

    assert line["ratio_to_limit"] > 0
    assert line["runs"] == 2
    assert "error" not in line


@pytest.mark.parametrize(
    ("afterwards", "what"),
    [
        ("delete from lecturas where lectura_id = 7", "filas 1999 en lugar de 2000"),
        ("update lecturas set consumo = consumo + 0.001 where lectura_id = 7", "suma"),
        ("update lecturas set momento = momento - interval '1 s'", "primer momento"),
        ("update lecturas set momento = momento + interval '1 s'", "último momento"),
        ("update lecturas set medidor_id = lower(medidor_id) where lectura_id = 7", "textos"),
    ],
)
def test_no_ratio_for_rows_that_are_not_the_sources(
    server: Postgres, csv_scenario: Scenario, tmp_path: Path, afterwards: str, what: str
) -> None:
    line = play(server, csv_scenario, tmp_path, afterwards=afterwards)

    assert line["ratio_to_limit"] is None
    assert what in line["error"]


def test_a_contender_that_fails_is_reported_with_its_last_words(
    server: Postgres, csv_scenario: Scenario, tmp_path: Path
) -> None:
    line = play(server, csv_scenario, tmp_path, afterwards="select no_hay_tal_cosa()")

    assert line["ratio_to_limit"] is None and line["seconds"] is None
    assert line["error"]
    assert results.as_text(line).endswith(line["error"])


def test_nobody_is_compared_with_a_limit_that_loaded_something_else(
    server: Postgres, csv_scenario: Scenario, tmp_path: Path
) -> None:
    rounds = Rounds(server, tmp_path, repeat=1, timeout_s=60, say=lambda text: None)
    wrong = Careless(server, "delete from lecturas where lectura_id = 7")
    limit, good = rounds.play(csv_scenario, [wrong, Limit(server)])

    line = results.line(csv_scenario, good, limit)

    assert line["ratio_to_limit"] is None
    assert line["error"].startswith("el límite no sirve")


def test_a_source_that_does_not_hold_what_was_made_stops_the_path(
    server: Postgres, csv_scenario: Scenario
) -> None:
    shortened = replace(csv_scenario.expected, rows=ROWS + 1)

    with pytest.raises(BenchmarkError, match="filas 2000 en lugar de 2001"):
        fill_postgres(
            server.create("fuente_corta"),
            csv_scenario.dataset,
            csv_scenario.file or Path(),
            "lecturas",
            shortened,
        )


def test_the_table_of_the_page_is_made_from_the_json_lines(
    csv_scenario: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = Series("limite", {}, problem=None)
    absent = results.line(csv_scenario, Series("dlt", {}, problem="no se pudo instalar"), limit)
    figures = {"seconds": 1.5, "ratio_to_limit": 1.25, "inner_seconds": 0.7}
    figures |= {"peak_mib": 200.4, "warehouse_seconds": 0.5}
    measured = absent | {"contender": "lujan"} | figures
    del measured["error"]
    file = tmp_path / "lineas.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in (absent, measured)) + "\n")

    assert load.main(["--table", str(file)]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "### csv: lecturas, 2.000 filas",
        "",
        "| quién | segundos | veces el límite | sin importaciones | trabajo del almacén | MiB |",
        "| --- | --- | --- | --- | --- | --- |",
        "| lujan | 1,50 | 1,25 | 0,70 | 0,50 | 200 |",
        "| dlt | no medido: no se pudo instalar | | | | |",
    ]


def test_help_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load.main(["--help"])

    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--path {mariadb,postgresql,csv,parquet,xlsx,merge,no_change}" in printed
    assert "mariadb-server" in printed and "GB de disco" in printed

"""Large tables read in parts: every row once, in one snapshot, in the same order every time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sources.errors import SourceUnavailable
from sources.readers import RawBatch, ReaderOptions, database, open_reader
from sources.readers.ranges import boundaries, in_turn
from sources.urls import SourceUrl
from tests.sources.reader_support import cast_all, column, make_contract, numbers_of

KEYED = [column("n", "bigint", key=True), column("momento", "timestamptz")]


@pytest.mark.parametrize(
    ("lowest", "highest", "parts", "expected"),
    [
        (0, 100, 4, [25, 50, 75]),
        (-10, 10, 2, [0]),
        (1, 2, 4, []),
        (1, 3, 4, [2]),
        (7, 7, 4, []),
        (None, None, 4, []),
        (dt.date(2026, 1, 1), dt.date(2026, 1, 5), 2, [dt.date(2026, 1, 3)]),
        (dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2), 2, [dt.datetime(2026, 1, 1, 12)]),
    ],
)
def test_boundaries_part_evenly_and_never_twice(
    lowest: Any, highest: Any, parts: int, expected: list[Any]
) -> None:
    assert boundaries(lowest, highest, parts) == expected


def test_parts_come_in_turn_until_the_last_has_ended() -> None:
    assert list(in_turn([_letters("ab"), _letters("cdef"), _letters("")])) == list("acbdef")


def test_parts_are_closed_when_nobody_reads_on() -> None:
    closed: list[str] = []

    def noted(letters: str) -> Generator[str, None, None]:
        try:
            yield from letters
        finally:
            closed.append(letters)

    reading = in_turn([noted("ab"), noted("cd")])
    assert [next(reading), next(reading)] == ["a", "c"]
    reading.close()  # type: ignore[attr-defined]

    assert closed == ["ab", "cd"]


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of a few rows are read in parts."""
    monkeypatch.setattr(database, "PARTED_ROWS", 1)


def read_in_parts(
    folder: Path, address: str, *, columns: list[Any] = KEYED, granted: int = 3,
    watermark: str | None = None, **options: Any,
) -> tuple[list[RawBatch], list[int]]:  # fmt: skip
    """The batches, and how many further connections were asked for."""
    asked: list[int] = []

    def extra(wanted: int) -> int:
        asked.append(wanted)
        return min(granted, wanted)

    contract = make_contract(
        folder, "postgresql", columns, table="t", **{"parallelRanges": 4, "fetchRows": 5} | options
    )
    with open_reader(
        contract, SourceUrl.parse(address), watermark=watermark,
        options=ReaderOptions(extra_slots=extra),
    ) as reader:  # fmt: skip
        counted = reader.source_count()
        batches = list(reader.batches())
    assert counted == sum(batch.data.num_rows for batch in batches)
    good, rejected = cast_all(contract, batches)
    assert rejected == [] and len(good) == counted
    return batches, asked


def values(batches: list[RawBatch], name: str = "n") -> list[Any]:
    return [value for batch in batches for value in batch.data.column(name).to_pylist()]


@pytest.mark.parametrize("granted", [0, 1, 3])
@pytest.mark.usefixtures("small_is_large")
def test_every_row_comes_once_however_many_places_are_free(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any], granted: int
) -> None:
    pg.execute("create table t as select n, now() as momento from generate_series(-50, 49) n")
    pg.execute("alter table t alter n set not null")

    batches, asked = read_in_parts(tmp_path, database, granted=granted)

    assert asked == [3]
    assert sorted(values(batches)) == list(range(-50, 50))
    assert numbers_of(batches) == list(range(1, 101))
    assert (values(batches) == list(range(-50, 50))) == (granted == 0)
    again, _ = read_in_parts(tmp_path, database, granted=granted)
    assert values(again) == values(batches)


@pytest.mark.usefixtures("small_is_large")
def test_parts_of_an_increment_keep_its_beginning_and_its_nulls(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        "create table t as select n, timestamptz '2026-01-01' + n * interval '1 day' as momento "
        "from generate_series(1, 100) n"
    )
    pg.execute("insert into t values (101, null)")
    pg.execute("alter table t alter n set not null")

    batches, _ = read_in_parts(
        tmp_path, database, loadMode="incremental", cursor="momento",
        watermark="2026-02-20T00:00:00+00:00",
    )  # fmt: skip

    assert sorted(values(batches)) == list(range(50, 102))


@pytest.mark.usefixtures("small_is_large")
def test_a_time_that_is_never_missing_parts_a_table_without_a_number_as_key(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table t (n text primary key, momento timestamptz not null)")
    pg.execute(
        "insert into t select 'x' || n, timestamptz '2026-01-01' + n * interval '1 day' "
        "from generate_series(1, 40) n"
    )

    batches, asked = read_in_parts(
        tmp_path, database, columns=[column("n", key=True), column("momento", "timestamptz")],
        loadMode="incremental", cursor="momento",
    )  # fmt: skip

    assert asked == [3]
    assert sorted(values(batches)) == sorted(f"x{n}" for n in range(1, 41))
    assert values(batches) != sorted(values(batches))


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize(
    "table",
    [
        "create table t (n bigint, momento timestamptz)",
        "create table t (n text primary key, momento timestamptz)",
        "create table t (n bigint primary key, momento timestamptz)",
    ],
    ids=["key that may be missing", "key of text", "no rows"],
)
def test_nothing_parts_such_a_table(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any], table: str
) -> None:
    pg.execute(table.encode())

    assert read_in_parts(tmp_path, database) == ([], [])


@pytest.mark.usefixtures("small_is_large")
def test_all_parts_see_the_moment_of_the_count(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table t as select n, now() as momento from generate_series(1, 100) n")
    pg.execute("alter table t alter n set not null")
    contract = make_contract(
        tmp_path, "postgresql", KEYED, table="t", parallelRanges=4, fetchRows=5
    )
    options = ReaderOptions(extra_slots=lambda wanted: wanted)

    with open_reader(contract, SourceUrl.parse(database), options=options) as reader:
        assert reader.source_count() == 100
        pg.execute("delete from t where n > 90")
        pg.execute("insert into t values (0, now()), (500, now())")
        read = sorted(values(list(reader.batches())))

    assert read == list(range(1, 101))


@pytest.mark.usefixtures("small_is_large")
def test_a_server_that_refuses_a_further_connection_says_so(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute("create table t as select n, now() as momento from generate_series(1, 100) n")
    pg.execute("alter table t alter n set not null")
    pg.execute("drop role if exists lector_unico")
    pg.execute("create role lector_unico login password 'clave-unica' connection limit 1")
    pg.execute("grant select on t to lector_unico")
    address = re.sub(r"//[^@]+@", "//lector_unico:clave-unica@", database)

    with pytest.raises(SourceUnavailable, match=r"el sistema prueba .* respondió") as held:
        read_in_parts(tmp_path, address)

    assert "clave-unica" not in str(held.value)


@pytest.mark.usefixtures("small_is_large")
def test_no_connection_is_left(tmp_path: Path, database: str, pg: psycopg.Connection[Any]) -> None:
    pg.execute("create table t as select n, now() as momento from generate_series(1, 100000) n")
    pg.execute("alter table t alter n set not null")
    contract = make_contract(tmp_path, "postgresql", KEYED, table="t", parallelRanges=3)
    ours = (
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and application_name = 'lujan-datos'"
    )

    options = ReaderOptions(extra_slots=lambda wanted: wanted)
    with open_reader(contract, SourceUrl.parse(database), options=options) as reader:
        reader.source_count()
        batches = reader.batches()
        next(batches)
        assert pg.execute(ours).fetchone() == (3,)

    for _ in range(100):
        if pg.execute(ours).fetchone() == (0,):
            break
        pg.execute("select pg_sleep(0.05)")
    assert pg.execute(ours).fetchone() == (0,)


def _letters(text: str) -> Generator[str, None, None]:
    yield from text

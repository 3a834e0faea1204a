"""Binary COPY of a real server decoded into exactly the values the server holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from sources.arrow_values import to_texts
from sources.readers.arrow import Array
from sources.readers.engines.copy_binary import NATIVE, CopyStream, decode

BATCH_BYTES = 1 << 20


@pytest.fixture
def connection(new_database: Callable[[], str]) -> Iterator[Any]:
    opened = psycopg2.connect(new_database())
    opened.set_client_encoding("UTF8")
    with opened.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
    yield opened
    opened.close()


def copied(connection: Any, query: str, *, batch_rows: int = 1000) -> list[list[Array]]:
    """The batches of `query`, as a COPY of it gives them."""
    batches: list[list[Array]] = []
    with connection.cursor() as cursor:
        cursor.execute(f"select * from ({query}) q limit 0")
        kinds = [entry[1] for entry in cursor.description]
        assert NATIVE.issuperset(kinds)
        stream = CopyStream(
            kinds, batch_rows, BATCH_BYTES, lambda arrays, sent: batches.append(arrays)
        )
        cursor.copy_expert(f"copy ({query}) to stdout (format binary)", stream)
        stream.finish()
    return batches


def column(connection: Any, expression: str, rows: str) -> Array:
    """One column computed over `values (…)` rows named `v`."""
    (batch,) = copied(connection, f"select {expression} from (values {rows}) as t(v)")
    return batch[0]


def as_server_text(connection: Any, expression: str, rows: str) -> list[str | None]:
    with connection.cursor() as cursor:
        cursor.execute(f"select ({expression})::text from (values {rows}) as t(v)")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize(
    ("kind", "rows", "arrow"),
    [
        ("int2", "('-32768'), (null), ('32767')", pa.int16()),
        ("int4", "('-2147483648'), ('0'), (null)", pa.int32()),
        ("int8", "('-9223372036854775808'), (null), ('9223372036854775807')", pa.int64()),
        ("date", "('0001-01-01'), (null), ('2000-02-29'), ('9999-12-31')", pa.date32()),
        ("text", "(''), (null), ('ñandú'), ('💧'), ('largo texto')", pa.binary()),
        ("text", "('M-1'), ('M-2'), ('M-3')", pa.binary()),
        ("text", "(null), (null)", pa.binary()),
        ("char(4)", "('ab'), (null)", pa.binary()),
        ("numeric(12,3)", "('0.000'), ('-12.345'), (null), ('999999999.999')",
         pa.decimal128(18, 3)),
        ("numeric(16,0)", "('9999999999999999'), ('-1'), ('10000')", pa.decimal128(18, 0)),
        ("numeric(18,0)", "('999999999999999999'), ('-1'), ('10000')", pa.string()),
        ("numeric", "('0.0001'), ('1e-10'), (null), ('12.5'), ('-12.50'), ('0.0')", pa.string()),
        ("numeric", "('0.50'), (null), ('-12.25')", pa.decimal128(18, 2)),
        ("numeric(38,10)", "('1234567890123456789012345678.0123456789'), ('1')", pa.string()),
        ("numeric", "('NaN'), ('1.50'), ('Infinity'), ('-Infinity'), (null)", pa.string()),
        ("date", "('infinity'), ('-infinity'), ('0044-03-15 BC'), ('2026-11-24')", pa.string()),
        ("date", "('10000-01-01'), ('4713-01-01 BC'), ('5874897-12-31')", pa.string()),
        ("timestamp", "('infinity'), ('0044-03-15 12:30:00 BC'), ('2026-01-02 03:04:05')",
         pa.string()),
        ("timestamptz", "('294276-12-31 23:59:59.999999+00'), ('2026-01-02 03:04:05.5+00')",
         pa.string()),
    ],
)  # fmt: skip
def test_values_are_those_the_server_holds(
    connection: Any, kind: str, rows: str, arrow: pa.DataType
) -> None:
    array = column(connection, f"v::{kind}", rows)

    assert array.type == arrow
    shown = [None if v is None else _shown(v) for v in array.to_pylist()]
    expected = [
        # The server cuts trailing blanks of a char only when it becomes text.
        value.ljust(4) if kind == "char(4)" and value is not None else value
        for value in as_server_text(connection, f"v::{kind}", rows)
    ]
    if kind.startswith("timestamp"):  # written as Arrow does, whatever comes beside them
        expected = [re.sub(r"(:\d\d)(?:\.(\d+))?(?:\+00)?(?= BC|$)",
                           lambda m: f"{m[1]}.{m[2] or '':0<6}{'Z' if kind[9:] else ''}", value)
                    for value in expected]  # fmt: skip
    assert shown == expected


def _shown(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_times_keep_their_microseconds_and_zone(connection: Any) -> None:
    rows = "('2026-11-24 07:00:00.123456-03'), (null), ('0001-01-01 00:00:00+00')"

    zoned = column(connection, "v::timestamptz", rows)
    local = column(connection, "v::timestamp", rows)

    assert zoned.type == pa.timestamp("us", tz="UTC")
    assert zoned[0].value == 1_795_514_400_123_456
    assert zoned[1].as_py() is None
    assert local[0].value == 1_795_514_400_123_456 - 3 * 3_600_000_000


@pytest.mark.parametrize("odd", ["infinity", "0044-03-15 12:30:00 BC"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_a_time_is_written_alike_beside_one_that_no_calendar_has(
    connection: Any, kind: str, odd: str
) -> None:
    """Which rows come in one batch, and in one block of it, changes from read to read."""
    times = "('2026-01-02 03:04:05.5'), ('2026-01-02 03:04:05')"

    alone = to_texts(column(connection, f"v::{kind}", times)).to_pylist()
    beside = column(connection, f"v::{kind}", f"{times}, ('{odd}')").to_pylist()

    assert beside[:2] == alone


def test_booleans_and_doubles(connection: Any) -> None:
    assert column(connection, "v::bool", "('t'), (null), ('f')").to_pylist() == [True, None, False]
    doubles = column(connection, "v::float8", "('0.1'), ('-inf'), (null)").to_pylist()
    assert doubles == [0.1, float("-inf"), None]


def test_batches_hold_every_row_once_in_order(connection: Any) -> None:
    query = "select i::int8, repeat('x', i % 7) from generate_series(1, 50001) as i order by i"

    for batch_rows in (1, 999, 16_384, 50_001, 100_000):
        if batch_rows == 1:
            query_here, count = query.replace("50001", "10"), 10
        else:
            query_here, count = query, 50_001
        batches = copied(connection, query_here, batch_rows=batch_rows)
        numbers = pa.concat_arrays([batch[0] for batch in batches])
        assert numbers.equals(pa.array(range(1, count + 1), pa.int64()))
        texts = pa.concat_arrays([batch[1] for batch in batches])
        assert texts.to_pylist() == [b"x" * (i % 7) for i in range(1, count + 1)]


@pytest.mark.parametrize(
    "late",
    ["n", "case when n % 7 <> 0 then n end", "case when n < 10000 then n end", "null::bigint"],
    ids=["always", "sometimes null", "null from some row on", "never"],
)
@pytest.mark.parametrize(
    "early",
    ["'M-' || lpad(n::text, 6, '0')", "'M-' || n",
     "case when n % 3 = 0 then repeat('x', n % 50) end",
     "case when n < 15000 then 'fijo' else '' end", "''", "case when n = 20000 then 'x' end"],
    ids=["one length", "growing", "any length and null", "shorter at the end", "empty", "late"],
)  # fmt: skip
def test_columns_stand_where_they_stand_whatever_the_length_of_those_before(
    connection: Any, early: str, late: str
) -> None:
    """Across two blocks, whose first and last rows may be the longest or the shortest."""
    query = (
        f"select n as first, ({early})::text as early, (n::numeric / 8)::numeric(12,3) as number, "
        f"({late})::int8 as late, n % 2 = 0 as odd, n::float8 / 4 as half "
        "from generate_series(1, 20000) as t(n)"
    )
    batches = copied(connection, query, batch_rows=20_000)
    found = [pa.concat_arrays(list(pieces)) for pieces in zip(*batches, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(query)
        expected = list(zip(*cursor.fetchall(), strict=True))
    texts = [None if value is None else value.encode() for value in expected[1]]
    assert found[1].to_pylist() == texts
    assert [column.to_pylist() for column in (found[0], *found[2:])] == [
        list(column) for column in (expected[0], *expected[2:])
    ]


@pytest.mark.parametrize(
    "values",
    ["n", "-n / 7.0", "n * 100000.0001", "case when n % 2 = 0 then 0 else 0.0001 end",
     "case n % 3 when 0 then 12345678.5 when 1 then 0.0005 end"],
)  # fmt: skip
def test_numbers_of_every_size_in_one_column_are_exact(connection: Any, values: str) -> None:
    query = f"select ({values})::numeric(14,4) as v from generate_series(1, 5000) as t(n)"
    ((found,),) = copied(connection, query, batch_rows=5000)
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert found.to_pylist() == [row[0] for row in cursor.fetchall()]


def test_an_empty_result_has_no_batch(connection: Any) -> None:
    assert copied(connection, "select 1::int8 where false") == []


def test_pieces_of_different_representation_become_one_batch(connection: Any) -> None:
    # Rows are decoded some thousands at a time: only the last piece has a NaN here.
    query = (
        "select case when i = 60000 then 'NaN'::numeric else i::numeric(12,3) end "
        "from generate_series(1, 60000) as i order by i"
    )

    *before, batch = copied(connection, query, batch_rows=65_536)

    read = sum(len(column) for (column,) in before)
    assert {column.type for (column,) in before} == {pa.decimal128(18, 3)}
    assert len(batch[0]) > 16_384
    assert batch[0].type == pa.string()
    assert batch[0][0].as_py() == f"{read + 1}.000"
    assert batch[0][-1].as_py() == "NaN"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    stream = CopyStream([20], 10, BATCH_BYTES, lambda arrays, sent: None)
    stream.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\x00\x01\x00\x00\x00\x08" + bytes(8))

    with pytest.raises(ValueError, match="has no end"):
        stream.finish()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"\x00\x02\x00\x00\x00\x08" + bytes(8), "another number of fields"),
        (b"\x00\x01\x00\x00\x00\x08" + bytes(9), "longer than its fields"),
    ],
)
def test_a_row_that_is_not_what_was_asked_for_is_an_error(row: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode([row], [20])


@pytest.mark.parametrize("size", [b"\x00\x01\x00\x00", b"\x7f\xff\xff\xff"], ids=bytes.hex)
def test_a_text_that_says_it_is_longer_than_all_that_came_is_an_error(size: bytes) -> None:
    """Texts of changing length are cut out by Arrow, which looks at no bounds."""
    good = [b"\x00\x01\x00\x00\x00" + bytes([n]) + b"a" * n for n in range(1, 5)]
    with pytest.raises(ValueError, match="beyond what came"):
        decode([*good, b"\x00\x01" + size + b"corta"], [25])

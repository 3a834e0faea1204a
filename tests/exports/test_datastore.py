"""Rows on their way into a DataStore table: in chunks, as texts, with nothing lost in between."""

from __future__ import annotations

import pytest

from exports import datastore
from exports.differences import records
from exports.versions import Table, TableColumn

ROWS = [
    b'1,,"a, b"\n',
    b'2,"","dos\nlineas"\n',
    b'3,007,"' + b"x" * 500 + b'"\n',
    b"4,1.50,fin\n",
]


@pytest.fixture
def table() -> Table:
    columns = tuple(
        TableColumn(id=name, type="text", label=name, notes="") for name in ("n", "codigo", "texto")
    )
    return Table(
        resource="r", file="r.csv", rows_file="r.csv", rows=len(ROWS), bytes=0, sha256="",
        shown_sha256="", shown_sum="", columns=columns,
    )  # fmt: skip


@pytest.mark.parametrize("limit", [1, 40, 1 << 19])
def test_rows_keep_their_texts_whatever_the_size_of_a_chunk(
    limit: int, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datastore, "CHUNK_BYTES", limit)
    lines = b"".join(ROWS).splitlines(keepends=True)
    chunks = list(datastore._chunks(records(lines), table))
    assert len(chunks) == {1: 4, 40: 2, 1 << 19: 1}[limit]
    assert [tuple(row.values()) for chunk in chunks for row in chunk] == [
        ("1", None, "a, b"),
        ("2", "", "dos\nlineas"),
        ("3", "007", "x" * 500),
        ("4", "1.50", "fin"),
    ]


def test_only_the_chosen_rows_are_read() -> None:
    assert list(datastore._only(iter(ROWS), iter([1, 3]))) == [ROWS[1], ROWS[3]]
    assert list(datastore._only(iter(ROWS), iter([]))) == []

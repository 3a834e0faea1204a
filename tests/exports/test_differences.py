"""Rows that go and rows that come: by content, with repetitions, with nothing left on the disk."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from pathlib import Path

import pytest

from exports.differences import RowSum, differences, records


def compared(
    present: list[bytes], wanted: list[bytes], folder: Path
) -> tuple[list[int], list[int]]:
    numbered = [(10 * place, row) for place, row in enumerate(present)]
    with differences(numbered, wanted, folder) as found:
        return list(found.gone()), list(found.missing())


@pytest.mark.parametrize(
    ("present", "wanted", "gone", "missing"),
    [
        ([b"a", b"b"], [b"a", b"b"], [], []),
        ([b"a", b"b"], [b"b", b"a"], [], []),
        ([b"a", b"b", b"c"], [b"a", b"x", b"c", b"d"], [10], [1, 3]),
        ([b"a", b"a", b"a"], [b"a"], [10, 20], []),
        ([b"a"], [b"a", b"b", b"a"], [], [1, 2]),
        ([], [b"a"], [], [0]),
        ([b"a"], [], [0], []),
        ([], [], [], []),
    ],
)  # fmt: skip
def test_what_goes_and_what_comes(
    present: list[bytes], wanted: list[bytes], gone: list[int], missing: list[int], tmp_path: Path
) -> None:
    assert compared(present, wanted, tmp_path) == (gone, missing)
    assert list(tmp_path.iterdir()) == []


def test_applying_any_difference_gives_the_wanted_rows(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(50):
        present, wanted = (
            [b"%d" % chance.randint(0, 9) for _ in range(chance.randint(0, 30))] for _ in range(2)
        )
        gone, missing = compared(present, wanted, tmp_path)
        left = [row for place, row in enumerate(present) if 10 * place not in gone]
        assert Counter(left) + Counter(wanted[place] for place in missing) == Counter(wanted)
        assert (
            len(gone) + len(missing)
            == (Counter(present) - Counter(wanted)).total()
            + (Counter(wanted) - Counter(present)).total()
        )


def test_the_sum_knows_no_order_and_every_other_difference() -> None:
    def total(*rows: bytes) -> str:
        found = RowSum()
        for row in rows:
            found.add(row)
        return found.hexdigest()

    assert total(b"a", b"b", b"a") == total(b"a", b"a", b"b")
    assert len({total(), total(b"a"), total(b"a", b"a"), total(b"b"), total(b"ab")}) == 5


def test_records_end_where_their_line_does_and_not_inside_quotes() -> None:
    rows = [["1", 'dijo "sí"', "x"], ["2", "dos\nlíneas\r\ny un retorno\r", ""], ["3", "", "\n"]]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    text = written.getvalue().encode()
    for lines in (text.splitlines(keepends=True), io.BytesIO(text)):
        found = list(records(lines))
        assert b"".join(found) == text
        assert [next(csv.reader(io.StringIO(item.decode(), newline=""))) for item in found] == rows

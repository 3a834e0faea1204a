"""Numbers in messages are those of the city's language."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sources.wording import counted, number, percent


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (2160000, 0, "2.160.000"), (1234567.891, 2, "1.234.567,89"), (1.2, 2, "1,2"),
        (0.04, 1, "0"), (-0.04, 1, "0"), (100, 2, "100"), (Decimal("16.90"), 6, "16,9"),
    ],
)  # fmt: skip
def test_points_part_thousands_and_a_comma_the_decimals(
    value: float | Decimal, decimals: int, text: str
) -> None:
    assert number(value, decimals) == text


def test_one_is_singular_also_when_it_was_rounded() -> None:
    assert counted(1, "fila", "filas") == "1 fila"
    assert counted(1.04, "día", "días", 1) == "1 día"
    assert counted(1.2, "día", "días", 1) == "1,2 días"


def test_a_share_below_one_percent_is_not_none() -> None:
    assert (percent(0.005), percent(0.125), percent(1)) == ("0,5 %", "12,5 %", "100 %")

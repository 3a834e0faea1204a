"""Names as sources write them: compared with each other, and turned into plain ones.

Belongs here: pure functions on names. Does not belong here: which column a name means
(`readers/base.py`), or what is free to be used.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby


def folded(name: str) -> str:
    """By what two names are the same: without superfluous blanks, upper and lower case alike."""
    return " ".join(name.split()).casefold()


def unaccented(name: str) -> str:
    """As `folded`, and without accents; `N°` and `Nº` are the same."""
    plain = unicodedata.normalize("NFKD", name.replace("°", "º"))
    return folded("".join(sign for sign in plain if not unicodedata.combining(sign)))


def slug(text: str) -> str:
    """ASCII, lower case, underscores; empty when nothing of the text is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def stacked(rows: Sequence[Sequence[str]], *, carried: bool = True) -> list[str]:
    """Names of columns under a header of several rows, from its upper one down: `2025 enero`.

    A title stands above its own column and, with `carried`, above those to its right that have
    none, as far as there are names below and no title above begins. Said twice it counts once.
    """
    width = max(map(len, rows), default=0)
    levels = [[*(" ".join(n.split()) for n in row), *[""] * (width - len(row))] for row in rows]
    begins = [False] * width
    for level, row in enumerate(levels[:-1] if carried else []):
        title = ""
        for place, own in enumerate(row):
            named = any(below[place] for below in levels[level + 1 :])
            if own or begins[place] or not named:
                title = own if named else ""
                begins[place] = begins[place] or bool(own)
            else:
                row[place] = title
    return [
        " ".join(name for name, _ in groupby(filter(None, parts)))
        for parts in zip(*levels, strict=True)
    ]


def told_apart(names: Sequence[str], *, unnamed: bool = False) -> list[str]:
    """Names of columns side by side, each one's own: the second `monto` is `monto (2)`.

    With `unnamed` a column without a name is `(columna 3)`, by its place; else it stays without.
    """
    turns: Counter[str] = Counter()
    given = {" ".join(name.split()) for name in names}
    found = []
    for place, raw in enumerate(names, start=1):
        name = " ".join(raw.split())
        if not name:
            found.append(f"(columna {place})" if unnamed else "")
            continue
        turns[name] += 1
        while turns[name] > 1 and f"{name} ({turns[name]})" in given:
            turns[name] += 1
        found.append(name if turns[name] == 1 else f"{name} ({turns[name]})")
    return found

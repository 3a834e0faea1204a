"""Rows of a wire format as bytes in a block, and their columns taken out of all of them at once.

Belongs here: what the rows of PostgreSQL (`copy_binary.py`, `copy_wire.py`) and of MySQL
(`mysql_wire.py`) have in common: where they begin, pieces of them, texts. Does not belong here:
either format.

No row is looked at in Python: each of these steps is one call of NumPy or Arrow over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.arrow_values import bitmap, from_numbers, to_texts
from sources.readers.arrow import Array, pc

# More than a number has: what is read of a value that is null, or of one that is cut short, is
# still within the block.
PADDING = 64

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def chained(found: Places, ends: Places) -> tuple[Places, Places]:
    """Those of the places that each lead to the next, from the first on."""
    apart = np.flatnonzero(ends[:-1] != found[1:])
    if len(apart) == 0:
        return found, ends
    kept = np.zeros(len(found), bool)
    at = 0
    while True:
        nearest = int(np.searchsorted(apart, at))
        last = int(apart[nearest]) if nearest < len(apart) else len(found) - 1
        kept[at : last + 1] = True
        at = int(np.searchsorted(found, ends[last]))
        if at <= last or at == len(found) or found[at] != ends[last]:
            return found[kept], ends[kept]


def pieces(block: Bytes, places: Places, width: int) -> Bytes:
    """The `width` bytes that begin at each place, as a row each."""
    # A piece may begin at any byte: a view with one element per byte, read out at the places.
    every = np.ndarray(len(block) - width + 1, f"V{width}", block.data, strides=(1,))
    return every[places].view(np.uint8).reshape(len(places), width)


def joined(pieces: Sequence[Array]) -> Array:
    """One column of several pieces; as text where one of them had to be."""
    kinds = {piece.type for piece in pieces}
    if len(kinds) == 1:
        return pa.concat_arrays(pieces)
    if all(pa.types.is_decimal(kind) for kind in kinds):
        widest = pa.decimal128(38, max(kind.scale for kind in kinds))
        return pa.concat_arrays([pc.cast(piece, widest) for piece in pieces])
    return pa.concat_arrays([to_texts(piece) for piece in pieces])


def texts(block: Bytes, starts: Places, sizes: Places, valid: Any = None) -> Array:
    """The bytes that stand at these places, one after another in `block`, as a binary column.

    That they are text is settled later, for all columns alike. A null's size counts as nothing.
    Raises ValueError for a value that does not end within the block: Arrow would not look.
    """
    count, ends = len(starts), starts + np.maximum(sizes, 0)
    if int(starts.min()) < 0 or int(ends.max()) > len(block):
        raise ValueError("a value reaches beyond what came")
    # The block as values and what lies between them, in turn: Arrow takes every second.
    bounds = np.empty(2 * count, np.int32)
    bounds[::2] = starts
    bounds[1::2] = ends
    parts: Any = pa.Array.from_buffers(
        pa.binary(), 2 * count - 1, [None, pa.py_buffer(bounds.data), pa.py_buffer(block.data)]
    )
    found = parts.take(from_numbers(np.arange(0, 2 * count, 2, dtype=np.int32)))
    if valid is None:
        return found
    return pa.Array.from_buffers(pa.binary(), count, [bitmap(valid), *found.buffers()[1:]])

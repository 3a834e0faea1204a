"""Folders for servers that run as another user than the tests.

Belongs here: only that. Does not belong here: the servers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """A new folder that every user can pass through, removed at the end.

    Not one of pytest's: under root, every pytest that starts closes the folder above those of all
    of them to other users, in the midst of what runs there.
    """
    with tempfile.TemporaryDirectory(prefix=f"lujan-{name}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)

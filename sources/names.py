"""Names as sources write them: compared with each other, and turned into plain ones.

Belongs here: pure functions on one text. Does not belong here: which column a name means
(`readers/base.py`), or what is free to be used.
"""

from __future__ import annotations

import re
import unicodedata


def folded(name: str) -> str:
    """By what two names are the same: without superfluous blanks, upper and lower case alike."""
    return " ".join(name.split()).casefold()


def slug(text: str) -> str:
    """ASCII, lower case, underscores; empty when nothing of the text is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")

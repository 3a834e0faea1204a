"""HTML pages that come under the names of other files.

Belongs here: telling one by its beginning, and its text. Does not belong here: its tables
(`workbooks/html.py`): what parses them would be imported for every file.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_PAGE = re.compile(r"<(?:html|table)\b", re.IGNORECASE)
_LOOKED_AT = 4096


def is_page(start: bytes) -> bool:
    """Whether a file that begins so is an HTML page, and no text with one among its values."""
    text = page_text(start[:_LOOKED_AT]).lstrip()
    return text.startswith("<") and _PAGE.search(text) is not None


def page_text(content: bytes) -> str:
    """By the mark at the beginning, by what the page says of itself, else as UTF-8 or Windows."""
    if content.startswith(_MARKS[0]):
        return content.decode("utf-8-sig", "replace")
    if content.startswith(_MARKS[1:]):
        return content.decode("utf-16", "replace")
    said = [found[1].decode() for found in islice(_CHARSET.finditer(content[:_LOOKED_AT]), 1)]
    for encoding in (*said, "utf-8"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("cp1252", "replace")

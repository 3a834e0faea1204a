"""The notice of the day above a dataset's own text, and the dataset apart from it.

Belongs here: how a notice stands in CKAN's metadata. Does not belong here: what it says, or when
(`orchestration/publishing.py`). It is no part of any version: it comes and goes without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exports.ckan.description import FINGERPRINT, WITHDRAWN, Metadata, extras_of

# Extra with what the page says today.
NOTICE = "aviso"


def without_notice(current: Mapping[str, Any]) -> Metadata:
    """The dataset as it is apart from today's notice."""
    words = extras_of(current).get(NOTICE, "")
    return {
        **current,
        "notes": (current.get("notes") or "").removeprefix(_above(words)),
        "extras": [item for item in current.get("extras", ()) if item["key"] != NOTICE],
    }


def notice_change(current: Mapping[str, Any], notice: str | None) -> Metadata | None:
    """What to revise so that the dataset shows this notice, or none; None for nothing to do.

    Nothing is done to a dataset that is deleted, not ours, or withdrawn.
    """
    extras = extras_of(current)
    if current.get("state") != "active" or FINGERPRINT not in extras or WITHDRAWN in extras:
        return None
    text = without_notice(current)["notes"]
    wanted = f"{_above(notice)}{text}" if notice else text
    if (extras.get(NOTICE), current.get("notes")) == (notice, wanted):
        return None
    extras.pop(NOTICE, None)
    if notice:
        extras[NOTICE] = notice
    return {
        "filter": ["-extras__*"],
        "update": {
            "notes": wanted,
            "extras": [{"key": key, "value": value} for key, value in extras.items()],
        },
    }


def _above(words: str) -> str:
    """As CKAN's pages show it: a quote, bold, before everything else."""
    return f"> **Aviso:** {words}\n\n"

"""Findings with owners: what somebody has to put right, from when it is seen to when it is gone.

Belongs here: their life cycle (`lifecycle.py`), asking for them (`register.py`), and the weekly
digest of each area with the ways it is sent (`digest.py`, `channels.py`). Does not belong here:
finding anything out (checks, models, quarantine and drift do), or when this runs
(`orchestration/`).
"""

from expectations.findings.lifecycle import Change, Project, acknowledge, close, synchronise
from expectations.findings.register import Event, Finding, find, get, history

__all__ = [
    "Change",
    "Event",
    "Finding",
    "Project",
    "acknowledge",
    "close",
    "find",
    "get",
    "history",
    "synchronise",
]

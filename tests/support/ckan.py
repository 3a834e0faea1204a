"""A real CKAN portal of the tests' own, started as `lujan portal dev` starts it.

Belongs here: skipping where it cannot be had. Where CKAN or Redis is missing the tests are skipped
with the reason; with `CI=true` that is a failure, unless `LUJAN_SKIP_CKAN` says why it is accepted.
And forgetting in it what other tests left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ckanapi import RemoteCKAN

from orchestration.portal_dev import CkanPortal, ckan_portal, ckan_programs
from orchestration.warehouse.embedded import EmbeddedServer

__all__ = ["CkanPortal", "forget", "running_portal"]


@contextmanager
def running_portal(folder: Path, postgres: EmbeddedServer) -> Iterator[CkanPortal]:
    """A portal on databases of its own in the tests' server."""
    _, missing = ckan_programs()
    if missing:
        reason = f"not installed here: {', '.join(missing)} (see orchestration/portal_dev.py)"
        if os.environ.get("CI") == "true" and not os.environ.get("LUJAN_SKIP_CKAN"):
            pytest.fail(reason)
        pytest.skip(reason)
    with ckan_portal(folder, postgres.ensure_database) as running:
        yield running


def forget(portal: CkanPortal, dataset: str) -> None:
    """Leave nothing of a dataset that a test of another file may have published."""
    administrator = RemoteCKAN(portal.url, apikey=portal.token)
    if dataset in administrator.action.package_list():
        administrator.action.dataset_purge(id=dataset)

"""Where the processes of the tests are forked from: a server with the slow imports done.

Belongs here: the one context that all of them use, for Python keeps one fork server and the
modules it loads are those known when it starts. Does not belong here: what a process does.

A start costs milliseconds, and memory and threads of the test run are not inherited.
"""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.support.processes",
        "sources.readers.database",
        "sources.readers.delimited",
        "sources.readers.engines.mysql",
        "sources.readers.engines.postgresql",
        # A load that sets rows aside and one that publishes need these.
        "pandas",
        "exports.ckan",
        "exports.export",
    ]
)

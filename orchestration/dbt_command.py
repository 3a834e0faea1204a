"""dbt's command line as one process that parses once and writes no manifest.

Belongs here: what `dbt <arguments>` does, less what nobody reads. Does not belong here: what to
build (`build_plan.py`), or how Dagster starts it (`dbt_cli.py`). Imports nothing of ours, so that
it starts as fast as dbt itself.

Every `dbt build` writes the whole manifest anew, also when nothing of the project changed: as long
as all the rest of its start. Given a manifest that dbt has just read, it does not; dbt's own
checks of whether the parsed project is current are made as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

# dbt's own codes: what it ran failed; it could not run.
_FAILED, _BROKEN = 1, 2


def main(arguments: Sequence[str], manifest: Manifest | None = None) -> int:
    """Run one dbt command in this process; its exit code as dbt gives it.

    The project, its profile and its target are those of the environment (DBT_PROJECT_DIR and such).
    With `manifest` the project is not read: it is what this process has just parsed there.
    """
    if manifest is None:
        parsed = dbtRunner().invoke(["--quiet", "--no-write-json", "parse"])
        if not parsed.success or not isinstance(parsed.result, Manifest):
            return _exit_code(parsed)
        manifest = parsed.result
    return _exit_code(dbtRunner(manifest=manifest).invoke(list(arguments)))


def _exit_code(done: dbtRunnerResult) -> int:
    if done.success:
        return 0
    return _FAILED if done.exception is None else _BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

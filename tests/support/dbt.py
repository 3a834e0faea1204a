"""dbt commands of the tests, each in a process of its own that need not import or parse again.

Belongs here: starting such processes and what they answered. Does not belong here: what is built
(`water.py`). Importing dbt, parsing the project and compiling its macros take longer than most
builds of these tests: one process does so once and forks for every command. That a run starts dbt
as a process of its own, which parses, is proved by `tests/orchestration/test_dbt_cli.py` and the
pipeline.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT

_COMMAND = PROJECT_ROOT / "orchestration" / "dbt_command.py"
_PROGRAM = """
import gc, importlib.util, json, os, sys
import dbt.adapters.postgres
from dbt.cli.main import dbtRunner
from dbt_common.clients.jinja import template_cache
# By its file: its neighbours are no modules of dbt's.
found = importlib.util.spec_from_file_location("dbt_command", sys.argv[1])
dbt_command = importlib.util.module_from_spec(found)
found.loader.exec_module(dbt_command)
# Where a command writes is no matter for what the project says.
PLACES = ("DBT_TARGET_PATH", "DBT_LOG_PATH")
parsed_for, manifest = None, None

def use(environment):
    os.environ.clear()
    os.environ.update(environment)

def parse(environment):
    # What the project says there; None when it cannot be read: the command itself will say why.
    use(environment)
    done = dbtRunner().invoke(["--quiet", "--no-write-json", "--no-partial-parse", "parse"])
    if not done.success:
        return None
    for macro in done.result.macros.values():
        template_cache.get_node_template(macro)
    gc.collect()
    gc.freeze()
    return done.result

answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)
for line in sys.stdin:
    asked = json.loads(line)
    said_by = {name: value for name, value in asked["environment"].items() if name not in PLACES}
    if parsed_for != said_by:
        parsed_for, manifest = said_by, parse(asked["environment"])
    child = os.fork()
    if child == 0:
        nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(asked["said"], os.O_WRONLY)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        use(asked["environment"])
        sys.exit(dbt_command.main(asked["arguments"], manifest))
    answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n")
    answers.flush()
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and all that it printed."""

    returncode: int
    stdout: str


@dataclass
class DbtCommands:
    """Runs dbt commands, one after the other; the process is there from the first of them."""

    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Answer:
        """One command in `environment`; what it prints goes to `log` and is in the answer."""
        process = self._started()
        assert process.stdin and process.stdout
        log.write_text("", encoding="utf-8")
        asked = {"arguments": [*arguments], "environment": {**environment}, "said": str(log)}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        code = process.stdout.readline()
        assert code, f"dbt's process ended: {log.read_text(encoding='utf-8')[-2000:]}"
        return Answer(int(code), log.read_text(encoding="utf-8"))

    def close(self) -> None:
        """End the process; it is started again when it is asked again."""
        if self._process is not None and self._process.stdin:
            self._process.stdin.close()
            self._process.wait(30)
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(_COMMAND)],
                env=dict(os.environ), cwd=DBT_PROJECT_DIR, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        return self._process

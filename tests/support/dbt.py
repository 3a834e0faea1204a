"""dbt commands of the tests, each in a process of its own that need not import dbt again.

Belongs here: starting such processes and what they answered. Does not belong here: what is built
(`water.py`). Importing dbt takes longer than most builds of these tests: one process does so and
forks for every command. That a run starts dbt as a process of its own is proved by
`tests/orchestration/test_dbt_cli.py`; what the process does is the same here.
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
import importlib.util, json, os, sys
import dbt.adapters.postgres
# By its file: its neighbours are no modules of dbt's.
found = importlib.util.spec_from_file_location("dbt_command", sys.argv[1])
dbt_command = importlib.util.module_from_spec(found)
found.loader.exec_module(dbt_command)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(asked["said"], os.O_WRONLY)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.exit(dbt_command.main(asked["arguments"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
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

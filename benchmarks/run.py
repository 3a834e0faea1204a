"""How long the whole pipeline takes on the sample, and how much memory its largest process.

    python -m benchmarks.run [--json] [--first | --cold]

Runs in a data folder of its own and removes it. `--cold` also clones the project into an empty
folder and times `make run` there, installation included.

Of the first run, in which everything is loaded, built and checked, it also says what the checks
took (`benchmarks/checks.py` says of what) and which share of the run that is: the target is a
quarter. Measure on a machine that does nothing else: a step's seconds include its waiting.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Measured, measure, sigterm_interrupts

ROOT = Path(__file__).resolve().parents[1]
_LOAD_DEFINITIONS = "import orchestration.definitions"


def main() -> int:
    """Print one figure per line; exit code 1 when a run of the pipeline failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--first", action="store_true", help="only the first run and its checks")
    extent.add_argument("--cold", action="store_true", help="also a clone with installation")
    options = parser.parse_args()
    failed = False
    for figure, value, unit, ok in _figures(first=options.first, cold=options.cold):
        failed |= not ok
        if options.json:
            print(
                json.dumps({"figure": figure, "value": round(value, 2), "unit": unit}), flush=True
            )
        else:
            print(f"{figure:32} {value:10.2f} {unit}{'' if ok else '   (failed)'}", flush=True)
    return int(failed)


def _figures(*, first: bool, cold: bool) -> Iterator[tuple[str, float, str, bool]]:
    lujan = str(Path(sys.executable).with_name("lujan"))
    with _scratch() as folder:
        env = _environment(folder)
        server = folder / "warehouse"
        subprocess.run([lujan, "warehouse", "start"], env=env, cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            for name in ("first_run",) if first else ("first_run", "second_run"):
                run = measure([lujan, "run"], env=env, cwd=ROOT, server_folder=server)
                yield from _run_figures(name, run)
                if name == "first_run":
                    yield from _check_figures(env, run)
            if first:
                return
            began = time.monotonic()
            done = subprocess.run([sys.executable, "-c", _LOAD_DEFINITIONS], env=env, cwd=ROOT,
                                  check=False)  # fmt: skip
            yield "definitions_load", time.monotonic() - began, "s", done.returncode == 0
        finally:
            subprocess.run([lujan, "clean", "--yes"], env=env, cwd=ROOT, check=False,
                           stdout=subprocess.DEVNULL)  # fmt: skip
    if cold:
        yield from _cold()


def _run_figures(name: str, run: Measured) -> Iterator[tuple[str, float, str, bool]]:
    ok = run.exit_code == 0
    if not ok:
        print(run.output, file=sys.stderr)
    yield f"{name}_seconds", run.seconds, "s", ok
    yield f"{name}_peak_memory", run.peak_mib, "MiB", ok


def _check_figures(env: dict[str, str], run: Measured) -> Iterator[tuple[str, float, str, bool]]:
    command = [sys.executable, "-m", "benchmarks.checks"]
    done = subprocess.run(command, env=env, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        yield "checks_share", 0.0, "%", False
        return
    parts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    for name, seconds in parts.items():
        yield f"checks_{name}", seconds, "s", True
    yield "checks_share", 100 * sum(parts.values()) / run.seconds, "%", True


def _cold() -> Iterator[tuple[str, float, str, bool]]:
    with tempfile.TemporaryDirectory(prefix="lujan-cold-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LUJAN_", "SOURCE_"))}
        began = time.monotonic()
        done = subprocess.run(["make", "run"], env=env, cwd=clone, check=False,
                              stdout=subprocess.DEVNULL)  # fmt: skip
        yield "cold_run_with_installation", time.monotonic() - began, "s", done.returncode == 0
        subprocess.run(["make", "clean"], env=env, cwd=clone, check=False,
                       stdout=subprocess.DEVNULL)  # fmt: skip


@contextmanager
def _scratch() -> Iterator[Path]:
    # Beside the usual data folder: same disk, and reachable by the server's user.
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SOURCE_", "CKAN_"))}
    for name in ("WAREHOUSE_URL", "DAGSTER_HOME"):
        kept.pop(name, None)
    return kept | {"LUJAN_DATA_DIR": str(folder)}


if __name__ == "__main__":
    with sigterm_interrupts():
        sys.exit(main())

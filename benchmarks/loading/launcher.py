"""Runs one command and writes how long it took and how much memory its largest process held.

Belongs here: nothing but the standard library, and little of it. The kernel counts what a process
held *before* it became the command as well, so whoever starts a command to measure its memory must
be small; the benchmark itself, with Arrow in it, is not. Does not belong here: what is run.

    python -I -S launcher.py RESULT OUTPUT COMMAND…

RESULT gets one line: seconds, exit code, KiB. OUTPUT gets what the command prints.
"""

import os
import sys
import time


def main() -> None:
    result, output, *command = sys.argv[1:]
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    # The maximum over the command and everything it has waited for: its largest process.
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    with open(result, "w") as file:  # noqa: PTH123
        file.write(f"{seconds} {code} {usage.ru_maxrss}\n")


main()

"""What ended a command is often no fault of the program: a full disk, a server that went
away, a warehouse that no run has prepared.

Belongs here: finding such a cause behind an error, whoever raised it (Dagster and SQLAlchemy wrap
the driver's), and saying it to the person on duty. Does not belong here: errors that one load
meets, which its record tells (`sources/landing/guard.py`).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator

import psycopg
import psycopg2

from orchestration.settings import settings
from orchestration.warehouse.embedded import EmbeddedServer
from sources.errors import PipelineError, WarehouseUnavailable
from sources.landing.guard import trouble
from sources.wording import refusal

_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg2.OperationalError)
_NO_CONNECTION, _DISK_FULL = "08", "53100"
# The server ends where it cannot write the next segment of its log, a file of 16 MiB.
_LEAST_ROOM = 64 << 20
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def outage(error: BaseException) -> PipelineError | None:
    """The error of ours that tells what is behind `error`; None where the program is at fault."""
    for cause in _behind(error):
        if isinstance(cause, PipelineError):
            return cause
        if isinstance(cause, psycopg.errors.UndefinedTable):
            return _unprepared(cause)
        if isinstance(cause, psycopg.Error | psycopg2.Error):
            code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
            known = trouble(code or (_NO_CONNECTION if isinstance(cause, _LOST) else ""))
            if known == trouble(_NO_CONNECTION) and _is_full():
                known = trouble(_DISK_FULL)
            if known is not None:
                return WarehouseUnavailable(known[0], next_step=known[1])
        elif isinstance(cause, OSError) and cause.errno in _DISK:
            where = f" en {os.fsdecode(cause.filename)}" if cause.filename else ""
            return PipelineError(
                f"no se puede escribir{where}: {refusal(cause)}.",
                next_step="dé espacio o permiso y vuelva a ejecutar.",
            )
    return None


def _is_full() -> bool:
    """Whether the embedded server ended for want of room: those who ask it only see it go."""
    if settings().warehouse_url is not None:
        return False
    server = EmbeddedServer(settings().embedded_dir)
    return server.exists() and shutil.disk_usage(server.place).free < _LEAST_ROOM


def _unprepared(error: psycopg.Error) -> PipelineError:
    """A command looked for a table that no run has made yet."""
    missing = (error.diag.message_primary or "").partition('"')[2].partition('"')[0]
    return PipelineError(
        f"al almacén le falta {missing or 'una tabla'}: es nuevo o de una versión anterior.",
        next_step="haga una corrida con `lujan run`, que lo prepara.",
    )


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)

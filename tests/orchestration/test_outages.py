"""A full disk, a server that went away: one message that says what to do, and a code of its own."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy.exc
from dagster import DagsterInstance, Output, job, op
from rich.console import Console

from orchestration import run as run_module
from orchestration import settings as settings_module
from orchestration.assets.failures import told_to_people
from orchestration.cli import main
from orchestration.outages import outage
from orchestration.run import _crashed_steps
from sources.errors import PipelineError


def wrapped(cause: Exception) -> Exception:
    """As Dagster's storage gives what SQLAlchemy gives of what the driver raised."""
    outer = RuntimeError("too many retries for DB connection")
    outer.__cause__ = sqlalchemy.exc.OperationalError("select 1", {}, cause)
    outer.__cause__.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (psycopg.errors.DiskFull(), "se quedó sin espacio en disco"),
        (psycopg2.OperationalError("connection refused"), "se cortó la conexión con el almacén"),
        (psycopg.errors.AdminShutdown(), "se cortó la conexión con el almacén"),
        (OSError(errno.ENOSPC, "No space left on device"), "no hay espacio en el disco"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv/datos/x"),
         "/srv/datos/x: no hay permiso"),
        (PipelineError("falta el mapa."), "falta el mapa"),
    ],
)  # fmt: skip
def test_the_cause_is_found_behind_what_wraps_it_and_told_in_spanish(
    cause: Exception, words: str
) -> None:
    known = outage(wrapped(cause))

    assert known is not None and words in known.what
    assert "device" not in str(known) and "denied" not in str(known)


@pytest.mark.parametrize(
    ("free", "words"),
    [(16 << 20, "se quedó sin espacio en disco"), (1 << 30, "se cortó la conexión")],
)
def test_an_embedded_server_that_ended_for_want_of_room_is_a_full_disk(
    free: int, words: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends where its log cannot be written; whoever it served only sees the connection go."""
    (data_dir / "warehouse" / "pgdata").mkdir(parents=True)
    (data_dir / "warehouse" / "pgdata" / "PG_VERSION").write_text("18\n")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))

    known = outage(wrapped(psycopg.OperationalError("server closed the connection")))

    assert known is not None and words in known.what


def test_a_fault_of_the_program_is_none_of_them() -> None:
    assert outage(wrapped(psycopg.errors.SyntaxError())) is None
    assert outage(KeyError("x")) is None
    try:
        try:
            raise OSError(errno.ENOSPC, "handled already")
        except OSError:
            raise KeyError("x") from None
    except KeyError as error:
        assert outage(error) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (wrapped(psycopg.errors.DiskFull()), "Qué hacer: libere espacio"),
        (PipelineError("el almacén no responde.", next_step="enciéndalo."), "enciéndalo."),
        (KeyError("tabla"), "un error del programa: KeyError: 'tabla'"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_and_leaves_the_trace_to_the_log(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise error

    said = io.StringIO()
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(main, "errors", Console(file=said, width=400))
    monkeypatch.setattr(run_module, "prepare", broken)
    monkeypatch.setenv("LUJAN_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["lujan", "run"])
    settings_module.settings.cache_clear()

    with pytest.raises(SystemExit) as ended:
        main.run()

    settings_module.settings.cache_clear()
    assert ended.value.code == 3
    assert said.getvalue().startswith("Error: ") and words in said.getvalue()
    assert "Traceback" not in said.getvalue()
    assert "Traceback" in (tmp_path / "logs" / "run.log").read_text(encoding="utf-8")


@op
@told_to_people
def full() -> Any:
    yield Output(None)
    raise OSError(errno.ENOSPC, "No space left on device", "/srv/datos/x.csv")


@job
def alone() -> None:
    full()


def test_a_step_that_meets_a_full_disk_says_so_on_its_page() -> None:
    with DagsterInstance.ephemeral() as instance:
        done = alone.execute_in_process(instance=instance, raise_on_error=False)
        [words] = _crashed_steps(instance, done.run_id)

    [failed] = [event for event in done.all_events if event.is_step_failure]
    shown = failed.step_failure_data.user_failure_data
    assert shown is not None and "no hay espacio en el disco" in str(shown.description)
    assert "no hay espacio en el disco" in words, "and in the closing report of a run"

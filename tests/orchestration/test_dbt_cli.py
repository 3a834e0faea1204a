"""A dbt command of a Dagster step is one process: nothing is asked of dbt before, nothing written
that nobody reads."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from dagster_dbt import DbtCliInvocation

from orchestration.dbt_cli import DbtCommand, dbt_resource

# As dbt gives them.
BROKEN = 2


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project of one model; its server need not be there."""
    folder = tmp_path / "proyecto"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: uno\nprofile: uno\n", encoding="utf-8")
    (folder / "profiles.yml").write_text(
        "uno:\n  target: t\n  outputs:\n    t: {type: postgres, host: 127.0.0.1, port: 1,"
        " user: u, password: p, dbname: d, schema: s}\n",
        encoding="utf-8",
    )
    (folder / "models" / "numeros.sql").write_text("select 1 as uno", encoding="utf-8")
    return folder


def run(project: Path, *arguments: str) -> DbtCliInvocation:
    """One command on the project, started as for a step, to its end."""
    ours = dbt_resource()
    made = DbtCommand(
        project_dir=project, profiles_dir=project, dbt_executable=ours.dbt_executable,
        global_config_flags=ours.global_config_flags,
    )  # fmt: skip
    return made.cli([*arguments], raise_on_error=False).wait()


def test_a_command_is_one_process(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    popen = subprocess.Popen

    class Counted(popen):  # type: ignore[misc,valid-type]
        def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
            started.append(args)
            super().__init__(args, *rest, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    done = run(project, "ls")
    assert done.is_successful()
    assert "uno.numeros" in capsys.readouterr().out
    assert len(started) == 1
    assert done.adapter is None
    assert (done.target_path / "partial_parse.msgpack").exists()
    assert not (done.target_path / "manifest.json").exists()


def test_a_project_that_cannot_be_parsed_is_said_in_dbts_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "models" / "numeros.sql").write_text("{{ ref('nadie') }}", encoding="utf-8")
    done = run(project, "build")
    assert done.process.returncode == BROKEN
    assert "depends on a node named 'nadie' which was not found" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_said_in_dbts_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(project, "build")
    assert done.process.returncode == BROKEN
    assert "port 1 failed: Connection refused" in capsys.readouterr().out

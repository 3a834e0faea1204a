"""Rounds: every contender in turn, on a fresh copy of the same target, as often as asked.

Belongs here: preparing targets, running contenders, comparing what they loaded. Does not belong
here: figures (`results.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.loading import fingerprint
from benchmarks.loading.contenders.base import Contender, bare_environment
from benchmarks.loading.measure import Run, run
from benchmarks.loading.model import BenchmarkError, Scenario
from benchmarks.loading.results import Series
from benchmarks.loading.servers import Postgres

# A contender this slow has told what there is to tell after one round.
_SLOW_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often, how long, and where."""

    postgres: Postgres
    folder: Path
    repeat: int
    timeout_s: float
    say: Say

    def play(self, scenario: Scenario, contenders: Sequence[Contender]) -> list[Series]:
        """One series per contender; one that cannot run or loads something else has a problem."""
        series = {one.name: self._ready(scenario, one) for one in contenders}
        for turn in range(self.repeat):
            # Another order each round: nobody is always the one after the slowest.
            first = turn % len(contenders)
            for one in [*contenders[first:], *contenders[:first]]:
                found = series[one.name]
                if found.problem or (found.runs and found.runs[0].seconds > _SLOW_S):
                    continue
                self._turn(scenario, one, found)
        for one in contenders:
            self.postgres.drop(_base(one))
            shutil.rmtree(self._base_folder(one), ignore_errors=True)
        return [series[one.name] for one in contenders]

    def _ready(self, scenario: Scenario, one: Contender) -> Series:
        """Its state before the measurement, when the scenario starts from one."""
        try:
            found = Series(one.name, one.versions())
            self._base_folder(one).mkdir(parents=True)
            if scenario.before and one.landed(scenario):
                self._load_before(scenario.before, one)
        except BenchmarkError as error:
            found = Series(one.name, {}, problem=str(error))
        return found

    def _load_before(self, before: Scenario, one: Contender) -> None:
        self.say(f"{one.name}: carga previa de {before.expected.rows} filas")
        base = _base(one)
        url = self.postgres.create(base, template=one.template)
        one.set_up(before, self.postgres, base)
        # The second brings nothing: what is measured is a day like any other, with whatever a
        # contender makes once (indexes, state) made.
        for _ in range(2 if one.remembers else 1):
            done = self._run(before, one, url, self._base_folder(one))
            problem = done.error or self._difference(before, one, url)
            if problem:
                raise BenchmarkError(f"la carga previa falló: {problem}")
        with self.postgres.connect(base) as connection:
            for table in one.landed(before):
                connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*table)))

    def _turn(self, scenario: Scenario, one: Contender, series: Series) -> None:
        prepared = bool(scenario.before and one.landed(scenario))
        target = f"destino_{one.name}"
        folder = self.folder / target
        shutil.copytree(self._base_folder(one), folder)
        self.postgres.settle()
        template = _base(one) if prepared else one.template
        url = self.postgres.create(target, template, warm=prepared)
        try:
            one.set_up(scenario, self.postgres, target)
            worked = self.postgres.active_seconds(target)
            done = self._run(scenario, one, url, folder)
            worked = self.postgres.active_seconds(target) - worked
            problem = done.error or self._difference(scenario, one, url)
        finally:
            self.postgres.drop(target)
            shutil.rmtree(folder, ignore_errors=True)
        if problem:
            series.problem = problem
            self.say(f"{one.name}: {problem}")
        else:
            self.say(f"{one.name}: {done.seconds:.2f} s, {done.peak_mib:.0f} MiB")
        if not done.error:
            series.runs.append(done)
            series.warehouse_seconds.append(worked)

    def _run(self, scenario: Scenario, one: Contender, url: str, folder: Path) -> Run:
        command = one.command(scenario, url, folder)
        return run(
            command.argv,
            env=bare_environment(folder) | dict(command.env),
            timeout_s=self.timeout_s,
        )

    def _difference(self, scenario: Scenario, one: Contender, url: str) -> str | None:
        tables = one.landed(scenario)
        if not tables:
            return None
        try:
            found = fingerprint.of_postgres(url, tables, scenario.dataset)
        except psycopg.Error as error:
            return f"lo cargado no se puede comparar: {str(error).splitlines()[0]}"
        difference = scenario.expected.difference(found)
        return difference and f"lo cargado no es lo del origen: {difference}"

    def _base_folder(self, one: Contender) -> Path:
        return self.folder / _base(one)


def _base(one: Contender) -> str:
    return f"base_{one.name}"

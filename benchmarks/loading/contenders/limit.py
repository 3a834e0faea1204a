"""The limit of each path: what the servers and the machine give with nothing in between.

Belongs here: one pipeline of the servers' own programs per path. Does not belong here: anything
that checks, converts or remembers; these are figures to compare with, not ways to load (the text
of `mariadb --batch` does not tell NULL from the word NULL).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import sql

from benchmarks.loading.contenders.base import Command
from benchmarks.loading.model import Scenario
from benchmarks.loading.servers import Postgres
from benchmarks.loading.sources import make_table

_TOKENISE = Path(__file__).parents[1] / "programs" / "tokenise_sheet.py"


class Limit:
    """`limite`: every ratio is to this one."""

    name = "limite"
    template = "template1"
    remembers = False

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def install(self) -> None:
        """The servers' own programs are all it needs."""

    def versions(self) -> dict[str, str]:
        with self._postgres.connect("postgres") as connection:
            found = connection.execute("show server_version").fetchone()
        return {"postgresql": str(found[0]) if found else ""}

    def takes(self, scenario: Scenario) -> bool:
        return True

    def set_up(self, scenario: Scenario, postgres: Postgres, database: str) -> None:
        if scenario.path in ("xlsx", "no_change") or scenario.before:
            return
        with postgres.connect(database) as connection:
            make_table(
                connection,
                scenario.dataset,
                sql.Identifier(scenario.table),
                key=scenario.path == "merge",
            )

    def command(self, scenario: Scenario, target_url: str, folder: Path) -> Command:
        table = sql.Identifier(scenario.table)
        match scenario.path:
            case "mariadb":
                return self._mariadb(scenario, target_url)
            case "csv":
                file = str(self._postgres.readable(_file(scenario)))
                statement = sql.SQL("copy {} from {} (format csv, header)")
                return self._psql(target_url, statement.format(table, sql.Literal(file)))
            case "parquet":
                file = str(scenario.binary_file)
                statement = sql.SQL("copy {} from {} (format binary)")
                return self._psql(target_url, statement.format(table, sql.Literal(file)))
            case "xlsx":
                return Command([sys.executable, "-I", "-S", str(_TOKENISE), str(_file(scenario))])
            case "merge" if scenario.before:
                return self._merge(scenario, scenario.before, target_url)
            case "no_change":
                return self._ask_every_table(scenario)
            case _:
                return self._postgresql(scenario, target_url)

    def landed(self, scenario: Scenario) -> list[tuple[str, str]]:
        if scenario.path in ("xlsx", "no_change"):
            return []
        return [("public", scenario.table)]

    def _psql(self, url: str, *statements: sql.Composable) -> Command:
        """One connection, one transaction; a COPY from standard input reads the process's."""
        argv = [self._postgres.psql, url, "-Xq1", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            argv += ["-c", statement.as_string()]
        return Command(argv)

    def _mariadb(self, scenario: Scenario, target_url: str) -> Command:
        parts = urlsplit(scenario.source_url or "")
        # MariaDB quotes names with another sign; these need none.
        select = "select {} from {}".format(", ".join(scenario.dataset.names), scenario.table)
        reading = [
            "mariadb", "--no-defaults", "--default-character-set=utf8mb4", "--batch", "--quick",
            "--skip-column-names",
            "-h127.0.0.1", f"-P{parts.port}", f"-u{parts.username}", parts.path.lstrip("/"),
            "-e", select,
        ]  # fmt: skip
        writing = sql.SQL("copy {} from stdin (format text, null 'NULL')")
        return Command(
            _piped(
                reading,
                self._psql(target_url, writing.format(sql.Identifier(scenario.table))).argv,
            ),
            {"MYSQL_PWD": parts.password or ""},
        )

    def _postgresql(self, scenario: Scenario, target_url: str) -> Command:
        table, names = sql.Identifier(scenario.table), _names(scenario)
        reading = sql.SQL("copy (select {} from {}) to stdout (format binary)").format(names, table)
        writing = sql.SQL("copy {} from stdin (format binary)").format(table)
        return Command(
            _piped(
                self._psql(scenario.source_url or "", reading).argv,
                self._psql(target_url, writing).argv,
            )
        )

    def _merge(self, scenario: Scenario, before: Scenario, target_url: str) -> Command:
        """COPY of what is new into a temporary table, and one INSERT … ON CONFLICT."""
        data = scenario.dataset
        parts = {
            "t": sql.Identifier(scenario.table),
            "names": _names(scenario),
            "cursor": sql.Identifier(data.cursor or ""),
            "last": sql.Literal(before.expected.last),
            "key": sql.Identifier(data.key),
            "set": sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in data.names
                if name != data.key
            ),
        }
        reading = sql.SQL(
            "copy (select {names} from {t} where {cursor} > to_timestamp({last})) "
            "to stdout (format binary)"
        ).format(**parts)
        writing = (
            sql.SQL("create temporary table entrada (like {t})").format(**parts),
            sql.SQL("copy entrada from stdin (format binary)"),
            sql.SQL(
                "insert into {t} select * from entrada on conflict ({key}) do update set {set}"
            ).format(**parts),
        )
        return Command(
            _piped(
                self._psql(scenario.source_url or "", reading).argv,
                self._psql(target_url, *writing).argv,
            )
        )

    def _ask_every_table(self, scenario: Scenario) -> Command:
        """One connection that asks every table for its newest change: nothing can ask less."""
        cursor = sql.Identifier(scenario.dataset.cursor or "")
        return self._psql(
            scenario.source_url or "",
            *(
                sql.SQL("select max({}) from {}").format(cursor, sql.Identifier(table))
                for table in scenario.tables
            ),
        )


def _piped(reading: Sequence[str], writing: Sequence[str]) -> list[str]:
    return ["bash", "-c", f"set -o pipefail; {shlex.join(reading)} | {shlex.join(writing)}"]


def _names(scenario: Scenario) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in scenario.dataset.names)


def _file(scenario: Scenario) -> Path:
    if scenario.file is None:
        raise ValueError(f"{scenario.path} has no file")
    return scenario.file

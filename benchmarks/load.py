"""How fast tables and files are loaded: ours beside dlt, ingestr, sling, pandas and the limit.

    python -m benchmarks.load [--rows N] [--path PATH] [--json]

Belongs here: the command line. Does not belong here: everything else (`benchmarks/loading/`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.loading import results
from benchmarks.loading.contenders import roster
from benchmarks.loading.contenders.base import Contender
from benchmarks.loading.mariadb import MariaDb
from benchmarks.loading.model import BenchmarkError, Scenario
from benchmarks.loading.paths import DEFAULT_ROWS, PATHS, Sources
from benchmarks.loading.results import Series
from benchmarks.loading.rounds import Rounds
from benchmarks.loading.servers import mariadb, postgres_server
from benchmarks.loading.sources import DataFolder
from benchmarks.processes import sigterm_interrupts
from orchestration.settings import settings

_EPILOG = """\
Cada contendiente es un proceso entero; se turnan, y la razón se toma vuelta por vuelta contra el
límite de su camino (docs/rendimiento.md dice cuál es). No se imprime razón si lo cargado no es lo
que hay en el origen: filas, suma, primer y último momento, suma de los textos.

Necesita MariaDB (apt-get install mariadb-server) para el camino mariadb, y pip: los demás
contendientes se instalan en la carpeta de datos la primera vez (2 GB). Con --rows 1000000, unos
4 GB de disco y 20 minutos; completo (1 y 5 millones de filas), 15 GB y cerca de dos horas.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per contender, path and size.

    Exit code 1 when ours or a limit could not be measured or loaded something else than the
    source holds; a peer that fails is a line that says so.
    """
    options = _parser().parse_args(arguments)
    if options.table:
        lines = [json.loads(text) for text in options.table.read_text().splitlines() if text]
        print(results.markdown(lines), end="")
        return 0
    try:
        with sigterm_interrupts():
            return _measure(options)
    except KeyboardInterrupt:
        _say("interrumpido: todo quedó detenido y borrado")
        return 130


def _measure(options: argparse.Namespace) -> int:
    show: Callable[[Mapping[str, Any]], str] = results.as_json if options.json else results.as_text
    home = (options.data or settings().data_dir / "benchmarks").resolve()
    failed = False
    with ExitStack() as stack:
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="medicion-", dir=home))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        data = DataFolder(home / "datos" if options.keep else folder / "datos")
        _say("preparando el servidor PostgreSQL de la medición")
        postgres = stack.enter_context(postgres_server(folder / "postgres"))
        sources = Sources(data, postgres, _on_demand(stack, folder / "mariadb"))
        rounds = Rounds(postgres, folder, options.repeat, options.timeout, _say)
        chosen = _ready(roster.contenders(postgres, home / "peers"), options.only)
        for path in options.path or PATHS:
            for found in _path_lines(path, options, sources, rounds, chosen):
                failed |= "error" in found and roster.must_succeed(found["contender"])
                print(show(found), flush=True)
    return int(failed)


def _path_lines(
    path: str,
    options: argparse.Namespace,
    sources: Sources,
    rounds: Rounds,
    chosen: Mapping[str, tuple[Contender, str | None]],
) -> Iterator[dict[str, Any]]:
    """The lines of every scenario of a path."""
    try:
        for scenario in sources.scenarios(path, tuple(sorted(options.rows or DEFAULT_ROWS))):
            _say(f"{path}: {scenario.dataset.name}, {scenario.rows} filas")
            yield from _scenario_lines(scenario, rounds, chosen)
    except BenchmarkError as error:
        _say(f"{path}: {error}")
        yield results.unprepared(path, roster.LIMIT, str(error))


def _scenario_lines(
    scenario: Scenario, rounds: Rounds, chosen: Mapping[str, tuple[Contender, str | None]]
) -> Iterator[dict[str, Any]]:
    taking = {name: pair for name, pair in chosen.items() if pair[0].takes(scenario)}
    able = [contender for contender, problem in taking.values() if problem is None]
    series = {found.contender: found for found in rounds.play(scenario, able)}
    for name, (contender, problem) in chosen.items():
        if name in taking:
            found = series.get(name) or Series(name, {}, problem=problem)
        elif roster.must_succeed(name):
            continue  # a variant of ours that is about other paths
        else:
            found = Series(name, contender.versions(), problem="no carga por este camino")
        yield results.line(scenario, found, series[roster.LIMIT])


def _ready(
    everyone: Sequence[Contender], only: Sequence[str]
) -> dict[str, tuple[Contender, str | None]]:
    """Contenders by name, with the reason when one cannot be installed."""
    ready: dict[str, tuple[Contender, str | None]] = {}
    for contender in roster.choose(everyone, only):
        problem = None
        try:
            _say(f"preparando {contender.name}")
            contender.install()
        except BenchmarkError as error:
            problem = str(error)
            _say(f"{contender.name}: {problem}")
        ready[contender.name] = (contender, problem)
    return ready


def _on_demand(stack: ExitStack, folder: Path) -> Callable[[], MariaDb]:
    """A MariaDB that is started when the first path asks for it."""

    @cache
    def start() -> MariaDb:
        _say("preparando el servidor MariaDB de la medición")
        return stack.enter_context(mariadb(folder))

    return start


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description="Mide cargas: lujan, dlt, ingestr, sling, pandas, DuckDB y el límite.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=_positive, action="append", metavar="N",
                        help="filas; se puede repetir (por omisión 1000000 y 5000000)")  # fmt: skip
    parser.add_argument("--path", choices=PATHS, action="append",
                        help="solo este camino; se puede repetir")  # fmt: skip
    parser.add_argument("--only", action="append", default=[], metavar="NOMBRE",
                        help="solo este contendiente y el límite; se puede repetir")  # fmt: skip
    parser.add_argument("--repeat", type=_positive, default=3, help="vueltas (por omisión 3)")
    parser.add_argument("--timeout", type=_positive, default=600, metavar="S",
                        help="segundos que se espera a una carga (por omisión 600)")  # fmt: skip
    parser.add_argument("--keep", action="store_true",
                        help="deja los archivos generados para la próxima vez")  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="CARPETA",
                        help="dónde trabajar (por omisión data/benchmarks)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="un objeto JSON por línea")
    parser.add_argument("--table", type=Path, metavar="ARCHIVO",
                        help="no mide: pasa a Markdown un archivo de líneas JSON")  # fmt: skip
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("debe ser mayor que cero")
    return number


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

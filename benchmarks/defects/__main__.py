"""Command line of the mutation test: inject, run, compare, report.

Only arguments, progress and the shape of the report belong here.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.defects.catalogue import CatalogueError, Defect, load_catalogue
from benchmarks.defects.stopping import listen
from benchmarks.defects.verdict import (
    CONSEQUENCES,
    LEGITIMATE,
    TARGET,
    Verdict,
    false_alarms,
    judge,
    load_known,
    not_injected,
    on_target,
    totals,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when detection is on target and nothing cries out without a cause; 1 below; 2 misuse."""
    options = _parser().parse_args(arguments)
    try:
        defects = _chosen(load_catalogue(), options.only)
    except CatalogueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        for defect in defects:
            print(f"{defect.id:58} {defect.kind:18} {defect.detects}\n    {defect.problem}")
        return 0
    if options.results:
        *rows, summary = [json.loads(line) for line in options.results.open(encoding="utf-8")]
        print(_table(rows, summary))
        return 0 if on_target(summary) else 1
    logging.disable(logging.CRITICAL)  # what libraries say while they run is in the verdicts
    rows, summary = _measure(defects, options)
    if options.json:
        print(json.dumps(summary, ensure_ascii=False), flush=True)
    elif options.table:
        print(_table(rows, summary))
    else:
        _say_summary(summary)
    return 0 if on_target(summary) else 1


def _measure(
    defects: Sequence[Defect], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from benchmarks.defects.city import PipelineBroke, open_city
    from benchmarks.defects.inject import InjectionError
    from sources.errors import PipelineError

    began = time.monotonic()
    _progress(f"Ciudad limpia, escala {options.scale}…")
    rows: list[dict[str, Any]] = []
    known = judged(options.resume) if options.resume else {}
    consequences = load_known(CONSEQUENCES)
    with open_city(options.scale, keep=options.keep) as city:
        alarms = false_alarms(city.clean_alarms, load_known(LEGITIMATE))
        _progress(f"Lista en {time.monotonic() - began:.0f} s; falsas alarmas: {len(alarms)}")
        for signal in alarms:
            _progress(f"  {signal.label}: {signal.words}")
        for number, defect in enumerate(defects, 1):
            if defect.id in known:
                rows.append(known[defect.id])
                if options.json:
                    print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
                continue
            started = time.monotonic()
            try:
                seen = city.observe(defect)
                verdict = judge(defect, seen.raised, seen.seconds, consequences)
            except (InjectionError, PipelineBroke, PipelineError) as error:
                verdict = not_injected(defect, error, time.monotonic() - started)
                seen = None
            rows.append(verdict.as_row())
            _report(verdict, number, len(defects), options)
            if options.signals and seen is not None:
                for signal in seen.raised:
                    _progress(f"      {signal.severity:12} {signal.owner:32} {signal.label}"
                              f" ({signal.rows}) {signal.words[:140]}")  # fmt: skip
    resumed = {"resumed": sum(defect.id in known for defect in defects)} if known else {}
    elapsed = {"elapsed": round(time.monotonic() - began, 1)}
    return rows, totals(rows, alarms) | resumed | elapsed


def judged(path: Path) -> dict[str, dict[str, Any]]:
    """Verdicts that an interrupted run with --json left behind, by defect; not those that broke.

    The last line may have been cut off with the run.
    """
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            if "defect" in row and "error" not in row:
                found[str(row["defect"])] = row
    return found


def _report(verdict: Verdict, number: int, count: int, options: argparse.Namespace) -> None:
    row = verdict.as_row()
    if options.json:
        print(json.dumps(row, ensure_ascii=False), flush=True)
    mark = "✓" if verdict.caught else "✗"
    others = f"  además: {', '.join(row['others_red'])}" if row["others_red"] else ""
    why = "" if verdict.caught else f"  se esperaba {verdict.defect.detects}"
    if not verdict.caught and verdict.near:
        why += f", llegó con {verdict.near.severity} de {verdict.near.owner!r}"
    if verdict.error:
        why += f"  {verdict.error}"
    _progress(f"[{number}/{count}] {mark} {verdict.defect.id} {verdict.seconds:.1f} s{why}{others}")


def _progress(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _say_summary(summary: dict[str, Any]) -> None:
    print(
        f"Detectados {summary['caught']} de {summary['total']} ({summary['share']:.1%}; meta "
        f"{TARGET:.0%}). Falsas alarmas en la muestra limpia: {summary['false_alarms']}. Alarmas "
        f"sin causa durante los defectos: {summary['others_red']}. {summary['elapsed']:.0f} s."
    )
    for name in summary["missed"]:
        print(f"  sin detectar: {name}")


def _table(rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> str:
    lines = [
        f"Detectados: **{summary['caught']} de {summary['total']}**. Falsas alarmas en la muestra "
        f"limpia: **{summary['false_alarms']}**. Alarmas sin causa: **{summary['others_red']}**.",
        "",
        "| defecto | qué está mal | quién avisa | severidad | responsable | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    problems = {defect.id: defect.problem for defect in load_catalogue()}
    for row in rows:
        who = f"`{str(row['by']).partition('@')[0]}`" if row["by"] else "—"
        lines.append(
            f"| `{row['defect']}` | {problems.get(row['defect'], '—')} | {who} "
            f"| {row['severity'] or '—'} | {row['owner'] or '—'} "
            f"| {'sí' if row['caught'] else '**no**'} |"
        )
    return "\n".join(lines)


def _chosen(defects: list[Defect], only: Sequence[str] | None) -> list[Defect]:
    """Those whose id begins with one of `only`; all without it."""
    if not only:
        return defects
    chosen = [defect for defect in defects if defect.id.startswith(tuple(only))]
    if not chosen:
        raise CatalogueError(f"ningún defecto empieza con {', '.join(only)}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    from benchmarks.defects.city import SCALE

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.defects",
        description="Inyecta cada defecto del catálogo en la muestra limpia y comprueba quién "
        "avisa, con qué severidad y a quién, y que nada más se encienda.",
        epilog="Termina con 0 si se detecta al menos el 98 % y no hay alarmas sin causa.",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="una línea JSON por defecto y el total")
    shape.add_argument("--table", action="store_true", help="la tabla de docs/defectos.md")
    shape.add_argument(
        "--table-of",
        dest="results",
        type=Path,
        metavar="ARCHIVO",
        help="la tabla de lo que otra corrida escribió con --json; no corre nada",
    )
    parser.add_argument("--list", action="store_true", help="solo el catálogo; no corre nada")
    parser.add_argument(
        "--only", action="append", metavar="ID", help="solo los que empiezan así (se puede repetir)"
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="ARCHIVO",
        help="no repetir los que ya juzgó una corrida con --json que se interrumpió",
    )
    parser.add_argument("--signals", action="store_true", help="todo lo que cada defecto encendió")
    parser.add_argument(
        "--scale", type=float, default=SCALE, help="tamaño de la muestra (%(default)s de la ciudad)"
    )
    parser.add_argument("--keep", action="store_true", help="no borrar la carpeta al terminar")
    return parser


if __name__ == "__main__":
    listen()
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    sys.exit(main())

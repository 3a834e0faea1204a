"""How well the rules find what was planted: recall and precision per kind of event.

    python -m benchmarks.detection --json                  # a new sample of the city, default seed
    python -m benchmarks.detection --json --seed 11        # another one: no fitting to labels
    python -m benchmarks.detection --json CARPETA          # labelled readings of somebody else
    python -m benchmarks.detection --json --built          # the warehouse that is already there

A folder of labelled readings holds `telemetria/` (files the contracts of `telemetria` can read, or
those of a folder `contratos/` beside it), optionally `aguas.sqlite` (the register of meters and
accounts; without it every meter is unknown and rollovers cannot be told from falls), and
`ground_truth.json`:

    {"defectos": [{"id": "telemetria.lecturas.fuga_continua",
                   "claves": [{"medidor_id": "A-1", "inicio": "2026-06-03T04:00:00-03:00",
                               "fin": "2026-06-05T04:00:00-03:00"}]}]}

The last part of `id` is a kind of `KINDS`. A key has `medidor_id` and either `inicio` and `fin`
(`desde` and `hasta`; a missing or null end means "to the last reading") or one `fecha_hora`; times
carry their zone. The folder is looked at before anything is run: what cannot be used is said in one
message and the exit code is 2. Other kinds are left out with a warning.

A labelled event is found when a finding of its kind on the same meter overlaps it, two hours either
way. Recall: labelled events found. Precision: findings that overlap a labelled event of their kind.
A kind without findings has no precision, and one without labels no recall: null, never 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orchestration.warehouse.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[1]
SLACK = dt.timedelta(hours=2)
FOREVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)

# What the warehouse says of each kind: meter, begin and end of every finding.
_LEAKS = sql.SQL("select medidor_id, inicio, fin from agua.alerta_flujo_continuo")
_BURSTS = sql.SQL("select medidor_id, inicio, fin from agua.alerta_rotura")
_BY_READING = sql.SQL(
    "select medidor_id, coalesce(fecha_hora_anterior, fecha_hora), fecha_hora "
    "from agua.fct_decision_lectura where regla_id = {}"
)
# Findings say since when and not until when: they last to the end of the readings.
_BY_FINDING = sql.SQL(
    "select split_part(clave, '|', 1), coalesce(nullif(split_part(clave, '|', 2), '')::date::"
    "timestamp at time zone 'America/Argentina/Mendoza', '0001-01-02'), '9999-01-01'::timestamptz "
    "from calidad.fct_hallazgo where regla_id = {}"
)
KINDS: Mapping[str, sql.SQL | sql.Composed] = {
    "fuga_continua": _LEAKS,
    "rotura": _BURSTS,
    "medidor_detenido": _BY_FINDING.format("R-AGUA-10"),
    "vuelta_de_contador": _BY_READING.format("R-AGUA-05"),
    "consumo_excesivo": _BY_FINDING.format("R-AGUA-16"),
    "retroceso": _BY_READING.format("R-AGUA-04"),
    "pico": _BY_READING.format("R-AGUA-06"),
    "hueco": _BY_READING.format("R-AGUA-09"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Something on one meter from one moment to another."""

    meter: str
    begin: dt.datetime
    end: dt.datetime

    def meets(self, other: Span) -> bool:
        """Whether both are on one meter and overlap, two hours either way."""
        return (
            self.meter == other.meter
            and self.begin <= _later(other.end)
            and other.begin <= _later(self.end)
        )


@dataclass(frozen=True, slots=True)
class Score:
    """`events` labelled, `found` of them found; `findings` made, `right` of them labelled."""

    kind: str
    events: int
    found: int
    findings: int
    right: int

    def as_document(self) -> dict[str, Any]:
        """The figures as one JSON line."""
        return {
            "kind": self.kind,
            "recall": _share(self.found, self.events),
            "precision": _share(self.right, self.findings),
            "events": self.events,
            "findings": self.findings,
        }


def score(kind: str, labelled: Sequence[Span], findings: Sequence[Span]) -> Score:
    """Compare labels and findings of one kind."""
    return Score(
        kind,
        len(labelled),
        sum(any(event.meets(one) for one in findings) for event in labelled),
        len(findings),
        sum(any(one.meets(event) for event in labelled) for one in findings),
    )


class FolderError(Exception):
    """A folder of labelled readings that cannot be used; the text says what is wrong with it."""


def read_folder(folder: Path) -> dict[str, list[Span]]:
    """Labelled events per kind of a folder that has all it needs. Raises FolderError."""
    if not folder.is_dir():
        raise FolderError(f"no existe la carpeta {folder}.")
    feed = folder / "telemetria"
    if not feed.is_dir() or not any(path.is_file() for path in feed.rglob("*")):
        raise FolderError(f"faltan los archivos de lecturas en {feed}.")
    path = folder / "ground_truth.json"
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"falta {path}, con los eventos etiquetados.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FolderError(f"{path} no es JSON: {error}.") from error
    return labels(truth)


def labels(truth: Any) -> dict[str, list[Span]]:
    """Labelled events per kind. Raises FolderError when there is none, or one lacks something."""
    defects = truth.get("defectos") if isinstance(truth, dict) else None
    if not isinstance(defects, list):
        raise FolderError("ground_truth.json no tiene la lista `defectos`.")
    found: dict[str, list[Span]] = {kind: [] for kind in KINDS}
    others = set()
    for number, defect in enumerate(defects, 1):
        keys = defect.get("claves") if isinstance(defect, dict) else None
        if not isinstance(keys, list) or "id" not in defect:
            raise FolderError(f"el defecto {number} no tiene `id` y la lista `claves`.")
        kind = str(defect["id"]).rsplit(".", 1)[-1]
        if kind in found:
            found[kind] += [_labelled(kind, key) for key in keys]
        else:
            others.add(kind)
    if not any(found.values()):
        raise FolderError(
            f"no hay ningún evento de las clases que se miden ({', '.join(KINDS)})"
            + (f"; hay: {', '.join(sorted(others))}." if others else ".")
        )
    return found


def findings_of(connection: psycopg.Connection[Any], kind: str) -> list[Span]:
    """What the warehouse found of one kind."""
    rows = connection.execute(KINDS[kind])
    return [Span(*row) for row in rows]


def _labelled(kind: str, key: Any) -> Span:
    if not isinstance(key, dict) or not key.get("medidor_id"):
        raise FolderError(f"{kind}: a la clave {key!r} le falta `medidor_id`.")
    begin = key.get("inicio") or key.get("desde") or key.get("fecha_hora")
    last = key.get("fin") or key.get("hasta") or key.get("fecha_hora")
    if not begin:
        raise FolderError(f"{kind}: a la clave {key!r} le falta `inicio` o `fecha_hora`.")
    span = Span(
        str(key["medidor_id"]), _moment(kind, key, begin), _moment(kind, key, last or FOREVER)
    )
    if span.end < span.begin:
        raise FolderError(f"{kind}: la clave {key!r} termina antes de empezar.")
    return span


def _moment(kind: str, key: Any, given: Any) -> dt.datetime:
    if given is FOREVER:
        return FOREVER
    try:
        moment = dt.datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise FolderError(f"{kind}: {given!r} no es una fecha y hora, en {key!r}.") from None
    if moment.tzinfo is None:
        raise FolderError(f"{kind}: {given!r} no dice su zona horaria, en {key!r}.")
    return moment


def _later(moment: dt.datetime) -> dt.datetime:
    return moment if moment >= FOREVER else moment + SLACK


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per kind; 1 when the pipeline loaded nothing or failed, 2 for a bad folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="labelled readings")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--seed", type=int, help="seed of the generated sample")
    parser.add_argument("--built", action="store_true", help="use the warehouse as it stands")
    options = parser.parse_args(arguments)
    try:
        return _measure(options)
    except FolderError as error:
        print(error, file=sys.stderr)
        return 2


def _measure(options: argparse.Namespace) -> int:
    if options.built:
        from orchestration.settings import settings

        truth = read_folder(options.folder or settings().sample_dir)
        return _print(EmbeddedServer(settings().embedded_dir), truth, options.json)
    given = read_folder(options.folder) if options.folder else None
    with tempfile.TemporaryDirectory(prefix="lujan-deteccion-") as place:
        server = EmbeddedServer(Path(place) / "data" / "warehouse")
        server.start()
        try:
            folder = options.folder or _sample(server, Path(place) / "muestra", options.seed)
            done = _run(Path(place) / "data", folder)
            if done.returncode not in (0, 1):
                print(done.stdout[-2000:] + done.stderr[-2000:], file=sys.stderr)
                return 1
            return _print(server, given or read_folder(folder), options.json)
        finally:
            server.destroy()


def _sample(server: EmbeddedServer, folder: Path, seed: int | None) -> Path:
    from seeds.sample import build
    from seeds.sample.config import SEED

    build(
        folder,
        mlc_url=server.ensure_database("muestra_deteccion"),
        seed=SEED if seed is None else seed,
    )
    return folder


def _run(data: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    lujan = str(Path(sys.executable).with_name("lujan"))
    sources = ["--source", f"telemetria={folder / 'telemetria'}"]
    if (folder / "aguas.sqlite").exists():
        sources += ["--source", f"aguas=sqlite:///{folder / 'aguas.sqlite'}"]
    if (folder / "contratos").is_dir():
        sources += ["--contracts", str(folder / "contratos")]
    return subprocess.run(
        [lujan, "run", *sources], env=os.environ | {"LUJAN_DATA_DIR": str(data)}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _print(server: EmbeddedServer, truth: Mapping[str, Sequence[Span]], as_json: bool) -> int:
    with psycopg.connect(server.url()) as connection:
        missing = _without_readings(connection, truth)
        if missing is None:
            print(
                "no se cargó ninguna lectura: ningún archivo de telemetria/ es de los que nombran "
                "los contratos (lecturas_*.csv, …) o todas sus filas están en cuarentena.",
                file=sys.stderr,
            )
            return 1
        if missing:
            print(
                f"sin ninguna lectura, {len(missing)} medidores etiquetados: "
                f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}",
                file=sys.stderr,
            )
        for kind, labelled in truth.items():
            line = score(kind, labelled, findings_of(connection, kind)).as_document()
            if as_json:
                print(json.dumps(line), flush=True)
            else:
                print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    return 0


def _without_readings(
    connection: psycopg.Connection[Any], truth: Mapping[str, Sequence[Span]]
) -> list[str] | None:
    """Labelled meters that were never read; None when nothing was."""
    known = {
        row[0]
        for row in connection.execute(
            "select distinct medidor_id from agua.fct_consumo_mensual_medidor"
        )
    }
    labelled = {span.meter for spans in truth.values() for span in spans}
    return sorted(labelled - known) if known else None


if __name__ == "__main__":
    sys.exit(main())

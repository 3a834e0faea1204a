"""Command line: build the sample municipality into a folder.

Only arguments and messages belong here; the work is in ``builder.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import psycopg

from seeds.sample.builder import NotASampleFolderError, build
from seeds.sample.config import SEED, SampleSize


def main(arguments: list[str] | None = None) -> int:
    """Build; 0 when done, 1 when it could not, with the reason on standard error."""
    options = _parser().parse_args(arguments)
    if not options.mlc_url:
        print("Falta la base de proyectos: --mlc-url o la variable MLC_URL.", file=sys.stderr)
        return 1
    size = SampleSize() if options.escala == 1 else SampleSize().reduced(options.escala)
    try:
        manifest = build(
            options.carpeta,
            mlc_url=options.mlc_url,
            size=size,
            seed=options.semilla,
            on_progress=lambda stage, rows: print(f"  {stage}: {rows:,} filas"),
        )
    except NotASampleFolderError as error:
        print(error, file=sys.stderr)
        return 1
    except psycopg.OperationalError:
        # The driver's text may repeat the address, password included.
        print("No se pudo usar la base de proyectos: revise la dirección.", file=sys.stderr)
        return 1
    done = "construida" if manifest.rebuilt else "ya estaba al día"
    total = sum(manifest.rows.values())
    print(f"Muestra sintética {done} en {manifest.directory}: {total:,} filas.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m seeds.sample",
        description="Construye la municipalidad de muestra. Todos los datos son sintéticos.",
    )
    parser.add_argument("carpeta", type=Path, help="carpeta de destino (nueva, vacía o de muestra)")
    parser.add_argument(
        "--mlc-url",
        default=os.environ.get("MLC_URL", ""),
        help="dirección libpq de la base PostgreSQL de proyectos (por defecto, MLC_URL)",
    )
    parser.add_argument(
        "--semilla", type=int, default=SEED, help="semilla (por defecto %(default)s)"
    )
    parser.add_argument(
        "--escala", type=float, default=1.0, help="fracción del tamaño real, para pruebas"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

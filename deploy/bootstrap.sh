#!/bin/sh
# Makes .venv from the lock file, only when the lock changed. Usage: deploy/bootstrap.sh [dev]
# Needs Python 3.11-3.13 with pip; no root, no compiler, no server.
set -eu
cd "$(dirname "$0")/.."
lock=requirements.lock
[ "${1:-}" = dev ] && lock=requirements-dev.lock
venv="${LUJAN_VENV:-.venv}"

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 && usable "$candidate"; then
            echo "$candidate"; return
        fi
    done
    echo "Se necesita Python 3.11, 3.12 o 3.13 (indíquelo con PYTHON=/ruta/python)." >&2
    exit 1
}

# A lock with development tools holds everything of the other one, so it serves for both.
stamp() { cat "$1" pyproject.toml | cksum | cut -d' ' -f1,2; }
for known in requirements-dev.lock "$lock"; do
    if [ -f "$venv/installed.$known" ] && [ "$(cat "$venv/installed.$known")" = "$(stamp "$known")" ] \
        && [ -x "$venv/bin/lujan" ]; then
        exit 0
    fi
done

python=$(find_python)
if [ ! -x "$venv/bin/python" ] || ! usable "$venv/bin/python"; then
    echo "Creando el entorno en $venv con $("$python" --version)…"
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Some distributions ship Python without ensurepip.
        rm -rf "$venv"
        "$python" -m pip install --quiet --target .bootstrap virtualenv
        PYTHONPATH=.bootstrap "$python" -m virtualenv --quiet "$venv"
    fi
fi
echo "Instalando dependencias de $lock (una sola vez, puede tardar unos minutos)…"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r "$lock"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
# dbt's manifest is made at set-up, so that Dagster's definitions load at once.
"$venv/bin/python" -c "from orchestration.dbt_project import ensure_manifest; ensure_manifest()"
stamp "$lock" > "$venv/installed.$lock"

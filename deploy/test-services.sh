#!/bin/sh
# Installs the servers that tests run against, where this machine lets us; says what is missing.
# Tests start and stop their own private instances on loopback: no system service is left running.
set -eu
cd "$(dirname "$0")/.."
ckan_version=2.12.0   # its pins clash with ours, so it has an environment of its own
ckan_venv="${LUJAN_CKAN_VENV:-.venv-ckan}"

here() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
needed=""
here mariadbd || needed="$needed mariadb-server"
here redis-server || needed="$needed redis-server"
here mosquitto || needed="$needed mosquitto"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || needed="$needed postgresql"
here sshd || needed="$needed openssh-server"
# CKAN compiles psycopg2.
here gcc || needed="$needed gcc"
here pg_config || needed="$needed libpq-dev"

apt_install() {
    if [ "$(id -u)" != 0 ] || ! here apt-get; then
        echo "Sin permiso para instalar:$needed. Las pruebas que lo necesitan se omiten." >&2
        return
    fi
    echo "Instalando para las pruebas:$needed…"
    # policy-rc.d keeps Debian from starting the services at installation.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    log=$(mktemp)
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $needed; } >"$log" 2>&1; then
        tail -5 "$log" >&2
        echo "No se pudo instalar:$needed. Las pruebas que lo necesitan se omiten." >&2
    fi
}

[ -z "$needed" ] || apt_install
if [ ! -x "$ckan_venv/bin/ckan" ] && here gcc && here pg_config && here redis-server; then
    echo "Instalando CKAN $ckan_version para las pruebas en $ckan_venv (una sola vez)…"
    rm -rf "$ckan_venv"
    python="${LUJAN_VENV:-.venv}/bin/python"
    log=$(mktemp)
    if ! { "$python" -m venv "$ckan_venv" && "$ckan_venv/bin/python" -m pip install -qq \
        --disable-pip-version-check "ckan[requirements]==$ckan_version" setuptools; } >"$log" 2>&1; then
        tail -5 "$log" >&2
        rm -rf "$ckan_venv"
        echo "No se pudo instalar CKAN. Las pruebas que lo necesitan se omiten." >&2
    fi
fi

#!/bin/sh
# Installs the servers that tests run against, where this machine lets us; says what is missing.
# Tests start and stop their own private instances on loopback: no system service is left running.
set -eu
needed=""
command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || needed="$needed mariadb-server"
[ -z "$needed" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Sin permiso para instalar:$needed. Las pruebas que lo necesitan se omiten." >&2
    exit 0
fi
echo "Instalando para las pruebas:$needed"
# policy-rc.d keeps Debian from starting the service at installation.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $needed; } >"$log" 2>&1; then
    tail -5 "$log" >&2
    echo "No se pudo instalar:$needed. Las pruebas que lo necesitan se omiten." >&2
fi

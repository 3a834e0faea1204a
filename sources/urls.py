"""Addresses of the sources, and keeping their secrets out of every text a person sees.

Belongs here: reading an address from the environment or from a path, and hiding what is secret
in it. Does not belong here: opening it (`sources/readers/`) or deciding which sources exist
(contracts). A password or token only ever lives in `SourceUrl.password` and `SourceUrl.token`,
which neither `repr` nor `str` shows; `redact` is the last gate for the texts of drivers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote, urlsplit

from sources.errors import SourceUnavailable

HIDDEN = "***"
_SCHEMES = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "mssql",
    "sqlserver": "mssql",
    "sqlite": "sqlite",
    "file": "file",
    "http": "http",
    "https": "https",
    "s3": "s3",
    "sftp": "sftp",
    "mqtt": "mqtt",
    "mqtts": "mqtts",
}
_SERVER_SCHEMES = ("postgresql", "mysql", "mssql", "http", "https", "s3", "sftp", "mqtt", "mqtts")
_SECRET_KEYS = r"(?:[\w-]*(?:token|password|passwd|secret|api[_-]?key)|pwd|contraseña)"
# The greedy middle takes passwords that hold an unescaped `@` or `/` as well: hiding too much
# of an address is harmless, hiding too little is not.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^:/\s@]*):\S*@")
_ASSIGNED = re.compile(
    rf"(?P<key>\b{_SECRET_KEYS})(?P<sep>\s*[=:]\s*|[\"']\s*:\s*)(?P<value>[^\s&;,\"']+|\"[^\"]*\"|'[^']*')",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<kind>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}")
# A one-letter password would turn every message into asterisks; the patterns above still hide it
# wherever it stands in an address.
_SHORTEST_SECRET = 4
_registered: set[str] = set()


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """An address taken apart. `safe` is the only text of it that may be shown or stored."""

    scheme: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    database: str | None = None
    path: Path | None = None
    base: str | None = None
    query: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, *, token: str | None = None) -> SourceUrl:
        """Take an address or a plain path apart and register its secrets with `redact`.

        SQLite follows SQLAlchemy: `sqlite:///relative.db`, `sqlite:////absolute.db`. Of an S3
        address the bucket is `host` (as written: its case counts) and the prefix `database`.
        Raises SourceUnavailable when the address cannot be understood; the text never repeats it
        unredacted.
        """
        for secret in (token, _password(text)):
            register_secret(secret)
        if "://" not in text:
            return cls("file", path=Path(text).expanduser())
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise _not_understood(text) from error
        scheme = _SCHEMES.get(parts.scheme.split("+")[0].lower())
        # libpq accepts an address whose host is a socket folder in the query string.
        by_socket = scheme == "postgresql" and "host=" in parts.query
        if scheme is None or (scheme in _SERVER_SCHEMES and not parts.hostname and not by_socket):
            raise _not_understood(text)
        if scheme in ("sqlite", "file"):
            return cls(scheme, path=_local_path(scheme, unquote(parts.netloc + parts.path)))
        host = parts.hostname
        if scheme == "s3":
            host = parts.netloc.rpartition("@")[2].partition(":")[0]
        return cls(
            scheme=scheme,
            host=host,
            port=port,
            user=unquote(parts.username) if parts.username else None,
            database=unquote(parts.path.lstrip("/")) or None,
            base=f"{scheme}://{_host_port(host, port)}{parts.path}".rstrip("/"),
            query=MappingProxyType(dict(parse_qsl(parts.query))),
            password=unquote(parts.password) if parts.password else None,
            token=token,
        )

    @classmethod
    def from_env(cls, system: str, environ: Mapping[str, str] = os.environ) -> SourceUrl | None:
        """The address in `SOURCE_<SYSTEM>_URL`, with `SOURCE_<SYSTEM>_TOKEN`; None when unset."""
        text = environ.get(variable(system), "").strip()
        if not text:
            return None
        return cls.parse(text, token=environ.get(variable(system, "TOKEN"), "").strip() or None)

    @property
    def safe(self) -> str:
        """Where it is, without user, password, token or query: fit for logs and records."""
        if self.path is not None:
            return str(self.path)
        if self.scheme in ("http", "https"):
            return self.base or ""
        where = _host_port(self.host or self.query.get("host"), self.port)
        return f"{self.scheme}://{where}/{self.database or ''}"

    def __str__(self) -> str:
        return self.safe


def variable(system: str, what: str = "URL") -> str:
    """Name of the environment variable that holds a system's address or token."""
    return f"SOURCE_{system.upper()}_{what}"


def register_secret(secret: str | None) -> None:
    """Make `redact` hide this exact text from now on."""
    if secret and len(secret) >= _SHORTEST_SECRET:
        _registered.add(secret)


def redact(text: str) -> str:
    """`text` without passwords and tokens: in addresses, in `key=value` pairs, and registered."""
    for secret in sorted(_registered, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<kind> {HIDDEN}", text)
    return _ASSIGNED.sub(rf"\g<key>\g<sep>{HIDDEN}", text)


def _password(text: str) -> str | None:
    try:
        raw = urlsplit(text).password
    except ValueError:
        return None
    if raw:
        register_secret(raw)
    return unquote(raw) if raw else None


def _local_path(scheme: str, text: str) -> Path:
    if scheme == "sqlite":
        text = text.removeprefix("/")
    return Path(text).expanduser()


def _host_port(host: str | None, port: int | None) -> str:
    name = f"[{host}]" if host and ":" in host else host or ""
    return f"{name}:{port}" if port else name


def _not_understood(text: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"no se entiende la dirección {redact(text)!r}.",
        next_step="use postgresql://, mysql://, mssql://, sqlite:///, http(s)://, s3://, sftp://, "
        "mqtt(s):// o una ruta; "
        "los caracteres especiales de la contraseña van codificados (%40 por @).",
    )

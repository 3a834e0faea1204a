"""Folders far away: S3-compatible stores and SFTP servers, through fsspec.

Belongs here: connecting, listing, fetching with retries, and saying what is wrong in plain words.
Does not belong here: which files are new (`landing/files.py`), formats, local folders
(`files.py`).

Addresses (credentials come from there or, for S3, from the usual `AWS_…` variables):
  s3://KEY:SECRET@bucket/prefix?endpoint_url=https://server:9000&region=…&anon=true
  sftp://user:password@server:22/path?host_key=SHA256:…      (`/~/path` begins at the user's home)
  sftp://user@server/path?key_file=/path/to/key&known_hosts=/path/to/file
An SFTP server must prove who it is: by `host_key`, by `known_hosts`, or by `~/.ssh/known_hosts`.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import tenacity
from fsspec.asyn import sync
from fsspec.utils import glob_translate

from sources.contract import Contract
from sources.errors import PipelineError, SourceUnavailable
from sources.readers.base import ReaderOptions, check_settings_hint, problem
from sources.readers.files import Entry, Folder, LocalCopy, in_microseconds
from sources.urls import SourceUrl

_Result = TypeVar("_Result")
# One request's worth: large enough to hide a round trip, small enough for memory.
_FETCH_BYTES = 8 << 20
# A server that answers nothing for this long (three probes) is gone.
_KEEPALIVE_S = 10
_KEEPALIVE_PROBES = 3


class _BrokenOffError(Exception):
    """A transfer ended early although the file is still what was listed."""


class RemoteFolder(Folder):
    """Files of a store or a server that fsspec reaches; every step is tried again when it fails."""

    def __init__(self, contract: Contract, url: SourceUrl, options: ReaderOptions) -> None:
        super().__init__(contract, url, options)
        self._protocol: _Protocol = (_S3 if url.scheme == "s3" else _Sftp)(contract, url, options)
        self._files: Any = None

    def entries(self) -> list[Entry]:
        wanted = re.compile(glob_translate(self.pattern))
        depth = None if "**" in self.pattern else self.pattern.count("/") + 1
        return self._persistently(lambda: self._list(wanted, depth), "la carpeta")

    def copy(self, entry: Entry, copy: LocalCopy) -> None:
        self._persistently(lambda: self._fetch(entry, copy), f"el archivo {entry.name}")

    def check(self, entry: Entry) -> None:
        now = self._persistently(lambda: self._facts(entry), f"el archivo {entry.name}")
        if now is None or not now.is_as(entry):
            raise self.changing(entry)

    def _list(self, wanted: re.Pattern[str], depth: int | None) -> list[Entry]:
        root = self._protocol.root
        facts = self._connected.info(root)
        if facts["type"] == "file":
            return [self._protocol.entry(posixpath.basename(root), facts)]
        found = (
            self._protocol.entry(name, facts)
            for name, facts in self._walk(root, "", depth)
            if wanted.match(name) and self.is_wanted(name)
        )
        return sorted(found, key=lambda entry: entry.name)

    def _walk(
        self, folder: str, prefix: str, depth: int | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Relative name and facts of each file; links to folders are not followed."""
        for facts in self._connected.ls(folder, detail=True):
            base = posixpath.basename(facts["name"].rstrip("/"))
            if not base or facts["name"].rstrip("/") == folder.rstrip("/"):
                continue  # a store's placeholder for the folder itself
            if facts["type"] == "link":
                target = self._connected.info(facts["name"])
                if target["type"] == "file":
                    yield prefix + base, target
            elif facts["type"] == "file":
                yield prefix + base, facts
            elif facts["type"] == "directory" and (depth is None or depth > 1):
                below = None if depth is None else depth - 1
                yield from self._walk(facts["name"], f"{prefix}{base}/", below)

    def _facts(self, entry: Entry) -> Entry | None:
        try:
            return self._protocol.entry(entry.name, self._connected.info(entry.location))
        except FileNotFoundError:
            return None

    def _fetch(self, entry: Entry, copy: LocalCopy) -> None:
        copy.restart()
        try:
            with self._connected.open(entry.location, "rb", **self._protocol.reading) as stream:
                while data := stream.read(_FETCH_BYTES):
                    copy.write(data)
        except PipelineError:
            raise
        except Exception:
            # The store refuses to go on with another version; a file may also have been taken away.
            if (now := self._facts(entry)) is None or not now.is_as(entry):
                raise self.changing(entry) from None
            raise
        now = self._facts(entry)
        if now is None or not now.is_as(entry):
            raise self.changing(entry)
        if copy.bytes != entry.bytes:
            raise _BrokenOffError(f"llegaron {copy.bytes} de {entry.bytes} bytes")

    @property
    def _connected(self) -> Any:
        if self._files is None:
            self._files = self._protocol.connect()
        return self._files

    def disconnect(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            self._protocol.close(files)

    def _persistently(self, step: Callable[[], _Result], what: str) -> _Result:
        """Try with pauses that double; each new attempt has a connection of its own."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._may_pass),
            stop=tenacity.stop_after_attempt(self.options.max_attempts),
            wait=tenacity.wait_random_exponential(multiplier=1, max=self.options.max_wait_s),
            sleep=self.options.sleep,
            before_sleep=lambda state: self.disconnect(),
            reraise=True,
        )
        try:
            return retrying(step)
        except PipelineError:
            raise
        except Exception as error:
            self.disconnect()
            raise self._unavailable(what, error) from error

    def _may_pass(self, error: BaseException) -> bool:
        """Whether the same step may well succeed in a moment."""
        if isinstance(error, PipelineError) or not isinstance(error, Exception):
            return False
        return self._protocol.explain(error) is None

    def _unavailable(self, what: str, error: Exception) -> SourceUnavailable:
        known = self._protocol.explain(error)
        if known is None:
            tries = self.options.max_attempts
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            known = (
                f"la conexión falló {tries} veces ({why})",
                "compruebe que el servidor esté encendido y la red permita llegar; se reintenta en "
                "la próxima corrida.",
            )
        return problem(
            SourceUnavailable,
            self.contract,
            f"no se puede leer {what} de {self.url.safe}: {known[0]}.",
            known[1],
        )


class _Protocol(ABC):
    """What differs between stores: connecting, facts of a file, errors that no retry mends."""

    # Options of `open` for reading a file from beginning to end.
    reading: dict[str, Any]

    def __init__(self, contract: Contract, url: SourceUrl, options: ReaderOptions) -> None:
        self.contract = contract
        self.url = url
        self.options = options

    @property
    @abstractmethod
    def root(self) -> str:
        """The folder as the file system spells it."""

    @abstractmethod
    def connect(self) -> Any:
        """A new fsspec file system with a connection of its own."""

    @abstractmethod
    def close(self, files: Any) -> None:
        """End its connection."""

    @abstractmethod
    def entry(self, name: str, facts: dict[str, Any]) -> Entry:
        """The entry of a file as the file system describes it."""

    @abstractmethod
    def explain(self, error: Exception) -> tuple[str, str] | None:
        """What is wrong and what to do, for errors that stay; None for those that may pass."""


class _S3(_Protocol):
    reading = {"block_size": _FETCH_BYTES, "cache_type": "none"}  # noqa: RUF012

    @property
    def root(self) -> str:
        return f"{self.url.host}/{self.url.database or ''}".rstrip("/")

    def connect(self) -> Any:
        from s3fs import S3FileSystem

        query = self.url.query
        region = query.get("region")
        files = S3FileSystem(
            key=self.url.user,
            secret=self.url.password,
            anon=query.get("anon") == "true",
            endpoint_url=query.get("endpoint_url"),
            client_kwargs={"region_name": region} if region else {},
            config_kwargs={
                "connect_timeout": self.options.connect_timeout_s,
                "read_timeout": _KEEPALIVE_S * _KEEPALIVE_PROBES,
                "retries": {"total_max_attempts": 1},
                # Stores on a host name of their own are seldom reachable as bucket.host.
                "s3": {"addressing_style": "path" if query.get("endpoint_url") else "auto"},
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        # Tried again here, with one count and one pause for everything.
        files.retries = 1
        return files

    def close(self, files: Any) -> None:
        if files._s3 is not None:
            files.close_session(files.loop, files._s3creator)

    def entry(self, name: str, facts: dict[str, Any]) -> Entry:
        modified = facts.get("LastModified") or datetime.fromtimestamp(0, UTC)
        return Entry(
            name,
            facts["name"],
            facts["size"],
            in_microseconds(modified.timestamp()),
            facts.get("ETag") or None,
        )

    def explain(self, error: Exception) -> tuple[str, str] | None:
        from botocore.exceptions import (
            ClientError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )

        hint = check_settings_hint(self.contract)
        cause = error if isinstance(error, ClientError) else error.__cause__
        code = ""
        if isinstance(cause, ClientError):
            code = str(cause.response.get("Error", {}).get("Code", ""))
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return "faltan las credenciales", f"póngalas en la dirección; {hint}"
        if isinstance(error, PermissionError) or code in ("AccessDenied", "403"):
            return (
                "el servidor rechazó la clave o no da permiso",
                f"pida permiso de lectura y de listado; {hint}",
            )
        if isinstance(error, FileNotFoundError):
            return "no existe, o no hay nada con ese prefijo", hint
        if isinstance(error, ParamValidationError | ValueError):
            return f"la dirección no es válida ({error})", hint
        return None


class _Sftp(_Protocol):
    # Requests under way at once, of up to 256 KiB each.
    reading = {"max_requests": 32}  # noqa: RUF012

    @property
    def root(self) -> str:
        path = self.url.database or ""
        if path == "~" or path.startswith("~/"):
            return path[2:].rstrip("/") or "."
        return f"/{path.rstrip('/')}"

    def connect(self) -> Any:
        from sshfs import SSHFileSystem

        files = SSHFileSystem(
            self.url.host,
            port=self.url.port or 22,
            username=self.url.user or (),
            **self._login(),
            **self._trust(),
            # Nothing of the machine's own SSH settings: what counts is in the address.
            config=None,
            agent_path=None,
            connect_timeout=self.options.connect_timeout_s,
            login_timeout=self.options.connect_timeout_s,
            keepalive_interval=_KEEPALIVE_S,
            keepalive_count_max=_KEEPALIVE_PROBES,
            skip_instance_cache=True,
        )
        files.loop.call_soon_threadsafe(files.loop.set_exception_handler, _without_echoes)
        return files

    def close(self, files: Any) -> None:
        with suppress(TimeoutError):  # what does not end is left to the operating system
            sync(files.loop, _end, files.client, timeout=_KEEPALIVE_S)

    def entry(self, name: str, facts: dict[str, Any]) -> Entry:
        modified = facts["mtime"]
        return Entry(
            name,
            facts["name"],
            facts["size"] or 0,
            in_microseconds(modified.timestamp()) if modified else 0.0,
        )

    def explain(self, error: Exception) -> tuple[str, str] | None:
        import asyncssh

        hint = check_settings_hint(self.contract)
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return (
                "la clave del servidor no es la conocida",
                "confirme la clave con quien lo administra y póngala en `~/.ssh/known_hosts` o en "
                f"la dirección (`?host_key=SHA256:…`); {hint}",
            )
        if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
            return "no se puede leer la clave de `key_file`", hint
        if isinstance(error, asyncssh.SFTPPermissionDenied):
            return "el servidor no da permiso de lectura", "pida permiso de lectura al área."
        if isinstance(error, PermissionError):
            return "el servidor rechazó el usuario o la contraseña", hint
        if isinstance(error, FileNotFoundError):
            return "no existe", hint
        return None

    def _login(self) -> dict[str, Any]:
        key_file = self.url.query.get("key_file")
        if key_file:
            path = Path(key_file).expanduser()
            if not path.is_file():
                raise problem(
                    SourceUnavailable,
                    self.contract,
                    f"no existe la clave {path} de `key_file`.",
                    check_settings_hint(self.contract),
                )
            return {"client_keys": [str(path)], "passphrase": self.url.password}
        if not self.url.password:
            raise problem(
                SourceUnavailable,
                self.contract,
                f"la dirección {self.url.safe} no tiene contraseña ni `?key_file=`.",
                check_settings_hint(self.contract),
            )
        return {"client_keys": None, "password": self.url.password}

    def _trust(self) -> dict[str, Any]:
        """How the server proves who it is; without any of these asyncssh would believe anyone."""
        import asyncssh

        known_hosts = self.url.query.get("known_hosts") or str(Path("~/.ssh/known_hosts"))
        path = Path(known_hosts).expanduser()
        # In a query `+` stands for a blank, which no fingerprint has.
        expected = self.url.query.get("host_key", "").replace(" ", "+").rstrip("=")
        if not expected:
            return {"known_hosts": str(path) if path.is_file() else b""}

        class Pinned(asyncssh.SSHClient):
            def validate_host_public_key(
                self, host: str, addr: str, port: int, key: asyncssh.SSHKey
            ) -> bool:
                return key.get_fingerprint() == expected

        return {"known_hosts": b"", "client_factory": Pinned}


async def _end(client: Any) -> None:
    client.abort()
    await client.wait_closed()


def _without_echoes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A broken connection ends many requests: one of them is waited for, the others log nothing."""
    import asyncssh

    if not isinstance(context.get("exception"), asyncssh.Error):
        loop.default_exception_handler(context)

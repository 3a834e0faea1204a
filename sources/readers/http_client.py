"""One HTTP address, asked politely: patience, pace, credentials, and bounded answers.

Belongs here: everything between a request and the bytes of its answer. Does not belong here: what
an answer means (`api.py`).

The client is httpx and the patience tenacity. Credentials are httpx's own `Auth` classes and one
of ours: fetching an OAuth2 token is a dozen lines, fewer than it takes to teach a library
(authlib, httpx-auth) the error words, the limits and the renewal that are wanted here.
"""

from __future__ import annotations

import email.utils
import ssl
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import httpx
import tenacity

from sources.contract import Contract
from sources.errors import ContractError, PipelineError, SourceDataError, SourceUnavailable
from sources.readers.base import ReaderOptions, check_settings_hint, problem
from sources.urls import SourceUrl, register_secret, variable

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
# Between two pieces of an answer; the whole of it may take `read_timeout_s`.
_LONGEST_SILENCE_S = 60
# A server that asks for more patience than this is down; the next run will ask again.
_LONGEST_ADVICE_S = 600
# Unpacked. A page is held in memory, and again as decoded values, about five times as large.
LARGEST_ANSWER_BYTES = 32 << 20
# A token about to expire is renewed before it is refused.
_TOKEN_MARGIN_S = 30
_AUTH = ("bearer", "header", "basic", "oauth2")
_CERTIFICATE: Mapping[int, str] = {
    9: "el certificado todavía no es válido",
    10: "el certificado está vencido",
    18: "el certificado está firmado por el propio servidor",
    19: "el certificado está firmado por una autoridad desconocida",
    20: "el certificado está firmado por una autoridad desconocida",
    62: "el certificado es de otro nombre",
    64: "el certificado es de otra dirección",
}


class Answer(NamedTuple):
    """A successful answer, whole: its bytes, its text encoding, kind, where `next` leads, and
    whether the server said that there is nothing (204)."""

    content: bytes
    charset: str | None
    kind: str
    next_link: str | None
    nothing: bool


class _BusyError(Exception):
    """An answer worth asking for again."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(f"HTTP {response.status_code}")


class _TokenRefusedError(Exception):
    """The token service did not accept the credentials."""


class _TooSlowError(Exception):
    """An answer that trickles."""


class HttpClient:
    """Asks one system. Opens nothing before the first request; `close` when done.

    Options of the contract: `auth`, `tokenHeader`, `tokenUrl`, `tokenScope`,
    `requestsPerMinute`. Raises ContractError for values it does not know.
    """

    def __init__(
        self, contract: Contract, url: SourceUrl, address: str, options: ReaderOptions
    ) -> None:
        self._contract = contract
        self._url = url
        self._address = httpx.URL(address)
        self._options = options
        self._shown = str(self._address.copy_with(query=None, userinfo=b""))
        per_minute = contract.options.get("requestsPerMinute")
        if per_minute is not None and not (
            isinstance(per_minute, int | float) and not isinstance(per_minute, bool)
            and per_minute > 0
        ):  # fmt: skip
            raise self._wrong_option("requestsPerMinute", per_minute, "un número mayor que 0")
        self._interval_s = 60.0 / per_minute if per_minute else 0.0
        self._client = httpx.Client(
            headers={"Accept": "application/json"},
            timeout=httpx.Timeout(
                min(options.read_timeout_s, _LONGEST_SILENCE_S), connect=options.connect_timeout_s
            ),
            auth=self._auth(),
        )

    def get(self, parameters: Mapping[str, str], link: str | None = None) -> Answer:
        """The answer to one request, asked for again with growing pauses while the server is busy.

        `link` is an address an earlier answer gave, absolute or relative; it must lead to the same
        server. Raises SourceUnavailable, or SourceDataError when the answer is too large.
        """
        address = self._address.copy_merge_params(parameters)
        if link is not None:
            address = self._same_server(self._address.join(link), "indica seguir en")
            # What stands in the configured address (a key, a city) may be missing in a link.
            missing = {k: v for k, v in self._url.query.items() if k not in address.params}
            address = address.copy_merge_params(missing)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_worth_asking_again),
            stop=tenacity.stop_after_attempt(self._options.max_attempts),
            wait=self._pause,
            sleep=self._options.sleep,
            reraise=True,
        )
        try:
            return retrying(self._ask_once, address)
        except _BusyError as busy:
            raise self._busy(busy.response) from busy
        except _TokenRefusedError as error:
            raise self._token_refused() from error
        except (httpx.TimeoutException, _TooSlowError) as error:
            raise self._unavailable("no respondió a tiempo") from error
        except httpx.RemoteProtocolError as error:
            raise self._unavailable("cortó la respuesta antes del final") from error
        except httpx.DecodingError as error:
            raise self._unavailable("envió una respuesta comprimida que está dañada") from error
        except httpx.HTTPError as error:
            if certificate := _certificate_problem(error):
                raise self._untrusted(certificate) from error
            raise self._unavailable("no se pudo alcanzar") from error

    def close(self) -> None:
        self._client.close()

    # --- one request ------------------------------------------------------------------------------

    def _ask_once(self, address: httpx.URL) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            _pace(self._address.host, self._interval_s, self._options)
            with self._client.stream("GET", address) as response:
                if response.status_code in _REDIRECTS and "Location" in response.headers:
                    target = address.join(response.headers["Location"])
                    address = self._same_server(target, "redirige a")
                    continue
                if response.status_code in _RETRIED_STATUS:
                    raise _BusyError(response)
                if not response.is_success:
                    raise self._refused(response.status_code)
                return Answer(
                    content=self._content(response),
                    charset=response.charset_encoding,
                    kind=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                    next_link=response.links.get("next", {}).get("url"),
                    nothing=response.status_code == httpx.codes.NO_CONTENT,
                )
        raise self._unavailable("redirige una y otra vez")

    def _content(self, response: httpx.Response) -> bytes:
        """The whole answer, unpacked, up to a size and a time."""
        begun = time.monotonic()
        content = bytearray()
        for piece in response.iter_bytes():
            content += piece
            if len(content) > LARGEST_ANSWER_BYTES:
                raise problem(
                    SourceDataError,
                    self._contract,
                    f"una respuesta de {self._shown} ocupa más de {LARGEST_ANSWER_BYTES >> 20} MB.",
                    "pida menos filas por página (`pageSize` en el contrato).",
                )
            if time.monotonic() - begun > self._options.read_timeout_s:
                raise _TooSlowError
        return bytes(content)

    def _same_server(self, target: httpx.URL, verb: str) -> httpx.URL:
        """`target` when it is on the same server: nobody else may get the token."""
        here = self._address
        upgraded = (here.scheme, target.scheme) == ("http", "https") and here.port == target.port
        same = _origin(target) == _origin(here) or upgraded
        if not (same and target.host == here.host):
            raise self._unavailable(
                f"{verb} otro servidor ({target.scheme}://{target.netloc.decode()}); no se siguió "
                "para no entregarle la credencial"
            )
        return target

    def _is_worth_asking_again(self, error: BaseException) -> bool:
        if isinstance(error, _BusyError):
            asked = retry_after(error.response, self._options.now())
            return asked is None or asked <= _LONGEST_ADVICE_S
        return isinstance(error, httpx.TransportError) and not _certificate_problem(error)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait: what the server asks for, otherwise doubling with jitter; bounded."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _BusyError):
            asked = retry_after(error.response, self._options.now())
            if asked is not None:
                return asked
        longest = self._options.max_wait_s
        return float(tenacity.wait_random_exponential(multiplier=1, max=longest)(state))

    # --- credentials ------------------------------------------------------------------------------

    def _auth(self) -> httpx.Auth | None:
        options, url = self._contract.options, self._url
        kind = options.get("auth") or ("bearer" if url.token else "basic" if url.user else None)
        if kind is None:
            return None
        if kind not in _AUTH:
            raise self._wrong_option("auth", kind, ", ".join(_AUTH))
        if kind in ("bearer", "header"):
            if not url.token:
                raise self._no_credential(variable(self._contract.system, "TOKEN"))
            if kind == "bearer":
                return _HeaderAuth("Authorization", f"Bearer {url.token}")
            return _HeaderAuth(str(options.get("tokenHeader", "X-API-Key")), url.token)
        if not url.user:
            raise self._no_credential(f"usuario y clave en {variable(self._contract.system)}")
        if kind == "basic":
            return httpx.BasicAuth(url.user, url.password or "")
        token_url = str(options.get("tokenUrl") or "")
        if not token_url:
            raise self._wrong_option("tokenUrl", None, "la dirección que entrega el token")
        return _ClientCredentials(
            self._address.join(token_url),
            httpx.BasicAuth(url.user, url.password or ""),
            scope=options.get("tokenScope"),
            options=self._options,
        )

    # --- errors -----------------------------------------------------------------------------------

    def _wrong_option(self, name: str, value: Any, allowed: str) -> ContractError:
        return problem(
            ContractError,
            self._contract,
            f"`{name}` debe ser {allowed}, no {value!r}.",
            f"corrija el contrato {self._contract.path.name}.",
        )

    def _no_credential(self, what: str) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self._contract,
            f"falta la credencial del sistema {self._contract.system}.",
            f"cargue {what} en el entorno o en `.env`.",
        )

    def _token_refused(self) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self._contract,
            f"el servicio de credenciales del sistema {self._contract.system} no entregó un token.",
            f"revise usuario y clave en {variable(self._contract.system)} y `tokenUrl` en el "
            "contrato.",
        )

    def _refused(self, status: int) -> PipelineError:
        system = self._contract.system
        credential = variable(system, "TOKEN" if self._url.token else "URL")
        if status == 401:
            return problem(
                SourceUnavailable,
                self._contract,
                f"el sistema {system} rechazó "
                f"{'el token' if self._url.token else 'la credencial'} (HTTP 401).",
                f"pida una credencial vigente y cárguela en {credential}.",
            )
        if status == 403:
            return problem(
                SourceUnavailable,
                self._contract,
                f"la credencial del sistema {system} no tiene permiso para {self._shown} "
                "(HTTP 403).",
                "pida al proveedor permiso de lectura para esa credencial.",
            )
        if status == 404:
            return problem(
                SourceUnavailable,
                self._contract,
                f"el sistema {system} no tiene nada en {self._shown} (HTTP 404).",
                f"revise la dirección de {variable(system)}, y `path` en el contrato: es lo que se "
                "le agrega.",
            )
        return self._unavailable(f"respondió con el código HTTP {status}")

    def _busy(self, response: httpx.Response) -> PipelineError:
        asked = retry_after(response, self._options.now())
        if asked is not None and asked > _LONGEST_ADVICE_S:
            return self._unavailable(
                f"pide esperar {asked / 60:.0f} minutos (HTTP {response.status_code})"
            )
        return self._refused(response.status_code)

    def _untrusted(self, why: str) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self._contract,
            f"no se pudo comprobar la identidad de {self._shown}: {why}.",
            "avise al proveedor; si el certificado es de una autoridad propia de la ciudad, "
            "indique su archivo en SSL_CERT_FILE.",
        )

    def _unavailable(self, what: str) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self._contract,
            f"el sistema {self._contract.system} ({self._shown}) {what}.",
            f"vuelva a ejecutar más tarde; si se repite, avise al proveedor y "
            f"{check_settings_hint(self._contract)}",
        )


class _HeaderAuth(httpx.Auth):
    """A fixed credential in a header of every request."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._name] = self._value
        yield request


class _ClientCredentials(httpx.Auth):
    """OAuth2 client credentials (RFC 6749, 4.4): a token fetched, and renewed when it is due."""

    def __init__(
        self,
        token_url: httpx.URL,
        credential: httpx.BasicAuth,
        *,
        scope: Any,
        options: ReaderOptions,
    ) -> None:
        self._token_url = token_url
        self._credential = credential
        self._form = {"grant_type": "client_credentials"} | ({"scope": str(scope)} if scope else {})
        self._options = options
        self._token = ""
        self._expires = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._token or self._options.now() >= self._expires:
            yield from self._fetch()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401:
            # Withdrawn before its time: one new token, and what the server says then counts.
            yield from self._fetch()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _fetch(self) -> Generator[httpx.Request, httpx.Response, None]:
        asked = httpx.Request("POST", self._token_url, data=self._form)
        response = yield next(self._credential.auth_flow(asked))
        if response.status_code in _RETRIED_STATUS:
            raise _BusyError(response)
        if not response.is_success:
            raise _TokenRefusedError
        try:
            response.read()
            answer = response.json()
            self._token = str(answer["access_token"])
            lifetime = float(answer.get("expires_in", 3600))
        except (ValueError, KeyError, TypeError) as error:
            raise _TokenRefusedError from error
        register_secret(self._token)
        self._expires = self._options.now() + lifetime - _TOKEN_MARGIN_S


# Host -> when it was, or will be, asked last. Readers of several datasets share a system's pace.
_last_asked: dict[str, float] = {}
_pace_lock = threading.Lock()


def _pace(host: str, interval_s: float, options: ReaderOptions) -> None:
    """Wait until `interval_s` after the last request of this process to the same host."""
    if not interval_s:
        return
    with _pace_lock:
        now = options.now()
        at = max(now, _last_asked.get(host, now - interval_s) + interval_s)
        _last_asked[host] = at
    if at > now:
        options.sleep(at - now)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _certificate_problem(error: BaseException | None) -> str | None:
    """Why no trusted connection could be made; None when the error is another one."""
    if not isinstance(error, httpx.ConnectError):
        return None
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(cause.verify_code, cause.verify_message)
    return "no habla TLS, o solo en una versión que ya no es segura"


def retry_after(response: httpx.Response, now: float) -> float | None:
    """Seconds the server asks to wait, from a number or a date; None when it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        asked: float = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
    return max(0.0, asked - now)

"""HTTP APIs that give JSON, page by page.

Belongs here: asking for pages, patience with a server that is busy, and noticing that the data
changed while they were read. Does not belong here: types; nested values become JSON text.

Options of the contract: `path`; `dataPath` (where the rows are in an answer; default: the answer
itself); `pageParam`, `pageSizeParam`, `pageSize` (default 500); `totalPagesPath`, `totalPath`;
`cursorParam` (asks for what changed since the watermark less the lookback). Without `pageParam`
there is one request; without any total, reading ends at the first empty page.
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple, Self

import httpx
import numpy as np
import tenacity

from sources.contract import Contract
from sources.errors import PipelineError, SourceDataError, SourceUnavailable
from sources.readers.base import (
    DEFAULT_OPTIONS,
    RULE_MALFORMED,
    WHOLE_LINE,
    ClosingReader,
    RawBatch,
    ReaderOptions,
    RejectedRow,
    as_text,
    build_batch,
    check_settings_hint,
    column_from_values,
    missing_columns,
    problem,
    source_columns,
)
from sources.readers.jsonlines import json_decoder
from sources.readers.paths import has_path, leaf_paths, parse_path, value_at
from sources.readers.watermark import since_value
from sources.urls import SourceUrl, variable

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_READ_S = 60
# From this many records on, a field that none of them has is gone and not merely left out.
_ENOUGH_RECORDS = 100
# Pages are gathered into batches of at most this many rows.
_BATCH_ROWS = 10_000


class _Page(NamedTuple):
    """One answer: its rows and what it says about the whole."""

    number: int
    rows: list[Any]
    total_pages: int | None
    total: int | None


class _BusyError(Exception):
    """An answer worth asking for again."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(f"HTTP {response.status_code}")


class ApiReader(ClosingReader):
    """One paged resource."""

    def __init__(
        self,
        contract: Contract,
        url: SourceUrl,
        *,
        watermark: str | None = None,
        batch_rows: int = 65_536,
        options: ReaderOptions = DEFAULT_OPTIONS,
    ) -> None:
        settings = contract.options
        path = str(settings.get("path") or contract.server.path or "").strip("/")
        self._address = f"{url.base}/{path}".rstrip("/")
        self.description = f"{url.safe}/{path}".rstrip("/")
        self._contract = contract
        self._url = url
        self._watermark = watermark
        self._batch_rows = min(batch_rows, _BATCH_ROWS)
        self._options = options
        self._page_param = settings.get("pageParam")
        self._page_size_param = settings.get("pageSizeParam")
        self._page_size = int(settings.get("pageSize", 500))
        self._data_path = parse_path(str(settings.get("dataPath") or ""))
        self._paths = {c.name: parse_path(c.source_name) for c in source_columns(contract)}
        self._decode = json_decoder(contract)
        self._client: httpx.Client | None = None
        self._first: _Page | None = None
        self._columns: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        """Ask for the first page.

        Raises SourceUnavailable (network, token, permission, a server that stays busy),
        SourceDataError (no JSON, another layout), DriftError (a column of the contract is gone).
        """
        self._client = self._new_client()
        try:
            self._first = self._page(1)
            self._columns = self._check_columns(self._first.rows)
        except BaseException:
            self._close()
            raise
        return self

    def columns(self) -> tuple[str, ...]:
        return self._columns

    def source_count(self) -> int | None:
        """The total the first answer announced; None when the API tells none."""
        return None if self._first is None else self._first.total

    def batches(self) -> Iterator[RawBatch]:
        """Raises SourceDataError when the data change while they are read."""
        gathered: list[Any] = []
        read = 0
        for page in self._pages():
            gathered += page.rows
            if len(gathered) >= self._batch_rows:
                yield self._batch(gathered, read + 1)
                read += len(gathered)
                gathered = []
        if gathered:
            yield self._batch(gathered, read + 1)
            read += len(gathered)
        expected = self.source_count()
        if expected is not None and read != expected:
            raise self._changed(f"anunció {expected} filas y entregó {read}")

    def _pages(self) -> Iterator[_Page]:
        page = self._first
        assert page is not None, "the reader is not open"
        first = page
        read = 0
        while True:
            yield page
            read += len(page.rows)
            if self._is_last(page, read):
                return
            following = self._page(page.number + 1)
            if (following.total, following.total_pages) != (first.total, first.total_pages):
                raise self._changed(f"pasó de {first.total} a {following.total} filas")
            if following.rows and following.rows == page.rows:
                raise self._changed(f"las páginas {page.number} y {following.number} son iguales")
            page = following

    def _is_last(self, page: _Page, read: int) -> bool:
        if not self._page_param or not page.rows:
            return True
        if page.total_pages is not None:
            return page.number >= page.total_pages
        return page.total is not None and read >= page.total

    def _page(self, number: int) -> _Page:
        answer = self._answer(self._request(self._parameters(number)))
        rows = value_at(answer, self._data_path)
        if not isinstance(rows, list):
            raise problem(
                SourceDataError,
                self._contract,
                f"la respuesta de {self.description} no trae una lista de filas en "
                f"{self._contract.options.get('dataPath') or 'la raíz'!s}.",
                "confirme con el proveedor si la interfaz cambió y actualice el contrato.",
            )
        return _Page(
            number, rows, self._figure(answer, "totalPagesPath"), self._figure(answer, "totalPath")
        )

    def _parameters(self, number: int) -> dict[str, str]:
        settings = self._contract.options
        parameters = dict(self._url.query)
        if self._page_param:
            parameters[str(self._page_param)] = str(number)
        if self._page_size_param:
            parameters[str(self._page_size_param)] = str(self._page_size)
        if self._watermark is not None and settings.get("cursorParam") and self._contract.cursor:
            since = since_value(self._contract, self._watermark)
            text = since.isoformat() if isinstance(since, date) else str(since)
            parameters[str(settings["cursorParam"])] = text
        return parameters

    def _figure(self, answer: Any, option: str) -> int | None:
        path = self._contract.options.get(option)
        value = value_at(answer, parse_path(str(path))) if path else None
        return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None

    def _answer(self, response: httpx.Response) -> Any:
        try:
            return self._decode(response.content)
        except ValueError as error:
            raise problem(
                SourceDataError,
                self._contract,
                f"la respuesta de {self.description} no es JSON.",
                "confirme con el proveedor que la dirección y la interfaz sean las vigentes.",
            ) from error

    def _request(self, parameters: dict[str, str]) -> httpx.Response:
        """One page's answer, asked for again with growing pauses while the server is busy."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_BusyError, httpx.TransportError)),
            stop=tenacity.stop_after_attempt(self._options.max_attempts),
            wait=self._pause,
            sleep=self._options.sleep,
            reraise=True,
        )
        try:
            response: httpx.Response = retrying(self._ask_once, parameters)
        except _BusyError as busy:
            raise self._refused(busy.response) from busy
        except httpx.TimeoutException as error:
            raise self._unavailable("no respondió a tiempo") from error
        except httpx.HTTPError as error:
            raise self._unavailable("no se pudo alcanzar") from error
        if not response.is_success:
            raise self._refused(response)
        return response

    def _ask_once(self, parameters: dict[str, str]) -> httpx.Response:
        assert self._client is not None, "the reader is not open"
        response = self._client.get(self._address, params=parameters)
        if response.status_code in _RETRIED_STATUS:
            raise _BusyError(response)
        return response

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait: what the server asks for, otherwise doubling with jitter; bounded."""
        longest = self._options.max_wait_s
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _BusyError):
            asked = retry_after(error.response, self._options.now())
            if asked is not None:
                return min(asked, longest)
        return float(tenacity.wait_random_exponential(multiplier=1, max=longest)(state))

    def _new_client(self) -> httpx.Client:
        headers = {"Accept": "application/json"}
        if self._url.token:
            headers["Authorization"] = f"Bearer {self._url.token}"
        read = min(self._options.read_timeout_s, _LONGEST_READ_S)
        return httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(read, connect=self._options.connect_timeout_s),
            transport=self._options.http_transport,
            follow_redirects=True,
            auth=(self._url.user, self._url.password or "") if self._url.user else None,
        )

    def _batch(self, records: list[Any], first: int) -> RawBatch:
        good = [(n, row) for n, row in enumerate(records, first) if isinstance(row, dict)]
        rejected = [
            RejectedRow(n, RULE_MALFORMED, None, "la fila no es un objeto", {WHOLE_LINE: text})
            for n, row in enumerate(records, first)
            if not isinstance(row, dict)
            for text in [as_text(row)]
        ]
        columns = {
            name: column_from_values([value_at(row, path) for _, row in good])
            for name, path in self._paths.items()
        }
        rows = np.array([n for n, _ in good], np.int64)
        return build_batch(self._contract, columns, rows, rejected=rejected)

    def _check_columns(self, records: list[Any]) -> tuple[str, ...]:
        wanted = {column.source_name for column in self._contract.columns}
        found: dict[str, None] = {}
        for record in records:
            found.update(dict.fromkeys(leaf_paths(record, wanted)))
        missing = [
            column.source_name
            for column in source_columns(self._contract)
            if records
            and (column.required or len(records) >= _ENOUGH_RECORDS)
            and not any(has_path(record, self._paths[column.name]) for record in records)
        ]
        if missing:
            raise missing_columns(self._contract, missing, tuple(found), self.description)
        return tuple(found)

    def _refused(self, response: httpx.Response) -> PipelineError:
        status = response.status_code
        token = variable(self._contract.system, "TOKEN")
        if status == 401:
            return problem(
                SourceUnavailable,
                self._contract,
                f"el sistema {self._contract.system} rechazó el token (HTTP 401).",
                f"pida un token vigente y cárguelo en {token}.",
            )
        if status == 403:
            return problem(
                SourceUnavailable,
                self._contract,
                f"el token del sistema {self._contract.system} no tiene permiso para "
                f"{self.description} (HTTP 403).",
                "pida al proveedor permiso de lectura para ese token.",
            )
        return self._unavailable(f"respondió con el código HTTP {status}")

    def _unavailable(self, what: str) -> SourceUnavailable:
        return problem(
            SourceUnavailable,
            self._contract,
            f"el sistema {self._contract.system} ({self.description}) {what}.",
            f"vuelva a ejecutar más tarde; si se repite, avise al proveedor y "
            f"{check_settings_hint(self._contract)}",
        )

    def _changed(self, how: str) -> SourceDataError:
        return problem(
            SourceDataError,
            self._contract,
            f"los datos de {self.description} cambiaron mientras se leían: {how}.",
            "vuelva a ejecutar; si se repite, lea en un horario de menos uso.",
        )

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


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

"""HTTP APIs that give JSON, page by page.

Belongs here: which page to ask for next, and noticing that the data changed while they were read.
Does not belong here: how to ask (`http_client.py`), or types; nested values become JSON text.

Options of the contract: `path`; `dataPath` (where the rows are in an answer; default: the answer
itself); `cursorParam` (asks for what changed since the watermark less the lookback), written as
ISO 8601 or in `cursorFormat`. One of these ways to the next page, or none (one request):

* `pageParam`: a page's number, from `firstPage` (default 1) on;
* `offsetParam`: how many rows to pass over;
* `nextLink`: where the next page's address stands: `header` (a `Link` header) or a path;
* `nextCursorPath` and `nextCursorParam`: a mark in the answer, to be sent with the next request.

`pageSizeParam` and `pageSize` (default 500) ask for rows per page; `totalPath` and
`totalPagesPath` are where an answer tells how much there is. Without any total, numbered pages end
at the first empty one. The options of credentials and pace are in `http_client.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, Self

import numpy as np

from sources.contract import Contract
from sources.errors import ContractError, SourceDataError
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
    column_from_json,
    missing_columns,
    problem,
    source_columns,
)
from sources.readers.http_client import Answer, HttpClient
from sources.readers.jsonlines import exact_decoder
from sources.readers.paths import has_path, leaf_paths, parse_path, value_at
from sources.readers.time_format import written_as
from sources.readers.watermark import since_value
from sources.urls import SourceUrl

# From this many records on, a field that none of them has is gone and not merely left out.
_ENOUGH_RECORDS = 100
# Pages are gathered into batches of at most this many rows.
_BATCH_ROWS = 10_000
_WAYS = ("pageParam", "offsetParam", "nextLink", "nextCursorPath")


class _Next(NamedTuple):
    """How to ask for a page: parameters, or an address the page before gave."""

    parameters: Mapping[str, str]
    link: str | None = None


class _Page(NamedTuple):
    """One answer: its rows, what it says about the whole, and what leads on (None: nothing)."""

    number: int
    rows: list[Any]
    total_pages: int | None
    total: int | None
    mark: str | None


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
        self._way = self._find_way()
        self._page_size = int(settings.get("pageSize", 500))
        self._first_page = int(settings.get("firstPage", 1))
        self._data_path = parse_path(str(settings.get("dataPath") or ""))
        self._paths = {c.name: parse_path(c.source_name) for c in source_columns(contract)}
        self._key_paths = [self._paths[name] for name in contract.key if name in self._paths]
        self._decode = exact_decoder()
        self._client: HttpClient | None = None
        self._first: _Page | None = None
        self._columns: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        """Ask for the first page.

        Raises SourceUnavailable (network, credential, permission, a server that stays busy),
        SourceDataError (no JSON, another layout), DriftError (a column of the contract is gone),
        ContractError (an option that is not understood).
        """
        self._client = HttpClient(self._contract, self._url, self._address, self._options)
        try:
            self._first = self._page(1, self._begin())
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
            if self._way is None and read < expected:
                raise self._more_pages(f"anuncia {expected} filas y trae {read}")
            error = self._changed(f"anunció {expected} filas y entregó {read}")
            error.next_step = (
                "vuelva a ejecutar; si se repite con los mismos números, ese total cuenta otra "
                "cosa: quite `totalPath` del contrato."
            )
            raise error

    def _pages(self) -> Iterator[_Page]:
        page = self._first
        assert page is not None, "the reader is not open"
        first, read, marks = page, 0, {page.mark}
        while True:
            yield page
            read += len(page.rows)
            following = self._following(page, read)
            if following is None:
                return
            before, page = page, self._page(page.number + 1, following)
            if (page.total, page.total_pages) != (first.total, first.total_pages):
                raise self._changed(f"pasó de {first.total} a {page.total} filas")
            if page.rows and page.rows == before.rows:
                raise self._changed(f"las páginas {before.number} y {page.number} son iguales")
            if self._keys(before.rows) & self._keys(page.rows):
                raise self._changed(
                    f"las páginas {before.number} y {page.number} traen un mismo registro"
                )
            if page.mark is not None and page.mark in marks:
                raise self._changed(f"después de la página {page.number} vuelve a una anterior")
            marks.add(page.mark)

    def _keys(self, rows: list[Any]) -> set[str]:
        """What identifies each row, as text; empty where the contract has no key."""
        if not self._key_paths:
            return set()
        return {
            repr([value_at(row, path) for path in self._key_paths])
            for row in rows
            if isinstance(row, dict)
        }

    # --- the way to the next page -----------------------------------------------------------------

    def _find_way(self) -> str | None:
        """The one option that says how to get from page to page; None: there is one page."""
        declared = [option for option in _WAYS if self._contract.options.get(option)]
        if len(declared) > 1:
            raise self._wrong(f"declara {' y '.join(declared)}: basta una manera")
        if declared == ["nextCursorPath"] and not self._contract.options.get("nextCursorParam"):
            raise self._wrong("declara `nextCursorPath` sin `nextCursorParam`")
        return declared[0] if declared else None

    def _begin(self) -> _Next:
        """The parameters of the first page."""
        settings = self._contract.options
        parameters = dict(self._url.query)
        if self._way == "pageParam":
            parameters[str(settings["pageParam"])] = str(self._first_page)
        elif self._way == "offsetParam":
            parameters[str(settings["offsetParam"])] = "0"
        if size := settings.get("pageSizeParam"):
            parameters[str(size)] = str(self._page_size)
        if self._watermark is not None and settings.get("cursorParam") and self._contract.cursor:
            parameters[str(settings["cursorParam"])] = self._since(self._watermark)
        return _Next(parameters)

    def _since(self, watermark: str) -> str:
        since = since_value(self._contract, watermark)
        if not isinstance(since, date):
            return str(since)
        if form := self._contract.options.get("cursorFormat"):
            moment = since if isinstance(since, datetime) else datetime(*since.timetuple()[:3])
            return moment.strftime(written_as(self._contract, str(form)))
        return since.isoformat()

    def _following(self, page: _Page, read: int) -> _Next | None:
        """How to ask for the page after `page`; None when it is the last."""
        settings = self._contract.options
        if self._way in ("nextLink", "nextCursorPath"):
            if page.mark is None:
                return None
            if self._way == "nextLink":
                return _Next({}, page.mark)
            parameters = {**self._begin().parameters, str(settings["nextCursorParam"]): page.mark}
            return _Next(parameters)
        if self._way is None or not page.rows or _is_last(page, read):
            return None
        place = str(read) if self._way == "offsetParam" else str(self._first_page + page.number)
        return _Next({**self._begin().parameters, str(settings[self._way]): place})

    def _page(self, number: int, following: _Next) -> _Page:
        assert self._client is not None, "the reader is not open"
        answer = self._client.get(following.parameters, following.link)
        document = self._document(answer)
        self._check_single(document, answer)
        rows = value_at(document, self._data_path)
        if rows is None and has_path(document, self._data_path) and not _tells_an_error(document):
            rows = []  # how some languages write an empty list
        if not isinstance(rows, list):
            raise self._another_layout(
                "no trae una lista de filas en "
                f"{self._contract.options.get('dataPath') or 'la raíz'!s}"
            )
        return _Page(
            number,
            rows,
            self._figure(document, "totalPagesPath"),
            self._figure(document, "totalPath"),
            self._mark(document, answer),
        )

    def _check_single(self, document: Any, answer: Answer) -> None:
        """Raise SourceDataError where more pages follow and the contract says there is one."""
        if self._way is not None or self._contract.options.get("onePage"):
            return
        if (place := next_page_at(document, answer)) is None:
            return
        error = self._more_pages(f"anuncia más páginas ({place}) y el contrato lee una sola")
        error.next_step += " Si igual trae todo, `onePage: true`."
        raise error

    def _more_pages(self, what: str) -> SourceDataError:
        error = self._another_layout(what)
        error.next_step = (
            "declare en el contrato cómo se piden (`nextLink`, `pageParam`, `offsetParam` o "
            "`nextCursorPath`): sin eso faltarían filas."
        )
        return error

    def _mark(self, document: Any, answer: Answer) -> str | None:
        """What the answer says about where to go on; nothing is written in many ways."""
        if self._way not in ("nextLink", "nextCursorPath"):
            return None
        path = str(self._contract.options[self._way])
        if self._way == "nextLink" and path == "header":
            return answer.next_link
        value = _leads_to(value_at(document, parse_path(path)))
        return str(value) if value not in (None, "", False) else None

    def _figure(self, document: Any, option: str) -> int | None:
        path = self._contract.options.get(option)
        value = value_at(document, parse_path(str(path))) if path else None
        return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None

    def _document(self, answer: Answer) -> Any:
        if answer.nothing:
            return None
        content = answer.content
        try:
            if answer.charset:
                content = content.decode(answer.charset).encode()
            return self._decode(content.removeprefix(b"\xef\xbb\xbf"))
        except (UnicodeDecodeError, LookupError) as error:
            raise self._another_layout(f"no es texto en {answer.charset or 'utf-8'}") from error
        except (ValueError, RecursionError) as error:
            if answer.kind == "text/html" or content.lstrip()[:1] == b"<":
                raise self._another_layout(
                    "es una página HTML y no JSON (¿mantenimiento, o una sesión vencida?)"
                ) from error
            raise self._another_layout("no es JSON o está cortada") from error

    def _batch(self, records: list[Any], first: int) -> RawBatch:
        good = [(n, row) for n, row in enumerate(records, first) if isinstance(row, dict)]
        rejected = [
            RejectedRow(n, RULE_MALFORMED, None, "la fila no es un objeto", {WHOLE_LINE: text})
            for n, row in enumerate(records, first)
            if not isinstance(row, dict)
            for text in [as_text(row)]
        ]
        columns = {
            name: column_from_json(
                self._contract.column(name), [value_at(row, path) for _, row in good]
            )
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

    def _wrong(self, what: str) -> ContractError:
        return problem(
            ContractError,
            self._contract,
            f"el contrato {what} para pasar de página.",
            f"corrija el contrato {self._contract.path.name}.",
        )

    def _another_layout(self, what: str) -> SourceDataError:
        return problem(
            SourceDataError,
            self._contract,
            f"la respuesta de {self.description} {what}.",
            "confirme con el proveedor si la interfaz o la dirección cambiaron, y actualice el "
            "contrato.",
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


def _tells_an_error(document: Any) -> bool:
    """Whether an answer without rows says that something went wrong: then they are not none."""
    return isinstance(document, dict) and any(document.get(name) for name in _ERRORS)


_ERRORS = ("error", "errors", "errores", "fault", "exception")
# Where answers of common kinds lead on: an address, or the word that there is more.
_NEXT = ("next", "links.next", "_links.next.href", "paging.next", "meta.next", "pagination.next",
         "next_page_url")  # fmt: skip
# By OData an address may be relative, in any form.
_NEXT_IN_ANY_FORM = ("['@odata.nextLink']", "['odata.nextLink']", "d.__next")
# A list of links, each with its `rel` (OGC API).
_LINKS = "links"
# Flags (the last two of ArcGIS), and marks of the next page: a number or a token.
_MORE = ("has_more", "hasMore", "exceededTransferLimit", "properties.exceededTransferLimit")
_MARKS = ("next_page", "nextPage", "meta.next_page", "pagination.next_page", "nextPageToken",
          "next_page_token", "next_cursor", "nextCursor", "meta.next_cursor")  # fmt: skip


def next_link_at(document: Any, answer: Answer) -> str | None:
    """Where an answer has the address of its next page: `header`, or a path; None: nowhere."""
    if answer.next_link:
        return "header"
    listed = value_at(document, (_LINKS,))
    if isinstance(listed, list) and _leads_to(listed):
        return _LINKS
    for path in _NEXT_IN_ANY_FORM:
        if value_at(document, parse_path(path)):
            return path
    for path in _NEXT:
        value = value_at(document, parse_path(path))
        if isinstance(value, str) and value.startswith(("http://", "https://", "/", "?")):
            return path
    return None


def next_page_at(document: Any, answer: Answer) -> str | None:
    """Where an answer says that another page follows: by its address, or that there is more."""
    if link := next_link_at(document, answer):
        return link
    for path in (*_MORE, *_MARKS):
        value = value_at(document, parse_path(path))
        if value is True or (path in _MARKS and type(value) in (int, str) and value):
            return path
    return None


def _leads_to(value: Any) -> Any:
    """What leads on; in a list of links, the address of the one called `next`."""
    if not isinstance(value, list):
        return value or None
    links = (link for link in value if isinstance(link, dict) and link.get("rel") == "next")
    return next((link.get("href") for link in links), None)


def _is_last(page: _Page, read: int) -> bool:
    if page.total_pages is not None:
        return page.number >= page.total_pages
    return page.total is not None and read >= page.total

"""CKAN's action API as this package calls it: streamed, repeatable, tried again when that helps.

Belongs here: sessions, single calls, and when to try again. Does not belong here: which calls make
up a publication (`publisher.py`), or the words for what goes wrong (`failures.py`).

Of a call that makes or changes something nobody knows, when its answer is lost, whether it arrived.
So every one here may be sent twice: the second finds what the first has done.
"""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from ckanapi import RemoteCKAN
from ckanapi.common import prepare_action, reverse_apicontroller_action
from ckanapi.errors import CKANAPIError, NotFound, ValidationError
from requests_toolbelt import MultipartEncoder

from exports.ckan.failures import (
    ChangedMeanwhileError,
    DifferentBytesError,
    MissingActionError,
    NoRoomError,
    StaleError,
    TemporaryError,
)

_NO_ROOM_STATUS = (413, 507)
_UNKNOWN_ACTION = b"Action name not known"
_RETRIED_STATUS = (429, 500, 502, 503, 504)
_REPEATED = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    StaleError,
    DifferentBytesError,
    ChangedMeanwhileError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a portal is waited for.

    `attempts` bounds the tries of every step; the waits between them grow up to `max_wait` seconds
    and respect `Retry-After`. `timeout` is for one request, in seconds: to connect, and to hear.
    """

    attempts: int = 6
    max_wait: float = 60.0
    timeout: tuple[float, float] = (10.0, 300.0)

    def retried(self, step: Callable[[], T]) -> T:
        """Run a step that may be repeated, again while the failure looks temporary."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(self._is_temporary),
            reraise=True,
        )
        return retrying(step)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TemporaryError) else 0.0
        grown: float = tenacity.wait_exponential_jitter(multiplier=0.5, max=self.max_wait)(state)
        return min(max(asked, grown), self.max_wait)

    def _is_temporary(self, error: BaseException) -> bool:
        if isinstance(error, TemporaryError):
            # A portal that wants to be left alone for longer is left alone.
            return error.retry_after <= self.max_wait
        # ckanapi's bare error: an answer that is no JSON, such as a proxy's page.
        return isinstance(error, _REPEATED) or type(error) is CKANAPIError


class CkanClient:
    """The calls to one portal, with the rights of a token.

    `session` is what they all go through. Methods raise what ckanapi and requests raise, and the
    errors of `failures.py`. Only `retried` repeats anything.
    """

    def __init__(self, url: str, token: str, patience: Patience) -> None:
        self.session = watched_session()
        self._patience = patience
        self._ckan = _StreamingCkan(url, apikey=token, session=self.session)

    def retried(self, step: Callable[[], T]) -> T:
        """Run a step that may be repeated, again while the failure looks temporary."""
        return self._patience.retried(step)

    def call(
        self, action: str, data: Mapping[str, Any], files: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One action; what it gives back."""
        answer: dict[str, Any] = self._ckan.call_action(
            action,
            dict(data),
            files=files,
            requests_kwargs={"timeout": self._patience.timeout},
        )
        return answer

    def post(self, action: str, body: bytes) -> None:
        """One action whose body is ready, as JSON."""
        self._ckan.post_json(action, body, self._patience.timeout)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """A `package`, `organization` or `group`; None when there is none."""
        try:
            return self.call(f"{kind}_show", {"id": name})
        except NotFound:
            return None

    def make(self, kind: str, described: Mapping[str, Any]) -> None:
        """Make a `package`, `organization` or `group`; that it exists already is no failure.

        A request that is delivered twice, or that arrived although its answer did not, is refused
        the second time because the first one worked.
        """
        try:
            self.call(f"{kind}_create", described)
        except ValidationError:
            if self.find(kind, str(described["name"])) is None:
                raise

    def revise(
        self,
        current: Mapping[str, Any],
        change: Mapping[str, Any],
        files: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Change a dataset that is as we saw it; ChangedMeanwhileError when it is not any more."""
        match = {
            "match__id": current["id"],
            "match__metadata_modified": current["metadata_modified"],
        }
        try:
            return self.call("package_revise", {**match, **change}, files)
        except ValidationError as error:
            if "match" not in error.error_dict:
                raise
            raise ChangedMeanwhileError("se editó en el portal en ese momento") from error


class _StreamingCkan(RemoteCKAN):  # type: ignore[misc]  # ckanapi has no type hints
    """ckanapi, except that uploads are read from the disk as they are sent, not into memory."""

    def _request_fn(
        self,
        url: str,
        data: Any,
        headers: dict[str, str],
        files: Mapping[str, Any] | None,
        requests_kwargs: dict[str, Any],
    ) -> tuple[int, str]:
        if files:
            fields = {key.decode(): value.decode() for key, value in data.items()}
            data = MultipartEncoder({**fields, **files})
            headers = {**headers, "Content-Type": data.content_type}
        response = self.session.post(
            url, data=data, headers=headers, allow_redirects=False, **requests_kwargs
        )
        return response.status_code, response.text

    def post_json(self, action: str, body: bytes, timeout: tuple[float, float]) -> Any:
        """A call whose body is ready; errors as of any other call."""
        path, _, headers = prepare_action(action, {}, self.apikey)
        url, headers = f"{self.address}/{path}", {**headers, "User-Agent": self.user_agent}
        status, text = self._request_fn(url, body, headers, None, {"timeout": timeout})
        return reverse_apicontroller_action(url, status, text)


def watched_session() -> requests.Session:
    """A session that raises TemporaryError, NoRoomError and MissingActionError for the answers that
    mean them."""
    session = requests.Session()
    session.hooks["response"].append(_raise_for_status)
    return session


def _raise_for_status(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    action = urlsplit(response.url).path.rpartition("/")[2]
    if response.status_code in _NO_ROOM_STATUS:
        raise NoRoomError(f"respondió {response.status_code} a {action}")
    if response.status_code in _RETRIED_STATUS:
        header = response.headers.get("Retry-After", "")
        raise TemporaryError(action, response.status_code, _seconds(header))
    if response.status_code == 400 and _UNKNOWN_ACTION in response.content:
        # ckanapi has no error for it, and what it raises may be a page that passes.
        raise MissingActionError(action)
    return response


def _seconds(header: str) -> float:
    """`Retry-After` as seconds from now: a number, or a date; 0 when it says nothing usable."""
    if header.strip().isdigit():
        return float(header)
    try:
        until = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (until - dt.datetime.now(dt.UTC)).total_seconds())

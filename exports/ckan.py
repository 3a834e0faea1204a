"""Publishing to a CKAN portal through its action API.

Belongs here: the order of calls, retries, and the check of what the portal then gives back. Does
not belong here: what a dataset says of itself (`metadata.py`) or when it may leave (`export.py`).

For every dataset: compare with what the portal has; send the files that differ and read them back;
then switch all metadata, visibility included, in one `package_revise`, the one call that CKAN
does not lose when others speak at the same time. A new dataset stays private until that switch.
Resource ids are derived from dataset and file name, so addresses never change, and a call repeated
after a time-out finds what the first one made. `export_dataset` lets one export of a dataset run
at a time.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from ckanapi import RemoteCKAN
from ckanapi.errors import CKANAPIError, NotAuthorized, NotFound, ValidationError
from requests_toolbelt import MultipartEncoder

from exports.definition import SUPER_THEMES
from exports.errors import PortalError
from exports.metadata import PLACEHOLDER_DOMAIN, CatalogFacts, notes
from exports.portal import PublishResult, check_whole

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/lujan-datos/exports")
_RETRIED_STATUS = (429, 500, 502, 503, 504)
_CHUNK = 1 << 20
_FINGERPRINT = "huella_publicacion"
# Ids of CKAN's default licence list.
_LICENCES = {"CC-BY-4.0": "cc-by", "CC0-1.0": "cc-zero"}

T = TypeVar("T")


class CkanPublisher:
    """A CKAN portal and the right to publish there.

    `url` is the portal's address as the public sees it, `token` an API token of a user who may
    edit the organisation. `attempts` bounds the tries of every step; the waits between them grow
    up to `max_wait` seconds and respect `Retry-After`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        facts: CatalogFacts,
        *,
        attempts: int = 6,
        max_wait: float = 60.0,
        timeout: tuple[float, float] = (10.0, 300.0),
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PortalError(
                "la dirección del portal no empieza con http:// o https://.",
                next_step="corrija la dirección del portal en la configuración.",
            )
        if parts.username or parts.password:
            raise PortalError(
                "la dirección del portal lleva usuario o clave.",
                next_step="quítelos: la credencial va aparte, como token.",
            )
        self.url = url.rstrip("/")
        self._token = token
        self._facts = facts
        self._attempts, self._max_wait, self._timeout = attempts, max_wait, timeout
        session = requests.Session()
        session.hooks["response"].append(_raise_temporary)
        self._session = session
        self._ckan = _StreamingCkan(self.url, apikey=token, session=session)

    def page(self, dataset: str) -> str:
        return f"{self.url}/dataset/{dataset}"

    def access(self, dataset: str, file: str) -> str:
        return f"{self.page(dataset)}/resource/{self._resource_id(dataset, file)}"

    def download(self, dataset: str, file: str) -> str:
        return f"{self.access(dataset, file)}/download/{file}"

    def publish(self, folder: Path, package: Mapping[str, Any]) -> PublishResult:
        """Send what the portal lacks of this dataset, verify it, then switch its metadata."""
        name = str(package["name"])
        check_whole(folder, package)
        self._check_contact(package)
        wanted = self._metadata(package)
        with self._explained(name):
            current = self._retried(lambda: self._find("package_show", name))
            if current and self._matches(current, wanted):
                return PublishResult(self.page(name), ())
            self._retried(self._ensure_organization)
            for theme in package["superTheme"]:
                self._retried(partial(self._ensure_group, theme))
            current = self._retried(lambda: self._ensure_package(name, wanted))
            have = {item["id"]: item.get("hash") for item in current["resources"]}
            sent = []
            for resource in wanted["resources"]:
                if have.get(resource["id"]) != resource["hash"]:
                    self._retried(partial(self._send_file, name, folder, resource))
                    self._verify_file(name, resource)
                    sent.append(resource["fileName"])
            self._retried(lambda: self._switch(name, wanted))
            current = self._retried(lambda: self._call("package_show", {"id": name}))
        if not self._matches(current, wanted):
            raise PortalError(
                "el portal no muestra los metadatos que se le enviaron.",
                dataset=name,
                next_step="vuelva a publicar; si persiste, avise a quien administra el portal.",
            )
        return PublishResult(self.page(name), (*sent, "metadatos"))

    def publish_catalog(self, catalog_file: Path) -> PublishResult:
        """Nothing to send: CKAN makes its catalogue from the datasets it has.

        With the national plug-in the portal serves `/data.json` itself; ours stays beside the
        exported files.
        """
        return PublishResult(self.url, ())

    def _resource_id(self, dataset: str, file: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{self._facts.organizacion}/{dataset}/{file}"))

    def _check_contact(self, package: Mapping[str, Any]) -> None:
        """Real data must not go out with the address of the example."""
        if package["synthetic"]:
            return
        for person in package["contributors"]:
            if str(person.get("email", "")).endswith(PLACEHOLDER_DOMAIN):
                raise PortalError(
                    f"el contacto publicado sería {person['email']}, que es un ejemplo.",
                    dataset=str(package["name"]),
                    next_step="configure el correo del portal antes de publicar datos reales.",
                )

    def _metadata(self, package: Mapping[str, Any]) -> dict[str, Any]:
        """The dataset in CKAN's words (mapping of the national tools), with its fingerprint."""
        name = str(package["name"])
        publisher, author, maintainer = package["contributors"]
        extras = {
            "issued": package["issued"],
            "modified": package["modified"],
            "accrualPeriodicity": package["accrualPeriodicity"],
            "superTheme": json.dumps(package["superTheme"]),
            "language": json.dumps(package["language"]),
            "spatial": package["spatial"],
            "source": "; ".join(source["title"] for source in package["sources"]),
            "license": package["licenses"][0]["path"],
        }
        if "temporal" in package:
            extras["temporal"] = package["temporal"]
        metadata: dict[str, Any] = {
            "title": package["title"],
            "notes": notes(package),
            "owner_org": self._facts.organizacion,
            "private": False,
            "state": "active",
            "author": author["title"],
            "author_email": publisher["email"],
            "maintainer": maintainer["title"],
            "maintainer_email": maintainer["email"],
            "url": package["homepage"],
            "license_id": _LICENCES[package["licenses"][0]["name"]],
            "tags": [{"name": keyword} for keyword in package["keywords"]],
            "groups": [{"name": theme.lower()} for theme in package["superTheme"]],
            "resources": [self._resource(name, item) for item in package["resources"]],
        }
        text = json.dumps([metadata, extras], sort_keys=True)
        extras[_FINGERPRINT] = hashlib.sha256(text.encode()).hexdigest()
        metadata["extras"] = [{"key": key, "value": value} for key, value in extras.items()]
        return metadata

    def _resource(self, dataset: str, item: Mapping[str, Any]) -> dict[str, Any]:
        fields = [
            {"title": field["name"], "type": field["type"], "description": field["description"]}
            for field in item["schema"]["fields"]
        ]
        return {
            "id": self._resource_id(dataset, item["path"]),
            "name": item["title"],
            "description": item["description"],
            "format": str(item["format"]).upper(),
            "mimetype": item["mediatype"],
            "size": item["bytes"],
            "hash": item["hash"],
            "fileName": item["path"],
            "accessURL": self.access(dataset, item["path"]),
            "issued": item["issued"],
            "modified": item["modified"],
            "attributesDescription": json.dumps(fields, ensure_ascii=False),
        }

    @staticmethod
    def _matches(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        """Whether the portal already has exactly these files and these metadata."""
        extras = {item["key"]: item["value"] for item in current.get("extras", [])}
        asked = {item["key"]: item["value"] for item in wanted["extras"]}
        return (
            current.get("state") == "active"
            and not current.get("private")
            and extras.get(_FINGERPRINT) == asked[_FINGERPRINT]
            and [(item["id"], item.get("hash")) for item in current["resources"]]
            == [(item["id"], item["hash"]) for item in wanted["resources"]]
        )

    def _ensure_organization(self) -> None:
        name = self._facts.organizacion
        if self._find("organization_show", name) is None:
            self._call("organization_create", {"name": name, "title": self._facts.editor})

    def _ensure_group(self, theme: str) -> None:
        if self._find("group_show", theme.lower()) is None:
            self._call("group_create", {"name": theme.lower(), "title": SUPER_THEMES[theme]})

    def _ensure_package(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The dataset as the portal has it; a new one begins private and without files."""
        found = self._find("package_show", name)
        if found is not None:
            return found
        return self._call(
            "package_create",
            {
                "name": name,
                "title": wanted["title"],
                "owner_org": wanted["owner_org"],
                "private": True,
            },
        )

    def _send_file(self, name: str, folder: Path, resource: Mapping[str, Any]) -> None:
        known = self._find("resource_show", resource["id"])
        fields = {"id": resource["id"], "name": resource["name"], "format": resource["format"]}
        with (folder / resource["fileName"]).open("rb") as stream:
            upload = {"upload": (resource["fileName"], stream, resource["mimetype"])}
            if known is None:
                self._call("resource_create", {**fields, "package_id": name}, upload)
            else:
                self._call("resource_patch", fields, upload)

    def _verify_file(self, name: str, resource: Mapping[str, Any]) -> None:
        """Download what was just sent and compare it byte for byte through its hash."""

        def digest() -> tuple[int, str]:
            found, size = hashlib.sha256(), 0
            with self._session.get(
                self.download(name, resource["fileName"]),
                headers={"Authorization": self._token},
                timeout=self._timeout,
                stream=True,
            ) as response:
                if not response.ok:
                    raise _Unexpected(f"respondió {response.status_code} a la descarga")
                for chunk in response.iter_content(_CHUNK):
                    found.update(chunk)
                    size += len(chunk)
            return size, f"sha256:{found.hexdigest()}"

        if self._retried(digest) != (resource["size"], resource["hash"]):
            raise PortalError(
                f"el portal devuelve {resource['fileName']} distinto de como se envió.",
                dataset=name,
                next_step="vuelva a publicar; los metadatos no se cambiaron. Si persiste, avise "
                "a quien administra el portal.",
            )

    def _switch(self, name: str, wanted: Mapping[str, Any]) -> None:
        """All metadata in one call; resources that are no longer part of the dataset go."""
        current = self._call("package_show", {"id": name})
        have = {item["id"]: item for item in current["resources"]}
        # The position is given anew: CKAN 2.12 keeps the old ones when a resource goes, and then
        # fails on the gap ("list index out of range") the next time nothing else changes in one.
        resources = [
            {**have[item["id"]], **item, "position": position}
            for position, item in enumerate(wanted["resources"])
        ]
        self._call(
            "package_revise",
            {"match": {"id": current["id"]}, "update": {**wanted, "resources": resources}},
        )

    def _find(self, action: str, identifier: str) -> dict[str, Any] | None:
        try:
            return self._call(action, {"id": identifier})
        except NotFound:
            return None

    def _call(
        self, action: str, data: Mapping[str, Any], files: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        answer: dict[str, Any] = self._ckan.call_action(
            action, dict(data), files=files, requests_kwargs={"timeout": self._timeout}
        )
        return answer

    def _retried(self, step: Callable[[], T]) -> T:
        """Run a step that may be repeated, again while the failure looks temporary."""

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, _TemporaryError) else 0.0
            grown: float = tenacity.wait_exponential_jitter(multiplier=0.5, max=self._max_wait)(
                state
            )
            return min(max(asked, grown), self._max_wait)

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(
                (_TemporaryError, requests.ConnectionError, requests.Timeout)
            ),
            reraise=True,
        )
        return retrying(step)

    @contextmanager
    def _explained(self, dataset: str) -> Iterator[None]:
        """Turn what CKAN and the network raise into one error a person can act upon."""
        try:
            yield
        except NotAuthorized as error:
            raise self._problem(
                dataset,
                "el portal no permite esta operación con el token configurado",
                "revise el token y que su usuario pueda editar la organización "
                f"'{self._facts.organizacion}' y sus grupos.",
            ) from error
        except ValidationError as error:
            details = {key: value for key, value in error.error_dict.items() if key != "__type"}
            raise self._problem(
                dataset,
                f"el portal no acepta los metadatos: {json.dumps(details, ensure_ascii=False)}",
                "corrija la definición; lo publicado antes queda como está.",
            ) from error
        except (_TemporaryError, _Unexpected, CKANAPIError) as error:
            words = str(error) if not isinstance(error, CKANAPIError) else type(error).__name__
            raise self._problem(
                dataset,
                f"el portal {self.url} no pudo completar el pedido ({words})",
                "vuelva a publicar más tarde: solo se envía lo que falta.",
            ) from error
        except requests.RequestException as error:
            raise self._problem(
                dataset,
                f"no se pudo hablar con el portal {self.url} ({type(error).__name__})",
                "revise la red y la dirección del portal y vuelva a publicar.",
            ) from error

    def _problem(self, dataset: str, what: str, next_step: str) -> PortalError:
        hidden = what.replace(self._token, "***") if self._token else what
        return PortalError(f"{hidden}.", dataset=dataset, next_step=next_step)


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


class _TemporaryError(Exception):
    """The portal asked to come back later, or stumbled."""

    def __init__(self, action: str, status: int, retry_after: float) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(f"respondió {status} a {action}")


class _Unexpected(Exception):
    """An answer that repeating the request will not change."""


def _raise_temporary(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    if response.status_code in _RETRIED_STATUS:
        header = response.headers.get("Retry-After", "")
        raise _TemporaryError(
            urlsplit(response.url).path.rpartition("/")[2],
            response.status_code,
            float(header) if header.isdigit() else 0.0,
        )
    return response

"""Whose is what in a dataset on CKAN, its notice of the day, and words for failures: no portal."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from ckanapi.errors import CKANAPIError, NotAuthorized, ValidationError

from exports.ckan.client import Patience, _seconds
from exports.ckan.comparison import check_ours, compare, differences, merge
from exports.ckan.description import FINGERPRINT, in_calls
from exports.ckan.failures import (
    ChangedMeanwhileError,
    MissingActionError,
    StaleError,
    TemporaryError,
    explained,
)
from exports.ckan.notices import NOTICE, notice_change, without_notice
from exports.errors import PortalError

FIELDS = {
    "title": "Obras", "notes": "Qué obras hay.", "owner_org": "lujan", "private": False,
    "state": "active", "author": "Obras", "author_email": "a@lujan.ar", "maintainer": "Datos",
    "maintainer_email": "d@lujan.ar", "url": "https://lujan.ar", "license_id": "cc-by",
}  # fmt: skip


def resource(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "fileName": f"{name}.csv", "hash": "h1",
            "version_archivo": f"{name}-1", **more}  # fmt: skip


def description(**changes: Any) -> dict[str, Any]:
    return {**FIELDS, "tags": ["agua"], "groups": ["envi"], "resources": [resource("obras")],
            "extras": {"issued": "2026-01-01", FINGERPRINT: "f"}, **changes}  # fmt: skip


def shown(wanted: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The dataset as CKAN gives it once it is what was wanted."""
    return {**in_calls(wanted), "organization": {"name": wanted["owner_org"]}, **changes}


ANOTHERS = {"id": "x", "name": "Mapa de otra oficina"}


def test_a_dataset_that_is_as_wanted_has_no_differences() -> None:
    compared = compare(shown(description()), description(), description(), {"obras-1"}, set())
    assert not compared.anything and not compared.by_hand


def test_what_others_put_there_stays_and_comes_after_ours() -> None:
    base = description(tags=["agua", "viejo"])
    current = shown(
        base,
        tags=[{"name": "agua"}, {"name": "viejo"}, {"name": "ajena"}],
        extras=[{"key": "issued", "value": "2025"}, {"key": "de_otros", "value": "sí"}],
        resources=[ANOTHERS, resource("obras", datastore_active=True, view="v")],
    )
    merged = merge(current, description(), base)
    assert merged["tags"] == ["agua", "ajena"]
    assert merged["extras"] == {**description()["extras"], "de_otros": "sí"}
    ours, foreign = merged["resources"]
    assert (ours["id"], ours["position"], ours["view"]) == ("obras", 0, "v")
    assert "datastore_active" not in ours  # a key of ours that no longer applies
    assert foreign == {**ANOTHERS, "position": 1}


def test_each_difference_is_told_as_what_it_is() -> None:
    base = description(resources=[resource("obras"), resource("viejo")])
    wanted = description(
        title="Obras públicas",
        resources=[resource("obras", hash="h2", version_archivo="obras-2"), resource("tabla")],
    )
    current = shown(base, notes="Corregido a mano.", resources=[*base["resources"], ANOTHERS])
    compared = compare(current, wanted, base, {"obras-2", "tabla-1"}, {"tabla"})
    assert compared.files == ("obras.csv", "tabla.csv")
    assert compared.tables == ("tabla.csv",)
    assert {"título", "descripción", "lista de recursos"} <= set(compared.texts)
    assert compared.removed == ("viejo.csv",)
    assert compared.by_hand == ("descripción",)
    assert compared.foreign == ("Mapa de otra oficina",)


def test_a_file_that_the_archive_lost_is_sent_again() -> None:
    compared = compare(shown(description()), description(), description(), set(), set())
    assert compared.files == ("obras.csv",)


def test_a_dataset_of_somebody_else_is_not_touched() -> None:
    current = shown(description(extras={}))
    with pytest.raises(PortalError, match="no publicó este sistema"):
        check_ours("obras", current, None)
    check_ours("obras", current, description())  # somebody took our mark away


def test_a_notice_comes_and_goes_and_is_no_difference() -> None:
    current = shown(description())
    change = notice_change(current, "Está atrasado.")
    assert change
    noticed = {**current, **change["update"]}
    assert noticed["notes"] == "> **Aviso:** Está atrasado.\n\nQué obras hay."
    assert list(differences(without_notice(noticed), description())) == []
    assert notice_change(noticed, "Está atrasado.") is None
    away = notice_change(noticed, None)
    assert away
    assert away["update"]["notes"] == "Qué obras hay."
    assert NOTICE not in {item["key"] for item in away["update"]["extras"]}


@pytest.mark.parametrize(
    "change", [{"state": "deleted"}, {"extras": []},
               {"extras": [{"key": FINGERPRINT, "value": "f"}, {"key": "retirado", "value": "s"}]}]
)  # fmt: skip
def test_no_notice_is_put_on_what_is_deleted_withdrawn_or_not_ours(change: dict[str, Any]) -> None:
    assert notice_change(shown(description(), **change), "Está atrasado.") is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotAuthorized(), "organización 'lujan'"),
        (ValidationError({"title": ["falta s3creto"], "__type": "x"}), '{"title": ["falta ***"]}'),
        (TemporaryError("package_show", 503, 0), "respondió 503 a package_show"),
        (TemporaryError("package_show", 429, 120), "pide esperar 120 s"),
        (StaleError("muestra otra versión"), "vaciar su caché"),
        (ChangedMeanwhileError("se editó en ese momento"), "(se editó en ese momento)"),
        (CKANAPIError("<html>una página entera</html>"), "(CKANAPIError)"),
        (requests.ConnectionError("s3creto"), "no se pudo hablar con el portal"),
    ],
)
def test_a_failure_says_what_to_do_and_never_the_token(error: Exception, words: str) -> None:
    portal = {"url": "https://datos.lujan.ar", "token": "s3creto", "organization": "lujan"}
    with pytest.raises(PortalError) as caught, explained("obras", **portal, max_wait=60.0):
        raise error
    assert words in str(caught.value) and "s3creto" not in str(caught.value)
    assert caught.value.dataset == "obras" and caught.value.next_step


def test_retry_after_is_a_number_a_date_or_nothing() -> None:
    assert _seconds("30") == 30.0
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    assert 90 < _seconds(format_datetime(later)) <= 100
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert _seconds("pronto") == _seconds("") == 0.0


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (TemporaryError("x", 503, 0), 3),
        (TemporaryError("x", 429, 10), 1),  # asks for more than we wait
        (requests.ConnectionError(), 3),
        (CKANAPIError("no JSON"), 3),
        (NotAuthorized(), 1),
        (MissingActionError("x"), 1),
        (ValueError(), 1),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, tries: int) -> None:
    tried = []

    def step() -> None:
        tried.append(1)
        raise error

    with pytest.raises(type(error)):
        Patience(attempts=3, max_wait=0.001).retried(step)
    assert len(tried) == tries

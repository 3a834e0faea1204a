"""What a person sees of a load: the reconciliation of its figures as a check of its own."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dagster import AssetKey

from orchestration.assets.raw import TableOutcome, _metadata, reconciliation_check
from sources.errors import SourceChanged
from sources.landing import LoadReport
from sources.landing.drift import Episode

KEY = AssetKey(["raw", "aguas__cuentas"])


def report(**figures: Any) -> LoadReport:
    return LoadReport("aguas.cuentas", **{"state": "cargada"} | figures)


def test_figures_that_agree_are_shown_side_by_side() -> None:
    good = report(
        read=10, loaded=6, quarantined=1, known=3, deleted=2, source_count=10,
        checksums={"saldo": {"origen": "9.50", "leido": "9.50"}},
    )  # fmt: skip

    found = reconciliation_check(KEY, TableOutcome([good], []), 9)

    assert found.passed and found.check_name == "conciliacion"
    shown = {name: value.value for name, value in found.metadata.items()}
    assert (shown["leidas"], shown["cargadas"], shown["filas_en_raw"]) == (10, 6, 9)
    assert "| aguas.cuentas | 10 | 10 | 6 | 1 | 3 | 2 |" in str(shown["por_conjunto"])
    assert "| aguas.cuentas | saldo | 9.50 | 9.50 |" in str(shown["sumas"])


def test_what_does_not_agree_is_red_and_named() -> None:
    for wrong in (
        report(read=10, loaded=9),
        report(read=10, loaded=10, source_count=11),
        report(checksums={"saldo": {"origen": "1", "leido": "2"}}),
        report(state="fallida", errors=[SourceChanged("el origen contó 11 filas y entregó 10.")]),
    ):
        found = reconciliation_check(KEY, TableOutcome([wrong], []), 0)
        assert not found.passed and "aguas.cuentas" in str(found.description)


def test_a_system_that_is_not_configured_is_not_shown_as_reconciled() -> None:
    found = reconciliation_check(KEY, TableOutcome([report(state="sin_configurar")], []), 0)

    assert not found.passed and "no está configurado" in str(found.description)


def test_a_source_that_was_not_counted_is_shown_as_such() -> None:
    found = reconciliation_check(KEY, TableOutcome([report(read=1, loaded=1)], []), 1)

    assert found.passed and "sin contar" in str(found.metadata["por_conjunto"].value)


def test_what_differs_from_the_contract_stands_with_the_asset_until_it_is_settled() -> None:
    since = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
    episode = Episode(
        "aguas.cuentas", "columna_nueva", "telefono", "existe en el origen y no en el contrato",
        "se agregó como texto", "Secretaría de Prueba", "origen", since, since, None,
    )  # fmt: skip
    outcome = TableOutcome([report(notes=["se leyó toda la tabla otra vez"])], [], drift=[episode])

    shown = {name: getattr(value, "value", value) for name, value in _metadata(outcome, 0).items()}

    assert (
        "| aguas.cuentas | telefono | existe en el origen y no en el contrato | 01/06/2026 | "
        "se agregó como texto | Secretaría de Prueba |"
    ) in shown["deriva"]
    assert shown["avisos"] == "- se leyó toda la tabla otra vez"
    settled = _metadata(TableOutcome([report()], []), 0)["deriva"].value
    assert settled == "El origen tiene las columnas del contrato."

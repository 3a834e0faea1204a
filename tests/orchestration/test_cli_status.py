"""`lujan status` and `lujan contracts list` on the narrowest terminal that people use."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orchestration import settings as settings_module
from orchestration.cli.contracts import show_contracts
from orchestration.cli.status import show_status
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_catalogue


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), width=80)


def text(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_every_name_is_whole_so_that_it_can_be_copied(
    warehouse: Warehouse, screen: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "encuesta-de-habilidades-digitales"
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.publicacion (conjunto, corrida_id, estado, definicion_sha256) "
            "values (%s, 'r', 'pendiente_aprobacion', '')",
            [name],
        )
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    settings_module.settings.cache_clear()

    show_status(screen)

    settings_module.settings.cache_clear()
    assert [name for name in load_catalogue().contracts if name not in text(screen)] == []
    assert name in text(screen) and "espera aprobación" in text(screen)
    assert "…" not in text(screen)


def test_contracts_are_listed_by_area_with_frequencies_in_words(screen: Console) -> None:
    show_contracts(load_catalogue().contracts.values(), screen)

    lines = text(screen).splitlines()
    area = lines.index("Desarrollo Humano")
    assert lines[area + 1].split(maxsplit=1) == [
        "citymis.beneficiarios", f"{'cada tres meses':<18}sensible",
    ]  # fmt: skip
    assert lines[area + 2].strip() == "Beneficiarios de programas sociales"
    assert max(map(len, lines)) <= 80

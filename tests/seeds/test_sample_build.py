"""The sample municipality: sizes, determinism, atomic builds. Defects: test_sample_defects.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg
import pytest

from orchestration.warehouse.embedded import EmbeddedServer
from seeds.sample import CATALOGUE, NotASampleFolderError, SampleSize, build
from seeds.sample.__main__ import main

SMALL = SampleSize().reduced(0.05)
OTHER_SEED = 7


@pytest.fixture(scope="module")
def mlc_url(postgres: EmbeddedServer) -> str:
    """An empty PostgreSQL database of its own."""
    return postgres.ensure_database("mlc_build")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def marker(mlc_url: str) -> str:
    with psycopg.connect(mlc_url) as connection:
        return str(connection.execute("select version from public._muestra").fetchone()[0])


def test_the_full_size_is_the_citys() -> None:
    size = SampleSize()
    assert (size.secretariats, size.axes, size.programmes) == (13, 6, 35)
    assert (size.projects, size.indicators, size.survey_answers) == (1685, 242, 791)
    assert (size.smart_meters, size.accounts) == (3000, 3200)
    assert size.readings == 2_160_000


def test_defects_stay_a_small_part_of_every_dataset() -> None:
    size = SampleSize()
    rows = {
        "mlc.proyectos": size.projects,
        "mlc.hitos": size.milestones,
        "mlc.indicadores": size.indicators,
        "mlc.metas": size.goals,
        "aguas.cuentas": size.accounts,
        "aguas.medidores": size.accounts,
        "aguas.facturacion": size.accounts * 12,
        "aguas.red_infraestructura": size.network_elements,
        "aguas.calidad_agua": size.quality_samples,
        "citymis.solicitudes": size.requests,
        "citymis.tramites": size.procedures,
        "citymis.beneficiarios": size.beneficiaries,
        "planillas.inventario_datasets": size.inventory,
        "planillas.encuesta_habilidades": size.survey_answers,
        "milujan.tramites_digitales": size.digital_procedures,
        "telemetria.lecturas_csv": size.csv_meters * 720,
        "telemetria.lecturas_lorawan": size.lorawan_meters * 720,
    }
    planted = dict.fromkeys(rows, 0)
    for defect in CATALOGUE:
        if f"{defect.system}.{defect.dataset}" in rows and defect.treatment != "ninguno":
            planted[f"{defect.system}.{defect.dataset}"] += defect.count
    shares = {name: planted[name] / rows[name] for name in rows}
    assert max(shares.values()) < 0.10
    assert {name for name, share in shares.items() if share > 0.02} == {
        "planillas.inventario_datasets"
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, mlc_url: str) -> None:
    build(tmp_path / "a", mlc_url=mlc_url, size=SMALL)
    build(tmp_path / "b", mlc_url=mlc_url, size=SMALL)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    build(tmp_path / "b", mlc_url=mlc_url, size=SMALL, seed=OTHER_SEED)
    assert digests(tmp_path / "a") != digests(tmp_path / "b")


def test_an_up_to_date_sample_is_left_alone(tmp_path: Path, mlc_url: str) -> None:
    first = build(tmp_path / "m", mlc_url=mlc_url, size=SMALL)
    again = build(tmp_path / "m", mlc_url=mlc_url, size=SMALL)
    assert (first.rebuilt, again.rebuilt) == (True, False)
    assert again.rows == first.rows
    with psycopg.connect(mlc_url) as connection:
        connection.execute("drop table public._muestra")
    assert build(tmp_path / "m", mlc_url=mlc_url, size=SMALL).rebuilt


def test_a_build_that_breaks_leaves_the_last_sample(tmp_path: Path, mlc_url: str) -> None:
    done = build(tmp_path / "m", mlc_url=mlc_url, size=SMALL)
    before = digests(tmp_path / "m")

    def break_at_milujan(stage: str, rows: int) -> None:
        if stage == "milujan":
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        build(
            tmp_path / "m",
            mlc_url=mlc_url,
            size=SMALL,
            seed=OTHER_SEED,
            on_progress=break_at_milujan,
        )
    assert digests(tmp_path / "m") == before
    assert marker(mlc_url) == done.version
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path, mlc_url: str) -> None:
    (tmp_path / "tesis.txt").write_text("mía")
    with pytest.raises(NotASampleFolderError, match="no se reemplaza"):
        build(tmp_path, mlc_url=mlc_url, size=SMALL)
    assert (tmp_path / "tesis.txt").read_text() == "mía"


def test_every_folder_says_it_is_synthetic(tmp_path: Path, mlc_url: str) -> None:
    build(tmp_path / "m", mlc_url=mlc_url, size=SMALL)
    assert "TODO ES SINTÉTICO" in (tmp_path / "m" / "LEEME.txt").read_text(encoding="utf-8")


def test_the_command_line_hides_the_address_when_the_database_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://ana:secreta@127.0.0.1:1/nada"
    assert main([str(tmp_path / "m"), "--mlc-url", url]) == 1
    assert "secreta" not in "".join(capsys.readouterr())


def test_a_clean_sample_has_the_same_city_and_no_planted_defect(
    tmp_path: Path, mlc_url: str
) -> None:
    clean = build(tmp_path / "limpia", mlc_url=mlc_url, size=SMALL.clean())
    truth = json.loads((clean.directory / "ground_truth.json").read_text(encoding="utf-8"))
    assert {defect["id"]: defect["cantidad"] for defect in truth["defectos"]} == {
        defect.id: 0 for defect in CATALOGUE
    }
    assert set(truth["cuarentena_esperada"].values()) == {0}
    assert clean.rows["telemetria.lecturas_csv"] == SMALL.csv_meters * 720
    assert clean.rows["mlc.proyectos"] == SMALL.projects

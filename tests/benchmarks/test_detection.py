"""What counts as found, what as a false finding, and which folders of labels are refused."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.detection import Span, labels, main, score


def span(meter: str, begin: int, end: int) -> Span:
    start = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    return Span(meter, start + dt.timedelta(hours=begin), start + dt.timedelta(hours=end))


def test_an_event_is_found_by_an_overlap_on_its_own_meter_only() -> None:
    events = [span("A", 0, 10), span("B", 0, 10)]

    found = score("fuga_continua", events, [span("A", 9, 20), span("B", 15, 20)])

    assert found.as_document() == {
        "kind": "fuga_continua", "recall": 0.5, "precision": 0.5, "events": 2, "findings": 2,
    }  # fmt: skip


def test_nothing_found_has_no_precision_and_nothing_labelled_no_recall() -> None:
    assert score("pico", [span("A", 0, 1)], []).as_document()["precision"] is None
    assert score("pico", [], [span("A", 0, 1)]).as_document()["recall"] is None


def test_a_label_without_an_end_goes_on() -> None:
    key = {"medidor_id": "A", "inicio": "2026-06-01T00:00:00+00:00", "fin": None}
    found = labels({"defectos": [{"id": "x.y.fuga_continua", "claves": [key]}]})
    assert found["fuga_continua"][0].meets(span("A", 5000, 5001))


LEAK = {"medidor_id": "A", "inicio": "2026-06-01T00:00:00-03:00"}


def truth(*keys: Any, kind: str = "fuga_continua") -> str:
    return json.dumps({"defectos": [{"id": f"x.{kind}", "claves": list(keys)}]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "falta"),
        ("", "no es JSON"),
        ("[]", "no tiene la lista `defectos`"),
        ('{"defectos": [{"id": "x.pico"}]}', "el defecto 1 no tiene `id` y la lista `claves`"),
        ('{"defectos": []}', "no hay ningún evento"),
        (truth(LEAK, kind="derrame"), "hay: derrame"),
        (truth({"inicio": "2026-06-01T00:00:00-03:00"}), "le falta `medidor_id`"),
        (truth({"medidor_id": "A", "comienzo": "2026-06-01"}), "le falta `inicio`"),
        (truth(LEAK | {"fin": "ayer"}), "'ayer' no es una fecha"),
        (truth(LEAK | {"inicio": "2026-06-01T00:00:00"}), "no dice su zona horaria"),
        (truth(LEAK | {"fin": "2026-05-01T00:00:00-03:00"}), "termina antes de empezar"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_before_anything_is_run(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "telemetria").mkdir()
    (tmp_path / "telemetria" / "lecturas_2026-06-01.csv").write_text("medidor\n", encoding="utf-8")
    if text is not None:
        (tmp_path / "ground_truth.json").write_text(text, encoding="utf-8")

    assert main([str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_readings_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nada")]) == 2
    (tmp_path / "ground_truth.json").write_text(truth(LEAK), encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no existe la carpeta" in said
    assert "faltan los archivos de lecturas" in said

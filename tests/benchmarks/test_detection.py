"""What counts as found, and what as a false finding."""

from __future__ import annotations

import datetime as dt

from benchmarks.detection import Span, labels, score


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

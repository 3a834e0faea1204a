"""The stated rate of false alarms holds on simulated clean histories, and faults are seen."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmarks.monitors import KINDS, count_clean, history, measure, report

STATED_PER_THOUSAND = 1.0


def test_clean_histories_raise_fewer_alarms_than_stated_and_gross_faults_are_seen() -> None:
    lines = list(report(*measure(datasets=1, seed=2026)))

    rates = {line["monitor"]: line["per_thousand"] for line in lines if "monitor" in line}
    assert set(rates) == {"volumen", "intervalo", "nulos", "distribucion"}
    assert max(rates.values()) <= STATED_PER_THOUSAND
    assert all(line["judged"] > 500 for line in lines if "monitor" in line)
    seen = {line["defect"]: line["seen_pct"] for line in lines if "defect" in line}
    assert seen["volumen: no llega nada"] == 100
    assert seen["intervalo: 10 veces el habitual"] == 100
    assert seen["distribucion: litros en lugar de m³ (×1000)"] == 100


def test_the_same_seed_gives_the_same_figures() -> None:
    tallies = []
    for _ in range(2):
        tally: Counter[tuple[str, str]] = Counter()
        count_clean(history(KINDS[-1], np.random.default_rng(7)), tally)
        tallies.append(tally)
    assert tallies[0] == tallies[1]

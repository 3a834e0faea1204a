"""What a real year of household meters shows: figures and plots of the DAIAD trial.

    python -m benchmarks.daiad_report ARCHIVO [--out docs/informes]

ARCHIVO is the trial's CSV or its zip (docs/ejemplos/daiad says where it comes from). The file is
run through the pipeline by its contract alone, in a warehouse of its own; the figures are what the
marts say afterwards. Written are `daiad.md` and its plots: numbers of meters, hours and readings,
never a reading or the name of a meter.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.readings import copy_daiad
from benchmarks.water.place import ROOT, Place, RunFailed, place

# Badger EyeOnWater's threshold for a leak, litres per hour (seeds/reference/reglas_agua.csv).
_LEAK_LH = 3.8
_SPAIN = ZoneInfo("Europe/Madrid")
_INK, _SOFT, _MARK = "#1f4e79", "#9db7cf", "#b5452c"

_CONTINUOUS = """
select medidor_id, count(*)::int, max(horas)::int, sum(perdida_estimada_litros)::float8
from agua.alerta_flujo_continuo group by 1
"""
# Night: 00:00 to 04:00 of Spain, where the meters are; hours read and not estimated.
_NIGHT = """
with noches as (
    select medidor_id, (hora at time zone 'Europe/Madrid')::date as noche,
        min(consumo_litros * 3600.0 / segundos) as minimo, count(*) as horas
    from agua.fct_consumo_horario
    where extract(hour from ultima_lectura at time zone 'Europe/Madrid') < 4
        and consumo_litros is not null and segundos between 1800 and 7200
        and not estimado and regla_id is null
    group by 1, 2
)
select medidor_id, count(*)::int,
    percentile_cont(0.5) within group (order by minimo)::float8,
    (100.0 * count(*) filter (where minimo > %s) / count(*))::float8
from noches where horas >= 3 group by 1
"""
_RULES = """
select r.regla_id, r.nombre, coalesce(l.lecturas, 0)::int, coalesce(l.medidores, 0)::int
from referencia.reglas_limpieza r
join (
    select regla_id, count(*) as lecturas, count(distinct medidor_id) as medidores
    from agua.fct_decision_lectura group by 1
) l using (regla_id)
order by 1
"""
_RAW = """
with repetidas as (
    select medidor_id, fecha_hora, count(*) as n, count(distinct lectura) as valores
    from raw.telemetria__lecturas group by 1, 2
)
select sum(n)::int, count(distinct medidor_id)::int, (sum(n) - count(*))::int,
    count(*) filter (where n > 1)::int, count(*) filter (where n > 1 and valores > 1)::int,
    min(fecha_hora), max(fecha_hora)
from repetidas
"""
_NEGATIVE = """
with diferencias as (
    select medidor_id, lectura - lag(lectura) over (
        partition by medidor_id order by fecha_hora, lectura) as diferencia
    from raw.telemetria__lecturas
)
select count(*) filter (where diferencia < 0)::int,
    count(distinct medidor_id) filter (where diferencia < 0)::int
from diferencias
"""
_SENT_NEGATIVE = "select count(*)::int from raw.telemetria__lecturas where consumo_intervalo < 0"
_TOTALS = """
select sum(litros)::float8, sum(litros_en_huecos)::float8, count(*)::int,
    count(*) filter (where litros is null)::int
from agua.fct_consumo_diario
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; exit code 1 when the pipeline failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.daiad_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the trial's CSV, or its zip")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "informes")
    options = parser.parse_args(arguments)
    try:
        with place("informe") as made:
            copy_daiad(options.file, made.feed)
            time.sleep(3.1)
            print("corriendo", file=sys.stderr, flush=True)
            made.run("--contracts", str(ROOT / "docs" / "ejemplos" / "daiad"))
            facts = _facts(made)
    except RunFailed as error:
        print(f"la corrida falló:\n{error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    _plots(facts, options.out)
    (options.out / "daiad.md").write_text(_text(facts), encoding="utf-8")
    print(options.out / "daiad.md")
    return 0


def _facts(made: Place) -> dict[str, Any]:
    """Every figure of the report, by name."""
    return {
        "continuous": made.query(_CONTINUOUS),
        "night": made.query(_NIGHT, [_LEAK_LH]),
        "rules": made.query(_RULES),
        "raw": made.query(_RAW)[0],
        "negative": made.query(_NEGATIVE)[0],
        "sent_negative": made.query(_SENT_NEGATIVE)[0][0],
        "totals": made.query(_TOTALS)[0],
    }


def _plots(facts: dict[str, Any], folder: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures give the same bytes: neither a date nor random names of elements.
    mpl.rcParams.update({
        "svg.hashsalt": "lujan", "svg.fonttype": "none", "font.family": "sans-serif",
        "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True,
    })  # fmt: skip
    _plot_night(facts, folder / "daiad_flujo_nocturno.svg")
    _plot_continuous(facts, folder / "daiad_flujo_continuo.svg")


def _plot_night(facts: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    medians = [row[2] for row in facts["night"]]
    shares = sorted((row[3] for row in facts["night"]), reverse=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    edges = [0, 0.5, 1, 2, _LEAK_LH, float("inf")]
    names = ["menos\nde 0,5", "0,5 a 1", "1 a 2", "2 a 3,8", "3,8\no más"]
    counts = [sum(low <= value < high for value in medians) for low, high in pairwise(edges)]
    bars = left.bar(names, counts, color=[_SOFT] * 4 + [_MARK])
    left.bar_label(bars, fontsize=8)
    left.set_title("Flujo nocturno mínimo de la noche típica", fontsize=10)
    left.set_xlabel("litros por hora (mediana de las noches)")
    left.set_ylabel("medidores")
    left.tick_params(axis="x", labelsize=8)
    right.step(range(1, len(shares) + 1), shares, where="mid", color=_INK)
    right.fill_between(range(1, len(shares) + 1), shares, step="mid", color=_SOFT, alpha=0.5)
    right.set_title(f"Noches en que no baja de {_comma(_LEAK_LH)} L/h", fontsize=10)
    right.set_xlim(left=0)
    right.set_xlabel("medidores, de más a menos")
    right.set_ylabel("% de sus noches")
    right.set_ylim(0, 100)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _plot_continuous(facts: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    rows = sorted(facts["continuous"], key=lambda row: -row[1])
    figure, axes = plt.subplots(figsize=(9, 3.2))
    bars = axes.bar(range(1, len(rows) + 1), [row[1] for row in rows], color=_INK)
    axes.bar_label(bars, [f"{row[1]}\n(hasta {row[2]} h)" for row in rows], fontsize=7)
    axes.margins(y=0.25)
    axes.set_xticks(range(1, len(rows) + 1))
    axes.set_title("Eventos de flujo continuo de 24 horas o más, y el más largo", fontsize=10)
    axes.set_xlabel("medidores con algún evento, de más a menos")
    axes.set_ylabel("eventos")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _text(facts: dict[str, Any]) -> str:
    readings, meters, copies, moments, conflicts, *ends = facts["raw"]
    first, last = (moment.astimezone(_SPAIN) for moment in ends)
    continuous, night = facts["continuous"], facts["night"]
    litres, in_gaps, meter_days, unknown = facts["totals"]
    typical = sorted(row[2] for row in night)
    above = sum(value > _LEAK_LH for value in typical)
    rules = "\n".join(
        f"| {rule} | {name} | {_whole(count)} | {touched} |"
        for rule, name, count, touched in facts["rules"]
    )
    return f"""# Un año de medidores reales: qué encuentra el almacén

Datos del ensayo [DAIAD](../ejemplos/daiad/README.md): {_whole(readings)} lecturas de {meters} medidores domiciliarios
de España, del {first:%d/%m/%Y} al {last:%d/%m/%Y}. No son datos de la ciudad. Cifras y figuras salen de
`python -m benchmarks.daiad_report ARCHIVO`, que corre el archivo con su contrato y lee los marts.

## Flujo continuo

{len(continuous)} de {meters} medidores tuvieron flujo de 24 horas o más por encima de {_comma(_LEAK_LH)} L/h (R-AGUA-14), en
{sum(row[1] for row in continuous)} eventos; el más largo, de {max((row[2] for row in continuous), default=0)} horas. Lo perdido, a razón de la hora más baja de
cada evento: {_whole(round(sum(row[3] or 0 for row in continuous) / 1000))} m³. Nadie verificó estos eventos en el domicilio: son sospechas.

![Barras: eventos de flujo continuo de cada medidor que tuvo alguno, de más a menos, con las horas del más largo](daiad_flujo_continuo.svg)

## Flujo nocturno

Para cada noche (00 a 04, hora de España, con tres horas medidas o más), la hora de menos flujo; para cada medidor,
la mediana de sus noches. De los {len(night)} medidores con noches así:

| | |
| --- | --- |
| mediana de los medidores | {_comma(_quantile(typical, 0.5))} L/h |
| nueve de cada diez no pasan de | {_comma(_quantile(typical, 0.9))} L/h |
| el mayor | {_comma(typical[-1] if typical else 0)} L/h |
| no bajan de {_comma(_LEAK_LH)} L/h en la noche típica | {above} |
| tienen alguna noche que no baja de {_comma(_LEAK_LH)} L/h | {sum(row[3] > 0 for row in night)} |

![Dos figuras: cuántos medidores hay por litros por hora de su noche típica, y qué parte de sus noches no baja de {_comma(_LEAK_LH)} L/h cada uno](daiad_flujo_nocturno.svg)

## Lecturas repetidas y diferencias negativas

| qué | cuántas | qué se hizo |
| --- | --- | --- |
| lecturas de más en un mismo momento | {copies}, en {moments} momentos | queda una: la medida antes que la estimada, después la de menor registro; el resto se cuenta en `lecturas_descartadas` |
| momentos con lecturas que se contradicen | {conflicts} | además, R-AGUA-03 en `fct_decision_lectura` |
| diferencias negativas entre lecturas seguidas | {facts["negative"][0]}, en {facts["negative"][1]} medidores | según sus vecinas: lectura aislada (el volumen se recupera), vuelta de contador, o retroceso (el volumen queda sin dato) |
| diferencias negativas que ya traía el archivo | {facts["sent_negative"]} | se cargan como vinieron, con advertencia; no se usan |

Ninguna lectura se perdió ni se corrigió en `raw`. Cada decisión está en `agua.fct_decision_lectura`, al lado de lo que
decía la lectura:

| regla | nombre | lecturas | medidores |
| --- | --- | --- | --- |
{rules}

## Qué queda

{_whole(meter_days)} días de medidor, {_whole(unknown)} de ellos sin ningún volumen conocido. De {_whole(round((litres or 0) / 1000))} m³, {_comma(100 * (in_gaps or 0) / (litres or 1))} % se midió a través
de un hueco de más de dos horas: se conoce el volumen y no la hora, y ningún aviso lo lee.
"""


def _quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _whole(value: int) -> str:
    return f"{value:,}".replace(",", ".")


def _comma(value: float) -> str:
    return f"{value:.1f}".replace(".", ",")


if __name__ == "__main__":
    sys.exit(main())

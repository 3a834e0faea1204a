{{ sigue_cambios() }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'hora'},
    post_hook=['{{ anotar_avance() }}', '{{ exigir_clave(["medidor_id", "hora"]) }}'],
    indexes=[{'columns': ['medidor_id', 'hora'], 'unique': true}]
) }}

{#-
    Hours nobody read: the volume of a gap (R-AGUA-09) is known from the registers at its ends, the hour of
    each litre is not. It is spread evenly and marked. Litres are whole and add up to the volume measured:
    each hour takes the difference of the rounded running totals. An hour belongs to the row even when the
    gap covers it in part. Never read by an alert. A gap longer than R-AGUA-09,reparto_maximo_dias is spread over its last
    days: a reading dated by a clock that went back to its origin would otherwise fill decades, hour by hour.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(this, ref('fct_consumo_horario')) }},

tramos as (
    select
        medidor_id,
        {{ inicio_dia('min(dia)') }} as desde,
        {{ inicio_dia('max(dia) + 1') }} as hasta
    from dias_afectados
    group by medidor_id
),
{%- endif %}

huecos as (
    select
        consumo.medidor_id,
        consumo.hora,
        consumo.ultima_lectura,
        consumo.consumo_litros,
        consumo.segundos,
        consumo.carga_id,
        consumo.ultima_lectura - make_interval(secs => consumo.segundos) as desde
    from {{ ref('fct_consumo_horario') }} as consumo
    {%- if is_incremental() %}
    inner join tramos
        on
            consumo.medidor_id = tramos.medidor_id
            and consumo.hora >= tramos.desde
            and consumo.ultima_lectura - make_interval(secs => consumo.segundos) < tramos.hasta
    {%- endif %}
    where consumo.regla_id = 'R-AGUA-09' and consumo.consumo_litros is not null and consumo.segundos > 0
),

horas as (
    select
        huecos.medidor_id,
        horas.hora,
        huecos.desde as hueco_desde,
        huecos.ultima_lectura as hueco_hasta,
        huecos.consumo_litros as hueco_litros,
        huecos.carga_id,
        row_number() over hueco as orden,
        count(*) over (partition by huecos.medidor_id, huecos.hora) as cantidad
    from huecos
    cross join
        lateral generate_series(
            greatest(
                date_bin('1 hour', huecos.desde, timestamptz '2000-01-01 00:00:00+00') + interval '1 hour',
                huecos.hora
                - make_interval(days => {{ umbral_agua('R-AGUA-09', 'reparto_maximo_dias') }}::integer)
                + interval '1 hour'
            ),
            huecos.hora,
            interval '1 hour'
        ) as horas (hora)
    window hueco as (partition by huecos.medidor_id, huecos.hora order by horas.hora)
)

select
    horas.medidor_id,
    horas.hora,
    (
        round(horas.hueco_litros::numeric * horas.orden / horas.cantidad)
        - round(horas.hueco_litros::numeric * (horas.orden - 1) / horas.cantidad)
    )::integer as consumo_litros,
    'reparto_uniforme'::text as metodo,
    'R-AGUA-09'::text as regla_id,
    horas.hueco_desde,
    horas.hueco_hasta,
    horas.hueco_litros::integer as hueco_litros,
    horas.carga_id
from horas
{%- if is_incremental() %}
inner join dias_afectados
    on horas.medidor_id = dias_afectados.medidor_id and {{ dia_local('horas.hora') }} = dias_afectados.dia
{%- endif %}
order by horas.medidor_id, horas.hora

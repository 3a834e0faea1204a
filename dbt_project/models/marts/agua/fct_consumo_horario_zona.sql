{{ sigue_cambios(['fct_consumo_diario', 'fct_consumo_mensual_medidor']) }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_zona_dia',
    on_schema_change='fail',
    meta={'columna': 'hora'},
    post_hook='{{ anotar_avance() }}',
    indexes=[{'columns': ['hora', 'zona_id'], 'unique': true}]
) }}

{#-
    Hours that were read and the parts of gaps (fct_consumo_estimado), which are shown apart. The volume
    between two readings belongs to the hour of the second.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ medidores_de_dias_afectados() }},
{%- endif %}

horas as (
    select
        consumo.medidor_id,
        consumo.hora,
        consumo.consumo_litros::bigint as litros,
        null::bigint as litros_en_huecos
    from {{ ref('fct_consumo_horario') }} as consumo
    {%- if is_incremental() %}
    {{ solo_horas_de('medidores_por_dia', 'consumo') }}
    {%- endif %}
    where consumo.consumo_litros is not null and consumo.regla_id is distinct from 'R-AGUA-09'
    union all
    select
        estimado.medidor_id,
        estimado.hora,
        null,
        estimado.consumo_litros
    from {{ ref('fct_consumo_estimado') }} as estimado
    {%- if is_incremental() %}
    {{ solo_horas_de('medidores_por_dia', 'estimado') }}
    {%- endif %}
)

select
    vigencias.zona_id,
    horas.hora,
    count(horas.litros)::integer as medidores,
    (coalesce(sum(horas.litros), 0) + coalesce(sum(horas.litros_en_huecos), 0))::bigint as litros,
    coalesce(sum(horas.litros_en_huecos), 0)::bigint as litros_en_huecos
from horas
left join {{ ref('int_agua__vigencias') }} as vigencias
    on
        horas.medidor_id = vigencias.medidor_id
        and horas.hora >= vigencias.desde_momento
        and horas.hora < vigencias.hasta_momento
group by vigencias.zona_id, horas.hora

{{ sigue_cambios(['fct_consumo_horario']) }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_dia',
    on_schema_change='fail',
    meta={'columna': 'mes', 'sigue_atribucion': true},
    post_hook='{{ anotar_avance() }}',
    indexes=[{'columns': ['medidor_id', 'mes']}]
) }}

{#-
    Months of a meter, split where its account or its zone changed within the month: each day goes to the
    account that had the meter on that day.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ dias_afectados(this, ref('fct_consumo_horario'), atribucion=true) }},

meses as (
    select distinct
        medidor_id,
        date_trunc('month', dia::timestamp)::date as mes
    from dias_afectados
),
{%- endif %}

dias as (
    select
        diario.medidor_id,
        diario.dia,
        date_trunc('month', diario.dia::timestamp)::date as mes,
        diario.litros,
        diario.litros_en_huecos,
        diario.horas_con_lectura,
        diario.lecturas_descartadas,
        diario.ultima_lectura
    from {{ ref('fct_consumo_diario') }} as diario
    {%- if is_incremental() %}
    inner join meses
        on
            diario.medidor_id = meses.medidor_id
            and diario.dia >= meses.mes
            and diario.dia < (meses.mes + interval '1 month')::date
    {%- endif %}
)

select
    dias.medidor_id,
    dias.mes,
    vigencias.cuenta_id,
    vigencias.zona_id,
    vigencias.categoria,
    sum(dias.litros)::bigint as litros,
    sum(dias.litros_en_huecos)::bigint as litros_en_huecos,
    count(*) filter (where dias.litros is not null)::integer as dias_con_dato,
    count(*) filter (where dias.horas_con_lectura > 0)::integer as dias_con_lectura,
    sum(dias.horas_con_lectura)::integer as horas_con_lectura,
    sum(dias.lecturas_descartadas)::bigint as lecturas_descartadas,
    min(dias.dia) as primer_dia,
    max(dias.ultima_lectura) as ultima_lectura
from dias
{{ con_vigencia('dias', 'dias.dia') }}
group by dias.medidor_id, dias.mes, vigencias.cuenta_id, vigencias.zona_id, vigencias.categoria

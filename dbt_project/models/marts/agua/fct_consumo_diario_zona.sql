{{ sigue_cambios(['fct_consumo_horario', 'fct_consumo_mensual_medidor']) }}
{{ config(
    materialized='incremental',
    incremental_strategy='por_zona_dia',
    on_schema_change='fail',
    meta={'columna': 'dia'},
    post_hook='{{ anotar_avance() }}',
    indexes=[{'columns': ['dia', 'zona_id'], 'unique': true}]
) }}

{#-
    Each meter counts in the zone it had on that day. A row without zone gathers what cannot be placed. Night
    flow is that of the meters whose whole window was measured, and says how many they were.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05,RF01
with
{% if is_incremental() -%}
{{ medidores_de_dias_afectados() }},
{%- endif %}

dias as (
    select
        diario.medidor_id,
        diario.dia,
        diario.litros,
        diario.litros_en_huecos,
        case
            when
                diario.segundos_nocturnos >= {{ duracion_de_noche('diario.dia') }}
                then diario.caudal_nocturno_lh
        end as caudal_nocturno_lh
    from {{ ref('fct_consumo_diario') }} as diario
    {%- if is_incremental() %}
    inner join medidores_por_dia
        on diario.medidor_id = medidores_por_dia.medidor_id and diario.dia = medidores_por_dia.dia
    {%- endif %}
)

select
    vigencias.zona_id,
    dias.dia,
    count(dias.litros)::integer as medidores,
    count(distinct vigencias.cuenta_id) filter (where dias.litros is not null)::integer as cuentas,
    sum(dias.litros)::bigint as litros,
    coalesce(sum(dias.litros_en_huecos), 0)::bigint as litros_en_huecos,
    coalesce(sum(dias.litros) filter (where vigencias.cuenta_id is null), 0)::bigint as litros_sin_cuenta,
    count(dias.caudal_nocturno_lh)::integer as medidores_de_noche,
    sum(dias.caudal_nocturno_lh)::numeric(14, 1) as caudal_nocturno_lh,
    (sum(dias.litros) filter (where dias.caudal_nocturno_lh is not null))::bigint as litros_de_noche_medida
from dias
{{ con_vigencia('dias', 'dias.dia') }}
group by vigencias.zona_id, dias.dia

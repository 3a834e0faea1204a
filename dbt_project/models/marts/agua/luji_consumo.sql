{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

{#- The last good version, which stands in `entrega` while the model it comes from is rebuilt or withheld. -#}
-- depends_on: {{ ref('int_agua__resumen_cuenta') }}
with
entregada as (
    select
        datos_al,
        retenida_desde
    from {{ source('meta', 'entrega') }}
    where nombre = 'agua.luji_consumo'
)

select
    cuentas.cuenta_id,
    cuentas.ultimo_dia,
    cuentas.litros_ultimo_dia,
    cuentas.mes,
    cuentas.litros_mes,
    cuentas.dias_mes,
    cuentas.litros_mismo_mes_anio_anterior,
    cuentas.mediana_similares_l_dia,
    case
        when cuentas.mediana_similares_l_dia is null or coalesce(cuentas.dias_mes, 0) = 0 then null
        when cuentas.litros_mes > 1.5 * cuentas.dias_mes * cuentas.mediana_similares_l_dia
            then 'Usa bastante más que cuentas parecidas de su zona: revise riego, inodoros y canillas.'
        else 'Su consumo es parecido o menor al de cuentas similares de su zona.'
    end as consejo,
    entregada.datos_al,
    entregada.retenida_desde
from {{ source('entrega', 'luji_consumo') }} as cuentas
left join entregada on true
where cuentas.cuenta_id = {{ cuenta_de_la_sesion() }}

{{ config(materialized='view', post_hook=['alter view {{ this }} set (security_barrier = true)', '{{ permitir_luji() }}']) }}

select
    cuenta_id,
    ultimo_dia,
    litros_ultimo_dia::bigint as litros_ultimo_dia,
    mes,
    litros_mes::bigint as litros_mes,
    dias_mes::integer as dias_mes,
    litros_mismo_mes_anio_anterior::bigint as litros_mismo_mes_anio_anterior,
    mediana_similares_l_dia::numeric(12, 0) as mediana_similares_l_dia,
    case
        when mediana_similares_l_dia is null or coalesce(dias_mes, 0) = 0 then null
        when litros_mes > 1.5 * dias_mes * mediana_similares_l_dia
            then 'Usa bastante más que cuentas parecidas de su zona: revise riego, inodoros y canillas.'
        else 'Su consumo es parecido o menor al de cuentas similares de su zona.'
    end as consejo
from {{ ref('int_agua__resumen_cuenta') }}
where cuenta_id = {{ cuenta_de_la_sesion() }}

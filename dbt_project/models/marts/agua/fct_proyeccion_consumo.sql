{{ config(materialized='view') }}

{#- The newest projection of each zone. A view: the projection is made after the models, from them. -#}
with
ultimas as (
    select distinct on (zona_id)
        proyeccion_id,
        zona_id,
        metodo,
        medidores,
        ultimo_mes,
        nivel_pct,
        calculada_en
    from {{ source('meta', 'proyeccion') }}
    order by zona_id asc, proyeccion_id desc
),

meses as (
    select
        ultimas.zona_id,
        proyectados.mes,
        ultimas.metodo,
        ultimas.medidores,
        ultimas.ultimo_mes,
        ultimas.nivel_pct,
        ultimas.calculada_en,
        proyectados.litros_medidor_dia,
        proyectados.minimo,
        proyectados.maximo,
        ultimas.medidores
        * extract(day from proyectados.mes + interval '1 month' - interval '1 day')::double precision
        / 1000 as m3_por_litro_dia
    from ultimas
    inner join {{ source('meta', 'proyeccion_mes') }} as proyectados
        on ultimas.proyeccion_id = proyectados.proyeccion_id
)

select
    meses.zona_id,
    zonas.nombre as zona_nombre,
    meses.mes,
    meses.metodo,
    meses.litros_medidor_dia::numeric(14, 1) as litros_por_medidor_dia,
    meses.minimo::numeric(14, 1) as litros_por_medidor_dia_minimo,
    meses.maximo::numeric(14, 1) as litros_por_medidor_dia_maximo,
    meses.medidores,
    (meses.litros_medidor_dia * meses.m3_por_litro_dia)::numeric(14, 1) as consumo_m3,
    (meses.minimo * meses.m3_por_litro_dia)::numeric(14, 1) as consumo_minimo_m3,
    (meses.maximo * meses.m3_por_litro_dia)::numeric(14, 1) as consumo_maximo_m3,
    case when meses.minimo is not null then meses.nivel_pct end as nivel_intervalo_pct,
    meses.ultimo_mes as ultimo_mes_medido,
    meses.calculada_en
from meses
left join {{ ref('stg_aguas__zonas') }} as zonas on meses.zona_id = zonas.zona_id

{#-
    R40: targets of the strategy beside what the portal shows. Nobody looked, or there is nothing to
    compare with: null and 'sin dato'.
-#}
with
publicados as (
    select
        conjunto,
        fecha_publicacion,
        recursos_abiertos,
        indicadores_estrategicos
    from {{ ref('fct_publicacion_portal') }}
    where situacion = 'publicado'
),

plazos as (
    select
        min(desde) filter (where codigo = 'R40-1') as nuevos_desde,
        min(hasta) filter (where codigo = 'R40-1') as nuevos_hasta,
        min(desde) filter (where codigo = 'R40-2') as crecimiento_desde
    from {{ ref('metas_estrategia') }}
),

-- Null while nobody looked at a portal.
nuevos as (
    select
        case
            when count(*) > 0
                then count(*) filter (
                    where publicados.fecha_publicacion between plazos.nuevos_desde and plazos.nuevos_hasta
                )
        end as valor
    from publicados
    cross join plazos
),

crecimiento as (
    select
        100.0 * count(*) filter (where publicados.fecha_publicacion >= plazos.crecimiento_desde)
        / nullif(count(*) filter (where publicados.fecha_publicacion < plazos.crecimiento_desde), 0) as valor
    from publicados
    cross join plazos
),

estrategicos as (
    select count(*) as total
    from {{ ref('dim_indicador') }}
    where es_estrategico
),

abiertos as (
    select 100.0 * max(publicados.indicadores_estrategicos) / nullif(max(estrategicos.total), 0) as valor
    from publicados
    cross join estrategicos
    where publicados.recursos_abiertos > 0
),

medidos as (
    select
        'R40-1' as codigo,
        valor::numeric as valor
    from nuevos
    union all
    select
        'R40-2',
        valor
    from crecimiento
    union all
    select
        'R40-4',
        valor
    from abiertos
)

select
    metas.codigo,
    metas.orden,
    metas.nombre,
    metas.unidad,
    metas.objetivo::numeric(20, 2) as objetivo,
    metas.desde,
    metas.hasta,
    round(medidos.valor, 2)::numeric(20, 2) as valor,
    case metas.comparacion
        when 'mayor' then medidos.valor > metas.objetivo
        else medidos.valor >= metas.objetivo
    end as alcanzada,
    case when medidos.valor is null then 'sin dato' else 'medido' end as estado
from {{ ref('metas_estrategia') }} as metas
left join medidos on metas.codigo = medidos.codigo

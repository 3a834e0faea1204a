with
muestras as (
    select
        muestra_id,
        punto,
        zona_id,
        fecha_hora,
        parametro,
        valor,
        unidad,
        laboratorio
    from {{ ref('stg_aguas__calidad_agua') }}
),

limites as (
    select
        parametro,
        parametro_nombre,
        unidad,
        minimo,
        maximo,
        fuente,
        a_verificar
    from {{ ref('limites_calidad_agua') }}
)

select
    muestras.muestra_id,
    muestras.punto,
    zonas.zona_id,
    muestras.fecha_hora,
    {{ dia_local('muestras.fecha_hora') }} as dia,
    muestras.parametro,
    limites.parametro_nombre,
    muestras.valor::numeric(14, 6) as valor,
    muestras.unidad,
    limites.minimo::numeric(14, 6) as limite_minimo,
    limites.maximo::numeric(14, 6) as limite_maximo,
    case
        when muestras.valor is null or coalesce(limites.minimo, limites.maximo) is null then null
        when (lower(muestras.unidad) is distinct from lower(limites.unidad)) then null
        else
            muestras.valor >= coalesce(limites.minimo, muestras.valor)
            and muestras.valor <= coalesce(limites.maximo, muestras.valor)
    end as cumple_limite,
    limites.fuente as limite_fuente,
    limites.a_verificar as limite_a_verificar,
    muestras.laboratorio
from muestras
left join limites on muestras.parametro = limites.parametro
left join {{ ref('stg_aguas__zonas') }} as zonas on muestras.zona_id = zonas.zona_id

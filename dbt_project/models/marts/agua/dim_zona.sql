with
zonas as (
    select
        zona_id,
        nombre,
        cuenca,
        distrito
    from {{ ref('stg_aguas__zonas') }}
),

cuentas as (
    select
        zona_id,
        count(*) filter (where activa) as cuentas_activas
    from {{ ref('stg_aguas__cuentas') }}
    group by zona_id
)

select
    zonas.zona_id,
    zonas.nombre as zona_nombre,
    zonas.cuenca,
    zonas.distrito as distrito_nombre,
    coalesce(cuentas.cuentas_activas, 0)::integer as cuentas_activas
from zonas
left join cuentas on zonas.zona_id = cuentas.zona_id

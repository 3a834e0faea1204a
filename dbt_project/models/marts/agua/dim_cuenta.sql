{#- Neither holder, document, address nor coordinates: an account is a category in a zone. -#}
with
cuentas as (
    select
        cuenta_id,
        categoria,
        zona_id,
        distrito,
        fecha_alta,
        activa
    from {{ ref('stg_aguas__cuentas') }}
),

zonas as (
    select zona_id
    from {{ ref('stg_aguas__zonas') }}
),

medidores as (
    select
        cuenta_id,
        count(*) as medidores,
        bool_or(tipo_telemetria in ('csv', 'lorawan')) as tiene_telemetria
    from {{ ref('int_agua__medidores') }}
    where cuenta_id is not null and estado is distinct from 'retirado'
    group by cuenta_id
)

select
    cuentas.cuenta_id,
    cuentas.categoria,
    zonas.zona_id,
    cuentas.distrito as distrito_nombre,
    cuentas.fecha_alta,
    cuentas.activa,
    coalesce(medidores.medidores, 0)::integer as medidores,
    coalesce(medidores.tiene_telemetria, false) as tiene_telemetria
from cuentas
left join zonas on cuentas.zona_id = zonas.zona_id
left join medidores on cuentas.cuenta_id = medidores.cuenta_id

with
medidores as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        digitos,
        multiplicador,
        tipo_telemetria,
        fecha_instalacion,
        fecha_retiro,
        estado
    from {{ ref('stg_aguas__medidores') }}
),

cuentas as (
    select
        cuenta_id,
        zona_id,
        categoria,
        activa
    from {{ ref('stg_aguas__cuentas') }}
),

zonas as (
    select zona_id
    from {{ ref('stg_aguas__zonas') }}
)

select
    medidores.medidor_id,
    medidores.cuenta_id as cuenta_id_original,
    cuentas.cuenta_id,
    cuentas.categoria,
    cuentas.activa as cuenta_activa,
    zonas.zona_id,
    coalesce(cuentas.zona_id, medidores.zona_id) as zona_id_original,
    medidores.tipo_telemetria,
    medidores.fecha_instalacion,
    medidores.fecha_retiro,
    medidores.estado,
    coalesce(medidores.multiplicador, 1)::double precision as multiplicador,
    case when medidores.digitos between 3 and 9 then (10 ^ (medidores.digitos + 3))::bigint end as modulo_litros,
    {{ umbral_agua('R-AGUA-06', 'maximo_lh', 'cuentas.categoria') }}::double precision as maximo_lh
from medidores
left join cuentas on medidores.cuenta_id = cuentas.cuenta_id
left join zonas on coalesce(cuentas.zona_id, medidores.zona_id) = zonas.zona_id

with
cuentas as (
    select
        cuenta_id,
        zona_id,
        medidores,
        tiene_telemetria
    from {{ ref('dim_cuenta') }}
    where activa
),

con_lecturas as (
    select distinct medidores.cuenta_id
    from {{ ref('dim_medidor') }} as medidores
    where medidores.cuenta_id is not null and medidores.ultima_lectura is not null
)

select
    cuentas.zona_id,
    coalesce(min(zonas.nombre), '(sin dato)') as zona_nombre,
    count(*)::integer as cuentas_activas,
    count(*) filter (where cuentas.medidores > 0)::integer as cuentas_con_medidor,
    count(*) filter (where cuentas.tiene_telemetria)::integer as cuentas_con_telemetria,
    count(con_lecturas.cuenta_id)::integer as cuentas_con_lecturas,
    round(100.0 * count(*) filter (where cuentas.medidores > 0) / count(*), 1)::numeric(5, 1) as micromedicion_pct,
    round(100.0 * count(con_lecturas.cuenta_id) / count(*), 1)::numeric(5, 1) as telelectura_efectiva_pct
from cuentas
left join con_lecturas on cuentas.cuenta_id = con_lecturas.cuenta_id
left join {{ ref('stg_aguas__zonas') }} as zonas on cuentas.zona_id = zonas.zona_id
group by cuentas.zona_id

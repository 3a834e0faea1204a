{#- Meters of the register plus those that only show up in the readings, with what is not known as null. -#}
with
padron as (
    select
        medidores.medidor_id,
        derivado.cuenta_id,
        derivado.zona_id,
        derivado.categoria,
        medidores.marca,
        medidores.modelo,
        medidores.digitos,
        medidores.multiplicador,
        medidores.unidad,
        medidores.tipo_telemetria,
        medidores.fecha_instalacion,
        medidores.fecha_retiro,
        medidores.estado
    from {{ ref('stg_aguas__medidores') }} as medidores
    inner join {{ ref('int_agua__medidores') }} as derivado on medidores.medidor_id = derivado.medidor_id
),

con_lecturas as (
    select
        medidor_id,
        min(primer_dia) as primer_dia,
        max(ultima_lectura) as ultima_lectura,
        sum(lecturas_descartadas) as lecturas_descartadas
    from {{ ref('fct_consumo_mensual_medidor') }}
    group by medidor_id
)

select
    coalesce(padron.medidor_id, con_lecturas.medidor_id) as medidor_id,
    padron.medidor_id is not null as esta_en_padron,
    padron.cuenta_id,
    padron.zona_id,
    padron.categoria,
    padron.marca,
    padron.modelo,
    padron.digitos::integer as digitos,
    padron.multiplicador::numeric(8, 4) as multiplicador,
    padron.unidad,
    padron.tipo_telemetria,
    padron.fecha_instalacion,
    padron.fecha_retiro,
    padron.estado,
    con_lecturas.primer_dia,
    con_lecturas.ultima_lectura,
    coalesce(con_lecturas.lecturas_descartadas, 0)::bigint as lecturas_descartadas
from padron
full outer join con_lecturas on padron.medidor_id = con_lecturas.medidor_id

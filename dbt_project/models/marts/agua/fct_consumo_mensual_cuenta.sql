with
dias as (
    select
        medidor_id,
        date_trunc('month', dia)::date as mes,
        dia,
        litros,
        litros_en_huecos,
        horas_con_lectura
    from {{ ref('fct_consumo_diario') }}
),

medidores as (
    select
        medidor_id,
        cuenta_id,
        zona_id,
        categoria
    from {{ ref('int_agua__medidores') }}
)

select
    medidores.cuenta_id,
    dias.mes,
    min(medidores.zona_id) as zona_id,
    min(medidores.categoria) as categoria,
    count(distinct dias.medidor_id)::integer as medidores,
    coalesce(sum(dias.litros), 0)::bigint as litros,
    coalesce(sum(dias.litros_en_huecos), 0)::bigint as litros_en_huecos,
    count(distinct dias.dia)::integer as dias_con_lectura,
    sum(dias.horas_con_lectura)::integer as horas_con_lectura
from dias
left join medidores on dias.medidor_id = medidores.medidor_id
group by medidores.cuenta_id, dias.mes

with
meses as (
    select
        medidor_id,
        mes,
        cuenta_id,
        zona_id,
        categoria,
        litros,
        litros_en_huecos,
        dias_con_lectura,
        horas_con_lectura
    from {{ ref('fct_consumo_mensual_medidor') }}
)

select
    cuenta_id,
    mes,
    min(zona_id) as zona_id,
    min(categoria) as categoria,
    count(distinct medidor_id)::integer as medidores,
    coalesce(sum(litros), 0)::bigint as litros,
    coalesce(sum(litros_en_huecos), 0)::bigint as litros_en_huecos,
    max(dias_con_lectura)::integer as dias_con_lectura,
    sum(horas_con_lectura)::integer as horas_con_lectura
from meses
group by cuenta_id, mes

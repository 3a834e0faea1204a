{{ config(materialized='view') }}

{#- A view: it is asked for one account and some days, and finds them by key. -#}
select
    vigencias.cuenta_id,
    diario.dia,
    min(vigencias.zona_id) as zona_id,
    min(vigencias.categoria) as categoria,
    count(*)::integer as medidores,
    sum(diario.litros)::bigint as litros,
    sum(diario.litros_en_huecos)::bigint as litros_en_huecos,
    min(diario.horas_con_lectura)::integer as horas_con_lectura
from {{ ref('int_agua__vigencias') }} as vigencias
inner join {{ ref('fct_consumo_diario') }} as diario
    on
        vigencias.medidor_id = diario.medidor_id
        and vigencias.desde <= diario.dia
        and vigencias.hasta > diario.dia
where vigencias.cuenta_id is not null
group by vigencias.cuenta_id, diario.dia

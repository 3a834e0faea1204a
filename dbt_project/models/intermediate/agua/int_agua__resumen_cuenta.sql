{{ config(materialized='table', indexes=[{'columns': ['cuenta_id'], 'unique': true}]) }}

{#- One row per account with meters: what the chatbot says of it, ready to be read by key. -#}
with
meses as (
    select
        cuenta_id,
        mes,
        zona_id,
        categoria,
        litros,
        dias_con_lectura
    from {{ ref('fct_consumo_mensual_cuenta') }}
    where cuenta_id is not null
),

ultimos as (
    select distinct on (cuenta_id)
        cuenta_id,
        mes,
        zona_id,
        categoria,
        litros,
        dias_con_lectura
    from meses
    order by cuenta_id asc, mes desc
),

similares as (
    select
        zona_id,
        categoria,
        mes,
        count(*) as cuentas,
        percentile_cont(0.5) within group (order by litros::double precision / dias_con_lectura) as mediana_l_dia
    from ultimos
    where dias_con_lectura > 0
    group by zona_id, categoria, mes
),

medidores as (
    select
        cuenta_id,
        medidor_id,
        ultima_lectura
    from {{ ref('dim_medidor') }}
    where cuenta_id is not null and ultima_lectura is not null
),

dias as (
    select
        medidores.cuenta_id,
        max(diario.dia) as dia,
        sum(diario.litros) as litros
    from medidores
    inner join {{ ref('fct_consumo_diario') }} as diario
        on
            medidores.medidor_id = diario.medidor_id
            and {{ dia_local('medidores.ultima_lectura') }} = diario.dia
    group by medidores.cuenta_id
)

select
    ultimos.cuenta_id,
    dias.dia as ultimo_dia,
    dias.litros as litros_ultimo_dia,
    ultimos.mes,
    ultimos.litros as litros_mes,
    ultimos.dias_con_lectura as dias_mes,
    anteriores.litros as litros_mismo_mes_anio_anterior,
    case when similares.cuentas >= 10 then round(similares.mediana_l_dia) end as mediana_similares_l_dia
from ultimos
left join dias on ultimos.cuenta_id = dias.cuenta_id
left join meses as anteriores
    on ultimos.cuenta_id = anteriores.cuenta_id and ultimos.mes = (anteriores.mes + interval '1 year')::date
left join similares
    on ultimos.zona_id = similares.zona_id and ultimos.categoria = similares.categoria and ultimos.mes = similares.mes

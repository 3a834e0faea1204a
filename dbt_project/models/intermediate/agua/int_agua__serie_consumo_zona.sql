{{ config(materialized='table') }}

{#-
    Monthly series of each zone, as the projections read it. Litres per meter and day, and not litres of the
    zone: meters are being installed, and a zone that doubled its meters did not double its use. A month is
    complete when the readings reach its end and some meter has the days that dias_minimos_proyeccion asks for; a
    meter that came later only weighs by its own days.
-#}
with
ultima as (
    select max(ultima_lectura) as ultima_lectura
    from {{ ref('fct_consumo_mensual_medidor') }}
),

meses as (
    select
        zona_id,
        mes,
        count(distinct medidor_id)::integer as medidores,
        sum(litros) as litros,
        sum(dias_con_dato) as dias_medidor,
        max(dias_con_dato) as dias_con_dato
    from {{ ref('fct_consumo_mensual_medidor') }}
    where zona_id is not null
    group by zona_id, mes
)

select
    meses.zona_id,
    meses.mes,
    meses.medidores,
    meses.litros::double precision / nullif(meses.dias_medidor, 0) as litros_medidor_dia,
    coalesce(
        meses.litros is not null
        and meses.dias_con_dato >= {{ var('dias_minimos_proyeccion') }}
        and ultima.ultima_lectura >= {{ inicio_dia("(meses.mes + interval '1 month')::date") }} - interval '2 hours',
        false
    ) as es_completo
from meses
cross join ultima

{{ config(materialized='ephemeral') }}

{#- Kilometres of main in service per zone, as the balance and the rate of leaks divide by them. Zones without any are missing. -#}
select
    zona_id,
    sum(longitud_m) / 1000 as red_km
from {{ ref('dim_elemento_red') }}
where tipo = 'cañería' and estado = 'en servicio'
group by zona_id

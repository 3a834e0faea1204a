{{ config(materialized='table') }}

{#- Which accounts make up what is published of each zone: kpi_cobertura_micromedicion and dim_zona. -#}
with
con_lecturas as (
    select distinct cuenta_id
    from {{ ref('dim_medidor') }}
    where cuenta_id is not null and ultima_lectura is not null
)

select
    cuentas.zona_id,
    cuentas.cuenta_id::text as unidad,
    concat_ws(
        ' ',
        case when cuentas.medidores > 0 then 'medidor' end,
        case when cuentas.tiene_telemetria then 'telemetria' end,
        case when con_lecturas.cuenta_id is not null then 'lecturas' end
    ) as clase,
    array[1]::numeric[] as medidas
from {{ ref('dim_cuenta') }} as cuentas
left join con_lecturas on cuentas.cuenta_id = con_lecturas.cuenta_id
where cuentas.activa

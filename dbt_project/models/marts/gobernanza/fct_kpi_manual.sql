{#- What areas reported for the committee's KPIs, with its history. Codes are read as 'kpi_r25' or 'R25'. -#}
with
manuales as (
    select
        upper(substring(kpi_codigo from '[rR]\d{2}')) as codigo,
        kpi_codigo as codigo_original,
        periodo,
        valor,
        fuente,
        fecha_carga
    from {{ ref('stg_planillas__kpi_manuales') }}
)

select
    manuales.codigo_original,
    kpis.codigo,
    manuales.periodo,
    manuales.valor::numeric(20, 4) as valor,
    manuales.fuente,
    manuales.fecha_carga
from manuales
left join {{ ref('kpis_comite') }} as kpis on manuales.codigo = kpis.codigo

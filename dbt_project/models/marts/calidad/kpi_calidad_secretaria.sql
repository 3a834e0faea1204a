{#- Each secretariat's data sets against the standard. What is not known counts in its own column and among all, never among the good. -#}
with
conjuntos as (
    select
        coalesce(secretaria, '(sin dato)') as secretaria,
        puntaje,
        cobertura_pct,
        cumple_estandar
    from {{ ref('kpi_calidad_dataset') }}
)

select
    secretaria,
    count(*)::integer as conjuntos,
    (count(*) filter (where cumple_estandar))::integer as cumplen,
    (count(*) filter (where not cumple_estandar))::integer as no_cumplen,
    (count(*) filter (where cumple_estandar is null))::integer as sin_saber,
    round(100.0 * count(*) filter (where cumple_estandar) / count(*), 2)::numeric(5, 2) as cumplen_pct,
    round(avg(puntaje), 2)::numeric(5, 2) as puntaje_medio,
    round(avg(cobertura_pct), 2)::numeric(5, 2) as cobertura_media_pct
from conjuntos
group by secretaria

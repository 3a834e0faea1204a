{{ config(materialized='table') }}
{#- Rows per dataset as staging sees them. Feeds that share a table are told apart by their load. -#}
with
filas as (
    {%- for modelo, ficha in campos_corregibles().items() %}
        select
            '{{ ficha.dataset }}'::text as dataset,
            count(*) as filas
        from {{ ref(modelo) }}
        union all
    {%- endfor %}
    select
        dataset,
        sum(filas) as filas
    from {{ ref('int_calidad__filas_lecturas') }}
    group by dataset
    having sum(filas) > 0
)

select
    coalesce(dataset, 'telemetria.lecturas') as dataset,
    filas
from filas

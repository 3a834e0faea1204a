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
        cargas.dataset,
        sum(lecturas.filas) as filas
    from (
        select
            _load_id,
            count(*) as filas
        from {{ ref('stg_telemetria__lecturas') }}
        group by _load_id
    ) as lecturas
    left join {{ source('meta', 'carga') }} as cargas on lecturas._load_id = cargas.carga_id
    group by cargas.dataset
)

select
    coalesce(dataset, 'telemetria.lecturas') as dataset,
    filas
from filas

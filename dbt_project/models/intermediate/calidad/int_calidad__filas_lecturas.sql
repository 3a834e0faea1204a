{{ sigue_cambios() }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='mes',
    on_schema_change='fail',
    post_hook='{{ anotar_avance() }}'
) }}

{#-
    Readings per month and dataset. A build counts the months in which something changed, whole; a month that lost
    all its readings keeps one row that says 0. Months taken out of raw stay, as in the marts.
-#}
-- The text of the incremental build is put together from macros.
-- noqa: disable=LT01,LT02,LT05
with
{% if is_incremental() -%}
meses as (
    select cambiados.mes
    from (
        select distinct date_trunc('month', cambios.dia::timestamp)::date as mes
        from {{ ref('int_agua__cambios_lecturas') }} as cambios
        where cambios.tipo = 'dia' and {{ lote_pendiente(this) }}
    ) as cambiados
    where {{ todo_en_raw('cambiados.mes', "(cambiados.mes + interval '1 month')::date") }}
),

por_carga as (
    select
        meses.mes,
        contadas.carga_id,
        coalesce(contadas.filas, 0) as filas
    from meses
    left join lateral (
        select
            lecturas._load_id as carga_id,
            count(*) as filas
        from {{ ref('stg_telemetria__lecturas') }} as lecturas
        where
            lecturas.fecha_hora >= {{ inicio_dia('meses.mes') }}
            and lecturas.fecha_hora < {{ inicio_dia("(meses.mes + interval '1 month')::date") }}
        group by lecturas._load_id
    ) as contadas on true
),
{%- else -%}
por_carga as (
    select
        date_trunc('month', fecha_hora at time zone '{{ var("zona_horaria") }}')::date as mes,
        _load_id as carga_id,
        count(*) as filas
    from {{ ref('stg_telemetria__lecturas') }}
    group by mes, carga_id
),
{%- endif %}

cargas as (
    select
        carga_id,
        dataset
    from {{ source('meta', 'carga') }}
)

select
    por_carga.mes,
    cargas.dataset,
    sum(por_carga.filas)::bigint as filas
from por_carga
left join cargas on por_carga.carga_id = cargas.carga_id
group by por_carga.mes, cargas.dataset

{{ config(meta={
    'dagster': {'ref': {'name': 'kpi_cumplimiento_ciudad'}},
    'claves': ['nivel', 'que']
}) }}
-- Every level adds up to the city, and the city to the rows of staging. A row here is a broken sum.
with
totales as (
    select
        'proyectos' as que,
        (select count(*) from {{ ref('stg_mlc__proyectos') }}) as esperado
    union all
    select
        'hitos',
        (select count(*) from {{ ref('stg_mlc__hitos') }})
    union all
    select
        'metas',
        (select count(*) from {{ ref('stg_mlc__metas') }})
),

niveles as (
    {%- for nivel in ['secretaria', 'programa', 'eje', 'ciudad'] %}
        select
            '{{ nivel }}' as nivel,
            coalesce(sum(proyectos), 0) as proyectos,
            coalesce(sum(hitos), 0) as hitos,
            coalesce(sum(metas), 0) as metas
        from {{ ref('kpi_cumplimiento_' ~ nivel) }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
    union all
    select
        'mart',
        (select count(*) from {{ ref('fct_proyecto') }}),
        (select count(*) from {{ ref('fct_hito') }}),
        (select count(*) from {{ ref('fct_meta') }})
    union all
    select
        'estado',
        coalesce(sum(proyectos), 0),
        null,
        null
    from {{ ref('kpi_proyectos_por_estado') }}
)

select
    niveles.nivel,
    totales.que,
    totales.esperado,
    case totales.que
        when 'proyectos' then niveles.proyectos when 'hitos' then niveles.hitos else niveles.metas
    end as obtenido
from niveles
cross join totales
where
    totales.esperado <> case totales.que
        when 'proyectos' then niveles.proyectos when 'hitos' then niveles.hitos else niveles.metas
    end

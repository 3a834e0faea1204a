{#- Fulfilment of goals and the roll-ups of projects. Thresholds are variables of the project. -#}

{#-
    Share of the way from the baseline to the target, in percent, by direction of the indicator:
      aumentar, disminuir  100 · (valor − base) / (objetivo − base)
      mantener             100 · (1 − |valor − objetivo| / |objetivo|)
    Null without baseline, measurement or target, and when the target contradicts the direction.
-#}
{% macro cumplimiento_pct(sentido, linea_base, valor, objetivo) -%}
    case
        when {{ linea_base }} is null or {{ valor }} is null or {{ objetivo }} is null then null
        when {{ sentido }} = 'aumentar' and {{ objetivo }} <= {{ linea_base }} then null
        when {{ sentido }} = 'disminuir' and {{ objetivo }} >= {{ linea_base }} then null
        when {{ sentido }} in ('aumentar', 'disminuir')
            then 100 * ({{ valor }} - {{ linea_base }}) / nullif({{ objetivo }} - {{ linea_base }}, 0)
        when {{ sentido }} = 'mantener' and {{ valor }} = {{ objetivo }} then 100
        when {{ sentido }} = 'mantener'
            then 100 * (1 - abs({{ valor }} - {{ objetivo }}) / nullif(abs({{ objetivo }}), 0))
    end
{%- endmacro %}


{#-
    Roll-up of projects, milestones and goals to one level: a table of its own with a row for what has
    no known level, so that every level adds up to the same total.
    `nivel` is a column of fct_proyecto, or none for the whole city.
-#}
{% macro cumplimiento_por(nivel) -%}
with
proyectos as (
    select
        {{ nivel ~ ' as nivel_id' if nivel else '1 as nivel_id' }},
        proyecto_id,
        estado,
        avance_pct,
        presupuesto,
        en_riesgo
    from {{ ref('fct_proyecto') }}
),

hitos as (
    select
        {{ 'proyectos.' ~ nivel ~ ' as nivel_id' if nivel else '1 as nivel_id' }},
        hitos.estado,
        hitos.esta_vencido
    from {{ ref('fct_hito') }} as hitos
    left join {{ ref('fct_proyecto') }} as proyectos on hitos.proyecto_id = proyectos.proyecto_id
),

metas as (
    select
        {{ nivel ~ ' as nivel_id' if nivel else '1 as nivel_id' }},
        cumplimiento_pct,
        estado_meta
    from {{ ref('fct_meta') }}
),

niveles as (
    select nivel_id from proyectos
    union
    select nivel_id from hitos
    union
    select nivel_id from metas
),

por_proyecto as (
    select
        nivel_id,
        count(*) as proyectos,
        count(*) filter (where estado = 'finalizado') as proyectos_finalizados,
        count(*) filter (where estado = 'cancelado') as proyectos_cancelados,
        count(*) filter (where estado is null) as proyectos_sin_estado,
        count(*) filter (where en_riesgo) as proyectos_en_riesgo,
        count(*) filter (where avance_pct is not null) as proyectos_con_avance,
        sum(presupuesto) as presupuesto,
        avg(avance_pct) filter (where estado is distinct from 'cancelado') as avance_medio_pct,
        sum(avance_pct * presupuesto) filter (
            where estado is distinct from 'cancelado' and presupuesto > 0
        ) / nullif(
            sum(presupuesto) filter (
                where estado is distinct from 'cancelado' and presupuesto > 0 and avance_pct is not null
            ),
            0
        ) as avance_ponderado_pct
    from proyectos
    group by nivel_id
),

por_hito as (
    select
        nivel_id,
        count(*) as hitos,
        count(*) filter (where estado = 'cumplido') as hitos_cumplidos,
        count(*) filter (where esta_vencido) as hitos_vencidos
    from hitos
    group by nivel_id
),

por_meta as (
    select
        nivel_id,
        count(*) as metas,
        count(cumplimiento_pct) as metas_con_dato,
        count(*) filter (where estado_meta = 'cumplida') as metas_cumplidas,
        avg(cumplimiento_pct) as cumplimiento_metas_pct
    from metas
    group by nivel_id
)
{%- endmacro %}


{#- Columns every roll-up shares, after its own key columns. -#}
{% macro columnas_de_cumplimiento() -%}
    coalesce(por_proyecto.proyectos, 0)::integer as proyectos,
    coalesce(por_proyecto.proyectos_con_avance, 0)::integer as proyectos_con_avance,
    round(100.0 * por_proyecto.proyectos_con_avance / nullif(por_proyecto.proyectos, 0), 1)::numeric(5, 1)
        as cobertura_avance_pct,
    coalesce(por_proyecto.proyectos_finalizados, 0)::integer as proyectos_finalizados,
    coalesce(por_proyecto.proyectos_cancelados, 0)::integer as proyectos_cancelados,
    coalesce(por_proyecto.proyectos_sin_estado, 0)::integer as proyectos_sin_estado,
    coalesce(por_proyecto.proyectos_en_riesgo, 0)::integer as proyectos_en_riesgo,
    por_proyecto.presupuesto::numeric(20, 2) as presupuesto,
    round(por_proyecto.avance_medio_pct, 2)::numeric(5, 2) as avance_medio_pct,
    round(por_proyecto.avance_ponderado_pct, 2)::numeric(5, 2) as avance_ponderado_pct,
    coalesce(por_hito.hitos, 0)::integer as hitos,
    coalesce(por_hito.hitos_cumplidos, 0)::integer as hitos_cumplidos,
    coalesce(por_hito.hitos_vencidos, 0)::integer as hitos_vencidos,
    round(100.0 * por_hito.hitos_cumplidos / nullif(por_hito.hitos, 0), 1)::numeric(5, 1) as hitos_cumplidos_pct,
    coalesce(por_meta.metas, 0)::integer as metas,
    coalesce(por_meta.metas_con_dato, 0)::integer as metas_con_dato,
    coalesce(por_meta.metas_cumplidas, 0)::integer as metas_cumplidas,
    round(por_meta.cumplimiento_metas_pct, 1)::numeric(5, 1) as cumplimiento_metas_pct
from niveles
left join por_proyecto on niveles.nivel_id is not distinct from por_proyecto.nivel_id
left join por_hito on niveles.nivel_id is not distinct from por_hito.nivel_id
left join por_meta on niveles.nivel_id is not distinct from por_meta.nivel_id
{%- endmacro %}

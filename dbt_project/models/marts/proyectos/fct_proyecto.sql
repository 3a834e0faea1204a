{#-
    Plan against progress on the reference date. The plan is linear between start and planned end.
    At risk: an open project past its planned end (R-RIESGO-01), or whose progress trails the plan by
    `umbral_atraso_puntos` or more (R-RIESGO-02). Null when neither can be known.
-#}
with
proyectos as (
    select
        proyectos.proyecto_id,
        proyectos.codigo,
        proyectos.nombre,
        proyectos.descripcion,
        programas.programa_id,
        proyectos.programa_id as programa_id_original,
        programas.eje_id,
        secretarias.secretaria_id,
        proyectos.secretaria_id as secretaria_id_original,
        proyectos.estado,
        proyectos.avance_pct,
        proyectos.presupuesto,
        proyectos.fecha_inicio,
        proyectos.fecha_fin_prevista,
        proyectos.fecha_fin_real,
        proyectos.gestion,
        proyectos.ods,
        proyectos.plan_climatico,
        proyectos.participacion_ciudadana,
        proyectos.distrito,
        proyectos.creado_en,
        proyectos.actualizado_en,
        {{ fecha_referencia() }} as fecha_referencia,
        proyectos.estado not in ('finalizado', 'cancelado') as abierto
    from {{ ref('stg_mlc__proyectos') }} as proyectos
    left join {{ ref('dim_programa') }} as programas on proyectos.programa_id = programas.programa_id
    left join {{ ref('dim_secretaria') }} as secretarias on proyectos.secretaria_id = secretarias.secretaria_id
),

planes as (
    select
        *,
        case
            when fecha_fin_prevista > fecha_inicio
                then least(
                    100,
                    greatest(
                        0,
                        100.0 * (fecha_referencia - fecha_inicio) / nullif(fecha_fin_prevista - fecha_inicio, 0)
                    )
                )
        end as avance_planificado_pct
    from proyectos
),

riesgos as (
    select
        *,
        case
            when abierto and fecha_fin_prevista >= fecha_inicio and fecha_fin_prevista < fecha_referencia
                then 'R-RIESGO-01'
            when abierto and avance_planificado_pct - avance_pct >= {{ var('umbral_atraso_puntos') }}
                then 'R-RIESGO-02'
        end as regla_riesgo
    from planes
)

select
    proyecto_id,
    codigo as proyecto_codigo,
    nombre as proyecto_nombre,
    descripcion,
    secretaria_id,
    secretaria_id_original,
    eje_id,
    programa_id,
    programa_id_original,
    estado,
    avance_pct::numeric(5, 2) as avance_pct,
    avance_planificado_pct::numeric(5, 2) as avance_planificado_pct,
    (avance_planificado_pct - avance_pct)::numeric(6, 2) as atraso_puntos,
    case
        when abierto is null then null
        when not abierto then false
        when regla_riesgo is not null then true
        when avance_planificado_pct is null or avance_pct is null then null
        else false
    end as en_riesgo,
    regla_riesgo,
    case
        when fecha_fin_prevista is null or fecha_fin_prevista < fecha_inicio or estado is null then null
        when estado = 'cancelado' then null
        when estado = 'finalizado' and fecha_fin_real is null then null
        when estado = 'finalizado' then greatest(fecha_fin_real - fecha_fin_prevista, 0)
        else greatest(fecha_referencia - fecha_fin_prevista, 0)
    end::integer as dias_de_atraso,
    presupuesto::numeric(16, 2) as presupuesto,
    fecha_inicio,
    fecha_fin_prevista,
    fecha_fin_real,
    gestion,
    ods,
    plan_climatico,
    participacion_ciudadana,
    distrito as distrito_nombre,
    fecha_referencia,
    creado_en,
    actualizado_en
from riesgos

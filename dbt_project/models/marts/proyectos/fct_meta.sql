{#-
    Last usable value of the indicator against the target. The capped figure feeds averages, so that one
    goal far beyond its target does not hide others; the uncapped one stays beside it.
-#}
with
metas as (
    select
        metas.meta_id,
        metas.descripcion,
        indicadores.indicador_id,
        metas.indicador_id as indicador_id_original,
        proyectos.proyecto_id,
        metas.proyecto_id as proyecto_id_original,
        coalesce(indicadores.secretaria_id, proyectos.secretaria_id) as secretaria_id,
        coalesce(indicadores.programa_id, proyectos.programa_id) as programa_id,
        indicadores.sentido,
        indicadores.linea_base,
        indicadores.ultimo_periodo,
        indicadores.ultimo_valor,
        metas.valor_objetivo,
        metas.fecha_limite,
        {{ fecha_referencia() }} as fecha_referencia
    from {{ ref('stg_mlc__metas') }} as metas
    left join {{ ref('dim_indicador') }} as indicadores on metas.indicador_id = indicadores.indicador_id
    left join {{ ref('fct_proyecto') }} as proyectos on metas.proyecto_id = proyectos.proyecto_id
),

medidas as (
    select
        *,
        {{ cumplimiento_pct('sentido', 'linea_base', 'ultimo_valor', 'valor_objetivo') }} as cumplimiento
    from metas
)

select
    medidas.meta_id,
    medidas.descripcion,
    medidas.indicador_id,
    medidas.indicador_id_original,
    medidas.proyecto_id,
    medidas.proyecto_id_original,
    medidas.secretaria_id,
    programas.eje_id,
    medidas.programa_id,
    medidas.sentido,
    medidas.linea_base::numeric(18, 4) as linea_base,
    medidas.valor_objetivo::numeric(18, 4) as valor_objetivo,
    medidas.ultimo_periodo,
    medidas.ultimo_valor::numeric(18, 4) as ultimo_valor,
    round(medidas.cumplimiento, 1)::numeric(24, 1) as cumplimiento_sin_tope_pct,
    -- greatest() and least() skip nulls: without the test an unmeasured goal would read 0.
    case
        when medidas.cumplimiento is not null then round(least(greatest(medidas.cumplimiento, 0), 100), 1)
    end::numeric(5, 1) as cumplimiento_pct,
    medidas.fecha_limite,
    case
        when medidas.indicador_id is null then 'sin indicador'
        when medidas.cumplimiento is null then 'sin dato'
        when medidas.cumplimiento >= 100 then 'cumplida'
        when medidas.fecha_limite < medidas.fecha_referencia then 'vencida'
        else 'en curso'
    end as estado_meta
from medidas
left join {{ ref('dim_programa') }} as programas on medidas.programa_id = programas.programa_id

{#-
    Each data set: what it holds, what is wrong with it, its score and whether it meets the standard (seed dimensiones_calidad).

    Unknown is never good: a dimension that was not measured gives no points, and a data set of which something obligatory was not
    measured does not meet the standard. It fails it only by what was measured; else it is not known: null.
-#}
with
datasets as (
    select dataset
    from {{ source('meta', 'contrato') }}
    where vigente
    union
    select dataset
    from {{ ref('int_calidad__filas') }}
    where filas > 0
),

cargas as (
    select
        dataset,
        sum(filas_cargadas) as filas_cargadas
    from {{ source('meta', 'carga') }}
    where estado = 'cargada'
    group by dataset
),

cuarentena as (
    select
        dataset,
        count(*) as filas
    from {{ source('quarantine', 'fila') }}
    where estado = 'pendiente'
    group by dataset
),

correcciones as (
    select
        dataset,
        count(*) as correcciones,
        count(distinct clave) as filas_corregidas
    from {{ ref('fct_correccion') }}
    group by dataset
),

filas_con_hallazgo as (
    select
        dataset,
        clave,
        count(*) as hallazgos,
        max(filas_afectadas) as filas_afectadas
    from {{ ref('fct_hallazgo') }}
    group by dataset, clave
),

hallazgos as (
    select
        dataset,
        sum(hallazgos) as hallazgos,
        sum(filas_afectadas) as filas_con_hallazgo
    from filas_con_hallazgo
    group by dataset
),

reunidos as (
    select
        datasets.dataset,
        contratos.sistema,
        contratos.nombre,
        contratos.secretaria,
        contratos.responsable,
        coalesce(filas.filas, cargas.filas_cargadas) as filas,
        coalesce(cuarentena.filas, 0) as filas_cuarentena,
        coalesce(correcciones.correcciones, 0) as correcciones,
        coalesce(correcciones.filas_corregidas, 0) as filas_corregidas,
        coalesce(hallazgos.hallazgos, 0) as hallazgos,
        coalesce(hallazgos.filas_con_hallazgo, 0) as filas_con_hallazgo
    from datasets
    left join {{ source('meta', 'contrato') }} as contratos on datasets.dataset = contratos.dataset
    left join {{ ref('int_calidad__filas') }} as filas on datasets.dataset = filas.dataset
    left join cargas on datasets.dataset = cargas.dataset
    left join cuarentena on datasets.dataset = cuarentena.dataset
    left join correcciones on datasets.dataset = correcciones.dataset
    left join hallazgos on datasets.dataset = hallazgos.dataset
),

puntajes as (
    select
        dataset,
        sum(puntos) as puntos,
        coalesce(sum(peso) filter (where puntos is not null), 0) as puntos_medidos,
        sum(peso) as puntos_posibles,
        bool_or(not alcanza_minimo) as bajo_un_minimo,
        bool_or(obligatoria and puntos is null) as falta_medir,
        string_agg(dimension, ', ' order by dimension) filter (where not alcanza_minimo) as bajo_minimo,
        string_agg(dimension, ', ' order by dimension) filter (where obligatoria and puntos is null) as sin_medir
    from {{ ref('kpi_calidad_dimension') }}
    group by dataset
),

estandar as (
    select minimo_pct
    from {{ ref('dimensiones_calidad') }}
    where dimension = '(total)'
),

medidos as (
    select
        reunidos.*,
        100.0 * greatest(reunidos.filas - reunidos.filas_con_hallazgo, 0)
        / nullif(reunidos.filas + reunidos.filas_cuarentena, 0) as sin_defectos_pct,
        100.0 * puntajes.puntos / puntajes.puntos_posibles as puntaje,
        coalesce(100.0 * puntajes.puntos_medidos / puntajes.puntos_posibles, 0) as cobertura_pct,
        100.0 * puntajes.puntos / nullif(puntajes.puntos_medidos, 0) as puntaje_medido_pct,
        estandar.minimo_pct,
        coalesce(puntajes.bajo_un_minimo, false) as bajo_un_minimo,
        coalesce(puntajes.falta_medir, true) as falta_medir,
        puntajes.bajo_minimo,
        puntajes.sin_medir
    from reunidos
    left join puntajes on reunidos.dataset = puntajes.dataset
    cross join estandar
)

select
    dataset,
    sistema,
    nombre as dataset_nombre,
    secretaria,
    responsable,
    filas::bigint as filas,
    filas_cuarentena::bigint as filas_cuarentena,
    correcciones::bigint as correcciones,
    filas_corregidas::bigint as filas_corregidas,
    hallazgos::bigint as hallazgos,
    least(filas_con_hallazgo, filas)::bigint as filas_con_hallazgo,
    round(sin_defectos_pct, 2)::numeric(5, 2) as filas_sin_defectos_pct,
    round(puntaje, 2)::numeric(5, 2) as puntaje,
    round(cobertura_pct, 2)::numeric(5, 2) as cobertura_pct,
    round(puntaje_medido_pct, 2)::numeric(5, 2) as puntaje_medido_pct,
    case
        when puntaje_medido_pct is null then null
        when bajo_un_minimo or puntaje_medido_pct < minimo_pct then false
        when not falta_medir then true
    end as cumple_estandar,
    case
        when puntaje_medido_pct is null then 'No se midió nada: el conjunto no tiene filas o no tiene contrato.'
        when bajo_un_minimo then 'No llega al mínimo en: ' || bajo_minimo || '.'
        when puntaje_medido_pct < minimo_pct
            then 'Obtiene ' || round(puntaje_medido_pct, 1) || ' % de los puntos medidos; el mínimo es ' || round(minimo_pct) || ' %.'
        when falta_medir then 'No se sabe: falta medir ' || sin_medir || '.'
        else 'Cumple.'
    end as motivo_estandar
from medidos

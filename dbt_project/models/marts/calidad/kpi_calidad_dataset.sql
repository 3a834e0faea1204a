{#- No row ever loaded means that nothing is known of the quality: null, never 100 %. -#}
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

medidos as (
    select
        *,
        filas + filas_cuarentena as filas_recibidas,
        100.0 * greatest(filas - filas_con_hallazgo, 0) / nullif(filas + filas_cuarentena, 0) as sin_defectos_pct
    from reunidos
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
    sin_defectos_pct >= {{ var('umbral_calidad_pct') }} as cumple_estandar
from medidos

{#-
    Every finding in one table. A correction becomes a finding as well when its rule says so
    (`genera_hallazgo`): it left a value without data, or its owner should know.
-#}
with
de_correcciones as (
    select
        correcciones.dataset,
        correcciones.clave,
        correcciones.regla_id,
        correcciones.columna,
        1 as filas_afectadas,
        reglas.nombre || ' en ' || correcciones.columna
        || coalesce(': «' || left(correcciones.valor_original, 80) || '»', '') || '. '
        || case
            when correcciones.queda_sin_dato then 'Queda sin dato.'
            else 'Se usó «' || left(coalesce(correcciones.valor_corregido, 'valor reservado'), 80) || '».'
        end as descripcion
    from {{ ref('fct_correccion') }} as correcciones
    inner join {{ ref('reglas_limpieza') }} as reglas on correcciones.regla_id = reglas.regla_id
    where reglas.tipo = 'correccion' and reglas.genera_hallazgo
),

reunidos as (
    select
        dataset,
        clave,
        regla_id,
        columna,
        filas_afectadas,
        descripcion
    from de_correcciones
    union all
    select
        dataset,
        clave,
        regla_id,
        columna,
        filas_afectadas,
        descripcion
    from {{ ref('int_calidad__hallazgos_proyectos') }}
    union all
    select
        dataset,
        clave,
        regla_id,
        columna,
        filas_afectadas,
        descripcion
    from {{ ref('int_calidad__hallazgos_agua') }}
    union all
    select
        dataset,
        clave,
        regla_id,
        columna,
        filas_afectadas,
        descripcion
    from {{ ref('int_calidad__hallazgos_telemetria') }}
    union all
    select
        dataset,
        clave,
        regla_id,
        columna,
        filas_afectadas,
        descripcion
    from {{ ref('int_calidad__hallazgos_gestion') }}
)

select
    md5(reunidos.dataset || '|' || reunidos.clave || '|' || reunidos.regla_id || '|' || coalesce(reunidos.columna, ''))
        as hallazgo_id,
    reunidos.dataset,
    reunidos.clave,
    nullif(reunidos.columna, '') as columna,
    reunidos.regla_id,
    reglas.nombre as regla_nombre,
    reglas.dimension,
    reglas.severidad,
    reunidos.descripcion,
    reunidos.filas_afectadas::integer as filas_afectadas,
    contratos.responsable,
    contratos.secretaria
from reunidos
left join {{ ref('reglas_limpieza') }} as reglas on reunidos.regla_id = reglas.regla_id
left join {{ source('meta', 'contrato') }} as contratos on reunidos.dataset = contratos.dataset

{#-
    Contracts known to the last run, plus the entries of the inventory spreadsheet that no contract
    covers. Overdue: more days since the last update than the declared frequency times the tolerance.
    Without a frequency or without an update nothing can be said: null. A table that never brought a row was never updated,
    however often it is read; one that did is as recent as its last reading, changed or not. A load is stamped by the clock
    of the machine: seen from a reference day in the past (a closed month, the sample), what was loaded
    since then counts as loaded that day.
-#}
with
cargas as (
    select
        dataset,
        max(fin) as ultima_carga,
        coalesce(bool_or(filas_leidas > 0), false) as trajo_filas
    from {{ source('meta', 'carga') }}
    where estado in ('cargada', 'sin_cambios') and modo in ('full', 'incremental', 'append', 'files')
    group by dataset
),

-- One entry per dataset: of several that write its code in other capitals the first of the sheet counts, the others are
-- findings (R-CLAVE-02).
planilla as (
    select distinct on (lower(dataset_codigo))
        dataset_codigo,
        nombre,
        secretaria,
        responsable,
        referente,
        frecuencia,
        formato,
        clasificacion,
        prioridad,
        ubicacion,
        ultima_actualizacion,
        publicado
    from {{ ref('stg_planillas__inventario_datasets') }}
    order by lower(dataset_codigo), _source_row, dataset_codigo
),

reunidos as (
    select
        coalesce(contratos.dataset, planilla.dataset_codigo) as dataset,
        contratos.sistema,
        coalesce(contratos.nombre, planilla.nombre) as nombre,
        contratos.descripcion,
        case when contratos.dataset is not null then 'contrato' else 'planilla' end as origen,
        coalesce(contratos.secretaria, planilla.secretaria) as secretaria,
        coalesce(contratos.responsable, planilla.responsable) as responsable,
        coalesce(contratos.referente, planilla.referente) as referente,
        coalesce(contratos.frecuencia, planilla.frecuencia) as frecuencia,
        coalesce(contratos.formato, planilla.formato) as formato,
        contratos.motor,
        coalesce(contratos.tabla_raw, planilla.ubicacion) as ubicacion,
        coalesce(contratos.clasificacion, planilla.clasificacion, 'acceso_restringido') as clasificacion,
        coalesce(contratos.prioridad, planilla.prioridad) as prioridad,
        contratos.contiene_personas,
        contratos.configurado,
        planilla.publicado as publicado_segun_planilla,
        cargas.ultima_carga,
        case
            when contratos.dataset is null then planilla.ultima_actualizacion
            -- `least` passes over a null: without a load there is no update.
            when cargas.trajo_filas
                then least({{ dia_local('cargas.ultima_carga') }}, {{ fecha_referencia() }})
        end as ultima_actualizacion
    from (
        select
            dataset,
            sistema,
            nombre,
            descripcion,
            secretaria,
            responsable,
            referente,
            frecuencia,
            formato,
            motor,
            tabla_raw,
            clasificacion,
            prioridad,
            contiene_personas,
            configurado
        from {{ source('meta', 'contrato') }}
        where vigente
    ) as contratos
    full outer join planilla on contratos.dataset = lower(planilla.dataset_codigo)
    left join cargas on contratos.dataset = cargas.dataset
),

frecuencias as (
    select distinct on (reunidos.dataset)
        reunidos.dataset,
        frecuencias.frecuencia_codigo,
        frecuencias.frecuencia_nombre,
        frecuencias.dias
    from reunidos
    inner join {{ ref('frecuencias') }} as frecuencias
        on
            reunidos.frecuencia in (
                frecuencias.frecuencia_codigo, frecuencias.duracion_iso, 'R/' || frecuencias.duracion_iso
            )
            or {{ normalizar_codigo('reunidos.frecuencia') }} = frecuencias.nombre_codigo
    order by reunidos.dataset, frecuencias.frecuencia_codigo
)

select
    reunidos.dataset,
    reunidos.sistema,
    reunidos.nombre as dataset_nombre,
    reunidos.descripcion,
    reunidos.origen,
    reunidos.secretaria,
    reunidos.responsable,
    reunidos.referente,
    frecuencias.frecuencia_codigo,
    frecuencias.frecuencia_nombre,
    reunidos.formato,
    reunidos.motor,
    reunidos.ubicacion,
    reunidos.clasificacion,
    reunidos.prioridad,
    reunidos.contiene_personas,
    reunidos.configurado,
    reunidos.publicado_segun_planilla,
    reunidos.ultima_actualizacion,
    reunidos.ultima_carga,
    ({{ fecha_referencia() }} - reunidos.ultima_actualizacion)::integer as dias_desde_actualizacion,
    ({{ fecha_referencia() }} - reunidos.ultima_actualizacion)
    > frecuencias.dias * {{ var('tolerancia_frecuencia') }} as vencido
from reunidos
left join frecuencias on reunidos.dataset = frecuencias.dataset

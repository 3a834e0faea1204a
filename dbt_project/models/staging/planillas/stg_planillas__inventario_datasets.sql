with
origen as (
    select
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
        publicado,
        _load_id,
        _source_row
    from {{ source('planillas', 'inventario_datasets') }}
),

secretarias as (
    select distinct on (nombre_codigo)
        nombre_codigo,
        nombre,
        secretaria_id
    from {{ ref('stg_mlc__secretarias') }}
    order by nombre_codigo, secretaria_id
),

limpio as (
    select
        btrim(origen.dataset_codigo) as dataset_codigo,
        origen.dataset_codigo as dataset_codigo_original,
        {{ limpiar_texto('origen.nombre') }} as nombre,
        origen.nombre as nombre_original,
        coalesce(secretarias.nombre, {{ limpiar_texto('origen.secretaria') }}) as secretaria,
        origen.secretaria as secretaria_original,
        {{ limpiar_texto('origen.responsable') }} as responsable,
        origen.responsable as responsable_original,
        {{ limpiar_texto('origen.referente') }} as referente,
        origen.referente as referente_original,
        {{ limpiar_texto('origen.frecuencia') }} as frecuencia,
        origen.frecuencia as frecuencia_original,
        {{ limpiar_texto('origen.formato') }} as formato,
        origen.formato as formato_original,
        {{ valor_de_lista(
            'origen.clasificacion',
            {
                'sensible': 'sensible', 'acceso_restringido': 'acceso_restringido',
                'restringido': 'acceso_restringido', 'libre_acceso': 'libre_acceso', 'abierto': 'libre_acceso'
            }
        ) }} as clasificacion,
        origen.clasificacion as clasificacion_original,
        {{ valor_de_lista('origen.prioridad', ['critica', 'alta', 'normal', 'media', 'baja']) }} as prioridad,
        origen.prioridad as prioridad_original,
        {{ limpiar_texto('origen.ubicacion') }} as ubicacion,
        origen.ubicacion as ubicacion_original,
        origen.ultima_actualizacion,
        {{ si_no('origen.publicado') }} as publicado,
        origen.publicado as publicado_original,
        secretarias.secretaria_id,
        origen._load_id,
        origen._source_row
    from origen
    left join secretarias on secretarias.nombre_codigo = {{ normalizar_codigo('origen.secretaria') }}
)

select
    {{ corregido('stg_planillas__inventario_datasets', 'dataset_codigo') }},
    dataset_codigo_original,
    {{ corregido('stg_planillas__inventario_datasets', 'nombre') }},
    nombre_original,
    {{ corregido('stg_planillas__inventario_datasets', 'secretaria') }},
    secretaria_original,
    {{ corregido('stg_planillas__inventario_datasets', 'responsable') }},
    responsable_original,
    {{ corregido('stg_planillas__inventario_datasets', 'referente') }},
    referente_original,
    {{ corregido('stg_planillas__inventario_datasets', 'frecuencia') }},
    frecuencia_original,
    {{ corregido('stg_planillas__inventario_datasets', 'formato') }},
    formato_original,
    {{ corregido('stg_planillas__inventario_datasets', 'clasificacion') }},
    clasificacion_original,
    {{ corregido('stg_planillas__inventario_datasets', 'prioridad') }},
    prioridad_original,
    {{ corregido('stg_planillas__inventario_datasets', 'ubicacion') }},
    ubicacion_original,
    ultima_actualizacion,
    {{ corregido('stg_planillas__inventario_datasets', 'publicado') }},
    publicado_original,
    secretaria_id,
    _load_id,
    _source_row,
    {{ correcciones('stg_planillas__inventario_datasets') }} as correcciones
from limpio

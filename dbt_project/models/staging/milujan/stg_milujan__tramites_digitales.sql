with
origen as (
    select
        tramite_digital_id,
        tipo,
        secretaria,
        fecha_inicio,
        fecha_fin,
        estado,
        canal,
        satisfaccion,
        actualizado_en,
        _load_id
    from {{ source('milujan', 'tramites_digitales') }}
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
        btrim(origen.tramite_digital_id) as tramite_digital_id,
        {{ limpiar_texto('origen.tipo') }} as tipo,
        origen.tipo as tipo_original,
        coalesce(secretarias.nombre, {{ limpiar_texto('origen.secretaria') }}) as secretaria,
        origen.secretaria as secretaria_original,
        origen.fecha_inicio,
        origen.fecha_fin,
        {{ valor_de_lista('origen.estado', ['iniciado', 'en_curso', 'finalizado', 'rechazado']) }} as estado,
        origen.estado as estado_original,
        {{ valor_de_lista('origen.canal', ['web', 'app']) }} as canal,
        origen.canal as canal_original,
        {{ en_rango('origen.satisfaccion', 1, 5) }} as satisfaccion,
        origen.satisfaccion as satisfaccion_original,
        origen.actualizado_en,
        secretarias.secretaria_id,
        origen._load_id
    from origen
    left join secretarias on secretarias.nombre_codigo = {{ normalizar_codigo('origen.secretaria') }}
)

select
    tramite_digital_id,
    {{ corregido('stg_milujan__tramites_digitales', 'tipo') }},
    tipo_original,
    {{ corregido('stg_milujan__tramites_digitales', 'secretaria') }},
    secretaria_original,
    fecha_inicio,
    fecha_fin,
    {{ corregido('stg_milujan__tramites_digitales', 'estado') }},
    estado_original,
    {{ corregido('stg_milujan__tramites_digitales', 'canal') }},
    canal_original,
    {{ corregido('stg_milujan__tramites_digitales', 'satisfaccion') }},
    satisfaccion_original,
    actualizado_en,
    secretaria_id,
    _load_id,
    {{ correcciones('stg_milujan__tramites_digitales') }} as correcciones
from limpio

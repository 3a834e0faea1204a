with
origen as (
    select
        hito_id,
        proyecto_id,
        nombre,
        fecha_prevista,
        fecha_cumplido,
        estado,
        _load_id
    from {{ source('mlc', 'hitos') }}
),

limpio as (
    select
        hito_id,
        proyecto_id,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        fecha_prevista,
        fecha_cumplido,
        {{ valor_de_lista('estado', ['pendiente', 'cumplido', 'vencido']) }} as estado,
        estado as estado_original,
        _load_id
    from origen
)

select
    hito_id,
    proyecto_id,
    {{ corregido('stg_mlc__hitos', 'nombre') }},
    nombre_original,
    fecha_prevista,
    fecha_cumplido,
    {{ corregido('stg_mlc__hitos', 'estado') }},
    estado_original,
    _load_id,
    {{ correcciones('stg_mlc__hitos') }} as correcciones
from limpio

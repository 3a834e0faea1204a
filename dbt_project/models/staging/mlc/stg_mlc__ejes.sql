with
origen as (
    select
        eje_id,
        nombre,
        descripcion,
        orden,
        _load_id
    from {{ source('mlc', 'ejes') }}
),

limpio as (
    select
        eje_id,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        {{ limpiar_texto('descripcion') }} as descripcion,
        descripcion as descripcion_original,
        orden,
        _load_id
    from origen
)

select
    eje_id,
    {{ corregido('stg_mlc__ejes', 'nombre') }},
    nombre_original,
    {{ corregido('stg_mlc__ejes', 'descripcion') }},
    descripcion_original,
    orden,
    _load_id,
    {{ correcciones('stg_mlc__ejes') }} as correcciones
from limpio

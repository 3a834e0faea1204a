with
origen as (
    select
        meta_id,
        indicador_id,
        proyecto_id,
        descripcion,
        valor_objetivo,
        fecha_limite,
        _load_id
    from {{ source('mlc', 'metas') }}
),

limpio as (
    select
        meta_id,
        indicador_id,
        proyecto_id,
        {{ limpiar_texto('descripcion') }} as descripcion,
        descripcion as descripcion_original,
        valor_objetivo,
        fecha_limite,
        _load_id
    from origen
)

select
    meta_id,
    indicador_id,
    proyecto_id,
    {{ corregido('stg_mlc__metas', 'descripcion') }},
    descripcion_original,
    valor_objetivo,
    fecha_limite,
    _load_id,
    {{ correcciones('stg_mlc__metas') }} as correcciones
from limpio

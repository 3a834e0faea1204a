with
origen as (
    select
        programa_id,
        eje_id,
        secretaria_id,
        nombre,
        descripcion,
        gestion,
        _load_id
    from {{ source('mlc', 'programas') }}
),

limpio as (
    select
        programa_id,
        eje_id,
        secretaria_id,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        {{ limpiar_texto('descripcion') }} as descripcion,
        descripcion as descripcion_original,
        {{ valor_de_lista('gestion', lista_de_la_ciudad('gestiones')) }} as gestion,
        gestion as gestion_original,
        _load_id
    from origen
)

select
    programa_id,
    eje_id,
    secretaria_id,
    {{ corregido('stg_mlc__programas', 'nombre') }},
    nombre_original,
    {{ corregido('stg_mlc__programas', 'descripcion') }},
    descripcion_original,
    {{ corregido('stg_mlc__programas', 'gestion') }},
    gestion_original,
    _load_id,
    {{ correcciones('stg_mlc__programas') }} as correcciones
from limpio

with
origen as (
    select
        secretaria_id,
        nombre,
        sigla,
        responsable,
        activa,
        actualizado_en,
        _load_id
    from {{ source('mlc', 'secretarias') }}
),

limpio as (
    select
        secretaria_id,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        {{ limpiar_texto('sigla') }} as sigla,
        sigla as sigla_original,
        {{ limpiar_texto('responsable') }} as responsable,
        responsable as responsable_original,
        activa,
        actualizado_en,
        {{ normalizar_codigo('nombre') }} as nombre_codigo,
        _load_id
    from origen
)

select
    secretaria_id,
    {{ corregido('stg_mlc__secretarias', 'nombre') }},
    nombre_original,
    {{ corregido('stg_mlc__secretarias', 'sigla') }},
    sigla_original,
    {{ corregido('stg_mlc__secretarias', 'responsable') }},
    responsable_original,
    activa,
    actualizado_en,
    nombre_codigo,
    _load_id,
    {{ correcciones('stg_mlc__secretarias') }} as correcciones
from limpio

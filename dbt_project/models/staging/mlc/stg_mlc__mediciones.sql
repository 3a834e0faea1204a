with
origen as (
    select
        medicion_id,
        indicador_id,
        periodo,
        valor,
        fuente,
        registrado_en,
        _load_id
    from {{ source('mlc', 'mediciones') }}
),

limpio as (
    select
        medicion_id,
        indicador_id,
        periodo,
        valor,
        {{ limpiar_texto('fuente') }} as fuente,
        fuente as fuente_original,
        registrado_en,
        _load_id
    from origen
)

select
    medicion_id,
    indicador_id,
    periodo,
    valor,
    {{ corregido('stg_mlc__mediciones', 'fuente') }},
    fuente_original,
    registrado_en,
    _load_id,
    {{ correcciones('stg_mlc__mediciones') }} as correcciones
from limpio

with
origen as (
    select
        macromedidor_id,
        nombre,
        tipo,
        zona_id,
        latitud,
        longitud,
        caudal_max_m3h,
        _load_id
    from {{ source('aguas', 'macromedidores') }}
),

limpio as (
    select
        btrim(macromedidor_id) as macromedidor_id,
        {{ limpiar_texto('nombre') }} as nombre,
        nombre as nombre_original,
        {{ valor_de_lista('tipo', ['captacion', 'planta', 'troncal', 'ingreso_zona']) }} as tipo,
        tipo as tipo_original,
        zona_id,
        {{ latitud_corregida('latitud', 'longitud') }} as latitud,
        latitud as latitud_original,
        {{ longitud_corregida('latitud', 'longitud') }} as longitud,
        longitud as longitud_original,
        caudal_max_m3h,
        _load_id
    from origen
)

select
    macromedidor_id,
    {{ corregido('stg_aguas__macromedidores', 'nombre') }},
    nombre_original,
    {{ corregido('stg_aguas__macromedidores', 'tipo') }},
    tipo_original,
    zona_id,
    {{ corregido('stg_aguas__macromedidores', 'latitud') }},
    latitud_original,
    {{ corregido('stg_aguas__macromedidores', 'longitud') }},
    longitud_original,
    caudal_max_m3h,
    _load_id,
    {{ correcciones('stg_aguas__macromedidores') }} as correcciones
from limpio

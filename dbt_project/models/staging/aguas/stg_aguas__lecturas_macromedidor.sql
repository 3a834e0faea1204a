with
origen as (
    select
        macromedidor_id,
        fecha,
        volumen_m3,
        actualizado_en,
        _load_id
    from {{ source('aguas', 'lecturas_macromedidor') }}
),

limpio as (
    select
        btrim(macromedidor_id) as macromedidor_id,
        fecha,
        {{ en_rango('volumen_m3', 0, none) }} as volumen_m3,
        volumen_m3 as volumen_m3_original,
        actualizado_en at time zone '{{ var("zona_horaria") }}' as actualizado_en,
        _load_id
    from origen
)

select
    macromedidor_id,
    fecha,
    {{ corregido('stg_aguas__lecturas_macromedidor', 'volumen_m3') }},
    volumen_m3_original,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_aguas__lecturas_macromedidor') }} as correcciones
from limpio

with
origen as (
    select
        estacion_id,
        periodo,
        energia_kwh,
        volumen_bombeado_m3,
        importe,
        actualizado_en,
        _load_id
    from {{ source('aguas', 'energia_bombeo') }}
),

limpio as (
    select
        estacion_id,
        date_trunc('month', periodo::timestamp)::date as mes,
        periodo,
        {{ en_rango('energia_kwh', 0, none) }} as energia_kwh,
        energia_kwh as energia_kwh_original,
        {{ en_rango('volumen_bombeado_m3', 0, none) }} as volumen_bombeado_m3,
        volumen_bombeado_m3 as volumen_bombeado_m3_original,
        importe,
        actualizado_en at time zone '{{ var("zona_horaria") }}' as actualizado_en,
        _load_id
    from origen
)

select
    estacion_id,
    periodo,
    mes,
    {{ corregido('stg_aguas__energia_bombeo', 'energia_kwh') }},
    energia_kwh_original,
    {{ corregido('stg_aguas__energia_bombeo', 'volumen_bombeado_m3') }},
    volumen_bombeado_m3_original,
    importe,
    actualizado_en,
    _load_id,
    {{ correcciones('stg_aguas__energia_bombeo') }} as correcciones
from limpio
